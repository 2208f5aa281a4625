//! The format of rows.

use clap::{Args, ValueEnum};

use crate::ui::Format;

/// How rows go out.
#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArgs {
    /// How rows are written
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub format: FormatArg,
}

/// A format's name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// Aligned columns and human sizes
    Table,
    /// JSON with raw integers and RFC 3339 times: an array of objects, for `why` one object
    Json,
    /// One object a line
    Ndjson,
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values with a header
    Tsv,
    /// A markdown table
    Markdown,
}

impl From<FormatArg> for Format {
    fn from(arg: FormatArg) -> Self {
        match arg {
            FormatArg::Table => Self::Table,
            FormatArg::Json => Self::Json,
            FormatArg::Ndjson => Self::Ndjson,
            FormatArg::Csv => Self::Csv,
            FormatArg::Tsv => Self::Tsv,
            FormatArg::Markdown => Self::Markdown,
        }
    }
}
