//! `--what-if` and `free`: what a set of things frees together.

use insta::assert_snapshot;

use crate::fixture::{Fixture, digest};

fn what_if(sql: &str) -> String {
    let fixture = Fixture::new();
    fixture.run(&["sql", "--what-if", "--format", "ndjson", sql])
}

#[test]
fn a_report_says_what_deleting_all_its_rows_frees_together() {
    assert_snapshot!(
        Fixture::new().run(&["report", "keep-latest", "-p", "keep=1", "--what-if"]),
        @r#"
    exit 0
    --- stdout
    What if: Tags of all images but the newest few of each repository
    Deleting 1 tag would free 5.002 MiB; something else keeps the other 30.000 MiB of it.

    tags  revisions  layer links  blobs      freed      shared     logical  skipped
    ───────────────────────────────────────────────────────────────────────────────
       1          1            2      3  5.002 MiB  30.000 MiB  35.002 MiB        0

    1 row · scan of 3 minutes ago, took 1.2 s
    "#
    );
}

#[test]
fn two_tags_on_one_digest_free_it_only_together() {
    let sql = |tags: &str| {
        format!(
            "SELECT repository, tag FROM tags WHERE repository = 'team/app' AND tag IN ({tags})"
        )
    };
    assert_snapshot!(what_if(&sql("'latest'")), @r#"
    exit 0
    --- stdout
    {"tag_count":1,"revision_count":0,"layer_link_count":0,"blob_count":0,"freed_bytes":0,"shared_bytes":67113864,"logical_bytes":67113864,"skipped_count":0}
    --- stderr
    Deleting 1 tag would free 0 B; something else keeps the other 64.005 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(what_if(&sql("'latest', '1.10.0'")), @r#"
    exit 0
    --- stdout
    {"tag_count":2,"revision_count":3,"layer_link_count":3,"blob_count":7,"freed_bytes":35656584,"shared_bytes":31457280,"logical_bytes":67113864,"skipped_count":0}
    --- stderr
    Deleting 2 tags would free 34.005 MiB; something else keeps the other 30.000 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    "#);
}

#[test]
fn revisions_take_their_tags_along_and_children_of_what_stays_are_skipped() {
    let revisions =
        "SELECT repository, manifest_digest FROM revisions WHERE repository = 'team/app'";
    assert_snapshot!(what_if(&format!("{revisions} AND kind = 'index'")), @r#"
    exit 0
    --- stdout
    {"tag_count":2,"revision_count":3,"layer_link_count":3,"blob_count":7,"freed_bytes":35656584,"shared_bytes":31457280,"logical_bytes":67113864,"skipped_count":0}
    --- stderr
    Deleting 1 revision would free 34.005 MiB; something else keeps the other 30.000 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(what_if(&format!("{revisions} AND kind = 'image'")), @r#"
    exit 0
    --- stdout
    {"tag_count":1,"revision_count":2,"layer_link_count":2,"blob_count":6,"freed_bytes":17830192,"shared_bytes":67113464,"logical_bytes":84943656,"skipped_count":2}
    --- stderr
    Deleting 4 revisions would free 17.004 MiB; something else keeps the other 64.004 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    warning: skipped team/app@sha256:0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b: sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d names it, and stays
    warning: skipped team/app@sha256:0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c: sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d names it, and stays
    "#);
}

#[test]
fn repositories_and_layers_stand_for_all_that_they_hold() {
    assert_snapshot!(what_if("SELECT repository FROM repositories WHERE tag_count < 2"), @r#"
    exit 0
    --- stdout
    {"tag_count":1,"revision_count":2,"layer_link_count":3,"blob_count":3,"freed_bytes":2800,"shared_bytes":31457280,"logical_bytes":31460080,"skipped_count":0}
    --- stderr
    Deleting 2 repositories would free 2.734 KiB; something else keeps the other 30.000 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    "#);
    let layer = format!("SELECT '{}' AS layer_digest", digest(5));
    assert_snapshot!(what_if(&layer), @r#"
    exit 0
    --- stdout
    {"tag_count":2,"revision_count":3,"layer_link_count":3,"blob_count":7,"freed_bytes":35656584,"shared_bytes":31457280,"logical_bytes":67113864,"skipped_count":0}
    --- stderr
    Deleting 1 layer (every image that holds it) would free 34.005 MiB; something else keeps the other 30.000 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    "#);
}

#[test]
fn rows_that_name_what_is_not_there_are_skipped_and_counted() {
    let sql = "SELECT 'team/app' AS repository, 'v' || value AS tag FROM \
        (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 12) SELECT value FROM n) \
        UNION ALL SELECT 'no/such', 'latest' UNION ALL SELECT 'team/app', NULL";
    assert_snapshot!(what_if(sql), @r#"
    exit 0
    --- stdout
    {"tag_count":0,"revision_count":0,"layer_link_count":0,"blob_count":0,"freed_bytes":0,"shared_bytes":0,"logical_bytes":0,"skipped_count":14}
    --- stderr
    Nothing is selected, so nothing would come free.
    scan of 3 minutes ago, took 1.2 s
    warning: skipped team/app:v1: the repository has no such tag
    warning: skipped team/app:v2: the repository has no such tag
    warning: skipped team/app:v3: the repository has no such tag
    warning: skipped team/app:v4: the repository has no such tag
    warning: skipped team/app:v5: the repository has no such tag
    warning: skipped team/app:v6: the repository has no such tag
    warning: skipped team/app:v7: the repository has no such tag
    warning: skipped team/app:v8: the repository has no such tag
    warning: skipped team/app:v9: the repository has no such tag
    warning: skipped team/app:v10: the repository has no such tag
    warning: skipped 4 more
    "#);
    let sql = format!(
        "SELECT column1 AS repository, column2 AS manifest_digest FROM (VALUES ('team/app', 'sha256:x'), ('team/app', '{}'))",
        digest(20)
    );
    assert_snapshot!(what_if(&sql), @r#"
    exit 0
    --- stdout
    {"tag_count":0,"revision_count":0,"layer_link_count":0,"blob_count":0,"freed_bytes":0,"shared_bytes":0,"logical_bytes":0,"skipped_count":2}
    --- stderr
    Nothing is selected, so nothing would come free.
    scan of 3 minutes ago, took 1.2 s
    warning: skipped team/app@sha256:x: not a digest
    warning: skipped team/app@sha256:1414141414141414141414141414141414141414141414141414141414141414: the repository has no such revision
    "#);
}

#[test]
fn an_untagged_row_of_layer_images_counts_as_a_revision() {
    let fixture = Fixture::new();
    assert_snapshot!(
        fixture.run(&["report", "layer-images", "-p", "digest=1010", "--what-if", "-f", "csv"]),
        @r#"
    exit 0
    --- stdout
    tag_count,revision_count,layer_link_count,blob_count,freed_bytes,shared_bytes,logical_bytes,skipped_count
    0,1,0,3,12585112,31457280,44042392,0
    --- stderr
    Deleting 1 revision would free 12.002 MiB; something else keeps the other 30.000 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    "#
    );
}

#[test]
fn a_query_that_names_nothing_to_delete_is_refused() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["sql", "--what-if", "SELECT tag FROM tags"]), @r#"
    exit 2
    --- stderr
    error: the columns of the query do not name what to delete
    hint: give columns repository and tag, repository and manifest_digest, layer_digest, blob_digest, repository and upload_id, repository and link_digest, repository, history_tag and history_digest, or repository alone
    "#);
    assert_snapshot!(fixture.run(&["report", "orphan-blobs", "--what-if"]), @r#"
    exit 2
    --- stderr
    error: report `orphan-blobs` names blobs, which nothing shares
    hint: the rows' own sizes are what they free; --what-if is for tags, revisions, repositories and layers
    "#);
    assert_snapshot!(
        fixture.run(&["sql", "--what-if", "--max-rows", "5", "SELECT repository FROM tags"]),
        @r#"
    exit 2
    --- stderr
    error: the argument '--what-if' cannot be used with '--max-rows <N>'

    Usage: regsql sql --what-if <QUERY>

    For more information, try '--help'.
    "#
    );
}

#[test]
fn what_a_scan_could_not_read_makes_it_at_least() {
    let fixture = Fixture::changed_by("UPDATE scan SET is_complete = 0");
    assert_snapshot!(
        fixture.run(&["report", "repositories", "-p", "limit=1", "--what-if"]),
        @r#"
    exit 0
    --- stdout
    What if: Repositories by what deleting them frees
    Deleting 1 repository would free at least 200.002 MiB.
    The rows were limited to 1 (-p limit=all shows all).

    tags  revisions  layer links  blobs          freed  shared        logical  skipped
    ──────────────────────────────────────────────────────────────────────────────────
       2          1            1      3  ≥ 200.002 MiB   ≥ 0 B  ≥ 200.002 MiB        0

    1 row · scan of 3 minutes ago, took 1.2 s · incomplete: every figure is a minimum
    "#
    );
}

#[test]
fn what_cannot_be_read_keeps_its_repository() {
    let fixture = Fixture::changed_by(
        "UPDATE repository SET is_held = 1 WHERE id = 1;
         INSERT INTO unreadable_root VALUES (1, 'repository', 1, NULL, 'manifest-missing', 'x')",
    );
    let run = |sql: &str| fixture.run(&["sql", "--what-if", "-f", "ndjson", sql]);
    let tags = "SELECT repository, tag FROM tags WHERE repository = 'team/app'";
    assert_snapshot!(run(tags), @r#"
    exit 0
    --- stdout
    {"tag_count":3,"revision_count":0,"layer_link_count":0,"blob_count":0,"freed_bytes":0,"shared_bytes":72358944,"logical_bytes":72358944,"skipped_count":0}
    --- stderr
    Deleting 3 tags would free 0 B; something else keeps the other 69.007 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    "#);
    let untagged = "SELECT repository, manifest_digest FROM revisions WHERE NOT is_tagged";
    assert_snapshot!(run(untagged), @r#"
    exit 0
    --- stdout
    {"tag_count":0,"revision_count":1,"layer_link_count":0,"blob_count":1,"freed_bytes":600,"shared_bytes":44042392,"logical_bytes":44042992,"skipped_count":1}
    --- stderr
    Deleting 2 revisions would free 600 B; something else keeps the other 42.002 MiB of it.
    scan of 3 minutes ago, took 1.2 s
    warning: skipped team/app@sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f: something that cannot be read may need it
    "#);
}

#[test]
fn a_damaged_database_is_told_of() {
    let fixture = Fixture::changed_by(
        "INSERT INTO reference VALUES (10, 9, 'layer', 99, 1, NULL, NULL, NULL, 0)",
    );
    assert_snapshot!(fixture.run(&["report", "tags", "--what-if"]), @r#"
    exit 2
    --- stderr
    error: database `registry.db` is damaged
      because: table `reference` names number 99, which does not exist
    hint: `regsql scan --full` replaces a damaged database
    "#);
}

#[test]
fn free_names_the_fewest_tags_and_says_how_much_they_free() {
    assert_snapshot!(
        Fixture::new().run(&["free", "121MiB", "--from", "tags"]),
        @r#"
    exit 0
    --- stdout
    What to delete so that 121.000 MiB come free
    71.003 MiB (59.003 MiB now, and 12.000 MiB more when it is 24 h old) come free without dropping a tag.
    Dropping 2 of 6 tags that report `tags` names frees 200.002 MiB more.

    repository  tag                           freed   cumulative  pushed             manifest digest
    ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    team/model  \x1b[31m|<b>\n\u{202e}          0 B          0 B  2025-07-16 12:00Z  sha256:0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e
    team/model  =1+1                    200.002 MiB  200.002 MiB  2025-07-15 12:00Z  sha256:0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e
                                        ───────────
    total                               200.002 MiB

    2 rows · scan of 3 minutes ago, took 1.2 s

    --save PLAN.json writes all of it into one plan for regsql prune --plan
    "#
    );
    assert_snapshot!(
        Fixture::new().run(&["free", "72MiB", "-p", "keep=1", "-f", "json"]),
        @r#"
    exit 0
    --- stdout
    [
    {"repository":"team/app","tag":"1.9.0","freed_bytes":5245080,"cumulative_bytes":5245080,"pushed_at":"2025-12-22T12:00:00Z","manifest_digest":"sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}
    ]
    --- stderr
    scan of 3 minutes ago, took 1.2 s
    "#
    );
}

#[test]
fn free_by_age_takes_the_oldest_and_no_more_than_needed() {
    let run = |order: &str| {
        Fixture::new().run(&["free", "101MiB", "--from", "tags", "--order", order, "-f", "ndjson"])
    };
    assert_snapshot!(run("oldest"), @r#"
    exit 0
    --- stdout
    {"repository":"team/model","tag":"\u001b[31m|<b>\n\u202e","freed_bytes":0,"cumulative_bytes":0,"pushed_at":"2025-07-16T12:00:00Z","manifest_digest":"sha256:0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e"}
    {"repository":"team/model","tag":"=1+1","freed_bytes":209717400,"cumulative_bytes":209717400,"pushed_at":"2025-07-15T12:00:00Z","manifest_digest":"sha256:0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e"}
    --- stderr
    scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(run("report"), @r#"
    exit 0
    --- stdout
    {"repository":"team/app","tag":"1.10.0","freed_bytes":0,"cumulative_bytes":0,"pushed_at":"2026-01-29T12:00:00Z","manifest_digest":"sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d"}
    {"repository":"team/app","tag":"latest","freed_bytes":35656584,"cumulative_bytes":35656584,"pushed_at":"2026-01-29T12:00:00Z","manifest_digest":"sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d"}
    --- stderr
    scan of 3 minutes ago, took 1.2 s
    "#);
}

#[test]
fn free_says_what_can_come_free_when_the_goal_is_too_high() {
    assert_snapshot!(Fixture::new().run(&["free", "10GiB"]), @"
    exit 1
    --- stdout
    What to delete so that 10.000 GiB come free
    71.003 MiB (59.003 MiB now, and 12.000 MiB more when it is 24 h old) come free without dropping a tag.
    Report `keep-latest` names no tag.

    scan of 3 minutes ago, took 1.2 s

    regsql prune untagged-revisions --garbage  deletes that
    --- stderr
    warning: only 71.003 MiB of 10.000 GiB can come free with the tags that report `keep-latest` names: keep fewer, such as -p keep=1, or choose among all with --from tags
    ");
    assert_snapshot!(
        Fixture::new().run(&["free", "10GiB", "-p", "keep=0", "-f", "csv"]),
        @"
    exit 1
    --- stdout
    repository,tag,freed_bytes,cumulative_bytes,pushed_at,manifest_digest
    team/app,1.9.0,5245080,5245080,2025-12-22T12:00:00Z,sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
    tool/cli,v1,2200,5247280,2025-10-23T12:00:00Z,sha256:1414141414141414141414141414141414141414141414141414141414141414
    --- stderr
    scan of 3 minutes ago, took 1.2 s
    warning: only 76.007 MiB of 10.000 GiB can come free with the tags that report `keep-latest` names: keep fewer, such as -p keep=1, or choose among all with --from tags
    "
    );
}

#[test]
fn free_refuses_reports_without_tags_and_sizes_that_are_none() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["free", "1GiB", "--from", "repositories"]), @r#"
    exit 2
    --- stderr
    error: report `repositories` does not name tags
    hint: choose one that selects tags; `regsql report --list` says which do
    "#);
    assert_snapshot!(fixture.run(&["free", "1GiB", "--from", "growth"]), @r#"
    exit 2
    --- stderr
    error: the columns of report `growth` do not name what to delete
    hint: give columns repository and tag
    "#);
    assert_snapshot!(fixture.run(&["free", "0"]), @r#"
    exit 2
    --- stderr
    error: invalid value '0' for '<BYTES>': expected a size such as 500MB or 10GiB

    For more information, try '--help'.
    "#);
    assert_snapshot!(fixture.run(&["free", "1GiB", "-p", "days=3"]), @r#"
    exit 2
    --- stderr
    error: report `keep-latest` has no parameter `days`
    hint: it takes: keep, order, match, repository, limit
    "#);
}
