//! From what was chosen to what goes: a pure function.

use std::collections::HashSet;
use std::time::Duration;

use super::age::{Ages, Clock, UPLOAD_MIN_AGE};
use super::choose::Chosen;
use super::marked::Marked;
use super::name::{NameSet, SkipGroup, Skipped};
use super::protect::Protect;
use super::protected::Protected;
use super::undoable::NeededToUndo;
use crate::graph::{self, BlobId, Graph, Item, Reason, Removal, total_bytes};
use crate::model::{ByKind, Digest, Kind, Name};

/// The rules that a plan keeps.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What time it is, and how old a thing must be.
    pub clock: Clock,
    /// How long an upload must have been idle. The registry keeps one for a week.
    pub upload_min_age: Duration,
    /// What stays whatever is chosen.
    pub protect: Protect,
    /// Only tags go, and nothing that they leave behind.
    pub keeps_revisions: bool,
    /// Repositories that something is being uploaded to keep what they link: a push may be on its
    /// way to a manifest that names it.
    pub spares_active_repositories: bool,
    /// Blobs that are manifests stay: the cache of a running registry may remember them, and then a
    /// push of the same manifest writes nothing (distribution before 3.2, `blobstore.go`).
    pub spares_manifests: bool,
    /// What runs in the trash need to be undone: for a deletion that keeps no trash.
    pub needed_to_undo: NeededToUndo,
    /// What earlier runs have marked in a bucket, and a purge will delete.
    pub marked: Marked,
    /// What a person has seen, when there was time for something to change since. All else stays,
    /// and so does all that it needs.
    pub only: Option<NameSet>,
}

impl Policy {
    /// What could go whatever its age, with the registry stopped: for figures. A plan that is carried out
    /// has the ages of `prune`.
    pub fn of_any_age(now_ns: i64, protect: Protect) -> Self {
        Self {
            clock: Clock { now_ns, min_age: Duration::ZERO },
            upload_min_age: UPLOAD_MIN_AGE,
            protect,
            keeps_revisions: false,
            spares_active_repositories: false,
            spares_manifests: false,
            needed_to_undo: NeededToUndo::default(),
            marked: Marked::default(),
            only: None,
        }
    }
}

/// What goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Sorted places: those of [`Item`], for what is no part of the graph in the list beside. Corrupt
    /// blobs go although images need them: the registry keeps a wrong blob for ever, and takes a new
    /// one only when it is gone.
    pub goes: ByKind<Vec<u32>>,
    /// What is no part of the graph: what interrupted writes left, and entries of tags' histories.
    pub others: Vec<Name>,
    /// Bytes of the blobs and uploads that go.
    pub freed_bytes: u64,
    /// Bytes that the choice leads to and that something else keeps.
    pub shared_bytes: u64,
    /// What was chosen, or would have gone with it, and stays.
    pub skipped: Vec<Skipped>,
}

/// Works out what goes with a choice.
pub fn plan(mut chosen: Chosen<'_>, policy: &Policy) -> Plan {
    let graph = chosen.graph();
    if has_lost_blobs(graph) {
        chosen.keep_all(SkipGroup::Held, "no blob is there");
        return Plan { skipped: chosen.skipped, ..Plan::default() };
    }
    let mut work = Work {
        graph,
        policy,
        protected: Protected::new(graph, &policy.protect),
        ages: Ages::new(graph),
        plan: Plan::default(),
    };
    if policy.keeps_revisions {
        chosen.keep_all_but_tags("--keep-revisions deletes tags only");
    }
    work.hold_back(&mut chosen);
    let removal = graph::removal(graph, &chosen.selection);
    work.plan.skipped = std::mem::take(&mut chosen.skipped);
    work.plan.shared_bytes = removal.shared_bytes();
    work.skip_what_stays(&removal);
    work.plan.goes[Kind::Tag].clone_from(&removal.goes[Kind::Tag]);
    if policy.keeps_revisions {
        // No revision is chosen any more, so these tags are the chosen ones.
        work.plan.shared_bytes = 0;
        return work.plan;
    }
    work.plan.goes[Kind::Revision].clone_from(&removal.goes[Kind::Revision]);
    let ghosts = work.ghosts(&chosen, &removal);
    work.uploads(&chosen, &ghosts);
    work.blobs(&chosen, &removal);
    work.layer_links(&chosen, &removal, &ghosts);
    work.spare_linked_blobs();
    work.repositories(&chosen, &ghosts);
    work.mendings(&chosen);
    let sizes = work.plan.items().map(|item| graph.size_bytes_of(item));
    work.plan.freed_bytes = total_bytes(sizes);
    work.plan
}

/// Whether links are there and not one blob: a mount that failed, or a copy that is not finished.
/// Nothing may be deleted before that is known.
pub fn has_lost_blobs(graph: &Graph) -> bool {
    graph.is_storage_held() && graph.blobs.iter().all(|blob| blob.size_bytes.is_none())
}

/// Why something stays that lies in no trash.
const FOR_UNDO: &str = "a run in the trash needs it to be undone";

/// Why something is not listed that waits for a purge.
const MARKED: &str = "an earlier run in the trash has marked it: regsql trash purge deletes it";

/// Why something that a person has not seen stays.
const UNSEEN: &str = "it was not in the plan that was shown";

struct Work<'a> {
    graph: &'a Graph,
    policy: &'a Policy,
    protected: Protected<'a>,
    ages: Ages,
    plan: Plan,
}

impl Work<'_> {
    fn skip(&mut self, group: SkipGroup, kind: Kind, at: u32, reason: impl Into<String>) {
        let name = self.name(kind, at);
        self.plan.skipped.push(Skipped::new(group, name, reason));
    }

    fn name(&self, kind: Kind, at: u32) -> Name {
        self.graph.name_of(Item { kind, at }, &self.plan.others)
    }

    /// Marks tags and revisions that are fresh or protected, so that all they need stays, and takes
    /// back whole repositories that cannot be read whole.
    fn hold_back(&self, chosen: &mut Chosen<'_>) {
        let (graph, policy) = (self.graph, self.policy);
        for place in 0..graph.repositories.len() as u32 {
            let repository = &graph.repositories[place as usize];
            for tag in repository.tags.clone() {
                let node = &graph.tags[tag as usize];
                chosen.selection.kept_tags[tag as usize] = policy.clock.is_fresh(node.pushed_ns)
                    || self.protected.has_tag(&repository.name, node)
                    || self.is_unseen(Kind::Tag, tag);
            }
            for at in repository.revisions.clone() {
                let manifest = graph.revisions[at as usize];
                chosen.selection.kept_revisions[at as usize] =
                    policy.clock.is_fresh(graph.revisions_pushed_ns[at as usize])
                        || self.protected.has_image(manifest)
                        || policy.needed_to_undo.has_revision(at)
                        || self.is_unseen(Kind::Revision, at);
            }
            if chosen.selection.has(Kind::Repository, place) && repository.is_held {
                chosen.selection.chosen[Kind::Repository][place as usize] = false;
                let name = self.name(Kind::Repository, place);
                chosen.skip(SkipGroup::Held, name, "something in it cannot be read");
            }
        }
    }

    /// Whether a person has seen a plan, and this was not in it.
    fn is_unseen(&self, kind: Kind, at: u32) -> bool {
        self.policy.only.as_ref().is_some_and(|only| !only.has(&self.name(kind, at)))
    }

    fn skip_what_stays(&mut self, removal: &Removal) {
        for skipped in &removal.skipped {
            let Item { kind, at } = skipped.item;
            if self.policy.keeps_revisions && kind == Kind::Revision {
                // What a tag leads to was not asked for.
                continue;
            }
            let (group, reason) = match skipped.reason {
                Reason::Kept => self.why_kept(skipped.item),
                Reason::Rooted => (SkipGroup::Protected, skipped.reason.text(self.graph)),
                Reason::Held | Reason::TagUnreadable => {
                    (SkipGroup::Held, skipped.reason.text(self.graph))
                }
                _ => (SkipGroup::Needed, skipped.reason.text(self.graph)),
            };
            self.skip(group, kind, at, reason);
        }
    }

    fn why_kept(&self, item: Item) -> (SkipGroup, String) {
        let graph = self.graph;
        let is_protected = match item.kind {
            Kind::Tag => {
                let place = graph.repository_of(item).unwrap_or_default();
                let repository = &graph.repositories[place as usize].name;
                self.protected.has_tag(repository, &graph.tags[item.at as usize])
            }
            _ => graph.blob_of(item).is_some_and(|manifest| self.protected.has_image(manifest)),
        };
        if is_protected {
            return (SkipGroup::Protected, "it is protected".into());
        }
        let pushed_ns = graph.changed_ns_of(item);
        if self.policy.clock.is_fresh(pushed_ns) {
            return (SkipGroup::Young, self.young("pushed", pushed_ns));
        }
        if item.kind == Kind::Revision && self.policy.needed_to_undo.has_revision(item.at) {
            return (SkipGroup::ForUndo, FOR_UNDO.into());
        }
        (SkipGroup::Unseen, UNSEEN.into())
    }

    fn young(&self, what: &str, time_ns: Option<i64>) -> String {
        match time_ns {
            // A clock was ahead, or is behind now.
            Some(time) if time > self.policy.clock.now_ns => {
                format!("{what} at {}, which is in the future", time_text(time))
            }
            Some(time) => {
                let seconds = self.policy.clock.age(time).as_secs();
                let needed = duration(self.policy.clock.min_age.as_secs());
                format!("{what} {} ago, younger than --min-age ({needed})", duration(seconds))
            }
            None => "its age is not known".into(),
        }
    }

    /// Repositories that are to go once they are empty.
    fn ghosts(&mut self, chosen: &Chosen<'_>, removal: &Removal) -> Vec<u32> {
        let graph = self.graph;
        let mut ghosts = Vec::new();
        for place in 0..graph.repositories.len() as u32 {
            let repository = &graph.repositories[place as usize];
            let is_chosen = chosen.selection.has(Kind::Repository, place);
            let is_ghost = repository.tags.is_empty() && repository.revisions.is_empty();
            if removal.goes[Kind::Repository].binary_search(&place).is_ok()
                || is_ghost && !repository.is_held && (is_chosen || chosen.is_garbage_chosen)
            {
                ghosts.push(place);
            } else if is_chosen {
                self.skip(SkipGroup::Needed, Kind::Repository, place, "something in it stays");
            }
        }
        ghosts
    }

    fn uploads(&mut self, chosen: &Chosen<'_>, ghosts: &[u32]) {
        let graph = self.graph;
        let clock = Clock { min_age: self.policy.upload_min_age, ..self.policy.clock };
        for (at, upload) in (0..).zip(&graph.uploads) {
            let is_chosen = chosen.selection.has(Kind::Upload, at)
                || ghosts.binary_search(&upload.repository).is_ok();
            if !is_chosen && !chosen.is_garbage_chosen {
                continue;
            }
            if clock.is_fresh(upload.active_ns) {
                // Garbage is what is old: an upload under way needs no line.
                if is_chosen {
                    let idle = upload.active_ns.map_or("for an unknown time".into(), |time| {
                        format!("for {}", duration(clock.age(time).as_secs()))
                    });
                    let needed = duration(clock.min_age.as_secs());
                    let reason = format!("idle {idle}; it takes {needed}");
                    self.skip(SkipGroup::Young, Kind::Upload, at, reason);
                }
            } else if self.policy.marked.has_upload(at) {
                self.skip(SkipGroup::Marked, Kind::Upload, at, MARKED);
            } else if self.is_unseen(Kind::Upload, at) {
                self.skip(SkipGroup::Unseen, Kind::Upload, at, UNSEEN);
            } else {
                self.plan.goes[Kind::Upload].push(at);
            }
        }
    }

    fn blobs(&mut self, chosen: &Chosen<'_>, removal: &Removal) {
        let graph = self.graph;
        let spared = self.spared();
        let has_odd_link = self.blobs_with_odd_links();
        for (blob, node) in (0..).zip(graph.blobs.iter()) {
            let at = blob as usize;
            let is_asked_for = chosen.selection.has(Kind::Blob, blob);
            let comes_free = removal.goes[Kind::Blob].binary_search(&blob).is_ok();
            let is_orphan = chosen.reach.is_orphan(graph, blob);
            let is_garbage = is_orphan && (chosen.is_garbage_chosen || is_asked_for);
            if !comes_free && !is_garbage {
                if is_asked_for {
                    let reason = "something keeps it; regsql why says what";
                    self.skip(SkipGroup::Needed, Kind::Blob, blob, reason);
                }
                continue;
            }
            let touched_ns = self.ages.touched_ns(blob);
            let young = if is_asked_for { SkipGroup::Young } else { SkipGroup::NotYet };
            let skip = if self.protected.has_blob(blob) {
                Some((SkipGroup::Protected, "it is protected".to_owned()))
            } else if !comes_free && self.policy.marked.has_blob(blob) {
                Some((SkipGroup::Marked, MARKED.to_owned()))
            } else if self.policy.needed_to_undo.has_blob(blob) {
                Some((SkipGroup::ForUndo, FOR_UNDO.to_owned()))
            } else if self.policy.clock.is_fresh(touched_ns) {
                Some((young, self.young("written or linked", touched_ns)))
            } else if spared.get(at).copied().unwrap_or(false) {
                let reason = "something is being uploaded to a repository that links it";
                Some((young, reason.to_owned()))
            } else if self.policy.spares_manifests && node.may_be_manifest {
                let group = if is_asked_for { SkipGroup::Needed } else { SkipGroup::Spared };
                let reason = "the running registry may remember this manifest";
                Some((group, reason.to_owned()))
            } else if has_odd_link[at] {
                let reason = "a layer link of an old kind leads to it";
                Some((SkipGroup::Needed, reason.to_owned()))
            } else if !matches!(node.digest, Digest::Sha256(_)) {
                Some((SkipGroup::Needed, "it lies where no registry puts blobs".to_owned()))
            } else if self.is_unseen(Kind::Blob, blob) {
                Some((SkipGroup::Unseen, UNSEEN.to_owned()))
            } else {
                None
            };
            match skip {
                Some((group, reason)) => self.skip(group, Kind::Blob, blob, reason),
                None => self.plan.goes[Kind::Blob].push(blob),
            }
        }
    }

    /// Blobs that a repository links to which something is being uploaded.
    fn spared(&self) -> Vec<bool> {
        let graph = self.graph;
        if !self.policy.spares_active_repositories {
            return Vec::new();
        }
        let mut spared = vec![false; graph.blobs.len()];
        for upload in &graph.uploads {
            if self.policy.clock.is_fresh(upload.active_ns) {
                let repository = &graph.repositories[upload.repository as usize];
                for link in graph.links_of(repository) {
                    spared[link.name as usize] = true;
                    spared[link.target as usize] = true;
                }
            }
        }
        spared
    }

    /// Links whose directory does not follow from their digest: tarsum's.
    fn blobs_with_odd_links(&self) -> Vec<bool> {
        let mut has_odd_link = vec![false; self.graph.blobs.len()];
        for link in &self.graph.links {
            if !has_known_path(&self.graph.blobs[link.name as usize].digest) {
                has_odd_link[link.target as usize] = true;
            }
        }
        has_odd_link
    }

    fn layer_links(&mut self, chosen: &Chosen<'_>, removal: &Removal, ghosts: &[u32]) {
        let graph = self.graph;
        let mut goes = vec![false; graph.blobs.len()];
        for blob in &self.plan.goes[Kind::Blob] {
            goes[*blob as usize] = true;
        }
        for place in 0..graph.repositories.len() as u32 {
            let repository = &graph.repositories[place as usize];
            let is_ghost = ghosts.binary_search(&place).is_ok();
            for at in repository.links.clone() {
                let link = &graph.links[at as usize];
                let becomes_needless = removal.goes[Kind::LayerLink].binary_search(&at).is_ok();
                let is_asked_for = chosen.selection.has(Kind::LayerLink, at);
                // A blob without its link is harmless, a link without its blob is not.
                let loses_its_blob = goes[link.target as usize] || goes[link.name as usize];
                let is_needless = !chosen.reach.link_is_needed[at as usize]
                    && (chosen.is_garbage_chosen || is_asked_for || is_ghost || loses_its_blob);
                if !becomes_needless && !is_needless {
                    if is_asked_for {
                        let reason = "something in the repository needs it";
                        self.skip(SkipGroup::Needed, Kind::LayerLink, at, reason);
                    }
                    continue;
                }
                if self.policy.needed_to_undo.has_link(at) {
                    self.skip(SkipGroup::ForUndo, Kind::LayerLink, at, FOR_UNDO);
                } else if self.policy.clock.is_fresh(link.linked_ns) {
                    let reason = self.young("written", link.linked_ns);
                    let group = if is_asked_for { SkipGroup::Young } else { SkipGroup::NotYet };
                    self.skip(group, Kind::LayerLink, at, reason);
                } else if self.is_unseen(Kind::LayerLink, at) {
                    self.skip(SkipGroup::Unseen, Kind::LayerLink, at, UNSEEN);
                } else if has_known_path(&graph.blobs[link.name as usize].digest) {
                    self.plan.goes[Kind::LayerLink].push(at);
                } else {
                    let reason = "it is a link of an old kind";
                    self.skip(SkipGroup::Needed, Kind::LayerLink, at, reason);
                }
            }
            if self.policy.spares_manifests {
                self.names_of_aliases(chosen, place);
            }
        }
    }

    /// A registry with a cache that is asked for a layer by its sha512 remembers it by its sha256 too, so
    /// that link stays as long as one under another name does.
    fn names_of_aliases(&mut self, chosen: &Chosen<'_>, place: u32) {
        let graph = self.graph;
        let links = graph.repositories[place as usize].links.clone();
        let goes = &mut self.plan.goes[Kind::LayerLink];
        let staying = links.clone().filter(|at| goes.binary_search(at).is_err());
        let aliases = staying.map(|at| &graph.links[at as usize]);
        let aliases = aliases.filter(|link| link.name != link.target);
        let mut targets: Vec<BlobId> = aliases.map(|link| link.target).collect();
        if targets.is_empty() {
            return;
        }
        targets.sort_unstable();
        let is_spared = |at: &u32| {
            let link = &graph.links[*at as usize];
            link.name == link.target && targets.binary_search(&link.target).is_ok()
        };
        // Links that go are sorted, and those of a repository follow one another.
        let of_repository = goes.partition_point(|at| *at < links.start)
            ..goes.partition_point(|at| *at < links.end);
        let spared: Vec<u32> = goes.extract_if(of_repository, |at| is_spared(at)).collect();
        for at in spared {
            let is_asked_for = chosen.selection.has(Kind::LayerLink, at);
            let group = if is_asked_for { SkipGroup::Needed } else { SkipGroup::Spared };
            let reason = "the running registry may remember it by the sha512 name that stays";
            self.skip(group, Kind::LayerLink, at, reason);
        }
    }

    fn mendings(&mut self, chosen: &Chosen<'_>) {
        let graph = self.graph;
        for (blob, node) in (0..).zip(graph.blobs.iter()) {
            let is_chosen = chosen.selection.has(Kind::CorruptBlob, blob);
            if !is_chosen || self.plan.goes[Kind::Blob].binary_search(&blob).is_ok() {
                continue;
            }
            if self.protected.has_blob(blob) {
                self.skip(SkipGroup::Protected, Kind::CorruptBlob, blob, "it is protected");
            } else if self.policy.clock.is_fresh(node.changed_ns) {
                let reason = self.young("written", node.changed_ns);
                self.skip(SkipGroup::Young, Kind::CorruptBlob, blob, reason);
            } else if self.is_unseen(Kind::CorruptBlob, blob) {
                self.skip(SkipGroup::Unseen, Kind::CorruptBlob, blob, UNSEEN);
            } else {
                self.plan.goes[Kind::CorruptBlob].push(blob);
            }
        }
        self.plan.others = chosen.others.iter().cloned().collect();
        for at in 0..self.plan.others.len() as u32 {
            let Some(kind) = self.plan.others[at as usize].kind() else { continue };
            if self.has_protected_history(at) {
                self.skip(SkipGroup::Protected, kind, at, "its tag is protected");
            } else if self.is_unseen(kind, at) {
                self.skip(SkipGroup::Unseen, kind, at, UNSEEN);
            } else {
                self.plan.goes[kind].push(at);
            }
        }
    }

    fn has_protected_history(&self, at: u32) -> bool {
        let Name::TagHistory { repository, history_tag, .. } = &self.plan.others[at as usize]
        else {
            return false;
        };
        let graph = self.graph;
        let place = graph.repositories.binary_search_by(|node| node.name.as_str().cmp(repository));
        let tags = place.map(|place| graph.tags_of(&graph.repositories[place])).unwrap_or_default();
        let tag = tags.iter().find(|tag| tag.name == *history_tag);
        tag.is_some_and(|tag| self.protected.has_tag(repository, tag))
    }

    /// A blob to which a link stays must stay: the registry would serve the link and miss the blob.
    fn spare_linked_blobs(&mut self) {
        let graph = self.graph;
        let mut is_linked = vec![false; graph.blobs.len()];
        let mut going = self.plan.goes[Kind::LayerLink].iter().peekable();
        for (at, link) in (0..).zip(&graph.links) {
            if going.next_if(|going| **going == at).is_none() {
                is_linked[link.name as usize] = true;
                is_linked[link.target as usize] = true;
            }
        }
        let blobs = std::mem::take(&mut self.plan.goes[Kind::Blob]);
        for blob in blobs {
            if is_linked[blob as usize] {
                let reason = "a layer link to it stays";
                self.skip(SkipGroup::NotYet, Kind::Blob, blob, reason);
            } else {
                self.plan.goes[Kind::Blob].push(blob);
            }
        }
    }

    /// Those of which nothing stays.
    fn repositories(&mut self, chosen: &Chosen<'_>, ghosts: &[u32]) {
        let graph = self.graph;
        let stays = |at: u32| self.plan.goes[Kind::Upload].binary_search(&at).is_err();
        let uploads = (0..).zip(&graph.uploads);
        let has_upload: HashSet<u32> =
            uploads.filter(|(at, _)| stays(*at)).map(|(_, upload)| upload.repository).collect();
        for &place in ghosts {
            let repository = &graph.repositories[place as usize];
            let goes = |at: u32| self.plan.goes[Kind::LayerLink].binary_search(&at).is_ok();
            let is_asked_for = chosen.selection.has(Kind::Repository, place);
            let group = if is_asked_for { SkipGroup::Young } else { SkipGroup::NotYet };
            let skip = if self.is_unseen(Kind::Repository, place) {
                (SkipGroup::Unseen, UNSEEN)
            } else if has_upload.contains(&place) {
                (group, "an upload in it stays")
            } else if !repository.links.clone().all(goes) {
                (group, "a layer link in it stays")
            } else {
                self.plan.goes[Kind::Repository].push(place);
                continue;
            };
            self.skip(skip.0, Kind::Repository, place, skip.1);
        }
    }
}

/// Whether the directory of a layer link follows from its digest.
fn has_known_path(digest: &Digest) -> bool {
    match digest {
        Digest::Sha256(_) => true,
        Digest::Other(text) => text.starts_with("sha512:"),
    }
}

impl Plan {
    /// Whether nothing goes.
    pub fn is_empty(&self) -> bool {
        self.goes.iter().all(|(_, places)| places.is_empty())
    }

    /// How many of each kind go.
    pub fn counts(&self) -> ByKind<u64> {
        ByKind::from_fn(|kind| self.goes[kind].len() as u64)
    }

    /// All that goes, in the order in which it goes.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        let all = self.goes.iter();
        all.flat_map(|(kind, places)| places.iter().map(move |at| Item { kind, at: *at }))
    }

    /// The names of all that goes, in the order in which it goes.
    pub fn names<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = Name> + 'a {
        self.items().map(|item| graph.name_of(item, &self.others))
    }
}

fn time_text(time_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time_ns))
        .map_or_else(|_| "an unknown time".into(), |time| format!("{time:.0}"))
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
