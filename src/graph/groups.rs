//! Figures of groups of repositories: those whose names begin with the same parts of a path.
//!
//! The exclusive bytes of a group are more than the sum over its repositories, since a blob that two of
//! them share comes free when both go. Each blob therefore belongs to the deepest group that holds all
//! repositories that reach it. Repositories come in the order of their parts, so that those of a group
//! follow one another: a blob is new to a group when the repository that reached it last is outside.

use super::flat::Graph;
use super::parts::RepositoryNode;
use super::walk::{Marks, Walk};

/// The group of everything.
const ROOT: u32 = 0;
/// Nothing has reached the blob yet.
const NONE: u32 = u32::MAX;
/// Something outside of the storage keeps the blob, so that no group frees it.
const KEPT: u32 = u32::MAX - 1;

/// Figures of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAccount {
    /// The parts that its repositories' names begin with, `team` or `team/shop`; empty for all of them.
    pub prefix: String,
    /// Distinct present bytes that its repositories reach.
    pub logical_bytes: u64,
    /// Of those, reached by no repository outside: what deleting the whole group frees.
    pub exclusive_bytes: u64,
}

struct Node {
    parent: u32,
    depth: u32,
    account: GroupAccount,
}

struct Groups<'a> {
    graph: &'a Graph,
    nodes: Vec<Node>,
    marks: Marks,
    /// For each blob, the group of the repository that reached it last.
    last: Vec<u32>,
    /// For each blob, the deepest group that holds all repositories that reach it.
    owner: Vec<u32>,
}

/// Works out every group, a repository alone among them; the group of everything comes first and each
/// group after the one that holds it.
pub fn groups(graph: &Graph) -> Vec<GroupAccount> {
    let mut groups = Groups {
        graph,
        nodes: Vec::new(),
        marks: Marks::new(graph.blobs.len()),
        last: vec![NONE; graph.blobs.len()],
        owner: vec![NONE; graph.blobs.len()],
    };
    groups.add_node(ROOT, 0, String::new());
    let mut order: Vec<&RepositoryNode> = graph.repositories.iter().collect();
    order.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
    let mut walk = Walk::new(graph);
    let mut path = vec![ROOT];
    for repository in order {
        groups.step_to(&mut path, &repository.name);
        let node = path[path.len() - 1];
        walk.go(graph, Some(repository), graph.starts(repository));
        groups.marks.clear();
        for &id in walk.found() {
            for &blob in graph.kept_blobs(id) {
                groups.reach(node, blob);
            }
        }
        for blob in graph.fixed_starts(repository) {
            groups.reach(node, blob);
        }
        if !repository.rooted.is_empty() {
            // Such a repository never goes whole: what is fixed in it stays.
            walk.go(graph, Some(repository), graph.fixed_starts(repository));
            let named = walk.found().iter().flat_map(|id| graph.kept_blobs(*id)).copied();
            for blob in named.chain(graph.fixed_starts(repository)) {
                groups.owner[blob as usize] = KEPT;
            }
        }
    }
    groups.finish()
}

impl Groups<'_> {
    fn add_node(&mut self, parent: u32, depth: u32, prefix: String) -> u32 {
        let account = GroupAccount { prefix, logical_bytes: 0, exclusive_bytes: 0 };
        self.nodes.push(Node { parent, depth, account });
        self.nodes.len() as u32 - 1
    }

    /// Leads `path` from one repository's groups to those of the next.
    fn step_to(&mut self, path: &mut Vec<u32>, name: &str) {
        let is_within = |node: &Node| {
            let rest = name.strip_prefix(node.account.prefix.as_str());
            node.depth == 0 || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        while !is_within(&self.nodes[path[path.len() - 1] as usize]) {
            path.pop();
        }
        let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        for end in ends.skip(path.len() - 1) {
            let parent = path[path.len() - 1];
            let node = self.add_node(parent, path.len() as u32, name[..end].to_owned());
            path.push(node);
        }
    }

    fn reach(&mut self, node: u32, blob: u32) {
        if !self.marks.mark(blob) {
            return;
        }
        let at = blob as usize;
        let size = self.graph.size_bytes(blob);
        let known = std::mem::replace(&mut self.last[at], node);
        let shared = if known == NONE { None } else { Some(self.common(known, node)) };
        let mut group = node;
        while Some(group) != shared {
            let bytes = &mut self.nodes[group as usize].account.logical_bytes;
            *bytes = bytes.saturating_add(size);
            if group == ROOT {
                break;
            }
            group = self.nodes[group as usize].parent;
        }
        self.owner[at] = match self.owner[at] {
            NONE => node,
            KEPT => KEPT,
            owner => self.common(owner, node),
        };
    }

    /// The deepest group that holds both.
    fn common(&self, mut one: u32, mut other: u32) -> u32 {
        while one != other {
            let (a, b) = (&self.nodes[one as usize], &self.nodes[other as usize]);
            if a.depth >= b.depth {
                one = a.parent;
            } else {
                other = b.parent;
            }
        }
        one
    }

    fn finish(mut self) -> Vec<GroupAccount> {
        for (blob, owner) in (0..).zip(&self.owner) {
            if !matches!(*owner, NONE | KEPT) && !self.graph.is_kept_everywhere(blob) {
                let bytes = &mut self.nodes[*owner as usize].account.exclusive_bytes;
                *bytes = bytes.saturating_add(self.graph.size_bytes(blob));
            }
        }
        for at in (1..self.nodes.len()).rev() {
            let bytes = self.nodes[at].account.exclusive_bytes;
            let parent = self.nodes[at].parent as usize;
            let sum = &mut self.nodes[parent].account.exclusive_bytes;
            *sum = sum.saturating_add(bytes);
        }
        self.nodes.into_iter().map(|node| node.account).collect()
    }
}
