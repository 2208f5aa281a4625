//! What is wrong that only the whole storage shows: missing blobs, wrong sizes, tags without
//! revisions, referrers without subjects, ghosts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::{Code, Digest, Finding, Role, text_of};

use super::verdict::{Missing, is_revision, is_unlinked_child, missing};
use super::{BlobId, Catalog, CatalogManifest, CatalogRepository, ManifestId, blob_path};
use crate::graph::{Graph, Walk};

/// After so long without a sign of life an upload is stale, in nanoseconds: the registry's own purge
/// takes uploads after 168 hours (distribution `registry/handlers/app.go`).
pub const STALE_UPLOAD_NS: i64 = 7 * 86_400 * 1_000_000_000;

/// Everything that the catalog shows to be wrong at `now_ns`, in nanoseconds since 1970.
pub fn catalog_findings(catalog: &Catalog, graph: &Graph, now_ns: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut walk = Walk::new(graph);
    for repository in &catalog.repositories {
        let mut found = Collector { catalog, repository, findings: &mut findings };
        found.repository_itself();
        found.tags();
        found.dangling_links();
        found.stale_uploads(now_ns);
        let starts = repository.revisions.iter().map(|revision| revision.name);
        let starts = starts.chain(repository.tags.iter().filter_map(|tag| tag.target));
        walk.go(graph, None, starts);
        found.manifests(walk.found());
        walk.go(graph, None, repository.tags.iter().filter_map(|tag| tag.target));
        found.unlinked_children(walk.found());
    }
    wrong_sizes(catalog, &mut findings);
    configs(catalog, &mut findings);
    findings
}

struct Collector<'a> {
    catalog: &'a Catalog,
    repository: &'a CatalogRepository,
    findings: &'a mut Vec<Finding>,
}

impl Collector<'_> {
    fn find(&mut self, code: Code, blob: Option<BlobId>, path: String, detail: String) {
        self.findings.push(Finding {
            code,
            repository: Some(self.repository.name.clone()),
            digest: blob.map(|blob| self.catalog.digests[blob as usize].clone()),
            path,
            detail,
        });
    }

    fn path(&self, below: &str) -> String {
        text_of(self.repository.facts.path.join(below).as_os_str())
    }

    fn repository_itself(&mut self) {
        let repository = self.repository;
        let is_empty = repository.revisions.is_empty() && repository.tags.is_empty();
        // What could not be listed is not empty.
        let is_known = repository.facts.notes.holds.is_empty();
        if is_empty && is_known {
            let (code, detail) = if repository.facts.has_manifests {
                (Code::GhostRepository, "it has neither revision nor tag")
            } else {
                (Code::RepositoryNeverCompleted, "it never got a manifest")
            };
            let path = text_of(repository.facts.path.as_os_str());
            self.find(code, None, path, detail.into());
        }
        if !is_empty && !repository.facts.has_layers {
            let detail = "the repository has manifests and no `_layers`";
            self.find(Code::LayersDirectoryMissing, None, self.path("_layers"), detail.into());
        }
        if repository.facts.has_manifests && !repository.facts.has_revisions {
            let detail = "the repository had manifests and has no `revisions`";
            let path = self.path("_manifests/revisions");
            self.find(Code::RevisionsDirectoryMissing, None, path, detail.into());
        }
    }

    fn tags(&mut self) {
        for tag in &self.repository.tags {
            let Some(target) = tag.target else { continue };
            if !is_revision(self.repository, target) {
                let path = self.path(&format!("_manifests/tags/{}/current/link", tag.name));
                let detail = format!("tag {} points at a manifest that is not linked", tag.name);
                self.find(Code::TagWithoutRevision, Some(target), path, detail);
            }
        }
    }

    fn dangling_links(&mut self) {
        for link in &self.repository.layer_links {
            if self.catalog.files[link.target as usize].is_none() {
                let digest = &self.catalog.digests[link.name as usize];
                let path = match digest {
                    Digest::Sha256(_) => {
                        format!("_layers/sha256/{}/link", digest.encoded())
                    }
                    Digest::Other(text) => {
                        format!("_layers/{}/link", text.replace(':', "/"))
                    }
                };
                self.find(
                    Code::DanglingLink,
                    Some(link.target),
                    self.path(&path),
                    "the blob is gone".into(),
                );
            }
        }
    }

    fn stale_uploads(&mut self, now_ns: i64) {
        for upload in &self.repository.uploads {
            if let Some(active_ns) = upload.active_ns
                && active_ns <= now_ns.saturating_sub(STALE_UPLOAD_NS)
            {
                let days = now_ns.saturating_sub(active_ns) / (86_400 * 1_000_000_000);
                let detail = format!("{} bytes, nothing for {days} days", upload.size_bytes);
                let path = self.path(&format!("_uploads/{}", upload.id));
                self.find(Code::StaleUpload, None, path, detail);
            }
        }
    }

    /// Children of indexes that tags lead to.
    fn unlinked_children(&mut self, nodes: &[ManifestId]) {
        // One row for each child, however many indexes name it.
        let mut named_by = BTreeMap::new();
        for &node in nodes {
            let manifest = &self.catalog.manifests[node as usize];
            for reference in manifest.references() {
                if is_unlinked_child(self.catalog, self.repository, reference) {
                    named_by.entry(reference.blob).or_insert(manifest.blob);
                }
            }
        }
        for (child, index) in named_by {
            let digest = self.catalog.digests[child as usize].to_string();
            let below = format!("_manifests/revisions/{}/link", digest.replace(':', "/"));
            let detail = format!("named by index {}", self.catalog.digests[index as usize]);
            self.find(Code::ChildWithoutRevision, Some(child), self.path(&below), detail);
        }
    }

    fn manifests(&mut self, nodes: &[ManifestId]) {
        // One row for each thing that is missing, however many manifests name it.
        let mut missing_blobs: BTreeMap<(Code, BlobId), BTreeSet<BlobId>> = BTreeMap::new();
        for &node in nodes {
            let manifest = &self.catalog.manifests[node as usize];
            if let Some((code, detail)) = &manifest.fault {
                let is_normal = self.catalog.is_pull_through && *code == Code::ManifestMissing;
                if !is_normal {
                    let path = blob_path(self.catalog, manifest.blob);
                    self.find(*code, Some(manifest.blob), path, detail.clone());
                }
            }
            for reference in manifest.references() {
                let is_absent =
                    !self.catalog.is_available(reference.blob) && !self.catalog.is_pull_through;
                let code = match reference.role {
                    Role::Config | Role::Layer => {
                        match missing(self.catalog, self.repository, reference) {
                            Some(Missing::Blob) if reference.role == Role::Config => {
                                Code::ConfigMissing
                            }
                            Some(Missing::Blob) => Code::LayerMissing,
                            Some(Missing::Link) => Code::LayerLinkMissing,
                            None => continue,
                        }
                    }
                    // A child that was linked and is gone is reported as a missing manifest.
                    Role::Manifest
                        if is_absent && self.catalog.manifest_at(reference.blob).is_none() =>
                    {
                        Code::IndexChildAbsent
                    }
                    Role::Subject if is_absent => Code::OrphanReferrer,
                    _ => continue,
                };
                missing_blobs.entry((code, reference.blob)).or_default().insert(manifest.blob);
            }
        }
        for ((code, blob), named_by) in missing_blobs {
            let first =
                named_by.first().map(|blob| self.catalog.digests[*blob as usize].to_string());
            let detail = match named_by.len() {
                1 => format!("named by manifest {}", first.unwrap_or_default()),
                count => format!(
                    "named by {count} manifests, the first is {}",
                    first.unwrap_or_default()
                ),
            };
            let path = match (code, &self.catalog.digests[blob as usize]) {
                (Code::LayerLinkMissing, digest) => {
                    self.path(&format!("_layers/sha256/{}/link", digest.encoded()))
                }
                _ => blob_path(self.catalog, blob),
            };
            self.find(code, Some(blob), path, detail);
        }
    }
}

/// A registry checks no sizes (storage facts, cases 15 and 16). Where one manifest agrees with the
/// disk, or the scan has read the blob and found its digest, those that say another size are at fault; where
/// nothing speaks for the blob, it was cut short or overwritten. A pull of a referrer fetches no subject, so
/// that what it says of one breaks nothing.
fn wrong_sizes(catalog: &Catalog, findings: &mut Vec<Finding>) {
    let sizes = |manifest: &'_ CatalogManifest| -> Vec<(BlobId, u64, u64)> {
        let references = manifest.references().iter();
        references
            .filter(|reference| reference.role != Role::Subject)
            .filter_map(|reference| {
                let file = catalog.files[reference.blob as usize]?;
                Some((reference.blob, reference.declared_bytes.get()?, file.size_bytes))
            })
            .collect()
    };
    let mut wrong = Vec::new();
    for manifest in catalog.manifests.iter().filter(|manifest| !manifest.is_orphan) {
        let before = wrong.len();
        for (blob, declared_bytes, size_bytes) in sizes(manifest) {
            if declared_bytes != size_bytes {
                wrong.push((blob, manifest.blob, declared_bytes, size_bytes));
            }
        }
        wrong[before..].sort_unstable();
    }
    wrong.dedup_by_key(|(blob, manifest, ..)| (*blob, *manifest));
    if wrong.is_empty() {
        return;
    }
    let doubted: HashSet<BlobId> = wrong.iter().map(|(blob, ..)| *blob).collect();
    let was_found_right = |blob: &BlobId| {
        let manifest = catalog.manifest_at(*blob).map(|id| &catalog.manifests[id as usize]);
        manifest.is_some_and(|manifest| manifest.blob == *blob && has_its_digest(catalog, manifest))
    };
    let mut agreed: HashSet<BlobId> = doubted.iter().copied().filter(was_found_right).collect();
    for (blob, declared_bytes, size_bytes) in catalog.manifests.iter().flat_map(sizes) {
        if declared_bytes == size_bytes && doubted.contains(&blob) {
            agreed.insert(blob);
        }
    }
    let mut cut_short = HashSet::new();
    for (blob, manifest, declared_bytes, size_bytes) in wrong {
        let digest = |blob: BlobId| &catalog.digests[blob as usize];
        let (code, about, detail) = if agreed.contains(&blob) {
            let detail = format!(
                "it says {declared_bytes} bytes of {}, which has {size_bytes}",
                digest(blob)
            );
            (Code::DeclaredSizeWrong, manifest, detail)
        } else if cut_short.insert(blob) {
            let detail = format!(
                "{size_bytes} bytes on disk, {declared_bytes} in manifest {}",
                digest(manifest)
            );
            (Code::SizeMismatch, blob, detail)
        } else {
            continue;
        };
        findings.push(Finding {
            code,
            repository: None,
            digest: Some(digest(about).clone()),
            path: blob_path(catalog, about),
            detail,
        });
    }
}

/// Whether a manifest was read and has the content that its digest says.
fn has_its_digest(catalog: &Catalog, manifest: &CatalogManifest) -> bool {
    let is_read = match &manifest.fault {
        None => manifest.body.is_some(),
        Some((code, _)) => {
            matches!(code, Code::NotAManifest | Code::ReferenceInvalid | Code::ManifestTypeUnknown)
        }
    };
    // Of another algorithm the digest was not worked out.
    is_read && matches!(catalog.digests[manifest.blob as usize], Digest::Sha256(_))
}

fn configs(catalog: &Catalog, findings: &mut Vec<Finding>) {
    for manifest in catalog.manifests.iter().filter(|manifest| !manifest.is_orphan) {
        let Some(reason) = manifest.body.as_ref().and_then(|body| body.config_fault.clone()) else {
            continue;
        };
        let config = manifest.references().iter().find(|reference| reference.role == Role::Config);
        let blob = config.map_or(manifest.blob, |reference| reference.blob);
        findings.push(Finding {
            code: Code::ConfigUnreadable,
            repository: None,
            digest: Some(catalog.digests[blob as usize].clone()),
            path: blob_path(catalog, blob),
            detail: format!("it cannot be parsed: {reason}"),
        });
    }
}
