//! `pulls`: take in what logs and notifications say of pulls.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Context;
use crate::commands::error::{Outcome, Result};
use crate::commands::options::OutputArgs;
use crate::db::WriteLock;
use crate::pulls::{FileReport, Filter, PullStore, PullsError, Span, import_file};
use crate::report::{Column, End, Unit, Value};
use crate::ui::{self, Frame};

/// Arguments of `pulls`.
#[derive(Args, Debug)]
pub struct PullsArgs {
    #[command(subcommand)]
    command: PullsCommand,
}

#[derive(Debug, Subcommand)]
enum PullsCommand {
    /// Read pulls from access logs, saved notifications or tables
    ///
    /// Takes the registry's own log (text or JSON), the combined format of nginx, Apache and Traefik, the
    /// registry's notification events and CSV (`repository`, `tag`, `manifest_digest`, `last_pulled_at`,
    /// `pull_count`), also compressed with gzip. A GET of a manifest is a pull; HEAD requests are counted
    /// apart. A log may be given again: what was counted is not counted twice. What is not understood is
    /// skipped and counted. docs/retention.md says more. Exit code 1: a file held nothing that could be
    /// used.
    Import(ImportArgs),
}

#[derive(Args, Debug)]
struct ImportArgs {
    /// Logs, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take only requests to this host, such as registry.example.com:5000, where the log says to which;
    /// may be repeated
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Leave out user agents that begin so, such as a vulnerability scanner's; may be repeated
    #[arg(long, value_name = "AGENT")]
    ignore_agent: Vec<String>,
    /// Count HEAD requests as pulls: a container runtime that has the image only asks whether a tag moved
    #[arg(long)]
    with_head: bool,
    /// How rows go out.
    #[command(flatten)]
    output: OutputArgs,
}

/// Imports.
pub fn run(context: &Context, args: &PullsArgs) -> Result {
    match &args.command {
        PullsCommand::Import(args) => import(context, args),
    }
}

fn import(context: &Context, args: &ImportArgs) -> Result {
    let filter = Filter {
        hosts: args.host.clone(),
        ignored_agents: args.ignore_agent.clone(),
        counts_head: args.with_head,
        now_ns: super::now().as_nanosecond() as i64,
    };
    let lock = WriteLock::take(&context.db)?;
    let mut store = PullStore::begin(&lock)?;
    let mut reports = Vec::new();
    for path in &args.files {
        reports.push((path.display().to_string(), import_file(path, &filter, &mut store)?));
    }
    store.commit().map_err(PullsError::from)?;
    drop(lock);
    show(context, args, &reports)?;
    let mut outcome = Outcome::Done;
    for (file, report) in &reports {
        if !warn_of(context, file, report) {
            outcome = Outcome::Findings;
        }
    }
    Ok(outcome)
}

fn show(context: &Context, args: &ImportArgs, reports: &[(String, FileReport)]) -> Result<()> {
    let columns = [
        ("file", Unit::Text),
        ("line_count", Unit::Count),
        ("pull_count", Unit::Count),
        ("new_pull_count", Unit::Count),
        ("head_count", Unit::Count),
        ("own_count", Unit::Count),
        ("unknown_count", Unit::Count),
        ("skipped_count", Unit::Count),
        ("first_skipped_line", Unit::Number),
        ("from_at", Unit::Time),
        ("until_at", Unit::Time),
    ];
    let format = args.output.format;
    let frame = Frame { title: Some("Pulls taken in".into()), may_hide: true, ..Frame::default() };
    let mut out = context.printer.out();
    {
        let mut sink = ui::sink(format, &mut out, frame, context.printer.look());
        sink.begin(&columns.map(|(name, unit)| Column { name: name.into(), unit }))?;
        for (file, report) in reports {
            let count = |count: u64| Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
            let time = |at: fn(Span) -> i64| {
                let text = report.span.and_then(|span| time_text(at(span)));
                text.map_or(Value::Null, |text| Value::Text(text.into()))
            };
            sink.row(&[
                Value::Text(file.as_str().into()),
                count(report.line_count),
                count(report.pull_count),
                count(report.new_pull_count),
                count(report.head_count),
                count(report.own_count),
                count(report.unknown_count),
                count(report.skipped_count),
                report.first_skipped_line.map_or(Value::Null, count),
                time(|span| span.from_ns),
                time(|span| span.to_ns),
            ])?;
        }
        sink.end(End { rows: reports.len() as u64, is_cut: false })?;
    }
    std::io::Write::flush(&mut out)?;
    Ok(())
}

fn time_text(at_ns: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(at_ns.div_euclid(1_000_000_000));
    time.ok().map(|time| time.to_string())
}

/// Says what is wrong with a file; `false`: nothing of it could be used.
fn warn_of(context: &Context, file: &str, report: &FileReport) -> bool {
    let printer = &context.printer;
    if let Some(cut) = &report.cut {
        printer.warn(&format!("`{file}` cannot be read after line {}: {cut}", report.line_count));
    }
    if report.is_of_another_registry() {
        printer.warn(&format!(
            "`{file}` is the log of another registry: none of its repositories is here"
        ));
        return false;
    }
    if report.span.is_none() {
        printer.warn(&format!("`{file}` holds no line of a log that regsql knows"));
        return false;
    }
    if let Some(line) = report.first_skipped_line {
        let lines = if report.skipped_count == 1 {
            "1 line".into()
        } else {
            format!("{} lines", report.skipped_count)
        };
        printer.warn(&format!(
            "`{file}`: {lines} not understood and skipped, the first is line {line}"
        ));
    }
    true
}
