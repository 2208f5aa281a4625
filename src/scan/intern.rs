//! Numbers for digests and repeated texts, so that millions of references are a few words each.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError, RwLock};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use crate::model::Digest;

use super::facts::BlobFacts;

/// Gives every digest a number: blobs that are present their place in digest order, all others the
/// numbers after those, in the order of asking.
pub struct DigestNumbers<'a> {
    present: &'a [BlobFacts],
    /// Where the blobs begin whose digest begins with these two bytes.
    first_with_prefix: Vec<u32>,
    absent: Mutex<HashMap<Digest, u32, RandomState>>,
}

impl<'a> DigestNumbers<'a> {
    /// `present` must be sorted by digest and hold at most 2^31 blobs.
    pub fn new(present: &'a [BlobFacts]) -> Self {
        let mut first_with_prefix = vec![0_u32; (1 << 16) + 1];
        for blob in present {
            first_with_prefix[prefix_of(&blob.digest) + 1] += 1;
        }
        for at in 1..first_with_prefix.len() {
            first_with_prefix[at] += first_with_prefix[at - 1];
        }
        Self { present, first_with_prefix, absent: Mutex::default() }
    }

    /// How many numbers stand for present blobs.
    pub fn present_count(&self) -> u32 {
        self.present.len() as u32
    }

    /// The digest's number, a new one if it has none.
    pub fn number(&self, digest: &Digest) -> u32 {
        self.present(digest).unwrap_or_else(|| {
            let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
            let next = self.present_count() + absent.len() as u32;
            *absent.entry(digest.clone()).or_insert(next)
        })
    }

    /// Whether the digest is a present blob's.
    pub fn is_present(&self, digest: &Digest) -> bool {
        self.present(digest).is_some()
    }

    fn present(&self, digest: &Digest) -> Option<u32> {
        let Digest::Sha256(_) = digest else {
            return None;
        };
        let prefix = prefix_of(digest);
        let start = self.first_with_prefix[prefix];
        let bucket = &self.present[start as usize..self.first_with_prefix[prefix + 1] as usize];
        let at = bucket.binary_search_by(|blob| blob.digest.cmp(digest)).ok()?;
        Some(start + at as u32)
    }

    /// The digest of a number that is not a present blob's. Looks through all of them.
    pub fn absent_digest(&self, number: u32) -> Option<Digest> {
        let absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.iter().find(|(_, other)| **other == number).map(|(digest, _)| digest.clone())
    }

    /// All digests that are not present, by number.
    pub fn into_absent(self) -> Vec<Digest> {
        let first = self.present.len();
        let absent = self.absent.into_inner().unwrap_or_else(PoisonError::into_inner);
        in_order(absent, |number| number as usize - first)
    }
}

fn prefix_of(digest: &Digest) -> usize {
    match digest {
        Digest::Sha256(bytes) => usize::from(bytes[0]) << 8 | usize::from(bytes[1]),
        Digest::Other(_) => usize::from(u16::MAX),
    }
}

/// The number of a text. That there is none takes no room beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextNumber(NonZeroU32);

impl TextNumber {
    /// Of the text with this place among all texts.
    pub fn at(place: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(place))
    }

    /// The text's place among all texts.
    pub fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Gives every text a number, by the order of asking.
#[derive(Debug, Default)]
pub struct TextNumbers {
    numbers: RwLock<HashMap<String, TextNumber, RandomState>>,
}

impl TextNumbers {
    /// The text's number, a new one if it has none.
    pub fn number(&self, text: &str) -> TextNumber {
        // Most texts are known, and many threads ask at once.
        if let Some(number) = self.numbers.read().unwrap_or_else(PoisonError::into_inner).get(text)
        {
            return *number;
        }
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        let next = TextNumber::at(numbers.len() as u32);
        *numbers.entry(text.to_owned()).or_insert(next)
    }

    /// What `of` says of each text until now, by number.
    pub fn flags(&self, of: impl Fn(&str) -> bool) -> Vec<bool> {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        let mut flags = vec![false; numbers.len()];
        for (text, number) in &*numbers {
            flags[number.place()] = of(text);
        }
        flags
    }

    /// All texts, by number.
    pub fn into_texts(self) -> Vec<String> {
        let numbers = self.numbers.into_inner().unwrap_or_else(PoisonError::into_inner);
        in_order(numbers, TextNumber::place)
    }
}

fn in_order<T: Hash + Eq, N>(
    numbers: HashMap<T, N, RandomState>,
    place: impl Fn(N) -> usize,
) -> Vec<T> {
    let mut all: Vec<Option<T>> = std::iter::repeat_with(|| None).take(numbers.len()).collect();
    for (value, number) in numbers {
        all[place(number)] = Some(value);
    }
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn present_digests_keep_their_place_and_others_follow() {
        let mut digests: Vec<Digest> = (0..500_u32).map(|n| Digest::of(&n.to_le_bytes())).collect();
        digests.sort_unstable();
        let blobs: Vec<BlobFacts> = digests
            .iter()
            .map(|digest| BlobFacts {
                digest: digest.clone(),
                size_bytes: 0,
                modified_ns: 0,
                changed_ns: 0,
                inode: 0,
            })
            .collect();
        let numbers = DigestNumbers::new(&blobs);
        for (at, digest) in digests.iter().enumerate() {
            assert_eq!(numbers.number(digest), at as u32);
        }
        let sha512 = Digest::parse(&format!("sha512:{}", "f".repeat(128))).unwrap();
        assert_eq!(numbers.number(&Digest::of(b"absent")), 500);
        assert_eq!(numbers.number(&sha512), 501);
        assert_eq!(numbers.number(&Digest::of(b"absent")), 500);
        assert_eq!(numbers.into_absent(), [Digest::of(b"absent"), sha512]);
    }
}
