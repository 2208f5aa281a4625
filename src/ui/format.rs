//! The formats rows go out in.

use std::io::Write;

use clap::ValueEnum;

use super::{csv, json, markdown, table};
use crate::report::RowSink;

/// A format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns and human sizes
    #[default]
    Table,
    /// JSON with raw integers and RFC 3339 times: an array of objects, for `why` one object
    Json,
    /// One object a line
    Ndjson,
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values with a header
    Tsv,
    /// A markdown table
    Markdown,
}

impl Format {
    /// Whether it is for a person, and so has the age of the scan in it.
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Markdown)
    }
}

/// What stands around the rows in the formats for people.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The heading.
    pub title: Option<String>,
    /// Lines under the heading.
    pub notes: Vec<String>,
    /// What is said behind the number of rows, such as the age of the scan.
    pub footer: Vec<String>,
    /// It is a part of a longer text: no line under the rows says how many they are.
    pub is_bare: bool,
    /// Lines at the very end, such as commands to try next.
    pub tail: Vec<String>,
    /// Columns whose sum means something.
    pub totals: Vec<String>,
    /// A column whose value is shown only where it changes.
    pub group: Option<String>,
    /// Columns of bytes beside which bars are drawn on a terminal that has room for them.
    pub bars: Vec<String>,
    /// On a narrow terminal the last columns may be left out.
    pub may_hide: bool,
    /// Something could not be read: every size is "at least".
    pub is_at_least: bool,
    /// The number of rows that was asked for, and how to ask for all.
    pub limit: Option<(u64, String)>,
}

/// What the output can show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Standard output is a terminal: short digests, lines that fit, nothing it could act on.
    pub is_terminal: bool,
    /// Its width in columns, if it is to be kept.
    pub width: Option<u16>,
    /// Bold and dim may be used.
    pub color: bool,
}

/// A sink that writes `format` to `out`.
pub fn sink<'a>(
    format: Format,
    out: &'a mut dyn Write,
    frame: Frame,
    look: Look,
) -> Box<dyn RowSink + 'a> {
    match format {
        Format::Table => Box::new(table::Sink::new(out, frame, look)),
        Format::Markdown => Box::new(markdown::Sink::new(out, frame)),
        Format::Json => Box::new(json::Sink::array(out)),
        Format::Ndjson => Box::new(json::Sink::lines(out)),
        Format::Csv => Box::new(csv::Sink::new(out, b',', look.is_terminal)),
        Format::Tsv => Box::new(csv::Sink::new(out, b'\t', look.is_terminal)),
    }
}
