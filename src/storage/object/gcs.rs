//! Google Cloud Storage (JSON API, version 1).

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request};
use jiff::Timestamp;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use serde::Deserialize;

use super::aws::Environment;
use super::azure::md5_of_base64;
use super::google_user;
use super::http::{Asked, Bounds, Http, Reply, Wanted, encode, query as query_of};
use super::runtime::{Connector, Credentials, retries};
use super::{
    Abilities, Bucket, BucketError, BucketErrorKind, DeleteCondition, Object, Page, PutCondition,
    Secret, Version, VersionPage,
};

const HINT: &str = "set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or run \
    `gcloud auth application-default login`; on Google Cloud give the machine a service account";
/// What is asked of each object.
const FIELDS: &str = "name,size,timeCreated,updated,timeDeleted,softDeleteTime,md5Hash,generation,\
    storageClass";

/// Where a bucket is and how to get in.
#[derive(Clone, Debug, Default)]
pub struct GcsOptions {
    /// Its name.
    pub bucket: String,
    /// The server's URL; `None` is that of `STORAGE_EMULATOR_HOST`, or Google.
    pub endpoint: Option<String>,
    /// The key file of a service account.
    pub key_file: Option<String>,
    /// The key of a service account, as JSON.
    pub key: Option<Secret>,
}

/// A bucket of Google Cloud Storage. Entity tags and versions are generations.
#[derive(Debug)]
pub struct Gcs {
    url: String,
    /// `…/b/BUCKET`.
    base: String,
    /// `…/upload/storage/v1/b/BUCKET/o`.
    upload: String,
    bucket: String,
    http: Http,
    /// An emulator wants none.
    credentials: Option<Credentials<GcpCredential>>,
    abilities: Mutex<Option<Abilities>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Listing {
    items: Vec<Item>,
    prefixes: Vec<String>,
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Item {
    name: Option<String>,
    size: Option<String>,
    time_created: Option<String>,
    updated: Option<String>,
    time_deleted: Option<String>,
    soft_delete_time: Option<String>,
    md5_hash: Option<String>,
    generation: Option<String>,
    storage_class: Option<String>,
}

impl Item {
    fn object(self) -> Result<Object, String> {
        let key = self.name.ok_or("an object has no name")?;
        let size = self.size.and_then(|size| size.parse().ok());
        let time = self.time_created.or(self.updated);
        let time = time.and_then(|time| time.parse::<Timestamp>().ok());
        let time = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
        Ok(Object {
            size_bytes: size.ok_or_else(|| format!("`{key}` has no size"))?,
            modified_ns: time.ok_or_else(|| format!("`{key}` has no time"))?,
            key,
            md5: self.md5_hash.as_deref().and_then(md5_of_base64),
            etag: self.generation.clone(),
            version: self.generation,
            storage_class: self.storage_class,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Settings {
    versioning: Option<Versioning>,
    soft_delete_policy: Option<SoftDelete>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Versioning {
    enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SoftDelete {
    retention_duration_seconds: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rewritten {
    done: bool,
    rewrite_token: Option<String>,
}

impl Gcs {
    /// A bucket with the credentials that the environment leads to. Nothing is sent yet.
    ///
    /// # Errors
    /// When the credentials are not usable.
    pub fn connect(
        options: &GcsOptions,
        environment: Environment<'_>,
    ) -> Result<Self, BucketError> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let url = format!("gs://{}", options.bucket);
        let emulator = set("STORAGE_EMULATOR_HOST")
            .map(|host| if host.contains("://") { host } else { format!("http://{host}") });
        let has_own = options.key_file.is_some() || options.key.is_some();
        let is_open = emulator.is_some() && !has_own && options.endpoint.is_none();
        let server = options.endpoint.clone().or(emulator);
        let server = server.unwrap_or_else(|| "https://storage.googleapis.com".to_owned());
        let server = server.trim_end_matches('/').to_owned();
        let denied = |reason: &str| {
            let reason = format!("no credentials: {reason}");
            BucketError::new(BucketErrorKind::Denied, "open", &url, "", &reason).with_hint(HINT)
        };
        let is_token = set("CLOUDSDK_AUTH_ACCESS_TOKEN").is_some();
        let by_file = if has_own || is_open || is_token {
            None
        } else {
            google_user::find(environment).map_err(|reason| denied(&reason))?
        };
        let credentials = if is_open {
            None
        } else if let Some(google_user::Found::User(user)) = by_file {
            Some(Credentials::new(Arc::new(user)))
        } else {
            let mut builder = GoogleCloudStorageBuilder::new()
                .with_http_connector(Connector)
                .with_retry(retries())
                .with_bucket_name(&options.bucket);
            if let Some(path) = &options.key_file {
                builder = builder.with_service_account_path(path);
            } else if let Some(key) = &options.key {
                builder = builder.with_service_account_key(key.reveal());
            } else if let Some(token) = set("CLOUDSDK_AUTH_ACCESS_TOKEN") {
                builder = builder.with_bearer_token(token);
            } else if let Some(google_user::Found::ServiceAccount(key)) = &by_file {
                builder = builder.with_service_account_key(key);
            }
            let store = builder.build().map_err(|error| denied(&error.to_string()))?;
            Some(Credentials::new(Arc::clone(store.credentials())))
        };
        let bucket = encode(&options.bucket, false);
        Ok(Self {
            http: Http::new(&server, false),
            base: format!("{server}/storage/v1/b/{bucket}"),
            upload: format!("{server}/upload/storage/v1/b/{bucket}/o"),
            bucket,
            credentials,
            url,
            abilities: Mutex::new(None),
        })
    }

    fn asked<'a>(&'a self, request: &'static str, key: &'a str) -> Asked<'a> {
        Asked { request, bucket_url: &self.url, key }
    }

    fn object_address(&self, key: &str) -> String {
        format!("{}/o/{}", self.base, encode(key, false))
    }

    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    fn call(
        &self,
        asked: Asked<'_>,
        method: Method,
        address: &str,
        query: &[(&str, &str)],
        range: Option<&str>,
        body: &[u8],
        bounds: Bounds,
    ) -> Result<Reply, BucketError> {
        let mut make = || -> Result<Request<Vec<u8>>, BucketError> {
            let uri = if query.is_empty() {
                address.to_owned()
            } else {
                format!("{address}?{}", query_of(query))
            };
            let mut request = Request::builder().method(method.clone()).uri(uri);
            if let Some(range) = range {
                request = request.header("range", range);
            }
            if method == Method::POST {
                request = request.header("content-type", "application/octet-stream");
            }
            if let Some(credentials) = &self.credentials {
                let credential = credentials.get(asked, HINT)?;
                if !credential.bearer.is_empty() {
                    request =
                        request.header("authorization", format!("Bearer {}", credential.bearer));
                }
            }
            request
                .body(body.to_vec())
                .map_err(|error| asked.error(BucketErrorKind::BadAnswer, &error.to_string()))
        };
        self.http.send(asked, bounds, &|_| false, &mut make)
    }

    fn json<T: for<'de> Deserialize<'de>>(
        &self,
        asked: Asked<'_>,
        method: Method,
        address: &str,
        query: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(T, bool), BucketError> {
        let reply = self.call(asked, method, address, query, None, body, Bounds::DOCUMENT)?;
        if !reply.is_success() {
            let mut error = failed(asked, &reply);
            // What an answer that was lost may have done is looked at by the caller.
            if reply.is_repeated && error.kind == BucketErrorKind::Changed {
                error.reason.push_str(REPEATED);
            }
            return Err(error);
        }
        let value = serde_json::from_slice(&reply.body).map_err(|error| {
            asked.error(
                BucketErrorKind::BadAnswer,
                &format!("it is not the JSON of a listing: {error}"),
            )
        })?;
        Ok((value, reply.is_repeated))
    }

    fn listing(
        &self,
        asked: Asked<'_>,
        query: &[(&str, &str)],
        next: Option<&str>,
    ) -> Result<Listing, BucketError> {
        let fields = format!("items({FIELDS}),prefixes,nextPageToken");
        let mut all = vec![("fields", fields.as_str()), ("maxResults", "1000")];
        all.extend_from_slice(query);
        if let Some(next) = next {
            all.push(("pageToken", next));
        }
        let address = format!("{}/o", self.base);
        let (listing, _): (Listing, _) = self.json(asked, Method::GET, &address, &all, &[])?;
        Ok(listing)
    }

    /// Copies a generation of `from` to `to`, which nothing may have.
    fn rewrite(
        &self,
        asked: Asked<'_>,
        from: &str,
        source: &[(&str, &str)],
        to: &str,
    ) -> Result<(), BucketError> {
        let address = format!(
            "{}/rewriteTo/b/{}/o/{}",
            self.object_address(from),
            self.bucket,
            encode(to, false)
        );
        let mut token: Option<String> = None;
        loop {
            let mut query = vec![("ifGenerationMatch", "0")];
            query.extend_from_slice(source);
            if let Some(token) = &token {
                query.push(("rewriteToken", token));
            }
            let (rewritten, _): (Rewritten, _) =
                self.json(asked, Method::POST, &address, &query, &[])?;
            if rewritten.done {
                return Ok(());
            }
            if rewritten.rewrite_token.is_none() || rewritten.rewrite_token == token {
                return Err(asked.error(BucketErrorKind::BadAnswer, "the copy does not go on"));
            }
            token = rewritten.rewrite_token;
        }
    }
}

/// Marks an error of a request that was sent more than once.
const REPEATED: &str = " (sent again)";

fn failed(asked: Asked<'_>, reply: &Reply) -> BucketError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        error: Inner,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        message: String,
    }
    use BucketErrorKind as Kind;
    let body: Body = serde_json::from_slice(&reply.body).unwrap_or_default();
    let kind = match reply.status {
        _ if reply.is_throttled() => Kind::Throttled,
        404 => Kind::NotFound,
        304 | 409 | 412 => Kind::Changed,
        401 | 403 => Kind::Denied,
        429 | 503 => Kind::Throttled,
        405 | 501 => Kind::Unsupported,
        408 | 500 | 502 | 504 => Kind::Unavailable,
        _ => Kind::BadAnswer,
    };
    let words = if body.error.message.is_empty() {
        format!("the server answered {}", reply.status)
    } else {
        format!("{}: {}", reply.status, body.error.message)
    };
    let is_bucket = body.error.message.contains("bucket does not exist");
    let error = reply.explain(asked.error(kind, &words));
    match kind {
        // The clock is known.
        Kind::Denied if error.hint.is_some() => error,
        Kind::NotFound if is_bucket || asked.key.is_empty() || asked.request == "LIST" => error
            .with_hint(
                "check the bucket's name: `bucket` of the registry's configuration has it, and `gcloud storage ls` \
                 shows those of a project",
            ),
        Kind::Denied if reply.status == 401 => error.with_hint(HINT),
        Kind::Denied => error.with_hint(
            "give the account the role Storage Object Viewer on the bucket, to delete Storage Object \
             Admin and storage.buckets.get (docs/object-storage.md)",
        ),
        Kind::Throttled => error.with_hint("try again later, or with fewer --io-threads"),
        _ => error,
    }
}

impl Bucket for Gcs {
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
        let asked = self.asked("GET bucket", "");
        let query = [("fields", "versioning,softDeletePolicy")];
        let (settings, _): (Settings, _) =
            self.json(asked, Method::GET, &self.base, &query, &[])?;
        let key = format!("{probe_prefix}probe-{}", super::unique());
        let generation = self.put(&key, b"probe", PutCondition::Absent)?;
        let puts_if_absent = match self.put(&key, b"again", PutCondition::Absent) {
            Err(error) if error.kind == BucketErrorKind::Changed => true,
            Err(error) => return Err(error),
            Ok(_) => false,
        };
        let deletes_by_version = match self.delete(&key, DeleteCondition::Version("1")) {
            Err(error) if error.kind == BucketErrorKind::Changed => self.head(&key)?.is_some(),
            Err(error) => return Err(error),
            Ok(()) => false,
        };
        self.delete_all(&[(key.clone(), Some(generation)), (key, None)])?;
        let seconds =
            settings.soft_delete_policy.and_then(|policy| policy.retention_duration_seconds);
        let abilities = Abilities {
            has_versions: settings.versioning.is_some_and(|versioning| versioning.enabled),
            soft_delete_seconds: seconds
                .and_then(|seconds| seconds.parse().ok())
                .filter(|seconds| *seconds > 0),
            deletes_by_etag: deletes_by_version,
            deletes_by_version,
            version_deletes_are_final: false,
            puts_if_absent,
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
        let listing = self.listing(asked, &query, next)?;
        let objects: Result<Vec<Object>, String> =
            listing.items.into_iter().map(Item::object).collect();
        let objects = objects.map_err(|reason| asked.error(BucketErrorKind::BadAnswer, &reason))?;
        Ok(Page { objects, prefixes: listing.prefixes, next: listing.next_page_token })
    }

    fn head(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let asked = self.asked("HEAD", key);
        let address = self.object_address(key);
        let item: Result<(Item, bool), BucketError> =
            self.json(asked, Method::GET, &address, &[("fields", FIELDS)], &[]);
        match item {
            Ok((item, _)) => item
                .object()
                .map(Some)
                .map_err(|reason| asked.error(BucketErrorKind::BadAnswer, &reason)),
            Err(error) if error.kind == BucketErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn get(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        etag: Option<&str>,
    ) -> Result<Vec<u8>, BucketError> {
        let asked = self.asked("GET", key);
        let Some(wanted) = Wanted::new(range) else { return Ok(Vec::new()) };
        let mut query = vec![("alt", "media")];
        query.extend(etag.map(|generation| ("ifGenerationMatch", generation)));
        let (address, header, bounds) =
            (self.object_address(key), wanted.header(), wanted.bounds());
        let reply =
            self.call(asked, Method::GET, &address, &query, header.as_deref(), &[], bounds)?;
        wanted.of(asked, reply, |reply| failed(asked, reply))
    }

    fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: PutCondition<'_>,
    ) -> Result<String, BucketError> {
        let asked = self.asked("PUT", key);
        let generation = match condition {
            PutCondition::Absent => "0",
            PutCondition::Unchanged(generation) => generation,
        };
        let query = [
            ("fields", FIELDS),
            ("ifGenerationMatch", generation),
            ("name", key),
            ("uploadType", "media"),
        ];
        let written: Result<(Item, bool), BucketError> =
            self.json(asked, Method::POST, &self.upload, &query, bytes);
        match written {
            Ok((item, _)) => item.generation.ok_or_else(|| {
                asked.error(BucketErrorKind::BadAnswer, "it says no generation of what it wrote")
            }),
            Err(error)
                if error.kind == BucketErrorKind::Changed && error.reason.ends_with(REPEATED) =>
            {
                match self.head(key)? {
                    Some(there)
                        if there.size_bytes == bytes.len() as u64
                            && self.get(key, None, there.etag.as_deref())? == bytes =>
                    {
                        Ok(there.etag.unwrap_or_default())
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn copy(&self, from: &Object, to: &str) -> Result<(), BucketError> {
        let asked = self.asked("COPY", &from.key);
        let generation = from.version.as_deref();
        let source: Vec<_> = generation
            .map(|generation| ("ifSourceGenerationMatch", generation))
            .into_iter()
            .collect();
        self.rewrite(asked, &from.key, &source, to)
    }

    fn delete(&self, key: &str, condition: DeleteCondition<'_>) -> Result<(), BucketError> {
        let asked = self.asked("DELETE", key);
        let mut query = Vec::new();
        match condition {
            DeleteCondition::Whatever => {}
            DeleteCondition::Etag(generation) | DeleteCondition::Version(generation) => {
                query.push(("ifGenerationMatch", generation));
            }
        }
        let address = self.object_address(key);
        let reply =
            self.call(asked, Method::DELETE, &address, &query, None, &[], Bounds::DOCUMENT)?;
        match reply.status {
            200..300 | 404 => Ok(()),
            _ => Err(failed(asked, &reply)),
        }
    }

    fn delete_all(
        &self,
        objects: &[(String, Option<String>)],
    ) -> Result<Vec<(String, BucketError)>, BucketError> {
        Ok(super::delete_each(objects, |key, version| {
            let Some(version) = version else { return self.delete(key, DeleteCondition::Whatever) };
            let asked = self.asked("DELETE", key);
            let query = [("generation", version)];
            let address = self.object_address(key);
            let reply =
                self.call(asked, Method::DELETE, &address, &query, None, &[], Bounds::DOCUMENT)?;
            match reply.status {
                200..300 | 404 => Ok(()),
                _ => Err(failed(asked, &reply)),
            }
        }))
    }

    /// Generations first, then what was deleted softly.
    fn list_versions(&self, prefix: &str, next: Option<&str>) -> Result<VersionPage, BucketError> {
        let asked = self.asked("LIST versions", prefix);
        let (is_soft, token) = match next.and_then(|next| next.split_once(':')) {
            Some((kind, token)) => (kind == "soft", Some(token).filter(|token| !token.is_empty())),
            None => (false, None),
        };
        let what = if is_soft { ("softDeleted", "true") } else { ("versions", "true") };
        let listing = match self.listing(asked, &[("prefix", prefix), what], token) {
            // A bucket without soft deletion.
            Err(error) if is_soft && error.kind == BucketErrorKind::BadAnswer => Listing::default(),
            listing => listing?,
        };
        let mut versions = Vec::new();
        for item in listing.items {
            let is_current = item.time_deleted.is_none() && item.soft_delete_time.is_none();
            // A server that does not know the parameter gives what is there once more.
            if is_soft && is_current {
                continue;
            }
            let object =
                item.object().map_err(|reason| asked.error(BucketErrorKind::BadAnswer, &reason))?;
            versions.push(Version { object, is_current, is_deletion: false });
        }
        versions.sort_by(|a, b| {
            let by_time = || b.object.modified_ns.cmp(&a.object.modified_ns);
            a.object.key.cmp(&b.object.key).then_with(by_time)
        });
        let next = match (listing.next_page_token, is_soft) {
            (Some(token), true) => Some(format!("soft:{token}")),
            (Some(token), false) => Some(format!("all:{token}")),
            (None, false) => Some("soft:".to_owned()),
            (None, true) => None,
        };
        Ok(VersionPage { versions, next })
    }

    fn restore(&self, key: &str, version: &str) -> Result<(), BucketError> {
        let asked = self.asked("RESTORE", key);
        if let Some(there) = self.head(key)? {
            let is_it = there.version.as_deref() == Some(version);
            let reason = "something has the key";
            return if is_it { Ok(()) } else { Err(asked.error(BucketErrorKind::Changed, reason)) };
        }
        let rewritten = self.rewrite(asked, key, &[("sourceGeneration", version)], key);
        match rewritten {
            Err(error) if error.kind == BucketErrorKind::NotFound => {}
            other => return other,
        }
        let address = format!("{}/restore", self.object_address(key));
        let query = [("generation", version), ("ifGenerationMatch", "0")];
        let restored: Result<(Item, bool), BucketError> =
            self.json(asked, Method::POST, &address, &query, &[]);
        restored.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_size_or_time_is_none() {
        let whole = r#"{"name":"a//b","size":"3","timeCreated":"2026-11-26T05:00:00.1Z",
            "generation":"7","md5Hash":"1B2M2Y8AsgTpgAmY7PhCfg=="}"#;
        let item: Item = serde_json::from_str(whole).unwrap();
        let object = item.object().unwrap();
        assert_eq!((object.key.as_str(), object.version.as_deref()), ("a//b", Some("7")));
        assert!(object.md5.is_some());
        for left_out in ["name", "size", "timeCreated"] {
            let item: Item = serde_json::from_str(&whole.replace(left_out, "other")).unwrap();
            assert!(item.object().is_err(), "{left_out}");
        }
    }

    #[test]
    fn a_key_is_one_part_of_the_address_whatever_is_in_it() {
        let options = GcsOptions { bucket: "b".into(), ..GcsOptions::default() };
        let environment =
            |name: &str| (name == "STORAGE_EMULATOR_HOST").then(|| "127.0.0.1:9".to_owned());
        let gcs = Gcs::connect(&options, &environment).unwrap();
        assert_eq!(
            gcs.object_address("a/../%"),
            "http://127.0.0.1:9/storage/v1/b/b/o/a%2F..%2F%25"
        );
    }
}
