//! Looking for signs that something outside of the storage holds references. What they mean, and from
//! how many on they count, stands in [`crate::model::authority`].

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::authority::{
    Evidence, EvidenceCode, HARBOR_DIRECTORIES, HARBOR_SYSTEM_PREFIX, LEAST_HARBOR_DIRECTORIES,
    LEAST_TAGGED_SINCE, NEWEST_REVISIONS, are_configs_evidence, are_never_tagged_evidence,
};
use crate::model::{MAX_CONFIG_BYTES, ManifestKind, Role};
use crate::storage::{FileKind, Storage};

use super::body::ManifestFacts;
use super::{BlobFacts, NumberedLinks, RepositoryFacts};

/// Orphan blobs that are read to see whether they are image configs. Digests are evenly spread, so the
/// first ones are a fair sample of more.
const MAX_CONFIG_SAMPLE: usize = 10_000;

/// What stands beside the storage, and is no part of its fingerprint by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The lock file of GitLab's metadata database, below the registry's root.
    pub gitlab_lock: Option<PathBuf>,
    /// Names of Harbor's directories beside the root.
    pub harbor_directories: Vec<&'static str>,
    /// What the registry's configuration says.
    pub configured: Vec<Evidence>,
}

impl Surroundings {
    /// Looks for them.
    pub fn look(storage: &dyn Storage) -> Self {
        let blobs = storage.layout().blobs();
        let above = blobs.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        let lock = above.join("lockfiles/database-in-use");
        let is_file =
            |path: &Path| storage.stat(path).is_ok_and(|facts| facts.kind == FileKind::File);
        let beside = storage.root().parent();
        let is_beside = |name: &&&str| beside.is_some_and(|beside| beside.join(name).is_dir());
        Self {
            gitlab_lock: is_file(&lock).then_some(lock),
            harbor_directories: HARBOR_DIRECTORIES.iter().filter(is_beside).copied().collect(),
            configured: storage.configured().map_or_else(Vec::new, |says| says.evidence.clone()),
        }
    }
}

/// What the walk and the manifests say.
pub struct Seen<'a> {
    pub storage: &'a dyn Storage,
    pub surroundings: &'a Surroundings,
    pub blobs: &'a [BlobFacts],
    pub repositories: &'a [(RepositoryFacts, NumberedLinks)],
    /// Sorted by blob.
    pub manifests: &'a [ManifestFacts],
    pub maybe_manifests: &'a [u32],
}

/// Collects all evidence. Call it inside a rayon pool of I/O threads.
pub fn evidence(seen: &Seen<'_>) -> Vec<Evidence> {
    let mut found = seen.surroundings.configured.clone();
    if let Some(lock) = &seen.surroundings.gitlab_lock {
        let example = lock.display().to_string();
        found.push(Evidence { code: EvidenceCode::GitlabLockFile, count: 1, of: 1, example });
    }
    // Without blobs no index shows what its children are: their disk may not be mounted.
    if !seen.blobs.is_empty() {
        found.extend(orphan_configs(seen));
        tags(seen, &mut found);
    }
    found.extend(harbor(seen));
    found
}

fn harbor(seen: &Seen<'_>) -> impl Iterator<Item = Evidence> {
    let is_system = |name: &&str| name.starts_with(HARBOR_SYSTEM_PREFIX);
    let names = || seen.repositories.iter().map(|(facts, _)| facts.name.as_str());
    let repository = names().find(is_system).map(|name| Evidence {
        code: EvidenceCode::HarborRepository,
        count: names().filter(is_system).count() as u64,
        of: seen.repositories.len() as u64,
        example: name.to_owned(),
    });
    let directories = &seen.surroundings.harbor_directories;
    let beside = (directories.len() >= LEAST_HARBOR_DIRECTORIES).then(|| Evidence {
        code: EvidenceCode::HarborDirectories,
        count: directories.len() as u64,
        of: HARBOR_DIRECTORIES.len() as u64,
        example: directories.join(", "),
    });
    repository.into_iter().chain(beside)
}

#[derive(Deserialize)]
struct MaybeConfig {
    #[serde(default)]
    rootfs: Option<IgnoredAny>,
}

/// Image configs on disk that no manifest on disk names.
fn orphan_configs(seen: &Seen<'_>) -> Option<Evidence> {
    let mut is_named = vec![false; seen.blobs.len()];
    let mut config_count = 0_u64;
    for manifest in seen.manifests {
        let references = manifest.body.iter().flat_map(|body| &body.references);
        for (blob, is_config) in references
            .map(|reference| (reference.blob, reference.role == Role::Config))
            .chain([(manifest.blob, false)])
        {
            if let Some(flag) = is_named.get_mut(blob as usize)
                && !std::mem::replace(flag, true)
                && is_config
            {
                config_count += 1;
            }
        }
    }
    let is_candidate = |blob: &u32| {
        !is_named[*blob as usize] && seen.blobs[*blob as usize].size_bytes <= MAX_CONFIG_BYTES
    };
    let candidates: Vec<u32> = seen.maybe_manifests.iter().copied().filter(is_candidate).collect();
    let sample = &candidates[..candidates.len().min(MAX_CONFIG_SAMPLE)];
    let configs: HashSet<u32> =
        sample.par_iter().copied().filter(|blob| is_config(seen, *blob)).collect();
    let example = configs.iter().min()?;
    let linked: HashSet<u32> = seen
        .repositories
        .iter()
        .flat_map(|(_, links)| &links.layer_links)
        .flat_map(|link| [link.name, link.target])
        .filter(|blob| configs.contains(blob))
        .collect();
    let in_all = |count: usize| (count * candidates.len() / sample.len()) as u64;
    let (all, linked) = (in_all(configs.len()), in_all(linked.len()));
    let of = config_count + all;
    are_configs_evidence(all - linked, linked, of).then(|| Evidence {
        code: EvidenceCode::OrphanConfigs,
        count: all,
        of,
        example: seen.blobs[*example as usize].digest.to_string(),
    })
}

fn is_config(seen: &Seen<'_>, blob: u32) -> bool {
    let digest = &seen.blobs[blob as usize].digest;
    let path = seen.storage.layout().blob_data(&digest.encoded());
    let content = seen.storage.read(&path, MAX_CONFIG_BYTES);
    content.is_ok_and(|content| {
        let parsed = serde_json::from_slice::<MaybeConfig>(&content.bytes);
        parsed.is_ok_and(|parsed| parsed.rootfs.is_some())
    })
}

/// A revision that no index on disk names and that is about nothing else.
struct TopLevel<'a> {
    pushed_ns: i64,
    blob: u32,
    repository: &'a str,
    /// No tag of its repository leads or led to it, and no ordinary use of a plain registry explains it.
    is_never_tagged: bool,
}

/// What is known of manifests by blob number.
struct Marks {
    /// An index names it, or it names a subject.
    is_part: Vec<bool>,
    /// An index that a tag leads or led to names it.
    is_part_of_tagged: Vec<bool>,
}

fn tags(seen: &Seen<'_>, found: &mut Vec<Evidence>) {
    let with_revisions =
        || seen.repositories.iter().filter(|(_, links)| !links.revisions.is_empty());
    let revision_count: usize = with_revisions().map(|(_, links)| links.revisions.len()).sum();
    let Some((first, _)) = with_revisions().next() else {
        return;
    };
    let has_tag = seen.repositories.iter().any(|(_, links)| !links.tags.is_empty());
    if !has_tag {
        found.push(Evidence {
            code: EvidenceCode::NoTags,
            count: revision_count as u64,
            of: revision_count as u64,
            example: first.name.clone(),
        });
        return;
    }
    let without = || with_revisions().filter(|(facts, _)| !facts.has_tags_directory);
    if let Some((repository, _)) = without().next() {
        found.push(Evidence {
            code: EvidenceCode::RepositoriesWithoutTagsDirectory,
            count: without().count() as u64,
            of: with_revisions().count() as u64,
            example: repository.name.clone(),
        });
    }
    found.extend(never_tagged(&top_level(seen)));
}

fn never_tagged(revisions: &[TopLevel<'_>]) -> Option<Evidence> {
    let never = || revisions.iter().filter(|revision| revision.is_never_tagged);
    let count = never().count() as u64;
    let mut newest: Vec<&TopLevel<'_>> = revisions.iter().collect();
    newest.sort_unstable_by_key(|revision| std::cmp::Reverse(revision.pushed_ns));
    let is_newest = newest.len() >= NEWEST_REVISIONS
        && newest[..NEWEST_REVISIONS].iter().all(|revision| revision.is_never_tagged);
    are_never_tagged_evidence(count, revisions.len() as u64, is_newest).then(|| Evidence {
        code: EvidenceCode::NeverTagged,
        count,
        of: revisions.len() as u64,
        example: never().next().map_or_else(String::new, |first| first.repository.to_owned()),
    })
}

fn top_level<'a>(seen: &Seen<'a>) -> Vec<TopLevel<'a>> {
    let marks = marks(seen);
    let newest_tag_ns = seen
        .repositories
        .iter()
        .flat_map(|(_, links)| &links.tags)
        .filter_map(|tag| tag.modified_ns)
        .max()
        .unwrap_or(i64::MIN);
    let mut all = Vec::new();
    for (facts, links) in seen.repositories {
        let mut tagged: Vec<u32> = tagged_in(links).collect();
        tagged.sort_unstable();
        let has_only_indexes = !tagged.is_empty()
            && tagged.iter().all(|blob| kind_of(seen, *blob) == Some(ManifestKind::Index));
        let newest_here_ns = links.tags.iter().filter_map(|tag| tag.modified_ns).max();
        // All its tags were deleted, and tags were set in the storage after its last push.
        let lost_its_tags = facts.has_tags_directory && links.tags.is_empty();
        let first = all.len();
        for revision in &links.revisions {
            let is_part =
                |flags: &[bool]| flags.get(revision.name as usize).is_some_and(|flag| *flag);
            if is_part(&marks.is_part) {
                continue;
            }
            let pushed_ns = revision.modified_ns;
            // A platform's image whose index is gone: the registry's collector leaves such ones.
            let is_stray_platform = has_only_indexes
                && kind_of(seen, revision.name) == Some(ManifestKind::Image)
                && newest_here_ns.is_some_and(|newest| newest >= pushed_ns);
            let is_explained = is_stray_platform
                || lost_its_tags && newest_tag_ns >= pushed_ns
                || is_merged(seen, &marks, revision.name);
            all.push(TopLevel {
                pushed_ns,
                blob: revision.name,
                repository: &facts.name,
                is_never_tagged: tagged.binary_search(&revision.name).is_err() && !is_explained,
            });
        }
        if lost_its_oldest_tags(&all[first..], links) {
            all[first..].iter_mut().for_each(|revision| revision.is_never_tagged = false);
        }
    }
    all.sort_unstable_by_key(|revision| (revision.repository, revision.blob));
    all
}

/// Whether every revision without a tag was pushed before all those that tags point at now: a retention that
/// deletes tags alone leaves this. Where tags are kept elsewhere since some day, what has none is the newest.
fn lost_its_oldest_tags(revisions: &[TopLevel<'_>], links: &NumberedLinks) -> bool {
    let never = revisions.iter().filter(|revision| revision.is_never_tagged);
    let Some(newest_ns) = never.map(|revision| revision.pushed_ns).max() else { return false };
    let targets: HashSet<u32> = links.tags.iter().filter_map(|tag| tag.target).collect();
    let tagged = || revisions.iter().filter(|revision| targets.contains(&revision.blob));
    tagged().count() >= LEAST_TAGGED_SINCE && tagged().all(|tagged| tagged.pushed_ns > newest_ns)
}

/// Whether it is an index whose manifests are all in another one that a tag leads or led to: what a
/// build for one platform pushes by digest before all are merged under a tag.
fn is_merged(seen: &Seen<'_>, marks: &Marks, blob: u32) -> bool {
    let Some(body) = manifest_of(seen, blob).and_then(|manifest| manifest.body.as_ref()) else {
        return false;
    };
    let mut children = body
        .references
        .iter()
        .filter(|reference| reference.role == Role::Manifest)
        .map(|reference| marks.is_part_of_tagged.get(reference.blob as usize) == Some(&true))
        .peekable();
    body.kind == ManifestKind::Index && children.peek().is_some() && children.all(|is| is)
}

fn marks(seen: &Seen<'_>) -> Marks {
    let numbers = seen.manifests.iter().flat_map(|manifest| {
        let references = manifest.body.iter().flat_map(|body| &body.references);
        references.map(|reference| reference.blob).chain([manifest.blob])
    });
    let length = numbers.max().map_or(0, |last| last as usize + 1).max(seen.blobs.len());
    let mut marks = Marks { is_part: vec![false; length], is_part_of_tagged: vec![false; length] };
    for manifest in seen.manifests.iter().filter(|manifest| !manifest.is_orphan) {
        for reference in manifest.body.iter().flat_map(|body| &body.references) {
            match reference.role {
                Role::Manifest => marks.is_part[reference.blob as usize] = true,
                Role::Subject => marks.is_part[manifest.blob as usize] = true,
                _ => {}
            }
        }
    }
    let tagged: HashSet<u32> =
        seen.repositories.iter().flat_map(|(_, links)| tagged_in(links)).collect();
    for blob in tagged {
        let body = manifest_of(seen, blob).and_then(|manifest| manifest.body.as_ref());
        let references = body.iter().flat_map(|body| &body.references);
        for reference in references.filter(|reference| reference.role == Role::Manifest) {
            marks.is_part_of_tagged[reference.blob as usize] = true;
        }
    }
    marks
}

/// What a repository's tags point at or are remembered to have pointed at.
fn tagged_in(links: &NumberedLinks) -> impl Iterator<Item = u32> + '_ {
    links
        .tags
        .iter()
        .flat_map(|tag| tag.target.into_iter().chain(tag.entries.iter().map(|entry| entry.name)))
}

fn manifest_of<'a>(seen: &Seen<'a>, blob: u32) -> Option<&'a ManifestFacts> {
    let at = seen.manifests.binary_search_by_key(&blob, |manifest| manifest.blob).ok()?;
    Some(&seen.manifests[at])
}

fn kind_of(seen: &Seen<'_>, blob: u32) -> Option<ManifestKind> {
    Some(manifest_of(seen, blob)?.body.as_ref()?.kind)
}
