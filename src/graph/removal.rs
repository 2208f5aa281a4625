//! What deleting a set of things frees, exactly: pure arithmetic over a snapshot.
//!
//! The words are those of [`super::account()`]: what it calls *exclusive* of one tag, revision or
//! repository is what is freed here by a selection of just that one.
//!
//! What goes with a selection, repository by repository:
//! - A removed **tag** leaves what it pointed at. Of all that it led to (children of indexes to any
//!   depth, referrers linked in the repository) those revisions go that nothing else leads to any
//!   more: no other tag, no revision outside of what the selection leads to, nothing unreadable.
//!   An untagged revision stays, and so does all that it names. Tags about an image that goes
//!   (`sha256-<its digest>.sig`) go with it.
//! - A removed **revision** takes the tags on its digest along, as the registry's own delete does,
//!   and then the same. One that something else still leads to does not go: it is *skipped*, and
//!   the reason says what keeps it.
//! - A **repository** goes whole, also what was kept in it because it cannot be read.
//! - A **layer** stands for every tag and revision whose image holds it, indexes of such images
//!   among them: an index that misses a child is broken.
//!
//! Then, for the storage as a whole: a blob comes free when it is on disk, the selection led to it,
//! and nothing that stays in any repository does. Blobs that were orphans before are not counted.
//!
//! Logical bytes of a selection are those of all blobs that it leads to, its referrers included;
//! what of it is not freed is shared with something that stays.

use super::flat::Graph;
use super::item::Item;
use super::parts::{BlobId, LinkNode, ManifestId, RepositoryNode};
use super::walk::{Marks, Parents, Via, Walk};
use crate::model::{ByKind, Kind};

/// What is to be deleted. Flags, so that rows that name a thing twice cost nothing.
#[derive(Clone, Debug)]
pub struct Selection {
    /// For each kind one flag for each thing of the graph. [`removal()`] looks at tags, revisions and
    /// repositories; nothing shares the others.
    pub chosen: ByKind<Vec<bool>>,
    /// One for each blob of the graph: every image that holds it as a layer.
    pub layers: Vec<bool>,
    /// Tags that stay whatever else is selected; one for each tag of the graph.
    pub kept_tags: Vec<bool>,
    /// Revisions that stay whatever else is selected; one for each revision of the graph.
    pub kept_revisions: Vec<bool>,
}

impl Selection {
    /// Nothing.
    pub fn nothing(graph: &Graph) -> Self {
        Self {
            chosen: ByKind::from_fn(|kind| vec![false; graph.count(kind)]),
            layers: vec![false; graph.blobs.len()],
            kept_tags: vec![false; graph.tags.len()],
            kept_revisions: vec![false; graph.revisions.len()],
        }
    }

    /// Whether the thing is chosen by itself.
    pub fn has(&self, kind: Kind, at: u32) -> bool {
        self.chosen[kind][at as usize]
    }

    /// Whether anything of a kind is chosen.
    pub fn has_any(&self, kind: Kind) -> bool {
        self.chosen[kind].contains(&true)
    }

    /// Whether nothing is chosen.
    pub fn is_empty(&self) -> bool {
        !Kind::ALL.iter().any(|kind| self.has_any(*kind)) && !self.layers.contains(&true)
    }
}

/// What a deletion takes along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Sorted places in the graph's lists: tags and revisions that go, layer links that nothing that
    /// stays in their repository needs any more, repositories that go whole, blobs that come free.
    pub goes: ByKind<Vec<u32>>,
    /// The bytes of the blobs.
    pub freed_bytes: u64,
    /// Bytes of all that the selection leads to.
    pub logical_bytes: u64,
    /// What was selected and stays.
    pub skipped: Vec<Skipped>,
}

impl Removal {
    /// Bytes that the selection leads to and that something else keeps.
    pub fn shared_bytes(&self) -> u64 {
        self.logical_bytes - self.freed_bytes
    }

    fn skip(&mut self, item: Item, reason: Reason) {
        self.skipped.push(Skipped { item, reason });
    }
}

/// A tag or revision that was selected and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// What it is.
    pub item: Item,
    /// Why it stays.
    pub reason: Reason,
}

/// Why something that was selected stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// This manifest names it, and stays.
    NamedBy(BlobId),
    /// It is about this manifest, which stays.
    About(BlobId),
    /// This tag leads to it, and stays.
    Tagged(u32),
    /// It is to be kept.
    Kept,
    /// Something that cannot be read may need it.
    Held,
    /// Something outside of the storage refers to it.
    Rooted,
    /// The tag's link is missing or cannot be read.
    TagUnreadable,
}

impl Reason {
    /// In words.
    pub fn text(self, graph: &Graph) -> String {
        let digest = |blob: BlobId| &graph.blobs[blob as usize].digest;
        match self {
            Self::NamedBy(blob) => format!("{} names it, and stays", digest(blob)),
            Self::About(blob) => format!("it is about {}, which stays", digest(blob)),
            Self::Tagged(tag) => {
                format!("tag {} points at it, and stays", graph.tags[tag as usize].name)
            }
            Self::Kept => "it is to be kept".into(),
            Self::Held => "something that cannot be read may need it".into(),
            Self::Rooted => "something outside of the storage refers to it".into(),
            Self::TagUnreadable => "its link is missing or cannot be read".into(),
        }
    }
}

/// Works out what goes with `selection` and what comes free.
pub fn removal(graph: &Graph, selection: &Selection) -> Removal {
    let holds_layer = holders(graph, &selection.layers);
    let mut work = Work {
        graph,
        selection,
        holds_layer,
        all: Walk::new(graph),
        led_to: Walk::new(graph),
        stays: Walk::new(graph),
        before: Marks::new(graph.blobs.len()),
        after: Marks::new(graph.blobs.len()),
        blobs: vec![Fate::default(); graph.blobs.len()],
        removal: Removal::default(),
    };
    for place in 0..graph.repositories.len() as u32 {
        work.repository(place);
    }
    work.finish()
}

/// Which manifests hold one of the layers, themselves or through what they name; nothing when no
/// layer is selected.
fn holders(graph: &Graph, layers: &[bool]) -> Option<Vec<bool>> {
    if !layers.contains(&true) {
        return None;
    }
    let ids = 0..graph.manifests.len() as u32;
    let names =
        |id: ManifestId| graph.kept_blobs(id)[1..].iter().any(|blob| layers[*blob as usize]);
    let mut holds: Vec<bool> = ids.clone().map(names).collect();
    let mut open: Vec<ManifestId> = ids.filter(|id| holds[*id as usize]).collect();
    let parents = Parents::new(graph);
    while let Some(id) = open.pop() {
        for parent in parents.of(id) {
            if !std::mem::replace(&mut holds[parent as usize], true) {
                open.push(parent);
            }
        }
    }
    Some(holds)
}

/// What is known of a blob so far.
#[derive(Clone, Copy, Default)]
struct Fate {
    /// The selection leads to it.
    is_selected: bool,
    /// Something that goes led to it.
    may_go: bool,
    /// Something that stays leads to it.
    stays: bool,
}

struct Work<'a> {
    graph: &'a Graph,
    selection: &'a Selection,
    holds_layer: Option<Vec<bool>>,
    all: Walk,
    led_to: Walk,
    stays: Walk,
    before: Marks,
    after: Marks,
    blobs: Vec<Fate>,
    removal: Removal,
}

impl Work<'_> {
    fn repository(&mut self, place: u32) {
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        self.all.go(graph, Some(repository), graph.starts(repository));
        if self.selection.has(Kind::Repository, place) && !self.keeps_part_of(repository) {
            self.whole_repository(place);
            return;
        }
        let (tags, revisions) = self.selected(place);
        self.skip_kept(place);
        if tags.is_empty() && revisions.is_empty() {
            for &id in self.all.found() {
                for &blob in graph.kept_blobs(id) {
                    self.blobs[blob as usize].stays = true;
                }
            }
            for blob in graph.fixed_starts(repository) {
                self.blobs[blob as usize].stays = true;
            }
            return;
        }
        self.part_of_repository(place, &tags, &revisions);
    }

    fn keeps_part_of(&self, repository: &RepositoryNode) -> bool {
        !repository.rooted.is_empty()
            || repository.tags.clone().any(|tag| self.selection.kept_tags[tag as usize])
            || repository.revisions.clone().any(|at| self.selection.kept_revisions[at as usize])
    }

    fn holds_layer(&self, blob: Option<BlobId>) -> bool {
        let id = blob.and_then(|blob| self.graph.manifest_at(blob));
        self.holds_layer.as_ref().is_some_and(|holds| id.is_some_and(|id| holds[id as usize]))
    }

    /// Places of tags and revisions that are selected, by themselves, by a layer, or with their
    /// repository of which a part is kept.
    fn selected(&self, place: u32) -> (Vec<u32>, Vec<u32>) {
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        let holds_layer = |blob| self.holds_layer(blob);
        let is_whole = self.selection.has(Kind::Repository, place);
        let tags = repository.tags.clone().filter(|tag| {
            let at = *tag as usize;
            // A tag about an image goes with that, or stays.
            let is_part = is_whole && graph.tags[at].subject.is_none();
            let is_selected = is_part
                || self.selection.has(Kind::Tag, *tag)
                || holds_layer(graph.tags[at].target);
            is_selected && !self.selection.kept_tags[at]
        });
        let revisions = repository.revisions.clone().filter(|revision| {
            let at = *revision as usize;
            let is_selected = is_whole
                || self.selection.has(Kind::Revision, *revision)
                || holds_layer(Some(graph.revisions[at]));
            is_selected && !self.selection.kept_revisions[at]
        });
        (tags.collect(), revisions.collect())
    }

    /// What is selected and kept at once.
    fn skip_kept(&mut self, place: u32) {
        let selection = self.selection;
        let repository = &self.graph.repositories[place as usize];
        let is_whole = selection.has(Kind::Repository, place);
        let is_asked_for = |kind, at: u32| is_whole || selection.has(kind, at);
        for at in repository.tags.clone() {
            if selection.kept_tags[at as usize] && is_asked_for(Kind::Tag, at) {
                self.removal.skip(Item::new(Kind::Tag, at), Reason::Kept);
            }
        }
        for at in repository.revisions.clone() {
            if selection.kept_revisions[at as usize] && is_asked_for(Kind::Revision, at) {
                self.removal.skip(Item::new(Kind::Revision, at), Reason::Kept);
            }
        }
    }

    fn whole_repository(&mut self, place: u32) {
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        for &id in self.all.found() {
            for &blob in graph.kept_blobs(id) {
                self.blobs[blob as usize].is_selected = true;
                self.blobs[blob as usize].may_go = true;
            }
        }
        for blob in graph.fixed_starts(repository) {
            self.blobs[blob as usize].is_selected = true;
            self.blobs[blob as usize].may_go = true;
        }
        let goes = &mut self.removal.goes;
        goes[Kind::Repository].push(place);
        goes[Kind::Tag].extend(repository.tags.clone());
        goes[Kind::Revision].extend(repository.revisions.clone());
        goes[Kind::LayerLink].extend(repository.links.clone());
    }

    fn part_of_repository(&mut self, place: u32, tags: &[u32], revisions: &[u32]) {
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        let target = |tag: &u32| graph.tags[*tag as usize].target;
        let blob_of = |revision: &u32| graph.revisions[*revision as usize];
        // Revisions are sorted by blob within a repository.
        let is_selected = |blob: BlobId| revisions.binary_search_by_key(&blob, blob_of).is_ok();
        let going = self.going_tags(repository, tags, &is_selected);
        let goes = |tag: &u32| going[(tag - repository.tags.start) as usize];
        let starts = tags.iter().filter_map(target).chain(revisions.iter().map(blob_of));
        self.led_to.go(graph, Some(repository), starts);

        // A tag about an image keeps nothing by itself, unless it is to be kept.
        let is_start = |tag: &u32| {
            self.selection.kept_tags[*tag as usize]
                || graph.tags[*tag as usize].subject.is_none() && !goes(tag)
        };
        let others = repository.tags.clone().filter(is_start);
        let others = others.filter_map(|tag| target(&tag));
        let led_to = &self.led_to;
        let outside = graph.revisions_of(repository).iter().copied();
        let outside =
            outside.filter(|blob| graph.manifest_at(*blob).is_none_or(|id| !led_to.has(id)));
        let kept = repository.revisions.clone();
        let kept = kept.filter(|at| self.selection.kept_revisions[*at as usize]);
        let kept = kept.map(|at| graph.revisions[at as usize]);
        // What is fixed comes first: it is the better reason.
        let fixed = graph.fixed_starts(repository).chain(kept);
        self.stays.clear();
        let starts = fixed.chain(others).chain(outside);
        self.stays.go_on(graph, Some(repository), starts, |tag| !goes(&tag));

        self.blobs_of_part(place);
        let kept_tags = self.kept_tags(repository);
        let stays = |blob: BlobId| graph.manifest_at(blob).is_none_or(|id| self.stays.has(id));
        for revision in repository.revisions.clone() {
            let is_kept = self.selection.kept_revisions[revision as usize];
            if !stays(graph.revisions[revision as usize]) {
                self.removal.goes[Kind::Revision].push(revision);
            } else if is_kept {
                let is_reported = self.selection.has(Kind::Repository, place)
                    || self.selection.has(Kind::Revision, revision);
                if is_reported || !self.is_led_to(graph.revisions[revision as usize]) {
                    continue;
                }
                self.removal.skip(Item::new(Kind::Revision, revision), Reason::Kept);
            } else if revisions.binary_search(&revision).is_ok() {
                let blob = graph.revisions[revision as usize];
                let reason = self.reason(repository, &kept_tags, blob);
                self.removal.skip(Item::new(Kind::Revision, revision), reason);
            }
        }
        for tag in repository.tags.clone() {
            let is_named = tags.binary_search(&tag).is_ok();
            match target(&tag) {
                None if is_named => {
                    self.removal.skip(Item::new(Kind::Tag, tag), Reason::TagUnreadable);
                }
                // A tag on a revision that is skipped stays with it, and one about an image that
                // goes goes with that.
                Some(blob)
                    if is_named
                        || !stays(blob)
                            && (is_selected(blob) && goes(&tag)
                                || graph.tags[tag as usize].subject.is_some()
                                    && !self.selection.kept_tags[tag as usize]) =>
                {
                    self.removal.goes[Kind::Tag].push(tag);
                }
                _ => {}
            }
        }
    }

    /// Which tags of a repository go because they are selected, or because what they point at is.
    fn going_tags(
        &self,
        repository: &RepositoryNode,
        tags: &[u32],
        is_selected: &dyn Fn(BlobId) -> bool,
    ) -> Vec<bool> {
        let graph = self.graph;
        // A repository as a whole takes a tag about an image only along with that.
        let is_named = |blob: BlobId| {
            let at = graph.revisions_of(repository).binary_search(&blob);
            at.is_ok_and(|at| {
                self.selection.has(Kind::Revision, repository.revisions.start + at as u32)
            }) || self.holds_layer(Some(blob))
        };
        let takes_along = |tag: u32| {
            let node = &graph.tags[tag as usize];
            let goes = |blob| is_selected(blob) && (node.subject.is_none() || is_named(blob));
            !self.selection.kept_tags[tag as usize] && node.target.is_some_and(goes)
        };
        let goes = |tag: u32| tags.binary_search(&tag).is_ok() || takes_along(tag);
        repository.tags.clone().map(goes).collect()
    }

    fn is_led_to(&self, blob: BlobId) -> bool {
        self.graph.manifest_at(blob).is_some_and(|id| self.led_to.has(id))
    }

    /// Notes which blobs of the repository stay and go, and which links it needs no more.
    fn blobs_of_part(&mut self, place: u32) {
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        self.before.clear();
        self.after.clear();
        for &id in self.all.found() {
            let (is_selected, stays) = (self.led_to.has(id), self.stays.has(id));
            for &blob in graph.kept_blobs(id) {
                self.before.mark(blob);
                let fate = &mut self.blobs[blob as usize];
                fate.is_selected |= is_selected;
                if stays {
                    fate.stays = true;
                    self.after.mark(blob);
                } else {
                    fate.may_go = true;
                }
            }
        }
        for blob in graph.fixed_starts(repository) {
            self.before.mark(blob);
            self.after.mark(blob);
            self.blobs[blob as usize].stays = true;
        }
        for link in repository.links.clone() {
            let LinkNode { name, target, .. } = graph.links[link as usize];
            let is_needed = |marks: &Marks| marks.has(name) || marks.has(target);
            if is_needed(&self.before) && !is_needed(&self.after) {
                self.removal.goes[Kind::LayerLink].push(link);
            }
        }
    }

    /// Tags of the repository that are to be kept, by what they point at.
    fn kept_tags(&self, repository: &RepositoryNode) -> Vec<(BlobId, u32)> {
        let kept = repository.tags.clone().filter(|tag| self.selection.kept_tags[*tag as usize]);
        let with_target = |tag: u32| Some((self.graph.tags[tag as usize].target?, tag));
        let mut kept: Vec<(BlobId, u32)> = kept.filter_map(with_target).collect();
        kept.sort_unstable();
        kept
    }

    fn reason(
        &self,
        repository: &RepositoryNode,
        kept_tags: &[(BlobId, u32)],
        blob: BlobId,
    ) -> Reason {
        let graph = self.graph;
        match graph.manifest_at(blob).map(|id| self.stays.via(id)) {
            Some(Via::Parent(id)) => Reason::NamedBy(graph.manifests[id as usize]),
            Some(Via::Subject(id)) => Reason::About(graph.manifests[id as usize]),
            Some(Via::Start) | None => self.kept_by(repository, kept_tags, blob),
        }
    }

    /// Why a walk over what stays begins at a selected revision.
    fn kept_by(
        &self,
        repository: &RepositoryNode,
        kept_tags: &[(BlobId, u32)],
        blob: BlobId,
    ) -> Reason {
        if repository.rooted.contains(&blob) {
            return Reason::Rooted;
        }
        if repository.is_held {
            return Reason::Held;
        }
        let at = self.graph.revisions_of(repository).binary_search(&blob);
        let is_kept =
            |at: usize| self.selection.kept_revisions[repository.revisions.start as usize + at];
        if at.is_ok_and(is_kept) {
            return Reason::Kept;
        }
        let first = kept_tags.partition_point(|(target, _)| *target < blob);
        match kept_tags.get(first) {
            Some((target, tag)) if *target == blob => Reason::Tagged(*tag),
            _ => Reason::Held,
        }
    }

    fn finish(mut self) -> Removal {
        for (blob, fate) in (0..).zip(&self.blobs) {
            let Some(size) = self.graph.blobs[blob as usize].size_bytes else {
                continue;
            };
            if fate.is_selected {
                self.removal.logical_bytes = self.removal.logical_bytes.saturating_add(size);
            }
            if fate.may_go && !fate.stays && !self.graph.is_kept_everywhere(blob) {
                self.removal.freed_bytes = self.removal.freed_bytes.saturating_add(size);
                self.removal.goes[Kind::Blob].push(blob);
            }
        }
        self.removal
    }
}
