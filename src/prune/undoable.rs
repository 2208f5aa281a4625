//! What runs in the trash need to be undone: a run that took a tag brings it back whole only as long as
//! the blobs are there that the run did not take, since something else used them at the time.
//!
//! What goes to the trash as well can be put back in the same way. What is deleted at once cannot, so
//! such a deletion leaves all of this.

use std::collections::{HashMap, HashSet};
use std::io;

use super::manifests::{Named, READ_BYTES};
use crate::graph::{BlobId, Graph};
use crate::model::{Certainty, Digest, LinkContent, MAX_LINK_BYTES, parse_link};
use crate::storage::Storage;
use crate::trash::{HeldRun, Move, MoveKind};

/// What a deletion that keeps no trash must leave, by places of the graph's lists.
#[derive(Clone, Debug, Default)]
pub struct NeededToUndo {
    blobs: HashSet<BlobId>,
    revisions: HashSet<u32>,
    links: HashSet<u32>,
}

impl NeededToUndo {
    /// What `runs` need of a storage that `graph` is of.
    pub fn new(graph: &Graph, storage: &dyn Storage, runs: &[HeldRun]) -> Self {
        let mut work = Work {
            graph,
            storage,
            taken: HashMap::new(),
            met: HashMap::new(),
            rest: Vec::new(),
            needed: Self::default(),
        };
        for run in runs {
            // What is only marked is read where it lies.
            let all = run.moves.iter().chain(&run.marked);
            let blobs = all.filter(|item| item.kind == MoveKind::Blob);
            for item in blobs.filter(|item| !item.is_corrupt) {
                if let Ok(digest) = Digest::parse(&item.name) {
                    work.taken.insert(digest, (run, item));
                }
            }
        }
        for run in runs {
            for item in &run.moves {
                work.begin(run, item);
            }
        }
        work.follow();
        work.needed
    }

    /// Whether a blob must stay.
    pub fn has_blob(&self, blob: BlobId) -> bool {
        self.blobs.contains(&blob)
    }

    /// Whether a revision must stay.
    pub fn has_revision(&self, revision: u32) -> bool {
        self.revisions.contains(&revision)
    }

    /// Whether a layer link must stay.
    pub fn has_link(&self, link: u32) -> bool {
        self.links.contains(&link)
    }
}

/// A repository of the graph; `None` for one that is gone from disk.
type Place = Option<u32>;

struct Work<'a> {
    graph: &'a Graph,
    storage: &'a dyn Storage,
    /// Blobs that lie in the trash.
    taken: HashMap<Digest, (&'a HeldRun, &'a Move)>,
    met: HashMap<(Place, Digest), Certainty>,
    rest: Vec<(Place, Digest, Certainty)>,
    needed: NeededToUndo,
}

impl Work<'_> {
    /// What an undo brings back, and what that leads to.
    fn begin(&mut self, run: &HeldRun, item: &Move) {
        let name = item.repository.as_deref();
        let place = name.and_then(|name| {
            let repositories = &self.graph.repositories;
            let at = repositories.binary_search_by(|known| known.name.as_str().cmp(name));
            at.ok().map(|at| at as u32)
        });
        let link = match item.kind {
            MoveKind::Tag => "current/link",
            MoveKind::Revision | MoveKind::LayerLink => "link",
            // These lead nowhere.
            MoveKind::TagHistory
            | MoveKind::Blob
            | MoveKind::Upload
            | MoveKind::Leftover
            | MoveKind::Directory => return,
        };
        let of_directory = Digest::parse(&item.name).ok().filter(|_| item.kind != MoveKind::Tag);
        let content = run.read(self.storage, &item.path.join(link), MAX_LINK_BYTES as u64);
        let of_link = match content.map(|content| parse_link(&content.bytes)) {
            Ok(LinkContent::Clean(digest) | LinkContent::Spaced(digest)) => Some(digest),
            // A tag that never had a link.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(LinkContent::Nothing(_)) | Err(_) => {
                self.whole_repository(place);
                None
            }
        };
        for digest in [of_directory, of_link].into_iter().flatten() {
            if item.kind == MoveKind::LayerLink {
                self.keep_blob(&digest);
            } else {
                self.meet(place, digest, Certainty::Certain);
            }
        }
    }

    fn meet(&mut self, place: Place, digest: Digest, certainty: Certainty) {
        let known = self.met.get(&(place, digest.clone()));
        // One index may say what it is and another may not: the surer one counts.
        if known.is_none_or(|known| *known < certainty) {
            self.met.insert((place, digest.clone()), certainty);
            self.rest.push((place, digest, certainty));
        }
    }

    fn follow(&mut self) {
        while let Some((place, digest, certainty)) = self.rest.pop() {
            self.keep_blob(&digest);
            self.keep_revision(place, &digest);
            self.keep_link(place, &digest);
            let graph = self.graph;
            let blob = graph.blob_by_digest(&digest);
            let manifest = blob.filter(|blob| graph.blobs[*blob as usize].size_bytes.is_some());
            if let Some(id) = manifest.and_then(|blob| graph.manifest_at(blob)) {
                let digest_of = |blob: BlobId| graph.blobs[blob as usize].digest.clone();
                let around = graph.children(id).iter().copied().chain(graph.referrers(id));
                for other in around {
                    let digest = digest_of(graph.manifests[other as usize]);
                    self.meet(place, digest, Certainty::Certain);
                }
                for &blob in graph.kept_blobs(id) {
                    self.names(place, digest_of(blob), Some(Certainty::Likely));
                }
            } else if let Some((run, item)) = self.taken.get(&digest) {
                let content = run.read(self.storage, &item.path.join("data"), READ_BYTES);
                let named = Named::by(&digest, &content, certainty);
                if named.is_unknown {
                    self.whole_repository(place);
                }
                for (digest, certainty) in named.references {
                    self.names(place, digest, certainty);
                }
            }
        }
    }

    /// A manifest names this; with `certainty` it may be a manifest itself.
    fn names(&mut self, place: Place, digest: Digest, certainty: Option<Certainty>) {
        self.keep_blob(&digest);
        self.keep_link(place, &digest);
        // What is on disk and a manifest is in the graph; else it may lie in the trash.
        let blob = self.graph.blob_by_digest(&digest);
        let is_manifest = blob.is_some_and(|blob| self.graph.manifest_at(blob).is_some());
        if let Some(certainty) = certainty
            && (is_manifest || self.taken.contains_key(&digest))
        {
            self.meet(place, digest, certainty);
        }
    }

    fn keep_blob(&mut self, digest: &Digest) {
        self.needed.blobs.extend(self.graph.blob_by_digest(digest));
    }

    fn keep_revision(&mut self, place: Place, digest: &Digest) {
        let graph = self.graph;
        let (Some(place), Some(blob)) = (place, graph.blob_by_digest(digest)) else { return };
        let repository = &graph.repositories[place as usize];
        if let Ok(at) = graph.revisions_of(repository).binary_search(&blob) {
            self.needed.revisions.insert(repository.revisions.start + at as u32);
        }
    }

    fn keep_link(&mut self, place: Place, digest: &Digest) {
        let graph = self.graph;
        let (Some(place), Some(blob)) = (place, graph.blob_by_digest(digest)) else { return };
        let repository = &graph.repositories[place as usize];
        let links = graph.links_of(repository);
        if let Ok(at) = links.binary_search_by_key(&blob, |link| link.name) {
            self.needed.links.insert(repository.links.start + at as u32);
            self.needed.blobs.insert(links[at].target);
        }
    }

    /// Something that cannot be read may need whatever its repository has.
    fn whole_repository(&mut self, place: Place) {
        let Some(place) = place else { return };
        let graph = self.graph;
        let repository = &graph.repositories[place as usize];
        self.needed.links.extend(repository.links.clone());
        let links = graph.links_of(repository).iter();
        self.needed.blobs.extend(links.flat_map(|link| [link.name, link.target]));
        for &blob in graph.revisions_of(repository) {
            let digest = graph.blobs[blob as usize].digest.clone();
            self.meet(Some(place), digest, Certainty::Certain);
        }
    }
}
