//! A lake in a directory: files are renamed into their place.
//!
//! A file `_regsql_lake.json` marks the directory and is the lock for what must not happen twice at once:
//! beginning, publishing, and removing what a killed export left. Writing the files needs no lock.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LakeError;
use super::destination::{Destination, Finished};
use super::partition::Partition;
use super::staging::{LOCK, Staging};
use super::table::LAST;

/// Marks a lake. Engines pass over names that begin with `_`.
pub(super) const LAKE_MARKER: &str = "_regsql_lake.json";

/// How directories of exports that are not finished begin.
const STAGING_PREFIX: &str = ".regsql-export-";

/// Which scan a staging directory is of.
const PARTITION: &str = "partition.json";

/// What stands in the marker of a lake.
#[derive(Serialize, Deserialize)]
pub(super) struct LakeMarker {
    /// Of the layout.
    format: u32,
    /// `parquet` or `csv`.
    files: String,
}

const FORMAT: u32 = 1;

/// The largest marker: one names every part of a table.
pub(super) const MAX_MARKER_BYTES: u64 = 16 << 20;

impl LakeMarker {
    /// The bytes of a new one.
    pub fn bytes(files: &str) -> Vec<u8> {
        format!("{{\"format\":{FORMAT},\"files\":\"{files}\"}}\n").into_bytes()
    }

    /// Sees that this regsql can add files of this format.
    pub fn check(bytes: &[u8], place: &str, wanted: &'static str) -> Result<(), LakeError> {
        let marker: Option<Self> = serde_json::from_slice(bytes).ok();
        match marker.filter(|marker| marker.format == FORMAT) {
            None => Err(LakeError::Newer(place.to_owned())),
            Some(marker) if marker.files != wanted => {
                Err(LakeError::OtherFormat { place: place.to_owned(), found: marker.files, wanted })
            }
            Some(_) => Ok(()),
        }
    }
}

/// A directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    place: String,
}

impl Directory {
    /// Of this path, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), place: path.display().to_string() }
    }

    fn error(&self, below: impl AsRef<Path>) -> impl FnOnce(io::Error) -> LakeError {
        let path = self.path.join(below).display().to_string();
        move |source| LakeError::Write { path, source }
    }

    /// Something in it that is not regsql's. A new file system has a `lost+found`.
    fn something_else(&self) -> io::Result<Option<String>> {
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let is_own = name == LAKE_MARKER
                || name == "lost+found"
                || name.as_encoded_bytes().starts_with(STAGING_PREFIX.as_bytes());
            if !is_own {
                return Ok(Some(name.to_string_lossy().into_owned()));
            }
        }
        Ok(None)
    }

    /// Writes the marker, unless another export does so at the same time.
    fn mark(&self, format: &str) -> io::Result<()> {
        let mut new = tempfile::Builder::new().prefix(STAGING_PREFIX).tempfile_in(&self.path)?;
        new.write_all(&LakeMarker::bytes(format))?;
        new.as_file().set_permissions(permissions(0o644))?;
        new.as_file().sync_all()?;
        let marker = self.path.join(LAKE_MARKER);
        match new.persist_noclobber(&marker) {
            // Another export was sooner, and may have taken this file for one that a killed export left.
            Err(_) if marker.exists() => Ok(()),
            Err(error) => Err(error.error),
            Ok(_) => Ok(()),
        }
    }

    /// Waits for the lock.
    fn lock(&self) -> Result<File, LakeError> {
        let lock = || {
            let file = File::options().read(true).open(self.path.join(LAKE_MARKER))?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(self.error(LAKE_MARKER))
    }

    /// Removes what killed exports left. Call it with the lock.
    fn remove_abandoned(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let is_staging =
                entry.file_name().as_encoded_bytes().starts_with(STAGING_PREFIX.as_bytes());
            if !is_staging {
                continue;
            }
            let staging = entry.path();
            if !entry.file_type()?.is_dir() {
                // A marker that was not whole yet. Now there is one.
                match fs::remove_file(&staging) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => continue,
                }
            }
            let is_alive =
                File::open(staging.join(LOCK)).is_ok_and(|file| file.try_lock().is_err());
            if !is_alive {
                self.withdraw(&staging)?;
                fs::remove_dir_all(&staging)?;
            }
        }
        Ok(())
    }

    /// Takes back what a killed export had published of a scan that has no end.
    fn withdraw(&self, staging: &Path) -> io::Result<()> {
        let partition = read(&staging.join(PARTITION)).ok();
        let partition: Option<(String, String)> =
            partition.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some((registry, scan)) = partition else { return Ok(()) };
        let is_one_name = |name: &str| !name.contains('/') && name.contains('=');
        if !is_one_name(&registry) || !is_one_name(&scan) {
            return Ok(());
        }
        let of = |table: &Path| table.join(&registry).join(&scan);
        if of(&self.path.join(LAST)).exists() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.path)? {
            let table = entry?.path();
            let is_staging =
                table.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_staging && of(&table).is_dir() {
                fs::rename(of(&table), staging.join(format!("withdrawn-{}", shown(&table))))?;
            }
        }
        Ok(())
    }

    fn rename_all(
        &self,
        staging: &Path,
        partition: &Partition,
        tables: &[Finished],
    ) -> Result<(), LakeError> {
        let mut done: Vec<&str> = Vec::new();
        for &Finished { table, .. } in tables {
            if let Err(error) = self.rename_table(staging, partition, table) {
                for table in done.into_iter().rev() {
                    let target = self.path.join(partition.directory(table));
                    drop(fs::rename(&target, staging.join(table)));
                    drop(fs::rename(replaced(staging, table), &target));
                }
                return Err(error);
            }
            done.push(table);
        }
        Ok(())
    }

    fn rename_table(
        &self,
        staging: &Path,
        partition: &Partition,
        table: &str,
    ) -> Result<(), LakeError> {
        let below = partition.directory(table);
        let target = self.path.join(&below);
        let rename = || {
            let parent = target.parent().unwrap_or(&self.path);
            fs::create_dir_all(parent)?;
            if target.exists() {
                // Another export of the same scan was faster.
                if files_of(&target)? == files_of(&staging.join(table))? {
                    return Ok(());
                }
                fs::rename(&target, replaced(staging, table))?;
            }
            if let Err(error) = fs::rename(staging.join(table), &target) {
                drop(fs::rename(replaced(staging, table), &target));
                return Err(error);
            }
            File::open(parent)?.sync_all()
        };
        rename().map_err(self.error(below))
    }
}

/// A marker, of which a lake may hold any number that others wrote.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_MARKER_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MARKER_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Names and sizes, sorted.
fn files_of(directory: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
    }
    files.sort_unstable();
    Ok(files)
}

fn permissions(mode: u32) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(mode)
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Where what a table had of this scan goes meanwhile.
fn replaced(staging: &Path, table: &str) -> PathBuf {
    staging.join(format!("replaced-{table}"))
}

impl Destination for Directory {
    fn place(&self) -> &str {
        &self.place
    }

    fn is_inside(&self, root: &str) -> bool {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        // What is not there yet lies where its nearest ancestor is.
        let real = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
        real.is_some_and(|real| real.starts_with(root))
    }

    fn open(&self, format: &'static str) -> Result<(), LakeError> {
        if fs::metadata(&self.path).is_ok_and(|facts| !facts.is_dir()) {
            return Err(LakeError::NotADirectory(self.place.clone()));
        }
        fs::create_dir_all(&self.path).map_err(self.error(""))?;
        let marker = self.path.join(LAKE_MARKER);
        if !marker.exists() {
            if let Some(example) = self.something_else().map_err(self.error(""))?
                // Another export may have made it a lake meanwhile.
                && !marker.exists()
            {
                return Err(LakeError::Foreign { place: self.place.clone(), example });
            }
            self.mark(format).map_err(self.error(LAKE_MARKER))?;
        }
        let bytes = read(&marker).map_err(self.error(LAKE_MARKER))?;
        LakeMarker::check(&bytes, &self.place, format)
    }

    fn stage(
        &self,
        partition: &Partition,
        extension: &'static str,
        _tables: &[&'static str],
    ) -> Result<Staging, LakeError> {
        let lock = self.lock()?;
        self.remove_abandoned().map_err(self.error(""))?;
        let directory = tempfile::Builder::new()
            .prefix(STAGING_PREFIX)
            .tempdir_in(&self.path)
            .map_err(self.error(""))?;
        let names = serde_json::json!([partition.registry, partition.scan]).to_string();
        fs::write(directory.path().join(PARTITION), names).map_err(self.error(""))?;
        let staging = Staging::new(directory, &self.place, extension);
        drop(lock);
        staging
    }

    fn marker(&self, table: &str, partition: &Partition) -> Result<Option<Vec<u8>>, LakeError> {
        let below = format!("{}/{}", partition.directory(table), super::MARKER);
        match read(&self.path.join(&below)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(below)(error)),
        }
    }

    fn list(&self, table: &str, partition: &Partition) -> Result<Vec<(String, u64)>, LakeError> {
        let below = partition.directory(table);
        match files_of(&self.path.join(&below)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(self.error(below)),
        }
    }

    fn publish(
        &self,
        staging: Staging,
        partition: &Partition,
        tables: &[Finished],
    ) -> Result<(), LakeError> {
        for Finished { table, parts, marker } in tables {
            staging.finish_table(table, parts, marker)?;
        }
        let lock = self.lock()?;
        self.rename_all(staging.path(), partition, tables)?;
        drop(lock);
        Ok(())
    }
}
