//! Ids of rows: in the order of digests and names, with room between them.
//!
//! A row that stays keeps its id from scan to scan, and one that is new gets an id between those of its
//! neighbours. What names it then stays as it is, and a rescan finds most rows of the last one unchanged.

use rusqlite::{Connection, Row};

use super::content::digest_in;
use crate::graph::BlobId;
use crate::scan::{Catalog, TextNumber};

/// How far apart the ids of one table are.
#[derive(Clone, Copy)]
struct Spacing {
    /// From one to the next in a new file.
    step: i64,
    /// How much room is left behind a new id, in parts of what is left before it.
    room_after: i64,
}

/// Digests come in no order, so that room is needed everywhere. Of a million blobs a fifth more can come before six fall
/// between the same two; small ids take fewer bytes in each reference.
const DIGESTS: Spacing = Spacing { step: 32, room_after: 0 };
const TEXTS: Spacing = Spacing { step: 256, room_after: 0 };
/// Most new tags are the newest version, and come behind the one before.
const TAGS: Spacing = Spacing { step: 1 << 20, room_after: 15 };

/// The ids of all rows that others name.
pub struct Ids<'a> {
    blobs: Vec<i64>,
    repositories: Vec<i64>,
    tags: Vec<i64>,
    pub(super) media_types: SortedTexts<'a>,
    pub(super) build_steps: SortedTexts<'a>,
}

impl<'a> Ids<'a> {
    /// For a new file.
    pub fn new(catalog: &'a Catalog) -> Self {
        let tag_count = catalog.repositories.iter().map(|repository| repository.tags.len()).sum();
        Self {
            blobs: spaced(catalog.digests.len(), DIGESTS),
            repositories: spaced(catalog.repositories.len(), TEXTS),
            tags: spaced(tag_count, TAGS),
            media_types: SortedTexts::new(&catalog.media_types, |texts| spaced(texts.len(), TEXTS)),
            build_steps: SortedTexts::new(&catalog.build_steps, |texts| spaced(texts.len(), TEXTS)),
        }
    }

    /// Those of the snapshot in `old` for all that it has, and others between them. Where there is no room
    /// left, a table's ids are spaced anew.
    ///
    /// # Errors
    /// When `old` cannot be read.
    pub(super) fn beside(catalog: &'a Catalog, old: &Connection) -> rusqlite::Result<Self> {
        let repositories = catalog.repositories.iter();
        let tags = repositories.clone().flat_map(|repository| {
            repository.tags.iter().map(|tag| (&*repository.name, &*tag.name))
        });
        let blobs = read(old, include_str!("sql/ids_of_blobs.sql"), |row| digest_in(row, 1))?;
        let names = |sql| read(old, sql, |row| row.get::<_, String>(1));
        let old_repositories = names("SELECT id, name FROM repository ORDER BY id")?;
        let old_media_types = names("SELECT id, name FROM media_type ORDER BY id")?;
        let old_build_steps = names("SELECT id, created_by FROM build_step ORDER BY id")?;
        let old_tags = read(old, include_str!("sql/ids_of_tags.sql"), |row| {
            Ok((row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        let of_texts = |old: &[(i64, String)], texts: &[&str]| {
            let old = old.iter().map(|(id, text)| (*id, text.as_str()));
            between(old, texts.iter().copied(), TEXTS)
        };
        Ok(Self {
            blobs: between(
                blobs.iter().map(|(id, digest)| (*id, digest)),
                catalog.digests.iter(),
                DIGESTS,
            ),
            repositories: between(
                old_repositories.iter().map(|(id, name)| (*id, name.as_str())),
                repositories.map(|repository| &*repository.name),
                TEXTS,
            ),
            tags: between(
                old_tags.iter().map(|(id, (repository, name))| (*id, (&**repository, &**name))),
                tags,
                TAGS,
            ),
            media_types: SortedTexts::new(&catalog.media_types, |texts| {
                of_texts(&old_media_types, texts)
            }),
            build_steps: SortedTexts::new(&catalog.build_steps, |texts| {
                of_texts(&old_build_steps, texts)
            }),
        })
    }

    /// Of a blob.
    pub fn blob(&self, blob: BlobId) -> i64 {
        self.blobs[blob as usize]
    }

    /// Of a repository, by its place among all.
    pub fn repository(&self, place: u32) -> i64 {
        self.repositories[place as usize]
    }

    /// Of a tag, by its place among those of all repositories.
    pub fn tag(&self, place: u32) -> i64 {
        self.tags[place as usize]
    }
}

/// Texts by their order, so that ids do not depend on that of reading.
pub(super) struct SortedTexts<'a> {
    pub sorted: Vec<&'a str>,
    /// Of the sorted texts.
    pub ids: Vec<i64>,
    /// The places of the sorted texts among all.
    pub order: Vec<usize>,
    id_of: Vec<i64>,
}

impl<'a> SortedTexts<'a> {
    /// `ids` gives the sorted texts their ids.
    pub fn new(texts: &'a [String], ids: impl FnOnce(&[&str]) -> Vec<i64>) -> Self {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_unstable_by_key(|at| &texts[*at]);
        let sorted: Vec<&str> = order.iter().map(|at| texts[*at].as_str()).collect();
        let ids = ids(&sorted);
        let mut id_of = vec![0; texts.len()];
        for (id, at) in ids.iter().zip(&order) {
            id_of[*at] = *id;
        }
        Self { sorted, ids, order, id_of }
    }

    pub fn id(&self, number: Option<TextNumber>) -> Option<i64> {
        number.map(|number| self.id_of[number.place()])
    }
}

/// The id of a blob in a new file.
pub(super) fn new_blob_id(blob: BlobId) -> i64 {
    (i64::from(blob) + 1) * DIGESTS.step
}

fn spaced(count: usize, spacing: Spacing) -> Vec<i64> {
    (1..).take(count).map(|place: i64| place * spacing.step).collect()
}

fn read<K>(
    old: &Connection,
    sql: &str,
    key: impl Fn(&Row<'_>) -> rusqlite::Result<K>,
) -> rusqlite::Result<Vec<(i64, K)>> {
    let mut select = old.prepare(sql)?;
    select.query_map([], |row| Ok((row.get(0)?, key(row)?)))?.collect()
}

/// Ids for sorted keys: those that the keys have in `old`, and others between them.
fn between<K: Ord>(
    old: impl ExactSizeIterator<Item = (i64, K)>,
    keys: impl Iterator<Item = K>,
    spacing: Spacing,
) -> Vec<i64> {
    let mut old = old.peekable();
    let mut ids = Vec::new();
    let mut low = 0;
    // How many keys wait for the id of the next one that is known.
    let mut waiting = 0;
    let mut has_room = true;
    for key in keys {
        while old.next_if(|(_, known)| *known < key).is_some() {}
        match old.next_if(|(_, known)| *known == key) {
            Some((id, _)) => {
                has_room &= fill(&mut ids, low, id, waiting, spacing);
                ids.push(id);
                (low, waiting) = (id, 0);
            }
            None => waiting += 1,
        }
    }
    let end = low.saturating_add(spacing.step.saturating_mul(waiting + 1));
    has_room &= fill(&mut ids, low, end, waiting, Spacing { room_after: 0, ..spacing });
    let count = ids.len();
    // A damaged file may have ids in any order.
    if has_room && ids.is_sorted_by(|a, b| a < b) { ids } else { spaced(count, spacing) }
}

/// Adds `count` ids between two; `false` when there is no room for them.
fn fill(ids: &mut Vec<i64>, low: i64, high: i64, count: i64, spacing: Spacing) -> bool {
    let gap = high.saturating_sub(low);
    let stride = (gap / (count + 1 + spacing.room_after)).max(1);
    ids.extend((1..=count).map(|place| low.saturating_add(place.saturating_mul(stride))));
    gap > count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DIGESTS, Spacing, TAGS, between, spaced};

    #[test]
    fn what_stays_keeps_its_id_and_the_new_comes_between() {
        let old = [(64, "b"), (128, "d"), (192, "f")];
        let ids = between(old.into_iter(), ["a", "b", "c", "f", "g"].into_iter(), DIGESTS);
        assert_eq!(ids, [32, 64, 128, 192, 224]);
    }

    #[test]
    fn a_tag_can_come_behind_the_last_one_two_hundred_times() {
        let mut old = vec![(TAGS.step, 0), (2 * TAGS.step, 1000)];
        for version in 1..200 {
            let mut keys: Vec<i32> = old.iter().map(|(_, key)| *key).collect();
            keys.insert(keys.len() - 1, version);
            let ids = between(old.clone().into_iter(), keys.iter().copied(), TAGS);
            assert!(old.iter().all(|(id, _)| ids.contains(id)), "version {version}");
            old = ids.into_iter().zip(keys).collect();
        }
    }

    proptest! {
        /// Ids ascend whatever the old ones are, and stay where they ascended and there is room.
        #[test]
        fn ids_follow_the_order_of_keys(
            old in prop::collection::vec((0..400_i64, 0..60_u8), 0..30),
            keys in prop::collection::btree_set(0..60_u8, 0..40),
        ) {
            let spacing = Spacing { step: 16, room_after: 0 };
            let ids = between(old.clone().into_iter(), keys.iter().copied(), spacing);
            prop_assert_eq!(ids.len(), keys.len());
            prop_assert!(ids.is_sorted_by(|a, b| a < b), "{:?}", ids);
            let fresh = spaced(keys.len(), spacing);
            let again: Vec<_> = fresh.into_iter().zip(keys.iter().copied()).collect();
            let ids = between(again.clone().into_iter(), keys.iter().copied(), spacing);
            prop_assert_eq!(ids.into_iter().zip(keys).collect::<Vec<_>>(), again);
        }
    }
}
