//! What a person chose to delete, before anything is worked out.

use std::collections::BTreeSet;

use super::name::{Name, SkipGroup, Skipped};
use super::named::{blob_name, corrupt_name, link_name, revision_name, upload_name};
use crate::graph::BlobId;
use crate::graph::{Graph, Missing, Names, Reach, Row, Selection, reach};
use crate::model::Digest;

/// Everything that reports, queries and targets name.
pub struct Chosen<'a> {
    graph: &'a Graph,
    names: Names<'a>,
    /// What is kept before anything is deleted.
    pub reach: Reach,
    /// Tags, revisions, repositories and layers.
    pub selection: Selection,
    /// One for each blob of the graph.
    pub blobs: Vec<bool>,
    /// One for each layer link of the graph.
    pub layer_links: Vec<bool>,
    /// One for each upload of the graph.
    pub uploads: Vec<bool>,
    /// Blobs that something says are corrupt; one for each blob of the graph.
    pub corrupt: Vec<bool>,
    /// Paths of what interrupted writes left.
    pub leftovers: BTreeSet<String>,
    /// Every class that nothing can miss.
    pub is_garbage_chosen: bool,
    /// What was named and cannot be chosen.
    pub skipped: Vec<Skipped>,
}

/// What was chosen by itself of that which a registry's API cannot delete: not what merely follows.
#[derive(Clone, Debug)]
pub struct Asked {
    /// One for each repository of the graph.
    pub repositories: Vec<bool>,
    /// One for each blob of the graph.
    pub blobs: Vec<bool>,
    /// One for each layer link of the graph.
    pub layer_links: Vec<bool>,
    /// One for each upload of the graph.
    pub uploads: Vec<bool>,
}

impl<'a> Chosen<'a> {
    /// Nothing yet.
    pub fn nothing(graph: &'a Graph) -> Self {
        Self {
            graph,
            names: Names::new(graph),
            reach: reach(graph),
            selection: Selection::nothing(graph),
            blobs: vec![false; graph.blobs.len()],
            layer_links: vec![false; graph.links.len()],
            uploads: vec![false; graph.uploads.len()],
            corrupt: vec![false; graph.blobs.len()],
            leftovers: BTreeSet::new(),
            is_garbage_chosen: false,
            skipped: Vec::new(),
        }
    }

    /// Adds one thing, or notes why it cannot be chosen.
    pub fn add(&mut self, name: Name) {
        if let Err((group, reason)) = self.try_add(&name) {
            self.skip(group, name, reason);
        }
    }

    /// Notes that something stays.
    pub fn skip(&mut self, group: SkipGroup, name: Name, reason: impl Into<String>) {
        self.skipped.push(Skipped::new(group, name, reason));
    }

    fn try_add(&mut self, name: &Name) -> Result<(), (SkipGroup, String)> {
        let missing = |missing: Missing| (SkipGroup::NotThere, missing.to_string());
        let row = match name {
            Name::Tag { repository, tag, manifest_digest } => {
                let place = self.names.tag(repository, tag).map_err(missing)?;
                if let Some(digest) = manifest_digest {
                    self.check_target(place, digest)?;
                }
                Row::Tag { repository, tag }
            }
            Name::Revision { repository, manifest_digest: digest } => {
                Row::Revision { repository, digest }
            }
            Name::Repository { repository } => Row::Repository { repository },
            Name::Layer { layer_digest: digest } => Row::Layer { digest },
            Name::Blob { blob_digest, .. } => {
                let blob = self.blob(blob_digest)?;
                self.blobs[blob as usize] = true;
                return Ok(());
            }
            Name::CorruptBlob { blob_digest, .. } => {
                let blob = self.blob(blob_digest)?;
                self.corrupt[blob as usize] = true;
                return Ok(());
            }
            Name::Leftover { path } => {
                if !is_leftover(path) {
                    let reason = "the registry leaves nothing of that name";
                    return Err((SkipGroup::NotThere, reason.into()));
                }
                self.leftovers.insert(path.clone());
                return Ok(());
            }
            Name::LayerLink { repository, link_digest } => {
                let link = self.layer_link(repository, link_digest)?;
                self.layer_links[link as usize] = true;
                return Ok(());
            }
            Name::Upload { repository, upload_id, .. } => {
                let place = self.names.repository_place(repository).map_err(missing)?;
                let uploads = &self.graph.uploads;
                let at = uploads.binary_search_by(|upload| {
                    (upload.repository, upload.upload_id.as_str()).cmp(&(place, upload_id))
                });
                let at = at.map_err(|_| {
                    (SkipGroup::NotThere, "the repository has no such upload".to_owned())
                })?;
                self.uploads[at] = true;
                return Ok(());
            }
            Name::Row { .. } => {
                return Err((SkipGroup::NotThere, "a name is missing or not a text".into()));
            }
        };
        self.names.select(&mut self.selection, row).map_err(missing)
    }

    /// A row that says what its tag points at must be right about it.
    fn check_target(&self, tag: u32, digest: &str) -> Result<(), (SkipGroup, String)> {
        let Some(target) = self.graph.tags[tag as usize].target else {
            return Ok(());
        };
        let target = &self.graph.blobs[target as usize].digest;
        if Digest::parse(digest).ok().as_ref() == Some(target) {
            return Ok(());
        }
        Err((SkipGroup::NotThere, format!("the tag points at {target}, the row says {digest}")))
    }

    fn blob(&self, digest: &str) -> Result<BlobId, (SkipGroup, String)> {
        let parsed =
            Digest::parse(digest).map_err(|error| (SkipGroup::NotThere, error.to_string()))?;
        let blob = self.graph.blob_by_digest(&parsed);
        blob.filter(|blob| self.graph.blobs[*blob as usize].size_bytes.is_some())
            .ok_or_else(|| (SkipGroup::NotThere, "there is no such blob on disk".into()))
    }

    fn layer_link(&self, repository: &str, digest: &str) -> Result<u32, (SkipGroup, String)> {
        let none = || (SkipGroup::NotThere, "the repository has no such layer link".to_owned());
        let place = self
            .names
            .repository_place(repository)
            .map_err(|missing| (SkipGroup::NotThere, missing.to_string()))?;
        let repository = &self.graph.repositories[place as usize];
        let digest = Digest::parse(digest).map_err(|_| none())?;
        let blob = self.graph.blob_by_digest(&digest).ok_or_else(none)?;
        let links = self.graph.links_of(repository);
        let at = links.binary_search_by_key(&blob, |link| link.name).map_err(|_| none())?;
        Ok(repository.links.start + at as u32)
    }

    /// What a plan may clear that somebody asked for. A saved plan names blobs and links that only
    /// follow from its tags, too: of these, what nothing needs already was asked for.
    pub fn asked(&self) -> Asked {
        let blobs = (0..).zip(&self.blobs);
        let links = self.layer_links.iter().zip(&self.reach.link_is_needed);
        Asked {
            repositories: self.selection.repositories.clone(),
            blobs: blobs
                .map(|(blob, is_chosen)| *is_chosen && self.reach.is_orphan(self.graph, blob))
                .collect(),
            layer_links: links.map(|(is_chosen, is_needed)| *is_chosen && !is_needed).collect(),
            uploads: self.uploads.clone(),
        }
    }

    /// Takes back all that is no tag, and notes that it stays for `reason`.
    pub(super) fn keep_all_but_tags(&mut self, reason: &str) {
        let graph = self.graph;
        let take = |flags: &mut Vec<bool>| {
            let taken = std::mem::take(flags);
            flags.resize(taken.len(), false);
            (0_u32..).zip(taken).filter(|(_, is_chosen)| *is_chosen).map(|(at, _)| at)
        };
        let mut names = Vec::new();
        for at in take(&mut self.selection.revisions) {
            let place = graph.repositories.partition_point(|node| node.revisions.end <= at);
            names.push(revision_name(graph, place as u32, at));
        }
        for place in take(&mut self.selection.repositories) {
            let repository = graph.repositories[place as usize].name.clone();
            names.push(Name::Repository { repository });
        }
        for blob in take(&mut self.selection.layers) {
            let layer_digest = graph.blobs[blob as usize].digest.to_string();
            names.push(Name::Layer { layer_digest });
        }
        for at in take(&mut self.layer_links) {
            let place = graph.repositories.partition_point(|node| node.links.end <= at);
            names.push(link_name(graph, place as u32, at));
        }
        names.extend(take(&mut self.uploads).map(|at| upload_name(graph, at)));
        names.extend(take(&mut self.blobs).map(|blob| blob_name(graph, blob)));
        names.extend(take(&mut self.corrupt).map(|blob| corrupt_name(graph, blob)));
        let leftovers = std::mem::take(&mut self.leftovers).into_iter();
        names.extend(leftovers.map(|path| Name::Leftover { path }));
        for name in names {
            self.skip(SkipGroup::NotAllowed, name, reason);
        }
    }

    /// What is chosen over.
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// Whether anything at all was chosen.
    pub fn is_empty(&self) -> bool {
        let selection = &self.selection;
        let flags = [
            &selection.tags,
            &selection.revisions,
            &selection.repositories,
            &selection.layers,
            &self.blobs,
            &self.layer_links,
            &self.uploads,
            &self.corrupt,
        ];
        !self.is_garbage_chosen
            && self.leftovers.is_empty()
            && flags.iter().all(|flags| !flags.contains(&true))
    }
}

/// A temporary file of a link or of data, or a directory; what a directory holds is looked at when
/// its turn comes, and only an empty one goes. The names that every repository needs never do.
fn is_leftover(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_temporary = name.starts_with("link.") || name.starts_with("data.");
    let is_needed = name.starts_with('_')
        || matches!(name, "data" | "link" | "blobs" | "repositories" | "sha256");
    let ends_so = name.rsplit_once('.').is_some_and(|(_, end)| end == "tmp");
    is_temporary && ends_so || !is_needed && !name.contains('.')
}
