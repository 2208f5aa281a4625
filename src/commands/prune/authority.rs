//! Whether the storage is the whole truth, or something outside of it holds references.

use std::process::{Command, Stdio};

use super::PruneArgs;
use crate::commands::Context;
use crate::commands::error::{Error, Result};
use crate::commands::options::StorageArgs;
use crate::commands::result::Snapshot;
use crate::db::{DatabaseError, StoredAuthority, stored_authority};
use crate::graph::Graph;
use crate::model::authority::Evidence;
use crate::prune::{
    AuthorityError, Chosen, Clock, ProtectError, hidden_by, keep_never_tagged, keep_unnamed,
    newest_write_ns, registry_evidence,
};
use crate::scan::is_pull_through;

/// Why what is chosen cannot be judged from the storage alone, if so. Takes back revisions of
/// repositories that never had a tag.
pub fn guard(
    context: &Context,
    args: &PruneArgs,
    snapshot: &Snapshot,
    chosen: &mut Chosen<'_>,
    clock: Clock,
) -> Result<Option<AuthorityError>> {
    let stored = stored_authority(&snapshot.connection)
        .map_err(|source| DatabaseError::Sqlite { path: context.db.clone(), source })?;
    if args.acting.delete && args.acting.via_api.is_none() {
        refuse_old_roots(context, args, &stored, chosen.graph(), clock)?;
    }
    // The registry's API asks the authority itself before it deletes.
    if args.guards.trust_storage || args.acting.via_api.is_some() {
        return Ok(None);
    }
    if stored.is_answered {
        keep_unnamed(chosen, &stored.unnamed);
        return Ok(None);
    }
    let mut evidence = stored.evidence;
    evidence.extend(asked_registry(context, args, chosen)?);
    let hidden = hidden_by(chosen, &evidence, args.keep_revisions);
    if hidden.is_none() {
        keep_never_tagged(chosen, &stored.never_tagged);
    }
    Ok(hidden)
}

/// What the registry of `--registry-url` says of who holds its references, while it answers.
fn asked_registry(
    context: &Context,
    args: &PruneArgs,
    chosen: &Chosen<'_>,
) -> Result<Vec<Evidence>> {
    let Some(url) = &args.acting.registry_url else { return Ok(Vec::new()) };
    let registry = args.acting.registry.connect(url)?;
    if registry.is_stopped()? {
        return Ok(Vec::new());
    }
    let storage = crate::commands::storage::open(context, &StorageArgs::default())?;
    Ok(registry_evidence(&registry, &*storage, chosen, is_pull_through(&*storage))?)
}

/// What was pushed since an export was written is in none. It is kept while it is young, so an export
/// must not be older than that.
fn refuse_old_roots(
    context: &Context,
    args: &PruneArgs,
    stored: &StoredAuthority,
    graph: &Graph,
    clock: Clock,
) -> Result<()> {
    let Some(roots_ns) = stored.roots_ns else { return Ok(()) };
    if stored.has_manifests_elsewhere {
        let what = if args.acting.online {
            "manifests are in a database, where a push during the deletion leaves no trace"
        } else if args.acting.before.is_some() {
            "manifests are in a database, and what is pushed before --before stops the registry is not in \
             the roots and leaves no trace"
        } else if newest_write_ns(graph) > Some(roots_ns) {
            "manifests are in a database, and the storage was written to after the roots were exported"
        } else {
            ""
        };
        if !what.is_empty() {
            return Err(Error::new(what).with_hint(
                "stop the registry or make it read-only, export the roots again, and use --offline or \
                 --registry-url without --online and --before",
            ));
        }
    }
    let min_age_ns = i64::try_from(clock.min_age.as_nanos()).unwrap_or(i64::MAX);
    if roots_ns >= clock.now_ns.saturating_sub(min_age_ns) {
        return Ok(());
    }
    if min_age_ns == 0 {
        context.printer.warn("what was pushed since the roots were exported is in none of them");
        return Ok(());
    }
    let what = "the roots are older than --min-age: what was pushed since the export is not kept";
    Err(Error::new(what).with_hint("export them again; prune reads the same files"))
}

/// What a command of `--protect-command` prints.
///
/// # Errors
/// When it cannot be run, fails, or prints what is no text.
pub fn printed_by(command: &str) -> Result<String> {
    let failed = |status: String| ProtectError::Command { command: command.to_owned(), status };
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()).into());
    }
    let text = String::from_utf8(output.stdout);
    Ok(text.map_err(|_| failed("output that is not UTF-8".into()))?)
}
