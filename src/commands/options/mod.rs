//! Groups of options that commands share. The commands themselves are in `commands`.

pub mod complete;
mod output;
mod query;
mod registry;
mod series;
mod storage;

use std::path::PathBuf;

use clap::Args;

pub use output::OutputArgs;
pub use query::{CatalogArgs, LimitArgs, ParamArgs, parse_duration, parse_size};
pub use registry::RegistryArgs;
pub use series::SeriesArgs;
pub use storage::StorageArgs;

use crate::ui::{Color, LogTime, Printer, Verbosity};

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The database file
    #[arg(
        long,
        global = true,
        env = "REGSQL_DB",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "registry.db"
    )]
    pub db: PathBuf,
    /// Print errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more details
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// When each line on standard error begins with the time (RFC 3339, UTC)
    #[arg(long, global = true, env = "REGSQL_LOG_TIME", hide_env_values = true)]
    #[arg(value_name = "WHEN", default_value = "auto")]
    pub log_time: LogTime,
    /// Do not show what is longer than the screen in a pager (`REGSQL_PAGER`, `PAGER`, or less)
    #[arg(long, global = true)]
    pub no_pager: bool,
}

impl GlobalArgs {
    /// The printer that these options ask for.
    pub fn printer(&self) -> Printer {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let printer = Printer::new(verbosity, self.color, self.log_time);
        if self.no_pager { printer.without_pager() } else { printer }
    }
}
