//! What else has directories named `blobs` and `repositories`, or is pointed at by mistake.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::look::{any_below, names};

/// What is looked for.
pub const EXPECTED: &str =
    "regsql reads `<root>/docker/registry/v2/{blobs,repositories}` as the CNCF registry writes it";

/// How deep a name of a repository is looked for below `repositories`.
const REPOSITORY_DEPTH: usize = 8;

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
    let (blobs, repositories) = (path.join("blobs"), path.join("repositories"));
    let (has_blobs, has_repositories) = (blobs.is_dir(), repositories.is_dir());
    if has_sharded_blobs(&blobs) {
        return Ok(true);
    }
    if !has_repositories {
        return Ok(false);
    }
    let is_repository =
        |_: &Path, name: &[u8], _| matches!(name, b"_layers" | b"_manifests" | b"_uploads");
    if any_below(&repositories, REPOSITORY_DEPTH, &is_repository)
        .map_err(|source| (repositories, source))?
    {
        return Ok(true);
    }
    // Both halves, and nothing in them that is another's.
    let names = names(path).map_err(|source| (path.to_owned(), source))?;
    Ok(has_blobs && other(path, &names).is_none())
}

/// `blobs/sha256/<two hex digits>/`: image layouts have the digests right under `sha256`.
fn has_sharded_blobs(blobs: &Path) -> bool {
    names(&blobs.join("sha256"))
        .is_ok_and(|names| names.iter().any(|(name, is_dir)| *is_dir && is_hex(name.as_bytes(), 2)))
}

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

    fn any_below(&self, directory: &str, depth: usize, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
        let is_wanted = |_: &Path, name: &[u8], _| is_wanted(name);
        any_below(&self.path.join(directory), depth, &is_wanted).unwrap_or(false)
    }

    /// `directory/ab/abcd…`: two levels of hex digits, the second of a fixed number.
    fn has_shards(&self, directory: &str, digits: usize) -> bool {
        let is_shard = |parent: &Path, name: &[u8], _| {
            is_hex(name, digits)
                && parent.file_name().is_some_and(|parent| is_hex(parent.as_bytes(), 2))
        };
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
                || at.any_below("repositories", 4, is_git)
        },
        "it holds git repositories",
        "container images of a git server lie elsewhere: see the registry's own configuration",
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
            at.any_in("content", |name| name.starts_with(b"vol-"))
                || at.has_all(&["metadata.properties", "content"])
        },
        "it is a blob store of Nexus; what its blobs are is in a database",
        "ask Nexus itself: its clean-up policies and `Compact blob store`",
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
        (&["overlay2/x", "image/x", "containers/x"], "container engine"),
        (&["overlay-images/images.json", "overlay-layers/x"], "container engine"),
        (&["sha256/ab/HEX", "uploads/x"], "Quay"),
        (&["gitea.db", "packages/ab/cd/HEX"], "Gitea"),
        (&["packages/ab/cd/HEX"], "Gitea"),
        (&["content/vol-01/chap-01/x.bytes", "metadata.properties"], "Nexus"),
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
            fs::create_dir_all(directory.path().join("docker/registry/v2/repositories")).unwrap();
            let location = locate(directory.path()).unwrap();
            assert_eq!(location.layout.blobs(), Path::new("docker/registry/v2/blobs"), "{files:?}");
        }
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
