//! regsql beside the real thing: Debian's `docker-registry`, filled by `skopeo` and plain HTTP.
//!
//! A test here fails, and is never skipped, on a machine without the two programs.

mod api;
mod collector;
pub mod garbage;
pub mod http;
pub mod known;
pub mod layout;
mod live;
mod odd_json;
pub mod pushes;
mod readonly;
pub mod registry;
pub mod skopeo;
pub mod snapshot;
