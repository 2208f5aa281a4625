//! Making histories up, and making a failing one as short as can be.

use std::collections::VecDeque;
use std::time::Duration;

use super::content::{
    ALIAS, ALIASED, CONTENTS, IMAGES, INDEXES, Id, LAYERS, MANIFESTS, REFERRERS, REPOSITORIES, TAGS,
};
use super::registry::{Cache, Request};
use super::world::{Action, CLIENTS, Event, History, Operation};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Numbers that look random and come again with the same seed (splitmix64).
struct Random {
    state: u64,
    stage: Stage,
}

/// What clients do it with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Everything.
    Wide,
    /// Two repositories, two images and what is in them: all meet all the time.
    Layers,
    /// Two repositories, an index over two images, and an image whose layer has a second name. Clients ask
    /// for those, and leave out what is there.
    Manifests,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn is_narrow(&self) -> bool {
        self.stage != Stage::Wide
    }

    fn of(&mut self, range: std::ops::Range<Id>) -> Id {
        range.start + self.below(if self.is_narrow() { 2 } else { range.len() })
    }

    fn repository(&mut self) -> usize {
        self.below(if self.is_narrow() { 2 } else { REPOSITORIES.len() })
    }
}

/// A history of this number.
pub fn history(seed: u64) -> History {
    make(Random { state: seed, stage: Stage::Wide })
}

/// A history of this number in which clients delete through the API what others ask for.
pub fn narrow(seed: u64) -> History {
    make(Random { state: seed, stage: Stage::Layers })
}

/// A history of this number in which clients delete manifests through the API, and others push indexes over
/// those.
pub fn indexes(seed: u64) -> History {
    make(Random { state: seed, stage: Stage::Manifests })
}

fn make(mut random: Random) -> History {
    let cache = [Cache::Off, Cache::Layers, Cache::Revisions, Cache::Shared][random.below(4)];
    let mut events = Vec::new();
    for _ in 0..2 + random.below(4) {
        for request in push(&mut random) {
            at_once(&mut events, Action::Begin(0, request));
            at_once(&mut events, Action::Finish(0));
        }
    }
    at_once(&mut events, Action::Pause(Duration::from_hours(1)));
    let mut scripts = [const { VecDeque::new() }; CLIENTS];
    for _ in 0..=random.below(3) {
        between(&mut random, &mut scripts, &mut events, 0);
        match random.stage {
            Stage::Wide => {}
            Stage::Layers => deletes(&mut random, &mut events),
            Stage::Manifests => deletes_of_manifests(&mut random, &mut events),
        }
        let operation = operation(&mut random);
        at_once(&mut events, Action::Operation(operation));
        between(&mut random, &mut scripts, &mut events, 1);
    }
    // What a run that was killed holds may be needed by then.
    if events.iter().any(|event| event.what == Action::Kill) {
        between(&mut random, &mut scripts, &mut events, 0);
        let operation = match random.below(2) {
            0 => Operation::Purge { includes_unfinished: true },
            _ => operation(&mut random),
        };
        at_once(&mut events, Action::Operation(operation));
        between(&mut random, &mut scripts, &mut events, 1);
    }
    // A network file system may show for a while what is gone.
    let lag = Duration::from_millis([0, 0, 40][random.below(3)]);
    History { cache, lag, events }
}

fn at_once(events: &mut Vec<Event>, what: Action) {
    events.push(Event { after_calls: 0, what });
}

fn operation(random: &mut Random) -> Operation {
    match random.below(8) {
        0 => Operation::Undo,
        1 | 2 => Operation::Purge { includes_unfinished: random.is_one_in(2) },
        _ => {
            let is_online = !random.is_one_in(4);
            Operation::Prune {
                is_online,
                keeps_trash: !random.is_one_in(3),
                min_age: Duration::from_secs([0, 60][random.below(2)]),
                // Most tags stay.
                pick: (random.next() & random.next()) as u32,
            }
        }
    }
}

/// What clients do for a while.
fn between(
    random: &mut Random,
    scripts: &mut [VecDeque<Request>; CLIENTS],
    events: &mut Vec<Event>,
    operations: u16,
) {
    let count = if operations == 0 { random.below(12) } else { 10 + random.below(60) };
    // Into the scan first, and then step by step.
    let mut after_calls = random.below(400) as u16 * operations;
    for _ in 0..count {
        let client = random.below(CLIENTS);
        let what = match random.below(100) {
            0 => Action::Restart,
            1 if random.is_one_in(2) => Action::Pause(Duration::from_hours(1)),
            1 => Action::SetClock([-400, 0, 400][random.below(3)]),
            2 => Action::Fail([EIO, ENOSPC][random.below(2)]),
            3 | 4 => Action::Kill,
            5..60 => Action::Go(client),
            60..75 => Action::Finish(client),
            _ => {
                if scripts[client].is_empty() {
                    scripts[client] = script(random).into();
                }
                Action::Begin(client, scripts[client].pop_front().unwrap())
            }
        };
        events.push(Event { after_calls, what });
        after_calls = match random.below(4) {
            0 => 0,
            1 => random.below(3) as u16,
            2 => random.below(12) as u16,
            _ => random.below(60) as u16,
        } * operations;
    }
}

fn script(random: &mut Random) -> Vec<Request> {
    let repository = random.repository();
    match random.stage {
        Stage::Wide => {}
        Stage::Layers => return narrow_script(random, repository),
        Stage::Manifests => return index_script(random, repository),
    }
    match random.below(12) {
        0 => vec![Request::DeleteTag { repository, tag: random.below(TAGS.len()) }],
        1 => vec![Request::DeleteManifest { repository, id: random.of(MANIFESTS) }],
        2 => vec![Request::DeleteLayer { repository, id: random.of(LAYERS) }],
        3 | 4 => vec![Request::Ensure { repository, id: random.of(LAYERS) }],
        5 => vec![Request::EnsureManifest { repository, id: random.of(MANIFESTS) }],
        // A client that was told before that all is there.
        6 | 7 => {
            let tag = (!random.is_one_in(3)).then(|| random.below(TAGS.len()));
            vec![Request::Put { repository, id: random.of(MANIFESTS), tag }]
        }
        _ => push(random),
    }
}

fn narrow_script(random: &mut Random, repository: usize) -> Vec<Request> {
    // What the first image consists of.
    let id = CONTENTS[IMAGES.start].blobs[random.below(2)];
    match random.below(10) {
        0 => vec![Request::DeleteManifest { repository, id: random.of(IMAGES) }],
        1 => vec![Request::DeleteLayer { repository, id }],
        2 => vec![Request::Ensure { repository, id }],
        _ => push(random),
    }
}

/// The images of the first index, the one with an alias, and the one with what that leads to.
const CHILDREN: std::ops::Range<Id> = IMAGES.start..IMAGES.start + 2;
const WITH_ALIAS: Id = IMAGES.end - 1;
const WITH_ALIASED: Id = IMAGES.end - 2;

fn index_script(random: &mut Random, repository: usize) -> Vec<Request> {
    let tag = (!random.is_one_in(3)).then(|| random.below(TAGS.len()));
    match random.below(10) {
        0 => vec![Request::DeleteManifest { repository, id: random.of(CHILDREN) }],
        1 => vec![Request::DeleteLayer { repository, id: ALIAS }],
        2 => vec![Request::EnsureManifest { repository, id: random.of(CHILDREN) }],
        3 => vec![Request::Ensure { repository, id: ALIAS }],
        // Whoever finds the images there leaves out what is in them.
        4..7 => {
            let ensure = |id| Request::EnsureManifest { repository, id };
            let index = Request::Put { repository, id: INDEXES.start, tag };
            CHILDREN.map(ensure).chain([index]).collect()
        }
        7 | 8 => {
            let id = [WITH_ALIAS, WITH_ALIASED][random.below(2)];
            let blobs = CONTENTS[id].blobs.iter();
            let asked = blobs.map(|&id| Request::Ensure { repository, id });
            asked.chain([Request::Put { repository, id, tag }]).collect()
        }
        _ => push(random),
    }
}

/// One client deletes images and a layer of two names through the API, and another asks for them.
fn deletes_of_manifests(random: &mut Random, events: &mut Vec<Event>) {
    if random.is_one_in(2) {
        forgets_all_but_the_alias(random, events);
    }
    for repository in 0..2 {
        for id in [INDEXES.start, WITH_ALIAS] {
            at_once(events, Action::Begin(0, Request::DeleteManifest { repository, id }));
            at_once(events, Action::Finish(0));
        }
        let manifests = CHILDREN.map(|id| {
            (Request::DeleteManifest { repository, id }, Request::EnsureManifest { repository, id })
        });
        let layers = [ALIAS, ALIASED].map(|id| {
            (Request::DeleteLayer { repository, id }, Request::Ensure { repository, id })
        });
        for (delete, ask) in manifests.chain(layers) {
            meet(random, events, delete, ask);
        }
    }
}

/// A layer is left that its second name alone leads to, and what was its own link leaves no trace.
fn forgets_all_but_the_alias(random: &mut Random, events: &mut Vec<Event>) {
    for repository in 0..2 {
        let tag = Some(random.below(TAGS.len()));
        let pushed = [
            Request::Upload { repository, id: ALIAS },
            Request::Ensure { repository, id: 2 },
            Request::Ensure { repository, id: 1 },
            Request::Put { repository, id: WITH_ALIAS, tag },
            Request::DeleteLayer { repository, id: ALIASED },
        ];
        for request in pushed {
            at_once(events, Action::Begin(0, request));
            at_once(events, Action::Finish(0));
        }
    }
    at_once(events, Action::Pause(Duration::from_hours(1)));
    let (keeps_trash, min_age) = (true, Duration::ZERO);
    let prune = Operation::Prune { is_online: true, keeps_trash, min_age, pick: 0 };
    at_once(events, Action::Operation(prune));
    at_once(events, Action::Pause(Duration::from_hours(1)));
    for repository in 0..2 {
        at_once(events, Action::Begin(1, Request::Ensure { repository, id: ALIAS }));
        at_once(events, Action::Finish(1));
    }
}

/// A history of this number in which a client deletes the second name of a layer while another asks for it, so that
/// a cache knows that name for good; then all that nothing needs is deleted, and somebody pushes an image of it.
pub fn second_names(seed: u64) -> History {
    let mut random = Random { state: seed, stage: Stage::Manifests };
    let random = &mut random;
    let cache = [Cache::Layers, Cache::Revisions, Cache::Shared][random.below(3)];
    let repository = random.repository();
    let mut events = Vec::new();
    at_once(&mut events, Action::Begin(0, Request::Upload { repository, id: ALIAS }));
    at_once(&mut events, Action::Finish(0));
    at_once(&mut events, Action::Pause(Duration::from_hours(1)));
    let (delete, ask) =
        (Request::DeleteLayer { repository, id: ALIAS }, Request::Ensure { repository, id: ALIAS });
    meet(random, &mut events, delete, ask);
    at_once(&mut events, Action::Pause(Duration::from_hours(1)));
    let (keeps_trash, min_age) = (!random.is_one_in(3), Duration::ZERO);
    let prune = Operation::Prune { is_online: true, keeps_trash, min_age, pick: 0 };
    at_once(&mut events, Action::Operation(prune));
    // While it runs, or when it has ended.
    let mut after_calls = random.below(2_000) as u16;
    let blobs = CONTENTS[WITH_ALIAS].blobs.iter().filter(|id| **id != ALIAS);
    let others = blobs.map(|&id| Request::Ensure { repository, id });
    let tag = Some(random.below(TAGS.len()));
    for request in others.chain([Request::Put { repository, id: WITH_ALIAS, tag }]) {
        events.push(Event { after_calls, what: Action::Begin(1, request) });
        at_once(&mut events, Action::Finish(1));
        after_calls = 0;
    }
    History { cache, lag: Duration::ZERO, events }
}

/// One client deletes what another asks for.
fn meet(random: &mut Random, events: &mut Vec<Event>, delete: Request, ask: Request) {
    at_once(events, Action::Begin(0, delete));
    if random.is_one_in(2) {
        at_once(events, Action::Go(0));
    }
    at_once(events, Action::Begin(1, ask));
    for _ in 0..random.below(4) {
        at_once(events, Action::Go(random.below(2)));
    }
    at_once(events, Action::Finish(0));
    at_once(events, Action::Finish(1));
}

/// One client deletes all that there is through the API, and another asks for it.
fn deletes(random: &mut Random, events: &mut Vec<Event>) {
    for repository in 0..2 {
        for id in [IMAGES.start, IMAGES.start + 1] {
            at_once(events, Action::Begin(0, Request::DeleteManifest { repository, id }));
            at_once(events, Action::Finish(0));
        }
        for id in LAYERS {
            let delete = Request::DeleteLayer { repository, id };
            meet(random, events, delete, Request::Ensure { repository, id });
        }
    }
}

/// A whole push of an image or an index.
fn push(random: &mut Random) -> Vec<Request> {
    let repository = random.repository();
    let id = match random.below(12) {
        at if random.stage == Stage::Manifests => {
            [IMAGES.start, IMAGES.start + 1, INDEXES.start, WITH_ALIAS][at % 4]
        }
        _ if random.is_narrow() => random.of(IMAGES),
        0..4 => random.of(INDEXES),
        4 | 5 => random.of(REFERRERS),
        _ => random.of(IMAGES),
    };
    let tag = (!random.is_one_in(5)).then(|| random.below(TAGS.len()));
    let mut requests = Vec::new();
    for &child in &CONTENTS[id].children {
        layers(random, repository, child, &mut requests);
        requests.push(Request::EnsureManifest { repository, id: child });
    }
    layers(random, repository, id, &mut requests);
    requests.push(Request::Put { repository, id, tag });
    requests
}

fn layers(random: &mut Random, repository: usize, image: Id, requests: &mut Vec<Request>) {
    for &id in &CONTENTS[image].blobs {
        requests.push(match random.below(4) {
            0 => Request::Upload { repository, id },
            // The registry links an alias by itself alone: such a mount is broken from the start.
            1 if id != ALIAS => Request::Mount { from: random.repository(), repository, id },
            _ => Request::Ensure { repository, id },
        });
    }
}

/// The shortest history that can be found in which it still fails.
pub fn shrink(history: History, fails: impl Fn(&History) -> bool) -> History {
    let mut history = drop_events(history, &fails);
    // One step to the end of a request instead of many.
    for at in 0..history.events.len() {
        if let Action::Go(client) = history.events[at].what {
            let mut shorter = history.clone();
            shorter.events[at].what = Action::Finish(client);
            if fails(&shorter) {
                history = shorter;
            }
        }
    }
    history = drop_events(history, &fails);
    for at in 0..history.events.len() {
        let calls = history.events[at].after_calls;
        for fewer in [0, calls / 2, calls.saturating_sub(1)] {
            let mut sooner = history.clone();
            sooner.events[at].after_calls = fewer;
            if fewer < history.events[at].after_calls && fails(&sooner) {
                history = sooner;
                break;
            }
        }
    }
    history
}

fn drop_events(mut history: History, fails: impl Fn(&History) -> bool) -> History {
    let mut size = history.events.len() / 2;
    while size > 0 {
        let (mut start, mut has_shrunk) = (0, false);
        while start < history.events.len() {
            match without(&history, start, size).into_iter().find(|shorter| fails(shorter)) {
                Some(shorter) => (history, has_shrunk) = (shorter, true),
                None => start += size,
            }
        }
        if !has_shrunk || size > 1 {
            size /= 2;
        }
    }
    history
}

/// A history without some of its events. What comes after them happens when it did, or sooner.
fn without(history: &History, start: usize, size: usize) -> Vec<History> {
    let end = (start + size).min(history.events.len());
    let mut sooner = history.clone();
    let dropped: u16 = sooner.events.drain(start..end).map(|event| event.after_calls).sum();
    let mut as_before = sooner.clone();
    if let Some(next) = as_before.events.get_mut(start) {
        next.after_calls += dropped;
    }
    vec![as_before, sooner]
}
