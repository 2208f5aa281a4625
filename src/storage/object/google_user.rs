//! Credentials of a person on Google Cloud: what `gcloud auth application-default login` leaves behind
//! (<https://google.aip.dev/auth/4113>).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::Request;
use object_store::CredentialProvider;
use object_store::gcp::GcpCredential;
use serde::Deserialize;

use super::aws::Environment;
use super::http::{Bounds, agent, exchange, query, read_bounded};

/// Where a refresh token becomes an access token, unless the file says another place.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// Below the home directory.
const DEFAULT_FILE: &str = ".config/gcloud/application_default_credentials.json";
/// The most that is read of such a file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// A token is renewed this long before it ends.
const SPARE: Duration = Duration::from_mins(5);

/// What a file of credentials is.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum File {
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
        token_uri: Option<String>,
    },
    ServiceAccount,
    #[serde(other)]
    Other,
}

/// What a file of credentials leads to.
pub(super) enum Found {
    /// A person.
    User(User),
    /// The key of a service account, as JSON.
    ServiceAccount(String),
}

/// The credentials of the file that the environment names, or of the one that gcloud writes; `None` where neither is.
///
/// # Errors
/// When it cannot be read, or needs a tool of Google. The text shows nothing of the file.
pub(super) fn find(environment: Environment<'_>) -> Result<Option<Found>, String> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let named = set("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    let is_named = named.is_some();
    let default = || {
        let config = set("CLOUDSDK_CONFIG").map(PathBuf::from);
        let in_config = config.map(|config| config.join("application_default_credentials.json"));
        in_config.or_else(|| Some(Path::new(&set("HOME")?).join(DEFAULT_FILE)))
    };
    let Some(path) = named.or_else(default) else { return Ok(None) };
    let shown = path.display();
    let bytes = match read_bounded(&path, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read `{shown}`: {error}")),
    };
    // What a parser says could show a part of a key.
    let file: File = serde_json::from_slice(&bytes)
        .map_err(|_| format!("`{shown}` is no file of credentials of Google"))?;
    match file {
        File::ServiceAccount => {
            Ok(Some(Found::ServiceAccount(String::from_utf8_lossy(&bytes).into_owned())))
        }
        File::AuthorizedUser { client_id, client_secret, refresh_token, token_uri } => {
            let token_uri = token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
            let kept = Mutex::new(None);
            Ok(Some(Found::User(User { client_id, client_secret, refresh_token, token_uri, kept })))
        }
        File::Other => Err(format!(
            "`{shown}` is neither the key of a service account nor of a person who has logged in; run: \
             export CLOUDSDK_AUTH_ACCESS_TOKEN=$(gcloud auth application-default print-access-token)"
        )),
    }
}

/// A person who has logged in.
pub(super) struct User {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    token_uri: String,
    kept: Mutex<Option<(Arc<GcpCredential>, Instant)>>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("User")
    }
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

fn failed(reason: String) -> object_store::Error {
    object_store::Error::Generic { store: "GCS", source: reason.into() }
}

#[async_trait]
impl CredentialProvider for User {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((credential, _)) = kept.as_ref().filter(|(_, at)| *at > Instant::now()) {
                return Ok(Arc::clone(credential));
            }
        }
        let form = query(&[
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
            ("refresh_token", &self.refresh_token),
        ]);
        let request = Request::post(&self.token_uri)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.into_bytes())
            .map_err(|error| failed(format!("token_uri: {error}")))?;
        let reply = exchange(&agent(&self.token_uri, false), &request, Bounds::bytes(1 << 20))
            .map_err(|broken| failed(format!("{}: {}", self.token_uri, broken.reason())))?;
        if !reply.is_success() {
            #[derive(Deserialize)]
            struct Refused {
                error: String,
            }
            let why = serde_json::from_slice::<Refused>(&reply.body).map(|refused| refused.error);
            let why = why.map_or_else(
                |_| reply.status.to_string(),
                |why| format!("{why} ({})", reply.status),
            );
            return Err(failed(format!("{} answered {why}", self.token_uri)));
        }
        let given: Given = serde_json::from_slice(&reply.body)
            .map_err(|_| failed(format!("{} gave no token", self.token_uri)))?;
        let good_for = Duration::from_secs(given.expires_in).saturating_sub(SPARE);
        let credential = Arc::new(GcpCredential { bearer: given.access_token });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((Arc::clone(&credential), Instant::now() + good_for));
        Ok(credential)
    }
}
