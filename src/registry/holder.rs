//! Whether a registry is one whose references a database holds, as far as its answers say.

use ureq::http::Method;
use ureq::http::header::WWW_AUTHENTICATE;

use super::answer::Answer;
use super::client::Registry;
use super::error::RegistryError;
use super::transport::Request;
use crate::model::authority::{Evidence, EvidenceCode};

/// As much of the answer as is read, in bytes: its head is what counts.
const MAX_BYTES: u64 = 64 << 10;

impl Registry {
    /// What the answer to `GET /v2/` says of the product, asked without a login: the challenge says more than
    /// an empty body.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn holder_evidence(&self) -> Result<Vec<Evidence>, RegistryError> {
        let url = self.address.url("/v2/");
        let request = Request { method: Method::GET, url, accept: None, limit_bytes: MAX_BYTES };
        let answer = self.transport.send(&request, None)?;
        let signs = [
            gitlab(&answer).map(|sign| (EvidenceCode::GitlabHeader, sign)),
            openshift(&answer).map(|sign| (EvidenceCode::OpenshiftHeader, sign)),
            harbor(&answer).map(|sign| (EvidenceCode::HarborTokenService, sign)),
        ];
        let signs = signs.into_iter().flatten();
        Ok(signs.map(|(code, example)| Evidence { code, count: 1, of: 1, example }).collect())
    }
}

/// Registry/handlers/app.go of GitLab's registry.
fn gitlab(answer: &Answer) -> Option<String> {
    let name = "Gitlab-Container-Registry-Database-Enabled";
    let value = answer.header(name)?.trim();
    value.eq_ignore_ascii_case("true").then(|| format!("{name}: true"))
}

fn openshift(answer: &Answer) -> Option<String> {
    let name = "X-Registry-Supports-Signatures";
    if answer.header(name).is_some() {
        return Some(name.to_owned());
    }
    challenges(answer)
        .find(|text| text.contains("/openshift/token"))
        .map(|_| "/openshift/token".into())
}

fn harbor(answer: &Answer) -> Option<String> {
    let service = "service=\"harbor-registry\"";
    challenges(answer).find(|text| text.contains(service)).map(|_| service.into())
}

fn challenges(answer: &Answer) -> impl Iterator<Item = &str> {
    answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok())
}
