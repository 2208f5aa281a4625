//! `html`: a page about the registry, in one file.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Context;
use super::result::Snapshot;
use crate::commands::error::{Outcome, Result};
use crate::export::html::write_page;
use crate::ui;

/// Arguments of `html`.
#[derive(Args, Debug)]
pub struct HtmlArgs {
    /// The file to write, or `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Writes the page; a file gets all of it or is left as it was.
pub fn run(context: &Context, args: &HtmlArgs) -> Result {
    let snapshot = Snapshot::open(context, None)?;
    let mut page = Vec::new();
    write_page(&snapshot.connection, &snapshot.guard, super::now(), &mut page)?;
    if args.output == Path::new("-") {
        let mut out = context.printer.out();
        out.write_all(&page)?;
        out.flush()?;
    } else {
        crate::export::replace_file(&args.output, |out| out.write_all(&page))?;
        let size = ui::bytes(page.len());
        context.printer.note(&format!("wrote {} ({size})", args.output.display()));
    }
    Ok(Outcome::Done)
}
