//! The steps of a night, and what happens when one of them fails.

use std::io::Read as _;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::children;
use super::config::Mode;
use super::process::{Ended, Group, end_left};
use super::record::{Record, State};
use super::run::{Job, Run};
use super::serving;
use super::step::{HAND_OVER, bytes, counted, own_command, result_of};
use super::summary::{PruneFigures, StepReport, StepResult, Summary};
use jiff::Timestamp;

/// How often the registry is started, and the pause in between.
const START_ATTEMPTS: u32 = 2;
const START_PAUSE: Duration = Duration::from_secs(2);
/// The most that is read of the metrics, in bytes.
const MAX_METRICS_BYTES: u64 = 256 << 20;

impl Job<'_> {
    /// Does the night's work. `left` is what a killed run left; `heals_only` ends after what that needs.
    pub fn run(&self, record: Record, left: Option<&State>, heals_only: bool) -> Summary {
        let mut run = Run::new(self, record);
        if !run.record.is_kept() {
            run.say(
                "there is no room for a record: were this run killed, the next one would not know",
            );
        }
        let is_ready = run.heal(left);
        if is_ready && !heals_only {
            run.work();
        }
        run.close();
        run.end()
    }

    /// Shows each step and what it would do; nothing is changed but the database, which should be a
    /// copy.
    pub fn dry_run(&self) -> Summary {
        let mut run = Run::new(self, Record::none());
        run.rehearse();
        run.end()
    }

    /// The metrics of the snapshot, as `regsql metrics` prints them.
    pub fn snapshot_metrics(&self) -> Option<String> {
        let mut command = own_command(self.program, self.database);
        // The log ends with the verdict, and not with how this ended.
        command.args(["--quiet", "metrics"]).stdout(Stdio::piped()).stderr(self.log.stdio());
        let mut group = Group::start(&mut command).ok()?;
        let pipe = group.child().stdout.take()?;
        let (sender, result) = channel();
        drop(std::thread::Builder::new().spawn(move || {
            let mut text = String::new();
            let read = pipe.take(MAX_METRICS_BYTES).read_to_string(&mut text);
            drop(sender.send(read.ok().map(|_| text)));
        }));
        let ended = group.wait(self.config.limit("scan"), &|| false).ok()?;
        let is_done = matches!(ended, Ended::Exit(status) if status.success());
        is_done.then(|| result.recv_timeout(HAND_OVER).ok().flatten()).flatten()
    }
}

impl Run<'_> {
    /// Puts right what a killed run left, and a registry that does not run. False when the registry
    /// does not serve: then nothing is deleted, since nothing would show that it serves afterwards.
    fn heal(&mut self, left: Option<&State>) -> bool {
        let mut is_down = false;
        if let Some(left) = left {
            let step = &left.step;
            self.say(&format!("the run of {} was killed at the step `{step}`", left.started_at));
            if let (Some(id), Some(ticks)) = (left.command_pid, left.command_started_ticks)
                && end_left(id, ticks)
            {
                self.say(&format!("ended what it left running: process {id}"));
            }
            is_down = left.is_down;
            self.is_healed = true;
        }
        let is_announced = left.is_some_and(|left| left.is_announced);
        if let Err(error) = self.record.set(|state| {
            *state = State {
                pid: std::process::id(),
                started_at: shown(Timestamp::now()),
                step: "begin".into(),
                is_down,
                is_announced,
                ..State::default()
            };
        }) {
            self.say(&format!("the record cannot be written: {error}"));
        }
        let silent = self.job.registry.greet().err();
        if let (false, Some(error)) = (is_down, &silent) {
            self.say(&format!("the registry does not serve: {error}"));
        }
        let mut is_serving = silent.is_none();
        // One that answers after the killed run had started it needs no second start. While it was being
        // stopped, or is read-only, an answer says nothing.
        let was_stopping = left.is_some_and(|left| left.step == "stop");
        let is_back =
            is_serving && !was_stopping && matches!(self.job.config.mode(), Mode::Stop { .. });
        if is_down && is_back {
            self.keep(|state| state.is_down = false);
        }
        if is_down && !is_back || silent.is_some() {
            is_serving = self.step("recover", Self::bring_back);
        }
        if is_announced {
            self.end_downtime();
        }
        if !is_serving {
            self.next.push(format!(
                "nothing was deleted, since the registry at {} does not serve: start it, see that \
                 [registry] url is its address, and run this again",
                self.job.registry.url()
            ));
        }
        is_serving
    }

    /// Scan, plan, downtime, stop, prune, purge. Each of them only when those before did their work.
    fn work(&mut self) {
        let config = self.job.config;
        if config.prune.purge_older_than.is_some() && !self.has_room() {
            self.say("there is little room for the database: the trash is purged first");
            self.step("make-room", Self::purge);
        }
        if !self.step("scan", |run| {
            let (ended, detail) = run.own_plain(&children::scan(config), "scan");
            result_of(
                &ended,
                detail,
                &mut run.next,
                "the storage could not be scanned: nothing was deleted",
            )
        }) {
            return;
        }
        let prune = &config.prune;
        let is_to_prune = !prune.reports.is_empty() || !prune.files.is_empty() || prune.garbage;
        let mut planned = None;
        if is_to_prune && !self.step("plan", |run| run.plan(&mut planned)) {
            return;
        }
        let refused = planned.as_ref().and_then(|plan: &PruneFigures| plan.refused.clone());
        if refused.is_some() || self.is_stopped() {
            return;
        }
        let frees = planned.as_ref().map_or(0, |plan| plan.freed_bytes);
        let is_worth_it = prune.only_if_frees.as_ref().is_none_or(|least| frees >= least.bytes);
        if !is_worth_it {
            self.say("less would come free than prune.only_if_frees: the registry is not stopped");
        }
        if is_worth_it && !(self.announce() && self.take_down()) {
            return;
        }
        if is_to_prune && is_worth_it && !self.step("prune", Self::prune) {
            return;
        }
        if prune.purge_older_than.is_some() && !self.is_stopped() {
            self.step("purge", Self::purge);
        }
    }

    fn plan(&mut self, planned: &mut Option<PruneFigures>) -> (StepResult, Option<String>) {
        let words = children::prune(self.job.config, false);
        let mut figures = None;
        let (ended, detail) = self.own(&words, "plan", Some(&mut figures));
        let (mut result, mut detail) = result_of(
            &ended,
            detail,
            &mut self.next,
            "the plan could not be made: the registry was not stopped and nothing was deleted",
        );
        if let Some(figures) = &figures {
            self.say(&format!("plan: would delete {}", counted(figures)));
        }
        match figures.as_ref().and_then(|figures| figures.refused.clone()) {
            Some(refused) => {
                self.next
                    .push("look at the plan; raise the limit in [prune] if it is meant".into());
                (result, detail) = (StepResult::Findings, Some(refused));
            }
            // What stays for a reason is said again by the deletion itself.
            None if result == StepResult::Findings && figures.is_some() => {
                result = StepResult::Done;
            }
            // Without a plan in JSON, exit code 1 says that there must be none.
            None if result == StepResult::Findings => result = StepResult::Failed,
            None => {}
        }
        *planned = figures;
        (result, detail)
    }

    /// Begins the downtime.
    fn announce(&mut self) -> bool {
        let Some(command) = &self.job.config.downtime.begin else { return true };
        self.keep(|state| state.is_announced = true);
        self.step("downtime-begin", |run| {
            let result = run.shell(command, "begin", true);
            if result.0 != StepResult::Done {
                run.next.push(
                    "the downtime could not be announced, so the registry was not stopped".into(),
                );
            }
            result
        })
    }

    /// Stops the registry, or makes it read-only.
    fn take_down(&mut self) -> bool {
        self.needs_check = true;
        let (name, command) = match self.job.config.mode() {
            Mode::Stop { stop, .. } => ("stop", stop),
            Mode::ReadOnly { read_only, .. } => ("read-only", read_only),
            Mode::Online => return true,
        };
        // From here on it is started again, whatever happens.
        self.keep(|state| state.is_down = true);
        self.down_since = Some(Instant::now());
        self.step(name, |run| {
            let result = run.shell(command, "stop", true);
            if !matches!(result.0, StepResult::Done | StepResult::Interrupted) {
                run.next.push(format!("nothing was deleted: see why `{command}` fails"));
            }
            result
        })
    }

    fn prune(&mut self) -> (StepResult, Option<String>) {
        let words = children::prune(self.job.config, true);
        let mut figures = None;
        let (ended, detail) = self.own(&words, "prune", Some(&mut figures));
        let was_refused =
            detail.as_deref().is_some_and(|text| text.ends_with("nothing was touched"));
        let advice = match self.job.config.mode() {
            Mode::Stop { stop, .. } if was_refused => {
                format!("nothing was deleted: `{stop}` must wait until just this registry has stopped")
            }
            Mode::ReadOnly { read_only, .. } if was_refused => {
                format!("nothing was deleted: `{read_only}` must wait until just this registry is read-only")
            }
            Mode::Online if was_refused => "nothing was deleted: see why".to_owned(),
            _ => "the deletion did not come to its end: what it took lies in the trash, no image is lost, \
                  and the next run puts back what something needs"
                .to_owned(),
        };
        let (result, detail) = result_of(&ended, detail, &mut self.next, &advice);
        if let Some(figures) = &figures {
            self.say(&format!("prune: deleted {}", counted(figures)));
            if let Some(run) = &figures.trash_run {
                self.say(&format!("prune: {} puts it back", self.undo(run)));
            }
        }
        if result == StepResult::Findings {
            self.next.push("something that was to go stays: the log has the reasons".into());
        }
        self.deleted = figures;
        (result, detail)
    }

    fn purge(&mut self) -> (StepResult, Option<String>) {
        let Some(age) = &self.job.config.prune.purge_older_than else {
            return (StepResult::Done, None);
        };
        let before = self.trash_bytes();
        // The deletion has looked that the registry is stopped or read-only: nothing was deleted otherwise.
        let is_offline = self.down_since.is_some() && self.deleted.is_some();
        let words = children::purge(&age.text, false, is_offline);
        let (ended, detail) = self.own_plain(&words, "purge");
        let after = self.trash_bytes();
        if let (Some(before), Some(after)) = (before, after) {
            let bytes = before.saturating_sub(after);
            self.purged_bytes = Some(self.purged_bytes.unwrap_or(0) + bytes);
            self.say(&format!("purge: {} left the trash", self::bytes(bytes)));
        }
        result_of(
            &ended,
            detail,
            &mut self.next,
            "the trash could not be purged: what is left in it goes with the next purge",
        )
    }

    fn trash_bytes(&mut self) -> Option<u64> {
        #[derive(serde::Deserialize)]
        struct InTrash {
            size_bytes: u64,
        }
        let mut runs: Option<Vec<InTrash>> = None;
        let _shown = self.own(&children::trash_list(), "purge", Some(&mut runs));
        Some(runs?.iter().fold(0, |sum: u64, run| sum.saturating_add(run.size_bytes)))
    }

    /// What must happen at the end, whatever happened before.
    fn close(&mut self) {
        let is_stopped = self.is_stopped();
        if self.record.state.is_down && self.down_since.is_some() {
            let name = if matches!(self.job.config.mode(), Mode::ReadOnly { .. }) {
                "read-write"
            } else {
                "start"
            };
            if !self.step(name, Self::bring_back) {
                self.next.insert(0, self.by_hand());
            }
        }
        if self.needs_check {
            self.step("check", |run| run.check_serving(is_stopped));
        }
        if self.record.state.is_announced {
            self.end_downtime();
        }
    }

    fn by_hand(&self) -> String {
        let command = match self.job.config.mode() {
            Mode::Stop { start, .. } => start,
            Mode::ReadOnly { read_write, .. } => read_write,
            Mode::Online => "",
        };
        format!(
            "THE REGISTRY MAY BE DOWN: `{command}` did not bring it back; see its own log and start it by \
             hand; `regsql nightly --config {} --recover` then ends the downtime",
            self.job.config_file.display()
        )
    }

    fn end_downtime(&mut self) {
        let Some(command) = &self.job.config.downtime.end else {
            self.keep(|state| state.is_announced = false);
            return;
        };
        let is_ended = self.step("downtime-end", |run| run.shell(command, "end", false));
        if is_ended {
            self.keep(|state| state.is_announced = false);
        } else {
            self.next.push(format!("the downtime may go on: run `{command}` by hand"));
        }
    }

    /// Runs the command that starts the registry, also when it failed once, and waits until it answers.
    fn bring_back(&mut self) -> (StepResult, Option<String>) {
        let command = match self.job.config.mode() {
            Mode::Stop { start, .. } => Some(start),
            Mode::ReadOnly { read_write, .. } => Some(read_write),
            Mode::Online => None,
        };
        let wait = self.job.config.check.wait.duration / START_ATTEMPTS;
        let mut last = (StepResult::Done, None);
        for attempt in 1..=START_ATTEMPTS {
            if let Some(command) = command {
                last = self.shell(command, "start", false);
            }
            // Also when the command failed: it may run all the same.
            let is_done = last.0 == StepResult::Done;
            match serving::wait_for(&self.job.registry, if is_done { wait } else { START_PAUSE }) {
                Ok(()) => {
                    if let Some(since) = self.down_since.take() {
                        self.down += since.elapsed();
                    }
                    self.keep(|state| state.is_down = false);
                    let detail = last.1.map(|text| format!("{text}, but the registry answers"));
                    return (StepResult::Done, detail);
                }
                Err(said) => {
                    let said = format!("the registry does not answer: {said}");
                    let result = if is_done { StepResult::Failed } else { last.0 };
                    last = (
                        result,
                        Some(last.1.map_or(said.clone(), |text| format!("{text}; {said}"))),
                    );
                }
            }
            if attempt < START_ATTEMPTS {
                self.say("the registry is started once more");
            }
        }
        last
    }

    fn check_serving(&mut self, is_stopped: bool) -> (StepResult, Option<String>) {
        if let Err(said) = serving::wait_for(&self.job.registry, Duration::ZERO) {
            return (StepResult::Failed, Some(format!("the registry does not serve: {said}")));
        }
        let config = self.job.config;
        let is_read_only = matches!(config.mode(), Mode::ReadOnly { .. });
        // Somebody waits for this process to end.
        let count = if is_stopped { 0 } else { config.check.pull as usize };
        let seed = self.began.as_second() as u64;
        let tags = match serving::sample(self.job.database, count.max(1), seed) {
            Ok(tags) => tags,
            Err(error) => return (StepResult::Failed, Some(format!("no tags to pull: {error}"))),
        };
        if is_read_only
            && let Some((repository, _)) = tags.first()
            && let Err(said) = serving::takes_pushes(&self.job.registry, repository)
        {
            self.next.insert(0, self.by_hand());
            return (StepResult::Failed, Some(format!("the registry takes no pushes: {said}")));
        }
        if count == 0 {
            return (StepResult::Done, None);
        }
        let tag_count = tags.len();
        let (checked, is_whole) = serving::pull(&self.job.puller, tags, config.limit("check"));
        self.say(&format!(
            "check: pulled {} of {tag_count} tags whole ({})",
            checked.pulled_count,
            bytes(checked.pulled_bytes)
        ));
        for failure in &checked.failures {
            self.say(&format!("check: cannot pull {failure}"));
        }
        let failure = checked.failures.first().cloned();
        self.check = Some(checked);
        if let Some(failure) = failure {
            if let Some(run) = self.deleted.as_ref().and_then(|deleted| deleted.trash_run.clone()) {
                self.next.insert(
                    0,
                    format!(
                        "a tag that was whole cannot be pulled: {} puts back what this night took",
                        self.undo(&run)
                    ),
                );
            } else {
                self.next.insert(
                    0,
                    "a tag that was whole cannot be pulled: see the registry's own log".into(),
                );
            }
            return (StepResult::Failed, Some(format!("cannot pull {failure}")));
        }
        if is_whole {
            (StepResult::Done, None)
        } else {
            (StepResult::TimedOut, Some("the pulls took too long".into()))
        }
    }

    fn undo(&self, run: &str) -> String {
        format!("`regsql --db {} undo {run}`", self.job.database.display())
    }

    /// Shows each step; what only reads is run, on a copy of the database.
    fn rehearse(&mut self) {
        let config = self.job.config;
        if let Err(error) = self.job.registry.greet() {
            self.say(&format!(
                "the registry does not serve now, so it would be started first: {error}"
            ));
        }
        let would =
            |run: &mut Self, name, what: String| run.rehearsed(name, format!("would run: {what}"));
        let scanned = self.step("scan", |run| {
            let (ended, detail) = run.own_plain(&children::scan(config), "scan");
            result_of(&ended, detail, &mut run.next, "the storage could not be scanned")
        });
        let prune = &config.prune;
        let is_to_prune = !prune.reports.is_empty() || !prune.files.is_empty() || prune.garbage;
        if is_to_prune && scanned {
            let mut planned = None;
            self.step("plan", |run| run.plan(&mut planned));
        }
        if let Some(command) = &config.downtime.begin {
            would(self, "downtime-begin", command.clone());
        }
        let (stop, start) = match config.mode() {
            Mode::Stop { stop, start } => (Some(("stop", stop)), Some(("start", start))),
            Mode::ReadOnly { read_only, read_write } => {
                (Some(("read-only", read_only)), Some(("read-write", read_write)))
            }
            Mode::Online => (None, None),
        };
        if let Some((name, command)) = stop {
            would(self, name, command.clone());
        }
        if is_to_prune {
            would(self, "prune", children::shown(&children::prune(config, true)));
        }
        if let Some(age) = &prune.purge_older_than {
            let is_offline = is_to_prune && !matches!(config.mode(), Mode::Online);
            let shown = children::shown(&children::purge(&age.text, false, is_offline));
            if scanned {
                let words = children::purge(&age.text, true, is_offline);
                let _shown = self.own_plain(&words, "purge");
            }
            would(self, "purge", shown);
        }
        if let Some((name, command)) = start {
            would(self, name, command.clone());
        }
        let count = config.check.pull;
        let url = self.job.registry.url();
        self.rehearsed("check", format!("would ask {url}/v2/ and pull {count} tags whole"));
        if let Some(command) = &config.downtime.end {
            would(self, "downtime-end", command.clone());
        }
    }

    fn end(mut self) -> Summary {
        let finished_at = Timestamp::now();
        if let Some(since) = self.down_since.take() {
            self.down += since.elapsed();
        }
        let state = &self.record.state;
        // What is still due stays on record for the next run.
        if !state.is_down && !state.is_announced {
            self.keep(|state| *state = State::default());
        }
        let is_bad =
            |step: &StepReport| matches!(step.result, StepResult::Failed | StepResult::TimedOut);
        let is_closing = |step: &StepReport| {
            matches!(step.step, "recover" | "start" | "read-write" | "check" | "downtime-end")
        };
        let find = |is: &dyn Fn(&StepReport) -> bool| {
            self.steps.iter().find(|step| is(step)).map(|step| step.result)
        };
        let (result, exit_code) =
            if let Some(result) = find(&|step| is_bad(step) && is_closing(step)) {
                (result, 2)
            } else if (self.job.is_stopped)() {
                (StepResult::Interrupted, 130)
            } else if let Some(result) = find(&is_bad) {
                (result, 2)
            } else if let Some(result) = find(&|step| step.result != StepResult::Done) {
                (result, 1)
            } else {
                (StepResult::Done, 0)
            };
        let summary = Summary {
            schema: 1,
            storage: self.job.config.storage.clone(),
            started_at: self.began,
            finished_at,
            duration_ms: finished_at.as_millisecond() - self.began.as_millisecond(),
            result,
            exit_code,
            down_ms: i64::try_from(self.down.as_millis()).unwrap_or(i64::MAX),
            is_healed: self.is_healed,
            steps: self.steps,
            deleted: self.deleted,
            purged_bytes: self.purged_bytes,
            check: self.check,
            next: self.next,
        };
        for next in &summary.next {
            self.job.log.line(&format!("next: {next}"));
        }
        self.job.log.line(&format!("exit code {exit_code}: {}", summary.reason()));
        summary
    }
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
