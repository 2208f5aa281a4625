//! Clients, a registry and a person who deletes, one step after the other in the order of a history.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regsql::graph::Graph;
use regsql::model::{Digest, Kind};

use super::content::{self, CONTENTS, Id, REPOSITORIES, TAGS};
use super::disk::Disk;
use super::promises::{Promise, Promises, What};
use super::registry::{Cache, Registry, Request, Running, Step, at};

/// Clients that a registry has.
pub const CLIENTS: usize = 3;

/// What a person does. Each goes on over many calls of the storage, and others act in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Prune {
        is_online: bool,
        keeps_trash: bool,
        min_age: Duration,
        /// One bit for each thing that may be chosen.
        pick: u32,
    },
    /// Of the newest run.
    Undo,
    Purge {
        includes_unfinished: bool,
    },
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client begins a request, after it has ended the one before.
    Begin(usize, Request),
    /// A client's request goes one step on.
    Go(usize),
    /// A client's request goes on to its end.
    Finish(usize),
    /// The registry restarts: its cache is empty, and requests under way end.
    Restart,
    /// Time passes.
    Pause(Duration),
    /// The clock of the person's machine is set: days before or after the registry's.
    SetClock(i64),
    /// The next change that an operation makes fails with this number.
    Fail(i32),
    /// The operation is killed: no further change of it reaches the disk.
    Kill,
    Operation(Operation),
}

/// What happens, and after how many calls that the operation under way makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub after_calls: u16,
    pub what: Action,
}

/// All that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub cache: Cache,
    /// For how long the registry's machine goes on to see what the person's has taken away.
    pub lag: Duration,
    pub events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Next(i32),
    Killed,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acting {
    /// Clients.
    Clients,
    /// A person, while the registry is stopped.
    Person,
    /// A person, and clients in between.
    Both,
}

/// Everything there is.
pub struct World {
    pub registry: Registry,
    pub promises: Promises,
    clients: [Option<(Running, i64)>; CLIENTS],
    pub events: VecDeque<Event>,
    calls: u16,
    acting: Acting,
    fault: Fault,
    /// A run was stopped before its end, and nobody has looked after it.
    pub has_unfinished: bool,
    /// What the plan under way takes: what had been promised, and when it was written.
    pub selected: BTreeMap<What, Promise>,
    selected_ns: BTreeSet<(What, i64)>,
    /// What runs in the trash have taken of that.
    pub runs: BTreeMap<String, Vec<(What, Promise)>>,
    /// When the operation last looked at the tags of each repository.
    tags_looked_at_ns: BTreeMap<usize, i64>,
    /// What the disk was when the plan was made, for a second look that sees nothing new.
    pub old_disk: Option<Disk>,
    pub is_second_look: bool,
    pub failure: Option<String>,
    pub trace: Vec<String>,
    is_traced: bool,
    pub waits_since_ns: Option<i64>,
    /// Days that the person's clock is ahead.
    pub clock_days: i64,
}

impl World {
    pub fn new(history: &History, is_traced: bool) -> Self {
        Self {
            registry: Registry::new(history.cache, history.lag),
            promises: Promises::default(),
            clients: [const { None }; CLIENTS],
            events: history.events.iter().copied().collect(),
            calls: 0,
            acting: Acting::Clients,
            fault: Fault::None,
            has_unfinished: false,
            selected: BTreeMap::new(),
            selected_ns: BTreeSet::new(),
            runs: BTreeMap::new(),
            tags_looked_at_ns: BTreeMap::new(),
            old_disk: None,
            is_second_look: false,
            failure: None,
            trace: Vec::new(),
            is_traced,
            waits_since_ns: None,
            clock_days: 0,
        }
    }

    fn is_operating(&self) -> bool {
        self.acting != Acting::Clients
    }

    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if !self.is_traced {
            return;
        }
        let indent = if self.is_operating() { "    " } else { "" };
        self.trace.push(format!("{indent}{}", text()));
    }

    pub fn check(&mut self) {
        if let Err(why) = self.promises.check(&self.registry)
            && self.failure.is_none()
        {
            self.note(|| format!("LOST: {why}"));
            self.failure = Some(why);
        }
    }

    /// Lets others act before a call of the operation.
    pub fn others_act(&mut self) {
        while self.acting == Acting::Both && self.failure.is_none() {
            match self.events.front() {
                None | Some(Event { what: Action::Operation(_), .. }) => return,
                Some(event) if event.after_calls > self.calls => {
                    self.calls += 1;
                    return;
                }
                Some(_) => {
                    let event = self.next_event();
                    self.happens(event);
                }
            }
        }
    }

    pub fn next_event(&mut self) -> Event {
        self.calls = 0;
        self.events.pop_front().unwrap()
    }

    pub fn happens(&mut self, event: Event) {
        match event.what {
            Action::Begin(client, request) => {
                self.finish(client);
                self.clients[client] = Some((Running::new(request), self.registry.disk.now_ns()));
                self.go(client);
            }
            Action::Go(client) => self.go(client),
            Action::Finish(client) => self.finish(client),
            Action::Restart => {
                self.note(|| "the registry restarts".into());
                self.clients = [const { None }; CLIENTS];
                self.registry.restart();
                self.check();
            }
            Action::Pause(duration) => {
                self.note(|| format!("{duration:?} pass"));
                self.registry.disk.pass(duration);
            }
            Action::SetClock(days) => {
                self.note(|| format!("the person's clock is {days} days ahead"));
                self.clock_days = days;
            }
            Action::Fail(number) => self.set_fault(Fault::Next(number)),
            Action::Kill => self.set_fault(Fault::Killed),
            Action::Operation(_) => unreachable!("operations are no client's"),
        }
    }

    fn set_fault(&mut self, fault: Fault) {
        if self.is_operating() && self.fault != Fault::Killed {
            self.fault = fault;
            self.note(|| match fault {
                Fault::Killed => {
                    "killed: nothing that regsql changes from now on is changed".into()
                }
                _ => "the next change fails".into(),
            });
        }
    }

    fn go(&mut self, client: usize) {
        let Some((mut running, began_ns)) = self.clients[client].take() else {
            return;
        };
        let can_lose = running.is_delete();
        match running.step(&mut self.registry) {
            Step::Goes(text) => {
                self.clients[client] = Some((running, began_ns));
                self.note(|| format!("client {client}: {text}"));
            }
            Step::Ends(text) => self.note(|| format!("client {client}: {text}")),
            Step::Created { repository, id, tag, revision_ns, tag_ns } => {
                self.note(|| {
                    let tag = tag.map(|tag| format!(" as {}", TAGS[tag])).unwrap_or_default();
                    format!("client {client}: PUT {}{tag}: 201", at(repository, id))
                });
                self.promise(What::Manifest { repository, id }, id, revision_ns);
                if let Some(tag) = tag {
                    self.promise(What::Tag { repository, tag }, id, tag_ns);
                }
                self.check();
            }
        }
        if can_lose {
            self.check();
        }
    }

    fn promise(&mut self, what: What, id: Id, written_ns: i64) {
        let link = what.link();
        // Another push or a delete came after this one wrote, or the plan has seen what it wrote.
        if self.registry.written.get(&link) != Some(&written_ns)
            || self.registry.removed.contains(&link)
            || self.selected_ns.contains(&(what, written_ns))
        {
            return;
        }
        let is_settled = !self.is_operating() && !self.has_unfinished;
        self.promises.all.insert(what, Promise { id, written_ns, is_settled });
    }

    fn finish(&mut self, client: usize) {
        while self.clients[client].is_some() && self.failure.is_none() {
            self.go(client);
        }
    }

    /// Ends all requests that began before some time: none takes longer than the wait.
    pub fn finish_older_than(&mut self, since_ns: i64) {
        for client in 0..CLIENTS {
            if self.clients[client].as_ref().is_some_and(|(_, began_ns)| *began_ns <= since_ns) {
                self.finish(client);
            }
        }
    }

    pub fn begin_operation(&mut self, operation: Operation, is_open: bool) {
        self.note(|| format!("a person begins: {operation:?}"));
        if !is_open {
            self.finish_older_than(i64::MAX);
            // As the docs say: what outlives the registry is emptied while it is stopped.
            self.registry.restart();
            self.registry.flush();
        }
        self.acting = if is_open { Acting::Both } else { Acting::Person };
        self.fault = Fault::None;
        self.calls = 0;
    }

    pub fn end_operation(&mut self) {
        (self.acting, self.is_second_look) = (Acting::Clients, false);
        self.old_disk = None;
        self.waits_since_ns = None;
        self.selected_ns.clear();
        self.note(|| "the person is done".into());
    }

    /// A change that the operation is about to make.
    pub fn begin_change(&mut self) -> io::Result<()> {
        match self.fault {
            Fault::None => Ok(()),
            Fault::Next(number) => {
                self.fault = Fault::None;
                Err(io::Error::from_raw_os_error(number))
            }
            Fault::Killed => Err(io::Error::other("killed")),
        }
    }

    pub fn is_killed(&self) -> bool {
        self.fault == Fault::Killed
    }

    /// The operation looks at a directory.
    pub fn looked_at(&mut self, directory: &Path) {
        let is_tags =
            |place: &usize| directory == content::repository(*place).join("_manifests/tags");
        if let Some(place) = (0..REPOSITORIES.len()).find(is_tags) {
            self.tags_looked_at_ns.insert(place, self.registry.disk.now_ns());
        }
    }

    /// What a plan takes is no promise any more.
    pub fn take_planned(&mut self, graph: &Graph, plan: &regsql::prune::Plan) {
        let mut planned = Vec::new();
        for node in &graph.repositories {
            let Some(repository) = REPOSITORIES.iter().position(|name| *name == node.name) else {
                continue;
            };
            for &tag in plan.goes[Kind::Tag].iter().filter(|tag| node.tags.contains(tag)) {
                let found = &graph.tags[tag as usize];
                if let Some(name) = TAGS.iter().position(|name| *name == found.name) {
                    planned.push((What::Tag { repository, tag: name }, found.pushed_ns));
                }
            }
            for &at in plan.goes[Kind::Revision].iter().filter(|at| node.revisions.contains(at)) {
                let digest = &graph.blobs[graph.revisions[at as usize] as usize].digest;
                if let Some(id) = content::by_digest(digest) {
                    let pushed_ns = graph.revisions_pushed_ns[at as usize];
                    planned.push((What::Manifest { repository, id }, pushed_ns));
                }
            }
        }
        let shown: Vec<String> = plan.names(graph).map(|name| name.text()).collect();
        self.note(|| format!("the plan: {}", shown.join(", ")));
        for (what, pushed_ns) in planned {
            let Some(pushed_ns) = pushed_ns else { continue };
            self.selected_ns.insert((what, pushed_ns));
            // The plan may have seen what a push wrote that has not been answered yet.
            if let Some(promise) = self.promises.all.get(&what).copied()
                && promise.written_ns <= pushed_ns
            {
                self.promises.all.remove(&what);
                self.selected.insert(what, Promise { written_ns: pushed_ns, ..promise });
            }
        }
    }

    /// What was to go and is still there is promised again; what went is undone with its run.
    pub fn end_plan(&mut self, run: Option<String>) {
        let mut went = Vec::new();
        for (what, mut promise) in std::mem::take(&mut self.selected) {
            if self.promises.all.contains_key(&what) {
                continue;
            }
            if self.is_in_place(what, promise) {
                promise.is_settled = !self.has_unfinished;
                self.promises.all.insert(what, promise);
            } else {
                went.push((what, promise));
            }
        }
        if let Some(run) = run {
            self.runs.insert(run, went);
        }
    }

    /// The operation takes this away, on another machine than the registry's.
    pub fn takes(&mut self, path: &Path) {
        self.registry.taken_elsewhere(path);
    }

    /// Something of a run stays in the trash, since its place is taken. What is back is no longer the run's:
    /// it is promised again, and may be chosen again.
    pub fn returned(&mut self, run: &str) {
        let went = self.runs.remove(run).unwrap_or_default();
        let (back, left): (Vec<_>, Vec<_>) =
            went.into_iter().partition(|(what, promise)| self.is_in_place(*what, *promise));
        for (what, promise) in back {
            let promise = Promise { is_settled: false, ..promise };
            self.promises.all.entry(what).or_insert(promise);
        }
        self.runs.insert(run.to_owned(), left);
    }

    pub fn is_in_place(&self, what: What, promise: Promise) -> bool {
        let link = what.link();
        let facts = self.registry.disk.stat(&link);
        !self.registry.removed.contains(&link)
            && facts.is_ok_and(|facts| facts.modified_ns == promise.written_ns)
    }

    /// A request that regsql makes to the registry: one step of a delete.
    pub fn own_delete(&mut self, running: &mut Running, repository: usize) -> bool {
        let before = self.registry.removed.clone();
        let step = running.step(&mut self.registry);
        let (is_done, text) = match step {
            Step::Goes(text) => (false, text),
            Step::Ends(text) => (true, text),
            Step::Created { .. } => unreachable!("a delete creates nothing"),
        };
        self.note(|| format!("regsql: {text}"));
        let looked_ns = self.tags_looked_at_ns.get(&repository).copied().unwrap_or(0);
        // This is no client's delete. But what is pushed between the look at the tags and the delete of
        // a revision is lost: no registry can be asked otherwise, and the docs say so.
        let all = std::mem::take(&mut self.registry.removed);
        let (old, new): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
            all.into_iter().partition(|path| before.contains(path));
        self.registry.removed = old;
        let written = &self.registry.written;
        let late = new.into_iter().filter(|path| {
            path.components().any(|part| part.as_os_str() == "_manifests")
                && written.get(path).is_some_and(|written_ns| *written_ns > looked_ns)
        });
        self.registry.removed.extend(late);
        self.check();
        is_done
    }
}

/// The places of a repository and a digest in the lists of what clients push.
pub fn places(repository: &str, digest: &Digest) -> (usize, Id) {
    let place = REPOSITORIES.iter().position(|name| *name == repository);
    let id = CONTENTS.iter().position(|content| content.digest == *digest);
    (place.unwrap(), id.unwrap())
}
