//! What a person sees and where they are: a pure state. Keys and answers go in, requests come out.

use std::collections::HashSet;

use ratatui::crossterm::event::{Event, KeyEvent, KeyEventKind};
use ratatui::layout::Rect;

use super::keys::{self, Action};
use super::level::Level;
use super::line::prune_line;
use super::message::{Answer, Line, Request, Union};
use super::place::{Branch, Mark, Measure, Place, Row, RowKind, Sort};
use super::source::{Facts, Found};
use crate::ui::visible;

/// Which pane the keys move in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The list.
    List,
    /// What there is to say about the row.
    Why,
    /// The marks.
    Marks,
}

/// What lies over the panes and takes the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// The key map, scrolled by lines.
    Help(u16),
    /// The filter is being typed.
    Filter,
    /// The name of a plan's file is being typed.
    Path(String),
    /// Marks would be lost.
    Quit,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A person had enough.
    Quit,
    /// This line goes to standard output.
    Print(String),
    /// Ctrl-C.
    Interrupted,
}

/// Where things are on the screen, for the mouse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    /// The rows of the list.
    pub rows: Rect,
    /// The lines of the right pane.
    pub pane: Rect,
    /// The tabs, in order.
    pub tabs: Vec<Rect>,
}

/// The whole state.
#[derive(Debug)]
pub struct App {
    /// The branch that is open.
    pub branch: Branch,
    /// The way down in each branch.
    stacks: [Vec<Level>; 5],
    /// Which pane the keys move in.
    pub focus: Focus,
    /// What lies over it all.
    pub overlay: Option<Overlay>,
    /// What is marked, in the order of marking.
    pub marks: Vec<Mark>,
    marked: HashSet<Mark>,
    /// Changes with the marks.
    pub marks_version: u64,
    /// The marks are in a plan.
    are_marks_saved: bool,
    /// What they free, with the version that it is of.
    pub union: Option<(u64, Union)>,
    /// What each mark adds, as far as it is known for this version.
    pub adds: Vec<Option<u64>>,
    /// Lines of the right pane; `None` while they are being found.
    pub about: Option<Vec<Line>>,
    about_of: Option<(Row, Place)>,
    about_version: u64,
    /// The cursor's line in the right pane or among the marks.
    pub pane_cursor: usize,
    /// A line about what was just done.
    pub message: Option<String>,
    /// How far a scan is.
    pub progress: Option<String>,
    /// What is shown around the lists.
    pub facts: Facts,
    /// The time.
    pub now_ns: i64,
    /// The database's file, where it is not the default one.
    pub database: Option<String>,
    /// Where things are on the screen.
    pub areas: Areas,
    /// What is to be done.
    pub requests: Vec<Request>,
    /// It is over.
    pub end: Option<End>,
    versions: u64,
}

impl App {
    /// At the top of the repositories.
    pub fn new(facts: Facts, now_ns: i64, database: Option<String>) -> Self {
        let mut app = Self {
            branch: Branch::Repositories,
            stacks: [const { Vec::new() }; 5],
            focus: Focus::List,
            overlay: None,
            marks: Vec::new(),
            marked: HashSet::new(),
            marks_version: 0,
            are_marks_saved: false,
            union: None,
            adds: Vec::new(),
            about: None,
            about_of: None,
            about_version: 0,
            pane_cursor: 0,
            message: None,
            progress: None,
            facts,
            now_ns,
            database,
            areas: Areas { rows: Rect::new(0, 0, 80, 20), ..Areas::default() },
            requests: Vec::new(),
            end: None,
            versions: 0,
        };
        for branch in Branch::ALL {
            let whole = Some((app.facts.blob_bytes, app.facts.blob_bytes));
            let level = Level::new(branch.root(), Measure::Exclusive, app.next_version());
            app.stacks[branch as usize].push(Level { whole, ..level });
        }
        app.settle();
        app
    }

    pub(super) fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    /// The way down in the open branch.
    pub fn stack(&self) -> &[Level] {
        &self.stacks[self.branch as usize]
    }

    /// The list on the screen.
    pub fn level(&self) -> &Level {
        let stack = self.stack();
        &stack[stack.len() - 1]
    }

    pub(super) fn level_mut(&mut self) -> &mut Level {
        let stack = &mut self.stacks[self.branch as usize];
        let last = stack.len() - 1;
        &mut stack[last]
    }

    /// The row under the cursor is not known yet: a key that is about it has to wait, and a letter that is
    /// typed has not.
    pub fn is_waiting(&self) -> bool {
        let level = self.level();
        if self.overlay.is_some() {
            return false;
        }
        let is_unknown = level.summary.is_none() || level.are_rows_old || level.seek.is_some();
        is_unknown || level.current().is_none() && level.count() > 0
    }

    /// The list that was asked about, wherever it is by now.
    fn level_of(&mut self, version: u64) -> Option<&mut Level> {
        self.stacks.iter_mut().flatten().find(|level| level.version == version)
    }

    /// Whether a row is marked.
    pub fn is_marked(&self, row: &Row) -> bool {
        !self.marked.is_empty() && row.mark().is_ok_and(|mark| self.marked.contains(&mark))
    }

    /// What all marks free, if that is known for just these.
    pub fn known_union(&self) -> Option<&Union> {
        let known = self.union.as_ref().filter(|(version, _)| *version == self.marks_version);
        known.map(|(_, union)| union)
    }

    /// Asks for whatever the screen needs and is not there.
    pub fn settle(&mut self) {
        let height = u64::from(self.areas.rows.height);
        let level = self.level_mut();
        let (version, listing) = (level.version, level.listing.clone());
        let is_new = std::mem::take(&mut level.is_stale);
        let offset = level.scroll(height, is_new);
        let seek = level.seek.clone().filter(|_| is_new);
        if let Some(offset) = offset {
            self.requests.push(Request::Rows { version, listing: listing.clone(), offset });
        }
        if is_new {
            self.requests.push(Request::Summary { version, listing: listing.clone() });
        }
        if let Some(found) = seek {
            self.requests.push(Request::Position { version, listing, found });
        }
        self.look_at_row();
    }

    /// Asks what there is to say about the row under the cursor, when that is another one.
    fn look_at_row(&mut self) {
        let level = self.level();
        let now = level.current().map(|row| (row.clone(), level.listing.place.clone()));
        if now == self.about_of {
            return;
        }
        self.about_of.clone_from(&now);
        self.about_version = self.next_version();
        self.about = None;
        if self.focus != Focus::Marks {
            self.pane_cursor = 0;
        }
        if let Some((row, _)) = now {
            self.requests.push(Request::About { version: self.about_version, row });
        }
    }

    /// The row that the right pane is about.
    pub fn about_row(&self) -> Option<&Row> {
        self.about_of.as_ref().map(|(row, _)| row)
    }

    /// Takes in what was answered.
    pub fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Rows { version, offset, rows } => {
                if let Some(level) = self.level_of(version) {
                    level.take_rows(offset, rows);
                }
            }
            Answer::Summary { version, summary } => {
                if let Some(level) = self.level_of(version) {
                    level.take_summary(summary);
                }
            }
            Answer::Position { version, place } => {
                if let Some(level) = self.level_of(version) {
                    level.seek = None;
                    level.cursor = place.unwrap_or(level.cursor);
                }
            }
            Answer::Dropped { version } => {
                if let Some(level) = self.level_of(version) {
                    level.pending = None;
                    level.is_stale = true;
                }
            }
            Answer::About { version, lines } => {
                if version == self.about_version {
                    self.about = Some(lines);
                }
            }
            Answer::Union { version, union } => self.union = Some((version, union)),
            Answer::Adds { version, at, bytes } => {
                if version == self.marks_version
                    && let Some(adds) = self.adds.get_mut(at)
                {
                    *adds = Some(bytes);
                }
            }
            Answer::Saved(Ok(path)) => {
                self.are_marks_saved = true;
                let path = visible(&path).into_owned();
                self.message = Some(format!("wrote the plan: regsql prune --plan {path}"));
            }
            Answer::Saved(Err(error)) | Answer::Failed(error) => {
                self.message = Some(visible(&error).into_owned());
            }
            Answer::Progress(text) => self.progress = Some(text),
            Answer::Rescanned(result) => {
                self.progress = None;
                self.message = Some(match result {
                    Ok(()) => "scanned again".into(),
                    Err(error) => visible(&error).into_owned(),
                });
                self.changed_marks();
                self.reload();
            }
            Answer::Facts(facts) => {
                self.facts = facts;
                let whole = Some((self.facts.blob_bytes, self.facts.blob_bytes));
                for stack in &mut self.stacks {
                    stack[0].whole = whole;
                }
            }
            Answer::Learned => self.reload(),
        }
        self.settle();
    }

    /// All rows are fetched again; the cursor stays where it is.
    fn reload(&mut self) {
        for branch in Branch::ALL {
            for at in 0..self.stacks[branch as usize].len() {
                let version = self.next_version();
                self.stacks[branch as usize][at].forget(version);
            }
        }
        self.about_of = None;
    }

    /// Takes in what a person did.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key),
            Event::Mouse(mouse) => self.mouse(*mouse),
            _ => {}
        }
        self.settle();
    }

    fn key(&mut self, key: KeyEvent) {
        self.message = None;
        let action = keys::action(key);
        // These are never letters of a filter or a name.
        match action {
            Some(Action::Stop) => {
                self.end = Some(End::Interrupted);
                return;
            }
            Some(Action::Suspend) => return self.requests.push(Request::Suspend),
            Some(Action::Redraw) => return self.requests.push(Request::Redraw),
            _ => {}
        }
        match self.overlay.take() {
            None => {
                if let Some(action) = action {
                    self.act(action);
                }
            }
            Some(Overlay::Help(line)) => {
                self.overlay = match action {
                    Some(Action::Down) => Some(Overlay::Help(line.saturating_add(1).min(99))),
                    Some(Action::Up) => Some(Overlay::Help(line.saturating_sub(1))),
                    Some(Action::PageDown | Action::HalfDown) => {
                        Some(Overlay::Help(line.saturating_add(10).min(99)))
                    }
                    Some(Action::PageUp | Action::HalfUp) => {
                        Some(Overlay::Help(line.saturating_sub(10)))
                    }
                    Some(Action::First) => Some(Overlay::Help(0)),
                    Some(Action::Last) => Some(Overlay::Help(99)),
                    _ => None,
                };
            }
            Some(Overlay::Filter) => self.filter_key(key),
            Some(Overlay::Path(path)) => self.path_key(path, key),
            Some(Overlay::Quit) => match action {
                Some(Action::Quit) => self.end = Some(End::Quit),
                Some(Action::Write) => self.act(Action::Write),
                Some(Action::Print) => self.act(Action::Print),
                _ => {}
            },
        }
    }

    fn act(&mut self, action: Action) {
        let page = i64::from(self.areas.rows.height.max(2)) - 1;
        match action {
            Action::Down => self.move_by(1),
            Action::Up => self.move_by(-1),
            Action::PageDown => self.move_by(page),
            Action::PageUp => self.move_by(-page),
            Action::HalfDown => self.move_by(page / 2 + 1),
            Action::HalfUp => self.move_by(-page / 2 - 1),
            Action::First => self.move_by(-i64::MAX),
            Action::Last => self.move_by(i64::MAX),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::Pane => self.next_pane(),
            Action::Mark => self.toggle_mark(),
            Action::MarkDown => {
                self.toggle_mark();
                self.move_by(1);
            }
            Action::Unmark => {
                self.marks.clear();
                self.marked.clear();
                self.changed_marks();
            }
            Action::Marks => {
                self.focus = if self.focus == Focus::Marks { Focus::List } else { Focus::Marks };
                self.pane_cursor = 0;
            }
            Action::Measure => {
                if self.level().listing.place.has_measures() {
                    let version = self.next_version();
                    let level = self.level_mut();
                    level.listing.order.measure = level.listing.order.measure.next();
                    level.listing.order.sort = Sort::Size;
                    level.forget(version);
                } else {
                    self.message = Some("bytes on disk are all that there is here".into());
                }
            }
            Action::SortName => self.sort(Sort::Name),
            Action::SortSize => self.sort(Sort::Size),
            Action::SortCount => self.sort(Sort::Count),
            Action::SortTime => self.sort(Sort::Time),
            Action::Reverse => self.sort(self.level().listing.order.sort),
            Action::Turn => self.turn(),
            Action::Tab1 => self.go_to(Branch::Repositories),
            Action::Tab2 => self.go_to(Branch::Layers),
            Action::Tab3 => self.go_to(Branch::Garbage),
            Action::Tab4 => self.go_to(Branch::Trash),
            Action::Tab5 => self.go_to(Branch::Problems),
            Action::Filter => {
                self.focus = Focus::List;
                self.overlay = Some(Overlay::Filter);
            }
            Action::NextOrName => self.next_match(),
            Action::Write | Action::Print if self.marks.is_empty() => self.say_no_marks(),
            Action::Write => self.overlay = Some(Overlay::Path("plan.json".into())),
            Action::Print => match prune_line(self.database.as_deref(), &self.marks) {
                Ok(line) => self.end = Some(End::Print(line)),
                Err(error) => self.message = Some(error),
            },
            Action::Rescan if self.progress.is_some() => {
                self.message = Some("a scan is running".into());
            }
            Action::Rescan => {
                self.progress = Some("scanning".into());
                self.requests.push(Request::Rescan);
            }
            Action::Copy => match self.level().current().and_then(|row| row.digest.clone()) {
                Some(digest) => {
                    self.message = Some(format!("copied {}", visible(&digest)));
                    self.requests.push(Request::Copy(digest));
                }
                None => self.message = Some("this row has no digest".into()),
            },
            Action::Help => self.overlay = Some(Overlay::Help(0)),
            Action::Quit if self.marks.is_empty() || self.are_marks_saved => {
                self.end = Some(End::Quit);
            }
            Action::Quit => self.overlay = Some(Overlay::Quit),
            Action::Stop | Action::Suspend | Action::Redraw => {}
        }
    }

    fn say_no_marks(&mut self) {
        self.message = Some("nothing is marked: Space marks".into());
    }

    pub(super) fn move_by(&mut self, rows: i64) {
        match self.focus {
            Focus::List => self.level_mut().step(rows),
            Focus::Why | Focus::Marks => {
                let last = self.pane_length().saturating_sub(1);
                let rows = isize::try_from(rows).unwrap_or(isize::MAX);
                self.pane_cursor = self.pane_cursor.saturating_add_signed(rows).min(last);
            }
        }
    }

    fn pane_length(&self) -> usize {
        match self.focus {
            Focus::Marks => self.marks.len(),
            _ => self.about.as_ref().map_or(0, Vec::len),
        }
    }

    pub(super) fn open(&mut self) {
        if self.focus == Focus::Why {
            let line = self.about.as_ref().and_then(|lines| lines.get(self.pane_cursor));
            match line.and_then(|line| line.jump.clone()) {
                Some(found) => self.jump(found),
                None => self.message = Some("Enter goes to lines that begin with >".into()),
            }
            return;
        }
        if self.focus == Focus::Marks {
            if let Some(found) = self.marks.get(self.pane_cursor).and_then(found_of) {
                self.jump(found);
            }
            return;
        }
        let Some(row) = self.level().current().cloned() else {
            return;
        };
        let from = self.level().listing.place.clone();
        if matches!(from, Place::Holders { .. }) {
            return self.jump(Found {
                digest: row.digest.clone().filter(|_| row.tag.is_none()),
                repository: row.repository,
                tag: row.tag,
            });
        }
        match row.opens(&from) {
            Some(place) => {
                let whole = match place {
                    Place::Holders { .. } => (self.facts.blob_bytes, self.facts.blob_bytes),
                    _ => (row.exclusive_bytes, row.logical_bytes),
                };
                self.push(place, Some(whole), None);
            }
            None => self.message = Some("there is nothing below this".into()),
        }
    }

    fn push(&mut self, place: Place, whole: Option<(u64, u64)>, seek: Option<Found>) {
        // A ring of indexes, or a person who goes round in circles, must not fill the memory.
        if self.stack().len() >= 200 {
            self.stacks[self.branch as usize].remove(1);
        }
        let measure = self.level().listing.order.measure;
        let level = Level::new(place, measure, self.next_version());
        self.stacks[self.branch as usize].push(Level { whole, seek, ..level });
        self.focus = Focus::List;
    }

    /// To where a holder stands in its repository.
    fn jump(&mut self, found: Found) {
        match found.repository.clone() {
            Some(repository) => self.push(Place::Tags { repository }, None, Some(found)),
            None => {
                if let Some(digest) = found.digest {
                    self.push(Place::Holders { digest }, None, None);
                }
            }
        }
    }

    fn back(&mut self) {
        if self.focus != Focus::List {
            self.focus = Focus::List;
        } else if !self.level().listing.filter.is_empty() {
            self.set_filter(String::new());
        } else if self.stack().len() > 1 {
            drop(self.stacks[self.branch as usize].pop());
        } else if self.branch != Branch::Repositories {
            self.branch = Branch::Repositories;
        } else {
            self.message = Some("this is the top: q quits".into());
        }
    }

    pub(super) fn next_pane(&mut self) {
        self.focus = match self.focus {
            Focus::List => Focus::Why,
            Focus::Why if !self.marks.is_empty() => Focus::Marks,
            _ => Focus::List,
        };
        self.pane_cursor = 0;
        if self.focus == Focus::Why
            && let Some(first) = self.about.iter().flatten().position(|line| line.jump.is_some())
        {
            self.pane_cursor = first;
        }
    }

    fn toggle_mark(&mut self) {
        if self.focus == Focus::Marks {
            if self.pane_cursor < self.marks.len() {
                let mark = self.marks.remove(self.pane_cursor);
                self.marked.remove(&mark);
                self.pane_cursor = self.pane_cursor.min(self.marks.len().saturating_sub(1));
                self.changed_marks();
            }
            return;
        }
        let Some(row) = self.level().current() else {
            return;
        };
        match row.mark() {
            Ok(mark) => {
                if self.marked.remove(&mark) {
                    self.marks.retain(|known| *known != mark);
                } else {
                    self.marked.insert(mark.clone());
                    self.marks.push(mark);
                }
                self.changed_marks();
            }
            Err(why) => self.message = Some(why.into()),
        }
    }

    fn changed_marks(&mut self) {
        self.marks_version = self.next_version();
        self.are_marks_saved = false;
        self.adds = vec![None; self.marks.len()];
        if self.marks.is_empty() {
            self.union = None;
            if self.focus == Focus::Marks {
                self.focus = Focus::List;
            }
        } else {
            let (version, marks) = (self.marks_version, self.marks.clone());
            self.requests.push(Request::Union { version, marks });
        }
    }

    fn sort(&mut self, sort: Sort) {
        let version = self.next_version();
        let level = self.level_mut();
        let order = &mut level.listing.order;
        order.is_reversed = order.sort == sort && !order.is_reversed;
        order.sort = sort;
        (level.cursor, level.top) = (0, 0);
        level.forget(version);
    }

    pub(super) fn go_to(&mut self, branch: Branch) {
        self.branch = branch;
        self.focus = Focus::List;
    }

    /// From repositories to layers and back; from a layer to who holds it.
    fn turn(&mut self) {
        let row = self.level().current();
        let layer = row.filter(|row| row.kind == RowKind::Layer).and_then(|row| row.digest.clone());
        let is_layers = self.branch == Branch::Layers;
        self.go_to(if is_layers { Branch::Repositories } else { Branch::Layers });
        if let Some(digest) = layer.filter(|_| !is_layers) {
            self.stacks[Branch::Layers as usize].truncate(1);
            self.push(Place::Holders { digest }, None, None);
        }
    }

    fn next_match(&mut self) {
        if self.level().listing.filter.is_empty() {
            return self.sort(Sort::Name);
        }
        let level = self.level_mut();
        level.cursor = if level.cursor + 1 >= level.count() { 0 } else { level.cursor + 1 };
    }
}

fn found_of(mark: &Mark) -> Option<Found> {
    use crate::model::Name;
    let Mark::Thing(name) = mark else {
        return None;
    };
    let (repository, tag, digest) = match name {
        Name::Tag { repository, tag, .. } => (Some(repository), Some(tag), None),
        Name::Revision { repository, manifest_digest } => {
            (Some(repository), None, Some(manifest_digest))
        }
        Name::Repository { repository } => (Some(repository), None, None),
        Name::Layer { layer_digest } => (None, None, Some(layer_digest)),
        _ => return None,
    };
    Some(Found { repository: repository.cloned(), tag: tag.cloned(), digest: digest.cloned() })
}
