//! Registries that remember what they served: what is deleted must be forgotten, or come back.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::Digest as _;

use super::{Bench, GARBAGE, writers};
use crate::env::shown;
use crate::real::http;
use crate::real::layout::{Image, digest_of, layer};
use crate::real::pushes;
use crate::real::registry::{MANIFEST_TYPES, Registry, missing};
use crate::registry_api::fake::{Fake, reply};
use crate::tree::Tree;

/// Debian's `redis-server` on a free port.
struct Redis {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| missing("redis-server", &error));
        let redis = Self { child, address, _directory: directory };
        let deadline = Instant::now() + Duration::from_secs(20);
        while redis.say("PING").is_none() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    /// Sends a command; gives the first line of the answer.
    fn say(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        line.starts_with('+').then_some(line)
    }

    fn forget_everything(&self) {
        self.say("FLUSHALL").unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn in_memory(config: &str) -> String {
    config.replace("storage:\n", "storage:\n  cache:\n    blobdescriptor: inmemory\n")
}

fn in_redis(config: &str, redis: &Redis) -> String {
    let address = redis.address;
    config.replace("storage:\n", "storage:\n  cache:\n    blobdescriptor: redis\n")
        + &format!(
            "redis:\n  addr: {address}\n  dialtimeout: 5s\n  readtimeout: 5s\n  writetimeout: 5s\n"
        )
}

/// When a [`remembering`] server forgets what it answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forgets {
    /// When it is deleted through the API.
    AtDelete,
    /// When it is deleted a second time: someone asked between the emptying of the cache and the
    /// removal of the link, as happens on a slow disk.
    AtSecondDelete,
    /// Not before a restart.
    Never,
}

/// What the server remembers: paths, and how often each was deleted.
type Memory = Arc<Mutex<HashMap<String, u32>>>;

/// A server in front of a registry that remembers what it was asked for by HEAD, revisions as well as
/// layers, and answers from that, as distribution 3 does. `is_meant` says for which paths.
fn remembering(
    registry: &Registry,
    forgets: Forgets,
    is_meant: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Fake, Memory) {
    let memory = Memory::default();
    let (known, address) = (Arc::clone(&memory), registry.address());
    let fake = Fake::start(move |head, stream| {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.map(|line| line[name.len()..].trim().to_owned())
        };
        let length = header("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let digest = path.rsplit('/').next().unwrap().to_owned();
        let may_remember = digest.starts_with("sha") && is_meant(path);
        if method == "HEAD" && known.lock().unwrap().contains_key(path) {
            return reply(stream, "200 OK", &[("Docker-Content-Digest", &digest)], "");
        }
        if method == "DELETE" && may_remember {
            let mut known = known.lock().unwrap();
            if forgets == Forgets::AtSecondDelete && known.get(path).is_some_and(|count| *count > 0)
            {
                known.remove(path);
                return reply(stream, "202 Accepted", &[], "");
            }
        }
        let kind = header("content-type:").unwrap_or_default();
        let headers = [("Accept", MANIFEST_TYPES), ("Content-Type", kind.as_str())];
        let answer = http::request(address, method, path, &headers, &body).unwrap();
        let mut known = known.lock().unwrap();
        match (method, answer.status) {
            ("HEAD", 200) if may_remember => drop(known.insert(path.to_owned(), 0)),
            ("DELETE", 202) if may_remember => match forgets {
                Forgets::AtDelete => drop(known.remove(path)),
                Forgets::AtSecondDelete => *known.entry(path.to_owned()).or_default() += 1,
                Forgets::Never => {}
            },
            _ => {}
        }
        drop(known);
        let sent = ["Docker-Content-Digest", "Content-Type", "Location", "Docker-Upload-UUID"];
        let sent: Vec<(&str, &str)> =
            sent.iter().filter_map(|name| Some((*name, answer.header(name)?))).collect();
        let text = if method == "HEAD" {
            String::new()
        } else {
            String::from_utf8(answer.body.clone()).unwrap()
        };
        reply(stream, &format!("{} As-It-Was", answer.status), &sent, &text);
    });
    (fake, memory)
}

const REPOSITORY: &str = "team/app";

/// An index that lost its tag, with all that is its alone.
fn old_index() -> Image {
    let base = layer("base", 10_000);
    Image::index(vec![
        Image::of(&[&base, &layer("old amd64", 5_000)]),
        Image::for_platform(("linux", "arm64"), &[&base, &layer("old arm64", 5_000)]),
    ])
}

fn new_image() -> Image {
    Image::of(&[&layer("base", 10_000), &layer("new", 5_000)])
}

/// A registry with [`new_image`] under a tag, which was [`old_index`] before.
fn registry_with_old_index(change: impl FnOnce(&str) -> String) -> Registry {
    let registry = Registry::start_with(change);
    pushes::put(&registry, REPOSITORY, "1.0", &old_index());
    pushes::put(&registry, REPOSITORY, "1.0", &new_image());
    registry
}

/// All that a client may ask for of an image: paths of manifests and blobs.
fn paths_of(image: &Image) -> Vec<String> {
    let mut paths = vec![format!("/v2/{REPOSITORY}/manifests/{}", image.digest())];
    let blobs =
        image.blobs.iter().map(|blob| format!("/v2/{REPOSITORY}/blobs/{}", digest_of(blob)));
    paths.extend(blobs);
    paths.extend(image.children.iter().flat_map(paths_of));
    paths
}

fn head(address: SocketAddr, path: &str) -> u16 {
    http::request(address, "HEAD", path, &[("Accept", MANIFEST_TYPES)], &[]).unwrap().status
}

/// Pushes as BuildKit and containerd do: what the registry says it has is not sent. Gives the status
/// of the last manifest.
fn push_what_is_missing(
    registry: &Registry,
    front: SocketAddr,
    reference: &str,
    image: &Image,
) -> u16 {
    for child in &image.children {
        if head(front, &format!("/v2/{REPOSITORY}/manifests/{}", child.digest())) != 200 {
            let status = push_what_is_missing(registry, front, &child.digest(), child);
            if status != 201 {
                return status;
            }
        }
    }
    for blob in &image.blobs {
        if head(front, &format!("/v2/{REPOSITORY}/blobs/{}", digest_of(blob))) != 200 {
            registry.put_blob(REPOSITORY, blob);
        }
    }
    put_manifest(front, reference, image)
}

fn put_manifest(front: SocketAddr, reference: &str, image: &Image) -> u16 {
    let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
    let headers = [("Content-Type", image.media_type)];
    http::request(front, "PUT", &path, &headers, &image.manifest).unwrap().status
}

fn online(front: SocketAddr) -> Vec<String> {
    let url = format!("http://{front}");
    ["--online", "--wait", "400ms", "--delete", "--yes", "--registry-url", &url]
        .map(str::to_owned)
        .to_vec()
}

/// Prunes while others ask for everything all the time.
fn prune_while_asked(bench: &Bench, front: SocketAddr) -> (Value, String) {
    let asked: Vec<String> = [old_index(), new_image()].iter().flat_map(paths_of).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for start in 0..3 {
            let (asked, is_over) = (&asked, &is_over);
            scope.spawn(move || {
                for path in asked.iter().cycle().skip(start * 3) {
                    if is_over.load(Ordering::Acquire) {
                        return;
                    }
                    head(front, path);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let more = online(front);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let pruned = bench.json(&[GARBAGE, &more].concat());
        is_over.store(true, Ordering::Release);
        pruned
    })
}

/// Whatever a run says that it deleted, the registry has forgotten.
#[track_caller]
fn assert_forgotten(front: SocketAddr, document: &Value) {
    let mut count = 0;
    for item in document["items"].as_array().unwrap() {
        let (kind, digest) = match item["kind"].as_str().unwrap() {
            "revision" => ("manifests", &item["manifest_digest"]),
            "layer_link" => ("blobs", &item["link_digest"]),
            _ => continue,
        };
        let path = format!("/v2/{REPOSITORY}/{kind}/{}", digest.as_str().unwrap());
        assert_eq!(head(front, &path), 404, "{path} is remembered: {document:#}");
        count += 1;
    }
    assert!(count > 0, "{document:#}");
}

/// Everything that went is forgotten, and an image of it that is pushed again is whole, also when the
/// registry has started again.
#[track_caller]
fn prunes_and_is_whole(mut registry: Registry, front: SocketAddr) -> String {
    let bench = Bench::of(&registry.root());
    let (document, notes) = prune_while_asked(&bench, front);
    assert_forgotten(front, &document);
    let index = old_index();
    assert_eq!(push_what_is_missing(&registry, front, "again", &index), 201);
    assert!(document["counts"]["revisions"].as_u64().unwrap() >= 3, "{document:#}\n{notes}");
    assert!(document["counts"]["blobs"].as_u64().unwrap() > 0, "{document:#}\n{notes}");
    registry.restart_with(str::to_owned);
    for (tag, image) in [("again", &index), ("1.0", &new_image())] {
        let wrongs = writers::wrongs(&registry, REPOSITORY, tag, image);
        assert!(wrongs.is_empty(), "{wrongs:#?}\n{document:#}\n{notes}");
    }
    notes
}

#[test]
fn a_cache_in_memory_that_everyone_asks_forgets_what_went() {
    for is_warm in [true, false] {
        let mut registry = registry_with_old_index(in_memory);
        if !is_warm {
            registry.restart_with(str::to_owned);
        }
        let front = registry.address();
        prunes_and_is_whole(registry, front);
    }
}

#[test]
fn a_cache_in_redis_that_everyone_asks_forgets_what_went() {
    for is_warm in [true, false] {
        let redis = Redis::start();
        let registry = registry_with_old_index(|config| in_redis(config, &redis));
        if !is_warm {
            redis.forget_everything();
        }
        let front = registry.address();
        prunes_and_is_whole(registry, front);
    }
}

#[test]
fn garbage_behind_an_alias_goes_in_one_run_and_no_cache_remembers_a_name_of_it() {
    for is_warm in [true, false] {
        let redis = Redis::start();
        let registry = registry_with_old_index(|config| in_redis(config, &redis));
        let bytes = layer("behind an alias", 4_000);
        let hex: Vec<String> =
            sha2::Sha512::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let alias = format!("sha512:{}", hex.concat());
        registry.put_blob_as(REPOSITORY, &bytes, &alias);
        let digest = registry.put_blob(REPOSITORY, &bytes);
        if !is_warm {
            redis.forget_everything();
        }
        let bench = Bench::of(&registry.root());
        let (document, notes) = prune_while_asked(&bench, registry.address());
        assert_forgotten(registry.address(), &document);
        let data = registry
            .root()
            .join(regsql::sample::paths::blob(&regsql::model::Digest::parse(&digest).unwrap()));
        assert!(!data.exists(), "{document:#}\n{notes}");
        for name in [&alias, &digest] {
            let path = format!("/v2/{REPOSITORY}/blobs/{name}");
            assert_eq!(head(registry.address(), &path), 404, "{name}");
        }
        // A client that asks first sends it again.
        assert_eq!(registry.put_blob(REPOSITORY, &bytes), digest);
        assert!(data.exists());
    }
}

#[test]
fn a_registry_that_remembers_revisions_forgets_those_that_went() {
    for forgets in [Forgets::AtDelete, Forgets::AtSecondDelete] {
        let registry = registry_with_old_index(str::to_owned);
        let (front, _) = remembering(&registry, forgets, |_| true);
        for path in paths_of(&old_index()) {
            assert_eq!(head(front.address, &path), 200);
        }
        prunes_and_is_whole(registry, front.address);
    }
}

#[test]
fn what_a_registry_does_not_forget_stays_with_its_blobs_and_that_is_said() {
    let child = old_index().children.remove(0);
    let layer = digest_of(&child.blobs[2]);
    let revision = child.digest();
    for kept in [revision, layer] {
        let registry = registry_with_old_index(str::to_owned);
        let is_kept = kept.clone();
        let (front, _) =
            remembering(&registry, Forgets::Never, move |path| path.ends_with(&is_kept));
        for path in paths_of(&old_index()) {
            assert_eq!(head(front.address, &path), 200);
        }
        let before = Tree::of_registry(&registry.root());
        let bench = Bench::of(&registry.root());
        let more = online(front.address);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let text = bench.ends(1, &[GARBAGE, &more].concat());
        assert!(text.contains("still serves it from its cache after 3 deletes"), "{text}");
        let after = Tree::of_registry(&registry.root());
        let hex = kept.replace("sha256:", "");
        let of_it = |tree: &Tree| {
            let paths = tree.nodes.keys().filter(|path| path.to_string_lossy().contains(&hex));
            paths.cloned().collect::<Vec<_>>()
        };
        assert_eq!(of_it(&after), of_it(&before), "{text}");
        if kept == child.digest() {
            let wrongs = writers::wrongs(&registry, REPOSITORY, &kept, &child);
            assert!(wrongs.is_empty(), "{wrongs:#?}\n{text}");
        }
    }
}

/// Prunes, and calls `at` with 1 when references have gone and with 2 when blobs have.
fn prune_with(bench: &Bench, front: SocketAddr, mut at: impl FnMut(usize)) -> String {
    let more = online(front);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let mut command = bench.command(&[GARBAGE, &more].concat());
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    let mut count = 0;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains("waiting") {
            count += 1;
            at(count);
        }
        text.push_str(&line);
        text.push('\n');
    }
    let output = child.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{text}{}", shown(&output));
    text + &shown(&output)
}

#[test]
fn what_a_registry_remembers_again_while_a_run_waits_comes_back() {
    // A question that was under way when the cache was emptied may fill it again.
    let index = old_index();
    let child = &index.children[0];
    let paths = [
        format!("/v2/{REPOSITORY}/manifests/{}", child.digest()),
        format!("/v2/{REPOSITORY}/blobs/{}", digest_of(&child.blobs[2])),
    ];
    for moment in [1, 2] {
        for path in &paths {
            let registry = registry_with_old_index(str::to_owned);
            let (front, memory) = remembering(&registry, Forgets::AtDelete, |_| true);
            let bench = Bench::of(&registry.root());
            let text = prune_with(&bench, front.address, |at| {
                if at == moment {
                    memory.lock().unwrap().insert(path.clone(), 0);
                }
            });
            assert!(text.contains("the registry serves it from its cache: it is back"), "{text}");
            assert!(text.contains("exit 1"), "{text}");
            // What it says that it has, it has, now and after a restart.
            let answer = registry.ask("GET", path);
            assert_eq!(answer.status, 200, "at {moment}, {path}: {text}");
            if path == &paths[0] {
                let wrongs = writers::wrongs(&registry, REPOSITORY, &child.digest(), child);
                assert!(wrongs.is_empty(), "at {moment}: {wrongs:#?}\n{text}");
            }
        }
    }
}

#[test]
fn a_tag_that_is_pushed_just_before_its_revision_is_deleted_keeps_it() {
    let registry = registry_with_old_index(str::to_owned);
    let index = old_index();
    let path = format!("/v2/{REPOSITORY}/manifests/{}", index.digest());
    let (address, asked) = (registry.address(), path.clone());
    let is_pushed = AtomicBool::new(false);
    let pushed = index.clone();
    // Whoever looks whether it went, when it went, finds it remembered, and pushes it again.
    let (front, memory) = remembering(&registry, Forgets::AtDelete, move |path| {
        if path == asked && !is_pushed.swap(true, Ordering::SeqCst) {
            assert_eq!(put_manifest(address, "late", &pushed), 201);
        }
        true
    });
    memory.lock().unwrap().insert(path, 0);
    let bench = Bench::of(&registry.root());
    let text = prune_with(&bench, front.address, |_| ());
    let wrongs = writers::wrongs(&registry, REPOSITORY, "late", &index);
    assert!(wrongs.is_empty(), "{wrongs:#?}\n{text}");
}

#[test]
fn whoever_asked_long_before_the_push_gets_a_whole_image_or_is_refused() {
    for cache in [str::to_owned, in_memory] {
        for moment in [1, 2, 3] {
            let mut registry = registry_with_old_index(cache);
            let front = registry.address();
            let bench = Bench::of(&registry.root());
            let image = old_index().children.remove(1);
            // It asked, and was told that everything is there.
            for path in paths_of(&image) {
                assert_eq!(head(front, &path), 200);
            }
            let mut status = 0;
            let text = prune_with(&bench, front, |at| {
                if at == moment {
                    status = put_manifest(front, "late", &image);
                }
            });
            if moment == 3 {
                status = put_manifest(front, "late", &image);
            }
            registry.restart_with(str::to_owned);
            if status == 201 {
                let wrongs = writers::wrongs(&registry, REPOSITORY, "late", &image);
                assert!(wrongs.is_empty(), "at {moment}: {wrongs:#?}\n{text}");
            } else {
                assert_eq!(status, 400, "{text}");
            }
        }
    }
}

/// The disk's part of what a client leaves that deletes a layer while another asks for it: the directory of
/// a link without the link. The cache has it still.
fn unlink(registry: &Registry, repository: &str, digest: &str) -> PathBuf {
    let hex = digest.strip_prefix("sha256:").unwrap();
    let directory = registry.root().join("docker/registry/v2/repositories").join(repository);
    let directory = directory.join("_layers/sha256").join(hex);
    assert_eq!(registry.ask("HEAD", &format!("/v2/{repository}/blobs/{digest}")).status, 200);
    fs::remove_file(directory.join("link")).unwrap();
    assert_eq!(registry.ask("HEAD", &format!("/v2/{repository}/blobs/{digest}")).status, 200);
    directory
}

#[test]
fn a_layer_that_a_cache_learned_while_a_client_deleted_it_stays_until_the_cache_is_empty() {
    let redis = Redis::start();
    let caches: [&dyn Fn(&str) -> String; 2] = [&in_memory, &|config| in_redis(config, &redis)];
    for (is_in_redis, cache) in [(false, caches[0]), (true, caches[1])] {
        let mut registry = Registry::start_with(cache);
        let image = new_image();
        pushes::put(&registry, REPOSITORY, "1.0", &image);
        let [wanted, unwanted] = ["wanted", "unwanted"].map(|name| layer(name, 3_000));
        let digests = [&wanted, &unwanted].map(|bytes| registry.put_blob("gone", bytes));
        let directories = digests.each_ref().map(|digest| unlink(&registry, "gone", digest));
        let bench = Bench::of(&registry.root());
        let more = online(registry.address());
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let text = bench.ends(1, &[GARBAGE, &more].concat());
        assert!(text.contains("its link in gone was deleted and is still served"), "{text}");
        assert!(directories.iter().all(|path| path.is_dir()), "nothing says so any more: {text}");

        // A mount gets 201 from the cache alone, and its push is whole.
        registry.mount("other", &digests[0], "gone");
        let mounting = Image::of(&[&wanted]);
        registry.put_blob("other", &mounting.blobs[0]);
        assert_eq!(
            http::request(
                registry.address(),
                "PUT",
                "/v2/other/manifests/1",
                &[("Content-Type", mounting.media_type)],
                &mounting.manifest
            )
            .unwrap()
            .status,
            201
        );
        registry.restart_with(str::to_owned);
        let wrongs = writers::wrongs(&registry, "other", "1", &mounting);
        assert!(wrongs.is_empty(), "{wrongs:#?}\n{text}");

        if is_in_redis {
            redis.forget_everything();
        }
        let more = online(registry.address());
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        bench.ends(0, &[GARBAGE, &more].concat());
        let there = |digest: &str| {
            let hex = digest.strip_prefix("sha256:").unwrap();
            let blobs = registry.root().join("docker/registry/v2/blobs/sha256");
            blobs.join(&hex[..2]).join(hex).join("data").exists()
        };
        assert_eq!(digests.each_ref().map(|digest| there(digest)), [true, false]);
        assert!(writers::wrongs(&registry, "other", "1", &mounting).is_empty());
    }
}

#[test]
fn a_manifest_that_a_cache_learned_while_a_client_deleted_it_keeps_what_it_names() {
    let registry = registry_with_old_index(str::to_owned);
    let (front, memory) = remembering(&registry, Forgets::AtDelete, |_| true);
    let index = old_index();
    let child = &index.children[0];
    for deleted in [&index, child] {
        registry.delete_manifest(REPOSITORY, &deleted.digest());
    }
    let path = format!("/v2/{REPOSITORY}/manifests/{}", child.digest());
    memory.lock().unwrap().insert(path.clone(), 0);
    let bench = Bench::of(&registry.root());
    let text = prune_with(&bench, front.address, |_| {});
    assert!(text.contains("was deleted and is still served"), "{text}");
    for blob in &child.blobs {
        let path = format!("/v2/{REPOSITORY}/blobs/{}", digest_of(blob));
        assert_eq!(registry.ask("GET", &path).status, 200, "{path}: {text}");
    }
    // It has been forgotten: nothing keeps its layer.
    memory.lock().unwrap().clear();
    prune_with(&bench, front.address, |_| {});
    let path = format!("/v2/{REPOSITORY}/blobs/{}", digest_of(&child.blobs[2]));
    assert_eq!(registry.ask("GET", &path).status, 404, "{path}");
}
