//! `prune`, `undo` and `trash purge` by the program in S3, into which Debian's registry pushes. The registry
//! judges: every tag can be pulled after each step, and in the end its collector finds nothing more.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use regsql::storage::object::DeleteCondition;

use super::servers::{Kind, Server, objects};
use crate::env::{regsql, shown};
use crate::real::known::Known;
use crate::real::registry::Registry;
use crate::real::{garbage, http, skopeo};

/// What all keys begin with.
const PREFIX: &str = "team/registry/";

/// A registry that stores in a bucket, and a database of it.
struct InBucket {
    server: Server,
    known: Known,
    directory: tempfile::TempDir,
}

impl InBucket {
    fn new(server: Server) -> Self {
        Self::with_storage(server, "")
    }

    /// With more lines of the configuration's `storage`.
    fn with_storage(server: Server, more: &str) -> Self {
        let registry = Registry::start_with(|config| {
            let (before, rest) = config.split_once("storage:\n").unwrap();
            let (_, after) = rest.split_once("http:\n").unwrap();
            let section = server.storage_section(PREFIX.trim_end_matches('/'));
            format!("{before}{section}{more}http:\n{after}")
        });
        let known = Known::full_in(registry);
        let it = Self { server, known, directory: tempfile::tempdir().unwrap() };
        it.run(&["scan", &it.server.url(PREFIX)], 0);
        it
    }

    /// Runs the program; it must end with this code.
    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", shown(&output));
        shown(&output)
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let database: &Path = &self.directory.path().join("registry.db");
        let mut command = regsql();
        command.arg("--db").arg(database).args(arguments).envs(self.server.variables());
        command.output().unwrap()
    }

    /// Deletes what is garbage and what nothing tagged leads to.
    #[track_caller]
    fn prune(&self, more: &[&str]) -> String {
        let what = ["prune", "untagged-revisions", "--garbage", "--min-age=0s", "--delete"];
        let how = ["--offline", "--yes", "--max-delete-percent=100", "--trust-storage"];
        self.run(&[&what[..], &how, more].concat(), 0)
    }

    /// All keys of the registry with the sizes and entity tags of what they hold.
    fn keys(&self) -> Vec<(String, u64, Option<String>)> {
        let all = objects(&*self.server.bucket(), &format!("{PREFIX}docker/")).into_iter();
        let mut keys: Vec<_> = all.map(|found| (found.key, found.size_bytes, found.etag)).collect();
        keys.sort();
        keys
    }

    /// Bytes of the data of blobs.
    fn stored_bytes(&self) -> u64 {
        self.keys()
            .iter()
            .filter(|(key, ..)| key.contains("/blobs/"))
            .map(|(_, size, _)| size)
            .sum()
    }

    /// A registry that has just begun, so that it remembers nothing, serves every tag whole.
    fn assert_all_pullable(&mut self) {
        self.known.registry.stop();
        self.known.registry.serve();
        for (repository, tag) in &self.known.pullable {
            skopeo::pull(&self.known.registry, repository, tag);
        }
    }
}

/// One server for all, since it takes longer to start than most of them.
/// A test that has a bucket of a shared server to itself.
type Deletion = fn(Server);

#[test]
fn what_the_program_deletes_in_s3_is_what_it_deletes_on_disk() {
    let server = Server::start(Kind::Moto);
    let bucket = |name: &str| server.another(name);
    let cases: [(&str, Deletion); 7] = [
        ("deferred", what_is_pruned_comes_back_whole_and_is_gone_after_the_purge),
        ("versions", with_versions_it_is_kept_as_versions_until_the_purge),
        ("suspended", with_suspended_versions_it_is_marked_until_the_purge),
        ("copies", without_a_trash_and_with_copies_it_is_as_clean),
        ("plans", a_saved_plan_and_a_registry_that_serves_work_as_on_disk),
        ("through-the-api", the_registry_itself_deletes_through_its_api),
        ("caches", a_layer_that_a_cache_remembers_stays_until_it_is_forgotten),
    ];
    std::thread::scope(|scope| {
        for (name, case) in cases {
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread
                .spawn_scoped(scope, {
                    let server = bucket(name);
                    move || case(server)
                })
                .unwrap();
        }
    });
}

fn what_is_pruned_comes_back_whole_and_is_gone_after_the_purge(server: Server) {
    let mut it = InBucket::new(server);
    let (before, stored_bytes) = (it.keys(), it.stored_bytes());
    let shown = it.prune(&[]);
    assert!(shown.contains("is marked and stays in the bucket"), "{shown}");
    assert_eq!(it.stored_bytes(), stored_bytes, "no space is free before the purge");
    assert!(it.keys().len() < before.len());
    it.assert_all_pullable();

    // What is marked is planned no second time.
    let again = it.run(&["prune", "--garbage", "--min-age=0s", "--trust-storage"], 0);
    assert!(again.contains("waiting for regsql trash purge"), "{again}");
    assert!(!again.contains("Use --delete"), "{again}");

    it.run(&["undo"], 0);
    assert_eq!(it.keys(), before);
    it.assert_all_pullable();

    it.prune(&[]);
    let listed = it.run(&["trash", "list"], 0);
    assert!(listed.contains("finished"), "{listed}");
    let early = it.run(&["trash", "purge", "--yes"], 1);
    assert!(early.contains("it is too early"), "{early}");
    assert!(!early.contains("removed nothing"), "{early}");
    assert!(early.contains("--offline"), "{early}");
    it.run(&["trash", "purge", "--yes", "--offline"], 0);
    assert!(it.stored_bytes() < stored_bytes);
    assert_ends_clean(&mut it);
}

fn with_versions_it_is_kept_as_versions_until_the_purge(server: Server) {
    server.set_versioning("Enabled");
    let mut it = InBucket::new(server);
    let before = it.keys();
    let shown = it.prune(&["--trash=versions"]);
    assert!(shown.contains("keeps the data as older versions"), "{shown}");
    it.assert_all_pullable();
    it.run(&["undo"], 0);
    assert_eq!(it.keys(), before);
    it.assert_all_pullable();

    it.prune(&[]);
    it.run(&["trash", "purge", "--yes", "--offline"], 0);
    let (bucket, prefix) = (it.server.bucket(), format!("{PREFIX}docker/registry/v2/blobs/"));
    let versions = bucket.list_versions(&prefix, None).unwrap().versions;
    let older: Vec<_> = versions.iter().filter(|version| !version.is_current).collect();
    assert!(older.is_empty(), "{older:#?}");
    assert_ends_clean(&mut it);
}

/// What a deletion in such a bucket removes for good is what was written while it was suspended; older versions
/// from before stay. So nothing is taken for granted: it is marked, as without versions.
fn with_suspended_versions_it_is_marked_until_the_purge(server: Server) {
    server.set_versioning("Enabled");
    let mut it = InBucket::new(server);
    it.server.set_versioning("Suspended");
    let (before, stored_bytes) = (it.keys(), it.stored_bytes());
    let refused = it.output(&[
        "prune",
        "--garbage",
        "--min-age=0s",
        "--delete",
        "--offline",
        "--yes",
        "--trash=versions",
        "--max-delete-percent=100",
        "--trust-storage",
    ]);
    assert_eq!(refused.status.code(), Some(2), "{}", self::shown(&refused));
    let shown = it.prune(&[]);
    assert!(shown.contains("is marked and stays in the bucket"), "{shown}");
    assert_eq!(it.stored_bytes(), stored_bytes, "{shown}");
    it.run(&["undo"], 0);
    assert_eq!(it.keys(), before, "{shown}");
    it.assert_all_pullable();
    it.prune(&[]);
    it.run(&["trash", "purge", "--yes", "--offline"], 0);
    assert!(it.stored_bytes() < stored_bytes);
    assert_ends_clean(&mut it);
}

fn without_a_trash_and_with_copies_it_is_as_clean(server: Server) {
    let mut it = InBucket::new(server);
    let before = it.keys();
    let shown = it.prune(&["--trash=copy"]);
    assert!(shown.contains("Copied to the trash"), "{shown}");
    it.assert_all_pullable();
    it.run(&["undo"], 0);
    assert_eq!(it.keys().len(), before.len());
    let refused = it.output(&[
        "prune",
        "--garbage",
        "--min-age=0s",
        "--delete",
        "--offline",
        "--yes",
        "--trash=versions",
        "--max-delete-percent=100",
        "--trust-storage",
    ]);
    assert_eq!(refused.status.code(), Some(2), "{}", self::shown(&refused));
    assert!(self::shown(&refused).contains("keeps neither older versions"), "{refused:?}");
    let shown = it.prune(&["--no-trash"]);
    assert!(shown.contains("Freed"), "{shown}");
    assert_ends_clean(&mut it);
}

fn a_saved_plan_and_a_registry_that_serves_work_as_on_disk(server: Server) {
    let mut it = InBucket::new(server);
    let before = it.keys();
    let file = it.directory.path().join("plan.json");
    let file = file.to_str().unwrap();
    it.run(&["free", "1KB", "--save", file], 0);
    let planned = it.run(&["prune", "--plan", file, "--min-age=0s", "--trust-storage"], 0);
    assert!(planned.contains("Use --delete to delete"), "{planned}");
    let what_if = it.run(&["report", "untagged-revisions", "--what-if"], 0);
    assert!(what_if.contains("free"), "{what_if}");
    assert_eq!(it.keys(), before, "nothing was deleted");

    // Beside a registry that serves. What its API deletes comes back, too.
    let address = format!("http://{}", it.known.registry.address());
    let beside = it.output(&[
        "prune",
        "untagged-revisions",
        "--garbage",
        "--min-age=0s",
        "--delete",
        "--online",
        "--wait=1s",
        "--registry-url",
        &address,
        "--yes",
        "--max-delete-percent=100",
        "--trust-storage",
    ]);
    let shown = self::shown(&beside);
    assert_eq!(beside.status.code(), Some(0), "{shown}");
    assert!(shown.contains("Listed in the trash"), "{shown}");
    assert!(it.keys().len() < before.len(), "{shown}");
    it.assert_all_pullable();
    it.run(&["undo"], 0);
    assert_eq!(it.keys(), before, "{shown}");
    it.assert_all_pullable();
}

/// Whoever may only read the bucket lets the registry delete: it removes tags, revisions and links.
fn the_registry_itself_deletes_through_its_api(server: Server) {
    let mut it = InBucket::new(server);
    let (before, stored_bytes) = (it.keys(), it.stored_bytes());
    let address = format!("http://{}", it.known.registry.address());
    let shown = it.run(
        &[
            "prune",
            "untagged-revisions",
            "--min-age=0s",
            "--delete",
            "--via-api",
            &address,
            "--yes",
            "--max-delete-percent=100",
            "--trust-storage",
        ],
        0,
    );
    let after = it.keys();
    let gone = before.iter().filter(|key| !after.contains(key)).collect::<Vec<_>>();
    assert!(!gone.is_empty() && after.iter().all(|key| before.contains(key)), "{shown}");
    assert!(gone.iter().all(|(key, ..)| key.contains("/repositories/")), "{gone:#?}");
    let own = objects(&*it.server.bucket(), &format!("{PREFIX}.regsql/"));
    assert!(own.is_empty(), "it writes nothing itself: {own:#?}");
    it.assert_all_pullable();

    // What these needed is garbage now.
    it.run(&["scan", &it.server.url(PREFIX)], 0);
    it.prune(&["--no-trash"]);
    assert!(it.stored_bytes() < stored_bytes);
    assert_ends_clean(&mut it);
}

/// In a bucket no directory says that there was a link, and the registry's cache remembers it all the same.
fn a_layer_that_a_cache_remembers_stays_until_it_is_forgotten(server: Server) {
    let mut it = InBucket::with_storage(server, "  cache: {blobdescriptor: inmemory}\n");
    let [seen, unseen, other] = ["seen", "unseen", "other"].map(|name| {
        let bytes = format!("a layer that is {name}").repeat(100);
        it.known.registry.put_blob("gone", bytes.as_bytes())
    });
    let links = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap();
        format!("{PREFIX}docker/registry/v2/repositories/gone/_layers/sha256/{hex}/link")
    };
    // One link goes before the scan, one after it; the third one keeps the repository there.
    let bucket = it.server.bucket();
    bucket.delete(&links(&unseen), DeleteCondition::Whatever).unwrap();
    it.run(&["scan", &it.server.url(PREFIX)], 0);
    bucket.delete(&links(&seen), DeleteCondition::Whatever).unwrap();
    let online = |it: &InBucket, code| {
        let address = format!("http://{}", it.known.registry.address());
        let what = ["prune", "--garbage", "--min-age=0s", "--delete", "--online", "--no-trash"];
        let how = ["--wait=1s", "--yes", "--max-delete-percent=100", "--trust-storage"];
        it.run(&[&what[..], &how, &["--registry-url", &address]].concat(), code)
    };
    let data = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let key = format!("{PREFIX}docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        bucket.head(&key).unwrap().is_some()
    };
    let shown = online(&it, 1);
    assert!(shown.contains("its link in gone was deleted and is still served"), "{shown}");
    assert!(data(&seen) && data(&unseen), "{shown}");
    // That link went through the API, and the cache forgot it with that.
    assert!(!data(&other), "{shown}");
    // The cache alone says that it is there.
    it.known.registry.mount("elsewhere", &seen, "gone");

    it.known.registry.stop();
    it.known.registry.serve();
    let shown = online(&it, 0);
    assert!(!data(&unseen), "{shown}");
    it.assert_all_pullable();
}

/// Every tag can be pulled, the registry's collector finds nothing more, and nothing of regsql's is left but
/// what it knows of the last deletion.
#[track_caller]
fn assert_ends_clean(it: &mut InBucket) {
    it.assert_all_pullable();
    it.known.registry.stop();
    let eligible = garbage::dry_run(&it.known.registry, &[]);
    assert!(eligible.blobs.is_empty(), "{eligible:?}");
    let own = objects(&*it.server.bucket(), &format!("{PREFIX}.regsql/"));
    let own: Vec<_> = own.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(own, [format!("{PREFIX}.regsql/last.json")]);
    let uploads = it.server.bucket().list_multipart_uploads(PREFIX).unwrap();
    assert!(uploads.is_empty(), "{uploads:?}");
}

#[test]
fn two_deletions_at_once_in_s3_are_one() {
    let mut it = InBucket::new(Server::start(Kind::SeaweedFs));
    let how = [
        "prune",
        "untagged-revisions",
        "--garbage",
        "--min-age=0s",
        "--delete",
        "--offline",
        "--yes",
        "--max-delete-percent=100",
        "--trust-storage",
    ];
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| it.output(&how));
        let runs = [start(), start()];
        runs.map(|run| run.join().unwrap()).into()
    });
    // One deletes; the other is refused while it does, or comes later and finds nothing.
    let codes: Vec<_> = outputs.iter().map(|output| output.status.code()).collect();
    assert!(codes.contains(&Some(0)), "{outputs:#?}");
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 2))), "{outputs:#?}");
    it.assert_all_pullable();
    it.run(&["trash", "purge", "--yes", "--offline"], 0);
    assert_ends_clean(&mut it);
}

/// A registry that scripts stop and start, as an operator's do. It ends with the value.
struct Scripted<'a>(&'a Path);

impl Scripted<'_> {
    fn shell(&self, line: &str) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.0).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Scripted<'_> {
    fn drop(&mut self) {
        self.shell("kill -9 $(cat pid)");
    }
}

#[test]
fn a_night_job_deletes_and_purges_in_s3_while_the_registry_is_stopped_or_read_only() {
    let server = Server::start(Kind::Moto);
    let read_only = server.another("read-only");
    std::thread::scope(|scope| {
        scope.spawn(|| spend_a_night(server, false));
        scope.spawn(|| spend_a_night(read_only, true));
    });
}

fn spend_a_night(server: Server, is_read_only: bool) {
    let mut it = InBucket::new(server);
    let stored_bytes = it.stored_bytes();
    it.known.registry.stop();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (here, url) = (it.directory.path(), it.server.url(PREFIX));
    let config = fs::read_to_string(it.known.registry.config()).unwrap();
    let config = config.replace("127.0.0.1:0", &free.to_string());
    fs::write(here.join("config.yml"), &config).unwrap();
    let takes_no_pushes = "  maintenance: {readonly: {enabled: true}}\nhttp:\n";
    fs::write(here.join("readonly.yml"), config.replacen("http:\n", takes_no_pushes, 1)).unwrap();
    let start = "if ! kill -0 $(cat pid) 2>/dev/null; then\n\
        env -u AWS_CA_BUNDLE docker-registry serve ${1:-config.yml} >registry.log 2>&1 </dev/null &\n\
        echo $! >pid\nfi\n";
    let stop = "kill $(cat pid); while kill -0 $(cat pid) 2>/dev/null; do sleep 0.02; done; true\n";
    fs::write(here.join("start"), start).unwrap();
    fs::write(here.join("stop"), stop).unwrap();
    let cd = format!("cd {} && sh ./", here.display());
    let night = format!(
        "storage = \"{url}\"\ndb = \"registry.db\"\n\
         [registry]\nurl = \"http://{free}\"\nstop = \"{cd}stop\"\nstart = \"{cd}start\"\n\
         [prune]\nreports = [\"untagged-revisions\"]\ngarbage = true\nmin_age = \"0s\"\n\
         max_delete_percent = 100\ntrust_storage = true\npurge_older_than = \"0s\"\n\
         [check]\npull = 20\nwait = \"20s\"\n[limits]\nstep = \"50s\"\n"
    );
    let night = if is_read_only {
        // As a service does, it returns when the registry serves.
        let port = free.port();
        let wait = format!(
            "until bash -c ': </dev/tcp/127.0.0.1/{port}' 2>/dev/null; do sleep 0.02; done"
        );
        let stop =
            format!("{cd}stop && cd {} && sh ./start readonly.yml && {wait}", here.display());
        let start = format!("{cd}stop && cd {} && sh ./start", here.display());
        let night =
            night.replace(&format!("stop = \"{cd}stop\""), &format!("read_only = \"{stop}\""));
        night.replace(&format!("start = \"{cd}start\""), &format!("read_write = \"{start}\""))
    } else {
        night
    };
    fs::write(here.join("night.toml"), night).unwrap();
    let registry = Scripted(here);
    assert!(registry.shell("sh ./start"));
    let answers = || http::request(free, "GET", "/v2/", &[], &[]).is_ok();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !answers() {
        assert!(Instant::now() < deadline, "the registry does not serve");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The registry that it starts goes on, so its output is not waited for.
    let log = File::create(here.join("log")).unwrap();
    let mut job = regsql();
    job.args(["nightly", "--config", "night.toml"]).current_dir(here).envs(it.server.variables());
    let status = job.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
    let log = fs::read_to_string(here.join("log")).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(answers(), "{log}");
    assert_eq!(log.contains("is read-only"), is_read_only, "{log}");
    assert!(it.stored_bytes() < stored_bytes, "{log}");
    drop(registry);
    it.known.registry.serve();
    assert_ends_clean(&mut it);
}
