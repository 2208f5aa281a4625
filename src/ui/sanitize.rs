//! Names in a registry are chosen by whoever may push. None of them may move a cursor, set a
//! title, hide text, break out of a markdown table or become a formula.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal or editor may act on it, or hide it: control characters (C0, DEL, C1),
/// marks that reorder text, invisible ones, and line separators.
pub fn is_active(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Whether nothing in it could be active or needs a JSON escape: nearly every name, and quick to see.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// `text` with every active character written out: `\n`, `\x1b`, `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        let _infallible = match char {
            '\n' => write!(safe, "\\n"),
            '\r' => write!(safe, "\\r"),
            '\t' => write!(safe, "\\t"),
            char if !is_active(char) => write!(safe, "{char}"),
            char if u32::from(char) < 0x100 => write!(safe, "\\x{:02x}", u32::from(char)),
            char => write!(safe, "\\u{{{:x}}}", u32::from(char)),
        };
    }
    Cow::Owned(safe)
}

/// A word for a shell; what a terminal would act on is written out, as bash and zsh read it.
pub fn shell_word(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:@+=,%".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if visible(word) == word {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut safe = String::from("$'");
    for char in word.chars() {
        let mut utf8 = [0; 4];
        let text: &str = char.encode_utf8(&mut utf8);
        match char {
            '\'' | '\\' => {
                safe.push('\\');
                safe.push(char);
            }
            _ if visible(text) == text => safe.push(char),
            _ => {
                for byte in text.bytes() {
                    let _infallible = write!(safe, "\\x{byte:02x}");
                }
            }
        }
    }
    safe.push('\'');
    safe
}

/// `text` as a JSON string that is ASCII-safe wherever a terminal could act on it.
pub fn json_string(text: &str) -> String {
    if is_plain(text) {
        return ["\"", text, "\""].concat();
    }
    json_text(serde_json::Value::from(text).to_string())
}

/// JSON on one line, with every active character in its strings written `\uXXXX`; outside of
/// strings JSON has none.
pub fn json_text(quoted: String) -> String {
    if !quoted.chars().any(is_active) {
        return quoted;
    }
    let mut safe = String::with_capacity(quoted.len() + 8);
    for char in quoted.chars() {
        if is_active(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                let _infallible = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(char);
        }
    }
    safe
}

/// `text` as plain text in a cell of a markdown table: no mark-up, no HTML, no link.
pub fn markdown(text: &str) -> String {
    let text = visible(text);
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // GitHub and others make links of what looks like an address or a mention.
            '@' => safe.push_str("&#64;"),
            '#' => safe.push_str("&#35;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '|' | '~' | '!' | '$' => {
                safe.push('\\');
                safe.push(char);
            }
            char => safe.push(char),
        }
    }
    safe.replace("://", "&#58;//").replace("www.", "www&#46;").replace("WWW.", "WWW&#46;")
}

/// `text` for a spreadsheet: what it would take for a formula gets an apostrophe in front.
pub fn spreadsheet(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_set_the_clipboard_is_shown_and_not_sent() {
        assert_eq!(visible("a\x1b]52;c;aGk=\x07b"), "a\\x1b]52;c;aGk=\\x07b");
    }

    #[test]
    fn names_that_forge_lines_or_reorder_text_are_shown_as_they_are() {
        assert_eq!(visible("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(visible("\u{9b}31m\u{7f}"), "\\x9b31m\\x7f");
        assert_eq!(
            visible("gpj.\u{202e}exe\u{2066}\u{feff}"),
            "gpj.\\u{202e}exe\\u{2066}\\u{feff}"
        );
        assert_eq!(visible("größe/日本語"), "größe/日本語");
    }

    #[test]
    fn a_json_string_holds_nothing_that_a_terminal_acts_on_and_still_means_the_same() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{e0041}\"\\ü";
        let quoted = json_string(hostile);
        assert!(!quoted.chars().any(is_active), "{quoted}");
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), hostile);
    }

    #[test]
    fn markdown_cells_hold_neither_tables_nor_html_nor_links() {
        assert_eq!(markdown("a|b`c<img src=x>"), "a\\|b\\`c&lt;img src=x&gt;");
        assert_eq!(markdown("[x](https://evil)"), "\\[x\\]\\(https&#58;//evil\\)");
        assert_eq!(markdown("www.evil.example @all #1"), "www&#46;evil.example &#64;all &#35;1");
        assert_eq!(markdown("two\nlines"), "two\\\\nlines");
    }

    #[test]
    fn a_spreadsheet_sees_text_where_a_formula_was_pushed() {
        assert_eq!(spreadsheet("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(spreadsheet("v1.0"), "v1.0");
    }
}
