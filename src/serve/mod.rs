//! An exporter: answers over HTTP what the snapshot says, and scans again every so often.
//!
//! Guarantees: a request is answered from memory, so no client makes work for the storage, the
//! database or a scan; the old answers stay until new ones are whole; a scan that fails changes
//! nothing but the metrics that say so. Connections are bounded in number, size and time. The async
//! runtime stays inside `http`. Prints nothing: what happens goes to a callback.

mod error;
mod hosts;
mod http;
mod refresh;
mod scanner;
mod site;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::db;
use crate::db::Guard;
use crate::export::MetricsOptions;
use crate::pulls::Notifications;
use crate::report::Catalog;
use crate::snapshot;

pub use error::ServeError;

use hosts::Hosts;
use http::Server;
use refresh::Refresher;
use site::Site;

/// Makes the page that browsers get, from the snapshot.
pub type HomePage = Box<
    dyn Fn(&Connection, &Guard) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + Send,
>;

/// Makes the command that scans the storage at a path into the database.
pub type ScanCommand = Box<dyn Fn(&Path) -> Command + Send>;

/// What to serve, and how.
pub struct ServeOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names besides those of loopback that requests may ask for.
    pub allowed_hosts: Vec<String>,
    /// The time from the end of a scan to the next; zero: never scan.
    pub interval: Duration,
    /// The storage; `None`: the one that the database's snapshot is of.
    pub storage: Option<PathBuf>,
    /// The database.
    pub database: PathBuf,
    /// How to scan.
    pub scan_command: ScanCommand,
    /// What is exported.
    pub metrics: MetricsOptions,
    /// The reports, for those that declare metrics.
    pub catalog: Catalog,
    /// The page for browsers.
    pub home: HomePage,
    /// The registry's notifications of pulls, when they are wanted.
    pub events: Option<Arc<Notifications>>,
}

/// What happens while it serves.
pub enum Event {
    /// It listens.
    Listening(SocketAddr),
    /// A scan put a snapshot in place.
    Scanned {
        /// How long that took.
        took: Duration,
    },
    /// A scan or the work after it failed; what was served before still is.
    Failed(ServeError),
}

/// How often to look whether the scans still go on.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a scan or the work after it may take to end when the server stops.
const STOP_TIME: Duration = Duration::from_secs(3);

/// Serves until `stop` receives something. A scan that then runs is ended: the database stays as it
/// was.
///
/// # Errors
/// When it cannot begin: nothing to serve, or the address cannot be listened on; and when nothing
/// new would ever be served again.
pub fn serve(
    options: ServeOptions,
    stop: &Receiver<()>,
    report: impl Fn(Event) + Send + Sync + 'static,
) -> Result<(), ServeError> {
    let remembered = db::previous_scan(&options.database)?.map(|scan| scan.root);
    let storage = match (&options.storage, &remembered) {
        (Some(given), _) => snapshot::root_of(given)?,
        (None, Some(root)) => PathBuf::from(root),
        (None, None) => return Err(ServeError::NoStorage(options.database)),
    };
    // Figures of another storage would be taken for those of the one that was asked for.
    let is_of_storage = remembered.is_some_and(|root| root == snapshot::root_text(&storage));

    let cannot_listen = |source| ServeError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let hosts = Hosts::new(address.ip(), &options.allowed_hosts);
    let site = Arc::new(Site::for_hosts(hosts));
    let (events, database) = (options.events.clone(), options.database.clone());
    let mut refresher = Refresher::new(options, storage, Arc::clone(&site), Box::new(report));
    if is_of_storage {
        refresher.refresh()?;
    }
    let server = Server::start(listener, site, events.clone())
        .map_err(|source| ServeError::Listen { address, source })?;
    refresher.report(Event::Listening(address));
    let (until_stop, hung_up) = mpsc::channel();
    let rescans = std::thread::Builder::new()
        .name("regsql-rescan".into())
        .spawn(move || refresher.run(&hung_up))
        .map_err(ServeError::Thread)?;
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(LOOK_EVERY) {
        if rescans.is_finished() {
            return Err(ServeError::Ended);
        }
        if let Some(events) = &events {
            // What cannot be written now waits; a database that stays away is the rescan's error.
            drop(events.write_to(&database, now_ns(), false));
        }
    }
    drop(until_stop);
    let asked = Instant::now();
    server.stop();
    while !rescans.is_finished() && asked.elapsed() < STOP_TIME {
        std::thread::sleep(Duration::from_millis(10));
    }
    if let Some(events) = &events {
        events.write_to(&database, now_ns(), true)?;
    }
    Ok(())
}

/// The time, in nanoseconds since 1970.
fn now_ns() -> i64 {
    jiff::Timestamp::now().as_nanosecond() as i64
}
