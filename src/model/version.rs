//! A sort key that puts tags in the order of versions, for SQL that knows only text order.
//!
//! Order: semver.org 11 (`1.9.0 < 1.10.0`, pre-releases before the release), stretched to what
//! tags really look like: a leading `v`, one to six numbers, `1.2.3rc1`. Missing numbers count as
//! zero up to three. Build metadata (`+x`, or `_x` as Helm writes it) does not order.

use std::fmt::Write as _;

/// Separates numbers; sorts after [`RELEASE`].
const NEXT_NUMBER: char = '~';
/// Ends the numbers of a release; sorts after [`PRE_RELEASE`].
const RELEASE: char = '/';
/// Ends the numbers of a pre-release.
const PRE_RELEASE: char = '-';

/// The key of a tag that is a version; `None` for `latest`, `main` and the like.
pub fn version_key(tag: &str) -> Option<String> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    let (numbers, rest) = leading_numbers(text)?;
    let pre_release = match rest.chars().next() {
        None | Some('+' | '_') => "",
        Some('-') => rest[1..].split(['+', '_']).next().unwrap_or(""),
        // `1.2rc1`, but not `7f3a9c2`: a commit is no version.
        Some(c) if c.is_ascii_alphabetic() && numbers.len() > 1 => {
            rest.split(['+', '_']).next().unwrap_or("")
        }
        Some(_) => return None,
    };
    let mut key = String::new();
    for position in 0..numbers.len().max(3) {
        if position > 0 {
            key.push(NEXT_NUMBER);
        }
        push_number(&mut key, numbers.get(position).copied().unwrap_or("0"));
    }
    if pre_release.is_empty() {
        key.push(RELEASE);
        return Some(key);
    }
    key.push(PRE_RELEASE);
    for identifier in pre_release.split('.') {
        if !identifier.is_empty() && identifier.bytes().all(|byte| byte.is_ascii_digit()) {
            key.push('0');
            push_number(&mut key, identifier);
        } else {
            key.push('1');
            key.push_str(identifier);
        }
        key.push(' ');
    }
    Some(key)
}

/// Numbers sort as text when their length comes first.
fn push_number(key: &mut String, digits: &str) {
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let _infallible = write!(key, "{:03}{digits}", digits.len());
}

fn leading_numbers(text: &str) -> Option<(Vec<&str>, &str)> {
    let mut numbers = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        numbers.push(&rest[..end]);
        rest = &rest[end..];
        match rest.strip_prefix('.') {
            Some(after) if numbers.len() < 6 && after.starts_with(|c: char| c.is_ascii_digit()) => {
                rest = after;
            }
            _ => return Some((numbers, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_people_expect() {
        let ordered = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "v1.9.0",
            "1.10.0-rc1",
            "1.10.0rc2",
            "1.10.0",
            "1.10.0.1",
            "1.10.1",
            "2",
            "10",
            "20240101",
        ];
        let keys: Vec<_> = ordered.iter().map(|tag| version_key(tag).unwrap()).collect();
        assert!(keys.is_sorted(), "{keys:#?}");
    }

    #[test]
    fn missing_numbers_are_zero_and_metadata_does_not_order() {
        for same in ["1.2", "v1.2", "1.2.0+build.5", "1.2.0_build"] {
            assert_eq!(version_key(same), version_key("1.2.0"), "{same}");
        }
    }

    #[test]
    fn names_that_are_no_versions_have_no_key() {
        for tag in ["latest", "main", "", "v", "release-1.2", "7f3a9c2", "sha256-aaaa.sig", "1.2.é"]
        {
            assert_eq!(version_key(tag), None, "{tag}");
        }
    }
}
