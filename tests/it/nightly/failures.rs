//! Nights in which a step fails: the registry serves again, the downtime ends, and the log says what
//! to do.

use std::time::{Duration, Instant};

use super::{Night, free_address};
use crate::env::wait_until;

/// A night with a changed file that must end with `code`, after which the registry serves.
fn night_that(code: i32, change: impl FnOnce(String) -> String) -> (Night, String) {
    let night = Night::new();
    night.write_config(change);
    let before = night.tree();
    let text = night.ends(code, &[]);
    before.assert_same(&night.tree(), "nothing was deleted");
    night.assert_whole();
    assert!(!text.contains("panicked"), "{text}");
    assert!(night.text("log").contains(&format!("exit code {code}: ")), "{text}");
    (night, text)
}

#[test]
fn a_downtime_that_cannot_begin_stops_nothing() {
    let (night, text) = night_that(2, |text| text.replace("echo begin >>events && true", "exit 3"));
    assert_eq!(night.events(), "end", "{text}");
    assert!(text.contains("next: the downtime could not be announced"), "{text}");
    assert!(text.contains("failed with exit status: 3"), "{text}");
}

#[test]
fn after_a_stop_that_fails_or_hangs_the_registry_is_started() {
    let (night, text) = night_that(2, |text| text.replace("sh ./stop", "sh ./stop; exit 4"));
    assert_eq!(night.events(), "begin stop start end", "{text}");
    assert!(text.contains("next: nothing was deleted: see why"), "{text}");

    // With all that it started: a child of the shell is not left behind.
    let began = Instant::now();
    let (night, text) = night_that(2, |text| {
        text.replace("sh ./stop", "sleep 300 & echo $! >child; sleep 300")
            .replace("[limits]", "[limits]\nstop = \"1s\"")
    });
    assert!(began.elapsed() < Duration::from_secs(40));
    assert_eq!(night.steps()[3], "stop timed-out", "{text}");
    assert_eq!(night.events(), "begin stop start end", "{text}");
    assert!(text.contains("did not end within 1s and was killed"), "{text}");
    let alive = "case $(ps -o stat= -p $(cat child)) in '' | Z*) exit 1 ;; esac";
    assert!(!night.shell(alive).success(), "the child was killed too");
}

#[test]
fn what_is_wrong_with_policies_or_is_too_much_is_found_before_anything_stops() {
    let (night, text) = night_that(2, |text| text.replace("untagged-revisions", "no-such-report"));
    assert_eq!(night.events(), "", "{text}");
    assert!(text.contains("plan failed: ") && text.contains("no-such-report"), "{text}");
    assert!(text.contains("next: the plan could not be made"), "{text}");
    assert_eq!(night.steps(), ["scan done", "plan failed"]);

    let (night, text) = night_that(1, |text| {
        text.replace("garbage = true", "garbage = true\nmax_delete_percent = 1")
    });
    assert_eq!(night.events(), "", "{text}");
    assert!(text.contains("refused: ") && text.contains("--max-delete-percent is 1"), "{text}");
    assert_eq!(night.summary()["exit_code"], 1);

    let (night, text) =
        night_that(2, |text| text.replace("storage = \"registry\"", "storage = \"elsewhere\""));
    assert_eq!(night.events(), "", "{text}");
    assert_eq!(night.steps(), ["scan failed"], "{text}");
}

#[test]
fn a_stop_that_stops_something_else_deletes_nothing() {
    let (night, text) = night_that(2, |text| text.replace("sh ./stop", "true"));
    assert_eq!(night.steps()[4], "prune failed", "{text}");
    assert!(text.contains("takes pushes, although --offline says that nothing writes"), "{text}");
    let next = "next: nothing was deleted: `cd ";
    assert!(
        text.contains(next)
            && text.contains("true` must wait until just this registry has stopped"),
        "{text}"
    );
    assert!(!text.contains("the deletion did not come to its end"), "{text}");
}

#[test]
fn a_prune_that_takes_too_long_is_ended_and_the_registry_started() {
    let night = Night::new();
    night.write_config(|text| {
        text.replace("garbage = true", "garbage = true\nprotect_commands = [\"test -e stopped && sleep 300; echo team/app:1.0\"]")
            .replace("sh ./stop", "sh ./stop && touch stopped")
            .replace("[limits]", "[limits]\nprune = \"2s\"")
    });
    let text = night.ends(2, &[]);
    assert_eq!(night.steps()[4], "prune timed-out", "{text}");
    assert!(text.contains("next: if it needs more time, raise its limit"), "{text}");
    night.assert_whole();
    assert_eq!(night.events(), "begin stop start end");
}

#[test]
fn a_start_that_fails_once_is_tried_again_and_a_registry_that_stays_down_is_said_loudly() {
    let night = Night::new();
    night.write_config(|text| {
        text.replace("&& sh ./start", "&& test -e tried && sh ./start || { touch tried; exit 7; }")
    });
    let text = night.ends(0, &[]);
    assert!(text.contains("the registry is started once more"), "{text}");
    night.assert_whole();

    night.write_config(|text| {
        text.replace("sh ./start", "true").replace("wait = \"20s\"", "wait = \"1s\"")
    });
    let text = night.ends(2, &[]);
    assert!(text.contains("next: THE REGISTRY MAY BE DOWN"), "{text}");
    assert!(text.contains("--recover"), "{text}");
    assert!(
        night.events().ends_with("end"),
        "the downtime ends, so that the alarm is heard: {text}"
    );
    let steps = night.steps();
    assert!(
        steps.contains(&"start failed".to_owned()) && steps.contains(&"check failed".to_owned()),
        "{steps:?}"
    );

    // The next run starts it first, and refuses to delete while it does not serve.
    let text = night.ends(2, &[]);
    assert_eq!(night.steps()[0], "recover failed", "{text}");
    assert!(text.contains("nothing was deleted, since the registry at"), "{text}");
    // With the file mended, all is well.
    night.write_config(|text| text);
    let text = night.ends(0, &["--recover"]);
    assert!(text.contains("recover"), "{text}");
    night.assert_whole();
}

#[test]
fn a_registry_that_answers_nowhere_is_taken_for_a_wrong_address() {
    let night = Night::new();
    let elsewhere = free_address().to_string();
    let here = night.address.to_string();
    night.write_config(|text| {
        text.replace(&here, &elsewhere).replace("wait = \"20s\"", "wait = \"1s\"")
    });
    let before = night.tree();
    let text = night.ends(2, &[]);
    before.assert_same(&night.tree(), "nothing was deleted");
    assert!(text.contains("see that [registry] url is its address"), "{text}");
}

#[test]
fn a_tag_that_cannot_be_pulled_afterwards_is_named_with_the_way_back() {
    let night = Night::new();
    // Between the deletion and the start somebody removes a layer that is needed.
    let blobs = "registry/docker/registry/v2/blobs/sha256";
    night.write_config(|text| {
        text.replace("&& sh ./start", &format!("&& find {blobs} -size 49k -delete && sh ./start"))
    });
    let text = night.ends(2, &[]);
    assert!(text.contains("check: cannot pull team/app:1."), "{text}");
    assert!(text.contains("next: a tag that was whole cannot be pulled: `regsql --db "), "{text}");
    assert_eq!(night.summary()["check"]["failures"].as_array().unwrap().len(), 3);
}

#[test]
fn a_second_job_is_refused_while_one_runs_with_its_database_or_on_its_storage() {
    let night = Night::new();
    night.write_config(|text| {
        text.replace("echo begin >>events && true", "echo begin >>events && sleep 3")
    });
    let mut first = night.spawn();
    let end = Instant::now() + Duration::from_secs(20);
    while night.events().is_empty() {
        assert!(Instant::now() < end, "{}", night.text("log"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = night.ends(2, &[]);
    assert!(text.contains("error: another nightly job (process "), "{text}");
    night.write_config(|text| text.replace("registry.db", "other.db"));
    let text = night.ends(2, &[]);
    assert!(text.contains("error: another nightly job is running on"), "{text}");
    let status = wait_until(&mut first, Instant::now() + Duration::from_secs(40)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", night.text("log"));
    assert_eq!(night.events(), "begin stop start end");
    night.assert_whole();
}
