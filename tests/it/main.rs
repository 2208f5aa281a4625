//! All integration tests, in one binary.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod cases;
mod cli;
mod docs;
mod fixture;
mod properties;
mod queries;
mod real;
mod reports;
mod samples;
mod sql;
