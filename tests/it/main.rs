//! All integration tests, in one binary.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod architecture;
mod browse;
mod cases;
mod cli;
mod completions;
mod console;
mod cookbook;
mod docs;
mod env;
mod errors;
mod faults;
mod fixture;
mod frozen;
mod fuzzing;
mod hostile;
mod hour;
mod incremental;
#[cfg(all(feature = "object-storage", feature = "parquet"))]
mod lake;
mod links;
mod monitoring;
mod nightly;
#[cfg(feature = "object-storage")]
mod object;
mod operations;
mod page;
mod products;
mod properties;
mod prune;
mod prune_online;
mod queries;
mod real;
mod registry_api;
mod reports;
mod rescan;
mod retention;
mod samples;
mod simulation;
mod sql;
mod trash;
mod tree;
mod verify;
mod whatif;
mod why;
