//! Scanning by an inventory that a bucket's provider made.

use crate::db::PreviousScan;
use crate::storage::{AnyStorage, Location};

use super::ScanError;

/// Why an inventory is not taken.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Only buckets have one.
    #[error("`{0}` is no bucket, and so has no inventory")]
    NoBucket(String),
    /// What the database says is newer.
    #[error("the inventory was made at {made_at}, and the scan in the database is of {known_at}")]
    Older {
        /// When the inventory was made.
        made_at: String,
        /// Of when the last scan is.
        known_at: String,
    },
    /// By this machine's clock it was made in the time to come. Each later inventory would be older.
    #[error("the inventory was made at {made_at}, and it is {now} by this machine's clock")]
    Ahead {
        /// When the inventory says that it was made.
        made_at: String,
        /// What time it is here.
        now: String,
    },
    /// This build reads none.
    #[error("this build reads directories alone, and no inventory")]
    NotBuilt,
}

impl InventoryError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoBucket(_) => {
                "leave --inventory out; it is for s3://, gs:// and az://, and for their config.yml"
            }
            Self::Older { .. } => {
                "take a newer inventory, name another file with --db, or let it take the scan's place with --replace"
            }
            Self::Ahead { .. } => {
                "check the clock; if it is right, the manifest is wrong: take another inventory, or leave --inventory out"
            }
            Self::NotBuilt => "take a build with the feature object-storage, as released ones are",
        };
        Some(hint.to_owned())
    }
}

/// How far ahead a provider's clock may be.
#[cfg(feature = "object-storage")]
const MAX_AHEAD_NS: i64 = 3600 * 1_000_000_000;

/// Opens the bucket at a place as an inventory shows it.
#[cfg(feature = "object-storage")]
pub fn open(
    location: Location,
    manifest: &str,
    previous: Option<&PreviousScan>,
    replaces: bool,
) -> Result<AnyStorage, ScanError> {
    use crate::storage::object::{ObjectStorage, inventory::Inventory};
    use crate::storage::{Place, bucket_error};

    let root = location.root.clone();
    let failed = |error| ScanError::Storage { path: root.clone(), source: bucket_error(error) };
    let Place::Object(place) = &location.place else {
        return Err(InventoryError::NoBucket(root.display().to_string()).into());
    };
    let inventory = Inventory::open(manifest, place).map_err(failed)?;
    let made_ns = inventory.made_ns();
    let now_ns = super::now_ns();
    if made_ns > now_ns.saturating_add(MAX_AHEAD_NS) {
        return Err(InventoryError::Ahead { made_at: shown(made_ns), now: shown(now_ns) }.into());
    }
    let known_ns = previous.map(|scan| scan.inventory_ns.unwrap_or(scan.finished_ns));
    if let Some(known_ns) = known_ns.filter(|known_ns| *known_ns > made_ns && !replaces) {
        return Err(
            InventoryError::Older { made_at: shown(made_ns), known_at: shown(known_ns) }.into()
        );
    }
    let storage = ObjectStorage::connect(place).map_err(failed)?.with_inventory(inventory);
    let storage = storage.shown_as(location.root, location.origin, location.configured);
    Ok(AnyStorage::Object(Box::new(storage)))
}

#[cfg(not(feature = "object-storage"))]
pub fn open(
    _location: Location,
    _manifest: &str,
    _previous: Option<&PreviousScan>,
    _replaces: bool,
) -> Result<AnyStorage, ScanError> {
    Err(InventoryError::NotBuilt.into())
}

#[cfg(feature = "object-storage")]
fn shown(time_ns: i64) -> String {
    let time = jiff::Timestamp::from_second(time_ns.div_euclid(1_000_000_000));
    time.map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}
