//! Links that somebody else removed, and that a registry may remember all the same.
//!
//! A client that deletes a layer through the API while another asks for it can leave the registry's cache
//! with a link that is gone (distribution `cachedblobdescriptorstore.go`: the cache is emptied first). From
//! then on the registry mounts that layer from there and answers 201, without a look at its disk, and
//! nothing on disk says that the blob is needed. But the API removes the file `link` and leaves its
//! directory (`linkedblobstore.go`), so each directory of a link without one is a place to ask for. A bucket
//! has no directories: there each repository may have had a link to each blob of the plan.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::check::Checked;
use super::environment::{Environment, ServingRegistry};
use super::executor::Executor;
use super::manifests::Named;
use super::name::SkipGroup;
use super::online::{Remembered, still_served};
use crate::graph::{BlobId, Item};
use crate::model::{Certainty, Code, Digest, Kind, is_repository_name, text_of};
use crate::scan::{Names, RepositoryFacts};
use crate::storage::{Layout, paths};

/// What a registry can be asked for: the algorithms that it knows.
const ALGORITHMS: [&str; 3] = ["sha256", "sha384", "sha512"];

/// The most that a registry is asked for where no directory says what to ask for: some minutes. What it
/// was not asked for stays for the next run.
const MAX_GUESSES: usize = 100_000;

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
        // Nothing goes any more, and nothing went.
        if self.environment.is_stopped() && !self.taken().any(|(_, item)| item.kind == Kind::Blob) {
            return false;
        }
        let guessed = if self.storage.keeps_empty_directories() {
            Vec::new()
        } else {
            self.may_have_been_linked(names)
        };
        let unlinked = names.repositories.iter().flat_map(|found| self.unlinked_in(found));
        let unlinked = unlinked.chain(guessed);
        let (aliases, mut others): (Vec<_>, Vec<_>) = unlinked.partition(Unlinked::is_alias);
        let repositories: BTreeSet<String> =
            aliases.into_iter().map(|alias| alias.repository).collect();
        for repository in repositories {
            self.keep_links_of(&repository);
            // What the alias led to is known no more. Whoever asked by it made the registry remember that, and it
            // still does when the alias is forgotten, with no directory of its own.
            others.extend(self.planned_blobs().map(|digest| Unlinked {
                repository: repository.clone(),
                digest,
                is_revision: false,
            }));
        }
        let has_asked = !others.is_empty();
        for (unlinked, why) in served(registry, &others, self.environment) {
            self.keep_remembered(unlinked, why);
        }
        has_asked
    }

    /// A registry that remembers an alias takes pushes over it, and cannot be asked: it answers for what the alias leads to.
    /// Any link of the repository may be that.
    fn keep_links_of(&mut self, repository: &str) {
        let Some(directory) = paths::repository(self.storage.layout(), repository) else { return };
        let graph = self.graph;
        let items = self.steps.moves.iter().zip(&self.steps.items);
        let links = items.filter(|(taken, item)| {
            item.kind == Kind::LayerLink && taken.path.starts_with(&directory)
        });
        let links: Vec<u32> = links.map(|(_, item)| item.at).collect();
        for link in links.into_iter().map(|at| &graph.links[at as usize]) {
            for blob in [link.name, link.target] {
                self.keep_linked(&directory, &graph.blobs[blob as usize].digest);
            }
        }
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

    /// All links to blobs of the plan, as layers and as revisions, that there could have been, and that are neither there
    /// nor taken by this run. Blobs for which there would be too many stay, the smallest first; everything does where manifests
    /// are among them.
    fn may_have_been_linked(&mut self, names: &Names) -> Vec<Unlinked> {
        let layout = self.storage.layout();
        let found: HashMap<&str, &RepositoryFacts> =
            names.repositories.iter().map(|found| (found.name.as_str(), found)).collect();
        let known = self.graph.repositories.iter().map(|known| known.name.as_str());
        let all: BTreeSet<&str> = known.chain(found.keys().copied()).collect();
        let asked = self.asked_for(all.len());
        let mut unlinked = Vec::new();
        for repository in all.into_iter().filter(|name| is_repository_name(name)) {
            let Some(directory) = paths::repository(layout, repository) else { continue };
            let found = found.get(repository);
            for is_revision in [false, true] {
                let links = found
                    .map(|found| if is_revision { &found.revisions } else { &found.layer_links });
                let there: HashSet<&Digest> =
                    links.into_iter().flatten().map(|link| &link.name).collect();
                let link_of = if is_revision { paths::revision } else { paths::layer_link };
                for digest in &asked {
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

    /// The blobs that the registry can be asked for in each of `repository_count` repositories. The others stay.
    fn asked_for(&mut self, repository_count: usize) -> BTreeSet<Digest> {
        let steps = self.steps.items.iter().enumerate();
        let going = steps.filter(|(at, item)| item.kind == Kind::Blob && self.may_go(*at, **item));
        let mut blobs: Vec<BlobId> = going.map(|(_, item)| item.at).collect();
        // What may be a manifest is the first: all that it names hangs on the answer.
        blobs.sort_by_key(|blob| {
            let is_layer = !self.graph.blobs[*blob as usize].may_be_manifest;
            (is_layer, std::cmp::Reverse(self.graph.size_bytes(*blob)))
        });
        let digest_of = |blob: BlobId| self.graph.blobs[blob as usize].digest.clone();
        let mut question_count = 0_usize;
        let is_asked = |blob: &BlobId| {
            let node = &self.graph.blobs[*blob as usize];
            let each = if node.may_be_manifest { 2 } else { 1 };
            question_count = question_count.saturating_add(each * repository_count);
            question_count <= MAX_GUESSES
        };
        let asked_count = blobs.iter().copied().take_while(is_asked).count();
        let left = blobs.split_off(asked_count);
        if !left.is_empty() {
            self.environment.warn(&format!(
                "{} of {} blobs stay for the next run: a bucket does not show which layers clients deleted through \
                 the API, so the registry's cache is asked for each blob in each of {repository_count} repositories, \
                 {MAX_GUESSES} at most; to delete all at once make the registry read-only or stop it and leave \
                 --online out, see docs/deleting-in-buckets.md",
                left.len(),
                left.len() + asked_count,
            ));
        }
        if left.iter().any(|blob| self.graph.blobs[*blob as usize].may_be_manifest) {
            self.require_everything();
        }
        for blob in left {
            let reason = "the registry's cache was asked for as many others as one run asks for";
            self.stays_because(blob, SkipGroup::Spared, reason.into());
        }
        blobs.into_iter().map(digest_of).collect()
    }

    fn may_be_manifest(&self, digest: &Digest) -> bool {
        let blob = self.graph.blob_by_digest(digest);
        blob.is_none_or(|blob| self.graph.blobs[blob as usize].may_be_manifest)
    }

    /// Whether the plan takes what a link would lead to.
    fn is_of_the_plan(&self, found: &RepositoryFacts, unlinked: &Unlinked) -> bool {
        let is_blob_step = |digest: &Digest| {
            paths::blob(self.storage.layout(), digest).is_some_and(|path| self.is_step(&path))
        };
        if unlinked.is_alias() {
            return true;
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
        match blob {
            Some(blob) => self.stays_because(blob, SkipGroup::Failed, reason),
            None => self.keep_blob(digest),
        }
    }

    /// Keeps a blob and says why: now, if it went already, or when its turn comes.
    fn stays_because(&mut self, blob: BlobId, group: SkipGroup, reason: String) {
        let digest = self.graph.blobs[blob as usize].digest.clone();
        let Some(path) = paths::blob(self.storage.layout(), &digest) else {
            return;
        };
        if self.is_taken(&path) {
            self.skip(group, Item::new(Kind::Blob, blob), reason);
            self.keep_blob(&digest);
        } else {
            self.needed.reasons.insert(path.clone(), (group, reason));
            self.needed.paths.insert(path);
        }
    }

    /// An empty directory is all that says that there was a link. It must not go before the registry has
    /// forgotten that.
    pub(super) fn must_be_forgotten(&self, directory: &Path) -> Checked {
        let unlinked = Unlinked::at(self.storage.layout(), directory);
        let (Some(registry), Some(unlinked)) = (self.registry, unlinked) else {
            return Ok(());
        };
        if unlinked.is_alias() {
            // The registry cannot be asked for what it led to: that may be no part of this plan.
            let reason = "a registry's cache may remember what this deleted name led to";
            return Err((SkipGroup::Spared, reason.into()));
        }
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
    environment: &dyn Environment,
) -> Vec<(&'u Unlinked, Option<String>)> {
    let questions: Vec<_> =
        all.iter().map(|unlinked| (unlinked, unlinked.as_remembered())).collect();
    still_served(registry, &questions, environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_link_says_what_a_registry_was_asked_for() {
        let layout = Layout::new("docker/registry/v2".into());
        let hex = "ab".repeat(32);
        let at = |path: &str| Unlinked::at(&layout, &layout.repositories().join(path));
        let layer = at(&format!("shop/web/_layers/sha256/{hex}")).unwrap();
        assert_eq!((layer.repository.as_str(), layer.is_revision), ("shop/web", false));
        assert_eq!((layer.digest.to_string(), layer.is_alias()), (format!("sha256:{hex}"), false));
        let revision = at(&format!("app/_manifests/revisions/sha256/{hex}")).unwrap();
        assert_eq!((revision.repository.as_str(), revision.is_revision), ("app", true));
        let alias = at(&format!("app/_layers/sha512/{hex}{hex}")).unwrap();
        assert!(alias.is_alias() && !alias.is_revision);
        for path in [
            format!("app/_layers/tarsum/{hex}"),
            format!("app/_layers/sha256/{}", &hex[..20]),
            format!("app/_manifests/tags/sha256/{hex}"),
            format!("app/layers/sha256/{hex}"),
            format!("App/_layers/sha256/{hex}"),
            "app/_layers/sha256".into(),
            "app".into(),
        ] {
            assert!(at(&path).is_none(), "{path}");
        }
    }
}
