//! `nightly`: the whole night job of a registry.

use std::any::Any;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

#[cfg(feature = "object-storage")]
use super::storage::Changing;
use super::{Context, on_interrupt, own_program, was_interrupted};
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::options::RegistryArgs;
use crate::export::{render_night, replace_file};
use crate::nightly::{Config, Job, Log, PARENT_VARIABLE, Record, StepResult, Summary};
use crate::storage::{self, AnyStorage, locate};
use crate::trash::{self, TrashError};
use crate::ui;

/// Arguments of `nightly`.
#[derive(Args, Debug)]
pub struct NightlyArgs {
    /// The job's file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Show each step and what it would do; nothing is changed
    #[arg(long)]
    pub dry_run: bool,
    /// Only put right what a killed run left: start the registry, end the downtime
    #[arg(long, conflicts_with = "dry_run")]
    pub recover: bool,
}

/// In a step of a job: sees that this process ends with it.
pub fn end_with_job() {
    if let Ok(parent) = std::env::var(PARENT_VARIABLE) {
        crate::nightly::process::end_with(&parent);
    }
}

/// Does the night's work.
pub fn run(context: &Context, args: &NightlyArgs) -> Result {
    let config = Config::read(&args.config)?;
    // A registry that is down is started whatever else is missing.
    if !args.recover {
        config.check_outputs()?;
    }
    let database = config.db.clone().unwrap_or_else(|| context.db.clone());
    let connect = |timeout| registry_args(&config, timeout).connect(&config.registry().url);
    let registry = Arc::new(connect(config.registry().timeout.as_ref().map(|time| time.duration))?);
    let puller = Arc::new(connect(Some(config.limit("check")))?);
    let program = own_program()?;
    if !args.dry_run {
        context.printer.begin_log();
    }
    let copy = tempfile::tempdir()?;
    let (database, held) = if args.dry_run {
        (copy_of(&database, copy.path())?, None)
    } else {
        let record = Record::take(&database)?;
        (database, Some((record, lock_storage(context, &config)?)))
    };
    let file = config.output.log.as_deref().filter(|_| !args.dry_run);
    let log = Log::open(file, |line| context.printer.note(line))?;
    // From here on Ctrl-C ends the step that runs, and then the registry is started again.
    on_interrupt(|| ());
    let job = Job {
        config: &config,
        config_file: &args.config,
        database: &database,
        program: &program,
        registry,
        puller,
        log: &log,
        is_stopped: &was_interrupted,
    };
    let summary = match held {
        None => job.dry_run(),
        Some(((record, left), _lock)) => job.run(record, left.as_ref(), args.recover),
    };
    context.printer.results(&shown(&summary, args.dry_run))?;
    if !args.dry_run && !args.recover {
        write_outputs(&config, &job, &summary)?;
    }
    match (summary.exit_code, summary.result) {
        (0, _) => Ok(Outcome::Done),
        (1, _) => {
            context.printer.set_reason(&summary.reason());
            Ok(Outcome::Findings)
        }
        (_, StepResult::Interrupted) => {
            Err(Error::stopped("the job was stopped: the steps above say what it had done"))
        }
        _ => {
            let mut error = Error::new(summary.reason());
            for next in &summary.next {
                error = error.with_hint(next);
            }
            Err(error)
        }
    }
}

fn registry_args(config: &Config, timeout: Option<std::time::Duration>) -> RegistryArgs {
    let table = config.registry();
    RegistryArgs {
        registry_user: table.user.clone(),
        registry_password_file: table.password_file.clone(),
        registry_ca: table.ca.clone(),
        registry_timeout: timeout.unwrap_or(std::time::Duration::from_secs(30)),
    }
}

/// A scan into the copy finds what the database remembers: roots, pulls, the last scan.
fn copy_of(database: &Path, directory: &Path) -> Result<PathBuf> {
    let copy = directory.join("registry.db");
    match std::fs::copy(database, &copy) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            let message = format!("cannot copy `{}` to `{}`", database.display(), copy.display());
            Err(Error::from(anyhow::Error::new(source).context(message)).with_hint(
                "a dry run scans into a copy; TMPDIR names a directory with room for it",
            ))
        }
        _ => Ok(copy),
    }
}

/// Two jobs with databases of their own must not stop and start one registry.
fn lock_storage(context: &Context, config: &Config) -> Result<Option<Box<dyn Any>>> {
    // What is wrong with the storage is the scan's to say, when the registry is looked after.
    let Ok(location) = locate(Path::new(&config.storage)) else { return Ok(None) };
    let Ok(storage) = storage::open(location) else { return Ok(None) };
    let locked: std::result::Result<Option<Box<dyn Any>>, TrashError> = match storage {
        AnyStorage::Filesystem(storage) => trash::lock_job(storage.as_ref())
            .map(|lock| lock.map(|lock| Box::new(lock) as Box<dyn Any>)),
        #[cfg(feature = "object-storage")]
        AnyStorage::Object(storage) => {
            let bucket = super::storage::in_bucket(storage, Changing::default());
            bucket.lock_job().map(|lock| Some(Box::new(lock) as Box<dyn Any>))
        }
    };
    match locked {
        Ok(lock) => Ok(lock),
        Err(TrashError::Locked(_) | TrashError::LockedBy { .. }) => {
            Err(Error::new(format!("another nightly job is running on `{}`", config.storage))
                .with_hint("wait for its end; its log says what it is doing"))
        }
        Err(error) => {
            context.printer.detail(&error.to_string());
            Ok(None)
        }
    }
}

fn write_outputs(config: &Config, job: &Job<'_>, summary: &Summary) -> Result<()> {
    if let Some(path) = &config.output.json {
        replace_file(path, |out| {
            serde_json::to_writer_pretty(&mut *out, summary)?;
            writeln!(out)
        })?;
    }
    if let Some(path) = &config.output.metrics {
        let mut text = job.snapshot_metrics().unwrap_or_default();
        text.push_str(&render_night(&summary.figures()));
        replace_file(path, |out| out.write_all(text.as_bytes()))?;
    }
    Ok(())
}

/// The summary for a person.
fn shown(summary: &Summary, is_dry_run: bool) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let mut line = |words: String| {
        let _infallible = writeln!(text, "{words}");
    };
    let bytes = |count: u64| ui::bytes(count);
    if is_dry_run {
        line(format!("Dry run of the night job of {}: nothing was changed", summary.storage));
    } else {
        line(format!(
            "Night job of {}: {} after {}, registry down for {}",
            summary.storage,
            summary.result.as_str(),
            ui::duration_ms(summary.duration_ms),
            ui::duration_ms(summary.down_ms)
        ));
    }
    for step in &summary.steps {
        let would = step.detail.as_deref().filter(|text| is_dry_run && text.starts_with("would "));
        if let Some(would) = would {
            line(format!("  {:<15} {would}", step.step));
            continue;
        }
        let detail = step.detail.as_deref().map(|text| format!("  {text}")).unwrap_or_default();
        let took = ui::duration_ms(step.duration_ms);
        line(format!("  {:<15} {:<12} {took:>9}{detail}", step.step, step.result.as_str()));
    }
    if let Some(deleted) = &summary.deleted {
        let freed = bytes(deleted.freed_bytes);
        match (&deleted.trash_run, deleted.in_words().as_str()) {
            (_, "nothing") => line("Nothing to delete".into()),
            (Some(run), what) => {
                line(format!("Deleted {what}: {freed} lie in the trash as run {run}"));
            }
            (None, what) => line(format!("Deleted {what}: {freed}")),
        }
    }
    if let Some(purged) = summary.purged_bytes {
        line(format!("Purged {} from the trash", bytes(purged)));
    }
    if let Some(check) = &summary.check {
        line(format!(
            "Pulled {} {} whole ({}){}",
            check.pulled_count,
            if check.pulled_count == 1 { "tag" } else { "tags" },
            bytes(check.pulled_bytes),
            match check.failures.len() {
                0 => String::new(),
                count => format!(", {count} failed"),
            }
        ));
    }
    for next in &summary.next {
        line(format!("Next: {next}"));
    }
    text
}
