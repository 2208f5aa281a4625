//! Long lists: windows, not rows; and keys that need little work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use regsql::browse::{self, Answer, Listing, Measure, Order, Place, Request, Sort};
use rusqlite::Connection;

use super::Person;
use crate::console::Demo;

/// As many layers as a middling registry has blobs, and repositories beside them.
const LAYERS: u64 = 165_000;
const REPOSITORIES: u64 = 2_000;

/// SQLite is looked at each 2,000 of its steps. All rows of the longest list are read once; a key after that needs a page.
const LOOKS_OF_A_LIST: u64 = LAYERS / 2_000 * 24;
const LOOKS_OF_A_KEY: u64 = 40;

/// The demo with layers and repositories added in the tables; no graph of them is asked for here.
fn large() -> Demo {
    let demo = Demo::new();
    let connection = Connection::open(demo.database()).unwrap();
    let sql = format!(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {LAYERS})
        INSERT INTO blob SELECT
            (SELECT MAX(id) FROM blob) + n, CAST(printf('%032d', n) AS BLOB), NULL, 1, 1, 'layer',
            n * 7919 % 1000003, 0, 0, (SELECT MIN(id) FROM media_type),
            (SELECT MIN(id) FROM build_step), 0, 0, 0, NULL, NULL, NULL, 0 FROM number;
        UPDATE total SET value = value + {LAYERS} WHERE name = 'blob_count';
        WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {REPOSITORIES})
        INSERT INTO repository SELECT
            (SELECT MAX(id) FROM repository) + n, printf('zz%02d/app%04d', n % 40, n), 0, 0, 0, 0, 0,
            n, n, 0, NULL, 0, 1, x'00' FROM number;"
    );
    connection.execute_batch(&sql).unwrap();
    drop(connection);
    demo
}

#[test]
fn a_long_list_is_held_as_a_window_and_every_key_needs_little_work() {
    let demo = large();
    let mut person = Person::new(&demo.database(), 100, 40);
    let looks = Arc::new(AtomicU64::new(0));
    let looked = Arc::clone(&looks);
    person.source.stop_when(move || looked.fetch_add(1, Ordering::SeqCst) == u64::MAX).unwrap();
    let walk =
        ["2", "G", "g", "PageDown", "C-d", "j", "End", "PageUp", "R", "G", "1", "G", "Enter"];
    for (at, keys) in walk.into_iter().enumerate() {
        looks.store(0, Ordering::SeqCst);
        person.press(keys);
        let held = person.app.level().rows.len();
        assert!(held <= 600, "{held} rows are held after {keys}");
        assert!(person.app.level().current().is_some(), "{}", person.screen());
        // The list is opened, and its end is gone to for the first time.
        let most = if at < 2 { LOOKS_OF_A_LIST } else { LOOKS_OF_A_KEY };
        let looks = looks.load(Ordering::SeqCst);
        assert!(looks < most, "{keys}: SQLite took {looks} times 2,000 steps");
    }
    // The last of a long list is really the last.
    person.press("2 G");
    let last = person.app.level();
    assert_eq!(last.cursor + 1, last.count());
    assert!(last.count() > LAYERS);
}

#[test]
fn what_is_read_for_letters_that_others_followed_ends_at_once() {
    let demo = large();
    let person = Person::new(&demo.database(), 100, 40);
    let order = Order { sort: Sort::Count, is_reversed: false, measure: Measure::Logical };
    let listing = |filter: &str| Listing { place: Place::Layers, order, filter: filter.into() };
    let source = &person.source;
    // What the layers that were added are called.
    let step: String = source
        .connection()
        .query_row("SELECT created_by FROM build_step ORDER BY id LIMIT 1", [], |row| row.get(0))
        .unwrap();
    let looks = Arc::new(AtomicU64::new(0));
    let looked = Arc::clone(&looks);
    source.stop_when(move || looked.fetch_add(1, Ordering::SeqCst) >= 3).unwrap();
    let ask = |version, filter: &str| {
        let request = Request::Rows { version, listing: listing(filter), offset: 0 };
        browse::rows(source, &request)
    };
    assert_eq!(ask(7, "zzz"), Answer::Dropped { version: 7 });
    assert_eq!(looks.load(Ordering::SeqCst), 4, "it went on after it was stopped");
    // What was broken off is not taken for what a filter finds.
    source.stop_when(|| false).unwrap();
    let Answer::Rows { rows, .. } = ask(8, &step) else {
        panic!("no rows");
    };
    assert_eq!(rows.len(), 600);
    assert!(source.summary(&listing(&step)).unwrap().count >= LAYERS);
}
