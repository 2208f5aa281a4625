//! What must stay whatever is chosen: images in use, digests, tags by pattern.
//!
//! A list holds one or more words a line, as `kubectl get pods -A -o jsonpath=…` prints image
//! references: `repo`, `repo:tag`, `repo@sha256:…`, `repo:tag@sha256:…`, each with or without a
//! registry's host before it, or a bare digest, also one without `sha256:` (CRI-O) or cut, as
//! `docker images -q` prints them. `#` begins a comment. How many of the first components are a
//! host, a proxy's prefix or the repository's own is not certain, so all readings are protected.

use std::collections::{HashMap, HashSet};

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::model::{Digest, is_repository_name, is_tag_name};

/// A line longer than this is no list of references.
const MAX_WORD_BYTES: usize = 1024;

/// So many hexadecimal digits has a digest.
const HEX_DIGITS: usize = 64;

/// So many are left of one where container runtimes cut it; fewer could mean anything.
const LEAST_PREFIX_DIGITS: usize = 12;

/// What must stay.
#[derive(Clone, Debug, Default)]
pub struct Protect {
    tags: HashMap<String, HashSet<String>>,
    digests: HashSet<Digest>,
    patterns: Patterns,
    references: HashSet<Reference>,
}

/// Patterns for names of tags.
#[derive(Clone, Debug, Default)]
struct Patterns {
    texts: Vec<String>,
    readings: GlobSet,
    /// Which of the texts each reading is of.
    text_of: Vec<usize>,
}

/// One word of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reference {
    /// The path with all leading components that a repository may have, and the tag.
    name: Option<(String, String)>,
    /// The manifest's or blob's digest.
    pub(super) digest: Option<Digest>,
    /// The first hexadecimal digits of a manifest's or config's digest.
    hex_prefix: Option<String>,
}

impl Reference {
    /// Every repository and tag that it may mean.
    pub(super) fn readings(&self) -> impl Iterator<Item = (&str, &str)> {
        let name = self.name.iter();
        name.flat_map(|(path, tag)| suffixes(path).map(move |reading| (reading, tag.as_str())))
    }

    /// The first and the last digest that begin as the word does.
    pub(super) fn digest_range(&self) -> Option<(Digest, Digest)> {
        let prefix = self.hex_prefix.as_ref()?;
        let padded = |digit: &str| prefix.clone() + &digit.repeat(HEX_DIGITS - prefix.len());
        let digest = |digit: &str| Digest::from_sha256_hex(padded(digit).as_bytes());
        digest("0").zip(digest("f"))
    }
}

/// A path, and what is left of it without its first components.
fn suffixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest))
}

/// How a pattern may be meant: with all leading components, or without those that may be a host, a
/// proxy's prefix or the repository's own, as in a [`Reference`]. A component that is itself a
/// pattern is the repository's.
fn pattern_readings(pattern: &str) -> Vec<String> {
    if !pattern.contains(':') {
        return vec![format!("**:{pattern}")];
    }
    std::iter::successors(Some(pattern), |pattern| without_first(pattern))
        .map(str::to_owned)
        .collect()
}

/// A pattern for `repository:tag` without its first component, if that may be a host.
fn without_first(pattern: &str) -> Option<&str> {
    let (first, rest) = pattern.split_once('/')?;
    let is_literal = !first.contains(['*', '?', '[', ']', '{', '}', '\\']);
    (rest.contains(':') && (is_literal || is_host(first))).then_some(rest)
}

/// A list or pattern that cannot be understood. Ignoring a word of it could cost an image.
#[derive(Debug, thiserror::Error)]
pub enum ProtectError {
    /// The file cannot be read.
    #[error("cannot read protect list `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A word is no reference.
    #[error("{file}:{line}: `{word}` is not an image reference or digest")]
    Word {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The word.
        word: String,
    },
    /// The list holds no reference: what was to write it may have failed.
    #[error("protect list `{file}` names nothing")]
    Empty {
        /// The file.
        file: String,
    },
    /// A pattern is none.
    #[error("`{pattern}` is not a pattern for tags")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
}

impl ProtectError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => "nothing was deleted; check the path given to --protect".into(),
            Self::Word { .. } => {
                "write repo:tag, repo@sha256:…, sha256:… (a registry's host may stand before it), \
                 or # before a comment"
                    .into()
            }
            Self::Empty { .. } => {
                "an empty list protects nothing; remove the option if that is meant".into()
            }
            Self::Pattern { .. } => "patterns read like v1.*, release-[0-9]*, *-stable".into(),
        })
    }
}

impl Protect {
    /// Adds all that a list names, and tells how many words those are; `file` is for messages.
    pub fn add_list(&mut self, file: &str, text: &str) -> Result<usize, ProtectError> {
        let mut word_count = 0;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            for word in line.split(|char: char| char.is_whitespace() || char == ',') {
                if word.is_empty() {
                    continue;
                }
                word_count += 1;
                if self.add(word).is_none() {
                    let word = word.chars().take(100).collect();
                    return Err(ProtectError::Word { file: file.into(), line: index + 1, word });
                }
            }
        }
        Ok(word_count)
    }

    /// Adds patterns for names of tags; one with a `:` is for `repository:tag`, with or without a
    /// registry's host before it.
    pub fn add_patterns(&mut self, patterns: &[String]) -> Result<(), ProtectError> {
        let mut builder = GlobSetBuilder::new();
        let mut text_of = Vec::new();
        for (at, pattern) in patterns.iter().enumerate() {
            let error = |source| ProtectError::Pattern { pattern: pattern.clone(), source };
            for reading in pattern_readings(pattern) {
                builder.add(Glob::new(&reading).map_err(error)?);
                text_of.push(at);
            }
        }
        let readings = builder
            .build()
            .map_err(|source| ProtectError::Pattern { pattern: patterns.join(" "), source })?;
        self.patterns = Patterns { texts: patterns.to_vec(), readings, text_of };
        Ok(())
    }

    /// The patterns that match none of these, each a repository and a tag.
    pub(super) fn unmatched_patterns<'a>(
        &self,
        tags: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<&str> {
        let Patterns { texts, readings, text_of } = &self.patterns;
        let mut is_matched = vec![false; texts.len()];
        let mut matches = Vec::new();
        for (repository, tag) in tags.take_while(|_| !texts.is_empty()) {
            readings.matches_into(format!("{repository}:{tag}"), &mut matches);
            for reading in &matches {
                is_matched[text_of[*reading]] = true;
            }
        }
        let texts = texts.iter().zip(is_matched);
        texts.filter(|(_, is_matched)| !is_matched).map(|(text, _)| text.as_str()).collect()
    }

    fn add(&mut self, word: &str) -> Option<()> {
        if word.len() > MAX_WORD_BYTES {
            return None;
        }
        let reference = reference(word)?;
        for (repository, tag) in reference.readings() {
            self.tags.entry(repository.to_owned()).or_default().insert(tag.to_owned());
        }
        self.digests.extend(reference.digest.clone());
        self.references.insert(reference);
        Some(())
    }

    /// Whether a tag must stay.
    pub fn has_tag(&self, repository: &str, tag: &str) -> bool {
        self.tags.get(repository).is_some_and(|tags| tags.contains(tag))
            || !self.patterns.texts.is_empty()
                && self.patterns.readings.is_match(format!("{repository}:{tag}"))
    }

    /// Whether a manifest or blob must stay, wherever it is.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        !self.digests.is_empty() && self.digests.contains(digest)
    }

    /// How many references lists name, each counted once.
    pub fn reference_count(&self) -> usize {
        self.references.len()
    }

    /// References read from lists, each once.
    pub(super) fn references(&self) -> impl Iterator<Item = &Reference> {
        self.references.iter()
    }
}

/// What a word means, if it is a reference.
fn reference(word: &str) -> Option<Reference> {
    // The image ids of container runtimes: `docker-pullable://repo@sha256:…`, `docker://sha256:…`.
    let word = match word.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        Some(_) => return None,
        None => word,
    };
    if let Some(digest) = Digest::from_sha256_hex(word.as_bytes()) {
        return Some(Reference { name: None, digest: Some(digest), hex_prefix: None });
    }
    if let Ok(digest) = Digest::parse(word) {
        // `app:release-2026-01-15` has the form of a digest, too: both readings are protected.
        let (repository, tag) = word.split_once(':')?;
        let is_name = is_repository_name(repository) && is_tag_name(tag);
        let name = is_name.then(|| (repository.to_owned(), tag.to_owned()));
        return Some(Reference { name, digest: Some(digest), hex_prefix: None });
    }
    let (name, digest) = match word.split_once('@') {
        Some((name, digest)) => (name, Some(Digest::parse(digest).ok()?)),
        None => (word, None),
    };
    // A colon before the last slash is a host's port.
    let after_path = name.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match name[after_path..].split_once(':') {
        Some((last, tag)) => (&name[..after_path + last.len()], Some(tag)),
        None => (name, None),
    };
    // A digest that was cut is no tag of a repository `sha256`.
    let is_cut = tag.is_some() && matches!(path, "sha256" | "sha512");
    if is_cut || tag.is_some_and(|tag| !is_tag_name(tag)) {
        return None;
    }
    let repository = match path.split_once('/') {
        _ if is_repository_name(path) => path,
        Some((host, rest)) if is_host(host) && is_repository_name(rest) => rest,
        _ => return None,
    };
    let has_name = tag.is_some() || digest.is_none();
    let tag = tag.unwrap_or("latest");
    let name = has_name.then(|| (repository.to_owned(), tag.to_owned()));
    // It may be a repository's name, too: both readings are protected.
    let hex_prefix = is_hex_prefix(word).then(|| word.to_owned());
    Some(Reference { name, digest, hex_prefix })
}

/// Whether a text is the beginning of a digest, as `docker images -q` and `docker ps` print it.
fn is_hex_prefix(text: &str) -> bool {
    (LEAST_PREFIX_DIGITS..HEX_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_scheme(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    !text.is_empty() && text.bytes().all(is_part)
}

/// Whether a text is a host's name or address, perhaps with a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_number = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = match address {
        Some(address) => address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => host.bytes().all(is_part),
    };
    port.is_none_or(is_number) && is_name && !host.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn list(text: &str) -> Protect {
        let mut protect = Protect::default();
        protect.add_list("used", text).unwrap();
        protect
    }

    #[test]
    fn references_are_read_as_kubectl_prints_them() {
        let text = format!(
            "registry.example.com:5000/team/app:v1 team/web nginx\n\
             docker-pullable://registry.example.com/db@{DIGEST} # a comment: not a reference\n"
        );
        let protect = list(&text);
        assert!(protect.has_tag("team/app", "v1"));
        assert!(!protect.has_tag("team/app", "v2"));
        assert!(protect.has_tag("team/web", "latest"));
        assert!(protect.has_tag("web", "latest"), "team may be a host's name");
        assert!(protect.has_tag("nginx", "latest"));
        assert!(protect.has_digest(&Digest::parse(DIGEST).unwrap()));
        assert!(!protect.has_tag("db", "latest"), "only its digest is in use");
        assert_eq!(protect.reference_count(), 4);
    }

    #[test]
    fn a_word_that_is_no_reference_is_an_error_that_names_its_line() {
        let error = Protect::default().add_list("used", "a:b\n\nrepo@sha256:abc").unwrap_err();
        assert_eq!(
            error.to_string(),
            "used:3: `repo@sha256:abc` is not an image reference or digest"
        );
        assert!(Protect::default().add_list("used", "repo:").is_err());
    }

    #[test]
    fn words_that_no_registry_takes_are_errors_and_not_ignored() {
        let mut words: Vec<String> = [
            "team/App:v1",
            "App",
            "app:v1;",
            "\"app:v1\"",
            "'app:v1'",
            "app:v1@",
            "@sha256",
            "a//b",
            "host:port/app",
            "\"docker://app",
            "://app",
            "sha256:e3b0c442",
            "a/\u{feff}app:v1",
            "x_Y/app",
            "app:-v1",
        ]
        .map(str::to_owned)
        .into();
        words.push(DIGEST.to_uppercase());
        words.push(DIGEST[7..].to_uppercase());
        for word in words {
            let error = Protect::default().add_list("used", &format!("app:v1\n{word}"));
            assert!(error.is_err_and(|error| error.to_string().starts_with("used:2: ")), "{word}");
        }
    }

    #[test]
    fn hosts_ports_schemes_and_bare_hex_digits_are_understood() {
        let text = format!(
            "\u{feff}REG.example.com:5000/team/app:v1 [::1]:5000/db Localhost/web:2 {}\n\
             docker://sha256:{}",
            &DIGEST[7..],
            "ab".repeat(32)
        );
        let protect = list(&text);
        for (repository, tag) in [("team/app", "v1"), ("db", "latest"), ("web", "2")] {
            assert!(protect.has_tag(repository, tag), "{repository}");
        }
        assert!(protect.has_digest(&Digest::parse(DIGEST).unwrap()));
        assert!(
            protect.has_digest(&Digest::parse(&format!("sha256:{}", "ab".repeat(32))).unwrap())
        );
    }

    #[test]
    fn a_reference_is_looked_for_without_any_number_of_leading_components() {
        let protect = list("registry.corp/proxy/team/app:v1");
        for repository in ["registry.corp/proxy/team/app", "proxy/team/app", "team/app", "app"] {
            assert!(protect.has_tag(repository, "v1"), "{repository}");
        }
        assert!(!protect.has_tag("proxy/team", "v1"));
    }

    #[test]
    fn a_tag_that_looks_like_a_digest_is_protected_as_both() {
        let protect = list(&format!("app:release-2026-01-15 {DIGEST}"));
        assert!(protect.has_tag("app", "release-2026-01-15"));
        assert!(protect.has_digest(&Digest::parse(DIGEST).unwrap()));
    }

    #[test]
    fn patterns_match_tags_of_every_repository_or_of_one() {
        let mut protect = Protect::default();
        protect.add_patterns(&["v1.*".into(), "team/app:nightly".into()]).unwrap();
        assert!(protect.has_tag("any/where", "v1.2"));
        assert!(!protect.has_tag("any/where", "v2.1"));
        assert!(protect.has_tag("team/app", "nightly"));
        assert!(!protect.has_tag("other", "nightly"));
        assert!(Protect::default().add_patterns(&["[".into()]).is_err());
    }

    #[test]
    fn patterns_may_have_a_host_as_references_may() {
        let patterns = ["reg.example.com:5000/multi:v*", "[::1]:5000/db:*", "corp/*/app:stable"];
        let mut protect = Protect::default();
        protect.add_patterns(&patterns.map(str::to_owned)).unwrap();
        assert!(protect.has_tag("multi", "v1"));
        assert!(protect.has_tag("db", "17"));
        assert!(protect.has_tag("corp/team/app", "stable") && protect.has_tag("a/app", "stable"));
        for (repository, tag) in [("multi", "w1"), ("other", "v1"), ("app", "stable")] {
            assert!(!protect.has_tag(repository, tag), "{repository}:{tag}");
        }
    }

    #[test]
    fn patterns_that_match_no_tag_are_told() {
        let mut protect = Protect::default();
        let patterns = ["v1.*", "host:5000/app:v*", "host:5000/app", "tea/app:v*"];
        protect.add_patterns(&patterns.map(str::to_owned)).unwrap();
        let tags = [("app", "v2.0"), ("team/app", "1.0")];
        let unmatched = protect.unmatched_patterns(tags.into_iter());
        assert_eq!(unmatched, ["v1.*", "host:5000/app"]);
    }

    #[test]
    fn a_bare_word_of_hex_digits_is_a_cut_digest_and_a_name() {
        let prefix = &DIGEST[7..19];
        let protect = list(prefix);
        assert!(protect.has_tag(prefix, "latest"));
        let digest = Digest::parse(DIGEST).unwrap();
        let has = |text: &str| {
            let protect = list(text);
            let range = protect.references().find_map(Reference::digest_range);
            range.is_some_and(|(first, last)| first <= digest && digest <= last)
        };
        assert!(has(prefix) && has(&DIGEST[7..70]));
        assert!(!has(&DIGEST[7..18]), "11 digits could mean anything");
        assert!(!has("e3b0c44298fd") && !has("e3b0c44298fb"));
        assert!(!has(&format!("{prefix}:v1")), "that is a tag");
    }
}
