//! Markdown tables, for issues and wikis.

use std::io::{self, Write};

use super::frame::Frame;
use super::human;
use super::sanitize::markdown;
use super::table::{Totals, footer, shown};
use crate::report::{Column, End, RowSink, Value};

/// Writes a markdown table, row by row.
pub struct Sink<'a> {
    out: &'a mut dyn Write,
    frame: Frame,
    columns: Vec<Column>,
    totals: Totals,
}

impl<'a> Sink<'a> {
    /// A table inside `frame`.
    pub fn new(out: &'a mut dyn Write, frame: Frame) -> Self {
        Self { out, frame, columns: Vec::new(), totals: Totals::default() }
    }

    fn line(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        let mut line = String::from("|");
        for (value, column) in values.iter().zip(&self.columns) {
            let text = shown(value, column.unit, self.frame.is_at_least);
            line.push(' ');
            // Digests and times hold nothing to escape when they are what they should be.
            line.push_str(&markdown(&text));
            line.push_str(" |");
        }
        writeln!(self.out, "{line}")
    }
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        self.totals = Totals::of(columns, &self.frame.totals);
        if let Some(title) = &self.frame.title {
            writeln!(self.out, "### {}\n", markdown(title))?;
        }
        let headings = columns.iter().map(|column| markdown(&human::heading(&column.name)));
        writeln!(self.out, "| {} |", headings.collect::<Vec<_>>().join(" | "))?;
        let rules =
            columns.iter().map(|column| if column.unit.is_numeric() { "---:" } else { "---" });
        writeln!(self.out, "|{}|", rules.collect::<Vec<_>>().join("|"))
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.totals.add(values);
        self.line(values)
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        if end.rows > 1
            && let Some(values) = self.totals.row("total")
        {
            self.line(&values)?;
        }
        writeln!(self.out, "\n{}", footer(&self.frame, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    #[test]
    fn a_hostile_name_stays_in_its_cell() {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, Frame::default());
        sink.begin(&[Column { name: "tag".into(), unit: Unit::Text }]).unwrap();
        sink.row(&[Value::Text("a|b\n<script>`x`".into())]).unwrap();
        sink.end(End { rows: 1, is_cut: false }).unwrap();
        drop(sink);
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        | tag |
        |---|
        | a\|b\\n&lt;script&gt;\`x\` |

        1 row
        "#);
    }
}
