//! Deleting in one repository: look, decide, delete, for one digest after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Certainty, Classified, Digest, classify};

use super::order::Parents;
use super::{Item, Outcome, Run, SkipReason, Stop};
use crate::registry::{DeleteOutcome, Registry, RegistryError, TagState};

/// The most manifests that are followed from tags newer than the snapshot.
const MAX_FOLLOWED: usize = 10_000;

/// Settles the items with these indices, all of repository `name`.
pub(super) fn delete(
    run: &mut Run<'_>,
    name: &str,
    items: &[Item],
    indices: &[usize],
    staying: &BTreeMap<String, Digest>,
) -> Result<(), Stop> {
    let mut by_digest: BTreeMap<Digest, Selected> = BTreeMap::new();
    for &index in indices {
        let item = &items[index];
        let selected = by_digest.entry(item.digest.clone()).or_default();
        match &item.tag {
            Some(tag) => selected.tags.entry(tag.clone()).or_default().push(index),
            None => selected.revisions.push(index),
        }
    }
    let digests: BTreeSet<Digest> = by_digest.keys().cloned().collect();
    let parents = match read_parents(run.registry, name, &digests) {
        Ok(parents) => parents,
        Err(trouble) => {
            run.settle(trouble.outcomes(indices.iter().copied()))?;
            return trouble.stop();
        }
    };
    let mut view = View {
        registry: run.registry,
        name,
        staying,
        selected: &by_digest,
        tags: BTreeMap::new(),
        needed: BTreeMap::new(),
        followed: BTreeMap::new(),
        doubtful: Vec::new(),
    };
    let result = delete_in_order(run, &mut view, &parents, &digests);
    // A run that stops reports what it has deleted, too.
    let settled = run.settle(view.settle_doubtful());
    result.and(settled)
}

/// Deletes each manifest after its parents.
fn delete_in_order(
    run: &mut Run<'_>,
    view: &mut View<'_>,
    parents: &Parents,
    digests: &BTreeSet<Digest>,
) -> Result<(), Stop> {
    let mut stays: BTreeSet<Digest> = BTreeSet::new();
    let by_digest = view.selected;
    for digest in parents.in_order(digests) {
        let selected = &by_digest[&digest];
        let kept_parent = parents.of(&digest).find(|parent| stays.contains(*parent));
        let decision = match kept_parent {
            Some(parent) => Err(Trouble::Skip(SkipReason::ParentStays(parent.clone()))),
            None => view.decide(&digest, selected),
        };
        let is_gone = match decision {
            Ok(decision) => carry_out(run, view, &digest, selected, decision)?,
            Err(trouble) => {
                run.settle(trouble.outcomes(selected.indices()))?;
                trouble.stop()?;
                false
            }
        };
        if !is_gone {
            stays.insert(digest);
        }
    }
    Ok(())
}

/// The items of one digest: indices into the selection, which may name a thing twice.
#[derive(Debug, Default)]
struct Selected {
    tags: BTreeMap<String, Vec<usize>>,
    revisions: Vec<usize>,
}

impl Selected {
    fn indices(&self) -> impl Iterator<Item = usize> {
        self.tags.values().flatten().chain(&self.revisions).copied()
    }
}

/// What to do about one digest.
#[derive(Debug)]
struct Decision {
    /// Items that are settled by the look alone.
    settled: Vec<(usize, Outcome)>,
    /// Items that a delete settles. If there are none, nothing is deleted.
    deleting: Vec<usize>,
}

/// Why a digest, or a repository, is left alone.
#[derive(Debug)]
enum Trouble {
    Skip(SkipReason),
    Failed(Arc<RegistryError>),
}

impl Trouble {
    fn failed(error: RegistryError) -> Self {
        Self::Failed(Arc::new(error))
    }

    fn outcomes(&self, indices: impl IntoIterator<Item = usize>) -> Vec<(usize, Outcome)> {
        let outcome = match self {
            Self::Skip(reason) => Outcome::Skipped(reason.clone()),
            Self::Failed(error) => Outcome::Failed(Arc::clone(error)),
        };
        indices.into_iter().map(|index| (index, outcome.clone())).collect()
    }

    fn stop(self) -> Result<(), Stop> {
        match self {
            Self::Failed(error) if error.is_about_whole_registry() => Err(Stop::Failed(error)),
            _ => Ok(()),
        }
    }
}

/// Deletes, and says whether the manifest is gone.
fn carry_out(
    run: &mut Run<'_>,
    view: &mut View<'_>,
    digest: &Digest,
    selected: &Selected,
    decision: Decision,
) -> Result<bool, Stop> {
    let Decision { settled, deleting } = decision;
    run.settle(settled)?;
    if deleting.is_empty() {
        return Ok(false);
    }
    match run.registry.delete_manifest(view.name, digest) {
        Ok(DeleteOutcome::Deleted) => {
            let doubtful = if run.is_in_s3 { view.doubt(selected) } else { BTreeSet::new() };
            view.forget(digest);
            let is_sure = |index: &usize| !doubtful.contains(index);
            let sure = deleting.into_iter().filter(is_sure);
            run.settle(sure.map(|index| (index, Outcome::Deleted)).collect())?;
            Ok(true)
        }
        Ok(DeleteOutcome::NotFound) => {
            let settled = match run.registry.tags(view.name) {
                Ok(listed) => missing(deleting, selected, &listed),
                Err(error) => Trouble::failed(error).outcomes(deleting),
            };
            run.settle(settled)?;
            Ok(true)
        }
        Ok(outcome @ (DeleteOutcome::DeletesDisabled | DeleteOutcome::ReadOnly)) => {
            Err(Stop::Refused { url: run.registry.url(), outcome })
        }
        Err(error) => {
            let trouble = Trouble::failed(error);
            run.settle(trouble.outcomes(deleting))?;
            trouble.stop().map(|()| false)
        }
    }
}

/// What is to be said of items whose manifest the registry does not have, when it lists these tags.
fn missing(items: Vec<usize>, selected: &Selected, listed: &[String]) -> Vec<(usize, Outcome)> {
    let dangling: BTreeSet<usize> =
        listed.iter().filter_map(|tag| selected.tags.get(tag)).flatten().copied().collect();
    let outcome = |index: &usize| {
        if dangling.contains(index) {
            Outcome::Skipped(SkipReason::Dangling)
        } else {
            Outcome::NotFound
        }
    };
    items.into_iter().map(|index| (index, outcome(&index))).collect()
}

/// Reads the selected manifests for what they hold.
fn read_parents(
    registry: &Registry,
    name: &str,
    digests: &BTreeSet<Digest>,
) -> Result<Parents, Trouble> {
    let mut parents = Parents::default();
    for digest in digests.iter().filter(|_| digests.len() > 1) {
        if let Some(body) = read(registry, name, digest)? {
            let read = parents.read(digest, &body, digests);
            read.map_err(|reason| unreadable(digest, &reason))?;
        }
    }
    Ok(parents)
}

fn read(registry: &Registry, name: &str, digest: &Digest) -> Result<Option<Vec<u8>>, Trouble> {
    registry.manifest(name, &digest.to_string()).map_err(|error| match error {
        RegistryError::Status { .. }
        | RegistryError::TooLong { .. }
        | RegistryError::BadAnswer { .. } => unreadable(digest, &error.to_string()),
        error => Trouble::failed(error),
    })
}

fn unreadable(digest: &Digest, reason: &str) -> Trouble {
    let (digest, reason) = (digest.clone(), reason.to_owned());
    Trouble::Skip(SkipReason::UnreadableManifest { digest, reason })
}

/// What the registry said of one repository a moment ago.
struct View<'a> {
    registry: &'a Registry,
    name: &'a str,
    /// What the caller's snapshot says of the tags that stay.
    staying: &'a BTreeMap<String, Digest>,
    selected: &'a BTreeMap<Digest, Selected>,
    tags: BTreeMap<String, TagState>,
    /// Manifests that tags need which the snapshot does not know, and the tag.
    needed: BTreeMap<Digest, String>,
    /// Manifests whose entries are in `needed`, and how sure it was that each is one.
    followed: BTreeMap<Digest, Certainty>,
    doubtful: Vec<Doubtful>,
}

/// A tag that the registry said it deleted, and that it may list all the same.
struct Doubtful {
    tag: String,
    /// A tag whose name goes on after this one's.
    beside: String,
    items: Vec<usize>,
}

impl View<'_> {
    /// Looks again at what matters for `digest`, and decides.
    fn decide(&mut self, digest: &Digest, selected: &Selected) -> Result<Decision, Trouble> {
        self.refresh().map_err(Trouble::failed)?;
        let mut others = Vec::new();
        for (tag, state) in &self.tags {
            match state {
                TagState::At(now) if now == digest && !selected.tags.contains_key(tag) => {
                    others.push(tag.clone());
                }
                // Only the snapshot knows what it stands for.
                TagState::Broken if self.staying.get(tag) == Some(digest) => {
                    others.push(tag.clone());
                }
                TagState::Unreadable(reason) => {
                    let (tag, reason) = (tag.clone(), reason.clone());
                    return Err(Trouble::Skip(SkipReason::UnreadableTag { tag, reason }));
                }
                TagState::At(_) | TagState::Broken => {}
            }
        }
        if !others.is_empty() {
            return Err(Trouble::Skip(SkipReason::OtherTags(others)));
        }
        self.follow_new_tags()?;
        if let Some(tag) = self.needed.get(digest) {
            return Err(Trouble::Skip(SkipReason::NewlyNeeded { tag: tag.clone() }));
        }
        let mut decision = Decision { settled: Vec::new(), deleting: selected.revisions.clone() };
        for (tag, indices) in &selected.tags {
            let settled = match self.tags.get(tag) {
                None => Outcome::NotFound,
                Some(TagState::At(now)) if now != digest => {
                    Outcome::Skipped(SkipReason::Moved { now: now.clone() })
                }
                Some(_) => {
                    decision.deleting.extend(indices);
                    continue;
                }
            };
            decision.settled.extend(indices.iter().map(|&index| (index, settled.clone())));
        }
        Ok(decision)
    }

    /// Reads what every tag stands for at this moment.
    fn refresh(&mut self) -> Result<(), RegistryError> {
        let names = self.registry.tags(self.name)?;
        let states = {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.registry.tag_states(self.name, &names)?
        };
        self.tags = names.into_iter().zip(states).collect();
        Ok(())
    }

    /// Follows tags that the snapshot does not know to all manifests that they hold.
    fn follow_new_tags(&mut self) -> Result<(), Trouble> {
        let known: BTreeSet<&Digest> = self.staying.values().collect();
        let mut pending: Vec<(Digest, Certainty, &str)> = Vec::new();
        for (tag, state) in &self.tags {
            let is_to_go = |now| self.selected.get(now).is_some_and(|s| s.tags.contains_key(tag));
            if let TagState::At(now) = state
                && !known.contains(now)
                && !is_to_go(now)
            {
                pending.push((now.clone(), Certainty::Certain, tag));
            }
        }
        while let Some((digest, certainty, tag)) = pending.pop() {
            if self.followed.get(&digest).is_some_and(|known| *known >= certainty) {
                continue;
            }
            if self.followed.len() >= MAX_FOLLOWED {
                return Err(unreadable(&digest, "too many manifests are newer than the scan"));
            }
            let body = match read(self.registry, self.name, &digest) {
                // Asked for a layer as a manifest, a registry fails in its own way.
                Err(Trouble::Skip(_))
                    if certainty == Certainty::Unlikely
                        && self
                            .registry
                            .head_blob(self.name, &digest)
                            .map_err(Trouble::failed)? =>
                {
                    None
                }
                body => body?,
            };
            if let Some(body) = body {
                // What a registry serves as a manifest is one, whatever named it.
                let classified = classify(&digest, Ok(&body), Certainty::Certain);
                if let Classified::Uncertain { detail, .. } = &classified {
                    return Err(unreadable(&digest, detail));
                }
                for (named, certainty) in classified.kept() {
                    self.needed.insert(named.clone(), tag.to_owned());
                    pending.extend(certainty.map(|certainty| (named.clone(), certainty, tag)));
                }
            }
            self.followed.insert(digest, certainty);
        }
        Ok(())
    }

    /// Notes the tags of a manifest that was just deleted that may be there all the same, and gives their items. To
    /// delete a tag in S3, registries before version 3 ask for all that begins with its directory without the slash,
    /// and stop at the first key that is not in it (distribution, issue 3142).
    fn doubt(&mut self, selected: &Selected) -> BTreeSet<usize> {
        let mut items = BTreeSet::new();
        for (tag, indices) in &selected.tags {
            let goes_on = |name: &&String| {
                name.strip_prefix(tag).is_some_and(|rest| rest.starts_with(['-', '.']))
            };
            if let Some(beside) = self.tags.keys().find(goes_on).cloned() {
                items.extend(indices);
                let (tag, items) = (tag.clone(), indices.clone());
                self.doubtful.push(Doubtful { tag, beside, items });
            }
        }
        items
    }

    /// Asks once for all tags that may be there all the same.
    fn settle_doubtful(&mut self) -> Vec<(usize, Outcome)> {
        let doubtful = std::mem::take(&mut self.doubtful);
        if doubtful.is_empty() {
            return Vec::new();
        }
        // What cannot be asked was deleted, as far as is known.
        let listed: BTreeSet<String> =
            self.registry.tags(self.name).unwrap_or_default().into_iter().collect();
        let left: Vec<&str> = doubtful
            .iter()
            .map(|one| one.tag.as_str())
            .filter(|tag| listed.contains(*tag))
            .collect();
        let states = self.registry.tag_states(self.name, &left).unwrap_or_default();
        let broken: BTreeSet<&str> = left
            .iter()
            .zip(&states)
            .filter(|(_, state)| matches!(state, TagState::Broken))
            .map(|(tag, _)| *tag)
            .collect();
        let outcome = |one: &Doubtful| {
            if broken.contains(one.tag.as_str()) {
                Outcome::Skipped(SkipReason::StillListed { beside: one.beside.clone() })
            } else {
                Outcome::Deleted
            }
        };
        let of_items = doubtful.iter().flat_map(|one| one.items.iter().map(move |at| (*at, one)));
        of_items.map(|(at, one)| (at, outcome(one))).collect()
    }

    fn forget(&mut self, digest: &Digest) {
        self.tags.retain(|_, state| !matches!(state, TagState::At(now) if now == digest));
    }
}
