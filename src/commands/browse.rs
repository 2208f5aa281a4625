//! `browse`: walks through the registry on a terminal.

use std::io::IsTerminal as _;
use std::path::Path;

use clap::Args;
use rusqlite::Connection;

use super::result::origin_of;
use super::save::save_plan;
use super::{Context, on_interrupt};
use crate::browse::{self, Deletions, End, Line, Outside, Row, RowKind};
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::options::StorageArgs;
use crate::db::{self, DatabaseError};
use crate::prune::Protect;
use crate::report::ScanInfo;
use crate::snapshot::{self, Reuse, RootsChoice, ScanOptions};
use crate::trash;

/// Arguments of `browse`.
#[derive(Args, Debug, Default)]
#[command(
    after_help = "`?` shows all keys. The screen is drawn on standard error; what `p` prints \
    goes to standard output."
)]
pub struct BrowseArgs {
    /// Leave tags whose name matches, such as v1.*; REPO:GLOB for one repository; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub protect_tags: Vec<String>,
}

/// Shows the browser.
pub fn run(context: &Context, args: &BrowseArgs) -> Result {
    if !std::io::stderr().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Error::new("browse needs a terminal: for its keys on standard input, and to draw on standard error")
            .with_hint("regsql report shows the same figures as tables; regsql html makes a page"));
    }
    if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        return Err(Error::new("browse cannot draw on a terminal of type `dumb`").with_hint(
            "set TERM to what the terminal is, such as xterm; regsql report shows the same figures",
        ));
    }
    // Says what is wrong with the database before the terminal is taken.
    drop(db::open_for_reading(&context.db)?);
    let outside = outside(context, args)?;
    let ended = browse::run(outside, on_interrupt);
    // A scan may have been going on.
    db::remove_unfinished();
    match ended.map_err(Error::new)? {
        End::Quit => Ok(Outcome::Done),
        End::Print(line) => {
            context.printer.results(&format!("{line}\n"))?;
            Ok(Outcome::Done)
        }
        End::Interrupted => Err(Error::stopped("browse was stopped: no plan was written")),
    }
}

/// What the browser needs of the other commands.
pub fn outside(context: &Context, args: &BrowseArgs) -> Result<Outside> {
    let protect = if args.protect_tags.is_empty() {
        None
    } else {
        let mut protect = Protect::default();
        protect.add_patterns(&args.protect_tags)?;
        Some(protect)
    };
    let is_default = context.db == Path::new("registry.db");
    let of = |context: &Context| context.clone();
    let (opened, deleted, scanned, listed) = (of(context), of(context), of(context), of(context));
    Ok(Outside {
        open: Box::new(move || db::open_for_reading(&opened.db).map_err(in_words)),
        deletions: Box::new(move || deletions(&deleted, protect.clone()).map_err(in_words)),
        about: Box::new(|connection, target| about(connection, target).map_err(in_words)),
        save: Box::new(|path, document| save_plan(path, document).map_err(in_words)),
        rescan: Box::new(move |progress| {
            let storage =
                super::storage::open(&scanned, &StorageArgs::default()).map_err(in_words)?;
            let options = ScanOptions {
                storage: storage.origin().to_owned(),
                database: scanned.db.clone(),
                io_threads: super::scan::IO_THREADS,
                deep: crate::scan::DeepLook::Auto,
                reuse: Reuse::Files,
                replaces: false,
                max_vanished_percent: None,
                roots: RootsChoice::AsBefore(None),
            };
            let scan = snapshot::scan(&options, progress);
            scan.map(drop).map_err(in_words)
        }),
        trash: Box::new(move || trash_rows(&listed)),
        now_ns: now_ns(),
        database: (!is_default).then(|| context.db.display().to_string()),
        has_color: context.printer.has_color_on_stderr(),
    })
}

fn now_ns() -> i64 {
    i64::try_from(super::now().as_nanosecond()).unwrap_or(i64::MAX)
}

fn in_words(error: impl Into<Error>) -> String {
    let error: Error = error.into();
    error.messages().join(": ")
}

fn deletions(context: &Context, protect: Option<Protect>) -> Result<Deletions> {
    let connection = db::open_for_reading(&context.db)?;
    let in_file = |source| DatabaseError::Sqlite { path: context.db.clone(), source };
    let scan = ScanInfo::read(&connection).map_err(in_file)?;
    let finished_ns = scan.map_or(0, |scan| scan.finished_ns);
    let origin = origin_of(context, &connection, finished_ns)?;
    let graph = db::read_graph(&connection)
        .map_err(|source| DatabaseError::Damaged { path: context.db.clone(), source })?;
    Ok(Deletions::new(graph, origin, protect, now_ns()))
}

fn about(connection: &Connection, target: &str) -> Result<Vec<Line>> {
    let (text, holders) = super::why::for_people(connection, target, "t lists the holders")?;
    let plain = text.lines().map(|line| Line { text: line.to_owned(), jump: None });
    let mut lines: Vec<Line> = plain.collect();
    lines.extend(holders.into_iter().map(|(text, jump)| Line { text, jump: Some(jump) }));
    Ok(lines)
}

/// Nothing where the storage is not here: the browser shows the snapshot.
fn trash_rows(context: &Context) -> Vec<Row> {
    let Ok(storage) = super::storage::open(context, &StorageArgs::default()) else {
        return Vec::new();
    };
    let runs = trash::list(&*storage).unwrap_or_default();
    let row = |run: trash::RunInfo| {
        let state = match run.state {
            trash::RunState::Finished => "",
            trash::RunState::Unfinished => "unfinished",
            trash::RunState::NotBegun => "not begun",
            trash::RunState::Damaged(_) => "damaged",
        };
        Row {
            kind: RowKind::Run,
            name: run.run.as_str().to_owned(),
            repository: None,
            tag: None,
            digest: None,
            exclusive_bytes: run.size_bytes,
            logical_bytes: run.size_bytes,
            is_at_least: false,
            item_count: run.counts.blobs,
            time_ns: run.started_at.and_then(|at| i64::try_from(at.as_nanosecond()).ok()),
            flags: String::new(),
            detail: state.to_owned(),
        }
    };
    runs.into_iter().map(row).collect()
}
