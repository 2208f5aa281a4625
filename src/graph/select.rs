//! From names to places in the graph.

use std::collections::HashMap;

use super::flat::Graph;
use super::parts::{BlobId, RepositoryNode};
use super::removal::Selection;
use crate::model::Digest;

/// What a row of a result names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// A tag.
    Tag {
        /// Its repository.
        repository: &'a str,
        /// Its name.
        tag: &'a str,
    },
    /// A revision.
    Revision {
        /// Its repository.
        repository: &'a str,
        /// Its digest.
        digest: &'a str,
    },
    /// A repository.
    Repository {
        /// Its name.
        repository: &'a str,
    },
    /// Every image that holds a layer.
    Layer {
        /// Its digest.
        digest: &'a str,
    },
}

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
    /// No image holds such a layer.
    #[error("no image holds such a layer")]
    Layer,
    /// The text is no digest.
    #[error("not a digest")]
    Digest,
}

/// Finds what rows name.
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

    /// A tag's place.
    pub fn tag(&self, repository: &str, tag: &str) -> Result<u32, Missing> {
        let (_, repository) = self.repository(repository)?;
        let tags = self.graph.tags_of(repository);
        let at = tags.binary_search_by(|known| known.name.as_str().cmp(tag));
        at.map(|at| repository.tags.start + at as u32).map_err(|_| Missing::Tag)
    }

    /// A repository's place.
    pub fn repository_place(&self, repository: &str) -> Result<u32, Missing> {
        Ok(self.repository(repository)?.0)
    }

    /// Adds what `row` names to `selection`.
    pub fn select(&self, selection: &mut Selection, row: Row<'_>) -> Result<(), Missing> {
        let (flags, place) = match row {
            Row::Tag { repository, tag } => (&mut selection.tags, self.tag(repository, tag)?),
            Row::Revision { repository, digest } => {
                let (_, repository) = self.repository(repository)?;
                let blob = self.blob(digest)?.ok_or(Missing::Revision)?;
                let at = self.graph.revisions_of(repository).binary_search(&blob);
                let at = at.map_err(|_| Missing::Revision)?;
                (&mut selection.revisions, repository.revisions.start + at as u32)
            }
            Row::Repository { repository } => {
                (&mut selection.repositories, self.repository(repository)?.0)
            }
            Row::Layer { digest } => {
                let blob = self.blob(digest)?;
                let blob = blob.filter(|blob| self.graph.blobs[*blob as usize].is_layer);
                (&mut selection.layers, blob.ok_or(Missing::Layer)?)
            }
        };
        flags[place as usize] = true;
        Ok(())
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
