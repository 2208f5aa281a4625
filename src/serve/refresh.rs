//! The work behind the answers: scans when it is time, and makes new answers when there is a new
//! snapshot, also one that another process put in place.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::scanner::{self, Ended};
use super::site::{Pages, Site};
use super::{Event, ServeError, ServeOptions};
use crate::db::{self, DatabaseError, FileStamp, Guard};
use crate::export::{self, Scans};
use crate::snapshot;

/// How often to look whether another process has put a snapshot in place.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a failed scan the next one comes sooner than a long interval would have it.
const RETRY_AFTER: Duration = Duration::from_mins(5);
/// What working out the metrics may take; a person's own reports are among them.
const TIME_LIMIT: Duration = Duration::from_mins(1);

pub struct Refresher {
    options: ServeOptions,
    storage: PathBuf,
    scan_command: Command,
    site: Arc<Site>,
    teller: Box<dyn Fn(Event) + Send + Sync>,
    scans: Scans,
    /// The file that the answers are made from; `None` until there is one of the right storage.
    served: Option<FileStamp>,
}

impl Refresher {
    pub fn new(
        options: ServeOptions,
        storage: PathBuf,
        site: Arc<Site>,
        teller: Box<dyn Fn(Event) + Send + Sync>,
    ) -> Self {
        let scan_command = (options.scan_command)(&storage);
        let scans = Scans::default();
        site.count(&scans);
        Self { options, storage, scan_command, site, teller, scans, served: None }
    }

    pub fn report(&self, event: Event) {
        (self.teller)(event);
    }

    /// Scans and looks until the other end of `hung_up` is gone.
    pub fn run(mut self, hung_up: &Receiver<()>) {
        let mut next_scan = (!self.options.interval.is_zero()).then(Instant::now);
        loop {
            if next_scan.is_some_and(|at| Instant::now() >= at) {
                let interval = self.options.interval;
                let wait = if self.scan(hung_up) { interval } else { interval.min(RETRY_AFTER) };
                // A time that the clock does not know never comes.
                next_scan = Instant::now().checked_add(wait);
            } else if self.has_changed()
                && let Err(error) = self.refresh()
            {
                self.report(Event::Failed(error));
            }
            let wait = next_scan
                .map_or(LOOK_EVERY, |at| at.saturating_duration_since(Instant::now()))
                .min(LOOK_EVERY);
            match hung_up.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether there is a new snapshot, and it is served.
    fn scan(&mut self, hung_up: &Receiver<()>) -> bool {
        let started = Instant::now();
        let scanned = scanner::scan(&mut self.scan_command, hung_up);
        if matches!(scanned, Ok(Ended::Stopped)) {
            return false;
        }
        let took = started.elapsed();
        let before = self.scans;
        self.scans.succeeded += 1;
        self.scans.last_succeeded = Some(true);
        match scanned.and_then(|_done| self.refresh()) {
            Ok(()) => {
                self.report(Event::Scanned { took });
                true
            }
            Err(error) => {
                self.scans = before;
                self.scans.failed += 1;
                self.scans.last_succeeded = Some(false);
                self.site.count(&self.scans);
                self.report(Event::Failed(error));
                false
            }
        }
    }

    /// Makes the answers anew from the snapshot that is there.
    pub fn refresh(&mut self) -> Result<(), ServeError> {
        // Taken before the file is opened: what comes after is seen as a change.
        let stamp = FileStamp::of(&self.options.database);
        let pages = self.pages()?;
        self.site.publish(pages, &self.scans);
        self.served = stamp;
        Ok(())
    }

    fn pages(&self) -> Result<Pages, ServeError> {
        let path = &self.options.database;
        let connection = db::open_for_reading(path)?;
        let guard = Guard::new(&connection, Some(TIME_LIMIT))
            .map_err(|source| DatabaseError::Sqlite { path: path.clone(), source })?;
        let (catalog, options) = (&self.options.catalog, &self.options.metrics);
        let metrics = export::render_metrics(&connection, &guard, catalog, options)?;
        let home = (self.options.home)(&connection, &guard).map_err(ServeError::Home)?;
        Ok(Pages { metrics, home })
    }

    /// Whether another process has put a snapshot in place since.
    fn has_changed(&mut self) -> bool {
        let stamp = FileStamp::of(&self.options.database);
        if stamp.is_none() || stamp == self.served {
            return false;
        }
        // Looked at once: one of another storage, or one that cannot be used, is not served.
        let scan = db::previous_scan(&self.options.database).ok().flatten();
        let is_ours = scan.is_some_and(|scan| scan.root == snapshot::root_text(&self.storage));
        self.served = stamp;
        is_ours
    }
}
