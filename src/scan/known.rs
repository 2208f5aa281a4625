//! What one scan leaves for the next, so that it reads only what is new.
//!
//! Two things are taken over. The facts of a *part* of the storage (a shard of blobs, a repository's
//! `_layers` or `_manifests`) when what a quick look sees of it is what the last scan saw; and what a
//! manifest says, when its file and its config's are those that were read.
//!
//! Only what cannot mislead is left for the next scan: a part in which nothing is wrong, so that every
//! finding and every hold is found anew each time; a manifest without a fault; a part or a file whose
//! newest time lay well before the scan, since a change in the same tick of the clock would not show.
//! Of newer files only a hash is left, so that a scan which sees the same times can tell whether they
//! say the same. All of it has one number of the format, and what is taken over has a checksum. Whatever does
//! not fit is read from disk.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{Digest, ManifestKind, Role};

use super::Facts;
use super::body::{ManifestBody, Texts};
use super::facts::{BlobFacts, LinkFacts, NumberedLink, NumberedLinks, NumberedTag, TagFacts};
use super::intern::{DigestNumbers, TextNumber, TextNumbers};
use super::part::{KnownParts, UnsettledRead};

/// What a scan leaves for the next, by the numbers under which the database keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The parts, which every scan reads.
    Parts = 0,
    /// Blobs and links.
    Contents = 1,
    /// What manifests say.
    Bodies = 2,
}

/// Writes one section.
pub type Fill<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

#[derive(Serialize, Deserialize)]
struct Contents {
    /// The sha256, size, mtime, ctime and inode of each blob, in digest order.
    blobs: Vec<([u8; 32], u64, i64, i64, u64)>,
    absent: Vec<String>,
    /// By name.
    repositories: BTreeMap<String, NumberedLinks>,
}

#[derive(Serialize, Deserialize)]
struct Bodies {
    media_types: Vec<String>,
    platforms: Vec<String>,
    build_steps: Vec<String>,
    /// Manifests by blob.
    manifests: Vec<(u32, ManifestBody)>,
    /// Blobs that were looked into and do not begin as a manifest does.
    plain: Vec<u32>,
}

/// What there is to remember beside the facts.
#[derive(Clone, Debug, Default)]
pub struct ToRemember {
    pub(super) parts: KnownParts,
    /// Blobs that were looked into and do not begin as a manifest does.
    pub(super) plain: Vec<u32>,
    pub(super) unsettled: Vec<UnsettledRead>,
    /// Files with newer times are not remembered.
    pub(super) settled_before_ns: i64,
}

/// Whether a later change of the blob shows in its times. One that is not there shows when it comes.
fn is_settled(facts: &Facts, blob: u32) -> bool {
    let settled_before_ns = facts.to_remember.settled_before_ns;
    facts.blobs.get(blob as usize).is_none_or(|blob| blob.newest_ns() < settled_before_ns)
}

/// Whether neither the manifest nor its config can change without showing it.
fn is_body_settled(facts: &Facts, blob: u32, body: &ManifestBody) -> bool {
    let configs = body.references.iter().filter(|reference| reference.role == Role::Config);
    is_settled(facts, blob) && configs.map(|config| config.blob).all(|blob| is_settled(facts, blob))
}

impl Facts {
    /// Writes what the next scan need not read again, section by section. There is as much of it as of
    /// the facts, so it is never held as a whole.
    ///
    /// # Errors
    /// Of `write`.
    pub fn remember<E>(
        &self,
        write: &mut dyn FnMut(Section, Fill<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let contents = ContentsRef {
            blobs: &self.blobs,
            absent: self.absent.iter().map(Digest::to_string).collect(),
            repositories: self
                .repositories
                .iter()
                .map(|(facts, links)| (&*facts.name, links))
                .collect(),
        };
        let sound = self.manifests.iter().filter_map(|manifest| {
            let body = manifest.body.as_ref().filter(|_| manifest.fault.is_none())?;
            (is_sound(body) && is_body_settled(self, manifest.blob, body))
                .then_some((manifest.blob, body))
        });
        let mut plain = self.to_remember.plain.clone();
        plain.retain(|blob| is_settled(self, *blob));
        plain.sort_unstable();
        let bodies = BodiesRef {
            media_types: &self.media_types,
            platforms: &self.platforms,
            build_steps: &self.build_steps,
            manifests: sound.collect(),
            plain,
        };
        let mut sha256 = Sha256::new();
        write(Section::Contents, &mut |out| encode(&contents, out, &mut sha256))?;
        write(Section::Bodies, &mut |out| encode(&bodies, out, &mut sha256))?;
        let mut parts = self.to_remember.parts.clone();
        parts.sha256 = sha256.finalize().into();
        parts.unsettled.clone_from(&self.to_remember.unsettled);
        parts.unsettled.sort_unstable();
        write(Section::Parts, &mut |out| out.write_all(&parts.encode()))
    }
}

#[derive(Serialize)]
struct ContentsRef<'a> {
    #[serde(serialize_with = "serialize_blobs")]
    blobs: &'a [BlobFacts],
    absent: Vec<String>,
    repositories: BTreeMap<&'a str, &'a NumberedLinks>,
}

#[derive(Serialize)]
struct BodiesRef<'a> {
    media_types: &'a [String],
    platforms: &'a [String],
    build_steps: &'a [String],
    manifests: Vec<(u32, &'a ManifestBody)>,
    plain: Vec<u32>,
}

fn serialize_blobs<S: serde::Serializer>(blobs: &[BlobFacts], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(blobs.iter().map(|blob| {
        let sha256 = match &blob.digest {
            Digest::Sha256(bytes) => *bytes,
            Digest::Other(_) => [0; 32],
        };
        (sha256, blob.size_bytes, blob.modified_ns, blob.changed_ns, blob.inode)
    }))
}

/// Encodes a section, and adds the hash of its bytes to that of all sections.
fn encode(section: &impl Serialize, out: &mut dyn Write, all: &mut Sha256) -> io::Result<()> {
    let hashing = Hashing { out, sha256: Sha256::new() };
    let buffered = io::BufWriter::with_capacity(64 << 10, hashing);
    let buffered = postcard::to_io(section, buffered).map_err(io::Error::other)?;
    let hashing = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    all.update(hashing.sha256.finalize());
    Ok(())
}

struct Hashing<'w> {
    out: &'w mut dyn Write,
    sha256: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether a body without a fault is a manifest whatever leads to it (`model::classify`), and all
/// that belongs to it was read.
fn is_sound(body: &ManifestBody) -> bool {
    let is_structured =
        || body.references.iter().any(|named| named.role != Role::Blob || !named.is_external);
    body.config_fault.is_none()
        && !body.is_type_unknown
        && body.kind != ManifestKind::Unknown
        && (body.media_type.is_some() || is_structured())
}

fn checksum(contents: &[u8], bodies: &[u8]) -> [u8; 32] {
    let (contents, bodies) = rayon::join(|| Sha256::digest(contents), || Sha256::digest(bodies));
    Sha256::new().chain_update(contents).chain_update(bodies).finalize().into()
}

/// What the last scan saw and read.
pub struct KnownContents {
    contents: Contents,
    bodies: Bodies,
}

impl KnownContents {
    /// `None` when they are damaged, or not those that `parts` belong to.
    pub fn decode(parts: &KnownParts, contents: &[u8], bodies: &[u8]) -> Option<Self> {
        if checksum(contents, bodies) != parts.sha256 {
            return None;
        }
        let (contents, bodies) =
            rayon::join(|| postcard::from_bytes(contents), || postcard::from_bytes(bodies));
        let (contents, bodies): (Contents, Bodies) = (contents.ok()?, bodies.ok()?);
        let is_sorted = contents.blobs.is_sorted_by(|a, b| a.0 < b.0);
        (is_sorted && contents.absent.iter().all(|text| Digest::parse(text).is_ok()))
            .then_some(Self { contents, bodies })
    }

    /// The blobs whose digests begin with the byte that the shard is named for.
    pub(super) fn shard(&self, path: &Path) -> Option<Vec<BlobFacts>> {
        let first = u8::from_str_radix(path.file_name()?.to_str()?, 16).ok()?;
        let blobs = &self.contents.blobs;
        let start = blobs.partition_point(|blob| blob.0[0] < first);
        let end = blobs.partition_point(|blob| blob.0[0] <= first);
        let facts = blobs[start..end].iter().map(|blob| BlobFacts {
            digest: Digest::Sha256(blob.0),
            size_bytes: blob.1,
            modified_ns: blob.2,
            changed_ns: blob.3,
            inode: blob.4,
        });
        Some(facts.collect())
    }

    fn digest(&self, number: u32) -> Option<Digest> {
        let number = number as usize;
        if let Some(blob) = self.contents.blobs.get(number) {
            return Some(Digest::Sha256(blob.0));
        }
        let place = number - self.contents.blobs.len();
        Digest::parse(self.contents.absent.get(place)?).ok()
    }

    fn link(&self, link: &NumberedLink) -> Option<LinkFacts> {
        let other = (link.target != link.name).then_some(link.target);
        Some(LinkFacts {
            name: self.digest(link.name)?,
            other_target: match other {
                Some(number) => Some(Box::new(self.digest(number)?)),
                None => None,
            },
            modified_ns: link.modified_ns,
            is_doubtful: link.is_doubtful,
        })
    }

    fn links(&self, links: &[NumberedLink]) -> Option<Vec<LinkFacts>> {
        links.iter().map(|link| self.link(link)).collect()
    }

    /// The layer links of a repository.
    pub(super) fn layer_links(&self, repository: &str) -> Option<Vec<LinkFacts>> {
        self.links(&self.contents.repositories.get(repository)?.layer_links)
    }

    /// The revisions and tags of a repository.
    pub(super) fn manifests(&self, repository: &str) -> Option<(Vec<LinkFacts>, Vec<TagFacts>)> {
        let links = self.contents.repositories.get(repository)?;
        let tag = |tag: &NumberedTag| {
            Some(TagFacts {
                name: tag.name.clone(),
                target: match tag.target {
                    Some(number) => Some(self.digest(number)?),
                    None => None,
                },
                is_unreadable: tag.is_unreadable,
                modified_ns: tag.modified_ns,
                entries: self.links(&tag.entries)?,
            })
        };
        let tags = links.tags.iter().map(tag).collect::<Option<_>>()?;
        Some((self.links(&links.revisions)?, tags))
    }
}

/// What manifests said when the last scan read them, by the numbers of this scan.
pub(super) struct KnownBodies<'a> {
    known: &'a KnownContents,
    /// Each is taken when it is asked for: there are millions of references in them.
    manifests: Vec<(u32, Mutex<Option<ManifestBody>>)>,
    /// For each present blob the number it had, if its file is the same.
    same_file: Vec<u32>,
    /// This scan's numbers for those of the last; `NONE` where it was not asked for yet.
    numbers: Vec<AtomicU32>,
    media_types: Vec<AtomicU32>,
    platforms: Vec<AtomicU32>,
    build_steps: Vec<AtomicU32>,
    is_plain: Vec<bool>,
}

const NONE: u32 = u32::MAX;

fn unasked(count: usize) -> Vec<AtomicU32> {
    std::iter::repeat_with(|| AtomicU32::new(NONE)).take(count).collect()
}

fn memoised(numbers: &[AtomicU32], at: u32, number: impl FnOnce() -> Option<u32>) -> Option<u32> {
    let slot = numbers.get(at as usize)?;
    match slot.load(Ordering::Relaxed) {
        NONE => {
            let number = number()?;
            slot.store(number, Ordering::Relaxed);
            Some(number)
        }
        number => Some(number),
    }
}

impl<'a> KnownBodies<'a> {
    /// Both lists of blobs are in digest order.
    pub(super) fn new(known: &'a mut KnownContents, blobs: &[BlobFacts]) -> Self {
        let manifests = std::mem::take(&mut known.bodies.manifests).into_iter();
        let manifests = manifests.map(|(blob, body)| (blob, Mutex::new(Some(body)))).collect();
        let old = &known.contents.blobs;
        let mut same_file = vec![NONE; blobs.len()];
        let numbers = unasked(old.len() + known.contents.absent.len());
        let mut at = 0;
        for (number, blob) in (0_u32..).zip(blobs) {
            let Digest::Sha256(sha256) = &blob.digest else { continue };
            while old.get(at).is_some_and(|old| old.0 < *sha256) {
                at += 1;
            }
            if let Some(found) = old.get(at).filter(|old| old.0 == *sha256) {
                numbers[at].store(number, Ordering::Relaxed);
                if (found.1, found.2, found.3, found.4)
                    == (blob.size_bytes, blob.modified_ns, blob.changed_ns, blob.inode)
                {
                    same_file[number as usize] = at as u32;
                }
            }
        }
        let mut is_plain = vec![false; old.len()];
        for number in &known.bodies.plain {
            if let Some(flag) = is_plain.get_mut(*number as usize) {
                *flag = true;
            }
        }
        Self {
            same_file,
            numbers,
            media_types: unasked(known.bodies.media_types.len()),
            platforms: unasked(known.bodies.platforms.len()),
            build_steps: unasked(known.bodies.build_steps.len()),
            is_plain,
            manifests,
            known,
        }
    }

    fn old_number(&self, blob: u32) -> Option<u32> {
        self.same_file.get(blob as usize).copied().filter(|number| *number != NONE)
    }

    /// Whether the blob was looked into and does not begin as a manifest does.
    pub(super) fn is_plain(&self, blob: u32) -> bool {
        self.old_number(blob).is_some_and(|number| self.is_plain[number as usize])
    }

    /// What the manifest says, if neither it nor its config has changed. Only the first who asks gets it.
    pub(super) fn body(
        &self,
        blob: u32,
        numbers: &DigestNumbers<'_>,
        texts: &Texts,
    ) -> Option<ManifestBody> {
        let number = self.old_number(blob)?;
        let at = self.manifests.binary_search_by_key(&number, |manifest| manifest.0).ok()?;
        let mut body =
            self.manifests[at].1.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let bodies = &self.known.bodies;
        let media_type = renumbering(&self.media_types, &bodies.media_types, &texts.media_types);
        let platform = renumbering(&self.platforms, &bodies.platforms, &texts.platforms);
        let build_step = renumbering(&self.build_steps, &bodies.build_steps, &texts.build_steps);
        let new_number = |old: u32| {
            memoised(&self.numbers, old, || Some(numbers.number(&self.known.digest(old)?)))
        };
        // What its config says is part of what was read.
        for config in body.references.iter().filter(|reference| reference.role == Role::Config) {
            if !self.is_same(config.blob, new_number(config.blob)?) {
                return None;
            }
        }
        for reference in &mut body.references {
            reference.blob = new_number(reference.blob)?;
            renumber(&mut reference.media_type, &media_type)?;
            renumber(&mut reference.platform, &platform)?;
            renumber(&mut reference.build_step, &build_step)?;
        }
        for number in [&mut body.media_type, &mut body.artifact_type] {
            renumber(number, &media_type)?;
        }
        for number in [&mut body.os, &mut body.architecture, &mut body.variant] {
            renumber(number, &platform)?;
        }
        Some(body)
    }

    /// Whether a blob is the same file as before, or is missing as before.
    fn is_same(&self, old: u32, new: u32) -> bool {
        match self.same_file.get(new as usize) {
            Some(same) => *same == old,
            None => old as usize >= self.known.contents.blobs.len(),
        }
    }
}

/// From the last scan's number of a text to this one's.
fn renumbering<'a>(
    numbers: &'a [AtomicU32],
    old: &'a [String],
    new: &'a TextNumbers,
) -> impl Fn(TextNumber) -> Option<TextNumber> + 'a {
    move |number| {
        let place = number.place() as u32;
        let new =
            memoised(numbers, place, || Some(new.number(old.get(number.place())?).place() as u32));
        new.map(TextNumber::at)
    }
}

/// `None` when there is a number and it is not known.
fn renumber(
    number: &mut Option<TextNumber>,
    new: impl Fn(TextNumber) -> Option<TextNumber>,
) -> Option<()> {
    if let Some(old) = number {
        *number = Some(new(*old)?);
    }
    Some(())
}
