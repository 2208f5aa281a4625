//! What a filter means. A row is meant whose name holds it, or whose digest begins with it.
//!
//! In lists as long as the storage no text of a row is read: the build steps and repositories that a
//! filter names are looked for first, of which there are fewer, and a function of SQL says of a row's
//! number whether it is one of them. Digests that begin alike stand beside each other.

use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};

/// What a layer is called of which no build step is known; as in `sql/layers.sql`.
const NO_STEP: &str = "no build step known";

/// Kinds of manifests, which the untagged revisions show.
const KINDS: [&str; 5] = ["image", "index", "artifact", "schema1", "unknown"];

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

/// The texts that a filter names, by number.
#[derive(Default)]
struct Named {
    of: Option<(Texts, String)>,
    /// A bit for each number.
    bits: Vec<u64>,
    /// What has no number is called so, too.
    has_none: bool,
}

impl Named {
    fn has(&self, number: Option<i64>) -> bool {
        let Some(number) = number else {
            return self.has_none;
        };
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        self.bits.get(number / 64).is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }

    fn add(&mut self, number: i64) {
        // A number that no scan gives is in a damaged file alone.
        let Some(number) = usize::try_from(number).ok().filter(|number| *number < 1 << 32) else {
            return;
        };
        if self.bits.len() <= number / 64 {
            self.bits.resize(number / 64 + 1, 0);
        }
        self.bits[number / 64] |= 1 << (number % 64);
    }
}

/// The filter of a list, for its queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In small letters.
    pub text: String,
    /// For `LIKE … ESCAPE '\'`.
    pub pattern: String,
    /// The digest that it may begin; empty where it is none.
    pub digest: String,
    /// A kind of manifest may be meant.
    pub may_be_kind: bool,
}

impl Filter {
    /// What `text` means.
    pub fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let mut pattern = String::from("%");
        for char in text.chars() {
            if matches!(char, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(char);
        }
        pattern.push('%');
        let is_hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digest = match text.split_once(':') {
            Some((algorithm, digits)) if !algorithm.is_empty() && is_hex(digits) => text.clone(),
            None if text.len() >= LEAST_DIGITS && is_hex(&text) => format!("sha256:{text}"),
            _ => String::new(),
        };
        let may_be_kind = KINDS.iter().any(|kind| kind.contains(&text));
        Self { text, pattern, digest, may_be_kind }
    }
}

/// Finds what filters name.
pub struct Names {
    named: Arc<RwLock<Named>>,
}

impl Names {
    /// Adds the function `is_named(number)` to a connection.
    pub fn new(connection: &Connection) -> rusqlite::Result<Self> {
        let named = Arc::<RwLock<Named>>::default();
        let asked = Arc::clone(&named);
        connection.create_scalar_function(
            "is_named",
            1,
            FunctionFlags::SQLITE_UTF8,
            move |context| {
                let number = match context.get_raw(0) {
                    ValueRef::Integer(number) => Some(number),
                    _ => None,
                };
                Ok(asked.read().unwrap_or_else(PoisonError::into_inner).has(number))
            },
        )?;
        Ok(Self { named })
    }

    /// Looks for the texts that a filter names. What follows on an earlier filter is looked for among
    /// those of the earlier one.
    pub fn look_for(
        &self,
        connection: &Connection,
        texts: Texts,
        filter: &Filter,
    ) -> rusqlite::Result<()> {
        let is_any = {
            let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
            match &named.of {
                Some((of, text)) if *of == texts && *text == filter.text => return Ok(()),
                Some((of, text)) => *of != texts || !filter.text.contains(text.as_str()),
                None => true,
            }
        };
        let sql = match texts {
            Texts::Steps => include_str!("sql/matching_steps.sql"),
            Texts::Repositories => include_str!("sql/matching_repositories.sql"),
        };
        let sql = sql.replace("{is_any}", if is_any { "1" } else { "0" });
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([&filter.pattern])?;
        let mut found =
            Named { has_none: NO_STEP.contains(filter.text.as_str()), ..Named::default() };
        while let Some(row) = rows.next()? {
            found.add(row.get(0)?);
        }
        found.of = Some((texts, filter.text.clone()));
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }
}

/// The numbers of blobs whose digests begin with a text: from the first to before the last.
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
        assert_eq!(Filter::new(r"50%_\").pattern, r"%50\%\_\\%");
        assert!(Filter::new("Index").may_be_kind && !Filter::new("app").may_be_kind);
    }

    #[test]
    fn numbers_are_found_again_whatever_they_are() {
        let mut named = Named::default();
        for number in [0, 63, 64, 1_000_000, -1, i64::MAX] {
            named.add(number);
        }
        let all = [0, 1, 63, 64, 65, 1_000_000, -1, i64::MAX];
        let found: Vec<i64> = all.into_iter().filter(|number| named.has(Some(*number))).collect();
        assert_eq!(found, [0, 63, 64, 1_000_000]);
        assert!(!named.has(None));
    }
}
