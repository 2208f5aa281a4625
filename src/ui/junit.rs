//! Findings as a JUnit report, which continuous integration reads: one test case for each kind of
//! finding, failed when there is one that counts.
//!
//! The crate `quick-junit` (0.8) is not used: it brings chrono, uuid and a second version of quick-xml
//! for the four elements that are written here.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::sanitize::visible;
use super::sarif::Rule;
use crate::report::{Column, End, RowSink, Value};

/// Findings of one kind that are written out; of more, only the number.
const MAX_LINES: usize = 100;

/// Writes rows with the columns `code`, `severity`, `path` and `detail`.
pub struct Sink<'a> {
    out: &'a mut dyn Write,
    rules: &'a [Rule],
    /// The severities that fail a test case.
    failing: &'a [&'a str],
    names: Vec<String>,
    cases: BTreeMap<String, Case>,
}

#[derive(Default)]
struct Case {
    lines: Vec<String>,
    count: usize,
    has_failed: bool,
}

impl<'a> Sink<'a> {
    /// A suite of one test case for each rule.
    pub fn new(out: &'a mut dyn Write, rules: &'a [Rule], failing: &'a [&'a str]) -> Self {
        Self { out, rules, failing, names: Vec::new(), cases: BTreeMap::new() }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut writer = Writer::new_with_indent(&mut *self.out, b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let failures = self.cases.values().filter(|case| case.has_failed).count().to_string();
        let tests = self.rules.len().to_string();
        let figures = [("name", "regsql verify"), ("tests", &tests), ("failures", &failures)];
        let suites = writer.create_element("testsuites").with_attributes(figures);
        suites.write_inner_content(|writer| {
            let suite = writer.create_element("testsuite").with_attributes(figures);
            suite.write_inner_content(|writer| {
                self.rules.iter().try_for_each(|rule| {
                    write_case(writer, rule, self.cases.get(rule.name)).map(drop)
                })
            })?;
            Ok(())
        })?;
        self.out.write_all(b"\n")
    }
}

fn write_case<W: Write>(
    writer: &mut Writer<W>,
    rule: &Rule,
    case: Option<&Case>,
) -> io::Result<()> {
    let names = [("classname", "regsql.verify"), ("name", rule.name)];
    let element = writer.create_element("testcase").with_attributes(names);
    let Some(case) = case else { return element.write_empty().map(drop) };
    let mut text = case.lines.join("\n");
    if case.count > case.lines.len() {
        text = format!("{text}\nand {} more", case.count - case.lines.len());
    }
    let text = format!("{text}\nhint: {}", rule.hint);
    element.write_inner_content(|writer| {
        let inner = if case.has_failed {
            writer.create_element("failure").with_attribute(("message", rule.meaning))
        } else {
            writer.create_element("system-out")
        };
        inner.write_text_content(BytesText::new(&text)).map(drop)
    })?;
    Ok(())
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.names = columns.iter().map(|column| column.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        let text = |name: &str| {
            let place = self.names.iter().position(|known| known == name);
            match place.and_then(|place| values.get(place)) {
                Some(Value::Text(text)) => text.as_ref(),
                _ => "",
            }
        };
        let case = self.cases.entry(text("code").to_owned()).or_default();
        case.count += 1;
        case.has_failed |= self.failing.contains(&text("severity"));
        if case.lines.len() < MAX_LINES {
            let tags = text("first_broken_tags");
            let broken = if tags.is_empty() { String::new() } else { format!(" (breaks {tags})") };
            case.lines.push(allowed(&format!("{}: {}{broken}", text("path"), text("detail"))));
        }
        Ok(())
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        self.write()
    }
}

/// XML 1.0 has no way to write most control characters and the two last ones of the first plane.
fn allowed(text: &str) -> String {
    visible(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    #[test]
    fn each_kind_is_a_test_case_that_fails_when_something_counts() {
        let rule = |name| Rule { name, meaning: "It is \"bad\" & <so>.", hint: "mend it" };
        let rules = [rule("a"), rule("b"), rule("c")];
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, &rules, &["error"]);
        let columns = ["severity", "code", "path", "detail", "first_broken_tags"]
            .map(|name| Column { name: name.into(), unit: Unit::Text });
        sink.begin(&columns).unwrap();
        for (severity, code, path) in [("error", "a", "x<\u{1b}>"), ("info", "b", "]]>&\u{ffff}")] {
            let row = [severity, code, path, "gone", "r:t"].map(|text| Value::Text(text.into()));
            sink.row(&row).unwrap();
        }
        sink.end(End::default()).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="regsql verify" tests="3" failures="1">
          <testsuite name="regsql verify" tests="3" failures="1">
            <testcase classname="regsql.verify" name="a">
              <failure message="It is &quot;bad&quot; &amp; &lt;so&gt;.">x&lt;\x1b&gt;: gone (breaks r:t)
        hint: mend it</failure>
            </testcase>
            <testcase classname="regsql.verify" name="b">
              <system-out>]]&gt;&amp;�: gone (breaks r:t)
        hint: mend it</system-out>
            </testcase>
            <testcase classname="regsql.verify" name="c"/>
          </testsuite>
        </testsuites>
        "#);
    }
}
