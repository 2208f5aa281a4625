//! Reading all repositories again while the plan is being carried out.
//!
//! A push writes a layer link or a revision's link before it relies on a blob, so a blob to which
//! no link leads, and that no revision names which the scan did not see, is needed by nothing. Links
//! and revisions that appeared since are what this looks for; what they need stays or comes back.

use std::io;
use std::path::Path;

use super::executor::{Destination, Executor};
use super::name::SkipGroup;
use super::places;
use crate::graph::{Item, RepositoryNode};
use crate::model::{Digest, HoldScope, Kind, LinkContent, MAX_LINK_BYTES, bytes_of, parse_link};
use crate::scan::{self, LinkFacts, Names, RepositoryFacts, TagFacts};

impl Executor<'_> {
    /// Reads names and times of all repositories, and keeps what anything new needs, or what the registry
    /// remembers.
    pub fn recheck(&mut self) {
        self.late_writes();
        self.put_back_what_is_served();
        let names = self.read_repositories();
        // Whoever relied on an answer that came before this one has written its links by now.
        if names.is_some_and(|names| self.keep_what_is_remembered(&names)) {
            self.read_repositories();
        }
    }

    fn read_repositories(&mut self) -> Option<Names> {
        if self.refresh().is_err() {
            self.require_everything();
            return None;
        }
        let names = scan::read_names(self.storage);
        let of_repositories = names.repositories.iter().map(|found| &found.notes);
        let all = of_repositories.chain([&names.notes]).flat_map(|notes| &notes.holds);
        // What could hide a reference to any blob and did not at the scan.
        let is_new = |scope: &HoldScope| match scope {
            HoldScope::Storage => !self.graph.is_storage_held(),
            HoldScope::Manifests => {
                !self.graph.has_hidden_revisions() && !self.graph.is_storage_held()
            }
            HoldScope::Repository | HoldScope::Blob => false,
        };
        if all.into_iter().any(|hold| is_new(&hold.scope)) {
            self.require_everything();
        }
        for found in &names.repositories {
            self.recheck_repository(found);
        }
        Some(names)
    }

    fn recheck_repository(&mut self, found: &RepositoryFacts) {
        let graph = self.graph;
        let place =
            graph.repositories.binary_search_by(|known| known.name.as_str().cmp(&found.name)).ok();
        let known = place.map(|place| &graph.repositories[place]);
        let is_held = known.is_some_and(|known| known.is_held);
        if !found.notes.holds.is_empty() && !is_held {
            return self.require_repository(&found.path);
        }
        for link in &found.layer_links {
            // Those that were taken are gone: whatever is there now keeps its blob.
            self.keep_linked(&found.path, &link.name);
        }
        for revision in &found.revisions {
            if !known.is_some_and(|known| self.is_known_revision(known, revision)) {
                self.require(&found.path, &revision.name);
                self.return_tags(place, &revision.name);
            }
        }
        for tag in &found.tags {
            if !known.is_some_and(|known| self.is_known_tag(known, tag)) {
                self.require_tag(&found.path, &tag.name);
            }
        }
    }

    /// In a bucket nothing tells the tag that went from one that was pushed at that moment with the same
    /// manifest. Such a push wrote the revision before the tag, so a revision that is new brings back the
    /// tags that lead to it.
    fn return_tags(&mut self, place: Option<usize>, digest: &Digest) {
        if self.is_of_files() {
            return;
        }
        let graph = self.graph;
        let is_its_tag = |item: &Item| {
            item.kind == Kind::Tag
                && graph.repository_of(*item).map(|of| of as usize) == place
                && graph.digest_of(*item) == Some(digest)
        };
        let taken: Vec<(usize, Item)> = self.taken().filter(|(_, item)| is_its_tag(item)).collect();
        for (at, item) in taken {
            let reason = "its manifest was pushed again while it went; it is back";
            self.skip(SkipGroup::Changed, item, reason);
            let path = self.steps.moves[at].path.clone();
            if self.put_back(&path).is_err() {
                self.require_everything();
            }
        }
    }

    /// The scan saw it, with that time, and nothing here removed it.
    fn is_known_revision(&self, known: &RepositoryNode, found: &LinkFacts) -> bool {
        let graph = self.graph;
        let Some(blob) = graph.blob_by_digest(&found.name) else {
            return false;
        };
        let at = graph.revisions_of(known).binary_search(&blob);
        at.is_ok_and(|at| {
            let at = known.revisions.start + at as u32;
            graph.revisions_pushed_ns[at as usize] == Some(found.modified_ns)
        })
    }

    fn is_known_tag(&self, known: &RepositoryNode, found: &TagFacts) -> bool {
        let tags = self.graph.tags_of(known);
        let at = tags.binary_search_by(|tag| tag.name.as_str().cmp(&found.name));
        at.is_ok_and(|at| tags[at].pushed_ns == found.modified_ns)
    }

    fn require_tag(&mut self, repository: &Path, name: &str) {
        let link = bytes_of(name)
            .map(|name| repository.join("_manifests/tags").join(name).join("current/link"));
        let content = link.map(|link| self.storage.read_anew(&link, MAX_LINK_BYTES as u64));
        match content {
            Some(Ok(content)) => match parse_link(&content.bytes) {
                LinkContent::Clean(digest) | LinkContent::Spaced(digest) => {
                    self.require(repository, &digest);
                }
                // Just being written, perhaps.
                LinkContent::Nothing(_) => self.require_repository(repository),
            },
            // A tag without a current link leads nowhere yet.
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            _ => self.require_repository(repository),
        }
    }

    /// A push that had a link open when it was renamed has written into the trash.
    fn late_writes(&mut self) {
        let taken: Vec<(usize, Item)> = self.taken().collect();
        for (at, item) in taken {
            if !matches!(item.kind, Kind::Tag | Kind::Revision | Kind::LayerLink) {
                continue;
            }
            let file = places::file_of(item.kind).unwrap_or_default();
            let time_ns = self.graph.changed_ns_of(item);
            let path = self.steps.moves[at].path.clone();
            let facts = match &self.destination {
                Destination::Trash(run) => run.stat_taken(&path.join(file)),
                Destination::Aside(aside) => aside.stat(&path.join(file)),
                Destination::Nowhere => return,
            };
            let reason = match facts {
                Ok(facts) if Some(facts.modified_ns) == time_ns => continue,
                Ok(_) => "it was written to while it went; it is back".to_owned(),
                // A tag that never had a link, or a client deleted the link just before: nothing was
                // written, and there is nothing to bring back.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => format!("it cannot be looked at ({error}); it is back"),
            };
            self.skip(SkipGroup::Changed, item, reason);
            match self.put_back(&path) {
                Ok(_) => self.after_late_write(item),
                Err(_) => self.require_everything(),
            }
        }
    }

    fn after_late_write(&mut self, item: Item) {
        let repository = self.graph.repository_of(item).and_then(|place| self.directory(place));
        match (item.kind, repository) {
            // It may point elsewhere now.
            (Kind::Tag, Some(repository)) => {
                let name = self.graph.tags[item.at as usize].name.clone();
                self.require_tag(&repository, &name);
            }
            (Kind::Revision | Kind::LayerLink, Some(_)) => self.stays(item),
            _ => self.require_everything(),
        }
    }
}
