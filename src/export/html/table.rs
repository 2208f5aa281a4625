//! A report as a table with its query behind a click.

use maud::{Markup, html};

use super::source::{Answer, bounded, holds_commands};
use crate::report::{Column, ColumnSpec, Unit, Value, hex};
use crate::ui::{self, visible};

/// Longer texts are cut: the report has them whole.
const MAX_BYTES: usize = 200;

/// How sizes are written.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// Something could not be read: every size is "at least".
    pub is_at_least: bool,
}

impl Sizes {
    /// `1.234 GiB`, or `≥ 1.234 GiB`.
    pub fn human(self, bytes: i64) -> String {
        // Less than nothing is a difference of two figures, and so no lower bound.
        let at_least = if self.is_at_least && bytes >= 0 { "≥ " } else { "" };
        format!("{at_least}{}", ui::bytes(bytes))
    }

    /// The same for a figure that was added up here.
    pub fn human_sum(self, bytes: u64) -> String {
        self.human(i64::try_from(bytes).unwrap_or(i64::MAX))
    }
}

/// A report under its own title: what it answers, its rows, its query.
pub fn section(answer: &Answer<'_>, sizes: Sizes) -> Markup {
    let header = &answer.report.header;
    let id = &answer.report.name;
    html! {
        section.report id=(id) aria-labelledby={ (id) "-title" } {
            h3 id={ (id) "-title" } { (header.title) }
            p.summary { (header.summary) "." }
            @if answer.result.rows.is_empty() {
                p.none { "There is none." }
            } @else {
                (table(answer, sizes))
            }
            (query(&answer.command, &[&answer.report.sql]))
        }
    }
}

/// The command and the SQL behind a figure.
pub fn query(command: &str, statements: &[&str]) -> Markup {
    html! {
        details.query {
            summary { "query" }
            p { code.type { (command) } }
            @for sql in statements {
                pre tabindex="0" { code { (sql.trim_end()) } }
            }
        }
    }
}

fn table(answer: &Answer<'_>, sizes: Sizes) -> Markup {
    let columns = &answer.result.columns;
    let rows = &answer.result.rows;
    let header = &answer.report.header;
    let is_cut = answer.limit == Some(rows.len() as u64);
    let largest: Vec<i64> = (0..columns.len())
        .map(|place| if header.bars.contains(&columns[place].name) { most(rows, place) } else { 0 })
        .collect();
    html! {
        div.scroll role="region" aria-label=(header.title) tabindex="0" {
            table {
                thead {
                    tr {
                        @for column in columns {
                            th scope="col" class=[class(column)] title=[meaning(column, &header.columns)] {
                                (ui::heading(&column.name))
                            }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for ((value, column), largest) in row.iter().zip(columns).zip(&largest) {
                                (cell(value, column, *largest, sizes))
                            }
                        }
                    }
                }
            }
        }
        @if is_cut {
            p.cut {
                "The first " (rows.len()) ". All of them: "
                code.type { "regsql report " (answer.report.name) " -p limit=all" }
            }
        }
    }
}

/// The largest value of a column.
fn most(rows: &[Vec<Value<'static>>], place: usize) -> i64 {
    let values = rows.iter().filter_map(|row| match row.get(place) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    });
    values.max().unwrap_or(0)
}

fn meaning<'a>(column: &Column, declared: &'a [ColumnSpec]) -> Option<&'a str> {
    declared.iter().find(|known| known.name == column.name).map(|known| known.meaning.as_str())
}

fn class(column: &Column) -> Option<&'static str> {
    match column.unit {
        Unit::Time => Some("time"),
        Unit::Command => Some("step"),
        unit if unit.is_numeric() => Some("number"),
        _ => None,
    }
}

fn cell(value: &Value<'_>, column: &Column, largest: i64, sizes: Sizes) -> Markup {
    let class = class(column);
    match (value, column.unit) {
        (Value::Integer(bytes), Unit::Bytes) => html! {
            td class=[class] title={ (bytes) " bytes" } {
                (sizes.human(*bytes))
                @if largest > 0 { (bar(*bytes, largest)) }
            }
        },
        (Value::Integer(number), Unit::DurationMs) => html! {
            td class=[class] title={ (number) " ms" } { (ui::duration_ms(*number)) }
        },
        (Value::Integer(flag), Unit::Flag) => html! {
            td class=[class] { @if *flag == 0 { "no" } @else { "yes" } }
        },
        (Value::Null, _) => html! { td class=[class] {} },
        (Value::Integer(number), _) => html! { td class=[class] { (number) } },
        (Value::Real(number), _) => html! { td class=[class] { (number) } },
        (Value::Blob(bytes), _) => {
            html! { td class=[class] { (bounded(&hex(bytes), MAX_BYTES)) } }
        }
        (Value::Text(text), Unit::Digest) => {
            let text = visible(text);
            let text = bounded(&text, MAX_BYTES);
            html! { td { code title=(text) { (ui::short_digest(&text)) } } }
        }
        (Value::Text(text), Unit::Time) => {
            let shown = ui::time(text).unwrap_or_else(|| visible(text).into_owned());
            html! { td class=[class] { (bounded(&shown, MAX_BYTES)) } }
        }
        (Value::Text(text), Unit::Command) => {
            let text = visible(text);
            html! { td class=[class] { code { (bounded(&text, MAX_BYTES)) } } }
        }
        (Value::Text(text), _) => {
            let text = visible(text);
            let text = bounded(&text, MAX_BYTES);
            html! { td class=[class] { @if holds_commands(column) { code.type { (text) } } @else { (text) } } }
        }
    }
}

/// A line as long as the figure above it is large.
fn bar(value: i64, largest: i64) -> Markup {
    let percent = (value.max(0) as f64 / largest as f64 * 100.0).min(100.0);
    html! {
        svg.bar viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true" {
            rect width={ (format!("{percent:.1}")) } height="1" {}
        }
    }
}
