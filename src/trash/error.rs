//! Why nothing, or not everything, was done.

use std::io;
use std::path::PathBuf;

/// Why the trash cannot be used. Every message names the path, below the root where it is known.
#[derive(Debug, thiserror::Error)]
pub enum TrashError {
    /// Another process changes the storage.
    #[error("another regsql is changing this storage (it holds `{}`)", .0.display())]
    Locked(PathBuf),
    /// The same, where the lock says who holds it.
    #[error("another regsql is changing this storage: `{url}` is held by {owner}")]
    LockedBy {
        /// The lock.
        url: String,
        /// Who holds it.
        owner: String,
    },
    /// A bucket did not do what was asked of it, or cannot.
    #[error("{message}")]
    Bucket {
        /// What was asked for, where, and why it came to nothing.
        message: String,
        /// The next step, where there is one.
        hint: Option<String>,
    },
    /// Data that is only marked has not been so for long enough.
    #[error(
        "nothing of it was removed: it is too early. The data of {count} blobs and uploads is only \
         marked, and beside a registry that may write a purge removes it from {free_at} on"
    )]
    Marked {
        /// The run.
        run: String,
        /// Blobs and uploads.
        count: u64,
        /// When a purge deletes it.
        free_at: jiff::Timestamp,
    },
    /// Something in regsql's own directory could not be written.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in regsql's own directory could not be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A rename cannot lead from one mount to another.
    #[error("`{}` is on another mount than the trash `{}`", .path.display(), .trash.display())]
    OtherMount {
        /// What was to be moved, or its directory.
        path: PathBuf,
        /// The trash.
        trash: PathBuf,
    },
    /// The disk has no room for the list of a run.
    #[error("no room for the trash: its list and directories need about {}, and {} are free on the disk of `{}`", size(*.needed_bytes), size(*.free_bytes), .root.display())]
    NoRoom {
        /// The storage.
        root: PathBuf,
        /// What a run needs.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
    },
    /// The file system renames no directory, as overlayfs does with those of an image.
    #[error("`{}` cannot be renamed into the trash: its file system renames no directories that it has not made itself", .0.display())]
    CannotRename(PathBuf),
    /// Only what lies below `blobs` and `repositories` is ever deleted.
    #[error("`{}` is not below the registry's blobs or repositories", .0.display())]
    Outside(PathBuf),
    /// One of two things to be moved lies in the other, or is the other.
    #[error("`{}` is listed, and lies in `{}`, which is listed as well", .path.display(), .within.display())]
    Overlap {
        /// The inner one.
        path: PathBuf,
        /// The outer one.
        within: PathBuf,
    },
    /// The list of moves would be larger than what is read back.
    #[error("too many things to delete at once: their list `{}` would pass {}", .path.display(), size(*.limit_bytes))]
    TooMany {
        /// The list.
        path: PathBuf,
        /// The most it may have.
        limit_bytes: u64,
    },
    /// What was given is no name of a run.
    #[error("`{0}` is not a run's name")]
    NotARunName(String),
    /// There is no such run.
    #[error("there is no run `{run}` in `{}`", .trash.display())]
    NoRun {
        /// Its name.
        run: String,
        /// The trash.
        trash: PathBuf,
    },
    /// There is no run at all.
    #[error("nothing is in the trash `{}`", .0.display())]
    Empty(PathBuf),
    /// A list of moves that was not written like this.
    #[error("`{}` line {line} is damaged: {reason}", .path.display())]
    Damaged {
        /// The list.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A list of moves of a newer regsql.
    #[error("`{}` was written by a newer regsql (schema {schema})", .path.display())]
    Newer {
        /// The list.
        path: PathBuf,
        /// Its schema.
        schema: u64,
    },
}

/// A size as a person reads it.
fn size(bytes: u64) -> impl std::fmt::Display {
    bytesize::ByteSize::b(bytes).display().iec()
}

const NO_ROOM: &str = "nothing was touched; --no-trash deletes at once and needs no space, also with --online; or free \
                       what is in the trash: regsql trash purge";

impl TrashError {
    /// The next step, where one exists.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Locked(_) => "wait until it has ended".into(),
            Self::LockedBy { .. } => {
                "wait until it has ended; the lock of one that was killed ends by \
                                      itself within a minute"
                    .into()
            }
            Self::Bucket { hint, .. } => return hint.clone(),
            Self::Marked { .. } => {
                "run the purge again then, or now with the registry stopped or read-only: \
                 regsql trash purge --offline"
                    .into()
            }
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NO_ROOM.into(),
                io::ErrorKind::ReadOnlyFilesystem => "the storage is mounted read-only".into(),
                io::ErrorKind::PermissionDenied => "run as the user that owns the storage".into(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy => {
                    "something has a file open there or wrote into it (on NFS such a file is called \
                     .nfs…): end that, and run this again"
                        .into()
                }
                _ => return None,
            },
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as the user that owns the storage".into()
            }
            // So a storage calls what is mounted in its own directory.
            Self::Read { source, .. } if source.kind() == io::ErrorKind::ResourceBusy => {
                "unmount it: nothing of the trash can lie there".into()
            }
            Self::NoRoom { .. } => NO_ROOM.into(),
            Self::OtherMount { .. } | Self::CannotRename(_) => {
                "nothing was moved; --no-trash deletes at once and needs no rename".into()
            }
            Self::TooMany { .. } => {
                "choose less at a time, such as one report or one repository".into()
            }
            Self::NotARunName(_) | Self::NoRun { .. } => {
                "`regsql trash list` shows the runs".into()
            }
            Self::Damaged { path, .. } => format!(
                "what was moved lies in `{}`, each under its number in the list",
                path.with_file_name(super::paths::FILES).display()
            ),
            Self::Newer { .. } => "use the newer regsql".into(),
            Self::Empty(_) => {
                "what was purged or deleted with --no-trash cannot be put back".into()
            }
            Self::Read { .. } | Self::Outside(_) | Self::Overlap { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::ErrorKind::{Other, PermissionDenied, ResourceBusy, StorageFull};

    #[test]
    fn each_error_of_reading_and_writing_has_its_own_next_step_or_none() {
        let read = |kind: io::ErrorKind| TrashError::Read { path: "x".into(), source: kind.into() };
        let write =
            |kind: io::ErrorKind| TrashError::Write { path: "x".into(), source: kind.into() };
        for (error, word) in [
            (read(ResourceBusy), Some("unmount it")),
            (read(PermissionDenied), Some("run as the user")),
            (read(Other), None),
            (write(ResourceBusy), Some("file open there")),
            (write(PermissionDenied), Some("run as the user")),
            (write(StorageFull), Some("--no-trash")),
            (write(Other), None),
        ] {
            let hint = error.hint();
            assert_eq!(hint.is_some(), word.is_some(), "{error:?}: {hint:?}");
            assert!(hint.unwrap_or_default().contains(word.unwrap_or_default()), "{error:?}");
        }
    }
}
