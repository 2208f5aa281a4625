//! From what was chosen to what goes: a pure function.

use std::collections::HashSet;
use std::time::Duration;

use super::age::{Ages, Clock};
use super::choose::Chosen;
use super::name::{Name, NameSet, SkipGroup, Skipped};
use super::named::{blob_name, corrupt_name, link_name, revision_name, tag_name, upload_name};
use super::protect::Protect;
use super::protected::Protected;
use crate::graph::BlobId;
use crate::graph::{self, Graph, Item, Reason, Removal, total_bytes};
use crate::model::Digest;

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
    /// What a person has seen, when there was time for something to change since. All else stays,
    /// and so does all that it needs.
    pub only: Option<NameSet>,
}

/// What goes: places in the graph's lists, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tags.
    pub tags: Vec<u32>,
    /// Revisions.
    pub revisions: Vec<u32>,
    /// Layer links.
    pub layer_links: Vec<u32>,
    /// Uploads.
    pub uploads: Vec<u32>,
    /// Blobs.
    pub blobs: Vec<BlobId>,
    /// Blobs whose content is wrong. They go although images need them: the registry keeps a wrong
    /// blob for ever, and takes a new one only when it is gone.
    pub corrupt: Vec<BlobId>,
    /// Paths of what interrupted writes left.
    pub leftovers: Vec<String>,
    /// Repositories with nothing left in them.
    pub repositories: Vec<u32>,
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
    work.tell_skipped(&removal);
    if policy.keeps_revisions {
        // No revision is chosen any more, so these are the chosen ones.
        work.plan.tags = removal.tags;
        work.plan.shared_bytes = 0;
        return work.plan;
    }
    work.plan.tags.clone_from(&removal.tags);
    work.plan.revisions.clone_from(&removal.revisions);
    let ghosts = work.ghosts(&chosen, &removal);
    work.uploads(&chosen, &ghosts);
    work.blobs(&chosen, &removal);
    work.layer_links(&chosen, &removal, &ghosts);
    work.spare_linked_blobs();
    work.repositories(&chosen, &ghosts);
    work.mendings(&chosen);
    let sizes =
        work.plan.blobs.iter().chain(&work.plan.corrupt).map(|blob| graph.size_bytes(*blob));
    let uploads = work.plan.uploads.iter().map(|at| graph.uploads[*at as usize].size_bytes);
    work.plan.freed_bytes = total_bytes(sizes.chain(uploads));
    work.plan
}

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
    fn skip(&mut self, group: SkipGroup, name: Name, reason: impl Into<String>) {
        self.plan.skipped.push(Skipped::new(group, name, reason));
    }

    /// Marks tags and revisions that are fresh or protected, so that all they need stays, and takes
    /// back whole repositories that cannot be read whole.
    fn hold_back(&self, chosen: &mut Chosen<'_>) {
        let (graph, policy) = (self.graph, self.policy);
        for place in 0..graph.repositories.len() {
            let repository = &graph.repositories[place];
            for tag in repository.tags.clone() {
                let node = &graph.tags[tag as usize];
                chosen.selection.kept_tags[tag as usize] = policy.clock.is_fresh(node.pushed_ns)
                    || self.protected.has_tag(&repository.name, node)
                    || self.is_unseen(|| tag_name(graph, place as u32, tag));
            }
            for at in repository.revisions.clone() {
                let manifest = graph.revisions[at as usize];
                chosen.selection.kept_revisions[at as usize] =
                    policy.clock.is_fresh(graph.revisions_pushed_ns[at as usize])
                        || self.protected.has_image(manifest)
                        || self.is_unseen(|| revision_name(graph, place as u32, at));
            }
            if chosen.selection.repositories[place] && repository.is_held {
                chosen.selection.repositories[place] = false;
                let name = Name::Repository { repository: repository.name.clone() };
                chosen.skip(SkipGroup::Held, name, "something in it cannot be read");
            }
        }
    }

    /// Whether a person has seen a plan, and this was not in it.
    fn is_unseen(&self, name: impl FnOnce() -> Name) -> bool {
        self.policy.only.as_ref().is_some_and(|only| !only.has(&name()))
    }

    fn tell_skipped(&mut self, removal: &Removal) {
        for skipped in &removal.skipped {
            if self.policy.keeps_revisions && matches!(skipped.item, Item::Revision(_)) {
                // Nobody asked for what a tag leads to.
                continue;
            }
            let name = self.name_of(skipped.repository, skipped.item);
            let (group, reason) = match skipped.reason {
                Reason::Kept => self.why_kept(skipped.repository, skipped.item),
                Reason::Rooted => (SkipGroup::Protected, skipped.reason.text(self.graph)),
                Reason::Held | Reason::TagUnreadable => {
                    (SkipGroup::Held, skipped.reason.text(self.graph))
                }
                _ => (SkipGroup::Needed, skipped.reason.text(self.graph)),
            };
            self.skip(group, name, reason);
        }
    }

    fn why_kept(&self, repository: u32, item: Item) -> (SkipGroup, String) {
        let (graph, protected) = (self.graph, &self.protected);
        let repository = &graph.repositories[repository as usize].name;
        let (is_protected, pushed_ns) = match item {
            Item::Tag(tag) => {
                let node = &graph.tags[tag as usize];
                (protected.has_tag(repository, node), node.pushed_ns)
            }
            Item::Revision(at) => {
                let manifest = graph.revisions[at as usize];
                (protected.has_image(manifest), graph.revisions_pushed_ns[at as usize])
            }
        };
        if is_protected {
            return (SkipGroup::Protected, "it is protected".into());
        }
        if self.policy.clock.is_fresh(pushed_ns) {
            return (SkipGroup::Young, self.young("pushed", pushed_ns));
        }
        (SkipGroup::Unseen, UNSEEN.into())
    }

    fn young(&self, what: &str, time_ns: Option<i64>) -> String {
        match time_ns {
            Some(time) => {
                let seconds = self.policy.clock.age(time).as_secs();
                let needed = duration(self.policy.clock.min_age.as_secs());
                format!("{what} {} ago, younger than --min-age ({needed})", duration(seconds))
            }
            None => "its age is not known".into(),
        }
    }

    fn name_of(&self, repository: u32, item: Item) -> Name {
        match item {
            Item::Tag(tag) => tag_name(self.graph, repository, tag),
            Item::Revision(revision) => revision_name(self.graph, repository, revision),
        }
    }

    /// Repositories that are to go once they are empty.
    fn ghosts(&mut self, chosen: &Chosen<'_>, removal: &Removal) -> Vec<u32> {
        let graph = self.graph;
        let mut ghosts = Vec::new();
        for place in 0..graph.repositories.len() as u32 {
            let repository = &graph.repositories[place as usize];
            let is_chosen = chosen.selection.repositories[place as usize];
            let is_ghost = repository.tags.is_empty() && repository.revisions.is_empty();
            if removal.repositories.binary_search(&place).is_ok()
                || is_ghost && !repository.is_held && (is_chosen || chosen.is_garbage_chosen)
            {
                ghosts.push(place);
            } else if is_chosen {
                let name = Name::Repository { repository: repository.name.clone() };
                self.skip(SkipGroup::Needed, name, "something in it stays");
            }
        }
        ghosts
    }

    fn uploads(&mut self, chosen: &Chosen<'_>, ghosts: &[u32]) {
        let graph = self.graph;
        let clock = Clock { min_age: self.policy.upload_min_age, ..self.policy.clock };
        for (at, upload) in graph.uploads.iter().enumerate() {
            let is_chosen = chosen.uploads[at] || ghosts.binary_search(&upload.repository).is_ok();
            if !is_chosen && !chosen.is_garbage_chosen {
                continue;
            }
            if clock.is_fresh(upload.active_ns) {
                // Garbage is what is old: an upload under way is no news to anyone.
                if is_chosen {
                    let idle = upload.active_ns.map_or("for an unknown time".into(), |time| {
                        format!("for {}", duration(clock.age(time).as_secs()))
                    });
                    let needed = duration(clock.min_age.as_secs());
                    let reason = format!("idle {idle}; it takes {needed}");
                    self.skip(SkipGroup::Young, upload_name(graph, at as u32), reason);
                }
            } else if self.is_unseen(|| upload_name(graph, at as u32)) {
                self.skip(SkipGroup::Unseen, upload_name(graph, at as u32), UNSEEN);
            } else {
                self.plan.uploads.push(at as u32);
            }
        }
    }

    fn blobs(&mut self, chosen: &Chosen<'_>, removal: &Removal) {
        let graph = self.graph;
        let spared = self.spared();
        let has_odd_link = self.blobs_with_odd_links();
        for (at, node) in graph.blobs.iter().enumerate() {
            let blob = at as BlobId;
            let comes_free = removal.blobs.binary_search(&blob).is_ok();
            let is_orphan = chosen.reach.is_orphan(graph, blob);
            let is_garbage = is_orphan && (chosen.is_garbage_chosen || chosen.blobs[at]);
            if !comes_free && !is_garbage {
                if chosen.blobs[at] {
                    let reason = "something keeps it; regsql why says what";
                    self.skip(SkipGroup::Needed, blob_name(graph, blob), reason);
                }
                continue;
            }
            let touched_ns = self.ages.touched_ns(blob);
            let young = if chosen.blobs[at] { SkipGroup::Young } else { SkipGroup::NotYet };
            let skip = if self.protected.has_blob(blob) {
                Some((SkipGroup::Protected, "it is protected".to_owned()))
            } else if self.policy.clock.is_fresh(touched_ns) {
                Some((young, self.young("written or linked", touched_ns)))
            } else if spared.get(at).copied().unwrap_or(false) {
                let reason = "something is being uploaded to a repository that links it";
                Some((young, reason.to_owned()))
            } else if self.policy.spares_manifests && node.may_be_manifest {
                let group = if chosen.blobs[at] { SkipGroup::Needed } else { SkipGroup::Spared };
                let reason = "the running registry may remember this manifest";
                Some((group, reason.to_owned()))
            } else if has_odd_link[at] {
                let reason = "a layer link of an old kind leads to it";
                Some((SkipGroup::Needed, reason.to_owned()))
            } else if !matches!(node.digest, Digest::Sha256(_)) {
                Some((SkipGroup::Needed, "it lies where no registry puts blobs".to_owned()))
            } else if self.is_unseen(|| blob_name(graph, blob)) {
                Some((SkipGroup::Unseen, UNSEEN.to_owned()))
            } else {
                None
            };
            match skip {
                Some((group, reason)) => self.skip(group, blob_name(graph, blob), reason),
                None => self.plan.blobs.push(blob),
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

    /// Links whose directory cannot be told from their digest: tarsum's.
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
        for blob in &self.plan.blobs {
            goes[*blob as usize] = true;
        }
        for place in 0..graph.repositories.len() as u32 {
            let repository = &graph.repositories[place as usize];
            let is_ghost = ghosts.binary_search(&place).is_ok();
            for at in repository.links.clone() {
                let link = &graph.links[at as usize];
                let becomes_needless = removal.layer_links.binary_search(&at).is_ok();
                let is_asked_for = chosen.layer_links[at as usize];
                // A blob without its link is harmless, a link without its blob is not.
                let loses_its_blob = goes[link.target as usize] || goes[link.name as usize];
                let is_needless = !chosen.reach.link_is_needed[at as usize]
                    && (chosen.is_garbage_chosen || is_asked_for || is_ghost || loses_its_blob);
                if !becomes_needless && !is_needless {
                    if is_asked_for {
                        let reason = "something in the repository needs it";
                        self.skip(SkipGroup::Needed, link_name(graph, place, at), reason);
                    }
                    continue;
                }
                if self.policy.clock.is_fresh(link.linked_ns) {
                    let reason = self.young("written", link.linked_ns);
                    let group = if is_asked_for { SkipGroup::Young } else { SkipGroup::NotYet };
                    self.skip(group, link_name(graph, place, at), reason);
                } else if self.is_unseen(|| link_name(graph, place, at)) {
                    self.skip(SkipGroup::Unseen, link_name(graph, place, at), UNSEEN);
                } else if has_known_path(&graph.blobs[link.name as usize].digest) {
                    self.plan.layer_links.push(at);
                } else {
                    let reason = "it is a link of an old kind";
                    self.skip(SkipGroup::Needed, link_name(graph, place, at), reason);
                }
            }
        }
    }

    fn mendings(&mut self, chosen: &Chosen<'_>) {
        let graph = self.graph;
        for blob in 0..graph.blobs.len() as BlobId {
            if !chosen.corrupt[blob as usize] || self.plan.blobs.binary_search(&blob).is_ok() {
                continue;
            }
            let node = &graph.blobs[blob as usize];
            let name = corrupt_name(graph, blob);
            if self.protected.has_blob(blob) {
                self.skip(SkipGroup::Protected, name, "it is protected");
            } else if self.policy.clock.is_fresh(node.changed_ns) {
                self.skip(SkipGroup::Young, name, self.young("written", node.changed_ns));
            } else if self.is_unseen(|| corrupt_name(graph, blob)) {
                self.skip(SkipGroup::Unseen, name, UNSEEN);
            } else {
                self.plan.corrupt.push(blob);
            }
        }
        for path in &chosen.leftovers {
            let name = Name::Leftover { path: path.clone() };
            if self.is_unseen(|| name.clone()) {
                self.skip(SkipGroup::Unseen, name, UNSEEN);
            } else {
                self.plan.leftovers.push(path.clone());
            }
        }
    }

    /// A blob to which a link stays must stay: the registry would serve the link and miss the blob.
    fn spare_linked_blobs(&mut self) {
        let graph = self.graph;
        let mut is_linked = vec![false; graph.blobs.len()];
        let mut going = self.plan.layer_links.iter().peekable();
        for (at, link) in (0..).zip(&graph.links) {
            if going.next_if(|going| **going == at).is_none() {
                is_linked[link.name as usize] = true;
                is_linked[link.target as usize] = true;
            }
        }
        let blobs = std::mem::take(&mut self.plan.blobs);
        for blob in blobs {
            if is_linked[blob as usize] {
                let reason = "a layer link to it stays";
                self.skip(SkipGroup::NotYet, blob_name(graph, blob), reason);
            } else {
                self.plan.blobs.push(blob);
            }
        }
    }

    /// Those of which nothing stays.
    fn repositories(&mut self, chosen: &Chosen<'_>, ghosts: &[u32]) {
        let graph = self.graph;
        let stays = |at: u32| self.plan.uploads.binary_search(&at).is_err();
        let uploads = (0..).zip(&graph.uploads);
        let has_upload: HashSet<u32> =
            uploads.filter(|(at, _)| stays(*at)).map(|(_, upload)| upload.repository).collect();
        for &place in ghosts {
            let repository = &graph.repositories[place as usize];
            let goes = |at: u32| self.plan.layer_links.binary_search(&at).is_ok();
            let name = Name::Repository { repository: repository.name.clone() };
            let is_asked_for = chosen.selection.repositories[place as usize];
            let group = if is_asked_for { SkipGroup::Young } else { SkipGroup::NotYet };
            if self.is_unseen(|| name.clone()) {
                self.skip(SkipGroup::Unseen, name, UNSEEN);
            } else if has_upload.contains(&place) {
                self.skip(group, name, "an upload in it stays");
            } else if repository.links.clone().all(goes) {
                self.plan.repositories.push(place);
            } else {
                self.skip(group, name, "a layer link in it stays");
            }
        }
    }
}

/// Whether the directory of a layer link can be told from its digest.
fn has_known_path(digest: &Digest) -> bool {
    match digest {
        Digest::Sha256(_) => true,
        Digest::Other(text) => text.starts_with("sha512:"),
    }
}

impl Plan {
    /// Whether nothing goes.
    pub fn is_empty(&self) -> bool {
        let places = [
            &self.tags,
            &self.revisions,
            &self.layer_links,
            &self.uploads,
            &self.blobs,
            &self.corrupt,
            &self.repositories,
        ];
        self.leftovers.is_empty() && places.iter().all(|places| places.is_empty())
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
