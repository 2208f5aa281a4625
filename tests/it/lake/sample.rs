//! Registries to export, each on disk with its database.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use regsql::sample::generate::{Size, generate};
use regsql::sample::{Content, RegistryBuilder, paths};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::env::{regsql_in, shown};

/// A registry in a directory, and its database beside it.
pub struct Sample {
    directory: TempDir,
}

impl Sample {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn root(&self) -> PathBuf {
        self.path().join("registry")
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("registry.db")
    }

    #[track_caller]
    pub fn scan(&self, arguments: &[&str]) {
        let mut all = vec!["scan", "registry"];
        all.extend(arguments);
        let output = regsql_in(self.path(), &all).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
    }

    /// A copy of the database as it is now.
    pub fn database_now(&self, name: &str) -> PathBuf {
        let copy = self.path().join(name);
        fs::copy(self.database(), &copy).unwrap();
        copy
    }

    /// Makes all scans so far so many days older than they are.
    pub fn age(&self, days: i64) {
        let connection = Connection::open(self.database()).unwrap();
        for table in ["scan", "past_scan"] {
            let sql = format!(
                "UPDATE {table} SET started_ns = started_ns - ?1, finished_ns = finished_ns - ?1"
            );
            connection.execute(&sql, [days * 86_400_000_000_000]).unwrap();
        }
    }
}

fn long_ago() -> SystemTime {
    SystemTime::now() - Duration::from_hours(24 * 400)
}

/// A base image, images on it, an index of two, a signature, garbage, a broken tag, uploads.
fn shop_registry() -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    registry.at(long_ago());
    let base = registry.layer("base", 40_000);
    let old = registry.layer("old base", 30_000);
    registry
        .image("base/debian")
        .step("ADD rootfs", &base)
        .created("2024-05-01T00:00:00Z")
        .push_tag("12");
    registry
        .image("base/debian")
        .step("ADD rootfs", &old)
        .created("2019-01-01T00:00:00Z")
        .push_tag("9");
    for version in 1..=3 {
        let own = registry.layer(&format!("web {version}"), 5_000 + version);
        let image = registry
            .image("shop/web")
            .step("ADD rootfs", &base)
            .step("COPY . /app", &own)
            .created("1970-01-01T00:00:00Z")
            .push_tag(&format!("1.{version}"));
        if version == 3 {
            registry.cosign_signature("shop/web", &image);
        }
    }
    let arm = registry.layer("arm", 6_000);
    let one = registry.image("shop/multi").oci().step("ADD rootfs", &base).push();
    let two =
        registry.image("shop/multi").oci().step("ADD arm", &arm).platform("linux/arm64").push();
    let index = registry.index("shop/multi").children([&one, &two]).push();
    registry.index("shop/multi").children([&index]).push_tag("nested");
    let lost = registry.layer("lost", 9_000);
    registry.image("shop/broken").step("ADD rootfs", &old).step("COPY lost", &lost).push_tag("1.0");
    registry.tree.remove(&paths::blob(&lost.digest));
    let untagged = registry.layer("untagged", 8_000);
    registry.image("shop/web").layers([&base, &untagged]).push();
    registry.layer("garbage", 7_777);
    registry.helm_chart("charts/shop", "0.1.0", 3_000);
    let aliased = registry.layer("aliased", 4_000);
    registry.sha512_alias("shop/web", &aliased);
    registry.upload(
        "shop/web",
        "5b1d4a1e-1111-4222-8333-444455556666",
        12_345,
        "2024-01-01T00:00:00Z",
    );
    registry
}

/// That registry, scanned.
pub fn shop() -> Sample {
    let sample = Sample::new();
    shop_registry().write_to(&sample.root()).unwrap();
    sample.scan(&[]);
    sample
}

/// The same some time later: an image more, a tag less.
pub fn grow(sample: &Sample) {
    let mut registry = shop_registry();
    let base = registry.layer("base", 40_000);
    let new = registry.layer("web 4", 25_000);
    registry.image("shop/web").layers([&base, &new]).push_tag("1.4");
    registry.image("shop/new").layers([&new]).push_tag("latest");
    registry.untag("shop/web", "1.1");
    fs::remove_dir_all(sample.root()).unwrap();
    registry.write_to(&sample.root()).unwrap();
}

/// A copy of parts of it with a lost manifest, which keeps all that its repository links, with names of any
/// bytes, a tag without a revision, and a list of what somebody outside refers to.
pub fn mirror() -> Sample {
    let sample = Sample::new();
    let mut registry = RegistryBuilder::new();
    registry.at(long_ago());
    let base = registry.layer("base", 40_000);
    let web = registry.layer("web 2", 5_002);
    registry
        .image("mirror/web")
        .step("ADD rootfs", &base)
        .step("COPY . /app", &web)
        .push_tag("1.2");
    let only = registry.layer("only here", 66_000);
    let rooted = registry.image("mirror/rooted").layers([&base, &only]).push();
    let held = registry.layer("held", 11_000);
    let garbage = registry.layer("perhaps garbage", 12_000);
    registry.link_layer("mirror/held", &held.digest);
    registry.link_layer("mirror/held", &garbage.digest);
    let damaged = registry.image("mirror/held").layers([&held]).push_tag("1.0");
    registry.put(paths::blob(&damaged.digest), Content::Bytes(b"{\"no manifest".to_vec()));
    let old = registry.layer("old base", 30_000);
    let lost = registry.layer("lost", 9_000);
    registry
        .image("mirror/whole")
        .step("ADD rootfs", &old)
        .step("COPY lost", &lost)
        .push_tag("1.0");
    registry.image("odd/name").layers([&only]).push_tag("it's=100%_\"odd\"");
    registry.layer("nobody's", 1_234);
    registry.write_to(&sample.root()).unwrap();
    let repositories = sample.root().join(paths::V2).join("repositories");
    let odd = repositories.join(std::ffi::OsStr::from_bytes(b"odd/n\xff\nme"));
    fs::rename(repositories.join("odd/name"), odd).unwrap();
    fs::write(sample.path().join("roots.txt"), format!("mirror/rooted@{}\n", rooted.digest))
        .unwrap();
    sample.scan(&["--roots", "roots.txt"]);
    sample
}

/// A larger one, made by the generator.
pub fn generated() -> Sample {
    let sample = Sample::new();
    generate(&sample.root(), &Size::preset("tiny").unwrap()).unwrap();
    sample.scan(&[]);
    sample
}
