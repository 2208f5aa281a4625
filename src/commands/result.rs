//! Runs a query for a command and writes what it gives, with what a reader must know about the
//! scan behind it.

use std::io::Write as _;
use std::time::Duration;

use rusqlite::Connection;

use super::{Context, on_interrupt};
use crate::db::{self, DatabaseError, Guard};
use crate::error::{Outcome, Result};
use crate::report::{self, Query, ScanInfo};
use crate::ui::{self, Format, Frame};

/// The snapshot, opened and confined, and the scan that made it.
pub struct Snapshot {
    pub(super) connection: Connection,
    pub(super) guard: Guard,
    scan: Option<ScanInfo>,
}

impl Snapshot {
    /// Opens the snapshot; queries on it end when `time_limit` has passed, or on Ctrl-C.
    pub fn open(context: &Context, time_limit: Option<Duration>) -> Result<Self> {
        let connection = db::open_for_reading(&context.db)?;
        let in_file = |source| DatabaseError::Sqlite { path: context.db.clone(), source };
        let scan = ScanInfo::read(&connection).map_err(in_file)?;
        let guard = Guard::new(&connection, time_limit).map_err(in_file)?;
        let stopper = guard.stopper(&connection);
        on_interrupt(move || stopper.stop());
        Ok(Self { connection, guard, scan })
    }

    /// Runs `query` and writes its rows; `frame` gets the age of the scan.
    pub fn show(
        &self,
        context: &Context,
        query: &Query<'_>,
        format: Format,
        mut frame: Frame,
    ) -> Result {
        let printer = &context.printer;
        let about_scan = self.about_scan();
        frame.is_at_least = self.scan.as_ref().is_some_and(|scan| !scan.is_complete);
        frame.footer.extend(about_scan.iter().cloned());
        let mut out = printer.out();
        let result = {
            let mut sink = ui::sink(format, &mut out, frame, printer.look());
            report::run(&self.connection, &self.guard, query, sink.as_mut())
        };
        out.flush()?;
        let end = result?;
        if end.is_cut {
            printer.warn(&format!("cut after {} rows; --max-rows 0 gives all of them", end.rows));
        }
        if !format.is_for_people() {
            printer.note(&about_scan.join("; "));
        }
        Ok(Outcome::Done)
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
            "scan of {} ago, took {}",
            ui::age(seconds),
            ui::duration_ms(scan.duration_ms)
        )];
        if !scan.is_complete {
            lines.push("incomplete: every figure is at least".into());
        }
        lines
    }
}
