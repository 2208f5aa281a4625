//! The storage as a whole: how it is named, what else may stand there, and a full disk beside it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use regsql::model::{Code, Digest};
use regsql::sample::{Descriptor, paths};
use walkdir::WalkDir;

use super::fixture::{Fixture, regsql};

#[test]
fn case_23_a_pull_through_cache_lacks_blobs_and_is_whole() {
    let mut fixture = Fixture::new();
    let pulled = fixture.push("library/alpine", "3.20");
    let (listed, layer) = fixture.push_with_layer("library/debian", "12");
    // Layers and other platforms come when they are first asked for.
    fixture.remove(&paths::blob_directory(&layer.digest));
    fixture.remove(&paths::layer_link("library/debian", &layer.digest));
    let absent = Descriptor::new(Digest::of(b"arm64"), 500).on_platform("linux/arm64");
    fixture.registry.index("library/alpine").children([&pulled, &absent]).push_tag("latest");
    fixture.overwrite("scheduler-state.json", "{}");
    let scanned = fixture.scan();
    scanned.has_problem(Code::PullThroughCache, "scheduler-state.json");
    scanned.has_only(&[Code::PullThroughCache]);
    let is_cache: bool = scanned.one("SELECT is_pull_through_cache FROM scan_info", []);
    assert!(is_cache);
    scanned.revision_is_tagged("library/debian", &listed.digest, true);
    scanned.only_garbage_is_orphan();
}

#[test]
fn case_43_the_storage_may_be_named_in_three_ways() {
    for way in ["root", "v2", "config"] {
        let mut fixture = Fixture::new();
        let image = fixture.push("team/app", "1.0");
        let on_disk = fixture.write();
        let storage = match way {
            "root" => on_disk.root(),
            "v2" => on_disk.path(paths::V2),
            _ => {
                let config = on_disk.outside("config.yml");
                let text = format!(
                    "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n",
                    on_disk.root().display()
                );
                fs::write(&config, text).unwrap();
                config
            }
        };
        let root = on_disk.root().canonicalize().unwrap();
        let scanned = on_disk.scan_as(&storage);
        let told: String = scanned.one("SELECT root FROM scan_info", []);
        assert_eq!(Path::new(&told), root, "named by {way}");
        scanned.has_only(&[]);
        scanned.tag_is_whole("team/app", "1.0", &image.digest);
        scanned.only_garbage_is_orphan();
    }
}

#[test]
fn case_43_blobs_and_repositories_may_each_be_a_symlink_to_another_disk() {
    for part in ["blobs", "repositories"] {
        let mut fixture = Fixture::new();
        let image = fixture.push("team/app", "1.0");
        let on_disk = fixture.write();
        let inside = on_disk.path(&format!("{}/{part}", paths::V2));
        let other = on_disk.outside("other-disk");
        fs::rename(&inside, &other).unwrap();
        symlink(&other, &inside).unwrap();
        let scanned = on_disk.scan();
        scanned.has_only(&[]);
        scanned.tag_is_whole("team/app", "1.0", &image.digest);
        scanned.only_garbage_is_orphan();
    }
}

/// Runs a scan that may write no file larger than `kib` KiB, as on a disk that is about to be full.
fn scan_with_limit(kib: u64, database: &Path, storage: &Path) -> Output {
    // SIGXFSZ would end the program where a full disk gives it an error; a trapped-away signal is
    // inherited as ignored, and the write then fails.
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\"");
    Command::new("bash")
        .args(["-c", &script, "bash", crate::env::REGSQL, "--db"])
        .arg(database)
        .arg("scan")
        .arg(storage)
        .output()
        .unwrap()
}

#[test]
fn case_44_a_full_disk_leaves_the_old_database() {
    let mut fixture = Fixture::new();
    for number in 0..40 {
        fixture.push("team/app", &format!("1.{number}"));
    }
    let on_disk = fixture.write();
    let database = on_disk.database();
    assert!(regsql(&database, &on_disk.root()).status.success());
    let before = fs::read(&database).unwrap();
    // Something new, so that there is something to write.
    fs::create_dir_all(on_disk.path(&paths::repository("team/new/_uploads"))).unwrap();

    // Full from the start, and full half way.
    for limit in [24, before.len() as u64 / 2048] {
        let output = scan_with_limit(limit, &database, &on_disk.root());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("cannot write database"), "{message}");
        assert!(message.contains("registry.db"), "{message}");
        assert_eq!(fs::read(&database).unwrap(), before);
        assert_eq!(
            names_below(database.parent().unwrap())
                .iter()
                .filter(|path| path.parent() == database.parent())
                .count(),
            2,
            "only the registry and the old database are left"
        );
    }
}

#[test]
fn case_44_the_database_may_lie_elsewhere() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let on_disk = fixture.write();
    let elsewhere = tempfile::tempdir().unwrap();
    let database = elsewhere.path().join("other.db");
    let before = names_below(&on_disk.root());
    assert!(regsql(&database, &on_disk.root()).status.success());
    assert!(database.exists());
    assert_eq!(names_below(&on_disk.root()), before, "the storage was written to");
}

fn names_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let below = WalkDir::new(directory).min_depth(1).sort_by_file_name();
    let mut names: Vec<_> = below.into_iter().map(|entry| entry.unwrap().into_path()).collect();
    names.sort();
    names
}

/// What NAS boxes, desktops and sync programs put into every directory.
const CLUTTER: [&str; 5] = ["@eaDir", "#recycle", ".snapshot", ".stversions", ".@__thumb"];

fn directories_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut names = names_below(directory);
    names.retain(|path| path.is_dir());
    names.push(directory.to_owned());
    names
}

#[test]
fn clutter_in_every_directory_is_no_repository_no_tag_and_no_hold() {
    let mut fixture = Fixture::new();
    let image = fixture.push("team/app", "1.0");
    fixture.registry.upload("team/app", "upload", 10, "2026-01-02T03:04:05Z");
    let on_disk = fixture.write();
    for directory in directories_below(&on_disk.path(paths::V2)) {
        for name in CLUTTER {
            // A copy of a repository in the clutter is none.
            let copy = directory.join(name).join("team/app/_manifests/tags/1.0/current");
            fs::create_dir_all(&copy).unwrap();
            fs::write(copy.join("link"), image.digest.to_string()).unwrap();
        }
        symlink("/etc", directory.join(".zfs")).unwrap();
        fs::write(directory.join(".DS_Store"), "x").unwrap();
        fs::write(directory.join("._data"), "x").unwrap();
        fs::write(directory.join("Thumbs.db"), "x").unwrap();
    }
    let scanned = on_disk.scan();
    scanned.has_only(&[Code::Clutter]);
    let rows: i64 = scanned.one("SELECT count(*) FROM problems", []);
    // Six programs; blobs, what lies between repositories, and two repositories.
    assert!(rows <= 6 * 4, "{rows} rows");
    let names: String = scanned
        .one("SELECT group_concat(repository, ' ' ORDER BY repository) FROM repositories", []);
    assert_eq!(names, "bystander/app team/app");
    scanned.tag_is_whole("team/app", "1.0", &image.digest);
    assert!(!scanned.exists("SELECT 1 FROM unreadable_roots", []));
    assert!(!scanned.exists("SELECT 1 FROM tags WHERE tag <> '1.0'", []));
    assert!(!scanned.exists("SELECT 1 FROM uploads WHERE upload_id <> 'upload'", []));
    scanned.only_garbage_is_orphan();
}

#[test]
fn a_scan_leaves_the_database_to_the_owner_and_mode_that_it_had() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let on_disk = fixture.scan().into_disk();
    let database = on_disk.database();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o664)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&database, Some(65_534), Some(65_534)).unwrap();
    }
    let before = fs::metadata(&database).unwrap();
    assert!(on_disk.run(&["scan", "--full"]).status.success());
    let after = fs::metadata(&database).unwrap();
    assert_ne!(after.ino(), before.ino(), "a new file");
    let access = |facts: &fs::Metadata| (facts.uid(), facts.gid(), facts.mode());
    assert_eq!(access(&after), access(&before));
}

#[test]
fn a_scan_says_how_large_the_disk_is_and_how_full() {
    let mut fixture = Fixture::new();
    fixture.push("team/app", "1.0");
    let scanned = fixture.scan();
    let (size, free): (i64, i64) = scanned
        .database
        .query_row("SELECT disk_bytes, disk_free_bytes FROM scan_info", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert!(size > 1 << 20 && free <= size, "{free} of {size}");
    let output = scanned.run(&["metrics"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("\nregsql_disk_bytes {size}")), "{text}");
}

#[test]
fn a_tag_or_repository_named_like_clutter_stays_what_it_is() {
    let mut fixture = Fixture::new();
    let image = fixture.push("desktop.ini/a.partial", "Thumbs.db");
    let scanned = fixture.scan();
    scanned.has_only(&[]);
    scanned.tag_is_whole("desktop.ini/a.partial", "Thumbs.db", &image.digest);
}

#[test]
fn a_configuration_with_a_remote_url_makes_a_cache_and_is_remembered() {
    let mut fixture = Fixture::new();
    let (_, layer) = fixture.push_with_layer("library/debian", "12");
    fixture.remove(&paths::blob_directory(&layer.digest));
    fixture.remove(&paths::layer_link("library/debian", &layer.digest));
    let on_disk = fixture.write();
    let config = on_disk.outside("config.yml");
    let text = format!(
        "version: 0.1\nproxy:\n  remoteurl: https://me:secret@registry.example.com\n  ttl: 0s\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n",
        on_disk.root().display()
    );
    fs::write(&config, text).unwrap();
    let scanned = on_disk.scan_as(&config);
    scanned.has_only(&[Code::PullThroughCache]);
    // The next scan is given the directory alone.
    let scanned = scanned.into_disk().scan();
    scanned.has_only(&[Code::PullThroughCache]);
    let url: String = scanned.one("SELECT proxied_url FROM scan_info", []);
    assert_eq!(url, "https://registry.example.com");
    let pruned = scanned.run(&["prune", "--garbage", "--delete", "--offline", "--yes"]);
    let message = String::from_utf8(pruned.stderr).unwrap();
    assert_eq!(pruned.status.code(), Some(2), "{message}");
    assert!(message.contains("pull-through cache"), "{message}");

    // A configuration without a proxy says otherwise.
    let on_disk = scanned.into_disk();
    fs::write(
        &config,
        format!("storage: {{filesystem: {{rootdirectory: {}}}}}", on_disk.root().display()),
    )
    .unwrap();
    on_disk.scan_as(&config).has_problem(Code::LayerMissing, &paths::blob(&layer.digest));
}

#[test]
fn a_configuration_of_a_product_says_who_else_holds_references_and_is_remembered() {
    for (text, product) in [
        ("database: {enabled: true}", "gitlab-database"),
        ("database: {enabled: prefer, host: db}", "gitlab-database"),
        ("openshift: {version: 1.0}", "openshift"),
        ("middleware: {repository: [{name: openshift}]}", "openshift"),
        ("auth: {token: {issuer: harbor-token-issuer, service: any}}", "harbor"),
        ("notifications: {endpoints: [{name: harbor, url: 'http://core:8080'}]}", "harbor"),
    ] {
        let mut fixture = Fixture::new();
        fixture.push_untagged("team/app", "nightly");
        let on_disk = fixture.write();
        let config = on_disk.outside("config.yml");
        let root = on_disk.root();
        let storage = format!("storage: {{filesystem: {{rootdirectory: {}}}}}\n", root.display());
        fs::write(&config, format!("{storage}{text}\n")).unwrap();
        let asked = "SELECT coalesce(suspected_authority, 'nobody') FROM scan_info";
        // The next scan is given the directory alone.
        let scanned = on_disk.scan_as(&config).into_disk().scan();
        assert_eq!(scanned.one::<String>(asked, []), product, "{text}");
        let prune = ["prune", "untagged-revisions", "--min-age=0s", "--max-delete-percent=100"];
        let pruned = scanned.run(&prune);
        let message = String::from_utf8(pruned.stderr).unwrap();
        assert_eq!(pruned.status.code(), Some(2), "{text}: {message}");
        assert!(message.contains("the registry's configuration has `"), "{message}");

        // A configuration that does not say so takes it back.
        let on_disk = scanned.into_disk();
        fs::write(&config, format!("{storage}database: {{enabled: false}}\n")).unwrap();
        assert_eq!(on_disk.scan_as(&config).one::<String>(asked, []), "nobody", "{text}");
    }
}

/// Makes a layout in a directory.
type Make<'f> = &'f dyn Fn(&Path);

#[test]
fn case_45_other_layouts_are_refused_by_name() {
    let oci_layout = |directory: &Path| {
        fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        fs::write(directory.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
        fs::write(directory.join("index.json"), "{\"manifests\":[]}").unwrap();
    };
    let layouts: [(&str, Make, &str); 4] = [
        ("oci", &oci_layout, "OCI image layout"),
        ("zot", &|directory| oci_layout(&directory.join("team-app")), "zot"),
        (
            "photos",
            &|directory| fs::write(directory.join("holiday.jpg"), "x").unwrap(),
            "holiday.jpg",
        ),
        ("empty", &|_| {}, "empty"),
    ];
    for (name, make, word) in layouts {
        let temporary = tempfile::tempdir().unwrap();
        let storage = temporary.path().join(name);
        fs::create_dir(&storage).unwrap();
        make(&storage);
        let database = temporary.path().join("registry.db");
        let output = regsql(&database, &storage);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {message}");
        assert!(message.contains(word), "{name}: {message}");
        assert!(message.contains(&*storage.to_string_lossy()), "{message}");
        assert!(!database.exists(), "{name}: a database was made");
    }
}

#[test]
fn what_lies_in_an_unreadable_directory_is_unknown_and_not_missing() {
    for place in ["blobs", "shard", "layers", "revisions", "repository"] {
        let mut fixture = Fixture::new();
        let (image, layer) = fixture.push_with_layer("team/app", "1.0");
        let on_disk = fixture.write();
        let blob = paths::blob_directory(&layer.digest);
        let closed = match place {
            "blobs" => format!("{}/blobs/sha256", paths::V2),
            "shard" => blob.rsplit_once('/').unwrap().0.to_owned(),
            "layers" => format!("{}/_layers/sha256", paths::repository("team/app")),
            "revisions" => format!("{}/_manifests/revisions/sha256", paths::repository("team/app")),
            _ => paths::repository("team/app"),
        };
        fs::set_permissions(on_disk.path(&closed), fs::Permissions::from_mode(0o000)).unwrap();
        let output = on_disk.run_without_privileges(&["scan"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let first = message.lines().next().unwrap_or_default();
        assert!(first.contains("1 directory unreadable (Permission denied"), "{place}: {message}");
        let scanned = on_disk.scanned(&output);
        scanned.has_only(&[Code::DirectoryUnreadable]);
        assert!(!scanned.exists("SELECT 1 FROM tags WHERE is_broken", []), "{place}");
        assert!(!scanned.exists("SELECT 1 FROM layer_links WHERE is_dangling", []), "{place}");
        for digest in [&image.digest, &layer.digest] {
            let sql = "SELECT 1 FROM orphan_blobs WHERE blob_digest = ?1";
            assert!(!scanned.exists(sql, [digest.to_string()]), "{place}");
        }
        let count: i64 =
            scanned.one("SELECT value FROM totals WHERE name = 'broken_tag_count'", []);
        assert_eq!(count, 0, "{place}");
        if place == "shard" {
            let sql = "SELECT is_present IS NULL FROM blobs WHERE digest = ?1";
            let is_unknown: bool = scanned.one(sql, [layer.digest.to_string()]);
            assert!(is_unknown);
            let sql = "SELECT is_broken IS NULL FROM tags WHERE manifest_digest = ?1";
            let is_unknown: bool = scanned.one(sql, [image.digest.to_string()]);
            assert!(is_unknown);
        }
    }
}

#[test]
fn whatever_could_not_be_read_is_said_first_with_what_helps() {
    for (place, first, what) in [
        (
            "layers",
            "1 directory unreadable (Permission denied): scan as root",
            "directory unreadable: scan as root",
        ),
        (
            "current",
            "1 place unreadable (Permission denied): scan as root",
            "place unreadable: scan as root",
        ),
        (
            "link",
            "1 symbolic link not followed: mount what",
            "symbolic link not followed: mount what",
        ),
    ] {
        let mut fixture = Fixture::new();
        fixture.push_with_layer("team/app", "1.0");
        fixture.push_with_layer("team/web", "1.0");
        let on_disk = fixture.write();
        let repository = on_disk.path(&paths::repository("team/app"));
        let close = |below: &str| {
            let closed = repository.join(below);
            fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
        };
        match place {
            "layers" => close("_layers/sha256"),
            "current" => close("_manifests/tags/1.0/current"),
            _ => {
                let moved = repository.with_file_name("elsewhere");
                fs::rename(&repository, &moved).unwrap();
                symlink(&moved, &repository).unwrap();
            }
        }
        let output = on_disk.run_without_privileges(&["scan"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.lines().next().unwrap_or_default().contains(first), "{place}: {message}");
        // What may be tagged is not called untagged, and no tag broken.
        assert!(!message.contains("untagged revision"), "{place}: {message}");
        let scanned = on_disk.scanned(&output);
        assert!(!scanned.exists("SELECT 1 FROM tags WHERE is_broken", []), "{place}");
        let overview = scanned.run(&["report", "overview", "--format", "csv"]);
        let overview = String::from_utf8_lossy(&overview.stdout).into_owned();
        let row = overview.lines().nth(1).unwrap_or_default();
        assert!(row.starts_with(&format!("look at,{what}")), "{place}: {overview}");
        // So do the page, whose first line it is, and the metric that the alert goes by.
        let page = scanned.run(&["html", "-o", "-"]);
        let page = String::from_utf8_lossy(&page.stdout).into_owned();
        let main = page.split("<main>").nth(1).unwrap_or_default();
        let (line, after) = first.split_once(": ").unwrap();
        let said = format!("<p class=\"incomplete\" role=\"note\"><strong>{line}");
        assert!(main.starts_with(&said) && main.contains(after), "{place}: {main:.300}");
        let metrics = scanned.run(&["metrics"]);
        let metrics = String::from_utf8_lossy(&metrics.stdout).into_owned();
        assert!(metrics.contains("\nregsql_unreadable_places 1\n"), "{place}");
    }
}
