//! The key map as data: what a key does, and the help that is made from it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table below says what each does")]
pub enum Action {
    Down,
    Up,
    PageDown,
    PageUp,
    HalfDown,
    HalfUp,
    First,
    Last,
    Open,
    Back,
    Pane,
    Mark,
    MarkDown,
    Unmark,
    Marks,
    Measure,
    SortName,
    SortSize,
    SortCount,
    SortTime,
    Reverse,
    Turn,
    Tab1,
    Tab2,
    Tab3,
    Tab4,
    Tab5,
    Filter,
    NextOrName,
    Write,
    Print,
    Rescan,
    Copy,
    Help,
    Quit,
    Stop,
    Suspend,
    Redraw,
}

/// A line of the key map.
pub struct Binding {
    /// The keys, as they are shown.
    pub shown: &'static str,
    /// The keys: a character, a name as `Down`, or `C-` and a character.
    pub keys: &'static [&'static str],
    /// What they do.
    pub action: Action,
    /// What the help says.
    pub help: &'static str,
}

const fn bind(
    shown: &'static str,
    keys: &'static [&'static str],
    action: Action,
    help: &'static str,
) -> Binding {
    Binding { shown, keys, action, help }
}

/// Every key. `?` shows this table.
pub const KEYS: &[Binding] = &[
    bind("j ↓", &["j", "Down"], Action::Down, "down"),
    bind("k ↑", &["k", "Up"], Action::Up, "up"),
    bind("l → Enter", &["l", "Right", "Enter"], Action::Open, "open; on a holder: go there"),
    bind("h ← Backspace", &["h", "Left", "Backspace"], Action::Back, "one level back"),
    bind("Esc", &["Esc"], Action::Back, "end what is open: help, filter, pane, level"),
    bind("g Home", &["g", "Home"], Action::First, "first row"),
    bind("G End", &["G", "End"], Action::Last, "last row"),
    bind("Ctrl-d", &["C-d"], Action::HalfDown, "half a page down"),
    bind("Ctrl-u", &["C-u"], Action::HalfUp, "half a page up"),
    bind("PgDn Ctrl-f", &["PageDown", "C-f"], Action::PageDown, "a page down"),
    bind("PgUp Ctrl-b", &["PageUp", "C-b"], Action::PageUp, "a page up"),
    bind("Tab", &["Tab"], Action::Pane, "the next pane: list, why, marks"),
    bind("Space", &[" "], Action::Mark, "mark, or take the mark away"),
    bind("d", &["d"], Action::MarkDown, "mark and go down"),
    bind("u", &["u"], Action::Unmark, "take all marks away"),
    bind("m", &["m"], Action::Marks, "show the marks, and what each adds"),
    bind("w", &["w"], Action::Write, "write the marks as a plan for prune --plan"),
    bind("p", &["p"], Action::Print, "quit and print the prune line for the marks"),
    bind("a", &["a"], Action::Measure, "exclusive, shared, logical bytes"),
    bind("s", &["s"], Action::SortSize, "sort by size; again: the other way round"),
    bind("N", &["N"], Action::SortName, "sort by name"),
    bind("C", &["C"], Action::SortCount, "sort by count"),
    bind("M", &["M"], Action::SortTime, "sort by time"),
    bind("R", &["R"], Action::Reverse, "the other way round"),
    bind("/", &["/"], Action::Filter, "filter as you type"),
    bind("n", &["n"], Action::NextOrName, "next match of the filter; without one: sort by name"),
    bind("t", &["t"], Action::Turn, "turn the tree over: layers, and who holds them"),
    bind("1", &["1"], Action::Tab1, "repositories"),
    bind("2", &["2"], Action::Tab2, "layers"),
    bind("3", &["3"], Action::Tab3, "garbage"),
    bind("4", &["4"], Action::Tab4, "trash"),
    bind("5", &["5"], Action::Tab5, "problems"),
    bind("y", &["y"], Action::Copy, "copy the digest (OSC 52)"),
    bind("r", &["r"], Action::Rescan, "scan again"),
    bind("?", &["?"], Action::Help, "this help"),
    bind("q", &["q"], Action::Quit, "quit; asks once when marks would be lost"),
    bind("Ctrl-c", &["C-c"], Action::Stop, "quit at once"),
    bind("Ctrl-z", &["C-z"], Action::Suspend, "to the shell; fg comes back"),
    bind("Ctrl-l", &["C-l"], Action::Redraw, "draw everything again"),
];

/// The letters of the first column.
pub const FLAGS: &[(char, &str)] = &[
    ('*', "marked"),
    ('!', "broken: cannot be pulled, or is missing"),
    ('h', "held: something cannot be read, so it is kept"),
    ('p', "protected: a root or a protect list names it"),
    ('~', "floating: the tag moves, or has moved"),
    ('s', "signature, or something else about an image"),
    ('u', "untagged"),
    ('o', "orphan: nothing refers to it"),
];

/// What a key does.
pub fn action(key: KeyEvent) -> Option<Action> {
    let name = name_of(key)?;
    let binding = KEYS.iter().find(|binding| binding.keys.contains(&name.as_str()));
    binding.map(|binding| binding.action)
}

fn name_of(key: KeyEvent) -> Option<String> {
    let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if key.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    Some(match key.code {
        KeyCode::Char(char) if has_control => format!("C-{}", char.to_ascii_lowercase()),
        KeyCode::Char(char) => char.to_string(),
        KeyCode::Down => "Down".into(),
        KeyCode::Up => "Up".into(),
        KeyCode::Left => "Left".into(),
        KeyCode::Right => "Right".into(),
        KeyCode::Enter => "Enter".into(),
        KeyCode::Backspace => "Backspace".into(),
        KeyCode::Esc => "Esc".into(),
        KeyCode::Home => "Home".into(),
        KeyCode::End => "End".into(),
        KeyCode::PageDown => "PageDown".into(),
        KeyCode::PageUp => "PageUp".into(),
        KeyCode::Tab | KeyCode::BackTab => "Tab".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_does_two_things_and_each_has_its_help() {
        let mut seen = HashSet::new();
        for binding in KEYS {
            assert!(!binding.help.is_empty() && !binding.keys.is_empty());
            for key in binding.keys {
                assert!(seen.insert(*key), "{key} is bound twice");
            }
        }
    }

    #[test]
    fn a_key_is_found_by_what_a_terminal_sends() {
        let key = |code, modifiers| action(KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('j'), KeyModifiers::NONE), Some(Action::Down));
        assert_eq!(key(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Action::Last));
        assert_eq!(key(KeyCode::Char('d'), KeyModifiers::CONTROL), Some(Action::HalfDown));
        assert_eq!(key(KeyCode::Char('d'), KeyModifiers::NONE), Some(Action::MarkDown));
        assert_eq!(key(KeyCode::Char('x'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::F(1), KeyModifiers::NONE), None);
    }
}
