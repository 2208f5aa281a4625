//! Journeys, named for what a person wants.

use ratatui::crossterm::event::{Event, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use regsql::browse::{Branch, End, KEYS, Listing, Measure, Order, Place, Row, RowKind, Sort};
use regsql::commands::BrowseArgs;
use regsql::sample::RegistryBuilder;

use super::Person;
use crate::console::Demo;
use crate::env::{regsql, regsql_in};
use crate::fixture::Fixture;

#[test]
fn the_first_screen_says_what_holds_the_bytes() {
    let demo = Demo::new();
    insta::assert_snapshot!("first_screen_80x24", Person::new(&demo.database(), 80, 24).screen());
    insta::assert_snapshot!("first_screen_200x50", Person::new(&demo.database(), 200, 50).screen());
}

#[test]
fn find_the_two_tags_that_hold_the_largest_layer() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 120, 30);
    person.press("t Enter");
    insta::assert_snapshot!("holders_of_the_largest_layer", person.screen());
    person.press("Enter");
    assert!(["2.0", "prod"].contains(&person.at().as_str()), "{}", person.screen());
    person.press("h h");
    assert_eq!(person.app.branch, Branch::Layers);
}

#[test]
fn two_tags_on_one_digest_free_nothing_alone_and_everything_together() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    person.press("Enter j Space");
    assert!(person.footer().contains("frees 0 B"), "{}", person.screen());
    person.press("j d");
    assert!(person.footer().starts_with("2 marks"), "{}", person.screen());
    assert!(person.footer().contains("frees 1.348 GiB"), "{}", person.screen());
    person.press("m");
    insta::assert_snapshot!("marks_and_what_each_adds", person.screen());
    // Without either of them all of it stays.
    assert_eq!(person.screen().matches("1.348 GiB ml/embeddings").count(), 2);
    person.press("Space");
    assert!(person.footer().contains("frees 0 B"), "{}", person.screen());
}

#[test]
fn walk_down_from_a_group_to_the_build_step_of_a_platform() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    person.press("/");
    person.types("shop/");
    person.press("Enter Home").goes_to("shop/");
    person.press("Enter");
    insta::assert_snapshot!("a_group", person.screen());
    person.press("Enter");
    let screen = person.screen();
    assert!(screen.contains("all repositories > shop/ > "), "{screen}");
    // A tag on an index leads to its platforms, and these to their layers.
    let mut person = Person::new(&demo.database(), 100, 30);
    person.press("/");
    person.types("shop/");
    person.press("Enter Enter").goes_to("api");
    person.press("Enter N").goes_to("5.0.0").press("Enter");
    insta::assert_snapshot!("platforms_of_an_index", person.screen());
    person.press("Enter");
    assert!(person.screen().contains("# buildkit"), "{}", person.screen());
}

#[test]
fn what_a_group_frees_is_more_than_the_sum_of_its_repositories() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = RegistryBuilder::new();
    let shared = registry.layer("shared", 5_000_000);
    for (repository, own) in [("team/a", 1_000_000), ("team/b", 2_000_000), ("other", 10)] {
        let own = registry.layer(repository, own);
        let layers = if repository == "other" { vec![own] } else { vec![own, shared.clone()] };
        registry.image(repository).layers(layers).push_tag("1.0");
    }
    registry.write_to(&directory.path().join("registry")).unwrap();
    let scan = regsql_in(directory.path(), &["scan", "registry"]).output().unwrap();
    assert!(scan.status.success(), "{scan:?}");
    let mut person = Person::new(&directory.path().join("registry.db"), 100, 30);
    assert_eq!(person.at(), "team/");
    let group = person.app.level().current().unwrap().clone();
    assert!(!group.is_at_least);
    person.press("Space");
    let freed = person.footer();
    person.press("Enter");
    let sum: u64 = person.app.level().rows.iter().map(|row| row.exclusive_bytes).sum();
    assert!(group.exclusive_bytes >= sum + 5_000_000, "{group:?} {sum}");
    let shown = regsql::ui::bytes(group.exclusive_bytes as i64);
    assert!(freed.contains(&shown), "{freed}: {shown}");
}

#[test]
fn clean_up_garbage_through_a_plan_that_prune_takes() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    person.press("3 Enter d d d");
    let footer = person.footer();
    assert!(footer.starts_with("3 marks"), "{}", person.screen());
    let plan = demo.path("plan.json");
    person.press("w C-u");
    person.types(plan.to_str().unwrap());
    person.press("Enter");
    assert!(person.screen().contains("wrote the plan"), "{}", person.screen());
    // Marks that are in a plan are not lost.
    person.press("q");
    assert_eq!(person.end(), Some(&End::Quit));
    let output = regsql()
        .args(["--db", demo.database().to_str().unwrap(), "prune", "--plan"])
        .arg(&plan)
        .args(["--format", "json", "--min-age", "0s", "--max-scan-age", "100000d"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let planned: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let freed = planned["freed_bytes"].as_i64().unwrap();
    assert!(freed > 0 && footer.contains(&regsql::ui::bytes(freed)), "{footer}: {freed}");
}

#[test]
fn leave_with_the_prune_line_for_what_was_marked() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    person.press("Enter j d d p");
    let Some(End::Print(line)) = person.end() else {
        panic!("{}", person.screen());
    };
    assert_eq!(
        line,
        "regsql --db registry.db prune --target ml/embeddings:2.0 --target ml/embeddings:prod"
    );
}

#[test]
fn quitting_asks_once_when_marks_would_be_lost() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    person.press("Space q");
    assert_eq!(person.end(), None);
    assert!(person.screen().contains("1 mark is lost: q quits"), "{}", person.screen());
    person.press("Esc");
    assert!(person.screen().contains("? help"), "{}", person.screen());
    person.press("q q");
    assert_eq!(person.end(), Some(&End::Quit));
}

#[test]
fn a_filter_narrows_as_it_is_typed_and_ends_with_escape() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    let all = person.app.level().count();
    person.press("/");
    person.types("ml");
    assert_eq!(person.at(), "ml/embeddings");
    assert!(person.app.level().count() < all);
    person.types("zzz");
    assert!(person.screen().contains("nothing matches"), "{}", person.screen());
    person.press("Esc");
    assert_eq!(person.app.level().count(), all);
    // `n` goes round through the matches.
    person.press("/");
    person.types("e");
    person.press("Enter");
    let first = person.at();
    for _ in 0..person.app.level().count() {
        person.press("n");
    }
    assert_eq!(person.at(), first);
    person.press("Esc");
    assert_eq!(person.app.level().count(), all);
}

#[test]
fn see_what_is_wrong_and_where() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    person.press("5 Enter");
    insta::assert_snapshot!("problems", person.screen());
}

#[test]
fn go_from_a_layer_to_a_tag_that_keeps_it_through_the_right_pane() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 120, 40);
    person.press("2 Tab");
    let screen = person.screen();
    assert!(screen.contains("> ml/embeddings:"), "{screen}");
    person.press("Enter");
    assert!(person.screen().contains("> ml/embeddings "), "{}", person.screen());
    assert!(["2.0", "prod"].contains(&person.at().as_str()), "{}", person.screen());
}

#[test]
fn every_key_of_the_map_is_in_the_help() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 70);
    person.press("?");
    let screen = person.screen();
    for binding in KEYS {
        assert!(screen.contains(binding.shown) && screen.contains(binding.help), "{screen}");
    }
    person.press("x");
    assert!(!person.screen().contains("Letters before a row"));
}

#[test]
fn tags_by_name_are_in_the_order_of_their_versions() {
    let demo = Demo::new();
    let person = Person::new(&demo.database(), 100, 30);
    let tags = |is_reversed| {
        let order = Order { sort: Sort::Name, is_reversed, measure: Measure::Exclusive };
        let place = Place::Tags { repository: "shop/web".into() };
        let rows = person.source.rows(&Listing { place, order, filter: String::new() }, 0, 99);
        let tags = rows.unwrap().into_iter().filter_map(|row| row.tag);
        tags.filter(|tag| tag.starts_with("2.")).collect::<Vec<_>>()
    };
    let expected = ["2.5.0", "2.6.0", "2.7.0", "2.8.0", "2.9.0", "2.10.0", "2.11.0"];
    assert_eq!(tags(false), expected);
    assert!(tags(true).iter().rev().eq(&expected));
}

#[test]
fn on_a_small_terminal_the_help_says_how_much_is_below_and_scrolls() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 80, 24);
    person.press("?");
    let first = person.screen();
    assert!(first.contains(" more lines below"), "{first}");
    person.press("G G G");
    let last = person.screen();
    assert!(last.contains("still being worked out") && !last.contains("more lines"), "{last}");
    person.press("k");
    assert!(person.screen().contains(" 2 more lines below"), "{}", person.screen());
    person.press("g");
    assert_eq!(person.screen(), first);
}

#[test]
fn the_mouse_goes_to_a_row_opens_it_and_changes_the_branch() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    let mouse = |kind, column, row| {
        Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
    };
    let click = MouseEventKind::Down(MouseButton::Left);
    person.event(&mouse(click, 50, 4));
    assert_eq!(person.app.level().cursor, 1);
    person.event(&mouse(click, 50, 4));
    assert_eq!(person.app.stack().len(), 2);
    person.event(&mouse(click, 20, 0));
    assert_eq!(person.app.branch, Branch::Layers);
    person.event(&mouse(MouseEventKind::ScrollDown, 50, 6));
    assert_eq!(person.app.level().cursor, 3);
}

#[test]
fn tags_of_a_protect_pattern_are_flagged_and_stay() {
    let demo = Demo::new();
    let args = BrowseArgs { protect_tags: vec!["prod".into()] };
    let mut person = Person::with(&demo.database(), 100, 30, &args);
    person.press("Enter N").goes_to("prod");
    assert!(person.app.level().current().unwrap().flags.contains('p'));
    person.press("Space");
    assert!(person.footer().contains("frees 0 B"), "{}", person.screen());
    assert!(person.footer().contains("stays (m)"), "{}", person.screen());
}

#[test]
fn hostile_names_are_written_out_and_stay_in_their_columns() {
    let hostile =
        "UPDATE repository SET name = 'a\u{1b}[2J\u{9b}31m/\u{202e}b日本語\u{7}' WHERE id = 2;
        UPDATE tag SET name = '\u{1b}]52;c;aGk=\u{7}' || name WHERE id % 2 = 0;
        UPDATE build_step SET created_by = 'RUN \u{1b}[31m' || created_by;";
    let fixture = Fixture::changed_by(hostile);
    for (width, height) in [(80, 24), (200, 50), (30, 8)] {
        let mut person = Person::new(&fixture.database(), width, height);
        for keys in ["G", "Enter", "Enter", "Tab", "Esc", "h", "h", "2", "Enter", "5", "m", "1"] {
            person.press(keys).press("Space");
            let screen = person.screen();
            assert!(!screen.chars().any(|char| char.is_control() && char != '\n'), "{screen:?}");
            assert!(!screen.contains('\u{202e}'), "{screen:?}");
        }
        if width == 200 {
            assert!(person.screen().contains("\\x1b"), "{}", person.screen());
        }
    }
}

#[test]
fn a_filter_of_a_long_list_leaves_what_a_look_at_each_row_leaves() {
    let demo = Demo::new();
    let person = Person::new(&demo.database(), 100, 30);
    let class = |name: &str| Place::Class { name: name.into() };
    let places = [
        Place::Layers,
        class("orphan blobs"),
        class("untagged revisions"),
        class("unneeded layer links"),
        class("dangling layer links"),
        Place::Holders { digest: most_used(&person) },
    ];
    let filters = [
        "c", "copy", "COPY m", "run", "layer", "index", "team", "api", "zzz", "%", "_", "no bu",
        ":1", "(un",
    ];
    let mut found = 0;
    for place in places {
        // A list that was just opened, before its numbers are there.
        let order = Order { sort: Sort::Size, is_reversed: false, measure: Measure::Exclusive };
        let opened = Listing { place: place.clone(), order, filter: String::new() };
        let first = person.source.rows(&opened, 0, 1000).unwrap();
        let counted = person.source.summary(&opened).unwrap();
        person.source.read_ahead(&place).unwrap();
        assert_eq!(person.source.rows(&opened, 0, 1000).unwrap(), first, "{place:?}");
        assert_eq!(person.source.summary(&opened).unwrap(), counted, "{place:?}");
        let all = listed(&person, &place, "");
        let digests = all.iter().filter_map(|row| row.digest.as_ref());
        let digests: Vec<String> = digests.map(|digest| digest[..13].to_owned()).take(3).collect();
        let short = digests.iter().map(|digest| digest.trim_start_matches("sha256:").to_owned());
        let short: Vec<String> = short.collect();
        for filter in filters.into_iter().chain(digests.iter().chain(&short).map(String::as_str)) {
            let text = filter.to_ascii_lowercase();
            // The digest that a name ends with is looked for as one.
            let called = |row: &Row| {
                let name = match row.kind {
                    RowKind::Tag => row.name.as_str(),
                    _ => row.name.split("sha256:").next().unwrap_or_default(),
                };
                let name = name.trim_end_matches(['@', ' ']).to_ascii_lowercase();
                name.contains(&text) || row.detail.to_ascii_lowercase().contains(&text)
            };
            let begins = |row: &Row| {
                let digest = row.digest.clone().unwrap_or_default();
                digest.starts_with(&text)
                    || text.len() >= 4 && digest.starts_with(&format!("sha256:{text}"))
            };
            let expected = all.iter().filter(|row| called(row) || begins(row)).cloned();
            let expected: Vec<Row> = expected.collect();
            found += expected.len();
            assert_eq!(listed(&person, &place, filter), expected, "{filter} in {place:?}");
        }
    }
    assert!(found > 50, "{found} rows are too few to say anything");
}

/// The digest of the layer that most tags hold.
fn most_used(person: &Person) -> String {
    let order = Order { sort: Sort::Count, is_reversed: false, measure: Measure::Logical };
    let listing = Listing { place: Place::Layers, order, filter: String::new() };
    person.source.rows(&listing, 0, 1).unwrap()[0].digest.clone().unwrap()
}

/// The rows that a filter leaves, by size. In each order they are the same ones, sorted by their names first, page by
/// page, and counted right.
fn listed(person: &Person, place: &Place, filter: &str) -> Vec<Row> {
    let listing = |sort, is_reversed| Listing {
        place: place.clone(),
        order: Order { sort, is_reversed, measure: Measure::Logical },
        filter: filter.to_owned(),
    };
    let rows = |sort, is_reversed| {
        let listing = listing(sort, is_reversed);
        let rows = person.source.rows(&listing, 0, 1000).unwrap();
        let summary = person.source.summary(&listing).unwrap();
        assert_eq!(summary.count, rows.len() as u64);
        let most_bytes = rows.iter().map(|row| row.logical_bytes).max();
        assert_eq!(summary.most_bytes, most_bytes.unwrap_or(0));
        let pages = (0..summary.count).step_by(7);
        let pages = pages.flat_map(|at| person.source.rows(&listing, at, 7).unwrap());
        assert_eq!(pages.collect::<Vec<_>>(), rows, "{listing:?}");
        rows
    };
    let by_name = rows(Sort::Name, false);
    let mut backwards = rows(Sort::Name, true);
    backwards.reverse();
    assert_eq!(backwards, by_name, "{filter} in {place:?}");
    for sort in [Sort::Count, Sort::Time, Sort::Size] {
        let key = |row: &Row| match sort {
            Sort::Count => i128::from(row.item_count),
            Sort::Time => row.time_ns.map_or(-1 << 70, i128::from),
            _ => i128::from(row.logical_bytes),
        };
        for is_reversed in [false, true] {
            let mut expected = by_name.clone();
            expected.sort_by_key(|row| if is_reversed { key(row) } else { -key(row) });
            assert_eq!(rows(sort, is_reversed), expected, "{filter} in {place:?} by {sort:?}");
        }
    }
    rows(Sort::Size, false)
}

#[test]
fn while_a_filter_is_worked_out_the_old_rows_stay_and_the_screen_says_so() {
    let demo = Demo::new();
    let mut person = Person::new(&demo.database(), 100, 30);
    person.press("2 /");
    let before = person.at();
    // Another letter comes before there is an answer.
    for letter in ["c", "o"] {
        person.app.event(&Event::Key(super::key(letter)));
        person.draw();
        let screen = person.screen();
        assert!(screen.contains("filtering …"), "{screen}");
        assert!(screen.contains(&before[..12]), "{screen}");
        assert!(!person.app.is_waiting(), "a letter waits for rows");
    }
    person.look();
    let screen = person.screen();
    assert!(!screen.contains("filtering …") && screen.contains("/co "), "{screen}");
    // A key about a row waits for the row.
    person.press("Enter");
    person.app.event(&Event::Key(super::key("s")));
    assert!(person.app.is_waiting());
    person.look();
    assert!(!person.app.is_waiting());
}
