//! Errors and hints as a whole: one form, whoever says them.

use std::collections::BTreeSet;
use std::path::Path;

use walkdir::WalkDir;

/// What a message begins behind, and what it is.
const PLACES: [(&str, &str); 3] =
    [("#[error(", "error"), ("Error::new(", "error"), ("with_hint(", "hint")];

/// Words that say nothing, or nothing that a reader can act on.
const VAGUE: [&str; 7] =
    ["failed to", "unable to", "could not", "please", "invalid", "unexpected", "something went"];

/// The text of a literal at the beginning, its continued lines joined.
fn literal(source: &str) -> Option<String> {
    let source = source.trim_start();
    let source = source.strip_prefix("format!(").unwrap_or(source).trim_start();
    let mut chars = source.strip_prefix('"')?.chars().peekable();
    let mut text = String::new();
    while let Some(char) = chars.next() {
        match char {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                '\n' => while chars.next_if(|next| next.is_whitespace()).is_some() {},
                escaped => text.extend(['\\', escaped]),
            },
            other => text.push(other),
        }
    }
    None
}

fn messages() -> BTreeSet<(&'static str, String)> {
    let mut messages = BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in WalkDir::new(sources) {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(entry.path()).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for (before, kind) in PLACES {
            let found = source.split(before).skip(1).filter_map(literal);
            messages.extend(found.map(|text| (kind, text)));
        }
    }
    messages
}

#[test]
fn every_error_says_what_and_where_in_one_form_and_every_hint_what_to_do() {
    let messages = messages();
    assert!(messages.len() > 200, "only {} messages were found", messages.len());
    for (kind, text) in &messages {
        let mut chars = text.chars();
        let (first, second) = (chars.next(), chars.next());
        // A name such as STORAGE may come first; a sentence begins small.
        let is_sentence = first.is_some_and(char::is_uppercase)
            && second.is_some_and(|second| second.is_lowercase() || second == ' ');
        assert!(!is_sentence, "an {kind} begins with a capital letter: {text}");
        assert!(!text.ends_with(['.', '!', ' ']), "an {kind} ends like a sentence: {text}");
        let low = text.to_lowercase();
        let vague = VAGUE.iter().find(|vague| low.contains(**vague));
        assert!(vague.is_none(), "an {kind} says `{}`: {text}", vague.unwrap());
    }
}
