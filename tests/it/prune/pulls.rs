//! What a pull of each tag gets, read from the files as the registry reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use regsql::model::Digest;
use regsql::sample::paths;
use serde_json::Value;

/// A repository's directory below `repositories`, and a tag's name.
pub type TagAt = (PathBuf, OsString);

/// By tag: everything that a pull asks for, and whether it gets it.
pub type Pulls = BTreeMap<TagAt, BTreeMap<String, bool>>;

/// Every tag below `root`.
pub fn pulls(root: &Path) -> Pulls {
    let top = root.join(paths::V2).join("repositories");
    let mut pulls = Pulls::new();
    let mut pending = vec![top.clone()];
    while let Some(directory) = pending.pop() {
        for path in names(&directory) {
            if path.file_name().unwrap() == "_manifests" {
                repository(root, &top, &directory, &mut pulls);
            } else if path.is_dir() && !path.is_symlink() {
                pending.push(path);
            }
        }
    }
    pulls
}

/// The tags of which every part is there.
pub fn whole(pulls: &Pulls) -> BTreeSet<&TagAt> {
    pulls
        .iter()
        .filter(|(_, got)| got.values().all(|is_there| *is_there))
        .map(|(at, _)| at)
        .collect()
}

/// Fails unless every tag that is there was there before, and a pull of it gets all that it got.
#[track_caller]
pub fn assert_none_lost(before: &Pulls, after: &Pulls, when: &str) {
    for (at, got) in after {
        let had = before.get(at).unwrap_or_else(|| panic!("{when}: {at:?} is new"));
        for (thing, is_there) in had {
            let is_still = got.get(thing).copied().unwrap_or(false);
            assert!(!is_there || is_still, "{when}: {at:?} lost {thing}; it gets {got:#?}");
        }
    }
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn repository(root: &Path, top: &Path, directory: &Path, pulls: &mut Pulls) {
    let subjects = subjects(root, directory);
    for tag in names(&directory.join("_manifests/tags")) {
        let Some(digest) = link(&tag.join("current/link")) else {
            continue;
        };
        let mut got = BTreeMap::new();
        let mut pending = vec![digest];
        while let Some(digest) = pending.pop() {
            let data = fs::read(root.join(paths::blob(&digest))).ok();
            let hex = digest.encoded();
            let revision = directory.join("_manifests/revisions/sha256").join(&hex).join("link");
            let is_whole = data.as_ref().is_some_and(|data| Digest::of(data) == digest);
            if got.insert(digest.to_string(), is_whole && revision.is_file()).is_some() {
                continue;
            }
            let json: Value =
                data.and_then(|data| serde_json::from_slice(&data).ok()).unwrap_or_default();
            for named in digests(&json, &["layers", "blobs", "fsLayers"]) {
                got.insert(named.to_string(), is_served(root, directory, &named));
            }
            for named in digests(&json, &["manifests"]) {
                if directory.join("_layers/sha256").join(named.encoded()).exists() {
                    got.insert(named.to_string(), is_served(root, directory, &named));
                } else {
                    pending.push(named);
                }
            }
            let about = subjects.iter().filter(|(_, subject)| *subject == digest);
            pending.extend(about.map(|(referrer, _)| referrer.clone()));
        }
        let at = directory.strip_prefix(top).unwrap().to_owned();
        pulls.insert((at, tag.file_name().unwrap().to_owned()), got);
    }
}

/// Revisions that are about a manifest, with that manifest.
fn subjects(root: &Path, directory: &Path) -> Vec<(Digest, Digest)> {
    let mut found = Vec::new();
    for revision in names(&directory.join("_manifests/revisions/sha256")) {
        let name = revision.file_name().unwrap().to_str().unwrap_or_default();
        let Some(digest) = Digest::from_sha256_hex(name.as_bytes()) else {
            continue;
        };
        let data = fs::read(root.join(paths::blob(&digest))).unwrap_or_default();
        let json: Value = serde_json::from_slice(&data).unwrap_or_default();
        if let Some(Ok(subject)) = json["subject"]["digest"].as_str().map(Digest::parse) {
            found.push((digest, subject));
        }
    }
    found
}

/// Whether a `GET` of a blob gets bytes: a link in the repository, and the data it leads to.
fn is_served(root: &Path, directory: &Path, digest: &Digest) -> bool {
    let text = digest.to_string();
    let (algorithm, hex) = text.split_once(':').unwrap();
    let target = link(&directory.join("_layers").join(algorithm).join(hex).join("link"));
    target.is_some_and(|target| root.join(paths::blob(&target)).is_file())
}

fn link(path: &Path) -> Option<Digest> {
    Digest::parse(fs::read_to_string(path).ok()?.trim()).ok()
}

/// The config's digest and those of these lists.
fn digests(json: &Value, lists: &[&str]) -> Vec<Digest> {
    let of_lists = lists.iter().filter_map(|list| json[*list].as_array()).flatten();
    let config = Some(&json["config"]).filter(|_| lists.contains(&"layers"));
    let texts = of_lists
        .chain(config)
        .filter_map(|item| item["digest"].as_str().or_else(|| item["blobSum"].as_str()));
    texts.filter_map(|text| Digest::parse(text).ok()).collect()
}
