//! What the walk saw, before anything is concluded from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(super) use crate::model::HoldScope;
use crate::model::{Code, Digest, Finding, clutter, text_of};
use crate::storage::{FileKind, Usage};

use super::part::Part;

/// A blob whose `data` is a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobFacts {
    /// From its directory's name.
    pub digest: Digest,
    /// Size of `data`.
    pub size_bytes: u64,
    /// mtime of `data`.
    pub modified_ns: i64,
    /// ctime of `data`.
    pub changed_ns: i64,
    /// The number of `data` on its file system.
    pub inode: u64,
}

impl BlobFacts {
    /// The newer of its times.
    pub fn newest_ns(&self) -> i64 {
        self.modified_ns.max(self.changed_ns)
    }
}

/// A link file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// The digest that its directory names.
    pub name: Digest,
    /// The digest in the file, when it is another one.
    pub other_target: Option<Box<Digest>>,
    /// mtime of the file.
    pub modified_ns: i64,
    /// Its directory's name was taken for its content, which says nothing or something else.
    pub is_doubtful: bool,
}

impl LinkFacts {
    /// The digest that the registry resolves the link to.
    pub fn target(&self) -> &Digest {
        self.other_target.as_deref().unwrap_or(&self.name)
    }
}

/// A link by the numbers of its digests, which the graph turns into ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedLink {
    /// The digest that its directory names.
    pub name: u32,
    /// The digest that it resolves to.
    pub target: u32,
    /// mtime of the file.
    pub modified_ns: i64,
    /// Its directory's name was taken for its content, which says nothing or something else.
    pub is_doubtful: bool,
}

/// A tag by numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedTag {
    /// Its name.
    pub name: String,
    /// What it points at.
    pub target: Option<u32>,
    /// There is a link and it cannot be understood, so whatever the tag remembers counts.
    pub is_unreadable: bool,
    /// mtime of its link.
    pub modified_ns: Option<i64>,
    /// What it remembers.
    pub entries: Vec<NumberedLink>,
}

/// A tag's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFacts {
    /// Its name.
    pub name: String,
    /// Where its `current/link` leads; `None` when it is missing or says nothing.
    pub target: Option<Digest>,
    /// There is a `current/link` and it cannot be understood, so whatever the tag remembers counts.
    pub is_unreadable: bool,
    /// mtime of `current/link`.
    pub modified_ns: Option<i64>,
    /// What its `index/` remembers.
    pub entries: Vec<LinkFacts>,
}

/// A directory under `_uploads`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadFacts {
    /// Its name, a UUID when the registry made it.
    pub id: String,
    /// Size of `data`.
    pub size_bytes: u64,
    /// From `startedat`.
    pub started_ns: Option<i64>,
    /// The newest of `startedat` and the times of `data` and `hashstates`.
    pub active_ns: Option<i64>,
}

/// What must be kept because something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How much.
    pub scope: HoldScope,
    /// The finding behind it.
    pub code: Code,
    /// Where, below the registry's root.
    pub path: String,
}

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a directory of its own")]
pub struct RepositoryFacts {
    /// Its name.
    pub name: String,
    /// Its directory, below the registry's root.
    pub path: PathBuf,
    /// Links under `_manifests/revisions`.
    pub revisions: Vec<LinkFacts>,
    /// Directories under `_manifests/tags`.
    pub tags: Vec<TagFacts>,
    /// Links under `_layers`.
    pub layer_links: Vec<LinkFacts>,
    /// Directories under `_uploads`.
    pub uploads: Vec<UploadFacts>,
    /// What these take on the disk.
    pub upload_usage: Usage,
    /// There is a `_manifests`: a manifest was pushed once.
    pub has_manifests: bool,
    /// There is a `_manifests/revisions`.
    pub has_revisions: bool,
    /// There is a `_manifests/tags`: it had a tag once.
    pub has_tags_directory: bool,
    /// There is a `_layers`.
    pub has_layers: bool,
    /// Hash over all names, sizes and times seen.
    pub fingerprint: [u8; 32],
    /// What is wrong in it.
    pub notes: Notes,
    /// How its `_manifests` was looked at.
    pub manifests_part: Part,
    /// How its `_layers` was looked at.
    pub layers_part: Part,
}

/// A repository's links by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedLinks {
    /// Links under `_manifests/revisions`.
    pub revisions: Vec<NumberedLink>,
    /// Blobs under `revisions/…/signatures`, with the revision they belong to.
    pub signatures: Vec<(u32, u32)>,
    /// Directories under `_manifests/tags`.
    pub tags: Vec<NumberedTag>,
    /// Links under `_layers`.
    pub layer_links: Vec<NumberedLink>,
}

/// Findings and holds of one part of the walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What must be kept for it.
    pub holds: Vec<Hold>,
    /// Something could not be read that may be read another time.
    pub is_incomplete: bool,
    /// What other programs left, by program: how much, and the first path.
    clutter: BTreeMap<&'static str, (u64, PathBuf)>,
}

impl Notes {
    /// Counts what lies at `path` if another program than a registry left it there. It is no
    /// repository, tag or blob, whatever lies in it.
    pub fn count_clutter(&mut self, path: &Path, kind: FileKind) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let name = path.file_name().unwrap_or_default().as_bytes();
        let Some(program) = clutter::of_entry(name, kind == FileKind::File) else { return false };
        let (count, first) = self.clutter.entry(program).or_insert_with(|| (0, path.to_owned()));
        *count += 1;
        if path < first.as_path() {
            path.clone_into(first);
        }
        true
    }

    /// Makes one finding for each program of all that it left.
    pub fn settle_clutter(&mut self, repository: Option<&str>) {
        for (program, (count, first)) in std::mem::take(&mut self.clutter) {
            let detail = match count {
                1 => format!("left by {program}"),
                _ => format!("left by {program}, as {} more", count - 1),
            };
            self.find(Code::Clutter, repository, &first, detail);
        }
    }

    /// Adds a finding at `path`.
    pub fn find(
        &mut self,
        code: Code,
        repository: Option<&str>,
        path: &Path,
        detail: impl Into<String>,
    ) {
        self.find_digest(code, repository, None, path, detail);
    }

    /// Adds a finding at `path` about a digest.
    pub fn find_digest(
        &mut self,
        code: Code,
        repository: Option<&str>,
        digest: Option<Digest>,
        path: &Path,
        detail: impl Into<String>,
    ) {
        self.findings.push(Finding {
            code,
            repository: repository.map(str::to_owned),
            digest,
            path: text_of(path.as_os_str()),
            detail: detail.into(),
        });
    }

    /// Adds a hold for what was found at `path`.
    pub fn hold(&mut self, scope: HoldScope, code: Code, path: &Path) {
        self.holds.push(Hold { scope, code, path: text_of(path.as_os_str()) });
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
            && self.holds.is_empty()
            && self.clutter.is_empty()
            && !self.is_incomplete
    }

    /// Takes over another part's notes.
    pub fn append(&mut self, mut other: Self) {
        self.findings.append(&mut other.findings);
        self.holds.append(&mut other.holds);
        self.is_incomplete |= other.is_incomplete;
        for (program, (count, first)) in other.clutter {
            let (sum, least) = self.clutter.entry(program).or_insert_with(|| (0, first.clone()));
            *sum += count;
            *least = first.min(std::mem::take(least));
        }
    }
}
