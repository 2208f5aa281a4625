//! The one walk to unknown depth through a storage that something is removed from or put back to.
//!
//! It lists each directory through [`Storage::list`], which never goes through a symbolic link, also
//! when one is put in the place of a directory meanwhile. A walk by paths (walkdir) looks each path
//! up from the root of the file system again and goes through such a link.

use std::io;
use std::path::Path;

use super::{FileKind, Storage};

/// A repository's name has 255 bytes, so no tree of a registry is deeper.
pub const MAX_DEPTH: usize = 160;

/// Takes a path, what lies there and, for a directory, the error of listing it.
pub type Visit<'a> = dyn FnMut(&Path, FileKind, io::Result<()>) -> io::Result<()> + 'a;

/// Visits all below `directory` and then itself: what a directory holds comes before it. A directory
/// comes with the error of listing it, if there was one; nothing below it was visited then.
/// What `is_left_out` is neither visited nor entered.
///
/// # Errors
/// The first one that `visit` gives; the walk ends there.
pub fn walk_up(
    storage: &dyn Storage,
    directory: &Path,
    is_left_out: &dyn Fn(&Path) -> bool,
    visit: &mut Visit<'_>,
) -> io::Result<()> {
    below(storage, directory, MAX_DEPTH, is_left_out, visit)
}

fn below(
    storage: &dyn Storage,
    directory: &Path,
    depth: usize,
    is_left_out: &dyn Fn(&Path) -> bool,
    visit: &mut Visit<'_>,
) -> io::Result<()> {
    let entries = match depth {
        0 => Err(io::Error::other("the directory is too deep for a registry's")),
        _ => storage.list(directory),
    };
    let listed = match entries {
        Ok(entries) => {
            for entry in entries {
                let path = directory.join(entry.name);
                if is_left_out(&path) {
                    continue;
                }
                match entry.kind {
                    FileKind::Directory => below(storage, &path, depth - 1, is_left_out, visit)?,
                    kind => visit(&path, kind, Ok(()))?,
                }
            }
            Ok(())
        }
        Err(error) => Err(error),
    };
    visit(directory, FileKind::Directory, listed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use walkdir::WalkDir;

    use super::*;
    use crate::storage::{FilesystemStorage, locate};

    /// Two directories, and one outside with a file. What is met first puts a link to the outside in
    /// the place of the other, which the walk is about to enter.
    #[test]
    fn a_link_that_takes_the_place_of_a_directory_is_not_entered() {
        let top = tempfile::tempdir().unwrap();
        let (root, outside) = (top.path().join("registry"), top.path().join("outside"));
        let repositories = root.join("docker/registry/v2/repositories");
        fs::create_dir_all(root.join("docker/registry/v2/blobs")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        let make = || {
            for name in ["a", "b"] {
                drop(fs::remove_file(repositories.join(name)));
                fs::create_dir_all(repositories.join(name)).unwrap();
            }
        };
        let swap = |met: &Path| {
            let other = repositories.join(if met.ends_with("a") { "b" } else { "a" });
            if fs::remove_dir(&other).is_ok() {
                symlink(&outside, &other).unwrap();
            }
        };
        let is_outside = |path: &PathBuf| path.ends_with("precious");

        make();
        let storage = FilesystemStorage::open(locate(&root).unwrap()).unwrap();
        let mut met = Vec::new();
        walk_up(&storage, &storage.layout().repositories(), &|_| false, &mut |path, _, listed| {
            met.push((path.to_owned(), listed.is_ok()));
            swap(path);
            Ok(())
        })
        .unwrap();
        assert!(!met.iter().any(|(path, _)| is_outside(path)), "{met:?}");
        assert_eq!(met.iter().filter(|(_, is_listed)| !is_listed).count(), 1, "{met:?}");

        // A walk by paths enters it: the reason for this one.
        make();
        let mut met = Vec::new();
        for entry in WalkDir::new(&repositories).contents_first(true).sort_by_file_name() {
            met.push(entry.unwrap().into_path());
            swap(&met[0]);
        }
        assert!(met.iter().any(is_outside), "{met:?}");
    }
}
