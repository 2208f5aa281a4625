//! A plan as JSON: what `--format json` prints, `--save` writes and `--plan` reads.

use serde::{Deserialize, Serialize, Serializer};

use super::name::Skipped;
use super::plan::Plan;
use crate::graph::Graph;
use crate::model::{ByKind, Kind, Name};

/// The version of the format that this program reads and writes.
pub const SCHEMA: u64 = 1;

/// Whether anything was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing was.
    DryRun,
    /// All that `items` names is gone from where it was.
    Deleted,
}

/// Writes counts by their keys. The rare kinds are left out at 0, as older versions did not have
/// them.
fn write_counts<S: Serializer>(counts: &ByKind<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    const ORDER: [Kind; 9] = [
        Kind::Tag,
        Kind::Revision,
        Kind::LayerLink,
        Kind::Blob,
        Kind::Upload,
        Kind::Repository,
        Kind::CorruptBlob,
        Kind::Leftover,
        Kind::TagHistory,
    ];
    let is_rare =
        |kind: Kind| matches!(kind, Kind::CorruptBlob | Kind::Leftover | Kind::TagHistory);
    let is_written = |kind: &Kind| !is_rare(*kind) || counts[*kind] > 0;
    serializer
        .collect_map(ORDER.into_iter().filter(is_written).map(|kind| (kind.key(), counts[kind])))
}

/// Which scan a plan was made over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The registry's root directory.
    pub root: String,
    /// When the scan was published (UTC).
    pub scanned_at: String,
}

/// A plan, with everything in it by name.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// The version of the format.
    pub schema: u64,
    /// Whether anything was done.
    pub mode: Mode,
    /// Which scan it was made over.
    #[serde(flatten)]
    pub origin: Origin,
    /// How many of each.
    #[serde(serialize_with = "write_counts")]
    pub counts: ByKind<u64>,
    /// Bytes that really come free.
    pub freed_bytes: u64,
    /// Of those, bytes that other hard links hold: the files go and their space does not come free.
    #[serde(skip_serializing_if = "is_zero")]
    pub hard_linked_bytes: u64,
    /// What the disk had more free after it than before; negative when others wrote more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_bytes: Option<i64>,
    /// Bytes that the choice leads to and that something else keeps.
    pub shared_bytes: u64,
    /// What was younger stayed (`--min-age`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_age_seconds: Option<u64>,
    /// The trash run that holds them, when they were moved there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trash_run: Option<String>,
    /// Why a deletion of it is refused as a whole: a limit on how much may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What goes, in the order in which it goes.
    pub items: Vec<Name>,
    /// What stays, with the reason.
    pub skipped: Vec<Skipped>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A file that is no plan, or not one for this storage.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It cannot be read.
    #[error("cannot read plan `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what `--save` writes.
    #[error("`{file}` is not a plan")]
    Parse {
        /// The file.
        file: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error("plan `{file}` has schema {schema}, and this regsql reads schema {SCHEMA}")]
    Schema {
        /// The file.
        file: String,
        /// Its version.
        schema: u64,
    },
    /// It has been carried out.
    #[error("plan `{file}` says that it has been carried out")]
    Deleted {
        /// The file.
        file: String,
    },
    /// It was made for another storage.
    #[error("plan `{file}` was made for `{planned}`, and the database is about `{root}`")]
    OtherStorage {
        /// The file.
        file: String,
        /// The plan's storage.
        planned: String,
        /// The database's storage.
        root: String,
    },
}

impl DocumentError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => "nothing was deleted; check the path given to --plan".into(),
            Self::Parse { .. } | Self::Schema { .. } | Self::Deleted { .. } => {
                "make a new one with regsql prune … --save FILE".into()
            }
            Self::OtherStorage { .. } => "name that storage's database with --db".into(),
        })
    }
}

/// A plan that was saved, as far as it is used.
#[derive(Debug, Deserialize)]
pub struct Saved {
    schema: u64,
    mode: Mode,
    #[serde(flatten)]
    origin: Origin,
    /// The guard that it was worked out with, when it says so; that of the present run counts.
    #[serde(default)]
    pub min_age_seconds: Option<u64>,
    /// Names, which are looked up again.
    pub items: Vec<Name>,
}

impl Document {
    /// Of a plan over `graph`.
    pub fn new(plan: &Plan, graph: &Graph, origin: Origin) -> Self {
        Self {
            schema: SCHEMA,
            mode: Mode::DryRun,
            origin,
            counts: plan.counts(),
            freed_bytes: plan.freed_bytes,
            hard_linked_bytes: 0,
            measured_bytes: None,
            shared_bytes: plan.shared_bytes,
            min_age_seconds: None,
            trash_run: None,
            refused: None,
            items: plan.names(graph).collect(),
            skipped: plan.skipped.clone(),
        }
    }

    /// With nothing in it.
    pub fn empty(origin: Origin) -> Self {
        Self {
            schema: SCHEMA,
            mode: Mode::DryRun,
            origin,
            counts: ByKind::default(),
            freed_bytes: 0,
            hard_linked_bytes: 0,
            measured_bytes: None,
            shared_bytes: 0,
            min_age_seconds: None,
            trash_run: None,
            refused: None,
            items: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// A saved plan for the storage at `root`; `file` is for messages. Everything else that it says
    /// is worked out again.
    pub fn saved_in(file: &str, text: &str, root: &str) -> Result<Saved, DocumentError> {
        let file = file.to_owned();
        let saved: Saved = match serde_json::from_str(text) {
            Ok(saved) => saved,
            Err(source) => return Err(DocumentError::Parse { file, source }),
        };
        if saved.schema != SCHEMA {
            return Err(DocumentError::Schema { file, schema: saved.schema });
        }
        if saved.mode != Mode::DryRun {
            return Err(DocumentError::Deleted { file });
        }
        if saved.origin.root != root {
            let root = root.to_owned();
            return Err(DocumentError::OtherStorage { file, planned: saved.origin.root, root });
        }
        Ok(saved)
    }
}
