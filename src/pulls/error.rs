use std::path::PathBuf;

use crate::db::DatabaseError;

/// Why pulls cannot be taken in. What is wrong in a log is no error: it is counted.
#[derive(Debug, thiserror::Error)]
pub enum PullsError {
    /// A log cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl PullsError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::Database(source) => source.hint(),
        }
    }
}
