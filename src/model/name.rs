//! Names of repositories and tags: any bytes on disk, text in the database.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// A file name or path as text. Bytes that are not UTF-8, and backslashes, are written `\xHH`, so
/// that two names never become the same text.
pub fn text_of(name: &OsStr) -> String {
    let bytes = name.as_bytes();
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains('\\')
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\x5c"));
        for byte in chunk.invalid() {
            let _infallible = write!(text, r"\x{byte:02x}");
        }
    }
    text
}

/// The name that [`text_of`] made `text` of. `None` when it made no such text: a backslash is not
/// followed by `x` and two lower-case hex digits, or stands for bytes that need none.
pub fn bytes_of(text: &str) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('\\');
    bytes.extend(parts.next().unwrap_or("").bytes());
    for part in parts {
        let hex = part.strip_prefix('x')?.get(..2)?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend(part[3..].bytes());
    }
    let name = OsString::from_vec(bytes);
    (text_of(&name) == text).then_some(name)
}

/// Whether the registry accepts this repository name (distribution `reference/regexp.go`:
/// components of lower-case letters and digits, joined by `.`, `_`, `__` or dashes; 255 bytes).
pub fn is_repository_name(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(is_path_component)
}

fn is_path_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().is_some_and(|&byte| alphanumeric(byte))
        || !bytes.last().is_some_and(|&byte| alphanumeric(byte))
    {
        return false;
    }
    bytes.split(|&byte| alphanumeric(byte)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-')
    })
}

/// Whether the registry accepts this tag: a letter, digit or `_`, then up to 127 of those, `.` and
/// `-` (distribution `reference/regexp.go`).
pub fn is_tag_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 128
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_registry() {
        for name in ["a", "library/alpine", "a__b/c-d.e", "a---b", "0/1"] {
            assert!(is_repository_name(name), "{name}");
        }
        for name in
            ["", "A", "a/", "/a", "a//b", "-a", "a_", "a___b", "a..b", "Bad_Repo", "lost+found"]
        {
            assert!(!is_repository_name(name), "{name}");
        }
    }

    #[test]
    fn tag_names_follow_the_registry() {
        assert!(is_tag_name(&"x".repeat(128)));
        for name in ["", &"x".repeat(129), ".DS_Store", "-a", "a b", "ä"] {
            assert!(!is_tag_name(name), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_comes_back_from_its_text(bytes: Vec<u8>) {
            let name = OsString::from_vec(bytes);
            proptest::prop_assert_eq!(bytes_of(&text_of(&name)), Some(name));
        }

        #[test]
        fn a_text_means_one_name_or_none(text in r"[ax\\\\0-9f\PC]{0,12}") {
            if let Some(name) = bytes_of(&text) {
                proptest::prop_assert_eq!(text_of(&name), text);
            }
        }
    }

    #[test]
    fn a_text_that_no_name_has_means_none() {
        for text in [r"\", r"\x", r"\x5", r"\y00", r"\xFF", r"\x41", r"\x+1", r"\xü"] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }

    #[test]
    fn two_names_never_become_one_text() {
        assert_eq!(text_of(OsStr::from_bytes(b"a\xffb")), r"a\xffb");
        assert_eq!(text_of(OsStr::from_bytes(br"a\xffb")), r"a\x5cxffb");
        assert_eq!(text_of(OsStr::from_bytes("ü\n".as_bytes())), "ü\n");
    }
}
