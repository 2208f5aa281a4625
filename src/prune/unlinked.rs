//! Links that somebody else removed, and that a registry may remember all the same.
//!
//! A client that deletes a layer through the API while another asks for it can leave the registry's cache
//! with a link that is gone (distribution `cachedblobdescriptorstore.go`: the cache is emptied first). From
//! then on the registry mounts that layer from there and answers 201, without a look at its disk, and
//! nothing on disk says that the blob is needed. But the API removes the file `link` and leaves its
//! directory (`linkedblobstore.go`), so each directory of a link without one is a place to ask for. A bucket
//! has no directories: there each repository may have had a link to each blob of the plan, and the scan knows
//! of those that went since.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::check::Checked;
use super::environment::ServingRegistry;
use super::executor::Executor;
use super::manifests::Named;
use super::name::SkipGroup;
use super::online::{Remembered, still_served};
use crate::graph::BlobId;
use crate::model::{Certainty, Code, Digest, Kind, is_repository_name, text_of};
use crate::scan::{Names, RepositoryFacts};
use crate::storage::{Layout, paths};

/// What a registry can be asked for: the algorithms that it knows.
const ALGORITHMS: [&str; 3] = ["sha256", "sha384", "sha512"];

/// The most that a registry is asked for where no directory says what to ask for.
const MAX_GUESSES: usize = 10_000;

/// The link of which only the directory is left.
#[derive(Clone, PartialEq, Eq)]
struct Unlinked {
    repository: String,
    digest: Digest,
    is_revision: bool,
}

impl Unlinked {
    /// What a directory was the link of, if it was that of a link that a registry serves.
    fn at(layout: &Layout, directory: &Path) -> Option<Self> {
        let encoded = directory.file_name()?.to_str()?;
        let algorithm = directory.parent()?.file_name()?.to_str()?;
        let above = directory.ancestors().nth(2)?;
        let is_revision = above.ends_with("_manifests/revisions");
        let repository = match is_revision {
            true => above.ancestors().nth(2)?,
            false if above.ends_with("_layers") => above.parent()?,
            false => return None,
        };
        let repository = text_of(repository.strip_prefix(layout.repositories()).ok()?.as_os_str());
        let digest = Digest::from_parts(algorithm, encoded)?;
        let is_served = ALGORITHMS.contains(&algorithm) && is_repository_name(&repository);
        is_served.then_some(Self { repository, digest, is_revision })
    }

    fn is_alias(&self) -> bool {
        matches!(self.digest, Digest::Other(_))
    }

    fn as_remembered(&self) -> Remembered<'_> {
        let Self { repository, digest, is_revision } = self;
        Remembered { repository, digest, is_revision: *is_revision }
    }
}

impl Executor<'_> {
    /// Asks the registry for each link that somebody else removed and that leads to something of the plan.
    /// What it still serves keeps its data. Says whether anything was asked for.
    pub(super) fn keep_what_is_remembered(&mut self, names: &Names) -> bool {
        let Some(registry) = self.registry else {
            return false;
        };
        let guessed = if self.storage.keeps_empty_directories() {
            Vec::new()
        } else {
            self.may_have_been_linked(names)
        };
        let unlinked = names.repositories.iter().flat_map(|found| self.unlinked_in(found));
        let unlinked = unlinked.chain(guessed);
        // A registry that is asked by an alias remembers what that leads to, as well.
        let (aliases, mut others): (Vec<_>, Vec<_>) = unlinked.partition(Unlinked::is_alias);
        let has_asked = !aliases.is_empty() || !others.is_empty();
        for (alias, _) in served(registry, &aliases) {
            // What it led to is known no more.
            others.extend(self.planned_blobs().map(|digest| Unlinked {
                repository: alias.repository.clone(),
                digest,
                is_revision: false,
            }));
        }
        for (unlinked, why) in served(registry, &others) {
            self.keep_remembered(unlinked, why);
        }
        has_asked
    }

    fn planned_blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        let blobs = self.steps.items.iter().filter(|item| item.kind == Kind::Blob);
        blobs.filter_map(|item| self.graph.digest_of(*item).cloned())
    }

    fn unlinked_in<'s>(
        &'s self,
        found: &'s RepositoryFacts,
    ) -> impl Iterator<Item = Unlinked> + 's {
        let layout = self.storage.layout();
        let empty = found.notes.findings.iter();
        let empty = empty.filter(|finding| finding.code == Code::EmptyDirectory);
        empty.filter_map(move |finding| {
            let directory = Path::new(&finding.path);
            let unlinked = Unlinked::at(layout, directory)?;
            // What this run took is asked for by itself.
            let is_of_use = !self.is_taken(directory) && self.is_of_the_plan(found, &unlinked);
            is_of_use.then_some(unlinked)
        })
    }

    /// Links to blobs of the plan, as layers and as revisions, that are not there and that this run did not take: all that
    /// there could have been, or if those are too many, those that the scan saw.
    fn may_have_been_linked(&self, names: &Names) -> Vec<Unlinked> {
        let layout = self.storage.layout();
        let blobs: Vec<Digest> = self.planned_blobs().collect();
        let found: HashMap<&str, &RepositoryFacts> =
            names.repositories.iter().map(|found| (found.name.as_str(), found)).collect();
        let known = self.graph.repositories.iter().map(|known| known.name.as_str());
        let all: BTreeSet<&str> = known.chain(found.keys().copied()).collect();
        let planned: BTreeSet<&Digest> = blobs.iter().collect();
        let is_too_many = all.len().saturating_mul(blobs.len()) > MAX_GUESSES;
        if is_too_many {
            self.environment.warn(&format!(
                "a bucket does not show which layers clients deleted through the API: the registry is asked only for \
                 those deleted since the scan ({} repositories, {} blobs to delete); empty its cache or restart it \
                 first if clients delete layers, see docs/deleting-in-buckets.md",
                all.len(),
                blobs.len()
            ));
        }
        let mut unlinked = Vec::new();
        for repository in all.into_iter().filter(|name| is_repository_name(name)) {
            let Some(directory) = paths::repository(layout, repository) else { continue };
            // Of few links and many blobs, or the other way round, only what is in both is looked at.
            let asked: Vec<&Digest> = if is_too_many {
                let seen = self.linked_at_the_scan(repository);
                seen.into_iter().filter(|digest| planned.contains(digest)).collect()
            } else {
                planned.iter().copied().collect()
            };
            let found = found.get(repository);
            for is_revision in [false, true] {
                let links = found
                    .map(|found| if is_revision { &found.revisions } else { &found.layer_links });
                let there: HashSet<&Digest> =
                    links.into_iter().flatten().map(|link| &link.name).collect();
                let link_of = if is_revision { paths::revision } else { paths::layer_link };
                for &digest in &asked {
                    if there.contains(digest) || is_revision && !self.may_be_manifest(digest) {
                        continue;
                    }
                    if !link_of(&directory, digest).is_some_and(|path| self.is_taken(&path)) {
                        let (repository, digest) = (repository.to_owned(), digest.clone());
                        unlinked.push(Unlinked { repository, digest, is_revision });
                    }
                }
            }
        }
        unlinked
    }

    fn may_be_manifest(&self, digest: &Digest) -> bool {
        let blob = self.graph.blob_by_digest(digest);
        blob.is_none_or(|blob| self.graph.blobs[blob as usize].may_be_manifest)
    }

    /// What a repository had links to when it was scanned, revisions included.
    fn linked_at_the_scan(&self, repository: &str) -> BTreeSet<&Digest> {
        let repositories = &self.graph.repositories;
        let place = repositories.binary_search_by(|known| known.name.as_str().cmp(repository));
        let Ok(place) = place else { return BTreeSet::new() };
        let known = &repositories[place];
        let links = &self.graph.links[known.links.start as usize..known.links.end as usize];
        let named = links.iter().map(|link| link.name);
        let named = named.chain(self.graph.revisions_of(known).iter().copied());
        named.map(|blob| &self.graph.blobs[blob as usize].digest).collect()
    }

    /// Whether the plan takes what a link would lead to.
    fn is_of_the_plan(&self, found: &RepositoryFacts, unlinked: &Unlinked) -> bool {
        let is_blob_step = |digest: &Digest| {
            paths::blob(self.storage.layout(), digest).is_some_and(|path| self.is_step(&path))
        };
        if unlinked.is_alias() {
            return self.planned_blobs().next().is_some();
        }
        if !unlinked.is_revision {
            return is_blob_step(&unlinked.digest);
        }
        let content = self.read_manifest(&unlinked.digest);
        let is_there = content.is_ok();
        let named = Named::by(&unlinked.digest, &content, Certainty::Certain);
        let is_step = |digest: &Digest| {
            let places =
                [paths::revision(&found.path, digest), paths::layer_link(&found.path, digest)];
            is_blob_step(digest) || places.iter().flatten().any(|path| self.is_step(path))
        };
        is_there && (named.is_unknown || named.references.iter().any(|(digest, _)| is_step(digest)))
    }

    fn keep_remembered(&mut self, unlinked: &Unlinked, why: Option<String>) {
        let Unlinked { repository, digest, is_revision } = unlinked;
        let said = match why {
            None => "is still served from the registry's cache".to_owned(),
            Some(why) => format!("may still be served from the registry's cache ({why})"),
        };
        let until = "until the cache is emptied: a restart, or in Redis the removal of its keys";
        if *is_revision {
            self.environment.warn(&format!(
                "{repository}@{digest} was deleted and {said}: what it needs stays {until}"
            ));
            if let Some(directory) = paths::repository(self.storage.layout(), repository) {
                self.require(&directory, digest);
            }
            return;
        }
        let blob = self.graph.blob_by_digest(digest);
        let reason = format!("its link in {repository} was deleted and {said}: it stays {until}");
        if let Some(blob) = blob {
            self.stays_because(blob, reason);
        }
        self.keep_blob(digest);
    }

    /// Says why a blob stays: now, if it went already, or when its turn comes.
    fn stays_because(&mut self, blob: BlobId, reason: String) {
        let digest = &self.graph.blobs[blob as usize].digest;
        let Some(path) = paths::blob(self.storage.layout(), digest) else {
            return;
        };
        let taken = self.taken().find(|(at, _)| self.steps.moves[*at].path == path);
        match taken {
            Some((_, item)) => self.skip(SkipGroup::Failed, item, reason),
            None => drop(self.needed.reasons.insert(path, reason)),
        }
    }

    /// An empty directory is all that says that there was a link. It must not go before the registry has
    /// forgotten that.
    pub(super) fn must_be_forgotten(&self, directory: &Path) -> Checked {
        let unlinked = Unlinked::at(self.storage.layout(), directory);
        let (Some(registry), Some(unlinked)) = (self.registry, unlinked) else {
            return Ok(());
        };
        match unlinked.as_remembered().is_served(registry) {
            Ok(false) => Ok(()),
            Ok(true) => {
                let reason = "a client deleted this link, and the registry's cache still serves it";
                Err((SkipGroup::Failed, reason.into()))
            }
            Err(why) => Err((SkipGroup::Failed, why)),
        }
    }
}

/// What of these a registry serves or may serve, and why it may if it does not say.
fn served<'u>(
    registry: &dyn ServingRegistry,
    all: &'u [Unlinked],
) -> Vec<(&'u Unlinked, Option<String>)> {
    let questions: Vec<_> =
        all.iter().map(|unlinked| (unlinked, unlinked.as_remembered())).collect();
    still_served(registry, &questions)
}
