//! The picture of the disk: every byte in it once. Repositories by what only they hold, in them
//! their tags by what only each holds; then what is shared, and what is garbage.

use std::borrow::Cow;
use std::cmp::Reverse;

use maud::{Markup, html};

use super::PageError;
use super::source::{Figures, Row, Source, bounded, cut};
use super::squarify::{Area, squarify};
use super::table::{self, Sizes};
use crate::ui::visible;

const REPOSITORIES_SQL: &str = include_str!("sql/treemap_repositories.sql");
const TAGS_SQL: &str = include_str!("sql/treemap_tags.sql");

/// More boxes than this cannot be distinguished, and would make the page large.
const MAX_REPOSITORIES: i64 = 60;
const MAX_TAGS: i64 = 12;

/// Longer names are cut: the tables have more of them.
const MAX_BYTES: usize = 100;

/// A character's width in the picture's units; only to know which labels fit.
const CHARACTER: f64 = 6.6;
const LINE: f64 = 16.0;
/// Boxes of less than this many square units cannot be seen.
const LEAST_AREA: f64 = 4.0;

/// Who holds the bytes of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Repository,
    Tag,
    MoreTags,
    SharedByTags,
    SharedByRepositories,
    Untagged,
    Orphans,
    MoreRepositories,
}

impl Holder {
    fn class(self) -> &'static str {
        match self {
            Self::Repository | Self::MoreRepositories => "repository",
            Self::Tag | Self::MoreTags => "exclusive",
            Self::SharedByTags => "shared-in",
            Self::SharedByRepositories => "shared",
            Self::Untagged => "untagged",
            Self::Orphans => "orphan",
        }
    }
}

struct Node {
    holder: Holder,
    /// Its name, without active characters, and not long.
    label: String,
    /// What is said of it beside its name and bytes.
    detail: String,
    bytes: u64,
    children: Vec<Node>,
}

impl Node {
    fn leaf(holder: Holder, label: impl Into<String>, bytes: u64) -> Self {
        let label = bounded(&visible(&label.into()), MAX_BYTES).into_owned();
        Self { holder, label, detail: String::new(), bytes, children: Vec::new() }
    }
}

/// The picture and what its colours mean.
pub fn treemap(source: &Source<'_>, figures: &Figures, sizes: Sizes) -> Result<Markup, PageError> {
    let nodes = nodes(source, figures, sizes)?;
    let repositories = nodes.iter().filter(|node| node.holder == Holder::Repository).count();
    let has_rest = nodes.iter().any(|node| node.holder == Holder::MoreRepositories);
    Ok(html! {
        @if nodes.is_empty() {
            p.none { "There is nothing on this disk yet." }
        } @else {
            figure.treemap {
                (picture("wide", 1200.0, 620.0, &nodes, sizes))
                (picture("narrow", 380.0, 560.0, &nodes, sizes))
                figcaption {
                    (legend(figures, sizes))
                    p.detail #treemap-detail {}
                    @if has_rest {
                        p.cut {
                            "The " (repositories) " repositories that hold most for themselves, and of each the "
                            (MAX_TAGS) " tags that do; the others are one box. The tables below name them."
                        }
                    }
                }
            }
        }
        (table::query("regsql report repositories", &[REPOSITORIES_SQL, TAGS_SQL]))
    })
}

fn nodes(source: &Source<'_>, figures: &Figures, sizes: Sizes) -> Result<Vec<Node>, PageError> {
    let limits = [("repositories", MAX_REPOSITORIES), ("tags", MAX_TAGS)];
    let found = source.query("treemap_repositories", REPOSITORIES_SQL, &limits[..1])?;
    let tags = source.query("treemap_tags", TAGS_SQL, &limits)?;
    let mut nodes: Vec<Node> = Vec::new();
    let mut rest = Parts::of_all_repositories(figures);
    for row in Row::all(&found) {
        let name = row.text("repository");
        let tags = Row::all(&tags).filter(|tag| tag.text("repository") == name);
        nodes.push(repository(row, tags, sizes));
        rest.take(&Parts::of_repository(row));
    }
    let more = figures.get("repository_count").saturating_sub(nodes.len() as u64);
    nodes.extend([
        Node {
            children: rest.nodes(vec![Node::leaf(
                Holder::Tag,
                "exclusive to one tag",
                rest.of_tags,
            )]),
            ..Node::leaf(
                Holder::MoreRepositories,
                more_of(more, "repository", "repositories"),
                rest.bytes,
            )
        },
        Node::leaf(
            Holder::SharedByRepositories,
            shared_label(sizes),
            shared_by_repositories(figures),
        ),
        Node::leaf(Holder::Orphans, "orphan blobs", figures.get("orphan_bytes")),
    ]);
    Ok(largest_first(nodes))
}

/// What a repository, or several, hold for themselves, by who holds it there.
struct Parts {
    bytes: u64,
    of_tags: u64,
    untagged: u64,
}

impl Parts {
    fn of_all_repositories(figures: &Figures) -> Self {
        Self {
            bytes: figures.get("repository_exclusive_bytes"),
            of_tags: figures.get("tag_exclusive_bytes"),
            untagged: figures.get("repository_untagged_bytes"),
        }
    }

    fn of_repository(row: Row<'_>) -> Self {
        Self {
            bytes: row.bytes("exclusive_bytes"),
            of_tags: row.bytes("tag_exclusive_bytes"),
            untagged: row.bytes("untagged_bytes"),
        }
    }

    fn take(&mut self, part: &Self) {
        self.bytes = self.bytes.saturating_sub(part.bytes);
        self.of_tags = self.of_tags.saturating_sub(part.of_tags);
        self.untagged = self.untagged.saturating_sub(part.untagged);
    }

    fn shared(&self) -> u64 {
        self.bytes.saturating_sub(self.of_tags).saturating_sub(self.untagged)
    }

    /// The boxes of tags, and those for the rest.
    fn nodes(&self, mut tags: Vec<Node>) -> Vec<Node> {
        tags.extend([
            Node::leaf(Holder::Untagged, "untagged", self.untagged),
            Node::leaf(Holder::SharedByTags, "shared by its tags", self.shared()),
        ]);
        largest_first(tags)
    }
}

fn more_of(count: u64, one: &str, several: &str) -> String {
    format!("{count} more {}", if count == 1 { one } else { several })
}

fn repository<'a>(row: Row<'_>, tags: impl Iterator<Item = Row<'a>>, sizes: Sizes) -> Node {
    let parts = Parts::of_repository(row);
    let reaches =
        |row: Row<'_>| format!("it reaches {}", sizes.human(row.integer("logical_bytes")));
    let mut children: Vec<Node> = tags
        .map(|tag| Node {
            detail: reaches(tag),
            ..Node::leaf(Holder::Tag, tag.text("tag"), tag.bytes("exclusive_bytes"))
        })
        .collect();
    let of_shown_tags: u64 = children.iter().map(|child| child.bytes).sum();
    let more = row.bytes("tag_count").saturating_sub(children.len() as u64);
    children.push(Node::leaf(
        Holder::MoreTags,
        more_of(more, "tag", "tags"),
        parts.of_tags.saturating_sub(of_shown_tags),
    ));
    Node {
        detail: reaches(row),
        children: parts.nodes(children),
        ..Node::leaf(Holder::Repository, row.text("repository"), parts.bytes)
    }
}

/// What is to be drawn of the boxes.
fn largest_first(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.retain(|node| node.bytes > 0);
    nodes.sort_by_key(|node| Reverse(node.bytes));
    nodes
}

/// What several repositories reach, or what is kept because something cannot be read.
fn shared_by_repositories(figures: &Figures) -> u64 {
    let kept = figures.get("blob_bytes").saturating_sub(figures.get("orphan_bytes"));
    kept.saturating_sub(figures.get("repository_exclusive_bytes"))
}

fn shared_label(sizes: Sizes) -> &'static str {
    if sizes.is_at_least {
        "shared by several repositories, or held by what cannot be read"
    } else {
        "shared by several repositories"
    }
}

fn legend(figures: &Figures, sizes: Sizes) -> Markup {
    let parts = Parts::of_all_repositories(figures);
    let classes = [
        (Holder::Tag, "exclusive to one tag", parts.of_tags),
        (Holder::SharedByTags, "shared by tags of one repository", parts.shared()),
        (Holder::SharedByRepositories, shared_label(sizes), shared_by_repositories(figures)),
        (Holder::Untagged, "only in untagged revisions", parts.untagged),
        (Holder::Orphans, "orphan blobs", figures.get("orphan_bytes")),
    ];
    html! {
        ul.legend {
            @for (holder, meaning, bytes) in classes {
                li title={ (bytes) " bytes" } {
                    svg.swatch viewBox="0 0 12 12" aria-hidden="true" {
                        rect.(holder.class()) width="12" height="12" {}
                    }
                    (meaning) " " b { (sizes.human_sum(bytes)) }
                }
            }
        }
    }
}

/// The picture in the given units, for screens of the named class.
fn picture(screen: &str, width: f64, height: f64, nodes: &[Node], sizes: Sizes) -> Markup {
    let values: Vec<u64> = nodes.iter().map(|node| node.bytes).collect();
    let areas = squarify(&values, Area { x: 0.0, y: 0.0, width, height });
    let hatch = format!("hatch-{screen}");
    html! {
        svg.(screen) viewBox={ "0 0 " (width) " " (height) } role="img"
            aria-label="The disk as boxes: repositories, in them their tags, by bytes" {
            defs {
                pattern id=(hatch) width="6" height="6" patternUnits="userSpaceOnUse"
                    patternTransform="rotate(45)" {
                    rect.stripe width="2" height="6" {}
                }
            }
            @for (node, area) in nodes.iter().zip(&areas) {
                (outer_box(node, *area, &hatch, sizes))
            }
        }
    }
}

fn outer_box(node: &Node, area: Area, hatch: &str, sizes: Sizes) -> Markup {
    if node.children.is_empty() {
        return leaf_box(node, None, area.inset(1.0, 1.0, 1.0, 1.0), hatch, sizes);
    }
    let frame = area.inset(1.0, 1.0, 1.0, 1.0);
    let has_heading = frame.width > 50.0 && frame.height > 44.0;
    let inner = if has_heading { frame.inset(3.0, LINE + 4.0, 3.0, 3.0) } else { frame };
    let values: Vec<u64> = node.children.iter().map(|child| child.bytes).collect();
    html! {
        @if frame.width * frame.height >= LEAST_AREA {
            g {
                g.box {
                    title { (title(node, None, sizes)) }
                    (rectangle(frame, node.holder.class()))
                    @if has_heading { (label(&node.label, frame, "name")) }
                }
                @for (child, area) in node.children.iter().zip(squarify(&values, inner)) {
                    (leaf_box(child, Some(node), area.inset(0.5, 0.5, 0.5, 0.5), hatch, sizes))
                }
            }
        }
    }
}

fn leaf_box(node: &Node, parent: Option<&Node>, area: Area, hatch: &str, sizes: Sizes) -> Markup {
    let is_shared = matches!(node.holder, Holder::SharedByTags | Holder::SharedByRepositories);
    let has_label = area.width > 34.0 && area.height > LINE + 2.0;
    html! {
        @if area.width * area.height >= LEAST_AREA {
            g.box {
                title { (title(node, parent, sizes)) }
                (rectangle(area, node.holder.class()))
                @if is_shared {
                    rect x=(units(area.x)) y=(units(area.y)) width=(units(area.width))
                        height=(units(area.height)) fill={ "url(#" (hatch) ")" } {}
                }
                @if has_label { (label(&node.label, area, "tag")) }
            }
        }
    }
}

fn rectangle(area: Area, class: &str) -> Markup {
    html! {
        rect.(class) x=(units(area.x)) y=(units(area.y)) width=(units(area.width))
            height=(units(area.height)) {}
    }
}

/// As much of a name as its box has room for.
fn label(text: &str, area: Area, class: &str) -> Markup {
    let room = ((area.width - 8.0) / CHARACTER).max(0.0) as usize;
    let fits = text.chars().count() <= room;
    let shown = if fits { Cow::Borrowed(text) } else { cut(text, room.saturating_sub(1)) };
    html! { text.(class) x=(units(area.x + 4.0)) y=(units(area.y + LINE - 3.0)) { (shown) } }
}

/// What is said when a box is pointed at.
fn title(node: &Node, parent: Option<&Node>, sizes: Sizes) -> String {
    let label = &node.label;
    let name = match parent {
        None => label.clone(),
        Some(parent) => {
            let is_image = node.holder == Holder::Tag && parent.holder == Holder::Repository;
            let between = if is_image { ":" } else { ", " };
            format!("{}{between}{label}", parent.label)
        }
    };
    let what = match node.holder {
        Holder::Tag | Holder::Repository => "exclusive: deleting it alone frees this",
        Holder::MoreRepositories | Holder::MoreTags => "exclusive to one of them each",
        Holder::SharedByTags => "held by several tags of one repository",
        Holder::SharedByRepositories => "held by no repository alone",
        Holder::Untagged => "come free with the untagged revisions",
        Holder::Orphans => "nothing needs this",
    };
    let size = sizes.human_sum(node.bytes);
    let more = if node.detail.is_empty() { "" } else { "; " };
    format!("{name} — {size} {what}{more}{}", node.detail)
}

/// A length with one digit behind the point.
fn units(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
