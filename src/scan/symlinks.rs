//! Symbolic links from one part of a storage to another. A registry follows them, and a walk does not: what
//! only such a link needs seems to be needed by nothing. Programs that save space make them, and people who
//! share a repository's directories.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::model::{Code, Finding, HoldScope, bytes_of, text_of};
use crate::storage::Storage;

use super::Walked;

/// A link, and what it says if that can be read.
struct Link {
    path: PathBuf,
    target: Option<PathBuf>,
}

/// Keeps everything while a link may lead from one part of the storage to another. One that leads to
/// another disk, to where its own part was moved, hides nothing of this one. What a tag leads to is a
/// revision of its own repository, which is held already: of the other one only the tag is needed.
pub fn hold_what_they_lead_to(storage: &dyn Storage, walked: &mut Walked) {
    let mut holds_all = None;
    for Link { path, target } in links(storage, walked) {
        let target = target.map(|target| resolved(storage, &path, target));
        if target.as_ref().is_some_and(|target| !may_lead_elsewhere(storage, &path, target)) {
            continue;
        }
        let repositories = &mut walked.repositories.repositories;
        if path.ancestors().any(|above| above.ends_with("_manifests/tags")) {
            for repository in repositories {
                if target.as_ref().is_none_or(|target| is_in(target, &repository.name)) {
                    repository.notes.hold(HoldScope::Repository, CODE, &path);
                }
            }
            continue;
        }
        // What something else is read from is no upload that can be given up.
        let mut names = target.iter().flatten().skip_while(|name| *name != "_uploads");
        if let Some(id) = names.nth(1).map(text_of) {
            for repository in repositories {
                repository.uploads.retain(|upload| upload.id != id);
            }
        }
        holds_all = holds_all.or(Some(path));
    }
    let Some(path) = holds_all else { return };
    walked.blobs.notes.hold(HoldScope::Storage, CODE, &path);
    for repository in &mut walked.repositories.repositories {
        repository.notes.hold(HoldScope::Repository, CODE, &path);
    }
}

const CODE: Code = Code::SymlinkNotFollowed;

/// The links that were found.
fn links(storage: &dyn Storage, walked: &Walked) -> Vec<Link> {
    let of_repositories = walked.repositories.repositories.iter().map(|found| &found.notes);
    let others = [&walked.blobs.notes, &walked.repositories.notes];
    let findings = others.into_iter().chain(of_repositories).flat_map(|notes| &notes.findings);
    findings.filter_map(|finding| link_of(storage, finding)).collect()
}

fn link_of(storage: &dyn Storage, finding: &Finding) -> Option<Link> {
    let is_link = match finding.code {
        CODE => true,
        // The link file of a tag may be one.
        Code::TagLinkUnreadable => false,
        _ => return None,
    };
    let path = PathBuf::from(bytes_of(&finding.path)?);
    let target = storage.link_target(&path).ok();
    (is_link || target.is_some()).then_some(Link { path, target })
}

/// Where a link leads: a path below the storage's root if it is there, else as the link has it.
fn resolved(storage: &dyn Storage, path: &Path, target: PathBuf) -> PathBuf {
    let inside = match target.strip_prefix(storage.root()) {
        Ok(below) => normal(below),
        Err(_) if target.is_absolute() => None,
        Err(_) => normal(&path.parent().unwrap_or(Path::new("")).join(&target)),
    };
    inside.unwrap_or(target)
}

fn may_lead_elsewhere(storage: &dyn Storage, path: &Path, target: &Path) -> bool {
    let layout = storage.layout();
    if target.starts_with(layout.blobs()) || target.starts_with(layout.repositories()) {
        return !target.starts_with(own_part(path));
    }
    // The storage may have another path where its registry runs.
    let own: Vec<&OsStr> = path.iter().collect();
    let is_other_blob = target.iter().any(|name| is_hex(name, 64) && !own.contains(&name));
    let is_other_shard = || {
        let (own, other) = (path.file_name(), target.file_name());
        own != other
            && own.zip(other).is_some_and(|(own, other)| is_hex(own, 2) && is_hex(other, 2))
    };
    let is_other_repository = || {
        let below = |path: &Path| -> Option<PathBuf> {
            let mut names = path.iter().take_while(|name| !is_part(name));
            names.any(|name| name == "repositories").then(|| names.collect())
        };
        below(target).is_some_and(|other| below(path) != Some(other))
    };
    is_other_blob || is_other_shard() || is_other_repository()
}

/// Whether a path leads into the repository of this name.
fn is_in(path: &Path, name: &str) -> bool {
    let before: PathBuf = path.iter().take_while(|name| !is_part(name)).collect();
    bytes_of(name).is_some_and(|name| before.ends_with(Path::new("repositories").join(name)))
}

/// The directory of the part of a repository, or of the blob, in which a link stands.
fn own_part(path: &Path) -> &Path {
    let is_own = |above: &&Path| {
        above.file_name().is_some_and(|name| is_part(name) || is_hex(name, 64)) && *above != path
    };
    path.ancestors().find(is_own).unwrap_or(path)
}

fn is_part(name: &OsStr) -> bool {
    name == "_layers" || name == "_manifests" || name == "_uploads"
}

fn is_hex(name: &OsStr, length: usize) -> bool {
    name.len() == length && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit)
}

/// A path below the root without `.` and `..`; `None` when it leads out.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => found.push(name),
            Component::CurDir => {}
            Component::ParentDir if found.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(found)
}
