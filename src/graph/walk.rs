//! What anything leads to: the one walk along the edges of the graph, and marks that need no clearing.

use std::collections::HashMap;

use super::flat::{Graph, second_of};
use super::parts::{BlobId, ManifestId, RepositoryNode};

/// Marks that need no clearing between uses.
pub struct Marks {
    marked_in: Vec<u32>,
    round: u32,
}

impl Marks {
    /// `length` marks, none of them set.
    pub fn new(length: usize) -> Self {
        Self { marked_in: vec![0; length], round: 1 }
    }

    /// Takes all marks away.
    pub fn clear(&mut self) {
        self.round += 1;
    }

    /// Whether it was not marked before.
    pub fn mark(&mut self, at: u32) -> bool {
        std::mem::replace(&mut self.marked_in[at as usize], self.round) != self.round
    }

    /// Whether it is marked.
    pub fn has(&self, at: u32) -> bool {
        self.marked_in[at as usize] == self.round
    }
}

/// What led a walk to a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The walk began there.
    Start,
    /// An index, or another manifest that names it.
    Parent(ManifestId),
    /// It is about this manifest: a referrer, or what a tag `sha256-<digest>…` points at.
    Subject(ManifestId),
}

/// The manifests that a walk has met.
pub struct Walk {
    met: Marks,
    via: Vec<Via>,
    found: Vec<ManifestId>,
}

impl Walk {
    /// Space for walks over `graph`.
    pub fn new(graph: &Graph) -> Self {
        let length = graph.manifests.len();
        Self { met: Marks::new(length), via: vec![Via::Start; length], found: Vec::new() }
    }

    /// Forgets what earlier walks met.
    pub fn clear(&mut self) {
        self.met.clear();
        self.found.clear();
    }

    /// Meets every manifest that `starts` lead to: through what they name and aliases and, within a
    /// repository, to referrers that it lists as revisions and to what tags about them point at.
    /// What earlier walks met is forgotten.
    pub fn go(
        &mut self,
        graph: &Graph,
        repository: Option<&RepositoryNode>,
        starts: impl IntoIterator<Item = BlobId>,
    ) {
        self.clear();
        self.go_on(graph, repository, starts, |_| true);
    }

    /// The same on top of what was met before, and only through those tags for which `has_tag` holds.
    /// Gives what is new.
    pub fn go_on(
        &mut self,
        graph: &Graph,
        repository: Option<&RepositoryNode>,
        starts: impl IntoIterator<Item = BlobId>,
        has_tag: impl Fn(u32) -> bool,
    ) -> &[ManifestId] {
        let first = self.found.len();
        for start in starts {
            if let Some(id) = graph.manifest_at(start) {
                self.meet(id, Via::Start);
            }
        }
        let mut next = first;
        while let Some(&id) = self.found.get(next) {
            next += 1;
            for_each_next(graph, repository, id, &has_tag, |next, via| self.meet(next, via));
        }
        &self.found[first..]
    }

    fn meet(&mut self, id: ManifestId, via: Via) {
        if self.met.mark(id) {
            self.via[id as usize] = via;
            self.found.push(id);
        }
    }

    /// Every manifest met, each once.
    pub fn found(&self) -> &[ManifestId] {
        &self.found
    }

    /// Whether it was met.
    pub fn has(&self, id: ManifestId) -> bool {
        self.met.has(id)
    }

    /// What led to it.
    pub fn via(&self, id: ManifestId) -> Via {
        self.via[id as usize]
    }
}

/// The manifests that one leads to directly: the edges of every walk.
pub(super) fn for_each_next(
    graph: &Graph,
    repository: Option<&RepositoryNode>,
    id: ManifestId,
    has_tag: impl Fn(u32) -> bool,
    mut visit: impl FnMut(ManifestId, Via),
) {
    for &child in graph.children(id) {
        visit(child, Via::Parent(id));
    }
    let Some(repository) = repository else {
        return;
    };
    for referrer in graph.referrers(id) {
        if graph.is_revision(repository, referrer) {
            visit(referrer, Via::Subject(id));
        }
    }
    for tag in graph.tags_about(repository, id).filter(|tag| has_tag(*tag)) {
        let target = graph.tags[tag as usize].target;
        if let Some(target) = target.and_then(|target| graph.manifest_at(target)) {
            visit(target, Via::Subject(id));
        }
    }
}

/// Manifests on paths from a child to what names it. What lies on one path is nested: each leads to
/// all that is below it. A walk over what a path's manifests lead to, from below, so costs as much
/// as the topmost alone, and a chain of nested indexes costs time that grows with its length.
pub struct Paths {
    /// The path of each manifest, and its place on it.
    place_of: Vec<(u32, u32)>,
}

impl Paths {
    /// Lays each manifest on the path of one of its children, where that has none above it yet.
    pub fn new(graph: &Graph) -> Self {
        const UNKNOWN: u32 = u32::MAX;
        let count = graph.manifests.len();
        let mut place_of = vec![(UNKNOWN, 0_u32); count];
        let mut has_above = vec![false; count];
        let mut is_open = vec![false; count];
        let mut path_count = 0;
        let mut stack: Vec<(ManifestId, bool)> = Vec::new();
        for id in 0..count as ManifestId {
            stack.push((id, false));
            while let Some((id, is_left)) = stack.pop() {
                if is_left {
                    let children = graph.children(id).iter().copied();
                    let below = children
                        .filter(|child| {
                            *child != id
                                && !has_above[*child as usize]
                                && place_of[*child as usize].0 != UNKNOWN
                        })
                        .max_by_key(|child| place_of[*child as usize].1);
                    place_of[id as usize] = if let Some(child) = below {
                        has_above[child as usize] = true;
                        let (path, place) = place_of[child as usize];
                        (path, place + 1)
                    } else {
                        path_count += 1;
                        (path_count - 1, 0)
                    };
                } else if !is_open[id as usize] {
                    is_open[id as usize] = true;
                    stack.push((id, true));
                    let children = graph.children(id).iter().copied();
                    stack.extend(children.filter(|c| !is_open[*c as usize]).map(|c| (c, false)));
                }
            }
        }
        Self { place_of }
    }

    /// Sorts manifests so that those of one path stand together, the lowest first. Gives the path's
    /// number with each.
    pub fn sort<T>(&self, items: Vec<(ManifestId, T)>) -> Vec<(u32, ManifestId, T)> {
        let mut sorted: Vec<(u32, ManifestId, T)> =
            items.into_iter().map(|(id, item)| (self.place_of[id as usize].0, id, item)).collect();
        sorted.sort_by_key(|(path, id, _)| (*path, self.place_of[*id as usize].1));
        sorted
    }
}

/// The manifests that name each manifest.
pub struct Parents(Vec<(ManifestId, ManifestId)>);

impl Parents {
    /// Of all manifests of a graph.
    pub fn new(graph: &Graph) -> Self {
        let ids = 0..graph.manifests.len() as ManifestId;
        let pairs = ids.flat_map(|id| graph.children(id).iter().map(move |child| (*child, id)));
        let mut pairs: Vec<(ManifestId, ManifestId)> = pairs.collect();
        pairs.sort_unstable();
        Self(pairs)
    }

    /// Those that name one.
    pub fn of(&self, id: ManifestId) -> impl Iterator<Item = ManifestId> {
        second_of(&self.0, id)
    }
}

/// Tags by the manifest that they point at.
pub(super) fn targets_by_manifest(
    graph: &Graph,
    targets: impl Iterator<Item = (BlobId, u32)>,
) -> Vec<(ManifestId, Vec<u32>)> {
    let mut by_manifest: HashMap<ManifestId, Vec<u32>, foldhash::fast::RandomState> =
        HashMap::default();
    for (target, place) in targets {
        if let Some(id) = graph.manifest_at(target) {
            by_manifest.entry(id).or_default().push(place);
        }
    }
    let mut groups: Vec<_> = by_manifest.into_iter().collect();
    groups.sort_unstable();
    groups
}
