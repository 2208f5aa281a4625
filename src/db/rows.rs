//! What is written of one scan, apart from the rows themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::authority::AuthorityRecord;
use super::ids::Ids;
use crate::graph::{Accounts, GroupAccount};
use crate::model::Finding;
use crate::scan::{Catalog, DiskUse, TagVerdict};

/// What is to be written of one scan.
pub struct Snapshot<'a> {
    /// The storage.
    pub graph: &'a Catalog,
    /// Ids of its rows.
    pub ids: &'a Ids<'a>,
    /// Its figures.
    pub accounts: &'a Accounts,
    /// Figures of repositories by the parts of their names.
    pub groups: &'a [GroupAccount],
    /// Whether each tag can be pulled.
    pub verdicts: &'a [TagVerdict],
    /// What is wrong with it, sorted.
    pub findings: &'a [Finding],
    /// Who else holds references.
    pub authority: &'a AuthorityRecord,
    /// About the scan itself.
    pub scan: ScanRecord,
}

/// About a scan.
#[derive(Clone, Debug)]
pub struct ScanRecord {
    /// The registry's root directory.
    pub root: String,
    /// When it began, in nanoseconds since 1970.
    pub started_ns: i64,
    /// When it ended, in nanoseconds since 1970.
    pub finished_ns: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// Everything could be read.
    pub is_complete: bool,
    /// What lies beside each blob and link was looked at, too.
    pub is_deep: bool,
    /// Hash over all names, sizes and times.
    pub fingerprint: [u8; 32],
    /// The registry behind a pull-through cache, by its configuration.
    pub proxy_url: Option<String>,
    /// More percent of all tags missing at once than this has vanished.
    pub max_vanished_percent: u8,
    /// The file system that holds the blobs, if that is known.
    pub disk: Option<DiskSpace>,
    /// What the storage takes of it; `None` where it has none of its own.
    pub disk_use: Option<DiskUse>,
    /// What the provider of a bucket says.
    pub bucket: BucketRecord,
    /// Figures that are no part of the registry: what lies in the trash, the last deletion.
    pub other_totals: Vec<(&'static str, i64)>,
}

/// How large a file system is, and how full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it, in bytes.
    pub size_bytes: i64,
    /// What is in use, in bytes.
    pub used_bytes: i64,
    /// What is free for whoever is not root, in bytes.
    pub free_bytes: i64,
}

/// What the provider of a bucket says beside names, sizes and times. Nothing of it is known on a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketRecord {
    /// What it still keeps of what was overwritten or deleted.
    pub noncurrent: Option<Noncurrent>,
    /// Multipart uploads that did not end, and their bytes.
    pub multipart_uploads: Option<(i64, i64)>,
    /// What was read instead of a listing.
    pub inventory: Option<InventoryRecord>,
    /// How it stores each blob.
    pub storage_classes: StorageClasses,
}

/// What a bucket keeps of what was overwritten or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noncurrent {
    /// Contents that no plain read gets.
    pub version_count: i64,
    /// Their bytes.
    pub version_bytes: i64,
    /// Markers that stand for deletions.
    pub delete_marker_count: i64,
}

/// An inventory that a scan read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryRecord {
    /// Where its manifest lies.
    pub address: String,
    /// When the provider made it, in nanoseconds since 1970.
    pub made_ns: i64,
}

/// The storage classes of blobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageClasses {
    /// What the provider calls them.
    pub names: Vec<String>,
    /// Of each blob, by its number, the place of its class among the names, from 1; 0 where there is none. Empty
    /// where there are none at all.
    pub of_blobs: Vec<u8>,
}

/// Figures about the whole storage, by their names in the `totals` view.
pub type Totals = BTreeMap<Cow<'static, str>, i64>;

/// Marks a layer whose manifests do not say its media type: no row of `media_type` has this id.
pub(super) const NO_MEDIA_TYPE: i64 = -1;
