//! `metrics`: the snapshot as Prometheus text, once.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::result::Snapshot;
use crate::commands::error::{Outcome, Result};
use crate::commands::options::{CatalogArgs, SeriesArgs};
use crate::export;
use crate::report::{Catalog, QueryError};
use crate::ui;

/// Arguments of `metrics`.
#[derive(Args, Debug)]
pub struct MetricsArgs {
    /// Write into this file, which a reader never sees in part, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How much is exported.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// A directory of your own reports, for the metrics that they declare.
    #[command(flatten)]
    pub catalog: CatalogArgs,
}

/// Prints the metrics.
pub fn run(context: &Context, args: &MetricsArgs) -> Result {
    let catalog = catalog(context, &args.catalog)?;
    let snapshot = Snapshot::open(context, None)?;
    let options = args.series.into();
    let rendered =
        export::render_metrics(&snapshot.connection, &snapshot.guard, &catalog, &options);
    let text = match rendered {
        Err(_) if snapshot.guard.was_stopped() => return Err(QueryError::Interrupted.into()),
        rendered => rendered?,
    };
    if let Some(path) = &args.output {
        export::replace_file(path, |out| out.write_all(text.as_bytes()))?;
        return Ok(Outcome::Done);
    }
    let mut out = context.printer.out();
    if context.printer.look().is_terminal {
        for line in text.lines() {
            writeln!(out, "{}", ui::visible(line))?;
        }
    } else {
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// The reports. One that cannot be used would be missed in silence.
pub(super) fn catalog(context: &Context, args: &CatalogArgs) -> Result<Catalog> {
    let catalog = Catalog::with_directory(args.reports.as_deref())?;
    for error in catalog.broken() {
        context.printer.warn(&error.to_string());
    }
    Ok(catalog)
}
