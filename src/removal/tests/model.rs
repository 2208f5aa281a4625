//! The slow way: a copy of the graph from which things are taken, one look at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{BlobId, Graph};
use crate::model::Role;
use crate::removal::{Item, RepositoryNode, Selection, StoredGraph};

#[derive(Clone)]
pub struct ModelRepository {
    pub tags: BTreeMap<String, Option<BlobId>>,
    pub revisions: BTreeSet<BlobId>,
    /// Blobs that are kept, with all they name.
    held: BTreeSet<BlobId>,
    /// Blobs that are kept by themselves.
    held_links: BTreeSet<BlobId>,
    is_held: bool,
}

#[derive(Clone)]
pub struct Model<'a> {
    graph: &'a Graph,
    pub repositories: Vec<ModelRepository>,
}

impl<'a> Model<'a> {
    pub fn new(graph: &'a Graph) -> Self {
        let repositories = (0..).zip(&graph.repositories).map(|(place, repository)| {
            let roots = graph.roots.iter().filter(|root| root.repository == Some(place));
            let links = repository.layer_links.iter().filter(|_| repository.is_held);
            ModelRepository {
                tags: repository.tags.iter().map(|tag| (tag.name.clone(), tag.target)).collect(),
                revisions: repository.revisions.iter().map(|revision| revision.name).collect(),
                held: roots.filter_map(|root| root.blob).collect(),
                held_links: links.flat_map(|link| [link.name, link.target]).collect(),
                is_held: repository.is_held,
            }
        });
        Self { graph, repositories: repositories.collect() }
    }

    /// Manifests that `blob` leads to, itself too.
    fn leads_to(&self, revisions: &BTreeSet<BlobId>, blob: BlobId) -> BTreeSet<BlobId> {
        let graph = self.graph;
        let mut met = BTreeSet::new();
        let mut open = vec![blob];
        while let Some(blob) = open.pop() {
            let Some(id) = graph.manifest_at(blob).filter(|_| met.insert(blob)) else {
                continue;
            };
            let references = graph.manifests[id as usize].references().iter();
            open.extend(
                references.filter(|named| named.role == Role::Manifest).map(|named| named.blob),
            );
            for manifest in &graph.manifests {
                let is_about = |named: &crate::scan::ReferenceFacts| {
                    named.role == Role::Subject && named.blob == blob
                };
                if revisions.contains(&manifest.blob) && manifest.references().iter().any(is_about)
                {
                    open.push(manifest.blob);
                }
            }
        }
        met
    }

    pub fn is_in_ring(&self, place: usize, blob: BlobId) -> bool {
        let revisions = &self.repositories[place].revisions;
        let others = self.leads_to(revisions, blob).into_iter().filter(|other| *other != blob);
        let mut others = others.map(|other| self.leads_to(revisions, other));
        others.any(|others| others.contains(&blob))
    }

    /// All that stays of each repository, and what was selected and stays.
    pub fn without(&self, names: &StoredGraph, selection: &Selection) -> (Self, Vec<Item>) {
        let mut left = self.clone();
        let mut skipped = Vec::new();
        for (place, repository) in names.repositories.iter().enumerate() {
            let before = &self.repositories[place];
            let after = &mut left.repositories[place];
            let is_whole = selection.repositories[place];
            let is_kept_tag = |tag: u32| selection.kept_tags[tag as usize];
            let is_kept = |at: u32| selection.kept_revisions[at as usize];
            if is_whole && !keeps_part(repository, selection) {
                *after = ModelRepository {
                    tags: BTreeMap::new(),
                    revisions: BTreeSet::new(),
                    held: BTreeSet::new(),
                    held_links: BTreeSet::new(),
                    is_held: false,
                };
                continue;
            }
            let holds = |blob: BlobId| self.holds_layer(blob, &selection.layers);
            let tags = repository.tags.clone().filter(|tag| {
                let target = names.tags[*tag as usize].target;
                let is_named = is_whole || selection.tags[*tag as usize];
                !is_kept_tag(*tag) && (is_named || target.is_some_and(holds))
            });
            let tags: BTreeSet<u32> = tags.collect();
            let revisions = repository.revisions.clone().filter(|revision| {
                let is_named = is_whole || selection.revisions[*revision as usize];
                !is_kept(*revision) && (is_named || holds(names.revisions[*revision as usize]))
            });
            let revisions: BTreeMap<BlobId, u32> =
                revisions.map(|at| (names.revisions[at as usize], at)).collect();

            let target = |tag: u32| names.tags[tag as usize].target;
            let on_revision = |tag: u32| {
                !is_kept_tag(tag) && target(tag).is_some_and(|to| revisions.contains_key(&to))
            };
            let starts = tags.iter().filter_map(|tag| target(*tag));
            let mut doomed = BTreeSet::new();
            for start in starts.chain(revisions.keys().copied()) {
                doomed.append(&mut self.leads_to(&before.revisions, start));
            }
            let other_tags = repository
                .tags
                .clone()
                .filter(|tag| !tags.contains(tag) && !on_revision(*tag))
                .filter_map(target);
            let others = before.revisions.iter().copied().filter(|blob| !doomed.contains(blob));
            let mut keepers: BTreeSet<BlobId> = other_tags.chain(others).collect();
            keepers.extend(&before.held);
            let kept = repository.revisions.clone().filter(|at| is_kept(*at));
            keepers.extend(kept.map(|at| names.revisions[at as usize]));
            if before.is_held {
                keepers.extend(&doomed);
            }
            let stays = |blob: BlobId| {
                keepers
                    .iter()
                    .any(|keeper| self.leads_to(&before.revisions, *keeper).contains(&blob))
            };
            after.revisions.retain(|blob| !doomed.contains(blob) || stays(*blob));
            for (blob, revision) in &revisions {
                if after.revisions.contains(blob) {
                    skipped.push(Item::Revision(*revision));
                }
            }
            // What is kept is told of when it was asked for, or would have gone with it.
            for at in repository.revisions.clone().filter(|at| is_kept(*at)) {
                let is_asked_for = is_whole || selection.revisions[at as usize];
                if is_asked_for || doomed.contains(&names.revisions[at as usize]) {
                    skipped.push(Item::Revision(at));
                }
            }
            for tag in repository.tags.clone().filter(|tag| is_kept_tag(*tag)) {
                if is_whole || selection.tags[tag as usize] {
                    skipped.push(Item::Tag(tag));
                }
            }
            for tag in repository.tags.clone() {
                let is_gone = match target(tag) {
                    None if tags.contains(&tag) => {
                        skipped.push(Item::Tag(tag));
                        false
                    }
                    None => false,
                    Some(to) => {
                        tags.contains(&tag) || on_revision(tag) && !after.revisions.contains(&to)
                    }
                };
                if is_gone {
                    after.tags.remove(&names.tags[tag as usize].name);
                }
            }
            // What is held is held with all that it led to.
            if before.is_held {
                after.held.extend(before.tags.values().flatten());
            }
        }
        skipped.sort_unstable();
        (left, skipped)
    }

    fn holds_layer(&self, blob: BlobId, layers: &[bool]) -> bool {
        let graph = self.graph;
        let is_wanted = |blob: &BlobId| layers[*blob as usize];
        let named = self.leads_to(&BTreeSet::new(), blob);
        let manifests = named.iter().filter_map(|blob| graph.manifest_at(*blob));
        let mut references =
            manifests.flat_map(|id| graph.manifests[id as usize].references().iter());
        references.any(|named| {
            named.role == Role::Layer
                && (is_wanted(&named.blob)
                    || graph.aliases.get(&named.blob).is_some_and(|to| to.iter().any(is_wanted)))
        })
    }

    fn reached_in(&self, place: usize) -> BTreeSet<BlobId> {
        let graph = self.graph;
        let repository = &self.repositories[place];
        let starts = repository.tags.values().flatten().copied();
        let starts = starts.chain(repository.revisions.iter().copied());
        let starts: BTreeSet<BlobId> = starts.chain(repository.held.iter().copied()).collect();
        let mut blobs = repository.held_links.clone();
        blobs.extend(&repository.held);
        // A referrer that is kept by what it is about stays a revision.
        for start in starts {
            for manifest in self.leads_to(&repository.revisions, start) {
                blobs.insert(manifest);
                let id = graph.manifest_at(manifest).unwrap();
                for named in graph.manifests[id as usize].references() {
                    if named.role == Role::Layer {
                        blobs.insert(named.blob);
                        blobs.extend(graph.aliases.get(&named.blob).into_iter().flatten());
                    }
                }
            }
        }
        blobs
    }

    /// All that the tags and revisions that are kept lead to, themselves too.
    pub fn needed_by_kept(
        &self,
        place: usize,
        repository: &RepositoryNode,
        selection: &Selection,
    ) -> BTreeSet<BlobId> {
        let graph = self.graph;
        let node = &graph.repositories[place];
        let tags = repository.tags.clone().zip(&node.tags);
        let tags = tags.filter(|(tag, _)| selection.kept_tags[*tag as usize]);
        let revisions = repository.revisions.clone().zip(&node.revisions);
        let revisions = revisions.filter(|(at, _)| selection.kept_revisions[*at as usize]);
        let targets = tags.filter_map(|(_, tag)| tag.target);
        let mut needed = BTreeSet::new();
        for start in targets.chain(revisions.map(|(_, revision)| revision.name)) {
            for manifest in self.leads_to(&self.repositories[place].revisions, start) {
                needed.insert(manifest);
                let id = graph.manifest_at(manifest).unwrap();
                let layers = graph.manifests[id as usize].references().iter();
                let layers = layers.filter(|named| named.role == Role::Layer);
                needed.extend(layers.map(|named| named.blob));
            }
        }
        needed
    }

    /// Every blob that something leads to, or that is kept because something cannot be read.
    pub fn reached(&self) -> BTreeSet<BlobId> {
        let graph = self.graph;
        let mut blobs: BTreeSet<BlobId> =
            (0..self.repositories.len()).flat_map(|place| self.reached_in(place)).collect();
        let all = 0..graph.files.len() as BlobId;
        blobs.extend(all.filter(|blob| {
            graph.is_storage_held() || graph.are_manifests_held() && graph.may_be_manifest(*blob)
        }));
        blobs
    }

    /// Links that are needed here and not in `left`, and all of whole repositories.
    pub fn needless_links(
        &self,
        left: &Self,
        names: &StoredGraph,
        selection: &Selection,
    ) -> Vec<u32> {
        let mut links = Vec::new();
        for (place, repository) in names.repositories.iter().enumerate() {
            let (before, after) = (self.reached_in(place), left.reached_in(place));
            links.extend(repository.links.clone().filter(|link| {
                let link = names.links[*link as usize];
                let is_needed = |blobs: &BTreeSet<BlobId>| {
                    blobs.contains(&link.name) || blobs.contains(&link.target)
                };
                let is_whole = selection.repositories[place];
                is_whole && !keeps_part(repository, selection)
                    || is_needed(&before) && !is_needed(&after)
            }));
        }
        links
    }
}

fn keeps_part(repository: &RepositoryNode, selection: &Selection) -> bool {
    repository.tags.clone().any(|tag| selection.kept_tags[tag as usize])
        || repository.revisions.clone().any(|at| selection.kept_revisions[at as usize])
}
