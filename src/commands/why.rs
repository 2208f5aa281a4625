//! `why`: what keeps a blob, tag or revision, or why it is garbage.

mod json;
mod repository;
mod rows;
mod text;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use rusqlite::Connection;

use super::Context;
use super::result::Snapshot;
use crate::browse::Found;
use crate::commands::error::{Outcome, Result};
use crate::commands::options::{OutputArgs, complete};
use crate::report::QueryError;
use crate::ui::{Format, Look, visible};
use crate::why::{Answer, End, Question, Step, WhyError};

/// Arguments of `why`.
#[derive(Args, Debug)]
#[command(
    after_help = "TARGET may also be the beginning of a digest, of at least four digits. With \
    `--format json` the answer is one object, with ndjson one object for each path; the other formats \
    have a row for each path."
)]
pub struct WhyArgs {
    /// A digest (sha256:…), REPO:TAG, REPO@DIGEST, or a repository alone
    #[arg(add = ArgValueCompleter::new(complete::targets))]
    pub target: String,
    /// Show every path that leads to it, not only the nearest
    #[arg(short, long)]
    pub all: bool,
    /// How the answer goes out.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Takes an answer and then its paths.
trait Writer {
    /// One path, from the target upwards.
    fn path(&mut self, path: &[Step]) -> std::io::Result<()>;
    /// No more paths.
    fn end(&mut self, end: End) -> std::io::Result<()>;
}

/// Answers.
pub fn run(context: &Context, args: &WhyArgs) -> Result {
    let snapshot = Snapshot::open(context, None)?;
    let result = show(context, args, &snapshot);
    if result.is_err() && snapshot.guard.was_stopped() {
        return Err(QueryError::Interrupted.into());
    }
    result
}

fn show(context: &Context, args: &WhyArgs, snapshot: &Snapshot) -> Result {
    let format: Format = args.output.format;
    let question = match Question::new(&snapshot.connection, &args.target) {
        Err(WhyError::RepositoryAlone(name)) => {
            return repository::show(context, snapshot, &name, format);
        }
        question => question?,
    };
    let answer = question.answer()?;
    let about_scan = snapshot.about_scan();
    let mut out = context.paged();
    let end = {
        let look = context.printer.look();
        let mut writer: Box<dyn Writer + '_> = match format {
            Format::Table => {
                let for_more = (!args.all).then_some("--all");
                Box::new(text::Text::begin(&mut out, &answer, look, for_more, &about_scan)?)
            }
            Format::Json => Box::new(json::Object::begin(&mut out, &answer)?),
            Format::Ndjson => Box::new(json::Lines::new(&mut out, &answer)),
            _ => Box::new(rows::Rows::begin(format, &mut out, &answer, look, &about_scan)?),
        };
        let take = |path: &[Step]| writer.path(path);
        let end = if args.all { question.all_paths(take) } else { question.nearest_paths(take) };
        // What was written is made whole, whatever happened.
        writer.end(*end.as_ref().unwrap_or(&End { is_cut: true, ..End::default() }))?;
        end
    };
    out.finish()?;
    let end = end?;
    if args.all && end.is_cut {
        context.printer.warn(&format!("cut after {} paths", end.paths));
    }
    if !format.is_for_people() {
        context.printer.note(&about_scan.join("; "));
    }
    Ok(Outcome::Done)
}

/// The answer as a person reads it, without colours, and where its paths end: what keeps the target, to
/// go there. `for_more` is what shows the other paths.
pub(super) fn for_people(
    connection: &Connection,
    target: &str,
    for_more: &str,
) -> Result<(String, Vec<(String, Found)>)> {
    let question = Question::new(connection, target)?;
    let answer = question.answer()?;
    let mut text = Vec::new();
    let mut holders: Vec<(String, Found)> = Vec::new();
    let look = Look { is_terminal: true, width: None, color: false };
    let mut writer = text::Text::begin(&mut text, &answer, look, Some(for_more), &[])?;
    let end = question.nearest_paths(|path| {
        holders.extend(path.iter().rev().find_map(holder));
        writer.path(path)
    })?;
    writer.end(end)?;
    drop(writer);
    let mut seen = std::collections::HashSet::new();
    holders.retain(|(text, _)| seen.insert(text.clone()));
    Ok((String::from_utf8_lossy(&text).trim_end().to_owned(), holders))
}

/// A step that a person can go to.
fn holder(step: &Step) -> Option<(String, Found)> {
    let Step::Tag { repository, tag, .. } = step else {
        return None;
    };
    let found =
        Found { repository: Some(repository.clone()), tag: Some(tag.clone()), digest: None };
    Some((visible(&format!("{repository}:{tag}")).into_owned(), found))
}

/// Paths that `answer` has beyond the ones shown, as far as its counts say: repositories and tags.
fn beyond(answer: &Answer, repositories: usize, tags: usize) -> (i64, i64) {
    let less = |count: i64, shown: usize| (count - shown as i64).max(0);
    (less(answer.repository_count, repositories), less(answer.tag_count, tags))
}
