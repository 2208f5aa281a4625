//! The storage that a command works on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::result::Snapshot;
use super::{Context, was_interrupted};
use crate::commands::error::{Error, Result};
use crate::commands::options::StorageArgs;
use crate::db::{self, DatabaseError};
use crate::graph::Graph;
use crate::model::authority::Configured;
use crate::model::{bytes_of, text_of};
use crate::scan::DeepLook;
use crate::snapshot::{self, Reuse, RootsChoice, ScanOptions, Summary};
#[cfg(feature = "object-storage")]
use crate::storage::object::ObjectStorage;
use crate::storage::{self, AnyStorage, Storage, locate};
#[cfg(feature = "object-storage")]
use crate::trash::object::{ObjectOptions, ObjectTrash};
use crate::trash::{FileTrash, Trash, Way};
use crate::ui;

/// Opens the storage of `--storage`, else the one that the database is a scan of.
pub fn open(context: &Context, args: &StorageArgs) -> Result<AnyStorage> {
    let path = match &args.storage {
        Some(path) => path.clone(),
        None => root_of_scan(context)?,
    };
    let mut location = locate(&path)?;
    if location.configured.is_none() {
        location.configured = remembered_configuration(context, &location.root);
    }
    let shown = location.root.display().to_string();
    storage::open(location).map_err(|error| {
        let hint = storage::hint_of(&error);
        let error = anyhow::Error::new(error).context(format!("cannot read storage `{shown}`"));
        match hint {
            Some(hint) => Error::from(error).with_hint(hint),
            None => error.into(),
        }
    })
}

/// How a command changes a storage. A file system needs none of it.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "object-storage"), expect(dead_code, reason = "a bucket needs all of it"))]
pub struct Changing {
    /// What becomes of the data of blobs in a bucket.
    pub way: Way,
    /// Nothing else writes to the storage.
    pub is_quiet: bool,
    /// How long after deleting marked data to look once more whether a push relied on it.
    pub settle: Option<Duration>,
}

/// The same, with its trash, for a command that changes it.
pub fn open_to_change(context: &Context, args: &StorageArgs) -> Result<Box<dyn Trash>> {
    open_to_change_as(context, args, Changing::default())
}

/// As [`open_to_change`], in a way that a bucket must know.
///
/// # Errors
/// When a file system is asked for what a bucket alone has.
pub fn open_to_change_as(
    context: &Context,
    args: &StorageArgs,
    changing: Changing,
) -> Result<Box<dyn Trash>> {
    match open(context, args)? {
        AnyStorage::Filesystem(_) if changing.way != Way::Auto => {
            Err(Error::new("--trash is for a registry in a bucket")
                .with_hint("on a file system everything is renamed into the trash: leave it out"))
        }
        AnyStorage::Filesystem(storage) => Ok(Box::new(FileTrash::With(storage))),
        #[cfg(feature = "object-storage")]
        AnyStorage::Object(storage) => Ok(Box::new(in_bucket(storage, changing))),
    }
}

/// The trash of a bucket.
#[cfg(feature = "object-storage")]
pub fn in_bucket(storage: Box<ObjectStorage>, changing: Changing) -> ObjectTrash {
    let known = ObjectOptions::default();
    let options = ObjectOptions {
        way: changing.way,
        is_quiet: changing.is_quiet,
        settle: changing.settle.unwrap_or(known.settle),
        now: super::now(),
        ..known
    };
    ObjectTrash::new(storage, options)
}

fn root_of_scan(context: &Context) -> Result<PathBuf> {
    let asking = |error: Error| error.with_hint("name the storage with --storage");
    let connection = match db::open_for_reading(&context.db) {
        Err(DatabaseError::Missing(path)) => {
            return Err(asking(Error::new(format!(
                "no --storage is given, and there is no database at `{}`",
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

/// What a configuration said at an earlier scan.
fn remembered_configuration(context: &Context, root: &Path) -> Option<Configured> {
    let connection = db::open_for_reading(&context.db).ok()?;
    let known = db::scanned_root(&connection).ok().flatten()?;
    let is_of_root = known == text_of(root.as_os_str());
    is_of_root.then(|| db::configured(&connection).ok().flatten()).flatten()
}

/// Scans the storage at `root` into the context's database, with the roots of its last scan.
pub fn rescan(context: &Context, root: &Path) -> Result<Summary> {
    rescan_with(context, root, RootsChoice::AsBefore(None))
}

fn options_of(context: &Context, root: &Path, roots: RootsChoice) -> ScanOptions {
    ScanOptions {
        storage: root.to_owned(),
        database: context.db.clone(),
        io_threads: super::scan::IO_THREADS,
        deep: DeepLook::Auto,
        reuse: Reuse::Files,
        replaces: false,
        max_vanished_percent: None,
        roots,
    }
}

fn rescan_with(context: &Context, root: &Path, roots: RootsChoice) -> Result<Summary> {
    let options = options_of(context, root, roots);
    let progress = ui::Bar::new(&context.printer);
    of_scan(snapshot::scan(&options, &progress)?)
}

/// The same of a bucket that is open: what it listed is known, and what of it is large.
pub fn rescan_opened(context: &Context, trash: &dyn Trash) -> Result<Summary> {
    let storage = trash.storage();
    if trash.writer().is_some() {
        return rescan(context, storage.origin());
    }
    let options = options_of(context, storage.origin(), RootsChoice::AsBefore(None));
    let progress = ui::Bar::new(&context.printer);
    of_scan(snapshot::scan_storage(&options, storage, &progress)?)
}

fn of_scan(summary: Summary) -> Result<Summary> {
    if was_interrupted() {
        return Err(Error::stopped("stopped while the storage was scanned"));
    }
    Ok(summary)
}

/// Whether the context's database is a scan of the storage at `root`.
fn is_of(context: &Context, root: &Path) -> bool {
    let known = db::open_for_reading(&context.db).ok();
    let known = known.and_then(|connection| db::scanned_root(&connection).ok().flatten());
    known.is_some_and(|known| known == text_of(root.as_os_str()))
}

/// Records in the database what a command changed in the storage, if it is of that storage. What fails is
/// left for the next scan.
pub fn refresh(context: &Context, storage: &dyn Storage) {
    let root = storage.root();
    if is_of(context, root)
        && let Err(error) = rescan(context, storage.origin())
    {
        context.printer.detail(&error.messages().join(": "));
    }
}

/// What a storage holds now.
pub struct Now {
    /// With the database of a scan that was just made.
    pub context: Context,
    /// Where that is, if it is no longer needed afterwards.
    directory: Option<tempfile::TempDir>,
}

impl Now {
    /// The scan is in the database of the command.
    pub fn is_kept(&self) -> bool {
        self.directory.is_none()
    }

    /// Who leads to what.
    pub fn graph(&self) -> Result<Graph> {
        Snapshot::open(&self.context, None)?.graph(&self.context)
    }
}

/// Scans a storage. The database gets the scan if it is of that storage and can be written; else it is
/// dropped with the result.
pub fn scan_now(context: &Context, storage: &dyn Storage) -> Result<Now> {
    let root = storage.root();
    if is_of(context, root) {
        match rescan(context, storage.origin()) {
            Ok(_) => return Ok(Now { context: context.clone(), directory: None }),
            Err(error) if error.is_interrupted() => return Err(error),
            // It may lie on the very disk that is full.
            Err(error) => context.printer.detail(&error.messages().join(": ")),
        }
    }
    let directory = tempfile::tempdir()?;
    // Whatever the database's scan was to keep is kept here, too.
    let roots = RootsChoice::AsBefore(Some(context.db.clone()));
    let context = Context { db: directory.path().join("registry.db"), ..context.clone() };
    rescan_with(&context, storage.origin(), roots)?;
    Ok(Now { context, directory: Some(directory) })
}
