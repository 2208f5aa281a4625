//! A plan as a list of steps: what is moved, in which order, and what must still be true of it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::name::Name;
use super::named::{blob_name, corrupt_name, link_name, revision_name, tag_name, upload_name};
use super::paths;
use super::plan::Plan;
use crate::graph::BlobId;
use crate::graph::{Graph, RepositoryNode};
use crate::model::{Digest, bytes_of, text_of};
use crate::storage::{FileKind, Storage};
use crate::trash::{Move, MoveKind};

/// No repository is nested deeper than its name has room for.
const MAX_DEPTH: usize = 130;

/// What a step takes away, by its place in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A tag of a repository.
    Tag(u32, u32),
    /// A revision of a repository.
    Revision(u32, u32),
    /// A layer link of a repository.
    LayerLink(u32, u32),
    /// An upload.
    Upload(u32),
    /// A blob.
    Blob(BlobId),
    /// A blob whose content is wrong, whoever needs it.
    Corrupt(BlobId),
    /// What an interrupted write left, by its place in the plan: a file, or an empty directory.
    Leftover(u32),
    /// An empty directory of a repository that goes.
    Directory(u32),
}

/// Everything that is to be done, in order; the lists are of one length.
#[derive(Debug, Default)]
pub struct Steps {
    /// What is moved.
    pub moves: Vec<Move>,
    /// What that is.
    pub targets: Vec<Target>,
    /// Things whose names lead nowhere.
    pub unnamed: Vec<Target>,
    leftover_names: Vec<String>,
}

impl Steps {
    /// Of a plan. Tags go first, then revisions, indexes before what they name and images before
    /// what is about them, then layer links, uploads and blobs: a kill at any point leaves garbage.
    pub fn new(plan: &Plan, graph: &Graph, storage: &dyn Storage) -> Self {
        let mut steps = Self::default();
        let layout = storage.layout();
        let directories: Vec<Option<PathBuf>> = graph
            .repositories
            .iter()
            .map(|repository| paths::repository(layout, &repository.name))
            .collect();
        let digest = |blob: BlobId| &graph.blobs[blob as usize].digest;
        for &tag in &plan.tags {
            let place = place_of(graph, tag, |repository| repository.tags.end);
            let node = &graph.tags[tag as usize];
            let path = directories[place as usize]
                .as_deref()
                .and_then(|directory| paths::tag(directory, &node.name));
            steps.add(graph, Target::Tag(place, tag), path);
        }
        for (place, revision) in top_down(plan, graph) {
            let path = directories[place as usize].as_deref().and_then(|directory| {
                paths::revision(directory, digest(graph.revisions[revision as usize]))
            });
            steps.add(graph, Target::Revision(place, revision), path);
        }
        // An alias goes before what it stands for: when the registry deletes one, it looks up what it
        // leads to, and remembers that.
        let is_alias = |link: &u32| {
            let node = &graph.links[*link as usize];
            node.name != node.target
        };
        let mut links = plan.layer_links.clone();
        links.sort_by_key(|link| !is_alias(link));
        for link in links {
            let place = place_of(graph, link, |repository| repository.links.end);
            let path = directories[place as usize].as_deref().and_then(|directory| {
                paths::layer_link(directory, digest(graph.links[link as usize].name))
            });
            steps.add(graph, Target::LayerLink(place, link), path);
        }
        for &upload in &plan.uploads {
            let node = &graph.uploads[upload as usize];
            let path = directories[node.repository as usize]
                .as_deref()
                .and_then(|directory| paths::upload(directory, &node.upload_id));
            steps.add(graph, Target::Upload(upload), path);
        }
        for &blob in &plan.blobs {
            steps.add(graph, Target::Blob(blob), paths::blob(layout, digest(blob)));
        }
        for &blob in &plan.corrupt {
            steps.add(graph, Target::Corrupt(blob), paths::blob(layout, digest(blob)));
        }
        steps.leftovers(plan, storage);
        // What is moved as a whole leaves no empty directory.
        let mut gone: HashSet<PathBuf> = steps
            .moves
            .iter()
            .zip(&steps.targets)
            .filter(|(_, target)| {
                let place = target.repository(graph);
                place.is_some_and(|place| plan.repositories.binary_search(&place).is_ok())
            })
            .map(|(item, _)| item.path.clone())
            .collect();
        for &place in &plan.repositories {
            let Some(directory) = &directories[place as usize] else {
                continue;
            };
            for path in skeleton(storage, directory) {
                if !path.ancestors().any(|above| gone.contains(above)) {
                    steps.add(graph, Target::Directory(place), Some(path.clone()));
                }
                gone.insert(path);
            }
        }
        steps
    }

    /// Those that nothing else takes along. The deepest come first: one may lie in another.
    fn leftovers(&mut self, plan: &Plan, storage: &dyn Storage) {
        let mut paths: Vec<(u32, PathBuf)> = (0..)
            .zip(&plan.leftovers)
            .filter_map(|(at, path)| Some((at, PathBuf::from(bytes_of(path)?))))
            .collect();
        paths.sort_unstable_by(|(_, a), (_, b)| b.cmp(a));
        let moved: HashSet<&Path> = self.moves.iter().map(|item| item.path.as_path()).collect();
        paths.retain(|(_, path)| !path.ancestors().any(|above| moved.contains(above)));
        for (at, path) in paths {
            let kind = match storage.stat(&path) {
                Ok(facts) if facts.kind == FileKind::Directory => MoveKind::Directory,
                Ok(facts) if facts.kind == FileKind::File => MoveKind::Leftover,
                _ => continue,
            };
            let name = text_of(path.as_os_str());
            self.moves.push(Move {
                path,
                kind,
                repository: None,
                name,
                size_bytes: 0,
                access: None,
                is_corrupt: false,
            });
            self.targets.push(Target::Leftover(at));
        }
        self.leftover_names.clone_from(&plan.leftovers);
    }

    fn add(&mut self, graph: &Graph, target: Target, path: Option<PathBuf>) {
        let Some(path) = path else {
            self.unnamed.push(target);
            return;
        };
        let digest = |blob: BlobId| graph.blobs[blob as usize].digest.to_string();
        let (kind, name, size_bytes) = match target {
            Target::Tag(_, tag) => (MoveKind::Tag, graph.tags[tag as usize].name.clone(), 0),
            Target::Revision(_, revision) => {
                (MoveKind::Revision, digest(graph.revisions[revision as usize]), 0)
            }
            Target::LayerLink(_, link) => {
                (MoveKind::LayerLink, digest(graph.links[link as usize].name), 0)
            }
            Target::Upload(upload) => {
                let node = &graph.uploads[upload as usize];
                (MoveKind::Upload, node.upload_id.clone(), node.size_bytes)
            }
            Target::Blob(blob) | Target::Corrupt(blob) => {
                (MoveKind::Blob, digest(blob), graph.size_bytes(blob))
            }
            Target::Leftover(_) | Target::Directory(_) => (MoveKind::Directory, String::new(), 0),
        };
        let repository = target.repository(graph);
        let repository = repository.map(|place| graph.repositories[place as usize].name.clone());
        let is_corrupt = matches!(target, Target::Corrupt(_));
        let access = None;
        self.moves.push(Move { path, kind, repository, name, size_bytes, access, is_corrupt });
        self.targets.push(target);
    }
}

/// The directories that are left of a repository when all in it has gone, the deepest first.
/// `_manifests` goes before `_layers`: a repository without `_layers` is not seen by the registry's
/// own collector, which then deletes what it holds.
fn skeleton(storage: &dyn Storage, directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["_uploads", "_manifests", "_layers"] {
        directories_below(storage, &directory.join(part), MAX_DEPTH, &mut found);
    }
    let top = storage.layout().repositories();
    let parents = directory.ancestors().take_while(|parent| **parent != top);
    found.extend(parents.map(Path::to_owned));
    found
}

fn directories_below(
    storage: &dyn Storage,
    directory: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
) {
    let Ok(entries) = storage.list(directory) else {
        return;
    };
    for entry in entries {
        if entry.kind == FileKind::Directory && depth > 0 {
            directories_below(storage, &directory.join(&entry.name), depth - 1, found);
        }
    }
    found.push(directory.to_owned());
}

impl Target {
    /// The repository that it is in.
    pub fn repository(self, graph: &Graph) -> Option<u32> {
        match self {
            Self::Tag(place, _)
            | Self::Revision(place, _)
            | Self::LayerLink(place, _)
            | Self::Directory(place) => Some(place),
            Self::Upload(upload) => Some(graph.uploads[upload as usize].repository),
            Self::Blob(_) | Self::Corrupt(_) | Self::Leftover(_) => None,
        }
    }

    /// Its name.
    pub fn name(self, graph: &Graph, steps: &Steps) -> Name {
        match self {
            Self::Tag(place, tag) => tag_name(graph, place, tag),
            Self::Revision(place, revision) => revision_name(graph, place, revision),
            Self::LayerLink(place, link) => link_name(graph, place, link),
            Self::Upload(upload) => upload_name(graph, upload),
            Self::Blob(blob) => blob_name(graph, blob),
            Self::Corrupt(blob) => corrupt_name(graph, blob),
            Self::Leftover(at) => {
                Name::Leftover { path: steps.leftover_names[at as usize].clone() }
            }
            Self::Directory(place) => {
                Name::Repository { repository: graph.repositories[place as usize].name.clone() }
            }
        }
    }

    /// The digest that it is about.
    pub fn digest(self, graph: &Graph) -> Option<&Digest> {
        let blob = match self {
            Self::Tag(_, tag) => graph.tags[tag as usize].target?,
            Self::Revision(_, revision) => graph.revisions[revision as usize],
            Self::LayerLink(_, link) => graph.links[link as usize].name,
            Self::Blob(blob) | Self::Corrupt(blob) => blob,
            Self::Upload(_) | Self::Leftover(_) | Self::Directory(_) => return None,
        };
        Some(&graph.blobs[blob as usize].digest)
    }
}

fn place_of(graph: &Graph, at: u32, end: fn(&RepositoryNode) -> u32) -> u32 {
    graph.repositories.partition_point(|repository| end(repository) <= at) as u32
}

/// The revisions of a plan with their repositories, each after all that lead to it.
fn top_down(plan: &Plan, graph: &Graph) -> Vec<(u32, u32)> {
    let mut ordered = Vec::with_capacity(plan.revisions.len());
    let mut rest = plan.revisions.as_slice();
    for (place, repository) in (0..).zip(&graph.repositories) {
        let count = rest.partition_point(|revision| *revision < repository.revisions.end);
        let (own, after) = rest.split_at(count);
        rest = after;
        ordered.extend(sorted_top_down(graph, own).into_iter().map(|revision| (place, revision)));
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
