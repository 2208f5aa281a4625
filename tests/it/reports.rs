//! What reports tell, and how they look.

use insta::assert_snapshot;

use crate::fixture::{Fixture, digest};

#[test]
fn without_a_name_the_overview_fits_one_screen_and_says_what_to_do_next() {
    assert_snapshot!(Fixture::new().run(&["report"]), @"
    exit 0
    --- stdout
    What this registry holds, and what would come free

    section     figure              count        bytes  report
    ──────────────────────────────────────────────────────────────────────
    storage     blobs                  21  331.000 MiB  largest-layers
    contents    repositories            4               repositories
                tags                    6               tags
    comes free  orphan blobs            1   50.000 MiB  orphan-blobs
                stale uploads           1    9.000 MiB  stale-uploads
                untagged revisions      2   12.003 MiB  untagged-revisions
                all of these                71.003 MiB  garbage
                - now                       59.003 MiB
                - when 24 h old             12.000 MiB
                leftovers               3               garbage
    look at     broken tags             1               broken-images
                problems                1               problems
    largest     team/model              2  200.002 MiB  tags

    13 rows · scan of 3 minutes ago, took 1.2 s

    regsql report broken-images       tags that cannot be pulled: 1
    regsql prune --garbage            nothing needs it: 59.000 MiB
    regsql report untagged-revisions  untagged: 2.734 KiB now, 12.000 MiB later
    ");
}

#[test]
fn the_overview_of_a_registry_with_every_kind_of_trouble_fits_80_columns_and_24_lines() {
    let fixture = Fixture::changed_by(
        "UPDATE repository SET name = 'a-team/with-a-name-that-is-longer-than-most' WHERE id = 2",
    );
    let screen = fixture.terminal(80, "report");
    assert!(screen.lines().count() <= 23, "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    assert!(screen.contains("leftovers") && screen.contains("when 24 h old"), "{screen}");
}

#[test]
fn a_terminal_shows_bars_beside_sizes_and_a_pipe_does_not() {
    let fixture = Fixture::new();
    let wide = fixture.terminal(120, "report repositories");
    let bars: Vec<&str> = wide.lines().filter(|line| line.contains('█')).collect();
    assert_eq!(bars.len(), 2, "{wide}");
    assert!(bars[0].contains("200.002 MiB  ██████████  "), "{wide}");
    assert!(bars[1].contains("51.009 MiB  ██▌  "), "{wide}");
    assert!(!fixture.stdout(&["report", "repositories"]).contains('█'));
}

#[test]
fn the_next_steps_are_those_of_this_registry() {
    let first = |sql: &str| {
        let fixture = Fixture::changed_by(sql);
        let rows = fixture.stdout(&["report", "next-steps", "-q", "-f", "csv"]);
        rows.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(first(""), "regsql report broken-images,tags that cannot be pulled: 1,,");
    let mended = "UPDATE total SET value = 0 WHERE name IN ('broken_tag_count', 'error_count');";
    assert_eq!(first(mended), "regsql prune --garbage,nothing needs it,61865984,");
    let clean = "DELETE FROM upload; DELETE FROM reclaimable_hour; UPDATE total SET value = 0
        WHERE name IN ('broken_tag_count', 'error_count', 'orphan_bytes', 'dangling_link_count',
            'unneeded_link_count', 'ghost_repository_count', 'untagged_bytes')";
    assert_eq!(first(clean), "regsql report rare-layers,large layers that few images need,,");
}

#[test]
fn rare_layers_names_images_and_the_build_command() {
    assert_snapshot!(Fixture::new().run(&["report", "rare-layers", "-p", "limit=3"]), @r#"
    exit 0
    --- stdout
    Large layers that few images need

    layer digest                                                                    size  tags  images                                              created by                            manifests
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    sha256:0404040404040404040404040404040404040404040404040404040404040404  200.000 MiB     2  team/model:\x1b[31m|<b>\n\u{202e}, team/model:=1+1  COPY model.bin /model.bin # buildkit          1
    sha256:0505050505050505050505050505050505050505050505050505050505050505   28.000 MiB     2  team/app:1.10.0, team/app:latest                    ADD rootfs.tar.xz / # buildkit                1
    sha256:1010101010101010101010101010101010101010101010101010101010101010   12.000 MiB     0  team/app (untagged)                                 COPY . /app # buildkit                        1
                                                                             ───────────
    total shown                                                              240.000 MiB

    3 rows (-p limit=all shows all) · scan of 3 minutes ago, took 1.2 s

    regsql report layer-images -p digest=DIGEST  every image that holds one of them
    regsql why DIGEST                            the chain of who keeps one of them
    "#);
}

#[test]
fn a_layer_is_found_by_the_beginning_of_its_digest_through_indexes() {
    assert_snapshot!(
        Fixture::new().run(&["report", "layer-images", "-p", "digest=0303", "--format", "csv"]),
        @r#"
    exit 0
    --- stdout
    repository,tag,exclusive_bytes,pushed_at,manifest_digest,layer_digest,size_bytes
    team/app,1.10.0,0,2026-01-29T12:00:00Z,sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d,sha256:0303030303030303030303030303030303030303030303030303030303030303,6291456
    team/app,latest,0,2026-01-29T12:00:00Z,sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d,sha256:0303030303030303030303030303030303030303030303030303030303030303,6291456
    --- stderr
    scan of 3 minutes ago, took 1.2 s
    "#
    );
}

#[test]
fn a_digest_that_no_blob_has_gives_no_rows() {
    let fixture = Fixture::new();
    for wanted in ["ffff", "0000", "sha512:abcd", &digest(24)] {
        let given = format!("digest={wanted}");
        let arguments = ["report", "layer-images", "-q", "-p", &given, "--format", "json"];
        assert_eq!(fixture.stdout(&arguments), "[]\n", "{wanted}");
    }
}

#[test]
fn keep_latest_by_version_knows_that_ten_follows_nine_and_leaves_latest_alone() {
    assert_snapshot!(
        Fixture::new().run(&["report", "keep-latest", "-p", "keep=1", "--format", "ndjson"]),
        @r#"
    exit 0
    --- stdout
    {"repository":"team/app","tag":"1.9.0","newer_image_count":1,"exclusive_bytes":5245080,"logical_bytes":36702360,"pushed_at":"2025-12-22T12:00:00Z","ranked_by":"version","manifest_digest":"sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}
    --- stderr
    scan of 3 minutes ago, took 1.2 s
    "#
    );
}

#[test]
fn keep_latest_says_of_all_versions_what_a_count_of_their_tags_says() {
    let fixture = Fixture::new();
    for keep in ["keep=0", "keep=1", "keep=2"] {
        let rows = |more: &[&str]| {
            let asked = ["report", "keep-latest", "-q", "-p", keep, "--format", "csv"];
            fixture.stdout(&[&asked[..], more].concat())
        };
        // Every name matches, but that is not known before.
        assert_eq!(rows(&[]), rows(&["-p", "match=?*"]), "{keep}");
    }
}

#[test]
fn keep_latest_by_push_time_takes_every_image_with_all_its_tags() {
    assert_snapshot!(
        Fixture::new().stdout(&[
            "report", "keep-latest", "-q", "-p", "keep=0", "-p", "order=pushed", "-p",
            "repository=team/app", "--format", "csv",
        ]),
        @r#"
    repository,tag,newer_image_count,exclusive_bytes,logical_bytes,pushed_at,ranked_by,manifest_digest
    team/app,1.10.0,0,35656584,67113864,2026-01-29T12:00:00Z,pushed,sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d
    team/app,latest,0,35656584,67113864,2026-01-29T12:00:00Z,pushed,sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d
    team/app,1.9.0,1,5245080,36702360,2025-12-22T12:00:00Z,pushed,sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
    "#
    );
}

#[test]
fn a_broken_tag_says_what_is_missing() {
    assert_snapshot!(Fixture::new().run(&["report", "broken-images"]), @r#"
    exit 0
    --- stdout
    Tags that cannot be pulled

    repository  tag  fault             missing digest                                                           manifest digest
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    tool/cli    v1   layer is missing  sha256:1313131313131313131313131313131313131313131313131313131313131313  sha256:1414141414141414141414141414141414141414141414141414141414141414

    1 row · scan of 3 minutes ago, took 1.2 s

    regsql report problems     where on disk each fault is
    regsql why REPOSITORY:TAG  all that is missing of one, and what it holds
    "#);
}

#[test]
fn growth_compares_with_the_scan_before_and_knows_what_is_gone() {
    assert_snapshot!(Fixture::new().run(&["report", "growth"]), @"
    exit 0
    --- stdout
    What grew since an earlier scan

    repository            grown      logical  since              oldest                  before  grown tags  grown revisions
    ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    (whole storage)  31.000 MiB  331.000 MiB  2026-01-24 12:00Z  2026-01-24 12:00Z  300.000 MiB           1                0
    team/app         31.000 MiB   81.000 MiB  2026-01-24 12:00Z  2026-01-24 12:00Z   50.000 MiB           1                0
    team/old         -3.000 MiB          0 B  2026-01-24 12:00Z  2026-01-24 12:00Z    3.000 MiB          -1               -5

    3 rows · scan of 3 minutes ago, took 1.2 s
    ");
}

#[test]
fn a_hostile_tag_acts_on_nothing_in_any_format() {
    let fixture = Fixture::new();
    let tags = |format: &str| {
        fixture.stdout(&[
            "sql",
            "-q",
            "--format",
            format,
            "SELECT tag FROM tags WHERE repository = 'team/model' ORDER BY tag",
        ])
    };
    assert_snapshot!(tags("table"), @r#"
    tag
    ──────────────────────
    \x1b[31m|<b>\n\u{202e}
    =1+1

    2 rows · scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(tags("markdown"), @r#"
    | tag |
    |---|
    | \\x1b\[31m\|&lt;b&gt;\\n\\u\{202e\} |
    | =1+1 |

    2 rows · scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(tags("json"), @r#"
    [
    {"tag":"\u001b[31m|<b>\n\u202e"},
    {"tag":"=1+1"}
    ]
    "#);
    // In CSV a name is what it is; only a formula is made text.
    assert_eq!(tags("csv"), "tag\n\"\u{1b}[31m|<b>\n\u{202e}\"\n'=1+1\n");
}

#[test]
fn an_incomplete_scan_says_at_least() {
    let fixture = Fixture::changed_by("UPDATE scan SET is_complete = 0");
    assert_snapshot!(fixture.run(&["report", "repositories", "-p", "limit=2"]), @r#"
    exit 0
    --- stdout
    Repositories by what deleting them frees

    repository       exclusive        logical      untagged  tags  last pushed        revisions  untagged revisions
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
    team/model   ≥ 200.002 MiB  ≥ 200.002 MiB         ≥ 0 B     2  2025-07-15 12:00Z          1                   0
    team/app      ≥ 51.009 MiB   ≥ 81.009 MiB  ≥ 12.002 MiB     3  2026-01-29 12:00Z          5                   1
                                                                ─                             ─                   ─
    total shown                                                 5                             6                   1

    2 rows (-p limit=all shows all) · scan of 3 minutes ago, took 1.2 s · incomplete: every figure is a minimum

    regsql report tags -p repository=NAME  the tags of one
    "#);
    assert_snapshot!(
        fixture.run(&["report", "largest-layers", "-p", "limit=1", "--format", "ndjson"]),
        @r#"
    exit 0
    --- stdout
    {"layer_digest":"sha256:0404040404040404040404040404040404040404040404040404040404040404","size_bytes":209715200,"manifest_count":1,"tag_count":2,"created_by":"COPY model.bin /model.bin # buildkit","repository_count":1}
    --- stderr
    scan of 3 minutes ago, took 1.2 s; incomplete: every figure is a minimum
    "#
    );
}

#[test]
fn a_report_with_no_rows_is_an_empty_table_and_an_empty_array() {
    let fixture = Fixture::changed_by("DELETE FROM problem");
    assert_snapshot!(fixture.run(&["report", "problems"]), @"
    exit 0
    --- stdout
    Problems on disk

    no rows · scan of 3 minutes ago, took 1.2 s
    ");
    assert_eq!(fixture.stdout(&["report", "problems", "-q", "--format", "json"]), "[]\n");
}

#[test]
fn the_list_tells_names_parameters_and_what_each_selects() {
    let list = Fixture::new().stdout(&["report", "--list", "-q", "--format", "csv"]);
    assert!(list.contains(
        "keep-latest,Tags of all images but the newest few of each repository,\
         keep=5 order=version match=* repository=* limit=all,tags\n"
    ));
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/queries")).unwrap();
    let is_report = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "sql");
    let reports = files.map(|file| file.unwrap().path()).filter(is_report).count();
    assert_eq!(list.lines().count(), reports + 1, "{list}");
}

#[test]
fn an_unknown_report_is_met_with_the_nearest_one_and_a_tag_with_what_deletes_it() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["report", "orphans"]), @r#"
    exit 2
    --- stderr
    error: there is no report `orphans`
    hint: did you mean `orphan-blobs`?
    "#);
    assert_snapshot!(fixture.run(&["prune", "team/app:1.0"]), @r#"
    exit 2
    --- stderr
    error: there is no report `team/app:1.0`
    hint: `regsql why team/app:1.0` explains it, and `regsql prune --target team/app:1.0` shows what deleting it takes along
    "#);
}

#[test]
fn an_unknown_parameter_or_a_wrong_value_is_refused() {
    let fixture = Fixture::new();
    assert_snapshot!(fixture.run(&["report", "tags", "-p", "limt=3"]), @r#"
    exit 2
    --- stderr
    error: report `tags` has no parameter `limt`
    hint: did you mean `limit`?
    "#);
    assert_snapshot!(fixture.run(&["report", "keep-latest", "-p", "keep=-1"]), @r#"
    exit 2
    --- stderr
    error: parameter `keep` cannot be `-1`: it must be at least 0
    "#);
    assert_snapshot!(fixture.run(&["report", "rare-layers", "-p", "min_bytes=big"]), @r#"
    exit 2
    --- stderr
    error: parameter `min_bytes` cannot be `big`: expected a size such as 500MB or 10GiB
    "#);
    assert_snapshot!(fixture.run(&["report", "layer-images"]), @r#"
    exit 2
    --- stderr
    error: report `layer-images` needs parameter `digest`
    hint: add -p digest=…, a digest, or at least its first 4 hex digits
    "#);
}

#[test]
fn a_file_in_ones_own_directory_is_a_report_like_any_other() {
    let fixture = Fixture::new();
    let own = fixture.directory().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(
        own.join("mine.sql"),
        "-- title: Mine\n-- param: name glob = team/*\n-- total: exclusive_bytes\n\
         SELECT repository, exclusive_bytes FROM repositories\n\
         WHERE repository GLOB :name ORDER BY repository",
    )
    .unwrap();
    std::fs::write(own.join("tags.sql"), "-- title: My tags\nSELECT 1 AS one").unwrap();
    std::fs::write(own.join("broken.sql"), "-- title: B\n-- colour: red\nSELECT 1").unwrap();
    assert_snapshot!(fixture.run(&["report", "mine", "--reports", "own"]), @r#"
    exit 0
    --- stdout
    Mine

    repository    exclusive
    ───────────────────────
    team/app     51.009 MiB
    team/model  200.002 MiB
                ───────────
    total       251.011 MiB

    2 rows · scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(fixture.run(&["report", "tags", "--reports", "own", "-f", "csv"]), @r#"
    exit 0
    --- stdout
    one
    1
    --- stderr
    `tags` is your own report: it stands in for the built-in one
    scan of 3 minutes ago, took 1.2 s
    "#);
    assert_snapshot!(fixture.run(&["report", "broken", "--reports", "own"]), @r#"
    exit 2
    --- stderr
    error: report `broken` cannot be used
      because: own/broken.sql:2: unknown key `colour`; known: title, summary, param, column, total, group, bar, selects, next, next-from, notices-from, metric
    hint: a report begins with `-- title: …`; see docs/reports.md, or copy from `regsql report overview --sql`
    "#);
    assert_snapshot!(fixture.run(&["report", "--reports", "nowhere"]), @r#"
    exit 2
    --- stderr
    error: cannot read reports from `nowhere`
      because: No such file or directory (os error 2)
    hint: --reports (or REGSQL_REPORTS) names a directory of .sql files
    "#);
}

#[test]
fn sql_prints_the_query_as_it_stands() {
    let printed = Fixture::new().stdout(&["report", "problems", "--sql"]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/queries/problems.sql");
    assert_eq!(printed, std::fs::read_to_string(file).unwrap());
}
