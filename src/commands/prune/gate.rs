//! What the registry is doing before anything is deleted, and the commands around the deletion.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use super::PruneArgs;
use crate::commands::Context;
use crate::commands::error::{Error, Result};
use crate::graph::Graph;
use crate::prune::check_registry;
use crate::registry::{Expected, Found, Registry};

/// The signal of Ctrl-C, as POSIX numbers it.
const SIGINT: i32 = 2;

/// Refuses before a question what [`check`] would refuse after it. Whether a registry is stopped is looked
/// at again when something goes.
pub fn refuse_early(args: &PruneArgs, graph: &Graph) -> Result<()> {
    let Some(url) = &args.acting.registry_url else { return Ok(()) };
    let registry = args.acting.registry.connect(url)?;
    check_registry(&registry, graph, expected(args))?;
    Ok(())
}

fn expected(args: &PruneArgs) -> Expected {
    let acting = &args.acting;
    if acting.online {
        return Expected::Serving;
    }
    Expected::Quiet { is_claimed: acting.offline, was_to_stop: acting.before.is_some() }
}

/// Asks the registry of `--registry-url` whether its storage may be changed now. Gives the one that
/// goes on serving.
///
/// `has_answered`: something listened there before `--before` ran.
pub fn check(
    context: &Context,
    args: &PruneArgs,
    graph: &Graph,
    has_answered: bool,
) -> Result<Option<Registry>> {
    let acting = &args.acting;
    let Some(url) = &acting.registry_url else {
        return Ok(None);
    };
    let registry = acting.registry.connect(url)?;
    match check_registry(&registry, graph, expected(args))? {
        Found::Serving => return Ok(Some(registry)),
        Found::ReadOnly => {
            context.printer.note(&format!("the registry at {} is read-only", registry.url()));
        }
        Found::Stopped => {
            let text =
                format!("nothing listens at {}: the registry is taken as stopped", registry.url());
            // A registry that answered a moment ago was stopped; a wrong port never answered. With --offline
            // there is a person's word for it.
            if has_answered || acting.offline {
                context.printer.note(&text);
            } else {
                context.printer.warn(&format!("{text}, but a wrong port looks the same"));
            }
        }
    }
    Ok(None)
}

/// Whether anything listens at `--registry-url`, as far as that can be found out. What is wrong
/// is reported by [`check`], when `--after` is sure to run.
pub fn answers(args: &PruneArgs) -> bool {
    let url = args.acting.registry_url.as_deref();
    let registry = url.and_then(|url| args.acting.registry.connect(url).ok());
    registry.is_some_and(|registry| registry.is_stopped().is_ok_and(|is_stopped| !is_stopped))
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
    // Ctrl-C reaches it too, and it may end before this program has noticed.
    if status.signal() == Some(SIGINT) {
        return Err(Error::stopped(format!("the command of {option} was stopped: {command}")));
    }
    Err(Error::new(format!("the command of {option} failed with {status}: {command}")))
}
