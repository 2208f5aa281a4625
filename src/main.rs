//! Parse, run, say what went wrong, exit.

use std::process::ExitCode;

use clap::Parser as _;
use regsql::commands::error::{Outcome, exit_code};
use regsql::commands::{self, Cli};

/// Returns to the system what a scan has freed (docs/benchmarks.md, "Prune").
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A step of a night job must not go on without it.
    commands::end_with_job();
    // A shell that asks what a word may become.
    match commands::complete() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => error.exit(),
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            commands::explain(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let context = cli.context();
    let result = commands::run(&context, cli.command);
    if let Err(error) = &result
        && !error.is_closed_pipe()
    {
        context.printer.error(&error.messages(), &error.hints());
    }
    let code = exit_code(&result);
    let reason = match &result {
        Ok(Outcome::Done) => Some("done".to_owned()),
        Ok(Outcome::Findings) => None,
        Err(error) => Some(error.messages().join(": ")),
    };
    context.printer.end_log(code, reason.as_deref());
    ExitCode::from(code)
}
