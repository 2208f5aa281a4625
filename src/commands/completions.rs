//! `completions`: for bash, zsh, fish and others.

use std::io::Write as _;

use clap::Args;
use clap_complete::Shell;

use super::{Context, command_line};
use crate::error::{Outcome, Result};

/// Arguments of `completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Prints the completions.
pub fn run(context: &Context, args: &CompletionsArgs) -> Result {
    // clap_complete panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line(), "regsql", &mut script);
    let mut out = context.printer.out();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Outcome::Done)
}
