//! Every form of a list of references: the same image stays, whether the list is given to `--protect` or to
//! `scan --roots`; what is half, empty, foreign or older deletes nothing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use regsql::sample::RegistryBuilder;
use serde_json::{Value, json};

use crate::env::shown;
use crate::retention::{Registry, days_ago};

/// An image without a tag that something outside uses, one that nothing does, and a tag.
struct Case {
    registry: Registry,
    /// Hexadecimal digits of the digest of what is used, and of its config's.
    used: String,
    config: String,
}

impl Case {
    fn new() -> Self {
        let mut builder = RegistryBuilder::new();
        builder.at(days_ago(30));
        let [tagged, used, dead] = ["tagged", "used", "dead"].map(|name| builder.layer(name, 900));
        builder.image("team/app").layers([&tagged]).push_tag("1.0");
        let used = builder.image("team/app").layers([&used]).push();
        builder.image("team/app").layers([&dead]).push();
        let registry = Registry::of(&builder);
        let used = used.digest.to_string().replace("sha256:", "");
        let sql = format!("SELECT config_digest FROM manifests WHERE digest = 'sha256:{used}'");
        let config =
            registry.rows(&sql)[0]["config_digest"].as_str().unwrap().replace("sha256:", "");
        Self { registry, used, config }
    }

    fn write(&self, text: &str) {
        fs::write(self.registry.path("list"), text).unwrap();
    }

    /// What a plan takes, or why there is none.
    fn plan(&self, more: &[&str]) -> Result<Value, String> {
        let prune = ["prune", "untagged-revisions", "--garbage", "--min-age", "0s"];
        let any = ["--max-delete-percent", "100", "--format", "json"];
        let output = self.registry.run(&[&prune[..], &any, more].concat());
        match output.status.code() {
            Some(0) => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            code => Err(format!("{code:?} {}", shown(&output))),
        }
    }

    /// Asserts that the plan takes one image with its layer and config, and not the one that is used.
    #[track_caller]
    fn assert_kept(&self, plan: Result<Value, String>, form: &str) {
        let plan = plan.unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!(plan["counts"]["revisions"], 1, "{form}: {plan}");
        assert_eq!(plan["counts"]["blobs"], 3, "{form}: {plan}");
        assert!(!plan["items"].to_string().contains(&self.used), "{form}: {plan}");
    }

    fn delete(&self, more: &[&str]) -> Output {
        let prune = ["prune", "untagged-revisions", "--garbage", "--offline", "--delete", "--yes"];
        self.registry.run(&[&prune[..], &["--max-delete-percent", "100"], more].concat())
    }

    fn blob_count(&self) -> usize {
        super::blobs(&self.registry.root()).len()
    }
}

/// A form by its name; whether roots, which need whole digests, take it too.
fn forms(case: &Case) -> Vec<(&'static str, String, bool)> {
    let Case { used, config, .. } = case;
    let pod = |status: Value| {
        json!({"kind": "Pod", "status": {"containerStatuses": [status]}}).to_string()
    };
    let image = json!({"apiVersion": "image.openshift.io/v1", "kind": "Image", "metadata": {"name": format!("sha256:{used}")}});
    vec![
        ("digest", format!("sha256:{used}"), true),
        ("64 digits", used.clone(), true),
        ("repository and digest", format!("team/app@sha256:{used}"), true),
        ("with a host", format!("registry.example.com:5000/team/app@sha256:{used}"), true),
        ("tag and digest", format!("team/app:gone@sha256:{used}"), true),
        ("image id", format!("sha256:{config}"), true),
        ("short image id", config[..12].to_owned(), false),
        ("CSV", format!("repository,tag,digest\nteam/app,,sha256:{used}\n"), true),
        ("TSV", format!("repository\ttag\tdigest\nteam/app\t\t{used}\n"), true),
        ("CSV of an image id", format!("digest\nsha256:{config}\n"), true),
        ("bytea", format!("repository,tag,digest\nteam/app,,\\x01{used}\n"), true),
        ("bytea by encode()", format!("repository,tag,digest\nteam/app,,01{used}\n"), true),
        ("imageID", pod(json!({"imageID": format!("team/app@sha256:{used}")})), true),
        ("imageID of docker", pod(json!({"imageID": format!("docker-pullable://team/app@sha256:{used}")})), true),
        ("imageID of a config", pod(json!({"imageID": format!("sha256:{config}")})), true),
        ("Knative", json!({"kind": "Revision", "status": {"containerStatuses": [{"imageDigest": format!("team/app@sha256:{used}")}]}}).to_string(), true),
        ("OpenShift's images", json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageList", "items": [image]}).to_string(), true),
        ("OpenShift's streams", json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"namespace": "team", "name": "app"}, "status": {"tags": [{"tag": "1", "items": [{"image": format!("sha256:{used}")}]}]}}).to_string(), true),
    ]
}

#[test]
fn every_form_of_a_list_keeps_the_image_that_it_names() {
    for (form, text, is_for_roots) in forms(&Case::new()) {
        // Same calls, same digests.
        let case = Case::new();
        case.write(&text);
        case.assert_kept(case.plan(&["--protect", "list"]), &format!("--protect {form}"));
        case.assert_kept(case.plan(&["--protect-command", "cat list"]), &format!("command {form}"));
        let scanned = case.registry.run(&["scan", "registry", "--roots", "list"]);
        if !is_for_roots {
            assert_eq!(scanned.status.code(), Some(2), "{form}: {}", shown(&scanned));
            continue;
        }
        assert!(scanned.status.success(), "{form}: {}", shown(&scanned));
        let found = case.registry.rows("SELECT is_found FROM roots");
        assert!(found.contains(&json!({"is_found": 1})), "{form}: {found:?}");
        case.assert_kept(case.plan(&[]), &format!("--roots {form}"));
    }
}

#[test]
fn a_list_that_is_half_empty_foreign_or_no_list_deletes_nothing() {
    let case = Case::new();
    let used = &case.used;
    let blob_count = case.blob_count();
    let lists = [
        ("empty", String::new(), "names nothing"),
        ("a comment", "# nothing is in use\n".into(), "names nothing"),
        ("half of a line", format!("repository,tag,digest\nteam/app,,sha256:{used}\nteam/app,1."), "values"),
        ("no header", format!("team/app,1.0,sha256:{used}\n"), "may be a tag"),
        ("half of JSON", r#"{"kind":"PodList","items":[{"kind":"Pod""#.into(), "cut short"),
        ("an error", r#"{"kind":"Status","status":"Failure"}"#.into(), "Status"),
        ("a page", r#"{"kind":"PodList","metadata":{"continue":"x"},"items":[{"spec":{"image":"team/app:1.0"}}]}"#.into(), "one page"),
        ("a database's digits", format!("01{used}\n"), "in this"),
        ("another registry's", format!("other/thing:1\nother/thing@sha256:{}\n", "0".repeat(64)), "in this"),
    ];
    for (name, text, why) in lists {
        case.write(&text);
        let output = case.delete(&["--min-age", "0s", "--protect", "list"]);
        assert_eq!(output.status.code(), Some(2), "--protect {name}: {}", shown(&output));
        assert!(shown(&output).contains(why), "--protect {name}: {}", shown(&output));
        let output = case.registry.run(&["scan", "registry", "--roots", "list"]);
        assert_eq!(output.status.code(), Some(2), "--roots {name}: {}", shown(&output));
        assert!(shown(&output).contains(why), "--roots {name}: {}", shown(&output));
        assert!(shown(&output).contains("hint: "), "--roots {name}: {}", shown(&output));
        assert_eq!(case.blob_count(), blob_count, "{name}");
    }
}

#[test]
fn an_export_that_is_older_or_has_lost_rows_deletes_nothing_in_any_form() {
    let case = Case::new();
    let blob_count = case.blob_count();
    let many = |line: &dyn Fn(usize) -> String| (0..9).map(line).collect::<Vec<_>>();
    let digest = |number: usize| format!("sha256:{number:064}");
    let pods = |lines: &[String]| {
        let pod = |image: &String| json!({"kind": "Pod", "spec": {"image": image}});
        json!({"kind": "PodList", "items": lines.iter().map(pod).collect::<Vec<_>>()}).to_string()
    };
    let words = many(&digest);
    let used = format!("sha256:{}", case.used);
    let table = |lines: &[String]| format!("digest\n{}\n", lines.join("\n"));
    let all = [&[used.clone()][..], &words].concat();
    let forms = [
        ("words", all.join("\n"), used.clone()),
        ("CSV", table(&all), table(std::slice::from_ref(&used))),
        ("JSON", pods(&all), pods(std::slice::from_ref(&used))),
    ];
    for (form, whole, half) in forms {
        case.write(&whole);
        case.registry.stdout(&["scan", "registry", "--roots", "list", "--accept-roots"]);
        let refused = |more: &[&str], why: &str| {
            let output = case.delete(more);
            assert_eq!(output.status.code(), Some(2), "{form}: {}", shown(&output));
            assert!(shown(&output).contains(why), "{form}: {}", shown(&output));
            assert_eq!(case.blob_count(), blob_count, "{form}");
        };
        case.write(&half);
        refused(&["--min-age", "0s"], "and had 10 at the last scan");
        case.write(&whole);
        let list = File::options().write(true).open(case.registry.path("list")).unwrap();
        list.set_modified(SystemTime::now() - Duration::from_hours(30)).unwrap();
        refused(&["--min-age", "0s"], "older than those that the last scan read");
        case.registry.stdout(&["scan", "registry", "--accept-roots"]);
        refused(&[], "older than --min-age");
        fs::remove_file(case.registry.path("list")).unwrap();
        refused(&["--min-age", "0s"], "scan --authority storage");
    }
}

#[test]
fn roots_from_standard_input_are_for_one_scan() {
    let case = Case::new();
    let scan = |more: &[&str], text: &str| {
        let mut command = case.registry.command(&[&["scan", "registry"], more].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), shown(&output))
    };
    let (code, text) = scan(&["--roots", "-"], &format!("team/app@sha256:{}\n", case.used));
    assert_eq!(code, Some(0), "{text}");
    let rows = case.registry.rows("SELECT source, line, is_found FROM roots");
    assert_eq!(rows, [json!({"source": "-", "line": 1, "is_found": 1})]);
    let why = case.registry.stdout(&["why", &format!("team/app@sha256:{}", case.used)]);
    assert!(why.contains("standard input") || why.contains("row 1 of -"), "{why}");
    case.assert_kept(case.plan(&[]), "standard input");
    // Whatever scans again has nothing to read, and says so.
    let blob_count = case.blob_count();
    let output = case.delete(&["--min-age", "0s"]);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(shown(&output).contains("came from standard input"), "{}", shown(&output));
    assert_eq!(case.blob_count(), blob_count);
    for (more, text, why) in [
        (&["--roots", "-"][..], "", "`standard input` names nothing"),
        (&["--roots", "-"], "{\"kind\":\"Pod\"", "`standard input` is cut short"),
        (&["--roots", "-", "--roots", "-"], "team/app:1.0", "standard input can be read once"),
    ] {
        let (code, said) = scan(more, text);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn an_export_of_one_project_condemns_nothing_of_another() {
    let mut builder = RegistryBuilder::new();
    builder.at(days_ago(30));
    let mut live = Vec::new();
    for project in ["alpha/app", "beta/app"] {
        for number in 0..4 {
            let layer = builder.layer(&format!("{project} {number}"), 700);
            live.push((project, builder.image(project).layers([&layer]).push().digest.to_string()));
        }
    }
    let layer = builder.layer("no longer known", 700);
    builder.image("alpha/app").layers([&layer]).push();
    let registry = Registry::of(&builder);
    let export = |project: &str| {
        let known = live.iter().filter(|(repository, _)| repository.starts_with(project));
        let rows = known.map(|(repository, digest)| format!("{repository},,{digest}\n"));
        let text = "repository,tag,digest\n".to_owned() + &rows.collect::<String>();
        fs::write(registry.path("roots.csv"), text).unwrap();
    };
    let plan = |scan: &[&str]| {
        registry.stdout(&[&["scan", "registry", "--roots", "roots.csv"], scan].concat());
        let prune = ["prune", "untagged-revisions", "--garbage", "--min-age", "0s", "-f", "json"];
        let text = registry.stdout(&[&prune[..], &["--max-delete-percent", "100"]].concat());
        serde_json::from_str::<Value>(&text).unwrap()
    };
    export("alpha");
    let half = plan(&[]);
    assert_eq!(half["counts"]["revisions"], 1, "{half}");
    assert!(!half["items"].to_string().contains("beta/app"), "{half}");
    assert_eq!(half["skipped"].as_array().unwrap().len(), 4, "{half}");
    // Where roots are the authority, what they lack is dead: that is what a hard prune is.
    assert_eq!(plan(&["--authority", "roots"])["counts"]["revisions"], 5);
    export("");
    assert_eq!(plan(&["--accept-roots"])["counts"]["revisions"], 1);
}

#[test]
fn an_export_that_lacks_half_of_one_repository_is_refused_after_a_whole_one() {
    let mut registry = RegistryBuilder::new();
    let mut rows = Vec::new();
    for repository in 0..9 {
        for number in 0..8 {
            let config =
                registry.blob(format!("{{\"rootfs\":{{}},\"n\":[{repository},{number}]}}"));
            let layer = registry.layer(&format!("{repository} {number}"), 900 + number);
            rows.extend([config, layer].map(|blob| (repository, blob.digest.to_string())));
        }
    }
    // A storage without a repository is held as a whole.
    registry.image("team/tagged").push_tag("1.0");
    let registry = Registry::of(&registry);
    let write = |is_named: &dyn Fn(usize, &(u64, String)) -> bool| {
        let named = rows.iter().enumerate().filter(|(at, row)| is_named(*at, row));
        let mut lines = vec!["repository,tag,digest,kind".to_owned()];
        lines.extend(named.map(|(_, (_, digest))| format!(",,{digest},blob")));
        // More rows of things that are not here: the length says nothing.
        lines.extend((0..20).map(|number| format!(",,{number:064x},blob")));
        fs::write(registry.path("roots.csv"), lines.join("\n") + "\n").unwrap();
    };
    let half =
        |at: usize, (repository, _): &(u64, String)| *repository != 4 || at.is_multiple_of(2);
    let scan = ["scan", "registry", "--roots", "roots.csv"];
    write(&|_, _| true);
    registry.stdout(&scan);
    let blobs = registry.rows("SELECT count(*) AS count FROM blobs")[0]["count"].clone();
    // Eight blobs are what a collector may have left, and are garbage.
    write(&half);
    assert_eq!(registry.run(&scan).status.code(), Some(0));
    assert_eq!(registry.rows("SELECT count(*) AS count FROM orphan_blobs")[0]["count"], 8);
    write(&|_, _| true);
    registry.stdout(&scan);
    let most =
        |at: usize, row: &(u64, String)| half(at, row) && (row.0 != 5 || !at.is_multiple_of(4));
    write(&most);
    let said = registry.stderr(&scan);
    assert!(said.contains("no longer name 12 of 144 blobs here"), "{said}");
    assert!(said.contains("--accept-roots"), "{said}");
    let delete =
        ["prune", "--garbage", "--min-age=0s", "--delete", "--offline", "--yes", "--no-trash"];
    assert_eq!(registry.run(&delete).status.code(), Some(2));
    assert_eq!(registry.rows("SELECT count(*) AS count FROM blobs")[0]["count"], blobs);
    assert_eq!(registry.run(&[&scan[..], &["--accept-roots"]].concat()).status.code(), Some(0));
    assert_eq!(registry.rows("SELECT count(*) AS count FROM orphan_blobs")[0]["count"], 12);
}

/// A storage with an image of fourteen layers, and three blobs beside it.
fn registry_with_one_image() -> (Registry, String, Vec<String>) {
    let mut registry = RegistryBuilder::new();
    let layers: Vec<_> =
        (0..14).map(|number| registry.layer(&format!("of an image {number}"), 900)).collect();
    let image = registry.image("team/app").layers(&layers).push();
    let mut blobs: Vec<String> = layers.iter().map(|layer| layer.digest.to_string()).collect();
    blobs.extend(
        (0..3)
            .map(|number| registry.layer(&format!("beside {number}"), 800))
            .map(|layer| layer.digest.to_string()),
    );
    registry.image("team/tagged").push_tag("1.0");
    (Registry::of(&registry), image.digest.to_string(), blobs)
}

fn write_roots(registry: &Registry, rows: impl IntoIterator<Item = String>) {
    let mut lines = vec!["repository,tag,digest,kind".to_owned()];
    lines.extend(rows);
    // Rows of things that are not here: the length says nothing.
    lines.extend((0..100).map(|number| format!(",,{number:064x},blob")));
    fs::write(registry.path("roots.csv"), lines.join("\n") + "\n").unwrap();
}

#[test]
fn an_export_that_drops_just_what_was_unreadable_at_the_last_scan_is_refused() {
    let (registry, _, blobs) = registry_with_one_image();
    let scan = ["scan", "registry", "--roots", "roots.csv"];
    write_roots(&registry, blobs.iter().map(|digest| format!(",,{digest},blob")));
    registry.stdout(&scan);
    // All blobs but the last three are hidden for one scan.
    let hidden: Vec<(PathBuf, PathBuf)> = blobs[..14]
        .iter()
        .map(|digest| {
            let hex = digest.strip_prefix("sha256:").unwrap();
            let place = registry.path("registry/docker/registry/v2/blobs/sha256").join(&hex[..2]);
            let place = place.join(hex);
            (place.clone(), registry.path("away").join(hex))
        })
        .collect();
    fs::create_dir(registry.path("away")).unwrap();
    for (place, away) in &hidden {
        fs::rename(place, away).unwrap();
        std::os::unix::fs::symlink(away, place).unwrap();
    }
    registry.stdout(&[&scan[..], &["--full"]].concat());
    let unknown = "SELECT count(*) AS count FROM blobs WHERE is_present IS NULL";
    assert_eq!(registry.rows(unknown)[0]["count"], 14);
    for (place, away) in &hidden {
        fs::remove_file(place).unwrap();
        fs::rename(away, place).unwrap();
    }
    write_roots(&registry, blobs[14..].iter().map(|digest| format!(",,{digest},blob")));
    let said = registry.stderr(&scan);
    assert!(said.contains("no longer name 14 of 17 blobs here"), "{said}");
}

#[test]
fn an_export_that_names_a_manifest_that_cannot_be_read_any_more_is_taken() {
    let (registry, manifest, blobs) = registry_with_one_image();
    let scan = ["scan", "registry", "--roots", "roots.csv"];
    let named = |more: &[&str]| {
        let blobs = blobs[14..].iter().map(|digest| format!(",,{digest},blob"));
        let image = format!("team/app,,{manifest},manifest");
        let more = more.iter().map(|digest| format!(",,{digest},blob"));
        write_roots(&registry, blobs.chain([image]).chain(more));
    };
    named(&[]);
    registry.stdout(&scan);
    let hex = manifest.strip_prefix("sha256:").unwrap();
    let data = registry.path("registry/docker/registry/v2/blobs/sha256").join(&hex[..2]);
    let data = data.join(hex).join("data");
    fs::write(data, "{").unwrap();
    // Another export, so that it is compared.
    named(&[&blobs[0]]);
    registry.stdout(&scan);
    // And nothing of the image goes.
    assert_eq!(registry.rows("SELECT count(*) AS count FROM orphan_blobs")[0]["count"], 0);
    // Without the manifest it is half an export as before.
    write_roots(&registry, blobs[14..].iter().map(|digest| format!(",,{digest},blob")));
    let said = registry.stderr(&scan);
    assert!(said.contains("no longer name"), "{said}");
}

#[test]
fn what_an_unreadable_manifest_named_is_not_forgotten_by_a_scan_of_the_same_export() {
    let (registry, manifest, blobs) = registry_with_one_image();
    let scan = ["scan", "registry", "--roots", "roots.csv"];
    let beside = || blobs[14..].iter().map(|digest| format!(",,{digest},blob"));
    write_roots(&registry, beside().chain([format!("team/app,,{manifest},manifest")]));
    registry.stdout(&scan);
    let known = || registry.rows("SELECT count(*) AS count FROM blobs WHERE is_known")[0].clone();
    let all = known();
    let hex = manifest.strip_prefix("sha256:").unwrap();
    let data = registry.path("registry/docker/registry/v2/blobs/sha256").join(&hex[..2]);
    let data = data.join(hex).join("data");
    let whole = fs::read(&data).unwrap();
    fs::write(&data, "{").unwrap();
    // However often it is scanned, by the same export: also one that is read again.
    for more in [&[][..], &["--full"], &["--accept-roots"]] {
        registry.stdout(&[&scan[..], more].concat());
        assert_eq!(known(), all, "{more:?}");
    }
    fs::write(&data, whole).unwrap();
    // Half an export, which the last one that could be read whole shows.
    write_roots(&registry, beside());
    let said = registry.stderr(&scan);
    assert!(said.contains("no longer name 16 of 19 blobs here"), "{said}");
}
