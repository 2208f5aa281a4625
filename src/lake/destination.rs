//! Where a lake may lie.

use super::LakeError;
use super::partition::Partition;
use super::staging::{Part, Staging};

/// A table whose parts are written.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its name.
    pub table: &'static str,
    /// Its files.
    pub parts: Vec<Part>,
    /// What goes into its marker.
    pub marker: Vec<u8>,
}

/// A place that holds lakes. Any number of exports may use it at once.
pub trait Destination: Sync {
    /// What a person calls it, without secrets.
    fn place(&self) -> &str;

    /// Whether it lies in the storage with this root, or is it.
    fn is_inside(&self, root: &str) -> bool;

    /// Makes it a lake of this format, or sees that it is one.
    ///
    /// # Errors
    /// When it holds something else, or a lake of another format.
    fn open(&self, format: &'static str) -> Result<(), LakeError>;

    /// A directory aside for one export of these tables, after what killed ones left was removed.
    fn stage(
        &self,
        partition: &Partition,
        extension: &'static str,
        tables: &[&'static str],
    ) -> Result<Staging, LakeError>;

    /// The parts of a table are written. Where nothing can be renamed they may go to their place now, since
    /// no engine goes by them before `scan_info` is there.
    fn take(
        &self,
        _staging: &Staging,
        _partition: &Partition,
        _table: &'static str,
        _parts: &[Part],
    ) -> Result<(), LakeError> {
        Ok(())
    }

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
        tables: &[Finished],
    ) -> Result<(), LakeError>;
}
