//! A registry to damage, the scan of it, and questions to what the scan wrote.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regsql::model::{Code, Digest};
use regsql::sample::{Content, Descriptor, RegistryBuilder, paths};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, Params};
use tempfile::TempDir;

/// A healthy registry to which a case adds its own: another repository, and in it a blob that
/// provably nobody needs. Whatever a case breaks, these two must be judged rightly.
pub struct Fixture {
    pub registry: RegistryBuilder,
    garbage: Digest,
}

impl Fixture {
    pub fn new() -> Self {
        let mut registry = RegistryBuilder::new();
        let base = registry.layer("bystander base", 3_000);
        registry
            .image("bystander/app")
            .layers([&base])
            .created_by(["ADD rootfs.tar /"])
            .push_tag("1.0");
        let garbage = registry.layer("garbage", 777).digest;
        Self { registry, garbage }
    }

    /// Pushes an image of two layers, the upper one its own.
    pub fn push(&mut self, repository: &str, tag: &str) -> Descriptor {
        self.image_layers(repository, tag, true).0
    }

    /// Pushes an image like [`push`](Self::push) without a tag.
    pub fn push_untagged(&mut self, repository: &str, name: &str) -> Descriptor {
        self.image_layers(repository, name, false).0
    }

    /// Pushes an image and returns its own layer as well.
    pub fn push_with_layer(&mut self, repository: &str, tag: &str) -> (Descriptor, Descriptor) {
        self.image_layers(repository, tag, true)
    }

    fn image_layers(
        &mut self,
        repository: &str,
        name: &str,
        is_tagged: bool,
    ) -> (Descriptor, Descriptor) {
        let base = self.registry.layer("base", 5_000);
        let own = self.registry.layer(&format!("{repository} {name}"), 2_000);
        let image = self
            .registry
            .image(repository)
            .layers([&base, &own])
            .created_by(["ADD rootfs.tar /", "COPY . /app"]);
        let tags = is_tagged.then_some(name);
        (image.push_tags(tags), own)
    }

    /// Puts a file with this text, in place of what is there.
    pub fn overwrite(&mut self, path: impl Into<String>, text: &str) {
        self.registry.put(path, Content::Bytes(text.into()));
    }

    pub fn remove(&mut self, path: &str) {
        assert!(self.registry.tree.remove(path), "nothing at {path}");
    }

    pub fn write(self) -> OnDisk {
        let directory = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        self.registry.write_to(&directory.path().join("registry")).unwrap();
        OnDisk { directory, garbage: self.garbage }
    }

    /// Writes and scans.
    pub fn scan(self) -> Scanned {
        self.write().scan()
    }
}

/// A registry on disk, open to damage that only a file system knows.
pub struct OnDisk {
    directory: TempDir,
    garbage: Digest,
}

impl OnDisk {
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("registry")
    }

    /// A path below the root.
    pub fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    /// A place beside the root, for what lies outside the storage.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.outside("registry.db")
    }

    pub fn scan(self) -> Scanned {
        let root = self.root();
        self.scan_as(&root)
    }

    /// Scans with the storage named in another way.
    pub fn scan_as(self, storage: &Path) -> Scanned {
        let output = regsql(&self.database(), storage);
        self.scan_of_a_large_storage_agrees(storage);
        self.scanned(&output)
    }

    /// Above 10,000 blobs a scan does not look beside blobs and links: it must not keep less for it.
    fn scan_of_a_large_storage_agrees(&self, storage: &Path) {
        let shallow = self.outside("shallow.db");
        let output = crate::env::regsql()
            .args(scan_arguments(&shallow, storage))
            .arg("--deep=never")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shallow = Connection::open(shallow).unwrap();
        shallow.execute("ATTACH ?1 AS deep", [self.database().to_str().unwrap()]).unwrap();
        let count = |sql: &str| shallow.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        // A layer link that holds another digest is read by a deep scan only, which keeps both.
        let mismatch_sql = "SELECT count(*) FROM deep.problems WHERE code = 'link-mismatch' AND path GLOB '*/_layers/*'";
        let has_unread_link = count(mismatch_sql) != 0;
        for view in ["tags", "revisions", "manifest_references", "tag_history", "uploads"] {
            if has_unread_link && matches!(view, "tags" | "revisions") {
                continue;
            }
            let differ = format!(
                "SELECT count(*) FROM (SELECT * FROM (SELECT * FROM main.{view} EXCEPT SELECT * FROM deep.{view})
                 UNION ALL SELECT * FROM (SELECT * FROM deep.{view} EXCEPT SELECT * FROM main.{view}))"
            );
            assert_eq!(count(&differ), 0, "{view} of a scan with --deep=never");
        }
        if !has_unread_link {
            let lost = "SELECT count(*) FROM (SELECT blob_digest FROM main.orphan_blobs EXCEPT SELECT blob_digest FROM deep.orphan_blobs)";
            assert_eq!(count(lost), 0, "orphans of a scan with --deep=never alone");
        }
    }

    /// Scans as someone whom file permissions hold back, which root is not.
    pub fn scan_without_privileges(self) -> Scanned {
        let output = self.run_without_privileges(&["scan"]);
        self.scanned(&output)
    }

    /// Runs a command on the storage as someone whom file permissions hold back.
    pub fn run_without_privileges(&self, arguments: &[&str]) -> Output {
        if !rustix::process::geteuid().is_root() {
            return self.run(arguments);
        }
        // The build's own directory may be closed to others.
        let binary = self.outside("regsql");
        // By another process: a file that this one has written may still be open in a child that
        // another test is starting, and cannot be run then.
        assert!(
            Command::new("cp").arg(crate::env::REGSQL).arg(&binary).status().unwrap().success()
        );
        let directory = self.outside("database");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let database = directory.join("registry.db");
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary)
            .arg("--db")
            .arg(&database)
            .args(arguments)
            .arg(self.root())
            .output()
            .expect("setpriv of util-linux is needed to test permissions as root");
        if database.exists() {
            fs::rename(database, self.database()).unwrap();
        }
        output
    }

    /// Runs a command on the storage.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = crate::env::regsql();
        command.arg("--db").arg(self.database()).args(arguments).arg(self.root());
        command.output().unwrap()
    }

    /// Reads every blob as well.
    pub fn verify_content(self) -> Scanned {
        let output = self.run(&["verify", "--content", "--fail-on=never"]);
        self.scanned(&output)
    }

    /// What a command has left in the database.
    pub fn scanned(self, output: &Output) -> Scanned {
        assert!(
            output.status.success(),
            "scan failed: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let database =
            Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        Scanned { database, on_disk: self }
    }
}

/// What a scan wrote.
pub struct Scanned {
    pub database: Connection,
    on_disk: OnDisk,
}

impl Scanned {
    /// Runs a command on the database.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = crate::env::regsql();
        command.arg("--db").arg(self.on_disk.database()).args(arguments).output().unwrap()
    }

    /// The registry again, to scan it another time.
    pub fn into_disk(self) -> OnDisk {
        self.on_disk
    }

    /// Asserts that `problems` has a row with this code and path.
    #[track_caller]
    pub fn has_problem(&self, code: Code, path: &str) {
        let found = self
            .exists("SELECT 1 FROM problems WHERE code = ?1 AND path = ?2", [code.name(), path]);
        assert!(found, "no {code} at {path}, but {:#?}", self.problems());
    }

    /// Asserts that no row of `problems` has this code.
    #[track_caller]
    pub fn has_no_problem(&self, code: Code) {
        let found = self.exists("SELECT 1 FROM problems WHERE code = ?1", [code.name()]);
        assert!(!found, "{code} in {:#?}", self.problems());
    }

    /// Asserts that nothing is wrong but these codes.
    #[track_caller]
    pub fn has_only(&self, codes: &[Code]) {
        let expected: BTreeSet<&str> = codes.iter().map(|code| code.name()).collect();
        let found: BTreeSet<String> = self.column("SELECT code FROM problems", []);
        assert!(found.iter().map(String::as_str).eq(expected), "{:#?}", self.problems());
    }

    /// Asserts that the blob nobody needs, and nothing else, is an orphan.
    #[track_caller]
    pub fn only_garbage_is_orphan(&self) {
        self.orphans_are(&[]);
    }

    /// Asserts that the blob nobody needs and these are the orphans.
    #[track_caller]
    pub fn orphans_are(&self, digests: &[&Digest]) {
        let mut expected: BTreeSet<String> = digests.iter().map(ToString::to_string).collect();
        expected.insert(self.on_disk.garbage.to_string());
        assert_eq!(self.orphans(), expected, "problems: {:#?}", self.problems());
    }

    /// Asserts that the whole storage is kept because something may need anything.
    #[track_caller]
    pub fn everything_is_kept(&self) {
        assert_eq!(self.orphans(), BTreeSet::new());
        assert!(!self.is_complete());
        assert!(
            self.exists("SELECT 1 FROM unreadable_roots WHERE scope = 'storage'", []),
            "no root that holds the storage"
        );
    }

    /// Asserts that the repository is held: every revision that is not tagged is kept.
    #[track_caller]
    pub fn is_held(&self, repository: &str) {
        let held: bool =
            self.one("SELECT is_held FROM repositories WHERE repository = ?1", [repository]);
        assert!(held, "{repository} is not held");
        let loose: BTreeSet<String> = self.column(
            "SELECT manifest_digest FROM revisions
             WHERE repository = ?1 AND NOT is_tagged AND NOT is_held",
            [repository],
        );
        assert_eq!(loose, BTreeSet::new(), "revisions of {repository} that nothing keeps");
    }

    /// Asserts that nothing in the repository is kept out of doubt.
    #[track_caller]
    pub fn is_not_held(&self, repository: &str) {
        let held: bool =
            self.one("SELECT is_held FROM repositories WHERE repository = ?1", [repository]);
        assert!(!held, "{repository} is held");
    }

    /// Asserts that the tag points at this manifest and can be pulled.
    #[track_caller]
    pub fn tag_is_whole(&self, repository: &str, tag: &str, manifest: &Digest) {
        assert_eq!(
            self.tag(repository, tag),
            (Some(manifest.to_string()), false),
            "{:#?}",
            self.problems()
        );
    }

    /// Asserts that the tag cannot be pulled, and where it points.
    #[track_caller]
    pub fn tag_is_broken(&self, repository: &str, tag: &str, manifest: Option<&Digest>) {
        assert_eq!(self.tag(repository, tag), (manifest.map(ToString::to_string), true));
    }

    /// Asserts that the repository has this revision, and whether a tag leads to it.
    #[track_caller]
    pub fn revision_is_tagged(&self, repository: &str, manifest: &Digest, expected: bool) {
        let is_tagged: bool = self.one(
            "SELECT is_tagged FROM revisions WHERE repository = ?1 AND manifest_digest = ?2",
            [repository, &manifest.to_string()],
        );
        assert_eq!(is_tagged, expected, "{manifest}");
    }

    #[track_caller]
    fn tag(&self, repository: &str, tag: &str) -> (Option<String>, bool) {
        self.database
            .query_row(
                "SELECT manifest_digest, is_broken FROM tags WHERE repository = ?1 AND tag = ?2",
                [repository, tag],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap()
    }

    #[track_caller]
    pub fn is_complete(&self) -> bool {
        self.one("SELECT complete FROM scan_info", [])
    }

    /// The one value of a query with one row and one column.
    #[track_caller]
    pub fn one<T: FromSql>(&self, query: &str, parameters: impl Params) -> T {
        self.database
            .query_row(query, parameters, |row| row.get(0))
            .unwrap_or_else(|error| panic!("{query}: {error}; problems: {:#?}", self.problems()))
    }

    #[track_caller]
    pub fn exists(&self, query: &str, parameters: impl Params) -> bool {
        self.database.prepare(query).unwrap().exists(parameters).unwrap()
    }

    /// A query's first column.
    #[track_caller]
    pub fn column<T: FromSql + Ord>(&self, query: &str, parameters: impl Params) -> BTreeSet<T> {
        let mut statement = self.database.prepare(query).unwrap();
        let rows = statement.query_map(parameters, |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    pub fn orphans(&self) -> BTreeSet<String> {
        self.column("SELECT blob_digest FROM orphan_blobs", [])
    }

    fn problems(&self) -> BTreeSet<String> {
        self.column("SELECT printf('%s at %s: %s', code, path, detail) FROM problems", [])
    }
}

/// Runs `regsql --db DATABASE scan STORAGE`.
pub fn regsql(database: &Path, storage: &Path) -> Output {
    crate::env::regsql().args(scan_arguments(database, storage)).output().unwrap()
}

fn scan_arguments(database: &Path, storage: &Path) -> [OsString; 4] {
    ["--db".into(), database.into(), "scan".into(), storage.into()]
}

/// The directory that holds a link.
pub fn directory_of(link: &str) -> String {
    link.strip_suffix("/link").unwrap().to_owned()
}

/// The directory of all revisions of a repository.
pub fn revisions(repository: &str) -> String {
    format!("{}/_manifests/revisions", paths::repository(repository))
}

/// The directory of all layer links of a repository.
pub fn layers(repository: &str) -> String {
    format!("{}/_layers", paths::repository(repository))
}
