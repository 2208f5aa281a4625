//! Reading one blob, and what it shows.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest as _, Sha256, Sha512};

use crate::db::{ContentResult, StoredBlob};
use crate::model::progress::Progress;
use crate::model::{Code, Digest, Finding, text_of};
use crate::storage::{FileFacts, Storage};

use super::rate::RateLimit;
use super::selection::Trusts;
use super::stop::Stop;

/// What every thread reads with.
pub struct Reading<'a> {
    pub storage: &'a dyn Storage,
    pub rate: Option<&'a RateLimit>,
    pub trusts: Trusts,
    pub stop: &'a Stop<'a>,
    pub progress: &'a dyn Progress,
}

/// What became of reading a blob.
pub enum Read {
    /// It was read, or cannot be; `at_ns` is yet to be filled in.
    Result(ContentResult),
    /// Whoever keeps it proves that it is what its digest says; it was not read.
    Proven(ContentResult),
    /// It went or changed while it was read, or since the scan: nothing can be said of it.
    Changed { path: String },
    /// The check was stopped.
    Stopped,
}

/// Reads a blob, once for all digests that name it, through `buffer`.
pub fn read_blob(
    reading: &Reading<'_>,
    blob: &StoredBlob,
    sha512_names: &[Digest],
    buffer: &mut [u8],
) -> Read {
    let path = reading.storage.layout().blob_data(&blob.digest.encoded());
    let result = |facts: Option<FileFacts>, findings| ContentResult {
        id: blob.id,
        digest: blob.digest.clone(),
        path: text_of(path.as_os_str()),
        at_ns: 0,
        modified_ns: facts.map(|facts| facts.modified_ns),
        changed_ns: facts.map(|facts| facts.changed_ns),
        inode: facts.map(|facts| facts.inode),
        findings,
    };
    if sha512_names.is_empty()
        && let Digest::Sha256(expected) = &blob.digest
        && reading.trusts != Trusts::None
        && reading.storage.proven_sha256(&path, reading.trusts == Trusts::Any).as_ref()
            == Some(expected)
        && let Ok(facts) = reading.storage.stat(&path)
    {
        reading.progress.advance(blob.size_bytes);
        return Read::Proven(result(Some(facts), Vec::new()));
    }
    let mut sha256 = Sha256::new();
    let mut sha512 = (!sha512_names.is_empty()).then(Sha512::new);
    let mut reported = 0;
    let read = reading.storage.stream(&path, buffer, &mut |piece| {
        if reading.stop.is_set() {
            return ControlFlow::Break(());
        }
        sha256.update(piece);
        if let Some(sha512) = &mut sha512 {
            sha512.update(piece);
        }
        reported += piece.len() as u64;
        reading.progress.advance(piece.len() as u64);
        if let Some(rate) = reading.rate {
            rate.pay(piece.len(), reading.stop);
        }
        ControlFlow::Continue(())
    });
    // What was not read must not be waited for.
    reading.progress.advance(blob.size_bytes.saturating_sub(reported));
    if reading.stop.is_set() {
        return Read::Stopped;
    }
    let after = reading.storage.stat(&path);
    let is_gone = |error: &io::Error| {
        use io::ErrorKind::{
            InvalidInput, IsADirectory, NotADirectory, NotFound, StaleNetworkFileHandle,
        };
        // The seam calls what is no regular file invalid input; a scan says what it is. An object that was
        // written again since it was listed is stale.
        matches!(
            error.kind(),
            NotFound | NotADirectory | IsADirectory | InvalidInput | StaleNetworkFileHandle
        )
    };
    let changed = || Read::Changed { path: text_of(path.as_os_str()) };
    match (read, after) {
        (Err(error), _) | (_, Err(error)) if is_gone(&error) => changed(),
        (Err(error), after) => {
            let detail = format!("it cannot be read: {error}");
            Read::Result(result(after.ok(), vec![unreadable(blob, &path, detail)]))
        }
        (Ok(read), Ok(after)) if read.facts != after => changed(),
        (Ok(read), _) if read.bytes < read.facts.size_bytes => {
            let detail = format!("it ends after {} of {} bytes", read.bytes, read.facts.size_bytes);
            Read::Result(result(Some(read.facts), vec![unreadable(blob, &path, detail)]))
        }
        (Ok(read), _) => {
            let content = Digest::Sha256(sha256.finalize().into());
            let mut findings = Vec::new();
            let mut compare = |name: &Digest, content: &Digest| {
                if name != content {
                    findings.push(mismatch(name, content, &path, read.bytes));
                }
            };
            compare(&blob.digest, &content);
            if let Some(sha512) = sha512 {
                let content = sha512_digest(&sha512.finalize());
                for name in sha512_names {
                    compare(name, &content);
                }
            }
            Read::Result(result(Some(read.facts), findings))
        }
    }
}

fn sha512_digest(hash: &[u8]) -> Digest {
    use std::fmt::Write as _;
    let mut text = String::from("sha512:");
    for byte in hash {
        let _infallible = write!(text, "{byte:02x}");
    }
    Digest::Other(text.into())
}

fn unreadable(blob: &StoredBlob, path: &Path, detail: String) -> Finding {
    Finding {
        code: Code::BlobUnreadable,
        repository: None,
        digest: Some(blob.digest.clone()),
        path: text_of(path.as_os_str()),
        detail,
    }
}

fn mismatch(name: &Digest, content: &Digest, path: &Path, bytes: u64) -> Finding {
    Finding {
        code: Code::BlobContentMismatch,
        repository: None,
        digest: Some(name.clone()),
        path: text_of(path.as_os_str()),
        detail: format!("its {bytes} bytes are {content}"),
    }
}
