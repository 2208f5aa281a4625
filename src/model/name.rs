//! Names of repositories and tags: any bytes on disk, text in the database.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

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

    #[test]
    fn two_names_never_become_one_text() {
        assert_eq!(text_of(OsStr::from_bytes(b"a\xffb")), r"a\xffb");
        assert_eq!(text_of(OsStr::from_bytes(br"a\xffb")), r"a\x5cxffb");
        assert_eq!(text_of(OsStr::from_bytes("ü\n".as_bytes())), "ü\n");
    }
}
