//! The database file: how it is opened, what version it has, and how queries are confined.

mod migrate;
mod open;

pub use migrate::{VIEWS_SQL, apply_views, create_tables};
pub use open::{DatabaseError, open_for_reading};
