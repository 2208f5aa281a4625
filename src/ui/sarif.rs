//! Findings as SARIF 2.1.0, which code hosts and editors read.

use std::io::{self, Write};

use serde_json::{Map, Value as Json, json};

use super::sanitize::json_text;
use crate::report::{Column, End, RowSink, Value};

/// A kind of finding, for formats that list them all.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its stable name.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

/// Writes rows with the columns `code`, `severity`, `path` and `detail`; all others become
/// properties of a result.
pub struct Sink<'a> {
    out: &'a mut dyn Write,
    rules: &'a [Rule],
    names: Vec<String>,
    rows: u64,
}

impl<'a> Sink<'a> {
    /// One run of this program, which knows these kinds of findings.
    pub fn new(out: &'a mut dyn Write, rules: &'a [Rule]) -> Self {
        Self { out, rules, names: Vec::new(), rows: 0 }
    }
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.names = columns.iter().map(|column| column.name.clone()).collect();
        let rules: Vec<Json> = self
            .rules
            .iter()
            .map(|rule| {
                json!({
                    "id": rule.name,
                    "shortDescription": { "text": rule.meaning },
                    "help": { "text": rule.hint },
                })
            })
            .collect();
        let driver = json!({
            "name": "regsql",
            "version": env!("CARGO_PKG_VERSION"),
            "rules": rules,
        });
        let root =
            json!({ "ROOT": { "description": { "text": "the registry's root directory" } } });
        write!(
            self.out,
            "{{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\
             \"runs\":[{{\"tool\":{{\"driver\":{driver}}},\"originalUriBaseIds\":{root},\"results\":["
        )
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        let text = |name: &str| {
            let place = self.names.iter().position(|known| known == name);
            match place.and_then(|place| values.get(place)) {
                Some(Value::Text(text)) => text.as_ref(),
                _ => "",
            }
        };
        let level = match text("severity") {
            "info" => "note",
            level => level,
        };
        let mut properties = Map::new();
        for (name, value) in self.names.iter().zip(values) {
            let value = match value {
                Value::Integer(number) => Json::from(*number),
                Value::Text(text) => Json::from(text.as_ref()),
                _ => continue,
            };
            if !["code", "severity", "path", "detail"].contains(&name.as_str()) {
                properties.insert(name.clone(), value);
            }
        }
        let location = json!({ "uri": uri(text("path")), "uriBaseId": "ROOT" });
        let result = json!({
            "ruleId": text("code"),
            "level": level,
            "message": { "text": text("detail") },
            "locations": [{ "physicalLocation": { "artifactLocation": location } }],
            "properties": properties,
        });
        let separator = if self.rows == 0 { "\n" } else { ",\n" };
        self.rows += 1;
        write!(self.out, "{separator}{}", json_text(result.to_string()))
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        self.out.write_all(b"\n]}]}\n")
    }
}

/// A path as a relative URI: every byte that could mean something else is written `%HH`.
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => {
                let _infallible = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    #[test]
    fn a_finding_keeps_its_text_and_its_place_whatever_its_names_are() {
        let rules = [Rule { name: "foreign-file", meaning: "A file.", hint: "move it" }];
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, &rules);
        let columns = ["severity", "code", "path", "detail", "repository", "broken_tag_count"]
            .map(|name| Column { name: name.into(), unit: Unit::Text });
        sink.begin(&columns).unwrap();
        sink.row(&[
            Value::Text("info".into()),
            Value::Text("foreign-file".into()),
            Value::Text("a b/\u{1b}[2J\"%".into()),
            Value::Text("</x>\u{1b}\"".into()),
            Value::Null,
            Value::Integer(2),
        ])
        .unwrap();
        sink.end(End::default()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains('\u{1b}'));
        let log: Json = serde_json::from_str(&text).unwrap();
        let result = &log["runs"][0]["results"][0];
        assert_eq!(result["level"], "note");
        assert_eq!(result["message"]["text"], "</x>\u{1b}\"");
        let location = &result["locations"][0]["physicalLocation"]["artifactLocation"];
        assert_eq!(location["uri"], "a%20b/%1B%5B2J%22%25");
        assert_eq!(result["properties"], json!({ "broken_tag_count": 2 }));
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], "foreign-file");
    }
}
