//! What a person chose to delete, before anything is worked out.

use std::collections::BTreeSet;

use super::name::{SkipGroup, Skipped};
use crate::graph::{Graph, Item, Missing, Names, Reach, Selection, reach};
use crate::model::{ByKind, Digest, Kind, Name};

/// Everything that reports, queries and targets name.
#[derive(Clone)]
pub struct Chosen<'a> {
    graph: &'a Graph,
    names: Names<'a>,
    /// What is kept before anything is deleted.
    pub reach: Reach,
    /// What is chosen by itself, of what is part of the graph.
    pub selection: Selection,
    /// The rest: what interrupted writes left, and entries of tags' histories.
    pub others: BTreeSet<Name>,
    /// Every class of garbage: what nothing refers to.
    pub is_garbage_chosen: bool,
    /// What was named and cannot be chosen.
    pub skipped: Vec<Skipped>,
}

impl<'a> Chosen<'a> {
    /// Nothing yet.
    pub fn nothing(graph: &'a Graph) -> Self {
        Self::over(graph, reach(graph))
    }

    /// Nothing yet, over a graph whose `reach` is known.
    pub fn over(graph: &'a Graph, reach: Reach) -> Self {
        Self {
            graph,
            names: Names::new(graph),
            reach,
            selection: Selection::nothing(graph),
            others: BTreeSet::new(),
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
        let not_there = |missing: Missing| (SkipGroup::NotThere, missing.to_string());
        if let Name::Leftover { path } = name {
            if !is_leftover(path) {
                let reason = "the registry leaves nothing of that name";
                return Err((SkipGroup::NotThere, reason.into()));
            }
            self.others.insert(name.clone());
            return Ok(());
        }
        if let Name::TagHistory { repository, history_tag, history_digest } = name {
            self.check_history(repository, history_tag, history_digest)?;
            self.others.insert(name.clone());
            return Ok(());
        }
        if let Name::Tag { manifest_digest: Some(digest), .. } = name {
            self.check_target(self.names.find(name).map_err(not_there)?, digest)?;
        }
        self.names.select(&mut self.selection, name).map_err(not_there)
    }

    /// A row that says what its tag points at must be right about it.
    fn check_target(&self, tag: Item, digest: &str) -> Result<(), (SkipGroup, String)> {
        let Some(target) = self.graph.digest_of(tag) else {
            return Ok(());
        };
        if Digest::parse(digest).ok().as_ref() == Some(target) {
            return Ok(());
        }
        Err((SkipGroup::NotThere, format!("the tag points at {target}, the row says {digest}")))
    }

    /// An entry of a tag's history leads nowhere when the repository has no such revision, and the tag
    /// points elsewhere. Where something cannot be read it may lead somewhere.
    fn check_history(
        &self,
        repository: &str,
        tag: &str,
        digest: &str,
    ) -> Result<(), (SkipGroup, String)> {
        let not_there = |missing: Missing| (SkipGroup::NotThere, missing.to_string());
        let parsed = Digest::parse(digest)
            .map_err(|_| (SkipGroup::NotThere, format!("`{digest}` is no digest")))?;
        let (repository, tag) = (repository.to_owned(), tag.to_owned());
        let name = Name::Tag { repository: repository.clone(), tag, manifest_digest: None };
        let item = self.names.find(&name).map_err(not_there)?;
        let place = self.graph.repository_of(item).unwrap_or_default();
        let Some(target) = self.graph.digest_of(item) else {
            return Err((SkipGroup::Held, "the tag's link cannot be read".into()));
        };
        if self.graph.repositories[place as usize].is_held {
            return Err((SkipGroup::Held, "something in its repository cannot be read".into()));
        }
        let manifest_digest = parsed.to_string();
        let revision = Name::Revision { repository, manifest_digest };
        if *target == parsed || self.names.find(&revision).is_ok() {
            return Err((SkipGroup::Needed, "its manifest is there".into()));
        }
        Ok(())
    }

    /// What a plan may clear that was asked for by itself, of what a registry's API cannot delete. A
    /// saved plan also names blobs and links that only follow from its tags: of these, what nothing
    /// needs already was asked for.
    pub fn asked(&self) -> ByKind<Vec<bool>> {
        let mut asked = self.selection.chosen.clone();
        for (blob, is_asked) in (0..).zip(&mut asked[Kind::Blob]) {
            *is_asked &= self.reach.is_orphan(self.graph, blob);
        }
        let is_needed = self.reach.link_is_needed.iter();
        for (is_asked, is_needed) in asked[Kind::LayerLink].iter_mut().zip(is_needed) {
            *is_asked &= !is_needed;
        }
        asked
    }

    /// Takes back everything, and notes that it stays for `reason`.
    pub(super) fn keep_all(&mut self, group: SkipGroup, reason: &str) {
        self.is_garbage_chosen = false;
        self.take_back(&Kind::ALL, group, reason);
    }

    /// Takes back all that is no tag, and notes that it stays for `reason`.
    pub(super) fn keep_all_but_tags(&mut self, reason: &str) {
        self.take_back(&Kind::ALL[1..], SkipGroup::NotAllowed, reason);
    }

    fn take_back(&mut self, kinds: &[Kind], group: SkipGroup, reason: &str) {
        let graph = self.graph;
        let take = |flags: &mut Vec<bool>| {
            let taken = std::mem::take(flags);
            flags.resize(taken.len(), false);
            (0_u32..).zip(taken).filter(|(_, is_chosen)| *is_chosen).map(|(at, _)| at)
        };
        let mut names = Vec::new();
        for &kind in kinds {
            let places = take(&mut self.selection.chosen[kind]);
            names.extend(places.map(|at| graph.name_of(Item { kind, at }, &[])));
        }
        for blob in take(&mut self.selection.layers) {
            let layer_digest = graph.blobs[blob as usize].digest.to_string();
            names.push(Name::Layer { layer_digest });
        }
        names.extend(std::mem::take(&mut self.others));
        for name in names {
            self.skip(group, name, reason);
        }
    }

    /// What is chosen over.
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// Whether nothing at all was chosen.
    pub fn is_empty(&self) -> bool {
        !self.is_garbage_chosen && self.others.is_empty() && self.selection.is_empty()
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
