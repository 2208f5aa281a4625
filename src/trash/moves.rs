//! The list of what a run moves: `moves.jsonl`, a header and then one line a move.
//!
//! Where a path follows from a kind, a repository and a name, the line is an array of those and of the
//! size: `["blob","<digest>",1234]`. The digest is the 43 characters of its base64 form, and
//! `["in","<repository>"]` names the repository of the lines after it. Any other move is an object. Lists
//! of the first version hold objects only.

use std::borrow::Borrow;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::TrashError;
pub use super::item::{Counts, Move, MoveKind};
use super::paths::may_be_taken;
use super::short::{IN, Short};
use crate::model::text_of;
use crate::storage::Layout;

/// The version of the list's format.
pub const SCHEMA: u64 = 2;

/// A list larger than this is neither written nor read: some fifteen million moves.
pub const MAX_MOVES_BYTES: u64 = 1 << 30;

/// What a run really did: `done.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// What it took and did not put back.
    pub taken: Counts,
    /// The sizes of that together.
    pub size_bytes: u64,
    /// How much it took and put back, because something needed it.
    pub put_back_count: u64,
    /// When it ended.
    #[serde(with = "time_text")]
    pub finished_at: Timestamp,
}

/// The first line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The version of the format: 1 or 2.
    pub schema: u64,
    /// The run's name.
    pub run: String,
    /// Runs in the trash began in this order, whatever clocks said. 0 in lists of 0.1.
    #[serde(default)]
    pub sequence: u64,
    /// The storage's root when it was written, for people.
    pub root: String,
    /// When the run began.
    #[serde(with = "time_text")]
    pub started_at: Timestamp,
    /// The regsql that wrote it.
    pub tool_version: String,
    /// How many lines of each kind follow.
    pub counts: Counts,
    /// Their sizes together.
    pub size_bytes: u64,
}

impl RunHeader {
    /// The header of this list.
    pub fn new(
        run: &str,
        sequence: u64,
        root: &Path,
        started_at: Timestamp,
        moves: &[Move],
    ) -> Self {
        let mut counts = Counts::default();
        let mut size_bytes = 0_u64;
        for item in moves {
            counts.add(item.kind);
            size_bytes = size_bytes.saturating_add(item.size_bytes);
        }
        Self {
            schema: SCHEMA,
            run: run.into(),
            sequence,
            root: text_of(root.as_os_str()),
            started_at,
            tool_version: env!("CARGO_PKG_VERSION").into(),
            counts,
            size_bytes,
        }
    }
}

/// Writes a list, in the version of its header.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] when it would pass `limit_bytes`, and those of `out`.
pub fn write(
    out: &mut dyn Write,
    header: &RunHeader,
    layout: &Layout,
    moves: impl IntoIterator<Item: Borrow<Move>>,
    limit_bytes: u64,
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut written_bytes = 0;
    let mut put = |value: serde_json::Result<()>, line: &mut Vec<u8>| -> io::Result<()> {
        value?;
        line.push(b'\n');
        written_bytes += line.len() as u64;
        if written_bytes > limit_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        out.write_all(line)?;
        line.clear();
        Ok(())
    };
    let value = serde_json::to_writer(&mut line, header);
    put(value, &mut line)?;
    let mut repository: Option<String> = None;
    for item in moves {
        let item: &Move = item.borrow();
        let short = Short::of(item).filter(|short| {
            header.schema > 1
                && short.path(layout, item.repository.as_deref()) == Some(item.path.clone())
        });
        let Some(short) = short else {
            let value = serde_json::to_writer(&mut line, item);
            put(value, &mut line)?;
            continue;
        };
        if item.repository.is_some() && item.repository != repository {
            repository.clone_from(&item.repository);
            let value = serde_json::to_writer(&mut line, &(IN, &repository));
            put(value, &mut line)?;
        }
        let value = match short.size_bytes {
            0 => serde_json::to_writer(&mut line, &(short.kind, &short.name)),
            size_bytes => serde_json::to_writer(&mut line, &(short.kind, &short.name, size_bytes)),
        };
        put(value, &mut line)?;
    }
    Ok(())
}

/// What every version of the list has in its first line.
#[derive(Deserialize)]
struct Version {
    schema: u64,
}

/// Reads a list that anyone may have written.
///
/// # Errors
/// [`TrashError::Damaged`] and [`TrashError::Newer`], which name `file`; also when a path is not
/// below `blobs` or `repositories`.
pub fn read(
    bytes: &[u8],
    layout: &Layout,
    file: &Path,
) -> Result<(RunHeader, Vec<Move>), TrashError> {
    let damaged =
        |line: u64, reason: String| TrashError::Damaged { path: file.to_owned(), line, reason };
    let mut lines = (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n'));
    let (_, first) = lines.next().ok_or_else(|| damaged(1, "the file is empty".into()))?;
    let version: Version =
        serde_json::from_slice(first).map_err(|error| damaged(1, error.to_string()))?;
    if !(1..=SCHEMA).contains(&version.schema) {
        return Err(TrashError::Newer { path: file.to_owned(), schema: version.schema });
    }
    let header: RunHeader =
        serde_json::from_slice(first).map_err(|error| damaged(1, error.to_string()))?;
    let mut moves: Vec<Move> = Vec::new();
    let mut repository: Option<String> = None;
    let mut last = 1;
    for (number, line) in lines {
        let not_json = |error: serde_json::Error| damaged(number, error.to_string());
        let item: Move = if header.schema > 1 && line.starts_with(b"[") {
            let short = Short::read(line).map_err(not_json)?;
            if short.kind == IN {
                repository = Some(short.name.into());
                continue;
            }
            short.to_move(layout, repository.as_deref()).ok_or_else(|| {
                damaged(number, format!("`{}` is no move that leads to a path", short.kind))
            })?
        } else {
            serde_json::from_slice(line).map_err(not_json)?
        };
        if !may_be_taken(layout, &item.path) {
            let shown = item.path.display();
            let reason = format!("`{shown}` is not below the registry's blobs or repositories");
            return Err(damaged(number, reason));
        }
        moves.push(item);
        last = number;
    }
    if moves.len() as u64 != header.counts.total() || !bytes.ends_with(b"\n") {
        let (found, named) = (moves.len(), header.counts.total());
        return Err(damaged(last, format!("{found} moves follow the header, which names {named}")));
    }
    check(layout, &moves).map_err(|error| damaged(last, error.to_string()))?;
    Ok((header, moves))
}

/// Whether these can be moved, each by itself.
///
/// # Errors
/// [`TrashError::Outside`] and [`TrashError::Overlap`].
pub fn check(layout: &Layout, moves: &[Move]) -> Result<(), TrashError> {
    if let Some(item) = moves.iter().find(|item| !may_be_taken(layout, &item.path)) {
        return Err(TrashError::Outside(item.path.clone()));
    }
    let mut sorted: Vec<&Move> = moves.iter().collect();
    // By components, so that what lies in a directory comes right after it.
    sorted.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let mut outer: Option<&Move> = None;
    for item in sorted {
        if let Some(outer) = outer
            && item.path.starts_with(&outer.path)
        {
            let (path, within) = (item.path.clone(), outer.path.clone());
            return Err(TrashError::Overlap { path, within });
        }
        // A directory that will be empty may hold what is moved before.
        if item.kind != MoveKind::Directory {
            outer = Some(item);
        }
    }
    Ok(())
}

/// RFC 3339 in UTC.
pub mod time_text {
    use super::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    fn written(moves: &[Move], limit_bytes: u64) -> io::Result<Vec<u8>> {
        let header = RunHeader::new("run", 1, Path::new("/srv"), Timestamp::UNIX_EPOCH, moves);
        let mut bytes = Vec::new();
        write(&mut bytes, &header, &Layout::new("v2".into()), moves, limit_bytes).map(|()| bytes)
    }

    fn blob(name: &[u8]) -> Move {
        Move {
            path: Path::new("v2/blobs").join(OsStr::from_bytes(name)),
            kind: MoveKind::Blob,
            repository: None,
            name: text_of(OsStr::from_bytes(name)),
            size_bytes: u64::MAX,
            access: None,
            is_corrupt: false,
        }
    }

    #[test]
    fn a_list_reads_as_it_was_written_whatever_the_names() {
        let moves = [blob(b"sha256"), blob(b"new\nline"), blob(b"\xff\\x41\"")];
        let bytes = written(&moves, MAX_MOVES_BYTES).unwrap();
        let layout = Layout::new("v2".into());
        let (header, read) = read(&bytes, &layout, Path::new("moves.jsonl")).unwrap();
        assert_eq!(read, moves);
        assert_eq!((header.counts.blobs, header.size_bytes), (3, u64::MAX));
    }

    #[test]
    fn a_list_tells_corrupt_blobs_and_one_from_before_that_is_read_as_it_was() {
        let layout = Layout::new("v2".into());
        let list = Path::new("moves.jsonl");
        let moves = [Move { is_corrupt: true, ..blob(b"a") }, blob(b"b")];
        let bytes = written(&moves, MAX_MOVES_BYTES).unwrap();
        assert_eq!(read(&bytes, &layout, list).unwrap().1, moves);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("is_corrupt").count(), 1, "{text}");
        let before = text.replace(",\"is_corrupt\":true", "");
        let (_, moves) = read(before.as_bytes(), &layout, list).unwrap();
        assert!(moves.iter().all(|item| !item.is_corrupt));
    }

    #[test]
    fn a_list_that_could_not_be_read_back_is_not_written() {
        let moves = [blob(b"a"), blob(b"b")];
        let whole = written(&moves, MAX_MOVES_BYTES).unwrap().len() as u64;
        assert!(written(&moves, whole).is_ok());
        let error = written(&moves, whole - 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    fn shard(number: u32) -> Move {
        let digest = Digest::of(&number.to_le_bytes());
        let path = Layout::new("v2".into()).blob_data(&digest.encoded());
        let path = path.parent().unwrap().to_owned();
        Move { path, name: digest.to_string(), size_bytes: 31_234_567, ..blob(b"x") }
    }

    #[test]
    fn a_list_of_many_blobs_is_short_and_reads_as_it_was_written() {
        let moves: Vec<Move> = (0..1_000).map(shard).collect();
        let bytes = written(&moves, MAX_MOVES_BYTES).unwrap();
        assert!(bytes.len() < 65_000, "{} bytes for a thousand blobs", bytes.len());
        let layout = Layout::new("v2".into());
        assert_eq!(read(&bytes, &layout, Path::new("moves.jsonl")).unwrap().1, moves);
    }

    #[test]
    fn each_kind_reads_as_it_was_written_in_few_bytes_or_with_its_path() {
        let digest = Digest::of(b"x");
        let other = format!("sha512:{}", "a".repeat(128));
        let in_repository = |kind, below: &str, name: &str| Move {
            path: Path::new("v2/repositories/team/app").join(below),
            kind,
            repository: Some("team/app".into()),
            name: name.into(),
            ..blob(b"x")
        };
        let hex = digest.encoded();
        let moves = [
            in_repository(MoveKind::Tag, "_manifests/tags/1.0", "1.0"),
            in_repository(
                MoveKind::Revision,
                &format!("_manifests/revisions/sha256/{hex}"),
                &digest.to_string(),
            ),
            in_repository(
                MoveKind::LayerLink,
                &format!("_layers/sha512/{}", "a".repeat(128)),
                &other,
            ),
            in_repository(MoveKind::Upload, "_uploads/0-1", "0-1"),
            Move { is_corrupt: true, ..shard(1) },
            // Its path does not follow from its name.
            in_repository(MoveKind::Tag, "_manifests/tags/moved", "2.0"),
            in_repository(MoveKind::Directory, "_uploads", ""),
            Move { repository: Some("z".into()), ..blob(b"y") },
        ];
        let bytes = written(&moves, MAX_MOVES_BYTES).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(text.matches("\"path\"").count(), 3, "{text}");
        let layout = Layout::new("v2".into());
        assert_eq!(read(&bytes, &layout, Path::new("moves.jsonl")).unwrap().1, moves);
    }
}
