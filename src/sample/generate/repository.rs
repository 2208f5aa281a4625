//! One repository's images, tags and links.

use std::time::Duration;

use super::base::{Base, command, layer_size};
use super::plan::{Plan, RepositoryPlan};
use super::{Counts, Size, first_day};
use crate::sample::{Descriptor, Random, RegistryBuilder};

/// Fills one repository. It has a builder of its own, so repositories can be written in parallel.
pub(super) struct Writer<'p> {
    pub registry: RegistryBuilder,
    size: &'p Size,
    plan: &'p Plan,
    repository: &'p RepositoryPlan,
    base: &'p Base,
    random: Random,
    /// Layers above the base image, of the newest image; the next one keeps the lower of them.
    stack: Vec<(String, Descriptor)>,
    /// Part of a new layer that is due, since images get a whole number of them.
    layers_due: f64,
    layer_number: u64,
    counts: Counts,
}

impl<'p> Writer<'p> {
    pub(super) fn new(
        size: &'p Size,
        plan: &'p Plan,
        repository: &'p RepositoryPlan,
        bases: &'p [Base],
    ) -> Self {
        let mut random = Random::named(&format!("{} of {}", repository.name, size.seed));
        let base = Base::of(&repository.name, size, bases);
        // A random start, so that the many small repositories round down as often as up.
        let layers_due = random.fraction();
        Self {
            registry: RegistryBuilder::with_sparse_layers(),
            size,
            plan,
            repository,
            base,
            random,
            stack: Vec::new(),
            layers_due,
            layer_number: 0,
            counts: Counts::default(),
        }
    }

    pub(super) fn fill(&mut self) -> Counts {
        let repository = self.repository;
        let untagged = repository.pushes.saturating_sub(repository.tags);
        let mut tags_left = repository.tags;
        for push in 0..repository.pushes {
            let age = Duration::from_secs(push * 86_400 * 900 / repository.pushes);
            self.registry.at(first_day() + age);
            let manifest = if repository.is_multi_arch {
                self.push_index()
            } else {
                self.push_image("linux/amd64")
            };
            // `main` moved on from the early pushes and now is on the last.
            if push < untagged || push + 1 == repository.pushes {
                self.registry.tag(&repository.name, "main", &manifest.digest);
            }
            if push >= untagged {
                let pushes_left = repository.pushes - push;
                let here = tags_left.div_ceil(pushes_left);
                tags_left -= here;
                // `main` is the last one's first tag.
                let more = here - u64::from(push + 1 == repository.pushes && here > 0);
                for tag in 0..more {
                    let name = format!("{}.{}.{tag}", push / 10, push % 10);
                    self.registry.tag(&repository.name, &name, &manifest.digest);
                }
            }
        }
        self.count()
    }

    fn push_index(&mut self) -> Descriptor {
        let name = &self.repository.name;
        let mut children = Vec::new();
        for platform in ["linux/amd64", "linux/arm64"] {
            let image = self.push_image(platform);
            let attestation = self.registry.attestation(name, &image);
            children.extend([image, attestation]);
        }
        self.counts.references += 4 + 2 * 2;
        self.registry.index(name).children(&children).push()
    }

    fn push_image(&mut self, platform: &str) -> Descriptor {
        self.renew_stack();
        let label = self.random.next_u64().to_string();
        let mut image = self.registry.image(&self.repository.name).platform(platform);
        if self.repository.is_oci {
            image = image.oci();
        }
        for (command, layer) in self.base.layers.iter().chain(&self.stack) {
            image = image.step(command, layer);
        }
        self.counts.references += 1 + (self.base.layers.len() + self.stack.len()) as u64;
        image
            .empty_step("ENV APP_ENV=production PORT=8080")
            .empty_step("ENTRYPOINT [\"/usr/local/bin/docker-entrypoint.sh\"]")
            .label("org.opencontainers.image.revision", &label)
            .push()
    }

    /// Keeps the lower layers of the image before and puts new ones on top.
    fn renew_stack(&mut self) {
        let (least, most) = self.size.layers;
        let wanted = least + self.random.below(most - least + 1);
        let above_base = wanted.saturating_sub(self.base.layers.len() as u64);
        self.layers_due += self.plan.new_layers;
        let new = self.layers_due.floor();
        self.layers_due -= new;
        let kept = above_base.saturating_sub(new as u64) as usize;
        self.stack.truncate(kept);
        for _ in 0..new as u64 {
            self.layer_number += 1;
            let name =
                format!("{} {} of {}", self.repository.name, self.layer_number, self.size.seed);
            let bytes = layer_size(&mut self.random);
            let layer = self.registry.layer(&name, bytes);
            self.stack.push((command(&mut self.random), layer));
        }
    }

    fn count(&self) -> Counts {
        let mut counts = Counts { repositories: 1, ..self.counts };
        for (path, _) in self.registry.tree.iter() {
            if path.contains("/blobs/") {
                counts.blobs += 1;
            } else if path.contains("/_layers/") {
                counts.layer_links += 1;
            } else if path.contains("/revisions/") {
                counts.revisions += 1;
            } else if path.ends_with("/current/link") {
                counts.tags += 1;
            }
        }
        counts.most_tags = counts.tags;
        counts.most_revisions = counts.revisions;
        counts
    }
}
