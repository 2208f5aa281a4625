//! Deleting beside a running registry that may remember what it served.
//!
//! A registry with a cache of descriptors answers from it without looking at its storage. It forgets
//! only what is deleted through its API, and not for sure: it empties the cache first and removes the
//! link then, so that whoever asks in between makes it remember again, until it is restarted
//! (distribution `cachedblobdescriptorstore.go`). Version 3 remembers revisions as well as layer
//! links. So "202" does not say that something is forgotten: only the answer 404 to HEAD does.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::check::Checked;
use super::environment::{Environment, ServingRegistry};
use super::executor::{Destination, Executor, failed};
use super::name::SkipGroup;
use crate::graph::{BlobId, Graph, Item};
use crate::model::{Digest, Kind, LinkContent, MAX_LINK_BYTES, is_repository_name, parse_link};
use crate::registry::{DeleteOutcome, Expected, Found, GateError, Registry, RegistryError};

/// How often a registry is asked to delete something that it goes on to serve.
const DELETES: usize = 3;

/// How many are asked for at a time.
const QUESTIONS: usize = 8;

/// Errors in a row after which a registry is asked no more.
const MAX_FAILURES: usize = 20;

/// Above this number of questions a note says how many there are.
const MANY_QUESTIONS: usize = 1000;

/// How often it is looked whether the questions are to end.
const SLICE: Duration = Duration::from_millis(50);

/// Things of the storage that the registry is asked for to find out whether it is its registry.
const SAMPLES: usize = 5;

impl ServingRegistry for Registry {
    fn delete_link(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        deleted(self.delete_blob_link(repository, digest))
    }

    fn delete_revision(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        deleted(self.delete_manifest(repository, digest))
    }

    fn serves_link(&self, repository: &str, digest: &Digest) -> Result<bool, String> {
        self.head_blob(repository, digest).map_err(|error| error.to_string())
    }

    fn serves_revision(&self, repository: &str, digest: &Digest) -> Result<bool, String> {
        let found = self.manifest_digest(repository, &digest.to_string());
        found.map(|found| found.is_some()).map_err(|error| error.to_string())
    }
}

fn deleted(outcome: Result<DeleteOutcome, RegistryError>) -> Result<(), String> {
    match outcome {
        Ok(DeleteOutcome::Deleted | DeleteOutcome::NotFound) => Ok(()),
        Ok(other) => Err(other.hint().unwrap_or("the registry refused").to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Asks a registry whether the storage of `graph` may be changed now (see
/// [`Registry::check_before_changes`]). One that goes on serving must serve what is in this storage.
///
/// # Errors
/// When the storage must not be changed now.
pub fn check_registry(
    registry: &Registry,
    graph: &Graph,
    expected: Expected,
) -> Result<Found, GateError> {
    let names = graph.repositories.iter().map(|repository| repository.name.as_str());
    let known: Vec<&str> = names.filter(|name| is_repository_name(name)).collect();
    let found = registry
        .check_before_changes(known.first().copied().unwrap_or("regsql/probe"), expected)?;
    if found == Found::Serving {
        let mut samples = samples(graph).peekable();
        let has_sample = samples.peek().is_some();
        for (repository, digest) in samples {
            if registry.head_blob(repository, digest)? {
                return Ok(found);
            }
        }
        if has_sample {
            return Err(GateError::OtherStorage { url: registry.url() });
        }
    }
    Ok(found)
}

/// A few layers that the registry of this storage serves.
fn samples(graph: &Graph) -> impl Iterator<Item = (&str, &Digest)> {
    let repositories =
        graph.repositories.iter().filter(|repository| is_repository_name(&repository.name));
    let links = repositories.filter_map(|repository| {
        let is_whole = |target: u32| graph.blobs[target as usize].size_bytes.is_some();
        let link = graph.links_of(repository).iter().find(|link| is_whole(link.target))?;
        Some((repository.name.as_str(), &graph.blobs[link.name as usize].digest))
    });
    links.take(SAMPLES)
}

/// What a registry may remember: a link, as it asks for it.
#[derive(Clone, Copy)]
pub(super) struct Remembered<'a> {
    pub repository: &'a str,
    pub digest: &'a Digest,
    pub is_revision: bool,
}

impl Remembered<'_> {
    fn delete(self, registry: &dyn ServingRegistry) -> Result<(), String> {
        if self.is_revision {
            registry.delete_revision(self.repository, self.digest)
        } else {
            registry.delete_link(self.repository, self.digest)
        }
    }

    pub fn is_served(self, registry: &dyn ServingRegistry) -> Result<bool, String> {
        if self.is_revision {
            registry.serves_revision(self.repository, self.digest)
        } else {
            registry.serves_link(self.repository, self.digest)
        }
    }
}

impl<'a> Executor<'a> {
    fn remembered(&self, item: Item) -> Option<Remembered<'a>> {
        let graph = self.graph;
        let is_revision = item.kind == Kind::Revision;
        if !is_revision && item.kind != Kind::LayerLink {
            return None;
        }
        let repository = &graph.repositories[graph.repository_of(item)? as usize].name;
        Some(Remembered { repository, digest: graph.digest_of(item)?, is_revision })
    }

    /// Takes a revision or a layer link; beside a running registry, so that it forgets it.
    pub(super) fn take_link(&mut self, path: &Path, item: Item) -> Checked {
        let (Some(registry), Some(remembered)) = (self.registry, self.remembered(item)) else {
            return self.take_soon(path, Some("link"));
        };
        let is_served =
            |served: Result<bool, String>| served.map_err(|why| (SkipGroup::Failed, why));
        // The registry deletes a revision with its tags, also with one that was pushed a moment ago.
        // One that it does not remember goes without it, and so does what it cannot delete because
        // the blob is gone.
        let is_gone = |blob: BlobId| self.graph.blobs[blob as usize].size_bytes.is_none();
        let is_blob_gone =
            item.kind == Kind::LayerLink && is_gone(self.graph.links[item.at as usize].target);
        if remembered.is_revision || is_blob_gone {
            self.take(path, Some("link"))?;
            let served = is_served(remembered.is_served(registry));
            if matches!(served, Ok(false)) {
                return Ok(());
            }
            self.return_from_trash(path)?;
            served?;
        }
        self.delete_through(registry, remembered, path, item)
    }

    fn delete_through(
        &mut self,
        registry: &dyn ServingRegistry,
        remembered: Remembered<'_>,
        path: &Path,
        item: Item,
    ) -> Checked {
        if remembered.is_revision {
            self.check_link(&path.join("link"), self.graph.changed_ns_of(item))?;
            self.check_tags(item, remembered.digest)?;
        }
        self.has_touched.set(true);
        match &self.destination {
            Destination::Trash(run) => run.copy(path).map_err(|error| failed(&error))?,
            // A copy would need space. A registry deletes what only its cache has, too.
            Destination::Aside(aside) => {
                aside.take(&path.join("link")).map_err(|error| failed(&error))?;
            }
            Destination::Nowhere => {
                let reason = "beside a running registry nothing goes at once";
                return Err((SkipGroup::NotAllowed, reason.into()));
            }
        }
        // When that fails the copy comes back, unless the link is in its place; then undo drops the copy.
        self.delete_until_forgotten(registry, remembered, path, item)
    }

    /// Moves back what was just taken, as if it had not been.
    fn return_from_trash(&self, path: &Path) -> Checked {
        match &self.destination {
            Destination::Trash(run) => run.put_back(path).map(drop).map_err(|error| failed(&error)),
            Destination::Aside(aside) => {
                aside.put_back(&path.join("link")).map(drop).map_err(|error| failed(&error))
            }
            Destination::Nowhere => Ok(()),
        }
    }

    fn delete_until_forgotten(
        &self,
        registry: &dyn ServingRegistry,
        remembered: Remembered<'_>,
        path: &Path,
        item: Item,
    ) -> Checked {
        let fail = |why: String| (SkipGroup::Failed, why);
        for number in 0..DELETES {
            if number > 0 {
                if remembered.is_revision {
                    self.check_tags(item, remembered.digest)?;
                }
                // Served because a client has just pushed it, perhaps: that push got its answer.
                self.must_not_be_new(&path.join("link"))?;
            }
            remembered.delete(registry).map_err(fail)?;
            if number == 0 {
                self.must_be_gone(&path.join("link"))?;
            }
            if !remembered.is_served(registry).map_err(fail)? {
                return Ok(());
            }
        }
        let reason = format!(
            "the registry still serves it from its cache after {DELETES} deletes: a restart empties \
             the cache"
        );
        Err((SkipGroup::Failed, reason))
    }

    /// The registry deletes every tag with a revision, so none may point at it.
    fn check_tags(&self, item: Item, digest: &Digest) -> Checked {
        let directory = self.graph.repository_of(item).and_then(|place| self.directory(place));
        let Some(directory) = directory else {
            return Err((SkipGroup::Failed, "its name leads to no path".into()));
        };
        let tags = directory.join("_manifests/tags");
        let is_missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let entries = match self.storage.list_anew(&tags) {
            Err(error) if is_missing(&error) => return Ok(()),
            entries => entries.map_err(|error| failed(&error))?,
        };
        for entry in entries {
            let shown = entry.name.to_string_lossy();
            let link = tags.join(&entry.name).join("current/link");
            let content = match self.storage.read_anew(&link, MAX_LINK_BYTES as u64) {
                Err(error) if is_missing(&error) => continue,
                content => content,
            };
            match content.as_ref().map(|content| parse_link(&content.bytes)) {
                Ok(LinkContent::Clean(other) | LinkContent::Spaced(other)) if other != *digest => {}
                Ok(LinkContent::Clean(_) | LinkContent::Spaced(_)) => {
                    let reason = format!("tag `{shown}` points at it now");
                    return Err((SkipGroup::Changed, reason));
                }
                Ok(LinkContent::Nothing(_)) | Err(_) => {
                    let reason = format!("tag `{shown}` may point at it and cannot be read");
                    return Err((SkipGroup::Changed, reason));
                }
            }
        }
        Ok(())
    }

    /// Asks the registry for every link that went. What it still serves comes back, with all that it
    /// needs: a client may have relied on it.
    pub(super) fn put_back_what_is_served(&mut self) {
        let Some(registry) = self.registry else {
            return;
        };
        let questions: Vec<((usize, Item), Remembered<'a>)> = self
            .taken()
            .filter_map(|(at, item)| Some(((at, item), self.remembered(item)?)))
            .collect();
        for ((at, item), why) in still_served(registry, &questions, self.environment) {
            let path = self.steps.moves[at].path.clone();
            // Someone pushed it again; what is new is looked at below.
            if self.storage.read_anew(&path.join("link"), 1).is_ok() {
                continue;
            }
            let reason = match why {
                None => "the registry serves it from its cache: it is back".to_owned(),
                Some(why) => {
                    format!("the registry does not say that it forgot it, so it is back: {why}")
                }
            };
            self.skip(SkipGroup::Failed, item, reason);
            match self.put_back(&path) {
                Ok(_) => self.stays(item),
                Err(_) => self.require_everything(),
            }
        }
    }
}

/// Asks a registry for many things at a time. Gives in their order those that it serves, and those of
/// which it does not say, with why not. One that answers with errors alone is asked no more, and another
/// request to stop ends the questions: what was not asked for may be served.
pub(super) fn still_served<T: Copy + Sync + Send>(
    registry: &dyn ServingRegistry,
    questions: &[(T, Remembered<'_>)],
    environment: &dyn Environment,
) -> Vec<(T, Option<String>)> {
    let asking = Asking::default();
    let stops_before = environment.stop_count();
    if questions.len() > MANY_QUESTIONS {
        let count = questions.len();
        environment.note(&format!("asking the registry for {count} links that it may remember"));
    }
    let (sender, receiver) = mpsc::channel();
    let mut is_answered = vec![false; questions.len()];
    let mut served = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..QUESTIONS.min(questions.len()) {
            let (sender, asking) = (sender.clone(), &asking);
            scope.spawn(move || asking.ask_on(registry, questions, &sender));
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(SLICE) {
                Ok((number, answer)) => {
                    is_answered[number] = true;
                    if !matches!(answer, Ok(false)) {
                        served.push((number, answer.err()));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if environment.stop_count() > stops_before {
                asking.is_ended.store(true, Ordering::Relaxed);
            }
        }
    });
    let unasked: Vec<usize> = (0..questions.len()).filter(|at| !is_answered[*at]).collect();
    if !unasked.is_empty() {
        let reason = if let Some(error) = asking.last_error() {
            environment.warn(&format!(
                "the registry answered {MAX_FAILURES} questions in a row with errors and is asked no \
                 more: what it may remember stays (the last: {error})"
            ));
            "the registry answered with errors, and was not asked for it"
        } else {
            environment.note("stopped asking the registry: what it may remember stays");
            "stopped before the registry was asked for it"
        };
        served.extend(unasked.into_iter().map(|number| (number, Some(reason.to_owned()))));
    }
    served.sort_unstable_by_key(|(number, _)| *number);
    served.into_iter().map(|(number, why)| (questions[number].0, why)).collect()
}

/// What the threads share that ask a registry.
#[derive(Default)]
struct Asking {
    next: AtomicUsize,
    is_ended: AtomicBool,
    /// Errors since the last answer, and the last of them.
    failures: Mutex<(usize, String)>,
}

impl Asking {
    /// Asks until there is no question left, or no sense in one.
    fn ask_on<T>(
        &self,
        registry: &dyn ServingRegistry,
        questions: &[(T, Remembered<'_>)],
        sender: &Sender<(usize, Result<bool, String>)>,
    ) {
        while !self.is_ended.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((_, remembered)) = questions.get(number) else { return };
            let answer = remembered.is_served(registry);
            self.note(answer.as_ref().err());
            // It ends with whoever listens.
            drop(sender.send((number, answer)));
        }
    }

    fn note(&self, error: Option<&String>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = error else {
            failures.0 = 0;
            return;
        };
        failures.0 += 1;
        failures.1.clone_from(error);
        if failures.0 >= MAX_FAILURES {
            self.is_ended.store(true, Ordering::Relaxed);
        }
    }

    /// The error that ended the questions, if one did.
    fn last_error(&self) -> Option<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        (failures.0 >= MAX_FAILURES).then(|| failures.1.clone())
    }
}
