//! Beginning a run: what lies at each path of the list, and what becomes of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use md5::{Digest as _, Md5};

use super::journal::{Entry, Fate, Journal};
use super::requests::{error_at, parallel};
use super::run::{ObjectRun, Refused};
use super::{ObjectTrash, Way};
use crate::model::MAX_MANIFEST_BYTES;
use crate::storage::MAX_COPY_BYTES;
use crate::storage::object::{Abilities, BucketError, BucketErrorKind, Object, PutCondition};
use crate::trash::error::TrashError;
use crate::trash::moves::{self, MAX_MOVES_BYTES, Move, MoveKind, RunHeader};
use crate::trash::paths::{MOVES, TRASH};
use crate::trash::remover::BeginOptions;

/// Runs that may begin in one second.
const MAX_RUNS_A_SECOND: u32 = 99;

/// Versions of this number of objects are asked for one by one; of more they are listed.
const MOST_HEADS: usize = 500;

impl ObjectTrash {
    pub(super) fn begin_run(
        &self,
        moves: &[Move],
        options: &BeginOptions<'_>,
    ) -> Result<ObjectRun<'_>, TrashError> {
        moves::check(self.storage.layout(), moves)?;
        let abilities = self.abilities()?;
        let of_data = self.fate_of_data(abilities)?;
        self.refresh_if_old()?;
        let mut refused = Refused::new();
        let mut entries = self.entries_of(moves, of_data, &mut refused)?;
        self.add_parts(moves, options, &mut entries, &mut refused);
        // A stable sort: within a move they are in the order in which they go.
        entries.sort_by_key(|entry| entry.item);
        self.add_versions(moves, &mut entries, &mut refused)?;
        self.add_contents(moves, &mut entries, options, &mut refused);
        entries.retain(|entry| !refused.contains_key(&entry.item));
        let sequence = self.next_sequence()?;
        let journal = self.write_list(sequence, moves, entries, options.now)?;
        Ok(ObjectRun::new(self, journal, abilities, refused))
    }

    /// What becomes of the data of blobs.
    pub(super) fn fate_of_data(&self, abilities: Abilities) -> Result<Fate, TrashError> {
        let kept = match abilities {
            Abilities { has_versions: true, .. } => Some(Fate::Version),
            Abilities { soft_delete_seconds: Some(1..), .. } => Some(Fate::Soft),
            _ => None,
        };
        match (self.options.way, kept) {
            (Way::Auto | Way::Versions, Some(fate)) => Ok(fate),
            (Way::Auto | Way::Deferred, _) => Ok(Fate::Marked),
            (Way::Copy, _) => Ok(Fate::Copied),
            (Way::Versions, None) => Err(TrashError::Bucket {
                message: format!(
                    "`{}` keeps neither older versions nor what was deleted",
                    self.bucket().url()
                ),
                hint: Some("use --trash deferred or --trash copy".into()),
            }),
        }
    }

    /// One entry an object, in the order in which the objects of a move go.
    fn entries_of(
        &self,
        moves: &[Move],
        of_data: Fate,
        refused: &mut Refused,
    ) -> Result<Vec<Entry>, TrashError> {
        let mut entries = Vec::new();
        let all = moves.iter().enumerate();
        for (item, moved) in all.filter(|(_, moved)| moved.kind != MoveKind::Directory) {
            let top = self.key_of(&moved.path);
            let mut found: Vec<(String, Object)> = Vec::new();
            for object in self.objects_at(&moved.path)? {
                if let Some(below) = below(&top, &object.key) {
                    found.push((below, object));
                } else {
                    let shown = object.key.escape_debug();
                    refused.insert(item, format!("no path leads to the key `{shown}` in it"));
                }
            }
            // What makes it visible goes first, and comes back last.
            found.sort_by(|(a, _), (b, _)| (a != CURRENT, a).cmp(&(b != CURRENT, b)));
            let of_history: Vec<String> = found
                .iter()
                .filter_map(|(below, _)| link_content(&moved.path.join(below)))
                .collect();
            for (below, object) in found {
                let fate = fate_of(moved, object.size_bytes, of_data);
                let content = (fate == Fate::Listed).then(|| {
                    let own = link_content(&super::journal::path_below(&moved.path, &below));
                    let others = of_history.iter().filter(|_| below == CURRENT).cloned();
                    let mut all = own.into_iter().chain(others);
                    all.find(|text| is_content(&object, text)).map(String::into_bytes)
                });
                entries.push(Entry {
                    item,
                    below,
                    fate,
                    size_bytes: object.size_bytes,
                    modified_ns: object.modified_ns,
                    etag: object.etag,
                    version: object.version,
                    content: content.flatten(),
                });
            }
        }
        Ok(entries)
    }

    /// The multipart uploads of what goes. One that still receives data stays, and so does every one
    /// when nothing says whether it does.
    fn add_parts(
        &self,
        moves: &[Move],
        options: &BeginOptions<'_>,
        entries: &mut Vec<Entry>,
        refused: &mut Refused,
    ) {
        let numbers = (0..).zip(moves).filter(|(_, item)| item.kind == MoveKind::Upload);
        let uploads: HashMap<&Path, usize> =
            numbers.map(|(number, item)| (item.path.as_path(), number)).collect();
        if uploads.is_empty() {
            return;
        }
        let found = match self.parts() {
            Ok(found) => found,
            Err(error) => {
                let reason = format!("whether it still receives data is not known: {error}");
                refused.extend(uploads.into_values().map(|number| (number, reason.clone())));
                return;
            }
        };
        for (path, upload) in found {
            let known = path.ancestors().find_map(|above| uploads.get_key_value(above));
            let Some((top, &item)) = known else { continue };
            if (options.is_fresh)(upload.active_ns) {
                refused.insert(item, "the upload is still receiving data".into());
            }
            let below = path.strip_prefix(top).unwrap_or(Path::new(""));
            entries.push(Entry {
                item,
                below: below.to_string_lossy().into_owned(),
                fate: Fate::Parts,
                size_bytes: upload.size_bytes,
                modified_ns: upload.active_ns,
                etag: Some(upload.upload_id),
                version: None,
                content: None,
            });
        }
    }

    /// All multipart uploads of the storage, by the paths that they will have. Where the provider has
    /// no such thing there are none, and what is received shows as an object.
    pub(super) fn parts(
        &self,
    ) -> Result<Vec<(PathBuf, crate::storage::object::MultipartUpload)>, BucketError> {
        let below = format!("{}/", self.key_of(&self.storage.layout().repositories()));
        let found = match self.bucket().list_multipart_uploads(&below) {
            Err(error) if error.kind == BucketErrorKind::Unsupported => Vec::new(),
            found => found?,
        };
        let with_path = found.into_iter().filter_map(|upload| {
            let path = upload.key.strip_prefix(self.storage.prefix())?;
            Some((PathBuf::from(path), upload))
        });
        Ok(with_path.collect())
    }

    /// The versions of data that the bucket is to keep: a listing of S3 does not say them.
    fn add_versions(
        &self,
        moves: &[Move],
        entries: &mut [Entry],
        refused: &mut Refused,
    ) -> Result<(), TrashError> {
        let is_wanted = |entry: &Entry| {
            entry.version.is_none() && matches!(entry.fate, Fate::Version | Fate::Soft)
        };
        let key_of = |entry: &Entry| self.key_of_entry(moves, entry);
        let keys: Vec<String> =
            entries.iter().filter(|entry| is_wanted(entry)).map(key_of).collect();
        let mut known: HashMap<String, Object> = HashMap::new();
        if keys.len() <= MOST_HEADS {
            for head in parallel(&keys, |key| self.bucket().head(key)) {
                let object = head.map_err(error_at)?;
                known.extend(object.map(|object| (object.key.clone(), object)));
            }
        } else {
            self.each_version(&self.key_of(&self.storage.layout().blobs()), &mut |version| {
                if version.is_current && !version.is_deletion {
                    known.insert(version.object.key.clone(), version.object);
                }
            })?;
        }
        for entry in entries.iter_mut().filter(|entry| is_wanted(entry)) {
            let now = known.get(&key_of(entry));
            let is_same = now.is_some_and(|now| now.etag == entry.etag);
            entry.version = now.filter(|_| is_same).and_then(|now| now.version.clone());
            if entry.version.is_none() {
                let reason = "the bucket does not say which version it is";
                refused.insert(entry.item, reason.into());
            }
        }
        Ok(())
    }

    /// Reads what the list must hold and the listing does not say.
    fn add_contents(
        &self,
        moves: &[Move],
        entries: &mut [Entry],
        options: &BeginOptions<'_>,
        refused: &mut Refused,
    ) {
        let is_wanted = |entry: &Entry| match entry.fate {
            Fate::Listed => entry.content.is_none(),
            Fate::Version | Fate::Soft => {
                entry.size_bytes <= MAX_MANIFEST_BYTES && (options.must_be_readable)(entry.item)
            }
            Fate::Marked | Fate::Copied | Fate::Parts => false,
        };
        let wanted: Vec<usize> = (0..entries.len()).filter(|at| is_wanted(&entries[*at])).collect();
        let contents = parallel(&wanted, |at| {
            let entry = &entries[*at];
            self.bucket().get(&self.key_of_entry(moves, entry), None, entry.etag.as_deref())
        });
        for (at, content) in wanted.into_iter().zip(contents) {
            match content {
                Ok(bytes) if bytes.len() as u64 == entries[at].size_bytes => {
                    entries[at].content = Some(bytes);
                }
                Ok(_) => drop(
                    refused.insert(entries[at].item, "it was written while it was read".into()),
                ),
                Err(error) => drop(refused.insert(entries[at].item, error.to_string())),
            }
        }
    }

    /// Writes the list: from then on the run has begun.
    fn write_list(
        &self,
        sequence: u64,
        moves: &[Move],
        entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<Journal, TrashError> {
        let header = RunHeader::new("", sequence, self.storage.root(), now, moves);
        let mut journal = Journal::new(header, moves.to_vec(), entries);
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        for number in 1..=MAX_RUNS_A_SECOND {
            let run = if number == 1 { time.clone() } else { format!("{time}-{number:02}") };
            let path = format!("{TRASH}/{run}/{MOVES}");
            journal.header.run = run;
            let bytes =
                journal.to_bytes(self.storage.layout()).map_err(|_| TrashError::TooMany {
                    path: self.storage.root().join(&path),
                    limit_bytes: MAX_MOVES_BYTES,
                })?;
            match self.bucket().put(&self.own_key(&path), &bytes, PutCondition::Absent) {
                Ok(_) => return Ok(journal),
                Err(error) if error.kind == BucketErrorKind::Changed => {}
                Err(error) => return Err(error_at(error)),
            }
        }
        Err(TrashError::Bucket {
            message: format!("the trash has {MAX_RUNS_A_SECOND} runs of one second"),
            hint: None,
        })
    }

    /// The key of a path of the storage.
    pub(super) fn key_of(&self, path: &Path) -> String {
        format!("{}{}", self.storage.prefix(), path.to_string_lossy())
    }

    /// The key of an object of the list.
    pub(super) fn key_of_entry(&self, moves: &[Move], entry: &Entry) -> String {
        let top = self.key_of(&moves[entry.item].path);
        if entry.below.is_empty() { top } else { format!("{top}/{}", entry.below) }
    }
}

/// The link of a tag, below its directory.
const CURRENT: &str = "current/link";

fn fate_of(moved: &Move, size_bytes: u64, of_data: Fate) -> Fate {
    let at_once = match of_data {
        Fate::Version | Fate::Soft => of_data,
        _ => Fate::Copied,
    };
    match moved.kind {
        // Its parts have no versions.
        MoveKind::Upload => Fate::Marked,
        // A push mends it only when it is gone.
        MoveKind::Blob if moved.is_corrupt => at_once,
        MoveKind::Blob => of_data,
        _ if size_bytes <= MAX_COPY_BYTES => Fate::Listed,
        _ => at_once,
    }
}

/// What of a key follows the path that it is of; `None` when no path would lead there.
fn below(top: &str, key: &str) -> Option<String> {
    let rest = key.strip_prefix(top)?;
    if rest.is_empty() {
        return Some(String::new());
    }
    let rest = rest.strip_prefix('/')?;
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    rest.split('/').all(is_plain).then(|| rest.to_owned())
}

/// What a link at `…/<algorithm>/<digest>/link` says when it is whole.
fn link_content(path: &Path) -> Option<String> {
    let mut above = path.ancestors().skip(1).map(|above| above.file_name()?.to_str());
    let (hex, algorithm) = (above.next()??, above.next()??);
    path.ends_with("link").then(|| format!("{algorithm}:{hex}"))
}

/// Whether the listing proves that the object holds just this.
fn is_content(object: &Object, text: &str) -> bool {
    object.size_bytes == text.len() as u64
        && object.md5.is_some_and(|md5| md5 == <[u8; 16]>::from(Md5::digest(text.as_bytes())))
}
