//! Where a lake may lie.

use std::path::Path;

use super::LakeError;
use super::partition::Partition;
use super::staging::Staging;

/// A place that holds lakes. Any number of exports may use it at once.
pub trait Destination: Sync {
    /// What a person calls it, without secrets.
    fn place(&self) -> &str;

    /// Where it is on this machine; `None` when it is elsewhere.
    fn path(&self) -> Option<&Path>;

    /// Makes it a lake of this format, or sees that it is one.
    ///
    /// # Errors
    /// When it holds something else, or a lake of another format.
    fn open(&self, format: &'static str) -> Result<(), LakeError>;

    /// A directory aside for one export, after what killed ones left was removed.
    fn stage(&self, partition: &Partition, extension: &'static str) -> Result<Staging, LakeError>;

    /// The marker of a table's scan; `None` without one.
    fn marker(&self, table: &str, partition: &Partition) -> Result<Option<Vec<u8>>, LakeError>;

    /// The files of a table's scan with their sizes, in no order.
    fn list(&self, table: &str, partition: &Partition) -> Result<Vec<(String, u64)>, LakeError>;

    /// Puts every table where engines read it, in this order, in the place of what is there of this
    /// scan. Of each table the marker comes last.
    ///
    /// # Errors
    /// Nothing of the export is then left where an engine would read it.
    fn publish(
        &self,
        staging: Staging,
        partition: &Partition,
        tables: &[&'static str],
    ) -> Result<(), LakeError>;
}
