//! Reading manifests, each once: first those that revisions and tags lead to, then the children of
//! indexes round by round, last what looks like a manifest among blobs that nothing names.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Mutex;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::model::progress::Progress;
use crate::model::{
    Certainty, Classified, Digest, ImageConfig, MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, Manifest,
    ManifestKind, Role, Unread, begins_like_a_manifest, classify, media_type, parse_image_config,
    parse_v1_history,
};
use crate::storage::{Content, Storage};

use super::body::{DeclaredBytes, ManifestBody, ManifestFacts, ReferenceFacts, Texts};
use super::facts::{BlobFacts, RepositoryFacts};
use super::intern::{DigestNumbers, TextNumber};
use super::known::KnownBodies;
use super::part::UnsettledRead;

/// What is needed to read manifests.
pub struct Reader<'a> {
    pub storage: &'a dyn Storage,
    pub blobs: &'a [BlobFacts],
    pub numbers: &'a DigestNumbers<'a>,
    pub texts: &'a Texts,
    pub progress: &'a dyn Progress,
    pub unseen: &'a Unseen,
    /// Some revision or tag could not be seen, so that any blob may be a manifest that is linked.
    pub is_link_hidden: bool,
    /// What the last scan read.
    pub known: Option<&'a KnownBodies<'a>>,
    /// A blob with newer times may change once more without showing it.
    pub settled_before_ns: i64,
    /// What the next scan is to know of what was read.
    pub noted: Mutex<Noted>,
}

/// What reading showed beside what manifests say.
#[derive(Debug, Default)]
pub struct Noted {
    /// Blobs that were looked into and do not begin as a manifest does.
    pub plain: Vec<u32>,
    /// What was read of blobs that may change once more without showing it.
    pub unsettled: Vec<UnsettledRead>,
}

/// Blobs that may well be on disk, and that the walk could not see.
#[derive(Debug, Default)]
pub struct Unseen {
    /// Blobs whose own directory or data could not be read, or holds something else.
    pub digests: HashSet<Digest>,
    /// Some directory of many blobs could not be read.
    pub is_many: bool,
}

/// All manifests, and what else could be one.
pub struct AllManifests {
    /// In the order of their blobs.
    pub manifests: Vec<ManifestFacts>,
    /// Other blobs that may be manifests: those that no manifest names and that begin as one does
    /// or cannot be read, and, where links are hidden, manifests that something names as a layer.
    pub maybe: Vec<u32>,
    /// For the next scan.
    pub noted: Noted,
}

/// What is to be read.
#[derive(Clone)]
struct Candidate {
    blob: u32,
    digest: Digest,
    certainty: Certainty,
}

impl Reader<'_> {
    /// Reads every manifest of the repositories, and then those that nothing leads to.
    pub fn read_all(&self, repositories: &[RepositoryFacts]) -> AllManifests {
        let mut seen = HashMap::new();
        let mut manifests = Vec::new();
        self.read_rounds(self.linked(repositories), &mut seen, &mut manifests, false);
        let is_named = self.named(&seen, &manifests);
        let orphans = self.candidates(|blob| !is_named[blob]);
        let mut maybe: Vec<u32> = orphans.iter().map(|candidate| candidate.blob).collect();
        self.read_rounds(orphans, &mut seen, &mut manifests, true);
        if self.is_link_hidden {
            let named =
                self.candidates(|blob| is_named[blob] && !seen.contains_key(&(blob as u32)));
            let before = manifests.len();
            self.read_rounds(named, &mut seen, &mut manifests, true);
            maybe.extend(manifests[before..].iter().map(|manifest| manifest.blob));
        }
        // One that was read again, because something surer led to it, counts as it was read last.
        manifests.reverse();
        manifests.sort_by_key(|manifest| manifest.blob);
        manifests.dedup_by_key(|manifest| manifest.blob);
        let noted = std::mem::take(&mut *self.noted());
        AllManifests { manifests, maybe, noted }
    }

    fn linked(&self, repositories: &[RepositoryFacts]) -> Vec<Candidate> {
        let mut digests = HashSet::new();
        for repository in repositories {
            for revision in &repository.revisions {
                digests.extend([&revision.name, revision.target()]);
            }
            for tag in &repository.tags {
                digests.extend(&tag.target);
                if tag.is_unreadable {
                    digests.extend(tag.entries.iter().map(|entry| &entry.name));
                }
            }
        }
        let candidate = |digest: &Digest| Candidate {
            blob: self.numbers.number(digest),
            digest: digest.clone(),
            certainty: Certainty::Certain,
        };
        digests.into_iter().map(candidate).collect()
    }

    fn read_rounds(
        &self,
        mut round: Vec<Candidate>,
        seen: &mut HashMap<u32, Certainty>,
        read: &mut Vec<ManifestFacts>,
        is_orphan: bool,
    ) {
        seen.extend(round.iter().map(|candidate| (candidate.blob, candidate.certainty)));
        while !round.is_empty() {
            // Blobs lie on disk by digest: neighbours share directories.
            round.sort_unstable_by_key(|candidate| candidate.blob);
            let facts: Vec<ManifestFacts> =
                round.par_iter().filter_map(|candidate| self.read(candidate, is_orphan)).collect();
            let mut next: HashMap<u32, Candidate> = HashMap::new();
            let is_manifest_type = self.texts.media_types.flags(media_type::is_manifest);
            for body in facts.iter().filter_map(|manifest| manifest.body.as_ref()) {
                for reference in &body.references {
                    let is_typed =
                        reference.media_type.is_some_and(|number| is_manifest_type[number.place()]);
                    let Some(candidate) = self.child(body.kind, reference, is_typed) else {
                        continue;
                    };
                    // One index may say what it is and another may not: the surer one counts.
                    let known = seen.get(&reference.blob);
                    if known.is_none_or(|known| !is_orphan && *known < candidate.certainty) {
                        seen.insert(reference.blob, candidate.certainty);
                        next.insert(reference.blob, candidate);
                    }
                }
            }
            read.extend(facts);
            round = next.into_values().collect();
        }
    }

    /// What a manifest names, to be read if it may be a manifest. What is not there is no fault of
    /// an index, as other platforms are often left out; what is there and could not be seen is one.
    fn child(
        &self,
        kind: ManifestKind,
        reference: &ReferenceFacts,
        is_typed: bool,
    ) -> Option<Candidate> {
        let certainty = Certainty::of_named(kind, reference.role, is_typed)?;
        let candidate = |digest, certainty| Candidate { blob: reference.blob, digest, certainty };
        if let Some(blob) = self.blobs.get(reference.blob as usize) {
            let is_worth_a_look = certainty > Certainty::Unlikely
                || blob.size_bytes <= MAX_MANIFEST_BYTES
                    && self.may_be_manifest(reference.blob, &blob.digest);
            return is_worth_a_look.then(|| candidate(blob.digest.clone(), certainty));
        }
        if certainty == Certainty::Unlikely
            || self.unseen.digests.is_empty() && !self.unseen.is_many
        {
            return None;
        }
        let digest = self.numbers.absent_digest(reference.blob)?;
        (self.unseen.is_many || self.unseen.digests.contains(&digest))
            .then(|| candidate(digest, Certainty::Certain))
    }

    /// Of each blob, whether it was read or a manifest names it as a part. What a manifest is only about
    /// may be a manifest that nothing leads to.
    fn named(&self, seen: &HashMap<u32, Certainty>, read: &[ManifestFacts]) -> Vec<bool> {
        let mut is_named = vec![false; self.blobs.len()];
        let references =
            read.iter().flat_map(|manifest| &manifest.body).flat_map(|body| &body.references);
        let references = references.filter(|reference| reference.role != Role::Subject);
        for blob in seen.keys().copied().chain(references.map(|reference| reference.blob)) {
            if let Some(flag) = is_named.get_mut(blob as usize) {
                *flag = true;
            }
        }
        is_named
    }

    /// Present blobs that are small enough to be a manifest and begin like one, or cannot be read.
    fn candidates(&self, is_asked: impl Fn(usize) -> bool + Sync) -> Vec<Candidate> {
        self.blobs
            .par_iter()
            .enumerate()
            .filter(|(number, blob)| {
                is_asked(*number) && (2..=MAX_MANIFEST_BYTES).contains(&blob.size_bytes)
            })
            .filter(|(number, blob)| self.may_be_manifest(*number as u32, &blob.digest))
            .map(|(number, blob)| Candidate {
                blob: number as u32,
                digest: blob.digest.clone(),
                certainty: Certainty::Unlikely,
            })
            .collect()
    }

    /// Whether a blob begins like a manifest or cannot be read.
    fn may_be_manifest(&self, blob: u32, digest: &Digest) -> bool {
        if self.known.is_some_and(|known| known.is_plain(blob)) {
            self.noted().plain.push(blob);
            return false;
        }
        let begins = |limit| match self.read_blob(blob, digest, limit) {
            Ok(content) => {
                begins_like_a_manifest(&content.bytes).or(content.is_whole.then_some(false))
            }
            Err(_) => Some(true),
        };
        // Any amount of white space may come first.
        let may_be = begins(FIRST_BYTES).or_else(|| begins(MAX_MANIFEST_BYTES)).unwrap_or(false);
        if !may_be {
            self.noted().plain.push(blob);
        }
        may_be
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The first bytes of a blob. The next scan gets them when times do not prove that they stay.
    fn read_blob(&self, blob: u32, digest: &Digest, limit: u64) -> io::Result<Content> {
        let content =
            self.storage.read(&self.storage.layout().blob_data(&digest.encoded()), limit)?;
        let facts = self.blobs.get(blob as usize);
        if let Digest::Sha256(sha256) = digest
            && facts.is_some_and(|facts| facts.newest_ns() >= self.settled_before_ns)
        {
            let hash = Sha256::digest(&content.bytes).into();
            let read = UnsettledRead { blob: *sha256, limit, content: hash };
            self.noted().unsettled.push(read);
        }
        Ok(content)
    }

    /// `None` for what is no manifest.
    fn read(&self, candidate: &Candidate, is_orphan: bool) -> Option<ManifestFacts> {
        self.progress.advance(1);
        if let Some(known) = self.known
            && let Some(body) = known.body(candidate.blob, self.numbers, self.texts)
        {
            let blob = candidate.blob;
            return Some(ManifestFacts { blob, body: Some(body), fault: None, is_orphan });
        }
        let content = self.content(candidate);
        let bytes = content.as_deref().map_err(Clone::clone);
        let (manifest, fault) = match classify(&candidate.digest, bytes, candidate.certainty) {
            Classified::NotAManifest => return None,
            // It is one of those that may be manifests, and no more is known.
            Classified::Uncertain { manifest: None, .. } if is_orphan => return None,
            Classified::Manifest(manifest) => (Some(manifest), None),
            Classified::Uncertain { manifest, code, detail } => (manifest, Some((code, detail))),
        };
        let body = manifest.map(|manifest| self.body(&manifest));
        Some(ManifestFacts { blob: candidate.blob, body, fault, is_orphan })
    }

    fn content(&self, candidate: &Candidate) -> Result<Vec<u8>, Unread> {
        let blob = self.blobs.get(candidate.blob as usize).ok_or(Unread::Missing)?;
        if blob.size_bytes > MAX_MANIFEST_BYTES {
            return Err(Unread::TooLarge);
        }
        match self.read_blob(candidate.blob, &candidate.digest, MAX_MANIFEST_BYTES) {
            Ok(content) if content.is_whole => Ok(content.bytes),
            Ok(_) => Err(Unread::TooLarge),
            Err(error) => Err(Unread::Failed(error.to_string())),
        }
    }

    fn body(&self, manifest: &Manifest<'_>) -> ManifestBody {
        let media_types = &self.texts.media_types;
        let platforms = &self.texts.platforms;
        // Layers of one image are of one type: most need no look into the shared numbers.
        let mut last: Option<(&str, TextNumber)> = None;
        let mut media_type_number = |name| match last {
            Some((text, number)) if text == name => number,
            _ => {
                let number = media_types.number(name);
                last = Some((name, number));
                number
            }
        };
        let mut references: Vec<ReferenceFacts> = manifest
            .references
            .iter()
            .map(|reference| ReferenceFacts {
                role: reference.role,
                blob: self.numbers.number(&reference.digest),
                declared_bytes: DeclaredBytes::new(reference.declared_bytes),
                media_type: reference.media_type.as_deref().map(&mut media_type_number),
                platform: reference.platform.as_deref().map(|name| platforms.number(name)),
                build_step: None,
                is_external: reference.is_external,
            })
            .collect();
        let layers = || references.iter().filter(|reference| reference.role == Role::Layer);
        let (config, config_fault) = match self.config(manifest, layers().count()) {
            Ok(config) => (config, None),
            Err(reason) => (ImageConfig::default(), Some(reason)),
        };
        let layers = references.iter_mut().filter(|reference| reference.role == Role::Layer);
        for (layer, command) in layers.zip(&config.created_by) {
            layer.build_step = command.as_deref().map(|text| self.texts.build_steps.number(text));
        }
        let number = |text: Option<String>| text.map(|text| platforms.number(&text));
        ManifestBody {
            kind: manifest.kind,
            media_type: manifest.media_type.as_deref().map(|name| media_types.number(name)),
            artifact_type: manifest.artifact_type.as_deref().map(|name| media_types.number(name)),
            references,
            os: number(config.os),
            architecture: number(config.architecture),
            variant: number(config.variant),
            created_ns: config.created_ns,
            is_type_unknown: manifest.is_type_unknown,
            config_fault,
        }
    }

    fn config(&self, manifest: &Manifest<'_>, layer_count: usize) -> Result<ImageConfig, String> {
        if manifest.kind == ManifestKind::Schema1 {
            return Ok(parse_v1_history(&manifest.v1_history));
        }
        let is_image_config = |name: Option<&str>| name.is_none_or(media_type::is_image_config);
        let config = manifest.references.iter().find(|reference| {
            reference.role == Role::Config && is_image_config(reference.media_type.as_deref())
        });
        let Some(config) = config.filter(|_| manifest.kind == ManifestKind::Image) else {
            return Ok(ImageConfig::default());
        };
        let number = self.numbers.number(&config.digest) as usize;
        let Some(blob) = self.blobs.get(number) else {
            return Ok(ImageConfig::default());
        };
        if blob.size_bytes > MAX_CONFIG_BYTES {
            return Err(format!("it has {} bytes", blob.size_bytes));
        }
        let content = self
            .read_blob(number as u32, &config.digest, MAX_CONFIG_BYTES)
            .map_err(|error| error.to_string())?;
        parse_image_config(&content.bytes, layer_count).map_err(|error| error.to_string())
    }
}

/// How much of a blob shows whether it begins like a manifest, if not much white space comes first.
const FIRST_BYTES: u64 = 16;
