//! The words of the field as types. Pure: no I/O, no database.

mod digest;
mod finding;

pub use digest::{Digest, NotADigest};
pub use finding::{Code, Finding, Severity};
