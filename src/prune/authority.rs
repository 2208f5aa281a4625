//! The guards of a storage that may not be the whole truth: what a selection may hold while something
//! outside of the storage seems to hold references.

use std::collections::BTreeSet;

use super::choose::Chosen;
use super::name::SkipGroup;
use super::named::revision_name;
use crate::model::authority::{Evidence, Product, suspicion};

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
    let is_any = |flags: &[bool]| flags.contains(&true);
    // Deleting a tag alone loses nothing where images are found without it.
    let tags = is_any(&selection.tags) && !keeps_revisions;
    let revisions = is_any(&selection.revisions)
        || is_any(&selection.repositories)
        || is_any(&selection.layers);
    let blobs = chosen.is_garbage_chosen || is_any(&chosen.blobs) || is_any(&chosen.layer_links);
    let what = match (suspicion.hides_manifests, tags, revisions, blobs) {
        (true, .., true) => "garbage",
        (_, _, true, _) => "untagged revisions",
        (_, true, ..) => "tags on disk",
        (true, false, false, false) if is_any(&selection.tags) => "tags on disk",
        _ => return None,
    };
    let seen = evidence.iter().map(Evidence::text).collect();
    Some(AuthorityError { product: suspicion.product, what, seen })
}

/// Takes back revisions of repositories that never had a tag, and notes that they stay. Some other
/// tool than tags may know them.
pub fn keep_never_tagged(chosen: &mut Chosen<'_>, repositories: &BTreeSet<String>) {
    let graph = chosen.graph();
    for (place, repository) in (0_u32..).zip(&graph.repositories) {
        if !repositories.contains(&repository.name) {
            continue;
        }
        for at in repository.revisions.clone() {
            if std::mem::take(&mut chosen.selection.revisions[at as usize]) {
                let name = revision_name(graph, place, at);
                let reason = "its repository never had a tag; --trust-storage deletes it";
                chosen.skip(SkipGroup::NeverTagged, name, reason);
            }
        }
    }
}
