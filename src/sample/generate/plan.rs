//! How many tags, revisions and blobs each repository gets.

use super::Size;
use crate::sample::Random;

/// What one push to a multi-arch repository adds: an index, two images, two attestations.
pub(super) const REVISIONS_OF_MULTI_ARCH: u64 = 5;

/// The shares of the whole.
#[derive(Debug)]
pub(super) struct Plan {
    pub repositories: Vec<RepositoryPlan>,
    /// Layers of its own that an image brings, on average.
    pub new_layers: f64,
}

/// One repository's share.
#[derive(Debug)]
pub(super) struct RepositoryPlan {
    pub name: String,
    pub tags: u64,
    /// Builds pushed over time, the oldest first; the newest keep the tags.
    pub pushes: u64,
    pub is_multi_arch: bool,
    pub is_oci: bool,
}

impl RepositoryPlan {
    pub(super) fn images(&self) -> u64 {
        self.pushes * if self.is_multi_arch { 2 } else { 1 }
    }

    pub(super) fn revisions(&self) -> u64 {
        self.pushes * if self.is_multi_arch { REVISIONS_OF_MULTI_ARCH } else { 1 }
    }
}

impl Plan {
    /// Tags follow Zipf's law, or are spread evenly; revisions follow the tags.
    pub(super) fn new(size: &Size, base_layers: u64) -> Self {
        let weight = |number: u64| if size.is_flat { 1.0 } else { 1.0 / (number as f64 + 1.0) };
        let weights: f64 = (0..size.repositories).map(weight).sum();
        let mut repositories = Vec::with_capacity(size.repositories as usize);
        let (mut tags_due, mut revisions_due) = (0.0_f64, 0.0_f64);
        for number in 0..size.repositories {
            let share = weight(number) / weights;
            tags_due += share * size.tags as f64;
            revisions_due += share * size.revisions as f64;
            let mut random = Random::named(&format!("plan {number} of {}", size.seed));
            // The first repositories are too large to leave their shape to chance.
            let is_multi_arch = if number < 10 { number % 5 == 2 } else { random.chance(0.12) };
            let is_oci = is_multi_arch || random.chance(0.4);
            let tags = whole(&mut tags_due);
            let each = if is_multi_arch { REVISIONS_OF_MULTI_ARCH as f64 } else { 1.0 };
            let mut pushes_due = revisions_due / each;
            let pushes = whole(&mut pushes_due);
            revisions_due = pushes_due * each;
            repositories.push(RepositoryPlan {
                name: name(number),
                tags,
                pushes,
                is_multi_arch,
                is_oci,
            });
        }
        let images: u64 = repositories.iter().map(RepositoryPlan::images).sum();
        let revisions: u64 = repositories.iter().map(RepositoryPlan::revisions).sum();
        // Each attestation brings a config and a statement of its own.
        let attestation_blobs: u64 = repositories
            .iter()
            .filter(|repository| repository.is_multi_arch)
            .map(|repository| repository.images() * 2)
            .sum();
        let orphans = (size.blobs as f64 * size.orphan_share) as u64;
        let layers = size
            .blobs
            .saturating_sub(revisions + images + attestation_blobs + base_layers + orphans);
        Self { repositories, new_layers: layers as f64 / images.max(1) as f64 }
    }
}

/// Takes the whole part of what is due, at least 1; the rest, or the debt, stays due.
fn whole(due: &mut f64) -> u64 {
    let taken = due.floor().max(1.0);
    *due -= taken;
    taken as u64
}

fn name(number: u64) -> String {
    match number % 7 {
        0 => format!("service-{number}"),
        1..=4 => format!("team-{}/service-{number}", number % 40),
        _ => format!("org/team-{}/component/service-{number}", number % 40),
    }
}
