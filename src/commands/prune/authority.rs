//! Whether the storage is the whole truth, or something outside of it holds references.

use std::process::{Command, Stdio};

use super::PruneArgs;
use crate::commands::Context;
use crate::commands::result::Snapshot;
use crate::db::{DatabaseError, StoredAuthority, stored_authority};
use crate::error::{Error, Result};
use crate::prune::{AuthorityError, Chosen, Clock, ProtectError, hidden_by, keep_never_tagged};

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
        refuse_old_roots(context, args, &stored, clock)?;
    }
    // The registry's API asks the authority itself before it deletes.
    if args.guards.trust_storage || args.acting.via_api.is_some() || stored.is_answered {
        return Ok(None);
    }
    let hidden = hidden_by(chosen, &stored.evidence, args.keep_revisions);
    if hidden.is_none() {
        keep_never_tagged(chosen, &stored.never_tagged);
    }
    Ok(hidden)
}

/// What was pushed since an export was written is in none. It is kept while it is young, so an export
/// must not be older than that.
fn refuse_old_roots(
    context: &Context,
    args: &PruneArgs,
    stored: &StoredAuthority,
    clock: Clock,
) -> Result<()> {
    let Some(roots_ns) = stored.roots_ns else { return Ok(()) };
    if stored.has_manifests_elsewhere && args.acting.online {
        let what = "manifests are in a database, where a push during the deletion leaves no trace";
        return Err(Error::new(what).with_hint(
            "stop the registry or make it read-only, export the roots again, and use --offline or \
             --registry-url without --online",
        ));
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
