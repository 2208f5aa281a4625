//! Symbolic links from one part of a storage to another. A registry follows them, and a walk does not: what
//! only such a link needs seems to be needed by nothing. Programs that save space make them, and people who
//! share a repository's directories.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::model::{Code, Finding, HoldScope, bytes_of};
use crate::storage::Storage;

use super::Walked;

/// Keeps everything while a link may lead from one part of the storage to another. One that leads to
/// another disk, to where its own part was moved, hides nothing of this one.
pub fn hold_what_they_lead_to(storage: &dyn Storage, walked: &mut Walked) {
    let Some(path) = first_leading_elsewhere(storage, walked) else { return };
    walked.blobs.notes.hold(HoldScope::Storage, Code::SymlinkNotFollowed, &path);
    for repository in &mut walked.repositories.repositories {
        repository.notes.hold(HoldScope::Repository, Code::SymlinkNotFollowed, &path);
    }
}

fn first_leading_elsewhere(storage: &dyn Storage, walked: &Walked) -> Option<PathBuf> {
    let of_repositories = walked.repositories.repositories.iter().map(|found| &found.notes);
    let others = [&walked.blobs.notes, &walked.repositories.notes];
    let mut findings = others.into_iter().chain(of_repositories).flat_map(|notes| &notes.findings);
    findings.find_map(|finding| leading_elsewhere(storage, finding))
}

/// Where a link stands that may lead to another part of the storage, if that was found.
fn leading_elsewhere(storage: &dyn Storage, finding: &Finding) -> Option<PathBuf> {
    let is_link = match finding.code {
        Code::SymlinkNotFollowed => true,
        // The link file of a tag may be one.
        Code::TagLinkUnreadable => false,
        _ => return None,
    };
    let path = PathBuf::from(bytes_of(&finding.path)?);
    let leads_there = match storage.link_target(&path) {
        Ok(target) => may_lead_elsewhere(storage, &path, &target),
        Err(_) => is_link,
    };
    leads_there.then_some(path)
}

fn may_lead_elsewhere(storage: &dyn Storage, path: &Path, target: &Path) -> bool {
    let inside = match target.strip_prefix(storage.root()) {
        Ok(below) => normal(below),
        Err(_) if target.is_absolute() => None,
        Err(_) => normal(&path.parent().unwrap_or(Path::new("")).join(target)),
    };
    if let Some(inside) = inside {
        let layout = storage.layout();
        let is_in_layout =
            inside.starts_with(layout.blobs()) || inside.starts_with(layout.repositories());
        return is_in_layout && !inside.starts_with(own_part(path));
    }
    // The storage may have another path where its registry runs.
    let own: Vec<&OsStr> = path.iter().collect();
    let names: Vec<&OsStr> = target.iter().collect();
    let is_other_blob = names.iter().any(|name| is_hex(name, 64) && !own.contains(name));
    let is_other_shard = || {
        let (own, other) = (path.file_name(), target.file_name());
        own != other
            && own.zip(other).is_some_and(|(own, other)| is_hex(own, 2) && is_hex(other, 2))
    };
    let is_other_repository = || {
        let below = |names: &[&OsStr]| -> Option<Vec<Box<OsStr>>> {
            let at = names.iter().position(|name| *name == "repositories")?;
            let names = names[at + 1..].iter().take_while(|name| !is_part(name));
            Some(names.map(|name| Box::from(*name)).collect())
        };
        below(&names).is_some_and(|other| below(&own) != Some(other))
    };
    is_other_blob || is_other_shard() || is_other_repository()
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
