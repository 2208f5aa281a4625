//! Build steps whose layer changed from build to build of a repository.

use std::collections::HashSet;

use crate::model::Role;
use crate::scan::TextNumber;

use super::{BlobId, Catalog, CatalogRepository, ManifestId};

/// A step in the builds of one repository for one platform, where more than half of at least two
/// builds made a layer that no other made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangingStep {
    /// The repository's place.
    pub repository: u32,
    /// The command.
    pub build_step: TextNumber,
    /// The place of its platform among those of the same step, by builds, the most often built first.
    pub place: u32,
    /// Builds with this step.
    pub build_count: u32,
    /// Different layers that they made and no platform before has.
    pub layer_count: u32,
    /// Bytes of those that are present.
    pub layer_bytes: u64,
}

/// A layer that a step made in a build.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Made {
    step: usize,
    platform: [Option<usize>; 3],
    layer: BlobId,
    build: ManifestId,
}

/// Steps of all repositories; those of a repository come in no order.
pub fn changing_steps(catalog: &Catalog) -> Vec<ChangingStep> {
    let mut steps = Vec::new();
    let mut made = Vec::new();
    for (place, repository) in (0..).zip(&catalog.repositories) {
        let builds = builds(catalog, repository);
        if builds.len() < 2 {
            continue;
        }
        made.clear();
        made.extend(builds.iter().flat_map(|build| made_in(catalog, *build)));
        made.sort_unstable();
        for of_step in made.chunk_by(|a, b| a.step == b.step) {
            let step = TextNumber::at(of_step[0].step as u32);
            add_step(catalog, place, step, of_step, &mut steps);
        }
    }
    steps
}

/// Manifests that the repository holds, or its tags are remembered to have pointed at.
fn builds(catalog: &Catalog, repository: &CatalogRepository) -> Vec<ManifestId> {
    let of_tags = repository.tags.iter();
    let of_tags =
        of_tags.flat_map(|tag| tag.entries.iter().map(|entry| entry.name).chain(tag.target));
    let named = repository.revisions.iter().map(|revision| revision.name).chain(of_tags);
    let mut builds: Vec<_> = named.filter_map(|blob| catalog.manifest_at(blob)).collect();
    builds.sort_unstable();
    builds.dedup();
    builds
}

fn made_in(catalog: &Catalog, build: ManifestId) -> impl Iterator<Item = Made> {
    let manifest = &catalog.manifests[build as usize];
    let platform = manifest.body.as_ref().map_or([None; 3], |body| {
        let place = |text: Option<TextNumber>| {
            let place = text.map(TextNumber::place);
            place.filter(|place| !catalog.platforms[*place].is_empty())
        };
        [place(body.os), place(body.architecture), place(body.variant)]
    });
    manifest.references().iter().filter(|reference| reference.role == Role::Layer).filter_map(
        move |reference| {
            let step = reference.build_step?.place();
            Some(Made { step, platform, layer: reference.blob, build })
        },
    )
}

/// Adds what one step made, sorted by platform and layer.
fn add_step(
    catalog: &Catalog,
    repository: u32,
    build_step: TextNumber,
    made: &[Made],
    steps: &mut Vec<ChangingStep>,
) {
    let mut platforms = Vec::new();
    for made in made.chunk_by(|a, b| a.platform == b.platform) {
        let layer_count = made.chunk_by(|a, b| a.layer == b.layer).count();
        let mut builds: Vec<ManifestId> = made.iter().map(|made| made.build).collect();
        builds.sort_unstable();
        builds.dedup();
        if builds.len() >= 2 && 2 * layer_count > builds.len() {
            platforms.push((builds.len() as u32, made));
        }
    }
    platforms.sort_by_key(|(build_count, _)| std::cmp::Reverse(*build_count));
    let mut seen = HashSet::new();
    for (place, (build_count, made)) in (0..).zip(platforms) {
        let (mut layer_count, mut layer_bytes) = (0, 0_u64);
        for made in made {
            if seen.insert(made.layer) {
                layer_count += 1;
                layer_bytes = layer_bytes.saturating_add(catalog.size_bytes(made.layer));
            }
        }
        steps.push(ChangingStep {
            repository,
            build_step,
            place,
            build_count,
            layer_count,
            layer_bytes,
        });
    }
}
