//! Histories of clients, a registry and a person who deletes, in memory and step by step: whatever
//! comes between two steps, nothing that got 201 is lost. A history that fails is made as short as can
//! be and printed.

mod content;
mod disk;
mod histories;
mod person;
mod promises;
mod registry;
mod world;

use std::io::Write as _;
use std::time::Instant;

use histories::{history, indexes, narrow, second_names, shrink};
use person::{Anchor, Ended, Simulation, Without};
use world::History;

/// Histories in an ordinary run; `REGSQL_LONG_TESTS` makes it a hundred times as many, and
/// `REGSQL_FIRST_SEED` is the number of the first.
const SEEDS: u64 = 300;

/// Histories in which a fault must be found.
const SEARCHED: u64 = 10_000;

/// Runs within one thread, so that the same history always ends in the same way.
fn in_one_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run)
}

/// The first seed whose history fails, and the shortest history like that.
fn first_failure(
    make: fn(u64) -> History,
    seeds: std::ops::Range<u64>,
    without: Without,
) -> Option<(u64, History, Ended)> {
    in_one_thread(|| {
        let anchor = Anchor::new();
        let fails =
            |history: &History| Simulation::run(&anchor, history, without, false).failure.is_some();
        let seed = seeds.into_iter().find(|seed| fails(&make(*seed)))?;
        let shortest = shrink(make(seed), fails);
        let ended = Simulation::run(&anchor, &shortest, without, true);
        Some((seed, shortest, ended))
    })
}

/// For whoever runs the tests with their output.
fn say(text: &str) {
    std::io::stdout().write_all(format!("{text}\n").as_bytes()).unwrap();
}

fn printed(seed: u64, history: &History, ended: &Ended) -> String {
    let events: Vec<String> = history.events.iter().map(|event| format!("{event:?}")).collect();
    let mut text = format!(
        "seed {seed}, cache {:?}, lag {:?}: {}\n{}\n\nwhat happened:\n{}",
        history.cache,
        history.lag,
        ended.failure.as_deref().unwrap_or("nothing is lost"),
        events.join("\n"),
        ended.trace.join("\n")
    );
    // Digests are for programs.
    for content in content::CONTENTS.iter() {
        let name = content.name.replace(' ', "-");
        text = text.replace(&format!("{}/{}", &content.hex[..2], content.hex), &name);
        text = text.replace(&content.hex, &name);
    }
    text.replace(&format!("{}/", content::V2), "").replace(".regsql/trash/", "TRASH/")
}

#[track_caller]
fn assert_nothing_is_lost(make: fn(u64) -> History) {
    let factor = if std::env::var_os("REGSQL_LONG_TESTS").is_some() { 100 } else { 1 };
    let first = std::env::var("REGSQL_FIRST_SEED").map_or(0, |text| text.parse().unwrap());
    let seeds = SEEDS * factor;
    let start = Instant::now();
    let found = first_failure(make, first..first + seeds, Without::Nothing);
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    if let Some((seed, history, ended)) = found {
        panic!("{}", printed(seed, &history, &ended));
    }
    say(&format!("{seeds} histories, {:.0} a minute", seeds as f64 / minutes));
}

#[test]
fn no_history_loses_what_got_201() {
    assert_nothing_is_lost(history);
}

#[test]
fn no_history_of_deletes_through_the_api_loses_what_got_201() {
    assert_nothing_is_lost(narrow);
}

#[test]
fn no_history_of_indexes_over_deleted_manifests_loses_what_got_201() {
    assert_nothing_is_lost(indexes);
}

#[test]
fn no_history_of_deleted_second_names_loses_what_got_201() {
    assert_nothing_is_lost(second_names);
}

#[test]
fn a_name_that_a_cache_learns_from_an_alias_stays_as_long_as_that() {
    // Found so: the sha256 link of a layer went, and its sha512 made the cache remember it.
    for seed in [2_002_311, 2_031_749, 2_061_243] {
        if let Some((seed, history, ended)) =
            first_failure(history, seed..seed + 1, Without::Nothing)
        {
            panic!("{}", printed(seed, &history, &ended));
        }
    }
}

#[test]
fn an_undo_that_fails_at_a_manifest_returns_no_index_over_it() {
    // Found so: one rename of an undo failed, and the index came back without one of its manifests.
    if let Some((seed, history, ended)) =
        first_failure(history, 3_001_316..3_001_317, Without::Nothing)
    {
        panic!("{}", printed(seed, &history, &ended));
    }
}

/// Fails unless some history loses something when a mending is taken out.
#[track_caller]
fn assert_found(without: Without) {
    assert_found_among(history, 0, without);
}

#[track_caller]
fn assert_found_among(make: fn(u64) -> History, first: u64, without: Without) {
    let Some((seed, history, ended)) = first_failure(make, first..first + SEARCHED, without) else {
        panic!("nothing is lost without {without:?}");
    };
    let text = printed(seed, &history, &ended);
    say(&format!("without {without:?}, {} events: {text}", history.events.len()));
    assert!(history.events.len() <= 25, "that is not the shortest history");
    let ended =
        in_one_thread(|| Simulation::run(&Anchor::new(), &history, Without::Nothing, false));
    assert_eq!(ended.failure, None, "that is lost with {without:?} too");
}

#[test]
fn a_registry_that_has_not_forgotten_is_found() {
    assert_found(Without::AskingTheRegistry);
}

#[test]
fn a_second_look_that_sees_nothing_new_is_found() {
    assert_found(Without::SecondLook);
}

#[test]
fn a_push_longer_than_the_wait_is_found() {
    assert_found(Without::Wait);
}

#[test]
fn a_registry_that_is_said_to_be_stopped_and_is_not_is_found() {
    assert_found(Without::TheTruth);
}

#[test]
fn links_taken_behind_the_back_of_a_cache_are_found() {
    assert_found(Without::Api);
}

#[test]
fn manifests_taken_behind_the_back_of_a_cache_are_found() {
    assert_found(Without::SparingManifests);
}

#[test]
fn a_purge_of_what_is_needed_again_is_found() {
    assert_found(Without::LookBeforePurge);
}

#[test]
fn a_killed_run_that_nobody_looks_after_is_found() {
    assert_found(Without::Recovery);
}

#[test]
fn an_undo_of_what_a_deletion_without_a_trash_has_broken_is_found() {
    assert_found(Without::SparingUndo);
}

#[test]
fn a_layer_that_a_cache_learns_while_a_client_deletes_it_is_found() {
    assert_found_among(narrow, 0, Without::AskingForDeletedLinks);
}

#[test]
fn a_manifest_that_a_cache_learns_while_a_client_deletes_it_is_found() {
    // The histories before take ten times as long, and lose nothing.
    assert_found_among(indexes, 550, Without::AskingForDeletedManifests);
}

#[test]
fn a_second_name_that_a_cache_learns_while_a_client_deletes_it_is_found() {
    assert_found_among(second_names, 0, Without::SeeingDeletedNames);
}

#[test]
fn a_registry_that_starts_before_its_machine_sees_what_is_gone_is_found() {
    assert_found(Without::PauseBeforeStart);
}
