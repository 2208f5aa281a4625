//! regsql puts what a Docker/OCI registry has on disk into SQLite.
//!
//! The data's way, one module a step: [`storage`] (bytes on disk) -> `scan` (facts) -> `graph`
//! (who reaches what, and what would come free) -> [`db`] (tables) -> `report` (answers) -> `ui`
//! (rows a person reads). `ARCHITECTURE.md` has the map and what each module must not do.

pub mod browse;
pub mod check;
pub mod commands;
pub mod db;
pub mod export;
pub mod graph;
pub mod lake;
pub mod model;
pub mod nightly;
pub mod prune;
pub mod pulls;
pub mod registry;
pub mod report;
pub mod roots;
pub mod sample;
pub mod scan;
pub mod serve;
pub mod snapshot;
pub mod storage;
mod tls;
pub mod trash;
pub mod ui;
pub mod why;
