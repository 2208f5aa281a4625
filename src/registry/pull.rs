//! Pulling whole, as a client does: to see that a registry serves what it has.

use std::collections::HashSet;
use std::io::{self, Write};

use sha2::{Digest as _, Sha256, Sha512};
use ureq::http::Method;

use crate::model::{Digest, Role, parse_manifest};

use super::auth::{Access, Action};
use super::client::{Registry, repository_path};
use super::error::RegistryError;

/// Indexes in indexes beyond this are pulled no deeper.
const MAX_DEPTH: usize = 8;

/// What was pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Manifests and blobs.
    pub count: u64,
    /// Their bytes together.
    pub size_bytes: u64,
}

/// Why something cannot be pulled whole.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// A request failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The registry has no such manifest.
    #[error("the registry has no manifest `{0}`")]
    NoManifest(String),
    /// The registry has no such blob.
    #[error("the registry has no blob {0}")]
    NoBlob(Digest),
    /// A body is not what its digest says.
    #[error("the content of {0} is not what its digest says")]
    Wrong(Digest),
    /// The manifest is none.
    #[error("the manifest `{0}` cannot be read")]
    Unreadable(String),
}

impl Registry {
    /// Whether it answers as a registry, also by asking who one is.
    ///
    /// # Errors
    /// When it does not answer, or as something else.
    pub fn greet(&self) -> Result<(), RegistryError> {
        let answer = self.call_as_nobody("/v2/", 1 << 16)?;
        if matches!(answer.status, 200 | 401) { Ok(()) } else { Err(answer.unexpected()) }
    }

    /// Pulls a tag, or a manifest by its digest, with all that it names: manifests, configs and layers.
    /// What is in `pulled` of this repository's blobs is not pulled again.
    ///
    /// # Errors
    /// For the first thing that does not come, or is not what its digest says.
    pub fn pull(
        &self,
        repository: &str,
        reference: &str,
        pulled: &mut HashSet<Digest>,
    ) -> Result<Pulled, PullError> {
        let mut sum = Pulled::default();
        let mut open = vec![(reference.to_owned(), 0)];
        while let Some((reference, depth)) = open.pop() {
            let body = self
                .manifest(repository, &reference)?
                .ok_or_else(|| PullError::NoManifest(reference.clone()))?;
            sum.count += 1;
            sum.size_bytes += body.len() as u64;
            let manifest =
                parse_manifest(&body).map_err(|_| PullError::Unreadable(reference.clone()))?;
            for part in &manifest.references {
                match part.role {
                    Role::Manifest if depth < MAX_DEPTH => {
                        if pulled.insert(part.digest.clone()) {
                            open.push((part.digest.to_string(), depth + 1));
                        }
                    }
                    // A subject leads away from what is pulled.
                    Role::Subject | Role::Manifest => {}
                    // It lies elsewhere.
                    _ if part.is_external || manifest.is_type_unknown => {}
                    _ => {
                        if pulled.insert(part.digest.clone()) {
                            sum.count += 1;
                            sum.size_bytes += self.pull_blob(repository, &part.digest)?;
                        }
                    }
                }
            }
        }
        Ok(sum)
    }

    /// Reads a blob to its end and compares it with its digest. Gives its size in bytes.
    fn pull_blob(&self, repository: &str, digest: &Digest) -> Result<u64, PullError> {
        let path = format!("{}/blobs/{digest}", repository_path(repository)?);
        let access = Access { repository, action: Action::Pull };
        let mut sink = Sink { size_bytes: 0, hash: Hash::of(digest) };
        let answer = self.call_into(access, Method::GET, &path, &mut sink)?;
        match answer.status {
            200 if sink.hash.is(digest) => Ok(sink.size_bytes),
            200 => Err(PullError::Wrong(digest.clone())),
            404 => Err(PullError::NoBlob(digest.clone())),
            _ => Err(answer.unexpected().into()),
        }
    }
}

struct Sink {
    size_bytes: u64,
    hash: Hash,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size_bytes += bytes.len() as u64;
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(bytes),
            Hash::Sha512(hash) => hash.update(bytes),
            Hash::Unknown => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Hash {
    Sha256(Sha256),
    Sha512(Sha512),
    /// Of an algorithm that this program does not know.
    Unknown,
}

impl Hash {
    fn of(digest: &Digest) -> Self {
        match digest {
            Digest::Sha256(_) => Self::Sha256(Sha256::new()),
            Digest::Other(_) if digest.to_string().starts_with("sha512:") => {
                Self::Sha512(Sha512::new())
            }
            Digest::Other(_) => Self::Unknown,
        }
    }

    fn is(self, digest: &Digest) -> bool {
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        };
        match self {
            Self::Sha256(hash) => hex(&hash.finalize()) == digest.encoded(),
            Self::Sha512(hash) => hex(&hash.finalize()) == digest.encoded(),
            Self::Unknown => true,
        }
    }
}
