mod model;
mod optimum;
mod pairs;
mod random;

use proptest::prelude::*;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{
    BlobId, BlobNode, Graph, Item, Parts, Reason, RepositoryNode, Selection, Skipped, TagNode,
    account, groups, reach, removal,
};
use crate::model::{Digest, HoldScope, Kind};
use model::Model;
use random::{LAYERS, ManifestPlan, Plan, RepositoryPlan, plan, snapshot};

/// Flags that say of each place whether `chosen` has it; `chosen` wraps around.
fn flags(length: usize, chosen: &[usize]) -> Vec<bool> {
    let mut flags = vec![false; length];
    for place in chosen.iter().filter(|_| length > 0) {
        flags[place % length] = true;
    }
    flags
}

fn selection(graph: &Graph, chosen: &[Vec<usize>; 4], kept: &[Vec<usize>; 2]) -> Selection {
    let mut selection = Selection::nothing(graph);
    selection.chosen[Kind::Tag] = flags(graph.tags.len(), &chosen[0]);
    selection.chosen[Kind::Revision] = flags(graph.revisions.len(), &chosen[1]);
    selection.chosen[Kind::Repository] = flags(graph.repositories.len(), &chosen[2]);
    selection.layers = flags(graph.blobs.len(), &chosen[3]);
    selection.kept_tags = flags(graph.tags.len(), &kept[0]);
    selection.kept_revisions = flags(graph.revisions.len(), &kept[1]);
    for (flag, blob) in selection.layers.iter_mut().zip(graph.blobs.iter()) {
        *flag &= blob.is_layer;
    }
    selection
}

fn chosen() -> impl Strategy<Value = [Vec<usize>; 4]> {
    let some = |count| prop::collection::vec(any::<usize>(), 0..count);
    (some(5), some(4), some(2), some(2)).prop_map(|(a, b, c, d)| [a, b, c, d])
}

fn kept() -> impl Strategy<Value = [Vec<usize>; 2]> {
    let some = || prop::collection::vec(any::<usize>(), 0..4);
    prop_oneof![Just([vec![], vec![]]), (some(), some()).prop_map(|(a, b)| [a, b])]
}

fn check(
    plan: &Plan,
    chosen: &[Vec<usize>; 4],
    kept: &[Vec<usize>; 2],
) -> Result<(), TestCaseError> {
    let catalog = plan.catalog();
    let graph = plan.graph();
    let selection = selection(&graph, chosen, kept);
    let found = removal(&graph, &selection);
    let model = Model::new(&catalog, plan, &graph);
    let (left, skipped) = model.without(&graph, &selection);

    let mut tags = Vec::new();
    let mut revisions = Vec::new();
    for (place, repository) in graph.repositories.iter().enumerate() {
        let left = &left[place];
        tags.extend(
            repository
                .tags
                .clone()
                .filter(|tag| !left.tags.contains_key(&graph.tags[*tag as usize].name)),
        );
        revisions.extend(
            repository
                .revisions
                .clone()
                .filter(|revision| !left.revisions.contains(&graph.revisions[*revision as usize])),
        );
    }
    prop_assert_eq!(&found.goes[Kind::Tag], &tags);
    prop_assert_eq!(&found.goes[Kind::Revision], &revisions);
    let mut reported: Vec<Item> = found.skipped.iter().map(|skipped| skipped.item).collect();
    reported.sort_unstable();
    prop_assert_eq!(reported, skipped);
    for skipped in &found.skipped {
        check_reason(&graph, &selection, skipped)?;
    }

    let before = model.reached(&model.repositories);
    let after = model.reached(&left);
    let freed = before.difference(&after).copied();
    let freed: Vec<BlobId> =
        freed.filter(|blob| graph.blobs[*blob as usize].size_bytes.is_some()).collect();
    prop_assert_eq!(&found.goes[Kind::Blob], &freed);
    let bytes: u64 = freed.iter().map(|blob| graph.size_bytes(*blob)).sum();
    prop_assert_eq!(found.freed_bytes, bytes);
    prop_assert!(found.freed_bytes <= found.logical_bytes);

    for (place, repository) in graph.repositories.iter().enumerate() {
        let needed = model.needed_by_kept(place, repository, &graph, &selection);
        let has = |list: &[u32], at: u32| list.binary_search(&at).is_ok();
        for tag in repository.tags.clone().filter(|tag| selection.kept_tags[*tag as usize]) {
            prop_assert!(!has(&found.goes[Kind::Tag], tag), "kept tag {}", tag);
        }
        for at in repository.revisions.clone() {
            let blob = graph.revisions[at as usize];
            prop_assert!(
                !needed.contains(&blob) || !has(&found.goes[Kind::Revision], at),
                "revision {}",
                at
            );
        }
        for at in repository.links.clone() {
            let link = graph.links[at as usize];
            let is_needed = needed.contains(&link.name) || needed.contains(&link.target);
            prop_assert!(!is_needed || !has(&found.goes[Kind::LayerLink], at), "link {}", at);
        }
        for blob in needed {
            prop_assert!(!has(&found.goes[Kind::Blob], blob), "blob {}", blob);
        }
    }

    let links = model.needless_links(&left, &graph, &selection);
    prop_assert_eq!(&found.goes[Kind::LayerLink], &links);
    Ok(())
}

/// The reason that a user reads is true, and names a thing that stays.
fn check_reason(
    graph: &Graph,
    selection: &Selection,
    skipped: &Skipped,
) -> Result<(), TestCaseError> {
    let Skipped { item, reason } = *skipped;
    let place = graph.repository_of(item).unwrap();
    let repository = &graph.repositories[place as usize];
    let blob = graph.blob_of(item);
    let named_by = |blob: BlobId| -> BTreeSet<BlobId> {
        let id = graph.manifest_at(blob).unwrap();
        let children = graph.children(id).iter().map(|id| graph.manifests[*id as usize]);
        children.chain(graph.kept_blobs(id).iter().copied()).collect()
    };
    let is_true = match reason {
        Reason::NamedBy(parent) => named_by(parent).contains(&blob.unwrap()),
        Reason::About(subject) => {
            let subject = graph.manifest_at(subject).unwrap();
            let own = graph.manifest_at(blob.unwrap()).unwrap();
            let mut tags = graph.tags_about(repository, subject);
            graph.referrers(subject).any(|referrer| referrer == own)
                || tags.any(|tag| graph.tags[tag as usize].target == blob)
        }
        Reason::Tagged(tag) => {
            selection.kept_tags[tag as usize] && graph.tags[tag as usize].target == blob
        }
        Reason::Kept if item.kind == Kind::Tag => selection.kept_tags[item.at as usize],
        Reason::Kept => {
            let revisions = repository.revisions.clone();
            revisions.into_iter().any(|at| {
                selection.kept_revisions[at as usize] && Some(graph.revisions[at as usize]) == blob
            })
        }
        Reason::Held => repository.is_held || repository.held_blobs.contains(&blob.unwrap()),
        Reason::Rooted => repository.rooted.contains(&blob.unwrap()),
        Reason::TagUnreadable => blob.is_none(),
    };
    prop_assert!(is_true, "{:?}", skipped);
    Ok(())
}

/// What is kept is what the slow way reaches, and keeps all that it names.
fn check_reach(plan: &Plan) -> Result<(), TestCaseError> {
    let catalog = plan.catalog();
    let graph = plan.graph();
    let reach = reach(&graph);
    let model = Model::new(&catalog, plan, &graph);
    let reached = model.reached(&model.repositories);
    let accounts = account(&graph);
    for blob in 0..graph.blobs.len() as BlobId {
        prop_assert_eq!(reach.is_kept[blob as usize], reached.contains(&blob), "blob {}", blob);
        prop_assert_eq!(reach.is_orphan(&graph, blob), accounts.blobs[blob as usize].is_orphan);
    }
    for (place, repository) in graph.repositories.iter().enumerate() {
        let account = &accounts.repositories[place];
        let targets = graph.tags_of(repository).iter().map(|tag| tag.target);
        let tags = account.tags.iter().map(|figures| figures.logical_bytes).zip(targets);
        let revisions = graph.revisions_of(repository).iter().map(|blob| Some(*blob));
        let bytes = account.revisions.iter().map(|figures| figures.logical_bytes);
        for (bytes, start) in tags.chain(bytes.zip(revisions)) {
            let all = start.map(|start| model.kept_by(&model.repositories[place], start));
            let sizes = all.into_iter().flatten().map(|blob| graph.size_bytes(blob));
            prop_assert_eq!(bytes, sizes.sum::<u64>(), "{:?} in {}", start, place);
        }
    }
    let needed = accounts.repositories.iter().flat_map(|account| &account.link_is_needed);
    prop_assert!(needed.eq(&reach.link_is_needed));
    for (id, blob) in (0..).zip(&graph.manifests) {
        if reach.is_kept[*blob as usize] && graph.blobs[*blob as usize].size_bytes.is_some() {
            let children = graph.children(id).iter().map(|child| &graph.manifests[*child as usize]);
            for named in graph.kept_blobs(id).iter().chain(children) {
                prop_assert!(reach.is_kept[*named as usize], "{} of manifest {}", named, blob);
            }
        }
    }
    Ok(())
}

/// Names in which groups hold repositories, groups and both.
const GROUPED: [&str; 6] =
    ["team", "team/shop", "team/shop/web", "team-b/shop", "team/blog", "a//b"];

fn check_groups(plan: &Plan) -> Result<(), TestCaseError> {
    let mut graph = plan.graph();
    for (place, repository) in graph.repositories.iter_mut().enumerate() {
        repository.name = GROUPED[place % GROUPED.len()].to_owned();
    }
    let groups = groups(&graph);
    let parts = |name: &str| {
        let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        ends.map(|end| name[..end].to_owned()).collect::<Vec<_>>()
    };
    let names = graph.repositories.iter().flat_map(|repository| parts(&repository.name));
    let prefixes: BTreeSet<String> = names.chain([String::new()]).collect();
    let mut found: Vec<&str> = groups.iter().map(|group| group.prefix.as_str()).collect();
    found.sort_unstable();
    prop_assert_eq!(found, prefixes.iter().map(String::as_str).collect::<Vec<_>>());
    for group in groups {
        let mut selection = Selection::nothing(&graph);
        for (place, repository) in graph.repositories.iter().enumerate() {
            let rest = repository.name.strip_prefix(&group.prefix);
            let is_below = rest.is_some_and(|rest| {
                group.prefix.is_empty() || rest.is_empty() || rest.starts_with('/')
            });
            selection.chosen[Kind::Repository][place] = is_below;
        }
        let gone = removal(&graph, &selection);
        prop_assert_eq!(gone.freed_bytes, group.exclusive_bytes, "frees of `{}`", group.prefix);
        // Of a repository in which something outside refers to something, a removal is not of the whole.
        if plan.roots.is_empty() {
            prop_assert_eq!(gone.logical_bytes, group.logical_bytes, "reach of `{}`", group.prefix);
        }
    }
    Ok(())
}

fn check_singles(plan: &Plan) -> Result<(), TestCaseError> {
    let catalog = plan.catalog();
    let graph = plan.graph();
    let accounts = account(&graph);
    let model = Model::new(&catalog, plan, &graph);
    let freed = |change: &dyn Fn(&mut Selection)| {
        let mut selection = Selection::nothing(&graph);
        change(&mut selection);
        removal(&graph, &selection).freed_bytes
    };
    for (place, (repository, account)) in
        graph.repositories.iter().zip(&accounts.repositories).enumerate()
    {
        let whole = freed(&|selection| selection.chosen[Kind::Repository][place] = true);
        prop_assert_eq!(whole, account.exclusive_bytes, "repository {}", place);
        for (tag, figures) in repository.tags.clone().zip(&account.tags) {
            let one = freed(&|selection| selection.chosen[Kind::Tag][tag as usize] = true);
            prop_assert_eq!(one, figures.exclusive_bytes, "tag {}", tag);
        }
        for (revision, figures) in repository.revisions.clone().zip(&account.revisions) {
            let one =
                freed(&|selection| selection.chosen[Kind::Revision][revision as usize] = true);
            // What names itself in a ring has no owner there, and goes with the ring here.
            let blob = graph.revisions[revision as usize];
            if model.is_in_ring(place, blob) {
                prop_assert!(one >= figures.exclusive_bytes);
            } else {
                prop_assert_eq!(one, figures.exclusive_bytes, "revision {}", revision);
            }
        }
    }
    let untagged = |wanted: Option<usize>| {
        freed(&|selection| {
            for (place, (repository, account)) in
                graph.repositories.iter().zip(&accounts.repositories).enumerate()
            {
                if wanted.is_none_or(|wanted| wanted == place) {
                    for (revision, figures) in repository.revisions.clone().zip(&account.revisions)
                    {
                        // As the report of untagged revisions selects them: what is fixed is not untagged,
                        // and neither is a signature of what is fixed.
                        let is_kept = figures.is_tagged || figures.is_held || figures.is_rooted;
                        selection.chosen[Kind::Revision][revision as usize] = !is_kept;
                    }
                }
            }
        })
    };
    prop_assert_eq!(untagged(None), accounts.untagged_bytes);
    for (place, account) in accounts.repositories.iter().enumerate() {
        prop_assert_eq!(untagged(Some(place)), account.untagged_bytes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_removal_is_what_a_copied_graph_loses(
        plan in plan(),
        chosen in chosen(),
        kept in kept(),
    ) {
        check(&plan, &chosen, &kept)?;
    }

    #[test]
    fn rows_make_the_same_graph_as_facts(plan in plan()) {
        let catalog = plan.catalog();
        prop_assert_eq!(snapshot(&catalog), catalog.graph());
    }

    #[test]
    fn what_is_kept_is_the_closure_of_what_is_kept(plan in plan()) {
        check_reach(&plan)?;
    }

    #[test]
    fn what_a_group_of_repositories_frees_is_its_exclusive_bytes(plan in plan()) {
        check_groups(&plan)?;
    }

    #[test]
    fn what_one_thing_frees_is_its_exclusive_bytes(plan in plan()) {
        check_singles(&plan)?;
    }
}

/// One repository with `count` images, each with a tag.
fn tagged_images(count: u32) -> Graph {
    let mut digests: Vec<Digest> = (0..count).map(|at| Digest::of(&at.to_le_bytes())).collect();
    digests.sort();
    let blob = |digest| BlobNode {
        digest,
        size_bytes: Some(1),
        may_be_manifest: true,
        is_layer: false,
        changed_ns: None,
    };
    let tag = |at| TagNode {
        name: format!("v{at:08}"),
        target: Some(count - 1 - at),
        pushed_ns: None,
        subject: None,
    };
    Graph::new(Parts {
        blobs: digests.into_iter().map(blob).collect::<Vec<BlobNode>>().into(),
        manifests: (0..count).collect(),
        repositories: vec![RepositoryNode {
            tags: 0..count,
            revisions: 0..count,
            ..RepositoryNode::default()
        }],
        tags: (0..count).map(tag).collect(),
        revisions: (0..count).collect(),
        revisions_pushed_ns: vec![None; count as usize],
        ..Parts::default()
    })
}

#[test]
fn revisions_that_kept_tags_keep_are_told_in_time_that_grows_with_their_number() {
    let count = 40_000;
    let graph = tagged_images(count);
    let mut selection = Selection::nothing(&graph);
    selection.chosen[Kind::Revision].fill(true);
    selection.kept_tags.fill(true);
    let begun = Instant::now();
    let found = removal(&graph, &selection);
    // Looking at each tag for each revision takes a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(found.skipped.len(), count as usize);
    for skipped in found.skipped {
        assert_eq!(skipped.item.kind, Kind::Revision, "{skipped:?}");
        assert_eq!(skipped.reason, Reason::Tagged(count - 1 - skipped.item.at));
    }
}

/// A registry follows one link from a name to what it stands for.
#[test]
fn what_stands_for_an_alias_is_not_linked_whichever_digest_is_the_smaller() {
    let manifest = |layer| ManifestPlan {
        bytes: 1,
        children: Vec::new(),
        layers: vec![layer],
        subject: None,
        is_present: true,
    };
    for (alias, alias_of_alias) in [(1, 2), (2, 1)] {
        let plan = Plan {
            layers: vec![Some(100); LAYERS],
            manifests: vec![manifest(alias), manifest(alias_of_alias)],
            repositories: vec![RepositoryPlan {
                revisions: Vec::new(),
                tags: Vec::new(),
                links: vec![0],
                hold: Some(HoldScope::Manifests),
                held: None,
            }],
            aliases: vec![(alias, 0), (alias_of_alias, alias)],
            is_storage_held: false,
            roots: Vec::new(),
        };
        let is_kept = reach(&plan.graph()).is_kept;
        assert_eq!(is_kept[LAYERS..], [true, false], "{alias} stands for 0");
    }
}
