//! Which blobs a check reads.

use std::str::FromStr;
use std::time::Duration;

use crate::db::StoredBlob;
use crate::model::Digest;

const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// Whose checksums prove a content without its being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Trusts {
    /// Amazon's own servers, which compare what they are sent
    #[default]
    Aws,
    /// Each server that speaks S3, also one that may give back what a client said
    Any,
    /// Nobody's: everything is read
    None,
}

/// More parts than any registry has days.
const MAX_PARTS: u64 = 1_000_000;

/// One of several equal parts, another one each day: `1/30` is the thirtieth that is due today, and
/// thirty days in a row are the whole. `2/30` is what `1/30` will be tomorrow.
///
/// A blob's part is its digest's first eight bytes, as a big-endian number, modulo the number of
/// parts; the part of a day is the number of days since 1970 (UTC) modulo the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subset {
    part: u64,
    parts: u64,
}

impl Subset {
    /// Whether a blob is in it on the day of `now_ns`, in nanoseconds since 1970.
    pub fn has(self, digest: &Digest, now_ns: i64) -> bool {
        let day = now_ns.div_euclid(DAY_NS).rem_euclid(self.parts as i64) as u64;
        number_of(digest) % self.parts == (day + self.part - 1) % self.parts
    }
}

/// Spreads evenly, as digests do.
fn number_of(digest: &Digest) -> u64 {
    match digest {
        Digest::Sha256(hash) => hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)),
        Digest::Other(text) => number_of(&Digest::of(text.as_bytes())),
    }
}

impl FromStr for Subset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(part, parts)| {
            Some(Self { part: part.parse().ok()?, parts: parts.parse().ok()? })
        });
        numbers
            .filter(|subset| (1..=subset.parts).contains(&subset.part) && subset.parts <= MAX_PARTS)
            .ok_or_else(|| "expected a part such as 1/30: from 1/1 to 1000000/1000000".to_owned())
    }
}

/// Which blobs are to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection {
    /// The present, in nanoseconds since 1970.
    pub now_ns: i64,
    /// Only this part.
    pub subset: Option<Subset>,
    /// Only blobs whose file was written or changed within so long.
    pub newer_than: Option<Duration>,
    /// Only blobs that were not found right within so long.
    pub not_verified_for: Option<Duration>,
}

impl Selection {
    /// Whether a blob is to be read.
    pub fn takes(&self, blob: &StoredBlob) -> bool {
        let ago = |duration: Duration| {
            self.now_ns.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
        };
        let is_new = |duration| blob.modified_ns.max(blob.changed_ns) >= ago(duration);
        let is_due = |duration| blob.verified_ns.is_none_or(|verified| verified <= ago(duration));
        self.subset.is_none_or(|subset| subset.has(&blob.digest, self.now_ns))
            && self.newer_than.is_none_or(is_new)
            && self.not_verified_for.is_none_or(is_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_in_a_row_read_every_blob_once() {
        let subset: Subset = "1/30".parse().unwrap();
        let began = 1_769_860_800_000_000_000;
        for number in 0..500_u32 {
            let digest = Digest::of(&number.to_le_bytes());
            let days = (0..30).filter(|day| subset.has(&digest, began + day * DAY_NS));
            assert_eq!(days.count(), 1, "{digest}");
        }
    }

    #[test]
    fn parts_of_one_day_are_the_whole_and_do_not_overlap() {
        for number in 0..200_u32 {
            let digest = Digest::of(&number.to_le_bytes());
            let has = |part| Subset { part, parts: 7 }.has(&digest, 123 * DAY_NS);
            assert_eq!((1..=7).filter(|part| has(*part)).count(), 1);
            let tomorrow = Subset { part: 1, parts: 7 }.has(&digest, 124 * DAY_NS);
            assert_eq!(has(2), tomorrow, "part 2 is what part 1 is tomorrow");
        }
    }

    #[test]
    fn a_part_is_one_of_at_least_one() {
        assert_eq!("1/30".parse(), Ok(Subset { part: 1, parts: 30 }));
        for text in ["", "1", "0/30", "31/30", "1/0", "-1/3", "1/2/3", "1/1000001", "a/b"] {
            assert!(text.parse::<Subset>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_was_verified_lately_is_left_out_and_what_never_was_is_not() {
        let blob = |verified_ns| StoredBlob {
            id: 1,
            digest: Digest::of(b"blob"),
            size_bytes: 1,
            modified_ns: 10 * DAY_NS,
            changed_ns: 12 * DAY_NS,
            verified_ns,
        };
        let days = |days: u64| Some(Duration::from_hours(24 * days));
        let now_ns = 20 * DAY_NS;
        let due = Selection { now_ns, not_verified_for: days(3), ..Selection::default() };
        assert!(due.takes(&blob(None)));
        assert!(due.takes(&blob(Some(17 * DAY_NS))));
        assert!(!due.takes(&blob(Some(17 * DAY_NS + 1))));
        let new = |within| Selection { now_ns, newer_than: days(within), ..Selection::default() };
        assert!(new(8).takes(&blob(None)));
        assert!(!new(7).takes(&blob(None)));
    }
}
