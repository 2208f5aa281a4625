//! Parameters: declared in a report's header, given as `-p name=value`, bound by name.

use std::fmt;

use rusqlite::types::ToSqlOutput;

/// What values a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A whole number.
    Integer,
    /// How many rows: a number from 1 on, or `all`.
    Limit,
    /// A size: `500`, `10GiB`, `2.5MB`.
    Bytes,
    /// A number of days: `30`, `30d`, `4w`.
    Days,
    /// Any text.
    Text,
    /// A pattern with `*`, `?` and `[…]`, as SQLite's GLOB has it.
    Glob,
    /// A digest, or the beginning of one.
    Digest,
    /// One of these words.
    Choice(Vec<String>),
}

impl ParamKind {
    fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "integer" => Self::Integer,
            "limit" => Self::Limit,
            "bytes" => Self::Bytes,
            "days" => Self::Days,
            "text" => Self::Text,
            "glob" => Self::Glob,
            "digest" => Self::Digest,
            choice if choice.contains('|') => {
                Self::Choice(choice.split('|').map(str::to_owned).collect())
            }
            unknown => {
                return Err(format!(
                    "unknown parameter type `{unknown}`; known: integer, limit, bytes, days, \
                     text, glob, digest, or words like a|b"
                ));
            }
        })
    }

    fn expected(&self) -> String {
        match self {
            Self::Integer => "a whole number".into(),
            Self::Limit => "a number of rows from 1 on, or `all`".into(),
            Self::Bytes => "a size such as 500MB or 10GiB".into(),
            Self::Days => "a number of days such as 30, 30d or 4w".into(),
            Self::Text => "a text".into(),
            Self::Glob => "a pattern such as team-*/app".into(),
            Self::Digest => "a digest, or at least its first 4 hex digits".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }
}

impl fmt::Display for ParamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integer",
            Self::Limit => "limit",
            Self::Bytes => "bytes",
            Self::Days => "days",
            Self::Text => "text",
            Self::Glob => "glob",
            Self::Digest => "digest",
            Self::Choice(words) => return f.write_str(&words.join("|")),
        })
    }
}

/// A parameter as a header declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name, without the colon.
    pub name: String,
    /// What it takes.
    pub kind: ParamKind,
    /// The smallest number it takes.
    pub at_least: Option<i64>,
    /// Its value when none is given, as written; `None`: it must be given.
    pub default: Option<String>,
    /// What it does.
    pub meaning: String,
}

impl Param {
    /// `name type [N..] [= default] -- meaning`; without a default it must be given.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (declaration, meaning) = text.split_once(" -- ").unwrap_or((text, ""));
        let (head, default) = match declaration.split_once('=') {
            Some((head, default)) => (head, Some(default.trim().to_owned())),
            None => (declaration, None),
        };
        let mut words = head.split_whitespace();
        let (Some(name), Some(kind)) = (words.next(), words.next()) else {
            return Err("expected `param: name type = default -- meaning`".into());
        };
        let at_least = match words.next() {
            None => None,
            Some(range) => Some(
                range
                    .strip_suffix("..")
                    .and_then(|low| low.parse().ok())
                    .ok_or_else(|| format!("`{range}` is not a range such as `0..`"))?,
            ),
        };
        let param = Self {
            name: name.into(),
            kind: ParamKind::parse(kind)?,
            at_least,
            default,
            meaning: meaning.trim().into(),
        };
        if let Some(default) = &param.default {
            param.value(default).map_err(|error| error.to_string())?;
        }
        Ok(param)
    }

    /// The value that SQLite gets for `text`.
    pub fn value(&self, text: &str) -> Result<Bound, ParamError> {
        let wrong = || ParamError::Wrong {
            name: self.name.clone(),
            value: text.to_owned(),
            expected: self.kind.expected(),
        };
        let bound = match &self.kind {
            ParamKind::Integer => Bound::Integer(text.parse().map_err(|_| wrong())?),
            ParamKind::Limit if text == "all" => return Ok(Bound::Integer(-1)),
            ParamKind::Limit => {
                let rows = text.parse().ok().filter(|rows: &i64| *rows >= 1);
                Bound::Integer(rows.ok_or_else(wrong)?)
            }
            ParamKind::Bytes => Bound::Integer(parse_bytes(text).ok_or_else(wrong)?),
            ParamKind::Days => Bound::Integer(parse_days(text).ok_or_else(wrong)?),
            ParamKind::Text | ParamKind::Glob => Bound::Text(text.to_owned()),
            ParamKind::Digest => Bound::Text(parse_digest_prefix(text).ok_or_else(wrong)?),
            ParamKind::Choice(words) => {
                if !words.iter().any(|word| word == text) {
                    return Err(wrong());
                }
                Bound::Text(text.to_owned())
            }
        };
        match (&bound, self.at_least) {
            (Bound::Integer(number), Some(least)) if *number < least => {
                Err(ParamError::Range { name: self.name.clone(), value: text.to_owned(), least })
            }
            _ => Ok(bound),
        }
    }
}

/// `500`, `10GiB`, `2.5MB`.
pub fn parse_bytes(text: &str) -> Option<i64> {
    let size: bytesize::ByteSize = text.parse().ok()?;
    i64::try_from(size.as_u64()).ok()
}

fn parse_days(text: &str) -> Option<i64> {
    let (number, factor) = match text.strip_suffix('w') {
        Some(weeks) => (weeks, 7),
        None => (text.strip_suffix('d').unwrap_or(text), 1),
    };
    // A hundred thousand years in nanoseconds would not fit.
    let days: i64 = number.parse::<i64>().ok()?.checked_mul(factor)?;
    (0..=36_500).contains(&days).then_some(days)
}

fn parse_digest_prefix(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (algorithm, encoded) = text.split_once(':').unwrap_or(("sha256", &text));
    let is_hex = encoded.len() >= 4 && encoded.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = algorithm != "sha256" || encoded.len() <= 64;
    (is_hex && fits).then(|| format!("{algorithm}:{encoded}"))
}

/// A value on its way into a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// No value: the SQL's own default counts.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// A text.
    Text(String),
}

impl rusqlite::ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => {
                rusqlite::types::Null.to_sql().map(|_| ToSqlOutput::from(rusqlite::types::Null))
            }
            Self::Integer(number) => Ok(ToSqlOutput::from(*number)),
            Self::Real(number) => Ok(ToSqlOutput::from(*number)),
            Self::Text(text) => Ok(ToSqlOutput::from(text.as_str())),
        }
    }
}

/// Why a parameter is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// Not of the form name=value.
    #[error("`{0}` is not of the form name=value")]
    NoValue(String),
    /// The report has no such parameter.
    #[error("report `{report}` has no parameter `{name}`")]
    Unknown {
        /// The report.
        report: String,
        /// What was given.
        name: String,
        /// The nearest name that it has.
        nearest: Option<String>,
        /// All that it has.
        known: Vec<String>,
    },
    /// Not a value of its type.
    #[error("parameter `{name}` cannot be `{value}`: expected {expected}")]
    Wrong {
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// Too small.
    #[error("parameter `{name}` cannot be `{value}`: it must be at least {least}")]
    Range {
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
        /// The smallest it takes.
        least: i64,
    },
    /// Given twice.
    #[error("parameter `{0}` is given twice")]
    Twice(String),
    /// It has no default.
    #[error("report `{report}` needs parameter `{name}`")]
    Missing {
        /// The report.
        report: String,
        /// What is missing.
        name: String,
        /// What it takes.
        expected: String,
    },
}

impl ParamError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoValue(_) => Some("write -p name=value, once for each parameter".into()),
            Self::Unknown { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?"))
            }
            Self::Unknown { known, .. } if known.is_empty() => Some("it takes none".into()),
            Self::Unknown { known, .. } => Some(format!("it takes: {}", known.join(", "))),
            Self::Missing { name, expected, .. } => Some(format!("add -p {name}=…, {expected}")),
            Self::Wrong { .. } | Self::Range { .. } | Self::Twice(_) => None,
        }
    }
}

/// The word of `known` that `given` is most likely meant to be.
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| (strsim::jaro_winkler(&given.to_lowercase(), word), word))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

fn split(given: &[String]) -> Result<Vec<(&str, &str)>, ParamError> {
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(given.len());
    for text in given {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.ok_or_else(|| ParamError::NoValue(text.clone()))?;
        let name = name.strip_prefix(':').unwrap_or(name);
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(ParamError::Twice(name.to_owned()));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Values for all of a report's parameters, given ones or defaults.
pub fn bind_report(
    report: &str,
    params: &[Param],
    given: &[String],
) -> Result<Vec<(String, Bound)>, ParamError> {
    let given = split(given)?;
    for (name, _) in &given {
        if !params.iter().any(|param| param.name == *name) {
            return Err(ParamError::Unknown {
                report: report.to_owned(),
                name: (*name).to_owned(),
                nearest: nearest(name, params.iter().map(|param| param.name.as_str()))
                    .map(str::to_owned),
                known: params.iter().map(|param| param.name.clone()).collect(),
            });
        }
    }
    params
        .iter()
        .map(|param| {
            let text = given
                .iter()
                .find(|(name, _)| *name == param.name)
                .map(|(_, value)| *value)
                .or(param.default.as_deref())
                .ok_or_else(|| ParamError::Missing {
                    report: report.to_owned(),
                    name: param.name.clone(),
                    expected: param.kind.expected(),
                })?;
            Ok((param.name.clone(), param.value(text)?))
        })
        .collect()
}

/// Values for an ad-hoc query, which declares no types: what looks like a number is one.
pub fn bind_untyped(given: &[String]) -> Result<Vec<(String, Bound)>, ParamError> {
    let pairs = split(given)?;
    let bound = pairs.into_iter().map(|(name, text)| {
        let value = if let Ok(integer) = text.parse() {
            Bound::Integer(integer)
        } else if let Some(real) = text.parse().ok().filter(|real: &f64| real.is_finite()) {
            Bound::Real(real)
        } else {
            Bound::Text(text.to_owned())
        };
        (name.to_owned(), value)
    });
    Ok(bound.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(declaration: &str, text: &str) -> Result<Bound, String> {
        Param::parse(declaration).unwrap().value(text).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_what_their_type_says() {
        assert_eq!(value("a integer", "-3"), Ok(Bound::Integer(-3)));
        assert_eq!(value("a limit", "all"), Ok(Bound::Integer(-1)));
        assert_eq!(value("a bytes", "10GiB"), Ok(Bound::Integer(10 << 30)));
        assert_eq!(value("a bytes", "500"), Ok(Bound::Integer(500)));
        assert_eq!(value("a days", "4w"), Ok(Bound::Integer(28)));
        assert_eq!(value("a digest", "ABCDEF"), Ok(Bound::Text("sha256:abcdef".into())));
        assert_eq!(value("a x|y", "y"), Ok(Bound::Text("y".into())));
    }

    #[test]
    fn values_of_the_wrong_type_or_range_are_refused() {
        assert_eq!(
            value("keep integer 0..", "-1").unwrap_err(),
            "parameter `keep` cannot be `-1`: it must be at least 0"
        );
        for (declaration, text) in [
            ("a integer", "x"),
            ("a integer", "99999999999999999999"),
            ("a limit", "0"),
            ("a bytes", "-1"),
            ("a bytes", "9999999PiB"),
            ("a days", "-1"),
            ("a days", "9223372036854775807w"),
            ("a digest", "sha256:../../etc"),
            ("a digest", "abc"),
            ("a x|y", "z"),
        ] {
            assert!(value(declaration, text).is_err(), "{declaration} {text}");
        }
    }

    #[test]
    fn a_misspelt_parameter_is_met_with_the_nearest_name() {
        let params = [Param::parse("limit limit = 20").unwrap()];
        let error = bind_report("tags", &params, &["limt=3".into()]).unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean `limit`?");
    }
}
