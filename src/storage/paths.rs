//! Where the things of a registry lie, by their names. Names from a database or a list are taken for what
//! they are: untrusted texts, of which each must be one plain path component (or several, for a
//! repository).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::Layout;
use crate::model::{Digest, bytes_of};

/// regsql's own directory in a storage, beside `docker`.
pub const OWN: &str = ".regsql";

/// The directory of a repository.
pub fn repository(layout: &Layout, name: &str) -> Option<PathBuf> {
    let name = PathBuf::from(bytes_of(name)?);
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && !name.as_os_str().is_empty()).then(|| layout.repositories().join(name))
}

/// The directory of a tag.
pub fn tag(repository: &Path, name: &str) -> Option<PathBuf> {
    Some(repository.join("_manifests/tags").join(one_component(name)?))
}

/// The directory of a revision.
pub fn revision(repository: &Path, digest: &Digest) -> Option<PathBuf> {
    Some(repository.join("_manifests/revisions").join(of_digest(digest)?))
}

/// The directory of a layer link.
pub fn layer_link(repository: &Path, digest: &Digest) -> Option<PathBuf> {
    Some(repository.join("_layers").join(of_digest(digest)?))
}

/// The directory of an upload.
pub fn upload(repository: &Path, id: &str) -> Option<PathBuf> {
    Some(repository.join("_uploads").join(one_component(id)?))
}

/// The directory of a blob.
pub fn blob(layout: &Layout, digest: &Digest) -> Option<PathBuf> {
    match digest {
        Digest::Sha256(_) => Some(layout.blob_data(&digest.encoded()).parent()?.to_owned()),
        Digest::Other(_) => None,
    }
}

/// Whether a name is that of a file that is still being written, or whose writer was killed: version 3.1
/// writes `<name>.<uuid>.tmp` beside a file and renames it (distribution v3.1
/// `driver/filesystem/driver.go`).
pub fn is_unfinished(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".tmp")
}

/// `<algorithm>/<encoded>`; tarsum's lie deeper, and nothing here touches those.
pub fn of_digest(digest: &Digest) -> Option<PathBuf> {
    match digest {
        Digest::Sha256(_) => Some(Path::new("sha256").join(digest.encoded())),
        Digest::Other(text) if text.starts_with("sha512:") => {
            Some(Path::new("sha512").join(digest.encoded()))
        }
        Digest::Other(_) => None,
    }
}

fn one_component(name: &str) -> Option<PathBuf> {
    let name = PathBuf::from(bytes_of(name)?);
    let mut parts = name.components();
    let is_one = matches!(parts.next(), Some(Component::Normal(only)) if only == name.as_os_str());
    (is_one && parts.next().is_none()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_climbs_leads_nowhere() {
        let layout = Layout::new("v2".into());
        let inside = repository(&layout, "a/b").unwrap();
        assert_eq!(inside, Path::new("v2/repositories/a/b"));
        for name in ["", "..", "a/../../b", "/etc", "./a", r"\x2e\x2e/x"] {
            assert_eq!(
                repository(&layout, name).filter(|path| !path.starts_with("v2/repositories")
                    || path.components().any(|part| part == Component::ParentDir)),
                None,
                "{name}"
            );
        }
        for name in ["", ".", "..", "a/b", "/", "a/"] {
            assert_eq!(tag(&inside, name), None, "{name}");
            assert_eq!(upload(&inside, name), None, "{name}");
        }
        assert_eq!(
            tag(&inside, "v1").unwrap(),
            Path::new("v2/repositories/a/b/_manifests/tags/v1")
        );
    }
}
