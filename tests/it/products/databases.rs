//! Harbor and GitLab: references in a database, blobs in a storage that the real registry wrote. The documented export
//! runs, a scan reads it, and a prune takes only what the database does not know.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::postgres::Postgres;
use super::{blobs, block, broken, run, stdout};
use crate::real::layout::{Image, digest_of, layer};
use crate::real::registry::Registry;
use crate::real::{pushes, skopeo};

const ROOTS_PAGE: &str = include_str!("../../../docs/roots.md");

/// Whatever may go goes, at once.
const DELETE: [&str; 7] = [
    "--min-age=0s",
    "--max-delete-percent=100",
    "--delete",
    "--offline",
    "--yes",
    "--no-trash",
    "--format=json",
];

/// A storage whose references a database holds.
struct Product {
    registry: Registry,
    database: Postgres,
    /// Repository and image of all that is live.
    live: Vec<(&'static str, Image)>,
    /// On disk, and in no table.
    unknown: BTreeSet<String>,
}

impl Product {
    fn new(schema: &str) -> Self {
        let product = Self {
            registry: Registry::start(),
            database: Postgres::start(),
            live: Vec::new(),
            unknown: BTreeSet::new(),
        };
        product.sql(schema);
        product
    }

    fn sql(&self, script: &str) {
        self.database.run("postgres", script, self.registry.beside());
    }

    /// What docs/roots.md says below a heading.
    fn export(&self, heading: &str) -> String {
        self.sql(&block(ROOTS_PAGE, heading, "sql"));
        fs::read_to_string(self.registry.beside().join("roots.csv")).unwrap()
    }

    /// A blob without a link, as uploads leave that were given up and whose repository was cleaned.
    fn stray(&mut self, name: &str, size: usize) {
        let digest = self.registry.put_blob("stray/uploads", &layer(name, size));
        self.unknown.insert(digest);
        let links = self.registry.root().join("docker/registry/v2/repositories/stray");
        fs::remove_dir_all(links).unwrap();
    }

    fn scan(&self, more: &[&str]) -> (i32, String) {
        let root = self.registry.root().display().to_string();
        run(&self.registry, &[&["scan", &root], more].concat())
    }

    fn broken(&self) -> usize {
        broken(&self.registry, self.live.iter().map(|(_, image)| image))
    }

    /// Exports that a script may come to hold instead of the right one: none of them deletes anything.
    fn survives_wrong_exports(&self, right: &str, prune: &[&str]) {
        let before = blobs(&self.registry.root());
        let path = self.registry.beside().join("roots.csv");
        let lines: Vec<&str> = right.split_inclusive('\n').collect();
        let foreign = right.replace(['a', 'b'], "c").replace(['1', '2'], "3");
        let swapped = right.replacen("repository,tag", "tag,repository", 1);
        let wrongs = [
            ("half", lines[..lines.len() / 2].concat()),
            ("without its last row", lines[..lines.len() - 1].concat()),
            ("cut", right[..right.len() - 10].to_owned()),
            ("empty", String::new()),
            ("only a header", lines[0].to_owned()),
            ("an error", "ERROR:  relation \"blobs\" does not exist\n".to_owned()),
            ("of another registry", foreign),
            ("with columns in the wrong order", swapped),
        ];
        for is_first in [true, false] {
            for (what, text) in &wrongs {
                let database = self.registry.beside().join("registry.db");
                drop(fs::remove_file(&database));
                if !is_first {
                    fs::write(&path, right).unwrap();
                    assert_eq!(self.scan(&["--roots", "roots.csv"]).0, 0);
                }
                fs::write(&path, text).unwrap();
                let (code, said) = self.scan(&["--roots", "roots.csv"]);
                assert_eq!(code, 2, "{what}: {said}");
                let (code, said) = run(&self.registry, &[&["prune"], prune, &DELETE].concat());
                assert_eq!(code, 2, "{what}: {said}");
                assert_eq!(blobs(&self.registry.root()), before, "{what}: {said}");
            }
        }
        // The right one, from before the last one.
        fs::write(&path, right).unwrap();
        let old = SystemTime::now() - Duration::from_hours(30);
        File::open(&path).unwrap().set_modified(old).unwrap();
        let (code, said) = run(&self.registry, &[&["prune"], prune, &DELETE].concat());
        assert!(code == 2 && said.contains("are older"), "{said}");
        assert_eq!(blobs(&self.registry.root()), before);
    }
}

const HARBOR: &str = "
CREATE TABLE project (project_id serial PRIMARY KEY, name varchar(255));
CREATE TABLE repository (repository_id serial PRIMARY KEY, name varchar(255), project_id int);
CREATE TABLE blob (id serial PRIMARY KEY, digest varchar(255) UNIQUE, content_type varchar(1024), size bigint);
CREATE TABLE project_blob (id serial PRIMARY KEY, project_id int, blob_id int);
CREATE TABLE artifact_blob (id serial PRIMARY KEY, digest_af varchar(255), digest_blob varchar(255));
CREATE TABLE artifact (id serial PRIMARY KEY, project_id int, repository_id int, repository_name varchar(255),
    digest varchar(255), type varchar(255), size bigint, push_time timestamp DEFAULT CURRENT_TIMESTAMP,
    pull_time timestamp DEFAULT '0001-01-01 00:00:00');
CREATE TABLE tag (id serial PRIMARY KEY, repository_id int, artifact_id int, name varchar(255),
    push_time timestamp DEFAULT CURRENT_TIMESTAMP, pull_time timestamp DEFAULT '0001-01-01 00:00:00');
CREATE TABLE artifact_reference (id serial PRIMARY KEY, parent_id int, child_id int, child_digest varchar(255));
CREATE TABLE artifact_trash (id serial PRIMARY KEY, media_type varchar(255), repository_name varchar(255), digest varchar(255));
CREATE TABLE artifact_accessory (id serial PRIMARY KEY, artifact_id int, subject_artifact_id int,
    subject_artifact_digest varchar(1024), type varchar(256), size bigint, digest varchar(1024));
CREATE TABLE system_artifact (id serial PRIMARY KEY, repository varchar(256), digest varchar(255), size bigint, vendor varchar(255), type varchar(255));
";

impl Product {
    /// A push through Harbor 2.15: by digest, whatever the tag.
    fn harbor_push(&mut self, repository: &'static str, tag: &str, image: &Image) {
        pushes::put(&self.registry, repository, &image.digest(), image);
        self.harbor_rows(repository, tag, image);
        self.live.push((repository, image.clone()));
    }

    fn harbor_blobs(image: &Image) -> String {
        let mut sql = String::new();
        for blob in image.blobs.iter().chain([&image.manifest]) {
            let digest = digest_of(blob);
            writeln!(
                sql,
                "INSERT INTO blob (digest, size) VALUES ('{digest}', {}) ON CONFLICT DO NOTHING;",
                blob.len()
            )
            .unwrap();
            writeln!(
                sql,
                "INSERT INTO artifact_blob (digest_af, digest_blob) VALUES ('{}', '{digest}');",
                image.digest()
            )
            .unwrap();
        }
        sql
    }

    fn harbor_rows(&self, repository: &str, tag: &str, image: &Image) {
        let mut sql = String::new();
        for image in image.children.iter().chain([image]) {
            sql += &Self::harbor_blobs(image);
            writeln!(sql, "INSERT INTO artifact (repository_name, digest, pull_time) VALUES ('{repository}', '{}', now());", image.digest()).unwrap();
        }
        if !tag.is_empty() {
            writeln!(
                sql,
                "INSERT INTO tag (artifact_id, name) SELECT max(id), '{tag}' FROM artifact;"
            )
            .unwrap();
        }
        self.sql(&sql);
    }
}

fn image(name: &str) -> Image {
    Image::of(&[&layer("base", 20_000), &layer(name, 3_000)])
}

#[test]
fn harbors_export_keeps_all_that_it_knows_and_names_what_lies_in_storage_without_a_row() {
    let mut harbor = Product::new(HARBOR);
    // From before the upgrade to 2.15: with a tag on disk, which has moved on since.
    let old = image("old");
    pushes::put(&harbor.registry, "library/web", "latest", &old);
    harbor.harbor_rows("library/web", "1.0", &old);
    harbor.live.push(("library/web", old));
    let (new, signed) = (image("new"), image("signed"));
    harbor.harbor_push("library/web", "latest", &new);
    harbor.harbor_push("library/web", "", &image("by digest alone"));
    harbor.harbor_push("prod/web", "copied", &new);
    harbor.harbor_push("library/signed", "1", &signed);
    harbor.harbor_push("library/signed", "", &pushes::signature(&signed).1);
    let platforms = ["amd64", "arm64"]
        .map(|platform| Image::for_platform(("linux", platform), &[&layer(platform, 900)]));
    harbor.harbor_push("library/multi", "1", &Image::index(platforms.to_vec()));
    // Deleted in Harbor, whose own collection has yet to come; and an export of a scan, which has no manifest.
    let deleted = image("deleted");
    pushes::put(&harbor.registry, "library/web", &deleted.digest(), &deleted);
    harbor.sql(&format!(
        "{} INSERT INTO artifact_trash (repository_name, digest) VALUES ('library/web', '{}');",
        Product::harbor_blobs(&deleted),
        deleted.digest()
    ));
    let report = layer("report", 700);
    harbor.registry.put_blob("sys_harb0r/scandataexport/report", &report);
    harbor.sql(&format!("INSERT INTO system_artifact (repository, digest, size, vendor) VALUES ('report', '{}', 700, 'SCANDATAEXPORT');", digest_of(&report)));
    for name in ["stray 1", "stray 2", "stray 3"] {
        harbor.stray(name, 50_000);
    }
    let before: BTreeSet<String> = blobs(&harbor.registry.root()).into_keys().collect();

    // Without an export what only the database can judge is refused.
    assert_eq!(harbor.scan(&[]).0, 0);
    let all = ["untagged-revisions", "--garbage"];
    let (code, said) = run(&harbor.registry, &[&["prune"], &all[..], &DELETE].concat());
    assert!(code == 2 && said.contains("Harbor's database seems to hold references"), "{said}");

    let right = harbor.export("### Harbor 2.x");
    harbor.survives_wrong_exports(&right, &all);
    fs::write(harbor.registry.beside().join("roots.csv"), &right).unwrap();
    assert_eq!(harbor.scan(&["--roots", "roots.csv"]).0, 0);
    let unknown = stdout(&harbor.registry, &["report", "unknown-blobs", "-f", "ndjson"]);
    assert_eq!(unknown.lines().count(), harbor.unknown.len(), "{unknown}");
    let missing = stdout(&harbor.registry, &["report", "missing-blobs", "-f", "ndjson"]);
    assert_eq!(missing, "");
    let (code, said) = run(&harbor.registry, &[&["prune", "--garbage"][..], &DELETE].concat());
    assert_eq!(code, 0, "{said}");
    let after: BTreeSet<String> = blobs(&harbor.registry.root()).into_keys().collect();
    assert_eq!(
        before.difference(&after).cloned().collect::<BTreeSet<_>>(),
        harbor.unknown,
        "{said}"
    );
    assert_eq!(harbor.broken(), 0);
    for (repository, image) in &harbor.live {
        skopeo::pull_digest(&harbor.registry, repository, &image.digest());
    }
}

const GITLAB: &str = "
CREATE SCHEMA partitions;
CREATE TABLE repositories (id bigint, top_level_namespace_id bigint, path text, deleted_at timestamptz) PARTITION BY HASH (top_level_namespace_id);
CREATE TABLE manifests (id bigint, top_level_namespace_id bigint, repository_id bigint, total_size bigint, digest bytea, payload bytea) PARTITION BY HASH (top_level_namespace_id);
CREATE TABLE tags (id bigint, top_level_namespace_id bigint, repository_id bigint, manifest_id bigint, name text) PARTITION BY HASH (top_level_namespace_id);
CREATE TABLE blobs (digest bytea, size bigint, media_type_id int) PARTITION BY HASH (digest);
DO $$ BEGIN
    FOR part IN 0..3 LOOP
        EXECUTE format('CREATE TABLE partitions.repositories_p_%s PARTITION OF repositories FOR VALUES WITH (MODULUS 4, REMAINDER %s)', part, part);
        EXECUTE format('CREATE TABLE partitions.manifests_p_%s PARTITION OF manifests FOR VALUES WITH (MODULUS 4, REMAINDER %s)', part, part);
        EXECUTE format('CREATE TABLE partitions.tags_p_%s PARTITION OF tags FOR VALUES WITH (MODULUS 4, REMAINDER %s)', part, part);
        EXECUTE format('CREATE TABLE partitions.blobs_p_%s PARTITION OF blobs FOR VALUES WITH (MODULUS 4, REMAINDER %s)', part, part);
    END LOOP;
END $$;
INSERT INTO repositories VALUES (1, 1, 'group/app'), (2, 2, 'old/app');
";

impl Product {
    fn gitlab_rows(&self, repository: u8, number: usize, image: &Image) {
        // A first byte says which algorithm it is: 01 is SHA-256.
        let bytea = |bytes: &[u8]| format!("'\\x01{}'", &digest_of(bytes)[7..]);
        let mut sql = String::new();
        for blob in &image.blobs {
            writeln!(sql, "INSERT INTO blobs SELECT {0}, {1} WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE digest = {0});", bytea(blob), blob.len()).unwrap();
        }
        writeln!(
            sql,
            "INSERT INTO manifests VALUES ({number}, {repository}, {repository}, 7, {});",
            bytea(&image.manifest)
        )
        .unwrap();
        writeln!(
            sql,
            "INSERT INTO tags VALUES ({number}, {repository}, {repository}, {number}, 'v{number}');"
        )
        .unwrap();
        self.sql(&sql);
    }
}

#[test]
fn gitlabs_export_keeps_images_of_which_only_blobs_are_on_disk() {
    let mut gitlab = Product::new(GITLAB);
    // From before the import: on disk as any registry has it, and in the database.
    for number in 0..4 {
        let old = image(&format!("old {number}"));
        pushes::put(&gitlab.registry, "old/app", &format!("v{number}"), &old);
        gitlab.gitlab_rows(2, number, &old);
        gitlab.live.push(("old/app", old));
    }
    // Since then a push moves blobs into place, and writes no link and no manifest.
    for number in 10..16 {
        let new = image(&format!("new {number}"));
        for blob in &new.blobs {
            gitlab.registry.put_blob("group/app", blob);
        }
        gitlab.gitlab_rows(1, number, &new);
        gitlab.live.push(("group/app", new));
    }
    let links = gitlab.registry.root().join("docker/registry/v2/repositories/group/app/_layers");
    fs::remove_dir_all(&links).unwrap();
    for name in ["stray 1", "stray 2"] {
        gitlab.stray(name, 40_000);
    }
    let is_whole = |product: &Product| {
        let there = blobs(&product.registry.root());
        product
            .live
            .iter()
            .all(|(_, image)| image.blob_digests().iter().all(|blob| there.contains_key(blob)))
    };
    let before: BTreeSet<String> = blobs(&gitlab.registry.root()).into_keys().collect();
    assert_eq!(gitlab.scan(&[]).0, 0);
    let garbage = ["--garbage"];
    let (code, said) = run(&gitlab.registry, &[&["prune"], &garbage[..], &DELETE].concat());
    assert!(code == 2 && said.contains("garbage cannot be judged"), "{said}");
    gitlab.registry.stop();

    let right = gitlab.export("### GitLab with its metadata database");
    gitlab.survives_wrong_exports(&right, &garbage);
    // An export from before the last push: a blob that was there already got no trace of it.
    let path = gitlab.registry.beside().join("roots.csv");
    fs::remove_file(gitlab.registry.beside().join("registry.db")).unwrap();
    fs::write(&path, &right).unwrap();
    let old = SystemTime::now() - Duration::from_mins(30);
    File::open(&path).unwrap().set_modified(old).unwrap();
    assert_eq!(gitlab.scan(&["--roots", "roots.csv"]).0, 0);
    let (code, said) = run(&gitlab.registry, &[&["prune"], &garbage[..], &DELETE].concat());
    assert!(code == 2 && said.contains("was written to after the roots were exported"), "{said}");
    fs::write(&path, &right).unwrap();
    assert_eq!(gitlab.scan(&["--roots", "roots.csv"]).0, 0);
    // Beside a registry that takes pushes it is not to be done.
    let online =
        ["prune", "--garbage", "--online", "--cache-off", "--delete", "--yes", "--min-age=0s"];
    let (code, said) = run(&gitlab.registry, &online);
    assert!(code == 2 && said.contains("leaves no trace"), "{said}");
    let stopping = [&["prune", "--garbage", "--before=true"][..], &DELETE].concat();
    let (code, said) = run(&gitlab.registry, &stopping);
    assert!(code == 2 && said.contains("before --before stops the registry"), "{said}");
    let (code, said) = run(&gitlab.registry, &[&["prune", "--garbage"][..], &DELETE].concat());
    assert_eq!(code, 0, "{said}");
    let after: BTreeSet<String> = blobs(&gitlab.registry.root()).into_keys().collect();
    assert_eq!(
        before.difference(&after).cloned().collect::<BTreeSet<_>>(),
        gitlab.unknown,
        "{said}"
    );
    assert!(is_whole(&gitlab));

    // GitLab serves these manifests from its database; here a registry gets them, and checks every blob.
    gitlab.registry.serve();
    for (repository, image) in &gitlab.live {
        for blob in image.blob_digests() {
            let link = gitlab.registry.root().join(format!(
                "docker/registry/v2/repositories/{repository}/_layers/sha256/{}/link",
                &blob[7..]
            ));
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            fs::write(link, &blob).unwrap();
        }
        gitlab.registry.put_manifest(
            repository,
            &image.digest(),
            &image.manifest,
            image.media_type,
        );
        skopeo::pull_digest(&gitlab.registry, repository, &image.digest());
    }
}
