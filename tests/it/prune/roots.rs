//! What exports of somebody else's references keep, and which exports are refused.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use regsql::model::Digest;

use regsql::sample::{Descriptor, Random, RegistryBuilder, paths};

use super::Disk;

const DELETE: [&str; 9] = [
    "prune",
    "untagged-revisions",
    "--garbage",
    "--min-age=0s",
    "--max-delete-percent=100",
    "--delete",
    "--offline",
    "--yes",
    "--no-trash",
];

fn image(registry: &mut RegistryBuilder, repository: &str, name: &str, tag: &str) -> Descriptor {
    let layer = registry.layer(name, 900);
    let image = registry.image(repository).layers([&layer]).label("name", name);
    if tag.is_empty() { image.push() } else { image.push_tag(tag) }
}

/// Blobs on disk.
fn blobs(disk: &Disk) -> BTreeSet<String> {
    let tree = disk.below("docker/registry/v2/blobs/sha256");
    let below = |path: std::path::PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    let blobs = below(tree).flat_map(|prefix| below(prefix.path()));
    blobs.map(|blob| blob.file_name().into_string().unwrap()).collect()
}

fn text(output: &std::process::Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

/// Writes an export and scans with it; the exit code and what was said.
fn scan(disk: &Disk, rows: &str, more: &[&str]) -> (i32, String) {
    fs::write(disk.below("../roots.csv"), format!("repository,tag,digest\n{rows}")).unwrap();
    let output = disk.regsql(&[&["scan", "registry", "--roots", "roots.csv"], more].concat());
    (output.status.code().unwrap(), text(&output))
}

fn delete(disk: &Disk) -> (i32, String) {
    let output = disk.regsql(&DELETE);
    (output.status.code().unwrap(), text(&output))
}

/// Several repositories with tagged, untagged and unlinked images.
fn registry(random: &mut Random) -> (RegistryBuilder, Vec<(String, String, Descriptor)>) {
    let mut registry = RegistryBuilder::new();
    let mut images = Vec::new();
    for at in 0..8 {
        let repository = format!("team/app{}", random.below(3));
        let tag = if random.chance(0.6) { format!("v{at}") } else { String::new() };
        let pushed = image(&mut registry, &repository, &format!("image {at}"), &tag);
        images.push((repository, tag, pushed));
    }
    // Evidence of another holder is not what these tests are about.
    image(&mut registry, "team/base", "base", "latest");
    (registry, images)
}

#[test]
fn roots_beside_the_storage_never_delete_more_and_alone_delete_exactly_what_they_do_not_reach() {
    for seed in 0..3 {
        let mut random = Random::new(seed);
        let (registry, images) = registry(&mut random);
        let named: Vec<_> = images.iter().filter(|_| random.chance(0.5)).collect();
        let base = "team/base,latest,\n";
        let rows: String = named
            .iter()
            .map(|(repository, tag, image)| match random.below(3) {
                0 if !tag.is_empty() => format!("{repository},{tag},\n"),
                1 => format!(",,{}\n", image.digest),
                _ => format!("{repository},,{}\n", image.digest),
            })
            .collect();
        let without = Disk::of(&registry);
        without.regsql(&["scan", "registry"]);
        assert!(matches!(
            without.regsql(&[&DELETE[..], &["--trust-storage"]].concat()).status.code(),
            Some(0 | 1)
        ));

        let both = Disk::of(&registry);
        let before = blobs(&both);
        assert_eq!(scan(&both, &format!("{base}{rows}"), &[]).0, 0, "seed {seed}");
        let (_, said) = delete(&both);
        assert!(blobs(&both).is_superset(&blobs(&without)), "seed {seed}: {said}");
        let kept =
            |image: &Descriptor, disk: &Disk| disk.below(paths::blob(&image.digest)).exists();
        for (_, tag, image) in &images {
            let is_named = named.iter().any(|(.., other)| other.digest == image.digest);
            assert_eq!(kept(image, &both), is_named || !tag.is_empty(), "seed {seed}: {said}");
        }

        let alone = Disk::of(&registry);
        let more = ["--authority", "roots"];
        assert_eq!(scan(&alone, &format!("{base}{rows}"), &more).0, 0, "seed {seed}");
        let (_, said) = delete(&alone);
        for (.., image) in &images {
            let is_named = named.iter().any(|(.., other)| other.digest == image.digest);
            assert_eq!(kept(image, &alone), is_named, "seed {seed}: {said}");
        }
        // Manifest, config and layer of each, and nothing else.
        let count = named.iter().map(|(.., image)| &image.digest).collect::<BTreeSet<_>>().len();
        assert_eq!(blobs(&alone).len(), 3 * (count + 1), "seed {seed}: {said}");
        assert!(blobs(&alone).is_subset(&before));
    }
}

fn two_images() -> (Disk, Descriptor, String) {
    let mut registry = RegistryBuilder::new();
    let untagged = image(&mut registry, "library/web", "old", "");
    image(&mut registry, "library/web", "new", "latest");
    let rows = format!("library/web,latest,\nlibrary/web,,{}\nx,,\n", untagged.digest);
    (Disk::of(&registry), untagged, rows.replace("x,,\n", ""))
}

#[test]
fn an_export_that_is_gone_older_shorter_or_of_another_registry_deletes_nothing() {
    let (disk, untagged, rows) = two_images();
    let before = blobs(&disk);
    let foreign = Digest::Sha256([7; 32]);
    let (code, said) = scan(&disk, &format!("other/app,,{foreign}\n"), &[]);
    assert!(code == 2 && said.contains("nothing that the roots name (1 row)"), "{said}");
    assert_eq!(scan(&disk, &rows, &[]).0, 0);

    let path = disk.below("../roots.csv");
    let touch = |time| File::open(&path).unwrap().set_modified(time).unwrap();
    touch(SystemTime::now() - Duration::from_hours(25));
    let (code, said) = delete(&disk);
    assert!(code == 2 && said.contains("are older than those that the last scan read"), "{said}");

    fs::write(&path, "repository,tag,digest\nlibrary/web,latest,\n").unwrap();
    let (code, said) = delete(&disk);
    assert!(code == 2 && said.contains("have 1 row, and had 2"), "{said}");

    fs::write(&path, "repository,tag,digest\nlibrary/web,latest,\nlibrary/web,,sha256:12").unwrap();
    assert_eq!(delete(&disk).0, 2, "cut");

    fs::remove_file(&path).unwrap();
    let (code, said) = delete(&disk);
    assert!(code == 2 && said.contains("cannot read"), "{said}");
    // A scan without --roots reads the same files again.
    assert_eq!(disk.regsql(&["scan", "registry"]).status.code(), Some(2));
    assert_eq!(blobs(&disk), before);

    let (code, said) = scan(&disk, "library/web,latest,\n", &["--accept-roots"]);
    assert_eq!(code, 0, "{said}");
    delete(&disk);
    assert!(!disk.below(paths::blob(&untagged.digest)).exists(), "a new export is never ignored");
}

#[test]
fn an_export_older_than_the_age_that_protects_new_pushes_is_refused() {
    let (disk, _, rows) = two_images();
    fs::write(disk.below("../roots.csv"), format!("repository,tag,digest\n{rows}")).unwrap();
    let old = SystemTime::now() - Duration::from_hours(25);
    File::open(disk.below("../roots.csv")).unwrap().set_modified(old).unwrap();
    assert_eq!(disk.regsql(&["scan", "registry", "--roots", "roots.csv"]).status.code(), Some(0));
    let patient: Vec<&str> =
        DELETE.iter().copied().filter(|word| *word != "--min-age=0s").collect();
    let output = disk.regsql(&patient);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the roots are older than --min-age"), "{said}");
}

#[test]
fn views_say_what_roots_know() {
    let (disk, untagged, rows) = two_images();
    let gone = Digest::Sha256([7; 32]);
    assert_eq!(scan(&disk, &format!("{rows}library/web,,{gone}\n"), &[]).0, 0);
    let why = text(&disk.regsql(&["why", &untagged.digest.to_string()]));
    let row = format!("roots.csv: library/web@{}", untagged.digest);
    assert!(why.contains("kept by row 3 of ") && why.contains(&row), "{why}");
    for (report, rows) in [("unknown-blobs", 0), ("missing-blobs", 1), ("unknown-revisions", 0)] {
        let output = disk.regsql(&["report", report, "-f", "ndjson"]);
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), rows, "{report}");
    }
    let sql = |query: &str| {
        let output = disk.regsql(&["sql", "-f", "csv", query]);
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        sql("SELECT line, tag, is_found FROM roots ORDER BY line"),
        "line,tag,is_found\n2,latest,1\n3,,1\n4,,0\n"
    );
    assert_eq!(
        sql("SELECT authority, roots_count FROM scan_info"),
        "authority,roots_count\nboth,3\n"
    );
    assert_eq!(sql("SELECT count(*) AS n FROM blobs WHERE is_present AND NOT is_known"), "n\n0\n");
    assert_eq!(sql("SELECT is_known FROM tags"), "is_known\n1\n");
    let revision =
        format!("SELECT is_root FROM revisions WHERE manifest_digest = '{}'", untagged.digest);
    assert_eq!(sql(&revision), "is_root\n1\n");
}
