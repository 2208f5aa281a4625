//! The slow way: sets from which things are taken, one look at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::random::Plan;
use crate::graph::{BlobId, Graph, Item, RepositoryNode, Selection};
use crate::model::{HoldScope, Kind, Role, tag_subject};
use crate::scan::{Catalog, CatalogRepository};

#[derive(Clone, Default)]
pub struct ModelRepository {
    pub tags: BTreeMap<String, Option<BlobId>>,
    pub revisions: BTreeSet<BlobId>,
    /// The images of tags that are about one.
    about: BTreeMap<String, BlobId>,
    /// Blobs that are kept, with all they name, whatever goes.
    fixed: BTreeSet<BlobId>,
    /// Blobs that somebody outside refers to here.
    rooted: BTreeSet<BlobId>,
}

pub struct Model<'a> {
    catalog: &'a Catalog,
    pub repositories: Vec<ModelRepository>,
    everywhere: BTreeSet<BlobId>,
}

impl<'a> Model<'a> {
    pub fn new(catalog: &'a Catalog, plan: &Plan, names: &Graph) -> Self {
        let mut model = Self { catalog, repositories: Vec::new(), everywhere: BTreeSet::new() };
        for (place, repository) in catalog.repositories.iter().enumerate() {
            let node = model.repository(place, repository, plan, names);
            model.repositories.push(node);
        }
        if plan.is_storage_held {
            model.everywhere.extend(0..catalog.digests.len() as BlobId);
        }
        let anywhere = names_of_roots(plan, names, None);
        let hidden = model.hidden(plan);
        for start in anywhere.into_iter().chain(hidden) {
            let all = model.kept_by(&ModelRepository::default(), start);
            model.everywhere.extend(all);
        }
        model
    }

    fn repository(
        &self,
        place: usize,
        repository: &CatalogRepository,
        plan: &Plan,
        names: &Graph,
    ) -> ModelRepository {
        let mut model = ModelRepository {
            tags: repository.tags.iter().map(|tag| (tag.name.clone(), tag.target)).collect(),
            revisions: repository.revisions.iter().map(|revision| revision.name).collect(),
            ..ModelRepository::default()
        };
        let about = repository.tags.iter().filter_map(|tag| {
            let digest = tag_subject(&tag.name)?;
            let subject = self.catalog.digests.binary_search(&digest).ok()? as BlobId;
            let is_about = model.revisions.contains(&subject) && tag.target? != subject;
            is_about.then(|| (tag.name.clone(), subject))
        });
        model.about = about.collect();
        let targets = model.about.keys().filter_map(|tag| model.tags[tag]);
        let led_to: BTreeSet<BlobId> =
            targets.flat_map(|target| self.leads_to(&model, target)).collect();
        model.about.retain(|_, subject| !led_to.contains(subject));

        model.rooted = names_of_roots(plan, names, Some(place));
        let anywhere = names_of_roots(plan, names, None);
        model.rooted.extend(anywhere.intersection(&model.revisions));
        let roots = self.catalog.roots.iter().filter(|root| root.repository == Some(place as u32));
        model.fixed = roots.filter_map(|root| root.blob).collect();
        if repository.is_held {
            model
                .fixed
                .extend(repository.layer_links.iter().flat_map(|link| [link.name, link.target]));
            model.fixed.extend(model.revisions.iter().copied());
            model.fixed.extend(model.tags.values().flatten());
        }
        model.fixed.extend(model.rooted.iter().copied());
        model
    }

    fn children(&self, blob: BlobId) -> impl Iterator<Item = BlobId> + '_ {
        let id = self.catalog.manifest_at(blob);
        let references = id.map(|id| self.catalog.manifests[id as usize].references());
        let children = references.into_iter().flatten();
        children.filter(|named| named.role == Role::Manifest).map(|named| named.blob)
    }

    /// Manifests that may be revisions which could not be listed.
    fn hidden(&self, plan: &Plan) -> BTreeSet<BlobId> {
        let catalog = self.catalog;
        let links = |repository: &CatalogRepository| {
            let mut links: BTreeSet<BlobId> =
                repository.layer_links.iter().map(|link| link.name).collect();
            let is_linked = |target: &BlobId| links.contains(target);
            let aliases = catalog.aliases.iter();
            let names = aliases.filter(|(_, targets)| targets.iter().any(is_linked));
            let names: Vec<BlobId> = names.map(|(name, _)| *name).collect();
            links.extend(names);
            links
        };
        let is_hidden = |place: usize| plan.repositories[place].hold == Some(HoldScope::Manifests);
        let places = 0..catalog.repositories.len();
        let (hidden, others): (Vec<usize>, Vec<usize>) = places.partition(|at| is_hidden(*at));
        if hidden.is_empty() {
            return BTreeSet::new();
        }
        let of = |at: &usize| &catalog.repositories[*at];
        let linked: BTreeSet<BlobId> = hidden.iter().flat_map(|at| links(of(at))).collect();
        let revisions = hidden.iter().flat_map(|at| &of(at).revisions);
        let revisions: BTreeSet<BlobId> = revisions.map(|revision| revision.name).collect();
        let mut known = BTreeSet::new();
        for repository in others.iter().map(of) {
            let starts = repository.revisions.iter().map(|revision| revision.name);
            let starts = starts.chain(repository.tags.iter().filter_map(|tag| tag.target));
            for start in starts {
                known.extend(self.leads_to(&ModelRepository::default(), start));
            }
        }
        let mut found = BTreeSet::new();
        loop {
            let before = found.len();
            for manifest in &catalog.manifests {
                let named = |role| {
                    let references = manifest.references().iter();
                    references.filter(move |named| named.role == role).map(|named| named.blob)
                };
                let layers: BTreeSet<BlobId> = named(Role::Layer).collect();
                let children: Vec<BlobId> = named(Role::Manifest).collect();
                let is_absent = |blob: &BlobId| catalog.files[*blob as usize].is_none();
                let may_be = if layers.is_empty() && !children.is_empty() {
                    children.iter().all(is_absent)
                        || children.iter().any(|child| revisions.contains(child))
                } else {
                    let is_whole_elsewhere =
                        others.iter().any(|at| layers.is_subset(&links(of(at))));
                    layers.is_subset(&linked)
                        || !layers.is_disjoint(&linked)
                            && !known.contains(&manifest.blob)
                            && !is_whole_elsewhere
                };
                if may_be || children.iter().any(|child| found.contains(child)) {
                    found.insert(manifest.blob);
                }
            }
            if found.len() == before {
                found.retain(|blob| catalog.files[*blob as usize].is_some());
                return found;
            }
        }
    }

    /// Manifests that `blob` leads to, itself too.
    fn leads_to(&self, repository: &ModelRepository, blob: BlobId) -> BTreeSet<BlobId> {
        let catalog = self.catalog;
        let mut met = BTreeSet::new();
        let mut open = vec![blob];
        while let Some(blob) = open.pop() {
            if catalog.manifest_at(blob).is_none() || !met.insert(blob) {
                continue;
            }
            open.extend(self.children(blob));
            for manifest in &catalog.manifests {
                let is_about = |named: &crate::scan::ReferenceFacts| {
                    named.role == Role::Subject && named.blob == blob
                };
                if repository.revisions.contains(&manifest.blob)
                    && manifest.references().iter().any(is_about)
                {
                    open.push(manifest.blob);
                }
            }
            for (tag, subject) in &repository.about {
                if *subject == blob {
                    open.extend(repository.tags.get(tag).copied().flatten());
                }
            }
        }
        met
    }

    /// Blobs that stay with `blob`.
    pub fn kept_by(&self, repository: &ModelRepository, blob: BlobId) -> BTreeSet<BlobId> {
        let catalog = self.catalog;
        let mut kept = BTreeSet::from([blob]);
        for manifest in self.leads_to(repository, blob) {
            kept.insert(manifest);
            let id = catalog.manifest_at(manifest).unwrap();
            for named in catalog.manifests[id as usize].references() {
                if named.role == Role::Layer {
                    kept.insert(named.blob);
                    kept.extend(catalog.aliases.get(&named.blob).into_iter().flatten());
                }
            }
        }
        kept
    }

    pub fn is_in_ring(&self, place: usize, blob: BlobId) -> bool {
        let repository = &self.repositories[place];
        let others = self.leads_to(repository, blob).into_iter().filter(|other| *other != blob);
        let mut others = others.map(|other| self.leads_to(repository, other));
        others.any(|others| others.contains(&blob))
    }

    /// All that stays of each repository, and what was selected and stays.
    pub fn without(
        &self,
        names: &Graph,
        selection: &Selection,
    ) -> (Vec<ModelRepository>, Vec<Item>) {
        let mut left = self.repositories.clone();
        let mut skipped = Vec::new();
        for (place, repository) in names.repositories.iter().enumerate() {
            let before = &self.repositories[place];
            let after = &mut left[place];
            let is_whole = selection.has(Kind::Repository, place as u32);
            if is_whole && !self.keeps_part(place, repository, selection) {
                *after = ModelRepository::default();
                continue;
            }
            let goes = self.goes(place, repository, names, selection);
            let name = |tag: u32| names.tags[tag as usize].name.as_str();
            let target = |tag: u32| names.tags[tag as usize].target;
            let is_kept_tag = |tag: u32| selection.kept_tags[tag as usize];
            let is_kept = |at: u32| selection.kept_revisions[at as usize];

            let starts = goes.tags.iter().filter_map(|tag| target(*tag));
            let mut doomed = BTreeSet::new();
            for start in starts.chain(goes.revisions.keys().copied()) {
                doomed.append(&mut self.leads_to(before, start));
            }
            let mut keepers = before.fixed.clone();
            keepers.extend(before.revisions.difference(&doomed));
            let other_tags = repository.tags.clone().filter(|tag| {
                is_kept_tag(*tag)
                    || !before.about.contains_key(name(*tag)) && !goes.along.contains(tag)
            });
            keepers.extend(other_tags.filter_map(target));
            let kept = repository.revisions.clone().filter(|at| is_kept(*at));
            keepers.extend(kept.map(|at| names.revisions[at as usize]));
            for tag in &goes.along {
                after.tags.remove(name(*tag));
            }
            let stays: BTreeSet<BlobId> =
                keepers.iter().flat_map(|keeper| self.leads_to(after, *keeper)).collect();
            after.tags = before.tags.clone();
            after.revisions.retain(|blob| !doomed.contains(blob) || stays.contains(blob));
            for (blob, revision) in &goes.revisions {
                if after.revisions.contains(blob) {
                    skipped.push(Item::new(Kind::Revision, *revision));
                }
            }
            // What is kept is named when it was asked for, or would have gone along.
            for at in repository.revisions.clone().filter(|at| is_kept(*at)) {
                let is_asked_for = is_whole || selection.has(Kind::Revision, at);
                if is_asked_for || doomed.contains(&names.revisions[at as usize]) {
                    skipped.push(Item::new(Kind::Revision, at));
                }
            }
            for tag in repository.tags.clone() {
                if is_kept_tag(tag) && (is_whole || selection.has(Kind::Tag, tag)) {
                    skipped.push(Item::new(Kind::Tag, tag));
                }
                let is_named = goes.tags.contains(&tag);
                let is_gone = match target(tag) {
                    None => false,
                    Some(to) => {
                        let is_about = before.about.contains_key(name(tag)) && !is_kept_tag(tag);
                        let goes_along = goes.along.contains(&tag) || is_about;
                        is_named || goes_along && !stays.contains(&to)
                    }
                };
                if is_gone {
                    after.tags.remove(name(tag));
                    after.about.remove(name(tag));
                } else if is_named {
                    skipped.push(Item::new(Kind::Tag, tag));
                }
            }
        }
        skipped.sort_unstable();
        (left, skipped)
    }

    fn goes(
        &self,
        place: usize,
        repository: &RepositoryNode,
        names: &Graph,
        selection: &Selection,
    ) -> Goes {
        let is_whole = selection.has(Kind::Repository, place as u32);
        let holds = |blob: BlobId| self.holds_layer(blob, &selection.layers);
        let target = |tag: u32| names.tags[tag as usize].target;
        let is_kept_tag = |tag: u32| selection.kept_tags[tag as usize];
        let tags = repository.tags.clone().filter(|tag| {
            let is_about =
                self.repositories[place].about.contains_key(&names.tags[*tag as usize].name);
            let is_named = is_whole && !is_about || selection.has(Kind::Tag, *tag);
            !is_kept_tag(*tag) && (is_named || target(*tag).is_some_and(holds))
        });
        let tags: BTreeSet<u32> = tags.collect();
        let revisions = repository.revisions.clone().filter(|revision| {
            let is_named = is_whole || selection.has(Kind::Revision, *revision);
            let is_kept = selection.kept_revisions[*revision as usize];
            !is_kept && (is_named || holds(names.revisions[*revision as usize]))
        });
        let revisions: BTreeMap<BlobId, u32> =
            revisions.map(|at| (names.revisions[at as usize], at)).collect();
        let along = repository.tags.clone().filter(|tag| {
            let is_about =
                self.repositories[place].about.contains_key(&names.tags[*tag as usize].name);
            // A repository as a whole takes what is about an image only along with that.
            let is_named = |to: BlobId| selection.has(Kind::Revision, revisions[&to]) || holds(to);
            let is_on_one = target(*tag)
                .is_some_and(|to| revisions.contains_key(&to) && (!is_about || is_named(to)));
            tags.contains(tag) || !is_kept_tag(*tag) && is_on_one
        });
        Goes { along: along.collect(), tags, revisions }
    }

    fn holds_layer(&self, blob: BlobId, layers: &[bool]) -> bool {
        let catalog = self.catalog;
        let is_wanted = |blob: &BlobId| layers[*blob as usize];
        let named = self.leads_to(&ModelRepository::default(), blob);
        let manifests = named.iter().filter_map(|blob| catalog.manifest_at(*blob));
        let mut references =
            manifests.flat_map(|id| catalog.manifests[id as usize].references().iter());
        references.any(|named| {
            named.role == Role::Layer
                && (is_wanted(&named.blob)
                    || catalog.aliases.get(&named.blob).is_some_and(|to| to.iter().any(is_wanted)))
        })
    }

    fn reached_in(&self, repository: &ModelRepository) -> BTreeSet<BlobId> {
        let starts = repository.tags.values().flatten().copied();
        let starts = starts.chain(repository.revisions.iter().copied());
        let starts: BTreeSet<BlobId> = starts.chain(repository.fixed.iter().copied()).collect();
        starts.into_iter().flat_map(|start| self.kept_by(repository, start)).collect()
    }

    /// All that the tags and revisions that are kept lead to, themselves too.
    pub fn needed_by_kept(
        &self,
        place: usize,
        repository: &RepositoryNode,
        names: &Graph,
        selection: &Selection,
    ) -> BTreeSet<BlobId> {
        let mut model = self.repositories[place].clone();
        for tag in self.goes(place, repository, names, selection).along {
            model.tags.remove(&names.tags[tag as usize].name);
        }
        let tags = repository.tags.clone().filter(|tag| selection.kept_tags[*tag as usize]);
        let tags = tags.filter_map(|tag| names.tags[tag as usize].target);
        let revisions =
            repository.revisions.clone().filter(|at| selection.kept_revisions[*at as usize]);
        let revisions = revisions.map(|at| names.revisions[at as usize]);
        tags.chain(revisions).flat_map(|start| self.kept_by(&model, start)).collect()
    }

    /// Every blob that something in `repositories` leads to, or that is kept whatever they say.
    pub fn reached(&self, repositories: &[ModelRepository]) -> BTreeSet<BlobId> {
        let all = repositories.iter().flat_map(|repository| self.reached_in(repository));
        all.chain(self.everywhere.iter().copied()).collect()
    }

    /// Links that are needed here and not in `left`, and all of whole repositories.
    pub fn needless_links(
        &self,
        left: &[ModelRepository],
        names: &Graph,
        selection: &Selection,
    ) -> Vec<u32> {
        let mut links = Vec::new();
        for (place, repository) in names.repositories.iter().enumerate() {
            let before = self.reached_in(&self.repositories[place]);
            let after = self.reached_in(&left[place]);
            let is_whole = selection.has(Kind::Repository, place as u32)
                && !self.keeps_part(place, repository, selection);
            links.extend(repository.links.clone().filter(|link| {
                let link = names.links[*link as usize];
                let is_needed = |blobs: &BTreeSet<BlobId>| {
                    blobs.contains(&link.name) || blobs.contains(&link.target)
                };
                is_whole || is_needed(&before) && !is_needed(&after)
            }));
        }
        links
    }

    fn keeps_part(&self, place: usize, repository: &RepositoryNode, selection: &Selection) -> bool {
        !self.repositories[place].rooted.is_empty()
            || repository.tags.clone().any(|tag| selection.kept_tags[tag as usize])
            || repository.revisions.clone().any(|at| selection.kept_revisions[at as usize])
    }
}

/// What is selected in a repository.
struct Goes {
    tags: BTreeSet<u32>,
    revisions: BTreeMap<BlobId, u32>,
    /// Those tags, and the tags on those revisions.
    along: BTreeSet<u32>,
}

/// Blobs that somebody outside refers to in a repository, or anywhere.
fn names_of_roots(plan: &Plan, names: &Graph, place: Option<usize>) -> BTreeSet<BlobId> {
    let count = plan.repositories.len();
    let roots = plan.roots.iter().filter(|(at, _)| at.map(|at| at % count) == place);
    roots.map(|(_, manifest)| names.manifests[*manifest]).collect()
}
