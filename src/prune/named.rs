//! The names of what a plan holds: it counts in places of the graph's lists, people in names.

use super::name::Name;
use super::plan::Plan;
use crate::graph::BlobId;
use crate::graph::{Graph, RepositoryNode};

fn digest_text(graph: &Graph, blob: BlobId) -> String {
    graph.blobs[blob as usize].digest.to_string()
}

fn repository_text(graph: &Graph, place: u32) -> String {
    graph.repositories[place as usize].name.clone()
}

/// A tag's name.
pub fn tag_name(graph: &Graph, repository: u32, tag: u32) -> Name {
    let node = &graph.tags[tag as usize];
    Name::Tag {
        repository: repository_text(graph, repository),
        tag: node.name.clone(),
        manifest_digest: node.target.map(|blob| digest_text(graph, blob)),
    }
}

/// A revision's name.
pub fn revision_name(graph: &Graph, repository: u32, revision: u32) -> Name {
    Name::Revision {
        repository: repository_text(graph, repository),
        manifest_digest: digest_text(graph, graph.revisions[revision as usize]),
    }
}

/// A layer link's name.
pub fn link_name(graph: &Graph, repository: u32, link: u32) -> Name {
    Name::LayerLink {
        repository: repository_text(graph, repository),
        link_digest: digest_text(graph, graph.links[link as usize].name),
    }
}

/// An upload's name.
pub fn upload_name(graph: &Graph, upload: u32) -> Name {
    let node = &graph.uploads[upload as usize];
    Name::Upload {
        repository: repository_text(graph, node.repository),
        upload_id: node.upload_id.clone(),
        size_bytes: node.size_bytes,
    }
}

/// A blob's name.
pub fn blob_name(graph: &Graph, blob: BlobId) -> Name {
    Name::Blob { blob_digest: digest_text(graph, blob), size_bytes: graph.size_bytes(blob) }
}

/// A corrupt blob's name.
pub fn corrupt_name(graph: &Graph, blob: BlobId) -> Name {
    Name::CorruptBlob { blob_digest: digest_text(graph, blob), size_bytes: graph.size_bytes(blob) }
}

impl Plan {
    /// The names of all that goes, in the order in which it goes.
    pub fn names<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = Name> + 'a {
        let place_of = |at: u32, range_of: fn(&RepositoryNode) -> u32| {
            graph.repositories.partition_point(|repository| range_of(repository) <= at) as u32
        };
        let tags = self.tags.iter().map(move |tag| {
            tag_name(graph, place_of(*tag, |repository| repository.tags.end), *tag)
        });
        let revisions = self.revisions.iter().map(move |at| {
            revision_name(graph, place_of(*at, |repository| repository.revisions.end), *at)
        });
        let links = self
            .layer_links
            .iter()
            .map(move |at| link_name(graph, place_of(*at, |repository| repository.links.end), *at));
        let uploads = self.uploads.iter().map(move |at| upload_name(graph, *at));
        let blobs = self.blobs.iter().map(move |blob| blob_name(graph, *blob));
        let repositories = self
            .repositories
            .iter()
            .map(move |place| Name::Repository { repository: repository_text(graph, *place) });
        let corrupt = self.corrupt.iter().map(move |blob| corrupt_name(graph, *blob));
        let leftovers = self.leftovers.iter().map(|path| Name::Leftover { path: path.clone() });
        let data = uploads.chain(blobs).chain(corrupt).chain(leftovers);
        tags.chain(revisions).chain(links).chain(data).chain(repositories)
    }
}
