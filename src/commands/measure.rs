//! What was to come free beside what the disk has more free, and why the two differ.

use crate::prune::NotFreed;
use crate::storage::Storage;
use crate::trash;
use crate::ui;

/// Less than this is noise: others write, directories shrink, small files take whole blocks.
const NOISE_BYTES: u64 = 1 << 20;

/// What a disk had free before something was done.
pub struct Measure {
    free_bytes: Option<u64>,
    reserve_bytes: u64,
}

/// What a disk has more free than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Negative: it has less.
    pub freed_bytes: i64,
    /// What regsql itself set aside meanwhile, for a deletion on a full disk: free but for that.
    pub set_aside_bytes: u64,
}

impl Measure {
    /// Before it is done.
    pub fn begin(storage: &dyn Storage) -> Self {
        Self {
            free_bytes: storage.space().map(|space| space.free_bytes),
            reserve_bytes: trash::reserve_bytes(storage),
        }
    }

    /// What the disk has more free now; `None` where it does not say.
    pub fn end(&self, storage: &dyn Storage) -> Option<Measured> {
        let now = storage.space()?.free_bytes;
        Some(Measured {
            freed_bytes: i64::try_from(i128::from(now) - i128::from(self.free_bytes?)).ok()?,
            set_aside_bytes: trash::reserve_bytes(storage).saturating_sub(self.reserve_bytes),
        })
    }
}

/// `; the disk has 4.4 MiB more free than before`, and why that is not what was planned. Nothing where
/// it is too little to tell from what others write.
pub fn beside(planned_bytes: u64, measured: Option<Measured>, not_freed: NotFreed) -> String {
    let Some(Measured { freed_bytes: measured, set_aside_bytes }) = measured else {
        return String::new();
    };
    if planned_bytes < NOISE_BYTES {
        return String::new();
    }
    let size = ui::bytes(measured.unsigned_abs());
    let direction = if measured < 0 { "less" } else { "more" };
    let text = format!("; the disk has {size} {direction} free than before");
    let missing = i128::from(planned_bytes) - i128::from(measured);
    if missing.unsigned_abs() <= u128::from(NOISE_BYTES.max(planned_bytes / 20)) {
        return text;
    }
    let amount = |bytes: u64| ui::bytes(bytes);
    let mut reasons = Vec::new();
    if missing > 0 && not_freed.hard_linked_bytes > 0 {
        let bytes = amount(not_freed.hard_linked_bytes);
        reasons.push(format!("other hard links hold {bytes}"));
    }
    if missing > 0 && not_freed.sparse_bytes > 0 {
        reasons.push(format!(
            "sparse or compressed files never took {}",
            amount(not_freed.sparse_bytes)
        ));
    }
    if missing > 0 && set_aside_bytes > 0 {
        let bytes = amount(set_aside_bytes);
        reasons.push(format!("{bytes} are set aside for a deletion on a full disk"));
    }
    let known = not_freed.hard_linked_bytes.saturating_add(not_freed.sparse_bytes);
    let known = known.saturating_add(set_aside_bytes);
    if (missing - i128::from(known)).unsigned_abs()
        > u128::from(NOISE_BYTES.max(planned_bytes / 20))
    {
        reasons.push(if missing > 0 {
            "others wrote meanwhile, or a program still has deleted files open".into()
        } else {
            "others deleted meanwhile, or small files took whole blocks".into()
        });
    }
    format!("{text} ({})", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_comes_free_is_explained_where_it_is_not_what_was_planned() {
        let none = NotFreed::default();
        let text = |planned: u64, measured: i64, not_freed| {
            let freed_bytes = measured * MIB as i64;
            let measured = Measured { freed_bytes, set_aside_bytes: 0 };
            beside(planned * MIB, Some(measured), not_freed)
        };
        assert_eq!(text(0, 0, none), "");
        assert_eq!(beside(100 * MIB, None, none), "");
        assert_eq!(text(100, 101, none), "; the disk has 101.000 MiB more free than before");
        let linked =
            NotFreed { hard_linked_count: 1, hard_linked_bytes: 60 * MIB, sparse_bytes: 0 };
        assert_eq!(
            text(100, 40, linked),
            "; the disk has 40.000 MiB more free than before (other hard links hold 60.000 MiB)"
        );
        let measured = Measured { freed_bytes: 37 << 20, set_aside_bytes: 3 << 20 };
        assert!(beside(100 * MIB, Some(measured), linked).ends_with(
            "(other hard links hold 60.000 MiB; 3.000 MiB are set aside for a deletion on a full disk)"
        ));
        let sparse = NotFreed { sparse_bytes: 99 * MIB, ..none };
        assert!(
            text(100, 1, sparse).ends_with("(sparse or compressed files never took 99.000 MiB)")
        );
        assert!(
            text(100, -50, none)
                .contains("50.000 MiB less free than before (others wrote meanwhile")
        );
        assert!(text(100, 300, none).contains("(others deleted meanwhile"));
        assert!(text(100, 10, linked).contains("60.000 MiB; others wrote meanwhile"));
    }
}
