//! Whether the registry can take a push at this moment.

use ureq::http::Method;
use ureq::http::header::{ALLOW, LOCATION};

use super::address::own_part;
use super::answer::{Answer, without_query};
use super::auth::{Access, Action};
use super::client::{Registry, repository_path};
use super::error::RegistryError;

/// Whether a registry can write to its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServingState {
    /// Nothing listens at its address: every address of the host refuses connections. It is as sure
    /// as the address is right.
    Stopped,
    /// It runs and takes no pushes: `storage.maintenance.readonly.enabled`.
    ReadOnly,
    /// It takes pushes, or writes what it is asked for (a cache of another registry).
    Writable,
}

impl Registry {
    /// Asks whether `repository` takes an upload.
    ///
    /// First it sends a part of no upload: who takes pushes misses the upload (404), and nothing is
    /// written. Only to who refuses that (405) it goes on to ask for an upload, as a push does; if
    /// that is granted after all, it is taken back at once. It would not do to begin there: 2.8.2
    /// leaves the hash state of an upload behind when it is taken back.
    ///
    /// Only [`ServingState::Stopped`] and [`ServingState::ReadOnly`] say that nothing writes, and
    /// both only of the one server that answers: another replica may have another configuration.
    /// Name a repository that exists.
    ///
    /// # Errors
    /// When the answer is none of these: that is never a reason to take it for safe.
    pub fn probe(&self, repository: &str) -> Result<ServingState, RegistryError> {
        let uploads = format!("{}/blobs/uploads/", repository_path(repository)?);
        if self.is_stopped()? {
            return Ok(ServingState::Stopped);
        }
        let access = Access { repository, action: Action::Push };
        let part = self.call(access, Method::PATCH, &uploads, None, 1 << 16)?;
        if part.status == 404 && part.error_codes().iter().any(|c| c == "BLOB_UPLOAD_UNKNOWN") {
            return Ok(ServingState::Writable);
        }
        let answer = self.call(access, Method::POST, &uploads, None, 1 << 16)?;
        match answer.status {
            405 if is_read_only(&answer) => Ok(ServingState::ReadOnly),
            202 => {
                self.cancel_upload(repository, &uploads, &answer)?;
                Ok(ServingState::Writable)
            }
            _ => Err(answer.unexpected()),
        }
    }

    /// Whether nothing listens at its address.
    ///
    /// # Errors
    /// When that cannot be found out, as for a name that does not resolve.
    pub fn is_stopped(&self) -> Result<bool, RegistryError> {
        self.transport.is_refused(&self.address)
    }

    fn cancel_upload(
        &self,
        repository: &str,
        uploads: &str,
        begun: &Answer,
    ) -> Result<(), RegistryError> {
        let location = begun.header(LOCATION.as_str()).unwrap_or_default();
        let Some(upload) = own_part(location, uploads).filter(|id| !id.is_empty()) else {
            return Err(RegistryError::UploadLeft { url: self.address.url(uploads), source: None });
        };
        let path = format!("{uploads}{upload}");
        // Pushing is what lets one cancel, but some servers ask for the right to delete.
        let access = Access { repository, action: Action::Delete };
        let cancelled = self.call(access, Method::DELETE, &path, None, 1 << 16);
        let problem = match cancelled {
            Ok(answer) if matches!(answer.status, 200 | 202 | 204 | 404) => return Ok(()),
            Ok(answer) => answer.unexpected(),
            Err(error) => error,
        };
        let url = without_query(&self.address.url(&path)).to_owned();
        Err(RegistryError::UploadLeft { url, source: Some(Box::new(problem)) })
    }
}

/// The 405 of a registry that is configured to be read-only (distribution
/// `registry/handlers/blobupload.go`): it lists the methods it still takes. A cache of another
/// registry says 405 too, and writes whenever somebody pulls; so may a web server in front.
pub(super) fn is_read_only(answer: &Answer) -> bool {
    let is_registry = answer.header("Docker-Distribution-Api-Version") == Some("registry/2.0");
    let allowed = answer.header(ALLOW.as_str()).unwrap_or_default();
    let mut methods: Vec<&str> = allowed.split(',').map(str::trim).collect();
    methods.sort_unstable();
    is_registry && methods == ["GET", "HEAD"]
}
