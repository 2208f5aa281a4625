//! The terminal browser: what people do with it, by name, on a screen in memory; and the real thing in
//! tmux.

mod journeys;
mod page_size;
mod pictures;
pub mod real;
mod storm;

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use regsql::browse::{
    self, Answer, App, Deletions, End, Look, Outside, Request, Source, about, draw,
};
use regsql::commands::{BrowseArgs, Context, browse_outside};
use regsql::ui::{Color, LogTime, Printer, Verbosity};

/// The time of the sample's story.
pub const NOW_NS: i64 = 1_769_860_800_000_000_000;

/// A person before a screen. Answers come at once, as if every thread were fast enough.
pub struct Person {
    pub app: App,
    pub terminal: Terminal<TestBackend>,
    source: Source,
    deletions: Deletions,
    outside: Outside,
}

impl Person {
    pub fn new(database: &Path, width: u16, height: u16) -> Self {
        Self::with(database, width, height, &BrowseArgs::default())
    }

    pub fn with(database: &Path, width: u16, height: u16, args: &BrowseArgs) -> Self {
        let printer = Printer::new(Verbosity::Quiet, Color::Never, LogTime::Never);
        let context = Context { db: database.to_owned(), printer };
        let mut outside = browse_outside(&context, args).unwrap();
        outside.now_ns = NOW_NS;
        let mut source = Source::open(&outside).unwrap();
        let deletions = (outside.deletions)().unwrap();
        source.learn(&deletions.groups(), &deletions.protected()).unwrap();
        let app = App::new(source.facts().unwrap(), NOW_NS, Some("registry.db".into()));
        let terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut person = Self { app, terminal, source, deletions, outside };
        person.look();
        person
    }

    /// Draws and answers until nothing is asked for any more.
    pub fn look(&mut self) {
        for round in 0.. {
            assert!(round < 100, "it asks for ever: {:?}", self.app.requests);
            self.draw();
            if self.app.requests.is_empty() {
                return;
            }
            for request in std::mem::take(&mut self.app.requests) {
                for answer in self.answers(&request) {
                    self.app.answer(answer);
                }
            }
        }
    }

    /// Draws what is known.
    pub fn draw(&mut self) {
        let look = Look { has_color: false };
        self.terminal.draw(|frame| draw(frame, &mut self.app, look)).unwrap();
    }

    fn answers(&self, request: &Request) -> Vec<Answer> {
        match request {
            Request::Rows { .. } | Request::Summary { .. } | Request::Position { .. } => {
                vec![browse::rows(&self.source, request)]
            }
            Request::About { version, row, .. } => {
                let lines = about(&self.source, &self.outside, row);
                vec![Answer::About { version: *version, lines }]
            }
            Request::Union { version, marks } => {
                let version = *version;
                let union = self.deletions.union(marks);
                let all = union.freed_bytes;
                let adds = (0..marks.len())
                    .map(|at| (at, self.deletions.adds(marks, at, all)))
                    .map(|(at, bytes)| Answer::Adds { version, at, bytes });
                std::iter::once(Answer::Union { version, union }).chain(adds).collect()
            }
            Request::Save { path, marks } => {
                vec![Answer::Saved(browse::save(&self.outside, &self.deletions, path, marks))]
            }
            Request::Rescan => vec![Answer::Rescanned(Ok(()))],
            Request::Copy(_) | Request::Suspend | Request::Redraw => Vec::new(),
        }
    }

    /// Keys by name, with a blank between two: `j j Enter C-d`; `Space` is the bar.
    pub fn press(&mut self, keys: &str) -> &mut Self {
        for name in keys.split(' ').filter(|name| !name.is_empty()) {
            self.key(key(name));
        }
        self
    }

    pub fn key(&mut self, key: KeyEvent) {
        self.event(&Event::Key(key));
    }

    pub fn event(&mut self, event: &Event) {
        self.app.event(event);
        self.look();
    }

    pub fn types(&mut self, text: &str) -> &mut Self {
        for char in text.chars() {
            self.key(KeyEvent::new(KeyCode::Char(char), KeyModifiers::NONE));
        }
        self
    }

    /// Goes down to the row with this name.
    #[track_caller]
    pub fn goes_to(&mut self, name: &str) -> &mut Self {
        for _ in 0..self.app.level().count() {
            if self.at() == name {
                return self;
            }
            self.press("j");
        }
        panic!("there is no {name}:\n{}", self.screen());
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.terminal.backend_mut().resize(width, height);
        self.event(&Event::Resize(width, height));
    }

    /// The screen as text.
    pub fn screen(&self) -> String {
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width).max(1);
        let mut lines: Vec<String> = Vec::new();
        for row in buffer.content.chunks(width) {
            let mut line = String::new();
            let mut covered = 0;
            for cell in row {
                // What a wide character covers holds nothing of its own.
                if covered > 0 {
                    covered -= 1;
                    continue;
                }
                line.push_str(cell.symbol());
                covered = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
            }
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n")
    }

    /// The line of the screen that says what the marks free.
    pub fn footer(&self) -> String {
        let screen = self.screen();
        let lines: Vec<&str> = screen.lines().collect();
        lines[lines.len() - 2].trim().to_owned()
    }

    /// The name under the cursor.
    pub fn at(&self) -> String {
        self.app.level().current().map(|row| row.name.clone()).unwrap_or_default()
    }

    pub fn end(&self) -> Option<&End> {
        self.app.end.as_ref()
    }
}

pub fn key(name: &str) -> KeyEvent {
    let (name, modifiers) = match name.strip_prefix("C-") {
        Some(name) => (name, KeyModifiers::CONTROL),
        None => (name, KeyModifiers::NONE),
    };
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Space" => KeyCode::Char(' '),
        "Down" => KeyCode::Down,
        "Up" => KeyCode::Up,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "PageDown" => KeyCode::PageDown,
        "PageUp" => KeyCode::PageUp,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "Backspace" => KeyCode::Backspace,
        name => KeyCode::Char(name.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}
