//! The figures that an engine works out of exported pairs are those of the accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use proptest::prelude::*;

use super::random::{Plan, plan};
use crate::graph::{BlobId, Graph, account, edges, reached, starts};

type Pairs = BTreeMap<Option<u32>, BTreeSet<BlobId>>;

fn gathered(
    graph: &Graph,
    give: impl Fn(
        &Graph,
        &mut dyn FnMut(Option<u32>, &[BlobId]) -> Result<(), Infallible>,
    ) -> Result<(), Infallible>,
) -> Pairs {
    let mut pairs = Pairs::new();
    let Ok(()) = give(graph, &mut |place, blobs| {
        assert!(blobs.is_sorted_by(|a, b| a < b), "sorted, each once");
        assert!(pairs.insert(place, blobs.iter().copied().collect()).is_none());
        Ok(())
    });
    pairs
}

/// Follows edges from the starts until nothing is new, as an engine does.
fn followed(graph: &Graph) -> Pairs {
    let mut next: BTreeMap<BlobId, Vec<BlobId>> = BTreeMap::new();
    let Ok(()) = edges(graph, |from, to| {
        next.entry(from).or_default().extend(to);
        Ok::<_, Infallible>(())
    });
    let mut pairs = gathered(graph, |graph, take| starts(graph, take));
    for blobs in pairs.values_mut() {
        let mut open: Vec<BlobId> = blobs.iter().copied().collect();
        while let Some(blob) = open.pop() {
            for to in next.get(&blob).into_iter().flatten() {
                if blobs.insert(*to) {
                    open.push(*to);
                }
            }
        }
    }
    pairs
}

fn check_pairs(plan: &Plan) -> Result<(), TestCaseError> {
    let graph = plan.graph();
    let accounts = account(&graph);
    let pairs = gathered(&graph, |graph, take| reached(graph, take));
    prop_assert_eq!(&followed(&graph), &pairs, "the edges lead elsewhere");
    let mut reaching: BTreeMap<BlobId, Vec<Option<u32>>> = BTreeMap::new();
    for (place, blobs) in &pairs {
        for blob in blobs {
            reaching.entry(*blob).or_default().push(*place);
        }
    }
    for (place, figures) in (0..).zip(&accounts.repositories) {
        let own = &pairs[&Some(place)];
        let logical: u64 = own.iter().map(|blob| graph.size_bytes(*blob)).sum();
        let alone = own.iter().filter(|blob| reaching[blob].len() == 1);
        let exclusive: u64 = alone.map(|blob| graph.size_bytes(*blob)).sum();
        prop_assert_eq!(logical, figures.logical_bytes, "of repository {}", place);
        prop_assert_eq!(exclusive, figures.exclusive_bytes, "of repository {}", place);
    }
    for (blob, figures) in (0..).zip(&accounts.blobs) {
        let of = reaching.get(&blob).map_or(&[][..], Vec::as_slice);
        let is_present = graph.blobs[blob as usize].size_bytes.is_some();
        prop_assert_eq!(of.is_empty() && is_present, figures.is_orphan, "blob {}", blob);
        let repositories = of.iter().flatten().count();
        prop_assert_eq!(repositories, figures.repository_count as usize, "blob {}", blob);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn pairs_of_repositories_and_blobs_say_what_the_accounts_say(plan in plan()) {
        check_pairs(&plan)?;
    }
}
