//! What the server of a bucket can do wrong, by the program: it is named with the next step and exit code 2, no
//! snapshot is made of half a listing, and nothing is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use regsql::storage::object::Bucket as _;
use regsql::storage::object::memory::{Fault, MemoryBucket, Provider, Settings};
use regsql::storage::object::s3::{S3, S3Options};

use super::bucket::{PREFIX, Registry, sample};
use super::fake::{Answer, Ask, BUCKET, Fake, s3};
use crate::env::{regsql, shown};
use crate::rescan::content;

/// What a server answers to some requests instead of what it should.
type Rule = Arc<dyn Fn(&Ask) -> Option<Answer> + Send + Sync>;

fn rule(rule: impl Fn(&Ask) -> Option<Answer> + Send + Sync + 'static) -> Rule {
    Arc::new(rule)
}

/// To every listing.
fn to_lists(answer: Answer) -> Rule {
    rule(move |ask| ask.is_list().then(|| answer.clone()))
}

fn registry() -> MemoryBucket {
    let settings = Settings { page_size: 9, ..Settings::of(Provider::S3) };
    Registry::new(&sample().0, settings).bucket
}

/// Runs the program with credentials of all three clouds.
fn run(fake: &Fake, directory: &Path, more: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = regsql();
    command.args(arguments).current_dir(directory);
    command.envs([("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    command.envs([("AZURE_STORAGE_KEY", "c2VjcmV0a2V5")]);
    command.env("STORAGE_EMULATOR_HOST", fake.endpoint()).envs(more.iter().copied());
    command.output().unwrap()
}

fn url(fake: &Fake) -> String {
    format!("s3://{BUCKET}/{PREFIX}?endpoint={}", fake.endpoint())
}

/// One fault, and what a scan must say of it.
struct Case {
    name: &'static str,
    rule: Rule,
    url: fn(&Fake) -> String,
    variables: &'static [(&'static str, &'static str)],
    says: &'static [&'static str],
}

fn case(name: &'static str, rule: Rule, says: &'static [&'static str]) -> Case {
    Case { name, rule, url, variables: &[], says }
}

/// Scans with each fault at once, since most of the time is spent in pauses between tries.
fn assert_named(cases: Vec<Case>) {
    let check = |case: Case| -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::s3(registry(), move |ask| (case.rule)(ask));
        let output = run(
            &fake,
            directory.path(),
            case.variables,
            &["scan", &(case.url)(&fake), "--db", "registry.db"],
        );
        let said = shown(&output);
        let mut missing: Vec<&str> =
            case.says.iter().filter(|says| !said.contains(**says)).copied().collect();
        if !said.contains("hint: ") {
            missing.push("a hint");
        }
        if output.status.code() != Some(2) {
            missing.push("exit code 2");
        }
        if std::fs::read_dir(directory.path()).unwrap().next().is_some() {
            missing.push("a directory without a database");
        }
        (!missing.is_empty()).then(|| format!("== {}: no {missing:?} in\n{said}", case.name))
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = cases.into_iter().map(|case| scope.spawn(|| check(case))).collect();
        running.into_iter().filter_map(|run| run.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_bucket_that_lets_nobody_in_or_is_elsewhere_says_what_to_do() {
    let now = jiff::Timestamp::now();
    let date = |seconds: i64| {
        let then = now + jiff::SignedDuration::from_secs(seconds);
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&then).unwrap()
    };
    let denied = |code: &str| to_lists(Answer::error(403, code, "<Message>no</Message>"));
    let of =
        |is: fn(&Ask) -> bool, answer: Answer| rule(move |ask| is(ask).then(|| answer.clone()));
    let azure: fn(&Fake) -> String =
        |fake| format!("az://account/{BUCKET}/{PREFIX}?endpoint={}/account", fake.endpoint());
    let google: fn(&Fake) -> String = |_| format!("gs://{BUCKET}/{PREFIX}");
    let json = |status: u16, message: &str| {
        to_lists(Answer::new(status, format!("{{\"error\":{{\"message\":\"{message}\"}}}}")))
    };
    let there = "<Region>eu-central-1</Region>";
    let in_a_region: &[(&str, &str)] = &[("AWS_REGION", "us-west-2")];
    assert_named(vec![
        case(
            "an unknown key",
            denied("InvalidAccessKeyId"),
            &["InvalidAccessKeyId (403)", "hint: the access key"],
        ),
        case("another secret", denied("SignatureDoesNotMatch"), &["hint: the secret key is not"]),
        case("an old token", denied("ExpiredToken"), &["hint: get new credentials"]),
        case(
            "no right to list",
            denied("AccessDenied"),
            &["LIST of `s3://reg/team/registry/", "s3:ListBucket on"],
        ),
        case(
            "no right to list uploads",
            of(|ask| ask.query("uploads").is_some(), Answer::error(403, "AccessDenied", "")),
            &["LIST uploads", "s3:ListBucketMultipartUploads"],
        ),
        case(
            "no bucket",
            to_lists(Answer::error(404, "NoSuchBucket", "")),
            &["NoSuchBucket (404)", "hint: check the bucket's name"],
        ),
        case(
            "a clock that is behind",
            to_lists(
                Answer::error(403, "RequestTimeTooSkewed", "").with("date", &date(2 * 3600 + 30)),
            ),
            &[
                "RequestTimeTooSkewed",
                "hint: set the clock of this machine: it is 2h",
                "behind that of the server",
            ],
        ),
        case(
            "a clock that is ahead",
            to_lists(Answer::error(403, "SignatureDoesNotMatch", "").with("date", &date(-1800))),
            &["hint: set the clock of this machine: it is 30m", "ahead of that of the server"],
        ),
        Case {
            variables: in_a_region,
            ..case(
                "another region",
                to_lists(
                    Answer::error(301, "PermanentRedirect", "")
                        .with("x-amz-bucket-region", "eu-central-1"),
                ),
                &[
                    "the bucket is in region eu-central-1 and was asked for in us-west-2: set AWS_REGION=eu-central-1",
                ],
            )
        },
        Case {
            variables: in_a_region,
            ..case(
                "a signature for another region",
                to_lists(Answer::error(400, "AuthorizationHeaderMalformed", there)),
                &["AuthorizationHeaderMalformed", "set AWS_REGION=eu-central-1"],
            )
        },
        case(
            "another address",
            to_lists(Answer::error(
                307,
                "TemporaryRedirect",
                "<Endpoint>reg.s3.eu-west-1.example.com</Endpoint>",
            )),
            &["TemporaryRedirect", "the bucket is at reg.s3.eu-west-1.example.com"],
        ),
        Case {
            url: |fake| format!("s3://{BUCKET}/other/?endpoint={}", fake.endpoint()),
            ..case("a prefix with nothing", rule(|_| None), &["nothing lies here", "rootdirectory"])
        },
        Case {
            url: azure,
            ..case(
                "Azure's container",
                to_lists(Answer::error(404, "ContainerNotFound", "")),
                &["az://account/reg", "hint: check the container's name"],
            )
        },
        Case {
            url: azure,
            ..case(
                "Azure's role",
                to_lists(Answer::error(403, "AuthorizationPermissionMismatch", "")),
                &["Storage Blob Data Reader"],
            )
        },
        Case {
            url: azure,
            ..case(
                "Azure's clock",
                to_lists(
                    Answer::error(403, "AuthenticationFailed", "").with("date", &date(-3600 * 5)),
                ),
                &["set the clock of this machine: it is 5h", "ahead of"],
            )
        },
        Case {
            url: azure,
            ..case(
                "Azure's key",
                to_lists(Answer::error(403, "AuthenticationFailed", "")),
                &["the key or token is not that of the account"],
            )
        },
        Case {
            url: google,
            ..case(
                "Google's bucket",
                json(404, "Not Found"),
                &["gs://reg", "hint: check the bucket's name"],
            )
        },
        Case {
            url: google,
            ..case(
                "Google's role",
                json(403, "x does not have storage.objects.list access"),
                &["storage.objects.list", "Storage Object Viewer"],
            )
        },
        Case {
            url: google,
            ..case(
                "Google's token",
                json(401, "Invalid Credentials"),
                &["hint: set GOOGLE_APPLICATION_CREDENTIALS"],
            )
        },
    ]);
}

/// Listings that end early in every way, in the protocols of the three clouds.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_listing_that_ends_early_or_never_is_no_snapshot() {
    let azure: fn(&Fake) -> String =
        |fake| format!("az://account/{BUCKET}/{PREFIX}?endpoint={}/account", fake.endpoint());
    let google: fn(&Fake) -> String = |_| format!("gs://{BUCKET}/{PREFIX}");
    let page = |more: &str| to_lists(Answer::new(200, format!("<R>{more}</R>")));
    let takes_turns = {
        let turn = AtomicUsize::new(0);
        rule(move |ask| {
            let next = turn.fetch_add(1, Ordering::Relaxed) % 3;
            let body = format!(
                "<R><IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken></R>"
            );
            ask.is_list().then(|| Answer::new(200, body))
        })
    };
    let cut = |at: usize, answer: &str| {
        let answer = Answer { cut: Some(at), ..Answer::new(200, answer) };
        to_lists(answer)
    };
    let throttled =
        |status, code: &str| to_lists(Answer::error(status, code, "<Message>slow</Message>"));
    let truncated = "<IsTruncated>true</IsTruncated>";
    let same = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let all = "<R><IsTruncated>false</IsTruncated></R>";
    assert_named(vec![
        case(
            "no marker",
            page(truncated),
            &["it goes on and does not say where", "hint: nothing was taken"],
        ),
        case("the same marker", page(same), &["the listing does not end"]),
        case("markers in turn", takes_turns, &["the listing does not end"]),
        case("no end", page(""), &["it does not say whether it is all"]),
        case("cut off", to_lists(Answer::new(200, &all[..all.len() - 5])), &["LIST of `s3://reg"]),
        case(
            "a page of a proxy",
            to_lists(Answer::new(200, "<html><p>Sign in<br></html>")),
            &["hint: nothing was taken", "proxy"],
        ),
        case("closed in the middle", cut(20, all), &["LIST of `s3://reg", "(asked 6 times)"]),
        case(
            "keys of elsewhere",
            page(
                "<IsTruncated>false</IsTruncated><Contents><Key>x</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>",
            ),
            &["keys that do not begin so"],
        ),
        case(
            "an error of the server",
            throttled(500, "InternalError"),
            &["InternalError (500): slow (asked 6 times)"],
        ),
        case(
            "throttled",
            throttled(503, "SlowDown"),
            &["SlowDown (503): slow (asked 10 times)", "hint: try again later"],
        ),
        Case {
            url: azure,
            ..case(
                "Azure's cut off",
                to_lists(Answer::new(200, "<R><Blobs></Blobs>")),
                &["az://account/reg"],
            )
        },
        Case {
            url: azure,
            ..case(
                "Azure's marker",
                page("<Blobs></Blobs><NextMarker>m</NextMarker>"),
                &["the listing does not end"],
            )
        },
        Case {
            url: azure,
            ..case(
                "Azure throttles",
                throttled(503, "ServerBusy"),
                &["ServerBusy (503): slow (asked 10 times)"],
            )
        },
        Case {
            url: google,
            ..case(
                "Google's cut off",
                to_lists(Answer::new(200, "{\"items\":[")),
                &["gs://reg", "JSON"],
            )
        },
        Case {
            url: google,
            ..case(
                "Google's marker",
                to_lists(Answer::new(200, "{\"nextPageToken\":\"t\"}")),
                &["the listing does not end"],
            )
        },
        Case {
            url: google,
            ..case(
                "Google throttles by 403",
                to_lists(Answer::new(
                    403,
                    "{\"error\":{\"message\":\"slow\",\"errors\":[{\"reason\":\"rateLimitExceeded\"}]}}",
                )),
                &["403: slow (asked 10 times)", "hint: try again later"],
            )
        },
    ]);
}

/// Rows of a scan of the registry with a rule.
fn scanned(rule: Rule, more: &[(&str, &str)]) -> (Output, BTreeSet<String>, Vec<Ask>) {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::s3(registry(), move |ask| rule(ask));
    let output = run(&fake, directory.path(), more, &["scan", &url(&fake), "--db", "registry.db"]);
    let database = directory.path().join("registry.db");
    let rows = if database.exists() { content(&database) } else { Vec::new() };
    // The address of the server is of this run alone.
    let rows = rows.into_iter().map(|row| row.replace(&fake.endpoint(), "SERVER"));
    (output, rows.collect(), fake.asked())
}

#[test]
fn a_scan_that_is_throttled_cut_off_or_sent_elsewhere_for_a_while_is_as_complete() {
    let (output, expected, plain) = scanned(rule(|_| None), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert!(expected.len() > 50);
    // The first try of each request fails.
    let once = |fails: fn(usize, &Ask) -> Answer| {
        let seen = Mutex::new(BTreeMap::<String, usize>::new());
        rule(move |ask| {
            let mut seen = seen.lock().unwrap();
            let number = seen.len();
            let count =
                seen.entry(format!("{} {} {:?}", ask.method, ask.key, ask.query)).or_default();
            *count += 1;
            (*count == 1).then(|| fails(number, ask))
        })
    };
    let waits = once(|number, _| {
        let answer = Answer::error(if number % 2 == 0 { 503 } else { 429 }, "SlowDown", "");
        match number % 4 {
            0 => answer,
            1 => answer.with("retry-after", "0"),
            2 => answer.with("retry-after", "Thu, 26 Nov 2026 12:00:00 GMT"),
            _ => answer.with("retry-after", "1"),
        }
    });
    let breaks = once(|number, _| match number % 3 {
        0 => Answer { cut: Some(3), ..Answer::new(200, "<R><IsTruncated>false</IsTruncated></R>") },
        1 => Answer::error(500, "InternalError", ""),
        _ => Answer { cut: Some(0), ..Answer::new(206, vec![b'{'; 100]) },
    });
    // The bucket is elsewhere, and no region was given.
    let moved = rule(|ask| {
        let is_there = ask.header("authorization").unwrap().contains("/eu-north-1/s3/");
        (!is_there).then(|| {
            Answer::error(301, "PermanentRedirect", "").with("x-amz-bucket-region", "eu-north-1")
        })
    });
    // Each object was written again after it was listed.
    let changed = rule(|ask| {
        (ask.is_get() && ask.header("if-match").is_some())
            .then(|| Answer::error(412, "PreconditionFailed", ""))
    });
    for (name, rule) in
        [("waits", waits), ("breaks", breaks), ("moved", moved), ("changed", changed)]
    {
        let (output, rows, asked) = scanned(rule, &[]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", shown(&output));
        let other: Vec<_> = rows.symmetric_difference(&expected).collect();
        assert!(other.is_empty(), "{name}: {other:#?}");
        assert!(asked.len() > plain.len(), "{name}: no request was sent again");
    }
}

#[test]
fn contents_that_cannot_be_had_are_findings_and_what_they_may_need_is_kept() {
    let gone = Answer::error(404, "NoSuchKey", "");
    let denied = Answer::error(403, "AccessDenied", "");
    // A server that says no length: the connection's end is the end.
    let short = Answer::new(206, "{").with("content-length", "1");
    for (name, answer, says) in [
        ("gone", gone, "NoSuchKey (404)"),
        ("denied", denied, "s3:GetObject"),
        ("short", short, "it gave 1 of"),
    ] {
        let answer =
            rule(move |ask| (ask.is_get() && ask.key.ends_with("/data")).then(|| answer.clone()));
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::s3(registry(), move |ask| answer(ask));
        let scan = run(&fake, directory.path(), &[], &["scan", &url(&fake), "--db", "registry.db"]);
        let problems = run(
            &fake,
            directory.path(),
            &[],
            &["sql", "--db", "registry.db", "SELECT * FROM problems"],
        );
        let plan = run(
            &fake,
            directory.path(),
            &[],
            &["prune", "--db", "registry.db", "--garbage", "--min-age=0s"],
        );
        let (scan, problems, plan) = (shown(&scan), shown(&problems), shown(&plan));
        assert!(format!("{scan}{problems}").contains(says), "{name}: {scan}{problems}{plan}");
        let blobs = run(
            &fake,
            directory.path(),
            &[],
            &[
                "prune",
                "--db",
                "registry.db",
                "--garbage",
                "--min-age=0s",
                "--delete",
                "--offline",
                "--yes",
                "--trust-storage",
                "--max-delete-percent=100",
            ],
        );
        let blobs = shown(&blobs);
        assert!(
            fake.asked().iter().all(|ask| !ask.is_delete() || ask.key.contains(".regsql/")),
            "{name}: {scan}{problems}{plan}{blobs}"
        );
    }
}

#[test]
fn as_many_requests_run_at_a_time_as_a_server_takes() {
    const TAKES: usize = 6;
    const FIRST: usize = 32;
    let running = AtomicUsize::new(0);
    // The first requests meet, however slow the machine is: each waits until all of them are there.
    let arrived = (Mutex::new(0), Condvar::new());
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let bucket = MemoryBucket::new("s3://reg", Settings::of(Provider::S3));
    bucket.write("k", b"1");
    let fake = Fake::start(move |ask| {
        let now = running.fetch_add(1, Ordering::Relaxed) + 1;
        let mut count = arrived.0.lock().unwrap();
        *count += 1;
        arrived.1.notify_all();
        let limit = Duration::from_secs(30);
        drop(arrived.1.wait_timeout_while(count, limit, |count| *count < FIRST).unwrap());
        std::thread::sleep(Duration::from_millis(15));
        running.fetch_sub(1, Ordering::Relaxed);
        let is_too_many = now > TAKES;
        seen.lock().unwrap().push(is_too_many);
        if is_too_many { Answer::error(503, "SlowDown", "") } else { s3(&bucket, ask) }
    });
    let options = S3Options {
        bucket: BUCKET.to_owned(),
        endpoint: Some(fake.endpoint()),
        ..S3Options::default()
    };
    let variable = |name: &str| {
        name.starts_with("AWS_").then(|| "x".to_owned()).filter(|_| name.contains("KEY"))
    };
    let client = S3::connect(options, &variable).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert!(client.head("k").unwrap().is_some());
                }
            });
        }
    });
    let log = log.lock().unwrap();
    let share = |part: &[bool]| part.iter().filter(|is| **is).count() * 100 / part.len();
    let (first, last) = (share(&log[..FIRST]), share(&log[log.len() / 2..]));
    assert!(first > 50 && last < 30, "{first} % of the first are refused, {last} % of the last");
    assert_eq!(client.requests(), log.len() as u64);
}

/// A registry in a bucket, scanned, whose server has a fault from then on.
struct Refusing {
    bucket: MemoryBucket,
    fake: Fake,
    rule: Arc<Mutex<Rule>>,
    directory: tempfile::TempDir,
}

impl Refusing {
    fn start() -> Self {
        let bucket = registry();
        let none = Arc::new(Mutex::new(rule(|_| None)));
        let current = Arc::clone(&none);
        let fake = Fake::s3(bucket.client(Fault::Never), move |ask| {
            let rule = Arc::clone(&current.lock().unwrap());
            rule(ask)
        });
        let it = Self { bucket, fake, rule: none, directory: tempfile::tempdir().unwrap() };
        let scan = it.run(&["scan", &url(&it.fake)]);
        assert_eq!(scan.status.code(), Some(0), "{}", shown(&scan));
        it
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["--db", "registry.db"];
        all.extend(arguments);
        run(&self.fake, self.directory.path(), &[], &all)
    }

    fn prune(&self) -> Output {
        self.run(&[
            "prune",
            "untagged-revisions",
            "--garbage",
            "--min-age=0s",
            "--delete",
            "--offline",
            "--yes",
            "--trust-storage",
            "--max-delete-percent=100",
        ])
    }

    /// What lies in the registry, without what is regsql's own.
    fn keys(&self) -> BTreeMap<String, Vec<u8>> {
        let mut keys = self.bucket.contents();
        keys.retain(|key, _| !key.contains("/.regsql/"));
        keys
    }
}

#[test]
fn a_deletion_that_lacks_a_permission_names_it_and_deletes_nothing() {
    type Is = fn(&Ask) -> bool;
    let denied = || Answer::error(403, "AccessDenied", "<Message>no</Message>");
    let cases: [(&str, Is, &str, i32); 6] = [
        ("versioning", |ask| ask.query("versioning").is_some(), "s3:GetBucketVersioning", 2),
        ("own objects", |ask| ask.method == "PUT", "s3:PutObject", 2),
        ("own deletions", |ask| ask.method == "DELETE", "s3:DeleteObject", 2),
        // What stays is a finding, as on disk.
        (
            "deletions",
            |ask| ask.is_delete() && !ask.key.contains("/.regsql/"),
            "s3:DeleteObject",
            1,
        ),
        ("lists", Ask::is_list, "s3:ListBucket", 2),
        ("uploads", |ask| ask.query("uploads").is_some(), "s3:ListBucketMultipartUploads", 2),
    ];
    let check = |(name, is_denied, says, code): (&str, Is, &str, i32)| {
        let it = Refusing::start();
        let before = it.keys();
        *it.rule.lock().unwrap() = rule(move |ask| is_denied(ask).then(denied));
        let refused = it.prune();
        assert_eq!(it.keys(), before, "{name}: {}", shown(&refused));
        assert_eq!(refused.status.code(), Some(code), "{name}: {}", shown(&refused));
        let said = shown(&refused);
        assert!(
            said.contains("AccessDenied")
                && said.contains(says)
                && (code == 1 || said.contains("hint: ")),
            "{name}: {said}"
        );
        // With the permission it goes on as if nothing had been.
        *it.rule.lock().unwrap() = rule(|_| None);
        it.bucket.remove(&format!("{PREFIX}.regsql/lock"));
        let done = it.prune();
        assert_eq!(done.status.code(), Some(0), "{name}: {}", shown(&done));
        assert!(it.keys().len() < before.len(), "{name}: {}", shown(&done));
        let undone = it.run(&["undo"]);
        assert_eq!(it.keys(), before, "{name}: {}", shown(&undone));
    };
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || check(case));
        }
    });
}

#[test]
fn a_deletion_whose_listing_or_deleting_ends_early_loses_nothing() {
    let throttled = || Answer::error(503, "SlowDown", "").with("retry-after", "0");
    let cut =
        || Answer { cut: Some(9), ..Answer::new(200, "<R><IsTruncated>false</IsTruncated></R>") };
    let truncated = || Answer::new(200, "<R><IsTruncated>true</IsTruncated></R>");
    let single = |key: &str| {
        format!(
            "<DeleteResult><Error><Key>{key}</Key><Code>AccessDenied</Code></Error></DeleteResult>"
        )
    };
    let rules: Vec<(&str, Rule)> = vec![
        ("a list that goes on nowhere", rule(move |ask| ask.is_list().then(truncated))),
        ("a list that is cut", rule(move |ask| ask.is_list().then(cut))),
        ("deletions that break off", rule(move |ask| ask.is_delete().then(cut))),
        (
            "one key of many",
            rule(move |ask| {
                let body = std::str::from_utf8(&ask.body).ok()?;
                let key = body.split("<Key>").nth(1)?.split("</Key>").next()?;
                ask.query("delete").map(|_| Answer::new(200, single(key)))
            }),
        ),
        ("throttled deletions", rule(move |ask| ask.query("delete").map(|_| throttled()))),
    ];
    std::thread::scope(|scope| {
        for (name, refuse) in rules {
            scope.spawn(move || {
                let it = Refusing::start();
                let before = it.keys();
                *it.rule.lock().unwrap() = refuse;
                let stopped = it.prune();
                assert!(
                    matches!(stopped.status.code(), Some(1 | 2)),
                    "{name}: {}",
                    shown(&stopped)
                );
                *it.rule.lock().unwrap() = rule(|_| None);
                // The lock of one that was cut off ends by itself.
                it.bucket.remove(&format!("{PREFIX}.regsql/lock"));
                let undone = it.run(&["undo"]);
                assert_eq!(it.keys(), before, "{name}: {}{}", shown(&stopped), shown(&undone));
            });
        }
    });
}
