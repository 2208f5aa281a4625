//! `export`: what the database knows, as files for other engines.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::{Context, on_interrupt};
use crate::commands::error::{Error, Outcome, Result};
use crate::lake::Engine;
use crate::lake::engines::Statements;
use crate::lake::fleet::{self, FleetQuery};
use crate::lake::{self, Destination, Directory, ExportOptions, FileFormat};
use crate::report::nearest;
use crate::storage;
use crate::ui;

const DESTINATION: &str = "The lake: an empty or new directory, or one that was exported to before; \
    or s3://BUCKET[/PREFIX], gs://BUCKET[/PREFIX], az://ACCOUNT/CONTAINER[/PREFIX]";

/// Arguments of `export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Where the lake is.
    #[arg(value_name = "DEST", help = DESTINATION, required_unless_present_any = ["views", "query", "queries"])]
    pub destination: Option<PathBuf>,
    /// The registry's name in the lake (default: the root of its storage)
    #[arg(long, value_name = "NAME")]
    pub registry: Option<String>,
    /// What files are written
    #[arg(long, value_name = "FORMAT", default_value_t, value_enum)]
    pub format: FileFormat,
    /// Export nothing: print the statements that give the files in DEST the names of the views
    #[arg(long, value_name = "ENGINE", conflicts_with_all = ["registry", "format"])]
    pub views: Option<Engine>,
    /// Export nothing: print the query that answers a question about all registries of a lake
    #[arg(long, value_name = "NAME", conflicts_with_all = ["registry", "format", "views", "destination"])]
    pub query: Option<String>,
    /// Export nothing: list these questions
    #[arg(long, conflicts_with_all = ["registry", "format", "views", "destination", "query"])]
    pub queries: bool,
}

/// Exports the snapshot, or prints what engines need.
pub fn run(context: &Context, args: &ExportArgs) -> Result {
    if args.queries || args.query.is_some() {
        return show_queries(context, args.query.as_deref());
    }
    let destination = args.destination.as_deref().unwrap_or(Path::new("."));
    if let Some(engine) = args.views {
        return print(context, &statements(engine, destination)?);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let is_stopped = Arc::clone(&stop);
    on_interrupt(move || is_stopped.store(true, Ordering::Relaxed));
    let options = ExportOptions {
        database: &context.db,
        registry: args.registry.as_deref(),
        format: args.format,
        part_rows: lake::PART_ROWS,
        threads: std::thread::available_parallelism()
            .unwrap_or(NonZeroUsize::MIN)
            .min(const { NonZeroUsize::new(4).unwrap() }),
        stop: &stop,
    };
    export(context, &options, &*open(destination)?)
}

fn is_address(destination: &Path) -> bool {
    destination.as_os_str().as_encoded_bytes().windows(3).any(|part| part == b"://")
}

/// A directory, or the bucket at an address.
fn open(destination: &Path) -> Result<Box<dyn Destination>> {
    if !is_address(destination) {
        return Ok(Box::new(Directory::new(destination)));
    }
    match storage::locate(destination)?.place {
        #[cfg(feature = "object-storage")]
        storage::Place::Object(place) => {
            let bucket = place.provider.connect().map_err(lake::LakeError::from)?;
            Ok(Box::new(lake::InBucket::new(bucket, &place.prefix)))
        }
        storage::Place::Filesystem => Ok(Box::new(Directory::new(destination))),
    }
}

fn export(context: &Context, options: &ExportOptions<'_>, lake: &dyn Destination) -> Result {
    let exported = lake::export(options, lake)?;
    let place = format!("{}/{}", exported.partition.registry, exported.partition.scan);
    let size = ui::bytes(exported.size_bytes);
    let (tables, rows) = (exported.table_count, exported.row_count);
    context.printer.note(&if exported.is_unchanged {
        format!("{}: {place} is there already, nothing was changed ({size})", lake.place())
    } else {
        format!("exported {rows} rows of {tables} tables to {}: {place} ({size})", lake.place())
    });
    Ok(Outcome::Done)
}

/// The statements for the lake in a directory.
fn statements(engine: Engine, destination: &Path) -> Result<String> {
    let place = if is_address(destination) {
        // Sees that it is one, and that its options are.
        storage::locate(destination)?;
        destination.to_owned()
    } else {
        std::path::absolute(destination)?
    };
    let place = place.to_str().ok_or_else(|| {
        Error::new(format!("the path `{}` is not UTF-8", destination.display()))
            .with_hint("SQL statements are UTF-8: export to a path whose name is")
    })?;
    Ok(Statements::new(engine, place)?.to_string())
}

fn print(context: &Context, text: &str) -> Result {
    use std::io::Write as _;
    let mut out = context.printer.out();
    for line in text.lines() {
        if context.printer.look().is_terminal {
            writeln!(out, "{}", ui::visible(line))?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn show_queries(context: &Context, name: Option<&str>) -> Result {
    let queries = fleet::queries()?;
    let Some(name) = name else {
        let line = |query: &FleetQuery| format!("{:<24} {}\n", query.name, query.header.summary);
        return print(context, &queries.iter().map(line).collect::<String>());
    };
    if let Some(query) = queries.iter().find(|query| query.name == name) {
        return print(context, query.sql);
    }
    let error = Error::new(format!("there is no query `{name}`"));
    let nearest = nearest(name, queries.iter().map(|query| query.name));
    Err(error.with_hint(match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`regsql export --queries` names them all".into(),
    }))
}
