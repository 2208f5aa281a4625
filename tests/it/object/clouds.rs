//! `prune`, `undo` and `trash purge` by the program in Azure and Google. Azurite is a real server; Google's own
//! protocol is answered from a bucket in memory, for the only server of it that can be installed takes no conditions. What
//! is left in the end is what the same deletion leaves on disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use jiff::Timestamp;
use regsql::storage::object::memory::{Fault, MemoryBucket, Provider, Settings};
use regsql::storage::object::{
    Bucket, BucketError, BucketErrorKind, DeleteCondition, Object, PutCondition, Version,
};
use serde_json::{Value, json};

use super::bucket::{PREFIX, Registry, sample};
use super::fake::{Answer, Ask, BUCKET, Fake};
use super::servers::{Kind, Server, objects, upload};
use crate::env::{regsql, shown};

const CHOICE: [&str; 5] = [
    "untagged-revisions",
    "--garbage",
    "--min-age=0s",
    "--max-delete-percent=100",
    "--trust-storage",
];

fn item(object: &Object, is_deleted: bool) -> Value {
    let time = Timestamp::from_nanosecond(object.modified_ns.into()).unwrap().to_string();
    let mut item = json!({
        "name": object.key,
        "size": object.size_bytes.to_string(),
        "timeCreated": time,
        "generation": object.version,
        "storageClass": "STANDARD",
    });
    if is_deleted {
        item["timeDeleted"] = json!(time);
    }
    item
}

fn versions(bucket: &MemoryBucket, prefix: &str) -> Vec<Version> {
    let (mut versions, mut next) = (Vec::new(), None);
    loop {
        let page = bucket.list_versions(prefix, next.as_deref()).unwrap();
        versions.extend(page.versions);
        next = page.next;
        if next.is_none() {
            return versions;
        }
    }
}

/// Answers as the JSON API of Google does (reference of "Objects" and "Buckets").
pub fn google(bucket: &MemoryBucket, settings: Settings, ask: &Ask) -> Answer {
    let ok = |value: &Value| Answer::new(200, value.to_string());
    let missing = || Answer::new(404, "{\"error\":{\"message\":\"No such object\"}}");
    let as_item = |key: &str| bucket.head(key).unwrap().map(|object| item(&object, false));
    let done = |result: Result<(), BucketError>, key: &str| match result {
        Ok(()) => as_item(key).map_or_else(|| Answer::new(204, ""), |item| ok(&item)),
        Err(error) => match error.kind {
            BucketErrorKind::Changed => {
                Answer::new(412, "{\"error\":{\"message\":\"conditionNotMet\"}}")
            }
            BucketErrorKind::NotFound => missing(),
            kind => Answer::new(400, format!("{{\"error\":{{\"message\":\"{kind:?}\"}}}}")),
        },
    };
    let below = ask.key.split_once(&format!("b/{BUCKET}")).unwrap().1;
    let generation = ask.query("ifGenerationMatch");
    match (ask.method.as_str(), below) {
        ("GET", "") => {
            let seconds = settings.soft_delete_seconds.unwrap_or(0).to_string();
            ok(&json!({
                "versioning": {"enabled": settings.has_versions},
                "softDeletePolicy": {"retentionDurationSeconds": seconds},
            }))
        }
        ("GET", "/o") => {
            let prefix = ask.query("prefix").unwrap_or("");
            let (is_soft, is_versions) = (ask.query("softDeleted"), ask.query("versions"));
            if is_soft.is_some() && settings.soft_delete_seconds.is_none() {
                return Answer::new(400, "{\"error\":{\"message\":\"no soft delete policy\"}}");
            }
            if is_soft.or(is_versions).is_some() {
                let all = versions(bucket, prefix).into_iter().filter(|version| {
                    if is_soft.is_some() {
                        !version.is_current
                    } else {
                        settings.has_versions || version.is_current
                    }
                });
                let items: Vec<_> =
                    all.map(|version| item(&version.object, !version.is_current)).collect();
                return ok(&json!({ "items": items }));
            }
            let page = bucket
                .list(prefix, ask.query("delimiter").is_some(), ask.query("pageToken"))
                .unwrap();
            let items: Vec<_> = page.objects.iter().map(|object| item(object, false)).collect();
            let mut listing = json!({"items": items, "prefixes": page.prefixes});
            if let Some(next) = page.next {
                listing["nextPageToken"] = json!(next);
            }
            ok(&listing)
        }
        ("POST", "/o") => {
            let key = ask.query("name").unwrap();
            let condition = match generation.unwrap() {
                "0" => PutCondition::Absent,
                other => PutCondition::Unchanged(other),
            };
            done(bucket.put(key, &ask.body, condition).map(drop), key)
        }
        (method, object) => {
            let object = object.strip_prefix("/o/").unwrap();
            if let Some((from, to)) = object.split_once(&format!("/rewriteTo/b/{BUCKET}/o/")) {
                let result = match ask.query("sourceGeneration") {
                    Some(version) if settings.has_versions => bucket.restore(from, version),
                    Some(_) => return missing(),
                    None => match bucket.head(from).unwrap() {
                        Some(object) => bucket.copy(&object, to),
                        None => return missing(),
                    },
                };
                return match result {
                    Ok(()) => ok(&json!({"done": true})),
                    failed => done(failed, to),
                };
            }
            if let Some(key) = object.strip_suffix("/restore") {
                return done(bucket.restore(key, ask.query("generation").unwrap()), key);
            }
            match method {
                "GET" if ask.query("alt").is_some() => match bucket.get(object, None, generation) {
                    Ok(bytes) => Answer::new(200, bytes),
                    Err(error) => done(Err(error), object),
                },
                "GET" => as_item(object).map_or_else(missing, |item| ok(&item)),
                "DELETE" => {
                    if let Some(version) = ask.query("generation") {
                        let one = (object.to_owned(), Some(version.to_owned()));
                        return done(bucket.delete_all(&[one]).map(drop), "");
                    }
                    let condition =
                        generation.map_or(DeleteCondition::Whatever, DeleteCondition::Version);
                    done(bucket.delete(object, condition), "")
                }
                _ => Answer::new(501, ""),
            }
        }
    }
}

/// A registry in some cloud, and what the program needs to reach it.
struct There<'a> {
    url: String,
    variables: Vec<(&'static str, String)>,
    keys: &'a dyn Fn() -> BTreeSet<String>,
    directory: tempfile::TempDir,
}

impl There<'_> {
    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = regsql();
        command.args(["--db", "registry.db"]).args(arguments).current_dir(self.directory.path());
        command.envs(self.variables.iter().cloned()).output().unwrap()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", shown(&output));
        shown(&output)
    }

    fn prune(&self, more: &[&str]) -> String {
        let all = [&["prune"], &CHOICE[..], &["--delete", "--offline", "--yes"], more].concat();
        self.run(&all)
    }
}

/// Paths of the registry that the same deletion leaves on disk.
fn left_on_disk() -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    sample().0.write_to(&root).unwrap();
    let there = There {
        url: root.to_str().unwrap().to_owned(),
        variables: Vec::new(),
        keys: &BTreeSet::new,
        directory: tempfile::tempdir().unwrap(),
    };
    there.run(&["scan", &there.url]);
    there.prune(&["--no-trash"]);
    files(&root)
}

fn files(root: &Path) -> BTreeSet<String> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let paths =
        files.map(|file| file.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned());
    paths.filter(|path| !path.starts_with(".regsql")).collect()
}

/// Everything of a deletion: the plan, going, coming back, the purge.
fn goes_and_comes_back(
    there: &There<'_>,
    expected: &BTreeSet<String>,
    more: &[&str],
    says: &str,
    is_whole: &dyn Fn(),
) {
    there.run(&["scan", &there.url]);
    let before = (there.keys)();
    let pruned = there.prune(more);
    assert!(pruned.contains(says), "{pruned}");
    let after = (there.keys)();
    assert!(after.len() < before.len() && after.is_subset(&before), "{pruned}");
    assert!(expected.is_subset(&after), "{pruned}");
    there.run(&["undo"]);
    assert_eq!((there.keys)(), before, "{pruned}");
    is_whole();
    there.prune(more);
    let purged = there.run(&["trash", "purge", "--yes", "--offline"]);
    assert_eq!(&(there.keys)(), expected, "{pruned}{purged}");
    let again = there.run(&["scan", &there.url]);
    let broken =
        there.run(&["sql", "--format=csv", "SELECT code FROM problems WHERE code LIKE 'missing%'"]);
    assert!(!broken.contains("missing"), "{again}{broken}");
}

#[test]
fn what_is_pruned_in_azure_comes_back_and_in_the_end_as_much_is_left_as_on_disk() {
    let server = Server::start(Kind::Azurite);
    let expected = left_on_disk();
    let directory = tempfile::tempdir().unwrap();
    sample().0.write_to(directory.path()).unwrap();
    let ways: [(&[&str], &str); 2] =
        [(&[], "is marked and stays in the bucket"), (&["--trash=copy"], "Copied to the trash")];
    for (number, (more, says)) in ways.into_iter().enumerate() {
        let prefix = format!("registry-{number}/");
        let bucket = server.bucket();
        upload(directory.path(), &*bucket, &prefix);
        let keys = || {
            let all = objects(&*bucket, &format!("{prefix}docker/")).into_iter();
            all.map(|object| object.key[prefix.len()..].to_owned()).collect()
        };
        let there = There {
            url: server.url(&prefix),
            variables: server.variables(),
            keys: &keys,
            directory: tempfile::tempdir().unwrap(),
        };
        goes_and_comes_back(&there, &expected, more, says, &|| ());
    }
}

#[test]
fn what_is_pruned_in_google_comes_back_by_journal_generation_or_soft_deletion() {
    let expected = left_on_disk();
    let plain = Settings { page_size: 9, ..Settings::of(Provider::Gcs) };
    let kinds = [
        (plain, "is marked and stays in the bucket"),
        (Settings { has_versions: true, ..plain }, "older version"),
        (Settings { soft_delete_seconds: Some(7 * 86_400), ..plain }, "for 7 days"),
    ];
    for (settings, says) in kinds {
        let registry = Registry::new(&sample().0, settings);
        let bucket = registry.bucket.client(Fault::Never);
        let fake = Fake::start(move |ask| google(&bucket, settings, ask));
        let keys = || registry.now().keys().map(|key| key[PREFIX.len()..].to_owned()).collect();
        let there = There {
            url: format!("gs://{BUCKET}/{PREFIX}"),
            variables: vec![("STORAGE_EMULATOR_HOST", fake.endpoint())],
            keys: &keys,
            directory: tempfile::tempdir().unwrap(),
        };
        let is_whole = || registry.assert_as_before("after the undo");
        goes_and_comes_back(&there, &expected, &[], says, &is_whole);
    }
}

/// fake-gcs-server writes over what is only to be made new, so that two commands could change it at once.
#[test]
fn nothing_is_deleted_on_a_server_of_google_that_ignores_conditions() {
    let server = Server::start(Kind::FakeGcs);
    let directory = tempfile::tempdir().unwrap();
    sample().0.write_to(directory.path()).unwrap();
    let bucket = server.bucket();
    upload(directory.path(), &*bucket, PREFIX);
    let keys = || {
        objects(&*bucket, &format!("{PREFIX}docker/")).into_iter().map(|found| found.key).collect()
    };
    let there = There {
        url: server.url(PREFIX),
        variables: server.variables(),
        keys: &keys,
        directory: tempfile::tempdir().unwrap(),
    };
    there.run(&["scan", &there.url]);
    let before = keys();
    let refused =
        there.output(&[&["prune"], &CHOICE[..], &["--delete", "--offline", "--yes"]].concat());
    let said = shown(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("lock") && said.contains("hint: "), "{said}");
    assert_eq!(keys(), before, "{said}");
}
