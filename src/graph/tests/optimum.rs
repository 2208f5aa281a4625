//! The greedy choice of tags beside the best there is.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::random::plan;
use crate::graph::{FreeOrder, Graph, Selection, free, removal};
use crate::model::Kind;

const MOST_TAGS: usize = 10;

fn freed(graph: &Graph, tags: impl IntoIterator<Item = u32>) -> u64 {
    let mut selection = Selection::nothing(graph);
    for tag in tags {
        selection.chosen[Kind::Tag][tag as usize] = true;
    }
    removal(graph, &selection).freed_bytes
}

/// What every set of tags frees; bit `at` stands for tag `at`.
fn all_sets(graph: &Graph) -> Vec<u64> {
    let count = graph.tags.len() as u32;
    (0_u32..1 << count)
        .map(|set| freed(graph, (0..count).filter(|at| set >> at & 1 == 1)))
        .collect()
}

fn graphs(count: usize) -> impl Iterator<Item = Graph> {
    let mut runner = TestRunner::deterministic();
    let plans = std::iter::repeat_with(move || {
        let mut plan = plan().new_tree(&mut runner).unwrap().current();
        plan.is_storage_held = false;
        for tag in plan.repositories.iter_mut().flat_map(|repository| &mut repository.tags) {
            tag.about = None;
        }
        for repository in &mut plan.repositories {
            repository.hold = None;
            repository.held = None;
            // Untagged revisions would keep most of so small a registry.
            repository.revisions.clear();
            repository.revisions.extend(repository.tags.iter().filter_map(|tag| tag.target));
        }
        plan
    });
    let graphs = plans.map(|plan| Graph::new(plan.catalog().parts()));
    graphs.filter(|graph| (4..=MOST_TAGS).contains(&graph.tags.len())).take(count)
}

#[test]
fn greedy_stays_near_the_optimum() {
    let mut gaps = [0_u32; 4];
    for graph in graphs(150) {
        let sets = all_sets(&graph);
        let candidates: Vec<u32> = (0..graph.tags.len() as u32).collect();
        let most = *sets.last().unwrap();
        for goal in [most / 4, most / 2, most * 3 / 4, most].into_iter().filter(|goal| *goal > 0) {
            let choice = free(&graph, &candidates, goal, FreeOrder::Fewest);
            assert_eq!(choice.reachable_bytes, most);
            assert!(choice.freed_bytes >= goal);
            assert_eq!(choice.freed_bytes, freed(&graph, choice.picks.iter().map(|pick| pick.tag)));
            let enough = sets.iter().zip(0_u32..).filter(|(freed, _)| **freed >= goal);
            let fewest = enough.map(|(_, set)| set.count_ones()).min().unwrap();
            let gap = choice.picks.len() as u32 - fewest;
            gaps[gap.min(3) as usize] += 1;
        }
    }
    // The numbers in the module's documentation.
    let all: u32 = gaps.iter().sum();
    assert!(gaps[0] * 100 >= all * 95, "{gaps:?}");
    assert_eq!(gaps[3], 0, "{gaps:?}");
}

#[test]
fn every_order_frees_the_goal_and_nothing_that_it_does_not_need() {
    for graph in graphs(60) {
        let candidates: Vec<u32> = (0..graph.tags.len() as u32).rev().collect();
        let most = freed(&graph, candidates.iter().copied());
        for order in [FreeOrder::Fewest, FreeOrder::Oldest, FreeOrder::Given] {
            for goal in [1, most / 3, most, most + 1] {
                let choice = free(&graph, &candidates, goal, order);
                assert_eq!(choice.reachable_bytes, most);
                assert!(choice.freed_bytes >= goal.min(most));
                let picks: Vec<u32> = choice.picks.iter().map(|pick| pick.tag).collect();
                let mut before = 0;
                for (at, pick) in choice.picks.iter().enumerate() {
                    let now = freed(&graph, picks[..=at].iter().copied());
                    assert_eq!((pick.freed_bytes, pick.cumulative_bytes), (now - before, now));
                    before = now;
                    // All tags on its digest go, or none.
                    let target = graph.tags[pick.tag as usize].target;
                    let others = picks
                        .iter()
                        .copied()
                        .filter(|tag| graph.tags[*tag as usize].target != target);
                    assert!(freed(&graph, others) < goal.min(most));
                }
            }
        }
    }
}

#[test]
fn a_tag_that_is_no_candidate_keeps_its_digest() {
    for graph in graphs(60) {
        let candidates: Vec<u32> = (0..graph.tags.len() as u32).step_by(2).collect();
        let choice = free(&graph, &candidates, u64::MAX, FreeOrder::Given);
        assert!(choice.picks.iter().all(|pick| candidates.contains(&pick.tag)));
        assert_eq!(choice.freed_bytes, freed(&graph, candidates.iter().copied()));
        assert_eq!(choice.freed_bytes, choice.reachable_bytes);
    }
}
