//! What a listing showed, in as little memory as it takes: sorted keys of which each holds only what the
//! one before it does not begin with, and 40 bytes of facts a key.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use md5::{Digest as _, Md5};

use super::{Object, hex};

/// Keys between two that stand in full. One look-up reads at most as many.
const KEYS_OF_A_BLOCK: usize = 16;
/// The most keys of one segment.
const KEYS_OF_A_SEGMENT: usize = 1 << 18;
/// The longest key that is taken, in bytes: S3 and Google have 1,024, Azure as many characters.
pub(super) const MAX_KEY_BYTES: usize = 4096;
/// The storage class of what is no object yet.
pub(super) const UPLOADING: &str = "(multipart upload)";
/// No text.
const NONE: u32 = u32::MAX;

/// Facts of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) size_bytes: u64,
    pub(super) modified_ns: i64,
    pub(super) md5: Option<[u8; 16]>,
    /// Place of its entity tag and version among the segment's texts. `NONE` where the entity tag is the MD5 and
    /// there is no version.
    text: u32,
    /// Number of its storage class, from 1.
    class: u8,
    /// Whether there is an entity tag.
    has_etag: bool,
}

/// A run of keys, none of another segment between them.
#[derive(Debug)]
struct Segment {
    first: Box<[u8]>,
    /// Of each key: how much it shares with the one before, how much follows (both 16 bits), and that.
    keys: Vec<u8>,
    /// Where every block begins in `keys`.
    blocks: Vec<u32>,
    records: Vec<Record>,
    texts: Vec<u8>,
}

/// Names of storage classes by number.
#[derive(Debug, Default)]
struct Classes {
    names: Vec<String>,
    numbers: HashMap<String, u8>,
}

impl Classes {
    /// 0 stands for none, and for whatever comes after 255 of them.
    fn number(&mut self, name: Option<&str>) -> u8 {
        let Some(name) = name else { return 0 };
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let Ok(number) = u8::try_from(self.names.len() + 1) else { return 0 };
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    fn name(&self, number: u8) -> Option<&str> {
        self.names.get(usize::from(number).checked_sub(1)?).map(String::as_str)
    }
}

/// All keys of a listing, without what they all begin with.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By their first keys.
    segments: Vec<Segment>,
    classes: Classes,
}

/// Takes a listing in pieces. Keys of one piece may lie between those of another only if it is a piece of
/// single keys.
#[derive(Debug, Default)]
pub(super) struct Builder {
    segments: Vec<Segment>,
    single: Vec<Object>,
    late: Vec<Object>,
    classes: Classes,
}

impl Builder {
    /// Adds all objects below a prefix.
    pub(super) fn add(&mut self, mut objects: Vec<Object>) {
        sort(&mut objects);
        for objects in objects.chunks(KEYS_OF_A_SEGMENT) {
            self.segments.push(Segment::new(objects, &mut self.classes));
        }
    }

    /// Adds objects that lie beside prefixes.
    pub(super) fn add_single(&mut self, objects: Vec<Object>) {
        self.single.extend(objects);
    }

    /// Adds few objects that may lie anywhere.
    pub(super) fn add_anywhere(&mut self, objects: Vec<Object>) {
        self.late.extend(objects);
    }

    /// The table of all that was added.
    pub(super) fn finish(mut self) -> Table {
        sort(&mut self.single);
        let firsts = {
            self.segments.sort_unstable_by(|a, b| a.first.cmp(&b.first));
            self.segments.iter().map(|segment| segment.first.clone()).collect::<Vec<_>>()
        };
        let place =
            |object: &Object| firsts.partition_point(|first| **first <= *object.key.as_bytes());
        for run in self.single.chunk_by(|a, b| place(a) == place(b)) {
            for objects in run.chunks(KEYS_OF_A_SEGMENT) {
                self.segments.push(Segment::new(objects, &mut self.classes));
            }
        }
        self.segments.sort_unstable_by(|a, b| a.first.cmp(&b.first));
        let mut table = Table { segments: self.segments, classes: self.classes };
        sort(&mut self.late);
        let place = |table: &Table, object: &Object| table.segment_of(object.key.as_bytes());
        // From the last one on, so that the places of the others stay.
        let mut late = self.late;
        while let Some(last) = late.last() {
            let segment = place(&table, last);
            let start = late.partition_point(|object| place(&table, object) < segment);
            let mut objects = table.objects_of(segment);
            objects.extend(late.drain(start..));
            sort(&mut objects);
            let new = objects
                .chunks(KEYS_OF_A_SEGMENT)
                .map(|objects| Segment::new(objects, &mut table.classes))
                .collect::<Vec<_>>();
            let old = segment..(segment + 1).min(table.segments.len());
            drop(table.segments.splice(old, new));
        }
        table
    }
}

/// Keys of a run that is sorted at once.
const KEYS_OF_A_RUN: usize = 1 << 16;

/// Takes objects in any order: what has come is sorted in runs, each as small as a table, which are merged at the end.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    run: Vec<Object>,
    runs: Vec<Table>,
}

impl Sorter {
    /// Takes an object, or a multipart upload that did not end. One that comes twice counts once. Of a key that has both
    /// the object counts, of two uploads of a key the later.
    ///
    /// # Errors
    /// The key of objects that differ.
    pub(super) fn push(&mut self, object: Object) -> Result<(), String> {
        self.run.push(object);
        if self.run.len() >= KEYS_OF_A_RUN { self.end_run() } else { Ok(()) }
    }

    fn end_run(&mut self) -> Result<(), String> {
        let mut run = std::mem::take(&mut self.run);
        run.sort_by(|a, b| a.key.cmp(&b.key));
        let mut table = Table::default();
        table.end_with(&mut run)?;
        self.runs.push(table);
        Ok(())
    }

    /// The table of all that came.
    ///
    /// # Errors
    /// As of [`Self::push`].
    pub(super) fn finish(mut self) -> Result<Table, String> {
        self.end_run()?;
        if let [_] = self.runs.as_slice() {
            return Ok(self.runs.pop().unwrap_or_default());
        }
        let mut cursors: Vec<_> = self.runs.iter().map(|run| run.from(b"")).collect();
        let firsts = cursors.iter().enumerate();
        let mut next: BinaryHeap<Reverse<(String, usize)>> = firsts
            .filter_map(|(at, cursor)| Some(Reverse((cursor.key()?.to_owned(), at))))
            .collect();
        let mut merged = Table::default();
        let mut objects: Vec<Object> = Vec::new();
        while let Some(Reverse((key, at))) = next.pop() {
            let cursor = &mut cursors[at];
            objects.extend(cursor.item().map(|item| item.object(key)));
            cursor.advance();
            next.extend(cursor.key().map(|key| Reverse((key.to_owned(), at))));
            if objects.len() >= KEYS_OF_A_RUN {
                // What follows may be of the same key as the last.
                let last = objects.pop();
                if objects.last().map(|object| &object.key) == last.as_ref().map(|last| &last.key) {
                    objects.extend(last);
                } else {
                    merged.end_with(&mut objects)?;
                    objects.extend(last);
                }
            }
        }
        merged.end_with(&mut objects)?;
        Ok(merged)
    }
}

impl Table {
    /// Adds objects that are sorted and come after all others, and empties the list of them.
    fn end_with(&mut self, objects: &mut Vec<Object>) -> Result<(), String> {
        let mut differing = None;
        objects.dedup_by(|b, a| {
            if a.key != b.key {
                return false;
            }
            match (is_upload(a), is_upload(b)) {
                (false, false) if a != b => {
                    differing.get_or_insert_with(|| a.key.clone());
                }
                (false, _) => {}
                (true, false) => std::mem::swap(a, b),
                (true, true) => {
                    if a.modified_ns < b.modified_ns {
                        std::mem::swap(a, b);
                    }
                }
            }
            true
        });
        if let Some(key) = differing {
            return Err(key);
        }
        for objects in objects.chunks(KEYS_OF_A_SEGMENT) {
            self.segments.push(Segment::new(objects, &mut self.classes));
        }
        objects.clear();
        Ok(())
    }
}

/// Whether it is no object yet, so that it and another of its key do not contradict each other.
fn is_upload(object: &Object) -> bool {
    object.storage_class.as_deref() == Some(UPLOADING)
}

/// By key, each once: what a server lists twice counts as it was listed last. An object is there also while an upload of
/// its key has not ended, and it is as young as that: something may write it just now.
fn sort(objects: &mut Vec<Object>) {
    objects.reverse();
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    objects.dedup_by(|other, kept| {
        if other.key != kept.key {
            return false;
        }
        if is_upload(other) != is_upload(kept) {
            let modified_ns = kept.modified_ns.max(other.modified_ns);
            if is_upload(kept) {
                std::mem::swap(other, kept);
            }
            kept.modified_ns = modified_ns;
        }
        true
    });
}

fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Segment {
    /// `objects` are sorted, and at least one.
    fn new(objects: &[Object], classes: &mut Classes) -> Self {
        let mut segment = Self {
            first: objects.first().map(|object| object.key.as_bytes().into()).unwrap_or_default(),
            keys: Vec::new(),
            blocks: Vec::with_capacity(objects.len() / KEYS_OF_A_BLOCK + 1),
            records: Vec::with_capacity(objects.len()),
            texts: Vec::new(),
        };
        let mut before: &[u8] = &[];
        for (at, object) in objects.iter().enumerate() {
            let key = object.key.as_bytes();
            let shared = if at % KEYS_OF_A_BLOCK == 0 {
                segment.blocks.push(segment.keys.len() as u32);
                0
            } else {
                shared_bytes(before, key)
            };
            let rest = &key[shared..];
            segment.keys.extend((shared as u16).to_le_bytes());
            segment.keys.extend((rest.len() as u16).to_le_bytes());
            segment.keys.extend(rest);
            let record = segment.record(object, classes);
            segment.records.push(record);
            before = key;
        }
        segment.keys.shrink_to_fit();
        segment.texts.shrink_to_fit();
        segment
    }

    fn record(&mut self, object: &Object, classes: &mut Classes) -> Record {
        let text = |text: &Option<String>| text.clone().filter(|text| text.len() <= MAX_KEY_BYTES);
        let (etag, version) = (text(&object.etag), text(&object.version));
        let etag = etag.as_deref();
        let is_md5 = object.md5.is_some_and(|md5| etag == Some(&*hex(&md5)));
        let has_text = version.is_some() || (etag.is_some() && !is_md5);
        let text = match u32::try_from(self.texts.len()) {
            Ok(place) if has_text && place != NONE => {
                for part in [etag, version.as_deref()] {
                    let length = part.map_or(u16::MAX, |part| part.len() as u16);
                    self.texts.extend(length.to_le_bytes());
                    self.texts.extend(part.unwrap_or_default().as_bytes());
                }
                place
            }
            _ => NONE,
        };
        Record {
            size_bytes: object.size_bytes,
            modified_ns: object.modified_ns,
            md5: object.md5,
            text,
            class: classes.number(object.storage_class.as_deref()),
            has_etag: etag.is_some() && (is_md5 || text != NONE),
        }
    }

    /// The entity tag and the version of a record.
    fn texts_of(&self, record: &Record) -> (Option<String>, Option<String>) {
        if record.text == NONE {
            let md5 = record.md5.filter(|_| record.has_etag);
            return (md5.map(|md5| hex(&md5)), None);
        }
        let mut at = record.text as usize;
        let mut next = || {
            let length = u16::from_le_bytes(self.texts.get(at..at + 2)?.try_into().ok()?);
            at += 2;
            if length == u16::MAX {
                return None;
            }
            let bytes = self.texts.get(at..at + usize::from(length))?;
            at += usize::from(length);
            String::from_utf8(bytes.to_vec()).ok()
        };
        let etag = next();
        (etag, next())
    }
}

/// One key of a table, while a cursor stands on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'t> {
    table: &'t Table,
    segment: &'t Segment,
    pub(super) record: &'t Record,
}

impl Item<'_> {
    /// The object with the key that it has in the bucket.
    pub(super) fn object(&self, key: String) -> Object {
        let (etag, version) = self.segment.texts_of(self.record);
        Object {
            key,
            size_bytes: self.record.size_bytes,
            modified_ns: self.record.modified_ns,
            etag,
            md5: self.record.md5,
            version,
            storage_class: self.class().map(str::to_owned),
        }
    }

    pub(super) fn etag(&self) -> Option<String> {
        self.segment.texts_of(self.record).0
    }

    pub(super) fn class(&self) -> Option<&str> {
        self.table.classes.name(self.record.class)
    }

    /// A number that differs where the content or the write does, as far as the listing says.
    pub(super) fn number(&self) -> u64 {
        let hash = match (self.record.text, self.record.md5) {
            (NONE, Some(md5)) => md5,
            (NONE, None) => return 0,
            _ => {
                let (etag, version) = self.segment.texts_of(self.record);
                let mut hash = Md5::new();
                for text in [etag, version].iter().flatten() {
                    hash.update((text.len() as u64).to_le_bytes());
                    hash.update(text.as_bytes());
                }
                hash.finalize().into()
            }
        };
        u64::from_le_bytes(hash[..8].try_into().unwrap_or_default())
    }
}

/// Walks a table from a key on.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    table: &'t Table,
    segment: usize,
    /// Of the key that it stands on.
    record: usize,
    /// Of the key after it, in the segment's `keys`.
    next: usize,
    key: Vec<u8>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.records.len()).sum()
    }

    /// Stands on the first key that is `from` or comes after it.
    pub(super) fn from(&self, from: &[u8]) -> Cursor<'_> {
        let mut cursor = Cursor { table: self, segment: 0, record: 0, next: 0, key: Vec::new() };
        cursor.seek(from);
        cursor
    }

    /// The segment that a key lies in or comes after; the first one for what comes before all.
    fn segment_of(&self, key: &[u8]) -> usize {
        self.segments.partition_point(|segment| *segment.first <= *key).saturating_sub(1)
    }

    fn objects_of(&self, segment: usize) -> Vec<Object> {
        let mut cursor = Cursor { table: self, segment, record: 0, next: 0, key: Vec::new() };
        cursor.read();
        let mut objects = Vec::new();
        while cursor.segment == segment
            && let (Some(key), Some(item)) = (cursor.key().map(str::to_owned), cursor.item())
        {
            objects.push(item.object(key));
            cursor.advance();
        }
        objects
    }

    pub(super) fn get(&self, key: &str) -> Option<Item<'_>> {
        let cursor = self.from(key.as_bytes());
        cursor.item().filter(|_| cursor.key == key.as_bytes())
    }

    /// Whether a key begins with it.
    pub(super) fn has_below(&self, prefix: &str) -> bool {
        self.from(prefix.as_bytes()).key_below(prefix.as_bytes()).is_some()
    }
}

impl<'t> Cursor<'t> {
    /// The key that it stands on; `None` at the end.
    pub(super) fn key(&self) -> Option<&str> {
        self.item()?;
        std::str::from_utf8(&self.key).ok()
    }

    /// What of its key follows `prefix`, if it begins with that.
    pub(super) fn key_below(&self, prefix: &[u8]) -> Option<&str> {
        self.item()?;
        std::str::from_utf8(self.key.strip_prefix(prefix)?).ok()
    }

    pub(super) fn item(&self) -> Option<Item<'t>> {
        let segment = self.table.segments.get(self.segment)?;
        let record = segment.records.get(self.record)?;
        Some(Item { table: self.table, segment, record })
    }

    pub(super) fn advance(&mut self) {
        self.record += 1;
        self.read();
    }

    /// Stands on the first key that is `target` or comes after it, wherever it stood.
    pub(super) fn seek(&mut self, target: &[u8]) {
        let segments = &self.table.segments;
        self.segment = self.table.segment_of(target);
        (self.record, self.next) = (0, 0);
        if let Some(segment) = segments.get(self.segment) {
            let after = segment.blocks.partition_point(|block| segment.whole_key(*block) <= target);
            let block = after.saturating_sub(1);
            self.record = block * KEYS_OF_A_BLOCK;
            self.next = segment.blocks.get(block).map_or(0, |at| *at as usize);
        }
        self.read();
        while self.item().is_some() && self.key.as_slice() < target {
            self.advance();
        }
    }

    /// Reads the key of its record.
    fn read(&mut self) {
        let Some(segment) = self.table.segments.get(self.segment) else { return };
        if self.record >= segment.records.len() {
            self.segment += 1;
            (self.record, self.next) = (0, 0);
            return self.read();
        }
        let (shared, rest, end) = segment.key_at(self.next);
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        self.next = end;
    }
}

impl Segment {
    /// How much the key there shares with the one before, the rest of it, and where the next one begins.
    fn key_at(&self, at: usize) -> (usize, &[u8], usize) {
        let number =
            |at: usize| usize::from(u16::from_le_bytes([self.keys[at], self.keys[at + 1]]));
        let (shared, length) = (number(at), number(at + 2));
        (shared, &self.keys[at + 4..at + 4 + length], at + 4 + length)
    }

    fn whole_key(&self, block: u32) -> &[u8] {
        self.key_at(block as usize).1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn object(key: &str, number: u64) -> Object {
        let md5: Option<[u8; 16]> = (!number.is_multiple_of(3)).then(|| Md5::digest(key).into());
        Object {
            key: key.to_owned(),
            size_bytes: number,
            modified_ns: -(number as i64),
            etag: match number % 4 {
                0 => None,
                1 => md5.map(|md5| hex(&md5)),
                _ => Some(format!("{number:x}-2")),
            },
            md5,
            version: number.is_multiple_of(5).then(|| number.to_string()),
            storage_class: number.is_multiple_of(2).then(|| format!("CLASS{}", number % 7)),
        }
    }

    /// Short names that share beginnings, with characters on both sides of the slash.
    fn name() -> impl Strategy<Value = String> {
        "[ab!0]{1,3}(/[ab!0]{1,3}){0,3}"
    }

    /// In whichever order they come, and whether or not they come in one run.
    #[test]
    fn of_a_key_the_object_counts_before_uploads_and_of_uploads_the_latest() {
        let upload = |modified_ns: i64| Object {
            size_bytes: 1,
            modified_ns,
            storage_class: Some(UPLOADING.to_owned()),
            ..object("k", 0)
        };
        let of_key = object("k", 7);
        let sorted = |objects: &[&Object], is_split: bool| -> Result<Object, String> {
            let mut sorter = Sorter::default();
            for object in objects {
                sorter.push((*object).clone())?;
                if is_split {
                    sorter.end_run()?;
                }
            }
            let table = sorter.finish()?;
            assert_eq!(table.len(), 1);
            Ok(table.get("k").unwrap().object("k".to_owned()))
        };
        let (early, late) = (upload(1), upload(2));
        // In a listing uploads come after all objects.
        let listed = |of_key: &Object, upload: &Object| {
            let mut builder = Builder::default();
            builder.add(vec![of_key.clone()]);
            builder.add_anywhere(vec![upload.clone()]);
            builder.finish().get("k").unwrap().object("k".to_owned())
        };
        let written = |modified_ns: i64| Object { modified_ns, ..of_key.clone() };
        assert_eq!(listed(&written(3), &late), written(3), "an old attempt hides no data");
        assert_eq!(listed(&written(1), &late), written(2), "what an upload writes anew is not old");
        for is_split in [false, true] {
            for uploads in [[&early, &late], [&late, &early]] {
                assert_eq!(sorted(&uploads, is_split).as_ref(), Ok(&late));
                for at in 0..3 {
                    let mut all = uploads.to_vec();
                    all.insert(at, &of_key);
                    assert_eq!(sorted(&all, is_split).as_ref(), Ok(&of_key));
                    // Two objects still contradict each other.
                    let other = Object { size_bytes: 8, ..of_key.clone() };
                    all.insert(0, &other);
                    assert_eq!(sorted(&all, is_split), Err("k".to_owned()));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_table_answers_as_a_sorted_map_does(
            pieces in prop::collection::vec(prop::collection::vec(name(), 0..80), 0..4),
            single in prop::collection::vec(name(), 0..20),
            late in prop::collection::vec(name(), 0..6),
            asked in prop::collection::vec(name(), 0..40),
        ) {
            let mut model = BTreeMap::new();
            let mut builder = Builder::default();
            let mut number = 0;
            let mut make = |key: String| {
                number += 1;
                let object = object(&key, number);
                model.insert(key, object.clone());
                object
            };
            // One level of names: none of them lies below a prefix that was listed.
            let single: Vec<_> =
                single.iter().map(|key| format!("b{}", key.replace('/', "!"))).collect();
            for (top, piece) in pieces.into_iter().enumerate() {
                // What is listed below one prefix lies together.
                builder.add(piece.into_iter().map(|key| make(format!("b{top}/{key}"))).collect());
            }
            builder.add_single(single.iter().map(|key| make(key.clone())).collect());
            let late = late.into_iter().map(|key| format!("b1/{key}"));
            builder.add_anywhere(late.map(&mut make).collect());
            let table = builder.finish();
            prop_assert_eq!(table.len(), model.len());
            let asked = asked.iter().flat_map(|key| [key.clone(), format!("b0/{key}")]);
            for key in asked.chain(single) {
                let found = table.get(&key).map(|item| item.object(key.clone()));
                prop_assert_eq!(found.as_ref(), model.get(&key));
                let mut cursor = table.from(key.as_bytes());
                let mut expected = model.range(key.clone()..);
                for _ in 0..20 {
                    prop_assert_eq!(cursor.key(), expected.next().map(|(key, _)| key.as_str()));
                    cursor.advance();
                }
                let below = model.range(key.clone()..).next().is_some_and(|(k, _)| k.starts_with(&key));
                prop_assert_eq!(table.has_below(&key), below);
            }
        }
    }
}
