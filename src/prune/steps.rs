//! A plan as a list of steps: what is moved, in which order, and what must still be true of it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::places;
use super::plan::Plan;
use crate::graph::{Graph, Item};
use crate::model::{Kind, Name, text_of};
use crate::storage::{FileKind, Storage, walk_up};
use crate::trash::{Move, MoveKind};

/// Everything that is to be done, in order; the lists are of one length.
#[derive(Debug, Default)]
pub struct Steps {
    /// What is moved.
    pub moves: Vec<Move>,
    /// What that is; [`Kind::Repository`] for each empty directory of a repository that goes.
    pub items: Vec<Item>,
    /// Things whose names lead nowhere.
    pub unnamed: Vec<Item>,
    others: Vec<Name>,
}

impl Steps {
    /// Of a plan. Tags go first, then revisions, indexes before what they name and images before
    /// what is about them, then layer links, uploads and blobs: a kill at any point leaves garbage.
    pub fn new(plan: &Plan, graph: &Graph, storage: &dyn Storage) -> Self {
        let mut steps = Self { others: plan.others.clone(), ..Self::default() };
        let layout = storage.layout();
        // An alias goes before what it stands for: when the registry deletes one, it looks up what it
        // leads to, and remembers that.
        let is_alias = |link: &u32| {
            let node = &graph.links[*link as usize];
            node.name != node.target
        };
        let mut links = plan.goes[Kind::LayerLink].clone();
        links.sort_by_key(|link| !is_alias(link));
        let revisions = top_down(plan, graph);
        for kind in Kind::ALL {
            let places = match kind {
                Kind::Revision => &revisions,
                Kind::LayerLink => &links,
                Kind::Leftover | Kind::Repository => continue,
                _ => &plan.goes[kind],
            };
            for &at in places {
                let item = Item { kind, at };
                match places::of_item(layout, graph, item, &plan.others) {
                    Some(path) => steps.add(graph, item, path, move_kind(kind)),
                    None => steps.unnamed.push(item),
                }
            }
        }
        steps.add_leftovers(plan, graph, storage);
        steps.add_directories(plan, graph, storage);
        steps
    }

    /// Those that nothing else takes along. The deepest come first: one may lie in another.
    fn add_leftovers(&mut self, plan: &Plan, graph: &Graph, storage: &dyn Storage) {
        let items = plan.goes[Kind::Leftover].iter().map(|at| Item::new(Kind::Leftover, *at));
        let mut paths: Vec<(Item, PathBuf)> = items
            .filter_map(|item| {
                Some((item, places::of_item(storage.layout(), graph, item, &plan.others)?))
            })
            .collect();
        paths.sort_unstable_by(|(_, a), (_, b)| b.cmp(a));
        let moved: HashSet<&Path> = self.moves.iter().map(|item| item.path.as_path()).collect();
        paths.retain(|(_, path)| !path.ancestors().any(|above| moved.contains(above)));
        for (item, path) in paths {
            let kind = match storage.stat(&path) {
                Ok(facts) if facts.kind == FileKind::Directory => MoveKind::Directory,
                Ok(facts) if facts.kind == FileKind::File => MoveKind::Leftover,
                _ => continue,
            };
            self.add(graph, item, path, kind);
        }
    }

    /// What is left of repositories that go. What is moved as a whole leaves no empty directory.
    fn add_directories(&mut self, plan: &Plan, graph: &Graph, storage: &dyn Storage) {
        let going = &plan.goes[Kind::Repository];
        let is_going = |item: &Item| {
            graph.repository_of(*item).is_some_and(|place| going.binary_search(&place).is_ok())
        };
        let moves = self.moves.iter().zip(&self.items);
        let mut gone: HashSet<PathBuf> =
            moves.filter(|(_, item)| is_going(item)).map(|(moved, _)| moved.path.clone()).collect();
        for &place in going {
            let item = Item::new(Kind::Repository, place);
            let Some(directory) = places::of_item(storage.layout(), graph, item, &[]) else {
                continue;
            };
            for path in skeleton(storage, &directory) {
                if !path.ancestors().any(|above| gone.contains(above)) {
                    self.add(graph, item, path.clone(), MoveKind::Directory);
                }
                gone.insert(path);
            }
        }
    }

    fn add(&mut self, graph: &Graph, item: Item, path: PathBuf, kind: MoveKind) {
        let at = item.at as usize;
        let name = match item.kind {
            Kind::Tag => graph.tags[at].name.clone(),
            Kind::Upload => graph.uploads[at].upload_id.clone(),
            Kind::Leftover | Kind::TagHistory => text_of(path.as_os_str()),
            _ => graph.digest_of(item).map(ToString::to_string).unwrap_or_default(),
        };
        let repository = graph.repository_of(item);
        self.moves.push(Move {
            path,
            kind,
            repository: repository.map(|place| graph.repositories[place as usize].name.clone()),
            name,
            size_bytes: graph.size_bytes_of(item),
            access: None,
            is_corrupt: item.kind == Kind::CorruptBlob,
        });
        self.items.push(item);
    }

    /// The name of a thing of the plan.
    pub fn name_of(&self, graph: &Graph, item: Item) -> Name {
        graph.name_of(item, &self.others)
    }
}

/// How the trash calls a kind. Its lists on disk have kinds of their own.
fn move_kind(kind: Kind) -> MoveKind {
    match kind {
        Kind::Tag => MoveKind::Tag,
        Kind::TagHistory => MoveKind::TagHistory,
        Kind::Revision => MoveKind::Revision,
        Kind::LayerLink => MoveKind::LayerLink,
        Kind::Upload => MoveKind::Upload,
        Kind::Blob | Kind::CorruptBlob => MoveKind::Blob,
        Kind::Leftover => MoveKind::Leftover,
        Kind::Repository => MoveKind::Directory,
    }
}

/// The directories that are left of a repository when all in it has gone, the deepest first.
/// `_manifests` goes before `_layers`: a repository without `_layers` is not seen by the registry's
/// own collector, which then deletes what it holds.
fn skeleton(storage: &dyn Storage, directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["_uploads", "_manifests", "_layers"] {
        let walked =
            walk_up(storage, &directory.join(part), &|_| false, &mut |path, kind, listed| {
                if kind == FileKind::Directory && listed.is_ok() {
                    found.push(path.to_owned());
                }
                Ok(())
            });
        debug_assert!(walked.is_ok(), "nothing here ends the walk");
    }
    let top = storage.layout().repositories();
    let parents = directory.ancestors().take_while(|parent| **parent != top);
    found.extend(parents.map(Path::to_owned));
    found
}

/// The revisions of a plan, each after all in its repository that lead to it.
fn top_down(plan: &Plan, graph: &Graph) -> Vec<u32> {
    let revisions = &plan.goes[Kind::Revision];
    let mut ordered = Vec::with_capacity(revisions.len());
    let mut rest = revisions.as_slice();
    for repository in &graph.repositories {
        let count = rest.partition_point(|revision| *revision < repository.revisions.end);
        let (own, after) = rest.split_at(count);
        rest = after;
        ordered.extend(sorted_top_down(graph, own));
    }
    ordered
}

/// Children and referrers come after what they belong to: the reverse of the order in which a
/// depth-first walk leaves them. Manifests name each other by digest, so there is no ring.
fn sorted_top_down(graph: &Graph, revisions: &[u32]) -> Vec<u32> {
    let by_manifest: HashMap<u32, u32> = revisions
        .iter()
        .filter_map(|at| Some((graph.manifest_at(graph.revisions[*at as usize])?, *at)))
        .collect();
    let mut left = Vec::with_capacity(revisions.len());
    let mut is_met = HashSet::new();
    // A revision whose manifest is not known leads nowhere.
    let unknown = |at: &u32| graph.manifest_at(graph.revisions[*at as usize]).is_none();
    left.extend(revisions.iter().copied().filter(unknown));
    for &start in revisions {
        let Some(id) = graph.manifest_at(graph.revisions[start as usize]) else {
            continue;
        };
        let mut stack = vec![(id, false)];
        while let Some((id, is_left)) = stack.pop() {
            if is_left {
                left.extend(by_manifest.get(&id));
                continue;
            }
            if !is_met.insert(id) {
                continue;
            }
            stack.push((id, true));
            let next = graph.children(id).iter().copied().chain(graph.referrers(id));
            stack.extend(next.filter(|id| by_manifest.contains_key(id)).map(|id| (id, false)));
        }
    }
    left.reverse();
    left
}
