//! Two runs never meet.

use std::any::Any;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::error::TrashError;
use super::paths::{LOCK, OWN};
use crate::storage::{HeldLock, StorageWriter};

/// How often and how long a lock is waited for.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(25);

/// The right to change a storage, held until this is dropped. A holder that is killed leaves no
/// obstacle: the lock is the kernel's, not the file.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub struct StorageLock {
    _root: Option<HeldLock>,
    _file: Option<HeldLock>,
    _elsewhere: Option<Box<dyn Any + Send>>,
}

impl StorageLock {
    /// Takes the lock of a storage. It waits for a moment only: a program that this process starts at
    /// the same time holds a copy of every descriptor until it has begun.
    ///
    /// It locks the root directory and the file `.regsql/lock`. The file alone works on NFS, the
    /// directory alone on a disk too full for a file: the moment when deleting is needed most.
    ///
    /// # Errors
    /// [`TrashError::Locked`] when another holds it, [`TrashError::Write`] when neither will do.
    pub fn take(storage: &dyn StorageWriter) -> Result<Self, TrashError> {
        for _ in 0..ATTEMPTS {
            match Self::try_take(storage) {
                Err(TrashError::Locked(_)) => std::thread::sleep(PAUSE),
                taken => return taken,
            }
        }
        Self::try_take(storage)
    }

    /// A lock that is no file's, and ends when `held` is dropped.
    #[cfg(feature = "object-storage")]
    pub(super) fn of_bucket(held: Box<dyn Any + Send>) -> Self {
        Self { _root: None, _file: None, _elsewhere: Some(held) }
    }

    fn try_take(storage: &dyn StorageWriter) -> Result<Self, TrashError> {
        let locked = || TrashError::Locked(storage.root().join(LOCK));
        let root = match storage.lock(Path::new("")) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(locked()),
            Err(_) => None,
        };
        match lock_file(storage) {
            Ok(Some(lock)) => Ok(Self { _root: root, _file: Some(lock), _elsewhere: None }),
            Ok(None) => Err(locked()),
            Err(error) if root.is_some() && is_full(&error) => {
                Ok(Self { _root: root, _file: None, _elsewhere: None })
            }
            Err(source) => Err(TrashError::Write { path: storage.root().join(LOCK), source }),
        }
    }
}

/// Takes the right to run a whole job on a storage: stopping its registry, deleting, starting it. Others
/// may change the storage meanwhile, as the job's own steps do with a [`StorageLock`] each. `None`: there
/// is no room for the lock's file.
///
/// # Errors
/// [`TrashError::Locked`] when another job runs, [`TrashError::Write`] when the file cannot be made.
pub fn lock_job(storage: &dyn StorageWriter) -> Result<Option<HeldLock>, TrashError> {
    let path = Path::new(OWN).join("job");
    let made = match storage.create_directory(Path::new(OWN)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => storage.lock(&path),
    };
    match made {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(TrashError::Locked(storage.root().join(path))),
        Err(error) if is_full(&error) => Ok(None),
        Err(source) => Err(TrashError::Write { path: storage.root().join(path), source }),
    }
}

fn lock_file(storage: &dyn StorageWriter) -> io::Result<Option<HeldLock>> {
    match storage.create_directory(Path::new(OWN)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => storage.lock(Path::new(LOCK)),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
