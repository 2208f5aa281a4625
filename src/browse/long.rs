//! Lists as long as the storage. Of each, the numbers that its rows are sorted and filtered by are read once
//! ([`Columns`]), by a thread beside the one that answers; what a row says is read for a page alone.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{CachedStatement, Connection, Row as SqlRow};

use super::columns::{Columns, Entry, IdSet, NONE, Places, UNKNOWN};
use super::filter::{self, Filter, Names, Texts};
use super::place::{Measure, Order, Place, Sort};

/// A kind that is not known.
const NO_KIND: u8 = u8::MAX;

/// A list as long as the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Long {
    /// All layers.
    Layers,
    /// Blobs that nothing reaches.
    Orphans,
    /// Revisions that no tag leads to and that are not held.
    Untagged,
    /// Layer links to blobs that are gone.
    Dangling,
    /// Layer links that no image needs.
    Unneeded,
    /// All tags and untagged revisions, of which those that reach a blob are listed.
    Holders,
}

/// How many there are.
const LISTS: usize = 6;

impl Long {
    /// The long list of a place.
    pub fn of(place: &Place) -> Option<Self> {
        match place {
            Place::Layers => Some(Self::Layers),
            Place::Holders { .. } => Some(Self::Holders),
            Place::Class { name } => match name.as_str() {
                "orphan blobs" => Some(Self::Orphans),
                "untagged revisions" => Some(Self::Untagged),
                "dangling layer links" => Some(Self::Dangling),
                "unneeded layer links" => Some(Self::Unneeded),
                _ => None,
            },
            _ => None,
        }
    }

    /// The numbers of its rows.
    fn entries(self) -> &'static str {
        match self {
            Self::Layers => include_str!("sql/layer_entries.sql"),
            Self::Orphans => include_str!("sql/orphan_entries.sql"),
            Self::Untagged => include_str!("sql/untagged_entries.sql"),
            Self::Dangling => include_str!("sql/dangling_entries.sql"),
            Self::Unneeded => include_str!("sql/unneeded_entries.sql"),
            Self::Holders => include_str!("sql/holder_entries.sql"),
        }
    }

    /// The statement of a row.
    pub fn row(self, entry: &Entry) -> &'static str {
        match self {
            Self::Layers => include_str!("sql/layer.sql"),
            Self::Orphans => include_str!("sql/orphan.sql"),
            Self::Untagged => include_str!("sql/untagged.sql"),
            Self::Dangling | Self::Unneeded => include_str!("sql/link.sql"),
            Self::Holders if entry.tag == NONE => include_str!("sql/holding_revision.sql"),
            Self::Holders => include_str!("sql/holding_tag.sql"),
        }
    }

    /// Whether an index has its rows in an order.
    pub fn has_index(self, order: Order) -> bool {
        let is_of_index = match self {
            Self::Layers | Self::Orphans => true,
            Self::Untagged => order.measure == Measure::Exclusive,
            Self::Dangling | Self::Unneeded | Self::Holders => false,
        };
        order.sort == Sort::Size && is_of_index
    }

    /// The order of names: ids of repositories, tags and blobs follow names and digests.
    fn by_name(self) -> &'static str {
        match self.texts() {
            Texts::Steps => "blob",
            Texts::Repositories => "text, tag, blob",
        }
    }

    fn texts(self) -> Texts {
        match self {
            Self::Layers | Self::Orphans => Texts::Steps,
            _ => Texts::Repositories,
        }
    }

    /// How many rows there are and the most bytes of one, before the numbers of all rows are there.
    pub fn summary(self, measure: Measure) -> String {
        let column = column_of(measure);
        include_str!("sql/summary.sql")
            .replace("{measure}", column)
            .replace("{level}", &from_index(self.entries()))
            .replace("{filter}", "1")
    }
}

/// The numbers of rows in the order of an index.
fn from_index(entries: &str) -> String {
    entries.replace("{scan}", "")
}

/// The column of a measure.
pub fn column_of(measure: Measure) -> &'static str {
    match measure {
        Measure::Exclusive => "exclusive_bytes",
        Measure::Logical => "logical_bytes",
        Measure::Shared => "logical_bytes - exclusive_bytes",
    }
}

/// A place of which all numbers were read, or none yet.
type Slot<T> = Mutex<Option<T>>;

fn lock<T>(slot: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is held of the long lists of a snapshot.
#[derive(Debug, Default)]
pub struct Held {
    lists: [Slot<Arc<Columns>>; LISTS],
    /// The holders of the blob that was asked about last.
    holders: Slot<(String, Arc<Columns>)>,
}

impl Held {
    /// Reads the numbers of a list, unless they are there. Who comes meanwhile waits.
    pub fn columns(&self, connection: &Connection, long: Long) -> rusqlite::Result<Arc<Columns>> {
        let mut slot = lock(&self.lists[long as usize]);
        if let Some(known) = &*slot {
            return Ok(Arc::clone(known));
        }
        let columns = Arc::new(read(connection, long)?);
        *slot = Some(Arc::clone(&columns));
        Ok(columns)
    }

    /// The numbers of a list if they are there.
    pub fn known(&self, long: Long) -> Option<Arc<Columns>> {
        self.lists[long as usize].try_lock().ok().and_then(|slot| slot.clone())
    }

    /// Those of everything that reaches a blob.
    pub fn holders(
        &self,
        connection: &Connection,
        blob: Option<i64>,
        digest: &str,
    ) -> rusqlite::Result<Arc<Columns>> {
        let mut slot = lock(&self.holders);
        if let Some((_, known)) = slot.as_ref().filter(|(of, _)| of == digest) {
            return Ok(Arc::clone(known));
        }
        let all = self.columns(connection, Long::Holders)?;
        let mut holding = IdSet::default();
        let mut find = connection.prepare_cached(include_str!("sql/holding_manifests.sql"))?;
        let mut rows = find.query([blob])?;
        while let Some(row) = rows.next()? {
            holding.insert(row.get(0)?);
        }
        let entries = all.entries.iter().filter(|entry| holding.contains(&entry.blob)).copied();
        let columns = Arc::new(Columns::new(entries.collect(), all.kinds.clone()));
        *slot = Some((digest.to_owned(), Arc::clone(&columns)));
        Ok(columns)
    }
}

fn read(connection: &Connection, long: Long) -> rusqlite::Result<Columns> {
    // From an index each row would be looked up.
    let mut select = connection.prepare(&long.entries().replace("{scan}", "NOT INDEXED"))?;
    let mut rows = select.query([])?;
    let (mut entries, mut kinds) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        entries.push(entry(row, &mut kinds)?);
    }
    entries.shrink_to_fit();
    match long.texts() {
        Texts::Steps => entries.sort_by_key(|entry| entry.blob),
        Texts::Repositories => entries.sort_by_key(|entry| (entry.text, entry.tag, entry.blob)),
    }
    Ok(Columns::new(entries, kinds))
}

fn entry(row: &SqlRow<'_>, kinds: &mut Vec<String>) -> rusqlite::Result<Entry> {
    let kind = row.get_ref(3)?.as_str_or_null()?.unwrap_or_default();
    let kind =
        kinds.iter().position(|known| known.eq_ignore_ascii_case(kind)).unwrap_or_else(|| {
            kinds.push(kind.to_ascii_lowercase());
            kinds.len() - 1
        });
    Ok(Entry {
        blob: row.get(0)?,
        text: row.get::<_, Option<i64>>(1)?.unwrap_or(NONE),
        tag: row.get::<_, Option<i64>>(2)?.unwrap_or(NONE),
        kind: u8::try_from(kind).unwrap_or(NO_KIND),
        count: row.get::<_, Option<u32>>(4)?.unwrap_or(0),
        exclusive_bytes: row.get::<_, Option<i64>>(5)?.unwrap_or(UNKNOWN),
        logical_bytes: row.get::<_, Option<i64>>(6)?.unwrap_or(UNKNOWN),
        time_ns: row.get::<_, Option<i64>>(7)?.unwrap_or(UNKNOWN),
    })
}

/// The first rows by size, before the numbers of all rows are there.
pub fn first_by_size(
    connection: &Connection,
    long: Long,
    order: Order,
    limit: u64,
) -> rusqlite::Result<Vec<Entry>> {
    debug_assert_eq!(order.sort, Sort::Size, "no index has another order");
    let direction = if order.is_reversed { "ASC" } else { "DESC" };
    let sql = include_str!("sql/first_entries.sql")
        .replace("{entries}", &from_index(long.entries()))
        .replace(
            "{order}",
            &format!("{} {direction}, {}", column_of(order.measure), long.by_name()),
        );
    let mut select: CachedStatement<'_> = connection.prepare_cached(&sql)?;
    let mut rows = select.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let (mut entries, mut kinds) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        entries.push(entry(row, &mut kinds)?);
    }
    Ok(entries)
}

/// The places of what a filter leaves of a list.
pub fn left(
    connection: &Connection,
    long: Long,
    columns: &Columns,
    names: &Names,
    filter: &Filter,
) -> rusqlite::Result<Arc<Places>> {
    columns.left(&filter.text, || {
        let (low, high) = filter::range(connection, &filter.digest)?;
        let called = match long {
            Long::Holders => Called::As(filter::of_holders(connection, columns, filter)?),
            _ => Called::By(names.look_for(connection, long.texts(), filter)?),
        };
        let is_kind: Vec<bool> = match long {
            Long::Orphans | Long::Untagged => {
                columns.kinds.iter().map(|kind| kind.contains(&filter.text)).collect()
            }
            _ => Vec::new(),
        };
        let is_none = long == Long::Layers && filter.is_no_step();
        Ok(move |entry: &Entry| {
            (low..high).contains(&entry.blob)
                || is_kind.get(usize::from(entry.kind)) == Some(&true)
                || match (&called, entry.text, entry.tag) {
                    (Called::By(_), NONE, _) => is_none,
                    (Called::By(texts), text, _) => texts.contains(&text),
                    (Called::As(found), text, NONE) => found.revisions_of.contains(&text),
                    (Called::As(found), _, tag) => found.tags.contains(&tag),
                }
        })
    })
}

/// What a filter is about.
enum Called {
    By(Arc<IdSet>),
    As(filter::Holders),
}
