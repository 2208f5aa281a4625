//! Findings on their way out, counted.

use std::collections::BTreeSet;
use std::io;

use crate::model::Code;
use crate::report::{Column, End, RowSink, Unit, Value};

/// What was found.
#[derive(Default)]
pub struct Tally {
    /// Its codes.
    pub codes: BTreeSet<Code>,
    /// Errors, warnings, notes.
    pub counts: [u64; 3],
    /// At least one tag cannot be pulled.
    pub breaks_tags: bool,
}

/// Passes rows on, counts them, and adds what to do about each.
pub struct Counted<'a> {
    sink: &'a mut dyn RowSink,
    tally: &'a mut Tally,
    has_hints: bool,
    names: Vec<String>,
}

impl<'a> Counted<'a> {
    /// Passes rows on to `sink`; `has_hints` adds the column `hint`.
    pub fn new(sink: &'a mut dyn RowSink, tally: &'a mut Tally, has_hints: bool) -> Self {
        Self { sink, tally, has_hints, names: Vec::new() }
    }
}

impl RowSink for Counted<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.names = columns.iter().map(|column| column.name.clone()).collect();
        if !self.has_hints {
            return self.sink.begin(columns);
        }
        let hint = Column { name: "hint".into(), unit: Unit::Text };
        self.sink.begin(&[columns, &[hint]].concat())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        let mut code = None;
        for (name, value) in self.names.iter().zip(values) {
            match (name.as_str(), value) {
                ("code", Value::Text(name)) => code = Code::by_name(name),
                ("severity", Value::Text(severity)) => {
                    let place = match severity.as_ref() {
                        "error" => 0,
                        "warning" => 1,
                        _ => 2,
                    };
                    self.tally.counts[place] += 1;
                }
                ("broken_tag_count", Value::Integer(count)) => self.tally.breaks_tags |= *count > 0,
                _ => {}
            }
        }
        self.tally.codes.extend(code);
        if !self.has_hints {
            return self.sink.row(values);
        }
        let hint = code.map_or(Value::Null, |code| Value::Text(code.hint().into()));
        self.sink.row(&[values, &[hint]].concat())
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        self.sink.end(end)
    }
}
