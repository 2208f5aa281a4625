//! The targets, which the tests of regsql run as well.

#[path = "../../tests/it/fuzzing/targets.rs"]
pub mod targets;
