//! Where a person is, what stands there, and what can be marked.

use crate::model::Name;

/// The branches of the tree, in the order of their tabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Repositories by the parts of their names.
    Repositories,
    /// Layers, and who holds each.
    Layers,
    /// What no tag needs, by class.
    Garbage,
    /// What deletions moved aside.
    Trash,
    /// What is wrong.
    Problems,
}

impl Branch {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Repositories, Self::Layers, Self::Garbage, Self::Trash, Self::Problems];

    /// Its tab's text.
    pub fn title(self) -> &'static str {
        match self {
            Self::Repositories => "repositories",
            Self::Layers => "layers",
            Self::Garbage => "garbage",
            Self::Trash => "trash",
            Self::Problems => "problems",
        }
    }

    /// Where it begins.
    pub fn root(self) -> Place {
        match self {
            Self::Repositories => Place::Groups { prefix: String::new() },
            Self::Layers => Place::Layers,
            Self::Garbage => Place::Garbage,
            Self::Trash => Place::Trash,
            Self::Problems => Place::Codes,
        }
    }
}

/// A list of rows. Things are named, not numbered: another scan gives other numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Groups and repositories below a prefix, which is empty or a group's parts (`team/shop`).
    Groups {
        /// The prefix.
        prefix: String,
    },
    /// A repository's tags and untagged revisions.
    Tags {
        /// The repository.
        repository: String,
    },
    /// What a manifest names: platforms, or config and layers.
    Image {
        /// The repository through which a person came here.
        repository: String,
        /// The tag through which a person came here.
        tag: Option<String>,
        /// The manifest.
        digest: String,
    },
    /// All layers.
    Layers,
    /// Tags and untagged revisions that reach a blob.
    Holders {
        /// The blob.
        digest: String,
    },
    /// Classes of what no tag needs.
    Garbage,
    /// What is in one class.
    Class {
        /// The class, as in the report `garbage`.
        name: String,
    },
    /// Runs in the trash.
    Trash,
    /// Codes of problems.
    Codes,
    /// Problems of one code.
    Problems {
        /// The code.
        code: String,
    },
}

impl Place {
    /// What is counted in the column of counts.
    pub fn counted(&self) -> &'static str {
        match self {
            Self::Groups { .. } | Self::Layers | Self::Image { .. } => "tags",
            Self::Tags { .. } | Self::Holders { .. } => "layers",
            Self::Class { name } if name == "untagged revisions" => "layers",
            Self::Class { name } if name == "orphan blobs" => "users",
            Self::Trash => "blobs",
            _ => "count",
        }
    }

    /// Whether its rows have exclusive, shared and logical bytes that differ.
    pub fn has_measures(&self) -> bool {
        match self {
            Self::Groups { .. } | Self::Tags { .. } | Self::Image { .. } | Self::Holders { .. } => {
                true
            }
            Self::Class { name } => name == "untagged revisions",
            _ => false,
        }
    }

    /// Whether its rows take space on the disk: links and findings do not.
    pub fn has_bytes(&self) -> bool {
        match self {
            Self::Codes | Self::Problems { .. } => false,
            Self::Class { name } => !name.ends_with(" links") && name != "ghost repositories",
            _ => true,
        }
    }
}

/// Which bytes are shown and sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// What deleting just this frees.
    Exclusive,
    /// What something else keeps too.
    Shared,
    /// All that it reaches.
    Logical,
}

impl Measure {
    /// The next one of the round.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Exclusive => Self::Shared,
            Self::Shared => Self::Logical,
            Self::Logical => Self::Exclusive,
        }
    }

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::Logical => "logical",
        }
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Bytes, largest first.
    Size,
    /// Names, A first.
    Name,
    /// Counts, largest first.
    Count,
    /// Times, newest first.
    Time,
}

impl Sort {
    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Name => "name",
            Self::Count => "count",
            Self::Time => "time",
        }
    }
}

/// An order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub sort: Sort,
    /// The other way round.
    pub is_reversed: bool,
    /// Which bytes.
    pub measure: Measure,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum RowKind {
    Group,
    Repository,
    Tag,
    Revision,
    Referrer,
    Platform,
    Layer,
    Config,
    Blob,
    Upload,
    Link,
    Class,
    Run,
    Code,
    Problem,
    Other,
}

impl RowKind {
    /// As the queries call it.
    pub fn parse(text: &str) -> Self {
        match text {
            "group" => Self::Group,
            "repository" => Self::Repository,
            "tag" => Self::Tag,
            "revision" => Self::Revision,
            "referrer" => Self::Referrer,
            "platform" => Self::Platform,
            "layer" => Self::Layer,
            "config" => Self::Config,
            "blob" => Self::Blob,
            "upload" => Self::Upload,
            "link" => Self::Link,
            "class" => Self::Class,
            "run" => Self::Run,
            "code" => Self::Code,
            "problem" => Self::Problem,
            _ => Self::Other,
        }
    }
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it stands for.
    pub kind: RowKind,
    /// What is shown; not yet escaped.
    pub name: String,
    /// Its repository, or a group's prefix.
    pub repository: Option<String>,
    /// Its tag, or an upload's directory.
    pub tag: Option<String>,
    /// Its digest.
    pub digest: Option<String>,
    /// Bytes that deleting it alone frees.
    pub exclusive_bytes: u64,
    /// Bytes that it reaches.
    pub logical_bytes: u64,
    /// The bytes are a lower bound until the graph has been worked out.
    pub is_at_least: bool,
    /// What [`Place::counted`] says.
    pub item_count: u64,
    /// When it was pushed or written, in nanoseconds since 1970.
    pub time_ns: Option<i64>,
    /// A letter for each thing to know: see `keys::FLAGS`.
    pub flags: String,
    /// What else there is to say.
    pub detail: String,
}

impl Row {
    /// The bytes of a measure.
    pub fn bytes(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Exclusive => self.exclusive_bytes,
            Measure::Logical => self.logical_bytes,
            Measure::Shared => self.logical_bytes.saturating_sub(self.exclusive_bytes),
        }
    }

    /// The list behind it.
    pub fn opens(&self, from: &Place) -> Option<Place> {
        let repository = || self.repository.clone();
        let digest = || self.digest.clone();
        Some(match self.kind {
            RowKind::Group => Place::Groups { prefix: repository()? },
            RowKind::Repository => Place::Tags { repository: repository()? },
            RowKind::Tag => {
                Place::Image { repository: repository()?, tag: self.tag.clone(), digest: digest()? }
            }
            RowKind::Platform => match from {
                Place::Image { repository, tag, .. } => Place::Image {
                    repository: repository.clone(),
                    tag: tag.clone(),
                    digest: digest()?,
                },
                _ => return None,
            },
            RowKind::Revision | RowKind::Referrer => {
                Place::Image { repository: repository()?, tag: None, digest: digest()? }
            }
            RowKind::Layer | RowKind::Config => Place::Holders { digest: digest()? },
            RowKind::Class => Place::Class { name: self.name.clone() },
            RowKind::Code => Place::Problems { code: self.name.clone() },
            RowKind::Problem => match &self.repository {
                Some(repository) => Place::Tags { repository: repository.clone() },
                None => return None,
            },
            RowKind::Blob | RowKind::Upload | RowKind::Link | RowKind::Run | RowKind::Other => {
                return None;
            }
        })
    }

    /// What a mark on it is, or why there can be none.
    pub fn mark(&self) -> Result<Mark, &'static str> {
        let unknown = "its name is not known";
        let repository = || self.repository.clone().ok_or(unknown);
        let digest = || self.digest.clone().ok_or(unknown);
        let name = match self.kind {
            RowKind::Group => return Ok(Mark::Group(repository()?)),
            RowKind::Repository => Name::Repository { repository: repository()? },
            RowKind::Tag => Name::Tag {
                repository: repository()?,
                tag: self.tag.clone().ok_or(unknown)?,
                manifest_digest: self.digest.clone(),
            },
            RowKind::Revision | RowKind::Referrer => {
                Name::Revision { repository: repository()?, manifest_digest: digest()? }
            }
            RowKind::Layer => Name::Layer { layer_digest: digest()? },
            RowKind::Blob => Name::Blob { blob_digest: digest()?, size_bytes: self.logical_bytes },
            RowKind::Upload => Name::Upload {
                repository: repository()?,
                upload_id: self.tag.clone().ok_or(unknown)?,
                size_bytes: self.logical_bytes,
            },
            RowKind::Link => Name::LayerLink { repository: repository()?, link_digest: digest()? },
            RowKind::Platform => return Err("a platform goes with its index: mark the tag"),
            RowKind::Config => return Err("a config goes with its image: mark the tag"),
            RowKind::Class => return Err("open it and mark what is in it"),
            RowKind::Run => return Err("regsql undo and regsql trash purge deal with the trash"),
            RowKind::Code | RowKind::Problem | RowKind::Other => {
                return Err("this cannot be deleted");
            }
        };
        Ok(Mark::Thing(name))
    }

    /// What `regsql why` is asked about it.
    pub fn target(&self) -> Option<String> {
        match self.kind {
            RowKind::Tag => Some(format!("{}:{}", self.repository.as_ref()?, self.tag.as_ref()?)),
            RowKind::Revision | RowKind::Referrer => {
                Some(format!("{}@{}", self.repository.as_ref()?, self.digest.as_ref()?))
            }
            RowKind::Class | RowKind::Run | RowKind::Code | RowKind::Upload => None,
            _ => self.digest.clone(),
        }
    }
}

/// What is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Every repository whose name begins with these parts.
    Group(String),
    /// One thing; a layer stands for every image that holds it.
    Thing(Name),
}

impl Mark {
    /// As it is shown; not yet escaped.
    pub fn text(&self) -> String {
        match self {
            Self::Group(prefix) => format!("{prefix}/ and all below it"),
            Self::Thing(name) => match name {
                Name::Tag { repository, tag, .. } => format!("{repository}:{tag}"),
                Name::Revision { repository, manifest_digest } => {
                    format!("{repository}@{}", crate::ui::short_digest(manifest_digest))
                }
                Name::Repository { repository } => format!("{repository} (whole)"),
                Name::Layer { layer_digest } => {
                    let digest = crate::ui::short_digest(layer_digest);
                    format!("every image that holds {digest}")
                }
                Name::Blob { blob_digest, .. } => {
                    format!("blob {}", crate::ui::short_digest(blob_digest))
                }
                Name::Upload { repository, upload_id, .. } => {
                    format!("{repository} upload {upload_id}")
                }
                Name::LayerLink { repository, link_digest } => {
                    format!("{repository} link {}", crate::ui::short_digest(link_digest))
                }
                other => other.text(),
            },
        }
    }
}
