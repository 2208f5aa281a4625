//! What monitoring gets: the text, the server, and what real Prometheus makes of both.
//!
//! A test here fails, and is never skipped, on a machine without `prometheus` and `promtool`.

#![expect(clippy::float_cmp, reason = "exported figures are exact")]

mod answers;
mod clients;
pub mod exporter;
mod prometheus;
pub mod promtool;
mod rescans;
mod rules;
mod text;
