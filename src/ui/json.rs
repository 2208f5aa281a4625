//! JSON and NDJSON: integers as they are, NULL as null, blobs as hex.

use std::io::{self, Write};

use serde::Serialize;

use super::sanitize::{json_string, json_text};
use crate::report::{Column, End, RowSink, Value, hex};

/// Writes objects, in an array or one a line.
pub struct Sink<'a> {
    out: &'a mut dyn Write,
    is_array: bool,
    keys: Vec<String>,
    line: String,
    rows: u64,
}

impl<'a> Sink<'a> {
    /// `[` one object a line `]`
    pub fn array(out: &'a mut dyn Write) -> Self {
        Self { out, is_array: true, keys: Vec::new(), line: String::new(), rows: 0 }
    }

    /// One object a line.
    pub fn lines(out: &'a mut dyn Write) -> Self {
        Self { is_array: false, ..Self::array(out) }
    }
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.keys = columns.iter().map(|column| json_string(&column.name)).collect();
        if self.is_array { self.out.write_all(b"[") } else { Ok(()) }
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.line.clear();
        if self.is_array {
            self.line.push_str(if self.rows == 0 { "\n" } else { ",\n" });
        }
        for (index, (key, value)) in self.keys.iter().zip(values).enumerate() {
            self.line.push(if index == 0 { '{' } else { ',' });
            self.line.push_str(key);
            self.line.push(':');
            push_value(&mut self.line, value);
        }
        self.line.push('}');
        if !self.is_array {
            self.line.push('\n');
        }
        self.rows += 1;
        self.out.write_all(self.line.as_bytes())
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        match (self.is_array, self.rows) {
            (false, _) => Ok(()),
            (true, 0) => self.out.write_all(b"]\n"),
            (true, _) => self.out.write_all(b"\n]\n"),
        }
    }
}

/// A value over several lines, with every active character in its strings written `\uXXXX`.
pub fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(Escaping(&mut *out), value)?;
    writeln!(out)
}

/// Passes JSON on. It comes in pieces that hold whole characters, and nothing outside of strings
/// needs an escape.
struct Escaping<'a>(&'a mut dyn Write);

impl Write for Escaping<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) if bytes.iter().any(|byte| *byte >= 0x7f) => {
                self.0.write_all(json_text(text.to_owned()).as_bytes())?;
            }
            _ => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn push_value(line: &mut String, value: &Value<'_>) {
    use std::fmt::Write as _;
    match value {
        Value::Null => line.push_str("null"),
        Value::Integer(number) => {
            let _infallible = write!(line, "{number}");
        }
        // JSON has no infinity: it becomes null.
        Value::Real(number) => line.push_str(&serde_json::Value::from(*number).to_string()),
        Value::Text(text) => line.push_str(&json_string(text)),
        Value::Blob(bytes) => {
            let _infallible = write!(line, "\"{}\"", hex(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    fn column(name: &str) -> Column {
        Column { name: name.into(), unit: Unit::Text }
    }

    #[test]
    fn every_value_of_sqlite_has_its_json() {
        let mut out = Vec::new();
        let mut sink = Sink::array(&mut out);
        sink.begin(&[column("a\""), column("b"), column("c"), column("d"), column("e")]).unwrap();
        sink.row(&[
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(f64::INFINITY),
            Value::Text("x\u{9b}".into()),
            Value::Blob([0xab, 0x01][..].into()),
        ])
        .unwrap();
        sink.end(End::default()).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        [
        {"a\"":null,"b":-9223372036854775808,"c":null,"d":"x\u009b","e":"ab01"}
        ]
        "#);
    }

    #[test]
    fn a_value_over_several_lines_holds_nothing_active() {
        let mut out = Vec::new();
        write_json(&mut out, &["ü\u{9b}\u{202e}\n\u{7f}", "plain"]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "[\n  \"ü\\u009b\\u202e\\n\\u007f\",\n  \"plain\"\n]\n"
        );
    }

    #[test]
    fn a_result_without_rows_is_an_empty_array() {
        let mut out = Vec::new();
        let mut sink = Sink::array(&mut out);
        sink.begin(&[column("a")]).unwrap();
        sink.end(End::default()).unwrap();
        assert_eq!(out, b"[]\n");
    }
}
