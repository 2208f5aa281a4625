//! The guards of a storage that may not be the whole truth: what a selection may hold while something
//! outside of the storage seems to hold references.

use std::collections::BTreeSet;

use super::choose::Chosen;
use super::name::SkipGroup;
use crate::graph::Item;
use crate::model::Kind;
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
    // Deleting a tag alone loses nothing where images are found without it.
    let tags = selection.has_any(Kind::Tag) && !keeps_revisions;
    let revisions = selection.has_any(Kind::Revision)
        || selection.has_any(Kind::Repository)
        || selection.layers.contains(&true);
    let blobs = chosen.is_garbage_chosen
        || selection.has_any(Kind::Blob)
        || selection.has_any(Kind::LayerLink);
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

/// Takes back revisions of repositories that never had a tag, and notes that they stay. Some other
/// tool than tags may know them.
pub fn keep_never_tagged(chosen: &mut Chosen<'_>, repositories: &BTreeSet<String>) {
    let graph = chosen.graph();
    for repository in &graph.repositories {
        if !repositories.contains(&repository.name) {
            continue;
        }
        for at in repository.revisions.clone() {
            if std::mem::take(&mut chosen.selection.chosen[Kind::Revision][at as usize]) {
                let name = graph.name_of(Item::new(Kind::Revision, at), &[]);
                let reason = "its repository never had a tag; --trust-storage deletes it";
                chosen.skip(SkipGroup::NeverTagged, name, reason);
            }
        }
    }
}
