//! What the name of a tag says, beside the other tags of its repository.
//!
//! Rules of retention need to know which tags are versions, which ones move from image to image,
//! which ones only name a commit, and which ones belong to another image.

use std::collections::HashSet;

use super::Digest;
use super::version::{Version, is_commit};

/// What a tag's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagName {
    /// Sorts tags as versions; `None` when the tag is not a version. A floating tag (`1.4` beside
    /// `1.4.2`) sorts after all versions that it stands for.
    pub version_key: Option<String>,
    /// What kind of name it is.
    pub class: TagClass,
}

/// What kind of name a tag has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagClass {
    /// A version, a date or a build number.
    Version,
    /// It names a commit, and so one build for good; it says nothing about order.
    Commit,
    /// It belongs to the image whose digest it names, when that digest is known in full.
    ///
    /// `sha256-<hex>.sig`, `.att` and `.sbom` are cosign's, `sha256-<hex>` alone is the referrers tag
    /// schema of the OCI distribution specification 1.1.
    Referrer(Option<Digest>),
    /// Any other name, such as `latest`, `main` or `prod`.
    Name,
}

/// What the names of one repository's tags say, in the order of `names`.
pub fn tag_names(names: &[&str]) -> Vec<TagName> {
    let versions: Vec<Option<Version<'_>>> =
        names.iter().map(|name| Version::parse(name)).collect();
    let lines: HashSet<String> = versions.iter().flatten().flat_map(Version::lines).collect();
    // One commit in thirty has a short hash of digits alone.
    let commit_lengths: HashSet<usize> =
        names.iter().filter(|name| is_commit(name)).map(|name| name.len()).collect();
    names
        .iter()
        .zip(&versions)
        .map(|(name, version)| {
            let unordered = |class| TagName { version_key: None, class };
            if let Some(class) = referrer_class(name) {
                return unordered(class);
            }
            match version {
                Some(version)
                    if version.is_bare_number() && commit_lengths.contains(&name.len()) =>
                {
                    unordered(TagClass::Commit)
                }
                Some(version) => {
                    let is_floating = version.line().is_some_and(|line| lines.contains(&line));
                    let key = if is_floating { version.floating_key() } else { version.key() };
                    TagName { version_key: Some(key), class: TagClass::Version }
                }
                None if names_commit(name) => unordered(TagClass::Commit),
                None => unordered(TagClass::Name),
            }
        })
        .collect()
}

/// A commit alone or among words: `7f3a9c2`, `sha-7f3a9c2`, `main-7f3a9c2`.
fn names_commit(name: &str) -> bool {
    let mut words = name.split(['-', '_', '.']);
    words.any(is_commit) || name.strip_prefix("sha-").is_some_and(is_digits)
}

fn is_digits(text: &str) -> bool {
    text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The digest of the image that a tag belongs to by its name, where the name holds all of it:
/// `sha256-<digest>` alone (OCI distribution specification, "Referrers Tag Schema") or with a suffix
/// such as `.sig`, `.att` and `.sbom` (cosign).
pub fn tag_subject(name: &str) -> Option<Digest> {
    match referrer_class(name)? {
        TagClass::Referrer(digest) => digest,
        _ => None,
    }
}

/// `Some` when the tag belongs to another manifest.
fn referrer_class(name: &str) -> Option<TagClass> {
    let (algorithm, rest) = ["sha256", "sha512"].into_iter().find_map(|algorithm| {
        Some((algorithm, name.strip_prefix(algorithm)?.strip_prefix('-')?))
    })?;
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let length = rest.bytes().take_while(|byte| is_hex(byte)).count();
    // The referrers tag schema cuts a longer digest after 64 digits.
    let is_known = length == 64 || length == 128 && algorithm == "sha512";
    let ends = !rest[length..].starts_with(|c: char| c.is_alphanumeric());
    if !is_known || !ends {
        return None;
    }
    let is_whole = algorithm == "sha256" || length == 128;
    let digest = format!("{algorithm}:{}", &rest[..length]);
    Some(TagClass::Referrer(Digest::parse(&digest).ok().filter(|_| is_whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest_first(mut names: Vec<&str>) -> Vec<&str> {
        let keys = tag_names(&names);
        let mut keyed: Vec<_> = keys.into_iter().map(|name| name.version_key).zip(names).collect();
        keyed.sort_by(|a, b| b.cmp(a));
        names = keyed.into_iter().map(|(_, name)| name).collect();
        names
    }

    #[test]
    fn a_floating_tag_follows_the_versions_that_it_stands_for() {
        assert_eq!(
            newest_first(vec![
                "1",
                "1.4",
                "1.4.2",
                "1.4.10",
                "1.5.0",
                "2.0.0",
                "2.0.0-rc1",
                "1.5.0-rc.1"
            ]),
            ["2.0.0", "2.0.0-rc1", "1", "1.5.0", "1.5.0-rc.1", "1.4", "1.4.10", "1.4.2"]
        );
        assert_eq!(
            newest_first(vec!["1.4-alpine", "1.4.2-alpine", "1.4.2", "1.5.0"]),
            ["1.5.0", "1.4-alpine", "1.4.2", "1.4.2-alpine"]
        );
    }

    #[test]
    fn short_versions_without_longer_ones_are_versions() {
        assert_eq!(newest_first(vec!["1.4", "1.10", "1.9"]), ["1.10", "1.9", "1.4"]);
        assert_eq!(newest_first(vec!["1.4-rc1", "1.4", "1.4.1"]), ["1.4", "1.4.1", "1.4-rc1"]);
    }

    #[test]
    fn a_hash_of_digits_is_known_by_its_neighbours() {
        let class = |names: &[&str]| tag_names(names)[0].class.clone();
        assert_eq!(class(&["8601903", "7f3a9c2"]), TagClass::Commit);
        assert_eq!(class(&["8601903", "8601904"]), TagClass::Version);
    }

    #[test]
    fn signatures_and_fallback_tags_name_their_image() {
        let hex = "0a".repeat(32);
        let digest = Digest::parse(&format!("sha256:{hex}")).unwrap();
        for suffix in ["", ".sig", ".att", ".sbom", ".cosign-bundle", "-x", ".a.b"] {
            let name = format!("sha256-{hex}{suffix}");
            let found = tag_names(&[&name]).remove(0);
            assert_eq!(found.class, TagClass::Referrer(Some(digest.clone())), "{name}");
            assert_eq!(found.version_key, None);
        }
        let cut = format!("sha512-{hex}");
        assert_eq!(tag_names(&[&cut])[0].class, TagClass::Referrer(None));
        for name in
            [format!("sha256-{hex}a"), format!("sha256-{}", &hex[2..]), format!("sha256-{hex}z")]
        {
            assert!(!matches!(tag_names(&[&name])[0].class, TagClass::Referrer(_)), "{name}");
        }
    }

    #[test]
    fn names_say_what_they_are() {
        for (name, class) in [
            ("1.2.3", TagClass::Version),
            ("build-9", TagClass::Version),
            ("7f3a9c2", TagClass::Commit),
            ("sha-7f3a9c2", TagClass::Commit),
            ("sha-8601903", TagClass::Commit),
            ("main-7f3a9c2", TagClass::Commit),
            ("latest", TagClass::Name),
            ("prod", TagClass::Name),
            ("arm64", TagClass::Name),
            ("", TagClass::Name),
        ] {
            assert_eq!(tag_names(&[name])[0].class, class, "{name}");
        }
    }
}
