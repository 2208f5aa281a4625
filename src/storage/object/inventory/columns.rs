//! What the columns of an inventory mean, and what a row of it is.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{Refused, Subject};
use crate::storage::object::azure::md5_of_base64;
use crate::storage::object::table::MAX_KEY_BYTES;
use crate::storage::object::{Object, http_time, md5_of_hex};

/// The longest key that is taken as it stands in a row: each byte may be encoded as three.
const MAX_RAW_KEY_BYTES: usize = 3 * MAX_KEY_BYTES;
/// The longest entity tag, MD5, version or storage class that is taken. Those of the providers have tens of bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// What regsql reads of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Bucket,
    Key,
    Size,
    Modified,
    /// Where there is no better time.
    Updated,
    Etag,
    Md5,
    Class,
    Version,
    IsCurrent,
    IsDeleteMarker,
    /// It was deleted softly.
    IsDeleted,
    /// When it was deleted or became an older version.
    DeletedTime,
    /// When it was deleted softly.
    SoftDeletedTime,
    Snapshot,
    IsFolder,
}

const FIELD_COUNT: usize = Field::IsFolder as usize + 1;

/// The columns of each provider, without the signs between words and in lower case: CSV and Parquet differ in these.
const S3: &[(&str, Field)] = &[
    ("bucket", Field::Bucket),
    ("key", Field::Key),
    ("size", Field::Size),
    ("lastmodifieddate", Field::Modified),
    ("etag", Field::Etag),
    ("storageclass", Field::Class),
    ("versionid", Field::Version),
    ("islatest", Field::IsCurrent),
    ("isdeletemarker", Field::IsDeleteMarker),
];
const AZURE: &[(&str, Field)] = &[
    ("name", Field::Key),
    ("contentlength", Field::Size),
    ("lastmodified", Field::Modified),
    ("etag", Field::Etag),
    ("contentmd5", Field::Md5),
    ("accesstier", Field::Class),
    ("versionid", Field::Version),
    ("iscurrentversion", Field::IsCurrent),
    ("deleted", Field::IsDeleted),
    ("snapshot", Field::Snapshot),
    ("hdiisfolder", Field::IsFolder),
];
const GOOGLE: &[(&str, Field)] = &[
    ("bucket", Field::Bucket),
    ("name", Field::Key),
    ("size", Field::Size),
    ("timecreated", Field::Modified),
    ("updated", Field::Updated),
    ("md5hash", Field::Md5),
    ("storageclass", Field::Class),
    ("generation", Field::Version),
    ("timedeleted", Field::DeletedTime),
    ("softdeletetime", Field::SoftDeletedTime),
];

/// Which columns hold what, and of what the inventory must be.
#[derive(Debug)]
pub(super) struct Columns {
    subject: Subject,
    /// The place of the column of each field.
    places: [Option<usize>; FIELD_COUNT],
    is_encoded: bool,
}

/// A value of a row.
#[derive(Debug, PartialEq)]
#[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "CSV has texts alone"))]
pub(super) enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Number(i64),
    Yes(bool),
    /// In nanoseconds since 1970.
    Time(i64),
}

/// What a row is.
#[derive(Debug, PartialEq)]
pub(super) enum Entry {
    /// What a plain read gets.
    Object(Object),
    /// An older version, or what is deleted softly.
    Noncurrent { key: String, size_bytes: u64 },
    /// A marker of S3 that stands for a deletion.
    DeleteMarker { key: String },
    /// A directory, a snapshot, or a blob of another container.
    Nothing,
}

/// A time of RFC 3339, RFC 9110, or as SQL writes it, in nanoseconds since 1970.
pub(super) fn time_ns(text: &str) -> Option<i64> {
    let sql = text.strip_suffix(" UTC").map(|time| format!("{time}Z"));
    let parsed: Result<Timestamp, _> = sql.as_deref().unwrap_or(text).parse();
    match parsed {
        Ok(time) => i64::try_from(time.as_nanosecond()).ok(),
        Err(_) => http_time(text),
    }
}

impl Columns {
    /// The columns of these names.
    pub(super) fn new<'n>(
        names: impl IntoIterator<Item = &'n str>,
        subject: &Subject,
        is_encoded: bool,
    ) -> Result<Self, Refused> {
        let known = match subject {
            Subject::S3 { .. } => S3,
            Subject::Azure { .. } => AZURE,
            Subject::Gcs { .. } => GOOGLE,
        };
        let mut places = [None; FIELD_COUNT];
        for (place, name) in names.into_iter().enumerate() {
            let plain: String = name
                .trim_start_matches('\u{feff}')
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|c| c.to_ascii_lowercase())
                .collect();
            let Some((_, field)) = known.iter().find(|(known, _)| *known == plain) else {
                continue;
            };
            if places[*field as usize].replace(place).is_some() {
                return Err(Refused::new(format!("it has the column `{name}` twice")));
            }
        }
        let columns = Self { subject: subject.clone(), places, is_encoded };
        columns.refuse_missing()?;
        Ok(columns)
    }

    fn refuse_missing(&self) -> Result<(), Refused> {
        let has = |field: Field| self.place(field).is_some();
        let has_time = has(Field::Modified) || has(Field::Updated);
        let names = match self.subject {
            Subject::S3 { .. } => ["Key", "Size", "LastModifiedDate", "IsLatest"],
            Subject::Azure { .. } => {
                ["Name", "Content-Length", "Last-Modified", "IsCurrentVersion"]
            }
            Subject::Gcs { .. } => ["name", "size", "timeCreated", "timeDeleted"],
        };
        // Without it nothing says which row of a key is the current one. Google lists what is not current whether or not a column
        // says of it that it is not.
        let tells_current = match self.subject {
            Subject::Gcs { .. } => has(Field::DeletedTime),
            _ => has(Field::IsCurrent) || !has(Field::Version),
        };
        let there = [has(Field::Key), has(Field::Size), has_time, tells_current];
        let missing: Vec<_> = names
            .into_iter()
            .zip(there)
            .filter(|(_, there)| !there)
            .map(|(name, _)| name)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refused::with_hint(
            format!("it has no column {}", missing.join(", ")),
            "have the inventory made with size, time, entity tag or MD5, storage class, and all fields of versions \
             where it has versions; Google's always with timeDeleted",
        ))
    }

    pub(super) fn place(&self, field: Field) -> Option<usize> {
        self.places[field as usize]
    }

    /// The places of all columns that are read.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "CSV is read whole"))]
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.places.iter().flatten().copied()
    }

    /// Whether rows say of what is not current that it is not.
    pub(super) fn has_versions(&self) -> bool {
        [Field::IsCurrent, Field::IsDeleted, Field::DeletedTime]
            .iter()
            .any(|field| self.place(*field).is_some())
    }

    /// What a row is; `cell` gives the value in a column.
    pub(super) fn entry<'c>(&self, cell: &dyn Fn(usize) -> Cell<'c>) -> Result<Entry, Refused> {
        let cell = |field: Field| self.place(field).map_or(Cell::Null, cell);
        let bucket = cell(Field::Bucket).text();
        if let Some(bucket) = bucket.filter(|bucket| bucket != self.subject.bucket()) {
            return Err(Refused::new(format!("it lists objects of the bucket `{bucket}`")));
        }
        let key = cell(Field::Key).text().ok_or_else(|| Refused::new("a row has no key"))?;
        if key.len() > MAX_RAW_KEY_BYTES {
            return Err(Refused::new(format!("a row has a key of {} bytes", key.len())));
        }
        let key = if self.is_encoded {
            crate::storage::object::http::decode(&key, true)
        } else {
            key.into_owned()
        };
        let key = match &self.subject {
            // It is of all containers of the account.
            Subject::Azure { container, .. } => {
                match key.strip_prefix(container.as_str()).and_then(|key| key.strip_prefix('/')) {
                    Some(key) => key.to_owned(),
                    None => return Ok(Entry::Nothing),
                }
            }
            _ => key,
        };
        // Many rows are held at once.
        let short = |field: Field| match cell(field).text() {
            Some(text) if text.len() > MAX_TEXT_BYTES => {
                Err(Refused::new(format!("{field:?} of `{key}` has {} bytes", text.len())))
            }
            text => Ok(text),
        };
        let yes = |field: Field| cell(field).yes().map_err(|text| bad(&key, field, &text));
        if yes(Field::IsFolder)? == Some(true) || cell(Field::Snapshot).text().is_some() {
            return Ok(Entry::Nothing);
        }
        if yes(Field::IsDeleteMarker)? == Some(true) {
            return Ok(Entry::DeleteMarker { key });
        }
        let size = cell(Field::Size).number();
        let size_bytes = size.ok_or_else(|| Refused::new(format!("`{key}` has no size")))?;
        let is_current = match self.subject {
            Subject::S3 { .. } => {
                yes(Field::IsCurrent)?.unwrap_or(self.place(Field::IsCurrent).is_none())
            }
            // A blob that was never overwritten has no version, and says neither.
            Subject::Azure { .. } => {
                let is_version = cell(Field::Version).text().is_some();
                yes(Field::IsCurrent)?.unwrap_or(!is_version)
                    && yes(Field::IsDeleted)? != Some(true)
            }
            Subject::Gcs { .. } => {
                [Field::DeletedTime, Field::SoftDeletedTime].map(cell) == [Cell::Null, Cell::Null]
            }
        };
        if !is_current {
            return Ok(Entry::Noncurrent { key, size_bytes });
        }
        let time = cell(Field::Modified).time().or_else(|| cell(Field::Updated).time());
        let modified_ns = time.ok_or_else(|| Refused::new(format!("`{key}` has no time")))?;
        let etag = short(Field::Etag)?.map(|etag| etag.trim_matches('"').to_owned());
        let class = short(Field::Class)?.map(Cow::into_owned);
        let md5 = short(Field::Md5)?;
        // As a listing of each provider gives them.
        let (etag, md5, version) = match self.subject {
            Subject::S3 { .. } => {
                let md5 = etag.as_deref().and_then(md5_of_hex);
                (etag, md5, None)
            }
            Subject::Azure { .. } => (etag.clone(), md5.as_deref().and_then(md5_of_base64), etag),
            Subject::Gcs { .. } => {
                let generation = match cell(Field::Version) {
                    Cell::Number(number) => Some(number.to_string()),
                    _ => short(Field::Version)?.map(Cow::into_owned),
                };
                (generation.clone(), md5.as_deref().and_then(md5_of_base64), generation)
            }
        };
        Ok(Entry::Object(Object {
            key,
            size_bytes,
            modified_ns,
            etag,
            md5,
            version,
            storage_class: class,
        }))
    }
}

fn bad(key: &str, field: Field, text: &str) -> Refused {
    Refused::new(format!("{field:?} of `{key}` is `{text}`"))
}

impl<'a> Cell<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(number).ok(),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn time(self) -> Option<i64> {
        match self {
            Self::Time(ns) => Some(ns),
            Self::Text(text) => time_ns(&text),
            _ => None,
        }
    }

    /// The text where it is neither.
    fn yes(self) -> Result<Option<bool>, String> {
        match self {
            Self::Yes(yes) => Ok(Some(yes)),
            Self::Null => Ok(None),
            Self::Text(text) if text.is_empty() => Ok(None),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Self::Text(text) => Err(text.into_owned()),
            other => Err(format!("{other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Google lists older generations as rows like any other: only the time when they were deleted tells them apart.
    #[test]
    fn of_google_what_is_not_current_is_told_apart_or_the_inventory_is_refused() {
        let subject = Subject::Gcs { bucket: "b".into() };
        let names = ["name", "size", "timeCreated", "generation", "timeDeleted"];
        let refused = Columns::new(names[..4].iter().copied(), &subject, false).unwrap_err();
        assert!(refused.reason.contains("timeDeleted"), "{refused:?}");
        assert!(refused.hint.is_some_and(|hint| hint.contains("timeDeleted")));

        let columns = Columns::new(names, &subject, false).unwrap();
        let entry = |deleted: &'static str| {
            let row = ["k", "7", "2026-01-02T03:04:05Z", "1", deleted];
            columns.entry(&|place| Cell::Text(row[place].into())).unwrap()
        };
        let noncurrent = Entry::Noncurrent { key: "k".into(), size_bytes: 7 };
        assert_eq!(entry("2026-02-02T03:04:05Z"), noncurrent);
    }
}
