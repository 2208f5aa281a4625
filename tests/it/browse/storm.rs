//! Any keys in any order, on any size of screen: no panic, and the cursor stays on a row.

use std::sync::OnceLock;

use proptest::prelude::*;
use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::Person;
use crate::console::Demo;

#[derive(Clone, Debug)]
enum Step {
    Key(KeyEvent),
    Resize(u16, u16),
    Mouse(MouseEventKind, u16, u16),
}

fn step() -> impl Strategy<Value = Step> {
    let letters = "jjjkkllllhhgGtd mmaasNCMR/n12345?qy\u{e9}日x";
    let char = proptest::sample::select(letters.chars().collect::<Vec<_>>());
    let char = (char, prop::bool::weighted(0.1)).prop_map(|(char, has_control)| {
        let modifiers = if has_control { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        KeyEvent::new(KeyCode::Char(char), modifiers)
    });
    let named = proptest::sample::select(vec![
        KeyCode::Enter,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::PageDown,
        KeyCode::PageUp,
        KeyCode::End,
        KeyCode::Home,
        KeyCode::Backspace,
        KeyCode::F(3),
    ]);
    let named = named.prop_map(|code| KeyEvent::new(code, KeyModifiers::NONE));
    let mouse = proptest::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::ScrollDown,
        MouseEventKind::ScrollUp,
    ]);
    prop_oneof![
        6 => char.prop_map(Step::Key),
        4 => named.prop_map(Step::Key),
        2 => (0_u16..140, 0_u16..50).prop_map(|(width, height)| Step::Resize(width, height)),
        1 => (mouse, 0_u16..140, 0_u16..50).prop_map(|(kind, x, y)| Step::Mouse(kind, x, y)),
    ]
}

fn demo() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(Demo::new)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_storm_of_keys_and_sizes_breaks_it(steps in prop::collection::vec(step(), 1..60)) {
        let mut person = Person::new(&demo().database(), 80, 24);
        for step in steps {
            match step {
                Step::Key(key) => person.key(key),
                Step::Resize(width, height) => person.resize(width, height),
                Step::Mouse(kind, column, row) => {
                    let modifiers = KeyModifiers::NONE;
                    person.event(&Event::Mouse(MouseEvent { kind, column, row, modifiers }));
                }
            }
            let level = person.app.level();
            prop_assert!(level.cursor < level.count().max(1), "{:?}", level);
            let is_known = level.current().is_some() || level.count() == 0;
            prop_assert!(is_known, "the cursor is on no row that is held: {:?}", level);
            // What is shown is of just these marks.
            prop_assert_eq!(person.app.known_union().is_some(), !person.app.marks.is_empty());
            prop_assert!(person.app.adds.iter().all(Option::is_some));
        }
    }
}

#[test]
fn a_size_changes_at_every_step_of_a_walk() {
    let sizes =
        [(80, 24), (1, 1), (0, 0), (200, 50), (20, 5), (109, 30), (110, 30), (40, 100), (300, 2)];
    let mut person = Person::new(&demo().database(), 80, 24);
    for keys in [
        "Enter", "j", "Enter", "Enter", "Tab", "j", "m", "d", "?", "j", "Esc", "/", "a", "Esc",
        "3", "G",
    ] {
        person.press(keys);
        for (width, height) in sizes {
            person.resize(width, height);
        }
    }
}
