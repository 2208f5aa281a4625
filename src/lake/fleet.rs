//! Questions about many registries, in SQL that every engine reads.

use crate::report::{Header, HeaderError};

/// `(name, text)` of every file in `queries/fleet/`.
const QUERIES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/fleet.rs"));

/// A question, and the query that answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetQuery {
    /// The file's name without `.sql`.
    pub name: &'static str,
    /// What it says of itself, as a report does.
    pub header: Header,
    /// The whole file.
    pub sql: &'static str,
}

/// All of them, by name.
///
/// # Errors
/// When a header cannot be understood.
pub fn queries() -> Result<Vec<FleetQuery>, HeaderError> {
    let parse = |(name, sql): &(&'static str, &'static str)| {
        let header = Header::parse(&format!("queries/fleet/{name}.sql"), sql)?;
        Ok(FleetQuery { name, header, sql })
    };
    QUERIES.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_says_what_it_gives() {
        let queries = queries().unwrap();
        assert!(queries.len() >= 9);
        for query in queries {
            assert!(!query.header.columns.is_empty(), "{}", query.name);
            assert!(!query.header.prose.is_empty(), "{}", query.name);
            // An engine has no parameters of SQLite's, and nothing of it is deleted by.
            assert!(query.header.params.is_empty() && query.header.selects.is_none());
        }
    }
}
