//! What there is to say. The names of fields and variants are those of `--format json`, and stable.

use serde::Serialize;

/// Everything about a target but its paths.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The version of these names.
    pub schema: u32,
    /// The target as it was given.
    pub target: String,
    /// What it is.
    pub kind: TargetKind,
    /// The repository of a tag or revision.
    pub repository: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The blob, or the manifest that the tag points at.
    pub digest: Option<String>,
    /// layer, config, manifest, index or unknown.
    pub blob_kind: Option<String>,
    /// Its media type.
    pub media_type: Option<String>,
    /// The artifact type of a manifest that has one.
    pub artifact_type: Option<String>,
    /// The build command behind a layer.
    pub created_by: Option<String>,
    /// Its bytes on disk.
    pub size_bytes: Option<i64>,
    /// When its data was last written.
    pub modified_at: Option<String>,
    /// When the tag was last set or the revision last pushed.
    pub pushed_at: Option<String>,
    /// Kept, garbage or absent.
    pub verdict: Verdict,
    /// Distinct present bytes that a manifest reaches.
    pub logical_bytes: Option<i64>,
    /// Of those, the ones that deleting the tag or revision frees.
    pub exclusive_bytes: Option<i64>,
    /// The rest.
    pub shared_bytes: Option<i64>,
    /// What deleting the target frees; NULL for a blob that is in use, which nothing should delete.
    pub freed_bytes: Option<i64>,
    /// Manifests that name the blob.
    pub manifest_count: i64,
    /// Repositories that reach it.
    pub repository_count: i64,
    /// Tags that reach it.
    pub tag_count: i64,
    /// 1: the scan was incomplete, so every figure is "at least".
    pub is_at_least: bool,
    /// What else there is to know.
    pub reasons: Vec<Reason>,
}

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A blob.
    Blob,
    /// A tag.
    Tag,
    /// A manifest in a repository.
    Revision,
}

impl TargetKind {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Tag => "tag",
            Self::Revision => "revision",
        }
    }
}

/// What would become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// On disk, and something leads to it.
    Kept,
    /// On disk, and nothing leads to it.
    Garbage,
    /// Not on disk.
    Absent,
}

impl Verdict {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Garbage => "garbage",
            Self::Absent => "absent",
        }
    }
}

/// One step of a path, from the blob upwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Step {
    /// A blob that is no manifest: the target, or another digest of it.
    Blob {
        /// Its digest.
        digest: String,
        /// How it leads to the step before.
        #[serde(skip_serializing_if = "Option::is_none")]
        via: Option<Via>,
    },
    /// A manifest.
    Manifest {
        /// Its digest.
        digest: String,
        /// How it leads to the step before.
        #[serde(skip_serializing_if = "Option::is_none")]
        via: Option<Via>,
        /// `os/architecture[/variant]` of an image.
        #[serde(skip_serializing_if = "Option::is_none")]
        platform: Option<String>,
    },
    /// A manifest of manifests.
    Index {
        /// Its digest.
        digest: String,
        /// How it leads to the step before.
        #[serde(skip_serializing_if = "Option::is_none")]
        via: Option<Via>,
    },
    /// A tag that points at the step before.
    Tag {
        /// Its repository.
        repository: String,
        /// Its name.
        tag: String,
        /// It cannot be pulled whole.
        is_broken: bool,
    },
    /// The repository of the step before.
    Repository {
        /// Its name.
        repository: String,
        /// `untagged` or `held` when the step before is a revision that no tag leads to.
        #[serde(skip_serializing_if = "Option::is_none")]
        revision: Option<&'static str>,
        /// When that revision was last pushed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pushed_at: Option<String>,
    },
    /// A row of an export that was given with `scan --roots` and names the step before.
    #[serde(rename = "external-root")]
    ExternalRoot {
        /// The file.
        source: String,
        /// Its line, or the item's number in JSON.
        line: i64,
        /// What the row names.
        reference: String,
    },
    /// Something that cannot be read and may need the step before.
    Root {
        /// `storage`, `manifests`, `repository` or `blob`, as in `unreadable_roots`.
        scope: String,
        /// The problem's code.
        code: String,
        /// Where, below the registry's root directory.
        path: String,
    },
}

impl Step {
    /// The digest of a step that has one.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Blob { digest, .. }
            | Self::Manifest { digest, .. }
            | Self::Index { digest, .. } => Some(digest),
            _ => None,
        }
    }

    /// How it leads to the step before.
    pub fn via(&self) -> Option<Via> {
        match self {
            Self::Blob { via, .. } | Self::Manifest { via, .. } | Self::Index { via, .. } => *via,
            _ => None,
        }
    }
}

/// How a step leads to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// It names it as its config.
    Config,
    /// It names it as a layer.
    Layer,
    /// It names it as a manifest of its own.
    Manifest,
    /// It names it as something else.
    Blob,
    /// The step before is about it: a referrer and its subject.
    Subject,
    /// The registry resolves its digest to the step before.
    Alias,
}

impl Via {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Layer => "layer",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Subject => "subject",
            Self::Alias => "alias",
        }
    }
}

/// What else there is to know.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Reason {
    /// The given digest is another name of the blob.
    AliasOf {
        /// The digest that was given.
        alias: String,
    },
    /// Nothing in any repository leads to it. Storage does not record since when.
    Unreferenced,
    /// A manifest that is garbage itself names it.
    NamedByGarbage {
        /// The manifest.
        manifest_digest: String,
        /// As what.
        role: String,
    },
    /// A manifest refers to it as its subject, which keeps nothing.
    SubjectOf {
        /// The manifest.
        manifest_digest: String,
    },
    /// A manifest names it as a foreign layer, which the registry need not hold.
    ForeignLayerOf {
        /// The manifest.
        manifest_digest: String,
    },
    /// There are more manifests of these kinds than are listed.
    MoreManifests,
    /// Links under `_layers` still lead to it.
    LayerLinks {
        /// How many.
        count: u64,
        /// The first of them.
        first: Vec<LayerLink>,
    },
    /// Deleting this one thing would set it free.
    FreedWith(FreedWith),
    /// Several tags of the repository point at one digest: none of them frees anything alone.
    SameDigest {
        /// The other tags, the first of them.
        tags: Vec<String>,
        /// How many other tags there are.
        count: u64,
        /// What deleting the digest with all its tags frees.
        freed_bytes: Option<i64>,
    },
    /// The tag cannot be pulled whole.
    Broken {
        /// What is wrong, the first of it.
        faults: Vec<Fault>,
    },
    /// No tag of the repository leads to the revision. Storage does not record since when.
    Untagged {
        /// Kept all the same, because something cannot be read.
        is_held: bool,
    },
    /// A tag pointed at the revision and moved on.
    WasTagged {
        /// The tag.
        tag: String,
        /// When it was last set: it moved on then, or before.
        moved_at: Option<String>,
    },
    /// It is about another manifest.
    RefersTo {
        /// The subject.
        digest: String,
        /// It is on disk.
        is_present: bool,
    },
    /// Other repositories reach it too.
    InOtherRepositories {
        /// How many.
        count: i64,
    },
}

/// A link under a repository's `_layers`.
#[derive(Clone, Debug, Serialize)]
pub struct LayerLink {
    /// The repository.
    pub repository: String,
    /// The blob is gone.
    pub is_dangling: bool,
    /// When it was last written.
    pub linked_at: Option<String>,
}

/// The one tag or repository without which a blob comes free.
#[derive(Clone, Debug, Serialize)]
pub struct FreedWith {
    /// The repository.
    pub repository: String,
    /// The tag; without it the whole repository.
    pub tag: Option<String>,
    /// What deleting it frees in all.
    pub freed_bytes: i64,
}

/// One reason why a tag cannot be pulled.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// A kebab-case name, such as `layer-missing`.
    pub fault: String,
    /// What it is about.
    pub digest: Option<String>,
}
