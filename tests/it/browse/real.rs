//! The real program in a real terminal: tmux sends the keys and says what is on the screen.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::console::Demo;
use crate::env::program;
use crate::fixture::Fixture;

/// Until what never comes has failed: a loaded machine may take many seconds for a screen.
const PATIENCE: Duration = Duration::from_mins(2);

/// A tmux of its own with one shell in it.
pub struct Tmux<'d> {
    demo: &'d Demo,
    socket: String,
}

impl<'d> Tmux<'d> {
    pub fn new(demo: &'d Demo, width: u16, height: u16) -> Self {
        let socket = demo.path("tmux").to_str().unwrap().to_owned();
        let tmux = Self { demo, socket };
        let (width, height) = (width.to_string(), height.to_string());
        let variables = [
            "LANG=C.UTF-8",
            "PS1=ready> ",
            "REGSQL_DB=regsql-demo/registry.db",
            "REGSQL_NOW=2026-01-31T12:00:00Z",
        ];
        let status = tmux
            .command()
            .args(["new-session", "-d", "-s", "test", "-x", &width, "-y", &height])
            .args(variables.iter().flat_map(|variable| ["-e", variable]))
            .args(["bash", "--norc", "--noprofile"])
            .current_dir(demo.path(""))
            .status()
            .unwrap();
        assert!(status.success(), "tmux does not start; is it installed?");
        tmux.wait_for("ready>");
        tmux
    }

    fn command(&self) -> Command {
        let mut command = program("tmux");
        command.args(["-f", "/dev/null", "-u", "-S", &self.socket]).env("LANG", "C.UTF-8");
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn send(&self, keys: &[&str]) {
        let arguments = [&["send-keys", "-t", "test"], keys].concat();
        self.run(&arguments);
    }

    pub fn screen(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "test"])
    }

    /// With colours, as escape sequences.
    pub fn colored(&self) -> String {
        self.run(&["capture-pane", "-p", "-e", "-t", "test"])
    }

    pub fn wait_for(&self, text: &str) -> String {
        self.wait(|screen| screen.contains(text), text)
    }

    pub fn wait(&self, is_met: impl Fn(&str) -> bool, what: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_met(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "never came: {what}\n{screen}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Types a command for the shell, ends it with `Enter`.
    pub fn shell(&self, command: &str) {
        self.send(&[command, "Enter"]);
    }

    /// The browser's process: the child of the shell that is one.
    fn process(&self) -> String {
        let shell = self.run(&["display-message", "-p", "-t", "test", "#{pane_pid}"]);
        let shell = shell.trim();
        let children = format!("/proc/{shell}/task/{shell}/children");
        let end = Instant::now() + PATIENCE;
        loop {
            let children = std::fs::read_to_string(&children).unwrap();
            let is_browser = |id: &&str| {
                let name = std::fs::read_to_string(format!("/proc/{id}/comm"));
                name.is_ok_and(|name| name.trim() == "regsql")
            };
            if let Some(id) = children.split_whitespace().find(is_browser) {
                return id.to_owned();
            }
            assert!(Instant::now() < end, "the shell has no such child: {children}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn signal(&self, signal: &str) {
        let status = program("kill").args([signal, &self.process()]).status().unwrap();
        assert!(status.success());
    }

    /// What a terminal sends for a button or the wheel over a cell, counted from one.
    fn mouse(&self, button: &str, column: usize, line: usize) {
        let sequence = format!("\u{1b}[<{button};{column};{line}M");
        let bytes: Vec<String> = sequence.bytes().map(|byte| format!("{byte:02x}")).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        self.run(&[&["send-keys", "-t", "test", "-H"], &bytes[..]].concat());
    }

    /// What the shell's terminal is set to.
    fn settings(&self, file: &str) -> String {
        self.shell(&format!("clear; stty -g > {file}; echo written {file}"));
        let written = format!("written {file}");
        self.wait(|screen| screen.lines().any(|line| line == written), "stty");
        std::fs::read_to_string(self.demo.path(file)).unwrap()
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        drop(self.command().arg("kill-server").stderr(Stdio::null()).status());
    }
}

const SHOWN: &str = "all repositories";

#[test]
fn a_walk_in_tmux_ends_with_a_prune_line_in_a_pipe_and_the_terminal_as_it_was() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 80, 24);
    let before = tmux.settings("before");
    tmux.shell("regsql browse > line.txt; echo code $?");
    tmux.wait_for("ml/embeddings");
    tmux.send(&["Enter"]);
    tmux.wait_for("prod");
    tmux.send(&["j", "d", "d"]);
    tmux.wait_for("2 marks: deleting all together frees 1.348 GiB");
    tmux.send(&["p"]);
    let screen = tmux.wait_for("code 0");
    assert!(!screen.contains(SHOWN), "the screen was not given back: {screen}");
    let line = std::fs::read_to_string(demo.path("line.txt")).unwrap();
    let targets = "--target ml/embeddings:2.0 --target ml/embeddings:prod";
    assert_eq!(line, format!("regsql --db regsql-demo/registry.db prune {targets}\n"));
    assert_eq!(tmux.settings("after"), before);
}

#[test]
fn the_terminal_is_given_back_on_ctrl_c_ctrl_z_and_sigterm() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 100, 30);
    let before = tmux.settings("before");
    tmux.shell("clear; regsql browse; echo code $?");
    tmux.wait_for(SHOWN);
    tmux.send(&["C-c"]);
    tmux.wait_for("code 130");
    assert_eq!(tmux.settings("after-c"), before);

    tmux.shell("clear; regsql browse; echo code $?");
    tmux.wait_for(SHOWN);
    tmux.signal("-TERM");
    tmux.wait_for("code 130");
    assert_eq!(tmux.settings("after-term"), before);

    tmux.shell("clear; regsql browse");
    tmux.wait_for(SHOWN);
    tmux.send(&["C-z"]);
    tmux.wait_for("Stopped");
    assert_eq!(tmux.settings("stopped"), before);
    tmux.shell("fg");
    tmux.wait_for(SHOWN);
    tmux.signal("-TSTP");
    tmux.wait(|screen| screen.matches("Stopped").count() >= 1 && !screen.contains(SHOWN), "TSTP");
    tmux.shell("fg");
    tmux.wait_for(SHOWN);
    tmux.send(&["q"]);
    tmux.wait(|screen| !screen.contains(SHOWN), "the end");
    assert_eq!(tmux.settings("after-z"), before);
}

#[test]
fn the_terminal_is_given_back_on_a_panic_and_on_a_hang_up() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 100, 30);
    let before = tmux.settings("before");
    for (part, code) in [("worker", "code 2"), ("screen", "code 101")] {
        tmux.shell(&format!("clear; REGSQL_TEST_PANIC={part} regsql browse; echo code $?"));
        if part == "screen" {
            tmux.wait_for(SHOWN);
            tmux.send(&["C-l"]);
        }
        let screen = tmux.wait_for(code);
        assert!(screen.contains("asked for by REGSQL_TEST_PANIC"), "{screen}");
        assert!(!screen.contains(SHOWN), "the screen was not given back: {screen}");
        assert_eq!(tmux.settings(part), before);
    }
    for signal in ["-HUP", "-QUIT", "-INT"] {
        tmux.shell("clear; regsql browse; echo code $?");
        tmux.wait_for(SHOWN);
        tmux.signal(signal);
        tmux.wait_for("code 130");
        assert_eq!(tmux.settings("after"), before, "{signal}");
    }
}

#[test]
fn it_ends_with_the_terminal_that_it_runs_in() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 80, 24);
    tmux.shell("regsql browse");
    tmux.wait_for(SHOWN);
    let process = format!("/proc/{}", tmux.process());
    tmux.run(&["kill-server"]);
    let end = Instant::now() + PATIENCE;
    while Path::new(&process).exists() {
        assert!(Instant::now() < end, "it runs on without a terminal");
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_digest_is_copied_through_tmux() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 80, 24);
    tmux.run(&["set-option", "-s", "set-clipboard", "on"]);
    tmux.shell("regsql browse");
    tmux.wait_for("ml/embeddings");
    tmux.send(&["2"]);
    tmux.wait_for("COPY models/");
    tmux.send(&["y"]);
    tmux.wait_for("copied sha256:502db06f14e5");
    let end = Instant::now() + PATIENCE;
    while !tmux.run(&["list-buffers", "-F", "#{buffer_sample}"]).contains("sha256:502db06f14e5") {
        assert!(Instant::now() < end, "tmux has no such buffer");
        std::thread::sleep(Duration::from_millis(30));
    }
    tmux.send(&["q"]);
}

#[test]
fn the_wheel_and_clicks_reach_it_through_tmux() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 80, 24);
    let asked =
        || tmux.run(&["display-message", "-p", "-t", "test", "#{mouse_any_flag}#{mouse_sgr_flag}"]);
    tmux.shell("clear; regsql browse");
    let screen = tmux.wait_for("ml/embeddings");
    assert_eq!(asked().trim(), "11", "the mouse is not asked for");
    // The tab `2 layers`, the third row of its list, that row again.
    let column = screen.find("2 layers").unwrap() + 1;
    tmux.mouse("0", column, 1);
    let screen = tmux.wait_for("COPY models/");
    let first = screen.lines().position(|line| line.contains("COPY models/")).unwrap() + 1;
    let is_at = |line: usize| {
        let under = |screen: &str| {
            screen.lines().nth(line - 1).is_some_and(|line| line.contains("\u{1b}[7m"))
        };
        let end = Instant::now() + PATIENCE;
        while !under(&tmux.colored()) {
            assert!(Instant::now() < end, "line {line} is not under the cursor: {}", tmux.screen());
            std::thread::sleep(Duration::from_millis(30));
        }
    };
    is_at(first);
    tmux.mouse("65", 20, first);
    is_at(first + 3);
    tmux.mouse("64", 20, first);
    is_at(first);
    tmux.mouse("0", 20, first + 2);
    is_at(first + 2);
    tmux.mouse("0", 20, first + 2);
    tmux.wait_for("holders of");
    tmux.send(&["q"]);
    tmux.wait(|screen| !screen.contains("holders of"), "the end");
    assert!(asked().starts_with('0'), "the mouse is not given back");
}

#[test]
fn a_filter_that_is_typed_in_one_go_opens_what_it_found() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 100, 30);
    tmux.shell("clear; regsql browse");
    tmux.wait_for("ml/embeddings");
    tmux.send(&["2", "/", "models", "Enter", "Enter"]);
    tmux.wait_for("holders of sha256:502db06f14e5");
    tmux.send(&["q"]);
}

#[test]
fn wide_and_combining_letters_do_not_move_what_stands_beside_them() {
    let demo = Demo::new();
    let step = "RUN 日本語のレイヤー 👩‍💻 e\u{301}e\u{301} \u{202e}evil\u{1b}[31m";
    let connection = rusqlite::Connection::open(demo.database()).unwrap();
    connection.execute("UPDATE build_step SET created_by = ?1", [&step]).unwrap();
    drop(connection);
    let tmux = Tmux::new(&demo, 120, 30);
    tmux.shell("clear; NO_COLOR=1 regsql browse");
    tmux.wait_for("ml/embeddings");
    tmux.send(&["2"]);
    tmux.wait_for("all layers");
    tmux.send(&["G", "g"]);
    let screen = tmux.wait_for("日本語のレイヤー");
    // Everything beside the list begins in one column.
    let border =
        |line: &str| line.find('│').map(|at| unicode_width::UnicodeWidthStr::width(&line[..at]));
    let columns: Vec<usize> = screen.lines().filter_map(border).collect();
    assert!(columns.len() > 20 && columns.iter().all(|at| *at == columns[0]), "{screen}");
    let colored = tmux.colored();
    assert!(!colored.contains("\u{1b}[31m") && !colored.contains('\u{202e}'), "{colored}");
    tmux.send(&["q"]);
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_a_hint() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 100, 24);
    tmux.shell("clear; TERM=dumb regsql browse; echo code $?");
    let screen = tmux.wait_for("code 2");
    assert!(screen.contains("browse cannot draw on a terminal of type `dumb`"), "{screen}");
    assert!(screen.contains("hint: set TERM"), "{screen}");
}

#[test]
fn another_size_and_another_scan_are_taken_in() {
    let demo = Demo::new();
    let tmux = Tmux::new(&demo, 80, 24);
    // The demo's snapshot says that it is of another directory.
    tmux.shell("regsql -q scan --replace regsql-demo/registry; regsql browse");
    tmux.wait_for(SHOWN);
    tmux.run(&["resize-window", "-t", "test", "-x", "160", "-y", "40"]);
    tmux.wait(|screen| screen.lines().any(|line| line.chars().count() > 120), "a wide screen");
    tmux.send(&["r"]);
    tmux.wait_for("scanned again");
    tmux.send(&["q"]);
    // tmux mixes the two screens when its size changed in between.
    tmux.wait(|screen| screen.lines().any(|line| line.trim() == "ready>"), "the end");
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let fixture = Fixture::new();
    let shown = fixture.run(&["browse"]);
    assert!(shown.contains("browse needs a terminal"), "{shown}");
    assert!(shown.contains("hint: regsql report shows the same figures"), "{shown}");
    let output = fixture.command(&["browse"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
