//! What the trash holds and the storage needs after all: a push relied on it while it went, or came
//! after it went.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::manifests::{Named, READ_BYTES};
use crate::graph::{BlobId, Graph, RepositoryNode, reach};
use crate::model::{
    Certainty, Digest, LinkContent, MAX_LINK_BYTES, MAX_MANIFEST_BYTES, begins_like_a_manifest,
    parse_link,
};
use crate::storage::Storage;
use crate::trash::{HeldRun, Move, MoveKind};

/// What of the trash is needed again.
#[derive(Debug, Default)]
pub struct NeededAgain(HashSet<PathBuf>);

impl NeededAgain {
    /// Compares what `runs` hold with what is on disk: `graph` is of a scan of a moment ago.
    ///
    /// Needed is what a linked revision or a tag leads to, what a layer link leads to, the links by
    /// which a repository serves that, and what external roots name. In doubt it is needed.
    pub fn new(graph: &Graph, storage: &dyn Storage, runs: &[HeldRun]) -> Self {
        let mut work = Work {
            graph,
            storage,
            held: Held::new(graph, runs),
            needed: Self::default(),
            targets: HashMap::new(),
        };
        work.what_is_marked(runs);
        if !work.held.is_empty() {
            for repository in &graph.repositories {
                work.repository(repository);
            }
            work.what_roots_name();
            work.what_is_hidden(runs);
        }
        work.needed
    }

    /// Whether something must not be removed for good.
    pub fn has(&self, item: &Move) -> bool {
        // Another run may hold a good one of the same path.
        !item.is_corrupt && self.0.contains(&item.path)
    }
}

/// Something that a run took.
type Taken<'a> = (&'a HeldRun, &'a Move);

/// What the trash holds that is not on disk, by name.
#[derive(Default)]
struct Held<'a> {
    blobs: HashMap<Digest, Taken<'a>>,
    layer_links: HashMap<(&'a str, Digest), Taken<'a>>,
    revisions: HashMap<(&'a str, Digest), Taken<'a>>,
}

impl<'a> Held<'a> {
    fn new(graph: &Graph, runs: &'a [HeldRun]) -> Self {
        let mut held = Self::default();
        for run in runs {
            // A blob whose content is wrong is of no use: a registry would keep it for ever.
            for item in run.moves.iter().filter(|item| !item.is_corrupt) {
                let Ok(digest) = Digest::parse(&item.name) else {
                    continue;
                };
                match (item.kind, item.repository.as_deref()) {
                    (MoveKind::Blob, _) if !is_present(graph, &digest) => {
                        held.blobs.insert(digest, (run, item));
                    }
                    (MoveKind::LayerLink, Some(name)) if !has_link(graph, name, &digest) => {
                        held.layer_links.insert((name, digest), (run, item));
                    }
                    (MoveKind::Revision, Some(name)) if !has_revision(graph, name, &digest) => {
                        held.revisions.insert((name, digest), (run, item));
                    }
                    _ => {}
                }
            }
        }
        held
    }

    fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.layer_links.is_empty() && self.revisions.is_empty()
    }
}

struct Work<'a> {
    graph: &'a Graph,
    storage: &'a dyn Storage,
    held: Held<'a>,
    needed: NeededAgain,
    /// Where links in the trash lead, if not to a blob of their own name.
    targets: HashMap<PathBuf, Option<Digest>>,
}

impl Work<'_> {
    fn repository(&mut self, repository: &RepositoryNode) {
        let graph = self.graph;
        for link in graph.links_of(repository) {
            self.need_blob(&graph.blobs[link.name as usize].digest);
            self.need_blob(&graph.blobs[link.target as usize].digest);
        }
        let name = repository.name.as_str();
        let named = graph.named_starts(repository).map(|blob| (blob, Certainty::Certain));
        let fixed = graph.fixed_starts(repository).map(|blob| (blob, Certainty::Likely));
        let rest = fixed
            .chain(named)
            .map(|(blob, certainty)| (graph.blobs[blob as usize].digest.clone(), certainty));
        if self.follow(name, rest.collect()) {
            let revisions = self.need_repository(name).into_iter();
            self.follow(name, revisions.map(|digest| (digest, Certainty::Certain)).collect());
        }
    }

    /// Data that is only marked lies in its place: it must stay there when anything keeps it.
    fn what_is_marked(&mut self, runs: &[HeldRun]) {
        let graph = self.graph;
        let mut marked = runs.iter().flat_map(|run| &run.marked).peekable();
        if marked.peek().is_none() {
            return;
        }
        let reach = reach(graph);
        for item in marked.filter(|item| item.kind == MoveKind::Blob && !item.is_corrupt) {
            let blob = Digest::parse(&item.name).ok().and_then(|name| graph.blob_by_digest(&name));
            if blob.is_none_or(|blob| !reach.is_orphan(graph, blob)) {
                self.needed.0.insert(item.path.clone());
            }
        }
    }

    /// What is kept wherever it lies and is not on disk: an export names it again.
    fn what_roots_name(&mut self) {
        let graph = self.graph;
        let nodes = graph.kept_everywhere().map(|blob| &graph.blobs[blob as usize]);
        let gone = nodes.filter(|node| node.size_bytes.is_none());
        let gone: Vec<Digest> = gone.map(|node| node.digest.clone()).collect();
        let named: HashSet<&Digest> = gone.iter().collect();
        let starts = |digests: &[Digest]| {
            digests.iter().map(|digest| (digest.clone(), Certainty::Likely)).collect()
        };
        // In a repository it needs its links, too.
        let mut linked: HashMap<&str, Vec<Digest>> = HashMap::new();
        for (name, digest) in
            self.held.revisions.keys().filter(|(_, digest)| named.contains(digest))
        {
            linked.entry(name).or_default().push(digest.clone());
        }
        for (name, digests) in linked {
            if self.follow(name, starts(&digests)) {
                self.need_repository(name);
            }
        }
        if self.follow("", starts(&gone)) {
            self.need_every_blob();
        }
    }

    /// All that manifests of a repository lead to; whether one of them may name anything.
    fn follow(&mut self, name: &str, mut rest: Vec<(Digest, Certainty)>) -> bool {
        let mut met: HashMap<Digest, Certainty> = HashMap::new();
        let mut is_unknown = false;
        while let Some((digest, certainty)) = rest.pop() {
            // One index may say what it is and another may not: the surer one counts.
            if met.get(&digest).is_some_and(|known| *known >= certainty) {
                continue;
            }
            met.insert(digest.clone(), certainty);
            self.need_blob(&digest);
            rest.extend(self.need_revision(name, &digest).map(|target| (target, certainty)));
            let named = self.named_by(name, &digest, certainty);
            is_unknown |= named.is_unknown;
            for (named, certainty) in named.references {
                self.need_blob(&named);
                let targets = self.need_link(name, &named);
                if let Some(certainty) = certainty {
                    let all = std::iter::once(named).chain(targets);
                    rest.extend(all.map(|digest| (digest, certainty)));
                }
            }
        }
        is_unknown
    }

    /// What a manifest of a repository names.
    fn named_by(&self, repository: &str, digest: &Digest, certainty: Certainty) -> Named {
        let graph = self.graph;
        let blob = graph.blob_by_digest(digest);
        let id = blob.and_then(|blob| graph.manifest_at(blob));
        if let Some(id) = id.filter(|_| is_present(graph, digest)) {
            let digest = |blob: BlobId| graph.blobs[blob as usize].digest.clone();
            let children = graph.children(id).iter();
            let children = children
                .map(|id| (digest(graph.manifests[*id as usize]), Some(Certainty::Certain)));
            // A blob that is not on disk may be a child whose manifest lies in the trash.
            let kept = graph.kept_blobs(id).iter().map(|blob| {
                let is_missing = graph.blobs[*blob as usize].size_bytes.is_none();
                (digest(*blob), is_missing.then_some(Certainty::Likely))
            });
            return Named { references: children.chain(kept).collect(), is_unknown: false };
        }
        let Some((run, item)) = self.held.blobs.get(digest) else {
            return Named::default();
        };
        let is_revision = has_revision(graph, repository, digest)
            || self.held.revisions.contains_key(&(repository, digest.clone()));
        let certainty = if is_revision { Certainty::Certain } else { certainty };
        let content = run.read(self.storage, &item.path.join("data"), READ_BYTES);
        Named::by(digest, &content, certainty)
    }

    /// Something that cannot be read may need whatever a repository once linked. Gives the
    /// revisions of that.
    fn need_repository(&mut self, repository: &str) -> Vec<Digest> {
        let of_repository = |taken: &HashMap<(&str, Digest), Taken<'_>>| -> Vec<Digest> {
            let names = taken.keys().filter(|(name, _)| *name == repository);
            names.map(|(_, digest)| digest.clone()).collect()
        };
        for digest in of_repository(&self.held.layer_links) {
            self.need_blob(&digest);
            self.need_link(repository, &digest);
        }
        of_repository(&self.held.revisions)
    }

    /// A repository or directory that could not be read may need what it once had.
    fn what_is_hidden(&mut self, runs: &[HeldRun]) {
        let graph = self.graph;
        // An unknown repository may need any blob, and what it had itself when it cannot be seen now.
        let may_need = |item: &Move| match &item.repository {
            None => graph.is_storage_held(),
            Some(name) => match repository(graph, name) {
                Some(repository) => repository.is_held,
                None => graph.is_storage_held(),
            },
        };
        let all = || runs.iter().flat_map(|run| &run.moves);
        for item in all().filter(|item| may_need(item)) {
            let Ok(digest) = Digest::parse(&item.name) else {
                continue;
            };
            self.need_blob(&digest);
            if let Some(name) = &item.repository {
                self.need_link(name, &digest);
                self.need_revision(name, &digest);
            }
        }
        if graph.has_hidden_revisions() {
            self.hidden_revisions(all());
        }
    }

    /// A blob in the trash may be a revision that could not be listed. Then all that it names is needed.
    fn hidden_revisions<'m>(&mut self, moves: impl Iterator<Item = &'m Move>) {
        let graph = self.graph;
        let mut linked: HashSet<Digest> = HashSet::new();
        for repository in graph.repositories.iter().filter(|repository| repository.is_held) {
            let blobs = graph.starts(repository);
            linked.extend(blobs.map(|blob| graph.blobs[blob as usize].digest.clone()));
        }
        for item in moves.filter(|item| item.repository.is_some()) {
            let name = item.repository.as_deref().and_then(|name| repository(graph, name));
            if name.is_some_and(|repository| repository.is_held) {
                linked.extend(Digest::parse(&item.name));
            }
        }
        let mut open = Vec::new();
        let known: HashSet<&Digest> = self.held.revisions.keys().map(|(_, known)| known).collect();
        let mut names_of: HashMap<Digest, Vec<(Digest, Option<Certainty>)>> = HashMap::new();
        let mut nameless = Vec::new();
        let mut parents_of: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for (digest, (run, item)) in &self.held.blobs {
            if item.size_bytes > MAX_MANIFEST_BYTES {
                continue;
            }
            let content = run.read(self.storage, &item.path.join("data"), READ_BYTES);
            let bytes = content.as_ref().map(|content| content.bytes.as_slice());
            if bytes.is_ok_and(|bytes| begins_like_a_manifest(bytes) == Some(false)) {
                continue;
            }
            let named = Named::by(digest, &content, Certainty::Unlikely).references;
            if named.is_empty() {
                nameless.push(digest);
            } else if may_be_hidden(&named, &linked, known.contains(digest)) {
                open.push(digest.clone());
            }
            for (child, _) in named.iter().filter(|(_, certainty)| certainty.is_some()) {
                parents_of.entry(child.clone()).or_default().push(digest.clone());
            }
            names_of.insert(digest.clone(), named);
        }
        // A config begins like a manifest, too.
        let named: HashSet<&Digest> = names_of.values().flatten().map(|(named, _)| named).collect();
        open.extend(nameless.into_iter().filter(|digest| !named.contains(digest)).cloned());
        // An index that names a hidden revision may be one itself.
        let mut hidden: HashSet<Digest> = open.iter().cloned().collect();
        while let Some(digest) = open.pop() {
            let parents = parents_of.get(&digest).into_iter().flatten();
            open.extend(parents.filter(|parent| hidden.insert((*parent).clone())).cloned());
        }
        // What one names is needed.
        let mut open: Vec<Digest> = hidden.iter().cloned().collect();
        while let Some(digest) = open.pop() {
            self.need_blob(&digest);
            let named = names_of.get(&digest).into_iter().flatten().map(|(named, _)| named);
            open.extend(named.filter(|named| hidden.insert((*named).clone())).cloned());
        }
    }

    fn need_blob(&mut self, digest: &Digest) {
        if let Some((_, item)) = self.held.blobs.get(digest) {
            self.needed.0.insert(item.path.clone());
        }
    }

    /// A layer link, and what it leads to. Gives that, where it has another name.
    fn need_link(&mut self, repository: &str, digest: &Digest) -> Vec<Digest> {
        let mut targets = Vec::new();
        let mut next = Some(digest.clone());
        while let Some(digest) = next.take() {
            let taken = self.held.layer_links.get(&(repository, digest.clone())).copied();
            next = taken.and_then(|taken| self.need_target(taken, &digest));
            // Links may lead around in a circle.
            next = next.filter(|target| !targets.contains(target));
            targets.extend(next.clone());
        }
        targets
    }

    /// A revision's link, and the manifest that it leads to. Gives that, where it has another name.
    fn need_revision(&mut self, repository: &str, digest: &Digest) -> Option<Digest> {
        let taken = self.held.revisions.get(&(repository, digest.clone())).copied();
        taken.and_then(|taken| self.need_target(taken, digest))
    }

    /// Links under another algorithm lead to a blob of another name. Gives that.
    fn need_target(&mut self, (run, item): Taken<'_>, digest: &Digest) -> Option<Digest> {
        if let Some(target) = self.targets.get(&item.path) {
            return target.clone();
        }
        self.needed.0.insert(item.path.clone());
        let target = self.read_target(run, item, digest);
        self.targets.insert(item.path.clone(), target.clone());
        target
    }

    fn read_target(&mut self, run: &HeldRun, item: &Move, digest: &Digest) -> Option<Digest> {
        let content = run.read(self.storage, &item.path.join("link"), MAX_LINK_BYTES as u64);
        match content.map(|content| parse_link(&content.bytes)) {
            Ok(LinkContent::Clean(target) | LinkContent::Spaced(target)) => {
                self.need_blob(&target);
                Some(target).filter(|target| target != digest)
            }
            // It may lead to any blob that went when it did or later.
            Ok(LinkContent::Nothing(_)) | Err(_) => {
                if matches!(digest, Digest::Other(_)) {
                    self.need_every_blob();
                }
                None
            }
        }
    }

    fn need_every_blob(&mut self) {
        self.needed.0.extend(self.held.blobs.values().map(|(_, item)| item.path.clone()));
    }
}

/// As [`Graph`] finds what may be a revision that could not be listed: all its config and layers are
/// linked, or part of them where no repository had it as a revision; one of the children of an index.
fn may_be_hidden(
    named: &[(Digest, Option<Certainty>)],
    linked: &HashSet<Digest>,
    is_known: bool,
) -> bool {
    let is_linked = |named: &&(Digest, Option<Certainty>)| linked.contains(&named.0);
    let (children, checked): (Vec<_>, Vec<_>) =
        named.iter().partition(|(_, certainty)| certainty.is_some());
    if checked.is_empty() {
        return children.iter().any(is_linked);
    }
    checked.iter().all(is_linked) || !is_known && checked.iter().any(is_linked)
}

fn repository<'g>(graph: &'g Graph, name: &str) -> Option<&'g RepositoryNode> {
    let repositories = &graph.repositories;
    let at = repositories.binary_search_by(|known| known.name.as_str().cmp(name)).ok()?;
    Some(&repositories[at])
}

fn is_present(graph: &Graph, digest: &Digest) -> bool {
    let blob = graph.blob_by_digest(digest);
    blob.is_some_and(|blob| graph.blobs[blob as usize].size_bytes.is_some())
}

fn has_link(graph: &Graph, name: &str, digest: &Digest) -> bool {
    let (Some(repository), Some(blob)) = (repository(graph, name), graph.blob_by_digest(digest))
    else {
        return false;
    };
    graph.links_of(repository).binary_search_by_key(&blob, |link| link.name).is_ok()
}

fn has_revision(graph: &Graph, name: &str, digest: &Digest) -> bool {
    let (Some(repository), Some(blob)) = (repository(graph, name), graph.blob_by_digest(digest))
    else {
        return false;
    };
    graph.revisions_of(repository).binary_search(&blob).is_ok()
}
