//! Credentials of a container on AWS: the agent of ECS, the pod identity of EKS, and whoever else answers at the URL that
//! the container is given ("Container credential provider" of the AWS SDKs' reference).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Uri};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

use super::http::{Bounds, agent, exchange, read_bounded};
use super::kept::{Given, Kept, failed, still_good};

/// Where the agent of ECS answers.
const AGENT: &str = "http://169.254.170.2";
/// How long it may take: it is near.
const LIMIT: Duration = Duration::from_secs(5);
/// The most that is read of a token, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// Where a container gets the credentials of its role.
#[derive(Debug)]
pub(super) struct Container {
    url: String,
    token: Option<Token>,
    kept: Kept,
}

enum Token {
    /// It changes while the container runs.
    File(PathBuf),
    Text(String),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Container {
    /// By the variables of a container; `None` where there are none.
    ///
    /// # Errors
    /// When credentials would go over the network in plain text.
    pub(super) fn of(set: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let url = match set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            Some(path) => Some(format!("{AGENT}{path}")),
            None => set("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        };
        let Some(url) = url else { return Ok(None) };
        if !is_near_or_encrypted(&url) {
            return Err("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine \
                        or of its cloud"
                .to_owned());
        }
        let file =
            set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|file| Token::File(file.into()));
        let token = file.or_else(|| set("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Token::Text));
        Ok(Some(Self { url, token, kept: Mutex::new(None) }))
    }
}

/// Over plain HTTP only what is not sent through a network is asked: this machine, and the link-local addresses of
/// ECS and EKS.
fn is_near_or_encrypted(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_near = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        // fd00:ec2::23 of EKS is a unique local address.
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local()
        }
        Err(_) => host == "localhost",
    };
    is_near || uri.scheme_str() == Some("https")
}

fn read_token(file: &Path) -> Result<String, object_store::Error> {
    let text = read_bounded(file, MAX_TOKEN_BYTES)
        .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
    text.map(|text| text.trim().to_owned())
        .map_err(|error| failed(format!("cannot read `{}`: {error}", file.display())))
}

#[async_trait]
impl CredentialProvider for Container {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        if let Some(credential) = still_good(&self.kept) {
            return Ok(credential);
        }
        let mut request = Request::get(&self.url).header("accept", "application/json");
        let token = match &self.token {
            Some(Token::File(file)) => Some(read_token(file)?),
            Some(Token::Text(text)) => Some(text.clone()),
            None => None,
        };
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        // What is wrong with it could show the token.
        let request = request
            .body(Vec::new())
            .map_err(|_| failed("the container's URL or its token is none".to_owned()))?;
        let bounds = Bounds { time: LIMIT, ..Bounds::bytes(1 << 20) };
        let reply = exchange(&agent(&self.url, false), &request, bounds)
            .map_err(|broken| failed(format!("the container's service: {}", broken.reason())))?;
        if !reply.is_success() {
            return Err(failed(format!("the container's service answered {}", reply.status)));
        }
        let given: Given = serde_json::from_slice(&reply.body)
            .map_err(|_| failed("the container's service gave no credentials".to_owned()))?;
        Ok(given.kept_in(&self.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_asked_for_in_plain_text_only_where_no_network_sees_them() {
        for near in [
            "http://127.0.0.1:51679/v2",
            "http://localhost/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "https://example.com/role",
        ] {
            assert!(is_near_or_encrypted(near), "{near}");
        }
        for far in ["http://example.com/role", "http://10.0.0.1/role", "ftp:", ""] {
            assert!(!is_near_or_encrypted(far), "{far}");
        }
    }
}
