//! The storage of commands that change one.

use std::path::PathBuf;

use clap::Args;

/// Which storage.
#[derive(Args, Clone, Debug, Default)]
pub struct StorageArgs {
    /// The registry's root directory, its docker/registry/v2, or its config.yml; without it, the
    /// storage that the database is a scan of
    #[arg(long, value_name = "STORAGE")]
    pub storage: Option<PathBuf>,
}
