//! What must stay whatever is chosen: images in use, digests, tags by pattern.
//!
//! A list holds one or more words a line, as `kubectl get pods -A -o jsonpath=…` prints image
//! references: `repo`, `repo:tag`, `repo@sha256:…`, `repo:tag@sha256:…`, each with or without a
//! registry's host before it, or a bare digest. `#` begins a comment. Whether the first component
//! is a host is not always certain, so both readings are protected.

use std::collections::{HashMap, HashSet};

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::model::Digest;

/// A line longer than this is no list of references.
const MAX_WORD_BYTES: usize = 1024;

/// What must stay.
#[derive(Clone, Debug, Default)]
pub struct Protect {
    tags: HashMap<String, HashSet<String>>,
    digests: HashSet<Digest>,
    patterns: GlobSet,
    reference_count: usize,
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
            Self::Pattern { .. } => "patterns read like v1.*, release-[0-9]*, *-stable".into(),
        })
    }
}

impl Protect {
    /// Adds all that a list names; `file` is for messages.
    pub fn add_list(&mut self, file: &str, text: &str) -> Result<(), ProtectError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            for word in line.split(|char: char| char.is_whitespace() || char == ',') {
                if !word.is_empty() && self.add(word).is_none() {
                    let word = word.chars().take(100).collect();
                    return Err(ProtectError::Word { file: file.into(), line: index + 1, word });
                }
            }
        }
        Ok(())
    }

    /// Adds patterns for names of tags; one with a `:` is for `repository:tag`.
    pub fn add_patterns(&mut self, patterns: &[String]) -> Result<(), ProtectError> {
        let mut builder = GlobSetBuilder::new();
        for pattern in patterns {
            let error = |source| ProtectError::Pattern { pattern: pattern.clone(), source };
            let of_all =
                if pattern.contains(':') { pattern.clone() } else { format!("**:{pattern}") };
            builder.add(Glob::new(&of_all).map_err(error)?);
        }
        self.patterns = builder
            .build()
            .map_err(|source| ProtectError::Pattern { pattern: patterns.join(" "), source })?;
        Ok(())
    }

    fn add(&mut self, word: &str) -> Option<()> {
        if word.len() > MAX_WORD_BYTES {
            return None;
        }
        // The image ids of old container runtimes: `docker-pullable://repo@sha256:…`.
        let word = word.rsplit_once("://").map_or(word, |(_, rest)| rest);
        self.reference_count += 1;
        if let Ok(digest) = Digest::parse(word) {
            // `app:release-2026-01-15` has the form of a digest, too: both readings are protected.
            if let Some((repository, tag)) = word.split_once(':') {
                self.tags.entry(repository.to_owned()).or_default().insert(tag.to_owned());
            }
            self.digests.insert(digest);
            return Some(());
        }
        let (name, digest) = match word.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest).ok()?)),
            None => (word, None),
        };
        // A colon before the last slash is a host's port.
        let after_path = name.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match name[after_path..].split_once(':') {
            Some((last, tag)) => (&name[..after_path + last.len()], Some(tag)),
            None => (name, None),
        };
        let is_name = |text: &str| {
            !text.is_empty() && text.chars().all(|char| !char.is_control() && char != '"')
        };
        if !is_name(repository) || tag.is_some_and(|tag| !is_name(tag)) {
            return None;
        }
        if tag.is_some() || digest.is_none() {
            let tag = tag.unwrap_or("latest");
            let without_host = repository.split_once('/').map(|(_, rest)| rest);
            for reading in [Some(repository), without_host].into_iter().flatten() {
                self.tags.entry(reading.to_owned()).or_default().insert(tag.to_owned());
            }
        }
        self.digests.extend(digest);
        Some(())
    }

    /// Whether a tag must stay.
    pub fn has_tag(&self, repository: &str, tag: &str) -> bool {
        self.tags.get(repository).is_some_and(|tags| tags.contains(tag))
            || !self.patterns.is_empty() && self.patterns.is_match(format!("{repository}:{tag}"))
    }

    /// Whether a manifest or blob must stay, wherever it is.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        !self.digests.is_empty() && self.digests.contains(digest)
    }

    /// References read from lists.
    pub fn reference_count(&self) -> usize {
        self.reference_count
    }
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
}
