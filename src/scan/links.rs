//! Links by number: digests are looked up once, by many threads.

use std::collections::HashSet;
use std::path::Path;

use crate::model::{Code, Digest};
use crate::storage::{LeafOptions, LeafState, Storage};

use super::facts::{
    HoldScope, LinkFacts, NumberedLink, NumberedLinks, NumberedTag, RepositoryFacts,
};
use super::intern::DigestNumbers;

/// Takes a repository's links out of its facts and numbers their digests.
pub fn number_links(
    storage: &dyn Storage,
    numbers: &DigestNumbers<'_>,
    schema1: &HashSet<u32>,
    mut facts: RepositoryFacts,
) -> (RepositoryFacts, NumberedLinks) {
    let number = |links: Vec<LinkFacts>| -> Vec<NumberedLink> {
        links.iter().map(|link| number_link(numbers, link)).collect()
    };
    let signatures = signatures(storage, numbers, schema1, &mut facts);
    let links = NumberedLinks {
        signatures,
        revisions: number(std::mem::take(&mut facts.revisions)),
        layer_links: number(std::mem::take(&mut facts.layer_links)),
        tags: std::mem::take(&mut facts.tags)
            .into_iter()
            .map(|tag| NumberedTag {
                name: tag.name,
                target: tag.target.map(|digest| numbers.number(&digest)),
                is_unreadable: tag.is_unreadable,
                modified_ns: tag.modified_ns,
                entries: number(tag.entries),
            })
            .collect(),
    };
    (facts, links)
}

fn number_link(numbers: &DigestNumbers<'_>, link: &LinkFacts) -> NumberedLink {
    let name = numbers.number(&link.name);
    NumberedLink {
        name,
        target: link.other_target.as_ref().map_or(name, |target| numbers.number(target)),
        modified_ns: link.modified_ns,
        is_doubtful: link.is_doubtful,
    }
}

/// Registries up to 2.3 kept signatures of schema 1 manifests as blobs of their own, linked beside
/// the revision (storage facts, case 25).
fn signatures(
    storage: &dyn Storage,
    numbers: &DigestNumbers<'_>,
    schema1: &HashSet<u32>,
    facts: &mut RepositoryFacts,
) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    if schema1.is_empty() {
        return found;
    }
    for revision in &facts.revisions {
        let number = numbers.number(&revision.name);
        if !schema1.contains(&number) {
            continue;
        }
        let below =
            format!("_manifests/revisions/sha256/{}/signatures/sha256", revision.name.encoded());
        let directory = facts.path.join(below);
        match storage.list_leaves(&directory, Path::new("link"), LeafOptions::default()) {
            Ok(leaves) => found.extend(
                leaves
                    .iter()
                    .filter(|leaf| !matches!(leaf.state, LeafState::NotADirectory(_)))
                    .filter_map(|leaf| Digest::from_sha256_hex(leaf.name.to_str()?.as_bytes()))
                    .map(|signature| (number, numbers.number(&signature))),
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let name = facts.name.clone();
                facts.notes.find(
                    Code::DirectoryUnreadable,
                    Some(&name),
                    &directory,
                    error.to_string(),
                );
                facts.notes.hold(HoldScope::Storage, Code::DirectoryUnreadable, &directory);
            }
        }
    }
    found
}
