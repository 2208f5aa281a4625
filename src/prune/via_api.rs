//! What of a plan the registry's API alone can delete.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::name::{SkipGroup, Skipped};
use super::plan::Plan;
use crate::graph::{Graph, Item, RepositoryNode};
use crate::model::{ByKind, Digest, Kind, Name};
use crate::registry::delete::{self, Selection};

/// Leaves in a plan what the API can delete, and notes what of the rest was asked for. What would
/// come free stays as it is: it is what a collection of garbage frees afterwards.
pub fn keep_what_the_api_deletes(plan: &mut Plan, graph: &Graph, asked: &ByKind<Vec<bool>>) {
    let ApiDeletion { skipped, .. } = ApiDeletion::of(plan, graph);
    let staying: HashSet<&Name> = skipped.iter().map(|skipped| &skipped.name).collect();
    let mut tags = std::mem::take(&mut plan.goes[Kind::Tag]);
    tags.retain(|at| !staying.contains(&graph.name_of(Item::new(Kind::Tag, *at), &[])));
    let revisions = std::mem::take(&mut plan.goes[Kind::Revision]);
    // What the API cannot delete stays; what of that only follows from a tag needs no line.
    let is_asked_for = |item: &Item| match item.kind {
        // These go only when they are asked for.
        Kind::CorruptBlob | Kind::Leftover | Kind::TagHistory => true,
        kind => asked[kind][item.at as usize],
    };
    let reason = "the API deletes tags and revisions only";
    let rest = plan.items().filter(is_asked_for);
    let rest = rest.map(|item| graph.name_of(item, &plan.others));
    let rest =
        rest.map(|name| Skipped::new(SkipGroup::NotAllowed, name, reason)).collect::<Vec<_>>();
    plan.goes = ByKind::default();
    plan.goes[Kind::Tag] = tags;
    plan.goes[Kind::Revision] = revisions;
    plan.skipped.extend(skipped);
    plan.skipped.extend(rest);
}

/// What of a plan the API can delete.
#[derive(Debug)]
pub struct ApiDeletion {
    /// The names of the items of the selection, in their order.
    pub names: Vec<Name>,
    /// What to delete, and the tags that stay beside it.
    pub selection: Selection,
    /// What only the disk can give: the API deletes a tag with its manifest, so a manifest that stays
    /// keeps the tag.
    pub skipped: Vec<Skipped>,
}

impl ApiDeletion {
    /// Of a plan.
    pub fn of(plan: &Plan, graph: &Graph) -> Self {
        let (names, selection, skipped) = selection(plan, graph);
        Self { names, selection, skipped }
    }
}

fn selection(plan: &Plan, graph: &Graph) -> (Vec<Name>, Selection, Vec<Skipped>) {
    let going: HashSet<Name> =
        plan.names(graph).filter(|name| matches!(name, Name::Revision { .. })).collect();
    let (mut names, mut skipped) = (Vec::new(), Vec::new());
    let mut selection = Selection::default();
    let mut staying_by_digest = HashMap::new();
    for name in plan.names(graph) {
        let (repository, tag, digest) = match &name {
            Name::Tag { repository, tag, manifest_digest: Some(digest) } => {
                (repository, Some(tag.clone()), digest)
            }
            Name::Tag { manifest_digest: None, .. } => {
                let reason = "its link cannot be read, and the API deletes a tag with its manifest";
                skipped.push(Skipped::new(SkipGroup::Held, name, reason));
                continue;
            }
            Name::Revision { repository, manifest_digest } => (repository, None, manifest_digest),
            _ => continue,
        };
        let revision =
            Name::Revision { repository: repository.clone(), manifest_digest: digest.clone() };
        if !going.contains(&revision) {
            let staying = staying_by_digest
                .entry(repository.clone())
                .or_insert_with(|| first_tag_by_digest(plan, graph, repository));
            let reason = why_not_alone(staying, digest);
            skipped.push(Skipped::new(SkipGroup::Needed, name, reason));
            continue;
        }
        if let Ok(digest) = Digest::parse(digest) {
            selection.staying_tags.entry(repository.clone()).or_default();
            selection.items.push(delete::Item { repository: repository.clone(), tag, digest });
            names.push(name);
        }
    }
    for repository in &graph.repositories {
        if let Some(staying) = selection.staying_tags.get_mut(&repository.name) {
            *staying = staying_tags(plan, graph, repository);
        }
    }
    (names, selection, skipped)
}

/// Why a tag whose manifest stays cannot go.
fn why_not_alone(staying: &HashMap<String, String>, digest: &str) -> String {
    match staying.get(digest) {
        Some(tag) => {
            format!("the same manifest is also tagged `{tag}`, which would go with it")
        }
        None => "its manifest stays, and the API cannot remove a tag alone".into(),
    }
}

/// The first tag of a repository that stays on each digest.
fn first_tag_by_digest(plan: &Plan, graph: &Graph, repository: &str) -> HashMap<String, String> {
    let at = graph.repositories.binary_search_by(|known| known.name.as_str().cmp(repository));
    let staying =
        at.map(|at| staying_tags(plan, graph, &graph.repositories[at])).unwrap_or_default();
    let mut first = HashMap::new();
    for (tag, digest) in staying {
        first.entry(digest.to_string()).or_insert(tag);
    }
    first
}

fn staying_tags(
    plan: &Plan,
    graph: &Graph,
    repository: &RepositoryNode,
) -> BTreeMap<String, Digest> {
    let stays = |tag: &u32| plan.goes[Kind::Tag].binary_search(tag).is_err();
    let named = repository.tags.clone().filter(stays).filter_map(|tag| {
        let node = &graph.tags[tag as usize];
        Some((node.name.clone(), graph.blobs[node.target? as usize].digest.clone()))
    });
    named.collect()
}
