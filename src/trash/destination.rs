//! Where a run keeps what it takes: the one rule, for lists of every version.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use super::moves::Move;
use super::paths::FILES;

/// The first version in which things lie under their number in the list, in one directory: names of a few
/// bytes instead of whole trees, so that a trash takes hardly any space.
const FIRST_FLAT_SCHEMA: u64 = 2;

/// Where the things of one run lie.
#[derive(Debug)]
pub struct Destination {
    files: PathBuf,
    is_flat: bool,
    /// Numbers in the list, by the hash of the path: a list may hold millions.
    numbers: HashMap<u64, u32>,
    hasher: RandomState,
}

impl Destination {
    /// Of the run in `directory`, whose list holds `moves`.
    pub fn new(directory: &Path, schema: u64, moves: &[Move]) -> Self {
        let hasher = RandomState::new();
        let all = (0..).zip(moves);
        let numbers = all.map(|(number, item)| (hasher.hash_one(&item.path), number)).collect();
        let (files, is_flat) = (directory.join(FILES), schema >= FIRST_FLAT_SCHEMA);
        Self { files, is_flat, numbers, hasher }
    }

    /// The place of the move with this number in the list.
    pub fn of(&self, number: usize, item: &Move) -> PathBuf {
        if self.is_flat { self.files.join(number.to_string()) } else { self.files.join(&item.path) }
    }

    /// The place of something in the list, or of what lies below it. What is neither has a place in
    /// which nothing lies.
    pub fn of_path(&self, path: &Path) -> PathBuf {
        if !self.is_flat {
            return self.files.join(path);
        }
        for listed in path.ancestors() {
            if let Some(number) = self.number(listed)
                && let Ok(below) = path.strip_prefix(listed)
            {
                let place = self.files.join(number.to_string());
                return if below.as_os_str().is_empty() { place } else { place.join(below) };
            }
        }
        self.files.join("none")
    }

    /// Whether the list holds the path.
    pub fn has(&self, path: &Path) -> bool {
        self.number(path).is_some()
    }

    fn number(&self, path: &Path) -> Option<u32> {
        self.numbers.get(&self.hasher.hash_one(path)).copied()
    }
}
