//! The job's file: TOML, read once, and everything wrong with it named by line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::model::parse_duration;
use crate::ui;

/// A configuration larger than this is none, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What one night does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// As for `scan`.
    pub storage: String,
    /// The database file.
    pub db: Option<PathBuf>,
    registry: Spanned<RegistryTable>,
    /// Commands that announce that the registry is down.
    #[serde(default)]
    pub downtime: DowntimeTable,
    /// How the storage is scanned.
    #[serde(default)]
    pub scan: ScanTable,
    /// What goes.
    #[serde(default)]
    pub prune: PruneTable,
    /// How it is seen that the registry serves.
    #[serde(default)]
    pub check: CheckTable,
    /// How long each step may take.
    #[serde(default)]
    limits: BTreeMap<Spanned<String>, Time>,
    /// Where the results go.
    #[serde(default)]
    pub output: OutputTable,
    /// What keeps pushes away while things are deleted.
    #[serde(skip)]
    mode: Option<Mode>,
}

/// `[registry]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryTable {
    /// Its address.
    pub url: String,
    stop: Option<String>,
    start: Option<String>,
    read_only: Option<String>,
    read_write: Option<String>,
    #[serde(default)]
    online: bool,
    /// For `online`: the registry has no cache of blob descriptors.
    #[serde(default)]
    pub cache_off: bool,
    /// For `online`: the pause between the phases.
    pub wait: Option<Time>,
    /// Who to be for the registry.
    pub user: Option<String>,
    /// The file with the password.
    pub password_file: Option<PathBuf>,
    /// Certificates to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// How long to wait for one answer.
    pub timeout: Option<Time>,
}

/// `[downtime]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DowntimeTable {
    /// Run before the registry stops.
    pub begin: Option<String>,
    /// Run at the end, whatever happened.
    pub end: Option<String>,
}

/// `[scan]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanTable {
    /// Files of `--roots`.
    #[serde(default)]
    pub roots: Vec<PathBuf>,
    /// `--authority`.
    pub authority: Option<String>,
    /// `--full`.
    #[serde(default)]
    pub full: bool,
}

/// `[prune]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct PruneTable {
    /// Reports, each with its parameters: `keep-latest keep=5`.
    #[serde(default)]
    pub reports: Vec<String>,
    /// Policies.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// All that nothing needs.
    #[serde(default)]
    pub garbage: bool,
    /// `--min-age`.
    pub min_age: Option<Time>,
    /// `--max-delete-percent`.
    pub max_delete_percent: Option<Percent>,
    /// `--max-delete-bytes`.
    pub max_delete_bytes: Option<Size>,
    /// Runs in the trash that began longer ago are purged.
    pub purge_older_than: Option<Time>,
    /// Files of `--protect`.
    #[serde(default)]
    pub protect: Vec<PathBuf>,
    /// Commands of `--protect-command`.
    #[serde(default)]
    pub protect_commands: Vec<String>,
    /// Globs of `--protect-tags`.
    #[serde(default)]
    pub protect_tags: Vec<String>,
    /// `--trust-storage`.
    #[serde(default)]
    pub trust_storage: bool,
    /// `--no-trash`.
    #[serde(default)]
    pub no_trash: bool,
    /// `--whole-repositories`.
    #[serde(default)]
    pub whole_repositories: bool,
    /// The registry is stopped only when at least so much would come free.
    pub only_if_frees: Option<Size>,
}

/// `[check]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckTable {
    /// Tags that are pulled whole after the start.
    pub pull: u32,
    /// How long the registry may take until it answers.
    pub wait: Time,
}

/// `[output]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputTable {
    /// Lines are added to this file.
    pub log: Option<PathBuf>,
    /// The summary as JSON.
    pub json: Option<PathBuf>,
    /// Metrics for the textfile collector.
    pub metrics: Option<PathBuf>,
}

impl Default for CheckTable {
    fn default() -> Self {
        Self { pull: 20, wait: Time { text: "2m".into(), duration: Duration::from_mins(2) } }
    }
}

/// A time, and how it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Time {
    /// As an option takes it.
    pub text: String,
    /// As a time.
    pub duration: Duration,
}

impl TryFrom<String> for Time {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let duration = parse_duration(&text)?;
        Ok(Self { text, duration })
    }
}

/// Bytes, and how they were written.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Size {
    /// As an option takes it.
    pub text: String,
    /// In bytes.
    pub bytes: u64,
}

impl TryFrom<String> for Size {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let size = text.parse().map(|size: bytesize::ByteSize| size.as_u64());
        match size {
            Ok(bytes) if bytes > 0 => Ok(Self { text, bytes }),
            _ => Err("expected a size such as 500MB or 10GiB"),
        }
    }
}

/// From 0 to 100.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "i64")]
pub struct Percent(pub u8);

impl TryFrom<i64> for Percent {
    type Error = &'static str;
    fn try_from(number: i64) -> Result<Self, Self::Error> {
        match u8::try_from(number) {
            Ok(percent) if percent <= 100 => Ok(Self(percent)),
            _ => Err("expected a number from 0 to 100"),
        }
    }
}

/// What keeps pushes away while things are deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The registry is stopped and started.
    Stop {
        /// The command that stops it.
        stop: String,
        /// The command that starts it.
        start: String,
    },
    /// It goes on serving pulls.
    ReadOnly {
        /// The command that makes it read-only.
        read_only: String,
        /// The command that ends that.
        read_write: String,
    },
    /// Nothing: it goes on taking pushes, and the deletion is made in phases.
    Online,
}

/// A file that is no configuration of a job.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration `{}`", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that the job is to write at its end would have no place.
    #[error("`output.{key}`: there is no directory `{}`", .directory.display())]
    NoDirectory {
        /// The key.
        key: &'static str,
        /// What is missing.
        directory: PathBuf,
    },
    /// Something in it is wrong.
    #[error("`{}`, line {line}: {reason}", .file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What.
        reason: String,
        /// The next step.
        hint: Option<String>,
    },
}

impl ConfigError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Some(
                "name the job's file with --config; docs/nightly.md has one to begin with, and the packages \
                 have it as /usr/share/doc/regsql/examples/nightly.toml"
                    .into(),
            ),
            Self::Read { .. } => None,
            Self::NoDirectory { directory, .. } => {
                Some(format!("nothing was done: mkdir -p {}", ui::shell_word(&directory.to_string_lossy())))
            }
            Self::Wrong { hint, .. } => hint.clone(),
        }
    }
}

/// A part of the text, and what is wrong with it.
struct Fault {
    span: Range<usize>,
    reason: String,
    hint: Option<String>,
}

impl Config {
    /// Reads a job's file.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has keys or values that no job has.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text =
            read(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        Self::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::parse_text(text)
            .map_err(|fault| ConfigError::Wrong {
                file: file.to_owned(),
                line: 1 + text[..fault.span.start.min(text.len())].matches('\n').count(),
                reason: fault.reason,
                hint: fault.hint,
            })
            .map(|config| config.beside(file.parent().unwrap_or(Path::new(""))))
    }

    fn parse_text(text: &str) -> Result<Self, Fault> {
        let mut config: Self = toml::from_str(text).map_err(|error| fault_of(&error))?;
        let span = config.registry.span();
        let wrong = |reason: &str, hint: &str| Fault {
            span: span.clone(),
            reason: reason.into(),
            hint: Some(hint.into()),
        };
        let table = config.registry.get_ref();
        let mode = match (&table.stop, &table.start, &table.read_only, &table.read_write) {
            (None, None, None, None) if table.online => Mode::Online,
            (Some(stop), Some(start), None, None) if !table.online => {
                Mode::Stop { stop: stop.clone(), start: start.clone() }
            }
            (None, None, Some(read_only), Some(read_write)) if !table.online => {
                Mode::ReadOnly { read_only: read_only.clone(), read_write: read_write.clone() }
            }
            (Some(_), None, None, None) => {
                return Err(wrong(
                    "`stop` without `start`",
                    "add the command that starts the registry",
                ));
            }
            (None, None, Some(_), None) => {
                return Err(wrong(
                    "`read_only` without `read_write`",
                    "add the command that lets the registry take pushes again",
                ));
            }
            (None, Some(_), None, None) | (None, None, None, Some(_)) => {
                return Err(wrong(
                    "the command that keeps pushes away is missing",
                    "add `stop` to `start`, or `read_only` to `read_write`",
                ));
            }
            (None, None, None, None) => {
                return Err(wrong(
                    "nothing says what keeps pushes away while things are deleted",
                    "add `stop` and `start`, or `read_only` and `read_write`, or `online = true`",
                ));
            }
            _ => {
                return Err(wrong(
                    "more than one way to keep pushes away",
                    "leave one of them: `stop` and `start`, `read_only` and `read_write`, or `online`",
                ));
            }
        };
        let commands = [&table.stop, &table.start, &table.read_only, &table.read_write];
        if commands.into_iter().flatten().any(|command| command.trim().is_empty()) {
            return Err(wrong(
                "a command is empty",
                "write `true` for a command that does nothing",
            ));
        }
        if table.user.is_some() != table.password_file.is_some() {
            return Err(wrong("half a login", "give both `user` and `password_file`, or neither"));
        }
        for name in config.limits.keys() {
            if name.get_ref() != "step" && !STEPS.contains(&name.get_ref().as_str()) {
                return Err(Fault {
                    span: name.span(),
                    reason: format!("no step is called `{}`", name.get_ref()),
                    hint: Some(format!(
                        "`step` is the limit of all; one step: {}",
                        STEPS.join(", ")
                    )),
                });
            }
        }
        for report in &config.prune.reports {
            let mut words = report.split_whitespace();
            if words.next().is_none() || words.any(|word| !word.contains('=')) {
                let at = text.find(report.as_str()).unwrap_or(0);
                return Err(Fault {
                    span: at..at,
                    reason: format!("`{report}` is no report with its parameters"),
                    hint: Some(
                        "write the name and then NAME=VALUE, as in \"keep-latest keep=5\"".into(),
                    ),
                });
            }
        }
        config.mode = Some(mode);
        Ok(config)
    }

    /// With paths taken from the directory of the file.
    fn beside(mut self, directory: &Path) -> Self {
        let take = |path: &mut PathBuf| *path = directory.join(&path);
        if !self.storage.contains("://") {
            self.storage = directory.join(&self.storage).to_string_lossy().into_owned();
        }
        let registry = self.registry.get_mut();
        let single = [&mut self.db, &mut registry.password_file, &mut registry.ca];
        single.into_iter().flatten().for_each(take);
        let output = [&mut self.output.log, &mut self.output.json, &mut self.output.metrics];
        output.into_iter().flatten().for_each(take);
        let lists = [&mut self.scan.roots, &mut self.prune.files, &mut self.prune.protect];
        lists.into_iter().flatten().for_each(take);
        self
    }

    /// Looks whether the files of `[output]` have directories to lie in.
    ///
    /// # Errors
    /// When one has none. Found at the end of the night only, it would end a good one with an error.
    pub fn check_outputs(&self) -> Result<(), ConfigError> {
        let OutputTable { log, json, metrics } = &self.output;
        for (key, path) in [("log", log), ("json", json), ("metrics", metrics)] {
            let Some(directory) = path.as_deref().and_then(Path::parent) else { continue };
            if !directory.as_os_str().is_empty() && !directory.is_dir() {
                return Err(ConfigError::NoDirectory { key, directory: directory.to_owned() });
            }
        }
        Ok(())
    }

    /// `[registry]`.
    pub fn registry(&self) -> &RegistryTable {
        self.registry.get_ref()
    }

    /// What keeps pushes away while things are deleted.
    pub fn mode(&self) -> &Mode {
        self.mode.as_ref().unwrap_or(&Mode::Online)
    }

    /// How long a step may take.
    pub fn limit(&self, step: &str) -> Duration {
        let of = |name: &str| self.limits.iter().find(|(key, _)| key.get_ref() == name);
        of(step).or_else(|| of("step")).map_or(DEFAULT_LIMIT, |(_, time)| time.duration)
    }
}

/// The steps that can have a limit of their own.
const STEPS: [&str; 9] =
    ["scan", "plan", "begin", "stop", "prune", "purge", "start", "check", "end"];

/// Of a step for which the file says nothing.
const DEFAULT_LIMIT: Duration = Duration::from_mins(30);

fn read(file: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let read_bytes = std::fs::File::open(file)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if read_bytes as u64 > MAX_BYTES {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// What the TOML library says, with the next step.
fn fault_of(error: &toml::de::Error) -> Fault {
    let reason = error.message().replace('\n', ", ");
    let mut words = reason.split('`').skip(1).step_by(2);
    let hint = if reason.starts_with("unknown field") {
        let given = words.next().unwrap_or_default();
        let near = words
            .map(|word| (strsim::jaro_winkler(given, word), word))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .filter(|(likeness, _)| *likeness > 0.75);
        near.map_or_else(
            || Some("docs/nightly.md lists the keys and their tables".into()),
            |(_, word)| Some(format!("did you mean `{word}`?")),
        )
    } else if reason.starts_with("missing field") {
        Some(
            "the smallest file has `storage`, and `[registry]` with `url`, `stop` and `start`"
                .into(),
        )
    } else if reason.starts_with("invalid type") {
        Some("texts, times and sizes stand in quotes: \"30m\", \"10GiB\"; lists in brackets".into())
    } else {
        None
    };
    Fault { span: error.span().unwrap_or(0..0), reason, hint }
}
