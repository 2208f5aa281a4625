//! What of a disk the storage takes, from the sizes that the walk saw.
//!
//! Only what lies outside of the registry's layout is looked at for this alone, and of that no more than
//! a number of names. Of directories the walk knows how many there are; one of the smallest says what
//! each takes, which is right but for those with many names.

use std::path::{Component, Path};

use crate::model::{Code, clutter};
use crate::storage::{FileKind, Storage, Usage, paths};

use super::Walked;
use super::facts::Notes;

/// Names outside of the layout that are looked at: a registry leaves hardly any.
const MAX_NAMES: u64 = 10_000;

/// What of a disk a storage takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Data of blobs.
    pub blobs: Usage,
    /// Links of revisions, tags and layers.
    pub links: Usage,
    /// Uploads that are not finished.
    pub uploads: Usage,
    /// regsql's own directory: the trash, mostly.
    pub trash: Usage,
    /// What the registry did not write: in its root, and between its files.
    pub strays: Usage,
    /// All directories.
    pub directory_count: u64,
    /// Their blocks together.
    pub directory_bytes: u64,
    /// There is more than was looked at.
    pub is_at_least: bool,
}

impl DiskUse {
    /// Files by what they are, as people read it.
    pub fn files(&self) -> [(&'static str, &Usage); 5] {
        [
            ("blobs", &self.blobs),
            ("links", &self.links),
            ("uploads", &self.uploads),
            ("trash", &self.trash),
            ("strays", &self.strays),
        ]
    }
}

/// What lies beside the layout, as it was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    trash: Usage,
    strays: Usage,
    names_left: u64,
    /// What one of the smallest directories takes.
    directory_bytes: u64,
}

impl Beside {
    /// `None` where the storage has no disk of its own.
    pub fn look(storage: &dyn Storage) -> Option<Self> {
        let own = Path::new(paths::OWN);
        let blobs = storage.layout().blobs();
        let v2 = blobs.parent().unwrap_or(Path::new(""));
        let smallest = storage.allocation(if v2.as_os_str().is_empty() { &blobs } else { v2 });
        let directory_bytes = match smallest {
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return None,
            smallest => smallest.map_or(0, |smallest| smallest.size_bytes),
        };
        let mut beside = Self {
            trash: Usage::default(),
            strays: Usage::default(),
            names_left: MAX_NAMES,
            directory_bytes,
        };
        beside.trash = beside.usage(storage, own);
        let mut names_left = MAX_NAMES;
        std::mem::swap(&mut names_left, &mut beside.names_left);
        let mut directory = Path::new("").to_owned();
        for step in v2.components().map(Component::as_os_str).map(Some).chain([None]) {
            for entry in storage.list(&directory).unwrap_or_default() {
                let is_layout = match step {
                    Some(step) => entry.name == step,
                    None => entry.name == "blobs" || entry.name == "repositories",
                };
                let path = directory.join(&entry.name);
                let name = std::os::unix::ffi::OsStrExt::as_bytes(entry.name.as_os_str());
                let is_clutter = clutter::of_entry(name, entry.kind == FileKind::File).is_some();
                if !is_layout && !is_clutter && path != own {
                    beside.add_stray(storage, &path);
                }
            }
            directory.push(step.unwrap_or_default());
        }
        beside.names_left = beside.names_left.min(names_left);
        Some(beside)
    }

    /// What cannot be looked at takes nothing that anybody knows of.
    fn usage(&mut self, storage: &dyn Storage, path: &Path) -> Usage {
        match self.names_left {
            0 => Usage::default(),
            _ => storage.usage(path, &mut self.names_left).unwrap_or_default(),
        }
    }

    /// A snapshot by hard links holds the registry's own files, which are counted there.
    fn add_stray(&mut self, storage: &dyn Storage, path: &Path) {
        let mut usage = self.usage(storage, path);
        usage.disk_bytes = usage.disk_bytes.saturating_sub(usage.hard_linked_bytes);
        usage.hard_linked_bytes = 0;
        self.strays.add(&usage);
    }

    /// What stands between the registry's own files.
    fn add_found(&mut self, storage: &dyn Storage, notes: &Notes) {
        for finding in &notes.findings {
            if matches!(finding.code, Code::ForeignFile | Code::TemporaryFile | Code::Clutter) {
                self.add_stray(storage, Path::new(&finding.path));
            }
        }
    }
}

impl Walked {
    /// What the storage takes of its disk; `None` where it has none of its own.
    pub fn disk_use(&self, storage: &dyn Storage) -> Option<DiskUse> {
        let mut beside = self.beside?;
        let mut found = DiskUse::default();
        for shard in &self.blobs.shards {
            found.blobs.add(&shard.part.usage);
        }
        beside.add_found(storage, &self.blobs.notes);
        beside.add_found(storage, &self.repositories.notes);
        let mut repository_count = 0;
        for repository in &self.repositories.repositories {
            repository_count += 1;
            found.links.add(&repository.manifests_part.usage);
            found.links.add(&repository.layers_part.usage);
            found.uploads.add(&repository.upload_usage);
            beside.add_found(storage, &repository.notes);
        }
        (found.trash, found.strays) = (beside.trash, beside.strays);
        found.is_at_least = beside.names_left == 0;
        let seen = [&found.blobs, &found.links, &found.uploads].map(|usage| usage.directory_count);
        let count = seen.iter().sum::<u64>() + repository_count;
        found.directory_count = count + found.trash.directory_count + found.strays.directory_count;
        found.directory_bytes = [found.trash.directory_bytes, found.strays.directory_bytes]
            .into_iter()
            .fold(count.saturating_mul(beside.directory_bytes), u64::saturating_add);
        Some(found)
    }
}
