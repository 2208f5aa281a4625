//! `regsql browse`: walks through a registry by bytes, and marks what could go.
//!
//! ```text
//! keys ──> App (state) ──Request──> workers (rows, why, graph) ──Answer──> App ──> view
//! ```
//!
//! The state is pure: events and answers go in, requests come out, and the view draws it. Lists are
//! windows that SQLite fills; of a long one the numbers that it is sorted and filtered by are held, and no
//! row. What all marks free together comes from the plan that `prune` would make of them, and is shown only
//! for just the marks that there are. Nothing is deleted here.

mod columns;
mod filter;
mod keys;
mod level;
mod line;
mod long;
mod look;
mod message;
mod mouse;
mod pane;
mod place;
mod source;
mod state;
mod terminal;
mod typing;
mod union;
mod view;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use ratatui::crossterm::event::Event;
use rusqlite::Connection;

pub use keys::{Action, Binding, FLAGS, KEYS};
pub use look::Look;
pub use message::{Answer, Line, Request, Union};
pub use place::{Branch, Mark, Measure, Order, Place, Row, RowKind, Sort};
pub use source::{Facts, Found, Listing, Source, Summary};
pub use state::{App, Areas, End, Focus, Overlay};
pub use union::Deletions;
pub use view::draw;
pub use worker::{about, rows, save};

use crate::model::progress::Progress;
use crate::prune::Document;

/// Says what keeps a target, in lines for people.
pub type Why = dyn Fn(&Connection, &str) -> Result<Vec<Line>, String> + Send + Sync;

/// Writes a plan to a file.
pub type Save = dyn Fn(&Path, &Document) -> Result<(), String> + Send + Sync;

/// Scans the storage again.
pub type Rescan = dyn Fn(&dyn Progress) -> Result<(), String> + Send + Sync;

/// What browse needs of the rest of the program.
pub struct Outside {
    /// Opens the snapshot.
    pub open: Box<dyn Fn() -> Result<Connection, String> + Send + Sync>,
    /// Reads the snapshot's graph.
    pub deletions: Box<dyn Fn() -> Result<Deletions, String> + Send + Sync>,
    /// Says what keeps a target.
    pub about: Box<Why>,
    /// Writes a plan to a file.
    pub save: Box<Save>,
    /// Scans the storage again.
    pub rescan: Box<Rescan>,
    /// The runs in the trash.
    pub trash: Box<dyn Fn() -> Vec<Row> + Send + Sync>,
    /// The time, in nanoseconds since 1970.
    pub now_ns: i64,
    /// The database's file, where it is not the default one.
    pub database: Option<String>,
    /// The terminal may have colours.
    pub has_color: bool,
}

impl Source {
    /// The snapshot, with what is in the trash.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(outside: &Outside) -> Result<Self, String> {
        let connection = (outside.open)()?;
        Self::new(connection, (outside.trash)()).map_err(|error| error.to_string())
    }
}

/// A panic in a named part, for a test of what becomes of the terminal. Builds for use have none of it.
fn panic_for_a_test(part: &str) {
    if cfg!(debug_assertions) {
        let is_asked = std::env::var("REGSQL_TEST_PANIC").is_ok_and(|asked| asked == part);
        assert!(!is_asked, "asked for by REGSQL_TEST_PANIC");
    }
}

/// What the loop waits for.
enum Message {
    /// A person did something.
    Input(Event),
    /// A worker answers.
    Answer(Answer),
    /// Stop the process for the shell.
    Suspend,
    /// SIGTERM or SIGINT came.
    Stop,
    /// A thread panicked.
    Panicked,
    /// There is nothing to read from.
    NoInput(String),
}

/// Takes the terminal and shows the browser until it ends. `on_stop` is given what to call when the
/// program is asked to end.
///
/// # Errors
/// In words, when the snapshot cannot be read or the terminal does not answer.
pub fn run(outside: Outside, on_stop: impl FnOnce(Box<dyn FnMut() + Send>)) -> Result<End, String> {
    let outside = Arc::new(outside);
    let (to, messages) = channel();
    let stop = to.clone();
    on_stop(Box::new(move || drop(stop.send(Message::Stop))));
    terminal::run(&outside, &to, &messages)
}
