//! Files of an export before it is published: in a directory of its own, under names that no engine reads.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::LakeError;

/// What a file is called until all are whole.
const UNFINISHED: &str = ".tmp";

/// A finished file of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the directory of its scan.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// A directory aside. Dropped, it goes with all that is in it.
#[derive(Debug)]
pub struct Staging {
    directory: TempDir,
    /// Where the files will lie, for messages.
    place: String,
    extension: &'static str,
    /// Locked as long as the export lives.
    _lock: File,
}

/// The lock of the process that writes a staging directory.
pub(super) const LOCK: &str = "lock";

impl Staging {
    /// Takes over an empty directory.
    pub fn new(
        directory: TempDir,
        place: &str,
        extension: &'static str,
    ) -> Result<Self, LakeError> {
        let write = |source| LakeError::Write { path: place.to_owned(), source };
        let lock = File::create(directory.path().join(LOCK)).map_err(write)?;
        lock.lock().map_err(write)?;
        Ok(Self { directory, place: place.to_owned(), extension, _lock: lock })
    }

    /// A new one among the temporary files, from where parts are uploaded.
    #[cfg(feature = "object-storage")]
    pub(super) fn temporary(extension: &'static str) -> Result<Self, LakeError> {
        let parent = std::env::temp_dir();
        let place = parent.display().to_string();
        let directory = tempfile::Builder::new()
            .prefix("regsql-export-")
            .tempdir_in(&parent)
            .map_err(|source| LakeError::Write { path: place.clone(), source })?;
        Self::new(directory, &place, extension)
    }

    /// The bytes of a part before [`Self::finish_table`].
    #[cfg(feature = "object-storage")]
    pub(super) fn read_part(&self, table: &str, part: &Part) -> Result<Vec<u8>, LakeError> {
        let path = self.unfinished(table, part);
        fs::read(&path)
            .map_err(|source| LakeError::Write { path: path.display().to_string(), source })
    }

    /// Gives the room of a part back, which was uploaded: what stays has no bytes.
    #[cfg(feature = "object-storage")]
    pub(super) fn empty_part(&self, table: &str, part: &Part) -> Result<(), LakeError> {
        let path = self.unfinished(table, part);
        let emptied = File::create(&path).map(drop);
        emptied.map_err(|source| LakeError::Write { path: path.display().to_string(), source })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Begins a part of a table.
    pub(super) fn create_part(&self, table: &str, number: usize) -> Result<PartFile, LakeError> {
        let directory = self.path().join(table);
        let name = format!("part-{number}.{}", self.extension);
        let shown = format!("{}/{table}/{name}", self.place);
        let create = || {
            fs::create_dir_all(&directory)?;
            File::create_new(directory.join(format!("{name}{UNFINISHED}")))
        };
        let file = create().map_err(|source| LakeError::Write { path: shown.clone(), source })?;
        Ok(PartFile { file, name, shown, rows: AtomicU64::new(0), bytes: 0 })
    }

    /// A failure to write a file of a table, in words of the disk where it is one of the disk.
    pub(super) fn error(
        &self,
        table: &str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> LakeError {
        let path = format!("{}/{table}", self.place);
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                let source = match io.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(io.kind(), io.to_string()),
                };
                return LakeError::Write { path, source };
            }
            cause = error.source();
        }
        LakeError::Write { path, source: io::Error::other(error) }
    }

    /// Gives the parts of a table their names, and writes beside them what they are.
    pub(super) fn finish_table(
        &self,
        table: &str,
        parts: &[Part],
        marker: &[u8],
    ) -> Result<(), LakeError> {
        let directory = self.path().join(table);
        let finish = || {
            for part in parts {
                fs::rename(self.unfinished(table, part), directory.join(&part.name))?;
            }
            let mut file = File::create_new(directory.join(super::MARKER))?;
            file.write_all(marker)?;
            file.sync_all()
        };
        let path = || format!("{}/{table}", self.place);
        finish().map_err(|source| LakeError::Write { path: path(), source })
    }

    /// Where a part of a table is before [`Self::finish_table`].
    pub(super) fn unfinished(&self, table: &str, part: &Part) -> PathBuf {
        self.path().join(table).join(format!("{}{UNFINISHED}", part.name))
    }
}

/// A part while it is written. Whoever writes to it buffers.
pub(super) struct PartFile {
    file: File,
    name: String,
    shown: String,
    rows: AtomicU64,
    bytes: u64,
}

impl PartFile {
    /// Counts rows that were written.
    pub fn add_rows(&self, count: usize) {
        self.rows.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Brings all of it to the disk.
    pub fn finish(&self) -> Result<Part, LakeError> {
        let on_error = |source| LakeError::Write { path: self.shown.clone(), source };
        self.file.sync_all().map_err(on_error)?;
        let rows = self.rows.load(Ordering::Relaxed);
        Ok(Part { name: self.name.clone(), rows, bytes: self.bytes })
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
