//! The guards of a storage that may not be the whole truth: what a selection may hold while something
//! outside of the storage seems to hold references.

use std::collections::BTreeSet;
use std::io;

use super::choose::Chosen;
use super::name::SkipGroup;
use crate::graph::{Graph, Item};
use crate::model::authority::{Evidence, EvidenceCode, Product, suspicion};
use crate::model::{Kind, Name, is_repository_name};
use crate::registry::{Registry, RegistryError};
use crate::storage::Storage;
use crate::storage::paths;

/// Why nothing is planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} seems to hold references to this storage, so {what} cannot be judged: {}", .product.title(), .seen.join("; "))]
pub struct AuthorityError {
    product: Product,
    what: &'static str,
    seen: Vec<String>,
}

impl AuthorityError {
    /// The ways out.
    pub fn hint(&self) -> Option<String> {
        Some(
            "scan with --roots FILE, an export of what that database holds (docs/roots.md), or add \
             --trust-storage if nothing outside of the storage holds references; regsql report \
             authority lists what was seen, and stale uploads can go in any case"
                .into(),
        )
    }
}

/// Why a selection cannot be judged, if something that is selected is hidden by the evidence: only a
/// storage with all references in it can answer for it.
pub fn hidden_by(
    chosen: &Chosen<'_>,
    evidence: &[Evidence],
    keeps_revisions: bool,
) -> Option<AuthorityError> {
    let suspicion = suspicion(evidence)?;
    let selection = &chosen.selection;
    // Deleting a tag alone loses nothing where images are found without it.
    let tags = selection.has_any(Kind::Tag) && !keeps_revisions;
    let revisions = selection.has_any(Kind::Revision)
        || selection.has_any(Kind::Repository)
        || selection.layers.contains(&true);
    let blobs = chosen.is_garbage_chosen
        || selection.has_any(Kind::Blob)
        || selection.has_any(Kind::LayerLink)
        || chosen.others.iter().any(|name| matches!(name, Name::TagHistory { .. }));
    let what = match (suspicion.hides_manifests, tags, revisions, blobs) {
        (true, .., true) => "garbage",
        (_, _, true, _) => "untagged revisions",
        (_, true, ..) => "tags on disk",
        (true, false, false, false) if selection.has_any(Kind::Tag) => "tags on disk",
        _ => return None,
    };
    let seen = evidence.iter().map(Evidence::text).collect();
    Some(AuthorityError { product: suspicion.product, what, seen })
}

/// Repositories of which a registry is asked for its tags. A product keeps the tags of all of them elsewhere or of
/// none, so some are enough.
const MOST_ASKED: usize = 300;

/// What a registry that serves the storage says of who holds its references: its product, and tags that it lists
/// for the repositories of a choice and that the storage has not.
///
/// # Errors
/// When the registry does not answer as one does.
pub fn registry_evidence(
    registry: &Registry,
    storage: &dyn Storage,
    chosen: &Chosen<'_>,
    is_pull_through: bool,
) -> Result<Vec<Evidence>, RegistryError> {
    let mut found = registry.holder_evidence()?;
    // A cache of another registry lists that one's tags.
    if is_pull_through {
        return Ok(found);
    }
    let graph = chosen.graph();
    let is_chosen = |place: u32| {
        let repository = &graph.repositories[place as usize];
        let has = |kind, range: &std::ops::Range<u32>| {
            range.clone().any(|at| chosen.selection.has(kind, at))
        };
        chosen.is_garbage_chosen
            || chosen.selection.layers.contains(&true)
            || chosen.selection.has_any(Kind::Blob)
            || chosen.selection.has(Kind::Repository, place)
            || has(Kind::Tag, &repository.tags)
            || has(Kind::Revision, &repository.revisions)
            || has(Kind::LayerLink, &repository.links)
    };
    let asked = (0..graph.repositories.len() as u32).filter(|place| is_chosen(*place));
    let (mut count, mut of, mut example) = (0, 0, None);
    for place in asked.take(MOST_ASKED) {
        let node = &graph.repositories[place as usize];
        let directory = paths::repository(storage.layout(), &node.name);
        let Some(directory) = directory.filter(|_| is_repository_name(&node.name)) else {
            continue;
        };
        let is_missing = |tag: &String| {
            let path = paths::tag(&directory, tag);
            path.is_some_and(|path| {
                storage.stat(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            })
        };
        let listed = registry.tags(&node.name)?;
        of += listed.len() as u64;
        let mut missing: Vec<String> = listed.into_iter().filter(is_missing).collect();
        if !missing.is_empty() {
            // One that was deleted between the two looks is no longer listed.
            let again = registry.tags(&node.name)?;
            missing.retain(|tag| again.binary_search(tag).is_ok());
        }
        count += missing.len() as u64;
        example = example.or_else(|| Some(format!("{}:{}", node.name, missing.first()?)));
    }
    found.extend(example.map(|example| Evidence {
        code: EvidenceCode::TagsNotInStorage,
        count,
        of,
        example,
    }));
    Ok(found)
}

/// When the storage was last written to, as far as a scan saw, in nanoseconds since 1970.
pub fn newest_write_ns(graph: &Graph) -> Option<i64> {
    let blobs = graph.blobs.iter().filter_map(|blob| blob.changed_ns);
    let uploads = graph.uploads.iter().filter_map(|upload| upload.active_ns);
    let links = graph.links.iter().filter_map(|link| link.linked_ns);
    blobs.chain(uploads).chain(links).max()
}

/// Takes back revisions of repositories that never had a tag, and notes that they stay. Some other
/// tool than tags may know them.
pub fn keep_never_tagged(chosen: &mut Chosen<'_>, repositories: &BTreeSet<String>) {
    let reason = "its repository never had a tag; --trust-storage deletes it";
    keep_revisions(chosen, repositories, SkipGroup::NeverTagged, reason);
}

/// Takes back revisions of repositories of which the roots name nothing: an export of one project, or one that ended
/// early, looks like that.
pub fn keep_unnamed(chosen: &mut Chosen<'_>, repositories: &BTreeSet<String>) {
    let reason =
        "the roots name nothing of its repository; --authority roots or --trust-storage deletes it";
    keep_revisions(chosen, repositories, SkipGroup::Unnamed, reason);
}

fn keep_revisions(
    chosen: &mut Chosen<'_>,
    repositories: &BTreeSet<String>,
    group: SkipGroup,
    reason: &str,
) {
    let graph = chosen.graph();
    for repository in &graph.repositories {
        if !repositories.contains(&repository.name) {
            continue;
        }
        for at in repository.revisions.clone() {
            if std::mem::take(&mut chosen.selection.chosen[Kind::Revision][at as usize]) {
                let name = graph.name_of(Item::new(Kind::Revision, at), &[]);
                chosen.skip(group, name, reason);
            }
        }
    }
}
