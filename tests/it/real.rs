//! regsql beside the real thing: Debian's `docker-registry`, filled by `skopeo` and plain HTTP.
//!
//! A test here fails, and is never skipped, on a machine without the two programs.

mod api;
mod collector;
mod garbage;
mod http;
mod known;
mod layout;
mod live;
mod pushes;
mod readonly;
mod registry;
mod skopeo;
mod snapshot;
