//! Where the things of a plan lie.

use std::path::PathBuf;

use crate::graph::{Graph, Item};
use crate::model::{Digest, Kind, Name, bytes_of};
use crate::storage::Layout;
use crate::storage::paths::{blob, layer_link, of_digest, repository, revision, tag, upload};

/// Where a thing lies, as far as its names lead anywhere: the directory of anything but a leftover;
/// `others` are the names of what is no part of the graph.
pub fn of_item(layout: &Layout, graph: &Graph, item: Item, others: &[Name]) -> Option<PathBuf> {
    let at = item.at as usize;
    let directory =
        || repository(layout, &graph.repositories[graph.repository_of(item)? as usize].name);
    match item.kind {
        Kind::Tag => tag(&directory()?, &graph.tags[at].name),
        Kind::Revision => revision(&directory()?, graph.digest_of(item)?),
        Kind::LayerLink => layer_link(&directory()?, graph.digest_of(item)?),
        Kind::Upload => upload(&directory()?, &graph.uploads[at].upload_id),
        Kind::Blob | Kind::CorruptBlob => blob(layout, graph.digest_of(item)?),
        Kind::Leftover | Kind::TagHistory => match &others[at] {
            Name::Leftover { path } => Some(PathBuf::from(bytes_of(path)?)),
            Name::TagHistory { repository: name, history_tag, history_digest } => {
                let digest = of_digest(&Digest::parse(history_digest).ok()?)?;
                Some(tag(&repository(layout, name)?, history_tag)?.join("index").join(digest))
            }
            _ => None,
        },
        Kind::Repository => directory(),
    }
}

/// The file in that directory which makes a thing visible to a registry.
pub fn file_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Tag => Some("current/link"),
        Kind::TagHistory | Kind::Revision | Kind::LayerLink => Some("link"),
        Kind::Blob | Kind::CorruptBlob => Some("data"),
        Kind::Upload | Kind::Leftover | Kind::Repository => None,
    }
}
