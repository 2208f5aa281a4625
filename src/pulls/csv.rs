//! Pulls as a table: `repository`, `tag` or `reference`, `manifest_digest`, `last_pulled_at`,
//! `pull_count`, in any order, with other columns between.

use super::{Filter, Line, Pull, hash_of, is_valid, time};
use crate::model::Digest;

/// Where the columns are.
#[derive(Clone, Debug)]
pub struct Columns {
    repository: usize,
    tag: Option<usize>,
    digest: Option<usize>,
    at: usize,
    count: Option<usize>,
}

impl Columns {
    /// Reads a first line; `None` when it is not the head of such a table.
    pub fn of(line: &[u8]) -> Option<Self> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let names = fields(line)?;
        let at = |known: &[&str]| {
            names.iter().position(|name| known.iter().any(|one| name.eq_ignore_ascii_case(one)))
        };
        let tag = at(&["tag", "reference"]);
        let digest = at(&["manifest_digest", "digest"]);
        let columns = Self {
            repository: at(&["repository", "repo"])?,
            tag,
            digest,
            at: at(&["last_pulled_at", "pulled_at", "timestamp", "time"])?,
            count: at(&["pull_count", "count"]),
        };
        (tag.is_some() || digest.is_some()).then_some(columns)
    }

    /// Reads a row.
    pub fn read(&self, line: &[u8], filter: &Filter) -> Line {
        self.pull(line, filter).map_or(Line::Broken, Line::Pull)
    }

    fn pull(&self, line: &[u8], filter: &Filter) -> Option<Pull> {
        let fields = fields(line)?;
        let text = |at: Option<usize>| {
            at.and_then(|at| fields.get(at)).map(|text| text.trim()).filter(|text| !text.is_empty())
        };
        let digest = match text(self.digest) {
            Some(digest) => Some(Digest::parse(digest).ok()?),
            None => None,
        };
        let reference = match text(self.tag) {
            Some(tag) => tag.to_owned(),
            None => digest.as_ref()?.to_string(),
        };
        let digest = digest.or_else(|| Digest::parse(&reference).ok());
        let repository = text(Some(self.repository))?.to_owned();
        let count = match text(self.count) {
            Some(count) => count.parse::<u32>().ok().filter(|count| *count > 0)?.into(),
            None => 1,
        };
        let at_ns =
            time::rfc3339(text(Some(self.at))?).filter(|at_ns| filter.is_possible(*at_ns))?;
        is_valid(&repository, &reference).then(|| Pull {
            at_ns,
            hash: hash_of(line.trim_ascii()),
            repository,
            reference,
            digest,
            count,
        })
    }
}

fn fields(line: &[u8]) -> Option<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .buffer_capacity(line.len().max(1))
        .from_reader(line);
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}
