//! One file a command: its arguments, and what it does with the rest of the crate.

mod browse;
mod completions;
mod demo;
pub mod error;
mod export;
mod free;
mod html;
mod interrupt;
mod man;
mod measure;
mod metrics;
mod naming;
mod nightly;
pub mod options;
mod prune;
mod pulls;
mod report;
mod result;
mod save;
mod scan;
mod schema;
mod selecting;
mod serve;
mod sql;
mod storage;
mod trash;
mod undo;
mod usage;
mod verify;
mod what_if;
mod why;

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use browse::{BrowseArgs, outside as browse_outside};
pub use completions::complete;
pub use demo::DemoArgs;
pub use interrupt::{end_on_interrupt, interrupt_count, on_interrupt, was_interrupted};
pub use nightly::end_with_job;
pub use report::show_built_in;
pub use scan::ScanArgs;
pub use usage::explain;

use crate::commands::error::{Error, Result};
use crate::commands::options::GlobalArgs;
use crate::ui::{Out, Printer};

/// See with SQL what a Docker/OCI registry has on disk
///
/// regsql puts what a registry has on disk into SQLite: which layers, tags and repositories eat the
/// space, why a blob is still there, and what deleting something would really free.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Start with `regsql scan STORAGE`, then `regsql report`."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read a registry's storage into the database
    Scan(ScanArgs),
    /// Show a canned report; without a name the overview
    Report(report::ReportArgs),
    /// Run your own SQL, read-only
    Sql(sql::SqlArgs),
    /// Explain why a blob, tag or revision is still there, and what deleting it would free
    Why(why::WhyArgs),
    /// Walk through the registry on a terminal by bytes, and mark what could go
    ///
    /// Repositories by the parts of their names, their tags, platforms and layers with their build
    /// steps; or, turned over, layers and who holds them. Beside each row stands what keeps it. The
    /// footer says what deleting all marks together would really free. `w` writes them as a plan for
    /// `prune --plan`, `p` prints the `prune` line on quitting; browse itself deletes nothing.
    Browse(BrowseArgs),
    /// Choose which tags to drop so that at least BYTES come free
    ///
    /// What no tag needs counts first: garbage and untagged revisions. Tags are chosen for the rest.
    /// Tags share layers, so what a set of them frees is not the sum of what each frees: this
    /// counts what really comes free, and names no tag that the goal does not need. The tags come
    /// from a report. The default, keep-latest, names no tag that is not a version, such as latest
    /// or main, and leaves each repository its newest 5. Nothing is deleted. Exit code 1: the goal
    /// cannot be reached; the rows are then all that helps.
    Free(free::FreeArgs),
    /// Put back what a deletion moved to the trash
    ///
    /// It needs no database, works after a crash, and can be stopped and called again. What was
    /// pushed meanwhile is never replaced: the old one stays in the trash and is named, unless what
    /// was pushed is the same. Exit code 1: not everything is back, or something needs what lies in
    /// the trash of another run, which is named.
    Undo(undo::UndoArgs),
    /// List what deletions moved to the trash, or remove it for good
    Trash(trash::TrashArgs),
    /// Delete what reports or queries name, and what that leaves unneeded
    ///
    /// Without --delete it only shows what would go, what would come free, and what stays for which
    /// reason. Deleted things move to the trash beside the registry's data, from which `undo` puts
    /// them back and `trash purge` frees their space. Exit code 1: something that was asked for
    /// stays, or a limit was passed. What --protect or --min-age keeps is no reason for it.
    Prune(Box<prune::PruneArgs>),
    /// Find what is wrong in the storage, and which tags it breaks
    ///
    /// Faults of structure come from the scan, which is made anew when it is older than an hour.
    /// --content also reads every blob and compares it with its digest; what was found right is kept
    /// in the database (`blobs.verified_at`), so that a check can be stopped and gone on with
    /// --not-verified-for. docs/findings.md says of each code what it breaks and how to mend it.
    /// Exit code 1: there is an error (or what --fail-on says).
    Verify(verify::VerifyArgs),
    /// Write a page with pictures about the registry
    ///
    /// One file that needs no network: the disk as a picture, garbage and what pruning frees, the
    /// largest and rarest layers with their build steps, growth, old and idle repositories, problems.
    /// Every figure has its query behind a click.
    Html(html::HtmlArgs),
    /// Print Prometheus metrics
    ///
    /// Reads the last scan's snapshot, never the storage. With --output it is for the textfile
    /// collector of Prometheus's node exporter; docs/monitoring.md says more.
    Metrics(metrics::MetricsArgs),
    /// Answer Prometheus and browsers over HTTP, and scan again every so often
    ///
    /// `/metrics` gives the metrics, `/` too unless a browser asks, which gets a page; `/healthz`
    /// says that it lives, `/readyz` that there is a snapshot. While a scan runs, and when one fails,
    /// the answers are those of the snapshot before. SIGTERM and Ctrl-C end it with exit code 0.
    Serve(serve::ServeArgs),
    /// Do the whole night job of a registry, as a file says
    ///
    /// Announces a downtime, stops the registry or makes it read-only, scans, deletes by reports and
    /// policies, purges the trash by age, starts the registry, sees that it serves, and ends the downtime.
    /// Each step has a time limit. Whatever fails, the registry is started again; a run that was killed is
    /// healed by the next one. docs/nightly.md has the file's keys. Exit code 1: something that was to go
    /// stays, or a limit was passed. Exit code 2: a step failed, or the registry does not serve.
    Nightly(nightly::NightlyArgs),
    /// Write the views as Parquet, for engines that count over many registries and scans
    ///
    /// The files lie in `DEST/<view>/registry=NAME/scan=TIME/`; docs/lake.md says which engines read
    /// them, and how. A scan is exported whole or not at all, and one that is there already is left as
    /// it is. Engines report: only regsql deletes, since it looks at the storage again before.
    Export(export::ExportArgs),
    /// Take in when images were pulled, from logs
    Pulls(pulls::PullsArgs),
    /// Show the views and what their columns mean
    Schema(schema::SchemaArgs),
    /// Make a small sample registry, scan it, and look at it
    Demo(DemoArgs),
    /// Print a script that completes commands, reports, repositories and tags in a shell
    Completions(completions::CompletionsArgs),
    /// Print the man page, or write one for each command
    Man(man::ManArgs),
}

/// What every command gets.
#[derive(Clone, Debug)]
pub struct Context {
    /// The database file.
    pub db: PathBuf,
    /// The only way to write.
    pub printer: Printer,
}

impl Context {
    /// Standard output for what a person reads, through a pager where it is longer than the screen.
    fn paged(&self) -> Out {
        if self.printer.look().is_terminal {
            interrupt::outlive_interrupts();
        }
        self.printer.paged()
    }
}

impl Cli {
    /// What the options of every command ask for.
    pub fn context(&self) -> Context {
        Context { db: self.global.db.clone(), printer: self.global.printer() }
    }
}

/// Runs a command.
pub fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Scan(args) => scan::run(context, &args),
        Command::Report(args) => report::run(context, &args),
        Command::Sql(args) => sql::run(context, &args),
        Command::Why(args) => why::run(context, &args),
        Command::Browse(args) => browse::run(context, &args),
        Command::Free(args) => free::run(context, &args),
        Command::Undo(args) => undo::run(context, &args),
        Command::Trash(args) => trash::run(context, &args),
        Command::Prune(args) => prune::run(context, &args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Html(args) => html::run(context, &args),
        Command::Metrics(args) => metrics::run(context, &args),
        Command::Serve(args) => serve::run(context, args),
        Command::Nightly(args) => nightly::run(context, &args),
        Command::Export(args) => export::run(context, &args),
        Command::Pulls(args) => pulls::run(context, &args),
        Command::Schema(args) => schema::run(context, &args),
        Command::Demo(args) => demo::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
    }
}

/// The command line as clap knows it, for completions, the man page and the docs.
pub fn command_line() -> clap::Command {
    Cli::command()
}

/// This very program, also when the file that it was started from is replaced by a newer one.
fn own_program() -> Result<PathBuf> {
    let running = std::path::Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().map_err(|source| {
        Error::from(anyhow::Error::new(source).context("cannot find out where this program lies"))
            .with_hint("mount /proc")
    })
}

/// The time; `REGSQL_NOW` sets it for tests.
fn now() -> jiff::Timestamp {
    std::env::var("REGSQL_NOW")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(jiff::Timestamp::now)
}
