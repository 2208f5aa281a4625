//! Policies as files: the ones that are shipped, tested in CI, and carried out together.

use std::path::{Path, PathBuf};

use regsql::sample::RegistryBuilder;

use super::{Registry, days_ago, images};

fn policy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies").join(name);
    path.to_str().unwrap().to_owned()
}

/// `tag` of what a policy selects.
#[track_caller]
fn selected(registry: &Registry, name: &str, more: &[&str]) -> Vec<String> {
    let path = policy(name);
    let text = registry.stdout(&[&["-q", "sql", "--file", &path, "-f", "json"], more].concat());
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut tags: Vec<String> =
        rows.iter().map(|row| row["tag"].as_str().unwrap().to_owned()).collect();
    tags.sort();
    tags
}

#[test]
fn two_images_of_each_minor_version_stay() {
    let mut builder = RegistryBuilder::new();
    images(
        &mut builder,
        "app",
        &[
            &["1.3.0"],
            &["1.3.1"],
            &["1.3.2", "1.3"],
            &["1.4.9"],
            &["1.4.10"],
            &["1.4.11", "1.4", "1"],
            &["main"],
            &["1.3.0-rc1", "prod"],
        ],
    );
    assert_eq!(selected(&Registry::of(&builder), "keep-per-minor.sql", &[]), ["1.3.0", "1.4.9"]);
}

#[test]
fn one_image_a_month_stays_and_all_new_ones() {
    let mut builder = RegistryBuilder::new();
    for (days, tag) in [(400, "a-1"), (399, "a-2"), (20, "a-3"), (19, "a-4"), (398, "latest")] {
        builder.at(days_ago(days));
        let layer = builder.layer(tag, 100);
        builder.image("app").layers([&layer]).push_tag(tag);
    }
    let gone = selected(&Registry::of(&builder), "one-a-month.sql", &[]);
    // The days may lie in two months.
    assert!(gone.len() <= 2 && gone.iter().all(|tag| tag == "a-1" || tag == "a-2"), "{gone:?}");
    assert!(!gone.is_empty(), "three images within three days");
}

#[test]
fn images_of_old_pull_requests_go_unless_something_else_names_them() {
    let mut builder = RegistryBuilder::new();
    for (days, tags) in
        [(30, &["pr-1", "7f3a9c2"][..]), (30, &["pr-2", "main"]), (3, &["pr-3"]), (30, &["1.0.0"])]
    {
        builder.at(days_ago(days));
        let layer = builder.layer(tags[0], 100);
        builder.image("app").layers([&layer]).push_tags(tags.iter().copied());
    }
    let registry = Registry::of(&builder);
    assert_eq!(selected(&registry, "pull-requests.sql", &[]), ["7f3a9c2", "pr-1"]);
}

#[test]
fn what_is_deployed_stays() {
    let mut builder = RegistryBuilder::new();
    images(
        &mut builder,
        "team/app",
        &[&["1.0.0"], &["1.1.0"], &["1.2.0"], &["1.3.0"], &["1.4.0"], &["1.5.0"]],
    );
    let registry = Registry::of(&builder);
    let digest =
        registry.rows("SELECT manifest_digest FROM tags WHERE tag = '1.1.0'")[0]["manifest_digest"]
            .as_str()
            .unwrap()
            .to_owned();
    let selected =
        |list: &str| selected(&registry, "keep-deployed.sql", &["-p", &format!("deployed={list}")]);
    let deployed = format!(r#"["registry.example.com:5000/team/app:1.0.0", "x@{digest}"]"#);
    assert_eq!(selected(&deployed), ["1.2.0"]);
    for pod in [format!("docker-pullable://h/team/app@{digest}"), digest.clone()] {
        assert_eq!(selected(&format!(r#"["{pod}"]"#)), ["1.0.0", "1.2.0"], "{pod}");
    }
    // Another registry's list, a path that only ends like a repository, and no list at all.
    let foreign = r#"["other/app:1.0.0", "xteam/app:1.0.0", "team/app:9", "team/app"]"#;
    for nothing in [foreign, "[]", r#"[""]"#] {
        assert_eq!(selected(nothing), [""; 0], "{nothing}");
    }
    // What a cluster runs, as `scan --roots` reads it, is a list too.
    std::fs::write(registry.path("running.txt"), "h/team/app:1.1.0\n").unwrap();
    registry.stdout(&["scan", "registry", "--roots", "running.txt"]);
    assert_eq!(selected("[]"), ["1.0.0", "1.2.0"]);
    assert_eq!(selected(foreign), [""; 0], "roots do not make another registry's list right");
}

#[test]
fn a_platform_that_is_deployed_keeps_the_tag_of_its_index() {
    let mut builder = RegistryBuilder::new();
    let mut platforms = Vec::new();
    for number in 0..6 {
        builder.at(days_ago(100 - number));
        let children = ["amd64", "arm64"].map(|platform| {
            let layer = builder.layer(&format!("{number} {platform}"), 100);
            builder.image("library/app").platform(platform).layers([&layer]).push()
        });
        builder.index("library/app").children(&children).push_tag(&format!("1.{number}.0"));
        platforms.push(children);
    }
    let layer = builder.layer("short", 100);
    builder.image("library/app").layers([&layer]).push_tags(["0.1.0", "latest"]);
    let registry = Registry::of(&builder);
    let selected =
        |list: &str| selected(&registry, "keep-deployed.sql", &["-p", &format!("deployed={list}")]);
    let amd64 = &platforms[1][0].digest;
    assert_eq!(selected(&format!(r#"["h/app@{amd64}"]"#)), ["1.0.0", "1.2.0"]);
    // Some container runtimes report the digest of the config as the image's id.
    let sql = format!("SELECT config_digest AS name FROM manifests WHERE digest = '{amd64}'");
    let config = registry.names(&sql).pop_first().unwrap();
    assert_eq!(selected(&format!(r#"["{config}"]"#)), ["1.0.0", "1.2.0"]);
    // A short name without a tag, as Docker Hub's own images have.
    assert_eq!(selected(r#"["app"]"#), ["1.0.0", "1.1.0", "1.2.0"]);
}

#[test]
fn what_was_not_pulled_goes_but_the_newest_three() {
    let mut builder = RegistryBuilder::new();
    for (number, days) in [300, 290, 280, 270, 260, 250].into_iter().enumerate() {
        builder.at(days_ago(days));
        let layer = builder.layer(&number.to_string(), 100);
        builder.image("app").layers([&layer]).push_tag(&format!("1.{number}.0"));
    }
    let registry = Registry::of(&builder);
    assert_eq!(selected(&registry, "not-pulled.sql", &[]), [""; 0]);
    let time = |days| {
        jiff::Timestamp::try_from(days_ago(days))
            .unwrap()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    };
    let table = format!(
        "repository,tag,last_pulled_at\napp,1.0.0,{}\napp,1.5.0,{}\napp,1.1.0,{}\n",
        time(200),
        time(0),
        time(10)
    );
    std::fs::write(registry.path("pulls.csv"), table).unwrap();
    registry.stdout(&["pulls", "import", "pulls.csv"]);
    assert_eq!(selected(&registry, "not-pulled.sql", &[]), ["1.0.0", "1.2.0"]);
}

#[test]
fn a_policy_is_tested_against_what_is_expected_of_it() {
    let mut builder = RegistryBuilder::new();
    images(&mut builder, "app", &[&["1.0.0"], &["1.0.1"], &["1.0.2"], &["1.0.3"]]);
    let registry = Registry::of(&builder);
    let path = policy("keep-per-minor.sql");
    let code = |more: &[&str]| {
        let output = registry.run(&[&["sql", "--file", &path, "--what-if"], more].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(code(&["--expect-max-tags", "2", "--expect-max-bytes", "1MB"]).0, Some(0));
    let (status, error) = code(&["--expect-max-tags", "1"]);
    assert_eq!(status, Some(1));
    assert!(error.contains("2 tags would go, and --expect-max-tags is 1"), "{error}");
    let (status, error) = code(&["--expect-max-bytes", "1KB"]);
    assert!(status == Some(1) && error.contains("--expect-max-bytes is"), "{error}");
}

#[test]
fn several_policies_are_carried_out_together() {
    let mut builder = RegistryBuilder::new();
    images(&mut builder, "app", &[&["1.0.0"], &["1.0.1"], &["1.0.2"], &["pr-1"], &["latest"]]);
    let registry = Registry::of(&builder);
    let files: Vec<PathBuf> =
        vec![policy("keep-per-minor.sql").into(), policy("pull-requests.sql").into()];
    let files: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let error = registry.prune(&["--file", files[0], "--file", files[1]]);
    assert!(error.contains("keep-per-minor.sql` names 1 row"), "{error}");
    assert!(error.contains("pull-requests.sql` names 1 row"), "{error}");
    assert_eq!(
        registry.tags().into_iter().collect::<Vec<_>>(),
        ["app:1.0.1", "app:1.0.2", "app:latest"]
    );
}

#[test]
fn rows_that_are_struck_in_the_editor_stay() {
    let mut builder = RegistryBuilder::new();
    images(&mut builder, "app", &[&["1.0.0"], &["1.1.0"], &["1.2.0"], &["1.3.0"]]);
    let registry = Registry::of(&builder);
    let prune = |editor: &str| {
        let mut command = registry.command(&[
            "prune",
            "keep-latest",
            "-p",
            "keep=1",
            "--edit",
            "--min-age=0s",
            "--max-delete-percent=100",
            "--delete",
            "--offline",
            "--yes",
        ]);
        command.env("EDITOR", editor).output().unwrap()
    };
    let failed = prune("false");
    assert_eq!(failed.status.code(), Some(2));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("the editor `false` failed"));
    assert_eq!(prune("sed -i s/1.1.0/9.9.9/").status.code(), Some(2));
    assert_eq!(registry.tags().len(), 4);
    assert_eq!(prune("sed -i /1.1.0/d").status.code(), Some(0));
    registry.stdout(&["scan", "registry"]);
    assert_eq!(registry.tags().into_iter().collect::<Vec<_>>(), ["app:1.1.0", "app:1.3.0"]);
}
