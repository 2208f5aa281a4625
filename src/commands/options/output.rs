//! The format of rows.

use clap::Args;

use crate::ui::Format;

/// How rows go out.
#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArgs {
    /// How rows are written
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}
