//! What deleting the marks together frees, through the same plan that `prune` makes.

use super::message::Union;
use super::place::Mark;
use crate::graph::{Graph, GroupAccount, Reach, groups, reach};
use crate::model::{Kind, Name};
use crate::prune::{Chosen, Document, Origin, Plan, Policy, Protect, plan};
use crate::ui;

/// How many of what stays are named.
const MOST_SKIPPED: usize = 20;

/// A snapshot's graph, and the rules of a deletion.
pub struct Deletions {
    graph: Graph,
    /// What is kept before anything is deleted: the same for every set of marks.
    reach: Reach,
    origin: Origin,
    protect: Option<Protect>,
    now_ns: i64,
}

impl Deletions {
    /// Of a graph.
    pub fn new(graph: Graph, origin: Origin, protect: Option<Protect>, now_ns: i64) -> Self {
        let reach = reach(&graph);
        Self { graph, reach, origin, protect, now_ns }
    }

    /// The exact bytes of every group of repositories.
    pub fn groups(&self) -> Vec<GroupAccount> {
        groups(&self.graph)
    }

    /// Tags that the protect lists keep.
    pub fn protected(&self) -> Vec<(String, String)> {
        let Some(protect) = &self.protect else {
            return Vec::new();
        };
        let graph = &self.graph;
        let repositories = graph.repositories.iter();
        let tags = repositories.flat_map(|repository| {
            graph.tags_of(repository).iter().map(move |tag| (&repository.name, tag))
        });
        let digest =
            |tag: &crate::graph::TagNode| tag.target.map(|blob| &graph.blobs[blob as usize].digest);
        let is_kept = |repository: &str, tag: &crate::graph::TagNode| {
            protect.has_tag(repository, &tag.name)
                || digest(tag).is_some_and(|digest| protect.has_digest(digest))
        };
        tags.filter(|(repository, tag)| is_kept(repository, tag))
            .map(|(repository, tag)| (repository.clone(), tag.name.clone()))
            .collect()
    }

    fn plan<'m>(&self, marks: impl Iterator<Item = &'m Mark>) -> Plan {
        let mut chosen = Chosen::over(&self.graph, self.reach.clone());
        for mark in marks {
            match mark {
                Mark::Thing(name) => chosen.add(name.clone()),
                Mark::Group(prefix) => {
                    let is_below = |name: &str| {
                        let rest = name.strip_prefix(prefix.as_str());
                        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    };
                    let names = self.graph.repositories.iter().map(|node| &node.name);
                    for name in names.filter(|name| is_below(name)) {
                        chosen.add(Name::Repository { repository: name.clone() });
                    }
                }
            }
        }
        // How old a thing must be is for `prune` to say, when it acts.
        let protect = self.protect.clone().unwrap_or_default();
        plan(chosen, &Policy::of_any_age(self.now_ns, protect))
    }

    /// What all of them free together.
    pub fn union(&self, marks: &[Mark]) -> Union {
        let plan = self.plan(marks.iter());
        let skipped = plan.skipped.iter().take(MOST_SKIPPED);
        Union {
            freed_bytes: plan.freed_bytes,
            tag_count: plan.goes[Kind::Tag].len() as u64,
            skipped: skipped.map(|skipped| said(&skipped.name, &skipped.reason)).collect(),
            skipped_count: plan.skipped.len() as u64,
        }
    }

    /// What would stay if just one of them were not marked: what that one adds.
    pub fn adds(&self, marks: &[Mark], at: usize, all_bytes: u64) -> u64 {
        let others = marks.iter().enumerate().filter(|(place, _)| *place != at);
        all_bytes.saturating_sub(self.plan(others.map(|(_, mark)| mark)).freed_bytes)
    }

    /// The plan as `prune --plan` reads it.
    pub fn document(&self, marks: &[Mark]) -> Document {
        Document::new(&self.plan(marks.iter()), &self.graph, self.origin.clone())
    }
}

fn said(name: &Name, reason: &str) -> String {
    ui::visible(&format!("{} stays: {reason}", Mark::Thing(name.clone()).text())).into_owned()
}
