//! Why a query did not run to its end, said so that the person who wrote it finds the place.

use std::time::Duration;

use super::params::nearest;
use crate::db;

/// Why a query failed. `query` is its name: a report's, a file's or `the query`.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// SQLite cannot compile it.
    #[error("{query} is not valid SQL: {message}{place}")]
    Invalid {
        /// The query's name.
        query: String,
        /// SQLite's message.
        message: String,
        /// The line and a caret under the place, on lines of their own; may be empty.
        place: String,
        /// The next step.
        hint: Option<String>,
    },
    /// It would do more than read.
    #[error(
        "{query} is refused: the database is read-only here, and it does more than read{place}"
    )]
    NotAllowed {
        /// The query's name.
        query: String,
        /// Where, if SQLite says.
        place: String,
    },
    /// It is empty.
    #[error("{0} is empty")]
    Empty(String),
    /// It is more than one statement.
    #[error("{0} holds more than one statement")]
    Several(String),
    /// It names a parameter that has no value.
    #[error("{query} uses parameter `{parameter}`, which has no value")]
    Unbound {
        /// The query's name.
        query: String,
        /// The parameter as it stands in the query.
        parameter: String,
    },
    /// A value was given for a parameter that it does not name.
    #[error("{query} does not use a parameter `:{parameter}`")]
    Unused {
        /// The query's name.
        query: String,
        /// The parameter.
        parameter: String,
    },
    /// Its time was up.
    #[error("{query} was stopped after {}", shown(*.limit))]
    TimedOut {
        /// The query's name.
        query: String,
        /// The time it had.
        limit: Duration,
    },
    /// A person stopped it.
    #[error("the query was stopped")]
    Interrupted,
    /// The database's bytes are wrong.
    #[error("{query} failed: the database is damaged")]
    Damaged {
        /// The query's name.
        query: String,
    },
    /// SQLite failed while it ran.
    #[error("{query} failed: {message}")]
    Failed {
        /// The query's name.
        query: String,
        /// SQLite's message.
        message: String,
    },
}

fn shown(limit: Duration) -> String {
    if limit.subsec_millis() == 0 {
        format!("{} s", limit.as_secs())
    } else {
        format!("{} ms", limit.as_millis())
    }
}

impl QueryError {
    /// The next step, where one exists.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { hint, .. } => hint.clone(),
            Self::NotAllowed { .. } => {
                let hint = "only queries (and harmless pragmas such as table_info) run here; `regsql \
                            prune` deletes from the registry";
                Some(hint.into())
            }
            Self::Empty(_) => Some("try `regsql sql 'SELECT * FROM totals'`".into()),
            Self::Several(_) => Some("run one statement at a time".into()),
            Self::Unbound { parameter, .. } => {
                Some(format!("add -p {}=VALUE", parameter.trim_start_matches([':', '@', '$'])))
            }
            Self::TimedOut { .. } => {
                Some("ask for less, or give it longer with --timeout (0s for no limit)".into())
            }
            Self::Failed { message, .. }
                if message.contains("too big") || message.contains("memory") =>
            {
                Some("the query builds values larger than any in the snapshot".into())
            }
            Self::Damaged { .. } => Some("`regsql scan --full` replaces a damaged database".into()),
            Self::Unused { .. } | Self::Interrupted | Self::Failed { .. } => None,
        }
    }

    /// Why `sql` gives no columns: there is nothing in it, or it does something else than ask.
    pub(super) fn without_rows(query: &str, sql: &str) -> Self {
        let is_comment = |line: &str| line.is_empty() || line.starts_with("--") || line == ";";
        if sql.lines().all(|line| is_comment(line.trim())) {
            return Self::Empty(query.to_owned());
        }
        Self::NotAllowed { query: query.to_owned(), place: String::new() }
    }

    /// What went wrong when `sql` was compiled.
    pub(super) fn on_prepare(query: &str, sql: &str, error: &rusqlite::Error) -> Self {
        if is_damage(error) {
            return Self::Damaged { query: query.to_owned() };
        }
        let (message, place) = match error {
            rusqlite::Error::MultipleStatement => return Self::Several(query.to_owned()),
            rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
                (msg.clone(), usize::try_from(*offset).map_or(String::new(), |at| caret(sql, at)))
            }
            rusqlite::Error::SqliteFailure(_, Some(message)) => (message.clone(), String::new()),
            other => (other.to_string(), String::new()),
        };
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::AuthorizationForStatementDenied)
            || message.starts_with("not authorized")
            || message.starts_with("access to ")
            || message.contains("because it is a view")
        {
            return Self::NotAllowed { query: query.to_owned(), place };
        }
        let hint = hint_for(&message, sql);
        Self::Invalid { query: query.to_owned(), message, place, hint }
    }

    /// What went wrong when it ran.
    pub(super) fn on_step(query: &str, error: &rusqlite::Error) -> Self {
        if is_damage(error) {
            return Self::Damaged { query: query.to_owned() };
        }
        let message = match error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
            other => other.to_string(),
        };
        Self::Failed { query: query.to_owned(), message }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// The line of `sql` that holds byte `offset`, and a caret under it. Long lines are cut around it.
fn caret(sql: &str, offset: usize) -> String {
    const AROUND: usize = 60;
    let offset = offset.min(sql.len());
    let (Some(before), Some(after)) = (sql.get(..offset), sql.get(offset..)) else {
        return String::new();
    };
    let number = before.matches('\n').count() + 1;
    let before = before.rsplit('\n').next().unwrap_or("");
    let after = after.split('\n').next().unwrap_or("");
    let skip = before.chars().count().saturating_sub(AROUND);
    let before: String = before.chars().skip(skip).collect();
    let after: String = after.chars().take(AROUND).collect();
    let blank = |text: &str| -> String {
        text.chars().map(|char| if char == '\t' { '\t' } else { ' ' }).collect()
    };
    let label = format!("line {number}: ");
    format!("\n  {label}{before}{after}\n  {}{}^", blank(&label), blank(&before))
}

/// What a person probably meant by a name that SQLite does not know.
fn hint_for(message: &str, sql: &str) -> Option<String> {
    let views = db::views();
    if let Some(table) = message.strip_prefix("no such table: ") {
        let meant = nearest(table, views.iter().map(|view| view.name));
        return Some(match meant {
            Some(name) => format!("did you mean `{name}`? `regsql schema` lists the views"),
            None => format!(
                "the views are: {}",
                views.iter().map(|view| view.name).collect::<Vec<_>>().join(", ")
            ),
        });
    }
    let column = message.strip_prefix("no such column: ")?;
    let column = column.split(" - ").next().unwrap_or(column);
    let column = column.rsplit('.').next().unwrap_or(column).trim_matches('"');
    let is_named = |name: &str| {
        sql.split(|char: char| !(char.is_alphanumeric() || char == '_')).any(|word| word == name)
    };
    let named: Vec<_> = views.iter().filter(|view| is_named(view.name)).collect();
    let meant =
        nearest(column, named.iter().flat_map(|view| &view.columns).map(|column| column.name));
    match (meant, named.as_slice()) {
        (Some(name), _) => Some(format!("did you mean `{name}`?")),
        (None, [view]) => Some(format!(
            "{} has: {}",
            view.name,
            view.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
        )),
        (None, []) => None,
        (None, _) => Some("`regsql schema VIEW` lists a view's columns".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        assert_eq!(
            caret("SELECT 1,\n  nix FROM blobs", 12),
            "\n  line 2:   nix FROM blobs\n            ^"
        );
    }

    #[test]
    fn a_caret_in_a_huge_line_or_beyond_the_end_does_no_harm() {
        let sql = format!("SELECT '{}', nix", "ü".repeat(50_000));
        assert!(caret(&sql, sql.len()).chars().count() < 300);
        assert_eq!(caret("SELECT ü", 8), "");
        assert!(!caret("SELECT", 99).is_empty());
    }
}
