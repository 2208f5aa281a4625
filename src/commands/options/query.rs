//! Options of what runs queries.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::complete::params;

/// Values for parameters.
#[derive(Args, Clone, Debug, Default)]
pub struct ParamArgs {
    /// Set a parameter; once for each
    #[arg(short, long = "param", value_name = "NAME=VALUE", add = ArgValueCompleter::new(params))]
    pub param: Vec<String>,
}

/// Where reports come from.
#[derive(Args, Clone, Debug, Default)]
pub struct CatalogArgs {
    /// A directory of your own reports (.sql files)
    #[arg(long, env = "REGSQL_REPORTS", hide_env_values = true, value_name = "DIR")]
    pub reports: Option<PathBuf>,
}

/// How far a query may go.
#[derive(Args, Clone, Copy, Debug)]
pub struct LimitArgs {
    /// Stop after this many rows, and say so (0: no limit)
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub max_rows: u64,
    /// Stop after so long, such as 500ms, 60s or 5m (0s: no limit)
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// `500ms`, `60s`, `10m`, `24h`, `7d`, `2w`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    crate::model::parse_duration(text)
}

/// `500`, `10GiB`, `2.5MB`: at least one byte.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let bytes = crate::report::parse_bytes(text).and_then(|bytes| u64::try_from(bytes).ok());
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a size such as 500MB or 10GiB".to_owned())
}
