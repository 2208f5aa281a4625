//! From bytes on disk to facts.
//!
//! Scheduling: one pool of I/O threads, many more than cores, because a cold disk answers late.
//! Blobs are walked shard by shard, repositories one task a directory, and only then are manifests
//! read, in digest order. Repositories are listed before their blobs are believed missing: a push
//! writes blobs first and links last.
//!
//! Guarantees: nothing is written; whatever cannot be read becomes a finding and, where it could
//! lead to a reference, a hold; the result does not depend on the order of directories or threads.

mod authority;
mod blobs;
mod body;
mod catalog;
mod disk_use;
mod facts;
mod fingerprint;
mod intern;
mod known;
mod layers;
mod links;
mod manifests;
mod owner;
mod part;
mod repositories;
mod repository;
mod symlinks;
mod uploads;
mod walk;

pub use body::{DeclaredBytes, ManifestBody, ManifestFacts, ReferenceFacts};
pub use catalog::{
    BaseImage, BlobDescription, BlobFile, BlobKind, Catalog, CatalogLink, CatalogManifest,
    CatalogRepository, CatalogTag, ChangingStep, STALE_UPLOAD_NS, TagVerdict, UnreadableRoot,
    base_images, blob_path, build, catalog_findings, changing_steps, describe_blobs, tag_verdicts,
};
pub use disk_use::DiskUse;
pub use facts::{
    BlobFacts, Hold, LinkFacts, Notes, NumberedLink, NumberedLinks, NumberedTag, RepositoryFacts,
    TagFacts, UploadFacts,
};
pub use intern::TextNumber;
pub use known::{Fill, KnownContents, Section, ToRemember};
pub use part::{KnownPart, KnownParts, Look, Part};

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Mutex;

use clap::ValueEnum;
use rayon::prelude::*;

use crate::model::authority::{Evidence, HARBOR_SYSTEM_PREFIX};
use crate::model::progress::Progress;
use crate::model::{Code, Digest, HoldScope, ManifestKind, text_of};
use crate::storage::{FileKind, Layout, Storage};

use body::Texts;
use intern::DigestNumbers;
use known::KnownBodies;
use manifests::{AllManifests, Reader, Unseen};

/// How closely the walk looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Names, sizes and times: enough to know whether anything changed.
    Quick,
    /// Also what links say.
    Full,
    /// Also what else lies in the directory of each blob and link: what interrupted writes left
    /// behind. Opening every one of these directories makes a walk two to four times as long.
    Deep,
}

/// Up to this number of blobs a deep walk takes no time worth saving.
const DEEP_BLOB_COUNT: usize = 10_000;

/// When to look at what lies beside each blob and link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeepLook {
    /// Up to 10,000 blobs
    #[default]
    Auto,
    /// However long it takes
    Always,
    /// Not at all
    Never,
}

/// How deep a walk that reads links goes.
pub fn depth_for(storage: &dyn Storage, deep: DeepLook) -> Depth {
    match deep {
        DeepLook::Always => Depth::Deep,
        DeepLook::Auto if !blobs::are_more_than(storage, DEEP_BLOB_COUNT) => Depth::Deep,
        DeepLook::Auto | DeepLook::Never => Depth::Full,
    }
}

/// What the walk saw of names, sizes and times.
pub struct Walked {
    blobs: blobs::WalkedBlobs,
    repositories: repositories::WalkedRepositories,
    is_pull_through: bool,
    surroundings: authority::Surroundings,
    root_notes: Notes,
    parts: KnownParts,
    settled_before_ns: i64,
    /// What lies beside the layout; `None` where the storage has no disk.
    beside: Option<disk_use::Beside>,
    /// Hash over the storage classes of blobs, where there are any.
    classes: Option<[u8; 32]>,
}

/// Everything known about a storage.
pub struct Facts {
    /// Blobs in digest order; their place is their number.
    pub blobs: Vec<BlobFacts>,
    /// Digests that are named and not there, with the numbers that follow.
    pub absent: Vec<Digest>,
    /// Repositories by name.
    pub repositories: Vec<(RepositoryFacts, NumberedLinks)>,
    /// Every manifest that was looked for, by blob number.
    pub manifests: Vec<ManifestFacts>,
    /// Other blobs that may be manifests.
    pub maybe_manifests: Vec<u32>,
    /// Texts that the numbers in manifests stand for.
    pub media_types: Vec<String>,
    /// Texts that the numbers in manifests stand for.
    pub platforms: Vec<String>,
    /// Texts that the numbers in manifests stand for.
    pub build_steps: Vec<String>,
    /// What is wrong outside repositories.
    pub notes: Notes,
    /// Where things lie in the storage.
    pub layout: Layout,
    /// The storage belongs to a pull-through cache.
    pub is_pull_through: bool,
    /// Signs that something outside of the storage holds references.
    pub evidence: Vec<Evidence>,
    /// Hash over all names, sizes and times.
    pub fingerprint: [u8; 32],
    /// What it takes of its disk; `None` where it has none of its own.
    pub disk_use: Option<DiskUse>,
    /// What the next scan needs to know beside the facts.
    pub to_remember: ToRemember,
}

impl Facts {
    /// Whether something could not be read that may be read another time.
    pub fn is_incomplete(&self) -> bool {
        self.notes.is_incomplete
            || self.repositories.iter().any(|(repository, _)| repository.notes.is_incomplete)
    }
}

/// Walks the storage. Call it inside a rayon pool of I/O threads.
pub fn walk(look: Look<'_>, progress: &dyn Progress) -> Walked {
    let storage = look.storage;
    progress.phase("walk", None);
    let ((repositories, blobs), beside) = rayon::join(
        || {
            rayon::join(
                || repositories::walk_repositories(look, progress),
                || blobs::walk_blobs(look, progress),
            )
        },
        || disk_use::Beside::look(storage),
    );
    let mut root_notes = Notes::default();
    let is_pull_through = is_pull_through(storage);
    if is_pull_through {
        let blobs = storage.layout().blobs();
        let (path, detail) = if let Some(url) = storage.proxied_url() {
            let detail = format!("the registry's configuration says that it caches {url}");
            (blobs.parent().unwrap_or(&blobs), detail)
        } else {
            let detail = "the registry is a pull-through cache and deletes blobs by itself";
            (Path::new(SCHEDULER), detail.into())
        };
        root_notes.find(Code::PullThroughCache, None, path, detail);
    }
    note_strays(storage, &mut root_notes);
    let surroundings = authority::Surroundings::look(storage);
    let mut parts = KnownParts::new(look.owner);
    for shard in &blobs.shards {
        parts.add(&shard.path, &shard.part);
    }
    for repository in &repositories.repositories {
        parts.add(&repository.path.join("_manifests"), &repository.manifests_part);
        parts.add(&repository.path.join("_layers"), &repository.layers_part);
    }
    let settled_before_ns = look.settled_before_ns;
    Walked {
        blobs,
        repositories,
        is_pull_through,
        surroundings,
        root_notes,
        parts,
        settled_before_ns,
        beside,
        classes: hash_of_classes(storage),
    }
}

/// A hash over the storage classes of blobs, which change without the time of anything; `None` where there are none.
fn hash_of_classes(storage: &dyn Storage) -> Option<[u8; 32]> {
    let mut hash = fingerprint::Fingerprint::default();
    let mut is_any = false;
    storage.each_storage_class(&mut |_, class| {
        is_any = true;
        hash.name(OsStr::new(class));
    });
    is_any.then(|| hash.finish())
}

/// What a bucket holds and no registry can reach.
fn note_strays(storage: &dyn Storage, notes: &mut Notes) {
    let (strays, count) = storage.strays();
    for stray in &strays {
        notes.find(Code::ForeignFile, None, Path::new(&stray.name), stray.reason);
    }
    if count > strays.len() as u64 {
        let detail = format!("no path holds {} more keys like these", count - strays.len() as u64);
        notes.find(Code::ForeignFile, None, &storage.layout().blobs(), detail);
    }
}

/// Where the scheduler of a pull-through cache keeps its state (distribution
/// `registry/proxy/proxyregistry.go`).
const SCHEDULER: &str = "scheduler-state.json";

/// Whether the storage belongs to a pull-through cache. With `proxy.ttl: 0` its registry never
/// schedules anything, and only the configuration says so.
pub fn is_pull_through(storage: &dyn Storage) -> bool {
    storage.proxied_url().is_some()
        || storage.stat(Path::new(SCHEDULER)).is_ok_and(|facts| facts.kind == FileKind::File)
}

/// Names and times of everything in the repositories, and nothing of what links say.
pub struct Names {
    /// By name.
    pub repositories: Vec<RepositoryFacts>,
    /// What is wrong outside of repositories.
    pub notes: Notes,
}

/// Reads names and times of all repositories.
pub fn read_names(storage: &dyn Storage) -> Names {
    let walked = repositories::walk_repositories(
        Look::full(storage, Depth::Quick),
        &crate::model::progress::Hidden,
    );
    Names { repositories: walked.repositories, notes: walked.notes }
}

impl Walked {
    /// Equal for two walks that saw the same names, sizes, times and storage classes.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = fingerprint::Fingerprint::default();
        fingerprint.part(&self.blobs.fingerprint);
        fingerprint.part(&self.repositories.fingerprint);
        fingerprint.number(u64::from(self.is_pull_through));
        fingerprint.number(u64::from(self.surroundings.gitlab_lock.is_some()));
        fingerprint.number(self.surroundings.harbor_directories.len() as u64);
        for evidence in &self.surroundings.configured {
            fingerprint.name(OsStr::new(evidence.code.name()));
        }
        if let Some(classes) = &self.classes {
            fingerprint.part(classes);
        }
        fingerprint.finish()
    }

    /// What the next scan may know of the parts, if nothing has changed since the last one.
    pub fn parts_beside_contents_of(self, last: &KnownParts) -> KnownParts {
        self.parts.beside_contents_of(last)
    }

    /// Fills in the parts that were passed over; `false` when `known` does not have them.
    pub fn fill(&mut self, known: Option<&KnownContents>) -> bool {
        let shards = &mut self.blobs.shards;
        let has_shards = shards.iter_mut().filter(|shard| shard.part.is_same).all(|shard| {
            let blobs = known.and_then(|known| known.shard(&shard.path));
            blobs.map(|blobs| shard.blobs = blobs).is_some()
        });
        has_shards
            && self.repositories.repositories.par_iter_mut().all(|repository| {
                if repository.manifests_part.is_same {
                    let found = known.and_then(|known| known.manifests(&repository.name));
                    let Some((revisions, tags)) = found else { return false };
                    (repository.revisions, repository.tags) = (revisions, tags);
                }
                if repository.layers_part.is_same {
                    let found = known.and_then(|known| known.layer_links(&repository.name));
                    let Some(links) = found else { return false };
                    repository.layer_links = links;
                }
                true
            })
    }
}

/// Reads the manifests that a walk found, but for those that `known` has; every part must be filled
/// in. Call it inside a rayon pool of I/O threads.
pub fn read_manifests(
    storage: &dyn Storage,
    mut walked: Walked,
    mut known: Option<KnownContents>,
    progress: &dyn Progress,
) -> Facts {
    let fingerprint = walked.fingerprint();
    let disk_use = walked.disk_use(storage);
    let revisions =
        walked.repositories.repositories.iter().map(|repository| repository.revisions.len());
    progress.phase("manifests", Some(revisions.sum::<usize>() as u64));
    let mut blobs = Vec::new();
    for shard in &mut walked.blobs.shards {
        blobs.append(&mut shard.blobs);
    }
    recheck_missing(storage, &walked.repositories.repositories, &mut blobs);
    note_missing_blobs(storage, &mut walked, &blobs);
    symlinks::hold_what_they_lead_to(storage, &mut walked);
    let is_link_hidden = is_link_hidden(&walked.repositories);
    let numbers = DigestNumbers::new(&blobs);
    let texts = Texts::default();
    let unseen = unseen(&walked.blobs.notes);
    let bodies = known.as_mut().map(|known| KnownBodies::new(known, &blobs));
    let reader = Reader {
        storage,
        blobs: &blobs,
        numbers: &numbers,
        texts: &texts,
        progress,
        unseen: &unseen,
        is_link_hidden,
        known: bodies.as_ref(),
        settled_before_ns: walked.settled_before_ns,
        noted: Mutex::default(),
    };
    let AllManifests { manifests, maybe: maybe_manifests, noted } =
        reader.read_all(&walked.repositories.repositories);
    drop(reader);
    drop(bodies);
    drop(known);

    let (schema1, repositories) = (schema1_revisions(&manifests), walked.repositories.repositories);
    let mut repositories: Vec<_> = repositories
        .into_par_iter()
        .map(|repository| links::number_links(storage, &numbers, &schema1, repository))
        .collect();
    let seen = authority::Seen {
        storage,
        surroundings: &walked.surroundings,
        blobs: &blobs,
        repositories: &repositories,
        manifests: &manifests,
        maybe_manifests: &maybe_manifests,
    };
    let evidence = authority::evidence(&seen);
    hold_harbor_exports(&mut repositories);
    let absent = numbers.into_absent();
    let (media_types, platforms) = (texts.media_types.into_texts(), texts.platforms.into_texts());
    let build_steps = texts.build_steps.into_texts();
    let to_remember = ToRemember {
        parts: walked.parts,
        plain: noted.plain,
        unsettled: noted.unsettled,
        settled_before_ns: walked.settled_before_ns,
    };
    let mut notes = walked.root_notes;
    notes.append(walked.blobs.notes);
    notes.append(walked.repositories.notes);
    Facts {
        absent,
        repositories,
        manifests,
        maybe_manifests,
        media_types,
        platforms,
        build_steps,
        notes,
        layout: storage.layout().clone(),
        is_pull_through: walked.is_pull_through,
        evidence,
        fingerprint,
        disk_use,
        to_remember,
        blobs,
    }
}

/// Harbor keeps exports as blobs without a manifest, known to its database alone: what such a
/// repository links is kept.
fn hold_harbor_exports(repositories: &mut [(RepositoryFacts, NumberedLinks)]) {
    for (facts, _) in repositories {
        if facts.name.starts_with(HARBOR_SYSTEM_PREFIX) {
            let path = facts.path.clone();
            facts.notes.hold(HoldScope::Repository, Code::AuthorityElsewhere, &path);
        }
    }
}

/// Blobs that the walk told something of instead of seeing them.
fn unseen(notes: &Notes) -> Unseen {
    let is_many = |code| {
        matches!(code, Code::DirectoryUnreadable | Code::SymlinkNotFollowed | Code::BlobsMissing)
    };
    Unseen {
        digests: notes.findings.iter().filter_map(|finding| finding.digest.clone()).collect(),
        is_many: notes
            .findings
            .iter()
            .any(|finding| finding.digest.is_none() && is_many(finding.code)),
    }
}

/// Whether some revision or tag could not be seen.
fn is_link_hidden(walked: &repositories::WalkedRepositories) -> bool {
    !walked.notes.holds.is_empty()
        || walked.repositories.iter().any(|repository| {
            !repository.notes.holds.is_empty()
                || repository.has_manifests && !repository.has_revisions
        })
}

/// Manifests beside whose revisions signatures may lie.
fn schema1_revisions(manifests: &[ManifestFacts]) -> HashSet<u32> {
    let is_schema1 = |manifest: &&ManifestFacts| {
        manifest.body.as_ref().is_some_and(|body| body.kind == ManifestKind::Schema1)
    };
    manifests.iter().filter(is_schema1).map(|manifest| manifest.blob).collect()
}

/// Links without a single shard mean that `blobs` is not mounted or not restored: the registry's
/// garbage collector removes a blob's directory and leaves its shard (distribution
/// `registry/storage/vacuum.go`). Which blobs exist is then unknown.
fn note_missing_blobs(storage: &dyn Storage, walked: &mut Walked, present: &[BlobFacts]) {
    let has_links = walked.repositories.repositories.iter().any(|repository| {
        !repository.revisions.is_empty()
            || !repository.tags.is_empty()
            || !repository.layer_links.is_empty()
    });
    let blobs = &mut walked.blobs;
    if !has_links || !blobs.shards.is_empty() || !present.is_empty() {
        return;
    }
    let path = storage.layout().blobs();
    let tops = [text_of(path.as_os_str()), text_of(path.join("sha256").as_os_str())];
    let is_unreadable = blobs.notes.findings.iter().any(|finding| {
        matches!(finding.code, Code::DirectoryUnreadable | Code::SymlinkNotFollowed)
            && tops.contains(&finding.path)
    });
    // That finding already says that the blobs are unknown.
    if is_unreadable {
        return;
    }
    let detail = "repositories have links, and no blob's directory is there";
    blobs.notes.find(Code::BlobsMissing, None, &path, detail);
    blobs.notes.hold(HoldScope::Storage, Code::BlobsMissing, &path);
}

/// A push that ended while the walk went on has links whose blobs came too late for it.
fn recheck_missing(
    storage: &dyn Storage,
    repositories: &[RepositoryFacts],
    blobs: &mut Vec<BlobFacts>,
) {
    let missing: BTreeSet<Digest> = {
        let numbers = DigestNumbers::new(blobs);
        let is_missing =
            |digest: &&Digest| matches!(digest, Digest::Sha256(_)) && !numbers.is_present(digest);
        repositories
            .par_iter()
            .flat_map_iter(|repository| {
                let links = repository.revisions.iter().chain(&repository.layer_links);
                let tags = repository.tags.iter().filter_map(|tag| tag.target.as_ref());
                links.map(LinkFacts::target).chain(tags).filter(is_missing).cloned()
            })
            .collect()
    };
    let before = blobs.len();
    let found = missing.into_par_iter().filter_map(|digest| {
        let facts = storage.stat(&storage.layout().blob_data(&digest.encoded())).ok()?;
        (facts.kind == FileKind::File).then_some(BlobFacts {
            digest,
            size_bytes: facts.size_bytes,
            modified_ns: facts.modified_ns,
            changed_ns: facts.changed_ns,
            inode: facts.inode,
        })
    });
    blobs.extend(found.collect::<Vec<_>>());
    if blobs.len() > before {
        blobs.sort_unstable_by(|a, b| a.digest.cmp(&b.digest));
    }
}
