//! Rows by window from SQLite: no list is ever held, however long it is.

use std::cell::RefCell;

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, Statement, ToSql};

use super::filter::{self, Filter, Names, Texts};
use super::place::{Measure, Order, Place, Row, RowKind, Sort};
use crate::graph::GroupAccount;

/// Keys of floating versions hold two separators of numbers in a row.
const FLOATING: &str = "%~~%";

/// Steps of SQLite between two looks at whether a query is still needed: well below a millisecond.
const STEPS: i32 = 2_000;

/// Rows of a long list that are looked up one by one sooner than all of them in a row.
const MOST_LOOKUPS: u64 = 30_000;

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
    /// What was counted last, which a filter needs twice.
    counted: RefCell<Option<(Listing, Summary)>>,
}

impl Source {
    /// Reads from `connection`; `trash` are the runs in the trash.
    ///
    /// # Errors
    /// When SQLite has no room for its temporary tables.
    pub fn new(connection: Connection, trash: Vec<Row>) -> rusqlite::Result<Self> {
        connection.execute_batch(include_str!("sql/temporary.sql"))?;
        let names = Names::new(&connection)?;
        Ok(Self { connection, trash, names, counted: RefCell::new(None) })
    }

    /// Ends each query with an error as soon as `is_needless`.
    pub fn stop_when(
        &self,
        is_needless: impl FnMut() -> bool + Send + 'static,
    ) -> rusqlite::Result<()> {
        self.connection.progress_handler(STEPS, Some(is_needless))
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
        let Some(level) = level(&listing.place) else {
            let rows = self.trash_rows(listing).into_iter();
            return Ok(rows.skip(offset as usize).take(limit as usize).collect());
        };
        let filter = self.filter(listing)?;
        let is_walked = self.is_walked(listing, offset.saturating_add(limit))?;
        let sql = level.window(listing, &filter, is_walked);
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

    /// How much is in a list.
    pub fn summary(&self, listing: &Listing) -> rusqlite::Result<Summary> {
        let Some(level) = level(&listing.place) else {
            let rows = self.trash_rows(listing);
            let most_bytes = rows.iter().map(|row| row.logical_bytes).max().unwrap_or(0);
            return Ok(Summary { count: rows.len() as u64, most_bytes });
        };
        let known = self.counted.borrow().clone();
        if let Some((of, summary)) = known.filter(|_| !listing.filter.is_empty())
            && of == *listing
        {
            return Ok(summary);
        }
        let filter = self.filter(listing)?;
        let sql = level.summary(listing, &filter);
        let mut statement = self.connection.prepare_cached(&sql)?;
        self.bind(&mut statement, listing, &filter)?;
        let mut rows = statement.raw_query();
        let summary = match rows.next()? {
            Some(row) => Summary { count: bytes(row, 0)?, most_bytes: bytes(row, 1)? },
            None => Summary::default(),
        };
        *self.counted.borrow_mut() = Some((listing.clone(), summary));
        Ok(summary)
    }

    /// What the filter means, and which texts it names.
    fn filter(&self, listing: &Listing) -> rusqlite::Result<Filter> {
        let filter = Filter::new(&listing.filter);
        if !filter.text.is_empty()
            && let Some(Level { long: Some((_, texts)), .. }) = level(&listing.place)
        {
            self.names.look_for(&self.connection, texts, &filter)?;
        }
        Ok(filter)
    }

    /// Whether the first `end` rows are found sooner by walking along an index of the order than by
    /// looking at all rows: they are, unless the filter leaves few.
    fn is_walked(&self, listing: &Listing, end: u64) -> rusqlite::Result<bool> {
        if listing.filter.is_empty() || listing.place != Place::Layers {
            return Ok(true);
        }
        let count = self.summary(listing)?.count;
        let most: Option<i64> =
            self.connection.query_row(include_str!("sql/last_blob.sql"), [], |row| row.get(0))?;
        let all = u64::try_from(most.unwrap_or(0)).unwrap_or(0);
        Ok(count > end && (all / count).saturating_mul(end) < MOST_LOOKUPS)
    }

    /// Where something stands in a list.
    pub fn position(&self, listing: &Listing, found: &Found) -> rusqlite::Result<Option<u64>> {
        let Some(level) = level(&listing.place) else {
            return Ok(None);
        };
        // Nothing jumps into the long ones.
        if level.long.is_some() {
            return Ok(None);
        }
        let filter = Filter::new(&listing.filter);
        let order = level.order(listing, true);
        let sql = compose(include_str!("sql/position.sql"), level.rows, &order, &filter, listing);
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
        let mut is_dangling = false;
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
            Place::Holders { digest: blob } => digest = Some(blob),
            Place::Class { name } => is_dangling = name.starts_with("dangling"),
            Place::Problems { code } => own.clone_from(code),
            Place::Layers | Place::Garbage | Place::Trash | Place::Codes => {}
        }
        if let Some(digest) = digest {
            let rank = filter::rank(&self.connection, digest)?;
            let mut find = self.connection.prepare_cached(include_str!("sql/blob.sql"))?;
            let blob: Option<i64> = find.query_row((rank, digest), |row| row.get(0)).optional()?;
            bind(statement, ":blob", blob)?;
        }
        bind(statement, ":own", own)?;
        bind(statement, ":prefix", prefix)?;
        bind(statement, ":tag", tag)?;
        bind(statement, ":dangling", is_dangling)?;
        bind(statement, ":floating", FLOATING)?;
        bind(statement, ":filter", &filter.text)?;
        bind(statement, ":digest", &filter.digest)?;
        bind(statement, ":pattern", &filter.pattern)?;
        let (low, high) = filter::range(&self.connection, &filter.digest)?;
        bind(statement, ":low", low)?;
        bind(statement, ":high", high)
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

/// The queries behind a list.
struct Level {
    /// Its rows.
    rows: &'static str,
    /// Of a list as long as the storage: the numbers of its rows, with what they are sorted by and a condition
    /// for a filter; and what they are called by. Its rows are worked out for a page alone.
    long: Option<(&'static str, Texts)>,
}

/// The queries behind a list; none for what is not in the file.
fn level(place: &Place) -> Option<Level> {
    let short = |rows| Some(Level { rows, long: None });
    let long = |rows, keys, texts| Some(Level { rows, long: Some((keys, texts)) });
    match place {
        Place::Groups { .. } => short(include_str!("sql/groups.sql")),
        Place::Tags { .. } => short(include_str!("sql/tags.sql")),
        Place::Image { .. } => short(include_str!("sql/image.sql")),
        Place::Layers => {
            let keys = include_str!("sql/layers_keys.sql");
            long(include_str!("sql/layers.sql"), keys, Texts::Steps)
        }
        Place::Holders { .. } => short(include_str!("sql/holders.sql")),
        Place::Garbage => short(include_str!("sql/garbage.sql")),
        Place::Class { name } => match name.as_str() {
            "orphan blobs" => {
                let keys = include_str!("sql/orphans_keys.sql");
                long(include_str!("sql/orphans.sql"), keys, Texts::Steps)
            }
            "untagged revisions" => {
                let keys = include_str!("sql/untagged_keys.sql");
                long(include_str!("sql/untagged.sql"), keys, Texts::Repositories)
            }
            "stale uploads" => short(include_str!("sql/uploads.sql")),
            "ghost repositories" => short(include_str!("sql/ghosts.sql")),
            _ => {
                let keys = include_str!("sql/links_keys.sql");
                long(include_str!("sql/links.sql"), keys, Texts::Repositories)
            }
        },
        Place::Codes => short(include_str!("sql/codes.sql")),
        Place::Problems { .. } => short(include_str!("sql/problems.sql")),
        Place::Trash => None,
    }
}

impl Level {
    /// A page of rows.
    fn window(&self, listing: &Listing, filter: &Filter, is_walked: bool) -> String {
        let frame = include_str!("sql/window.sql");
        let Some((keys, _)) = self.long else {
            return compose(frame, self.rows, &self.order(listing, true), filter, listing)
                .replace("{page}", ":limit OFFSET :offset");
        };
        let order = self.order(listing, true);
        let page = include_str!("sql/page_of_keys.sql")
            .replace("{order}", &self.order(listing, is_walked))
            .replace("{keys}", &keyed(keys, filter, is_walked));
        compose(frame, self.rows, &order, &Filter::default(), listing)
            .replace("LIMIT {page}", "")
            .replace("{page}", &page)
    }

    /// How many rows there are, and the most bytes of one.
    fn summary(&self, listing: &Listing, filter: &Filter) -> String {
        let frame = include_str!("sql/summary.sql");
        match self.long {
            None => compose(frame, self.rows, "", filter, listing),
            Some((keys, _)) => {
                compose(frame, &keyed(keys, filter, false), "", &Filter::default(), listing)
            }
        }
    }

    fn order(&self, listing: &Listing, is_walked: bool) -> String {
        let Order { sort, is_reversed, .. } = listing.order;
        let (column, is_descending) = match sort {
            Sort::Size => (measure(listing), !is_reversed),
            Sort::Name => ("name", is_reversed),
            Sort::Count => ("item_count", !is_reversed),
            Sort::Time => ("time_ns", !is_reversed),
        };
        let direction = if is_descending { "DESC" } else { "ASC" };
        let Some((_, texts)) = self.long else {
            // What came first of equals stays first.
            return format!("{column} {direction}, name, id");
        };
        // Numbers of repositories and blobs follow names and digests, and an index has them in its own order.
        let has_repository = texts == Texts::Repositories;
        match sort {
            Sort::Name if has_repository => format!("repository_id {direction}, id {direction}"),
            Sort::Name => format!("id {direction}"),
            _ => {
                let plus = if is_walked { "" } else { "+" };
                let last = if has_repository { ", repository_id" } else { "" };
                format!("{plus}({column}) {direction}, id {direction}{last}")
            }
        }
    }
}

/// The numbers of the rows that a filter leaves. Without one nothing is asked that an index does not know.
fn keyed(keys: &str, filter: &Filter, is_walked: bool) -> String {
    let (all, of_filter) = keys.split_once("-- With a filter:\n").unwrap_or((keys, ""));
    if filter.text.is_empty() {
        return all.replace("{scan}", "");
    }
    // From an index each row would be looked up for what it is called by.
    let scan = if is_walked { "" } else { "NOT INDEXED" };
    let may_be_kind = if filter.may_be_kind { "1" } else { "0" };
    format!("{all}{of_filter}").replace("{may_be_kind}", may_be_kind).replace("{scan}", scan)
}

/// The column of a measure. Every byte of a list without measures is in `logical_bytes`.
fn measure(listing: &Listing) -> &'static str {
    if !listing.place.has_measures() {
        return "logical_bytes";
    }
    match listing.order.measure {
        Measure::Exclusive => "exclusive_bytes",
        Measure::Logical => "logical_bytes",
        Measure::Shared => "logical_bytes - exclusive_bytes",
    }
}

fn compose(frame: &str, rows: &str, order: &str, filter: &Filter, listing: &Listing) -> String {
    let is_met = if filter.text.is_empty() { "1" } else { include_str!("sql/is_met.sql") };
    frame
        .replace("{level}", rows)
        .replace("{filter}", is_met)
        .replace("{order}", order)
        .replace("{measure}", measure(listing))
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
