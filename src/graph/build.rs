//! From parts to the graph: aliases followed, edges sorted, tags about images attached, holds and roots
//! taken over.

use super::flat::{Graph, Holds, NONE};
use super::parts::{BlobId, Edge, Lists, ManifestId, Parts};
use super::walk::Walk;
use crate::model::{Role, tag_subject};

impl Graph {
    /// Follows aliases, sorts edges by what they keep, and works out what is held.
    pub fn new(mut parts: Parts) -> Self {
        parts.close_gaps();
        let mut manifest_of = vec![NONE; parts.blobs.len()];
        for (id, blob) in (0..).zip(&parts.manifests) {
            manifest_of[*blob as usize] = id;
        }
        let mut graph = Self {
            blobs: parts.blobs,
            repositories: parts.repositories,
            tags: parts.tags,
            revisions: parts.revisions,
            revisions_pushed_ns: parts.revisions_pushed_ns,
            links: parts.links,
            uploads: parts.uploads,
            manifests: parts.manifests,
            manifest_of,
            children: Lists::default(),
            kept: Lists::default(),
            configs: Vec::new(),
            referrers: Vec::new(),
            holds: Holds::default(),
            ignores_tags: parts.ignores_tags,
        };
        graph.connect(&parts.edges, &parts.aliases);
        graph.attach_tags();
        graph.hold(&parts.holds, &parts.edges, &parts.aliases);
        graph.take_roots(&parts.roots);
        graph
    }

    fn connect(&mut self, edges: &[Edge], aliases: &[(BlobId, BlobId)]) {
        let aliases_of = |blob: BlobId| {
            let start = aliases.partition_point(|(name, _)| *name < blob);
            aliases[start..].iter().take_while(move |(name, _)| *name == blob).map(|pair| pair.1)
        };
        let mut rest = edges;
        for id in 0..self.manifests.len() as u32 {
            let blob = self.manifests[id as usize];
            self.kept.push(blob);
            for alias in aliases_of(blob) {
                self.kept.push(alias);
                self.push_child(alias);
            }
            let count = rest.iter().take_while(|edge| edge.manifest == blob).count();
            let (own, after) = rest.split_at(count);
            rest = after;
            for edge in own {
                if edge.role == Role::Subject {
                    if let Some(subject) = self.manifest_at(edge.blob) {
                        self.referrers.push((subject, id));
                    }
                    continue;
                }
                if matches!(edge.role, Role::Config | Role::Blob) {
                    self.configs.push((edge.blob, id));
                    self.configs.extend(aliases_of(edge.blob).map(|alias| (alias, id)));
                }
                // Whatever a manifest calls a blob: if that is a manifest, what it names stays too.
                let is_child = self.manifest_at(edge.blob).is_some();
                if is_child {
                    self.push_child(edge.blob);
                } else {
                    self.kept.push(edge.blob);
                }
                for alias in aliases_of(edge.blob) {
                    self.push_child(alias);
                    if !is_child {
                        self.kept.push(alias);
                    }
                }
            }
            self.kept.end_list();
            self.children.end_list();
        }
        self.configs.sort_unstable();
        self.referrers.sort_unstable();
    }

    fn push_child(&mut self, blob: BlobId) {
        if let Some(child) = self.manifest_at(blob) {
            self.children.push(child);
        }
    }

    /// Finds the tags that are about an image of their repository. One about something that such tags
    /// lead to (the signature of a signature) is a tag like any other: two tags that are about each
    /// other would keep neither.
    fn attach_tags(&mut self) {
        let mut walk = None;
        for place in 0..self.repositories.len() {
            let repository = &self.repositories[place];
            let about = |tag: u32| {
                let node = &self.tags[tag as usize];
                let subject = self.blob_by_digest(&tag_subject(&node.name)?)?;
                self.revisions_of(repository).binary_search(&subject).ok()?;
                (node.target? != subject).then_some((self.manifest_at(subject)?, tag))
            };
            let mut attached: Vec<(ManifestId, u32)> =
                repository.tags.clone().filter_map(about).collect();
            if attached.is_empty() {
                continue;
            }
            attached.sort_unstable();
            let targets = attached.iter().filter_map(|(_, tag)| self.tags[*tag as usize].target);
            let targets: Vec<BlobId> = targets.collect();
            self.repositories[place].attached.clone_from(&attached);
            let walk = walk.get_or_insert_with(|| Walk::new(self));
            walk.go(self, Some(&self.repositories[place]), targets);
            attached.retain(|(subject, _)| !walk.has(*subject));
            for (subject, tag) in &attached {
                self.tags[*tag as usize].subject = Some(*subject);
            }
            self.repositories[place].attached = attached;
        }
    }
}
