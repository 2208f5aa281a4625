//! From what the user typed to the registry's root: the root itself, its `docker/registry/v2`, a
//! directory above it, or the registry's `config.yml`. Anything else is refused with a word on what
//! it is.
//!
//! One name is no proof. Registries of version 1, git servers and image layouts have directories of
//! the same names, so `docker/registry/v2` counts first, and a bare v2 directory must hold something
//! that only this registry writes.

mod address;
mod configuration;
#[cfg(feature = "object-storage")]
mod drivers;
mod layouts;
mod look;
#[cfg(feature = "object-storage")]
mod object;

use std::io;
use std::path::{Path, PathBuf};

use super::Layout;
use crate::model::authority::Configured;
use configuration::ConfiguredPlace;
use look::Found;

/// Where a registry's storage lies.
#[derive(Clone, Debug)]
pub struct Location {
    /// The registry's root directory, canonical; the address of a bucket and its prefix.
    pub root: PathBuf,
    /// Where `blobs` and `repositories` lie below it.
    pub layout: Layout,
    /// What its configuration says, if that was given, now or at an earlier scan.
    pub configured: Option<Configured>,
    /// What it lies in.
    pub place: Place,
    /// What leads to it with all that opening it needs: the root, or a configuration with credentials.
    pub origin: PathBuf,
}

impl Location {
    /// The storage whose `blobs` and `repositories` lie in `v2` below the directory `root`.
    pub fn new(root: PathBuf, v2: PathBuf) -> Self {
        let (layout, origin) = (Layout::new(v2), root.clone());
        Self { root, layout, configured: None, place: Place::Filesystem, origin }
    }
}

/// What a storage lies in.
#[derive(Clone, Debug)]
pub enum Place {
    /// Directories and files.
    Filesystem,
    /// A bucket.
    #[cfg(feature = "object-storage")]
    Object(ObjectPlace),
}

/// A bucket, how to reach it, and where in it the registry lies.
#[cfg(feature = "object-storage")]
#[derive(Clone, Debug)]
pub struct ObjectPlace {
    /// Whose it is.
    pub provider: Provider,
    /// What its keys begin with: nothing, or a text with a slash at its end.
    pub prefix: String,
}

/// Whose bucket it is, and how to reach it.
#[cfg(feature = "object-storage")]
#[derive(Clone, Debug)]
pub enum Provider {
    /// S3 or what speaks its protocol.
    S3(Box<super::object::s3::S3Options>),
    /// Google Cloud Storage.
    Gcs(super::object::gcs::GcsOptions),
    /// Azure Blob Storage.
    Azure(Box<super::object::azure::AzureOptions>),
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
        /// The next step.
        hint: String,
    },
    /// Several registries lie below it.
    #[error("`{}` holds {} registries: {}", .path.display(), .roots.len(), listed(.roots))]
    Several {
        /// The path.
        path: PathBuf,
        /// Their root directories.
        roots: Vec<PathBuf>,
    },
    /// An address that is none of a storage.
    #[error("`{address}` is no storage's address: {found}")]
    Address {
        /// The address, without secrets.
        address: String,
        /// What is wrong with it.
        found: String,
        /// The next step.
        hint: String,
    },
    /// A configuration file that names no directory.
    #[error("cannot take the storage from configuration `{}`: {found}", .path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// The next step.
        hint: String,
    },
}

impl LocateError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "give the registry's root directory, its docker/registry/v2, or its config.yml"
                    .into()
            }
            Self::Unreadable { .. } => "run as the user that owns the storage".into(),
            Self::NotARegistry { hint, .. }
            | Self::Address { hint, .. }
            | Self::Configuration { hint, .. } => hint.clone(),
            Self::Several { .. } => "give one of them".into(),
        })
    }
}

/// How many paths a message names.
const MAX_LISTED: usize = 10;

fn listed(paths: &[PathBuf]) -> String {
    let shown = paths.iter().take(MAX_LISTED).map(|path| format!("`{}`", path.display()));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if paths.len() > MAX_LISTED {
        text.push_str(", …");
    }
    text
}

/// Where the registry's paths begin below its root (distribution `registry/storage/paths.go`).
const V2: &str = "docker/registry/v2";

/// Finds the registry's root. A configuration is read with the `REGISTRY_*` variables of the
/// environment, as the registry reads it.
pub fn locate(path: &Path) -> Result<Location, LocateError> {
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(location) = path.to_str().and_then(|text| address::parse(text, &variable)) {
        return location;
    }
    let unreadable = |source| LocateError::Unreadable { path: path.to_owned(), source };
    let canonical = path.canonicalize().map_err(unreadable)?;
    if canonical.metadata().map_err(unreadable)?.is_dir() {
        return locate_directory(path, &canonical, true);
    }
    let variables = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let configured = configuration::read(path, &variables.collect())?;
    let location = match configured.place {
        ConfiguredPlace::Directory(directory) => {
            let root = directory.existing_root(path)?;
            locate_directory(&root, &root, false)?
        }
        #[cfg(feature = "object-storage")]
        ConfiguredPlace::Bucket(provider, prefix) => {
            // Its credentials are in the file, so that is what leads here again.
            let location = object::location(provider, &prefix, &variable);
            Location { origin: canonical, ..location }
        }
    };
    Ok(Location { configured: Some(configured.says), ..location })
}

/// `may_descend`: a root below may stand for a directory that a person typed, and not for one that
/// a configuration names.
fn locate_directory(
    given: &Path,
    canonical: &Path,
    may_descend: bool,
) -> Result<Location, LocateError> {
    let unreadable = |path: &Path, source| LocateError::Unreadable { path: path.into(), source };
    let nested = canonical.join(V2);
    let refused = |found: String, hint: String| LocateError::NotARegistry {
        path: given.to_owned(),
        found,
        hint,
    };
    let location = |root: &Path, v2: &str| match layouts::drive_of_minio(&root.join(v2)) {
        Some(other) => Err(refused(other.found, other.hint)),
        None => Ok(Location::new(root.to_owned(), v2.into())),
    };
    if has_halves(&nested) {
        // A configuration says which of them its registry has.
        let beside = may_descend.then(|| layouts::beside_empty(canonical, &nested)).flatten();
        return match beside {
            Some(other) => Err(refused(other.found, other.hint)),
            None => location(canonical, V2),
        };
    }
    // A directory that only root may enter must not be called "something else".
    let names = look::names(canonical).map_err(|source| unreadable(given, source))?;
    if let Err(source) = nested.metadata()
        && source.kind() == io::ErrorKind::PermissionDenied
    {
        return Err(unreadable(&nested, source));
    }
    if canonical.ends_with(V2) && has_halves(canonical) {
        let root = canonical.ancestors().nth(3).unwrap_or(canonical);
        return location(root, V2);
    }
    let is_v2 = layouts::is_v2(canonical).map_err(|(path, source)| unreadable(&path, source))?;
    if is_v2 {
        return location(canonical, "");
    }
    let other = layouts::other(canonical, &names);
    if other.is_none() && nested.is_dir() {
        // A registry that was never pushed to.
        return Ok(Location::new(canonical.to_owned(), V2.into()));
    }
    if let Some(root) = root_around(canonical) {
        let hint = format!("give the root: {}", root.display());
        return Err(refused(format!("it lies inside one, `{}`", root.display()), hint));
    }
    let Found { roots, is_all } = look::roots_below(canonical);
    match (other, roots.as_slice()) {
        (None, [root]) if is_all && may_descend => location(root, V2),
        (None, [root]) => {
            let hint = format!("give the root: {}", root.display());
            Err(refused(format!("one lies below it, `{}`", root.display()), hint))
        }
        (None, []) => Err(refused(layouts::listing(&names), layouts::EXPECTED.into())),
        (None, _) => Err(LocateError::Several { path: given.to_owned(), roots }),
        (Some(other), []) => Err(refused(other.found, other.hint)),
        (Some(other), _) => {
            Err(refused(other.found, format!("a registry's root lies below: {}", listed(&roots))))
        }
    }
}

fn has_halves(v2: &Path) -> bool {
    v2.join("repositories").is_dir() || v2.join("blobs").is_dir()
}

/// The root of the registry that `path` is a part of.
fn root_around(path: &Path) -> Option<&Path> {
    path.ancestors()
        .skip(1)
        .find(|root| path.starts_with(root.join("docker")) && has_halves(&root.join(V2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
    fn a_directory_above_one_root_leads_to_it_and_above_two_names_both() {
        let directory = tempfile::tempdir().unwrap();
        let above = directory.path().canonicalize().unwrap();
        let first = above.join("volumes/registry/_data");
        fs::create_dir_all(first.join("docker/registry/v2/blobs")).unwrap();
        // A snapshot of a NAS holds the registry as it was.
        fs::create_dir_all(above.join(".snapshots/1/docker/registry/v2/blobs")).unwrap();
        assert_eq!(locate(&above).unwrap().root, first);
        let second = above.join("volumes/other/_data");
        fs::create_dir_all(second.join("docker/registry/v2/blobs")).unwrap();
        let text = locate(&above).unwrap_err().to_string();
        for root in [first, second] {
            assert!(text.contains(&root.display().to_string()), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_registry_names_its_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let repository = root.join("docker/registry/v2/repositories/team/app");
        fs::create_dir_all(repository.join("_layers")).unwrap();
        for part in ["docker", "docker/registry", "docker/registry/v2/repositories"] {
            let error = locate(&root.join(part)).unwrap_err();
            assert!(error.hint().unwrap().ends_with(&root.display().to_string()), "{part}");
        }
        let error = locate(&repository).unwrap_err();
        assert!(error.hint().unwrap().ends_with(&root.display().to_string()), "{error}");
    }
}
