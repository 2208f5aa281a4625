//! What a shell may complete a word to: reports, their parameters, and what is in the database.
//!
//! A completer gets only the word itself, so the other words are read from the command line.
//! Whatever goes wrong, there is just nothing to complete: a message has no place there.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use crate::db::{self, Guard};
use crate::report::{self, Bound, Catalog, Gathered, ParamKind, Query, Report, Selects, Value};

const REPOSITORIES_SQL: &str = include_str!("sql/repository_names.sql");
const TAGS_SQL: &str = include_str!("sql/tag_names.sql");

/// A person waits for it.
const TIME_LIMIT: Duration = Duration::from_millis(500);

/// Names of reports.
pub fn reports(current: &OsStr) -> Vec<CompletionCandidate> {
    report_candidates(current, |_| true)
}

/// Names of reports that list tags.
pub fn tag_reports(current: &OsStr) -> Vec<CompletionCandidate> {
    report_candidates(current, |report| report.header.selects == Some(Selects::Tags))
}

fn report_candidates(
    current: &OsStr,
    is_wanted: impl Fn(&Report) -> bool,
) -> Vec<CompletionCandidate> {
    let words = Words::of_this_process();
    let catalog = words.catalog();
    let reports = catalog.reports().filter(|report| is_wanted(report));
    let candidate = |report: &Report| {
        let title = report.header.title.clone();
        CompletionCandidate::new(report.name.as_str()).help(Some(title.into()))
    };
    let names = reports.filter(|report| begins(&report.name, current));
    names.map(candidate).collect()
}

/// Names of views.
pub fn views(current: &OsStr) -> Vec<CompletionCandidate> {
    let views = db::views();
    let found = views.iter().filter(|view| begins(view.name, current));
    found
        .map(|view| CompletionCandidate::new(view.name).help(Some(view.meaning.clone().into())))
        .collect()
}

/// `REPOSITORY:TAG`: first the repository, then its tags.
pub fn targets(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else {
        return Vec::new();
    };
    let words = Words::of_this_process();
    let names: Vec<String> = if let Some((repository, tag)) = current.rsplit_once(':') {
        let found = words.names(TAGS_SQL, &[("repository", repository), ("prefix", tag)]);
        found.into_iter().map(|tag| format!("{repository}:{tag}")).collect()
    } else {
        let found = words.names(REPOSITORIES_SQL, &[("prefix", current)]);
        found.into_iter().map(|repository| format!("{repository}:")).collect()
    };
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// `NAME=VALUE` of the report on the command line.
pub fn params(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else {
        return Vec::new();
    };
    let words = Words::of_this_process();
    let catalog = words.catalog();
    let Some(report) = words.report(&catalog) else {
        return Vec::new();
    };
    let params = &report.header.params;
    let Some((name, value)) = current.split_once('=') else {
        let found = params.iter().filter(|param| param.name.starts_with(current));
        return found
            .map(|param| {
                CompletionCandidate::new(format!("{}=", param.name))
                    .help(Some(param.meaning.clone().into()))
            })
            .collect();
    };
    let values = match params.iter().find(|param| param.name == name).map(|param| &param.kind) {
        Some(ParamKind::Choice(words)) => words.clone(),
        Some(ParamKind::Limit) => vec!["all".to_owned()],
        Some(ParamKind::Glob) if name == "repository" => {
            words.names(REPOSITORIES_SQL, &[("prefix", value)])
        }
        _ => Vec::new(),
    };
    let found = values.iter().filter(|known| known.starts_with(value));
    found.map(|known| CompletionCandidate::new(format!("{name}={known}"))).collect()
}

fn begins(name: &str, current: &OsStr) -> bool {
    current.to_str().is_some_and(|current| name.starts_with(current))
}

/// Whether a shell takes it for one plain word. A name that a stranger pushed must not become a
/// command when a person presses Tab and Enter.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/+".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_plain)
}

/// The command line that is being completed.
struct Words(Vec<OsString>);

impl Words {
    fn of_this_process() -> Self {
        Self(std::env::args_os().skip_while(|word| word != "--").skip(1).collect())
    }

    /// The value of `--name VALUE` or `--name=VALUE`.
    fn option(&self, name: &str) -> Option<OsString> {
        let with_value = format!("{name}=");
        self.0.iter().enumerate().find_map(|(place, word)| {
            if word == name {
                return self.0.get(place + 1).cloned();
            }
            word.to_str()?.strip_prefix(&with_value).map(OsString::from)
        })
    }

    fn path(&self, option: &str, variable: &str) -> Option<PathBuf> {
        self.option(option).or_else(|| std::env::var_os(variable)).map(PathBuf::from)
    }

    fn catalog(&self) -> Catalog {
        let directory = self.path("--reports", "REGSQL_REPORTS");
        Catalog::with_directory(directory.as_deref()).unwrap_or_else(|_| Catalog::built_in())
    }

    /// The report that the command line names.
    fn report<'a>(&self, catalog: &'a Catalog) -> Option<&'a Report> {
        let named = self.option("--from").and_then(|name| name.into_string().ok());
        let named = named.or_else(|| {
            let words = self.0.iter().filter_map(|word| word.to_str());
            let mut behind = words.skip_while(|word| *word != "report").skip(1);
            behind.find(|word| catalog.get(word).is_ok()).map(str::to_owned)
        });
        let is_free = self.0.iter().any(|word| word == "free");
        let usual = if is_free { "keep-latest" } else { "overview" };
        catalog.get(named.as_deref().unwrap_or(usual)).ok()
    }

    /// The plain names that a query finds in the database.
    fn names(&self, sql: &str, params: &[(&str, &str)]) -> Vec<String> {
        let database = self.path("--db", "REGSQL_DB").unwrap_or_else(|| "registry.db".into());
        let mut names = find(&database, sql, params).unwrap_or_default();
        names.retain(|name| is_plain(name));
        names
    }
}

fn find(database: &Path, sql: &str, params: &[(&str, &str)]) -> Option<Vec<String>> {
    let connection = db::open_for_reading(database).ok()?;
    let guard = Guard::new(&connection, Some(TIME_LIMIT)).ok()?;
    let bound = params.iter();
    let query = Query {
        name: "completion".into(),
        sql,
        bound: bound.map(|(name, text)| ((*name).into(), Bound::Text((*text).into()))).collect(),
        columns: &[],
        max_rows: None,
        time_limit: Some(TIME_LIMIT),
    };
    let mut gathered = Gathered::default();
    report::run(&connection, &guard, &query, &mut gathered).ok()?;
    let names = gathered.rows.into_iter().filter_map(|row| match row.into_iter().next() {
        Some(Value::Text(name)) => Some(name.into_owned()),
        _ => None,
    });
    Some(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_shell_would_act_on_is_not_offered() {
        assert!(is_plain("team/app-1.2_x+y"));
        for name in ["", "-rf", "a b", "a;reboot", "$(reboot)", "a*", "~", "a\u{1b}[2J", "ü", "a'b"]
        {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn options_are_found_in_both_spellings() {
        let words = |line: &str| Words(line.split(' ').map(OsString::from).collect());
        assert_eq!(words("regsql --db x.db why").option("--db"), Some("x.db".into()));
        assert_eq!(words("regsql why --db=y.db").option("--db"), Some("y.db".into()));
        assert_eq!(words("regsql why --db").option("--db"), None);
    }

    #[test]
    fn the_report_is_the_one_that_the_line_names() {
        let catalog = Catalog::built_in();
        let name = |line: &str| {
            let words = Words(line.split(' ').map(OsString::from).collect());
            words.report(&catalog).map(|report| report.name.clone())
        };
        assert_eq!(name("regsql report -f json tags -p "), Some("tags".into()));
        assert_eq!(name("regsql report -p "), Some("overview".into()));
        assert_eq!(name("regsql free 1GiB -p "), Some("keep-latest".into()));
        assert_eq!(name("regsql free 1GiB --from older-than -p "), Some("older-than".into()));
    }
}
