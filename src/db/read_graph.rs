//! The snapshot's graph again, as far as a deletion needs it. Every table is read once, in key
//! order, so that hardly anything needs sorting.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::graph::{
    BlobId, BlobNode, Edge, ExternalRoot, Graph, Hold, LinkNode, Parts, RepositoryNode, TagNode,
    UploadNode,
};
use crate::model::{Digest, HoldScope, Role};

/// Why the tables cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadGraphError {
    /// SQLite failed, or was stopped.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A row names what is not there.
    #[error("table `{table}` names number {id}, which does not exist")]
    Dangling {
        /// The table.
        table: &'static str,
        /// The number.
        id: i64,
    },
}

type Result<T, E = ReadGraphError> = std::result::Result<T, E>;

/// A statement that gives every row of `reference` in the order of its key, and the places of the columns that the graph
/// is made of.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceColumns<'a> {
    /// The statement.
    pub sql: &'a str,
    /// `manifest_id`.
    pub manifest: usize,
    /// `role`.
    pub role: usize,
    /// `blob_id`.
    pub blob: usize,
    /// `is_external`.
    pub is_external: usize,
}

const REFERENCES: ReferenceColumns<'static> = ReferenceColumns {
    sql: include_str!("sql/read_references.sql"),
    manifest: 0,
    role: 1,
    blob: 2,
    is_external: 3,
};

/// A row of `reference`, with the values that the graph took.
pub struct ReferenceRow<'a> {
    columns: &'a ReferenceColumns<'a>,
    row: &'a Row<'a>,
    /// The number of the manifest.
    pub manifest_id: i64,
    role: &'a [u8],
    /// The number of the blob that is named.
    pub blob_id: i64,
    is_external: bool,
}

impl<'a> ReferenceRow<'a> {
    fn read(row: &'a Row<'a>, columns: &'a ReferenceColumns<'a>) -> Result<Self> {
        Ok(Self {
            columns,
            row,
            manifest_id: row.get(columns.manifest)?,
            role: row.get_ref(columns.role)?.as_bytes().unwrap_or_default(),
            blob_id: row.get(columns.blob)?,
            is_external: row.get(columns.is_external)?,
        })
    }

    fn role(&self) -> Role {
        match self.role {
            b"config" => Role::Config,
            b"layer" => Role::Layer,
            b"manifest" => Role::Manifest,
            b"subject" => Role::Subject,
            _ => Role::Blob,
        }
    }

    /// The value of a column. What the graph took is not asked for again: there are many rows.
    #[inline]
    pub fn value(&self, column: usize) -> rusqlite::Result<ValueRef<'_>> {
        let ReferenceColumns { manifest, role, blob, is_external, .. } = *self.columns;
        match column {
            _ if column == manifest => Ok(ValueRef::Integer(self.manifest_id)),
            _ if column == role => Ok(ValueRef::Text(self.role)),
            _ if column == blob => Ok(ValueRef::Integer(self.blob_id)),
            _ if column == is_external => Ok(ValueRef::Integer(self.is_external.into())),
            _ => self.row.get_ref(column),
        }
    }
}

/// Ids of one table, in order; the place is that of the graph.
#[derive(Debug)]
struct Ids(Vec<i64>);

/// Ids are spaced so evenly that one mostly lies this near the place that its value suggests.
const NEAR: usize = 16;

impl Ids {
    fn place(&self, table: &'static str, id: i64) -> Result<u32> {
        let place = place_among(&self.0, id);
        place.map(|place| place as u32).ok_or(ReadGraphError::Dangling { table, id })
    }
}

/// The place of an id among all of a table, in order.
#[inline]
pub fn place_among(ids: &[i64], id: i64) -> Option<usize> {
    let (first, last) = (*ids.first()?, *ids.last()?);
    let part = (id as f64 - first as f64) / (last as f64 - first as f64).max(1.0);
    let guess = (part * ids.len() as f64) as usize;
    // In a file that no scan has added to they lie just there.
    if ids.get(guess) == Some(&id) {
        return Some(guess);
    }
    let start = guess.saturating_sub(NEAR);
    let near = ids.get(start..(guess + NEAR).min(ids.len())).unwrap_or_default();
    match near.binary_search(&id) {
        Ok(at) => Some(start + at),
        Err(_) => ids.binary_search(&id).ok(),
    }
}

/// All blobs, which the rest of the graph names by their places.
#[derive(Debug)]
pub struct Blobs {
    ids: Ids,
    /// By digest.
    pub nodes: Arc<Vec<BlobNode>>,
}

impl Blobs {
    /// The place of a blob with this number.
    pub fn place(&self, id: i64) -> Option<usize> {
        place_among(&self.ids.0, id)
    }

    /// Their numbers, by place.
    pub fn ids(&self) -> &[i64] {
        &self.ids.0
    }
}

/// Reads the graph.
pub fn read_graph(connection: &Connection) -> Result<Graph> {
    read_graph_with(connection, &read_blobs(connection)?, &REFERENCES, |_| Ok(()))
}

/// Reads the graph of these blobs, and hands each reference to `take`: most of the rows are references, and whoever needs
/// them too reads them here.
///
/// # Errors
/// Those of reading, and of `take`, which ends it.
pub fn read_graph_with<E: From<ReadGraphError>>(
    connection: &Connection,
    Blobs { ids, nodes }: &Blobs,
    references: &ReferenceColumns<'_>,
    take: impl FnMut(&ReferenceRow<'_>) -> Result<(), E>,
) -> Result<Graph, E> {
    let mut parts = Parts { blobs: Arc::clone(nodes), ..Parts::default() };
    read_manifests(connection, ids, &mut parts)?;
    read_references(connection, ids, references, &mut parts, take)?;
    Ok(read_rest(connection, ids, parts)?)
}

fn read_rest(connection: &Connection, blobs: &Ids, mut parts: Parts) -> Result<Graph> {
    read_aliases(connection, blobs, &mut parts)?;
    let repositories = read_repositories(connection, &mut parts)?;
    read_tags(connection, blobs, &repositories, &mut parts)?;
    read_revisions(connection, blobs, &repositories, &mut parts)?;
    read_links(connection, blobs, &repositories, &mut parts)?;
    read_uploads(connection, &repositories, &mut parts)?;
    read_holds(connection, blobs, &repositories, &mut parts)?;
    read_external_roots(connection, blobs, &repositories, &mut parts)?;
    Ok(Graph::new(parts))
}

/// Hands every row of `sql` to `take`.
fn each(
    connection: &Connection,
    sql: &str,
    take: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    each_row(connection, sql, take)
}

/// The same for whoever has errors of its own.
fn each_row<E: From<ReadGraphError>>(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = connection.prepare(sql).map_err(ReadGraphError::from)?;
    let mut rows = statement.query([]).map_err(ReadGraphError::from)?;
    while let Some(row) = rows.next().map_err(ReadGraphError::from)? {
        take(row)?;
    }
    Ok(())
}

/// Reads the blobs.
pub fn read_blobs(connection: &Connection) -> Result<Blobs> {
    let (mut ids, mut nodes) = (Vec::new(), Vec::new());
    each(connection, include_str!("sql/read_blobs.sql"), |row| {
        ids.push(row.get(0)?);
        let digest = match row.get_ref(1)?.as_blob_or_null() {
            Ok(Some(bytes)) => bytes.try_into().map(Digest::Sha256).ok(),
            _ => None,
        };
        let digest = match digest {
            Some(digest) => digest,
            None => Digest::Other(row.get::<_, String>(2)?.into()),
        };
        let size: Option<i64> = row.get(3)?;
        nodes.push(BlobNode {
            digest,
            size_bytes: size.map(|size| size as u64),
            is_layer: row.get(4)?,
            may_be_manifest: row.get(5)?,
            changed_ns: row.get(6)?,
        });
        Ok(())
    })?;
    Ok(Blobs { ids: Ids(ids), nodes: Arc::new(nodes) })
}

fn read_manifests(connection: &Connection, blobs: &Ids, parts: &mut Parts) -> Result<()> {
    each(connection, "SELECT blob_id FROM manifest ORDER BY blob_id", |row| {
        parts.manifests.push(blobs.place("manifest", row.get(0)?)?);
        Ok(())
    })
}

/// Ids of referenced blobs are resolved in batches of this size: they are spread over memory, and the processor overlaps the
/// cache misses of one batch.
const LOOK_UPS: usize = 1024;

fn read_references<E: From<ReadGraphError>>(
    connection: &Connection,
    blobs: &Ids,
    columns: &ReferenceColumns<'_>,
    parts: &mut Parts,
    mut take: impl FnMut(&ReferenceRow<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let Parts { manifests, edges, .. } = parts;
    let mut manifests = manifests.iter().peekable();
    // Rows come by manifest, so that each is looked for once.
    let mut last: Option<(i64, BlobId)> = None;
    let mut named: Vec<i64> = Vec::with_capacity(LOOK_UPS);
    let place_named = |edges: &mut Vec<Edge>, named: &mut Vec<i64>| -> Result<()> {
        let start = edges.len() - named.len();
        for (edge, id) in edges[start..].iter_mut().zip(named.drain(..)) {
            edge.blob = blobs.place("reference", id)?;
        }
        Ok(())
    };
    each_row(connection, columns.sql, |row| {
        let reference = ReferenceRow::read(row, columns)?;
        let id = reference.manifest_id;
        let manifest = match last {
            Some((known, place)) if known == id => place,
            _ => {
                let place = blobs.place("reference", id)?;
                while manifests.next_if(|known| **known < place).is_some() {}
                if manifests.peek() != Some(&&place) {
                    return Err(ReadGraphError::Dangling { table: "reference", id }.into());
                }
                last = Some((id, place));
                place
            }
        };
        edges.push(Edge {
            manifest,
            role: reference.role(),
            blob: 0,
            is_external: reference.is_external,
        });
        named.push(reference.blob_id);
        if named.len() == LOOK_UPS {
            place_named(edges, &mut named)?;
        }
        take(&reference)
    })?;
    Ok(place_named(edges, &mut named)?)
}

fn read_aliases(connection: &Connection, blobs: &Ids, parts: &mut Parts) -> Result<()> {
    each(connection, include_str!("sql/read_aliases.sql"), |row| {
        let place = |column| blobs.place("alias", row.get(column)?);
        parts.aliases.push((place(0)?, place(1)?));
        Ok(())
    })
}

fn read_repositories(connection: &Connection, parts: &mut Parts) -> Result<Ids> {
    let mut ids = Vec::new();
    each(connection, "SELECT id, name FROM repository ORDER BY id", |row| {
        ids.push(row.get(0)?);
        parts.repositories.push(RepositoryNode { name: row.get(1)?, ..RepositoryNode::default() });
        Ok(())
    })?;
    Ok(Ids(ids))
}

/// Stretches a repository's range over an item that comes at `place`; items come by repository.
fn stretch(range: &mut std::ops::Range<u32>, place: usize) {
    let place = place as u32;
    if range.start == range.end {
        range.start = place;
    }
    range.end = place + 1;
}

fn read_tags(
    connection: &Connection,
    blobs: &Ids,
    repositories: &Ids,
    parts: &mut Parts,
) -> Result<()> {
    each(connection, include_str!("sql/read_tags.sql"), |row| {
        let target: Option<i64> = row.get(2)?;
        let repository = repositories.place("tag", row.get(0)?)?;
        stretch(&mut parts.repositories[repository as usize].tags, parts.tags.len());
        parts.tags.push(TagNode {
            name: row.get(1)?,
            target: target.map(|id| blobs.place("tag", id)).transpose()?,
            pushed_ns: row.get(3)?,
            subject: None,
        });
        Ok(())
    })
}

fn read_revisions(
    connection: &Connection,
    blobs: &Ids,
    repositories: &Ids,
    parts: &mut Parts,
) -> Result<()> {
    each(connection, include_str!("sql/read_revisions.sql"), |row| {
        let repository = repositories.place("revision", row.get(0)?)?;
        stretch(&mut parts.repositories[repository as usize].revisions, parts.revisions.len());
        parts.revisions.push(blobs.place("revision", row.get(1)?)?);
        parts.revisions_pushed_ns.push(row.get(2)?);
        Ok(())
    })
}

fn read_links(
    connection: &Connection,
    blobs: &Ids,
    repositories: &Ids,
    parts: &mut Parts,
) -> Result<()> {
    each(connection, include_str!("sql/read_layer_links.sql"), |row| {
        let repository = repositories.place("layer_link", row.get(0)?)?;
        stretch(&mut parts.repositories[repository as usize].links, parts.links.len());
        parts.links.push(LinkNode {
            name: blobs.place("layer_link", row.get(1)?)?,
            target: blobs.place("layer_link", row.get(2)?)?,
            linked_ns: row.get(3)?,
        });
        Ok(())
    })
}

fn read_uploads(connection: &Connection, repositories: &Ids, parts: &mut Parts) -> Result<()> {
    each(connection, include_str!("sql/read_uploads.sql"), |row| {
        let size: i64 = row.get(2)?;
        parts.uploads.push(UploadNode {
            repository: repositories.place("upload", row.get(0)?)?,
            upload_id: row.get(1)?,
            size_bytes: size as u64,
            active_ns: row.get(3)?,
        });
        Ok(())
    })
}

fn read_holds(
    connection: &Connection,
    blobs: &Ids,
    repositories: &Ids,
    parts: &mut Parts,
) -> Result<()> {
    each(connection, include_str!("sql/read_unreadable_roots.sql"), |row| {
        // A scope of a later version keeps everything.
        let scope = HoldScope::parse(row.get_ref(0)?.as_bytes().unwrap_or_default());
        let (repository, blob): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
        parts.holds.push(Hold {
            scope: scope.unwrap_or(HoldScope::Storage),
            repository: repository
                .map(|id| repositories.place("unreadable_root", id))
                .transpose()?,
            blob: blob.map(|id| blobs.place("unreadable_root", id)).transpose()?,
        });
        Ok(())
    })
}

fn read_external_roots(
    connection: &Connection,
    blobs: &Ids,
    repositories: &Ids,
    parts: &mut Parts,
) -> Result<()> {
    each(connection, include_str!("sql/read_external_roots.sql"), |row| {
        let repository: Option<i64> = row.get(0)?;
        parts.roots.push(ExternalRoot {
            repository: repository.map(|id| repositories.place("external_root", id)).transpose()?,
            blob: blobs.place("external_root", row.get(1)?)?,
            keeps_revisions: row.get(2)?,
        });
        Ok(())
    })?;
    each(connection, "SELECT authority = 'roots' FROM authority", |row| {
        parts.ignores_tags = row.get(0)?;
        Ok(())
    })
}
