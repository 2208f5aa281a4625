//! Inventories: lists of all objects of a bucket that its provider makes once a day or a week, read instead of
//! listing. What they say is as old as they are, so nothing is ever deleted by them.
//!
//! An inventory is taken as a whole or not at all: its checksum, the sizes and checksums of its files and the number
//! of its rows must be what its manifest says, as far as the provider says them. Rows stream through; what is held
//! is what a listing would hold.

mod columns;
mod csv_file;
mod manifest;
#[cfg(feature = "parquet")]
mod parquet_file;
mod source;

use super::listing::{Listing, Strays, multipart_uploads, to_path};
use super::table::Sorter;
use super::{Bucket, BucketError};
use crate::model::progress::Progress;
use crate::storage::{Contents, Noncurrent, ObjectPlace, Provider};
use columns::{Columns, Entry};
use manifest::{Format, Plan};
use source::Source;

/// What to do about an inventory that cannot be taken.
const LIST_INSTEAD: &str =
    "take the newest inventory that is complete, or leave --inventory out to list the bucket";

/// Why something of an inventory cannot be taken, and the next step where it is a special one.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    reason: String,
    hint: Option<String>,
}

impl Refused {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None }
    }

    fn with_hint(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: Some(hint.into()) }
    }
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self::new(reason)
    }
}

/// What an inventory must be of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// A bucket of S3.
    S3 { bucket: String },
    /// A bucket of Google.
    Gcs { bucket: String },
    /// A container of an account of Azure.
    Azure { account: String, container: String },
}

impl Subject {
    fn of(provider: &Provider) -> Self {
        match provider {
            Provider::S3(options) => Self::S3 { bucket: options.bucket.clone() },
            Provider::Gcs(options) => Self::Gcs { bucket: options.bucket.clone() },
            Provider::Azure(options) => Self::Azure {
                account: options.account.clone(),
                container: options.container.clone(),
            },
        }
    }

    /// What the column with the name of the bucket says, where there is one.
    fn bucket(&self) -> &str {
        match self {
            Self::S3 { bucket } | Self::Gcs { bucket } => bucket,
            Self::Azure { container, .. } => container,
        }
    }
}

/// An inventory whose manifest was read and found whole.
#[derive(Debug)]
pub struct Inventory {
    source: Source,
    plan: Plan,
    subject: Subject,
}

/// What the objects of a registry begin with.
pub(super) struct Wanted<'a> {
    /// What all keys of the storage begin with.
    pub(super) root_prefix: &'a str,
    /// What those of blobs and of repositories go on with.
    pub(super) tops: &'a [String],
}

impl Inventory {
    /// Reads the manifest at an address or a path, of an inventory of the bucket of a registry at `place`.
    ///
    /// # Errors
    /// When there is none, it is not whole, or it is of another bucket.
    pub fn open(manifest: &str, place: &ObjectPlace) -> Result<Self, BucketError> {
        let source = Source::find(manifest, place)?;
        let subject = Subject::of(&place.provider);
        let bytes = source.manifest()?;
        let prefix = format!("{}docker/registry/v2/", place.prefix);
        let plan = Plan::parse(&bytes, &subject, &prefix).map_err(|why| source.refused("", why))?;
        if plan.has_checksum_file {
            let name = source.checksum_name();
            let expected = source.neighbour(&name)?;
            let expected = String::from_utf8_lossy(&expected);
            let found = source::md5_of(&bytes);
            if !expected.trim().eq_ignore_ascii_case(&found) {
                let reason = format!("its MD5 is {found}, and `{name}` says {}", expected.trim());
                return Err(source.refused("", Refused::new(reason)));
            }
        }
        Ok(Self { source, plan, subject })
    }

    /// When the provider began to make it, in nanoseconds since 1970.
    pub fn made_ns(&self) -> i64 {
        self.plan.made_ns
    }

    /// Where its manifest lies, for people.
    pub fn address(&self) -> String {
        self.source.address()
    }

    /// Everything below these prefixes, with the multipart uploads that `bucket` has now: no inventory shows them.
    /// Also what is not current, where the inventory has versions.
    pub(super) fn read(
        &self,
        bucket: &dyn Bucket,
        wanted: &Wanted<'_>,
        progress: &dyn Progress,
    ) -> Result<(Listing, Option<Noncurrent>), BucketError> {
        progress.phase("inventory", self.plan.row_count);
        let mut found = Found {
            inventory: self,
            wanted,
            sorter: Sorter::default(),
            strays: Strays::default(),
            noncurrent: Noncurrent::default(),
            of_tops: vec![0; wanted.tops.len()],
        };
        let (mut row_count, mut has_versions) = (0, true);
        for file in &self.plan.files {
            let fetched = self.source.fetch(file)?;
            let mut take = |columns: &Columns, entry: Entry| {
                row_count += 1;
                if row_count % 4096 == 0 {
                    progress.advance(4096);
                }
                has_versions &= columns.has_versions();
                found.take(entry)
            };
            let read = match &self.plan.format {
                Format::Csv(form) => csv_file::each_row(fetched, form, &self.subject, &mut take),
                #[cfg(feature = "parquet")]
                Format::Parquet => parquet_file::each_row(fetched, &self.subject, &mut take),
                #[cfg(not(feature = "parquet"))]
                Format::Parquet => Err(Refused::with_hint(
                    "this build reads no Parquet",
                    "take a build with the feature parquet, as released ones are, or have the inventory made as CSV",
                )),
            };
            read.map_err(|why| self.source.refused(&file.key, why))?;
        }
        if let Some(expected) = self.plan.row_count.filter(|expected| *expected != row_count) {
            let reason = format!("its files have {row_count} rows, and it says {expected}");
            return Err(self.source.refused("", Refused::new(reason)));
        }
        found.refuse_half()?;
        let noncurrent = has_versions.then_some(found.noncurrent);
        let (prefix, tops) = (wanted.root_prefix, wanted.tops);
        let first = tops.first().map(String::as_str).unwrap_or_default();
        let registry = format!("{prefix}{}", first.trim_end_matches("blobs/"));
        let below = tops.last().map(|top| format!("{prefix}{top}")).unwrap_or_default();
        let (uploads, multipart_uploads) = multipart_uploads(bucket, &registry, &below)?;
        for mut upload in uploads {
            // One that ended since the inventory is an object by now, and no upload.
            if to_path(&mut upload, prefix.len()).is_ok() {
                found.push(upload)?;
            }
        }
        let twice = |key: String| self.source.refused("", twice(&key));
        let table = found.sorter.finish().map_err(twice)?;
        let (strays, stray_count) = found.strays.finish();
        Ok((Listing { table, strays, stray_count, multipart_uploads }, noncurrent))
    }
}

fn twice(key: &str) -> Refused {
    Refused::new(format!("it lists `{key}` twice, and not the same of it"))
}

/// What the rows so far were.
struct Found<'a> {
    inventory: &'a Inventory,
    wanted: &'a Wanted<'a>,
    sorter: Sorter,
    strays: Strays,
    noncurrent: Noncurrent,
    /// Objects below each of the prefixes.
    of_tops: Vec<u64>,
}

impl Found<'_> {
    fn take(&mut self, entry: Entry) -> Result<(), Refused> {
        let (key, size_bytes) = match &entry {
            Entry::Object(object) => (&object.key, object.size_bytes),
            Entry::Noncurrent { key, size_bytes } => (key, *size_bytes),
            Entry::DeleteMarker { key } => (key, 0),
            Entry::Nothing => return Ok(()),
        };
        let below = key.strip_prefix(self.wanted.root_prefix);
        let top =
            below.and_then(|path| self.wanted.tops.iter().position(|top| path.starts_with(top)));
        let Some(top) = top else { return Ok(()) };
        match entry {
            Entry::Object(mut object) => {
                self.of_tops[top] += 1;
                match to_path(&mut object, self.wanted.root_prefix.len()) {
                    Ok(()) => self.sorter.push(object).map_err(|key| twice(&key))?,
                    Err(stray) => self.strays.extend(stray),
                }
            }
            Entry::Noncurrent { .. } => {
                let versions = &mut self.noncurrent.versions;
                *versions = Contents {
                    count: versions.count + 1,
                    size_bytes: versions.size_bytes.saturating_add(size_bytes),
                };
            }
            Entry::DeleteMarker { .. } => self.noncurrent.delete_marker_count += 1,
            Entry::Nothing => {}
        }
        Ok(())
    }

    fn push(&mut self, object: super::Object) -> Result<(), BucketError> {
        self.sorter.push(object).map_err(|key| self.inventory.source.refused("", twice(&key)))
    }

    /// An inventory of a part of the bucket shows blobs that nothing refers to, or references to none.
    fn refuse_half(&self) -> Result<(), BucketError> {
        let Some(missing) = self.of_tops.iter().position(|count| *count == 0) else {
            return Ok(());
        };
        let top = &self.wanted.tops[missing];
        let prefix = self.wanted.root_prefix;
        let is_all_missing = self.of_tops.iter().all(|count| *count == 0);
        let (reason, hint) = if is_all_missing {
            let hint = "an inventory with a prefix lists what is below that alone; check the registry's prefix, too";
            (format!("it lists nothing of a registry below `{prefix}`"), hint)
        } else {
            let hint =
                "it seems to be of a part of the registry: have one made of all of its prefix";
            (format!("it lists nothing below `{prefix}{top}`"), hint)
        };
        Err(self.inventory.source.refused("", Refused::with_hint(reason, hint)))
    }
}
