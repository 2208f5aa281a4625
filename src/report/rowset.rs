//! Rows on their way from SQLite to a format: columns with units, and a sink that takes one row at
//! a time, so that a million rows need the memory of one.

use std::borrow::Cow;
use std::io;

use rusqlite::types::ValueRef;

/// What a column's figures mean; decides how a table shows them, never what a machine gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A name or anything else that is read as it stands.
    Text,
    /// A number of bytes.
    Bytes,
    /// A number of things.
    Count,
    /// Any other number.
    Number,
    /// A content digest.
    Digest,
    /// A time, RFC 3339 in UTC.
    Time,
    /// A duration in milliseconds.
    DurationMs,
    /// 1 for yes, 0 for no.
    Flag,
    /// A build command or another long text of which the beginning says most.
    Command,
}

impl Unit {
    /// The names a report's header may use.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("text", Self::Text),
        ("bytes", Self::Bytes),
        ("count", Self::Count),
        ("number", Self::Number),
        ("digest", Self::Digest),
        ("time", Self::Time),
        ("duration_ms", Self::DurationMs),
        ("flag", Self::Flag),
        ("command", Self::Command),
    ];

    /// The unit of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, unit)| *unit == self).map_or("text", |(name, _)| name)
    }

    /// What the name of a column without a declared unit says: every public column follows it.
    pub fn of_column_named(name: &str) -> Self {
        let ends = |suffix: &str| name.ends_with(suffix);
        if ends("_bytes") || name == "bytes" {
            Self::Bytes
        } else if ends("_count") || name == "count" || name.starts_with("count(") {
            Self::Count
        } else if ends("_at") {
            Self::Time
        } else if ends("_ms") {
            Self::DurationMs
        } else if name == "digest" || ends("_digest") {
            Self::Digest
        } else if name.starts_with("is_") || name == "complete" {
            Self::Flag
        } else if name == "created_by" {
            Self::Command
        } else {
            Self::Text
        }
    }

    /// Whether tables align it to the right.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Bytes | Self::Count | Self::Number | Self::DurationMs)
    }
}

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, unique in the result.
    pub name: String,
    /// What its values mean.
    pub unit: Unit,
}

/// One value, as SQLite has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// A text; bytes that are not UTF-8 have become U+FFFD.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// The value in a row of SQLite.
    pub fn of(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => Self::Text(String::from_utf8_lossy(bytes)),
            ValueRef::Blob(bytes) => Self::Blob(Cow::Borrowed(bytes)),
        }
    }
}

/// Lower-case hex, as every format writes blobs.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// How a result ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Rows given.
    pub rows: u64,
    /// There were more: the row limit cut, or the query failed or was stopped.
    pub is_cut: bool,
}

/// Takes a result. [`RowSink::end`] comes after every [`RowSink::begin`], also when the query
/// fails, so that what was written is whole.
pub trait RowSink {
    /// The columns, once, before any row.
    fn begin(&mut self, columns: &[Column]) -> io::Result<()>;
    /// One row, as many values as there are columns.
    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()>;
    /// No more rows.
    fn end(&mut self, end: End) -> io::Result<()>;
}

/// Names for columns, made unique: JSON objects cannot hold one name twice.
pub fn unique_names(names: &[&str]) -> Vec<String> {
    let mut unique: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let mut candidate = (*name).to_owned();
        let mut number = 2;
        while unique.contains(&candidate) {
            candidate = format!("{name}_{number}");
            number += 1;
        }
        unique.push(candidate);
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_named_twice_keeps_both_values() {
        assert_eq!(unique_names(&["a", "a", "a_2", "a"]), ["a", "a_2", "a_2_2", "a_3"]);
    }

    #[test]
    fn units_follow_from_names() {
        assert_eq!(Unit::of_column_named("exclusive_bytes"), Unit::Bytes);
        assert_eq!(Unit::of_column_named("manifest_digest"), Unit::Digest);
        assert_eq!(Unit::of_column_named("tag"), Unit::Text);
    }
}
