//! A registry that can be asked.

use std::io::Write;

use ureq::http::Method;

use crate::model::{Digest, is_repository_name, is_tag_name};

use super::address::Address;
use super::answer::Answer;
use super::auth::{Access, Auth};
use super::error::{RegistryError, shown};
use super::options::Options;
use super::transport::{Request, Transport};

/// A registry that serves, or should. Many threads may use one.
#[derive(Debug)]
pub struct Registry {
    pub(super) address: Address,
    pub(super) transport: Transport,
    auth: Auth,
}

impl Registry {
    /// A registry at `url`: `http(s)://host[:port][/prefix]`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address or the options cannot be used.
    pub fn connect(url: &str, options: Options) -> Result<Self, RegistryError> {
        let address = Address::parse(url)?;
        let auth = Auth::new(options.credentials.clone(), address.is_https());
        let transport = Transport::new(&address, options)?;
        Ok(Self { address, transport, auth })
    }

    /// Its address, without anything secret.
    pub fn url(&self) -> String {
        self.address.to_string()
    }

    /// `host` or `host:port` of an address, as docker's `config.json` has it.
    ///
    /// # Errors
    /// When it is not the address of a registry.
    pub fn host_of(url: &str) -> Result<String, RegistryError> {
        Ok(Address::parse(url)?.authority())
    }

    /// Sends a request; a 401 is answered once, with what it asks for.
    pub(super) fn call(
        &self,
        access: Access<'_>,
        method: Method,
        path: &str,
        accept: Option<&str>,
        limit_bytes: u64,
    ) -> Result<Answer, RegistryError> {
        let request = Request { method, url: self.address.url(path), accept, limit_bytes };
        let known = self.auth.header(access);
        let answer = self.transport.send(&request, known.as_ref())?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let header = self.auth.renew(&self.transport, &answer, access, known.as_ref())?;
        let answer = self.transport.send(&request, Some(&header))?;
        if answer.status == 401 { Err(answer.unexpected()) } else { Ok(answer) }
    }

    /// The same with the body of a 200 written to `sink`, however long it is. A connection that breaks is
    /// not tried again.
    pub(super) fn call_into(
        &self,
        access: Access<'_>,
        method: Method,
        path: &str,
        sink: &mut dyn Write,
    ) -> Result<Answer, RegistryError> {
        let request = Request { method, url: self.address.url(path), accept: None, limit_bytes: 0 };
        let known = self.auth.header(access);
        let answer = self.transport.send_into(&request, known.as_ref(), sink)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let header = self.auth.renew(&self.transport, &answer, access, known.as_ref())?;
        let answer = self.transport.send_into(&request, Some(&header), sink)?;
        if answer.status == 401 { Err(answer.unexpected()) } else { Ok(answer) }
    }

    /// Sends a `GET` without saying who asks.
    pub(super) fn call_as_nobody(
        &self,
        path: &str,
        limit_bytes: u64,
    ) -> Result<Answer, RegistryError> {
        let request =
            Request { method: Method::GET, url: self.address.url(path), accept: None, limit_bytes };
        self.transport.send(&request, None)
    }
}

/// `/v2/<name>`, for a name that needs no escape in a path.
pub(super) fn repository_path(repository: &str) -> Result<String, RegistryError> {
    if is_repository_name(repository) {
        Ok(format!("/v2/{repository}"))
    } else {
        Err(RegistryError::BadName { what: "repository", name: shown(repository) })
    }
}

/// `/v2/<name>/manifests/<reference>` of a tag or a digest.
pub(super) fn manifest_path(repository: &str, reference: &str) -> Result<String, RegistryError> {
    let repository = repository_path(repository)?;
    if is_tag_name(reference) || Digest::parse(reference).is_ok() {
        // All characters of a digest may stand in a path (RFC 3986, "pchar").
        Ok(format!("{repository}/manifests/{reference}"))
    } else {
        Err(RegistryError::BadName { what: "tag", name: shown(reference) })
    }
}
