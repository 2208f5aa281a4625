//! A storage that fails when a test wants it to.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    Access, Content, DirectoryStamp, Entry, FileFacts, Fill, HeldLock, Layout, Leaf, LeafOptions,
    MountId, Storage, StorageWriter, Streamed,
};
use crate::model::authority::Configured;

const EIO: i32 = 5;

/// Which changing calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None; the calls are only counted.
    Never,
    /// That call, counted from 0, and all after it: to the disk that is a kill.
    From(u64),
    /// That call alone, with this error number.
    Once(u64, i32),
    /// So many calls from that one on find no room on the disk.
    Full {
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// What others do, called with the number of the changing call that comes next.
type Others = Box<dyn Fn(u64) + Send + Sync>;

/// What the disk no longer gives away.
type Unreadable = Box<dyn Fn(&Path) -> bool + Send + Sync>;

/// Passes everything on to another storage, except for the changing calls that are to fail.
pub struct FaultyStorage<S> {
    inner: S,
    fault: Fault,
    calls: AtomicU64,
    others: Option<Others>,
    full: Option<PathBuf>,
    unreadable: Option<Unreadable>,
}

impl<S> FaultyStorage<S> {
    /// A storage with this fault.
    pub fn new(inner: S, fault: Fault) -> Self {
        Self { inner, fault, calls: AtomicU64::new(0), others: None, full: None, unreadable: None }
    }

    /// The same, and `others` act right before each changing call: between the last look at a thing and
    /// its removal.
    #[must_use]
    pub fn beside(mut self, others: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.others = Some(Box::new(others));
        self
    }

    /// How often something was to be changed.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The same, and there is no room for anything new below `directory`.
    #[must_use]
    pub fn without_room_below(mut self, directory: impl Into<PathBuf>) -> Self {
        self.full = Some(directory.into());
        self
    }

    /// The same, and of these paths neither facts nor content nor names can be read.
    #[must_use]
    pub fn unable_to_read(
        mut self,
        unreadable: impl Fn(&Path) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.unreadable = Some(Box::new(unreadable));
        self
    }

    fn can_read(&self, path: &Path) -> io::Result<()> {
        match &self.unreadable {
            Some(unreadable) if unreadable(path) => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(()),
        }
    }

    fn has_room(&self, path: &Path) -> io::Result<()> {
        match &self.full {
            Some(full) if path.starts_with(full) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn count(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(others) = &self.others {
            others(call);
        }
        match self.fault {
            Fault::From(first) if call >= first => Err(io::Error::other("killed")),
            Fault::Once(only, errno) if call == only => Err(io::Error::from_raw_os_error(errno)),
            Fault::Full { first, count }
                if (first..first.saturating_add(count)).contains(&call) =>
            {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

impl<S: Storage> Storage for FaultyStorage<S> {
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.can_read(directory)?;
        self.inner.list(directory)
    }

    fn list_leaves(
        &self,
        directory: &Path,
        leaf: &Path,
        options: LeafOptions,
    ) -> io::Result<Vec<Leaf>> {
        self.inner.list_leaves(directory, leaf, options)
    }

    fn stamp(&self, directory: &Path) -> io::Result<Option<DirectoryStamp>> {
        self.inner.stamp(directory)
    }

    fn stat(&self, path: &Path) -> io::Result<FileFacts> {
        self.can_read(path)?;
        self.inner.stat(path)
    }

    fn link_target(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.link_target(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Content> {
        self.can_read(path)?;
        self.inner.read(path, limit)
    }

    fn stream(
        &self,
        path: &Path,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Streamed> {
        self.inner.stream(path, buffer, take)
    }

    fn refresh(&self) -> io::Result<()> {
        self.inner.refresh()
    }

    fn root(&self) -> &Path {
        self.inner.root()
    }

    fn layout(&self) -> &Layout {
        self.inner.layout()
    }

    fn space(&self) -> Option<super::Space> {
        self.inner.space()
    }

    fn allocation(&self, path: &Path) -> io::Result<super::Allocation> {
        self.inner.allocation(path)
    }

    fn usage(&self, path: &Path, names_left: &mut u64) -> io::Result<super::Usage> {
        self.inner.usage(path, names_left)
    }

    fn configured(&self) -> Option<&Configured> {
        self.inner.configured()
    }
}

impl<S: StorageWriter> StorageWriter for FaultyStorage<S> {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.has_room(path)?;
        self.count()?;
        self.inner.create_directory(path)
    }

    fn create_directory_as(&self, path: &Path, access: Access) -> io::Result<()> {
        self.has_room(path)?;
        self.count()?;
        self.inner.create_directory_as(path, access)
    }

    fn access(&self, path: &Path) -> io::Result<Access> {
        self.inner.access(path)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count()?;
        self.inner.rename_new(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.count()?;
        self.inner.remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.count()?;
        self.inner.remove_directory(path)
    }

    /// Two calls: one that makes the file, and one that writes it. Killed in between, half of the
    /// file is there.
    fn write_new_with(&self, path: &Path, fill: Fill<'_>) -> io::Result<()> {
        self.has_room(path)?;
        self.count()?;
        let Err(error) = self.count() else {
            return self.inner.write_new_with(path, fill);
        };
        if matches!(self.fault, Fault::From(_)) {
            let mut bytes = Vec::new();
            fill(&mut bytes)?;
            self.inner.write_new(path, &bytes[..bytes.len() / 2])?;
        }
        Err(error)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.count()?;
        self.inner.sync_directory(path)
    }

    /// As two calls, like [`Self::write_new_with`].
    fn copy_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count()?;
        let Err(error) = self.count() else {
            return self.inner.copy_new(from, to);
        };
        if matches!(self.fault, Fault::From(_)) {
            self.inner.write_new(to, b"sha256:")?;
        }
        Err(error)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.inner.free_bytes()
    }

    fn mount_of(&self, directory: &Path) -> io::Result<MountId> {
        self.inner.mount_of(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<HeldLock>> {
        self.count()?;
        self.inner.lock(path)
    }
}
