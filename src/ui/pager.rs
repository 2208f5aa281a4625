//! Output that is longer than the screen goes through a pager, as git does it.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};
use std::process::{Child, Command, Stdio};

/// Where the pager comes from, the first that is set: the same order as git's, without its
/// configuration file.
const VARIABLES: [&str; 2] = ["REGSQL_PAGER", "PAGER"];
const DEFAULT: &str = "less";
/// For `less`, unless the person has set their own: quit at once when all fits, show colours, and
/// leave the text on the screen.
const LESS: &str = "FRX";

/// Standard output. What was written is only sure to be out after [`Out::finish`].
pub struct Out {
    state: State,
    /// Rows of the screen, and the pager for more.
    pager: Option<(usize, String)>,
}

enum State {
    /// Straight to standard output.
    Direct(BufWriter<StdoutLock<'static>>),
    /// What fits on the screen so far, and its lines.
    Held { text: Vec<u8>, lines: usize },
    /// It did not fit.
    Paged(Child),
}

impl Out {
    /// Standard output without a pager.
    pub(super) fn direct() -> Self {
        let state = State::Direct(BufWriter::with_capacity(1 << 16, io::stdout().lock()));
        Self { state, pager: None }
    }

    /// Standard output, with a pager if it is a terminal and the text is longer than that.
    pub(super) fn paged() -> Self {
        match (screen_rows(), pager()) {
            (Some(rows), Some(pager)) => Self {
                state: State::Held { text: Vec::new(), lines: 0 },
                pager: Some((rows, pager)),
            },
            _ => Self::direct(),
        }
    }

    /// Writes what is left, and waits until the person has closed the pager.
    ///
    /// # Errors
    /// When not everything could be written; a pager that was closed early is a closed pipe.
    pub fn finish(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, Self::direct_state()) {
            State::Direct(mut out) => {
                let result = out.flush();
                self.state = State::Direct(out);
                result
            }
            State::Held { text, .. } => {
                let mut out = io::stdout().lock();
                out.write_all(&text)?;
                out.flush()
            }
            State::Paged(mut child) => {
                drop(child.stdin.take());
                child.wait().map(|_| ())
            }
        }
    }

    fn direct_state() -> State {
        State::Direct(BufWriter::new(io::stdout().lock()))
    }

    /// The text does not fit: the pager gets it, or standard output where there is no such program.
    fn begin_paging(&mut self) -> io::Result<()> {
        let State::Held { text, .. } = &mut self.state else {
            return Ok(());
        };
        let text = std::mem::take(text);
        let child = self.pager.as_ref().and_then(|(_, pager)| command(pager).spawn().ok());
        self.state = child.map_or_else(Self::direct_state, State::Paged);
        self.write_all(&text)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Direct(out) => out.write(bytes),
            State::Paged(child) => match &mut child.stdin {
                Some(stdin) => stdin.write(bytes),
                None => Err(io::ErrorKind::BrokenPipe.into()),
            },
            State::Held { text, lines } => {
                text.extend_from_slice(bytes);
                *lines += bytes.split(|byte| *byte == b'\n').count() - 1;
                // The last row is for the shell's prompt.
                if self.pager.as_ref().is_some_and(|(rows, _)| *lines >= *rows) {
                    self.begin_paging()?;
                }
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Direct(out) => out.flush(),
            State::Paged(child) => child.stdin.as_mut().map_or(Ok(()), Write::flush),
            State::Held { .. } => Ok(()),
        }
    }
}

impl Drop for Out {
    /// An error on the way must not leave a pager alone with the terminal.
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// Rows of the terminal that standard output is, if it says.
fn screen_rows() -> Option<usize> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let size = terminal_size().filter(|_| io::stdout().is_terminal() && !is_dumb)?;
    Some(usize::from(size.ws_row)).filter(|rows| *rows > 0)
}

/// Rows and columns of the terminal that standard output is.
pub(super) fn terminal_size() -> Option<rustix::termios::Winsize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok()
}

/// The pager's command; `None`: the person wants none.
fn pager() -> Option<String> {
    let set = VARIABLES.iter().find_map(|name| std::env::var(name).ok());
    let pager = set.unwrap_or_else(|| DEFAULT.to_owned());
    (!matches!(pager.trim(), "" | "cat")).then_some(pager)
}

/// The pager as a process. Only what needs a shell gets one: a program that is missing is noticed.
fn command(pager: &str) -> Command {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || " _-./+=:,%@".contains(char);
    let mut words = pager.split_whitespace();
    let mut command = match words.next().filter(|_| pager.chars().all(is_plain)) {
        Some(program) => Command::new(program),
        None => Command::new("sh"),
    };
    if pager.chars().all(is_plain) {
        command.args(words);
    } else {
        command.args(["-c", pager]);
    }
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    command.stdin(Stdio::piped());
    command
}
