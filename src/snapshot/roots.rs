//! References that somebody outside of the storage holds, brought to what is on disk: which files are
//! read, what each row keeps here, and when an export is refused.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::db::{self, DatabaseError, PreviousRoots, ResolvedRow, RootsRecord};
use crate::graph::{BlobId, ExternalRoot, Graph, Walk};
use crate::model::authority::Authority;
use crate::model::{Code, Digest, HoldScope, bytes_of, is_repository_name};
use crate::roots::{Origin, Root, RootKind, Roots, RootsError, readings};
use crate::scan::{self, Catalog, UnreadableRoot, blob_path};

/// An export with fewer rows than this share of the last one is refused: half of a list keeps half of
/// what is in use.
const LEAST_PERCENT: u64 = 80;

/// Which roots a scan reads.
#[derive(Clone, Debug)]
pub enum RootsChoice {
    /// Those of this database's scan of the same storage, again; the scanned database when `None`.
    AsBefore(Option<PathBuf>),
    /// These files, or those of the last scan when there are none.
    Given {
        /// The files; `-` is standard input.
        files: Vec<PathBuf>,
        /// What keeps things; with files and without this, both.
        authority: Option<Authority>,
        /// An older or shorter export than last time is meant.
        is_fall_accepted: bool,
    },
}

/// Why the roots of a scan cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub enum RootsScanError {
    /// A file is not what it should be.
    #[error(transparent)]
    File(#[from] RootsError),
    /// They were given on standard input.
    #[error("the roots of the last scan came from standard input, and cannot be read again")]
    StandardInput,
    /// Roots are to be the authority, and there are none.
    #[error("--authority {0} without roots")]
    NoRoots(&'static str),
    /// The export is older than the last one.
    #[error("the roots in `{0}` are older than those that the last scan read")]
    Older(String),
    /// The export has far fewer rows than the last one.
    #[error("the roots have {now} rows, and had {before} at the last scan")]
    Fewer {
        /// Now.
        now: u64,
        /// At the last scan.
        before: u64,
    },
    /// Nothing of them is here.
    #[error("nothing that the {count} rows of roots name is in this storage")]
    NothingHere {
        /// How many rows there are.
        count: usize,
    },
}

impl RootsScanError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::StandardInput => {
                "write them to a file and scan with --roots FILE, or forget them with scan \
                 --authority storage"
                    .into()
            }
            Self::NoRoots(_) => "add --roots FILE (docs/roots.md has the exports)".into(),
            Self::Older(_) | Self::Fewer { .. } => {
                "export them again, or scan with --accept-roots if that is right".into()
            }
            Self::NothingHere { .. } => {
                "they may be of another registry, or from a database that names repositories otherwise"
                    .into()
            }
        })
    }
}

/// Roots that were read, and what keeps things; by default none, and the storage.
pub struct Read {
    pub roots: Roots,
    pub authority: Authority,
}

impl Default for Read {
    fn default() -> Self {
        Self { roots: Roots::default(), authority: Authority::Storage }
    }
}

impl Read {
    /// Equal when the same files say the same.
    pub fn fingerprint(&self) -> [u8; 32] {
        if self.roots.is_empty() {
            return [0; 32];
        }
        let mut hash = Sha256::new();
        hash.update(self.authority.as_str());
        hash.update(self.roots.fingerprint());
        for source in &self.roots.sources {
            hash.update(source.path.as_os_str().as_encoded_bytes());
            hash.update(source.exported_ns.to_le_bytes());
        }
        hash.finalize().into()
    }
}

/// Reads the roots of a scan of the storage at `root` into `database`.
pub fn read(choice: &RootsChoice, database: &Path, root: &str) -> Result<Read, RootsReadError> {
    let remembered = match choice {
        RootsChoice::AsBefore(Some(other)) => other,
        _ => database,
    };
    let before = db::previous_roots(remembered)?.filter(|before| before.root == root);
    let (files, authority, is_fall_accepted) = match choice {
        RootsChoice::AsBefore(_) => (&[][..], None, false),
        RootsChoice::Given { files, authority, is_fall_accepted } => {
            (files.as_slice(), *authority, *is_fall_accepted)
        }
    };
    let none = Read::default();
    if authority == Some(Authority::Storage) {
        return Ok(none);
    }
    let last = before.as_ref().filter(|before| !before.sources.is_empty());
    if files.is_empty() && last.is_none() {
        return match authority {
            None => Ok(none),
            Some(authority) => Err(RootsScanError::NoRoots(authority.as_str()).into()),
        };
    }
    let again: Vec<PathBuf>;
    let paths = if files.is_empty() {
        let sources = last.iter().flat_map(|last| &last.sources);
        let paths = sources.map(|(path, ..)| bytes_of(path).map(PathBuf::from).unwrap_or_default());
        again = paths.collect();
        if again.iter().any(|path| path == Path::new("-")) {
            return Err(RootsScanError::StandardInput.into());
        }
        &again
    } else {
        files
    };
    let roots = Roots::read(paths).map_err(RootsScanError::from)?;
    if let Some(last) = last.filter(|_| !is_fall_accepted) {
        refuse_fall(last, &roots)?;
    }
    let authority =
        authority.or_else(|| last.map(|last| last.authority).filter(|_| files.is_empty()));
    Ok(Read { roots, authority: authority.unwrap_or(Authority::Both) })
}

/// Why roots were not read.
#[derive(Debug)]
pub enum RootsReadError {
    Roots(RootsScanError),
    Database(DatabaseError),
}

impl From<RootsScanError> for RootsReadError {
    fn from(error: RootsScanError) -> Self {
        Self::Roots(error)
    }
}

impl From<DatabaseError> for RootsReadError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

fn refuse_fall(last: &PreviousRoots, roots: &Roots) -> Result<(), RootsScanError> {
    let is_fewer = |now: u64, before: u64| now * 100 < before * LEAST_PERCENT;
    for source in &roots.sources {
        let path = crate::model::text_of(source.path.as_os_str());
        let known = last.sources.iter().find(|(known, ..)| *known == path);
        let Some((_, rows, exported_ns)) = known else { continue };
        if source.exported_ns < *exported_ns {
            return Err(RootsScanError::Older(path));
        }
        if is_fewer(source.row_count, *rows) {
            return Err(RootsScanError::Fewer { now: source.row_count, before: *rows });
        }
    }
    let now = roots.rows.len() as u64;
    let before = last.sources.iter().map(|(_, rows, _)| rows).sum();
    if is_fewer(now, before) {
        return Err(RootsScanError::Fewer { now, before });
    }
    let oldest = last.sources.iter().map(|(.., exported_ns)| *exported_ns).min();
    match roots.sources.iter().min_by_key(|source| source.exported_ns) {
        Some(source) if oldest.is_some_and(|oldest| source.exported_ns < oldest) => {
            Err(RootsScanError::Older(source.path.display().to_string()))
        }
        _ => Ok(()),
    }
}

/// Gives every digest that roots name a number, so that one which is not on disk is known.
pub fn add_absent(facts: &mut scan::Facts, roots: &Roots) {
    if roots.is_empty() {
        return;
    }
    let mut known: HashSet<Digest> = facts.absent.iter().cloned().collect();
    for digest in roots.rows.iter().filter_map(|root| roots.digest(root)) {
        let is_present = facts.blobs.binary_search_by(|blob| blob.digest.cmp(&digest)).is_ok();
        if !is_present && known.insert(digest.clone()) {
            facts.absent.push(digest);
        }
    }
}

/// Brings every row to what is on disk, lets the catalog keep that, and gives the graph again.
pub fn resolve(
    read: Read,
    catalog: &mut Catalog,
    graph: &Graph,
) -> Result<(RootsRecord, Graph), RootsScanError> {
    let fingerprint = read.fingerprint();
    let Read { roots, authority } = read;
    let mut resolver = Resolver {
        catalog,
        graph,
        roots: &roots,
        external: Vec::new(),
        known_tags: Vec::new(),
        is_hidden: Vec::new(),
        has_streams: roots.rows.iter().any(|root| root.origin == Origin::ImageStream),
    };
    let rows: Vec<ResolvedRow> = roots.rows.iter().map(|root| resolver.row(root)).collect();
    let Resolver { mut external, mut known_tags, mut is_hidden, .. } = resolver;
    if !rows.iter().any(|row| row.is_found) {
        return Err(RootsScanError::NothingHere { count: rows.len() });
    }
    external.sort_unstable_by_key(|root| (root.repository, root.blob, root.keeps_revisions));
    external.dedup();
    known_tags.sort_unstable();
    known_tags.dedup();
    is_hidden.sort_unstable();
    is_hidden.dedup();
    // A manifest that cannot be read may name anything.
    let holds: Vec<UnreadableRoot> = is_hidden
        .into_iter()
        .map(|blob| UnreadableRoot {
            scope: HoldScope::Storage,
            repository: None,
            blob: None,
            code: Code::ManifestTypeUnknown,
            path: blob_path(catalog, blob),
        })
        .collect();
    catalog.roots.extend(holds);
    catalog.external_roots = external;
    catalog.ignores_tags = authority == Authority::Roots;
    let graph = catalog.graph();
    let revisions = (0..).zip(&graph.repositories).flat_map(|(place, repository)| {
        let rooted: HashSet<BlobId> = repository.rooted.iter().copied().collect();
        let revisions = graph.revisions_of(repository).iter().copied();
        revisions.filter(move |blob| rooted.contains(blob)).map(move |blob| (place, blob))
    });
    let revisions = revisions.collect();
    let mut walk = Walk::new(&graph);
    walk.go(&graph, None, catalog.external_roots.iter().map(|root| root.blob));
    let named = walk.found().iter().flat_map(|id| graph.kept_blobs(*id)).copied();
    let mut known_blobs: Vec<BlobId> =
        named.chain(catalog.external_roots.iter().map(|root| root.blob)).collect();
    known_blobs.sort_unstable();
    known_blobs.dedup();
    let record = RootsRecord {
        authority,
        roots,
        rows,
        external: catalog.external_roots.clone(),
        known_blobs,
        known_tags,
        revisions,
        fingerprint,
    };
    Ok((record, graph))
}

struct Resolver<'a> {
    catalog: &'a Catalog,
    graph: &'a Graph,
    roots: &'a Roots,
    external: Vec<ExternalRoot>,
    /// By place in the graph.
    known_tags: Vec<u32>,
    /// On disk, named as manifests, and not understood.
    is_hidden: Vec<BlobId>,
    /// Image streams say which revisions of an OpenShift image stay.
    has_streams: bool,
}

impl Resolver<'_> {
    fn row(&mut self, root: &Root) -> ResolvedRow {
        let name = self.roots.repository(root);
        let tag = self.roots.tag(root);
        let blob = self.roots.digest(root).and_then(|digest| self.graph.blob_by_digest(&digest));
        let mut row = ResolvedRow { blob, is_found: false };
        if let Some(blob) = blob {
            let repository = name.and_then(|name| self.place(name));
            row.is_found = self.graph.blobs[blob as usize].size_bytes.is_some();
            // A stream may name what was pushed to another one: the registry serves it without a link.
            let needs_no_link = match root.origin {
                Origin::Image => true,
                Origin::ImageStream => repository.is_none(),
                Origin::Other => false,
            };
            let keeps_revisions = !(self.has_streams && needs_no_link);
            let external = ExternalRoot { repository, blob, keeps_revisions };
            self.external.push(external);
            if root.kind == RootKind::Manifest && row.is_found {
                self.manifest(external);
            }
        }
        if let (Some(name), Some(tag)) = (name, tag) {
            for reading in readings(name).filter(|name| is_repository_name(name)) {
                let Some(place) = self.place(&reading) else { continue };
                let repository = &self.graph.repositories[place as usize];
                let tags = self.graph.tags_of(repository);
                let Ok(at) = tags.binary_search_by(|node| node.name.as_str().cmp(tag)) else {
                    continue;
                };
                self.known_tags.push(repository.tags.start + at as u32);
                // With a digest the export says what the tag points at.
                let Some(target) = tags[at].target.filter(|_| blob.is_none()) else { continue };
                row.blob = row.blob.or(Some(target));
                row.is_found = true;
                self.external.push(ExternalRoot {
                    repository: Some(place),
                    blob: target,
                    keeps_revisions: true,
                });
            }
        }
        row
    }

    fn place(&self, name: &str) -> Option<u32> {
        let repositories = &self.graph.repositories;
        let at = repositories.binary_search_by(|repository| repository.name.as_str().cmp(name));
        at.ok().map(|at| at as u32)
    }

    /// A manifest is kept with all that it names; an image id leads to the manifests with that config.
    fn manifest(&mut self, root: ExternalRoot) {
        let blob = root.blob;
        let Some(id) = self.graph.manifest_at(blob) else {
            let mut is_config = false;
            for id in self.graph.manifests_with_config(blob) {
                is_config = true;
                let blob = self.graph.manifests[id as usize];
                self.external.push(ExternalRoot { blob, ..root });
            }
            if !is_config && self.catalog.maybe_manifests.binary_search(&blob).is_ok() {
                self.is_hidden.push(blob);
            }
            return;
        };
        let is_revision = |repository: &scan::CatalogRepository| {
            repository.revisions.binary_search_by_key(&blob, |revision| revision.name).is_ok()
        };
        // In a repository a damaged revision holds what that links.
        if self.catalog.manifests[id as usize].fault.is_some()
            && !self.catalog.repositories.iter().any(is_revision)
        {
            self.is_hidden.push(blob);
        }
    }
}
