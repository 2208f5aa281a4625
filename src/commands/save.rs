//! Writing a plan to a file.

use std::path::Path;

use crate::commands::error::{Error, Result};
use crate::prune::Document;
use crate::ui;

/// Written whole or not at all.
pub fn save_plan(path: &Path, document: &Document) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        ui::write_json(&mut file, document)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| {
        let message = format!("cannot write plan `{}`", path.display());
        Error::from(anyhow::Error::new(source).context(message))
    })
}
