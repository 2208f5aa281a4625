//! Whether what is in something's place makes the one in the trash needless.

use std::io;
use std::path::Path;

use super::moves::{Move, MoveKind};
use crate::model::Digest;
use crate::storage::{FileKind, MAX_COPY_BYTES, MAX_DEPTH, Storage, sha256};

/// Whether there is nothing to put back of `item`, which lies at `taken`, because its place has it:
/// links of the same bytes, or a blob whose content is what its path says, whatever the one in the
/// trash holds.
pub fn is_in_place(storage: &dyn Storage, item: &Move, taken: &Path) -> io::Result<bool> {
    match item.kind {
        MoveKind::Tag | MoveKind::TagHistory | MoveKind::Revision | MoveKind::LayerLink => {
            has_all_of(storage, &item.path, taken, MAX_DEPTH)
        }
        MoveKind::Blob => is_right_blob(storage, &item.path),
        MoveKind::Upload | MoveKind::Leftover | MoveKind::Directory => Ok(false),
    }
}

/// Whether all files at `taken` are at `place` too, with the same bytes. Files too large for a link
/// never are.
fn has_all_of(storage: &dyn Storage, place: &Path, taken: &Path, depth: usize) -> io::Result<bool> {
    let ours = storage.stat(taken)?;
    let theirs = match storage.stat(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        facts => facts?,
    };
    if ours.kind != theirs.kind || depth == 0 {
        return Ok(false);
    }
    match ours.kind {
        FileKind::File => {
            if ours.size_bytes != theirs.size_bytes || ours.size_bytes > MAX_COPY_BYTES {
                return Ok(false);
            }
            let read = |path| storage.read(path, MAX_COPY_BYTES).map(|content| content.bytes);
            Ok(read(place)? == read(taken)?)
        }
        FileKind::Directory => {
            for entry in storage.list(taken)? {
                let name = &entry.name;
                if !has_all_of(storage, &place.join(name), &taken.join(name), depth - 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        FileKind::Symlink | FileKind::Special => Ok(false),
    }
}

/// Whether the blob at `path` holds what `path` says.
fn is_right_blob(storage: &dyn Storage, path: &Path) -> io::Result<bool> {
    let hex = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let data = path.join("data");
    let Some(digest) = Digest::from_sha256_hex(hex.as_bytes()) else {
        return Ok(false);
    };
    if data != storage.layout().blob_data(hex) {
        return Ok(false);
    }
    match sha256(storage, &data) {
        Ok(content) => Ok(Digest::Sha256(content) == digest),
        // No blob, whatever else is there.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory
                    | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
