//! Rows by window from SQLite: no list is ever held, however long it is.

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, Statement, ToSql};

use super::place::{Measure, Order, Place, Row, RowKind, Sort};
use crate::graph::GroupAccount;

/// Keys of floating versions hold two separators of numbers in a row.
const FLOATING: &str = "%~~%";

/// A list, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which.
    pub place: Place,
    /// In which order.
    pub order: Order,
    /// Rows whose name or digest contains this; all when it is empty.
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
    /// When the scan was published, in nanoseconds since 1970.
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
}

impl Source {
    /// Reads from `connection`; `trash` are the runs in the trash.
    ///
    /// # Errors
    /// When SQLite has no room for its temporary tables.
    pub fn new(connection: Connection, trash: Vec<Row>) -> rusqlite::Result<Self> {
        connection.execute_batch(include_str!("sql/temporary.sql"))?;
        Ok(Self { connection, trash })
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
        let sql = compose(include_str!("sql/window.sql"), level, listing);
        let mut statement = self.connection.prepare_cached(&sql)?;
        self.bind(&mut statement, listing)?;
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
        let sql = compose(include_str!("sql/summary.sql"), level, listing);
        let mut statement = self.connection.prepare_cached(&sql)?;
        self.bind(&mut statement, listing)?;
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => Ok(Summary { count: bytes(row, 0)?, most_bytes: bytes(row, 1)? }),
            None => Ok(Summary::default()),
        }
    }

    /// Where something stands in a list.
    pub fn position(&self, listing: &Listing, found: &Found) -> rusqlite::Result<Option<u64>> {
        let Some(level) = level(&listing.place) else {
            return Ok(None);
        };
        let sql = compose(include_str!("sql/position.sql"), level, listing);
        let mut statement = self.connection.prepare_cached(&sql)?;
        self.bind(&mut statement, listing)?;
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

    fn bind(&self, statement: &mut Statement<'_>, listing: &Listing) -> rusqlite::Result<()> {
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
            let mut find = self.connection.prepare_cached(include_str!("sql/blob.sql"))?;
            let blob: Option<i64> = find.query_row([digest], |row| row.get(0)).optional()?;
            bind(statement, ":blob", blob)?;
        }
        bind(statement, ":own", own)?;
        bind(statement, ":prefix", prefix)?;
        bind(statement, ":tag", tag)?;
        bind(statement, ":dangling", is_dangling)?;
        bind(statement, ":floating", FLOATING)?;
        bind(statement, ":filter", listing.filter.to_ascii_lowercase())
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

/// The query behind a list; none for what is not in the file.
fn level(place: &Place) -> Option<&'static str> {
    Some(match place {
        Place::Groups { .. } => include_str!("sql/groups.sql"),
        Place::Tags { .. } => include_str!("sql/tags.sql"),
        Place::Image { .. } => include_str!("sql/image.sql"),
        Place::Layers => include_str!("sql/layers.sql"),
        Place::Holders { .. } => include_str!("sql/holders.sql"),
        Place::Garbage => include_str!("sql/garbage.sql"),
        Place::Class { name } => match name.as_str() {
            "orphan blobs" => include_str!("sql/orphans.sql"),
            "untagged revisions" => include_str!("sql/untagged.sql"),
            "stale uploads" => include_str!("sql/uploads.sql"),
            "ghost repositories" => include_str!("sql/ghosts.sql"),
            _ => include_str!("sql/links.sql"),
        },
        Place::Codes => include_str!("sql/codes.sql"),
        Place::Problems { .. } => include_str!("sql/problems.sql"),
        Place::Trash => return None,
    })
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

fn compose(frame: &str, level: &str, listing: &Listing) -> String {
    let Order { sort, is_reversed, .. } = listing.order;
    // Lists as long as the storage: an index gives their order, and has ids in its own.
    let is_long = match &listing.place {
        Place::Layers => true,
        Place::Class { name } => name == "orphan blobs" || name == "untagged revisions",
        _ => false,
    };
    let (column, is_descending) = match sort {
        Sort::Size => (measure(listing), !is_reversed),
        Sort::Name if is_long && !listing.place.has_measures() => ("id", is_reversed),
        Sort::Name => ("name", is_reversed),
        Sort::Count => ("item_count", !is_reversed),
        Sort::Time => ("time_ns", !is_reversed),
    };
    let tie = match (is_long, is_descending) {
        (true, true) => "id DESC",
        (true, false) => "id",
        // What came first of equals stays first.
        (false, _) => "name, id",
    };
    let direction = if is_descending { "DESC" } else { "ASC" };
    let order = format!("{column} {direction}, {tie}");
    let filter = if listing.filter.is_empty() {
        "1"
    } else {
        "instr(lower(name || ' ' || COALESCE(digest, '') || ' ' || detail), :filter) > 0"
    };
    // Rows of this list are joined for its window alone, where the order is one of its own columns.
    let is_paged = frame.contains("{offset}")
        && listing.filter.is_empty()
        && matches!(sort, Sort::Size | Sort::Time);
    let page = if is_paged { include_str!("sql/untagged_page.sql") } else { "" };
    let offset = if is_paged && level.contains("{page}") { "0" } else { ":offset" };
    frame
        .replace("{level}", level)
        .replace("{page}", page)
        .replace("{offset}", offset)
        .replace("{filter}", filter)
        .replace("{order}", &order)
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
