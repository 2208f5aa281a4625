//! Looking for a registry's root below a directory, within bounds.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{V2, has_halves};
use crate::model::clutter;

/// How many names of a directory are read.
const MAX_NAMES: usize = 2_000;

/// From `/var/lib` to a volume of a container engine: `docker/volumes/NAME/_data`.
const MAX_DEPTH: usize = 5;

/// Directories that are looked at: a moment on a warm disk.
const MAX_DIRECTORIES: usize = 10_000;

/// The first names in a directory, with whether each is a directory itself.
pub fn names(directory: &Path) -> io::Result<Vec<(OsString, bool)>> {
    let entries = std::fs::read_dir(directory)?.flatten().take(MAX_NAMES);
    let named = entries.map(|entry| {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        (entry.file_name(), is_directory)
    });
    Ok(named.collect())
}

/// Root directories of registries below a directory.
pub struct Found {
    /// In the order of their paths.
    pub roots: Vec<PathBuf>,
    /// Everything within the bounds could be looked at, so that there are no others.
    pub is_all: bool,
}

/// Looks for roots below `above`, level by level. No link is followed, and copies that a file
/// system or a sync program keeps are passed over.
pub fn roots_below(above: &Path) -> Found {
    let mut found = Found { roots: Vec::new(), is_all: true };
    let mut looked_at = 0;
    let mut waiting = VecDeque::from([(above.to_owned(), 0)]);
    while let Some((directory, depth)) = waiting.pop_front() {
        if has_halves(&directory.join(V2)) {
            found.roots.push(directory);
            continue;
        }
        looked_at += 1;
        if looked_at > MAX_DIRECTORIES {
            found.is_all = false;
            break;
        }
        if depth == MAX_DEPTH {
            continue;
        }
        match names(&directory) {
            Ok(names) => waiting.extend(
                names
                    .into_iter()
                    .filter(|(name, is_directory)| *is_directory && !is_copy(name.as_bytes()))
                    .map(|(name, _)| (directory.join(name), depth + 1)),
            ),
            Err(_) => found.is_all = false,
        }
    }
    found.roots.sort_unstable();
    found
}

/// Whether what lies there may be a copy of a registry, and never is the one that is served.
fn is_copy(name: &[u8]) -> bool {
    clutter::program(name).is_some() || name == b".regsql"
}

/// Whether a directory below `top`, a few levels down, has a name that `is_wanted` takes. The top's
/// own error is given; others count as "no".
pub fn any_below(
    top: &Path,
    depth: usize,
    is_wanted: &dyn Fn(&Path, &[u8], bool) -> bool,
) -> io::Result<bool> {
    let mut looked_at = 0;
    // A directory is listed when its turn comes: what is looked for mostly lies in the first.
    let mut waiting = VecDeque::from([(top.to_owned(), 0)]);
    while let Some((directory, level)) = waiting.pop_front() {
        let entries = match names(&directory) {
            Err(error) if level == 0 => return Err(error),
            entries => entries.unwrap_or_default(),
        };
        for (name, is_directory) in entries {
            if is_wanted(&directory, name.as_bytes(), is_directory) {
                return Ok(true);
            }
            looked_at += 1;
            if is_directory && level + 1 < depth && looked_at <= MAX_DIRECTORIES {
                waiting.push_back((directory.join(&name), level + 1));
            }
        }
    }
    Ok(false)
}
