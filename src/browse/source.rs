//! Rows by window from SQLite: no rows of a list are ever held, however long it is.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, Statement, ToSql};

use super::columns::{Columns, Entry};
use super::filter::{self, Filter, Names};
use super::long::{self, Held, Long, column_of};
use super::place::{Measure, Order, Place, Row, RowKind, Sort};
use crate::graph::GroupAccount;

/// Keys of floating versions hold two separators of numbers in a row.
const FLOATING: &str = "%~~%";

/// Steps of SQLite between two looks at whether a query is still needed: well below a millisecond.
const STEPS: i32 = 2_000;

/// A list, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which.
    pub place: Place,
    /// In which order.
    pub order: Order,
    /// Rows whose name contains this, or whose digest begins with it; all when it is empty.
    pub filter: String,
}

/// How much is in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows.
    pub count: u64,
    /// The most bytes of one of them.
    pub most_bytes: u64,
}

/// Something to jump to in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its repository.
    pub repository: Option<String>,
    /// Its tag.
    pub tag: Option<String>,
    /// Its digest, where it has no tag.
    pub digest: Option<String>,
}

/// What is shown around the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// When the scan was published, or its inventory was made, in nanoseconds since 1970.
    pub finished_ns: i64,
    /// What was scanned.
    pub root: String,
    /// Something could not be read: every figure is "at least".
    pub is_at_least: bool,
    /// Bytes of all blobs.
    pub blob_bytes: u64,
    /// Bytes that come free without dropping a tag.
    pub garbage_bytes: u64,
    /// Findings.
    pub problem_count: u64,
}

/// An opened snapshot.
pub struct Source {
    connection: Connection,
    trash: Vec<Row>,
    names: Names,
    held: Arc<Held>,
}

impl Source {
    /// Reads from `connection`; `trash` are the runs in the trash.
    ///
    /// # Errors
    /// When SQLite has no room for its temporary tables.
    pub fn new(connection: Connection, trash: Vec<Row>) -> rusqlite::Result<Self> {
        connection.execute_batch(include_str!("sql/temporary.sql"))?;
        Ok(Self { connection, trash, names: Names::default(), held: Arc::default() })
    }

    /// Ends each query with an error as soon as `is_needless`.
    pub fn stop_when(
        &self,
        is_needless: impl FnMut() -> bool + Send + 'static,
    ) -> rusqlite::Result<()> {
        self.connection.progress_handler(STEPS, Some(is_needless))
    }

    /// What is held of long lists, for a thread that reads ahead.
    pub(super) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    /// Reads the numbers of a long list, which otherwise a thread beside this one does.
    pub fn read_ahead(&self, place: &Place) -> rusqlite::Result<()> {
        match Long::of(place) {
            Some(long) => self.held.columns(&self.connection, long).map(drop),
            None => Ok(()),
        }
    }

    /// For questions of other modules.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What is shown around the lists.
    pub fn facts(&self) -> rusqlite::Result<Facts> {
        self.connection.query_row(include_str!("sql/facts.sql"), [], |row| {
            Ok(Facts {
                finished_ns: row.get::<_, Option<i64>>(0)?.unwrap_or(0),
                root: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                is_at_least: row.get::<_, Option<bool>>(2)? == Some(false),
                blob_bytes: bytes(row, 3)?,
                garbage_bytes: bytes(row, 4)?,
                problem_count: bytes(row, 5)?,
            })
        })
    }

    /// Takes in what the graph knows: exact bytes of groups, and tags of a protect list.
    pub fn learn(
        &mut self,
        groups: &[GroupAccount],
        protected: &[(String, String)],
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute_batch(include_str!("sql/flags.sql"))?;
        {
            let mut insert = transaction.prepare(include_str!("sql/figure.sql"))?;
            for group in groups {
                let figures =
                    [group.exclusive_bytes, group.logical_bytes].map(|bytes| bytes as i64);
                insert.execute((&group.prefix, figures[0], figures[1]))?;
            }
            let mut protect = transaction.prepare(include_str!("sql/protect.sql"))?;
            for (repository, tag) in protected {
                protect.execute([repository, tag])?;
            }
        }
        transaction.commit()
    }

    /// Rows of a list from `offset`.
    pub fn rows(&self, listing: &Listing, offset: u64, limit: u64) -> rusqlite::Result<Vec<Row>> {
        if let Some(long) = Long::of(&listing.place) {
            let entries = self.entries(long, listing, offset, limit)?;
            return entries.iter().map(|entry| self.row_of(long, entry)).collect();
        }
        let Some(level) = level(&listing.place) else {
            let rows = self.trash_rows(listing).into_iter();
            return Ok(rows.skip(offset as usize).take(limit as usize).collect());
        };
        let filter = Filter::new(&listing.filter);
        let sql = compose(include_str!("sql/window.sql"), level, &filter, listing);
        let mut statement = self.connection.prepare_cached(&sql)?;
        self.bind(&mut statement, listing, &filter)?;
        bind(&mut statement, ":limit", limit as i64)?;
        bind(&mut statement, ":offset", offset as i64)?;
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    /// A page of a long list as numbers.
    fn entries(
        &self,
        long: Long,
        listing: &Listing,
        offset: u64,
        limit: u64,
    ) -> rusqlite::Result<Vec<Entry>> {
        let order = Order { measure: measure(listing), ..listing.order };
        let is_first = offset == 0 && listing.filter.is_empty();
        if is_first && long.has_index(order) && self.held.known(long).is_none() {
            return long::first_by_size(&self.connection, long, order, limit);
        }
        let columns = self.columns(long, listing)?;
        let filter = Filter::new(&listing.filter);
        let left = match filter.text.as_str() {
            "" => None,
            _ => Some(long::left(&self.connection, long, &columns, &self.names, &filter)?),
        };
        Ok(columns.page(order, left.as_deref(), offset, limit))
    }

    fn columns(&self, long: Long, listing: &Listing) -> rusqlite::Result<Arc<Columns>> {
        match &listing.place {
            Place::Holders { digest } => {
                self.held.holders(&self.connection, self.blob(digest)?, digest)
            }
            _ => self.held.columns(&self.connection, long),
        }
    }

    /// What a row of a long list says.
    fn row_of(&self, long: Long, entry: &Entry) -> rusqlite::Result<Row> {
        let mut statement = self.connection.prepare_cached(long.row(entry))?;
        bind(&mut statement, ":blob", entry.blob)?;
        bind(&mut statement, ":text", entry.text)?;
        bind(&mut statement, ":tag", entry.tag)?;
        bind(&mut statement, ":floating", FLOATING)?;
        let mut rows = statement.raw_query();
        rows.next()?.map_or(Err(rusqlite::Error::QueryReturnedNoRows), read)
    }

    /// How much is in a list.
    pub fn summary(&self, listing: &Listing) -> rusqlite::Result<Summary> {
        let filter = Filter::new(&listing.filter);
        let sql = if let Some(long) = Long::of(&listing.place) {
            let order = Order { measure: measure(listing), ..listing.order };
            let is_counted = filter.text.is_empty() && long.has_index(order);
            if !is_counted || self.held.known(long).is_some() {
                return self.long_summary(long, listing, &filter);
            }
            long.summary(order.measure)
        } else if let Some(level) = level(&listing.place) {
            compose(include_str!("sql/summary.sql"), level, &filter, listing)
        } else {
            let rows = self.trash_rows(listing);
            let most_bytes = rows.iter().map(|row| row.logical_bytes).max().unwrap_or(0);
            return Ok(Summary { count: rows.len() as u64, most_bytes });
        };
        let mut statement = self.connection.prepare_cached(&sql)?;
        self.bind(&mut statement, listing, &filter)?;
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => Ok(Summary { count: bytes(row, 0)?, most_bytes: bytes(row, 1)? }),
            None => Ok(Summary::default()),
        }
    }

    fn long_summary(
        &self,
        long: Long,
        listing: &Listing,
        filter: &Filter,
    ) -> rusqlite::Result<Summary> {
        let columns = self.columns(long, listing)?;
        let left = match filter.text.as_str() {
            "" => None,
            _ => Some(long::left(&self.connection, long, &columns, &self.names, filter)?),
        };
        let (count, most_bytes) = columns.summary(measure(listing), left.as_deref());
        Ok(Summary { count, most_bytes })
    }

    /// Where something stands in a list.
    pub fn position(&self, listing: &Listing, found: &Found) -> rusqlite::Result<Option<u64>> {
        // Nothing jumps into the long ones.
        let Some(level) = level(&listing.place) else {
            return Ok(None);
        };
        let filter = Filter::new(&listing.filter);
        let sql = compose(include_str!("sql/position.sql"), level, &filter, listing);
        let mut statement = self.connection.prepare_cached(&sql)?;
        self.bind(&mut statement, listing, &filter)?;
        bind(&mut statement, ":found_repository", &found.repository)?;
        bind(&mut statement, ":found_tag", &found.tag)?;
        bind(&mut statement, ":found_digest", &found.digest)?;
        let mut rows = statement.raw_query();
        rows.next()?.map(|row| bytes(row, 0)).transpose()
    }

    /// When a tag was last pulled, in nanoseconds since 1970.
    pub fn pulled_ns(&self, repository: &str, tag: &str) -> rusqlite::Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/pulled.sql"))?;
        let pulled = statement.query_row([tag, repository], |row| row.get(0)).optional()?;
        Ok(pulled.flatten())
    }

    fn bind(
        &self,
        statement: &mut Statement<'_>,
        listing: &Listing,
        filter: &Filter,
    ) -> rusqlite::Result<()> {
        let (mut own, mut prefix, mut tag, mut digest) = (String::new(), String::new(), None, None);
        match &listing.place {
            Place::Groups { prefix: group } => {
                own.clone_from(group);
                if !group.is_empty() {
                    prefix = format!("{group}/");
                }
            }
            Place::Tags { repository } => own.clone_from(repository),
            Place::Image { repository, tag: through, digest: manifest } => {
                own.clone_from(repository);
                tag.clone_from(through);
                digest = Some(manifest);
            }
            Place::Problems { code } => own.clone_from(code),
            Place::Class { .. }
            | Place::Holders { .. }
            | Place::Layers
            | Place::Garbage
            | Place::Trash
            | Place::Codes => {}
        }
        if let Some(digest) = digest {
            bind(statement, ":blob", self.blob(digest)?)?;
        }
        bind(statement, ":own", own)?;
        bind(statement, ":prefix", prefix)?;
        bind(statement, ":tag", tag)?;
        bind(statement, ":floating", FLOATING)?;
        bind(statement, ":filter", &filter.text)?;
        bind(statement, ":digest", &filter.digest)
    }

    /// The number of the blob with a digest.
    fn blob(&self, digest: &str) -> rusqlite::Result<Option<i64>> {
        let rank = filter::rank(&self.connection, digest)?;
        let mut find = self.connection.prepare_cached(include_str!("sql/blob.sql"))?;
        find.query_row((rank, digest), |row| row.get(0)).optional()
    }

    fn trash_rows(&self, listing: &Listing) -> Vec<Row> {
        let mut rows = self.trash.clone();
        rows.retain(|row| row.name.contains(&listing.filter));
        match listing.order.sort {
            Sort::Size => rows.sort_by_key(|row| std::cmp::Reverse(row.logical_bytes)),
            Sort::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
            Sort::Count => rows.sort_by_key(|row| std::cmp::Reverse(row.item_count)),
            Sort::Time => rows.sort_by_key(|row| std::cmp::Reverse(row.time_ns)),
        }
        if listing.order.is_reversed {
            rows.reverse();
        }
        rows
    }
}

/// Gives a parameter its value, where the statement has it.
fn bind(statement: &mut Statement<'_>, name: &str, value: impl ToSql) -> rusqlite::Result<()> {
    match statement.parameter_index(name)? {
        Some(place) => statement.raw_bind_parameter(place, value),
        None => Ok(()),
    }
}

/// The query behind a list; none for what is not in the file, or too long for one query.
fn level(place: &Place) -> Option<&'static str> {
    Some(match place {
        Place::Groups { .. } => include_str!("sql/groups.sql"),
        Place::Tags { .. } => include_str!("sql/tags.sql"),
        Place::Image { .. } => include_str!("sql/image.sql"),
        Place::Garbage => include_str!("sql/garbage.sql"),
        Place::Class { name } if name == "stale uploads" => include_str!("sql/uploads.sql"),
        Place::Class { name } if name == "ghost repositories" => include_str!("sql/ghosts.sql"),
        Place::Codes => include_str!("sql/codes.sql"),
        Place::Problems { .. } => include_str!("sql/problems.sql"),
        Place::Class { .. } | Place::Layers | Place::Holders { .. } | Place::Trash => return None,
    })
}

/// What rows are sorted by. What came first of equals stays first.
fn order(listing: &Listing) -> String {
    let Order { sort, is_reversed, .. } = listing.order;
    let (column, is_descending) = match sort {
        Sort::Size => (column_of(measure(listing)), !is_reversed),
        Sort::Name if matches!(listing.place, Place::Tags { .. }) => ("version", is_reversed),
        Sort::Name => ("name", is_reversed),
        Sort::Count => ("item_count", !is_reversed),
        Sort::Time => ("time_ns", !is_reversed),
    };
    let direction = if is_descending { "DESC" } else { "ASC" };
    format!("{column} {direction}, name, id")
}

/// Which bytes are shown. Every byte of a list without measures is in the logical ones.
fn measure(listing: &Listing) -> Measure {
    if listing.place.has_measures() { listing.order.measure } else { Measure::Logical }
}

fn compose(frame: &str, rows: &str, filter: &Filter, listing: &Listing) -> String {
    let is_met = if filter.text.is_empty() { "1" } else { include_str!("sql/is_met.sql") };
    frame
        .replace("{level}", rows)
        .replace("{filter}", is_met)
        .replace("{order}", &order(listing))
        .replace("{measure}", column_of(measure(listing)))
}

/// A number of bytes or rows; a negative one, which only a damaged file holds, is none.
fn bytes(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, Option<i64>>(column)?.unwrap_or(0)).unwrap_or(0))
}

fn read(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        kind: RowKind::parse(row.get_ref(0)?.as_str().unwrap_or_default()),
        name: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
        repository: row.get(2)?,
        tag: row.get(3)?,
        digest: row.get(4)?,
        exclusive_bytes: bytes(row, 5)?,
        logical_bytes: bytes(row, 6)?,
        is_at_least: row.get(7)?,
        item_count: bytes(row, 8)?,
        time_ns: row.get(9)?,
        flags: row.get(10)?,
        detail: row.get::<_, Option<String>>(11)?.unwrap_or_default(),
    })
}
