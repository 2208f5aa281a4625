//! Where a run keeps things, and which paths it may take.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::storage::{Layout, paths};

/// regsql's own directory in a storage, beside `docker`.
pub const OWN: &str = paths::OWN;

/// The lock of whoever changes the storage.
pub const LOCK: &str = ".regsql/lock";
/// One directory a run.
pub const TRASH: &str = ".regsql/trash";

/// The list of what a run moves.
pub const MOVES: &str = "moves.jsonl";
/// Written last; without it a run is unfinished.
pub const DONE: &str = "done.json";
/// What was moved, under its number in the list.
pub const FILES: &str = "files";
/// Ends the name of a file that is not whole yet.
pub const PARTIAL: &str = ".part";
/// Begins the name of what is being copied into the trash.
pub const COPYING: &str = "copying-";
/// Begins the name of what is being removed for good.
pub const GONE: &str = "gone-";

/// The directory of a run, if its name is the name of one.
pub fn run_directory(run: &str) -> Option<PathBuf> {
    let is_name = |part: Component<'_>| part == Component::Normal(run.as_ref());
    let is_plain = run.len() <= 255 && !run.contains('\0');
    let mut parts = Path::new(run).components();
    let is_one = parts.next().is_some_and(is_name) && parts.next().is_none();
    (is_plain && is_one).then(|| Path::new(TRASH).join(run))
}

/// Whether `path` is plainly written, and lies strictly below `blobs` or `repositories`.
pub fn may_be_taken(layout: &Layout, path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let is_plain = bytes.split(|byte| *byte == b'/').all(|part| {
        !part.is_empty() && part != b"." && part != b".." && part.len() <= 255 && !part.contains(&0)
    });
    let is_below =
        |top: PathBuf| path.strip_prefix(top).is_ok_and(|rest| !rest.as_os_str().is_empty());
    is_plain && (is_below(layout.blobs()) || is_below(layout.repositories()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_blobs_and_repositories_may_be_taken() {
        let layout = Layout::new("docker/registry/v2".into());
        let may = |path: &str| may_be_taken(&layout, Path::new(path));
        assert!(may("docker/registry/v2/blobs/sha256/ab"));
        assert!(may("docker/registry/v2/repositories/a"));
        for path in [
            "",
            "/",
            ".",
            "docker",
            "docker/registry/v2/blobs",
            "docker/registry/v2/blobs/",
            "docker/registry/v2/blobs2/x",
            "/docker/registry/v2/blobs/x",
            "docker/registry/v2/blobs/../../../../etc",
            "docker/registry/v2/blobs/./x",
            "docker/registry/v2/blobs//x",
            "docker/registry/v2/blobs/x/",
            "docker/registry/v2/blobs/x\0",
            ".regsql/trash/x",
        ] {
            assert!(!may(path), "{path:?}");
        }
        assert!(may_be_taken(&Layout::new(PathBuf::new()), Path::new("blobs/sha256")));
    }

    #[test]
    fn a_run_is_named_by_one_plain_name() {
        assert_eq!(
            run_directory("20261121T070746Z"),
            Some(".regsql/trash/20261121T070746Z".into())
        );
        let long = "x".repeat(256);
        for name in ["", ".", "..", "a/b", "../a", "/a", "a/", "a/.", "./a", "a\0", &long] {
            assert_eq!(run_directory(name), None, "{name:?}");
        }
    }
}
