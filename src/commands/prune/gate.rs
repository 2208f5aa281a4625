//! Whether it is safe to act now: what the registry is doing, and the commands around the act.

use std::process::{Command, Stdio};

use super::PruneArgs;
use crate::commands::Context;
use crate::error::{Error, Result};
use crate::model::{Digest, is_repository_name};
use crate::prune::LinkRemover;
use crate::registry::{DeleteOutcome, Registry, ServingState};
use crate::removal::StoredGraph;

/// Makes sure that nothing writes to the storage, or that the registry beside which this acts
/// deletes links when asked to. Gives the registry in that case.
///
/// `has_answered`: something listened there before `--before` ran.
pub fn check(
    context: &Context,
    args: &PruneArgs,
    graph: &StoredGraph,
    has_answered: bool,
) -> Result<Option<Registry>> {
    let acting = &args.acting;
    let Some(url) = &acting.registry_url else {
        return Ok(None);
    };
    let registry = acting.registry.connect(url)?;
    let repository = some_repository(graph);
    if acting.online {
        let nothing = Digest::of(b"a blob that no registry holds");
        let outcome = registry.delete_blob_link(repository, &nothing)?;
        return match outcome {
            DeleteOutcome::Deleted | DeleteOutcome::NotFound => Ok(Some(registry)),
            other => {
                let error = Error::new(format!(
                    "the registry at {} does not remove layer links: nothing was touched",
                    registry.url()
                ));
                Err(match other.hint() {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                })
            }
        };
    }
    match registry.probe(repository)? {
        ServingState::Stopped => {
            let text = format!("nobody listens at {}: taken as stopped", registry.url());
            // A registry that answered a moment ago was stopped; a wrong port never answered.
            if has_answered {
                context.printer.note(&text);
            } else {
                context.printer.warn(&format!("{text}, but a wrong port looks the same"));
            }
            Ok(None)
        }
        ServingState::ReadOnly => {
            context.printer.note(&format!("the registry at {} is read-only", registry.url()));
            Ok(None)
        }
        ServingState::Writable if acting.offline => Err(Error::new(format!(
            "the registry at {} takes pushes, although --offline says that nothing writes",
            registry.url()
        ))
        .with_hint("stop it or make it read-only; or use --online")),
        ServingState::Writable if acting.before.is_some() => Err(Error::new(format!(
            "the registry at {} still takes pushes after --before: nothing was touched",
            registry.url()
        ))
        .with_hint("its command must wait until the registry has stopped, and stop that one")),
        ServingState::Writable => Err(Error::new(format!(
            "the registry at {} takes pushes: nothing was touched",
            registry.url()
        ))
        .with_hint(
            "stop it (--before and --after can), make it read-only \
             (storage.maintenance.readonly.enabled: true, and restart), or use --online",
        )),
    }
}

/// Whether anything listens at `--registry-url`, as far as that can be found out: [`check`] tells what
/// is wrong, when `--after` is sure to run.
pub fn answers(args: &PruneArgs) -> bool {
    let url = args.acting.registry_url.as_deref();
    let registry = url.and_then(|url| args.acting.registry.connect(url).ok());
    registry.is_some_and(|registry| registry.is_stopped().is_ok_and(|is_stopped| !is_stopped))
}

/// A name that the registry accepts.
fn some_repository(graph: &StoredGraph) -> &str {
    let names = graph.repositories.iter().map(|repository| repository.name.as_str());
    names.into_iter().find(|name| is_repository_name(name)).unwrap_or("regsql/probe")
}

/// Links that the registry itself removes, so that its cache forgets them.
pub struct ThroughApi(pub Registry);

impl LinkRemover for ThroughApi {
    fn remove(&self, repository: &str, digest: &Digest) -> std::result::Result<(), String> {
        match self.0.delete_blob_link(repository, digest) {
            Ok(DeleteOutcome::Deleted | DeleteOutcome::NotFound) => Ok(()),
            Ok(other) => Err(other.hint().unwrap_or("the registry refused").to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Runs a command of `--before` or `--after` with the shell; what it prints goes to standard error.
pub fn shell(context: &Context, option: &str, command: &str) -> Result<()> {
    context.printer.note(&format!("{option}: {command}"));
    let status = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|source| {
            let message = format!("cannot run the command of {option}");
            Error::from(anyhow::Error::new(source).context(message))
        })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(format!("the command of {option} failed with {status}: {command}")))
}
