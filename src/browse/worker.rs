//! The threads that answer: one has the rows, one says why, one has the graph, one reads long lists ahead. Each has a
//! connection of its own, and none keeps the screen waiting.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::long::{Held, Long};
use super::message::{Answer, Line, Request};
use super::place::{Mark, Row};
use super::source::Source;
use super::union::Deletions;
use super::{Message, Outside};
use crate::graph::GroupAccount;
use crate::model::progress::Progress;
use crate::ui;

/// Lines of the right pane.
const MOST_LINES: usize = 400;

/// Where requests go.
pub struct Workers {
    rows: Sender<ToRows>,
    /// The version of the list that rows are wanted of.
    wanted: Arc<AtomicU64>,
    about: Sender<Request>,
    graph: Sender<Request>,
    /// Long lists that are or will be looked at.
    ahead: Sender<Long>,
}

enum ToRows {
    Asked(Request),
    Learned(Vec<GroupAccount>, Vec<(String, String)>),
}

impl Workers {
    /// Opens the snapshot for each thread. They end when this is dropped.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn start(outside: &Arc<Outside>, to: &Sender<Message>) -> Result<Self, String> {
        let (rows, rows_asked) = channel();
        let (about, about_asked) = channel();
        let (graph, graph_asked) = channel();
        let source = Source::open(outside)?;
        let (ahead, lists) = channel();
        let (held, connection) = (source.held(), (outside.open)()?);
        drop(std::thread::spawn(move || read_ahead(&held, &connection, &lists)));
        let wanted = Arc::new(AtomicU64::new(0));
        let (still_wanted, back) = (Arc::clone(&wanted), to.clone());
        drop(std::thread::spawn(move || answer_rows(source, &still_wanted, &rows_asked, &back)));
        let source = Source::open(outside)?;
        let (of, back) = (Arc::clone(outside), to.clone());
        drop(std::thread::spawn(move || answer_about(&source, &of, &about_asked, &back)));
        let (of, back, learned) = (Arc::clone(outside), to.clone(), rows.clone());
        drop(std::thread::spawn(move || answer_graph(&of, &graph_asked, &learned, &back)));
        Ok(Self { rows, wanted, about, graph, ahead })
    }

    /// Gives a request to the thread that answers it; others come back.
    pub fn ask(&self, request: Request) -> Option<Request> {
        // A thread that is gone has said why.
        match request {
            Request::Rows { .. } | Request::Summary { .. } | Request::Position { .. } => {
                self.wanted.store(version_of(&request), Ordering::SeqCst);
                let long = match &request {
                    Request::Rows { listing, .. } => Long::of(&listing.place),
                    _ => None,
                };
                drop(self.rows.send(ToRows::Asked(request)));
                // Holders are one step away from wherever one is.
                for list in long.into_iter().chain([Long::Holders]) {
                    if self.ahead.send(list).is_err() {
                        break;
                    }
                }
            }
            Request::About { .. } => drop(self.about.send(request)),
            Request::Union { .. } | Request::Save { .. } => drop(self.graph.send(request)),
            other => return Some(other),
        }
        None
    }
}

fn send(to: &Sender<Message>, answer: Answer) {
    drop(to.send(Message::Answer(answer)));
}

fn version_of(request: &Request) -> u64 {
    match request {
        Request::Rows { version, .. }
        | Request::Summary { version, .. }
        | Request::Position { version, .. }
        | Request::About { version, .. }
        | Request::Union { version, .. } => *version,
        _ => 0,
    }
}

/// Answers about the list on the screen. What is being read for another one, or for the letters of a filter
/// that has become longer since, ends at once.
fn answer_rows(
    mut source: Source,
    wanted: &Arc<AtomicU64>,
    asked: &Receiver<ToRows>,
    to: &Sender<Message>,
) {
    let current = Arc::new(AtomicU64::new(0));
    let (answered, wanted_now) = (Arc::clone(&current), Arc::clone(wanted));
    let stopping = source.stop_when(move || {
        let version = answered.load(Ordering::SeqCst);
        version != 0 && version != wanted_now.load(Ordering::SeqCst)
    });
    if let Err(error) = stopping {
        send(to, failed(&error));
    }
    while let Ok(next) = asked.recv() {
        match next {
            ToRows::Learned(groups, protected) => {
                current.store(0, Ordering::SeqCst);
                let learned = source.learn(&groups, &protected);
                send(to, learned.map_or_else(|error| failed(&error), |()| Answer::Learned));
            }
            ToRows::Asked(request) => {
                let version = version_of(&request);
                current.store(version, Ordering::SeqCst);
                let is_wanted = version == wanted.load(Ordering::SeqCst);
                let answer =
                    if is_wanted { rows(&source, &request) } else { Answer::Dropped { version } };
                send(to, answer);
            }
        }
    }
}

/// Reads the numbers of lists before an order or a filter needs them.
fn read_ahead(held: &Held, connection: &Connection, lists: &Receiver<Long>) {
    while let Ok(list) = lists.recv() {
        // What cannot be read is said when it is needed.
        drop(held.columns(connection, list));
    }
}

fn failed(error: &rusqlite::Error) -> Answer {
    Answer::Failed(format!("cannot read the database: {error}; regsql scan makes it anew"))
}

/// Answers what is about a list.
pub fn rows(source: &Source, request: &Request) -> Answer {
    let answer = match request {
        Request::Rows { version, listing, offset } => source
            .rows(listing, *offset, super::level::WINDOW)
            .map(|rows| Answer::Rows { version: *version, offset: *offset, rows }),
        Request::Summary { version, listing } => {
            source.summary(listing).map(|summary| Answer::Summary { version: *version, summary })
        }
        Request::Position { version, listing, found } => source
            .position(listing, found)
            .map(|place| Answer::Position { version: *version, place }),
        _ => Ok(Answer::Dropped { version: 0 }),
    };
    answer.unwrap_or_else(|error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => Answer::Dropped { version: version_of(request) },
        _ => failed(&error),
    })
}

fn answer_about(
    source: &Source,
    outside: &Outside,
    asked: &Receiver<Request>,
    to: &Sender<Message>,
) {
    while let Ok(first) = asked.recv() {
        // Only the row where the cursor came to rest.
        let newest = asked.try_iter().last().unwrap_or(first);
        if let Request::About { version, row } = newest {
            super::panic_for_a_test("worker");
            send(to, Answer::About { version, lines: about(source, outside, &row) });
        }
    }
}

/// What there is to say about a row: the answer of `why`, when it was pulled, what to do with it.
pub fn about(source: &Source, outside: &Outside, row: &Row) -> Vec<Line> {
    let mut lines = Vec::new();
    let plain = |text: String| Line { text, jump: None };
    if let (Some(repository), Some(tag)) = (&row.repository, &row.tag)
        && let Ok(Some(pulled_ns)) = source.pulled_ns(repository, tag)
    {
        let age = ui::age(outside.now_ns.saturating_sub(pulled_ns) / 1_000_000_000);
        lines.push(plain(format!("last pulled {age} ago")));
    }
    if let Some(target) = row.target() {
        match (outside.about)(source.connection(), &target) {
            Ok(found) => lines.extend(found),
            Err(error) => lines.push(plain(ui::visible(&error).into_owned())),
        }
    }
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        lines.push(plain("… regsql why --all has the rest".into()));
    }
    lines
}

fn answer_graph(
    outside: &Outside,
    asked: &Receiver<Request>,
    learned: &Sender<ToRows>,
    to: &Sender<Message>,
) {
    let deletions = match (outside.deletions)() {
        Ok(deletions) => deletions,
        Err(error) => return send(to, Answer::Failed(error)),
    };
    drop(learned.send(ToRows::Learned(deletions.groups(), deletions.protected())));
    // What each mark adds is worked out one by one, while nothing else is asked for.
    let mut rest: Option<Adding> = None;
    loop {
        let next = match &rest {
            Some(_) => asked.try_recv(),
            None => asked.recv().map_err(|_| TryRecvError::Disconnected),
        };
        match next {
            Ok(first) => {
                let waiting: Vec<Request> =
                    std::iter::once(first).chain(asked.try_iter()).collect();
                let newest = waiting.iter().map(version_of).max().unwrap_or(0);
                for request in waiting {
                    match request {
                        Request::Union { version, marks } if version == newest => {
                            let union = deletions.union(&marks);
                            let all_bytes = union.freed_bytes;
                            send(to, Answer::Union { version, union });
                            rest = Some(Adding { version, marks, all_bytes, at: 0 });
                        }
                        Request::Save { path, marks } => {
                            let saved = save(outside, &deletions, &path, &marks);
                            send(to, Answer::Saved(saved));
                        }
                        _ => {}
                    }
                }
            }
            Err(TryRecvError::Empty) => {
                if let Some(adding) = &mut rest {
                    send(to, adding.step(&deletions));
                    if adding.at >= adding.marks.len() {
                        rest = None;
                    }
                }
            }
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

struct Adding {
    version: u64,
    marks: Vec<Mark>,
    all_bytes: u64,
    at: usize,
}

impl Adding {
    fn step(&mut self, deletions: &Deletions) -> Answer {
        let at = self.at;
        self.at += 1;
        let bytes = deletions.adds(&self.marks, at, self.all_bytes);
        Answer::Adds { version: self.version, at, bytes }
    }
}

/// Writes the marks as a plan.
pub fn save(
    outside: &Outside,
    deletions: &Deletions,
    path: &str,
    marks: &[Mark],
) -> Result<String, String> {
    (outside.save)(Path::new(path), &deletions.document(marks))?;
    Ok(path.to_owned())
}

/// Scans again in a thread.
pub fn rescan(outside: &Arc<Outside>, to: &Sender<Message>) {
    let (outside, to) = (Arc::clone(outside), to.clone());
    drop(std::thread::spawn(move || {
        let progress = Reported { to: to.clone(), state: Mutex::new(State::default()) };
        let result = (outside.rescan)(&progress);
        send(&to, Answer::Rescanned(result));
    }));
}

struct Reported {
    to: Sender<Message>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    phase: &'static str,
    done: u64,
    total: Option<u64>,
    sent_at: Option<Instant>,
}

impl Reported {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        // A person reads no faster.
        if state.sent_at.is_some_and(|at| at.elapsed() < Duration::from_millis(100)) {
            return;
        }
        state.sent_at = Some(Instant::now());
        let count = match (state.done, state.total) {
            (_, Some(0)) | (0, None) => String::new(),
            (done, Some(total)) => format!(" {done} of {total}"),
            (done, None) => format!(" {done}"),
        };
        let text = format!("scanning: {}{count}", state.phase);
        send(&self.to, Answer::Progress(text));
    }
}

impl Progress for Reported {
    fn phase(&self, name: &'static str, total: Option<u64>) {
        self.change(|state| *state = State { phase: name, total, sent_at: None, done: 0 });
    }

    fn advance(&self, steps: u64) {
        self.change(|state| state.done += steps);
    }

    fn finish(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_scan_says_how_far_it_is_and_what_came_of_it() {
        let scan = |progress: &dyn Progress| {
            progress.phase("walk", None);
            progress.phase("manifests", Some(10));
            // A person reads no faster than ten texts a second.
            std::thread::sleep(Duration::from_millis(120));
            progress.advance(4);
            progress.advance(1);
            Err("the disk is gone".to_owned())
        };
        let outside = Outside {
            open: Box::new(|| Err("not asked for".to_owned())),
            deletions: Box::new(|| Err("not asked for".to_owned())),
            about: Box::new(|_, _| Ok(Vec::new())),
            save: Box::new(|_, _| Ok(())),
            rescan: Box::new(scan),
            trash: Box::new(Vec::new),
            now_ns: 0,
            database: None,
            has_color: false,
        };
        let (to, messages) = channel();
        rescan(&Arc::new(outside), &to);
        drop(to);
        let shown = messages.iter().map(|message| match message {
            Message::Answer(Answer::Progress(text)) => text,
            Message::Answer(Answer::Rescanned(Err(error))) => error,
            _ => "something else".to_owned(),
        });
        let shown: Vec<String> = shown.collect();
        let expected = [
            "scanning: walk",
            "scanning: manifests 0 of 10",
            "scanning: manifests 4 of 10",
            "the disk is gone",
        ];
        assert_eq!(shown, expected);
    }
}
