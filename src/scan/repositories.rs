//! Finding repositories: any directory below `repositories/` that has `_layers`, `_manifests` or
//! `_uploads`, at any depth, whatever its name.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::model::progress::Progress;
use crate::model::{Code, is_repository_name, text_of};
use crate::storage::{Entry, FileKind, Storage};

use super::blobs;
use super::facts::{HoldScope, Notes, RepositoryFacts};
use super::fingerprint::Fingerprint;
use super::part::Look;
use super::repository::walk_repository;

/// All repositories, in the order of their names.
pub struct WalkedRepositories {
    pub repositories: Vec<RepositoryFacts>,
    pub notes: Notes,
    pub fingerprint: [u8; 32],
}

struct Walk<'a> {
    look: Look<'a>,
    storage: &'a dyn Storage,
    progress: &'a dyn Progress,
    top: PathBuf,
    found: Mutex<WalkedRepositories>,
}

/// Walks all repositories.
pub fn walk_repositories(look: Look<'_>, progress: &dyn Progress) -> WalkedRepositories {
    let storage = look.storage;
    let found = WalkedRepositories {
        repositories: Vec::new(),
        notes: Notes::default(),
        fingerprint: [0; 32],
    };
    let top = storage.layout().repositories();
    let walk = Walk { look, storage, progress, top: top.clone(), found: Mutex::new(found) };
    rayon::scope(|scope| walk.directory(scope, top));
    let mut found = walk.found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.repositories.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    found.notes.settle_clutter(None);
    found.notes.findings.sort_unstable();

    let mut fingerprint = Fingerprint::default();
    for repository in &found.repositories {
        fingerprint.name(OsStr::from_bytes(repository.name.as_bytes()));
        fingerprint.part(&repository.fingerprint);
    }
    fingerprint.findings(&found.notes.findings);
    found.fingerprint = fingerprint.finish();
    found
}

impl Walk<'_> {
    fn note(&self, change: impl FnOnce(&mut Notes)) {
        let mut found = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut found.notes);
    }

    fn directory<'s>(&'s self, scope: &rayon::Scope<'s>, directory: PathBuf) {
        let is_top = directory == self.top;
        let mut entries = match self.storage.list(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_top => Vec::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.note(|notes| {
                    notes.find(Code::DirectoryUnreadable, None, &directory, error.to_string());
                    notes.hold(HoldScope::Storage, Code::DirectoryUnreadable, &directory);
                });
                return;
            }
        };
        self.note(|notes| {
            entries.retain(|entry| {
                let path = directory.join(&entry.name);
                self.is_rescued(&path) || !notes.count_clutter(&path, entry.kind)
            });
        });
        let is_foreign = |entry: &Entry| !is_content(entry, is_top);
        if entries.iter().all(is_foreign) {
            self.nothing_in(&directory, is_top);
        }
        let mut is_repository = false;
        for entry in entries {
            let path = directory.join(&entry.name);
            match (entry.name.as_bytes(), entry.kind) {
                (b"_layers" | b"_manifests" | b"_uploads", _) if !is_top => is_repository = true,
                (_, FileKind::Symlink) => self.note(|notes| {
                    // It may lead to repositories, and those to any blob.
                    notes.find(
                        Code::SymlinkNotFollowed,
                        None,
                        &path,
                        "a symbolic link stands here",
                    );
                    notes.hold(HoldScope::Storage, Code::SymlinkNotFollowed, &path);
                }),
                (b"_layers" | b"_manifests" | b"_uploads", _) => self.note(|notes| {
                    notes.find(Code::ForeignFile, None, &path, "the registry does not write this");
                }),
                (_, FileKind::Directory) => scope.spawn(move |scope| self.directory(scope, path)),
                _ => self.note(|notes| {
                    notes.find(Code::ForeignFile, None, &path, "a directory belongs here");
                }),
            }
        }
        if is_repository {
            scope.spawn(move |_| self.repository(&directory));
        }
    }

    /// A registry that holds blobs has repositories, and never leaves a directory without any among them:
    /// a mount that failed does, often with a file that marks the mount point. What belongs there may need any blob.
    fn nothing_in(&self, directory: &Path, is_top: bool) {
        let (code, detail) = if !is_top {
            (Code::NamespaceEmpty, "neither a repository nor a part of a name")
        } else if blobs::are_more_than(self.storage, 0) {
            (Code::RepositoriesMissing, "there are blobs, and no repository")
        } else {
            return;
        };
        self.note(|notes| {
            notes.find(code, None, directory, detail);
            notes.hold(HoldScope::Storage, code, directory);
        });
    }

    /// Whether fsck, or somebody after it, put a repository there: it is kept until it is back.
    fn is_rescued(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "lost+found")
            && self.storage.list(path).is_ok_and(|entries| {
                entries.iter().any(|entry| {
                    matches!(entry.name.as_bytes(), b"_layers" | b"_manifests" | b"_uploads")
                })
            })
    }

    fn repository(&self, path: &Path) {
        let name = text_of(path.strip_prefix(&self.top).unwrap_or(path).as_os_str());
        let mut repository = walk_repository(self.look, path, name);
        if !is_repository_name(&repository.name) {
            let name = repository.name.clone();
            let detail = "the registry refuses this name";
            repository.notes.find(Code::RepositoryNameInvalid, Some(&name), path, detail);
        }
        self.progress.advance(repository.layer_links.len() as u64);
        let mut found = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        found.repositories.push(repository);
    }
}

/// Whether an entry is a part of a repository, or may hold or lead to repositories.
fn is_content(entry: &Entry, is_top: bool) -> bool {
    match (entry.name.as_bytes(), entry.kind) {
        (b"_layers" | b"_manifests" | b"_uploads", FileKind::Symlink) => true,
        (b"_layers" | b"_manifests" | b"_uploads", _) => !is_top,
        (_, kind) => matches!(kind, FileKind::Directory | FileKind::Symlink),
    }
}
