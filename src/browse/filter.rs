//! What a filter means. A row is meant whose name holds it, or whose digest begins with it.
//!
//! In lists as long as the storage no text of a row is read: the build steps and repositories that a
//! filter names are looked for first, of which there are fewer, and a row has the id of its own.
//! Digests that begin alike stand beside each other.

use std::cell::RefCell;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use super::columns::{Columns, IdSet, NONE};

/// What a layer is called of which no build step is known; as in `sql/layer.sql`.
const NO_STEP: &str = "no build step known";

/// So many hex digits are a digest, and no word such as `add`.
const LEAST_DIGITS: usize = 4;

/// Texts that rows of a long list are called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// The build steps.
    Steps,
    /// The names of repositories.
    Repositories,
}

/// The filter of a list, for its queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In small letters.
    pub text: String,
    /// The digest that it may begin; empty where it is none.
    pub digest: String,
}

impl Filter {
    /// What `text` means.
    pub fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let is_hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digest = match text.split_once(':') {
            Some((algorithm, digits)) if !algorithm.is_empty() && is_hex(digits) => text.clone(),
            None if text.len() >= LEAST_DIGITS && is_hex(&text) => format!("sha256:{text}"),
            _ => String::new(),
        };
        Self { text, digest }
    }

    /// Whether it names what has no build step.
    pub fn is_no_step(&self) -> bool {
        NO_STEP.contains(&self.text)
    }
}

/// Finds what filters name, and remembers what the last one did.
#[derive(Debug, Default)]
pub struct Names {
    last: RefCell<Option<Found>>,
}

#[derive(Debug)]
struct Found {
    texts: Texts,
    text: String,
    ids: Arc<IdSet>,
}

/// What a filter leaves of tags and untagged revisions.
pub struct Holders {
    /// Tags.
    pub tags: IdSet,
    /// Repositories whose untagged revisions are meant.
    pub revisions_of: IdSet,
}

impl Names {
    /// The texts that a filter names. What follows on an earlier filter is looked for among those of the
    /// earlier one.
    pub fn look_for(
        &self,
        connection: &Connection,
        texts: Texts,
        filter: &Filter,
    ) -> rusqlite::Result<Arc<IdSet>> {
        let mut last = self.last.borrow_mut();
        let earlier = last.as_ref().filter(|last| last.texts == texts);
        if let Some(same) = earlier.filter(|last| last.text == filter.text) {
            return Ok(Arc::clone(&same.ids));
        }
        let wider = earlier.filter(|last| filter.text.contains(&last.text));
        let sql = match texts {
            Texts::Steps => include_str!("sql/steps.sql"),
            Texts::Repositories => include_str!("sql/repository_names.sql"),
        };
        let finder = Finder::new(&filter.text);
        let mut found = IdSet::default();
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let may_be = wider.is_none_or(|last| last.ids.contains(&id));
            if may_be && finder.is_in(row.get_ref(1)?.as_bytes()?) {
                found.insert(id);
            }
        }
        let ids = Arc::new(found);
        let text = filter.text.clone();
        *last = Some(Found { texts, text, ids: Arc::clone(&ids) });
        Ok(ids)
    }
}

/// Which of the holders of a blob a filter names, by `repository:tag` or by their repository.
pub fn of_holders(
    connection: &Connection,
    columns: &Columns,
    filter: &Filter,
) -> rusqlite::Result<Holders> {
    let finder = Finder::new(&filter.text);
    let (mut tags, mut revisions_of) = (IdSet::default(), IdSet::default());
    let mut repository = connection.prepare_cached(include_str!("sql/repository_name.sql"))?;
    // Tags whose own names decide, with where their repository's name is.
    let (mut names, mut asked): (Vec<String>, Vec<(i64, usize)>) = (Vec::new(), Vec::new());
    for of in columns.entries.chunk_by(|one, next| one.text == next.text) {
        let name: String = repository.query_row([of[0].text], |row| row.get(0))?;
        let is_whole = finder.is_in(name.as_bytes());
        if is_whole || finder.is_in(format!("{name} (untagged) ").as_bytes()) {
            revisions_of.insert(of[0].text);
        }
        for entry in of.iter().filter(|entry| entry.tag != NONE) {
            if is_whole {
                tags.insert(entry.tag);
            } else {
                asked.push((entry.tag, names.len()));
            }
        }
        names.push(name + ":");
    }
    // A pass over all of them takes a quarter of what looking each up would.
    asked.sort_unstable();
    let ends = asked.first().zip(asked.last()).map_or((1, 0), |(first, last)| (first.0, last.0));
    let mut asked = asked.into_iter().peekable();
    let mut select = connection.prepare_cached(include_str!("sql/tag_names.sql"))?;
    let mut rows = select.query(ends)?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        while asked.next_if(|(tag, _)| *tag < id).is_some() {}
        if let Some((_, name)) = asked.next_if(|(tag, _)| *tag == id) {
            let name = &mut names[name];
            let length = name.len();
            name.push_str(row.get_ref(1)?.as_str()?);
            if finder.is_in(name.as_bytes()) {
                tags.insert(id);
            }
            name.truncate(length);
        }
    }
    Ok(Holders { tags, revisions_of })
}

/// Looks for a text in small letters, whatever letters it is written in.
struct Finder<'t> {
    text: &'t [u8],
    /// The first letter of it, small and large.
    first: (u8, u8),
}

impl<'t> Finder<'t> {
    fn new(text: &'t str) -> Self {
        let first = text.bytes().next().unwrap_or(0);
        Self { text: text.as_bytes(), first: (first, first.to_ascii_uppercase()) }
    }

    fn is_in(&self, name: &[u8]) -> bool {
        let Some(last) = name.len().checked_sub(self.text.len()) else {
            return false;
        };
        if self.text.is_empty() {
            return true;
        }
        let mut starts = memchr::memchr2_iter(self.first.0, self.first.1, &name[..=last]);
        starts.any(|at| name[at..at + self.text.len()].eq_ignore_ascii_case(self.text))
    }
}

/// The ids of blobs whose digests begin with a text: from the first to before the last.
pub fn range(connection: &Connection, digest: &str) -> rusqlite::Result<(i64, i64)> {
    if digest.is_empty() {
        return Ok((0, 0));
    }
    // No digit comes after `f`.
    let low = rank(connection, digest)?.unwrap_or(0);
    Ok((low, rank(connection, &format!("{digest}g"))?.unwrap_or(0)))
}

/// The first blob whose digest is not below `digest`.
pub fn rank(connection: &Connection, digest: &str) -> rusqlite::Result<Option<i64>> {
    let mut find = connection.prepare_cached(include_str!("sql/rank.sql"))?;
    find.query_row([digest], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_text_and_may_be_the_begin_of_a_digest() {
        let digest = |text: &str| Filter::new(text).digest;
        assert_eq!(digest("3F91"), "sha256:3f91");
        assert_eq!(digest("sha512:0"), "sha512:0");
        assert_eq!(digest("add"), "", "a word");
        assert_eq!(digest("app:1.0"), "", "a tag");
    }

    #[test]
    fn a_text_is_found_in_small_and_large_letters() {
        let is_in = |text: &str, name: &str| Finder::new(text).is_in(name.as_bytes());
        assert!(is_in("copy", "RUN true && CoPy"));
        assert!(is_in("a", "A") && is_in("", "") && is_in("50%_", "is 50%_"));
        assert!(!is_in("copy", "cop") && !is_in("aab", "aaaa"));
        assert!(is_in("aab", "aaAB"), "it begins in the middle of a false start");
    }
}
