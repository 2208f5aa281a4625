//! Why nothing is exported.

use std::io;
use std::path::PathBuf;

#[cfg(feature = "object-storage")]
use crate::storage::object::BucketError;

/// The export came to nothing; what was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The database failed.
    #[error("cannot read database `{}`", .database.display())]
    Read {
        /// The database.
        database: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A value is not what its column holds.
    #[error("database `{}` is damaged: a value of {table}.{column} is not of its type", .database.display())]
    Misfit {
        /// The database.
        database: PathBuf,
        /// The view.
        table: &'static str,
        /// Its column.
        column: String,
    },
    /// Its references do not fit together.
    #[error(transparent)]
    Database(#[from] crate::db::DatabaseError),
    /// There is no scan to export.
    #[error("no scan in database `{}` yet", .0.display())]
    NoScan(PathBuf),
    /// An older regsql scanned, and did not note all that is exported.
    #[error("the scan in database `{}` was made by an older regsql, which did not note all that is exported", .0.display())]
    OldScan(PathBuf),
    /// A scan replaced the database while it was opened.
    #[error("database `{}` was replaced while it was opened", .0.display())]
    Replaced(PathBuf),
    /// The name cannot be that of a directory.
    #[error("`{name}` cannot be the name of a registry in a lake: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// There is something else at the destination.
    #[error("`{place}` is no lake of regsql's: it holds `{example}`")]
    Foreign {
        /// The destination.
        place: String,
        /// Something in it.
        example: String,
    },
    /// It is no directory.
    #[error("`{0}` is not a directory")]
    NotADirectory(String),
    /// It lies in the storage, where nothing but a deletion may write.
    #[error("`{place}` lies inside the storage `{root}`")]
    InStorage {
        /// The destination.
        place: String,
        /// The storage's root.
        root: String,
    },
    /// The lake was made by a newer regsql, or its marker is damaged.
    #[error("the lake `{0}` was made by a newer regsql, or its `_regsql_lake.json` is damaged")]
    Newer(String),
    /// The lake holds files of another format.
    #[error("the lake `{place}` holds {found}, not {wanted}")]
    OtherFormat {
        /// The destination.
        place: String,
        /// The format of its files.
        found: String,
        /// The one asked for.
        wanted: &'static str,
    },
    /// Another scan has the same registry name and time.
    #[error(
        "`{place}` holds another scan of `{registry}` that ended at the same time, of `{root}`"
    )]
    Taken {
        /// The destination.
        place: String,
        /// The name.
        registry: String,
        /// The storage of the scan that is there.
        root: String,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file or directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A request to an object storage came to nothing.
    #[error(transparent)]
    #[cfg(feature = "object-storage")]
    Bucket(#[from] BucketError),
    /// A person stopped it.
    #[error("stopped: nothing was exported")]
    Stopped,
}

impl LakeError {
    /// The next step, where one exists.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Database(error) => return error.hint(),
            #[cfg(feature = "object-storage")]
            Self::Bucket(error) => return error.hint.clone(),
            Self::Stopped => return None,
            Self::Read { .. } | Self::Misfit { .. } => {
                "`regsql scan --full` replaces a damaged database".into()
            }
            Self::NoScan(_) => "make one with `regsql scan STORAGE`".into(),
            Self::OldScan(_) => "scan again with `regsql scan STORAGE`, then export".into(),
            Self::Replaced(_) => "export again when the scan has ended".into(),
            Self::Name { .. } => "give another one with --registry NAME".into(),
            Self::Foreign { .. } | Self::NotADirectory(_) => {
                "name an empty or a new directory, or one that regsql exported to before".into()
            }
            Self::InStorage { .. } => "name a directory outside of the storage".into(),
            Self::Newer(_) => "use the newer regsql, or export to another directory".into(),
            Self::OtherFormat { .. } => {
                "a lake has files of one format: export to another directory".into()
            }
            Self::Taken { .. } => {
                "give each registry a name of its own with --registry NAME".into()
            }
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "nothing of this export is left; free space, or name a place on another disk".into()
            }
            Self::Write { .. } => "name a directory that you may write to".into(),
        })
    }
}
