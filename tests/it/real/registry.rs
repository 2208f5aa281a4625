//! Debian's `docker-registry` on a free loopback port, with a root directory of its own.

use std::fs::{self, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::http::{self, Answer};
use super::layout::digest_of;

/// Every manifest type, so that the registry never converts one into another.
pub const MANIFEST_TYPES: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json";

/// Port 0: the registry picks a free one and logs it, so tests cannot race for a port. Without
/// `allow` it would refuse foreign layers.
const CONFIG: &str = "\
version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: ROOT
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
validation:
  manifests:
    urls:
      allow: ['^https://']
";

/// A registry's storage, and the server when it runs.
pub struct Registry {
    server: Option<(Child, SocketAddr)>,
    directory: tempfile::TempDir,
}

impl Registry {
    /// An empty registry that serves. Other users may read its storage, as on most hosts.
    pub fn start() -> Self {
        Self::start_with(str::to_owned)
    }

    /// The same with another configuration.
    pub fn start_with(change: impl FnOnce(&str) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let mut registry = Self { server: None, directory };
        fs::create_dir(registry.root()).unwrap();
        let config = CONFIG.replace("ROOT", registry.root().to_str().unwrap());
        fs::write(registry.config(), change(&config)).unwrap();
        registry.serve();
        registry
    }

    /// Stops, and serves again with another configuration, on a new port.
    pub fn restart_with(&mut self, change: impl FnOnce(&str) -> String) {
        self.stop();
        let config = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), change(&config)).unwrap();
        self.serve();
    }

    /// The directory above `docker/registry/v2`.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config.yml")
    }

    /// Where tests may put files of their own beside the storage.
    pub fn beside(&self) -> &Path {
        self.directory.path()
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("the registry runs").1
    }

    /// Starts the stopped registry, on a new port.
    pub fn serve(&mut self) {
        assert!(self.server.is_none(), "the registry runs already");
        let log = self.directory.path().join("registry.log");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(self.config())
            .env_remove("REGISTRY_HTTP_ADDR")
            // With one its client of S3 does not start.
            .env_remove("AWS_CA_BUNDLE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| missing("docker-registry", &error));
        // Kept at once, so that a failed wait kills it too.
        self.server = Some((child, SocketAddr::from(([127, 0, 0, 1], 0))));
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(&log).unwrap();
            if let Some(address) = listening_on(&text)
                // It may want TLS or a password first: any answer shows that it serves.
                && http::request(address, "GET", "/v2/", &[], &[]).is_ok()
            {
                self.server.as_mut().unwrap().1 = address;
                return;
            }
            assert!(Instant::now() < deadline, "docker-registry does not answer; its log:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(&mut self) {
        if let Some((mut child, _)) = self.server.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::request(self.address(), method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// `GET` or `HEAD` with every manifest type accepted.
    pub fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, &[("Accept", MANIFEST_TYPES)], &[])
    }

    /// Uploads a blob and returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        self.put_blob_as(repository, bytes, &digest);
        digest
    }

    /// Uploads a blob under a digest of the caller's choice (sha512).
    pub fn put_blob_as(&self, repository: &str, bytes: &[u8], digest: &str) {
        let location = self.begin_upload(repository).0;
        let sign = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{sign}digest={digest}");
        let headers = [("Content-Type", "application/octet-stream")];
        let answer = self.send("PUT", &path, &headers, bytes);
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Begins an upload: the path to send to, and the upload's id.
    pub fn begin_upload(&self, repository: &str) -> (String, String) {
        let answer = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], &[]);
        assert_eq!(answer.status, 202, "{answer:?}");
        (self.location(&answer), answer.must_have("Docker-Upload-UUID"))
    }

    /// Sends some bytes of an upload and leaves it open.
    pub fn send_part(&self, location: &str, bytes: &[u8]) {
        let headers = [("Content-Type", "application/octet-stream")];
        let answer = self.send("PATCH", location, &headers, bytes);
        assert_eq!(answer.status, 202, "{answer:?}");
    }

    /// Mounts a blob of another repository, as a client does that knows it is there.
    pub fn mount(&self, repository: &str, digest: &str, from: &str) {
        let path = format!("/v2/{repository}/blobs/uploads/?mount={digest}&from={from}");
        let answer = self.send("POST", &path, &[], &[]);
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Puts a manifest under a tag, or untagged when `reference` is its digest.
    pub fn put_manifest(&self, repository: &str, reference: &str, body: &[u8], media_type: &str) {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.send("PUT", &path, &[("Content-Type", media_type)], body);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.must_have("Docker-Content-Digest"), digest_of(body));
    }

    /// Deletes a manifest, and with it every tag that points at it.
    pub fn delete_manifest(&self, repository: &str, digest: &str) {
        let path = format!("/v2/{repository}/manifests/{digest}");
        let answer = self.send("DELETE", &path, &[], &[]);
        assert_eq!(answer.status, 202, "{answer:?}");
    }

    /// The `Location` of an answer, without scheme and host.
    fn location(&self, answer: &Answer) -> String {
        let location = answer.must_have("Location");
        let host = format!("http://{}", self.address());
        location.strip_prefix(&host).unwrap_or(&location).to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The address in the line `... msg="listening on 127.0.0.1:40123" ...` of the log; with TLS,
/// `, tls` follows it.
fn listening_on(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    rest.split(['"', ',']).next()?.trim().parse().ok()
}

/// A test that needs a program must fail without it: a skipped test would look like a passed one.
pub fn missing(package: &str, error: &std::io::Error) -> ! {
    panic!("cannot run {package}: {error}; `apt-get install {package}` (or tests/run) installs it")
}
