//! The text format of Prometheus, version 0.0.4: families of series, and how their texts are escaped.

use std::fmt::Write as _;

/// The content type of metrics as text.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a family's values move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Up alone, from 0 when the process starts.
    Counter,
}

/// All series of one name.
#[derive(Debug)]
pub struct Family {
    name: String,
    head: String,
    samples: String,
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// Any other.
    Real(f64),
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl Family {
    /// A family without series.
    pub fn new(name: &str, kind: Kind, help: &str) -> Self {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let mut head = format!("# HELP {name} ");
        escape(help, false, &mut head);
        let _infallible = write!(head, "\n# TYPE {name} {kind}\n");
        Self { name: name.into(), head, samples: String::new() }
    }

    /// A gauge without series.
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, Kind::Gauge, help)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same with one more series.
    #[must_use]
    pub fn with(mut self, labels: &[(&str, &str)], value: impl Into<Number>) -> Self {
        self.add(labels, value);
        self
    }

    /// One more series. No two of a family may have the same labels.
    pub fn add(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        let out = &mut self.samples;
        out.push_str(&self.name);
        for (place, (label, text)) in labels.iter().enumerate() {
            out.push(if place == 0 { '{' } else { ',' });
            out.push_str(label);
            out.push_str("=\"");
            escape(text, true, out);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _infallible = match value.into() {
            Number::Integer(number) => writeln!(out, " {number}"),
            Number::Real(number) if number.is_nan() => writeln!(out, " NaN"),
            Number::Real(number) if number.is_infinite() => {
                writeln!(out, " {}Inf", if number > 0.0 { '+' } else { '-' })
            }
            Number::Real(number) => writeln!(out, " {number}"),
        };
    }

    /// Writes it, unless it has no series.
    pub fn finish(self, out: &mut String) {
        if !self.samples.is_empty() {
            out.push_str(&self.head);
            out.push_str(&self.samples);
        }
    }
}

fn escape(text: &str, is_label: bool, out: &mut String) {
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if is_label => out.push_str("\\\""),
            // Prometheus takes it for the end of the text.
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(family: Family) -> String {
        let mut text = String::new();
        family.finish(&mut text);
        text
    }

    #[test]
    fn labels_and_help_are_escaped_as_the_format_says() {
        let family = Family::gauge("m", "a \"b\"\nc\\d").with(&[("tag", "a\\b\"c\nd\0e}")], 1);
        assert_eq!(
            text(family),
            "# HELP m a \"b\"\\nc\\\\d\n# TYPE m gauge\nm{tag=\"a\\\\b\\\"c\\nd\u{fffd}e}\"} 1\n"
        );
    }

    #[test]
    fn numbers_are_never_cut_and_never_an_exponent_that_a_reader_may_not_know() {
        let family = Family::gauge("m", "m")
            .with(&[("n", "1")], i64::MAX)
            .with(&[("n", "2")], 1e18)
            .with(&[("n", "3")], 1_769_860_800.25)
            .with(&[("n", "4")], f64::NAN)
            .with(&[("n", "5")], f64::NEG_INFINITY);
        let text = text(family);
        let values: Vec<&str> =
            text.lines().skip(2).filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(
            values,
            ["9223372036854775807", "1000000000000000000", "1769860800.25", "NaN", "-Inf"]
        );
    }

    #[test]
    fn a_family_without_series_says_nothing() {
        assert_eq!(text(Family::gauge("m", "m")), "");
    }
}
