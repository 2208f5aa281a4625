//! Walking one repository, and its `_manifests/{revisions,tags}`; `_layers` is in `layers`, `_uploads`
//! in `uploads`.
//!
//! Each part gives what it found and what it could not read. A part that cannot be listed is a
//! hold, never an empty part: an unknown revision may need any of what looks like garbage.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{Code, Digest, LinkContent, MAX_LINK_BYTES, is_tag_name, parse_link, text_of};
use crate::storage::{Entry, FileKind, Leaf, LeafOptions, LeafState};

use super::Depth;
use super::blobs::note_others;
use super::facts::{HoldScope, LinkFacts, Notes, RepositoryFacts, TagFacts};
use super::fingerprint::Fingerprint;
use super::part::{Look, Part};
use super::walk::{Hashed, Listing, Walk, code_of, kind_of};

/// Beside a tag's link: the directory whose stamp changes when an entry of the tag's history goes.
const TAG_INDEX: &str = "index/sha256";

/// Its own, `current` and those of its index.
const TAG_DIRECTORIES: u64 = 4;

/// `_manifests`, `revisions`, `sha256` and `tags`.
const MANIFEST_DIRECTORIES: u64 = 4;

/// Walks the repository at `path`.
pub fn walk_repository(look: Look<'_>, path: &Path, name: String) -> RepositoryFacts {
    let Look { storage, depth, owner, .. } = look;
    let walk = Walk { look, storage, name: &name, path, depth, owner, only_compares: false };
    let (manifests, (layers, uploads)) = if look.known.is_some() {
        let manifests = walk.manifests();
        // A push that brings no new layer writes their links again, in place.
        let layers = walk.layers(manifests.part.is_same);
        (manifests, (layers, walk.uploads()))
    } else {
        rayon::join(|| walk.manifests(), || rayon::join(|| walk.layers(false), || walk.uploads()))
    };

    let mut fingerprint = Fingerprint::default();
    for part in [&manifests.fingerprint, &layers.fingerprint, &uploads.fingerprint] {
        fingerprint.part(part);
    }
    let mut notes = manifests.notes;
    notes.append(layers.notes);
    notes.append(uploads.notes);
    notes.settle_clutter(Some(&name));
    notes.findings.sort_unstable();
    fingerprint.findings(&notes.findings);
    RepositoryFacts {
        path: path.to_owned(),
        revisions: manifests.revisions,
        tags: manifests.tags,
        layer_links: layers.links,
        has_manifests: manifests.exists,
        has_revisions: manifests.has_revisions,
        has_tags_directory: manifests.has_tags_directory,
        has_layers: layers.exists,
        uploads: uploads.found,
        upload_usage: uploads.usage,
        fingerprint: fingerprint.finish(),
        notes,
        name,
        manifests_part: manifests.part,
        layers_part: layers.part,
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is seen by itself")]
struct Manifests {
    exists: bool,
    has_revisions: bool,
    has_tags_directory: bool,
    /// Of some tag only its link distinguishes it from another.
    has_unstamped_tag: bool,
    revisions: Vec<LinkFacts>,
    tags: Vec<TagFacts>,
    notes: Notes,
    fingerprint: [u8; 32],
    part: Part,
}

impl Walk<'_> {
    fn manifests(&self) -> Manifests {
        let directory = self.path.join("_manifests");
        if let Some(known) = self.look.known_part(&directory)
            && self.quick_manifests(&directory) == Some(known.quick)
        {
            return Manifests {
                exists: true,
                has_revisions: true,
                has_tags_directory: true,
                fingerprint: known.fingerprint,
                part: Part::same(known),
                ..Manifests::default()
            };
        }
        let mut found = Manifests::default();
        let mut hashed = Hashed::of(MANIFEST_DIRECTORIES);
        match self.list(&mut found.notes, &directory) {
            Listing::Missing => {}
            Listing::Unreadable(code) => {
                found.exists = true;
                found.has_revisions = true;
                found.notes.hold(HoldScope::Manifests, code, &directory);
            }
            Listing::Found(entries) => {
                found.exists = true;
                for entry in &entries {
                    if entry.name != "revisions" && entry.name != "tags" {
                        let path = directory.join(&entry.name);
                        self.note_foreign(&mut found.notes, &path, entry.kind);
                    }
                }
                self.revisions(&directory.join("revisions"), &mut found, &mut hashed);
                self.tags(&directory.join("tags"), &mut found, &mut hashed);
            }
        }
        found.part.usage = hashed.usage;
        (found.fingerprint, found.part.known) = hashed.remember(&found.notes, |newest_ns| {
            // The history of a tag is known by the stamp of its directory.
            let is_plain = |link: &LinkFacts| {
                matches!(link.name, Digest::Sha256(_)) && link.other_target.is_none()
            };
            (found.has_revisions
                && found.has_tags_directory
                && !found.has_unstamped_tag
                && self.look.is_settled(newest_ns)
                && found.revisions.iter().all(is_plain)
                && self.look.stamps(&[&directory]).is_some())
            .then(Vec::new)
        });
        found
    }

    /// The hash that a full look at a `_manifests` without faults would give its entries; `None` when
    /// it has faults.
    fn quick_manifests(&self, directory: &Path) -> Option<[u8; 32]> {
        let mut notes = Notes::default();
        let revisions = directory.join("revisions");
        let has_only = |path: &Path, known: &[&str]| {
            self.storage.list(path).is_ok_and(|entries| {
                entries.iter().all(|entry| {
                    entry.kind == FileKind::Directory
                        && known.iter().any(|name| entry.name == *name)
                })
            })
        };
        if !has_only(directory, &["revisions", "tags"]) || !has_only(&revisions, &["sha256"]) {
            return None;
        }
        let mut hashed = Hashed::default();
        let quick = Self { depth: Depth::Quick, only_compares: true, ..*self };
        let links = quick.list_links(&revisions.join("sha256"), &mut notes).ok()?;
        hashed.leaves(&mut links?, 1);
        hashed.leaves(&mut quick.list_tags(&directory.join("tags")).ok()??, TAG_DIRECTORIES);
        notes.is_empty().then(|| hashed.quick.finish())
    }

    fn revisions(&self, directory: &Path, found: &mut Manifests, hashed: &mut Hashed) {
        let mut algorithms = match self.list(&mut found.notes, directory) {
            Listing::Found(entries) => entries,
            Listing::Unreadable(code) => {
                found.has_revisions = true;
                return found.notes.hold(HoldScope::Manifests, code, directory);
            }
            Listing::Missing => return,
        };
        found.has_revisions = true;
        algorithms.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for entry in algorithms {
            let path = directory.join(&entry.name);
            let algorithm = text_of(&entry.name);
            if !self.may_hold_links(&path, entry.kind, HoldScope::Manifests, &mut found.notes) {
                continue;
            }
            let digest_of = |encoded: &str| Digest::from_parts(&algorithm, encoded);
            let unreadable = Code::RevisionLinkUnreadable;
            match self.links(&path, hashed, &mut found.notes, unreadable, &digest_of) {
                Ok(links) => {
                    for (link, mut others) in links {
                        // Registries up to 2.3: read when the manifest turns out to be one of theirs.
                        others.retain(|entry| entry.name != "signatures");
                        if !others.is_empty() {
                            let inside = path.join(link.name.encoded());
                            note_others(&mut found.notes, Some(self.name), &inside, &others);
                        }
                        found.revisions.push(link);
                    }
                }
                Err(code) => found.notes.hold(HoldScope::Manifests, code, &path),
            }
        }
    }

    /// `None` when there is no such directory.
    fn list_tags(&self, directory: &Path) -> io::Result<Option<Vec<Leaf>>> {
        let options = LeafOptions {
            content_limit: (self.depth >= Depth::Full).then_some(MAX_LINK_BYTES),
            list_others: self.depth == Depth::Deep,
            beside: Some(TAG_INDEX),
            only_compares: self.only_compares,
            ..LeafOptions::default()
        };
        match self.storage.list_leaves(directory, Path::new("current/link"), options) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            listed => listed.map(Some),
        }
    }

    fn tags(&self, directory: &Path, found: &mut Manifests, hashed: &mut Hashed) {
        let mut leaves = match self.list_tags(directory) {
            Ok(Some(leaves)) => leaves,
            Ok(None) => return,
            Err(error) => {
                found.has_tags_directory = true;
                let code = self.note_unlistable(&mut found.notes, directory, &error);
                return found.notes.hold(HoldScope::Manifests, code, directory);
            }
        };
        found.has_tags_directory = true;
        hashed.leaves(&mut leaves, TAG_DIRECTORIES);
        hashed.full.contents(&leaves);
        found.has_unstamped_tag = leaves.iter().any(|leaf| leaf.beside.is_none());
        for leaf in leaves {
            found.tags.extend(self.tag(directory, leaf, &mut found.notes, hashed));
        }
    }

    fn tag(
        &self,
        directory: &Path,
        leaf: Leaf,
        notes: &mut Notes,
        hashed: &mut Hashed,
    ) -> Option<TagFacts> {
        let path = directory.join(&leaf.name);
        if notes.count_clutter(&path, kind_of(&leaf.state)) {
            return None;
        }
        let current = path.join("current/link");
        let name = text_of(&leaf.name);
        let mut tag = TagFacts {
            name,
            target: None,
            is_unreadable: false,
            modified_ns: None,
            entries: Vec::new(),
        };
        let (mut unreadable, mut code) = (None, Code::TagLinkUnreadable);
        let mut fault_path = current.clone();
        match leaf.state {
            LeafState::File { facts, content } => {
                tag.modified_ns = Some(facts.modified_ns);
                if let Some(detail) = self.owner.is_shut_out(&facts) {
                    self.find(notes, Code::PermissionsWrong, &current, detail);
                }
                match content.map(|content| content.map(|bytes| parse_link(&bytes))) {
                    None => {}
                    Some(Ok(LinkContent::Clean(target))) => tag.target = Some(target),
                    Some(Ok(LinkContent::Spaced(target))) => {
                        let detail = "white space stands around the digest";
                        self.find(notes, Code::LinkWhitespace, &current, detail);
                        tag.target = Some(target);
                    }
                    Some(Ok(LinkContent::Nothing(reason))) => unreadable = Some(reason),
                    Some(Err(error)) => {
                        notes.is_incomplete = true;
                        code = code_of(&error, code);
                        unreadable = Some(format!("the link cannot be read: {error}"));
                    }
                }
            }
            LeafState::Missing => {
                self.find(notes, Code::HalfTag, &path, "the tag has no current link");
            }
            LeafState::NotAFile(facts) => {
                if facts.kind == FileKind::Symlink {
                    code = Code::SymlinkNotFollowed;
                }
                unreadable = Some("the link is not a regular file".into());
            }
            LeafState::Unreadable(error) => {
                notes.is_incomplete = true;
                code = code_of(&error, code);
                let is_symlink = |path: &PathBuf| {
                    self.storage.stat(path).is_ok_and(|facts| facts.kind == FileKind::Symlink)
                };
                let on_the_way = [path.join("current"), current.clone()];
                if let Some(symlink) = on_the_way.into_iter().find(is_symlink) {
                    code = Code::SymlinkNotFollowed;
                    fault_path = symlink;
                }
                unreadable = Some(format!("the link cannot be looked at: {error}"));
            }
            LeafState::NotADirectory(FileKind::Symlink) => {
                // It may be a tag, and lead to any manifest of this repository.
                self.find(notes, Code::SymlinkNotFollowed, &path, "a symbolic link stands here");
                notes.hold(HoldScope::Manifests, Code::SymlinkNotFollowed, &path);
                return None;
            }
            LeafState::NotADirectory(kind) => {
                self.note_foreign(notes, &path, kind);
                return None;
            }
        }
        if !is_tag_name(&tag.name) {
            self.find(notes, Code::TagNameInvalid, &path, "the registry refuses this name");
        }
        if let Some(reason) = unreadable {
            self.find(notes, code, &fault_path, reason);
            tag.is_unreadable = true;
        }
        if self.depth >= Depth::Full {
            self.inside_tag(&path, leaf.others, &mut tag, notes, hashed);
        }
        Some(tag)
    }

    fn inside_tag(
        &self,
        path: &Path,
        mut others: Vec<Entry>,
        tag: &mut TagFacts,
        notes: &mut Notes,
        hashed: &mut Hashed,
    ) {
        others.retain(|entry| entry.name != "index");
        note_others(notes, Some(self.name), path, &others);
        if self.depth == Depth::Deep {
            let current = path.join("current");
            let mut beside = self.storage.list(&current).unwrap_or_default();
            beside.retain(|entry| entry.name != "link");
            note_others(notes, Some(self.name), &current, &beside);
        }
        let index = path.join(TAG_INDEX);
        // What the index remembers counts only when the tag itself says nothing, so its links need
        // no reading; their names are what the registry goes by.
        let options =
            LeafOptions { list_others: self.depth == Depth::Deep, ..LeafOptions::default() };
        match self.storage.list_leaves(&index, Path::new("link"), options) {
            Ok(mut leaves) => {
                hashed.full.leaves(&mut leaves);
                hashed.usage.add_leaves(&leaves, 1);
                for leaf in leaves {
                    let inside = index.join(&leaf.name);
                    let digest =
                        leaf.name.to_str().and_then(|hex| Digest::from_sha256_hex(hex.as_bytes()));
                    if digest.is_some() {
                        note_others(notes, Some(self.name), &inside, &leaf.others);
                    }
                    match (digest, leaf.state) {
                        (Some(name), LeafState::File { facts, .. }) => {
                            tag.entries.push(LinkFacts {
                                name,
                                other_target: None,
                                modified_ns: facts.modified_ns,
                                is_doubtful: false,
                            });
                        }
                        (Some(name), LeafState::Missing) => {
                            // The registry writes the entry before the tag's own link: when that
                            // says nothing, a half-written entry may be what it was to say.
                            if tag.is_unreadable {
                                tag.entries.push(LinkFacts {
                                    name,
                                    other_target: None,
                                    modified_ns: 0,
                                    is_doubtful: true,
                                });
                            }
                            let detail = "the index entry has no link";
                            self.find(notes, Code::EmptyDirectory, &index.join(&leaf.name), detail);
                        }
                        (_, state) => {
                            self.note_foreign(notes, &index.join(&leaf.name), kind_of(&state));
                        }
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let code = self.note_unlistable(notes, &index, &error);
                if tag.is_unreadable {
                    notes.hold(HoldScope::Manifests, code, &index);
                }
            }
        }
        // A tag that says nothing and remembers nothing may have been any revision's.
        if tag.is_unreadable && tag.entries.is_empty() {
            notes.hold(HoldScope::Manifests, Code::TagLinkUnreadable, path);
        }
    }
}
