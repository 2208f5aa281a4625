//! Where a bucket of S3 is, and requests signed for it (`SigV4`, by `object_store`).

use std::sync::RwLock;

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequestBody;
use sha2::{Digest as _, Sha256};

use super::super::aws;
use super::super::http::{Asked, Bounds, Http, Reply, encode, query as query_of};
use super::super::runtime::Credentials;
use super::super::{BucketError, BucketErrorKind, Secret, xml};
use super::source_of;

/// What to do when there are no credentials.
const CREDENTIALS_HINT: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; \
    on AWS give the machine or container a role";

/// Where a bucket is and how it is written to.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is seen by itself")]
pub struct S3Options {
    /// Its name.
    pub bucket: String,
    /// Its region; `None` is that of the environment or profile, or what the bucket says.
    pub region: Option<String>,
    /// The server's URL; `None` is that of `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket's name stands in the path and not in the host; `None` is in the path where
    /// there is an endpoint.
    pub is_path_style: Option<bool>,
    /// The access key and its secret, where a registry's configuration has them.
    pub access: Option<(String, Secret)>,
    /// Takes any certificate.
    pub skips_verification: bool,
    /// Hosts with IPv4 and IPv6.
    pub is_dual_stack: bool,
    /// Transfer acceleration.
    pub is_accelerated: bool,
    /// Hosts with FIPS 140 modules.
    pub is_fips: bool,
    /// The class of what is written.
    pub storage_class: Option<String>,
    /// The access rule of what is written.
    pub acl: Option<String>,
    /// Whether what is written is encrypted at rest.
    pub is_encrypted: bool,
    /// The key of KMS to encrypt with.
    pub kms_key_id: Option<String>,
}

/// A signing client of one bucket.
#[derive(Debug)]
pub(super) struct Signed {
    url: String,
    options: S3Options,
    http: Http,
    credentials: Credentials<AwsCredential>,
    region: RwLock<String>,
    is_region_given: bool,
    endpoint: Option<String>,
}

impl Signed {
    pub(super) fn new(
        options: S3Options,
        environment: aws::Environment<'_>,
    ) -> Result<Self, BucketError> {
        let url = format!("s3://{}", options.bucket);
        let refused = |kind, reason: &str| BucketError::new(kind, "open", &url, "", reason);
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let endpoint = options
            .endpoint
            .clone()
            .or_else(|| set("AWS_ENDPOINT_URL_S3"))
            .or_else(|| set("AWS_ENDPOINT_URL"));
        let endpoint = match endpoint {
            Some(endpoint) => Some(plain_endpoint(&endpoint).ok_or_else(|| {
                let reason = format!("its endpoint `{}` is no URL", without_user(&endpoint));
                refused(BucketErrorKind::Unavailable, &reason)
            })?),
            None => None,
        };
        let (provider, region) = if let Some((key_id, secret)) = &options.access {
            let secret_key = secret.reveal().to_owned();
            let key_id = key_id.clone();
            let provider = aws::fixed(AwsCredential { key_id, secret_key, token: None });
            (provider, options.region.clone().or_else(|| set("AWS_REGION")))
        } else {
            let found = aws::find(environment, options.region.as_deref()).map_err(|reason| {
                refused(BucketErrorKind::Denied, &format!("no credentials: {reason}"))
                    .with_hint(CREDENTIALS_HINT)
            })?;
            (found.provider, found.region)
        };
        let base = endpoint.as_deref().unwrap_or("https://s3.amazonaws.com");
        Ok(Self {
            http: Http::new(base, options.skips_verification),
            credentials: Credentials::new(provider),
            is_region_given: region.is_some(),
            region: RwLock::new(region.unwrap_or_else(|| "us-east-1".to_owned())),
            url,
            options,
            endpoint,
        })
    }

    /// Whether it is Amazon that answers.
    pub(super) fn is_of_aws(&self) -> bool {
        self.endpoint.as_deref().is_none_or(is_of_aws)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn requests(&self) -> u64 {
        self.http.requests()
    }

    pub(super) fn region(&self) -> String {
        self.region.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(super) fn copy_source(&self, key: &str) -> String {
        source_of(&self.options.bucket, key)
    }

    /// Headers of what is written anew.
    pub(super) fn write_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(class) = &self.options.storage_class {
            headers.push(("x-amz-storage-class", class.clone()));
        }
        if let Some(acl) = &self.options.acl {
            headers.push(("x-amz-acl", acl.clone()));
        }
        match &self.options.kms_key_id {
            Some(key) if self.options.is_encrypted => {
                headers.push(("x-amz-server-side-encryption", "aws:kms".to_owned()));
                headers.push(("x-amz-server-side-encryption-aws-kms-key-id", key.clone()));
            }
            None if self.options.is_encrypted => {
                headers.push(("x-amz-server-side-encryption", "AES256".to_owned()));
            }
            _ => {}
        }
        headers
    }

    /// Sends a request signed with the credentials of the moment.
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    pub(super) fn call(
        &self,
        asked: Asked<'_>,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
        headers: &[(&'static str, String)],
        body: &[u8],
        bounds: Bounds,
    ) -> Result<Reply, BucketError> {
        if key.split('/').any(|part| matches!(part, "." | "..")) {
            let reason = "no URL can hold a key with `.` or `..` between slashes";
            return Err(asked.error(BucketErrorKind::Unsupported, reason));
        }
        let body_hash: [u8; 32] = Sha256::digest(body).into();
        // Of a header that comes twice the later one counts: a copy keeps the class of its source.
        let mut make = || -> Result<Request<Vec<u8>>, BucketError> {
            let bad = |error: &dyn std::fmt::Display| {
                asked.error(BucketErrorKind::BadAnswer, &error.to_string())
            };
            let region = self.region();
            let uri = self.address(&region, key, query);
            let mut request = Request::builder()
                .method(method.clone())
                .uri(uri)
                .body(HttpRequestBody::empty())
                .map_err(|error| bad(&error))?;
            for (name, value) in headers {
                let value = HeaderValue::from_str(value).map_err(|error| bad(&error))?;
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
            let credential = self.credentials.get(asked, CREDENTIALS_HINT)?;
            AwsAuthorizer::new(&credential, "s3", &region)
                .try_authorize(&mut request, Some(&body_hash))
                .map_err(|error| bad(&error))?;
            let (parts, _) = request.into_parts();
            Ok(Request::from_parts(parts, body.to_vec()))
        };
        let is_passing = |reply: &Reply| match reply.status {
            400 => xml::leaf(&reply.body, "Code").as_deref() == Some("RequestTimeout"),
            409 => {
                let code = xml::leaf(&reply.body, "Code");
                matches!(code.as_deref(), Some("ConditionalRequestConflict" | "OperationAborted"))
            }
            _ => false,
        };
        let reply = self.http.send(asked, bounds, &is_passing, &mut make)?;
        if let Some(region) = self.other_region(&reply) {
            *self.region.write().unwrap_or_else(std::sync::PoisonError::into_inner) = region;
            return self.http.send(asked, bounds, &is_passing, &mut make);
        }
        Ok(reply)
    }

    /// The region that an answer names, where none was given.
    fn other_region(&self, reply: &Reply) -> Option<String> {
        if self.is_region_given || !matches!(reply.status, 301 | 307 | 400 | 403) {
            return None;
        }
        let region = reply.header("x-amz-bucket-region").map(str::to_owned);
        let region = region.or_else(|| xml::leaf(&reply.body, "Region"))?;
        (region != self.region()).then_some(region)
    }

    fn address(&self, region: &str, key: &str, query: &[(&str, &str)]) -> String {
        let bucket = &self.options.bucket;
        // A name with dots has no certificate of AWS.
        let is_path_style =
            self.options.is_path_style.unwrap_or(self.endpoint.is_some() || bucket.contains('.'));
        let base = self.endpoint.clone().unwrap_or_else(|| aws_endpoint(&self.options, region));
        let mut address = if is_path_style {
            format!("{base}/{}/{}", encode(bucket, false), encode(key, true))
        } else {
            let (scheme, rest) = base.split_once("://").unwrap_or(("https", &base));
            format!("{scheme}://{bucket}.{rest}/{}", encode(key, true))
        };
        if !query.is_empty() {
            address.push('?');
            address.push_str(&query_of(query));
        }
        address
    }
}

/// Whether a server's URL is one of AWS.
fn is_of_aws(endpoint: &str) -> bool {
    let uri: Option<Uri> = endpoint.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default().to_ascii_lowercase();
    [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|domain| host.ends_with(domain))
}

/// The endpoint of AWS for a region ("Amazon S3 endpoints and quotas").
fn aws_endpoint(options: &S3Options, region: &str) -> String {
    let tail = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let dual = if options.is_dual_stack { ".dualstack" } else { "" };
    if options.is_accelerated {
        format!("https://s3-accelerate{dual}.{tail}")
    } else {
        let fips = if options.is_fips { "-fips" } else { "" };
        format!("https://s3{fips}{dual}.{region}.{tail}")
    }
}

/// `scheme://host[:port][/path]` without a port that goes without saying, as it is signed.
fn plain_endpoint(endpoint: &str) -> Option<String> {
    let uri: Uri = endpoint.trim_end_matches('/').parse().ok()?;
    let scheme = uri.scheme_str()?;
    let host = uri.host()?;
    if !matches!(scheme, "http" | "https") || endpoint.contains('@') || uri.query().is_some() {
        return None;
    }
    let usual = if scheme == "http" { 80 } else { 443 };
    let port = uri.port_u16().filter(|port| *port != usual);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = uri.path().trim_end_matches('/');
    Some(format!("{scheme}://{}{port}{path}", host.to_ascii_lowercase()))
}

/// A URL without user and password.
fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(options: S3Options, key: &str, query: &[(&str, &str)]) -> String {
        let access = Some(("k".to_owned(), Secret::new("s")));
        let signed = Signed::new(S3Options { access, ..options }, &|_| None).unwrap();
        signed.address(&signed.region(), key, query)
    }

    #[test]
    fn addresses_are_those_of_the_provider() {
        let of = |bucket: &str| S3Options { bucket: bucket.into(), ..S3Options::default() };
        assert_eq!(
            address(of("b"), "a b/ü", &[]),
            "https://b.s3.us-east-1.amazonaws.com/a%20b/%C3%BC"
        );
        assert_eq!(address(of("b.c"), "k", &[]), "https://s3.us-east-1.amazonaws.com/b.c/k");
        let region = Some("cn-north-1".to_owned());
        assert_eq!(
            address(S3Options { region, is_dual_stack: true, ..of("b") }, "", &[("prefix", "a/")]),
            "https://b.s3.dualstack.cn-north-1.amazonaws.com.cn/?prefix=a%2F"
        );
        let endpoint = Some("http://Host:80/".to_owned());
        assert_eq!(address(S3Options { endpoint, ..of("b") }, "k", &[]), "http://host/b/k");
    }

    #[test]
    fn only_amazon_s_own_names_are_of_amazon() {
        for own in
            ["https://s3.eu-west-1.amazonaws.com", "https://b.s3.cn-north-1.amazonaws.com.cn/"]
        {
            assert!(is_of_aws(own), "{own}");
        }
        for other in [
            "https://minio",
            "https://amazonaws.com.example.com",
            "https://example.com/.amazonaws.com",
            "https://notamazonaws.com",
        ] {
            assert!(!is_of_aws(other), "{other}");
        }
    }

    #[test]
    fn an_endpoint_with_a_password_is_refused_and_not_shown() {
        let endpoint = Some("https://user:secret@host".to_owned());
        let options = S3Options { bucket: "b".into(), endpoint, ..S3Options::default() };
        let error = Signed::new(options, &|_| None).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
