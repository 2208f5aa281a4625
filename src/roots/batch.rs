//! Some thousand rows on their way from the thread that reads to the one that writes.

use super::{Origin, RootKind, Row};
use crate::model::Digest;

/// No size or time.
const NO_NUMBER: i64 = i64::MIN;

/// Rows of one file. Texts lie side by side, so that a row needs no memory of its own.
#[derive(Default)]
pub struct Batch {
    rows: Vec<Packed>,
    texts: String,
}

/// A place in the texts; an empty one is no text.
type Span = (u32, u32);

struct Packed {
    line: u64,
    size_bytes: i64,
    pushed_ns: i64,
    pulled_ns: i64,
    repository: Span,
    tag: Span,
    digest: PackedDigest,
    kind: RootKind,
    origin: Origin,
}

enum PackedDigest {
    None,
    Sha256([u8; 32]),
    Other(Span),
}

impl Batch {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row.
    pub fn push(&mut self, row: &Row<'_>) {
        // Exports are sorted, mostly.
        let last = self.rows.last().map_or((0, 0), |last| last.repository);
        let repository = match row.repository {
            Some(name) if name == self.text(last) => last,
            name => self.keep(name),
        };
        let tag = self.keep(row.tag);
        let digest = match &row.digest {
            None => PackedDigest::None,
            Some(Digest::Sha256(hash)) => PackedDigest::Sha256(*hash),
            Some(Digest::Other(text)) => PackedDigest::Other(self.keep(Some(text))),
        };
        self.rows.push(Packed {
            line: row.line,
            size_bytes: row.size_bytes.unwrap_or(NO_NUMBER),
            pushed_ns: row.pushed_ns.unwrap_or(NO_NUMBER),
            pulled_ns: row.pulled_ns.unwrap_or(NO_NUMBER),
            repository,
            tag,
            digest,
            kind: row.kind,
            origin: row.origin,
        });
    }

    /// The rows again.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let number = |value: i64| (value != NO_NUMBER).then_some(value);
        let text = |span: Span| Some(self.text(span)).filter(|text| !text.is_empty());
        self.rows.iter().map(move |row| Row {
            line: row.line,
            kind: row.kind,
            origin: row.origin,
            repository: text(row.repository),
            tag: text(row.tag),
            digest: match row.digest {
                PackedDigest::None => None,
                PackedDigest::Sha256(hash) => Some(Digest::Sha256(hash)),
                PackedDigest::Other(span) => Some(Digest::Other(self.text(span).into())),
            },
            size_bytes: number(row.size_bytes),
            pushed_ns: number(row.pushed_ns),
            pulled_ns: number(row.pulled_ns),
        })
    }

    fn keep(&mut self, text: Option<&str>) -> Span {
        let Some(text) = text else { return (0, 0) };
        let start = self.texts.len() as u32;
        self.texts.push_str(text);
        (start, self.texts.len() as u32)
    }

    fn text(&self, (start, end): Span) -> &str {
        &self.texts[start as usize..end as usize]
    }
}
