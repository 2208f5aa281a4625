//! From what the user typed to the registry's root: the root itself, its `docker/registry/v2`, or
//! the registry's `config.yml`. Anything else is refused with a word on what it is.

use std::io;
use std::path::{Path, PathBuf};

use super::Layout;

/// Where a registry's storage lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The registry's root directory, canonical.
    pub root: PathBuf,
    /// Where `blobs` and `repositories` lie below it.
    pub layout: Layout,
}

/// Why a path is not a registry's storage.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// It cannot be looked at.
    #[error("cannot read storage `{}`", .path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("`{}` is not a registry's storage: {found}", .path.display())]
    NotARegistry {
        /// The path.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// A configuration file that names no directory.
    #[error("cannot take the storage from configuration `{}`: {found}", .path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
}

impl LocateError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "give the registry's root directory, its docker/registry/v2, or its config.yml".into()
            }
            Self::Unreadable { .. } => "run as the user that owns the storage".into(),
            Self::NotARegistry { .. } => {
                "regsql reads `<root>/docker/registry/v2/{blobs,repositories}` as the CNCF registry writes it".into()
            }
            Self::Configuration { .. } => {
                "give the directory itself; regsql reads `storage.filesystem.rootdirectory`".into()
            }
        })
    }
}

/// A configuration larger than this is none.
const MAX_CONFIGURATION_BYTES: u64 = 1 << 20;

/// Finds the registry's root.
pub fn locate(path: &Path) -> Result<Location, LocateError> {
    let unreadable = |source| LocateError::Unreadable { path: path.to_owned(), source };
    let canonical = path.canonicalize().map_err(unreadable)?;
    if canonical.metadata().map_err(unreadable)?.is_file() {
        return locate(&root_from_configuration(path)?);
    }
    if is_v2(&canonical) {
        return Ok(location_of_v2(canonical));
    }
    let nested = canonical.join("docker/registry/v2");
    if is_v2(&nested) {
        return Ok(Location { root: canonical, layout: Layout::new("docker/registry/v2".into()) });
    }
    // A directory that only root may enter must not be called "something else".
    let names = std::fs::read_dir(&canonical).map_err(unreadable)?;
    if let Err(source) = nested.metadata()
        && source.kind() == io::ErrorKind::PermissionDenied
    {
        return Err(LocateError::Unreadable { path: nested, source });
    }
    let names: Vec<String> = names
        .flatten()
        .take(1000)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    if nested.is_dir() {
        // A registry that has just been started and never pushed to.
        return Ok(Location { root: canonical, layout: Layout::new("docker/registry/v2".into()) });
    }
    Err(LocateError::NotARegistry { path: path.to_owned(), found: describe(&canonical, &names) })
}

fn is_v2(path: &Path) -> bool {
    path.join("repositories").is_dir()
        || path.join("blobs").is_dir() && !path.join("oci-layout").exists()
}

fn location_of_v2(v2: PathBuf) -> Location {
    let suffix = Path::new("docker/registry/v2");
    match v2.ends_with(suffix).then(|| v2.ancestors().nth(3)).flatten() {
        Some(root) => Location { root: root.to_owned(), layout: Layout::new(suffix.into()) },
        None => Location { root: v2, layout: Layout::new(PathBuf::new()) },
    }
}

/// What people point at by mistake.
fn describe(path: &Path, names: &[String]) -> String {
    let has = |name: &str| names.iter().any(|other| other == name);
    if has("oci-layout") || has("index.json") && has("blobs") {
        return "it is an OCI image layout (oci-layout, index.json, blobs)".into();
    }
    if has("_trivy")
        || has("_storage_upload")
        || names.iter().any(|name| path.join(name).join("oci-layout").is_file())
    {
        return "it holds OCI image layouts, one a repository, as zot writes them".into();
    }
    if has("_layers") || has("_manifests") {
        return "it is one repository of a registry, not the registry's root".into();
    }
    if has("overlay2") || has("image") && has("containers") {
        return "it is the data directory of a container engine, not of a registry".into();
    }
    if path.file_name().is_some_and(|name| name == "docker") && has("registry") {
        return "it is the `docker` directory inside a registry's root; give the directory above it".into();
    }
    if path.file_name().is_some_and(|name| name == "repositories" || name == "blobs") {
        return "it is one half of a registry's v2 directory; give the directory above it".into();
    }
    if names.is_empty() {
        return "it is an empty directory".into();
    }
    let mut shown: Vec<&str> = names.iter().map(String::as_str).collect();
    shown.sort_unstable();
    shown.truncate(5);
    format!("it holds {}", shown.join(", "))
}

fn root_from_configuration(path: &Path) -> Result<PathBuf, LocateError> {
    let error = |found: String| LocateError::Configuration { path: path.to_owned(), found };
    let unreadable = |source| LocateError::Unreadable { path: path.to_owned(), source };
    if path.metadata().map_err(unreadable)?.len() > MAX_CONFIGURATION_BYTES {
        return Err(LocateError::NotARegistry {
            path: path.to_owned(),
            found: "it is a file of more than 1 MiB, so no configuration".into(),
        });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| error("it is not text".into()))?;
    let value: serde_json::Value = serde_saphyr::from_str(&text)
        .map_err(|reason| error(format!("it is not YAML ({})", first_line(&reason.to_string()))))?;
    let storage = value.get("storage").ok_or_else(|| error("it has no `storage`".into()))?;
    if let Some(directory) =
        storage.pointer("/filesystem/rootdirectory").and_then(|value| value.as_str())
    {
        return Ok(path.parent().unwrap_or(Path::new(".")).join(directory));
    }
    if storage.get("filesystem").is_some() {
        // The registry's own default (distribution registry/storage/driver/filesystem/driver.go).
        return Ok(PathBuf::from("/var/lib/registry"));
    }
    let drivers: Vec<&str> =
        storage.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    Err(error(format!("its storage is not a file system (it has {})", drivers.join(", "))))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn refusal(path: &Path) -> String {
        let text = locate(path).unwrap_err().to_string();
        text.split_once(": ").map(|(_, found)| found.to_owned()).unwrap_or(text)
    }

    #[test]
    fn the_root_its_v2_and_its_configuration_all_lead_to_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("docker/registry/v2/blobs")).unwrap();
        let config = root.join("config.yml");
        fs::write(&config, "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: .\n")
            .unwrap();
        for path in [root.clone(), root.join("docker/registry/v2"), config] {
            assert_eq!(locate(&path).unwrap().root, root, "{}", path.display());
        }
    }

    #[test]
    fn what_is_no_registry_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(refusal(path), "it is an empty directory");
        fs::create_dir(path.join("blobs")).unwrap();
        fs::write(path.join("index.json"), "{}").unwrap();
        fs::write(path.join("oci-layout"), "{}").unwrap();
        assert_eq!(refusal(path), "it is an OCI image layout (oci-layout, index.json, blobs)");
    }

    #[test]
    fn a_configuration_for_another_driver_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.yml");
        fs::write(&config, "storage:\n  s3:\n    bucket: b\n").unwrap();
        assert_eq!(refusal(&config), "its storage is not a file system (it has s3)");
        fs::write(&config, "[").unwrap();
        assert!(refusal(&config).starts_with("it is not YAML"));
    }
}
