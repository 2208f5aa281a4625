//! The only way to write: data to standard output, everything else to standard error.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;

use super::frame::Look;
use super::pager::{Out, terminal_size};
use super::sanitize::visible;
use super::shown_bar::beside_bar;

/// How much is said beside the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors alone.
    Quiet,
    /// Notes too.
    #[default]
    Normal,
    /// Details too.
    Verbose,
}

/// When bold, dim and colour are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` or `TERM=dumb` is set
    #[default]
    Auto,
    /// Also in a pipe
    Always,
    /// Not at all
    Never,
}

/// When lines on standard error begin with the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogTime {
    /// When a registry is being changed and standard error is not a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Not at all
    Never,
}

/// Writes for the whole program. Clones are the same printer.
#[derive(Clone, Debug)]
pub struct Printer {
    verbosity: Verbosity,
    color: Color,
    log_time: LogTime,
    has_pager: bool,
    has_times: Arc<AtomicBool>,
    last_warning: Arc<Mutex<Option<String>>>,
    /// Whether any was printed.
    has_warned: Arc<AtomicBool>,
}

impl Printer {
    /// A printer.
    pub fn new(verbosity: Verbosity, color: Color, log_time: LogTime) -> Self {
        let has_times = Arc::new(AtomicBool::new(log_time == LogTime::Always));
        let (last_warning, has_warned) = (Arc::default(), Arc::default());
        Self { verbosity, color, log_time, has_pager: true, has_times, last_warning, has_warned }
    }

    /// The same printer, which never starts a pager.
    #[must_use]
    pub fn without_pager(self) -> Self {
        Self { has_pager: false, ..self }
    }

    /// From now on a registry is being changed: whoever keeps a log of it wants to know when.
    pub fn begin_log(&self) {
        if self.log_time == LogTime::Auto && !io::stderr().is_terminal() {
            self.has_times.store(true, Ordering::Relaxed);
        }
    }

    /// The last line of a log: how the program ends, and why. `reason` is `None` for what a warning
    /// has said. With `--quiet` only the last suppressed warning is printed, and only for exit code 1.
    pub fn end_log(&self, exit_code: u8, reason: Option<&str>) {
        let warning = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.verbosity == Verbosity::Quiet {
            let has_warned = self.has_warned.load(Ordering::Relaxed);
            if let Some(warning) = warning.filter(|_| reason.is_none() && !has_warned) {
                self.warn_always(&warning);
            }
            return;
        }
        if !self.has_times.load(Ordering::Relaxed) {
            return;
        }
        let reason = reason.map(str::to_owned).or(warning);
        let reason = reason.unwrap_or_else(|| "see the lines above".into());
        self.to_stderr("", &format!("exit code {exit_code}: {reason}"));
    }

    /// Lines that say what was done, to standard output; in a log with the time.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn results(&self, text: &str) -> io::Result<()> {
        let is_log = self.has_times.load(Ordering::Relaxed) && !io::stdout().is_terminal();
        let mut out = self.out();
        for line in text.lines() {
            writeln!(out, "{}{line}", if is_log { time() } else { String::new() })?;
        }
        out.finish()
    }

    /// Standard output, for data. Finish it: what is lost in `drop` is lost silently.
    pub fn out(&self) -> Out {
        Out::direct()
    }

    /// The same for what a person reads: on a terminal, what is longer than the screen goes through
    /// a pager. Ctrl-C must not end the program meanwhile, since the pager would be left alone.
    pub fn paged(&self) -> Out {
        if self.has_pager { Out::paged() } else { Out::direct() }
    }

    /// What standard output can show.
    pub fn look(&self) -> Look {
        let is_terminal = io::stdout().is_terminal();
        Look { is_terminal, width: is_terminal.then(width), color: self.uses_color(is_terminal) }
    }

    /// Whether standard error shows colours.
    pub fn has_color_on_stderr(&self) -> bool {
        self.uses_color(io::stderr().is_terminal())
    }

    /// How much is said.
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Whether progress may be drawn on standard error.
    pub fn shows_progress(&self) -> bool {
        self.verbosity >= Verbosity::Normal && io::stderr().is_terminal()
    }

    /// A line for a person, unless they asked for quiet.
    pub fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.to_stderr("", text);
        }
    }

    /// A line for a person who asked for details.
    pub fn detail(&self, text: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.to_stderr("", text);
        }
    }

    /// A line about something that may be wrong. With `--quiet` it is kept for [`Self::end_log`].
    pub fn warn(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.warn_always(text);
        } else {
            self.set_reason(text);
        }
    }

    /// Why the program ends with exit code 1, for the last line of a log: the lines above say it in
    /// full.
    pub fn set_reason(&self, text: &str) {
        *self.last_warning.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }

    /// A line without which what stands on standard output would be taken for something else: also
    /// for a person who asked for quiet.
    pub fn warn_always(&self, text: &str) {
        self.set_reason(text);
        self.has_warned.store(true, Ordering::Relaxed);
        let label = self.styled("warning:", "\x1b[1;33m");
        self.to_stderr(&format!("{label} "), text);
    }

    /// A question, and whether the answer on standard input is a plain yes.
    pub fn says_yes(&self, question: &str) -> io::Result<bool> {
        self.to_stderr("", &format!("{question} Type yes to go on:"));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(answer.trim() == "yes")
    }

    /// An error: its message and causes, then what to do next.
    pub fn error(&self, messages: &[String], hints: &[String]) {
        for (depth, message) in messages.iter().enumerate() {
            let label = match depth {
                0 => self.styled("error:", "\x1b[1;31m"),
                _ => "  because:".into(),
            };
            // A message may hold lines of its own: the place in a query.
            let mut lines = message.lines();
            self.to_stderr(&format!("{label} "), lines.next().unwrap_or(""));
            lines.for_each(|line| self.to_stderr("", line));
        }
        for hint in hints {
            let label = self.styled("hint:", "\x1b[1;36m");
            self.to_stderr(&format!("{label} "), hint);
        }
    }

    fn styled(&self, text: &str, style: &str) -> String {
        if self.uses_color(io::stderr().is_terminal()) {
            format!("{style}{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn to_stderr(&self, label: &str, text: &str) {
        let time = if self.has_times.load(Ordering::Relaxed) { time() } else { String::new() };
        beside_bar(|| {
            // There is no one to say to that standard error is closed.
            drop(writeln!(io::stderr().lock(), "{time}{label}{}", visible(text)));
        });
    }

    fn uses_color(&self, is_terminal: bool) -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                is_terminal && !is_dumb && !is_set("NO_COLOR")
            }
        }
    }
}

/// The time at the beginning of a log's line.
fn time() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ ").to_string()
}

/// The terminal's width; `COLUMNS` wins, for terminals that do not know theirs.
fn width() -> u16 {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let of_terminal = || terminal_size().map(|size| size.ws_col).filter(|columns| *columns > 0);
    columns.or_else(of_terminal).unwrap_or(80).max(40)
}
