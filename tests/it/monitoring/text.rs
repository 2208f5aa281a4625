//! `regsql metrics`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use insta::assert_snapshot;
use regsql::model::Digest;
use regsql::sample::demo::write_demo;
use regsql::sample::{RegistryBuilder, paths};
use serde_json::Value;

use super::promtool::{check_metrics, series};
use crate::fixture::Fixture;

/// Scans `root` and gives its metrics.
fn metrics_of(root: &Path, options: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output =
            crate::env::regsql().current_dir(directory.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["scan", "-q", root.to_str().unwrap()]);
    run(&[&["metrics"], options].concat())
}

#[test]
fn all_that_is_exported_is_what_promtool_takes_hostile_names_too() {
    let text = Fixture::new().stdout(&["metrics"]);
    check_metrics(&text);
    let left_out = ["#", "regsql_problems{", "regsql_build_info{"];
    let shown: Vec<&str> =
        text.lines().filter(|line| !left_out.iter().any(|word| line.starts_with(word))).collect();
    assert_snapshot!(shown.join("\n").replace('\u{1b}', "<ESC>").replace('\u{202e}', "<RLO>"), @r#"
    regsql_last_scan_timestamp_seconds 1769860800
    regsql_scan_duration_seconds 1.24
    regsql_scan_complete 1
    regsql_disk_use_bytes{what="blobs"} 347078656
    regsql_blobs{kind="layer"} 6
    regsql_blobs{kind="config"} 6
    regsql_blobs{kind="manifest"} 7
    regsql_blobs{kind="index"} 1
    regsql_blobs{kind="unknown"} 1
    regsql_blob_bytes{kind="layer"} 294649856
    regsql_blob_bytes{kind="config"} 9400
    regsql_blob_bytes{kind="manifest"} 4600
    regsql_blob_bytes{kind="index"} 400
    regsql_blob_bytes{kind="unknown"} 52428800
    regsql_repositories 4
    regsql_tags 6
    regsql_revisions 8
    regsql_untagged_revisions 2
    regsql_untagged_bytes 12585712
    regsql_orphan_blobs 1
    regsql_orphan_bytes 52428800
    regsql_garbage_bytes 61865984
    regsql_reclaimable_bytes 74451696
    regsql_reclaimable_now_bytes 61868784
    regsql_layer_links 11
    regsql_dangling_layer_links 1
    regsql_unneeded_layer_links 1
    regsql_uploads 2
    regsql_upload_bytes 10485760
    regsql_ghost_repositories 1
    regsql_broken_tags 1
    repository_tags_total{repository="team/model"} 2
    repository_tags_total{repository="team/app"} 3
    repository_tags_total{repository="tool/cli"} 1
    repository_tags_total{repository="zz/ghost"} 0
    repository_revisions_total{repository="team/model"} 1
    repository_revisions_total{repository="team/app"} 5
    repository_revisions_total{repository="tool/cli"} 2
    repository_revisions_total{repository="zz/ghost"} 0
    regsql_repository_logical_bytes{repository="team/model"} 209717400
    regsql_repository_logical_bytes{repository="team/app"} 84943656
    regsql_repository_logical_bytes{repository="tool/cli"} 31460080
    regsql_repository_logical_bytes{repository="zz/ghost"} 0
    regsql_repository_exclusive_bytes{repository="team/model"} 209717400
    regsql_repository_exclusive_bytes{repository="team/app"} 53486376
    regsql_repository_exclusive_bytes{repository="tool/cli"} 2800
    regsql_repository_exclusive_bytes{repository="zz/ghost"} 0
    regsql_repository_untagged_bytes{repository="team/model"} 0
    regsql_repository_untagged_bytes{repository="team/app"} 12585112
    regsql_repository_untagged_bytes{repository="tool/cli"} 600
    regsql_repository_untagged_bytes{repository="zz/ghost"} 0
    regsql_repositories_not_exported 0
    repository_tag_layers_total{repository="team/app",tag="1.10.0"} 3
    repository_tag_layers_total{repository="team/app",tag="1.9.0"} 2
    repository_tag_layers_total{repository="team/app",tag="latest"} 3
    repository_tag_layers_total{repository="team/model",tag="<ESC>[31m|<b>\n<RLO>"} 1
    repository_tag_layers_total{repository="team/model",tag="=1+1"} 1
    repository_tag_layers_total{repository="tool/cli",tag="v1"} 2
    repository_tag_size_bytes{repository="team/app",tag="1.10.0"} 3
    repository_tag_size_bytes{repository="team/app",tag="1.9.0"} 2
    repository_tag_size_bytes{repository="team/app",tag="latest"} 3
    repository_tag_size_bytes{repository="team/model",tag="<ESC>[31m|<b>\n<RLO>"} 1
    repository_tag_size_bytes{repository="team/model",tag="=1+1"} 1
    repository_tag_size_bytes{repository="tool/cli",tag="v1"} 2
    regsql_tags_not_exported 0
    regsql_platform_images{platform="linux/amd64"} 5
    regsql_platform_images{platform="linux/arm64"} 1
    regsql_media_type_blobs{kind="layer",media_type="application/vnd.oci.image.layer.v1.tar+gzip",artifact_type=""} 6
    regsql_media_type_blobs{kind="unknown",media_type="",artifact_type=""} 1
    regsql_media_type_blobs{kind="config",media_type="",artifact_type=""} 6
    regsql_media_type_blobs{kind="image",media_type="application/vnd.oci.image.manifest.v1+json",artifact_type=""} 6
    regsql_media_type_blobs{kind="artifact",media_type="application/vnd.oci.image.manifest.v1+json",artifact_type="application/vnd.example.signature"} 1
    regsql_media_type_blobs{kind="index",media_type="application/vnd.oci.image.index.v1+json",artifact_type=""} 1
    regsql_media_type_bytes{kind="layer",media_type="application/vnd.oci.image.layer.v1.tar+gzip",artifact_type=""} 294649856
    regsql_media_type_bytes{kind="unknown",media_type="",artifact_type=""} 52428800
    regsql_media_type_bytes{kind="config",media_type="",artifact_type=""} 9400
    regsql_media_type_bytes{kind="image",media_type="application/vnd.oci.image.manifest.v1+json",artifact_type=""} 4000
    regsql_media_type_bytes{kind="artifact",media_type="application/vnd.oci.image.manifest.v1+json",artifact_type="application/vnd.example.signature"} 600
    regsql_media_type_bytes{kind="index",media_type="application/vnd.oci.image.index.v1+json",artifact_type=""} 400
    regsql_stale_uploads 1
    regsql_stale_upload_bytes 9437184
    regsql_stale_repositories 1
    regsql_report_rows_not_exported{report="platforms"} 0
    regsql_report_rows_not_exported{report="media-types"} 0
    "#);
}

#[test]
fn names_that_no_registry_would_take_cannot_leave_their_label() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = RegistryBuilder::new();
    let layer = registry.layer("layer", 100);
    let tags =
        ["\"} 1\nregsql_tags 666 #", "back\\slash", "new\nline\r\ttab", "nonascii-\u{e9}\u{202e}"];
    registry.image("we\"ird{/}").layers([&layer]).push_tags(tags);
    registry.write_to(directory.path()).unwrap();
    let text = metrics_of(directory.path(), &[]);
    check_metrics(&text);
    let series = series(&text);
    assert_eq!(series["regsql_tags"], 4.0);
    let size = |tag: &str| {
        series[&format!("repository_tag_size_bytes{{repository=\"we\\\"ird{{/}}\",tag=\"{tag}\"}}")]
    };
    assert_eq!(size("\\\"} 1\\nregsql_tags 666 #"), 100.0);
    // On disk a backslash; in the database, so that no two names are the same, its number.
    assert_eq!(size("back\\\\x5cslash"), 100.0);
    assert_eq!(size("new\\nline\r\ttab"), 100.0);
}

#[test]
fn the_four_gauges_of_the_older_exporter_are_what_it_gave() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("registry");
    write_demo(&root, "2026-01-31T12:00:00Z".parse::<jiff::Timestamp>().unwrap().into()).unwrap();
    let series = series(&metrics_of(&root, &[]));
    let mut compared = 0;
    for name in series.keys().filter(|name| name.starts_with("repository_tag_layers_total{")) {
        let labels = name.strip_prefix("repository_tag_layers_total").unwrap();
        let quoted: Vec<&str> = labels.split('"').collect();
        let (repository, tag) = (quoted[1], quoted[3]);
        let link = fs::read_to_string(root.join(paths::tag_current(repository, tag))).unwrap();
        let expected = layers_as_listed(&root, &link);
        let found = (series[name], series[&format!("repository_tag_size_bytes{labels}")]);
        assert_eq!(found, expected, "{repository}:{tag}");
        compared += 1;
    }
    assert_eq!(compared, 34);
    for (name, value) in &series {
        let directory = |kind: &str| {
            let repository = paths::repository(name.split('"').nth(1).unwrap());
            fs::read_dir(root.join(repository).join("_manifests").join(kind))
                .map_or(0, Iterator::count) as f64
        };
        if name.starts_with("repository_tags_total{") {
            assert_eq!(*value, directory("tags"), "{name}");
        } else if name.starts_with("repository_revisions_total{") {
            assert_eq!(*value, directory("revisions/sha256"), "{name}");
        }
    }
}

/// Entries of `layers` and the sum of their `size`, as the older exporter counts them; of an index
/// the sum over its children.
fn layers_as_listed(root: &Path, digest: &str) -> (f64, f64) {
    let path = root.join(paths::blob(&Digest::parse(digest.trim()).unwrap()));
    let manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    if let Some(children) = manifest["manifests"].as_array() {
        // A build cache lists its layers and their configuration where others list manifests.
        let of = |child: &Value| match child["mediaType"].as_str().unwrap() {
            kind if kind.contains("rootfs") => (1.0, child["size"].as_f64().unwrap()),
            kind if kind.contains("cacheconfig") => (0.0, 0.0),
            _ => layers_as_listed(root, child["digest"].as_str().unwrap()),
        };
        return children.iter().map(of).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    }
    let layers = manifest["layers"].as_array().unwrap();
    let size: f64 = layers.iter().map(|layer| layer["size"].as_f64().unwrap_or(0.0)).sum();
    (layers.len() as f64, size)
}

#[test]
fn an_image_for_several_platforms_has_the_sum_over_its_children_each_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = RegistryBuilder::new();
    let base = registry.layer("base", 1000);
    let own = registry.layer("own", 10);
    let one = registry.image("app").layers([&base, &own]).platform("linux/amd64").push();
    let other = registry.image("app").layers([&base]).platform("linux/arm64").push();
    let inner = registry.index("app").children([&one, &other]).push();
    registry.index("app").children([&inner, &one]).push_tag("all");
    registry.write_to(directory.path()).unwrap();
    let series = series(&metrics_of(directory.path(), &[]));
    let labels = "{repository=\"app\",tag=\"all\"}";
    assert_eq!(series[&format!("repository_tag_layers_total{labels}")], 3.0);
    assert_eq!(series[&format!("repository_tag_size_bytes{labels}")], 2010.0);
}

#[test]
fn sizes_that_a_manifest_lies_about_do_not_break_the_export() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = RegistryBuilder::new();
    let mut layer = registry.layer("layer", 100);
    layer.size = i64::MAX as u64;
    registry.image("app").layers([&layer, &layer, &layer]).push_tag("huge");
    registry.write_to(directory.path()).unwrap();
    let text = metrics_of(directory.path(), &[]);
    check_metrics(&text);
    let size = series(&text)["repository_tag_size_bytes{repository=\"app\",tag=\"huge\"}"];
    assert!(size > 2.7e19, "{size}");
}

#[test]
fn series_are_bounded_the_largest_are_kept_and_the_cut_is_a_metric() {
    let fixture = Fixture::new();
    let counts = |options: &[&str]| {
        let text = fixture.stdout(&[&["metrics"], options].concat());
        check_metrics(&text);
        let count = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
        let series = series(&text);
        (
            count("repository_tag_size_bytes{"),
            series["regsql_tags_not_exported"],
            count("regsql_repository_logical_bytes{"),
            series["regsql_repositories_not_exported"],
        )
    };
    assert_eq!(counts(&[]), (6, 0.0, 4, 0.0));
    assert_eq!(counts(&["--per-tag", "all", "--per-repository", "all"]), (6, 0.0, 4, 0.0));
    assert_eq!(counts(&["--per-tag", "none", "--per-repository", "none"]), (0, 6.0, 0, 4.0));
    assert_eq!(counts(&["--per-tag", "top=2", "--per-repository", "1"]), (2, 4.0, 1, 3.0));
    let text = fixture.stdout(&["metrics", "--per-tag", "top 2"]);
    let tags: Vec<&str> =
        text.lines().filter(|line| line.starts_with("repository_tag_size_bytes{")).collect();
    assert!(tags.iter().all(|line| line.contains("\"team/model\"")), "{tags:?}");
}

#[test]
fn a_tag_whose_manifest_cannot_be_read_has_no_size_and_counts_as_left_out() {
    let fixture = Fixture::changed_by("UPDATE tag SET manifest_id = NULL WHERE name = 'v1'");
    let text = fixture.stdout(&["metrics"]);
    assert!(!text.contains("tag=\"v1\""));
    assert_eq!(series(&text)["regsql_tags_not_exported"], 1.0);
}

#[test]
fn a_file_is_replaced_whole_and_everybody_may_read_it() {
    let fixture = Fixture::new();
    let path = fixture.directory().join("regsql.prom");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    // A reader that has the old file open keeps it.
    let old = fs::File::open(&path).unwrap();
    assert_eq!(fixture.run(&["metrics", "-o", "regsql.prom"]), "exit 0\n");
    assert_eq!(std::io::read_to_string(old).unwrap(), "old");
    assert_eq!(fs::read_to_string(&path).unwrap(), fixture.stdout(&["metrics"]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    let names: Vec<_> = fs::read_dir(fixture.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("registry.db"))
        .collect();
    assert_eq!(names, ["regsql.prom"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_a_device_is_not_replaced() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["metrics", "-o", "none/regsql.prom"]), @r"
    exit 2
    --- stderr
    error: cannot write `none/regsql.prom`
      because: there is no such directory
    hint: name a file in a directory that you may write to
    ");
    assert_snapshot!(fixture.run(&["metrics", "-o", "."]), @r"
    exit 2
    --- stderr
    error: cannot write `.`
      because: it is not an ordinary file
    hint: name a file in a directory that you may write to
    ");
}

#[test]
fn ones_own_report_gives_a_metric_too() {
    let fixture = Fixture::new();
    let reports = fixture.directory().join("reports");
    fs::create_dir(&reports).unwrap();
    let write = |name: &str, text: &str| fs::write(reports.join(name), text).unwrap();
    write(
        "teams.sql",
        "-- title: Teams\n-- column: team text -- t\n-- column: bytes bytes -- b\n\
         -- column: note text -- n\n-- param: limit limit = 2 -- rows\n\
         -- metric: teams = count -- rows of all\n-- metric: teams_bytes = sum bytes -- theirs\n\
         -- metric: team_bytes{team} = bytes -- by team\n-- metric: team_notes{team} = note -- no number\n\
         SELECT * FROM (VALUES ('a\"b', 5, 'x'), ('a\"b', 6, NULL), (NULL, 0.5, 'y')) LIMIT :limit",
    );
    // VALUES names its columns column1 and so on.
    assert!(fixture.run(&["metrics", "--reports", "reports"]).contains("no column `bytes`"));
    let text = fs::read_to_string(reports.join("teams.sql")).unwrap();
    write(
        "teams.sql",
        &text.replace("* FROM", "column1 AS team, column2 AS bytes, column3 AS note FROM"),
    );
    let text = fixture.stdout(&["metrics", "--reports", "reports"]);
    check_metrics(&text);
    let series = series(&text);
    assert_eq!((series["teams"], series["teams_bytes"]), (3.0, 11.5));
    assert_eq!(series["team_bytes{team=\"a\\\"b\"}"], 5.0);
    assert!(!text.contains("team_notes"), "a text is no value");
    assert_eq!(series["regsql_report_rows_not_exported{report=\"teams\"}"], 2.0);
}

#[test]
fn a_report_with_very_many_rows_gives_a_thousand_series() {
    let fixture = Fixture::new();
    let reports = fixture.directory().join("reports");
    fs::create_dir(&reports).unwrap();
    let text = "-- title: Many\n-- column: n count -- n\n-- metric: many{n} = n -- n\n\
        WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) SELECT n FROM c";
    fs::write(reports.join("many.sql"), text).unwrap();
    let text = fixture.stdout(&["metrics", "--reports", "reports"]);
    assert_eq!(text.lines().filter(|line| line.starts_with("many{")).count(), 1000);
    assert_eq!(series(&text)["regsql_report_rows_not_exported{report=\"many\"}"], 4000.0);
}

#[test]
fn a_metric_of_ones_own_may_not_take_a_name_that_is_given_already() {
    let fixture = Fixture::new();
    let reports = fixture.directory().join("reports");
    fs::create_dir(&reports).unwrap();
    let text = "-- title: Tags\n-- metric: regsql_tags = count -- mine\nSELECT 1 AS one";
    fs::write(reports.join("mine.sql"), text).unwrap();
    assert_snapshot!(fixture.run(&["metrics", "--reports", "reports"]), @r"
    exit 2
    --- stderr
    error: report `mine` declares metric `regsql_tags`, which another one gives already
    hint: give the metric in its `-- metric:` line another name
    ");
}

#[test]
fn a_report_of_ones_own_that_cannot_be_used_is_warned_of() {
    let fixture = Fixture::new();
    let reports = fixture.directory().join("reports");
    fs::create_dir(&reports).unwrap();
    fs::write(reports.join("mine.sql"), "-- title: T\n-- metric: m = rows -- r\nSELECT 1").unwrap();
    let said = fixture.run(&["metrics", "-o", "out.prom", "--reports", "reports"]);
    assert!(
        said.starts_with("exit 0\n--- stderr\nwarning: reports/mine.sql:2: expected `metric: ")
    );
}
