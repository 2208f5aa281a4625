//! A plan, and what became of it, for people and for machines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{ActArgs, FormatArg, Planned, PruneArgs, time_shown};
use crate::commands::Context;
use crate::commands::error::{Outcome, Result};
use crate::graph::{Graph, total_bytes};
use crate::model::{ByKind, Kind};
use crate::prune::{Document, Plan, SkipGroup, Skipped};
use crate::report::{Column, End, Unit, Value};
use crate::ui::{self, Format, Frame, visible};

/// Lines of each part that are shown without `--all`; the JSON has everything.
const MOST_REPOSITORIES: usize = 20;
const MOST_TAGS: usize = 20;
const MOST_SKIPPED: usize = 5;

/// Writes the plan as JSON.
pub fn json(context: &Context, document: &Document) -> Result<()> {
    let mut out = context.printer.out();
    ui::write_json(&mut out, document)?;
    out.finish()?;
    Ok(())
}

/// Shows a plan to a person: on standard error when standard output is for a machine.
pub fn plan(context: &Context, planned: &Planned, args: &PruneArgs) -> Result<()> {
    let mut text = Vec::new();
    repositories(context, planned, args.all, &mut text)?;
    tags(planned, args.all, &mut text)?;
    // One phrase says what is too young: the last one, where it has bytes.
    let mut stays = planned.plan.skipped.clone();
    if !args.all && planned.later_bytes > 0 {
        stays.retain(|skipped| skipped.group != SkipGroup::NotYet);
    }
    skipped(&stays, args.all, &mut text)?;
    sentences(planned, &args.acting, &mut text)?;
    if args.format == FormatArg::Json {
        for line in String::from_utf8_lossy(&text).lines() {
            context.printer.note(line);
        }
        return Ok(());
    }
    if args.acting.delete {
        // A question follows, and must stand beside it: no pager.
        context.printer.results(&String::from_utf8_lossy(&text))?;
        return Ok(());
    }
    let mut out = context.paged();
    out.write_all(&text)?;
    out.finish()?;
    Ok(())
}

/// What goes of one repository.
#[derive(Clone, Copy, Default)]
struct Line {
    freed_bytes: u64,
    counts: ByKind<u64>,
}

/// The columns of the table; a corrupt blob counts as a blob.
const COLUMNS: [Kind; 5] = [Kind::Tag, Kind::Revision, Kind::LayerLink, Kind::Blob, Kind::Upload];

/// Where a blob that goes is linked: what it frees is counted in one line alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Repository(u32),
    Several,
    Nowhere,
}

impl Owner {
    fn name(self, graph: &Graph) -> &str {
        match self {
            Self::Repository(place) => &graph.repositories[place as usize].name,
            Self::Several => "(in several repositories)",
            Self::Nowhere => "(in no repository)",
        }
    }
}

/// The owners of the blobs that go.
fn owners(plan: &Plan, graph: &Graph) -> BTreeMap<u32, Owner> {
    let going = plan.goes[Kind::Blob].iter().chain(&plan.goes[Kind::CorruptBlob]);
    let mut owners: BTreeMap<u32, Owner> = going.map(|blob| (*blob, Owner::Nowhere)).collect();
    if owners.is_empty() {
        return owners;
    }
    let mut claim = |blob: u32, place: u32| {
        if let Some(owner) = owners.get_mut(&blob) {
            *owner = match *owner {
                Owner::Nowhere => Owner::Repository(place),
                Owner::Repository(known) if known == place => *owner,
                _ => Owner::Several,
            };
        }
    };
    for (place, repository) in (0..).zip(&graph.repositories) {
        let range = |range: &std::ops::Range<u32>| range.start as usize..range.end as usize;
        for link in &graph.links[range(&repository.links)] {
            claim(link.target, place);
        }
        for revision in &graph.revisions[range(&repository.revisions)] {
            claim(*revision, place);
        }
    }
    owners
}

fn lines(plan: &Plan, graph: &Graph) -> BTreeMap<Owner, Line> {
    let mut lines: BTreeMap<Owner, Line> = BTreeMap::new();
    let owners = owners(plan, graph);
    for item in plan.items() {
        let (owner, kind) = match item.kind {
            Kind::Blob | Kind::CorruptBlob => (owners[&item.at], Kind::Blob),
            Kind::Leftover | Kind::TagHistory | Kind::Repository => continue,
            kind => match graph.repository_of(item) {
                Some(place) => (Owner::Repository(place), kind),
                None => continue,
            },
        };
        let line = lines.entry(owner).or_default();
        line.counts[kind] += 1;
        line.freed_bytes = line.freed_bytes.saturating_add(graph.size_bytes_of(item));
    }
    lines
}

/// How a command ends that leaves `skipped` where it is.
pub fn outcome(context: &Context, skipped: &[Skipped]) -> Outcome {
    match skipped.iter().filter(|skipped| skipped.group.is_finding()).count() {
        0 => Outcome::Done,
        count => {
            context.printer.set_reason(&format!(
                "{count} of the things asked for stay; the lines `Stays:` say why"
            ));
            Outcome::Findings
        }
    }
}

fn repositories(
    context: &Context,
    planned: &Planned,
    shows_all: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (plan, graph) = (&planned.plan, &planned.graph);
    let mut lines: Vec<(Owner, Line)> = lines(plan, graph).into_iter().collect();
    if lines.is_empty() {
        return Ok(());
    }
    // A column of zeros says nothing.
    let mut used = COLUMNS.to_vec();
    used.retain(|kind| lines.iter().any(|(_, line)| line.counts[*kind] > 0));
    let count = lines.len();
    lines.sort_by_key(|(owner, line)| {
        let count = line.counts.iter().map(|(_, count)| count).sum::<u64>();
        (std::cmp::Reverse((line.freed_bytes, count)), *owner)
    });
    if !shows_all {
        lines.truncate(MOST_REPOSITORIES);
    }
    let rest = count - lines.len();
    let tail = if rest > 0 { vec![format!("and {rest} more (--all shows them)")] } else { vec![] };
    let frame = Frame {
        title: Some("What goes".into()),
        tail,
        totals: vec!["freed_bytes".into()],
        bars: vec!["freed_bytes".into()],
        is_bare: true,
        ..Frame::default()
    };
    let mut look = context.printer.look();
    look.color = false;
    let mut sink = ui::sink(Format::Table, out, frame, look);
    let column = |name: &str, unit| Column { name: name.into(), unit };
    let mut columns = vec![column("repository", Unit::Text), column("freed_bytes", Unit::Bytes)];
    columns.extend(used.iter().map(|kind| column(&kind.key(), Unit::Count)));
    sink.begin(&columns)?;
    for (owner, line) in &lines {
        let mut row =
            vec![Value::Text(owner.name(graph).into()), Value::Integer(line.freed_bytes as i64)];
        row.extend(used.iter().map(|kind| Value::Integer(line.counts[*kind] as i64)));
        sink.row(&row)?;
    }
    sink.end(End { rows: lines.len() as u64, is_cut: rest > 0 })?;
    drop(sink);
    writeln!(out)
}

/// The names of the tags that go: what a person who may lose something looks for.
fn tags(planned: &Planned, shows_all: bool, out: &mut dyn Write) -> io::Result<()> {
    let (plan, graph) = (&planned.plan, &planned.graph);
    if plan.goes[Kind::Tag].is_empty() {
        return Ok(());
    }
    let most = if shows_all { plan.goes[Kind::Tag].len() } else { MOST_TAGS };
    writeln!(out, "Tags that go")?;
    let mut by_repository: Vec<(&str, Vec<&str>)> = Vec::new();
    for &tag in plan.goes[Kind::Tag].iter().take(most) {
        let repository = graph.repository_of_tag(tag).name.as_str();
        let name = graph.tags[tag as usize].name.as_str();
        match by_repository.last_mut() {
            Some((known, names)) if *known == repository => names.push(name),
            _ => by_repository.push((repository, vec![name])),
        }
    }
    for (repository, names) in by_repository {
        writeln!(out, "  {}", visible(&format!("{repository}: {}", names.join(", "))))?;
    }
    if plan.goes[Kind::Tag].len() > most {
        writeln!(out, "  and {} more (--all shows them)", plan.goes[Kind::Tag].len() - most)?;
    }
    writeln!(out)
}

/// What stays, by reason, with the first few of each.
pub fn skipped(skipped: &[Skipped], shows_all: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut groups: BTreeMap<SkipGroup, Vec<&Skipped>> = BTreeMap::new();
    for item in skipped {
        groups.entry(item.group).or_default().push(item);
    }
    for (group, items) in &groups {
        let size_bytes = total_bytes(items.iter().map(|item| item.name.size_bytes()));
        let bytes = match size_bytes {
            0 => String::new(),
            size_bytes => format!(", {}", ui::bytes(size_bytes)),
        };
        let when = match group {
            SkipGroup::NotYet | SkipGroup::Unseen => "; a later run takes them",
            SkipGroup::Spared => "; a run with it stopped takes them",
            SkipGroup::ForUndo => "; after regsql trash purge a later run takes them",
            // Of many that are young the number says enough.
            SkipGroup::Young if items.len() > MOST_SKIPPED && !shows_all => " (--all names them)",
            _ => "",
        };
        writeln!(out, "Stays: {} {}{bytes}{when}", items.len(), group.text())?;
        // What goes another time by itself needs no names.
        let is_later = matches!(
            group,
            SkipGroup::NotYet
                | SkipGroup::Spared
                | SkipGroup::Unseen
                | SkipGroup::ForUndo
                | SkipGroup::Marked
        );
        let is_many = *group == SkipGroup::Young && items.len() > MOST_SKIPPED;
        if (is_later || is_many) && !shows_all {
            continue;
        }
        // "and 1 more" would take the line that the one takes.
        let is_short = shows_all || items.len() == MOST_SKIPPED + 1;
        let most = if is_short { items.len() } else { MOST_SKIPPED };
        for item in items.iter().take(most) {
            let line = format!("{}: {}", item.name.text(), item.reason);
            writeln!(out, "  {}", visible(&ui::short_digests(&line)))?;
        }
        if items.len() > most {
            writeln!(out, "  and {} more (--all shows them)", items.len() - most)?;
        }
    }
    Ok(())
}

/// What comes free, "at most" where other names of the same files hold it.
pub fn freed(planned: &Planned) -> String {
    let freed = ui::bytes(planned.plan.freed_bytes);
    if planned.not_freed.hard_linked_count > 0 { format!("at most {freed}") } else { freed }
}

/// What goes now, what comes free by it, and what more comes free later.
fn sentences(planned: &Planned, acting: &ActArgs, out: &mut dyn Write) -> io::Result<()> {
    let plan = &planned.plan;
    if plan.shared_bytes > 0 {
        let shared = ui::bytes(plan.shared_bytes);
        writeln!(out, "Stays: {shared} that other images share")?;
    }
    let later_bytes = planned.later_bytes;
    let later = format!(
        "{} more when it is {} old",
        ui::bytes(later_bytes),
        time_shown(planned.policy.clock.min_age.as_secs()),
    );
    if plan.is_empty() {
        writeln!(out, "Nothing to delete{}", if later_bytes > 0 { " yet" } else { "" })?;
        if later_bytes > 0 {
            writeln!(out, "Would free 0 B now, and {later}")?;
        }
    } else {
        let deleted = counted(&plan.counts());
        let freed = freed(planned);
        if planned.is_via_api {
            writeln!(out, "Would delete {deleted} through the API")?;
            return writeln!(out, "Would free {freed}, but only when garbage is collected");
        }
        writeln!(out, "Would delete {deleted}")?;
        match later_bytes {
            0 => writeln!(out, "Would free {freed}")?,
            _ => writeln!(out, "Would free {freed} now, and {later}")?,
        }
    }
    let linked = planned.not_freed;
    if linked.hard_linked_count > 0 {
        let blobs = ui::counted(&[(linked.hard_linked_count, "blob", "blobs")]);
        let bytes = ui::bytes(linked.hard_linked_bytes);
        writeln!(out, "(other hard links, such as a snapshot's, hold {blobs}, {bytes}, of that)")?;
    }
    if acting.online && acting.via_api.is_none() && !acting.wait.is_zero() && !plan.is_empty() {
        let wait = jiff::SignedDuration::try_from(acting.wait).unwrap_or(jiff::SignedDuration::MAX);
        writeln!(
            out,
            "Would wait twice {wait:#} for pushes under way: before blobs go, and after what went (--wait)"
        )?;
    }
    if later_bytes > plan.freed_bytes {
        writeln!(out, "(a write, a new link, chown or a restore starts that time again)")?;
    }
    Ok(())
}

/// `13374 blobs, 120 tags`: blobs first, as they are what frees space.
pub fn counted(counts: &ByKind<u64>) -> String {
    let order = [
        Kind::Blob,
        Kind::Tag,
        Kind::Revision,
        Kind::LayerLink,
        Kind::Upload,
        Kind::Repository,
        Kind::CorruptBlob,
        Kind::Leftover,
        Kind::TagHistory,
    ];
    ui::counted(&order.map(|kind| {
        let (one, many) = match kind {
            Kind::Repository => ("empty repository", "empty repositories"),
            kind => kind.words(),
        };
        (counts[kind], one, many)
    }))
}
