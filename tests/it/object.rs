//! Registries in object storage: deleting, undoing and purging.

mod bucket;
mod crash;

mod lock;
mod reading;
mod scan;
pub mod servers;
