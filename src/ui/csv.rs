//! CSV and TSV with a header line: exact values, quoted where they must be.
//!
//! A text that a spreadsheet would take for a formula gets an apostrophe; on a terminal, control
//! characters are written out.

use std::io::{self, Write};

use super::sanitize::{spreadsheet, visible};
use crate::report::{Column, End, RowSink, Value, hex};

/// Writes separated values.
pub struct Sink<'a> {
    writer: csv::Writer<&'a mut dyn Write>,
    is_terminal: bool,
}

impl<'a> Sink<'a> {
    /// Values separated by `delimiter`.
    pub fn new(out: &'a mut dyn Write, delimiter: u8, is_terminal: bool) -> Self {
        let writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
        Self { writer, is_terminal }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let text = spreadsheet(text);
        let text = if self.is_terminal { visible(&text) } else { text };
        self.writer.write_field(text.as_bytes()).map_err(io::Error::from)
    }

    fn end_of_line(&mut self) -> io::Result<()> {
        self.writer.write_record(None::<&[u8]>).map_err(io::Error::from)
    }
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        for column in columns {
            self.text(&column.name)?;
        }
        self.end_of_line()
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        for value in values {
            let field = match value {
                Value::Null => String::new(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
                Value::Blob(bytes) => hex(bytes),
                Value::Text(text) => {
                    self.text(text)?;
                    continue;
                }
            };
            self.writer.write_field(field.as_bytes()).map_err(io::Error::from)?;
        }
        self.end_of_line()
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    fn csv_of(text: &str, is_terminal: bool) -> String {
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, b',', is_terminal);
        let column = |name: &str| Column { name: name.into(), unit: Unit::Text };
        sink.begin(&[column("a"), column("b")]).unwrap();
        sink.row(&[Value::Text(text.into()), Value::Integer(-1)]).unwrap();
        sink.end(End::default()).unwrap();
        drop(sink);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_names_stay_one_cell_of_text() {
        assert_eq!(csv_of("a,\"b\"\nc", false), "a,b\n\"a,\"\"b\"\"\nc\",-1\n");
        assert_eq!(csv_of("=1+1", false), "a,b\n'=1+1,-1\n");
        assert_eq!(csv_of("\x1b[2J", false), "a,b\n\x1b[2J,-1\n");
        assert_eq!(csv_of("\x1b[2J", true), "a,b\n\\x1b[2J,-1\n");
    }
}
