//! Pushes into Debian's registry over S3 while the program deletes there: what got its 201 is pulled after each
//! step. The program is halted while somebody pushes, so that a slow machine makes no push longer than the wait.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use regsql::model::Digest;
use regsql::sample::paths;
use regsql::storage::object::PutCondition;

use super::servers::{Kind, Server};
use crate::env::{regsql, shown};
use crate::prune_online::writers;
use crate::real::layout::{Image, digest_of, layer};
use crate::real::registry::Registry;

/// What all keys begin with.
const PREFIX: &str = "team/registry/";
const REPOSITORY: &str = "team/app";
/// Where clients mount layers from.
const ELSEWHERE: &str = "team/uploads";

/// When somebody pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// After the plan was shown.
    Planned,
    /// Tags, revisions and links have gone; the first wait.
    LinksGone,
    /// Blobs have gone, or are marked; the second wait.
    DataGone,
    /// The deletion is over, the purge is to come.
    Marked,
}

impl Moment {
    const ALL: [Self; 4] = [Self::Planned, Self::LinksGone, Self::DataGone, Self::Marked];
}

/// A registry without a cache over a bucket, and what was pushed.
struct Meanwhile {
    registry: Registry,
    server: Server,
    directory: tempfile::TempDir,
    base: Vec<u8>,
    /// Tags that got 201.
    pushed: Vec<(String, Image)>,
    /// Blobs that were not sent, because the registry said that it had them.
    relied_on: usize,
    mounts: usize,
}

impl Meanwhile {
    /// Each moment has an untagged manifest and two layers that no manifest names; the others too that are named.
    fn new(server: Server, untagged: &[&str]) -> Self {
        let registry = Registry::start_with(|config| {
            let (before, rest) = config.split_once("storage:\n").unwrap();
            let (_, after) = rest.split_once("http:\n").unwrap();
            let section = server.storage_section(PREFIX.trim_end_matches('/'));
            format!("{before}{section}http:\n{after}")
        });
        let directory = tempfile::tempdir().unwrap();
        let (base, pushed) = (layer("base", 9_000), Vec::new());
        let mut it = Self { registry, server, directory, base, pushed, relied_on: 0, mounts: 0 };
        it.push("kept", &it.image("kept"));
        for name in untagged {
            let image = it.image(name);
            it.registry.put_blob(REPOSITORY, &image.blobs[0]);
            it.registry.put_blob(REPOSITORY, &image.blobs[2]);
            it.registry.put_manifest(
                REPOSITORY,
                &image.digest(),
                &image.manifest,
                image.media_type,
            );
        }
        it
    }

    fn image(&self, name: &str) -> Image {
        Image::of(&[&self.base, &layer(name, 3_000)])
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let database: &Path = &self.directory.path().join("registry.db");
        let mut command = regsql();
        command.arg("--db").arg(database).args(arguments).envs(self.server.variables());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}: {}", shown(&output));
        shown(&output)
    }

    /// As docker does: what the registry has is not sent.
    fn push(&mut self, tag: &str, image: &Image) {
        for bytes in &image.blobs {
            let path = format!("/v2/{REPOSITORY}/blobs/{}", digest_of(bytes));
            match self.registry.ask("HEAD", &path).status {
                200 => self.relied_on += 1,
                _ => drop(self.registry.put_blob(REPOSITORY, bytes)),
            }
        }
        self.tag(tag, image);
    }

    fn tag(&mut self, tag: &str, image: &Image) {
        self.registry.put_manifest(REPOSITORY, tag, &image.manifest, image.media_type);
        self.pushed.push((tag.to_owned(), image.clone()));
    }

    /// What somebody pushes at a moment.
    fn push_all(&mut self, moment: Moment) {
        // A tag on a manifest that the plan has.
        self.push(&format!("again-{moment:?}"), &self.image(&format!("{moment:?}")));
        // A manifest over a layer that the plan has; and one over a layer that is mounted.
        let image = Image::of(&[&self.base, &garbage(moment)]);
        self.push(&format!("new-{moment:?}"), &image);
        let layer = mounted(moment);
        let uploads = format!("/v2/{REPOSITORY}/blobs/uploads/");
        let mount = format!("{uploads}?mount={}&from={ELSEWHERE}", digest_of(&layer));
        self.mounts += usize::from(self.registry.send("POST", &mount, &[], &[]).status == 201);
        self.push(&format!("mounted-{moment:?}"), &Image::of(&[&self.base, &layer]));
        self.assert_pulled(&self.pushed[self.pushed.len() - 3..], &format!("{moment:?}: pushed"));
    }

    /// What a registry writes whose look at the blobs was before they went.
    fn finish_late(&mut self, name: &str) {
        let (bucket, image) = (self.server.bucket(), self.image(name));
        let digest = Digest::parse(&image.digest()).unwrap();
        let tag = format!("late-{name}");
        for path in
            [paths::revision_link(REPOSITORY, &digest), paths::tag_current(REPOSITORY, &tag)]
        {
            let key = format!("{PREFIX}{path}");
            bucket.put(&key, image.digest().as_bytes(), PutCondition::Absent).unwrap();
        }
        self.pushed.push((tag, image));
    }

    /// What it writes at the end of an upload whose data it had found.
    fn link_late(&self, name: &str) {
        let (bucket, image) = (self.server.bucket(), self.image(name));
        for bytes in [&image.blobs[0], &image.blobs[2]] {
            let digest = Digest::of(bytes);
            let key = format!("{PREFIX}{}", paths::layer_link(REPOSITORY, &digest));
            bucket.put(&key, digest.to_string().as_bytes(), PutCondition::Absent).unwrap();
        }
    }

    #[track_caller]
    fn assert_all_pulled(&self, when: &str) {
        self.assert_pulled(&self.pushed, when);
    }

    #[track_caller]
    fn assert_pulled(&self, pushed: &[(String, Image)], when: &str) {
        for (tag, image) in pushed {
            let wrongs = writers::wrongs(&self.registry, REPOSITORY, tag, image);
            assert!(wrongs.is_empty(), "{when}: {wrongs:#?}");
        }
    }

    /// Whether the data of a blob is in its place.
    fn has_data(&self, digest: &str) -> bool {
        let key = format!("{PREFIX}{}", paths::blob(&Digest::parse(digest).unwrap()));
        self.server.bucket().head(&key).unwrap().is_some()
    }

    /// Deletes beside the registry. `at` is called while the program is halted, at each wait.
    fn prune(&mut self, more: &[&str], mut at: impl FnMut(&mut Self, Moment, &Child)) -> String {
        let what = ["prune", "untagged-revisions", "--garbage", "--min-age=0s", "--delete"];
        let how = ["--online", "--cache-off", "--wait=1s", "--yes", "--max-delete-percent=100"];
        let mut command = self.command(&[&what[..], &how, &["--trust-storage"], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut text, mut moments) = (String::new(), vec![Moment::DataGone, Moment::LinksGone]);
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            if line.contains("waiting 1s for pushes") {
                let moment = moments.pop().expect("it waits twice");
                halted(&child, || at(self, moment, &child));
            }
            text.push_str(&line);
            text.push('\n');
        }
        let output = child.wait_with_output().unwrap();
        text.push_str(&shown(&output));
        // One where something stays that is needed again.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{text}");
        assert!(moments.is_empty(), "{text}");
        text
    }
}

fn garbage(moment: Moment) -> Vec<u8> {
    layer(&format!("garbage {moment:?}"), 2_000)
}

fn mounted(moment: Moment) -> Vec<u8> {
    layer(&format!("mounted {moment:?}"), 2_500)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "{name}");
}

fn halted(child: &Child, act: impl FnOnce()) {
    signal(child, "-STOP");
    act();
    signal(child, "-CONT");
}

#[test]
fn what_is_pushed_into_s3_between_plan_mark_and_purge_is_pulled_after_each_step() {
    let server = Server::start(Kind::Moto);
    let names = Moment::ALL.map(|moment| format!("{moment:?}"));
    let mut untagged: Vec<&str> = names.iter().map(String::as_str).collect();
    untagged.extend(["one", "two", "none"]);
    let mut it = Meanwhile::new(server, &untagged);
    for moment in Moment::ALL {
        it.registry.put_blob(REPOSITORY, &garbage(moment));
        it.registry.put_blob(ELSEWHERE, &mounted(moment));
    }
    it.run(&["scan", &it.server.url(PREFIX)]);
    let plan = ["prune", "untagged-revisions", "--garbage", "--min-age=0s", "--trust-storage"];
    let shown = it.run(&[&plan[..], &["--max-delete-percent=100"]].concat());
    assert!(shown.contains("7 revisions") && shown.contains("Use --delete"), "{shown}");
    // Of the base, the layer and the config; then of the base and the layer; then the mounted one.
    it.relied_on = 0;
    it.push_all(Moment::Planned);
    assert_eq!((it.relied_on, it.mounts), (3 + 2 + 2, 1));

    let shown = it.prune(&[], |it, moment, _| {
        it.push_all(moment);
        it.finish_late(if moment == Moment::LinksGone { "one" } else { "two" });
    });
    assert!(shown.contains("Put back "), "{shown}");
    it.assert_all_pulled("deleted");

    it.push_all(Moment::Marked);
    it.run(&["trash", "purge", "--yes", "--offline"]);
    it.assert_all_pulled("purged");
    let gone = it.image("none");
    assert!(!it.has_data(&digest_of(&gone.blobs[2])), "what nothing needs is gone");
}

/// Without a trash its own purge deletes at once, looks again, and copies back.
#[test]
fn a_push_that_ends_after_its_layer_was_deleted_from_s3_has_it_copied_back() {
    let mut it = Meanwhile::new(Server::start(Kind::Moto), &["late", "none"]);
    it.run(&["scan", &it.server.url(PREFIX)]);
    let late = digest_of(&it.image("late").blobs[2]);
    let mut was_deleted = false;
    it.prune(&["--no-trash"], |it, moment, child| {
        if moment == Moment::LinksGone {
            return;
        }
        signal(child, "-CONT");
        // The run looks again a minute after that.
        let deadline = Instant::now() + Duration::from_secs(50);
        while it.has_data(&late) {
            assert!(Instant::now() < deadline, "its data stays");
            std::thread::sleep(Duration::from_millis(10));
        }
        signal(child, "-STOP");
        was_deleted = true;
        it.link_late("late");
        it.finish_late("late");
    });
    assert!(was_deleted);
    it.assert_all_pulled("deleted");
    assert!(!it.has_data(&digest_of(&it.image("none").blobs[2])), "what nothing needs is gone");
}
