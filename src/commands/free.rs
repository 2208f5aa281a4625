//! `free`: what to delete so that a number of bytes comes free: what no tag needs, then tags.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::Context;
use super::report::{note_notices, query};
use super::result::Snapshot;
use super::save::save_plan;
use super::selecting::select;
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::options::{CatalogArgs, OutputArgs, ParamArgs, complete, parse_size};
use crate::graph::{Choice, FreeOrder, Graph, Selection, free_with_untagged};
use crate::model::Kind;
use crate::prune::{Chosen, Document, Plan, Policy, Protect, plan};
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
    pub order: FreeOrder,
    /// Write what would go to a file, for prune --plan
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Values for the report's parameters.
    #[command(flatten)]
    pub params: ParamArgs,
    /// A directory of your own reports.
    #[command(flatten)]
    pub catalog: CatalogArgs,
    /// How rows go out.
    #[command(flatten)]
    pub output: OutputArgs,
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
    // What no tag needs goes first, and tags only for the rest.
    let without_tags = WithoutTags::read(&snapshot);
    let rest = args.bytes.saturating_sub(without_tags.bytes);
    let choice = free_with_untagged(&graph, &selected.tags, rest, args.order);
    let freed_bytes = without_tags.bytes.saturating_add(choice.freed_bytes);
    let is_enough = freed_bytes >= args.bytes;
    let bytes = |bytes: u64| ui::bytes(bytes);
    let mut notes = Vec::new();
    if without_tags.bytes > 0 {
        notes.push(format!("{} come free without dropping a tag.", without_tags.text()));
    }
    notes.push(if rest == 0 {
        "No tag need go for that.".into()
    } else if selected.tags.is_empty() {
        format!("Report `{}` names no tag.", report.name)
    } else {
        format!(
            "Dropping {} of {} tags that report `{}` names frees {}{}.",
            choice.picks.len(),
            selected.tags.len(),
            report.name,
            bytes(choice.freed_bytes),
            if is_enough { " more" } else { " more: that is all they can free" },
        )
    });
    let mut tail = Vec::new();
    if args.save.is_none() && freed_bytes > 0 {
        tail.push(match choice.picks.len() {
            0 => "regsql prune untagged-revisions --garbage  deletes that".to_owned(),
            _ => {
                "--save PLAN.json writes all of it into one plan for regsql prune --plan".to_owned()
            }
        });
    }
    let frame = Frame {
        title: Some(format!("What to delete so that {} come free", bytes(args.bytes))),
        notes,
        totals: vec!["freed_bytes".into()],
        may_hide: true,
        tail,
        is_whole_without_rows: true,
        ..Frame::default()
    };
    snapshot.write(context, args.output.format, frame, |sink| {
        write(&graph, &choice, sink).map_err(RunError::Write)
    })?;
    if let Some(path) = &args.save {
        let origin = snapshot.origin(context)?;
        let untagged = untagged(&snapshot, &graph)?;
        save_plan(path, &Document::new(&plan_of(&graph, &choice, untagged), &graph, origin))?;
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
        "only {} of {} can come free with the tags that report `{}` names{how}",
        bytes(freed_bytes),
        bytes(args.bytes),
        report.name,
    ));
    Ok(Outcome::Findings)
}

/// The revisions that no tag leads to.
fn untagged(snapshot: &Snapshot, graph: &Graph) -> Result<Selection> {
    let catalog = Catalog::built_in();
    let report = catalog.get("untagged-revisions")?;
    let bound = bind_report(&report.name, &report.header.params, &["limit=all".into()])?;
    Ok(select(snapshot, graph, &query(report, bound), report.header.selects)?.selection)
}

/// All garbage, the untagged revisions and the tags; `prune --plan` looks at ages and protect lists.
fn plan_of(graph: &Graph, choice: &Choice, untagged: Selection) -> Plan {
    let mut chosen = Chosen::nothing(graph);
    chosen.selection = untagged;
    chosen.is_garbage_chosen = true;
    for pick in &choice.picks {
        chosen.selection.chosen[Kind::Tag][pick.tag as usize] = true;
    }
    let now_ns = super::now().as_nanosecond() as i64;
    plan(chosen, &Policy::of_any_age(now_ns, Protect::default()))
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
struct WithoutTags {
    bytes: u64,
    now_bytes: u64,
}

impl WithoutTags {
    fn read(snapshot: &Snapshot) -> Self {
        let total = |name| u64::try_from(snapshot.total(name)).unwrap_or(0);
        Self { bytes: total("reclaimable_bytes"), now_bytes: total("reclaimable_now_bytes") }
    }

    fn text(&self) -> String {
        let bytes = |bytes: u64| ui::bytes(bytes);
        match self.bytes.saturating_sub(self.now_bytes) {
            0 => bytes(self.bytes),
            later => format!(
                "{} ({} now, and {} more when it is 24 h old)",
                bytes(self.bytes),
                bytes(self.now_bytes),
                bytes(later)
            ),
        }
    }
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
