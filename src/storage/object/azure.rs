//! Azure Blob Storage (REST API, version 2023-11-03).

mod page;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request};
use object_store::azure::{
    AzureAuthorizer, AzureConfigKey, AzureCredential, MicrosoftAzureBuilder, split_sas,
};
use object_store::client::HttpRequestBody;

use super::aws::Environment;
use super::http::{Asked, Bounds, Http, Reply, Wanted, encode, query as query_of};
use super::pages::Markers;
use super::runtime::{Connector, Credentials, retries};
use super::xml;
use super::{
    Abilities, Bucket, BucketError, BucketErrorKind, DeleteCondition, Object, Page, PutCondition,
    Secret, Version, VersionPage, http_time,
};

pub(super) use page::md5_of_base64;
use page::{Rows, read_page};

const HINT: &str = "set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or \
    AZURE_STORAGE_CONNECTION_STRING; or AZURE_CLIENT_ID and AZURE_TENANT_ID with AZURE_CLIENT_SECRET \
    or AZURE_FEDERATED_TOKEN_FILE; on Azure give the machine an identity";
/// How long a copy may take.
const COPY: Duration = Duration::from_hours(1);

/// Where a container is and how to get in.
#[derive(Clone, Debug, Default)]
pub struct AzureOptions {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// The URL of the account; `None` is that of the environment, or `https://ACCOUNT.blob.REALM`.
    pub endpoint: Option<String>,
    /// The domain of the accounts; `None` is `core.windows.net`.
    pub realm: Option<String>,
    /// The account's key.
    pub key: Option<Secret>,
    /// A connection string.
    pub connection: Option<Secret>,
    /// An application: tenant, client, secret.
    pub client: Option<(String, String, Secret)>,
    /// Takes any certificate.
    pub skips_verification: bool,
}

/// A container of Azure.
#[derive(Debug)]
pub struct Azure {
    url: String,
    account: String,
    /// The container's URL.
    base: String,
    /// The account's URL.
    service: String,
    http: Http,
    credentials: Credentials<AzureCredential>,
    /// What a copy's source is signed with, where it is not the header.
    sas: Option<Vec<(String, String)>>,
    abilities: Mutex<Option<Abilities>>,
}

/// The parts of a connection string.
fn parts_of(connection: &str) -> impl Fn(&str) -> Option<String> + '_ {
    move |name| {
        let mut parts = connection.split(';').filter_map(|part| part.split_once('='));
        parts.find(|(found, _)| found.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned())
    }
}

impl Azure {
    /// A container with the credentials that the environment leads to. Nothing is sent yet.
    ///
    /// # Errors
    /// When the credentials are not usable.
    pub fn connect(
        options: &AzureOptions,
        environment: Environment<'_>,
    ) -> Result<Self, BucketError> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let connection = options.connection.as_ref().map(|secret| secret.reveal().to_owned());
        let has_own = options.key.is_some() || options.client.is_some();
        let connection = connection
            .or_else(|| set("AZURE_STORAGE_CONNECTION_STRING").filter(|_| !has_own))
            .unwrap_or_default();
        let of = parts_of(&connection);
        let of_other = of("AccountName").is_some_and(|name| name != options.account);
        let of = |name: &str| of(name).filter(|_| !of_other);
        let account = options.account.clone();
        let url = format!("az://{account}/{}", options.container);
        let realm = options.realm.clone().or_else(|| of("EndpointSuffix"));
        let realm = realm.unwrap_or_else(|| "core.windows.net".to_owned());
        let service = options
            .endpoint
            .clone()
            .or_else(|| of("BlobEndpoint"))
            .or_else(|| set("AZURE_STORAGE_SERVICE_ENDPOINT"))
            .unwrap_or_else(|| format!("https://{account}.blob.{realm}"));
        let service = service.trim_end_matches('/').to_owned();
        let base = format!("{service}/{}", encode(&options.container, true));

        let mut builder = MicrosoftAzureBuilder::new()
            .with_http_connector(Connector)
            .with_retry(retries())
            .with_account(&account)
            .with_container_name(&options.container);
        let key = options.key.as_ref().map(|key| key.reveal().to_owned());
        let own_client = options.client.as_ref();
        let key = key.or_else(|| of("AccountKey")).or_else(|| {
            set("AZURE_STORAGE_KEY")
                .or_else(|| set("AZURE_STORAGE_ACCOUNT_KEY"))
                .filter(|_| own_client.is_none())
        });
        let denied = |reason: &str| {
            let reason = format!("no credentials: {reason}");
            BucketError::new(BucketErrorKind::Denied, "open", &url, "", &reason).with_hint(HINT)
        };
        let sas = of("SharedAccessSignature").or_else(|| set("AZURE_STORAGE_SAS_TOKEN"));
        let mut source_sas = None;
        if let Some((tenant, client, secret)) = own_client {
            builder = builder.with_client_secret_authorization(client, secret.reveal(), tenant);
        } else if let Some(key) = key {
            builder = builder.with_access_key(key);
        } else if let Some(sas) = sas {
            // What the library says of it would show it.
            let pairs = split_sas(&sas).map_err(|_| denied("the SAS token is none"))?;
            source_sas = Some(pairs.clone());
            builder = builder.with_sas_authorization(pairs);
        } else {
            for (name, config) in [
                ("AZURE_CLIENT_ID", AzureConfigKey::ClientId),
                ("AZURE_TENANT_ID", AzureConfigKey::AuthorityId),
                ("AZURE_CLIENT_SECRET", AzureConfigKey::ClientSecret),
                ("AZURE_FEDERATED_TOKEN_FILE", AzureConfigKey::FederatedTokenFile),
                ("AZURE_AUTHORITY_HOST", AzureConfigKey::AuthorityHost),
                ("AZURE_USE_AZURE_CLI", AzureConfigKey::UseAzureCli),
                ("IDENTITY_ENDPOINT", AzureConfigKey::MsiEndpoint),
            ] {
                if let Some(value) = set(name) {
                    builder = builder.with_config(config, value);
                }
            }
        }
        let store = builder.build().map_err(|error| denied(&error.to_string()))?;
        Ok(Self {
            http: Http::new(&service, options.skips_verification),
            credentials: Credentials::new(Arc::clone(store.credentials())),
            url,
            account,
            base,
            service,
            sas: source_sas,
            abilities: Mutex::new(None),
        })
    }

    fn asked<'a>(&'a self, request: &'static str, key: &'a str) -> Asked<'a> {
        Asked { request, bucket_url: &self.url, key }
    }

    fn address(&self, key: &str) -> String {
        if key.is_empty() {
            self.base.clone()
        } else {
            format!("{}/{}", self.base, encode(key, true))
        }
    }

    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    fn call(
        &self,
        asked: Asked<'_>,
        method: Method,
        address: &str,
        query: &[(&str, &str)],
        headers: &[(&'static str, String)],
        body: &[u8],
        bounds: Bounds,
    ) -> Result<Reply, BucketError> {
        if asked.key.split('/').any(|part| matches!(part, "." | "..")) && address != self.base {
            let reason = "no URL can hold a key with `.` or `..` between slashes";
            return Err(asked.error(BucketErrorKind::Unsupported, reason));
        }
        let mut make = || -> Result<Request<Vec<u8>>, BucketError> {
            let bad = |error: &dyn std::fmt::Display| {
                asked.error(BucketErrorKind::BadAnswer, &error.to_string())
            };
            let uri = if query.is_empty() {
                address.to_owned()
            } else {
                format!("{address}?{}", query_of(query))
            };
            let mut request = Request::builder()
                .method(method.clone())
                .uri(uri)
                .body(HttpRequestBody::empty())
                .map_err(|error| bad(&error))?;
            for (name, value) in headers {
                let value = HeaderValue::from_str(value).map_err(|error| bad(&error))?;
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
            if matches!(method, Method::PUT | Method::POST) {
                // The length is signed.
                request.headers_mut().insert(http::header::CONTENT_LENGTH, body.len().into());
            }
            let credential = self.credentials.get(asked, HINT)?;
            AzureAuthorizer::new(&credential, &self.account)
                .try_authorize(&mut request)
                .map_err(|error| bad(&error))?;
            let (parts, _) = request.into_parts();
            Ok(Request::from_parts(parts, body.to_vec()))
        };
        self.http.send(asked, bounds, &|_| false, &mut make)
    }

    fn failed(asked: Asked<'_>, reply: &Reply) -> BucketError {
        use BucketErrorKind as Kind;
        let code = reply.header("x-ms-error-code").map(str::to_owned);
        let code = code.or_else(|| xml::leaf(&reply.body, "Code")).unwrap_or_default();
        let message = xml::leaf(&reply.body, "Message").unwrap_or_default();
        let detail = xml::leaf(&reply.body, "AuthenticationErrorDetail").unwrap_or_default();
        let kind = match (reply.status, code.as_str()) {
            (404, _) => Kind::NotFound,
            (401 | 403, _) => Kind::Denied,
            (429 | 503, _) => Kind::Throttled,
            (405 | 501, _) | (400 | 409, "FeatureNotSupported" | "UnsupportedHeader") => {
                Kind::Unsupported
            }
            (304 | 409 | 412, _) => Kind::Changed,
            (408 | 500 | 502 | 504, _) => Kind::Unavailable,
            _ => Kind::BadAnswer,
        };
        let first = message.lines().next().unwrap_or("");
        let words = match (code.as_str(), first) {
            ("", _) => format!("the server answered {}", reply.status),
            (code, "") => format!("{code} ({})", reply.status),
            (code, first) => format!("{code} ({}): {first}", reply.status),
        };
        let error = reply.explain(asked.error(kind, &words));
        let is_skewed = detail.contains("Date") || detail.contains("expir");
        let hint = match code.as_str() {
            // The clock is known.
            _ if error.hint.is_some() => return error,
            "ContainerNotFound" => {
                "check the container's name and the account; `container` and `accountname` of the registry's \
                 configuration have them"
            }
            "AuthenticationFailed" if is_skewed => "set the clock of this machine",
            "AuthenticationFailed" => "the key or token is not that of the account",
            "InvalidAuthenticationInfo" => HINT,
            "BlobArchived" => "it is archived: rehydrate it to read it",
            _ if kind == Kind::Denied => {
                "give the identity the role Storage Blob Data Reader on the container, to delete \
                 Storage Blob Data Contributor (docs/object-storage.md)"
            }
            _ if kind == Kind::Throttled => "try again later, or with fewer --io-threads",
            _ => return error,
        };
        error.with_hint(hint)
    }

    /// A page with what `include` asks for; every blob as a version.
    fn blobs(
        &self,
        asked: Asked<'_>,
        query: &[(&str, &str)],
        next: Option<&str>,
    ) -> Result<Rows, BucketError> {
        let mut all = vec![("comp", "list"), ("maxresults", "5000"), ("restype", "container")];
        all.extend_from_slice(query);
        if let Some(next) = next {
            all.push(("marker", next));
        }
        let reply = self.call(asked, Method::GET, &self.base, &all, &[], &[], Bounds::DOCUMENT)?;
        if !reply.is_success() {
            return Err(Self::failed(asked, &reply));
        }
        let read = read_page(&reply.body);
        let (rows, prefixes, marker) =
            read.map_err(|reason| asked.error(BucketErrorKind::BadAnswer, &reason))?;
        Ok((rows, prefixes, marker))
    }

    fn soft_delete(&self) -> Result<Option<u64>, BucketError> {
        let asked = self.asked("GET properties", "");
        let query = [("comp", "properties"), ("restype", "service")];
        let address = format!("{}/", self.service);
        let reply = self.call(asked, Method::GET, &address, &query, &[], &[], Bounds::DOCUMENT)?;
        match reply.status {
            200 => {
                let leaf =
                    |name: &str| xml::leaf(&reply.body, &format!("DeleteRetentionPolicy/{name}"));
                let is_on = leaf("Enabled").as_deref() == Some("true");
                let days: Option<u64> = leaf("Days").and_then(|days| days.parse().ok());
                Ok(days.filter(|_| is_on).map(|days| days * 86_400))
            }
            // A key of the container alone may not ask: what is not known is not relied on.
            401 | 403 | 404 | 405 | 501 => Ok(None),
            _ => Err(Self::failed(asked, &reply)),
        }
    }

    fn write(
        &self,
        key: &str,
        bytes: &[u8],
        condition: PutCondition<'_>,
    ) -> Result<Reply, BucketError> {
        let asked = self.asked("PUT", key);
        let mut headers = vec![("x-ms-blob-type", "BlockBlob".to_owned())];
        headers.push(match condition {
            PutCondition::Absent => ("if-none-match", "*".to_owned()),
            PutCondition::Unchanged(etag) => ("if-match", format!("\"{etag}\"")),
        });
        let address = self.address(key);
        self.call(asked, Method::PUT, &address, &[], &headers, bytes, Bounds::DOCUMENT)
    }

    /// Copies one version, or what has the key, and waits for the end of it.
    fn copy_from(
        &self,
        asked: Asked<'_>,
        source: &[(&str, &str)],
        from: &str,
        etag: Option<&str>,
        to: &str,
    ) -> Result<(), BucketError> {
        let mut pairs: Vec<(&str, &str)> = source.to_vec();
        let sas = self.sas.iter().flatten();
        pairs.extend(sas.map(|(name, value)| (name.as_str(), value.as_str())));
        let mut source = self.address(from);
        if !pairs.is_empty() {
            source = format!("{source}?{}", query_of(&pairs));
        }
        let mut headers = vec![("x-ms-copy-source", source), ("if-none-match", "*".to_owned())];
        if let Some(etag) = etag {
            headers.push(("x-ms-source-if-match", format!("\"{etag}\"")));
        }
        let address = self.address(to);
        let reply =
            self.call(asked, Method::PUT, &address, &[], &headers, &[], Bounds::DOCUMENT)?;
        if !reply.is_success() {
            return Err(Self::failed(asked, &reply));
        }
        let mut status = reply.header("x-ms-copy-status").unwrap_or("success").to_owned();
        let started = std::time::Instant::now();
        while status == "pending" {
            if started.elapsed() > COPY {
                return Err(asked.error(BucketErrorKind::Unavailable, "the copy does not end"));
            }
            std::thread::sleep(Duration::from_millis(300));
            let reply =
                self.call(asked, Method::HEAD, &address, &[], &[], &[], Bounds::DOCUMENT)?;
            if !reply.is_success() {
                return Err(Self::failed(asked, &reply));
            }
            reply.header("x-ms-copy-status").unwrap_or("success").clone_into(&mut status);
        }
        if status == "success" {
            return Ok(());
        }
        let reason = format!("the copy ended as `{status}`");
        Err(asked.error(BucketErrorKind::Unavailable, &reason))
    }
}

impl Bucket for Azure {
    fn url(&self) -> &str {
        &self.url
    }

    fn requests(&self) -> u64 {
        self.http.requests()
    }

    fn abilities(&self, probe_prefix: &str) -> Result<Abilities, BucketError> {
        let mut known = self.abilities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(abilities) = *known {
            return Ok(abilities);
        }
        let key = format!("{probe_prefix}probe-{}", super::unique());
        let reply = self.write(&key, b"probe", PutCondition::Absent)?;
        if !reply.is_success() {
            return Err(Self::failed(self.asked("PUT", &key), &reply));
        }
        let version = reply.header("x-ms-version-id").map(str::to_owned);
        let again = self.write(&key, b"again", PutCondition::Absent)?;
        let wrong = self.delete(&key, DeleteCondition::Etag("0x8D0000000000000"));
        let deletes_by_etag = match wrong {
            Err(error) if error.kind == BucketErrorKind::Changed => self.head(&key)?.is_some(),
            Err(error) => return Err(error),
            Ok(()) => false,
        };
        self.delete(&key, DeleteCondition::Whatever)?;
        if let Some(version) = &version {
            let query = [("versionid", version.as_str())];
            let asked = self.asked("DELETE", &key);
            let address = self.address(&key);
            self.call(asked, Method::DELETE, &address, &query, &[], &[], Bounds::DOCUMENT)?;
        }
        let abilities = Abilities {
            has_versions: version.is_some(),
            soft_delete_seconds: self.soft_delete()?,
            deletes_by_etag,
            deletes_by_version: deletes_by_etag,
            version_deletes_are_final: false,
            puts_if_absent: matches!(again.status, 409 | 412),
        };
        *known = Some(abilities);
        Ok(abilities)
    }

    fn list(
        &self,
        prefix: &str,
        is_one_level: bool,
        next: Option<&str>,
    ) -> Result<Page, BucketError> {
        let asked = self.asked("LIST", prefix);
        let mut query = vec![("prefix", prefix)];
        if is_one_level {
            query.push(("delimiter", "/"));
        }
        let (rows, prefixes, next) = self.blobs(asked, &query, next)?;
        Ok(Page { objects: rows.into_iter().map(|row| row.object).collect(), prefixes, next })
    }

    fn head(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let asked = self.asked("HEAD", key);
        let address = self.address(key);
        let reply = self.call(asked, Method::HEAD, &address, &[], &[], &[], Bounds::DOCUMENT)?;
        match reply.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(Self::failed(asked, &reply)),
        }
        let bad = || asked.error(BucketErrorKind::BadAnswer, "it does not say size and time");
        let size = reply.header("content-length").and_then(|text| text.parse().ok());
        let etag = reply.header("etag").map(|etag| etag.trim_matches('"').to_owned());
        Ok(Some(Object {
            key: key.to_owned(),
            size_bytes: size.ok_or_else(bad)?,
            modified_ns: reply.header("last-modified").and_then(http_time).ok_or_else(bad)?,
            md5: reply.header("content-md5").and_then(md5_of_base64),
            version: etag.clone(),
            etag,
            storage_class: reply.header("x-ms-access-tier").map(str::to_owned),
        }))
    }

    fn get(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        etag: Option<&str>,
    ) -> Result<Vec<u8>, BucketError> {
        let asked = self.asked("GET", key);
        let Some(wanted) = Wanted::new(range) else { return Ok(Vec::new()) };
        let mut headers: Vec<_> =
            wanted.header().map(|range| ("x-ms-range", range)).into_iter().collect();
        headers.extend(etag.map(|etag| ("if-match", format!("\"{etag}\""))));
        let (address, bounds) = (self.address(key), wanted.bounds());
        let reply = self.call(asked, Method::GET, &address, &[], &headers, &[], bounds)?;
        wanted.of(asked, reply, |reply| Self::failed(asked, reply))
    }

    fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: PutCondition<'_>,
    ) -> Result<String, BucketError> {
        let asked = self.asked("PUT", key);
        let reply = self.write(key, bytes, condition)?;
        if reply.is_success() {
            let etag = reply.header("etag").map(|etag| etag.trim_matches('"').to_owned());
            return etag.ok_or_else(|| {
                asked.error(BucketErrorKind::BadAnswer, "it says no entity tag of what it wrote")
            });
        }
        if reply.is_repeated
            && matches!(reply.status, 404 | 409 | 412)
            && let Some(there) = self.head(key)?
            && there.size_bytes == bytes.len() as u64
            && self.get(key, None, there.etag.as_deref())? == bytes
            && let Some(etag) = there.etag
        {
            return Ok(etag);
        }
        let mut error = Self::failed(asked, &reply);
        if reply.status == 404 && matches!(condition, PutCondition::Unchanged(_)) {
            error.kind = BucketErrorKind::Changed;
        }
        Err(error)
    }

    fn copy(&self, from: &Object, to: &str) -> Result<(), BucketError> {
        let asked = self.asked("COPY", &from.key);
        self.copy_from(asked, &[], &from.key, from.etag.as_deref(), to)
    }

    fn delete(&self, key: &str, condition: DeleteCondition<'_>) -> Result<(), BucketError> {
        let asked = self.asked("DELETE", key);
        let mut headers = Vec::new();
        match condition {
            DeleteCondition::Whatever => {}
            DeleteCondition::Etag(etag) | DeleteCondition::Version(etag) => {
                headers.push(("if-match", format!("\"{etag}\"")));
            }
        }
        let address = self.address(key);
        let reply =
            self.call(asked, Method::DELETE, &address, &[], &headers, &[], Bounds::DOCUMENT)?;
        let error = match reply.status {
            200..300 => return Ok(()),
            _ => Self::failed(asked, &reply),
        };
        let is_gone = reply.status == 404 && !error.reason.contains("ContainerNotFound");
        if is_gone { Ok(()) } else { Err(error) }
    }

    fn delete_all(
        &self,
        objects: &[(String, Option<String>)],
    ) -> Result<Vec<(String, BucketError)>, BucketError> {
        Ok(super::delete_each(objects, |key, version| {
            let Some(version) = version else { return self.delete(key, DeleteCondition::Whatever) };
            let asked = self.asked("DELETE", key);
            let query = [("versionid", version)];
            let address = self.address(key);
            let reply =
                self.call(asked, Method::DELETE, &address, &query, &[], &[], Bounds::DOCUMENT)?;
            match reply.status {
                200..300 | 404 => Ok(()),
                _ => Err(Self::failed(asked, &reply)),
            }
        }))
    }

    fn list_versions(&self, prefix: &str, next: Option<&str>) -> Result<VersionPage, BucketError> {
        let asked = self.asked("LIST versions", prefix);
        let query = [("include", "versions,deleted"), ("prefix", prefix)];
        let (rows, _, next) = self.blobs(asked, &query, next)?;
        let mut versions: Vec<Version> = rows
            .into_iter()
            .map(|row| {
                let is_current = (row.is_current || row.version_id.is_none()) && !row.is_deleted;
                let mut object = row.object;
                object.version = row.version_id.or(object.version);
                Version { object, is_current, is_deletion: false }
            })
            .collect();
        versions.sort_by(|a, b| {
            let by_version = || b.object.version.cmp(&a.object.version);
            a.object.key.cmp(&b.object.key).then_with(by_version)
        });
        Ok(VersionPage { versions, next })
    }

    fn restore(&self, key: &str, version: &str) -> Result<(), BucketError> {
        let asked = self.asked("RESTORE", key);
        if let Some(there) = self.head(key)? {
            let is_it = there.etag.as_deref() == Some(version);
            let reason = "something has the key";
            return if is_it { Ok(()) } else { Err(asked.error(BucketErrorKind::Changed, reason)) };
        }
        let mut next: Option<String> = None;
        let mut markers = Markers::default();
        let mut found = None;
        let query = [("include", "versions,deleted"), ("prefix", key)];
        loop {
            let (rows, _, marker) = self.blobs(asked, &query, next.as_deref())?;
            found = found.or(rows.into_iter().find(|row| {
                let is_it = row.version_id.as_deref() == Some(version)
                    || row.object.etag.as_deref() == Some(version);
                row.object.key == key && is_it
            }));
            next = marker;
            markers.pass(self, key, next.as_deref())?;
            if found.is_some() || next.is_none() {
                break;
            }
        }
        let Some(row) = found else {
            return Err(asked.error(BucketErrorKind::NotFound, "there is no such version"));
        };
        if row.is_deleted {
            let query = [("comp", "undelete")];
            let address = self.address(key);
            let reply =
                self.call(asked, Method::PUT, &address, &query, &[], &[], Bounds::DOCUMENT)?;
            if !reply.is_success() {
                return Err(Self::failed(asked, &reply));
            }
            // With versions the undeleted one is an older version still.
            if self.head(key)?.is_some() {
                return Ok(());
            }
        }
        match &row.version_id {
            Some(id) => self.copy_from(asked, &[("versionid", id)], key, None, key),
            None => Err(asked.error(BucketErrorKind::NotFound, "it did not come back")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_names_the_endpoint_and_its_key_is_not_shown() {
        let connection = "DefaultEndpointsProtocol=http;AccountName=a;\
            AccountKey=c2VjcmV0a2V5;BlobEndpoint=http://127.0.0.1:1/a";
        let options = AzureOptions {
            account: "a".into(),
            container: "c".into(),
            connection: Some(Secret::new(connection)),
            ..AzureOptions::default()
        };
        let azure = Azure::connect(&options, &|_| None).unwrap();
        assert_eq!(azure.address("k/ü"), "http://127.0.0.1:1/a/c/k/%C3%BC");
        assert!(!format!("{azure:?}").contains("c2VjcmV0"), "{azure:?}");
    }
}
