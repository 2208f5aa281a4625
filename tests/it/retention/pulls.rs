//! Pulls from logs and notifications: counted once, never made up, and kept across scans.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use regsql::db::WriteLock;
use regsql::pulls::{Filter, PullStore, import_file};
use regsql::sample::RegistryBuilder;

use super::{Registry, days_ago, images};

/// Three versions of `app`, pushed 100 days ago, and one of `other`.
fn registry() -> Registry {
    let mut builder = RegistryBuilder::new();
    images(&mut builder, "app", &[&["1.0.0"], &["1.1.0"], &["1.2.0"]]);
    images(&mut builder, "other", &[&["latest"]]);
    Registry::of(&builder)
}

fn stamp(days: u64) -> String {
    let time = jiff::Timestamp::try_from(days_ago(days)).unwrap();
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

fn rfc3339(days: u64) -> String {
    jiff::Timestamp::try_from(days_ago(days)).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn combined(days: u64, request: &str, status: u16, agent: &str) -> String {
    format!(r#"10.0.0.7 - - [{}] "{request} HTTP/1.1" {status} 528 "-" "{agent}""#, stamp(days))
}

fn get(days: u64, repository: &str, reference: &str) -> String {
    combined(days, &format!("GET /v2/{repository}/manifests/{reference}"), 200, "docker/27.0")
}

/// The registry's own line for a request.
fn own(days: u64, method: &str, repository: &str, reference: &str, agent: &str) -> String {
    format!(
        r#"time="{}" level=info msg="response completed" go.version=go1.19.8 http.request.host="localhost:5000" http.request.id=6c7 http.request.method={method} http.request.remoteaddr="10.0.0.7:4242" http.request.uri="/v2/{repository}/manifests/{reference}" http.request.useragent="{agent}" http.response.contenttype="application/json" http.response.duration=1.8ms http.response.status=200 http.response.written=528"#,
        rfc3339(days)
    )
}

fn write(registry: &Registry, name: &str, lines: &[String]) {
    fs::write(registry.path(name), lines.join("\n") + "\n").unwrap();
}

#[track_caller]
fn import(registry: &Registry, files: &[&str]) -> Vec<serde_json::Value> {
    let text = registry.stdout(&[&["-q", "pulls", "import"], files, &["-f", "json"]].concat());
    serde_json::from_str(&text).unwrap()
}

fn last_pulled(registry: &Registry, tag: &str) -> serde_json::Value {
    let sql = format!("SELECT last_pulled_at FROM tags WHERE tag = '{tag}'");
    registry.rows(&sql)[0]["last_pulled_at"].clone()
}

fn count(registry: &Registry) -> i64 {
    registry.rows("SELECT sum(pull_count) AS n FROM pulls")[0]["n"].as_i64().unwrap_or(0)
}

#[test]
fn a_get_is_a_pull_and_nothing_else_is() {
    let registry = registry();
    write(
        &registry,
        "access.log",
        &[
            combined(90, "GET /v2/", 200, "docker/27.0"),
            get(40, "app", "1.0.0"),
            combined(39, "HEAD /v2/app/manifests/1.1.0", 200, "containerd/2.0"),
            combined(38, "GET /v2/app/manifests/1.1.0", 404, "docker/27.0"),
            combined(37, "PUT /v2/app/manifests/1.1.0", 201, "docker/27.0"),
            combined(36, "GET /v2/app/manifests/1.1.0", 200, "regsql/0.1.0"),
            combined(35, "GET /v2/app/blobs/sha256:00", 200, "docker/27.0"),
            combined(
                34,
                "GET /v2/app/manifests/1.2.0?ns=registry.example.com",
                200,
                "containerd/2.0",
            ),
        ],
    );
    let rows = import(&registry, &["access.log"]);
    assert_eq!(rows[0]["pull_count"], 2);
    assert_eq!((&rows[0]["head_count"], &rows[0]["own_count"]), (&1.into(), &1.into()));
    assert_eq!(rows[0]["skipped_count"], 0);
    assert_eq!(last_pulled(&registry, "1.0.0"), rfc3339(40));
    assert_eq!(last_pulled(&registry, "1.1.0"), serde_json::Value::Null);
    assert_eq!(last_pulled(&registry, "1.2.0"), rfc3339(34));
    let info = registry.rows("SELECT pulls_since FROM scan_info");
    assert_eq!(info[0]["pulls_since"], rfc3339(90));
    import(&registry, &["access.log", "--with-head"]);
    assert_eq!(last_pulled(&registry, "1.1.0"), rfc3339(39));
}

#[test]
fn rotated_logs_count_once_however_they_are_given_again() {
    let registry = registry();
    let lines: Vec<String> = (0..50).rev().map(|day| get(day, "app", "1.0.0")).collect();
    // Two clients in the same second are two pulls.
    let twice = [lines.clone(), vec![lines[49].clone()]].concat();
    write(&registry, "access.log", &lines[..30]);
    import(&registry, &["access.log"]);
    assert_eq!(count(&registry), 30);
    import(&registry, &["access.log"]);
    assert_eq!(count(&registry), 30);
    // It grew, was renamed and compressed, and a part of it comes again by another way.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all((twice.join("\n") + "\n").as_bytes()).unwrap();
    fs::write(registry.path("access.log.1.gz"), gzip.finish().unwrap()).unwrap();
    let rows = import(&registry, &["access.log.1.gz"]);
    assert_eq!((&rows[0]["pull_count"], &rows[0]["new_pull_count"]), (&51.into(), &21.into()));
    write(&registry, "part.log", &lines[20..40]);
    import(&registry, &["part.log", "access.log.1.gz", "access.log"]);
    assert_eq!(count(&registry), 51);
}

#[test]
fn every_format_names_the_same_pull() {
    let json = format!(
        r#"{{"http.request.method":"GET","http.request.uri":"/v2/app/manifests/1.0.0","http.request.useragent":"docker","http.response.status":200,"level":"info","msg":"response completed","time":"{}"}}"#,
        rfc3339(9)
    );
    let wrapped = serde_json::json!({ "log": own(9, "GET", "app", "1.0.0", "docker") + "\n", "stream": "stdout", "time": rfc3339(9) });
    let syslog =
        format!("Nov 20 10:00:00 host registry[7]: {}", own(9, "GET", "app", "1.0.0", "docker"));
    let cri = format!("{} stdout F {}", rfc3339(9), get(9, "app", "1.0.0"));
    let traefik = get(9, "app", "1.0.0") + r#" 1 "registry@docker" "http://10.0.0.2:5000" 1ms"#;
    let vhost = format!("registry.example.com:443 {}", get(9, "app", "1.0.0"));
    let zone = get(9, "app", "1.0.0");
    let event = serde_json::json!({ "events": [{
        "id": "1", "timestamp": rfc3339(9), "action": "pull",
        "target": { "mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": "app", "tag": "1.0.0",
            "digest": format!("sha256:{}", "0a".repeat(32)), "url": "http://h/v2/app/manifests/1.0.0" },
        "request": { "method": "GET", "useragent": "docker" } }] });
    let csv = format!("repository,tag,last_pulled_at\napp,1.0.0,{}", rfc3339(9));
    for text in [
        json,
        wrapped.to_string(),
        own(9, "GET", "app", "1.0.0", "docker"),
        syslog,
        cri,
        traefik,
        vhost,
        zone,
        event.to_string(),
        csv,
    ] {
        let registry = registry();
        fs::write(registry.path("log"), text.clone() + "\n").unwrap();
        let rows = import(&registry, &["log"]);
        assert_eq!(rows[0]["pull_count"], 1, "{text}: {rows:?}");
        assert_eq!(last_pulled(&registry, "1.0.0"), rfc3339(9), "{text}");
    }
}

#[test]
fn a_request_that_the_registry_logs_in_two_formats_counts_once() {
    let registry = registry();
    write(
        &registry,
        "both.log",
        &[
            own(5, "GET", "app", "1.0.0", "docker"),
            get(5, "app", "1.0.0"),
            own(4, "GET", "app", "1.1.0", "docker"),
        ],
    );
    assert_eq!(import(&registry, &["both.log"])[0]["pull_count"], 2);
    assert_eq!(count(&registry), 2);
}

#[test]
fn a_hostile_log_is_skipped_line_by_line() {
    let registry = registry();
    let future = combined(0, "GET /v2/app/manifests/1.1.0", 200, "docker")
        .replace(&stamp(0), "01/Jan/2099:00:00:00 +0000");
    let long = "x".repeat(3 << 20);
    let lines = [
        get(20, "app", "1.0.0"),
        "panic: runtime error".into(),
        get(19, "app", "../../etc/passwd"),
        get(19, "APP", "1.1.0"),
        get(19, "app", "%1b]0;owned%07"),
        future,
        combined(18, "GET /v2/app/manifests/1.1.0", 200, "docker")
            .replace(&stamp(18), "99/Foo/2025:00:00:00 +0000"),
        format!("{long}{}", get(18, "app", "1.1.0")),
        "{\"events\": [{\"action\": 7}]}".into(),
        "{\"log\":".into(),
        get(17, "app", "1.2.0"),
    ];
    let mut text = lines.join("\n").into_bytes();
    text.extend_from_slice(b"\n\xff\xfe /manifests/ \xff\n");
    fs::write(registry.path("log"), text).unwrap();
    let output = registry.run(&["pulls", "import", "log", "-f", "json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(rows[0]["pull_count"], 2, "{rows:?}");
    assert_eq!(rows[0]["skipped_count"], 10, "{rows:?}");
    assert_eq!(rows[0]["first_skipped_line"], 2);
    assert!(error.contains("10 lines not understood and skipped, the first is line 2"), "{error}");
    assert_eq!(last_pulled(&registry, "1.1.0"), serde_json::Value::Null);
    let info = registry.rows("SELECT pulls_since, pulls_until FROM scan_info");
    assert_eq!(
        (&info[0]["pulls_since"], &info[0]["pulls_until"]),
        (&rfc3339(20).into(), &rfc3339(17).into())
    );
}

#[test]
fn the_log_of_another_registry_makes_no_time_known() {
    let registry = registry();
    write(&registry, "log", &[get(90, "elsewhere", "1"), get(0, "elsewhere", "2")]);
    let output = registry.run(&["pulls", "import", "log"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("is the log of another registry"));
    assert_eq!(
        registry.rows("SELECT pulls_since FROM scan_info")[0]["pulls_since"],
        serde_json::Value::Null
    );
    assert_eq!(count(&registry), 0);
}

#[test]
fn pulls_survive_scans_but_not_another_storage() {
    let registry = registry();
    write(&registry, "log", &[get(9, "app", "1.0.0")]);
    import(&registry, &["log"]);
    fs::create_dir_all(registry.root().join("docker/registry/v2/repositories/new")).unwrap();
    registry.stdout(&["scan", "registry"]);
    assert_eq!(last_pulled(&registry, "1.0.0"), rfc3339(9));
    import(&registry, &["log"]);
    assert_eq!(count(&registry), 1);
    fs::rename(registry.root(), registry.path("elsewhere")).unwrap();
    registry.stdout(&["scan", "elsewhere", "--replace"]);
    assert_eq!(count(&registry), 0);
}

#[test]
fn not_pulled_names_only_what_was_watched_for_so_long() {
    let registry = registry();
    // Nothing is known.
    assert_eq!(registry.selected(&["not-pulled", "-p", "days=30"]), [""; 0]);
    let error = registry.stderr(&["report", "not-pulled", "-p", "days=30"]);
    assert!(error.contains("pulls are not known"), "{error}");
    // Not for long enough.
    write(&registry, "log", &[get(20, "app", "1.0.0"), get(0, "app", "1.2.0")]);
    import(&registry, &["log"]);
    assert_eq!(registry.selected(&["not-pulled", "-p", "days=30"]), [""; 0]);
    let error = registry.stderr(&["report", "not-pulled", "-p", "days=30"]);
    assert!(error.contains("for less than 30 days"), "{error}");
    assert_eq!(registry.selected(&["not-pulled", "-p", "days=10"]), ["1.1.0", "1.0.0", "latest"]);
    // By digest, through what a tag gives.
    let digest =
        registry.rows("SELECT manifest_digest FROM tags WHERE tag = '1.1.0'")[0]["manifest_digest"]
            .as_str()
            .unwrap()
            .to_owned();
    write(&registry, "digest.log", &[get(5, "app", &digest)]);
    import(&registry, &["digest.log"]);
    assert_eq!(registry.selected(&["not-pulled", "-p", "days=10"]), ["1.0.0", "latest"]);
    assert_eq!(registry.selected(&["not-pulled", "-p", "days=10", "-p", "keep=1"]), ["1.0.0"]);
    registry.prune(&["not-pulled", "-p", "days=10", "-p", "keep=1"]);
    assert_eq!(
        registry.tags().into_iter().collect::<Vec<_>>(),
        ["app:1.1.0", "app:1.2.0", "other:latest"]
    );
}

#[test]
fn logs_that_end_before_the_scan_make_nothing_unused() {
    let registry = registry();
    write(&registry, "log", &[get(90, "app", "1.0.0"), get(40, "app", "1.0.0")]);
    import(&registry, &["log"]);
    assert_eq!(registry.selected(&["not-pulled", "-p", "days=30"]), [""; 0]);
    let error = registry.stderr(&["report", "not-pulled", "-p", "days=30"]);
    assert!(error.contains("import newer logs"), "{error}");
}

#[test]
fn keep_latest_by_pull_keeps_what_was_pulled_last() {
    let registry = registry();
    let rule = ["keep-latest", "-p", "order=pulled", "-p", "keep=1"];
    assert_eq!(registry.selected(&rule), [""; 0]);
    assert!(registry.stderr(&[&["report"][..], &rule].concat()).contains("pulls are not known"));
    write(&registry, "log", &[get(20, "app", "1.1.0"), get(10, "app", "1.0.0")]);
    import(&registry, &["log"]);
    assert_eq!(registry.selected(&rule), ["1.1.0", "1.2.0"]);
}

#[test]
fn an_export_of_roots_says_when_images_were_pulled() {
    let registry = registry();
    let digest = |tag: &str| {
        registry
            .names(&format!("SELECT manifest_digest AS name FROM tags WHERE tag = '{tag}'"))
            .pop_first()
            .unwrap()
    };
    // As Harbor writes it: with a time for what was pulled, and Go's zero time for what was not.
    let export = |rows: &[(&str, &str)]| {
        let mut text = String::from("repository,tag,digest,pulled_at\n");
        for (tag, pulled_at) in rows {
            writeln!(text, "app,{tag},{},{pulled_at}", digest(tag)).unwrap();
        }
        fs::write(registry.path("roots.csv"), text).unwrap();
        let output = registry.run(&["scan", "registry", "--roots", "roots.csv", "--accept-roots"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let rule = ["not-pulled", "-p", "days=30"];
    let policy = || {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies/not-pulled.sql");
        let rows: Vec<serde_json::Value> =
            serde_json::from_str(&registry.stdout(&["-q", "sql", "--file", path, "-f", "json"]))
                .unwrap();
        rows.len()
    };
    export(&[("1.0.0", "0001-01-01 00:00:00"), ("1.1.0", &rfc3339(3)), ("1.2.0", &rfc3339(40))]);
    // `other` is not in the export: nothing is known of it.
    assert_eq!(registry.selected(&rule), ["1.2.0", "1.0.0"]);
    assert_eq!(last_pulled(&registry, "1.1.0"), rfc3339(3));
    assert_eq!(last_pulled(&registry, "1.0.0"), serde_json::Value::Null);
    let error = registry.stderr(&[&["report"][..], &rule].concat());
    assert!(!error.contains("nothing is named"), "{error}");
    assert_eq!(
        registry.selected(&["keep-latest", "-p", "order=pulled", "-p", "keep=1"]),
        ["1.2.0", "1.0.0"]
    );
    assert_eq!(policy(), 0, "the newest three stay");
    // What a log says counts as well.
    write(&registry, "log", &[get(2, "app", "1.0.0")]);
    import(&registry, &["log"]);
    assert_eq!(registry.selected(&rule), ["1.2.0"]);
    // An export without a time of any pull says nothing of pulls, and neither does an old one.
    export(&[("1.0.0", ""), ("1.1.0", ""), ("1.2.0", "")]);
    assert_eq!(registry.selected(&rule), [""; 0]);
    export(&[("1.0.0", ""), ("1.1.0", &rfc3339(3)), ("1.2.0", "")]);
    assert_eq!(registry.selected(&rule), ["1.2.0"]);
    fs::File::open(registry.path("roots.csv")).unwrap().set_modified(days_ago(2)).unwrap();
    registry.stdout(&["scan", "registry", "--accept-roots"]);
    assert_eq!(registry.selected(&rule), [""; 0]);
}

#[test]
fn what_was_counted_is_remembered_within_a_bound() {
    let registry = registry();
    let lines: Vec<String> = (0..50).rev().map(|day| get(day, "app", "1.0.0")).collect();
    write(&registry, "old.log", &lines[..26]);
    write(&registry, "new.log", &lines[25..]);
    let database = registry.path("registry.db");
    let import = |name: &str| {
        let lock = WriteLock::take(&database).unwrap();
        let mut store = PullStore::begin(&lock).unwrap();
        let filter = Filter { now_ns: i64::MAX, ..Filter::default() };
        let report = import_file(&registry.path(name), &filter, &mut store).unwrap();
        // Room for ten pulls.
        store.commit_within(40).unwrap();
        report.new_pull_count
    };
    let minutes = || {
        let sql = "SELECT count(*), sum(length(hashes)) FROM pull_minute";
        let database = rusqlite::Connection::open(&database).unwrap();
        database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(import("new.log"), 25);
    // One row says up to when things are forgotten.
    assert_eq!(minutes(), (11, 40));
    // Whatever is given again counts nothing twice, and an older log takes no room.
    assert_eq!((import("new.log"), import("old.log"), import("new.log")), (0, 0, 0));
    assert_eq!(minutes(), (11, 40));
    assert_eq!(count(&registry), 25);
    assert_eq!(last_pulled(&registry, "1.0.0"), rfc3339(0));
    let since = registry.rows("SELECT pulls_since FROM scan_info");
    assert_eq!(since[0]["pulls_since"], rfc3339(49), "the older log covers its time all the same");
    registry.stdout(&["scan", "registry", "--full"]);
    assert_eq!((import("new.log"), minutes()), (0, (11, 40)));
}

#[test]
fn a_line_larger_than_memory_is_one_line_that_is_skipped() {
    let registry = registry();
    let mut log = fs::File::create(registry.path("log")).unwrap();
    writeln!(log, "{}", get(20, "app", "1.0.0")).unwrap();
    let begin = log.metadata().unwrap().len();
    log.set_len(begin + (400 << 20)).unwrap();
    std::io::Seek::seek(&mut log, std::io::SeekFrom::End(0)).unwrap();
    write!(log, "\n{}\n", get(10, "app", "1.1.0")).unwrap();
    let program = crate::env::REGSQL;
    let command =
        format!("ulimit -v 300000; {program} --db registry.db pulls import log --format json");
    let output = crate::env::program("sh")
        .args(["-c", &command])
        .current_dir(registry.path(""))
        .output()
        .unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(
        (&rows[0]["pull_count"], &rows[0]["skipped_count"], &rows[0]["first_skipped_line"]),
        (&2.into(), &1.into(), &2.into())
    );
}
