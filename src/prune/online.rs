//! A running registry beside which is deleted.

use super::executor::LinkRemover;
use crate::model::{Digest, is_repository_name};
use crate::registry::{DeleteOutcome, Registry};
use crate::removal::StoredGraph;

/// A name of a repository that the registry accepts, to ask it about.
pub fn repository_to_ask(graph: &StoredGraph) -> &str {
    let names = graph.repositories.iter().map(|repository| repository.name.as_str());
    names.into_iter().find(|name| is_repository_name(name)).unwrap_or("regsql/probe")
}

impl LinkRemover for Registry {
    fn remove(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        match self.delete_blob_link(repository, digest) {
            Ok(DeleteOutcome::Deleted | DeleteOutcome::NotFound) => Ok(()),
            Ok(other) => Err(other.hint().unwrap_or("the registry refused").to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
