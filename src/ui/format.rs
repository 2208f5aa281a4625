//! The formats rows go out in.

use std::io::Write;

use clap::ValueEnum;

use super::frame::{Frame, Look};
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
