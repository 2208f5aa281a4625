//! How soon `browse` answers on a database: `cargo run --release --example browse_times -- registry.db`.
//!
//! Draws on a screen in memory, and waits for every answer to a key before the next one, as a person
//! sees it at the latest: in the program the screen does not wait for rows.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use regsql::browse::{Answer, App, Look, Outside, Request, Source, about, draw, rows};
use regsql::commands::{BrowseArgs, Context, browse_outside};
use regsql::ui::{Color, LogTime, Printer, Verbosity};

/// A walk through all kinds of lists.
const WALK: &str = "jjjjG gljjlllhhhh2jjGgjlh2MsNs3ljjjGgh5l1";

struct Screen {
    app: App,
    source: Source,
    outside: Outside,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    /// Draws and answers until nothing is asked for; gives what each kind of answer took.
    fn settle(&mut self) -> Result<[Duration; 2], Box<dyn std::error::Error>> {
        let mut took = [Duration::ZERO; 2];
        loop {
            let begun = Instant::now();
            self.terminal.draw(|frame| draw(frame, &mut self.app, Look { has_color: true }))?;
            took[0] += begun.elapsed();
            let requests = std::mem::take(&mut self.app.requests);
            if requests.is_empty() {
                return Ok(took);
            }
            for request in requests {
                let begun = Instant::now();
                if let Request::About { version, row } = request {
                    let lines = about(&self.source, &self.outside, &row);
                    took[1] += begun.elapsed();
                    self.app.answer(Answer::About { version, lines });
                } else if matches!(
                    request,
                    Request::Rows { .. } | Request::Summary { .. } | Request::Position { .. }
                ) {
                    let answer = rows(&self.source, &request);
                    took[0] += begun.elapsed();
                    self.app.answer(answer);
                }
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = PathBuf::from(std::env::args().nth(1).ok_or("which database?")?);
    let printer = Printer::new(Verbosity::Quiet, Color::Never, LogTime::Never);
    let context = Context { db: database, printer };
    let outside = browse_outside(&context, &BrowseArgs::default())
        .map_err(|error| error.messages().join(": "))?;
    let begun = Instant::now();
    let source = Source::open(&outside)?;
    let app = App::new(source.facts()?, outside.now_ns, None);
    let terminal = Terminal::new(TestBackend::new(160, 50))?;
    let mut screen = Screen { app, source, outside, terminal };
    screen.settle()?;
    let mut report = vec![format!("first frame {:.1?}", begun.elapsed())];

    let begun = Instant::now();
    let deletions = (screen.outside.deletions)()?;
    report.push(format!("graph read {:.1?}", begun.elapsed()));
    let begun = Instant::now();
    screen.source.learn(&deletions.groups(), &[])?;
    screen.app.answer(Answer::Learned);
    screen.settle()?;
    report.push(format!("groups exact {:.1?}", begun.elapsed()));

    let mut slowest = [(Duration::ZERO, ' '); 2];
    for char in WALK.chars() {
        let code = if char == 'l' { KeyCode::Enter } else { KeyCode::Char(char) };
        screen.app.event(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        for (slowest, took) in slowest.iter_mut().zip(screen.settle()?) {
            *slowest = (*slowest).max((took, char));
        }
    }
    let [(rows, of_rows), (why, of_why)] = slowest;
    report.push(format!("slowest rows {rows:.1?} (key {of_rows})"));
    report.push(format!("slowest why {why:.1?} (key {of_why})"));

    screen.app.event(&Event::Key(KeyEvent::new(KeyCode::Char('d'), KeyModifiers::NONE)));
    let marks = screen.app.marks.clone();
    let begun = Instant::now();
    let union = deletions.union(&marks);
    report.push(format!("sum of {} marks {:.1?}", marks.len(), begun.elapsed()));
    report.push(format!("which free {} bytes", union.freed_bytes));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    report.extend(status.lines().find(|line| line.starts_with("VmHWM")).map(str::to_owned));
    let printer = &context.printer;
    printer.results(&format!("{}\n", report.join("\n")))?;
    Ok(())
}
