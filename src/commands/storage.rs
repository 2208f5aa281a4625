//! The storage that a command works on.

use std::path::PathBuf;

use super::Context;
use crate::cli::StorageArgs;
use crate::db::{self, DatabaseError};
use crate::error::{Error, Result};
use crate::model::bytes_of;
use crate::storage::{FilesystemStorage, locate};

/// Opens the storage of `--storage`, else the one that the database is a scan of.
pub fn open(context: &Context, args: &StorageArgs) -> Result<FilesystemStorage> {
    let path = match &args.storage {
        Some(path) => path.clone(),
        None => root_of_scan(context)?,
    };
    let location = locate(&path)?;
    let shown = location.root.display().to_string();
    FilesystemStorage::open(location).map_err(|error| {
        Error::from(anyhow::Error::new(error).context(format!("cannot read storage `{shown}`")))
    })
}

fn root_of_scan(context: &Context) -> Result<PathBuf> {
    let asking = |error: Error| error.with_hint("name the storage with --storage");
    let connection = match db::open_for_reading(&context.db) {
        Err(DatabaseError::Missing(path)) => {
            return Err(asking(Error::new(format!(
                "which storage? No --storage was given, and there is no database at `{}`",
                path.display()
            ))));
        }
        opened => opened?,
    };
    let root = db::scanned_root(&connection)
        .map_err(|source| DatabaseError::Sqlite { path: context.db.clone(), source })?;
    root.as_deref().and_then(bytes_of).map(PathBuf::from).ok_or_else(|| {
        asking(Error::new(format!("no scan in database `{}` yet", context.db.display())))
    })
}
