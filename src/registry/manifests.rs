//! Manifests and blobs: what a name stands for, their bytes, deleting them.

use ureq::http::Method;

use crate::model::{Digest, MAX_MANIFEST_BYTES};

use super::answer::Answer;
use super::auth::{Access, Action};
use super::client::{Registry, manifest_path, repository_path};
use super::error::RegistryError;
use super::probe::is_read_only;

/// All that a manifest can be. A registry converts or denies what is not accepted.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws, \
    application/vnd.docker.distribution.manifest.v1+json, \
    application/vnd.oci.artifact.manifest.v1+json, */*";

/// What the registry made of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// It is gone, and with a manifest every tag that named it.
    Deleted,
    /// It was not there.
    NotFound,
    /// The registry is configured to delete nothing (405).
    DeletesDisabled,
    /// The registry is read-only now (405).
    ReadOnly,
}

impl DeleteOutcome {
    /// The next step.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Deleted | Self::NotFound => None,
            Self::DeletesDisabled => Some(
                "set `storage.delete.enabled: true` in the registry's config.yml, or \
                 REGISTRY_STORAGE_DELETE_ENABLED=true in its environment, and restart it",
            ),
            Self::ReadOnly => Some(
                "set `storage.maintenance.readonly.enabled: false` in the registry's config.yml \
                 and restart it, or prune its storage while it is read-only",
            ),
        }
    }
}

impl Registry {
    /// The digest that a tag (or digest) stands for now; `None` if the registry has no such
    /// manifest.
    pub fn manifest_digest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let path = manifest_path(repository, reference)?;
        let access = Access { repository, action: Action::Pull };
        let answer = self.call(access, Method::HEAD, &path, Some(MANIFEST_TYPES), 0)?;
        match (answer.status, answer.header("Docker-Content-Digest")) {
            (200, Some(text)) => match Digest::parse(text) {
                Ok(digest) => Ok(Some(digest)),
                Err(error) => Err(answer.makes_no_sense(super::error::shown(&error.to_string()))),
            },
            // Old registries and some proxies leave it out.
            (200, None) => {
                let body = self.manifest(repository, reference)?;
                Ok(body.map(|bytes| Digest::of(&bytes)))
            }
            (404, _) => Ok(None),
            _ => Err(answer.unexpected()),
        }
    }

    /// The bytes of a manifest, at most [`MAX_MANIFEST_BYTES`]; `None` if the registry has none.
    /// What was asked for by a sha256 digest has that digest.
    pub fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let path = manifest_path(repository, reference)?;
        let access = Access { repository, action: Action::Pull };
        let answer =
            self.call(access, Method::GET, &path, Some(MANIFEST_TYPES), MAX_MANIFEST_BYTES)?;
        match answer.status {
            200 => {
                let found = Digest::of(&answer.body);
                match Digest::parse(reference) {
                    Ok(Digest::Sha256(wanted)) if found != Digest::Sha256(wanted) => {
                        Err(answer.makes_no_sense(format!("it has the digest {found}")))
                    }
                    _ => Ok(Some(answer.body)),
                }
            }
            404 => Ok(None),
            _ => Err(answer.unexpected()),
        }
    }

    /// Whether a repository serves a blob.
    pub fn head_blob(&self, repository: &str, digest: &Digest) -> Result<bool, RegistryError> {
        let path = format!("{}/blobs/{digest}", repository_path(repository)?);
        let access = Access { repository, action: Action::Pull };
        let answer = self.call(access, Method::HEAD, &path, None, 0)?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(answer.unexpected()),
        }
    }

    /// Deletes a manifest from a repository, and with it every tag that names it.
    pub fn delete_manifest(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<DeleteOutcome, RegistryError> {
        self.delete(repository, &manifest_path(repository, &digest.to_string())?)
    }

    /// Deletes the link by which a repository serves a blob. The blob stays for others, and on
    /// disk.
    pub fn delete_blob_link(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<DeleteOutcome, RegistryError> {
        self.delete(repository, &format!("{}/blobs/{digest}", repository_path(repository)?))
    }

    fn delete(&self, repository: &str, path: &str) -> Result<DeleteOutcome, RegistryError> {
        let access = Access { repository, action: Action::Delete };
        let answer = self.call(access, Method::DELETE, path, None, 1 << 16)?;
        match answer.status {
            200 | 202 | 204 => Ok(DeleteOutcome::Deleted),
            404 if is_unknown(&answer) => Ok(DeleteOutcome::NotFound),
            405 if is_read_only(&answer) => Ok(DeleteOutcome::ReadOnly),
            405 => Ok(DeleteOutcome::DeletesDisabled),
            _ => Err(answer.unexpected()),
        }
    }
}

/// Whether it is the registry that says so, and not some web server at a wrong address.
pub(super) fn is_unknown(answer: &Answer) -> bool {
    answer.error_codes().iter().any(|code| {
        matches!(code.as_str(), "NAME_UNKNOWN" | "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "NOT_FOUND")
    })
}
