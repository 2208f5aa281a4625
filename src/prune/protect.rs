//! What must stay whatever is chosen: images in use, digests, tags by pattern.
//!
//! A list holds one or more words a line, as `kubectl get pods -A -o jsonpath=…` prints image
//! references: `repo`, `repo:tag`, `repo@sha256:…`, `repo:tag@sha256:…`, each with or without a
//! registry's host before it, or a bare digest, also one without `sha256:` (CRI-O) or cut, as
//! `docker images -q` prints them. `#` begins a comment. How many of the first components are a
//! host, a proxy's prefix or the repository's own is not certain, so all readings are protected.

use std::collections::{HashMap, HashSet};

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::model::Digest;
use crate::roots::{
    Form, Input, Reference, RootsError, Row, each_word, form_of_text, is_host, reference,
};

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
    /// The list holds no reference: what was to write it may have failed.
    #[error("protect list `{file}` names nothing")]
    Empty {
        /// The file.
        file: String,
    },
    /// An export cannot be understood.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// Nothing that the lists name is in this registry: they are of another one.
    #[error("nothing of the {count} references in the protect lists is in this registry")]
    Foreign {
        /// How many they name.
        count: usize,
    },
    /// The command that was to print a list failed.
    #[error("the command of --protect-command failed with {status}: {command}")]
    Command {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
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
            Self::Empty { .. } => {
                "an empty list protects nothing; remove the option if that is meant".into()
            }
            Self::Roots(error) => return error.hint(),
            Self::Foreign { .. } => "nothing was deleted; the lists may be of another cluster or \
                registry, or name images by digests that GitLab writes with 01 before them"
                .into(),
            Self::Command { .. } => "nothing was deleted; run the command by itself and see".into(),
            Self::Pattern { .. } => "patterns read like v1.*, release-[0-9]*, *-stable".into(),
        })
    }
}

impl Protect {
    /// Adds all that a list names, of whatever form, and gives how many references that are; `file` is for
    /// messages.
    pub fn add_list(&mut self, file: &str, text: &str) -> Result<u64, ProtectError> {
        if form_of_text(text) != Form::Words {
            let input = Input::of_text(file, text);
            return Ok(input.read(&mut |row| self.keep(reference_of(row)))?.row_count);
        }
        let mut word_count = 0;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        each_word(file, &mut text.as_bytes(), &mut |line, word| {
            word_count += 1;
            self.keep(reference(word).ok_or_else(|| RootsError::of_word(file, line, word))?);
            Ok(())
        })?;
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

    /// Adds every tag that a reference may mean, and its digest.
    fn keep(&mut self, reference: Reference) {
        for (repository, tag) in reference.readings() {
            self.tags.entry(repository.into_owned()).or_default().insert(tag.to_owned());
        }
        self.digests.extend(reference.digest.clone());
        self.references.insert(reference);
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

/// What a row of an export names: a tag by every reading of its name, a digest wherever it lies.
fn reference_of(row: &Row<'_>) -> Reference {
    let name = row.repository.zip(row.tag);
    let name = name.map(|(repository, tag)| (repository.to_owned(), tag.to_owned()));
    Reference { name, digest: row.digest.clone(), hex_prefix: None }
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
