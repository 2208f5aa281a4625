//! `free`: which tags to drop so that so many bytes come free.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::Context;
use super::report::{note_notices, query};
use super::result::Snapshot;
use super::save::save_plan;
use super::selecting::select;
use crate::cli::{CatalogArgs, OutputArgs, ParamArgs, complete, parse_size};
use crate::error::{Error, Outcome, Result};
use crate::graph::{Choice, FreeOrder, Graph, free};
use crate::prune::{Chosen, Clock, Document, Plan, Policy, Protect, plan};
use crate::report::{
    Catalog, Column, End, ParamKind, Report, RowSink, RunError, Selects, Unit, Value, bind_report,
};
use crate::ui::{self, Frame};

/// Arguments of `free`.
#[derive(Args, Debug)]
pub struct FreeArgs {
    /// How much must come free, such as 10GiB or 500MB
    #[arg(value_parser = parse_size)]
    pub bytes: u64,
    /// The report whose tags may be dropped: keep-latest, older-than, tags or one of your own
    #[arg(long, value_name = "REPORT", default_value = "keep-latest",
        add = ArgValueCompleter::new(complete::tag_reports))]
    pub from: String,
    /// Which tags go first
    #[arg(long, value_name = "ORDER", default_value = "fewest")]
    pub order: OrderArg,
    /// Write what would go to a file, for prune --plan
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Values for the report's parameters.
    #[command(flatten)]
    pub params: ParamArgs,
    /// One's own reports.
    #[command(flatten)]
    pub catalog: CatalogArgs,
    /// How rows go out.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// An order's name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OrderArg {
    /// As few tags as possible
    Fewest,
    /// Those set longest ago; a digest is as old as the newest tag on it
    Oldest,
    /// In the order of the report's rows
    Report,
}

impl From<OrderArg> for FreeOrder {
    fn from(arg: OrderArg) -> Self {
        match arg {
            OrderArg::Fewest => Self::Fewest,
            OrderArg::Oldest => Self::Oldest,
            OrderArg::Report => Self::Given,
        }
    }
}

/// Chooses and shows.
pub fn run(context: &Context, args: &FreeArgs) -> Result {
    let catalog = Catalog::with_directory(args.catalog.reports.as_deref())?;
    let report = catalog.get(&args.from)?;
    let no_tags = || {
        Error::new(format!("report `{}` does not name tags", report.name))
            .with_hint("choose one that selects tags; `regsql report --list` says which do")
    };
    if report.header.selects.is_some_and(|selects| selects != Selects::Tags) {
        return Err(no_tags());
    }
    let bound = bind_report(&report.name, &report.header.params, &given(report, args))?;
    let snapshot = Snapshot::open(context, None)?;
    note_notices(context, &catalog, &snapshot, report, &bound)?;
    let graph = snapshot.graph(context)?;
    let selected = select(&snapshot, &graph, &query(report, bound), Some(Selects::Tags))?;
    let choice = free(&graph, &selected.tags, args.bytes, args.order.into());

    let is_enough = choice.freed_bytes >= args.bytes;
    let bytes = |bytes: u64| ui::bytes(bytes as i64);
    let verdict = format!(
        "Dropping {} of {} tags that report `{}` names frees {}{}.",
        choice.picks.len(),
        selected.tags.len(),
        report.name,
        bytes(choice.freed_bytes),
        if is_enough { "" } else { ": that is all they can free" },
    );
    let mut notes = vec![verdict];
    if without_tags_bytes(&snapshot) >= args.bytes {
        notes.insert(0, "No tag need go for that: other things come free first, see below.".into());
    }
    let frame = Frame {
        title: Some(format!("Tags to drop so that {} come free", bytes(args.bytes))),
        notes,
        totals: vec!["freed_bytes".into()],
        may_hide: true,
        tail: without_tags(&snapshot).into_iter().collect(),
        ..Frame::default()
    };
    snapshot.write(context, args.output.format.into(), frame, |sink| {
        write(&graph, &choice, sink).map_err(RunError::Write)
    })?;
    if let Some(path) = &args.save {
        let origin = snapshot.origin(context)?;
        save_plan(path, &Document::new(&plan_of(&graph, &choice), &graph, origin))?;
        let printer = &context.printer;
        printer.note(&format!("saved the plan: regsql prune --plan {}", path.display()));
    }
    if is_enough {
        return Ok(Outcome::Done);
    }
    let how = match report.name.as_str() {
        "keep-latest" if args.params.param.iter().any(|given| given == "keep=1") => {
            ": choose among all with --from tags"
        }
        "keep-latest" => ": keep fewer, such as -p keep=1, or choose among all with --from tags",
        _ => "",
    };
    context.printer.warn(&format!(
        "only {} of {} can come free by dropping tags that report `{}` names{how}",
        bytes(choice.freed_bytes),
        bytes(args.bytes),
        report.name,
    ));
    Ok(Outcome::Findings)
}

/// What goes with the tags; `prune --plan` looks at ages and protect lists.
fn plan_of(graph: &Graph, choice: &Choice) -> Plan {
    let mut chosen = Chosen::nothing(graph);
    for pick in &choice.picks {
        chosen.selection.tags[pick.tag as usize] = true;
    }
    let clock = Clock { now_ns: super::now().as_nanosecond() as i64, min_age: Duration::ZERO };
    plan(
        chosen,
        &Policy {
            clock,
            upload_min_age: Duration::ZERO,
            protect: Protect::default(),
            keeps_revisions: false,
            spares_active_repositories: false,
            spares_manifests: false,
            only: None,
        },
    )
}

/// The parameters, with no limit on rows unless one is given: it is for people who read them.
fn given(report: &Report, args: &FreeArgs) -> Vec<String> {
    let mut given = args.params.param.clone();
    for param in report.header.params.iter().filter(|param| param.kind == ParamKind::Limit) {
        let is_this = |text: &String| {
            let name = text.split_once('=').map_or("", |(name, _)| name);
            name.strip_prefix(':').unwrap_or(name) == param.name
        };
        if !given.iter().any(is_this) {
            given.push(format!("{}=all", param.name));
        }
    }
    given
}

/// What comes free before any tag must go.
fn without_tags(snapshot: &Snapshot) -> Option<String> {
    let bytes = without_tags_bytes(snapshot);
    (bytes > 0).then(|| {
        format!(
            "{} come free without dropping a tag: regsql prune untagged-revisions --garbage",
            ui::bytes(bytes as i64)
        )
    })
}

fn without_tags_bytes(snapshot: &Snapshot) -> u64 {
    u64::try_from(snapshot.total("untagged_and_orphan_bytes")).unwrap_or(0)
}

fn write(graph: &Graph, choice: &Choice, sink: &mut dyn RowSink) -> std::io::Result<End> {
    let columns = [
        ("repository", Unit::Text),
        ("tag", Unit::Text),
        ("freed_bytes", Unit::Bytes),
        ("cumulative_bytes", Unit::Bytes),
        ("pushed_at", Unit::Time),
        ("manifest_digest", Unit::Digest),
    ];
    sink.begin(&columns.map(|(name, unit)| Column { name: name.into(), unit }))?;
    let mut end = End::default();
    for pick in &choice.picks {
        let tag = &graph.tags[pick.tag as usize];
        let repository = &graph.repository_of_tag(pick.tag).name;
        let digest = tag.target.map(|blob| graph.blobs[blob as usize].digest.to_string());
        let optional =
            |text: Option<String>| text.map_or(Value::Null, |text| Value::Text(text.into()));
        sink.row(&[
            Value::Text(repository.as_str().into()),
            Value::Text(tag.name.as_str().into()),
            Value::Integer(pick.freed_bytes as i64),
            Value::Integer(pick.cumulative_bytes as i64),
            optional(tag.pushed_ns.and_then(time)),
            optional(digest),
        ])?;
        end.rows += 1;
    }
    sink.end(end)?;
    Ok(end)
}

fn time(nanoseconds: i64) -> Option<String> {
    let seconds = jiff::Timestamp::from_second(nanoseconds.div_euclid(1_000_000_000));
    seconds.ok().map(|time| time.to_string())
}
