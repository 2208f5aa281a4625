//! Credentials of AWS: keys of the environment, profiles of `~/.aws`, web identity, roles of containers
//! and machines.
//!
//! Order and names are those of the AWS CLI ("Configuration and credential file settings").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{Method, Request};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequestBody;
use object_store::{CredentialProvider, StaticCredentialProvider};

use super::container::Container;
use super::http::{Bounds, agent, encode, exchange, read_bounded};
use super::kept::{Given, Kept, failed, keep, still_good};
use super::runtime::{Connector, retries};
use super::xml;

/// Where variables come from: the process, or a test.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

type Provider = Arc<dyn CredentialProvider<Credential = AwsCredential>>;
type Profile = BTreeMap<String, String>;

/// How far a profile may lead to another one.
const MAX_PROFILES: usize = 8;
/// What to do where a profile cannot be used.
const EXPORT: &str = "run: eval \"$(aws configure export-credentials --format env)\"";

/// Credentials, and the region that goes with them.
pub(super) struct Found {
    pub(super) provider: Provider,
    pub(super) region: Option<String>,
}

/// The credentials that the environment leads to. `region` is what the place says.
pub(super) fn find(environment: Environment<'_>, region: Option<&str>) -> Result<Found, String> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let from_environment = || set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
    let files = Files::read(environment)?;
    let asked_profile = set("AWS_PROFILE").or_else(|| set("AWS_DEFAULT_PROFILE"));
    let profile_name = asked_profile.as_deref().unwrap_or("default");
    let profile = files.profiles.get(profile_name);
    let region = region
        .map(str::to_owned)
        .or_else(from_environment)
        .or_else(|| profile.and_then(|profile| profile.get("region").cloned()));
    let sts_region = region.as_deref().unwrap_or("us-east-1");
    let found = |provider| Ok(Found { provider, region: region.clone() });

    match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
        (Some(key_id), Some(secret_key)) => {
            let token = set("AWS_SESSION_TOKEN");
            return found(fixed(AwsCredential { key_id, secret_key, token }));
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not".to_owned());
        }
        (None, Some(_)) => {
            return Err("AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not".to_owned());
        }
    }
    let sts = set("AWS_ENDPOINT_URL_STS");
    if let (Some(file), Some(role)) = (set("AWS_WEB_IDENTITY_TOKEN_FILE"), set("AWS_ROLE_ARN")) {
        let session = set("AWS_ROLE_SESSION_NAME");
        return found(web_identity(&file, &role, session.as_deref(), sts_region, sts)?);
    }
    if let Some(name) = &asked_profile
        && profile.is_none()
    {
        let places = files.places.join(" or ");
        return Err(format!("there is no profile `{name}` in {places}"));
    }
    if profile.is_some()
        && let Some(provider) = files.provider(profile_name, sts_region, sts.as_ref(), 0)?
    {
        return found(provider);
    }
    if let Some(container) = Container::of(&set)? {
        return found(Arc::new(container));
    }
    let mut builder = builder(sts_region);
    if let Some(endpoint) = set("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        builder = builder.with_config(AmazonS3ConfigKey::MetadataEndpoint, endpoint);
    }
    found(built(builder)?)
}

/// Keys that are what they are.
pub(super) fn fixed(credential: AwsCredential) -> Provider {
    Arc::new(StaticCredentialProvider::new(credential))
}

fn builder(region: &str) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_http_connector(Connector)
        .with_retry(retries())
        .with_region(region)
        // Only its credentials are used.
        .with_bucket_name("none")
}

fn built(builder: AmazonS3Builder) -> Result<Provider, String> {
    let store = builder.build().map_err(|error| error.to_string())?;
    Ok(Arc::clone(store.credentials()))
}

fn web_identity(
    token_file: &str,
    role_arn: &str,
    session: Option<&str>,
    region: &str,
    sts: Option<String>,
) -> Result<Provider, String> {
    let mut builder = builder(region)
        .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token_file)
        .with_config(AmazonS3ConfigKey::RoleArn, role_arn);
    if let Some(session) = session {
        builder = builder.with_config(AmazonS3ConfigKey::RoleSessionName, session);
    }
    if let Some(sts) = sts {
        builder = builder.with_config(AmazonS3ConfigKey::StsEndpoint, sts);
    }
    built(builder)
}

/// The most that is read of a file of profiles, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The profiles of both files.
struct Files {
    profiles: BTreeMap<String, Profile>,
    places: Vec<String>,
}

impl Files {
    fn read(environment: Environment<'_>) -> Result<Self, String> {
        let home = environment("HOME").filter(|home| !home.is_empty());
        let file = |variable: &str, name: &str| -> Option<PathBuf> {
            let set = environment(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
            set.or_else(|| Some(Path::new(home.as_deref()?).join(".aws").join(name)))
        };
        let mut files = Self { profiles: BTreeMap::new(), places: Vec::new() };
        let config = file("AWS_CONFIG_FILE", "config");
        // The file of credentials wins, so it comes last.
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        for (path, is_config) in [(config, true), (credentials, false)] {
            let Some(path) = path else { continue };
            files.places.push(format!("`{}`", path.display()));
            let text = read_bounded(&path, MAX_FILE_BYTES)
                .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
            match text {
                Ok(text) => files.add(&text, is_config),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("cannot read `{}`: {error}", path.display())),
            }
        }
        Ok(files)
    }

    /// Reads the INI of AWS: `[profile NAME]` in the file of settings, `[NAME]` in that of
    /// credentials. What is indented belongs to a nested setting and is none of ours.
    fn add(&mut self, text: &str, is_config: bool) {
        let mut section: Option<String> = None;
        for line in text.lines() {
            let is_nested = line.starts_with([' ', '\t']);
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
                let name = name.trim();
                section = match name.strip_prefix("profile") {
                    Some(rest) if is_config && rest.starts_with([' ', '\t']) => {
                        Some(rest.trim().trim_matches('"').to_owned())
                    }
                    _ if !is_config || name == "default" => Some(name.to_owned()),
                    _ => None,
                };
                if let Some(section) = &section {
                    self.profiles.entry(section.clone()).or_default();
                }
                continue;
            }
            let Some(section) = section.as_ref().filter(|_| !is_nested) else { continue };
            if let Some((name, value)) = line.split_once('=') {
                let profile = self.profiles.entry(section.clone()).or_default();
                profile.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }

    /// What a profile leads to; `None` when it says nothing of credentials.
    fn provider(
        &self,
        name: &str,
        region: &str,
        sts: Option<&String>,
        depth: usize,
    ) -> Result<Option<Provider>, String> {
        let Some(profile) = self.profiles.get(name) else {
            return Err(format!("there is no profile `{name}`"));
        };
        if depth > MAX_PROFILES {
            return Err(format!("profile `{name}` leads back to itself"));
        }
        let get = |name: &str| profile.get(name).filter(|value| !value.is_empty());
        if let (Some(role_arn), Some(source)) = (get("role_arn"), get("source_profile")) {
            if get("mfa_serial").is_some() {
                return Err(format!("profile `{name}` asks for a code of MFA; {EXPORT}"));
            }
            let is_own = source == name;
            let source = if is_own { None } else { self.provider(source, region, sts, depth + 1)? };
            let source = source.or_else(|| keys_of(profile));
            let Some(source) = source else {
                return Err(format!("the source of profile `{name}` has no credentials"));
            };
            let endpoint =
                sts.cloned().unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com"));
            return Ok(Some(Arc::new(AssumedRole {
                source,
                endpoint,
                region: region.to_owned(),
                role_arn: role_arn.clone(),
                external_id: get("external_id").cloned(),
                kept: Mutex::new(None),
            })));
        }
        if let (Some(role_arn), Some(file)) = (get("role_arn"), get("web_identity_token_file")) {
            let session = get("role_session_name").map(String::as_str);
            return web_identity(file, role_arn, session, region, sts.cloned()).map(Some);
        }
        if let Some(keys) = keys_of(profile) {
            return Ok(Some(keys));
        }
        if let Some(command) = get("credential_process") {
            return Ok(Some(Arc::new(Process {
                command: command.clone(),
                kept: Mutex::new(None),
            })));
        }
        let needs_login = profile.keys().any(|key| key.starts_with("sso_"));
        let is_elsewhere = get("role_arn").is_some() && get("credential_source").is_some();
        if needs_login || is_elsewhere {
            return Err(format!("profile `{name}` needs the AWS CLI; {EXPORT}"));
        }
        Ok(None)
    }
}

fn keys_of(profile: &Profile) -> Option<Provider> {
    Some(fixed(AwsCredential {
        key_id: profile.get("aws_access_key_id")?.clone(),
        secret_key: profile.get("aws_secret_access_key")?.clone(),
        token: profile.get("aws_session_token").cloned(),
    }))
}

/// A role that a profile takes with the credentials of another one (STS `AssumeRole`).
#[derive(Debug)]
struct AssumedRole {
    source: Provider,
    endpoint: String,
    region: String,
    role_arn: String,
    external_id: Option<String>,
    kept: Kept,
}

#[async_trait]
impl CredentialProvider for AssumedRole {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        if let Some(credential) = still_good(&self.kept) {
            return Ok(credential);
        }
        let source = self.source.get_credential().await?;
        let mut url = format!(
            "{}/?Action=AssumeRole&RoleArn={}&RoleSessionName=regsql&Version=2011-06-15",
            self.endpoint.trim_end_matches('/'),
            encode(&self.role_arn, false),
        );
        if let Some(id) = &self.external_id {
            url.push_str("&ExternalId=");
            url.push_str(&encode(id, false));
        }
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(&url)
            .body(HttpRequestBody::empty())
            .map_err(|error| failed(error.to_string()))?;
        AwsAuthorizer::new(&source, "sts", &self.region).try_authorize(&mut request, None)?;
        let (parts, _) = request.into_parts();
        let request = Request::from_parts(parts, Vec::new());
        let reply = exchange(&agent(&url, false), &request, Bounds::bytes(1 << 20))
            .map_err(|broken| failed(broken.reason().to_owned()))?;
        if !reply.is_success() {
            let message = xml::leaf(&reply.body, "Error/Message").unwrap_or_default();
            let status = reply.status;
            return Err(failed(format!("STS answered {status} for {}: {message}", self.role_arn)));
        }
        let get = |name: &str| {
            xml::leaf(&reply.body, &format!("AssumeRoleResult/Credentials/{name}"))
                .ok_or_else(|| failed(format!("STS gave no {name}")))
        };
        let credential = AwsCredential {
            key_id: get("AccessKeyId")?,
            secret_key: get("SecretAccessKey")?,
            token: Some(get("SessionToken")?),
        };
        let ends_at = get("Expiration")?.parse().ok();
        Ok(keep(&self.kept, credential, ends_at))
    }
}

/// A command that prints credentials (`credential_process`).
#[derive(Debug)]
struct Process {
    command: String,
    kept: Kept,
}

#[async_trait]
impl CredentialProvider for Process {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        if let Some(credential) = still_good(&self.kept) {
            return Ok(credential);
        }
        let output = Command::new("sh")
            .args(["-c", &self.command])
            .output()
            .map_err(|error| failed(format!("credential_process: {error}")))?;
        if !output.status.success() {
            return Err(failed(format!("credential_process ended with {}", output.status)));
        }
        // What it printed is secret, and so is what a parser says of it.
        let given: Given = serde_json::from_slice(&output.stdout)
            .map_err(|_| failed("credential_process printed no credentials".to_owned()))?;
        Ok(given.kept_in(&self.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn key_of(provider: &Provider) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let credential = runtime.block_on(provider.get_credential());
        credential.map(|credential| credential.key_id.clone()).map_err(|error| error.to_string())
    }

    /// The key id and the region that an environment and two files lead to.
    fn found(
        variables: &[(&str, &str)],
        config: &str,
        credentials: &str,
    ) -> Result<(String, Option<String>), String> {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        fs::write(home.path().join(".aws/config"), config).unwrap();
        fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        let home = home.path().to_str().unwrap().to_owned();
        let environment = |name: &str| match name {
            "HOME" => Some(home.clone()),
            _ => variables.iter().find(|(other, _)| *other == name).map(|(_, v)| (*v).to_owned()),
        };
        let found = find(&environment, None)?;
        Ok((key_of(&found.provider)?, found.region))
    }

    const CREDENTIALS: &str = "[default]\naws_access_key_id=D\naws_secret_access_key=x\n\
        [work]\naws_access_key_id = W\naws_secret_access_key = x=y\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\n# a comment\n[profile work]\n\
        region=eu-north-1\ns3 =\n  aws_access_key_id = nested\n\
        [profile command]\ncredential_process = printf '{\"Version\":1,\"AccessKeyId\":\"C\",\"SecretAccessKey\":\"x\"}'\n\
        [profile login]\nsso_start_url = https://example.com\n\
        [profile loop]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = loop2\n\
        [profile loop2]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = loop\n\
        [services s]\naws_access_key_id=none\n";

    #[test]
    fn the_environment_comes_before_profiles_and_a_named_profile_before_the_default() {
        let keys = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "x")];
        let of = |variables: &[(&str, &str)]| found(variables, CONFIG, CREDENTIALS).unwrap();
        assert_eq!(of(&keys), ("E".into(), Some("eu-west-1".into())));
        assert_eq!(of(&[]), ("D".into(), Some("eu-west-1".into())));
        assert_eq!(of(&[("AWS_PROFILE", "work")]), ("W".into(), Some("eu-north-1".into())));
        assert_eq!(of(&[("AWS_PROFILE", "command")]).0, "C");
        assert_eq!(of(&[("AWS_REGION", "r")]).1.as_deref(), Some("r"));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let of = |name: &str| found(&[("AWS_PROFILE", name)], CONFIG, CREDENTIALS).unwrap_err();
        assert!(of("missing").contains("there is no profile `missing`"), "{}", of("missing"));
        assert!(of("login").contains("aws configure export-credentials"), "{}", of("login"));
        assert!(of("loop").contains("leads back to itself"), "{}", of("loop"));
        let half = found(&[("AWS_ACCESS_KEY_ID", "E")], CONFIG, CREDENTIALS).unwrap_err();
        assert!(half.contains("AWS_SECRET_ACCESS_KEY is not"), "{half}");
    }
}
