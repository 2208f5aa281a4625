//! The database file: how it is opened, what version it has, how a snapshot is put into it, and how
//! queries are confined.

mod authority;
mod content;
mod guard;
mod ids;
mod images;
mod load;
mod lock;
mod migrate;
mod open;
mod publish;
mod read_graph;
mod reclaimable;
mod references;
mod remembered;
mod roots;
mod rows;
mod schema;
mod stamp;
mod summaries;
mod table;
mod verified;
mod witness;

pub use authority::{
    AuthorityRecord, PreviousRoots, RootsRecord, StoredAuthority, each_known_before,
    each_reference_known_before, previous_roots, stored_authority,
};
pub use content::{
    ContentReader, ContentResult, StoredBlob, StoredFinding, content_findings, record_content,
};
pub use guard::{Guard, Stopper};
pub use ids::Ids;
#[cfg(test)]
pub(crate) use load::load_figures;
pub use lock::{Making, WriteLock, remove_unfinished};
pub use migrate::{
    PRIVATE_VIEWS_SQL, VIEWS_SQL, apply_views, create_indices, create_tables, is_scan_current,
};
pub(crate) use open::open_for_writing;
pub use open::{
    DatabaseError, configured, findings_by_severity, open_for_reading, scanned_root, set_totals,
    total, unreadable_text,
};
pub use publish::{
    NewDatabase, PreviousScan, previous_scan, previous_scan_if_whole, publish_unchanged,
};
pub use read_graph::{
    Blobs, ReadGraphError, ReferenceColumns, ReferenceRow, place_among, read_blobs, read_graph,
    read_graph_with,
};
pub use references::References;
#[cfg(test)]
pub(crate) use references::load_references;
pub use remembered::remembered;
pub use roots::{ResolvedRow, StoredRoot};
pub use rows::{
    BucketRecord, DiskSpace, InventoryRecord, Noncurrent, ScanRecord, Snapshot, StorageClasses,
    Totals,
};
pub use schema::{View, ViewColumn, views};
pub use stamp::FileStamp;
#[cfg(test)]
pub(crate) use table::Target;
pub use witness::{
    RepositoryThen, Vanished, Witness, accept_vanished, begin_own_deletion, end_own_deletion,
    vanished, witness,
};
