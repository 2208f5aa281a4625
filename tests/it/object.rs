//! Registries in object storage: reading, deleting, undoing and purging.

mod asking;
mod beside;
mod bucket;
mod clouds;
mod crash;
mod credentials;
mod deleting;
mod fake;
mod faults;
mod inventory;
mod lock;
mod made;
mod meanwhile;
mod purge;
mod pushes;
mod reading;
mod scan;
pub mod servers;
