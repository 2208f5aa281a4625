//! The database file: how it is opened, what version it has, how a snapshot is put into it, and how
//! queries are confined.

mod guard;
mod load;
mod migrate;
mod open;
mod publish;
mod schema;

pub use guard::{Guard, Stopper};
pub use load::{ScanRecord, Snapshot, Totals};
pub use migrate::{VIEWS_SQL, apply_views, create_indices, create_tables};
pub use open::{DatabaseError, findings_by_severity, open_for_reading};
pub use publish::{NewDatabase, PreviousScan, WriteLock, previous_scan, publish_unchanged};
pub use schema::{View, ViewColumn, views};
