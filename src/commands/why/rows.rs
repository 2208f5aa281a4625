//! The answer as rows, one for each path.

use std::io::{self, Write};

use super::Writer;
use crate::report::{Column, End as RowsEnd, RowSink, Unit, Value};
use crate::ui::{self, Format, Frame, Look};
use crate::why::{Answer, End, Step, Via};

const COLUMNS: &[(&str, Unit)] = &[
    ("digest", Unit::Digest),
    ("verdict", Unit::Text),
    ("repository", Unit::Text),
    ("tag", Unit::Text),
    ("manifest_digest", Unit::Digest),
    ("via", Unit::Text),
];

/// Writes rows.
pub struct Rows<'a> {
    sink: Box<dyn RowSink + 'a>,
    answer: &'a Answer,
    written: u64,
}

impl<'a> Rows<'a> {
    /// Writes the heading.
    pub fn begin(
        format: Format,
        out: &'a mut dyn Write,
        answer: &'a Answer,
        look: Look,
        about_scan: &[String],
    ) -> io::Result<Self> {
        let frame = Frame {
            title: Some(format!("why {}", answer.target)),
            footer: about_scan.to_vec(),
            is_at_least: answer.is_at_least,
            ..Frame::default()
        };
        let mut sink = ui::sink(format, out, frame, look);
        let column = |(name, unit): &(&str, Unit)| Column { name: (*name).into(), unit: *unit };
        sink.begin(&COLUMNS.iter().map(column).collect::<Vec<_>>())?;
        Ok(Self { sink, answer, written: 0 })
    }

    fn row(&mut self, path: &[Step]) -> io::Result<()> {
        let text = |text: Option<&str>| {
            text.map_or(Value::Null, |text| Value::Text(text.to_owned().into()))
        };
        let repository = path.iter().find_map(|step| match step {
            Step::Repository { repository, .. } => Some(repository.as_str()),
            _ => None,
        });
        let tag = path.iter().find_map(|step| match step {
            Step::Tag { tag, .. } => Some(tag.as_str()),
            _ => None,
        });
        let is_manifest = |step: &&Step| matches!(step, Step::Manifest { .. } | Step::Index { .. });
        let manifest = path.iter().rfind(is_manifest).and_then(Step::digest);
        let via: Vec<String> = path.iter().filter_map(way).collect();
        self.written += 1;
        self.sink.row(&[
            text(self.answer.digest.as_deref()),
            text(Some(self.answer.verdict.name())),
            text(repository),
            text(tag),
            text(manifest),
            text(Some(via.join(", ")).as_deref().filter(|via| !via.is_empty())),
        ])
    }
}

/// How one step leads to the step below it, in words.
fn way(step: &Step) -> Option<String> {
    if let Step::ExternalRoot { source, line, reference } = step {
        return Some(format!("kept by row {line} of {source}: {reference}"));
    }
    if let Step::Root { scope, code, path } = step {
        return Some(format!("kept by {code} at {path} (scope {scope})"));
    }
    if let Step::Repository { revision: Some(revision), .. } = step {
        return Some(format!("{revision} revision"));
    }
    let digest = step.digest()?;
    Some(match step.via()? {
        Via::Config => format!("config of {digest}"),
        Via::Layer => format!("layer of {digest}"),
        Via::Manifest => format!("child of {digest}"),
        Via::Blob => format!("named by {digest}"),
        Via::Subject => format!("refers to {digest}"),
        Via::Alias => format!("also called {digest}"),
    })
}

impl Writer for Rows<'_> {
    fn path(&mut self, path: &[Step]) -> io::Result<()> {
        self.row(path)
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        // A verdict without a path is an answer too.
        if self.written == 0 {
            self.row(&[])?;
        }
        self.sink.end(RowsEnd { rows: self.written, is_cut: end.is_cut })
    }
}
