//! Runs a query for a command and writes what it gives, with what a reader must know about the
//! scan behind it.

use std::time::Duration;

use rusqlite::Connection;

use super::{Context, on_interrupt};
use crate::commands::error::Result;
use crate::db::{self, DatabaseError, Guard, ReadGraphError};
use crate::graph::Graph;
use crate::prune::Origin;
use crate::report::{self, End, Query, QueryError, RowSink, RunError, ScanInfo};
use crate::ui::{self, Format, Frame};

/// The snapshot, opened and confined, and the scan that made it.
pub struct Snapshot {
    pub(in crate::commands) connection: Connection,
    pub(super) guard: Guard,
    scan: Option<ScanInfo>,
    time_limit: Option<Duration>,
}

impl Snapshot {
    /// Opens the snapshot; queries on it end when `time_limit` has passed, or on Ctrl-C.
    pub fn open(context: &Context, time_limit: Option<Duration>) -> Result<Self> {
        let connection = db::open_for_reading(&context.db)?;
        let in_file = |source| DatabaseError::Sqlite { path: context.db.clone(), source };
        let scan = ScanInfo::read(&connection).map_err(in_file)?;
        if scan.is_some() && !db::is_scan_current(&connection).map_err(in_file)? {
            context.printer.warn_always(
                "an older regsql made this scan, so that some reports lack rows: scan again",
            );
        }
        let guard = Guard::new(&connection, time_limit).map_err(in_file)?;
        let stopper = guard.stopper(&connection);
        on_interrupt(move || stopper.stop());
        Ok(Self { connection, guard, scan, time_limit })
    }

    /// Runs `query` and writes its rows; `frame` gets the age of the scan.
    pub fn show(
        &self,
        context: &Context,
        query: &Query<'_>,
        format: Format,
        frame: Frame,
    ) -> Result<End> {
        self.write(context, format, frame, |sink| self.run(query, sink))
    }

    /// Runs `query` into `sink`.
    pub fn run(
        &self,
        query: &Query<'_>,
        sink: &mut dyn RowSink,
    ) -> std::result::Result<End, RunError> {
        report::run(&self.connection, &self.guard, query, sink)
    }

    /// Writes the rows that `fill` gives; `frame` gets the age of the scan.
    pub fn write(
        &self,
        context: &Context,
        format: Format,
        mut frame: Frame,
        fill: impl FnOnce(&mut dyn RowSink) -> std::result::Result<End, RunError>,
    ) -> Result<End> {
        let printer = &context.printer;
        let about_scan = self.about_scan();
        frame.is_at_least = self.is_at_least();
        frame.footer.extend(about_scan.iter().cloned());
        let mut out = context.paged();
        let result = {
            let mut sink = ui::sink(format, &mut out, frame, printer.look());
            fill(sink.as_mut())
        };
        out.finish()?;
        let end = result?;
        if end.is_cut {
            printer.warn_always(&format!(
                "cut after {} rows; --max-rows 0 gives all of them",
                end.rows
            ));
        }
        if !format.is_for_people() {
            printer.note(&about_scan.join("; "));
        }
        Ok(end)
    }

    /// Whether something could not be read, so that every figure is "at least".
    pub fn is_at_least(&self) -> bool {
        self.scan.as_ref().is_some_and(|scan| !scan.is_complete)
    }

    /// Who leads to what.
    pub fn graph(&self, context: &Context) -> Result<Graph> {
        let path = &context.db;
        Ok(db::read_graph(&self.connection).map_err(|error| match error {
            _ if self.guard.was_stopped() => anyhow::Error::new(QueryError::Interrupted),
            _ if self.guard.timed_out() => {
                let query = "reading the snapshot".into();
                QueryError::TimedOut { query, limit: self.time_limit.unwrap_or_default() }.into()
            }
            ReadGraphError::Sqlite(source) => {
                DatabaseError::Sqlite { path: path.clone(), source }.into()
            }
            source @ ReadGraphError::Dangling { .. } => {
                DatabaseError::Damaged { path: path.clone(), source }.into()
            }
        })?)
    }

    /// Whether the scan read an inventory, by which nothing may be deleted.
    pub fn is_of_inventory(&self) -> bool {
        self.scan.as_ref().is_some_and(|scan| scan.inventory_ns.is_some())
    }

    /// How old the scan is; `None` when there is none, its time lies ahead, or it is of an inventory.
    pub fn age(&self) -> Option<Duration> {
        if self.is_of_inventory() {
            return None;
        }
        let finished = i128::from(self.scan.as_ref()?.finished_ns);
        let age = super::now().as_nanosecond() - finished;
        u64::try_from(age).ok().map(Duration::from_nanos)
    }

    /// Which scan this is.
    pub fn origin(&self, context: &Context) -> Result<Origin> {
        let finished_ns = self.scan.as_ref().map_or(0, |scan| scan.finished_ns);
        origin_of(context, &self.connection, finished_ns)
    }

    /// A figure about the whole storage.
    pub fn total(&self, name: &str) -> i64 {
        db::total(&self.connection, name).unwrap_or(0)
    }

    /// How old the scan is, and whether it read everything.
    pub(super) fn about_scan(&self) -> Vec<String> {
        let Some(scan) = &self.scan else {
            return vec!["no scan in this database yet".into()];
        };
        let now = super::now().as_nanosecond() / 1_000_000_000;
        let finished = i128::from(scan.finished_ns / 1_000_000_000);
        let seconds = i64::try_from(now - finished).unwrap_or(i64::MAX);
        let mut lines = vec![format!(
            "scan of {}, took {}",
            ui::ago(seconds),
            ui::duration_ms(scan.duration_ms)
        )];
        if let Some(made_ns) = scan.inventory_ns {
            let seconds =
                i64::try_from(now - i128::from(made_ns / 1_000_000_000)).unwrap_or(i64::MAX);
            lines.push(format!("of an inventory of {}: prune lists again", ui::ago(seconds)));
        }
        if !scan.is_complete {
            lines.push("incomplete: every figure is a minimum".into());
        }
        if scan.has_other_authority {
            lines.push("references seem to be held elsewhere: regsql report authority".into());
        }
        lines
    }
}

/// Which scan a snapshot is of.
pub(super) fn origin_of(
    context: &Context,
    connection: &Connection,
    finished_ns: i64,
) -> Result<Origin> {
    let root = db::scanned_root(connection)
        .map_err(|source| DatabaseError::Sqlite { path: context.db.clone(), source })?;
    let scanned_at = jiff::Timestamp::from_nanosecond(i128::from(finished_ns))?.to_string();
    Ok(Origin { root: root.unwrap_or_default(), scanned_at })
}
