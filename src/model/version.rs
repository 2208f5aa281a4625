//! A sort key that puts tags in the order of versions, for SQL that knows only text order.
//!
//! The one order of all tags that are versions, oldest first:
//!
//! 1. Build numbers: words, then a number (`build-9 < build-10`, `main-7f3a9c2-1611906956`). All
//!    of them come before plain versions; different words are ordered by the words.
//! 2. Versions as semver.org 11 orders them (`1.9.0 < 1.10.0`, pre-releases before the release),
//!    stretched to what tags really look like: a leading `v`, one to six numbers, `1.2.3rc1`,
//!    `git describe` (`1.2.3-5-g7f3a9c2` follows `1.2.3`). Missing numbers count as zero up to
//!    three. Build metadata (`+x`, or `_x` as Helm writes it) and a commit hash at the end
//!    (`1.2.3-7f3a9c2`) do not order.
//! 3. Dates are versions of year, month and day, however they are written: `2024-01-05`,
//!    `20240105`, `2024.1.5`; what follows is a time or a build of that day.
//!
//! Whether a tag such as `1.4` is a version of its own depends on its neighbours; see
//! [`super::tag_name`].

use std::borrow::Cow;
use std::fmt::Write as _;

/// Separates numbers; sorts after [`RELEASE`].
const NEXT_NUMBER: char = '~';
/// Ends the numbers of a release; sorts after [`PRE_RELEASE`].
const RELEASE: char = '/';
/// Ends the numbers of a pre-release.
const PRE_RELEASE: char = '-';
/// Begins the key of a build number; sorts before any digit.
const BUILD: char = '!';

/// The parts of a tag that is a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version<'a> {
    /// The words before a build number, in lower case; empty for a plain version.
    words: String,
    /// At least one; digits only.
    numbers: Vec<Cow<'a, str>>,
    /// What follows a `-`, without a commit hash; `None` for a release.
    suffix: Option<String>,
    is_date: bool,
}

/// The key of a tag that is a version; `None` for `latest`, `main` and the like. Floating tags
/// count as the first version of their line: only their repository shows what they are.
pub fn version_key(tag: &str) -> Option<String> {
    Version::parse(tag).map(|version| version.key())
}

/// Whether a word is a commit: 7 to 40, or 64, lower-case hexadecimal digits, with a letter and a
/// number among them. A hash of digits alone looks like a number.
pub(super) fn is_commit(word: &str) -> bool {
    matches!(word.len(), 7..=40 | 64)
        && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Words before a number that say that it is a commit's.
const COMMIT_WORDS: &[&str] = &["sha", "sha1", "git", "commit", "rev"];

/// Words that make a suffix a step towards a release and not a variant of it.
const PRE_RELEASE_WORDS: &[&str] = &[
    "alpha", "beta", "rc", "pre", "preview", "dev", "snapshot", "nightly", "canary", "a", "b", "m",
];

impl<'a> Version<'a> {
    pub(super) fn parse(tag: &'a str) -> Option<Self> {
        if !tag.is_ascii() || is_commit(tag) {
            return None;
        }
        let mut words = String::new();
        let mut rest = tag;
        loop {
            let text = rest.strip_prefix(['v', 'V']).unwrap_or(rest);
            if text.starts_with(|c: char| c.is_ascii_digit()) && !is_commit(first_word(text)) {
                return Self::from_number(words, text);
            }
            let word = first_word(rest);
            let after = rest[word.len()..].get(1..)?;
            if word.bytes().all(|byte| byte.is_ascii_alphabetic()) && !word.is_empty() {
                if !words.is_empty() {
                    words.push(' ');
                }
                words.push_str(&word.to_ascii_lowercase());
            } else if words.is_empty() || !is_commit(word) {
                return None;
            }
            rest = after;
        }
    }

    /// `text` begins with a digit.
    fn from_number(words: String, text: &'a str) -> Option<Self> {
        if let Some(date) = Self::from_date(&words, text) {
            return Some(date);
        }
        if COMMIT_WORDS.contains(&words.as_str()) {
            return None;
        }
        let (mut numbers, rest) = leading_numbers(text)?;
        if let Some(commits) = described_commits(rest) {
            // `git describe`: the number of commits after the release.
            while numbers.len() < 3 {
                numbers.push("0".into());
            }
            numbers.push(commits.into());
            return Some(Self { words, numbers, suffix: None, is_date: false });
        }
        let suffix = match rest.chars().next() {
            None | Some('+' | '_') => None,
            Some('-') => Some(&rest[1..]),
            // `1.2rc1`, but not `7f3a9c2`: a commit is no version.
            Some(c) if c.is_ascii_alphabetic() && numbers.len() > 1 => Some(rest),
            Some(_) => return None,
        };
        let version = Self {
            words,
            numbers,
            suffix: suffix.map(without_commit).filter(|suffix| !suffix.is_empty()),
            is_date: false,
        };
        // `feature-12-login` is the name of a branch.
        let is_branch =
            !version.words.is_empty() && version.suffix.is_some() && !version.is_pre_release();
        (!is_branch).then_some(version)
    }

    fn from_date(words: &str, text: &'a str) -> Option<Self> {
        let (date, mut rest) = leading_date(text)?;
        let mut numbers = date.map(Cow::from).to_vec();
        // A time, or the builds of that day.
        loop {
            let after = rest.strip_prefix(['-', '_', '.', 'T', 't']).unwrap_or(rest);
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let ends_word = !after[end..].starts_with(|c: char| c.is_ascii_alphabetic())
                || after[end..].starts_with(['Z', 'z', 'T', 't']);
            if end == 0 || !ends_word || is_commit(first_word(after)) {
                break;
            }
            // `1230` is half past twelve, and so is `123000`.
            let is_short_time = end == 4 && rest.len() == after.len();
            let number = &after[..end];
            numbers.push(if is_short_time { format!("{number}00").into() } else { number.into() });
            rest = &after[end..];
        }
        let rest = rest.strip_prefix(['Z', 'z']).unwrap_or(rest);
        let suffix = without_commit(rest.strip_prefix(['-', '_', '.', '+']).unwrap_or(rest));
        if suffix.len() == rest.len() && !suffix.is_empty() && !is_commit(rest) {
            // `20240105rc1` is no date.
            return None;
        }
        let suffix = Some(suffix).filter(|suffix| !suffix.is_empty());
        Some(Self { words: words.to_owned(), numbers, suffix, is_date: true })
    }

    /// Whether its suffix says that the release is still to come, and not which variant it is.
    fn is_pre_release(&self) -> bool {
        self.suffix.as_deref().is_some_and(|suffix| {
            let word = suffix.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
            PRE_RELEASE_WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
        })
    }

    /// A number with nothing beside it: some commit hashes look like that.
    pub(super) fn is_bare_number(&self) -> bool {
        self.words.is_empty() && self.numbers.len() == 1 && self.suffix.is_none()
    }

    /// The lines of versions that it belongs to: `1.4.2` to those of `1` and of `1.4`.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let count = if self.is_date || !self.words.is_empty() { 0 } else { self.numbers.len() - 1 };
        (1..=count.min(2)).map(|length| self.line_of(length))
    }

    /// The line that it floats on if other versions are in it.
    pub(super) fn line(&self) -> Option<String> {
        let is_short = self.numbers.len() <= 2 && self.words.is_empty();
        (is_short && !self.is_date && !self.is_pre_release())
            .then(|| self.line_of(self.numbers.len()))
    }

    fn line_of(&self, length: usize) -> String {
        let mut line = String::new();
        for number in &self.numbers[..length] {
            push_number(&mut line, number);
            line.push(NEXT_NUMBER);
        }
        line.push_str(self.suffix.as_deref().unwrap_or(""));
        line
    }

    /// The key of a tag that moves along its line: after each version in it, and before the next line.
    pub(super) fn floating_key(&self) -> String {
        let mut key = String::new();
        for number in &self.numbers {
            push_number(&mut key, number);
            key.push(NEXT_NUMBER);
        }
        key.push(NEXT_NUMBER);
        self.push_end(&mut key);
        key
    }

    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        if !self.words.is_empty() {
            key.push(BUILD);
            key.push_str(&self.words);
            key.push(BUILD);
        }
        for position in 0..self.numbers.len().max(3) {
            if position > 0 {
                key.push(NEXT_NUMBER);
            }
            push_number(&mut key, self.numbers.get(position).map_or("0", AsRef::as_ref));
        }
        self.push_end(&mut key);
        key
    }

    fn push_end(&self, key: &mut String) {
        let Some(suffix) = &self.suffix else {
            key.push(RELEASE);
            return;
        };
        key.push(PRE_RELEASE);
        for identifier in suffix.split('.') {
            if !identifier.is_empty() && identifier.bytes().all(|byte| byte.is_ascii_digit()) {
                key.push('0');
                push_number(key, identifier);
            } else {
                key.push('1');
                key.push_str(identifier);
            }
            key.push(' ');
        }
    }
}

/// Up to the first `-`, `_` or `.`.
fn first_word(text: &str) -> &str {
    text.split(['-', '_', '.']).next().unwrap_or("")
}

/// The `5` of `-5-g7f3a9c2`.
fn described_commits(rest: &str) -> Option<&str> {
    let (commits, hash) = rest.strip_prefix('-')?.split_once("-g")?;
    let is_hash = hash.len() >= 7 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && !commits.is_empty() && commits.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(commits)
}

/// A suffix without build metadata and without the commit at its end.
fn without_commit(suffix: &str) -> String {
    let suffix = suffix.split(['+', '_']).next().unwrap_or("");
    match suffix.rfind(['-', '.']) {
        Some(at) if is_commit(&suffix[at + 1..]) => suffix[..at].to_owned(),
        None if is_commit(suffix) => String::new(),
        _ => suffix.to_owned(),
    }
}

/// Year, month and day at the beginning, and what follows.
fn leading_date(text: &str) -> Option<([&str; 3], &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (date, rest) = match digits {
        8 | 12 | 14 => ([&text[..4], &text[4..6], &text[6..8]], &text[8..]),
        4 => {
            let separator = text.as_bytes().get(4)?;
            if !matches!(separator, b'-' | b'_' | b'.') || text.as_bytes().get(7)? != separator {
                return None;
            }
            let rest = &text[10.min(text.len())..];
            if rest.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            ([&text[..4], &text[5..7], text.get(8..10)?], rest)
        }
        _ => return None,
    };
    let [year, month, day] = date.map(|part| part.parse::<u16>().unwrap_or(0));
    let is_date =
        (1990..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    is_date.then_some((date, rest))
}

/// Numbers sort as text when their length comes first.
fn push_number(key: &mut String, digits: &str) {
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let _infallible = write!(key, "{:03}{digits}", digits.len());
}

fn leading_numbers(text: &str) -> Option<(Vec<Cow<'_, str>>, &str)> {
    let mut numbers = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        numbers.push(Cow::from(&rest[..end]));
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
            "build-9",
            "build-10",
            "build-11-7f3a9c2",
            "ci-1",
            "main-7f3a9c2-1611906956",
            "main-a1b2c3d-1611906957",
            "release-1.2-rc1",
            "release-1.2",
            "release-v1.10",
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0-rc.1-alpine",
            "1.0.0",
            "1.0.0-5-g7f3a9c2",
            "1.0.0-12-g7f3a9c2",
            "v1.9.0",
            "1.10.0-rc1",
            "1.10.0rc2",
            "1.10.0",
            "1.10.0.1",
            "1.10.1",
            "2",
            "10",
            "20240101",
            "2024-01-02",
            "20240103-1",
            "20240103-2-7f3a9c2",
            "20240104T120000Z",
            "202401041230",
            "20240104124500",
            "2024.1.5",
            "1700000000",
        ];
        let keys: Vec<_> =
            ordered.iter().map(|tag| version_key(tag).unwrap_or_else(|| panic!("{tag}"))).collect();
        for (pair, tags) in keys.windows(2).zip(ordered.windows(2)) {
            assert!(pair[0] < pair[1], "{tags:?} {pair:?}");
        }
    }

    #[test]
    fn missing_numbers_are_zero_and_metadata_and_commits_do_not_order() {
        for same in ["1.2", "v1.2", "1.2.0+build.5", "1.2.0_build"] {
            assert_eq!(version_key(same), version_key("1.2.0"), "{same}");
        }
        assert_eq!(version_key("1.2-dev-7f3a9c2"), version_key("1.2-dev-a1b2c3d"));
        assert_eq!(version_key("2024-01-05-7f3a9c2"), version_key("20240105"));
    }

    #[test]
    fn names_that_are_no_versions_have_no_key() {
        for tag in [
            "latest",
            "main",
            "",
            "v",
            "7f3a9c2",
            "sha-7f3a9c2",
            "sha-8601903",
            "main-7f3a9c2",
            "sha256-aaaa.sig",
            "1.2.é",
            "amd64",
            "linux-arm64",
            "e2e-playwright",
            "jdk17",
            "feature-12-login",
            "-1",
            "a--1",
            "bookworm",
        ] {
            assert_eq!(version_key(tag), None, "{tag}");
        }
    }

    #[test]
    fn no_name_makes_it_panic() {
        let mut random = 7_u64;
        let alphabet: Vec<char> = "0129vVag-_.+TZ~é".chars().collect();
        for _ in 0..200_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut bits = random >> 8;
            let name: String = (0..(random >> 60) + 2)
                .map(|_| {
                    bits = bits.rotate_right(4);
                    alphabet[(bits & 15) as usize]
                })
                .collect();
            let key = version_key(&name);
            assert!(key.is_none_or(|key| key.is_ascii()), "{name}");
        }
    }
}
