//! What stands on what, what changes at each build, and what tags remember for nothing.

use regsql::model::Digest;
use regsql::sample::RegistryBuilder;

use super::{Registry, days_ago};

fn rows(registry: &Registry, report: &[&str]) -> Vec<serde_json::Value> {
    let text = registry.stdout(&[&["-q", "report"], report, &["-f", "json"]].concat());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_image_stands_on_another_when_its_first_layers_are_all_of_that_in_order() {
    let mut builder = RegistryBuilder::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| builder.layer(name, 1_000));
    builder.image("base/os").layers([&a, &b]).push_tag("12");
    builder.image("team/app").layers([&a, &b, &c]).push_tag("1.0");
    builder.image("team/tool").layers([&a, &b, &c, &d]).push_tag("1.0");
    // The same layers in another order, the same layers, and a part of them.
    builder.image("team/swapped").layers([&b, &a, &c]).push_tag("1.0");
    builder.image("team/same").layers([&a, &b]).label("x", "y").push_tag("1.0");
    builder.image("team/part").layers([&a, &c]).push_tag("1.0");
    let registry = Registry::of(&builder);

    let bases: Vec<(String, i64, i64)> = rows(&registry, &["base-images"])
        .iter()
        .map(|row| {
            let number = |name: &str| row[name].as_i64().unwrap();
            (
                row["repository"].as_str().unwrap().to_owned(),
                number("derived_image_count"),
                number("layer_bytes"),
            )
        })
        .collect();
    let expected = [("base/os", 2, 2_000), ("team/same", 2, 2_000), ("team/app", 1, 3_000)];
    assert_eq!(bases.len(), 3, "{bases:?}");
    for (repository, count, bytes) in expected {
        assert!(bases.contains(&(repository.into(), count, bytes)), "{bases:?}");
    }
    let derived = |image: &str| -> Vec<(String, i64)> {
        rows(&registry, &["derived-images", "-p", &format!("image={image}")])
            .iter()
            .map(|row| {
                (
                    row["repository"].as_str().unwrap().to_owned(),
                    row["added_bytes"].as_i64().unwrap(),
                )
            })
            .collect()
    };
    let both = [("team/app".to_owned(), 1_000), ("team/tool".to_owned(), 2_000)];
    assert_eq!(derived("base/os:12"), both);
    let digest = registry.rows("SELECT manifest_digest FROM tags WHERE repository = 'base/os'")[0]
        ["manifest_digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(derived(&digest), both);
    assert_eq!(derived("team/tool:1.0"), []);
    assert_eq!(derived("no/such:1.0"), []);
}

#[test]
fn churn_names_the_step_that_gives_a_new_layer_at_each_build() {
    let mut builder = RegistryBuilder::new();
    let base = builder.layer("base", 5_000);
    for build in 0..4 {
        builder.at(days_ago(20 - build));
        let code = builder.layer(&format!("code{build}"), 700);
        builder
            .image("app")
            .step("ADD rootfs", &base)
            .step("COPY . /app", &code)
            .push_tag("latest");
    }
    // Platforms of one build are no builds of each other.
    let children: Vec<_> = ["amd64", "arm64", "riscv64", "s390x"]
        .iter()
        .map(|platform| {
            let layer = builder.layer(platform, 900);
            builder
                .image("multi")
                .platform(&format!("linux/{platform}"))
                .step("RUN make", &layer)
                .push()
        })
        .collect();
    builder.index("multi").children(&children).push_tag("1.0");
    let registry = Registry::of(&builder);
    let found = rows(&registry, &["churn"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["created_by"], "COPY . /app");
    assert_eq!((&found[0]["build_count"], &found[0]["build_bytes"]), (&4.into(), &700.into()));
}

#[test]
fn a_layer_that_builds_of_two_platforms_share_is_counted_once() {
    let mut builder = RegistryBuilder::new();
    for build in 0..5 {
        builder.at(days_ago(20 - build));
        // arm64 is built less often, and its layers are those of amd64.
        let code = builder.layer(&format!("code{build}"), 700);
        for platform in ["linux/amd64", "linux/arm64"].iter().take(if build < 3 { 2 } else { 1 }) {
            let image = builder.image("app").platform(platform).step("COPY . /app", &code);
            image.push_tag(&format!("{build}-{}", &platform[6..]));
        }
    }
    let registry = Registry::of(&builder);
    for (builds, build_count) in [("3", 8), ("4", 5)] {
        let found = rows(&registry, &["churn", "-p", &format!("builds={builds}")]);
        assert_eq!(found[0]["build_count"], build_count, "{found:?}");
        assert_eq!((&found[0]["layer_count"], &found[0]["layer_bytes"]), (&5.into(), &3500.into()));
    }
    let database = rusqlite::Connection::open(registry.path("registry.db")).unwrap();
    crate::properties::summaries::check(&database);
    // A migration adds tables that the scan of an older regsql has not filled.
    let before = registry.stderr(&["report", "churn"]);
    database.execute_batch("UPDATE scan_schema SET version = version - 1").unwrap();
    let after = registry.stderr(&["report", "churn"]);
    assert!(
        after.contains("an older regsql made this scan") && !before.contains("older"),
        "{after}"
    );
}

#[test]
fn what_a_tag_remembers_of_a_manifest_that_is_gone_is_dead() {
    let mut builder = RegistryBuilder::new();
    builder.at(days_ago(9));
    let layer = builder.layer("layer", 100);
    builder.image("app").layers([&layer]).push_tag("latest");
    let other = builder.layer("other", 100);
    builder.image("app").layers([&other]).push_tag("latest");
    let gone = Digest::parse(&format!("sha256:{}", "0c".repeat(32))).unwrap();
    builder.put(
        format!(
            "docker/registry/v2/repositories/app/_manifests/tags/latest/index/sha256/{}/link",
            gone.encoded()
        ),
        regsql::sample::Content::Bytes(gone.to_string().into_bytes()),
    );
    let registry = Registry::of(&builder);
    let found = rows(&registry, &["dead-tag-history"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["history_digest"], gone.to_string());
}

#[test]
fn dead_entries_of_histories_go_to_the_trash_and_come_back() {
    let mut builder = RegistryBuilder::new();
    builder.at(days_ago(9));
    for name in ["first", "second"] {
        let layer = builder.layer(name, 100);
        builder.image("app").layers([&layer]).push_tag("latest");
    }
    let dead = Digest::parse(&format!("sha256:{}", "0c".repeat(32))).unwrap();
    let manifests = "docker/registry/v2/repositories/app/_manifests";
    let entry = format!("{manifests}/tags/latest/index/sha256/{}", dead.encoded());
    let content = regsql::sample::Content::Bytes(dead.to_string().into_bytes());
    builder.put(format!("{entry}/link"), content);
    let registry = Registry::of(&builder);
    let entry = registry.root().join(entry);
    let prune = |more: &[&str]| {
        let acting = ["--min-age=1d", "--delete", "--offline", "--yes"];
        let output = registry.run(&[&["prune"], more, &acting].concat());
        let said = [&output.stdout[..], &output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let count = || rows(&registry, &["dead-tag-history"]).len();

    // What the tag points at, or its repository still has, is not dead, whatever a query says.
    let sql = "SELECT repository, tag AS history_tag, manifest_digest AS history_digest FROM tag_history WHERE manifest_digest <> 'sha256:0c'";
    let (code, said) = prune(&["--sql", &sql.replace("sha256:0c", &dead.to_string())]);
    assert!(code == Some(1) && said.contains("its manifest is there"), "{said}");
    // It comes to life between the plan and the act: a push of the same manifest.
    let revision = registry.root().join(format!("{manifests}/revisions/sha256/{}", dead.encoded()));
    let before =
        format!("mkdir -p {0} && cp {1}/link {0}/link", revision.display(), entry.display());
    let (code, said) = prune(&["dead-tag-history", "--before", &before]);
    assert!(code == Some(0) && said.contains("Deleted nothing"), "{said}");
    std::fs::remove_dir_all(&revision).unwrap();
    assert!(entry.join("link").exists());

    let tags = registry.tags();
    let (code, said) = prune(&["dead-tag-history"]);
    assert!(code == Some(0) && said.contains("Deleted 1 tag history entry"), "{said}");
    assert!(!entry.exists());
    registry.stdout(&["scan", "registry"]);
    assert_eq!((count(), registry.tags()), (0, tags.clone()));
    registry.stdout(&["undo"]);
    assert_eq!(std::fs::read_to_string(entry.join("link")).unwrap(), dead.to_string());
    registry.stdout(&["scan", "registry"]);
    assert_eq!((count(), registry.tags()), (1, tags));
    // The same at once, and a young one stays.
    let (code, said) = prune(&["dead-tag-history", "--no-trash"]);
    assert!(code == Some(0) && !entry.exists(), "{said}");
    std::fs::create_dir_all(&entry).unwrap();
    std::fs::write(entry.join("link"), dead.to_string()).unwrap();
    let (_, said) = prune(&["dead-tag-history"]);
    assert!(entry.join("link").exists(), "{said}");
}
