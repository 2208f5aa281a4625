//! One HTML page about a snapshot: figures, pictures, tables, and the query behind each.
//!
//! Guarantees: the page is whole in itself (no request leaves it) and reads without scripts; its
//! Content-Security-Policy allows the page's own style and script by their hashes and nothing else;
//! every name from the registry is text, escaped. Its size is bounded, however large the registry.
//! Tables are canned reports, so a figure here is the figure that `regsql report` gives.

mod groups;
mod growth;
mod page;
mod source;
mod squarify;
mod table;
mod treemap;

use std::io;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::db::Guard;
use crate::report::{CatalogError, ParamError, RunError};

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A query failed, or was stopped.
    #[error("cannot make the page")]
    Run(#[source] RunError),
    /// A built-in report is not there.
    #[error("cannot make the page")]
    Catalog(#[source] CatalogError),
    /// A built-in report does not take what the page gives it.
    #[error("cannot make the page")]
    Param(#[source] ParamError),
    /// The page could not be written.
    #[error("cannot write the page")]
    Write(#[source] io::Error),
}

/// Writes the page about the snapshot that `connection` has open and `guard` confines, as of
/// `made_at`. Nothing is written before all queries have run.
pub fn write_page(
    connection: &Connection,
    guard: &Guard,
    made_at: Timestamp,
    out: &mut dyn io::Write,
) -> Result<(), PageError> {
    let page = page::page(&source::Source::new(connection, guard), made_at)?;
    out.write_all(page.into_string().as_bytes()).map_err(PageError::Write)
}
