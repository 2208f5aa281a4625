//! What must stay although the plan says otherwise: something changed, or could not be removed, and
//! what stays with it must be whole. In doubt everything stays.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::executor::Executor;
use super::manifests::{Named, READ_BYTES};
use super::name::SkipGroup;
use crate::graph::{BlobId, Item};
use crate::model::{Certainty, Digest, Kind, LinkContent, MAX_LINK_BYTES, parse_link};
use crate::storage::Content;
use crate::storage::paths;

impl Executor<'_> {
    /// Whether a step must not be made.
    pub(super) fn is_needed(&self, at: usize, item: Item) -> bool {
        let needed = &self.needed;
        let directory = || self.directory(self.graph.repository_of(item)?);
        may_be_needed(item.kind)
            && (needed.is_everything
                || needed.paths.contains(&self.steps.moves[at].path)
                || directory().is_some_and(|path| needed.repositories.contains(&path)))
    }

    pub(super) fn directory(&self, place: u32) -> Option<PathBuf> {
        let name = &self.graph.repositories[place as usize].name;
        paths::repository(self.storage.layout(), name)
    }

    /// A step was not made: what it was to take away must stay whole.
    pub(super) fn stays(&mut self, item: Item) {
        let graph = self.graph;
        match item.kind {
            Kind::Tag | Kind::Revision => {
                let directory = graph.repository_of(item).and_then(|place| self.directory(place));
                match (directory, graph.digest_of(item).cloned()) {
                    (Some(directory), Some(digest)) => self.require(&directory, &digest),
                    // A tag that says nothing may stand for anything in its repository.
                    (Some(directory), None) => self.require_repository(&directory),
                    (None, _) => self.require_everything(),
                }
            }
            Kind::LayerLink => {
                let link = graph.links[item.at as usize];
                self.keep_blob(&graph.blobs[link.name as usize].digest);
                self.keep_blob(&graph.blobs[link.target as usize].digest);
                let directory = graph.repository_of(item).and_then(|place| self.directory(place));
                if let Some(directory) = directory.filter(|_| link.name != link.target) {
                    self.keep_name_of_alias(&directory, &graph.blobs[link.target as usize].digest);
                }
            }
            Kind::TagHistory
            | Kind::Upload
            | Kind::Blob
            | Kind::CorruptBlob
            | Kind::Leftover
            | Kind::Repository => {}
        }
    }

    /// A manifest stays in the repository at `directory`, with all that a pull of it asks for.
    pub(super) fn require(&mut self, directory: &Path, digest: &Digest) {
        let root = digest;
        let mut met = HashMap::from([(root.clone(), Certainty::Certain)]);
        let mut rest = vec![(root.clone(), Certainty::Certain)];
        while let Some((digest, certainty)) = rest.pop() {
            self.keep(paths::revision(directory, &digest));
            self.keep_linked(directory, &digest);
            self.require_referrers(directory, &digest, &mut met, &mut rest);
            let content = self.read_manifest(&digest);
            let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
            // A child that is not here: a sparse index.
            if digest != *root && content.as_ref().is_err_and(is_missing) {
                continue;
            }
            let named = Named::by(&digest, &content, certainty);
            if named.is_unknown {
                self.require_repository(directory);
            }
            for (named, certainty) in named.references {
                self.keep_linked(directory, &named);
                if let Some(certainty) = certainty {
                    meet(named, certainty, &mut met, &mut rest);
                }
            }
        }
    }

    /// What the scan knows to be about a manifest stays with it.
    fn require_referrers(
        &self,
        directory: &Path,
        digest: &Digest,
        met: &mut HashMap<Digest, Certainty>,
        rest: &mut Vec<(Digest, Certainty)>,
    ) {
        let graph = self.graph;
        let Some(id) = graph.blob_by_digest(digest).and_then(|blob| graph.manifest_at(blob)) else {
            return;
        };
        for referrer in graph.referrers(id) {
            let digest = &graph.blobs[graph.manifests[referrer as usize] as usize].digest;
            let is_linked = paths::revision(directory, digest)
                .is_some_and(|path| self.is_step(&path) || self.storage.stat(&path).is_ok());
            if is_linked {
                meet(digest.clone(), Certainty::Likely, met, rest);
            }
        }
    }

    pub(super) fn read_manifest(&self, digest: &Digest) -> io::Result<Content> {
        let directory =
            paths::blob(self.storage.layout(), digest).ok_or(io::ErrorKind::NotFound)?;
        self.storage.read(&directory.join("data"), READ_BYTES)
    }

    /// A blob stays, and the link by which a repository serves it.
    pub(super) fn keep_linked(&mut self, directory: &Path, digest: &Digest) {
        let link = paths::layer_link(directory, digest);
        self.keep(link.clone());
        self.keep_blob(digest);
        // Links under another algorithm lead to a blob of another name.
        if let (Some(link), Digest::Other(_)) = (link, digest)
            && let Ok(content) = self.storage.read(&link.join("link"), MAX_LINK_BYTES as u64)
            && let LinkContent::Clean(target) | LinkContent::Spaced(target) =
                parse_link(&content.bytes)
        {
            self.keep_blob(&target);
            self.keep_name_of_alias(directory, &target);
        }
    }

    /// A registry that serves a layer by its sha512 looks for it by its sha256 in the same repository, too, and
    /// answers 500 without that link (`linkedblobstore.go`, `ServeBlob`).
    fn keep_name_of_alias(&mut self, directory: &Path, target: &Digest) {
        self.keep(paths::layer_link(directory, target));
    }

    pub(super) fn keep_blob(&mut self, digest: &Digest) {
        self.keep(paths::blob(self.storage.layout(), digest));
    }

    /// Something stays; if it was taken it comes back.
    fn keep(&mut self, path: Option<PathBuf>) {
        let Some(path) = path.filter(|path| self.is_step(path) && !self.is_corrupt(path)) else {
            return;
        };
        if self.needed.paths.insert(path.clone()) {
            match self.put_back(&path) {
                Ok(true) => {}
                Ok(false) => self.report_lost(&path),
                Err(_) => self.require_everything(),
            }
        }
    }

    /// Something new needs what was deleted at once: whoever wrote it must write it again.
    fn report_lost(&mut self, path: &Path) {
        let taken = self.taken().find(|(at, _)| self.steps.moves[*at].path == path);
        if let Some((_, item)) = taken {
            let reason =
                "it is gone, and something that was written meanwhile needs it: push again";
            self.skip(SkipGroup::Changed, item, reason);
        }
    }

    /// Something that cannot be read may need anything that a repository links.
    pub(super) fn require_repository(&mut self, directory: &Path) {
        if !self.needed.repositories.insert(directory.to_owned()) {
            return;
        }
        let Some(&place) = self.places_by_directory.get(directory) else {
            return self.require_everything();
        };
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        let revisions = graph.revisions_of(repository).iter().copied();
        let links = graph.links_of(repository).iter().flat_map(|link| [link.name, link.target]);
        let blobs: Vec<BlobId> = revisions.chain(links).collect();
        for blob in blobs {
            let digest = &graph.blobs[blob as usize].digest;
            self.keep(paths::revision(directory, digest));
            self.keep(paths::layer_link(directory, digest));
            self.keep_blob(digest);
        }
    }

    /// Nothing more goes, and everything that others may need comes back.
    pub(super) fn require_everything(&mut self) {
        if std::mem::replace(&mut self.needed.is_everything, true) {
            return;
        }
        let taken: Vec<PathBuf> = self
            .taken()
            .filter(|(_, item)| may_be_needed(item.kind))
            .map(|(at, _)| self.steps.moves[at].path.clone())
            .collect();
        // From below, so that nothing is visible before it is whole.
        for path in taken.iter().rev() {
            drop(self.put_back(path));
        }
    }

    /// Whether everything stays.
    pub fn is_everything_needed(&self) -> bool {
        self.needed.is_everything
    }
}

/// Whether something else may need a thing: a tag needs nothing above it, an upload is on its own,
/// and what is corrupt or left over is of no use.
fn may_be_needed(kind: Kind) -> bool {
    matches!(kind, Kind::Revision | Kind::LayerLink | Kind::Blob)
}

/// Follows a manifest unless something as sure led to it before. One index may say what it is and
/// another may not: the surer one counts.
fn meet(
    digest: Digest,
    certainty: Certainty,
    met: &mut HashMap<Digest, Certainty>,
    rest: &mut Vec<(Digest, Certainty)>,
) {
    if met.get(&digest).is_none_or(|known| *known < certainty) {
        met.insert(digest.clone(), certainty);
        rest.push((digest, certainty));
    }
}
