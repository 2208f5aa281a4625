//! The usual ways in which clouds give credentials, by the program: a server on loopback gives them out in place of the
//! cloud's own service, and its storage lets in only who shows them. No secret is shown, whatever happens.

use std::fmt::Write as _;
use std::process::{Command, Output};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use regsql::storage::object::Bucket as _;
use regsql::storage::object::memory::{MemoryBucket, Provider, Settings};
use serde_json::{Value, json};

use super::bucket::{PREFIX, Registry, sample};
use super::clouds::google;
use super::fake::{Answer, Ask, BUCKET, Fake, escaped, s3};
use crate::env::{regsql, shown};

/// What the service of the cloud answers, if it is asked.
type Service = Arc<dyn Fn(&Ask) -> Option<Answer> + Send + Sync>;
/// Whether the storage lets a request in.
type Door = Arc<dyn Fn(&Ask) -> bool + Send + Sync>;

/// A way to credentials.
struct Way {
    name: &'static str,
    cloud: Provider,
    /// Variables, in which `HOME` and `SERVER` stand for the directory and the server's URL.
    variables: Vec<(&'static str, String)>,
    /// Files in the home directory, in the same manner.
    files: Vec<(&'static str, String)>,
    service: Service,
    door: Door,
    secrets: Vec<&'static str>,
}

const SECRETS: [&str; 6] = [
    "SECRET-KEY",
    "SECRET-TOKEN",
    "SECRET-REFRESH",
    "SECRET-CLIENT",
    "SECRET-ISSUED",
    "SECRET-SIG",
];

/// Answers a listing and contents as Azure does.
fn azure(bucket: &MemoryBucket, ask: &Ask) -> Answer {
    let at = |object: &regsql::storage::object::Object| {
        let time = jiff::Timestamp::from_nanosecond(object.modified_ns.into()).unwrap();
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap()
    };
    if ask.query("comp") == Some("list") {
        let prefix = ask.query("prefix").unwrap_or("");
        let page =
            bucket.list(prefix, ask.query("delimiter").is_some(), ask.query("marker")).unwrap();
        let mut body = "<EnumerationResults><Blobs>".to_owned();
        for object in &page.objects {
            let (key, size, time) = (escaped(&object.key), object.size_bytes, at(object));
            let etag = object.etag.as_deref().unwrap_or("0");
            write!(
                body,
                "<Blob><Name>{key}</Name><Properties><Last-Modified>{time}</Last-Modified><Etag>{etag}</Etag>\
                 <Content-Length>{size}</Content-Length></Properties></Blob>"
            )
            .unwrap();
        }
        for below in &page.prefixes {
            write!(body, "<BlobPrefix><Name>{}</Name></BlobPrefix>", escaped(below)).unwrap();
        }
        let next = page.next.as_deref().map(escaped).unwrap_or_default();
        write!(body, "</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>").unwrap();
        return Answer::new(200, body);
    }
    // The account stands before the container.
    let key = ask.key.strip_prefix(&format!("{BUCKET}/")).unwrap_or_default();
    match bucket.get(key, None, None) {
        Ok(bytes) if ask.method == "GET" => Answer::new(200, bytes),
        _ => Answer::error(404, "BlobNotFound", ""),
    }
}

fn scan(way: &Way, service: Service) -> (Output, String, usize) {
    let home = tempfile::tempdir().unwrap();
    let (settings, door, cloud) = (Settings::of(way.cloud), Arc::clone(&way.door), way.cloud);
    let bucket = Registry::new(&sample().0, settings).bucket;
    let fake = Fake::start(move |ask| match service(ask) {
        Some(answer) => answer,
        None if !door(ask) => Answer::error(403, "AccessDenied", ""),
        None => match cloud {
            Provider::S3 => s3(&bucket, ask),
            Provider::Gcs => google(&bucket, settings, ask),
            Provider::Azure => azure(&bucket, ask),
        },
    });
    let server = fake.endpoint();
    let filled = |text: &str| {
        let host = server.strip_prefix("http://").unwrap();
        text.replace("HOME", home.path().to_str().unwrap())
            .replace("SERVER", &server)
            .replace("HOST", host)
    };
    for (name, text) in &way.files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, filled(text)).unwrap();
    }
    let url = match way.cloud {
        Provider::S3 => format!("s3://{BUCKET}/{PREFIX}?endpoint={server}"),
        Provider::Gcs => format!("gs://{BUCKET}/{PREFIX}?endpoint={server}"),
        Provider::Azure => format!("az://account/{BUCKET}/{PREFIX}?endpoint={server}/account"),
    };
    let mut command = regsql();
    command.env_remove("AWS_EC2_METADATA_DISABLED").env("HOME", home.path());
    command.envs(way.variables.iter().map(|(name, value)| (*name, filled(value))));
    let database = home.path().join("registry.db");
    command.args(["scan", "-v", &url, "--db"]).arg(&database);
    let output = command.output().unwrap();
    let mut said = shown(&output);
    if let Ok(bytes) = std::fs::read(&database) {
        said.push_str(&String::from_utf8_lossy(&bytes));
    }
    (output, said, fake.asked().len())
}

fn header(name: &'static str, value: &'static str) -> Door {
    Arc::new(move |ask| ask.header(name).is_some_and(|given| given.contains(value)))
}

fn service(is_asked: impl Fn(&Ask) -> bool + Send + Sync + 'static, answer: Answer) -> Service {
    Arc::new(move |ask| is_asked(ask).then(|| answer.clone()))
}

fn nobody() -> Service {
    Arc::new(|_| None)
}

fn keys(body: &Value) -> Answer {
    Answer::new(200, body.to_string())
}

/// What AWS gives to machines and containers.
fn issued() -> Value {
    json!({
        "Code": "Success",
        "AccessKeyId": "ISSUED", "SecretAccessKey": "SECRET-KEY", "Token": "SECRET-ISSUED",
        "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z",
        "Type": "AWS-HMAC",
    })
}

fn sts(action: &str) -> Answer {
    Answer::new(
        200,
        format!(
            "<{action}Response><{action}Result><Credentials><AccessKeyId>ISSUED</AccessKeyId>\
             <SecretAccessKey>SECRET-KEY</SecretAccessKey><SessionToken>SECRET-ISSUED</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></{action}Result></{action}Response>"
        ),
    )
}

fn token(more: &Value) -> Answer {
    let mut token = json!({"access_token": "SECRET-ISSUED", "token_type": "Bearer"});
    for (key, value) in more.as_object().unwrap() {
        token[key] = value.clone();
    }
    keys(&token)
}

fn says(ask: &Ask, text: &str) -> bool {
    ask.target.contains(text) || String::from_utf8_lossy(&ask.body).contains(text)
}

fn way(name: &'static str, cloud: Provider, service: Service, door: Door) -> Way {
    let (variables, files) = (Vec::new(), Vec::new());
    Way { name, cloud, variables, files, service, door, secrets: SECRETS.to_vec() }
}

impl Way {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn file(mut self, name: &'static str, text: &str) -> Self {
        self.files.push((name, text.to_owned()));
        self
    }
}

/// A key that is signed with, not with what was issued.
const ISSUED: &str = "Credential=ISSUED/";

/// By what stands in the environment and in files.
fn aws_by_files() -> Vec<Way> {
    use Provider::S3;
    let is_at = |path: &'static str| move |ask: &Ask| ask.target.starts_with(path);
    vec![
        way("keys with a session", S3, nobody(), header("x-amz-security-token", "SECRET-TOKEN"))
            .with("AWS_ACCESS_KEY_ID", "K")
            .with("AWS_SECRET_ACCESS_KEY", "SECRET-KEY")
            .with("AWS_SESSION_TOKEN", "SECRET-TOKEN"),
        way("a profile", S3, nobody(), header("authorization", "Credential=WORK/"))
            .with("AWS_PROFILE", "work")
            .file(
                ".aws/credentials",
                "[work]\naws_access_key_id=WORK\naws_secret_access_key=SECRET-KEY\n",
            ),
        way(
            "a profile with a role",
            S3,
            service(
                |ask| {
                    let is_signed = ask.header("authorization");
                    says(ask, "Action=AssumeRole&")
                        && is_signed.is_some_and(|by| by.contains("Credential=WORK/"))
                },
                sts("AssumeRole"),
            ),
            header("authorization", ISSUED),
        )
        .with("AWS_PROFILE", "other")
        .with("AWS_ENDPOINT_URL_STS", "SERVER")
        .file(
            ".aws/config",
            "[profile other]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=work\n",
        )
        .file(
            ".aws/credentials",
            "[work]\naws_access_key_id=WORK\naws_secret_access_key=SECRET-KEY\n",
        ),
        way(
            "a process",
            S3,
            service(is_at("/none"), Answer::new(404, "")),
            header("x-amz-security-token", "SECRET-TOKEN"),
        )
        .file(
            ".aws/config",
            "[default]\ncredential_process = printf '{\"Version\":1,\"AccessKeyId\":\"P\",\
             \"SecretAccessKey\":\"SECRET-KEY\",\"SessionToken\":\"SECRET-TOKEN\"}'\n",
        ),
    ]
}

/// By a service beside, which is asked.
fn aws_by_services() -> Vec<Way> {
    use Provider::S3;
    let issued_token = || header("x-amz-security-token", "SECRET-ISSUED");
    let of_container = |is_asked: fn(&Ask) -> bool| {
        service(move |ask| ask.target == "/role/x" && is_asked(ask), keys(&issued()))
    };
    let metadata: Service = Arc::new(|ask| {
        let has_token = ask.header("x-aws-ec2-metadata-token") == Some("SECRET-TOKEN");
        match (ask.method.as_str(), ask.target.as_str()) {
            ("PUT", "/latest/api/token") => Some(Answer::new(200, "SECRET-TOKEN")),
            ("GET", "/latest/meta-data/iam/security-credentials/") if has_token => {
                Some(Answer::new(200, "role"))
            }
            ("GET", "/latest/meta-data/iam/security-credentials/role") if has_token => {
                Some(keys(&issued()))
            }
            _ => None,
        }
    });
    vec![
        way(
            "web identity",
            S3,
            service(
                |ask| says(ask, "AssumeRoleWithWebIdentity") && says(ask, "SECRET-TOKEN"),
                sts("AssumeRoleWithWebIdentity"),
            ),
            issued_token(),
        )
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/token")
        .with("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
        .with("AWS_ENDPOINT_URL_STS", "SERVER")
        .file("token", "SECRET-TOKEN"),
        way(
            "a container",
            S3,
            of_container(|ask| ask.header("authorization").is_none()),
            issued_token(),
        )
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", "SERVER/role/x"),
        way(
            "a container with a token",
            S3,
            of_container(|ask| ask.header("authorization") == Some("Basic SECRET-TOKEN")),
            issued_token(),
        )
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", "SERVER/role/x")
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic SECRET-TOKEN"),
        way(
            "the identity of a pod",
            S3,
            of_container(|ask| ask.header("authorization") == Some("SECRET-TOKEN")),
            issued_token(),
        )
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", "SERVER/role/x")
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "HOME/token")
        .file("token", "SECRET-TOKEN\n"),
        way("a machine", S3, metadata, header("authorization", ISSUED))
            .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", "SERVER"),
    ]
}

/// A key of a service account. Nobody knows it but this test.
fn service_account() -> String {
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "RSA"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    json!({
        "type": "service_account", "project_id": "p", "private_key_id": "1",
        "private_key": String::from_utf8(made.stdout).unwrap(),
        "client_email": "robot@p.iam.gserviceaccount.com", "client_id": "7",
        "token_uri": "SERVER/token",
    })
    .to_string()
}

/// A token that the account signed itself.
fn is_of_robot(ask: &Ask) -> bool {
    let Some(token) = ask.header("authorization").and_then(|text| text.strip_prefix("Bearer "))
    else {
        return false;
    };
    let parts: Vec<&str> = token.split('.').collect();
    let decoded = |part: &str| -> Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let (head, claims) = (decoded(parts[0]), decoded(parts[1]));
    parts.len() == 3
        && head["alg"] == "RS256"
        && claims["iss"] == "robot@p.iam.gserviceaccount.com"
        && claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
}

fn google_ways() -> Vec<Way> {
    use Provider::Gcs;
    let bearer = || header("authorization", "Bearer SECRET-ISSUED");
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "SECRET-CLIENT",
        "refresh_token": "SECRET-REFRESH", "token_uri": "SERVER/token",
    })
    .to_string();
    let refreshed = || {
        service(
            |ask| {
                ask.target == "/token" && says(ask, "SECRET-REFRESH") && says(ask, "SECRET-CLIENT")
            },
            token(&json!({"expires_in": 3600})),
        )
    };
    let of_machine: Service = Arc::new(|ask| {
        let is_asked =
            ask.target.starts_with("/computeMetadata/v1/instance/service-accounts/default/token")
                && ask.header("metadata-flavor") == Some("Google");
        is_asked.then(|| token(&json!({"expires_in": 3600})))
    });
    let key = service_account();
    vec![
        way("the key of a service account", Gcs, nobody(), Arc::new(is_of_robot))
            .with("GOOGLE_APPLICATION_CREDENTIALS", "HOME/key.json")
            .file("key.json", &key),
        way("a service account as default", Gcs, nobody(), Arc::new(is_of_robot))
            .file(".config/gcloud/application_default_credentials.json", &key),
        way("a person", Gcs, refreshed(), bearer())
            .file(".config/gcloud/application_default_credentials.json", &user),
        way("a person in a file", Gcs, refreshed(), bearer())
            .with("GOOGLE_APPLICATION_CREDENTIALS", "HOME/me.json")
            .file("me.json", &user),
        way("a token", Gcs, nobody(), bearer()).with("CLOUDSDK_AUTH_ACCESS_TOKEN", "SECRET-ISSUED"),
        way("a machine of Google", Gcs, of_machine, bearer()).with("GCE_METADATA_HOST", "HOST"),
    ]
}

fn azure_ways() -> Vec<Way> {
    use Provider::Azure;
    let bearer = || header("authorization", "Bearer SECRET-ISSUED");
    let login = |proof: &'static str| {
        service(
            move |ask| ask.target.starts_with("/tenant/oauth2/v2.0/token") && says(ask, proof),
            token(&json!({"expires_in": 3600})),
        )
    };
    vec![
        way(
            "the key of an account",
            Azure,
            nobody(),
            header("authorization", "SharedKey account:"),
        )
        .with("AZURE_STORAGE_KEY", "U0VDUkVULUtFWQ=="),
        way("a connection string", Azure, nobody(), header("authorization", "SharedKey account:"))
            .with(
                "AZURE_STORAGE_CONNECTION_STRING",
                "DefaultEndpointsProtocol=https;AccountName=account;AccountKey=U0VDUkVULUtFWQ==",
            ),
        way("a SAS", Azure, nobody(), Arc::new(|ask| ask.query("sig") == Some("SECRET-SIG=")))
            .with("AZURE_STORAGE_SAS_TOKEN", "?sv=2024-01-01&sp=rl&sig=SECRET-SIG%3D"),
        way("the identity of a workload", Azure, login("SECRET-TOKEN"), bearer())
            .with("AZURE_FEDERATED_TOKEN_FILE", "HOME/token")
            .with("AZURE_CLIENT_ID", "client")
            .with("AZURE_TENANT_ID", "tenant")
            .with("AZURE_AUTHORITY_HOST", "SERVER")
            .file("token", "SECRET-TOKEN"),
        way("the secret of an application", Azure, login("SECRET-CLIENT"), bearer())
            .with("AZURE_CLIENT_SECRET", "SECRET-CLIENT")
            .with("AZURE_CLIENT_ID", "client")
            .with("AZURE_TENANT_ID", "tenant")
            .with("AZURE_AUTHORITY_HOST", "SERVER"),
        way(
            "the identity of a machine",
            Azure,
            service(
                |ask| {
                    ask.target.starts_with("/msi")
                        && ask.header("x-identity-header") == Some("SECRET-TOKEN")
                },
                token(&json!({"expires_on": "4070908800", "resource": "r"})),
            ),
            bearer(),
        )
        .with("IDENTITY_ENDPOINT", "SERVER/msi")
        .with("IDENTITY_HEADER", "SECRET-TOKEN"),
    ]
}

fn assert_no_secret(way: &Way, said: &str) {
    for secret in way.secrets.iter().copied().chain(["U0VDUkVULUtFWQ", "PRIVATE KEY"]) {
        assert!(!said.contains(secret), "{}: {secret} is shown: {said}", way.name);
    }
}

fn assert_let_in(ways: Vec<Way>) {
    std::thread::scope(|scope| {
        for way in ways {
            scope.spawn(move || {
                let (output, said, _) = scan(&way, Arc::clone(&way.service));
                assert_eq!(output.status.code(), Some(0), "{}: {}", way.name, shown(&output));
                assert_no_secret(&way, &said);
                // The service of the cloud refuses, and says what it was asked with.
                let refusing: Service = {
                    let service = Arc::clone(&way.service);
                    Arc::new(move |ask| {
                        service(ask).map(|_| {
                            let body = String::from_utf8_lossy(&ask.body).into_owned();
                            Answer::new(
                                400,
                                json!({"error": "invalid_grant", "asked": body}).to_string(),
                            )
                        })
                    })
                };
                let (output, said, _) =
                    scan(&Way { door: Arc::new(|_| false), ..way.with("X", "x") }, refusing);
                assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
                assert!(shown(&output).contains("hint: "), "{}", shown(&output));
                for secret in SECRETS {
                    assert!(!said.contains(secret), "{secret} is shown: {said}");
                }
            });
        }
    });
}

#[test]
fn aws_lets_in_by_keys_profiles_roles_containers_and_machines() {
    assert_let_in(aws_by_files());
    assert_let_in(aws_by_services());
}

#[test]
fn google_lets_in_by_service_accounts_people_tokens_and_machines() {
    assert_let_in(google_ways());
}

#[test]
fn azure_lets_in_by_keys_signatures_workloads_applications_and_machines() {
    assert_let_in(azure_ways());
}

#[test]
fn a_file_of_google_that_needs_its_tools_says_how() {
    let federated = json!({"type": "external_account", "token_url": "https://sts.example.com"});
    let odd = way("x", Provider::Gcs, nobody(), Arc::new(|_| true))
        .with("GOOGLE_APPLICATION_CREDENTIALS", "HOME/key.json");
    let with = |text: &str| {
        let way = Way {
            variables: odd.variables.clone(),
            files: vec![("key.json", text.to_owned())],
            ..way("x", Provider::Gcs, nobody(), Arc::new(|_| true))
        };
        let (output, said, _) = scan(&way, nobody());
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        said
    };
    let said = with(&federated.to_string());
    assert!(said.contains("CLOUDSDK_AUTH_ACCESS_TOKEN=$(gcloud auth"), "{said}");
    let said = with("{\"type\":\"authorized_user\",\"refresh_token\":\"SECRET-REFRESH\"}");
    assert!(said.contains("no file of credentials") && !said.contains("SECRET-REFRESH"), "{said}");
    let said = with("SECRET-KEY");
    assert!(said.contains("no file of credentials") && !said.contains("SECRET-KEY"), "{said}");
}
