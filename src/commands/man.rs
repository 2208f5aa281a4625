//! `man`: the man page.

use std::io::Write as _;

use super::{Context, command_line};
use crate::error::{Outcome, Result};

/// Prints the man page, with a section for each command.
pub fn run(context: &Context) -> Result {
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
