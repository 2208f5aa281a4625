//! What rows of a long list are sorted and filtered by, as numbers: 56 bytes a row, and four for each order that was
//! asked for. No text of a row is among them.
//!
//! An order is worked out once and kept, so that a page of it is found at once wherever it is. What a filter leaves is a
//! bit for each row.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::place::{Measure, Order, Sort};

/// There is no such text or tag. It comes behind all others.
pub const NONE: i64 = i64::MAX;

/// A number that is not known comes before all others.
pub const UNKNOWN: i64 = i64::MIN;

/// A set of ids, between which there are gaps.
pub type IdSet = HashSet<i64, foldhash::fast::RandomState>;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id of the blob.
    pub blob: i64,
    /// That of the build step or the repository that it is called by.
    pub text: i64,
    /// That of the tag, where it is one.
    pub tag: i64,
    /// The place of its kind among [`Columns::kinds`].
    pub kind: u8,
    /// What [`super::Place::counted`] says.
    pub count: u32,
    /// Bytes that deleting it alone frees.
    pub exclusive_bytes: i64,
    /// Bytes that it reaches.
    pub logical_bytes: i64,
    /// When it was pushed or written, in nanoseconds since 1970.
    pub time_ns: i64,
}

impl Entry {
    fn bytes(&self, measure: Measure) -> i64 {
        match measure {
            Measure::Exclusive => self.exclusive_bytes,
            Measure::Logical => self.logical_bytes,
            Measure::Shared => self.logical_bytes.saturating_sub(self.exclusive_bytes),
        }
    }

    fn key(&self, order: Order) -> i64 {
        match order.sort {
            Sort::Size => self.bytes(order.measure),
            Sort::Count => i64::from(self.count),
            Sort::Time => self.time_ns,
            Sort::Name => 0,
        }
    }
}

/// The rows of a list.
#[derive(Debug, Default)]
pub struct Columns {
    /// In the order of their names, which rows keep that are alike in another order.
    pub entries: Vec<Entry>,
    /// What kinds there are, in small letters.
    pub kinds: Vec<String>,
    orders: Mutex<Vec<(Order, Arc<[u32]>)>>,
    left: Mutex<Option<(String, Arc<Places>)>>,
}

/// Some of the rows, by their places: a bit for each.
#[derive(Debug, Default)]
pub struct Places {
    bits: Vec<u64>,
}

impl Places {
    /// Whether a place is among them.
    fn has(&self, place: u32) -> bool {
        let bits = self.bits.get(place as usize / 64);
        bits.is_some_and(|bits| bits >> (place % 64) & 1 == 1)
    }

    fn add(&mut self, place: u32) {
        let at = place as usize / 64;
        if self.bits.len() <= at {
            self.bits.resize(at + 1, 0);
        }
        self.bits[at] |= 1 << (place % 64);
    }
}

impl Columns {
    /// Of rows in the order of their names.
    pub fn new(entries: Vec<Entry>, kinds: Vec<String>) -> Self {
        Self { entries, kinds, ..Self::default() }
    }

    /// The places of all rows in an order.
    fn in_order(&self, order: Order) -> Arc<[u32]> {
        let is_same = |known: &Order| {
            (known.sort, known.is_reversed) == (order.sort, order.is_reversed)
                && (order.sort != Sort::Size || known.measure == order.measure)
        };
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, places)) = orders.iter().find(|(known, _)| is_same(known)) {
            return Arc::clone(places);
        }
        let keyed = (0_u32..).zip(&self.entries).map(|(at, entry)| (entry.key(order), at));
        // Names go up where all else goes down.
        let is_descending = (order.sort == Sort::Name) == order.is_reversed;
        let places: Arc<[u32]> = if order.sort == Sort::Name {
            let mut places: Vec<u32> = keyed.map(|(_, at)| at).collect();
            if is_descending {
                places.reverse();
            }
            places.into()
        } else if is_descending {
            let mut keyed: Vec<_> = keyed.map(|(key, at)| (Reverse(key), at)).collect();
            keyed.sort_unstable();
            keyed.into_iter().map(|(_, at)| at).collect()
        } else {
            let mut keyed: Vec<_> = keyed.collect();
            keyed.sort_unstable();
            keyed.into_iter().map(|(_, at)| at).collect()
        };
        orders.push((order, Arc::clone(&places)));
        places
    }

    /// The places of what a filter leaves, as it was worked out last, or by `is_left`.
    ///
    /// # Errors
    /// Those of `prepare`, which gives `is_left`.
    pub fn left<F: Fn(&Entry) -> bool>(
        &self,
        filter: &str,
        prepare: impl FnOnce() -> rusqlite::Result<F>,
    ) -> rusqlite::Result<Arc<Places>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = left.as_ref().filter(|(of, _)| of == filter) {
            return Ok(Arc::clone(known));
        }
        let is_left = prepare()?;
        let mut new = Places::default();
        for (at, _) in (0..).zip(&self.entries).filter(|(_, entry)| is_left(entry)) {
            new.add(at);
        }
        let new = Arc::new(new);
        *left = Some((filter.to_owned(), Arc::clone(&new)));
        Ok(new)
    }

    /// Rows from `offset` in an order, of those that a filter leaves.
    pub fn page(&self, order: Order, left: Option<&Places>, offset: u64, limit: u64) -> Vec<Entry> {
        let places = self.in_order(order);
        let (offset, limit) = (to_usize(offset), to_usize(limit));
        let entry = |at: &u32| self.entries[*at as usize];
        match left {
            None => places.iter().skip(offset).take(limit).map(entry).collect(),
            Some(left) => {
                let left = places.iter().filter(|at| left.has(**at));
                left.skip(offset).take(limit).map(entry).collect()
            }
        }
    }

    /// How many rows a filter leaves, and the most bytes of one.
    pub fn summary(&self, measure: Measure, left: Option<&Places>) -> (u64, u64) {
        let entries = (0_u32..).zip(&self.entries);
        let entries = entries.filter(|(at, _)| left.is_none_or(|left| left.has(*at)));
        let (count, most) = entries
            .fold((0, 0), |(count, most), (_, entry)| (count + 1, entry.bytes(measure).max(most)));
        (count, most.unsigned_abs())
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (0..9_u32, 0..4_i64, 0..4_i64, prop_oneof![Just(UNKNOWN), 0..3_i64]).prop_map(
            |(number, exclusive_bytes, more, time_ns)| Entry {
                blob: i64::from(number),
                text: i64::from(number % 3),
                tag: NONE,
                kind: 0,
                count: number / 2,
                exclusive_bytes,
                logical_bytes: exclusive_bytes + more,
                time_ns,
            },
        )
    }

    fn order() -> impl Strategy<Value = Order> {
        let sort =
            prop_oneof![Just(Sort::Size), Just(Sort::Name), Just(Sort::Count), Just(Sort::Time)];
        let measure =
            prop_oneof![Just(Measure::Exclusive), Just(Measure::Shared), Just(Measure::Logical)];
        (sort, any::<bool>(), measure).prop_map(|(sort, is_reversed, measure)| Order {
            sort,
            is_reversed,
            measure,
        })
    }

    #[test]
    fn a_place_is_found_again_whatever_it_is() {
        let mut places = Places::default();
        for place in [0, 63, 64, 1_000_000] {
            places.add(place);
        }
        let all = [0, 1, 63, 64, 65, 1_000_000, 1_000_001, u32::MAX];
        let found: Vec<u32> = all.into_iter().filter(|place| places.has(*place)).collect();
        assert_eq!(found, [0, 63, 64, 1_000_000]);
    }

    proptest! {
        /// A page is what sorting all rows, filtering them and counting off would give, whatever was asked before.
        #[test]
        fn a_page_is_a_part_of_the_sorted_list(
            entries in prop::collection::vec(entry(), 0..200),
            asked in prop::collection::vec((order(), prop::option::of(0..3_i64), 0..210_u64, 0..50_u64), 1..8),
        ) {
            let columns = Columns::new(entries.clone(), Vec::new());
            for (order, text, offset, limit) in asked {
                let is_left = move |entry: &Entry| text.is_none_or(|text| entry.text == text);
                let left = text.map(|text| columns.left(&text.to_string(), || Ok(is_left)).unwrap());
                let mut expected: Vec<Entry> = entries.iter().copied().filter(is_left).collect();
                match (order.sort, order.is_reversed) {
                    (Sort::Name, false) => {}
                    (Sort::Name, true) => expected.reverse(),
                    (_, false) => expected.sort_by_key(|entry| Reverse(entry.key(order))),
                    (_, true) => expected.sort_by_key(|entry| entry.key(order)),
                }
                let most = expected.iter().map(|entry| entry.bytes(order.measure)).max().unwrap_or(0);
                let summary = columns.summary(order.measure, left.as_deref());
                prop_assert_eq!(summary, (expected.len() as u64, most.unsigned_abs()));
                let (skipped, limited) = (offset as usize, limit as usize);
                let page: Vec<Entry> = expected.into_iter().skip(skipped).take(limited).collect();
                prop_assert_eq!(columns.page(order, left.as_deref(), offset, limit), page);
            }
        }
    }
}
