//! Digests by their beginning: ids follow the order of digests, so a beginning is a range of ids,
//! found by halving.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension as _};

use crate::model::Digest;

/// The fewest digits that stand for a digest.
const FEWEST_DIGITS: usize = 4;

/// A digest or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Lower-case hex digits of a sha256 digest.
    Sha256(String),
    /// A digest of another algorithm, with it.
    Other(String),
}

impl Prefix {
    /// `sha256:` and digits, bare digits, or another algorithm with what follows it.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str| {
            let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            (is_hex && (FEWEST_DIGITS..=64).contains(&text.len()))
                .then(|| Self::Sha256(text.to_ascii_lowercase()))
        };
        match text.split_once(':') {
            None => digits(text),
            Some(("sha256", rest)) => digits(rest),
            Some((algorithm, rest)) => {
                let is_known = ["sha512", "sha384"].contains(&algorithm)
                    || algorithm.starts_with("tarsum")
                    || Digest::parse(text).is_ok();
                let is_encoded = rest
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-'));
                (is_known && is_encoded && rest.len() >= FEWEST_DIGITS)
                    .then(|| Self::Other(text.to_owned()))
            }
        }
    }

    /// The ids of the digests that begin so.
    pub fn range(&self, connection: &Connection) -> rusqlite::Result<Range<i64>> {
        let from = first_id(connection, |digest| digest >= self.text())?;
        let until = first_id(connection, |digest| {
            digest >= self.text() && !digest.is_beginning(self.text())
        })?;
        Ok(from..until)
    }

    fn text(&self) -> Key<'_> {
        match self {
            Self::Sha256(text) => Key::Sha256(text),
            Self::Other(text) => Key::Other(text),
        }
    }
}

/// In the order of ids: sha256 first. Hex digits sort as the bytes they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Sha256(&'a str),
    Other(&'a str),
}

impl Key<'_> {
    fn is_beginning(self, other: Key<'_>) -> bool {
        match (self, other) {
            (Self::Sha256(text), Key::Sha256(beginning))
            | (Self::Other(text), Key::Other(beginning)) => text.starts_with(beginning),
            _ => false,
        }
    }
}

/// The lowest id whose digest passes; one behind the last when none does. `passes` must hold for all
/// digests behind the first for which it holds.
fn first_id(connection: &Connection, passes: impl Fn(Key<'_>) -> bool) -> rusqlite::Result<i64> {
    let mut last = connection.prepare_cached("SELECT COALESCE(max(id), -1) FROM blob")?;
    let mut at = connection.prepare_cached(
        "SELECT id, lower(hex(hash)), other_digest FROM blob WHERE id >= ?1 ORDER BY id LIMIT 1",
    )?;
    let (mut low, mut high) = (0, last.query_row([], |row| row.get::<_, i64>(0))? + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = at
            .query_row([middle], |row| {
                let id: i64 = row.get(0)?;
                let other: Option<String> = row.get(2)?;
                Ok((
                    id,
                    match other {
                        Some(text) => passes(Key::Other(&text)),
                        None => passes(Key::Sha256(&row.get::<_, String>(1)?)),
                    },
                ))
            })
            .optional()?;
        match found {
            Some((id, false)) => low = id + 1,
            // Ids may have gaps: what passes at or behind the middle bounds it from above.
            Some((_, true)) | None => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_needs_four_digits_and_may_leave_the_algorithm_out() {
        let sha256 = |text: &str| Some(Prefix::Sha256(text.into()));
        assert_eq!(Prefix::parse("sha256:ABCD"), sha256("abcd"));
        assert_eq!(Prefix::parse("abcd1"), sha256("abcd1"));
        assert_eq!(Prefix::parse("sha512:abcd"), Some(Prefix::Other("sha512:abcd".into())));
        for text in ["abc", "sha256:abc", "sha256:", "abcdefg", "team:abcd", "", ":abcd"] {
            assert_eq!(Prefix::parse(text), None, "{text}");
        }
        assert_eq!(Prefix::parse(&"a".repeat(65)), None);
    }
}
