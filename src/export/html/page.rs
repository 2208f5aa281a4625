//! The page from top to bottom.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::source::{Figures, Row, Source, bounded};
use super::table::{self, Sizes};
use super::{PageError, growth, treemap};
use crate::ui::{self, visible};

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
const SCAN_SQL: &str = include_str!("sql/scan.sql");
const FIGURES_SQL: &str = include_str!("sql/figures.sql");

/// Rows of a table, where a reader looks for names.
const MANY: u64 = 1000;
/// Rows of a table, where the first are what matters.
const SOME: u64 = 50;
/// Commands at the top.
const NEXT_STEPS: u64 = 3;

/// A part of the page, and the reports in it with the most rows of each.
struct Part {
    id: &'static str,
    title: &'static str,
    reports: &'static [(&'static str, u64)],
    /// Reports without a row are left out: another one says that there is nothing.
    hides_empty: bool,
}

const PARTS: &[Part] = &[
    Part { id: "disk", title: "The disk", reports: &[("disk", SOME)], hides_empty: true },
    Part {
        id: "garbage",
        title: "Garbage",
        reports: &[
            ("authority", SOME),
            ("garbage", SOME),
            ("orphan-blobs", SOME),
            ("untagged-revisions", SOME),
            ("stale-uploads", SOME),
            ("dangling-links", SOME),
            ("unneeded-links", SOME),
            ("ghost-repositories", SOME),
        ],
        hides_empty: true,
    },
    Part {
        id: "images",
        title: "Repositories and tags",
        reports: &[("repositories", MANY), ("tags", 5 * SOME)],
        hides_empty: false,
    },
    Part {
        id: "layers",
        title: "Layers",
        reports: &[
            ("rare-layers", SOME),
            ("largest-layers", SOME),
            ("layer-commands", SOME),
            ("shared-layers", SOME),
        ],
        hides_empty: false,
    },
    Part { id: "growth", title: "Growth", reports: &[("growth", SOME)], hides_empty: false },
    Part {
        id: "age",
        title: "Old and idle",
        reports: &[("stale-repositories", SOME), ("older-than", SOME)],
        hides_empty: false,
    },
    Part {
        id: "problems",
        title: "Problems",
        reports: &[("broken-images", SOME), ("problems", SOME)],
        hides_empty: false,
    },
    Part {
        id: "kinds",
        title: "What it is made of",
        reports: &[("media-types", SOME), ("platforms", SOME)],
        hides_empty: false,
    },
];

/// What is known of the scan.
struct Scan {
    root: String,
    finished_at: String,
    duration_ms: i64,
    tool_version: String,
    is_complete: bool,
    has_other_authority: bool,
    /// What could not be read, why, and what helps; and how much that is.
    unreadable: [String; 3],
    unreadable_count: i64,
}

/// The whole page.
pub fn page(source: &Source<'_>, made_at: Timestamp) -> Result<Markup, PageError> {
    let scans = source.query("scan", SCAN_SQL, &[])?;
    let scan = Row::all(&scans).next().map(|row| Scan {
        root: bounded(&visible(row.text("root")), 200).into_owned(),
        finished_at: row.text("finished_at").to_owned(),
        duration_ms: row.integer("duration_ms"),
        tool_version: bounded(&visible(row.text("tool_version")), 50).into_owned(),
        is_complete: row.integer("complete") != 0,
        has_other_authority: row.integer("has_other_authority") != 0,
        unreadable: ["what", "reason", "advice"].map(|part| {
            bounded(&visible(row.text(&format!("unreadable_{part}"))), 200).into_owned()
        }),
        unreadable_count: row.integer("unreadable_count"),
    });
    let body = match &scan {
        None => html! {
            header { h1 { "Registry storage" } }
            main { p.none { "There is no scan in this database yet: " code.type { "regsql scan STORAGE" } } }
        },
        Some(scan) => body(source, scan, made_at)?,
    };
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="generator" content={ "regsql " (env!("CARGO_PKG_VERSION")) };
                title { "Registry storage" @if let Some(scan) = &scan { " " (scan.root) } }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    })
}

/// A hash as a Content-Security-Policy has it.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// The first line of a page that is not to be relied on before a new scan.
fn unreadable(count: i64, [what, reason, advice]: &[String; 3]) -> Markup {
    html! {
        p.incomplete role="note" {
            strong { (count) " " (what) @if !reason.is_empty() { " (" (reason) ")" } ": " }
            (advice) ". What lies there is unknown, and not missing."
        }
    }
}

fn body(source: &Source<'_>, scan: &Scan, made_at: Timestamp) -> Result<Markup, PageError> {
    let sizes = Sizes { is_at_least: !scan.is_complete };
    let figures = Figures::of(&source.query("figures", FIGURES_SQL, &[])?);
    let mut parts = Vec::new();
    for part in PARTS {
        let picture = match part.id {
            "disk" => Some(treemap::treemap(source, &figures, sizes)?),
            "growth" => Some(growth::chart(source, sizes)?),
            _ => None,
        };
        let mut reports = Vec::new();
        for (name, limit) in part.reports {
            let answer = source.report(name, *limit)?;
            if !(part.hides_empty && answer.result.rows.is_empty()) {
                reports.push(table::section(&answer, sizes));
            }
        }
        parts.push((part, picture, reports));
    }
    Ok(html! {
        header {
            h1 { "Registry storage" }
            (about(scan, made_at))
            nav aria-label="Parts of this page" {
                ul { @for part in PARTS { li { a href={ "#part-" (part.id) } { (part.title) } } } }
            }
        }
        main {
            @if scan.unreadable_count > 0 {
                (unreadable(scan.unreadable_count, &scan.unreadable))
            }
            @if !scan.is_complete {
                p.incomplete role="note" {
                    strong { "Incomplete scan: " }
                    "something could not be read, so every figure is at least what it says. "
                    a href="#problems" { "The problems" } " name it."
                }
            }
            @if scan.has_other_authority {
                p.incomplete role="note" {
                    strong { "References held elsewhere: " }
                    "something outside of the storage seems to hold references to it, so nothing here is known to be garbage. "
                    a href="#authority" { "The evidence" } " says why."
                }
            }
            (tiles(&figures, sizes, scan.has_other_authority))
            (next_steps(source, sizes)?)
            @for (part, picture, reports) in &parts {
                section.part id={ "part-" (part.id) } aria-labelledby={ "part-" (part.id) "-title" } {
                    h2 id={ "part-" (part.id) "-title" } { (part.title) }
                    @if let Some(picture) = picture { (picture) }
                    @for report in reports { (report) }
                }
            }
        }
        footer {
            p {
                "Made by regsql " (env!("CARGO_PKG_VERSION")) " at "
                time datetime=(made_at) { (ui::time(&made_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()) }
                ". " b { "Exclusive" } " bytes come free when the thing alone is deleted; "
                b { "logical" } " bytes are all that it reaches, what it shares with others among them."
            }
        }
    })
}

fn about(scan: &Scan, made_at: Timestamp) -> Markup {
    let finished: Option<Timestamp> = scan.finished_at.parse().ok();
    let age = finished.map(|finished| ui::age(made_at.as_second() - finished.as_second()));
    html! {
        p.about {
            code { (scan.root) } " · scanned "
            time #scanned datetime=(scan.finished_at) {
                (ui::time(&scan.finished_at).unwrap_or_default())
            }
            @if let Some(age) = age { ", " (age) " before this page was made" }
            span #age-now {}
            " · the scan took " (ui::duration_ms(scan.duration_ms))
            " with regsql " (scan.tool_version)
        }
    }
}

/// The figures to see first.
fn tiles(figures: &Figures, sizes: Sizes, has_other_authority: bool) -> Markup {
    let comes_free_name = if has_other_authority { "cannot be judged" } else { "comes free" };
    let on_disk = figures.get("blob_bytes");
    let comes_free = figures.get("reclaimable_bytes");
    let now = figures.get("reclaimable_now_bytes");
    let share = match on_disk.saturating_add(figures.get("upload_bytes")) {
        0 => 0.0,
        whole => comes_free as f64 / whole as f64 * 100.0,
    };
    let count = |name: &str| grouped(figures.get(name));
    let broken = figures.get("broken_tag_count");
    html! {
        section.totals aria-label="Totals" {
            dl {
                (tile("#part-disk", "on disk", &sizes.human_sum(on_disk), &format!("{} blobs", count("blob_count")), Some(on_disk)))
                (tile("#garbage", comes_free_name, &sizes.human_sum(comes_free),
                    &match comes_free {
                        0 => "nothing without dropping a tag".to_owned(),
                        _ => format!("{share:.1} %; now {}, the rest at 24 h old", sizes.human_sum(now)),
                    }, Some(comes_free)))
                (tile("#repositories", "repositories", &count("repository_count"),
                    &format!("{} revisions", count("revision_count")), None))
                (tile("#tags", "tags", &count("tag_count"), &match broken {
                    0 => "all can be pulled".to_owned(),
                    1 => "1 cannot be pulled".to_owned(),
                    more => format!("{} cannot be pulled", grouped(more)),
                }, None))
                (tile("#problems", "errors", &count("error_count"),
                    &format!("{} findings in all", count("problem_count")), None))
            }
            (table::query("regsql sql 'SELECT * FROM totals'", &[FIGURES_SQL]))
        }
    }
}

fn tile(link: &str, name: &str, figure: &str, more: &str, bytes: Option<u64>) -> Markup {
    let title = bytes.map(|bytes| format!("{bytes} bytes"));
    html! {
        div.tile {
            dt { a href=(link) { (name) } }
            dd.figure title=[title] { (figure) }
            dd.more { (more) }
        }
    }
}

/// `165 000`: digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 8);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn next_steps(source: &Source<'_>, sizes: Sizes) -> Result<Markup, PageError> {
    let answer = source.report("next-steps", NEXT_STEPS)?;
    Ok(html! {
        section.next aria-labelledby="next-heading" {
            h2 id="next-heading" { "What to do next" }
            ol {
                @for row in Row::all(&answer.result) {
                    li {
                        code.type { (row.text("command")) }
                        span {
                            (row.text("meaning"))
                            @if row.integer("freed_bytes") > 0 || row.integer("later_bytes") > 0 {
                                ": " b { (sizes.human(row.integer("freed_bytes"))) }
                            }
                            @if row.integer("later_bytes") > 0 {
                                " now, and " (sizes.human(row.integer("later_bytes")))
                                " more when it is 24 h old"
                            }
                        }
                    }
                }
            }
            (table::query(&answer.command, &[&answer.report.sql]))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(165_000), "165\u{202f}000");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }

    /// What ends an element would end it inside its own text too.
    #[test]
    fn style_and_script_do_not_end_themselves() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.to_lowercase().contains("</"), "an end tag in an asset");
        }
    }
}
