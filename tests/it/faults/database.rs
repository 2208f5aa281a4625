//! Databases that were cut or have flipped bits: whoever reads one is told, or gets rows; and a scan
//! makes it anew or says what to do.

use std::fs;

use regsql::sample::Random;
use rusqlite::Connection;

use super::{Machine, PRUNE};
use crate::env::behaves;
use crate::env::shown;

/// Damaged copies.
const VARIANTS: u64 = 200;

/// What reads a database, one a variant.
const READERS: &[&[&str]] = &[
    &["report", "overview", "-f", "json"],
    &["report", "tags", "-f", "json"],
    &["report", "problems"],
    &["report", "repositories"],
    &["report", "growth"],
    &["report", "rare-layers"],
    &["sql", "SELECT * FROM manifest_references"],
    &["sql", "SELECT * FROM blobs JOIN layer_links ON digest = blob_digest"],
    &["why", "team/app0:1.0"],
    &["free", "1KiB"],
    &["verify"],
    &["verify", "--content"],
    &[
        "prune",
        "--garbage",
        "untagged-revisions",
        "--trust-storage",
        "--min-age",
        "0s",
        "-f",
        "json",
    ],
    &["report", "tags", "--what-if"],
    &["schema"],
];

fn damage(random: &mut Random, bytes: &mut Vec<u8>) -> String {
    let length = bytes.len() as u64;
    match random.below(8) {
        0 => {
            bytes.truncate(random.below(length) as usize);
            format!("cut to {} of {length} bytes", bytes.len())
        }
        1 => {
            bytes.truncate((random.below(length / 8192) * 8192) as usize);
            format!("cut to {} of {length} bytes", bytes.len())
        }
        2 => {
            // As a disk loses a sector.
            let at = (random.below(length / 512) * 512) as usize;
            bytes[at..at + 512].fill(0);
            format!("zeros at {at}")
        }
        3 => {
            let at = random.below(100) as usize;
            bytes[at] ^= 1 << random.below(8);
            format!("a bit of the header at {at}")
        }
        4 => {
            // Where a page says what it holds.
            let at = (random.below(length / 8192) * 8192 + random.below(12)) as usize;
            bytes[at] = random.next_u64() as u8;
            format!("a page's header at {at}")
        }
        _ => {
            let count = 1 + random.below(30);
            for _ in 0..count {
                let at = random.below(length) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
            format!("{count} bits")
        }
    }
}

#[test]
fn a_damaged_database_is_told_of_and_a_scan_makes_it_anew_or_says_what_to_do() {
    let machine = Machine::new(3);
    machine.works(&["scan", "registry"]);
    machine.works(&["scan", "--full", "registry"]);
    let whole = fs::read(machine.database()).unwrap();
    let (mut refused, mut made_anew) = (0, 0);
    for variant in 0..VARIANTS {
        let mut random = Random::new(variant);
        let mut bytes = whole.clone();
        let done = format!("variant {variant}: {}", damage(&mut random, &mut bytes));
        fs::write(machine.database(), &bytes).unwrap();
        let reader = READERS[variant as usize % READERS.len()];
        let output = behaves(machine.command(reader));
        let told = shown(&output);
        if output.status.code() == Some(2) {
            assert!(told.contains("registry.db") || told.contains("hint:"), "{done}: {told}");
            refused += 1;
        }
        fs::write(machine.database(), &bytes).unwrap();
        // Half of them with a look whether anything has changed, which then stands.
        let is_full = variant.is_multiple_of(2);
        let scan: &[_] =
            if is_full { &["scan", "--full", "registry"] } else { &["scan", "registry"] };
        let output = behaves(machine.command(scan));
        if output.status.code() == Some(0) {
            if is_full {
                machine.assert_database_is_whole();
            }
            made_anew += 1;
        } else {
            // It could be anyone's file: only a person may take it away.
            let told = shown(&output);
            assert!(told.contains("registry.db") && told.contains("hint:"), "{done}: {told}");
            assert!(!told.contains("made anew by"), "{done}: a scan advises a scan: {told}");
        }
    }
    assert!(refused > 10 && made_anew > 100, "{refused} refused, {made_anew} made anew");
}

#[test]
fn a_damaged_database_of_someone_else_is_never_replaced() {
    let machine = Machine::new(1);
    Connection::open(machine.database()).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    let whole = fs::read(machine.database()).unwrap();
    for at in 0..whole.len().min(200) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        fs::write(machine.database(), &bytes).unwrap();
        let output = behaves(machine.command(&["scan", "registry"]));
        assert_eq!(output.status.code(), Some(2), "byte {at}: {}", shown(&output));
        assert!(shown(&output).contains("hint:"), "byte {at}: {}", shown(&output));
        assert_eq!(fs::read(machine.database()).unwrap(), bytes, "byte {at}");
    }
}

/// Whatever the database says, a prune looks at the disk before it takes something.
#[test]
fn a_prune_over_a_damaged_database_takes_nothing_that_a_tag_needs() {
    let machine = Machine::new(3);
    machine.works(&["scan", "registry"]);
    let whole = fs::read(machine.database()).unwrap();
    let before = machine.tree();
    machine.works(PRUNE);
    let pruned = machine.tree();
    machine.undo_all();
    let mut pruned_something = 0;
    for variant in 0..VARIANTS / 2 {
        let mut random = Random::new(variant + 1_000_000);
        let mut bytes = whole.clone();
        // Bits in rows, where SQLite does not see them.
        for _ in 0..=random.below(60) {
            let at = 8192 + random.below(bytes.len() as u64 - 8192) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        fs::write(machine.database(), &bytes).unwrap();
        behaves(machine.command(PRUNE));
        let after = machine.tree();
        pruned_something += u64::from(after != before);
        for (path, node) in &pruned.nodes {
            let stays = after.nodes.get(path) == Some(node);
            assert!(stays, "variant {variant}: {} was taken and is needed", path.display());
        }
        machine.undo_all();
        before.assert_same(&machine.tree(), &format!("variant {variant}"));
    }
    assert!(pruned_something > 10, "{pruned_something}");
}

/// The database and its journal as a writer leaves them that is killed between the two.
fn kill_a_writer(machine: &Machine) -> [Vec<u8>; 2] {
    let mut connection = Connection::open(machine.database()).unwrap();
    // So little memory that changed pages go to the file before the end.
    connection.pragma_update(None, "cache_size", 2).unwrap();
    let transaction = connection.transaction().unwrap();
    for table in ["blob", "reference", "problem", "layer_link"] {
        transaction.execute(&format!("DELETE FROM {table}"), []).unwrap();
    }
    transaction.execute("UPDATE past_scan SET blob_count = 666", []).unwrap();
    let journal = machine.path().join("registry.db-journal");
    let left = [fs::read(machine.database()).unwrap(), fs::read(&journal).unwrap()];
    drop(transaction);
    drop(connection);
    fs::write(machine.database(), &left[0]).unwrap();
    fs::write(journal, &left[1]).unwrap();
    left
}

#[test]
fn what_a_killed_writer_left_in_its_journal_is_undone_by_whoever_reads_next() {
    for reader in READERS {
        let machine = Machine::new(3);
        machine.works(&["scan", "registry"]);
        let whole = machine.works(&["report", "repositories", "-f", "json"]);
        kill_a_writer(&machine);
        machine.works(reader);
        if reader != &["schema"] {
            machine.assert_database_is_whole();
        }
        let again = machine.works(&["report", "repositories", "-f", "json"]);
        assert_eq!(again.stdout, whole.stdout, "{reader:?}");
        machine.works(&["scan", "registry"]);
    }
}

#[test]
fn the_journal_of_a_database_that_is_gone_does_no_harm_to_the_new_one() {
    let machine = Machine::new(3);
    machine.works(&["scan", "registry"]);
    let whole = machine.works(&["report", "repositories", "-f", "json"]);
    kill_a_writer(&machine);
    fs::remove_file(machine.database()).unwrap();
    machine.works(&["scan", "registry"]);
    machine.assert_database_is_whole();
    let again = machine.works(&["report", "repositories", "-f", "json"]);
    assert_eq!(again.stdout, whole.stdout);
}
