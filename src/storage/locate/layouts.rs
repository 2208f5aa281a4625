//! What else has directories named `blobs` and `repositories`, or is pointed at by mistake.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::look::{any_below, names};
use crate::model::clutter;

/// What is looked for.
pub const EXPECTED: &str =
    "regsql reads `<root>/docker/registry/v2/{blobs,repositories}` as the CNCF registry writes it";

/// How deep a name of a repository is looked for below `repositories`.
const REPOSITORY_DEPTH: usize = 8;

/// From `repositories` to what lies in a link: `NAME/_manifests/tags/TAG/current/link`.
const LINK_DEPTH: usize = REPOSITORY_DEPTH + 6;

/// How deep signs of other programs are looked for.
const SIGN_DEPTH: usize = 4;

/// Another layout.
pub struct Other {
    /// What it is.
    pub found: String,
    /// The next step.
    pub hint: String,
}

/// Whether a directory that is not called `docker/registry/v2` is one all the same: a copy, a mount.
///
/// # Errors
/// With the directory that would show it and cannot be read.
pub fn is_v2(path: &Path) -> Result<bool, (PathBuf, io::Error)> {
    if holds_a_registry(path)? {
        return Ok(true);
    }
    let halves = [path.join("blobs"), path.join("repositories")];
    if !halves.iter().all(|half| half.is_dir()) {
        return Ok(false);
    }
    // Both halves, and nothing in them that is another's.
    let is_file = |_: &Path, name: &[u8], is_directory: bool| {
        !is_directory && clutter::of_entry(name, true).is_none()
    };
    for half in halves {
        if any_below(&half, SIGN_DEPTH, &is_file).map_err(|source| (half, source))? {
            return Ok(false);
        }
    }
    let names = names(path).map_err(|source| (path.to_owned(), source))?;
    Ok(other(path, &names).is_none())
}

/// Whether something lies in it that only a registry writes.
fn holds_a_registry(v2: &Path) -> Result<bool, (PathBuf, io::Error)> {
    if has_sharded_blobs(&v2.join("blobs")) {
        return Ok(true);
    }
    let repositories = v2.join("repositories");
    if !repositories.is_dir() {
        return Ok(false);
    }
    let is_repository =
        |_: &Path, name: &[u8], _| matches!(name, b"_layers" | b"_manifests" | b"_uploads");
    any_below(&repositories, REPOSITORY_DEPTH, &is_repository)
        .map_err(|source| (repositories, source))
}

/// `blobs/sha256/<two hex digits>/<digest>/`: image layouts have the digests right under `sha256`, and other
/// stores have files in the shards.
fn has_sharded_blobs(blobs: &Path) -> bool {
    let sha256 = blobs.join("sha256");
    let has_shard = names(&sha256).is_ok_and(|names| {
        names.iter().any(|(name, is_dir)| *is_dir && is_hex(name.as_bytes(), 2))
    });
    has_shard && (has_in_shards(&sha256, true) || !has_in_shards(&sha256, false))
}

/// Whether directories, or else files, are called by a digest in shards.
fn has_in_shards(sha256: &Path, are_directories: bool) -> bool {
    let is_digest = |shard: &Path, name: &[u8], is_directory: bool| {
        is_directory == are_directories && is_hex(name, 64) && is_shard(shard)
    };
    any_below(sha256, 2, &is_digest).unwrap_or(false)
}

fn is_shard(directory: &Path) -> bool {
    directory.file_name().is_some_and(|name| is_hex(name.as_bytes(), 2))
}

/// What lies in `root` beside a `docker/registry/v2` in which there is nothing: such as one left by a registry
/// that was started once with a wrong root.
pub fn beside_empty(root: &Path, nested: &Path) -> Option<Other> {
    // What cannot be read is not nothing.
    if holds_a_registry(nested).unwrap_or(true) {
        return None;
    }
    let empty = "it holds a docker/registry/v2 without any blob or repository";
    let way_out = format!("if that one is meant give {}", nested.display());
    if holds_a_registry(root).unwrap_or(false) {
        return Some(Other {
            found: format!("{empty}, and beside it `blobs` and `repositories` of a registry"),
            hint: format!("{way_out}, else move `docker` away"),
        });
    }
    let other = other(root, &names(root).unwrap_or_default())?;
    Some(Other {
        found: format!("{empty}, and {}", other.found),
        hint: format!("{way_out}; else {}", other.hint),
    })
}

/// How many shards, and blobs in each, are looked into.
const LOOKED_INTO: usize = 4;

/// Whether the links and blobs of a registry are a drive of `MinIO`, which makes a directory of each object.
pub fn drive_of_minio(v2: &Path) -> Option<Other> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let names = names(directory).unwrap_or_default();
        let directories = names.into_iter().filter(|(_, is_directory)| *is_directory);
        directories.take(LOOKED_INTO).map(|(name, _)| directory.join(name)).collect()
    };
    let shards = below(&v2.join("blobs/sha256"));
    let mut leaves = shards.iter().flat_map(|shard| below(shard)).peekable();
    let is_meta = |name: &[u8]| matches!(name, b"xl.meta" | b"xl.json");
    let is_minio = if leaves.peek().is_some() {
        leaves.any(|leaf| {
            names(&leaf.join("data"))
                .is_ok_and(|names| names.iter().any(|(name, _)| is_meta(name.as_bytes())))
        })
    } else {
        let is_object = |object: &Path, name: &[u8], _| is_meta(name) && object.ends_with("link");
        any_below(&v2.join("repositories"), LINK_DEPTH, &is_object).unwrap_or(false)
    };
    is_minio.then(|| Other { found: MINIO.to_owned(), hint: MINIO_HINT.to_owned() })
}

const MINIO: &str =
    "it is a drive of MinIO, which keeps each object in a directory of its own (xl.meta)";

const MINIO_HINT: &str = "scan it through its S3 address: 's3://BUCKET?endpoint=http://HOST:9000'";

fn is_hex(name: &[u8], digits: usize) -> bool {
    name.len() == digits && name.iter().all(u8::is_ascii_hexdigit)
}

/// Names in a directory, and questions about them.
struct Place<'a> {
    path: &'a Path,
    names: &'a [(OsString, bool)],
}

impl Place<'_> {
    fn has(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    fn has_all(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.has(name))
    }

    fn any(&self, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.names.iter().any(|(name, _)| is_wanted(name.as_bytes()))
    }

    /// Whether a name right below `directory` is wanted.
    fn any_in(&self, directory: &str, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
        names(&self.path.join(directory))
            .is_ok_and(|names| names.iter().any(|(name, _)| is_wanted(name.as_bytes())))
    }

    /// Whether a file of this name lies some levels below `directory`, beside all `others`.
    fn any_with(&self, directory: &str, file: &str, others: &[&str]) -> bool {
        let is_wanted = |parent: &Path, name: &[u8], is_directory: bool| {
            !is_directory
                && name == file.as_bytes()
                && others.iter().all(|other| parent.join(other).exists())
        };
        any_below(&self.path.join(directory), SIGN_DEPTH, &is_wanted).unwrap_or(false)
    }

    fn any_below(&self, directory: &str, depth: usize, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
        let is_wanted = |_: &Path, name: &[u8], _| is_wanted(name);
        any_below(&self.path.join(directory), depth, &is_wanted).unwrap_or(false)
    }

    /// `directory/ab/abcd…`: two levels of hex digits, the second of a fixed number.
    fn has_shards(&self, directory: &str, digits: usize) -> bool {
        let is_shard = |parent: &Path, name: &[u8], _| is_hex(name, digits) && is_shard(parent);
        any_below(&self.path.join(directory), 2, &is_shard).unwrap_or(false)
    }
}

type Kind = (fn(&Place<'_>) -> bool, &'static str, &'static str);

const SKOPEO: &str = "push it to a registry, such as with `skopeo copy oci:DIR:TAG docker://HOST/NAME:TAG`, and scan that one's storage";

/// Each layout with its signs, the surest first. Sources: OCI image-spec `image-layout.md`;
/// containerd `docs/content-flow.md`; containers/storage; ollama `docs/faq.md`; zot
/// `pkg/storage/imagestore`; docker-registry 0.9 `docker_registry/lib/storage.py`; git-scm
/// gitrepository-layout(5), GitLab "Repository storage"; Quay `storage/basestorage.py`;
/// Gitea/Forgejo `modules/packages/content_store.go`; Nexus, Artifactory and Pulp by their manuals.
const KINDS: &[Kind] = &[
    (|at| at.has(".minio.sys"), MINIO, MINIO_HINT),
    (
        |at| at.has("oci-layout") || at.has_all(&["index.json", "blobs"]),
        "it is an OCI image layout (oci-layout, index.json, blobs)",
        SKOPEO,
    ),
    (
        |at| at.has("_trivy") || at.has("_storage_upload") || has_layouts_below(at),
        "it holds OCI image layouts, one a repository, as zot writes them",
        "ask zot itself: its storage has another layout and its own `gc`",
    ),
    (
        |at| at.has_all(&["blobs", "ingest"]) || at.any(|name| name.starts_with(b"io.containerd.")),
        "it is containerd's content store",
        "ask containerd: `ctr -n NAMESPACE content ls`, or `nerdctl system df`",
    ),
    (
        |at| {
            let is_flat = |name: &[u8]| name.starts_with(b"sha256-");
            at.any_in("blobs", is_flat) || at.any_in("models/blobs", is_flat)
        },
        "it holds Ollama's models",
        "ask Ollama: `ollama list`, `ollama rm`",
    ),
    (
        |at| {
            at.has("manifest.json") && (at.has("version") || at.has("repositories"))
                || at.has_all(&["manifest.json", "blobs"])
        },
        "it is an unpacked image, as `docker save` and skopeo's `dir:` write it",
        "load it into a registry, and scan that one's storage",
    ),
    (
        |at| {
            at.any_in("blobs/sha256", |name| is_hex(name, 64))
                || at.any_in("blobs/sha512", |name| is_hex(name, 128))
        },
        "its blobs lie without shards, as in an OCI image layout or containerd's content store",
        SKOPEO,
    ),
    (
        |at| {
            let is_v1 = |name: &[u8]| name == b"_index_images" || name.starts_with(b"tag_");
            at.any_in("images", |name| is_hex(name, 64)) && at.has("repositories")
                || at.any_below("repositories", 3, is_v1)
        },
        "it is the storage of a registry of version 1 (images, repositories)",
        "no client speaks to it any more: pull with an old one and push to a registry of today",
    ),
    (
        |at| {
            let is_git = |name: &[u8]| {
                name.ends_with(b".git") || name.starts_with(b"@hashed") || name == b"@pools"
            };
            at.has_all(&["HEAD", "objects", "refs"])
                || at.any(is_git)
                || at.any_below("repositories", SIGN_DEPTH, is_git)
                || at.any_with("repositories", "HEAD", &["objects", "refs"])
        },
        "it holds git repositories",
        "container images of a git server lie elsewhere: see the registry's own configuration",
    ),
    (
        |at| at.any_with("repositories", "format", &["db/current"]),
        "it holds Subversion repositories",
        EXPECTED,
    ),
    (
        |at| {
            at.has("overlay2")
                || at.any(|name| name.starts_with(b"overlay-"))
                || at.has_all(&["image", "containers"])
        },
        "it is the data directory of a container engine, not of a registry",
        "ask the engine: `docker system df`, `podman system df`",
    ),
    (
        |at| at.has_shards("sha256", 64),
        "its blobs lie under sha256/, as Quay writes them; what they are is in its database",
        "ask Quay itself",
    ),
    (
        |at| {
            at.has_shards("packages", 2)
                || at.has("gitea-repositories")
                || at.any(|name| matches!(name, b"gitea.db" | b"forgejo.db"))
        },
        "it is the data of Gitea or Forgejo, which keep images as packages of their own",
        "ask Gitea or Forgejo: their package clean-up rules",
    ),
    (
        |at| {
            let is_volume = |name: &[u8]| name.starts_with(b"vol-");
            at.any_in("content", is_volume)
                || at.has_all(&["metadata.properties", "content"])
                || at.any_below("blobs", 3, is_volume)
                || at.any_with("blobs", "metadata.properties", &["content"])
        },
        "it is a blob store of Nexus; what its blobs are is in a database",
        "ask Nexus itself: its clean-up policies and `Compact blob store`",
    ),
    (
        |at| has_in_shards(&at.path.join("blobs/sha256"), false),
        "its blobs are files, and a registry has a directory for each, with `data` in it",
        EXPECTED,
    ),
    (
        |at| at.has_shards(".", 40) || at.has_shards("filestore", 40),
        "it is a filestore of Artifactory; what its files are is in a database",
        "ask Artifactory itself",
    ),
    (
        |at| at.has_shards("artifact", 62) || at.has_shards("media/artifact", 62),
        "it is the storage of Pulp; what its files are is in a database",
        "ask Pulp itself: `pulp orphan cleanup`",
    ),
    (
        |at| at.has("_layers") || at.has("_manifests"),
        "it is one repository of a registry, not the registry's root",
        EXPECTED,
    ),
];

/// What people point at by mistake; `None` when it is nothing that is known.
pub fn other(path: &Path, names: &[(OsString, bool)]) -> Option<Other> {
    let place = Place { path, names };
    KINDS
        .iter()
        .find(|(is_kind, ..)| is_kind(&place))
        .map(|(_, found, hint)| Other { found: (*found).to_owned(), hint: (*hint).to_owned() })
}

/// A repository's name may have several parts.
fn has_layouts_below(at: &Place<'_>) -> bool {
    any_below(at.path, 4, &|_, name, is_directory| name == b"oci-layout" && !is_directory)
        .unwrap_or(false)
}

/// The first names of a directory that is nothing known.
pub fn listing(names: &[(OsString, bool)]) -> String {
    if names.is_empty() {
        return "it is an empty directory".into();
    }
    let mut shown: Vec<_> = names.iter().map(|(name, _)| name.to_string_lossy()).collect();
    shown.sort_unstable();
    shown.truncate(5);
    format!("it holds {}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::locate;
    use super::*;
    use std::fs;

    const HEX: &str = "abababababababababababababababababababababababababababababababab";

    /// Files of a layout, and a word of the refusal.
    const LAYOUTS: &[(&[&str], &str)] = &[
        (&["oci-layout", "index.json", "blobs/sha256/HEX"], "OCI image layout"),
        (&["index.json", "blobs/sha256/HEX"], "OCI image layout"),
        (&["blobs/sha256/HEX"], "without shards"),
        (&["team/app/oci-layout", "team/app/index.json", "team/app/blobs/sha256/HEX"], "zot"),
        (&["blobs/sha256/HEX", "ingest/x/ref"], "containerd"),
        (&["io.containerd.content.v1.content/blobs/sha256/HEX"], "containerd"),
        (&["blobs/sha256-HEX", "manifests/registry.ollama.ai/library/x/latest"], "Ollama"),
        (&["models/blobs/sha256-HEX", "models/manifests/x/y"], "Ollama"),
        (&["manifest.json", "version", "HEX"], "docker save"),
        (&["manifest.json", "blobs/sha256/HEX"], "docker save"),
        (&["images/HEX/json", "repositories/library/x/tag_latest"], "version 1"),
        (&["repositories/library/x/_index_images"], "version 1"),
        (&["repositories/team/app.git/HEAD"], "git"),
        (&["repositories/@hashed/ab/cd/x.git/HEAD"], "git"),
        (&["app.git/HEAD"], "git"),
        (&["repositories/app.git/HEAD", "blobs/x"], "git"),
        (&["HEAD", "objects/ab/x", "refs/heads/main"], "git"),
        (
            &[
                "repositories/12/HEAD",
                "repositories/12/objects/x",
                "repositories/12/refs/x",
                "blobs/x",
            ],
            "git",
        ),
        (&["repositories/x/format", "repositories/x/db/current", "blobs/x"], "Subversion"),
        (&["overlay2/x", "image/x", "containers/x"], "container engine"),
        (&["overlay-images/images.json", "overlay-layers/x"], "container engine"),
        (&["sha256/ab/HEX", "uploads/x"], "Quay"),
        (&["gitea.db", "packages/ab/cd/HEX"], "Gitea"),
        (&["packages/ab/cd/HEX"], "Gitea"),
        (&["content/vol-01/chap-01/x.bytes", "metadata.properties"], "Nexus"),
        (&["blobs/default/content/vol-01/x", "repositories/x"], "Nexus"),
        (&["blobs/sha256/ab/HEX", "repositories/x"], "are files"),
        (&["blobs/x", "repositories/x"], "it holds blobs, repositories"),
        (&[".minio.sys/format.json", "registry/x"], "MinIO"),
        (&["blobs/sha256/ab/HEX/data/xl.meta", "repositories/x"], "MinIO"),
        (&["docker/registry/v2/blobs/sha256/ab/HEX/data/xl.meta"], "MinIO"),
        (&["docker/registry/v2/repositories/a/b/_manifests/tags/1/current/link/xl.meta"], "MinIO"),
        (&["above/docker/registry/v2/blobs/sha256/ab/HEX/data/xl.meta"], "MinIO"),
        (&["ab/abababababababababababababababababababab"], "Artifactory"),
    ];

    #[test]
    fn other_layouts_are_refused_by_name_with_a_hint() {
        for (files, word) in LAYOUTS {
            let directory = tempfile::tempdir().unwrap();
            for file in *files {
                let path = directory.path().join(file.replace("HEX", HEX));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
            let error = locate(directory.path()).unwrap_err();
            assert!(error.to_string().contains(word), "{files:?}: {error}");
            assert!(!error.hint().unwrap().is_empty());
        }
    }

    #[test]
    fn beside_docker_registry_v2_no_other_layout_counts() {
        for (files, _) in LAYOUTS {
            let directory = tempfile::tempdir().unwrap();
            for file in *files {
                let path = directory.path().join(file.replace("HEX", HEX));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
            let nested = directory.path().join("docker/registry/v2");
            fs::create_dir_all(nested.join("repositories")).unwrap();
            let is_minio = files[0].ends_with("xl.meta");
            let is_unknown = files == &["blobs/x", "repositories/x"];
            if !is_minio && !is_unknown {
                let error = locate(directory.path()).unwrap_err();
                assert!(error.to_string().contains("docker/registry/v2 without any"), "{error}");
                assert!(error.hint().unwrap().contains(&nested.display().to_string()));
                assert!(locate(&nested).is_ok(), "the way out");
            }
            fs::create_dir_all(nested.join("repositories/team/app/_layers")).unwrap();
            if !is_minio {
                let location = locate(directory.path()).unwrap();
                let blobs = Path::new("docker/registry/v2/blobs");
                assert_eq!(location.layout.blobs(), blobs, "{files:?}");
            }
        }
    }

    #[test]
    fn an_empty_registry_beside_a_bare_one_is_not_taken_for_it() {
        for half in ["blobs", "repositories"] {
            let directory = tempfile::tempdir().unwrap();
            let nested = directory.path().join("docker/registry/v2");
            fs::create_dir_all(nested.join(half)).unwrap();
            assert!(locate(directory.path()).is_ok(), "alone it is one without a push");
            let leaf = format!("blobs/sha256/ab/{HEX}/data");
            fs::create_dir_all(directory.path().join(leaf)).unwrap();
            let error = locate(directory.path()).unwrap_err();
            assert!(error.to_string().contains("beside it `blobs` and `repositories`"), "{error}");
            assert!(error.hint().unwrap().contains("move `docker` away"));
            // A configuration says where its registry writes.
            let config = directory.path().join("config.yml");
            let text = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: .\n";
            fs::write(&config, text).unwrap();
            assert!(locate(&config).is_ok());
        }
    }

    #[test]
    fn a_bare_registry_that_was_never_pushed_to_may_hold_directories() {
        let directory = tempfile::tempdir().unwrap();
        for below in ["blobs/sha256/ab", "repositories/team"] {
            fs::create_dir_all(directory.path().join(below)).unwrap();
        }
        fs::write(directory.path().join("repositories/.DS_Store"), "x").unwrap();
        assert_eq!(locate(directory.path()).unwrap().layout.blobs(), Path::new("blobs"));
    }

    #[test]
    fn a_copied_v2_directory_of_any_name_is_taken_for_what_it_holds() {
        for file in
            [format!("blobs/sha256/ab/{HEX}/data"), "repositories/a/b/_uploads/x".to_owned()]
        {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir_all(directory.path().join(&file)).unwrap();
            let location = locate(directory.path()).unwrap();
            assert_eq!(location.layout.blobs(), Path::new("blobs"), "{file}");
        }
    }

    #[test]
    fn what_is_nothing_known_is_listed() {
        let directory = tempfile::tempdir().unwrap();
        let text = locate(directory.path()).unwrap_err().to_string();
        assert!(text.ends_with("it is an empty directory"), "{text}");
        fs::write(directory.path().join("holiday.jpg"), "x").unwrap();
        let text = locate(directory.path()).unwrap_err().to_string();
        assert!(text.ends_with("it holds holiday.jpg"), "{text}");
    }
}
