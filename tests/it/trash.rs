//! Everything that is deleted can be put back, whatever happens in between.

mod commands;
mod crash;
mod direct;
mod hostile;
mod mounts;
mod owner;
mod restore;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use regsql::sample::{RegistryBuilder, paths};
use regsql::storage::{FilesystemStorage, StorageWriter, locate};
use regsql::trash::{
    Counts, Move, MoveKind, RunSummary, StorageLock, TrashError, TrashRun, UndoReport,
    place_in_trash, undo,
};
use tempfile::TempDir;

use crate::tree::Tree;

const UPLOAD: &str = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";

/// A registry of two images and an upload. The first image and the upload are to be deleted.
struct Registry {
    directory: TempDir,
    moves: Vec<Move>,
}

/// 2026-11-21T07:07:46Z
fn now() -> Timestamp {
    "2026-11-21T07:07:46Z".parse().unwrap()
}

fn item(kind: MoveKind, path: impl Into<PathBuf>, name: &str, size_bytes: u64) -> Move {
    let repository = (kind != MoveKind::Blob).then(|| "team/app".to_owned());
    Move {
        path: path.into(),
        kind,
        repository,
        name: name.into(),
        size_bytes,
        access: None,
        is_corrupt: false,
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').unwrap().0
}

impl Registry {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut moves = Vec::new();
        Self::builder(&mut moves).write_to(&directory.path().join("registry")).unwrap();
        Self { directory, moves }
    }

    fn builder(moves: &mut Vec<Move>) -> RegistryBuilder {
        let mut registry = RegistryBuilder::new();
        registry.at(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_760_000_000_123_456_789));
        let base = registry.layer("base", 3_000);
        let own = registry.layer("own", 2_000);
        let old = registry.image("team/app").layers([&base, &own]).push_tag("1.0");
        registry.image("team/app").layers([&base]).push_tag("1.1");
        registry.upload("team/app", UPLOAD, 10, "2026-01-02T03:04:05Z");
        let repository = "team/app";
        let tag = paths::tag(repository, "1.0");
        moves.push(item(MoveKind::Tag, tag, "1.0", 0));
        let digest = old.digest.to_string();
        let link = paths::revision_link(repository, &old.digest);
        moves.push(item(MoveKind::Revision, parent(&link), &digest, 0));
        let link = paths::layer_link(repository, &own.digest);
        moves.push(item(MoveKind::LayerLink, parent(&link), &own.digest.to_string(), 0));
        let upload = paths::upload(repository, UPLOAD);
        moves.push(item(MoveKind::Upload, &upload, UPLOAD, 10));
        for blob in [&old, &own] {
            let path = paths::blob_directory(&blob.digest);
            moves.push(item(MoveKind::Blob, path, &blob.digest.to_string(), blob.size));
        }
        moves.push(item(MoveKind::Directory, parent(&upload), "", 0));
        registry
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("registry")
    }

    fn below(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    fn storage(&self) -> FilesystemStorage {
        open(&self.root())
    }

    fn tree(&self) -> Tree {
        Tree::of_registry(&self.root())
    }

    /// The first move of that kind.
    fn path(&self, kind: MoveKind) -> &Path {
        &self.moves.iter().find(|item| item.kind == kind).unwrap().path
    }

    /// Deletes everything that is to be deleted, and gives the run's name.
    fn delete(&self) -> String {
        delete(&self.storage(), &self.moves).unwrap()
    }

    fn undo(&self, run: &str) -> UndoReport {
        let storage = self.storage();
        undo(&storage, &StorageLock::take(&storage).unwrap(), run).unwrap()
    }

    /// Where something lies that a run took.
    fn taken(&self, run: &str, path: &Path) -> PathBuf {
        self.below(place_in_trash(&self.storage(), run, path).unwrap())
    }

    fn run_directory(&self, run: &str) -> PathBuf {
        self.below(".regsql/trash").join(run)
    }

    /// Names in the trash.
    fn runs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.below(".regsql/trash")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// regsql, three minutes after the deletion.
    fn regsql(&self, arguments: &[&str]) -> Output {
        crate::env::regsql_in(self.directory.path(), arguments)
            .env("REGSQL_NOW", "2026-11-21T07:10:46Z")
            .output()
            .unwrap()
    }
}

fn open(root: &Path) -> FilesystemStorage {
    FilesystemStorage::open(locate(root).unwrap()).unwrap()
}

/// What a deletion does from end to end.
fn delete(storage: &dyn StorageWriter, moves: &[Move]) -> Result<String, TrashError> {
    let lock = StorageLock::take(storage)?;
    let run = TrashRun::begin(storage, &lock, now(), moves)?;
    let mut taken = Counts::default();
    let mut size_bytes = 0;
    for item in moves {
        let done = match item.kind {
            MoveKind::Directory => run.remove_empty_directory(&item.path).map(drop),
            _ => run.take(&item.path),
        };
        done.map_err(|source| TrashError::Write { path: item.path.clone(), source })?;
        taken.add(item.kind);
        size_bytes += item.size_bytes;
    }
    run.finish(&RunSummary { taken, size_bytes, put_back_count: 0, finished_at: now() })?;
    Ok(run.run().to_owned())
}
