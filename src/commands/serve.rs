//! `serve`: the exporter.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Args;
use rusqlite::Connection;

use super::{Context, metrics, on_interrupt};
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::options::{CatalogArgs, SeriesArgs, parse_duration};
use crate::db::Guard;
use crate::export::html::write_page;
use crate::pulls::Notifications;
use crate::serve::{self, Event, ServeOptions};
use crate::ui;

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// The storage to scan, as for `scan` [default: the one that the database is of]
    pub storage: Option<PathBuf>,
    /// Where to listen. Whoever reaches it can read the names of all repositories and tags
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9055")]
    pub listen: SocketAddr,
    /// Also answer requests for this name, such as that of a proxy. On a loopback address only its own
    /// names are answered, so that no web page reads the answers through a browser; may be repeated
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// The time from one scan to the next, such as 15m or 6h (0s: never scan, and serve what other
    /// scans put into the database)
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = parse_duration)]
    pub interval: Duration,
    /// Files and directories read at once in a scan
    #[arg(long, value_name = "N", default_value = "32")]
    pub io_threads: NonZeroUsize,
    /// Take the registry's notifications of pulls at /events, for `last_pulled_at`
    #[arg(long)]
    pub events: bool,
    /// A file with the token that each notification must bring (Authorization: Bearer TOKEN)
    #[arg(long, value_name = "FILE", requires = "events")]
    pub events_token_file: Option<PathBuf>,
    /// How much is exported.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// A directory of your own reports, for the metrics that they declare.
    #[command(flatten)]
    pub catalog: CatalogArgs,
}

/// Serves until it is stopped.
pub fn run(context: &Context, args: ServeArgs) -> Result {
    let (database, io_threads) = (context.db.clone(), args.io_threads);
    let token = args.events_token_file.as_deref().map(read_token).transpose()?;
    let options = ServeOptions {
        listen: args.listen,
        allowed_hosts: args.allow_host,
        interval: args.interval,
        storage: args.storage,
        database: context.db.clone(),
        scan_command: Box::new(move |storage| scan_command(&database, storage, io_threads)),
        metrics: args.series.into(),
        catalog: metrics::catalog(context, &args.catalog)?,
        home: Box::new(home_page),
        events: args.events.then(|| Arc::new(Notifications::new(token))),
    };
    let (stop, stopped) = mpsc::channel();
    on_interrupt(move || {
        // Nothing listens any more: it stops already.
        let _ = stop.send(());
    });
    let printing = context.clone();
    serve::serve(options, &stopped, move |event| show(&printing, event))?;
    context.printer.note("stopped");
    Ok(Outcome::Done)
}

fn read_token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|source| {
        Error::from(anyhow::Error::new(source).context(format!("cannot read `{}`", path.display())))
    })?;
    match text.trim() {
        "" => Err(Error::new(format!("`{}` holds no token", path.display()))),
        token => Ok(token.to_owned()),
    }
}

fn show(context: &Context, event: Event) {
    let printer = &context.printer;
    match event {
        Event::Listening(address) => {
            printer.note(&format!("listening on http://{address}/"));
            if !address.ip().is_loopback() {
                printer.warn(
                    "other machines may reach it: whoever does can read the names of all \
                     repositories and tags",
                );
            }
        }
        Event::Scanned { took } => {
            printer.note(&format!("scanned in {}", ui::duration_ms(took.as_millis() as i64)));
        }
        Event::Failed(error) => {
            let error = Error::from(error);
            printer.error(&error.messages(), &error.hints());
        }
    }
}

fn scan_command(database: &Path, storage: &Path, io_threads: NonZeroUsize) -> Command {
    let program = super::own_program().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let mut command = Command::new(program);
    command.arg("--quiet").arg("--db").arg(database).arg("scan");
    command.arg("--io-threads").arg(io_threads.to_string()).arg("--").arg(storage);
    // A group of its own: Ctrl-C on a terminal is for the server, which then ends the scan.
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    command
}

/// What a browser gets: the page that `html` writes.
fn home_page(
    snapshot: &Connection,
    guard: &Guard,
) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut page = Vec::new();
    write_page(snapshot, guard, super::now(), &mut page)?;
    Ok(page)
}
