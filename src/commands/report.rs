//! `report`: canned reports, built-in and one's own.

use std::io::Write as _;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::result::Snapshot;
use super::{Context, what_if};
use crate::commands::error::{Outcome, Result};
use crate::commands::options::{CatalogArgs, OutputArgs, ParamArgs, complete};
use crate::report::{
    Bound, Catalog, Column, End, Gathered, Param, ParamKind, Query, Report, Selects, Unit, Value,
    bind_report,
};
use crate::ui::{self, Format, Frame};

/// Arguments of `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// The report
    #[arg(default_value = "overview", add = ArgValueCompleter::new(complete::reports))]
    pub name: String,
    /// Values for its parameters.
    #[command(flatten)]
    pub params: ParamArgs,
    /// List all reports, their parameters and what they select
    #[arg(short, long)]
    pub list: bool,
    /// Print the query instead of running it
    #[arg(long, conflicts_with = "list")]
    pub sql: bool,
    /// Show what deleting everything that the rows name would free together
    #[arg(long, conflicts_with_all = ["list", "sql"])]
    pub what_if: bool,
    /// A directory of your own reports.
    #[command(flatten)]
    pub catalog: CatalogArgs,
    /// How rows go out.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Shows a report.
pub fn run(context: &Context, args: &ReportArgs) -> Result {
    let catalog = Catalog::with_directory(args.catalog.reports.as_deref())?;
    if args.list {
        return list(context, args, &catalog);
    }
    let report = catalog.get(&args.name)?;
    if catalog.replaced.contains(&report.name) {
        context.printer.note(&format!(
            "`{}` is your own report: it stands in for the built-in one",
            report.name
        ));
    }
    if args.sql {
        let mut out = context.paged();
        out.write_all(report.sql.as_bytes())?;
        out.finish()?;
        return Ok(Outcome::Done);
    }
    let format = args.output.format;
    if args.what_if {
        let bound = bind_report(&report.name, &report.header.params, &args.params.param)?;
        let frame = frame(report, &bound, &args.params.param);
        let snapshot = Snapshot::open(context, None)?;
        note_notices(context, &catalog, &snapshot, report, &bound)?;
        let selects = report.header.selects;
        return what_if::run(
            context,
            &snapshot,
            &query(report, bound),
            selects,
            format,
            frame,
            what_if::Expected::default(),
        );
    }
    show(context, &catalog, report, &args.params.param, format)
}

/// Shows a built-in report, for commands that end with one.
pub fn show_built_in(context: &Context, name: &str, params: &[String], format: Format) -> Result {
    let catalog = Catalog::built_in();
    show(context, &catalog, catalog.get(name)?, params, format)
}

fn show(
    context: &Context,
    catalog: &Catalog,
    report: &Report,
    params: &[String],
    format: Format,
) -> Result {
    let bound = bind_report(&report.name, &report.header.params, params)?;
    let mut frame = frame(report, &bound, params);
    let snapshot = Snapshot::open(context, None)?;
    if let Some(name) = &report.header.next_from
        && format == Format::Table
    {
        let next = catalog.get(name)?;
        let bound = bind_report(&next.name, &next.header.params, &[])?;
        let mut next_steps = Gathered::default();
        snapshot.run(&query(next, bound), &mut next_steps)?;
        let at_least = if snapshot.is_at_least() { "≥ " } else { "" };
        let steps = next_steps.rows.iter().map(|row| step(&next_steps.columns, row, at_least));
        frame.tail.extend(aligned(&steps.collect::<Vec<_>>()));
    }
    note_notices(context, catalog, &snapshot, report, &bound)?;
    let end = snapshot.show(context, &query(report, bound), format, frame)?;
    if end.rows == 0 {
        hint_whole_names(context, report, params);
    }
    Ok(Outcome::Done)
}

/// Says of patterns without a star that they match whole names, for a report without rows.
pub fn hint_whole_names(context: &Context, report: &Report, given: &[String]) {
    for (name, value) in whole_names(report, given) {
        context.printer.note(&format!(
            "{name}={value} is a whole name: -p {name}='{value}*' takes all that begin with it"
        ));
    }
}

/// Patterns that were given without a star, of which people expect that they match a part.
fn whole_names<'a>(report: &Report, given: &'a [String]) -> Vec<(&'a str, &'a str)> {
    let pairs = given.iter().filter_map(|given| given.split_once('='));
    let is_glob = |name: &str| {
        let mut params = report.header.params.iter();
        params.any(|param| param.name == name && param.kind == ParamKind::Glob)
    };
    pairs.filter(|(name, value)| is_glob(name) && !value.contains(['*', '?', '['])).collect()
}

/// At most this many notices are printed one by one.
const MOST_NOTICES: usize = 10;

/// Prints what limits a report: the column `notice` of the report that it names for that.
///
/// # Errors
/// When that report is not there or fails.
pub fn note_notices(
    context: &Context,
    catalog: &Catalog,
    snapshot: &Snapshot,
    report: &Report,
    bound: &[(String, Bound)],
) -> Result<()> {
    let Some(name) = &report.header.notices_from else {
        return Ok(());
    };
    let notices = catalog.get(name)?;
    let mut values = bind_report(&notices.name, &notices.header.params, &[])?;
    for (name, value) in &mut values {
        if let Some((_, same)) = bound.iter().find(|(other, _)| other == name) {
            *value = same.clone();
        }
    }
    let mut found = Gathered::default();
    snapshot.run(&query(notices, values), &mut found)?;
    let Some(at) = found.columns.iter().position(|column| column.name == "notice") else {
        return Ok(());
    };
    for row in found.rows.iter().take(MOST_NOTICES) {
        if let Value::Text(notice) = &row[at] {
            context.printer.note(notice);
        }
    }
    if let Some(rest) = found.rows.len().checked_sub(MOST_NOTICES).filter(|rest| *rest > 0) {
        context.printer.note(&format!("{rest} more: regsql report {name}"));
    }
    Ok(())
}

/// A row as a command and what it does: the first column is the command, the others say why. The
/// last of two sizes is what comes free later.
fn step(columns: &[Column], row: &[Value<'_>], at_least: &str) -> (String, String) {
    let is_later = |(column, value): (&Column, &Value<'_>)| match value {
        Value::Integer(bytes) if column.name == "later_bytes" => Some(*bytes),
        _ => None,
    };
    let later_bytes = columns.iter().zip(row).find_map(is_later).filter(|bytes| *bytes > 0);
    let later = later_bytes
        .map_or(String::new(), |bytes| format!(" now, {at_least}{} later", ui::bytes(bytes)));
    let shown = row.iter().zip(columns).filter(|(_, column)| column.name != "later_bytes");
    let texts = shown.filter_map(|(value, column)| match value {
        Value::Integer(bytes) if column.unit == Unit::Bytes => {
            Some(format!("{at_least}{}", ui::bytes(*bytes)))
        }
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone().into_owned()),
        _ => None,
    });
    let mut texts = texts.collect::<Vec<_>>().into_iter();
    (texts.next().unwrap_or_default(), texts.collect::<Vec<_>>().join(": ") + &later)
}

/// Lines of commands and what they do, the latter one under the other.
fn aligned(steps: &[(String, String)]) -> Vec<String> {
    let widest = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    steps.iter().map(|(command, meaning)| format!("{command:widest$}  {meaning}")).collect()
}

/// A report as a query; it has no limits, for its author set those.
pub fn query(report: &Report, bound: Vec<(String, Bound)>) -> Query<'_> {
    Query {
        name: format!("report `{}`", report.name),
        sql: &report.sql,
        bound,
        columns: &report.header.columns,
        max_rows: None,
        time_limit: None,
    }
}

fn frame(report: &Report, bound: &[(String, Bound)], given: &[String]) -> Frame {
    let header = &report.header;
    let limit = header
        .params
        .iter()
        .find(|param| param.kind == ParamKind::Limit)
        .and_then(|param| bound.iter().find(|(name, _)| *name == param.name))
        .and_then(|(name, value)| match value {
            Bound::Integer(rows) => {
                Some((u64::try_from(*rows).ok()?, format!("-p {name}=all shows all")))
            }
            _ => None,
        });
    let steps = header
        .next
        .iter()
        .map(|step| (with_given(&step.command, report, given), step.meaning.clone()));
    Frame {
        title: Some(header.title.clone()),
        totals: header.totals.clone(),
        group: header.group.clone(),
        may_hide: true,
        bars: header.bars.clone(),
        tail: aligned(&steps.collect::<Vec<_>>()),
        limit,
        ..Frame::default()
    }
}

/// A next step that is about the same rows takes the parameters along that chose them; how many are
/// shown is none of these.
fn with_given(command: &str, report: &Report, given: &[String]) -> String {
    let words = command.strip_prefix("regsql report ").or(command.strip_prefix("regsql prune "));
    let is_same =
        words.and_then(|rest| rest.split(' ').next()).is_some_and(|name| name == report.name);
    let is_limit = |given: &&String| {
        let name = given.split('=').next();
        let mut params = report.header.params.iter();
        params.any(|param| param.kind == ParamKind::Limit && Some(param.name.as_str()) == name)
    };
    let mut command = command.to_owned();
    for given in given.iter().filter(|given| is_same && !is_limit(given)) {
        command.push_str(" -p ");
        command.push_str(&ui::shell_word(given));
    }
    command
}

fn list(context: &Context, args: &ReportArgs, catalog: &Catalog) -> Result {
    for error in catalog.broken() {
        context.printer.warn(&error.to_string());
    }
    let format = args.output.format;
    let names = ["report", "title", "parameters", "selects"];
    let columns = names.map(|name| Column { name: name.into(), unit: Unit::Text });
    let frame =
        Frame { footer: vec!["regsql report NAME -p parameter=value".into()], ..Frame::default() };
    let mut out = context.paged();
    {
        let mut sink = ui::sink(format, &mut out, frame, context.printer.look());
        sink.begin(&columns)?;
        let mut end = End::default();
        for report in catalog.reports() {
            let params: Vec<String> = report.header.params.iter().map(declaration).collect();
            let selects = report.header.selects.map(Selects::name);
            sink.row(&[
                Value::Text(report.name.as_str().into()),
                Value::Text(report.header.title.as_str().into()),
                Value::Text(params.join(" ").into()),
                selects.map_or(Value::Null, |name| Value::Text(name.into())),
            ])?;
            end.rows += 1;
        }
        sink.end(end)?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

fn declaration(param: &Param) -> String {
    match &param.default {
        Some(default) => format!("{}={default}", param.name),
        None => format!("{}=(must be given)", param.name),
    }
}
