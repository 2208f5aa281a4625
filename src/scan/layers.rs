//! Walking `_layers` of one repository.

use std::path::Path;

use crate::model::{Code, Digest, text_of};
use crate::storage::{DirectoryStamp, Entry};

use super::Depth;
use super::blobs::note_others;
use super::facts::{HoldScope, LinkFacts, Notes};
use super::part::Part;
use super::walk::{Hashed, Listing, Walk};

/// How deep layer links may lie: `_layers/tarsum/v1/sha256/<hex>` is the deepest known.
const MAX_LINK_DEPTH: usize = 5;

/// `_layers` and `sha256`.
const LAYER_DIRECTORIES: u64 = 2;

#[derive(Default)]
pub struct Layers {
    pub links: Vec<LinkFacts>,
    pub exists: bool,
    pub notes: Notes,
    pub fingerprint: [u8; 32],
    pub part: Part,
}

impl Walk<'_> {
    pub fn layers(&self, may_be_same: bool) -> Layers {
        let directory = self.path.join("_layers");
        let sha256 = directory.join("sha256");
        let known = self.look.known_part(&directory).filter(|_| may_be_same);
        if let Some(known) = known
            && (self.look.has_stamps(known, &[&directory, &sha256])
                || !self.look.trusts_directories
                    && self.quick_layers(&directory, &sha256) == Some(known.quick))
        {
            return Layers {
                exists: true,
                fingerprint: known.fingerprint,
                part: Part::same(known),
                ..Layers::default()
            };
        }
        let stamps = self.look.stamps(&[&directory, &sha256]);
        let mut found = Layers::default();
        let mut hashed = Hashed::of(LAYER_DIRECTORIES);
        let mut is_usual = false;
        match self.list(&mut found.notes, &directory) {
            Listing::Missing => {}
            Listing::Unreadable(code) => {
                found.exists = true;
                // Links are where the registry resolves sha512 names: without them any blob may be
                // what a manifest means.
                found.notes.hold(HoldScope::Storage, code, &directory);
            }
            Listing::Found(entries) => {
                found.exists = true;
                is_usual = matches!(&entries[..], [only] if only.name == "sha256");
                self.layer_directories(&directory, entries, &[], &mut found, &mut hashed);
            }
        }
        found.part.usage = hashed.usage;
        (found.fingerprint, found.part.known) = hashed.remember(&found.notes, |newest_ns| {
            let stamps = stamps.filter(|_| is_usual)?;
            let newest_ns = stamps.iter().map(DirectoryStamp::newest_ns).fold(newest_ns, i64::max);
            self.look.is_settled(newest_ns).then_some(stamps)
        });
        found
    }

    /// As [`Self::quick_manifests`].
    fn quick_layers(&self, directory: &Path, sha256: &Path) -> Option<[u8; 32]> {
        let entries = self.storage.list(directory).ok()?;
        let is_usual = matches!(&entries[..], [only] if only.name == "sha256");
        let mut notes = Notes::default();
        let quick = Self { depth: Depth::Quick, ..*self };
        let mut links = quick.list_links(sha256, &mut notes).ok()??;
        let mut hashed = Hashed::default();
        hashed.leaves(&mut links, 1);
        (is_usual && notes.is_empty()).then(|| hashed.quick.finish())
    }

    /// `_layers/<algorithm>/<encoded>/link`, or `_layers/tarsum/<version>/<algorithm>/<encoded>/link`.
    fn layer_directories(
        &self,
        directory: &Path,
        mut entries: Vec<Entry>,
        above: &[String],
        found: &mut Layers,
        hashed: &mut Hashed,
    ) {
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            let path = directory.join(&entry.name);
            if !self.may_hold_links(&path, entry.kind, HoldScope::Storage, &mut found.notes) {
                continue;
            }
            if above.len() >= MAX_LINK_DEPTH {
                self.note_foreign(&mut found.notes, &path, entry.kind);
                continue;
            }
            let mut names = above.to_vec();
            names.push(text_of(&entry.name));
            if names[0] == "tarsum" && names.len() < 3 {
                match self.list(&mut found.notes, &path) {
                    Listing::Found(entries) => {
                        self.layer_directories(&path, entries, &names, found, hashed);
                    }
                    Listing::Unreadable(code) => found.notes.hold(HoldScope::Storage, code, &path),
                    Listing::Missing => {}
                }
                continue;
            }
            let algorithm = algorithm_of(&names);
            let digest_of = |encoded: &str| Digest::from_parts(&algorithm, encoded);
            let unreadable = Code::LayerLinkUnreadable;
            match self.links(&path, hashed, &mut found.notes, unreadable, &digest_of) {
                Ok(links) => {
                    for (link, others) in links {
                        if !others.is_empty() {
                            let inside = path.join(link.name.encoded());
                            note_others(&mut found.notes, Some(self.name), &inside, &others);
                        }
                        found.links.push(link);
                    }
                }
                Err(code) => found.notes.hold(HoldScope::Storage, code, &path),
            }
        }
    }
}

/// The algorithm part of a digest from the directories above its link. The 2.0 registry wrote
/// `tarsum.v1+sha256:<hex>` as `tarsum/v1/sha256/<hex>` (distribution 2.0 `registry/storage/paths.go`).
fn algorithm_of(directories: &[String]) -> String {
    match directories {
        [tarsum, version, algorithm] if tarsum == "tarsum" => match version.as_str() {
            "v0" => format!("tarsum+{algorithm}"),
            _ => format!("tarsum.{version}+{algorithm}"),
        },
        _ => directories.join("+"),
    }
}
