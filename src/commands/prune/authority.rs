//! Whether the storage is the whole truth, or something outside of it holds references.

use std::process::{Command, Stdio};

use super::PruneArgs;
use crate::commands::Context;
use crate::commands::result::Snapshot;
use crate::db::{DatabaseError, stored_authority};
use crate::error::Result;
use crate::prune::{AuthorityError, Chosen, ProtectError, hidden_by, keep_never_tagged};

/// Why what is chosen cannot be judged from the storage alone, if so. Takes back revisions of
/// repositories that never had a tag.
pub fn guard(
    context: &Context,
    args: &PruneArgs,
    snapshot: &Snapshot,
    chosen: &mut Chosen<'_>,
) -> Result<Option<AuthorityError>> {
    // The registry's API asks the authority itself before it deletes.
    if args.guards.trust_storage || args.acting.via_api.is_some() {
        return Ok(None);
    }
    let stored = stored_authority(&snapshot.connection)
        .map_err(|source| DatabaseError::Sqlite { path: context.db.clone(), source })?;
    let hidden = hidden_by(chosen, &stored.evidence, args.keep_revisions);
    if hidden.is_none() {
        keep_never_tagged(chosen, &stored.never_tagged);
    }
    Ok(hidden)
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
