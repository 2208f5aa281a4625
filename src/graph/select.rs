//! From names to places in the graph.

use std::collections::HashMap;

use super::flat::Graph;
use super::item::Item;
use super::parts::{BlobId, RepositoryNode};
use super::removal::Selection;
use crate::model::{Digest, Kind, Name};

/// Why a row selects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// There is no such repository.
    #[error("there is no such repository")]
    Repository,
    /// It has no such tag.
    #[error("the repository has no such tag")]
    Tag,
    /// It has no such revision.
    #[error("the repository has no such revision")]
    Revision,
    /// It has no such layer link.
    #[error("the repository has no such layer link")]
    LayerLink,
    /// It has no such upload.
    #[error("the repository has no such upload")]
    Upload,
    /// There is no such blob.
    #[error("there is no such blob on disk")]
    Blob,
    /// No image holds such a layer.
    #[error("no image holds such a layer")]
    Layer,
    /// It is no row of the graph.
    #[error("a name is missing or not a text")]
    Name,
    /// The text is no digest.
    #[error("not a digest")]
    Digest,
}

/// Finds what rows name.
#[derive(Clone)]
pub struct Names<'a> {
    graph: &'a Graph,
    repositories: HashMap<&'a str, u32, foldhash::fast::RandomState>,
}

impl<'a> Names<'a> {
    /// For one graph.
    pub fn new(graph: &'a Graph) -> Self {
        let places = graph.repositories.iter().zip(0..);
        let repositories =
            places.map(|(repository, place)| (repository.name.as_str(), place)).collect();
        Self { graph, repositories }
    }

    /// Where the thing is that a name names: no layer, which stands for many, and no leftover.
    ///
    /// # Errors
    /// When there is no such thing.
    pub fn find(&self, name: &Name) -> Result<Item, Missing> {
        let graph = self.graph;
        let (kind, at) = match name {
            Name::Tag { repository, tag, .. } => {
                let (_, node) = self.repository(repository)?;
                let at = graph.tags_of(node).binary_search_by(|known| known.name.cmp(tag));
                (Kind::Tag, node.tags.start + at.map_err(|_| Missing::Tag)? as u32)
            }
            Name::Revision { repository, manifest_digest } => {
                let (_, node) = self.repository(repository)?;
                let blob = self.blob(manifest_digest)?.ok_or(Missing::Revision)?;
                let at = graph.revisions_of(node).binary_search(&blob);
                (Kind::Revision, node.revisions.start + at.map_err(|_| Missing::Revision)? as u32)
            }
            Name::LayerLink { repository, link_digest } => {
                let (_, node) = self.repository(repository)?;
                let blob = self.blob(link_digest).ok().flatten().ok_or(Missing::LayerLink)?;
                let at = graph.links_of(node).binary_search_by_key(&blob, |link| link.name);
                (Kind::LayerLink, node.links.start + at.map_err(|_| Missing::LayerLink)? as u32)
            }
            Name::Upload { repository, upload_id, .. } => {
                let (place, _) = self.repository(repository)?;
                let at = graph.uploads.binary_search_by(|upload| {
                    (upload.repository, &upload.upload_id).cmp(&(place, upload_id))
                });
                (Kind::Upload, at.map_err(|_| Missing::Upload)? as u32)
            }
            Name::Blob { blob_digest, .. } => (Kind::Blob, self.present_blob(blob_digest)?),
            Name::CorruptBlob { blob_digest, .. } => {
                (Kind::CorruptBlob, self.present_blob(blob_digest)?)
            }
            Name::Repository { repository } => (Kind::Repository, self.repository(repository)?.0),
            Name::Layer { .. }
            | Name::Leftover { .. }
            | Name::TagHistory { .. }
            | Name::Row { .. } => {
                return Err(Missing::Name);
            }
        };
        Ok(Item { kind, at })
    }

    /// Adds what a name names to `selection`; a layer stands for every image that holds it.
    ///
    /// # Errors
    /// When there is no such thing.
    pub fn select(&self, selection: &mut Selection, name: &Name) -> Result<(), Missing> {
        if let Name::Layer { layer_digest } = name {
            let blob = self.blob(layer_digest)?;
            let blob = blob.filter(|blob| self.graph.blobs[*blob as usize].is_layer);
            selection.layers[blob.ok_or(Missing::Layer)? as usize] = true;
            return Ok(());
        }
        let Item { kind, at } = self.find(name)?;
        selection.chosen[kind][at as usize] = true;
        Ok(())
    }

    fn present_blob(&self, digest: &str) -> Result<BlobId, Missing> {
        let blob = self.blob(digest)?;
        let is_present = |blob: &BlobId| self.graph.blobs[*blob as usize].size_bytes.is_some();
        blob.filter(is_present).ok_or(Missing::Blob)
    }

    fn repository(&self, name: &str) -> Result<(u32, &'a RepositoryNode), Missing> {
        let place = *self.repositories.get(name).ok_or(Missing::Repository)?;
        Ok((place, &self.graph.repositories[place as usize]))
    }

    fn blob(&self, digest: &str) -> Result<Option<BlobId>, Missing> {
        let digest = Digest::parse(digest).map_err(|_| Missing::Digest)?;
        Ok(self.graph.blob_by_digest(&digest))
    }
}
