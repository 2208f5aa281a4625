//! The answer as JSON: one object, or one object for each path.

use std::io::{self, Write};

use serde::Serialize;

use super::Writer;
use crate::ui::json_text;
use crate::why::{Answer, End, Step, TargetKind, Verdict};

/// One object; each path stands on a line of its own.
pub struct Object<'a> {
    out: &'a mut dyn Write,
    paths: u64,
}

impl<'a> Object<'a> {
    /// Writes everything but the paths.
    pub fn begin(out: &'a mut dyn Write, answer: &Answer) -> io::Result<Self> {
        let mut text = json_text(serde_json::to_string(answer)?);
        // The paths come one by one, into the object that is still open.
        text.pop();
        write!(out, "{text},\"paths\":[")?;
        Ok(Self { out, paths: 0 })
    }
}

impl Writer for Object<'_> {
    fn path(&mut self, path: &[Step]) -> io::Result<()> {
        let separator = if self.paths == 0 { "\n" } else { ",\n" };
        self.paths += 1;
        write!(self.out, "{separator}{}", json_text(serde_json::to_string(path)?))
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        let separator = if self.paths == 0 { "" } else { "\n" };
        writeln!(self.out, "{separator}],\"is_cut\":{}}}", end.is_cut)
    }
}

/// One object for each path; one without a path when there is none.
pub struct Lines<'a> {
    out: &'a mut dyn Write,
    answer: &'a Answer,
    paths: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    target: &'a str,
    kind: TargetKind,
    digest: Option<&'a str>,
    verdict: Verdict,
    path: &'a [Step],
}

impl<'a> Lines<'a> {
    /// Lines about `answer`.
    pub fn new(out: &'a mut dyn Write, answer: &'a Answer) -> Self {
        Self { out, answer, paths: 0 }
    }

    fn line(&mut self, path: &[Step]) -> io::Result<()> {
        let line = Line {
            schema: self.answer.schema,
            target: &self.answer.target,
            kind: self.answer.kind,
            digest: self.answer.digest.as_deref(),
            verdict: self.answer.verdict,
            path,
        };
        writeln!(self.out, "{}", json_text(serde_json::to_string(&line)?))
    }
}

impl Writer for Lines<'_> {
    fn path(&mut self, path: &[Step]) -> io::Result<()> {
        self.paths += 1;
        self.line(path)
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        if self.paths == 0 { self.line(&[]) } else { Ok(()) }
    }
}
