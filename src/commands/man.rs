//! `man`: the man page, or one for each command.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{Context, command_line};
use crate::commands::error::{Outcome, Result};

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
        page.extend(format!(".SH \"COMMAND {}\"\n", sub.get_name().to_uppercase()).bytes());
        let man = clap_mangen::Man::new(sub);
        let mut section = Vec::new();
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        append_below(&mut page, &String::from_utf8_lossy(&section));
    }
    let mut out = context.printer.out();
    out.write_all(&page)?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// Appends the sections of a page below a section of another one.
fn append_below(page: &mut Vec<u8>, sections: &str) {
    // What every page begins with: the apostrophe, for each kind of roff.
    let is_preamble = |line: &&str| line.starts_with(".ie \\n(.g") || line.starts_with(".el .ds");
    for line in sections.lines().filter(|line| !is_preamble(line)) {
        page.extend(line.replacen(".SH ", ".SS ", 1).bytes());
        page.push(b'\n');
    }
}

fn write_pages(context: &Context, directory: &Path) -> Result {
    let shown = directory.display();
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command_line(), directory))
        .with_context(|| format!("cannot write man pages into `{shown}`"))?;
    context.printer.note(&format!("wrote regsql.1 and a page for each command into {shown}"));
    Ok(Outcome::Done)
}
