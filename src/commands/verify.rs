//! `verify`: what is wrong with the storage, and which tags cannot be pulled for it.

mod tally;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::result::Snapshot;
use super::{Context, on_interrupt, report, scan};
use crate::check::{
    self, ContentOptions, ContentSummary, FINDINGS_SQL, Selection, Severities, SeverityChange,
    Subset, Trusts,
};
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::options::{parse_duration, parse_size};
use crate::db::{self, DatabaseError, PreviousScan};
use crate::model::{Code, Severity, bytes_of};
use crate::report::{Bound, Query, RowSink};
use crate::scan::DeepLook;
use crate::snapshot::{self, Reuse, RootsChoice, ScanOptions};
use crate::ui::{self, Format, Frame, JunitSink, Rule, SarifSink};
use tally::{Counted, Tally};

/// Arguments of `verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Scan this storage first; without it, the one that was scanned last
    pub storage: Option<PathBuf>,
    /// Scan again when the last scan is older
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub max_scan_age: Duration,
    /// Also read every blob and compare its content with its digest
    #[arg(long)]
    pub content: bool,
    /// Only one part of the blobs, another one each day: 1/30 has read all after thirty days in a row
    #[arg(long, value_name = "K/N", requires = "content")]
    pub subset: Option<Subset>,
    /// Only blobs that were written or changed within so long
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "content")]
    pub newer_than: Option<Duration>,
    /// Only blobs that were not found right within this time: continues a check that was stopped
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "content")]
    pub not_verified_for: Option<Duration>,
    /// Read at most this many bytes a second, such as 50MB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "content")]
    pub max_rate: Option<u64>,
    /// In a bucket: whose checksums of whole objects stand for reading them
    #[arg(long, value_name = "WHOSE", default_value = "aws", requires = "content")]
    pub trust_checksums: Trusts,
    /// Blobs read at once [default: three for two processors]
    #[arg(long, value_name = "N", requires = "content")]
    pub jobs: Option<NonZeroUsize>,
    /// Count a code's findings as error, warning, info or off; once for each
    #[arg(long, value_name = "CODE=LEVEL")]
    pub severity: Vec<SeverityChange>,
    /// The least severity that makes the exit code 1
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    pub fail_on: FailOn,
    /// How findings are written
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub format: FindingsFormat,
}

/// What makes the exit code 1.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FailOn {
    /// Errors
    Error,
    /// Errors and warnings
    Warning,
    /// Any finding
    Info,
    /// Nothing
    Never,
}

impl FailOn {
    /// The names of the severities that count.
    fn severities(self) -> &'static [&'static str] {
        match self {
            Self::Error => &["error"],
            Self::Warning => &["error", "warning"],
            Self::Info => &["error", "warning", "info"],
            Self::Never => &[],
        }
    }
}

/// A format of findings.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FindingsFormat {
    /// Aligned columns; then what to do, and what to push again
    Table,
    /// One array of objects
    Json,
    /// One object a line
    Ndjson,
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values with a header
    Tsv,
    /// Markdown tables
    Markdown,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
    /// A JUnit report, for continuous integration: one test case for each code
    Junit,
}

/// Verifies a storage.
pub fn run(context: &Context, args: &VerifyArgs) -> Result {
    let scan = ensure_scan(context, args)?;
    if args.content {
        let summary = read_content(context, args, &scan)?;
        show(context, &summary);
    }
    if !scan.is_deep {
        context.printer.note(
            "leftovers beside blobs and links were not looked for; `regsql scan --deep` does",
        );
    }
    findings(context, args)
}

/// The scan to use: the last one, unless it is too old or its time lies in the future.
fn ensure_scan(context: &Context, args: &VerifyArgs) -> Result<PreviousScan> {
    let previous = db::previous_scan(&context.db)?;
    let now_ns = now_ns();
    let is_fresh = |scan: &PreviousScan| {
        // What an inventory says is not what is there.
        scan.inventory_ns.is_none()
            && u64::try_from(now_ns.saturating_sub(scan.finished_ns))
                .is_ok_and(|age_ns| Duration::from_nanos(age_ns) <= args.max_scan_age)
    };
    let storage = match (&args.storage, previous) {
        (Some(storage), _) => storage.clone(),
        (None, Some(scan)) if is_fresh(&scan) => return Ok(scan),
        (None, Some(scan)) => root_of(context, &scan)?,
        (None, None) => return Err(DatabaseError::Missing(context.db.clone()).into()),
    };
    let options = ScanOptions {
        storage,
        database: context.db.clone(),
        io_threads: scan::IO_THREADS,
        deep: DeepLook::Auto,
        reuse: Reuse::Files,
        replaces: false,
        max_vanished_percent: None,
        roots: RootsChoice::AsBefore(None),
    };
    let progress = ui::Bar::new(&context.printer);
    let summary = snapshot::scan(&options, &progress)?;
    drop(progress);
    scan::show(context, &summary);
    db::previous_scan(&context.db)?.ok_or_else(|| DatabaseError::Missing(context.db.clone()).into())
}

/// The storage that was scanned, whatever bytes are in its name.
fn root_of(context: &Context, scan: &PreviousScan) -> Result<PathBuf> {
    bytes_of(&scan.root).map(PathBuf::from).ok_or_else(|| {
        let database = context.db.display();
        Error::new(format!("database `{database}` is damaged: it names no storage"))
            .with_hint("name the storage: `regsql verify STORAGE`, or scan it again")
    })
}

fn now_ns() -> i64 {
    i64::try_from(super::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Half as many again as processors: while some wait for the disk, the others hash. More than that is
/// no faster (`benches/verify --cold`).
fn default_jobs() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    processors.saturating_add(processors.get().div_ceil(2))
}

fn read_content(
    context: &Context,
    args: &VerifyArgs,
    scan: &PreviousScan,
) -> Result<ContentSummary> {
    let options = ContentOptions {
        // A configuration has the credentials, too.
        root: match &args.storage {
            Some(storage) => storage.clone(),
            None => root_of(context, scan)?,
        },
        database: context.db.clone(),
        jobs: args.jobs.unwrap_or_else(default_jobs),
        selection: Selection {
            now_ns: now_ns(),
            subset: args.subset,
            newer_than: args.newer_than,
            not_verified_for: args.not_verified_for,
        },
        max_bytes_per_second: args.max_rate,
        trusts: args.trust_checksums,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    on_interrupt(move || stopped.store(true, Ordering::Relaxed));
    let progress = ui::Bar::new(&context.printer);
    Ok(check::check_content(&options, &progress, &stop)?)
}

fn show(context: &Context, summary: &ContentSummary) {
    let printer = &context.printer;
    let milliseconds = i64::try_from(summary.duration.as_millis()).unwrap_or(i64::MAX);
    let per_second = summary.read_bytes as f64 / summary.duration.as_secs_f64().max(0.001);
    printer.note(&format!(
        "read {} of {} blobs, {} in {} ({} a second): {} right, {} not",
        summary.right_count + summary.wrong_count - summary.proven_count,
        summary.selected_count,
        ui::bytes(summary.read_bytes),
        ui::duration_ms(milliseconds),
        ui::bytes(per_second as i64),
        summary.right_count,
        summary.wrong_count,
    ));
    if summary.proven_count > 0 {
        printer.note(&format!(
            "{} blobs were not read: the sha256 that their provider checked and keeps is their digest",
            summary.proven_count
        ));
    }
    if summary.changed_count > 0 {
        printer.note(&format!(
            "{} blobs were removed or changed while they were read, or since the scan: they were not checked",
            summary.changed_count
        ));
        for path in &summary.changed_paths {
            printer.detail(&format!("removed or changed: {path}"));
        }
    }
}

fn findings(context: &Context, args: &VerifyArgs) -> Result {
    let snapshot = Snapshot::open(context, None)?;
    let severities = Severities::new(&args.severity);
    let query = Query {
        name: "the list of findings".into(),
        sql: FINDINGS_SQL,
        bound: vec![("severities".into(), Bound::Text(severities.to_json()))],
        columns: &[],
        max_rows: None,
        time_limit: None,
    };
    let failing = args.fail_on.severities();
    let mut tally = Tally::default();
    let format = match args.format {
        FindingsFormat::Table => Format::Table,
        FindingsFormat::Json => Format::Json,
        FindingsFormat::Ndjson => Format::Ndjson,
        FindingsFormat::Csv => Format::Csv,
        FindingsFormat::Tsv => Format::Tsv,
        FindingsFormat::Markdown => Format::Markdown,
        FindingsFormat::Sarif | FindingsFormat::Junit => {
            let rules: Vec<Rule> = Code::ALL.iter().map(|code| rule(*code)).collect();
            let mut out = context.printer.out();
            let mut run = |sink: &mut dyn RowSink| {
                snapshot.run(&query, &mut Counted::new(sink, &mut tally, false))
            };
            let result = match args.format {
                FindingsFormat::Junit => run(&mut JunitSink::new(&mut out, &rules, failing)),
                _ => run(&mut SarifSink::new(&mut out, &rules)),
            };
            out.flush()?;
            result?;
            return Ok(end(context, &snapshot, &tally, failing));
        }
    };
    let frame = Frame { may_hide: true, ..Frame::default() };
    snapshot.write(context, format, frame, |sink| {
        let has_hints = !format.is_for_people();
        snapshot.run(&query, &mut Counted::new(sink, &mut tally, has_hints))
    })?;
    if format.is_for_people() {
        what_to_do(context, format, &tally)?;
    }
    Ok(end(context, &snapshot, &tally, failing))
}

fn rule(code: Code) -> Rule {
    Rule { name: code.name(), meaning: code.meaning(), hint: code.hint() }
}

/// A line for each code that was found, and the blobs to bring back.
fn what_to_do(context: &Context, format: Format, tally: &Tally) -> Result<()> {
    let mut out = context.printer.out();
    let widest = tally.codes.iter().map(|code| code.name().len()).max().unwrap_or(0);
    for (place, code) in tally.codes.iter().enumerate() {
        let before = if place == 0 { "\n" } else { "" };
        match format {
            Format::Markdown => writeln!(out, "{before}- `{}`: {}", code.name(), code.hint())?,
            _ => writeln!(out, "{before}{:widest$}  {}", code.name(), code.hint())?,
        }
    }
    if tally.breaks_tags {
        writeln!(out)?;
        out.flush()?;
        drop(out);
        report::show_built_in(context, "mending", &[], format)?;
    } else {
        out.flush()?;
    }
    Ok(())
}

fn end(context: &Context, snapshot: &Snapshot, tally: &Tally, failing: &[&str]) -> Outcome {
    let [error, warning, info] = tally.counts;
    let verdict = if error + warning + info == 0 {
        match snapshot.total("blob_count") {
            0 => "nothing is in here: is it the registry's root?".to_owned(),
            _ => "no problems found".to_owned(),
        }
    } else {
        let counted = [(error, "error"), (warning, "warning"), (info, "note")];
        let words = counted
            .map(|(count, name)| format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        words.join(", ")
    };
    context.printer.note(&verdict);
    let is_counted = |severity: &Severity| failing.contains(&severity.as_str());
    let has_failed = Severity::ALL
        .iter()
        .zip([info, warning, error])
        .any(|(severity, count)| count > 0 && is_counted(severity));
    if has_failed { Outcome::Findings } else { Outcome::Done }
}
