//! The terminal: taken over on standard error, so that standard output pipes, and given back whatever
//! happens: the end, a panic, Ctrl-C, Ctrl-Z, SIGTERM.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufWriter, Stderr, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, DisableMouseCapture, EnableMouseCapture, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use signal_hook::consts::{SIGHUP, SIGQUIT, SIGTSTP};

use super::keys::{Action, action};
use super::look::Look;
use super::message::{Answer, Request};
use super::source::Source;
use super::state::{App, End};
use super::view::draw;
use super::worker::{self, Workers};
use super::{Message, Outside};

type Screen = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

/// The terminal is ours. What gives it back does so once: to leave the other screen twice would put the
/// cursor before what was written since.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Held by whoever writes to the terminal, so that a thread that panics gives it back between two pictures,
/// and nothing is written over what the panic says.
static WRITING: Mutex<()> = Mutex::new(());

thread_local! {
    /// This thread holds [`WRITING`], and would wait for itself when it panics.
    static IS_WRITING: Cell<bool> = const { Cell::new(false) };
}

/// Writes to the terminal as long as it is ours.
fn while_taken<T>(write: impl FnOnce() -> io::Result<T>) -> Result<T, String> {
    let _held = hold();
    if !IS_TAKEN.load(Ordering::SeqCst) {
        return Err(PANICKED.into());
    }
    IS_WRITING.set(true);
    let written = write();
    IS_WRITING.set(false);
    written.map_err(|error| format!("cannot draw on the terminal: {error}"))
}

/// Gives the terminal back when it goes.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        let _held = hold();
        give_back();
    }
}

fn take() -> io::Result<Guard> {
    enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    let guard = Guard;
    execute!(io::stderr(), EnterAlternateScreen, EnableMouseCapture)?;
    Ok(guard)
}

/// Waits until no other thread writes to the terminal.
fn hold() -> Option<MutexGuard<'static, ()>> {
    (!IS_WRITING.get()).then(|| WRITING.lock().unwrap_or_else(PoisonError::into_inner))
}

fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // A terminal that is gone takes nothing back.
    drop(execute!(io::stderr(), DisableMouseCapture, LeaveAlternateScreen, Show));
    drop(disable_raw_mode());
}

const PANICKED: &str = "browse stopped: a fault of regsql itself, with its place above";

/// Shows the browser until it ends.
///
/// # Errors
/// When the snapshot cannot be read or the terminal does not answer.
pub fn run(
    outside: &Arc<Outside>,
    to: &Sender<Message>,
    messages: &Receiver<Message>,
) -> Result<End, String> {
    let source = Source::open(outside)?;
    let facts = source.facts().map_err(|error| error.to_string())?;
    drop(source);
    let mut workers = Workers::start(outside, to)?;
    let mut app = App::new(facts, outside.now_ns, outside.database.clone());
    let before = std::panic::take_hook();
    let on_panic = to.clone();
    std::panic::set_hook(Box::new(move |info| {
        // Nothing else is written until all is said.
        let _held = hold();
        give_back();
        before(info);
        drop(on_panic.send(Message::Panicked));
    }));
    let result = show(&mut app, outside, &mut workers, to, messages);
    // The hook before it went into the one that is taken away here.
    drop(std::panic::take_hook());
    result
}

fn show(
    app: &mut App,
    outside: &Arc<Outside>,
    workers: &mut Workers,
    to: &Sender<Message>,
    messages: &Receiver<Message>,
) -> Result<End, String> {
    let shown = |error: io::Error| format!("cannot draw on the terminal: {error}");
    let look = Look { has_color: outside.has_color };
    let mut guard = Some(take().map_err(shown)?);
    let mut screen = while_taken(new_screen)?;
    read_input(to);
    stop_on_signal(to);
    let mut typed = TypedAhead::default();
    while app.end.is_none() {
        while_taken(|| screen.draw(|frame| draw(frame, app, look)).map(drop))?;
        let mut is_empty = false;
        for request in std::mem::take(&mut app.requests) {
            match workers.ask(request) {
                None => {}
                Some(Request::Rescan) => worker::rescan(outside, to),
                Some(Request::Copy(text)) => while_taken(|| copy(&text))?,
                Some(Request::Suspend) => {
                    drop(guard.take());
                    stop();
                    guard = Some(take().map_err(shown)?);
                    is_empty = true;
                }
                Some(_) => {
                    super::panic_for_a_test("screen");
                    is_empty = true;
                }
            }
        }
        if is_empty {
            screen = while_taken(new_screen)?;
            continue;
        }
        if let Some(event) = typed.next(app) {
            app.event(&event);
            continue;
        }
        if !app.requests.is_empty() {
            continue;
        }
        let first = match typed.patience() {
            Some(patience) => match messages.recv_timeout(patience) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            },
            None => match messages.recv() {
                Ok(first) => first,
                Err(_) => break,
            },
        };
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Input(event) if is_urgent(&event) => app.event(&event),
                Message::Input(event) => typed.push(event),
                Message::Answer(Answer::Rescanned(Ok(()))) => {
                    *workers = Workers::start(outside, to)?;
                    let source = Source::open(outside)?;
                    app.answer(Answer::Facts(source.facts().map_err(|error| error.to_string())?));
                    app.answer(Answer::Rescanned(Ok(())));
                }
                Message::Answer(answer) => app.answer(answer),
                Message::Suspend => app.requests.push(Request::Suspend),
                Message::Stop => app.end = Some(End::Interrupted),
                Message::Panicked => return Err(PANICKED.into()),
                Message::NoInput(error) => {
                    return Err(format!("cannot read the keyboard: {error}"));
                }
            }
        }
    }
    drop(guard);
    Ok(app.end.take().unwrap_or(End::Quit))
}

/// An empty screen, all of which is drawn next. `Terminal::clear` would ask the terminal where its cursor
/// is, and the answer would go to the thread that reads keys.
fn new_screen() -> io::Result<Screen> {
    execute!(io::stderr(), Clear(ClearType::All))?;
    Terminal::new(CrosstermBackend::new(BufWriter::new(io::stderr())))
}

/// How long a key waits for the rows that it is about. After that it is taken as it is.
const PATIENCE: Duration = Duration::from_millis(300);

/// Keys that were typed before the rows were there that they are about.
#[derive(Default)]
struct TypedAhead {
    events: VecDeque<Event>,
    waits_since: Option<Instant>,
}

impl TypedAhead {
    fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// The next one that may be taken now.
    fn next(&mut self, app: &App) -> Option<Event> {
        if self.events.is_empty() || !app.is_waiting() {
            self.waits_since = None;
            return self.events.pop_front();
        }
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        if since.elapsed() < PATIENCE {
            return None;
        }
        self.waits_since = None;
        self.events.pop_front()
    }

    fn patience(&self) -> Option<Duration> {
        let since = self.waits_since?;
        Some(PATIENCE.saturating_sub(since.elapsed()) + Duration::from_millis(1))
    }
}

/// Ctrl-C and Ctrl-Z wait for nothing.
fn is_urgent(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    matches!(action(*key), Some(Action::Stop | Action::Suspend))
}

/// Keys, the mouse, and changes of size.
fn read_input(to: &Sender<Message>) {
    let to = to.clone();
    drop(std::thread::spawn(move || {
        loop {
            let message = match event::read() {
                Ok(event) => Message::Input(event),
                Err(error) => Message::NoInput(error.to_string()),
            };
            let is_last = matches!(message, Message::NoInput(_));
            if to.send(message).is_err() || is_last {
                return;
            }
        }
    }));
}

/// `kill -TSTP`, as Ctrl-Z itself is a key here; a terminal that goes away. SIGTERM and SIGINT come as for
/// every command.
fn stop_on_signal(to: &Sender<Message>) {
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGTSTP, SIGHUP, SIGQUIT]) else {
        return;
    };
    let to = to.clone();
    drop(std::thread::spawn(move || {
        for signal in signals.forever() {
            let message = if signal == SIGTSTP { Message::Suspend } else { Message::Stop };
            if to.send(message).is_err() {
                return;
            }
        }
    }));
}

/// Stops this process, as Ctrl-Z does; comes back when the shell says so.
fn stop() {
    drop(signal_hook::low_level::emulate_default_handler(SIGTSTP));
}

/// Asks the terminal to put a text into the clipboard (OSC 52): works over ssh, too. tmux and screen take
/// it themselves or not at all, so that it is also handed through them.
fn copy(text: &str) -> io::Result<()> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut terminal = io::stderr();
    terminal.write_all(clipboard(text, set("TMUX"), set("STY")).as_bytes())?;
    terminal.flush()
}

fn clipboard(text: &str, is_tmux: bool, is_screen: bool) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    let plain = format!("\x1b]52;c;{encoded}\x07");
    if is_tmux {
        // With `allow-passthrough`; escapes within are doubled.
        format!("{plain}\x1bPtmux;\x1b{plain}\x1b\\")
    } else if is_screen {
        format!("\x1bP{plain}\x1b\\")
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::clipboard;

    #[test]
    fn a_copy_goes_through_what_lies_between() {
        assert_eq!(clipboard("ab", false, false), "\x1b]52;c;YWI=\x07");
        let through_tmux = "\x1bPtmux;\x1b\x1b]52;c;YWI=\x07\x1b\\";
        assert!(clipboard("ab", true, false).ends_with(through_tmux));
        assert_eq!(clipboard("ab", false, true), "\x1bP\x1b]52;c;YWI=\x07\x1b\\");
    }
}
