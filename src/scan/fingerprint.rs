//! A hash over everything the walk saw: equal means that nothing changed.
//!
//! SHA-256, because names come from whoever may push, and because it costs 1 % of the walk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use sha2::{Digest as _, Sha256};

use crate::model::Finding;
use crate::storage::{Leaf, LeafState};

/// Collects facts in a fixed order.
#[derive(Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds a name, separated from its neighbours by its length.
    pub fn name(&mut self, name: &OsStr) {
        self.number(name.len() as u64);
        self.0.update(name.as_bytes());
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    /// Adds what was found wrong, whatever its order.
    pub fn findings(&mut self, findings: &[Finding]) {
        let mut found: Vec<_> =
            findings.iter().map(|one| [&*one.path, one.code.name(), &*one.detail]).collect();
        found.sort_unstable();
        for text in found.into_iter().flatten() {
            self.name(OsStr::new(text));
        }
    }

    /// Adds the hash of a part.
    pub fn part(&mut self, part: &[u8; 32]) {
        self.0.update(part);
    }

    /// Adds leaves, which are sorted by name first: directories have no order. Returns the newest of
    /// their times.
    pub fn leaves(&mut self, leaves: &mut [Leaf]) -> i64 {
        let mut newest_ns = i64::MIN;
        leaves.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.number(leaves.len() as u64);
        for leaf in leaves {
            self.name(&leaf.name);
            match &leaf.state {
                LeafState::File { facts, .. } => {
                    self.number(1);
                    self.number(facts.size_bytes);
                    self.number(facts.modified_ns as u64);
                    self.number(facts.changed_ns as u64);
                    self.number(facts.inode);
                    newest_ns = newest_ns.max(facts.modified_ns).max(facts.changed_ns);
                }
                LeafState::NotAFile(_) => self.number(2),
                LeafState::Missing => self.number(3),
                LeafState::NotADirectory(_) => self.number(4),
                LeafState::Unreadable(_) => self.number(5),
            }
            if let Some(stamp) = leaf.beside {
                self.number(stamp.inode);
                self.number(stamp.modified_ns as u64);
                self.number(stamp.changed_ns as u64);
                newest_ns = newest_ns.max(stamp.newest_ns());
            }
        }
        newest_ns
    }

    /// Adds what leaves hold, as far as it was read: times do not show a change in the same tick of
    /// the clock.
    pub fn contents(&mut self, leaves: &[Leaf]) {
        for leaf in leaves {
            if let LeafState::File { content: Some(Ok(bytes)), .. } = &leaf.state {
                self.number(bytes.len() as u64);
                self.0.update(bytes);
            } else {
                self.number(u64::MAX);
            }
        }
    }

    /// The hash.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
