//! `man`: the man page, or one for each command.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{Context, command_line};
use crate::error::{Outcome, Result};

/// Arguments of `man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Write a page for each command into this directory; it is made when missing
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Prints the man page, with a section for each command, or writes one for each.
pub fn run(context: &Context, args: &ManArgs) -> Result {
    if let Some(directory) = &args.out {
        return write_pages(context, directory);
    }
    let command = command_line();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let sub = sub.clone();
        let heading = format!(".SH \"COMMAND {}\"\n", sub.get_name().to_uppercase());
        page.extend_from_slice(heading.as_bytes());
        let man = clap_mangen::Man::new(sub);
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    let mut out = context.printer.out();
    out.write_all(&page)?;
    out.flush()?;
    Ok(Outcome::Done)
}

fn write_pages(context: &Context, directory: &Path) -> Result {
    let shown = directory.display();
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command_line(), directory))
        .with_context(|| format!("cannot write man pages into `{shown}`"))?;
    context.printer.note(&format!("wrote regsql.1 and a page for each command into {shown}"));
    Ok(Outcome::Done)
}
