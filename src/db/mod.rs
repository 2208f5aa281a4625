//! The database file: how it is opened, what version it has, and how queries are confined.

mod load;
mod migrate;
mod open;
mod publish;

pub use load::{ScanRecord, Snapshot, Totals};
pub use migrate::{VIEWS_SQL, apply_views, create_tables};
pub use open::{DatabaseError, open_for_reading};
pub use publish::{PreviousScan, WriteLock, previous_scan, publish, publish_unchanged};
