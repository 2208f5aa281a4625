//! From a blob up to what keeps it.
//!
//! The nearest paths come from a walk in breadth that meets each manifest once and ends when it has
//! seen enough: a base layer of a hundred thousand images is answered as quickly as any. All paths
//! come from a walk in depth that holds one path at a time.
//!
//! A referrer is kept by its subject only in the repositories that link the referrer, and what a tag
//! `sha256-<digest>…` points at by that image only in the tag's repository, so a path that goes up to a
//! subject may end in those alone.

use std::collections::{HashMap, HashSet};
use std::io;
use std::rc::Rc;

use super::answer::{Step, Via};
use super::edges::{Edges, Stop};
use super::error::WhyError;

/// The most paths that are handed out.
pub const MAX_PATHS: u64 = 100_000;
/// Paths that are shown when not all are asked for.
const NEAREST: usize = 5;
/// Manifests that are looked at for the nearest paths, once there is one.
const ENOUGH: usize = 200;
/// Manifests that are looked at before the walk for the nearest paths gives up.
const AT_MOST: usize = 50_000;
/// Steps of the walk for all paths, those that lead nowhere included.
const MAX_STEPS: u64 = 5_000_000;

/// How a walk ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Paths that were handed out.
    pub paths: u64,
    /// There are or may be more.
    pub is_cut: bool,
}

/// Where a walk begins, and what it is to find.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The blob.
    pub blob: i64,
    /// Only paths that end in this repository.
    pub repository: Option<i64>,
    /// The most of the nearest paths in one repository.
    pub per_repository: usize,
}

/// A blob on a path.
#[derive(Clone, Debug)]
struct Node {
    blob: i64,
    via: Option<Via>,
    /// The state below it, by its place in the walk.
    below: Option<usize>,
    /// Repositories that the path may end in; all when `None`.
    only_in: Option<Rc<[i64]>>,
}

impl Node {
    fn first(start: &Start) -> Self {
        let only_in = start.repository.map(|repository| Rc::from([repository]));
        Self { blob: start.blob, via: None, below: None, only_in }
    }

    fn may_end_at(&self, stop: &Stop) -> bool {
        match (&self.only_in, stop.repository_id()) {
            (Some(only_in), Some(repository)) => only_in.contains(&repository),
            // What cannot be said to be in a repository may be in any.
            _ => true,
        }
    }
}

/// The nodes above one.
fn above(edges: &Edges<'_>, node: &Node, limit: i64) -> rusqlite::Result<Vec<Node>> {
    let mut found = Vec::new();
    for (blob, via) in edges.named_by(node.blob, limit)? {
        found.push(Node { blob, via: Some(via), below: None, only_in: node.only_in.clone() });
    }
    // An alias of an alias is not resolved further.
    if node.via != Some(Via::Alias) {
        for blob in edges.aliases(node.blob)? {
            found.push(Node { blob, via: Some(Via::Alias), ..node.clone() });
        }
    }
    let referrer = edges.subject(node.blob)?;
    let mut subjects: Vec<(i64, Vec<i64>)> = Vec::new();
    if let Some(subject) = referrer {
        subjects.push((subject, edges.repositories_of(node.blob)?));
    }
    subjects.extend(edges.subjects_by_tag(node.blob)?);
    for (subject, repositories) in subjects {
        let only_in: Rc<[i64]> = match &node.only_in {
            None => repositories.into(),
            Some(only_in) => repositories.into_iter().filter(|id| only_in.contains(id)).collect(),
        };
        if !only_in.is_empty() {
            found.push(Node {
                blob: subject,
                via: Some(Via::Subject),
                below: None,
                only_in: Some(only_in),
            });
        }
    }
    Ok(found)
}

/// Where paths end at `node`.
fn stops(
    edges: &Edges<'_>,
    node: &Node,
    is_first: bool,
    limit: i64,
) -> rusqlite::Result<Vec<Stop>> {
    let mut stops = edges.stops(node.blob, limit)?;
    stops.extend(edges.stops_of_holds(node.blob, is_first)?);
    stops.retain(|stop| node.may_end_at(stop));
    Ok(stops)
}

struct Found {
    length: usize,
    place: usize,
    stop: Stop,
}

/// What a walk in breadth met.
struct Breadth {
    nodes: Vec<Node>,
    found: Vec<Found>,
    /// It ended before it had seen everything.
    is_cut: bool,
    /// It found what no better reason can be found for.
    has_best: bool,
}

/// Looks at up to `at_most` manifests, and at few once there is a best reason.
fn breadth(edges: &Edges<'_>, start: &Start, at_most: usize) -> rusqlite::Result<Breadth> {
    let mut walk = Breadth {
        nodes: vec![Node::first(start)],
        found: Vec::new(),
        is_cut: false,
        has_best: false,
    };
    let mut lengths = vec![0_usize];
    let mut met = HashSet::from([(start.blob, walk.nodes[0].only_in.clone())]);
    let mut in_repository: HashMap<(Option<i64>, u8), usize> = HashMap::new();
    // Where no tag leads there is none to look for.
    let best = u8::from(!edges.has_tags(start.blob)?);
    let mut place = 0;
    while place < walk.nodes.len() {
        if (walk.has_best && place >= ENOUGH) || place >= at_most {
            walk.is_cut = true;
            break;
        }
        let node = walk.nodes[place].clone();
        for stop in stops(edges, &node, place == 0, AT_MOST as i64)? {
            let count = in_repository.entry((stop.repository_id(), rank(&stop))).or_default();
            *count += 1;
            if *count > start.per_repository {
                walk.is_cut = true;
                continue;
            }
            walk.has_best |= rank(&stop) <= best;
            walk.found.push(Found { length: lengths[place], place, stop });
        }
        for next in above(edges, &node, at_most as i64 + 1)? {
            if met.insert((next.blob, next.only_in.clone())) {
                walk.nodes.push(Node { below: Some(place), ..next });
                lengths.push(lengths[place] + 1);
            }
        }
        place += 1;
    }
    Ok(walk)
}

/// Hands out the nearest paths: tags before untagged revisions before roots, short ones first.
pub fn nearest(
    edges: &Edges<'_>,
    start: &Start,
    mut take: impl FnMut(&[Step]) -> io::Result<()>,
) -> Result<End, WhyError> {
    let mut walk = breadth(edges, start, ENOUGH)?;
    if walk.is_cut && !walk.has_best {
        walk = breadth(edges, start, AT_MOST)?;
    }
    let Breadth { nodes, mut found, mut is_cut, .. } = walk;
    found.sort_by(|a, b| {
        (rank(&a.stop), a.length, &a.stop).cmp(&(rank(&b.stop), b.length, &b.stop))
    });
    // What keeps a blob in a repository is said once, by the best reason.
    let mut seen: HashMap<Option<i64>, u8> = HashMap::new();
    let best = found.first().map(|found| rank(&found.stop));
    found.retain(|found| {
        let rank = rank(&found.stop);
        let is_best = *seen.entry(found.stop.repository_id()).or_insert(rank) == rank;
        // A root explains what nothing else does.
        is_best && (rank < 2 || best == Some(2))
    });
    is_cut |= found.len() > NEAREST;
    found.truncate(NEAREST);
    for found in &found {
        let mut path = Vec::new();
        let mut at = Some(found.place);
        while let Some(place) = at {
            path.push(edges.step(nodes[place].blob, nodes[place].via)?);
            at = nodes[place].below;
        }
        path.reverse();
        path.extend(edges.last_steps(&found.stop));
        take(&path).map_err(WhyError::Write)?;
    }
    Ok(End { paths: found.len() as u64, is_cut })
}

/// The better a reason, the lower.
fn rank(stop: &Stop) -> u8 {
    match stop {
        Stop::Tag { .. } => 0,
        Stop::Untagged { .. } | Stop::External { .. } => 1,
        Stop::Root { .. } => 2,
    }
}

/// Hands out every path.
pub fn all(
    edges: &Edges<'_>,
    start: &Start,
    mut take: impl FnMut(&[Step]) -> io::Result<()>,
) -> Result<End, WhyError> {
    let mut end = End::default();
    let mut steps = 0;
    let mut path: Vec<Step> = Vec::new();
    let mut on_path: Vec<i64> = Vec::new();
    // One frame for each node on the path: what is still to be tried above it.
    let mut frames: Vec<std::vec::IntoIter<Node>> = vec![vec![Node::first(start)].into_iter()];
    while let Some(frame) = frames.last_mut() {
        let Some(node) = frame.next() else {
            frames.pop();
            path.pop();
            on_path.pop();
            continue;
        };
        if on_path.contains(&node.blob) {
            continue;
        }
        steps += 1;
        path.push(edges.step(node.blob, node.via)?);
        on_path.push(node.blob);
        for stop in stops(edges, &node, on_path.len() == 1, i64::MAX)? {
            if end.paths == MAX_PATHS || steps > MAX_STEPS {
                return Ok(End { is_cut: true, ..end });
            }
            let length = path.len();
            path.extend(edges.last_steps(&stop));
            take(&path).map_err(WhyError::Write)?;
            path.truncate(length);
            end.paths += 1;
        }
        frames.push(above(edges, &node, i64::MAX)?.into_iter());
    }
    Ok(end)
}
