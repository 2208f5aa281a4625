//! What is kept because something cannot be read. The one rule: in doubt, keep.
//!
//! - A repository that cannot be listed may need any blob: everything is kept (scope `storage`).
//! - Revisions that cannot be listed are some of the blobs that may be manifests, and what they name
//!   must be linked in the same repository to be served: both are kept (scope `manifests`).
//! - A manifest that is missing or damaged may name anything that its repository links, and any
//!   revision as a child: those are kept (scope `repository`).

use crate::model::{Code, Digest, text_of};
use crate::scan::{Hold, HoldScope, Notes};

use super::closure::Closure;
use super::{BlobId, Graph, UnreadableRoot};

/// Collects the roots and marks the repositories that are held.
pub fn unreadable_roots(graph: &mut Graph, notes: &Notes) -> Vec<UnreadableRoot> {
    let mut roots: Vec<UnreadableRoot> =
        notes.holds.iter().map(|hold| of_hold(hold, None)).collect();
    for at in 0..graph.repositories.len() {
        let before = roots.len();
        of_repository(graph, at, &mut roots);
        graph.repositories[at].is_held = roots[before..]
            .iter()
            .any(|root| root.scope != HoldScope::Storage && root.blob.is_none());
    }
    roots
}

fn of_hold(hold: &Hold, repository: Option<u32>) -> UnreadableRoot {
    UnreadableRoot {
        scope: hold.scope.clone(),
        repository,
        blob: None,
        code: hold.code,
        path: hold.path.clone(),
    }
}

fn of_repository(graph: &Graph, at: usize, roots: &mut Vec<UnreadableRoot>) {
    let repository = &graph.repositories[at];
    let place = Some(at as u32);
    roots.extend(repository.facts.notes.holds.iter().map(|hold| of_hold(hold, place)));

    let revisions_path = repository.facts.path.join("_manifests/revisions");
    // A registry makes `revisions` with the first manifest and never removes it.
    if repository.facts.has_manifests && !repository.facts.has_revisions {
        roots.push(UnreadableRoot {
            scope: HoldScope::Manifests,
            repository: place,
            blob: None,
            code: Code::RevisionsDirectoryMissing,
            path: text_of(revisions_path.as_os_str()),
        });
    }
    for revision in &repository.revisions {
        if revision.is_doubtful {
            roots.push(of_blob(
                graph,
                at,
                revision.name,
                Code::LinkMismatch,
                "_manifests/revisions",
            ));
        }
    }
    for link in repository.layer_links.iter().filter(|link| link.is_doubtful) {
        roots.push(of_blob(graph, at, link.name, Code::LinkMismatch, "_layers"));
        if link.target != link.name {
            roots.push(of_blob(graph, at, link.target, Code::LinkMismatch, "_layers"));
        }
    }
    for tag in repository.tags.iter().filter(|tag| tag.is_unreadable) {
        for entry in &tag.entries {
            roots.push(of_blob(graph, at, entry.name, Code::TagLinkUnreadable, "_manifests/tags"));
        }
    }
    for (code, blob) in faulty_manifests(graph, at) {
        roots.push(UnreadableRoot {
            scope: HoldScope::Repository,
            repository: place,
            blob: None,
            code,
            path: blob_path(graph, blob),
        });
    }
}

/// Every manifest that the repository leads to, directly or through an index, and that cannot be
/// relied on. What an index names and nobody linked is no fault: other platforms are often left out.
fn faulty_manifests(graph: &Graph, at: usize) -> Vec<(Code, BlobId)> {
    let repository = &graph.repositories[at];
    let mut closure = Closure::new(graph);
    let starts = repository.revisions.iter().map(|revision| revision.name);
    let starts = starts.chain(repository.tags.iter().filter_map(|tag| tag.target));
    let unreadable = repository.tags.iter().filter(|tag| tag.is_unreadable);
    let starts = starts.chain(unreadable.flat_map(|tag| &tag.entries).map(|entry| entry.name));
    let nodes = closure.of(graph, starts, |_| false);
    let mut faulty = Vec::new();
    for &node in nodes {
        let manifest = &graph.manifests[node as usize];
        // In a pull-through cache a manifest may be absent until it is asked for.
        let is_normal = graph.is_pull_through
            && manifest.fault.as_ref().is_some_and(|(code, _)| *code == Code::ManifestMissing);
        if let Some((code, _)) = &manifest.fault
            && !is_normal
        {
            faulty.push((*code, manifest.blob));
        }
    }
    faulty.sort_unstable();
    faulty
}

fn of_blob(graph: &Graph, at: usize, blob: BlobId, code: Code, below: &str) -> UnreadableRoot {
    let path = graph.repositories[at].facts.path.join(below);
    UnreadableRoot {
        scope: HoldScope::Blob(graph.digests[blob as usize].clone()),
        repository: Some(at as u32),
        blob: Some(blob),
        code,
        path: text_of(path.as_os_str()),
    }
}

/// Where a blob lies or ought to lie; the digest itself when no path can name it.
pub fn blob_path(graph: &Graph, blob: BlobId) -> String {
    match &graph.digests[blob as usize] {
        digest @ Digest::Sha256(_) => {
            text_of(graph.layout.blob_data(&digest.encoded()).as_os_str())
        }
        Digest::Other(text) => text.to_string(),
    }
}
