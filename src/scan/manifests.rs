//! Reading manifests, each once: first those that revisions and tags lead to, then the children of
//! indexes round by round, last what looks like a manifest among blobs that nothing names.

use std::collections::HashSet;

use rayon::prelude::*;

use crate::model::{
    Code, Digest, ImageConfig, MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, Manifest, ManifestKind, Role,
    media_type, parse_image_config, parse_manifest, parse_v1_history,
};
use crate::progress::Progress;
use crate::storage::Storage;

use super::facts::{BlobFacts, RepositoryFacts};
use super::intern::{DigestNumbers, TextNumbers};

/// A blob that is, or by a link ought to be, a manifest.
#[derive(Debug)]
pub struct ManifestFacts {
    /// The blob's number.
    pub blob: u32,
    /// What it says, as far as that could be understood.
    pub body: Option<ManifestBody>,
    /// Why it cannot be relied on; what it names is then unknown.
    pub fault: Option<(Code, String)>,
    /// No revision, tag or index leads to it.
    pub is_orphan: bool,
}

/// What a manifest says.
#[derive(Debug)]
pub struct ManifestBody {
    /// What it is.
    pub kind: ManifestKind,
    /// Its media type's number.
    pub media_type: Option<u32>,
    /// Its artifact type's number.
    pub artifact_type: Option<u32>,
    /// What it names.
    pub references: Vec<ReferenceFacts>,
    /// Its media type is not known to the registry.
    pub is_type_unknown: bool,
    /// From the image config.
    pub os: Option<u32>,
    /// From the image config.
    pub architecture: Option<u32>,
    /// From the image config.
    pub variant: Option<u32>,
    /// From the image config.
    pub created_ns: Option<i64>,
    /// Why there is nothing from the image config.
    pub config_fault: Option<String>,
}

/// One thing that a manifest names. Texts are numbers in `Texts`.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceFacts {
    /// What part it plays.
    pub role: Role,
    /// What is named.
    pub blob: u32,
    /// The size that the manifest says.
    pub declared_bytes: Option<u64>,
    /// The media type that the manifest says.
    pub media_type: Option<u32>,
    /// The platform that an index says.
    pub platform: Option<u32>,
    /// The command that made the layer.
    pub build_step: Option<u32>,
    /// The registry need not hold it.
    pub is_external: bool,
}

/// Texts that many manifests repeat.
#[derive(Debug, Default)]
pub struct Texts {
    /// Media types of manifests and of what they name.
    pub media_types: TextNumbers,
    /// Platforms, operating systems, architectures.
    pub platforms: TextNumbers,
    /// Build commands.
    pub build_steps: TextNumbers,
}

/// What is needed to read manifests.
pub struct Reader<'a> {
    pub storage: &'a dyn Storage,
    pub blobs: &'a [BlobFacts],
    pub numbers: &'a DigestNumbers<'a>,
    pub texts: &'a Texts,
    pub progress: &'a dyn Progress,
    pub unseen: &'a Unseen,
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
    pub manifests: Vec<ManifestFacts>,
    /// Blobs that no manifest names and that begin as a manifest does.
    pub maybe: Vec<u32>,
}

/// What is to be read.
#[derive(Clone)]
struct Candidate {
    blob: u32,
    digest: Digest,
    certainty: Certainty,
}

/// How sure it is that a candidate is a manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Certainty {
    /// Nothing says so: a blob that nothing names, or that an index names as a layer.
    Unlikely,
    /// An index names it and does not say what it is.
    Likely,
    /// A link or media type says so.
    Certain,
}

impl Reader<'_> {
    /// Reads every manifest of the repositories, and then those that nothing leads to.
    pub fn read_all(&self, repositories: &[RepositoryFacts]) -> AllManifests {
        let mut seen = HashSet::new();
        let mut manifests = Vec::new();
        self.read_rounds(self.linked(repositories), &mut seen, &mut manifests, false);
        let orphans = self.orphan_candidates(&seen, &manifests);
        let maybe = orphans.iter().map(|candidate| candidate.blob).collect();
        self.read_rounds(orphans, &mut seen, &mut manifests, true);
        AllManifests { manifests, maybe }
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
        seen: &mut HashSet<u32>,
        read: &mut Vec<ManifestFacts>,
        is_orphan: bool,
    ) {
        while !round.is_empty() {
            seen.extend(round.iter().map(|candidate| candidate.blob));
            // Blobs lie on disk by digest: neighbours share directories.
            round.sort_unstable_by_key(|candidate| candidate.blob);
            let facts: Vec<ManifestFacts> =
                round.par_iter().filter_map(|candidate| self.read(candidate, is_orphan)).collect();
            let mut next = Vec::new();
            for body in facts.iter().filter_map(|manifest| manifest.body.as_ref()) {
                // In an index, what says that it is a layer or config may be a manifest all the same.
                let is_index = body.kind == ManifestKind::Index;
                let may_be_manifest = |reference: &&ReferenceFacts| {
                    reference.role == Role::Manifest
                        || is_index && matches!(reference.role, Role::Layer | Role::Config)
                };
                for reference in body.references.iter().filter(may_be_manifest) {
                    if let Some(candidate) = self.child(reference)
                        && seen.insert(reference.blob)
                    {
                        next.push(candidate);
                    }
                }
            }
            read.extend(facts);
            round = next;
        }
    }

    /// What an index names, to be read. What is not there is no fault of the index, as other
    /// platforms are often left out; what is there and could not be seen is one.
    fn child(&self, reference: &ReferenceFacts) -> Option<Candidate> {
        let is_manifest = reference.role == Role::Manifest;
        if let Some(blob) = self.blobs.get(reference.blob as usize) {
            let declared = reference.media_type.is_some_and(|number| self.is_manifest_type(number));
            let is_small = blob.size_bytes <= MAX_MANIFEST_BYTES;
            return (is_manifest || is_small && self.begins_with_brace(&blob.digest)).then(|| {
                Candidate {
                    blob: reference.blob,
                    digest: blob.digest.clone(),
                    certainty: match (is_manifest, declared) {
                        (true, true) => Certainty::Certain,
                        (true, false) => Certainty::Likely,
                        (false, _) => Certainty::Unlikely,
                    },
                }
            });
        }
        if !is_manifest || self.unseen.digests.is_empty() && !self.unseen.is_many {
            return None;
        }
        let digest = self.numbers.absent_digest(reference.blob)?;
        (self.unseen.is_many || self.unseen.digests.contains(&digest)).then_some(Candidate {
            blob: reference.blob,
            digest,
            certainty: Certainty::Certain,
        })
    }

    fn is_manifest_type(&self, number: u32) -> bool {
        self.texts.media_types.any(number, media_type::is_manifest)
    }

    /// Present blobs that no manifest names, small enough to be a manifest, that begin like one.
    fn orphan_candidates(&self, seen: &HashSet<u32>, read: &[ManifestFacts]) -> Vec<Candidate> {
        let mut is_named = vec![false; self.blobs.len()];
        let references =
            read.iter().flat_map(|manifest| &manifest.body).flat_map(|body| &body.references);
        for blob in seen.iter().copied().chain(references.map(|reference| reference.blob)) {
            if let Some(flag) = is_named.get_mut(blob as usize) {
                *flag = true;
            }
        }
        self.blobs
            .par_iter()
            .enumerate()
            .filter(|(number, blob)| {
                !is_named[*number] && (2..=MAX_MANIFEST_BYTES).contains(&blob.size_bytes)
            })
            .filter(|(_, blob)| self.begins_with_brace(&blob.digest))
            .map(|(number, blob)| Candidate {
                blob: number as u32,
                digest: blob.digest.clone(),
                certainty: Certainty::Unlikely,
            })
            .collect()
    }

    fn begins_with_brace(&self, digest: &Digest) -> bool {
        let path = self.storage.layout().blob_data(&digest.encoded());
        self.storage
            .read(&path, 16)
            .is_ok_and(|content| content.bytes.trim_ascii_start().first() == Some(&b'{'))
    }

    /// `None` when a candidate that is not certain turns out to be something else.
    fn read(&self, candidate: &Candidate, is_orphan: bool) -> Option<ManifestFacts> {
        let facts = |body, fault| ManifestFacts { blob: candidate.blob, body, fault, is_orphan };
        let is_certain = candidate.certainty == Certainty::Certain;
        let faulty = |code, detail: String| is_certain.then(|| facts(None, Some((code, detail))));
        self.progress.advance(1);
        let Some(blob) = self.blobs.get(candidate.blob as usize) else {
            return faulty(Code::ManifestMissing, "the manifest is not there".into());
        };
        if blob.size_bytes > MAX_MANIFEST_BYTES {
            return faulty(Code::ManifestTooLarge, format!("it has {} bytes", blob.size_bytes));
        }
        let path = self.storage.layout().blob_data(&candidate.digest.encoded());
        let content = match self.storage.read(&path, MAX_MANIFEST_BYTES) {
            Ok(content) if content.is_whole => content.bytes,
            Ok(_) => return faulty(Code::ManifestTooLarge, "it has more than 4 MiB".into()),
            // What cannot be read now is not known to be no manifest.
            Err(error) if is_orphan => return faulty(Code::FileUnreadable, error.to_string()),
            Err(error) => {
                return Some(facts(None, Some((Code::FileUnreadable, error.to_string()))));
            }
        };
        if content.is_empty() {
            return faulty(Code::ManifestUnreadable, "it is empty".into());
        }
        let manifest = match parse_manifest(&content) {
            Ok(manifest) => manifest,
            Err(error) => {
                let fault = (Code::ManifestUnreadable, format!("it cannot be parsed: {error}"));
                let was_one = content.trim_ascii_start().first() == Some(&b'{')
                    && candidate.certainty == Certainty::Likely;
                return (is_certain || was_one).then(|| facts(None, Some(fault)));
            }
        };
        if !is_certain && !looks_like_a_manifest(&manifest) {
            return None;
        }
        // A flipped bit in a digest makes another digest: what the manifest meant is then unknown.
        let actual = Digest::of(&content);
        let fault = if actual == candidate.digest {
            manifest.invalid_references.first().map(|error| (Code::ReferenceInvalid, error.clone()))
        } else {
            Some((Code::ManifestUnreadable, format!("its content has another digest, {actual}")))
        };
        Some(facts(Some(self.body(&manifest)), fault))
    }

    fn body(&self, manifest: &Manifest<'_>) -> ManifestBody {
        let media_types = &self.texts.media_types;
        let platforms = &self.texts.platforms;
        // Layers of one image are of one type: most need no look into the shared numbers.
        let mut last: Option<(&str, u32)> = None;
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
                declared_bytes: reference.declared_bytes,
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
            is_type_unknown: manifest.is_type_unknown,
            os: number(config.os),
            architecture: number(config.architecture),
            variant: number(config.variant),
            created_ns: config.created_ns,
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
        let path = self.storage.layout().blob_data(&config.digest.encoded());
        let content =
            self.storage.read(&path, MAX_CONFIG_BYTES).map_err(|error| error.to_string())?;
        parse_image_config(&content.bytes, layer_count).map_err(|error| error.to_string())
    }
}

/// An image config and any other JSON parse as a manifest that names nothing.
fn looks_like_a_manifest(manifest: &Manifest<'_>) -> bool {
    manifest.invalid_references.is_empty()
        && (!manifest.references.is_empty() || manifest.media_type.is_some())
        && (manifest.kind != ManifestKind::Unknown)
}
