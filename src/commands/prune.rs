//! `prune`: plan a delete, show it, and carry it out when asked to.

mod acting;
mod args;
mod authority;
mod choosing;
mod edit;
mod gate;
pub mod recover;
mod show;
mod vanished;
mod via_api;

pub use args::{ActArgs, FormatArg, PruneArgs};

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use super::result::Snapshot;
use super::save::save_plan;
use super::{Context, end_on_interrupt};
use crate::commands::error::{Error, Outcome, Result, exit_code};
use crate::commands::options::StorageArgs;
use crate::commands::storage;
use crate::db;
use crate::graph::{Graph, total_bytes};
use crate::model::Kind;
use crate::prune::{
    AuthorityError, Chosen, Clock, Document, DocumentError, MIN_AGE, Mode, NameSet, NotFreed,
    Origin, Plan, Policy, Protect, ProtectError, SkipGroup, Skipped, UPLOAD_MIN_AGE,
    has_lost_blobs, keep_what_the_api_deletes, named_count, plan, unmatched_patterns,
};
use crate::snapshot::Summary;
use crate::ui;

/// A plan or a list larger than this is none: some two million items.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// A plan with the snapshot that it is about.
struct Planned {
    graph: Graph,
    plan: Plan,
    policy: Policy,
    origin: Origin,
    /// Bytes of all blobs and uploads: what a deletion could free at most.
    stored_bytes: u64,
    /// It is for the registry's API alone.
    is_via_api: bool,
    /// Bytes that stay only because they are younger than `--min-age`: what the same choice frees later.
    later_bytes: u64,
    /// What goes and frees nothing.
    not_freed: NotFreed,
    /// What stays and was not shown to stay, because the plan was worked out again.
    newly_skipped: Vec<Skipped>,
    /// What vanished and was named to be accepted.
    accepted: Vec<db::Vanished>,
    /// Why it must be neither shown nor carried out.
    hidden: Option<AuthorityError>,
}

/// Plans, shows, and acts when asked to.
pub fn run(context: &Context, args: &PruneArgs) -> Result {
    if !args.acting.delete {
        check(args)?;
        return plan_and_act(context, args);
    }
    context.printer.begin_log();
    check(args)?;
    let started_at = jiff::Timestamp::now();
    let result = plan_and_act(context, args);
    if args.acting.via_api.is_none() {
        record_exit(context, started_at, exit_code(&result));
    }
    result
}

/// Writes down how it ended, for metrics; nothing else depends on it.
fn record_exit(context: &Context, started_at: jiff::Timestamp, code: u8) {
    let write = || -> Result<()> {
        let trash = storage::open_to_change(context, &StorageArgs::default())?;
        trash.record_exit(started_at, jiff::Timestamp::now(), code)?;
        // A job that failed does not scan again, and the metrics are the database's.
        Ok(db::set_totals(&context.db, &trash.summary().totals())?)
    };
    if let Err(error) = write() {
        context.printer.detail(&error.messages().join(": "));
    }
}

fn plan_and_act(context: &Context, args: &PruneArgs) -> Result {
    let saved = match &args.plan {
        Some(path) => Some(read_plan(path)?),
        None => None,
    };
    if args.acting.via_api.is_some() {
        refuse_if_old(context, args.guards.max_scan_age)?;
    } else {
        // Whoever deletes starts from what is there now; an unchanged storage costs little.
        let is_to_act = args.acting.delete;
        scan_if_old(context, if is_to_act { Duration::ZERO } else { args.guards.max_scan_age })?;
        if is_to_act {
            recover::run(context)?;
        }
    }
    let accepted = vanished::refuse(context, args, None)?;
    let mut planned =
        make_plan(context, args, saved.as_ref(), super::now().as_nanosecond() as i64, None)?;
    planned.accepted = accepted;
    end_on_interrupt(context, "stopped: nothing was deleted");
    if let Some(hidden) = &planned.hidden {
        // What the storage alone shows is not worth showing, except that it is too much as well.
        let Some(too_much) = too_much(args, &planned) else {
            return Err(hidden.clone().into());
        };
        context.printer.warn(&hidden.to_string());
        if let Some(hint) = hidden.hint() {
            context.printer.note(&format!("hint: {hint}"));
        }
        context.printer.warn(&too_much);
        return Ok(Outcome::Findings);
    }
    let refusal = too_much(args, &planned);
    let document = |mode| {
        let origin = planned.origin.clone();
        let mut document =
            Document { mode, ..Document::new(&planned.plan, &planned.graph, origin) };
        document.hard_linked_bytes = planned.not_freed.hard_linked_bytes;
        document.min_age_seconds = Some(planned.policy.clock.min_age.as_secs());
        document.refused.clone_from(&refusal);
        if planned.is_via_api {
            document.freed_bytes = 0;
        }
        document
    };
    if let Some(path) = &args.save {
        save_plan(path, &document(Mode::DryRun))?;
        context.printer.note(&format!("saved the plan to {}", path.display()));
    }
    let is_json = args.format == FormatArg::Json;
    if !is_json || args.acting.delete {
        show::plan(context, &planned, args)?;
    }
    if !args.acting.delete && is_json {
        show::json(context, &document(Mode::DryRun))?;
    } else if !args.acting.delete && refusal.is_none() && !planned.plan.is_empty() {
        let mut out = context.printer.out();
        writeln!(out, "Use --delete to delete")?;
        out.flush()?;
    }
    if let Some(refusal) = refusal {
        context.printer.warn(&refusal);
        return Ok(Outcome::Findings);
    }
    if !is_json && planned.plan.is_empty() && planned.later_bytes == 0 {
        hint_untagged(context, args)?;
    }
    let outcome = show::outcome(context, &planned.plan.skipped);
    if args.acting.delete && !planned.plan.goes[Kind::CorruptBlob].is_empty() {
        refuse_corrupt_beside_cache(&args.acting)?;
    }
    if !args.acting.delete {
        return Ok(outcome);
    }
    if planned.plan.is_empty() {
        if is_json {
            show::json(context, &document(Mode::Deleted))?;
        }
        return Ok(outcome);
    }
    acting::refuse_early(context, args, &planned)?;
    ask(context, args, &planned)?;
    acting::run(context, args, planned, saved.as_ref())
}

/// Where `--garbage` finds nothing, the overview's bytes are those of untagged revisions.
fn hint_untagged(context: &Context, args: &PruneArgs) -> Result<()> {
    let is_garbage_alone = args.garbage && args.names.is_empty() && args.plan.is_none();
    let snapshot = Snapshot::open(context, None)?;
    let count = snapshot.total("untagged_revision_count");
    if !is_garbage_alone || count == 0 || snapshot.total("authority_suspected") > 0 {
        return Ok(());
    }
    context.printer.note(&format!(
        "{}, {}, are no garbage by themselves: regsql prune untagged-revisions --garbage",
        ui::counted(&[(count as u64, "untagged revision", "untagged revisions")]),
        ui::bytes(snapshot.total("untagged_bytes")),
    ));
    Ok(())
}

/// What clap cannot check.
fn check(args: &PruneArgs) -> Result<()> {
    let is_nothing_chosen = args.names.is_empty()
        && args.sql.is_none()
        && args.file.is_empty()
        && args.target.is_empty()
        && args.plan.is_none()
        && !args.garbage
        && !args.corrupt
        && !args.leftovers;
    if let Some(url) = args.names.iter().find(|name| name.contains("://")) {
        return Err(Error::new(format!("`{url}` is no report's name")).with_hint(format!(
            "the registry's address has an option of its own, and --online, --offline and --delete \
             take no value: --registry-url {url}"
        )));
    }
    if is_nothing_chosen {
        return Err(Error::new("no report, query or target to delete").with_hint(
            "name reports (regsql prune keep-latest -p keep=10), or use --garbage, --sql, --file, \
             --target or --plan",
        ));
    }
    let acting = &args.acting;
    if !acting.delete {
        return Ok(());
    }
    let has_way = acting.registry_url.is_some()
        || acting.offline
        || acting.online
        || acting.via_api.is_some();
    if !has_way {
        return Err(Error::new("--delete does not say what the registry is doing").with_hint(
            "add --registry-url URL (checks that it is stopped or read-only), --offline (your \
             word that nothing writes), or --online (beside pushes)",
        ));
    }
    if acting.online && acting.registry_url.is_none() && !acting.cache_off {
        return Err(Error::new(
            "--online does not say how the registry's cache forgets what is deleted",
        )
        .with_hint(
            "add --registry-url URL, so that links are removed through its API and its cache \
                 forgets them, or --cache-off if it has no blob descriptor cache",
        ));
    }
    if args.corrupt { refuse_corrupt_beside_cache(acting) } else { Ok(()) }
}

/// A registry that remembers a corrupt blob says that it has it after it is gone, and then a push
/// sends nothing: what was to be healed would be broken for good. Removing a link through the API
/// does not help, since the links of the images that need it stay.
fn refuse_corrupt_beside_cache(acting: &ActArgs) -> Result<()> {
    if !acting.online || acting.cache_off {
        return Ok(());
    }
    Err(Error::new("the registry may cache corrupt blobs, and then no push repairs them").with_hint(
        "stop it or make it read-only and use --registry-url without --online, or add --cache-off \
         if it has no blob descriptor cache",
    ))
}

fn read_file(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    // A part of a list would protect a part of what is in use.
    let too_large = || std::io::Error::from(std::io::ErrorKind::FileTooLarge);
    if file.metadata()?.len() > MAX_FILE_BYTES {
        return Err(too_large());
    }
    let read_bytes = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if read_bytes as u64 > MAX_FILE_BYTES { Err(too_large()) } else { Ok(text) }
}

/// The text of a saved plan, and the name of its file.
struct SavedPlan {
    file: String,
    text: String,
}

fn read_plan(path: &std::path::Path) -> Result<SavedPlan> {
    let file = path.display().to_string();
    match read_file(path) {
        Ok(text) => Ok(SavedPlan { file, text }),
        Err(source) => Err(DocumentError::Read { file, source }.into()),
    }
}

/// Adds one list, of whatever form.
fn add_protected(
    context: &Context,
    args: &PruneArgs,
    protect: &mut Protect,
    (file, text): (&str, &str),
    warns: bool,
) -> Result<()> {
    let word_count = protect.add_list(file, text)?;
    if word_count == 0 && args.acting.delete {
        return Err(ProtectError::Empty { file: file.into() }.into());
    }
    if word_count == 0 && warns {
        context.printer.warn(&format!("protect list `{file}` names nothing"));
    }
    Ok(())
}

/// What must stay. A list that names nothing is an error before a deletion; else `warns` tells it.
fn protect(context: &Context, args: &PruneArgs, warns: bool) -> Result<Protect> {
    let mut protect = Protect::default();
    for path in &args.guards.protect {
        let file = path.display().to_string();
        let text =
            read_file(path).map_err(|source| ProtectError::Read { file: file.clone(), source })?;
        add_protected(context, args, &mut protect, (&file, &text), warns)?;
    }
    for command in &args.guards.protect_command {
        let text = authority::printed_by(command)?;
        add_protected(context, args, &mut protect, (command, &text), warns)?;
    }
    protect.add_patterns(&args.guards.protect_tags)?;
    Ok(protect)
}

/// Scans the storage of the database again.
fn rescan(context: &Context) -> Result<Summary> {
    let storage = storage::open(context, &StorageArgs::default())?;
    super::storage::rescan(context, storage.origin())
}

/// For who cannot scan: the storage is out of reach.
fn refuse_if_old(context: &Context, max_age: Duration) -> Result<()> {
    let snapshot = Snapshot::open(context, None)?;
    if snapshot.age().is_some_and(|age| age <= max_age) {
        return Ok(());
    }
    if snapshot.is_of_inventory() {
        return Err(Error::new("the scan is of an inventory, by which nothing is deleted")
            .with_hint("scan the storage itself: leave --inventory out"));
    }
    Err(Error::new("the scan is older than --max-scan-age").with_hint(
        "scan where the storage is and bring the database here, or say how old a scan may be with \
         --max-scan-age",
    ))
}

fn scan_if_old(context: &Context, max_age: Duration) -> Result<()> {
    let snapshot = Snapshot::open(context, None)?;
    let is_of_inventory = snapshot.is_of_inventory();
    let age = snapshot.age();
    drop(snapshot);
    if age.is_none_or(|age| age > max_age) {
        end_on_interrupt(context, "stopped: nothing was deleted");
        if is_of_inventory {
            context.printer.note("the scan is of an inventory: listing the storage");
        } else if !max_age.is_zero() {
            context.printer.note("the scan is old: scanning again");
        }
        rescan(context)?;
    }
    Ok(())
}

/// Tells how much of what is to be protected is here: nothing of it is a sign of a mistake.
fn tell_protected(context: &Context, graph: &Graph, protect: &Protect) -> Result<()> {
    let count = protect.reference_count();
    if count > 0 {
        let named_count = named_count(graph, protect);
        let note = format!("{named_count} of {count} protected references name something here");
        context.printer.note(&note);
        if named_count == 0 {
            return Err(ProtectError::Foreign { count }.into());
        }
    }
    for pattern in unmatched_patterns(graph, protect) {
        context.printer.warn(&format!("--protect-tags `{pattern}` matches no tag"));
    }
    Ok(())
}

/// Works the plan out over what the database says; `only` is what a person has seen.
fn make_plan(
    context: &Context,
    args: &PruneArgs,
    saved: Option<&SavedPlan>,
    now_ns: i64,
    only: Option<NameSet>,
) -> Result<Planned> {
    // Told once, and not again when the plan is worked out again.
    let is_first = only.is_none();
    let min_age = args.guards.min_age.unwrap_or(MIN_AGE);
    let protect = protect(context, args, is_first)?;
    let snapshot = Snapshot::open(context, None)?;
    let origin = snapshot.origin(context)?;
    let graph = snapshot.graph(context)?;
    if has_lost_blobs(&graph) {
        return Err(Error::new(format!(
            "nothing is deleted: in `{}` there are links, and not one blob",
            origin.root
        ))
        .with_hint("see whether `blobs` is mounted, or its copy is finished, and scan again"));
    }
    if is_first {
        tell_protected(context, &graph, &protect)?;
    }
    let blobs = graph.blobs.iter().filter_map(|blob| blob.size_bytes);
    let stored_bytes =
        total_bytes(blobs.chain(graph.uploads.iter().map(|upload| upload.size_bytes)));
    let mut chosen = choosing::choose(context, args, &snapshot, &graph, is_first)?;
    let mut only = only;
    if let Some(saved) = saved {
        let saved = Document::saved_in(&saved.file, &saved.text, &origin.root)?;
        for name in &saved.items {
            // What follows from these follows again.
            chosen.add(name.clone());
        }
        if is_first && let Some(saved_seconds) = saved.min_age_seconds {
            tell_min_age(context, saved_seconds, min_age.as_secs());
        }
        only = only.or_else(|| Some(saved.items.into_iter().collect()));
    }
    let clock = Clock { now_ns, min_age };
    let hidden = authority::guard(context, args, &snapshot, &mut chosen, clock)?;
    if let Some(hidden) = hidden.as_ref().filter(|_| !is_first) {
        return Err(hidden.clone().into());
    }
    let policy = Policy {
        clock,
        upload_min_age: args.guards.min_age.unwrap_or(UPLOAD_MIN_AGE),
        protect,
        keeps_revisions: args.keep_revisions,
        spares_active_repositories: args.acting.online,
        spares_manifests: args.acting.online && args.acting.registry_url.is_some(),
        needed_to_undo: recover::needed_to_undo(context, args, &graph)?,
        marked: recover::marked(context, args, &graph)?,
        only,
    };
    let is_via_api = args.acting.via_api.is_some();
    let asked = is_via_api.then(|| chosen.asked());
    let (plan, later_bytes) = now_and_later(chosen, &policy, is_first);
    let newly_skipped = Vec::new();
    let not_freed = not_freed(context, args, &plan, &graph);
    let mut planned = Planned {
        graph,
        plan,
        policy,
        origin,
        stored_bytes,
        is_via_api,
        later_bytes,
        not_freed,
        newly_skipped,
        accepted: Vec::new(),
        hidden,
    };
    if let Some(asked) = asked {
        keep_what_the_api_deletes(&mut planned.plan, &planned.graph, &asked);
    }
    Ok(planned)
}

/// What goes now, and what more the same choice frees once all that is too young is old enough.
fn now_and_later(chosen: Chosen<'_>, policy: &Policy, asks_later: bool) -> (Plan, u64) {
    let later = asks_later.then(|| chosen.clone());
    let plan_now = plan(chosen, policy);
    let is_young =
        |skipped: &Skipped| matches!(skipped.group, SkipGroup::NotYet | SkipGroup::Young);
    let Some(later) = later.filter(|_| plan_now.skipped.iter().any(is_young)) else {
        return (plan_now, 0);
    };
    let clock = Clock { min_age: Duration::ZERO, ..policy.clock };
    let freed_bytes = plan(later, &Policy { clock, ..policy.clone() }).freed_bytes;
    let later_bytes = freed_bytes.saturating_sub(plan_now.freed_bytes);
    (plan_now, later_bytes)
}

/// What of a plan frees nothing, as far as the storage is within reach.
fn not_freed(context: &Context, args: &PruneArgs, plan: &Plan, graph: &Graph) -> NotFreed {
    if args.acting.via_api.is_some() {
        return NotFreed::default();
    }
    let storage = storage::open(context, &StorageArgs::default());
    storage.map_or_else(|_| NotFreed::default(), |storage| NotFreed::of(plan, graph, &*storage))
}

/// Tells why less may go than a saved plan says. The guard of this run counts.
fn tell_min_age(context: &Context, saved_seconds: u64, min_age_seconds: u64) {
    if saved_seconds < min_age_seconds {
        context.printer.note(&format!(
            "the plan was saved with --min-age {}; this run keeps what is younger than {}",
            time_option(saved_seconds),
            time_shown(min_age_seconds)
        ));
    }
}

/// A time as a person reads it: `24 h`.
fn time_shown(seconds: u64) -> String {
    match seconds {
        _ if seconds > 86_400 && seconds.is_multiple_of(86_400) => {
            format!("{} days", seconds / 86_400)
        }
        _ if seconds > 0 && seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds > 0 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// A time as the option takes it, in the largest unit that tells it exactly; a day is 24h.
fn time_option(seconds: u64) -> String {
    match seconds {
        0 => "0s".into(),
        _ if seconds > 86_400 && seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Why the plan is too large to be carried out.
fn too_much(args: &PruneArgs, planned: &Planned) -> Option<String> {
    let freed = planned.plan.freed_bytes;
    let shown = |bytes: u64| ui::bytes(bytes);
    if let Some(limit) = args.guards.max_delete_bytes
        && freed > limit
    {
        return Some(format!(
            "refused: {} would come free, and --max-delete-bytes is {}",
            shown(freed),
            shown(limit)
        ));
    }
    let percent = args.guards.max_delete_percent;
    let limit = u128::from(planned.stored_bytes) * u128::from(percent) / 100;
    (u128::from(freed) > limit).then(|| {
        let needed = (u128::from(freed) * 100).div_ceil(u128::from(planned.stored_bytes.max(1)));
        format!(
            "refused: {} of {} would come free, and --max-delete-percent is {percent} ({needed} allows it)",
            shown(freed),
            shown(planned.stored_bytes)
        )
    })
}

fn ask(context: &Context, args: &PruneArgs, planned: &Planned) -> Result<()> {
    if args.acting.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::new("nothing was deleted: there is no terminal to ask on")
            .with_hint("add --yes to delete without a question"));
    }
    let freed = show::freed(planned);
    let what = show::counted(&planned.plan.counts());
    let is_final = args.acting.no_trash || planned.is_via_api;
    let after = if is_final {
        "This CANNOT BE UNDONE."
    } else {
        "It goes to the trash: regsql undo puts it back, regsql trash purge frees the space."
    };
    if context.printer.says_yes(&format!("Delete {what} ({freed})? {after}"))? {
        return Ok(());
    }
    Err(Error::new("nothing was deleted: the answer was not yes"))
}
