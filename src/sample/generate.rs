//! Registries of any size for benchmarks, with the skew of real ones.
//!
//! A few repositories have thousands of tags and most have one or two (in `flat` all have about as
//! many, which is the easier case for the registry's own collector); a few base images lie under
//! everything; tags moved on from about half of all revisions; some repositories are multi-arch; a
//! tenth of all blobs are orphans. Layers are sparse (see [`RegistryBuilder::with_sparse_layers`]);
//! manifests and configs are real. The same [`Size`] gives the same tree, whatever the threads.

mod base;
mod plan;
mod repository;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use super::builder::RegistryBuilder;
use super::paths;
use super::random::Random;
use crate::model::Digest;
use base::Base;
use plan::RepositoryPlan;

/// What a generated registry shall hold.
#[derive(Clone, Debug)]
pub struct Size {
    /// Repositories.
    pub repositories: u64,
    /// Blobs, orphans among them.
    pub blobs: u64,
    /// Revisions, children of indexes and attestations among them; one more or less is possible
    /// for each repository.
    pub revisions: u64,
    /// Tags, about.
    pub tags: u64,
    /// The fewest and most layers of an image.
    pub layers: (u64, u64),
    /// The share of blobs that nothing references.
    pub orphan_share: f64,
    /// All repositories are about as large; otherwise their sizes follow Zipf's law.
    pub is_flat: bool,
    /// Another seed gives another registry of the same size.
    pub seed: u64,
}

impl Size {
    /// The names that [`Size::preset`] knows.
    pub const PRESETS: [&'static str; 4] = ["tiny", "165k", "flat", "1m"];

    /// A size by name.
    pub fn preset(name: &str) -> Option<Self> {
        let (repositories, blobs, revisions, tags, layers) = match name {
            "tiny" => (20, 1_500, 280, 150, (4, 10)),
            "165k" => (2_000, 165_000, 31_000, 17_000, (5, 15)),
            "flat" => (2_000, 165_325, 39_384, 17_150, (5, 15)),
            "1m" => (2_000, 1_000_000, 250_000, 150_000, (16, 32)),
            _ => return None,
        };
        let is_flat = name == "flat";
        Some(Self {
            repositories,
            blobs,
            revisions,
            tags,
            layers,
            orphan_share: 0.1,
            is_flat,
            seed: 1,
        })
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Repositories.
    pub repositories: u64,
    /// Blobs, orphans among them.
    pub blobs: u64,
    /// Blobs that nothing references.
    pub orphans: u64,
    /// Revisions.
    pub revisions: u64,
    /// Tags.
    pub tags: u64,
    /// Layer links.
    pub layer_links: u64,
    /// What manifests name, a digest twice when two manifests name it.
    pub references: u64,
    /// Tags of the repository with most of them.
    pub most_tags: u64,
    /// Revisions of the repository with most of them.
    pub most_revisions: u64,
}

impl Counts {
    fn add(self, other: Self) -> Self {
        Self {
            repositories: self.repositories + other.repositories,
            blobs: self.blobs + other.blobs,
            orphans: self.orphans + other.orphans,
            revisions: self.revisions + other.revisions,
            tags: self.tags + other.tags,
            layer_links: self.layer_links + other.layer_links,
            references: self.references + other.references,
            most_tags: self.most_tags.max(other.most_tags),
            most_revisions: self.most_revisions.max(other.most_revisions),
        }
    }
}

/// The first push; the others follow day by day.
fn first_day() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(473_352)
}

/// Writes a registry of this size below `root`.
pub fn generate(root: &Path, size: &Size) -> io::Result<Counts> {
    let mut registry = RegistryBuilder::with_sparse_layers();
    registry.at(first_day());
    let bases = Base::all(&mut registry, &mut Random::new(size.seed));
    let plan = plan::Plan::new(size, registry.tree.iter().count() as u64);
    let base_layers = write_used(root, size, &mut registry, &plan.repositories, &bases)?;
    let repositories = plan
        .repositories
        .par_iter()
        .map(|repository| write_repository(root, size, &plan, repository, &bases))
        .try_reduce(Counts::default, |one, other| Ok(one.add(other)))?;
    let orphans = size.blobs.saturating_sub(repositories.blobs + base_layers);
    let links = write_orphans(root, size, &plan.repositories, orphans)?;
    Ok(repositories.add(Counts {
        blobs: base_layers + orphans,
        orphans,
        layer_links: links,
        ..Counts::default()
    }))
}

/// Writes the base layers that an image will name; the others would be orphans that nobody asked
/// for. Returns how many it wrote.
fn write_used(
    root: &Path,
    size: &Size,
    registry: &mut RegistryBuilder,
    repositories: &[RepositoryPlan],
    bases: &[Base],
) -> io::Result<u64> {
    let used: BTreeSet<String> = repositories
        .iter()
        .flat_map(|repository| &Base::of(&repository.name, size, bases).layers)
        .map(|(_, layer)| paths::blob(&layer.digest))
        .collect();
    let unused: Vec<String> = registry
        .tree
        .iter()
        .map(|(path, _)| path.to_owned())
        .filter(|path| !used.contains(path))
        .collect();
    for path in unused {
        registry.tree.remove(&path);
    }
    registry.write_to(root)?;
    Ok(used.len() as u64)
}

fn write_repository(
    root: &Path,
    size: &Size,
    plan: &plan::Plan,
    repository: &RepositoryPlan,
    bases: &[Base],
) -> io::Result<Counts> {
    let mut writer = repository::Writer::new(size, plan, repository, bases);
    let counts = writer.fill();
    writer.registry.write_to(root)?;
    Ok(counts)
}

/// Blobs that deleted images left: mostly layers, some manifests and configs; half of them are
/// still linked in a repository. Returns how many links that made.
fn write_orphans(
    root: &Path,
    size: &Size,
    repositories: &[RepositoryPlan],
    count: u64,
) -> io::Result<u64> {
    const PART: u64 = 2_000;
    (0..count.div_ceil(PART))
        .into_par_iter()
        .map(|part| {
            let mut registry = RegistryBuilder::with_sparse_layers();
            registry.at(first_day());
            let mut random = Random::named(&format!("orphans {part} of {}", size.seed));
            let mut links = 0;
            for number in part * PART..count.min((part + 1) * PART) {
                let (digest, is_manifest) = orphan(&mut registry, &mut random, size, number);
                let owner = random.below(repositories.len() as u64) as usize;
                if !is_manifest && random.chance(0.5) {
                    registry.link_layer(&repositories[owner].name, &digest);
                    links += 1;
                }
            }
            registry.write_to(root)?;
            Ok(links)
        })
        .try_reduce(|| 0, |one, other| Ok(one + other))
}

fn orphan(
    registry: &mut RegistryBuilder,
    random: &mut Random,
    size: &Size,
    number: u64,
) -> (Digest, bool) {
    let name = format!("orphan {number} of {}", size.seed);
    match random.below(10) {
        0 => {
            // The image goes to a repository that is not written, so only its blob stays.
            let mut scratch = RegistryBuilder::with_sparse_layers();
            let layer = scratch.layer(&name, 1_000);
            let manifest = scratch.image("deleted").layers([&layer]).push();
            let path = paths::blob(&manifest.digest);
            if let Some(entry) = scratch.tree.get(&path) {
                registry.put(path, entry.content.clone());
            }
            (manifest.digest, true)
        }
        1 => {
            let config =
                format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"id\":\"{name}\"}}");
            (registry.blob(config).digest, false)
        }
        _ => {
            let bytes = base::layer_size(random);
            (registry.layer(&name, bytes).digest, false)
        }
    }
}
