//! What a person meant who typed a command line that does not parse: the words that other tools and
//! tired hands use, and where it stands here.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::report::Catalog;
use crate::ui::{Color, LogTime, Printer, Verbosity};

/// Words for a command that is named otherwise here.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["du", "df", "size", "sizes", "usage", "stats", "status", "info"], "regsql report"),
    (&["ls", "list", "repos", "repository", "catalog", "_catalog"], "regsql report repositories"),
    (&["tag", "images", "image"], "regsql report tags"),
    (&["layers", "layer", "blobs", "blob"], "regsql report rare-layers"),
    (&["untagged", "revisions"], "regsql report untagged-revisions"),
    (&["orphans", "orphan"], "regsql report orphan-blobs"),
    (&["history", "trend"], "regsql report growth"),
    (
        &["gc", "garbage-collect", "clean", "cleanup", "collect", "vacuum"],
        "regsql prune --garbage (a dry run; --delete acts)",
    ),
    (
        &["delete", "rm", "remove", "del", "untag"],
        "regsql prune --target REPOSITORY:TAG (a dry run; --delete acts)",
    ),
    (&["purge", "empty"], "regsql trash purge"),
    (&["restore", "revert", "rollback"], "regsql undo"),
    (&["check", "fsck", "validate", "doctor"], "regsql verify"),
    (&["query", "select", "sqlite", "sqlite3"], "regsql sql QUERY"),
    (
        &["who", "explain", "whatif", "what-if"],
        "regsql why TARGET, or regsql report NAME --what-if",
    ),
    (&["index", "load", "import", "update", "refresh"], "regsql scan STORAGE"),
    (&["page", "dashboard", "web"], "regsql html -o FILE, or regsql serve"),
    (&["version"], "regsql --version"),
];

/// Words for an option that is named otherwise here.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["csv", "json", "ndjson", "tsv", "markdown", "table"], "use --format NAME"),
    (&["dry-run", "simulate", "n"], "leave it out: without --delete, prune only shows its plan"),
    (&["force", "y", "assume-yes", "no-prompt"], "use --yes (with --delete)"),
    (&["database", "file"], "use --db FILE"),
    (&["age", "older-than", "min-days"], "use --min-age TIME, such as 7d (with prune)"),
    (
        &["min-age"],
        "ages are for `regsql prune`: save a plan with --save, then use prune --plan with --min-age",
    ),
    (&["exclude", "keep-tags", "ignore"], "use --protect-tags GLOB or --protect FILE"),
    (&["root", "path", "registry", "dir"], "use --storage STORAGE"),
    (&["url", "host"], "use --registry-url URL"),
    (&["user", "username", "u"], "use --registry-user USER"),
];

/// Arguments that must be there, and what to write.
const MISSING: &[(&str, &str)] = &[
    (
        "<STORAGE>",
        "name the registry's root directory, such as /var/lib/registry, its config.yml, or its bucket: \
         s3://BUCKET",
    ),
    ("<BYTES>", "say how much space is wanted: regsql free 50GiB"),
    ("--output <FILE>", "name the file: regsql html -o registry.html"),
    (
        "--config <FILE>",
        "docs/nightly.md has a file to begin with, the packages have it as \
         /usr/share/doc/regsql/examples/nightly.toml",
    ),
];

/// Says what is wrong with the command line and how to write it.
pub fn explain(error: &clap::Error) {
    match hint(error) {
        Some(hint) => {
            // What the line says of colours is not known, since it does not parse.
            let printer = Printer::new(Verbosity::Normal, Color::Auto, LogTime::Never);
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            let message = match missing(error) {
                Some((argument, _)) => format!("{argument} is missing"),
                None => first.strip_prefix("error: ").unwrap_or(first).to_owned(),
            };
            printer.error(&[message], &[hint]);
        }
        // Help and versions go to standard output; a closed output cannot be reported.
        None => drop(error.print()),
    }
}

fn hint(error: &clap::Error) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => command(word(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let word = word(ContextKind::InvalidArg)?;
            match word.strip_prefix('-') {
                Some(name) => option(name.trim_start_matches('-')),
                // `report tags keep=3`
                None if word.contains('=') => Some(format!("a parameter is given as -p {word}")),
                None => None,
            }
        }
        ErrorKind::MissingRequiredArgument => missing(error).map(|(_, meant)| meant.to_owned()),
        _ => None,
    }
}

/// The one argument that is missing, and what to write.
fn missing(error: &clap::Error) -> Option<(&'static str, &'static str)> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let is_it = |(argument, _): &&(&str, &str)| missing.len() == 1 && missing[0] == *argument;
    (error.kind() == ErrorKind::MissingRequiredArgument)
        .then(|| MISSING.iter().find(is_it))?
        .copied()
}

/// What stands beside `word` in one of the tables.
fn meant(table: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(words, _)| words.contains(&word)).map(|(_, meant)| *meant)
}

fn command(word: &str) -> Option<String> {
    if Catalog::built_in().get(word).is_ok() {
        return Some(format!("`{word}` is a report: regsql report {word}"));
    }
    meant(COMMANDS, &word.to_lowercase()).map(|meant| format!("use {meant}"))
}

fn option(name: &str) -> Option<String> {
    if let Some(meant) = meant(OPTIONS, name) {
        return Some(meant.replace("NAME", name));
    }
    let catalog = Catalog::built_in();
    let mut params = catalog.reports().flat_map(|report| &report.header.params);
    let is_param = params.any(|param| param.name == name);
    match name {
        "limit" => Some(
            "how many rows: -p limit=N for a report (or limit=all), --max-rows N for sql".into(),
        ),
        "all" => Some("all rows of a report: -p limit=all".into()),
        "repo" => Some("it is a parameter of reports: -p repository='shop/*'".into()),
        _ if is_param => Some(format!("`{name}` is a parameter of reports: -p {name}=VALUE")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::commands::Cli;

    fn hint_for(line: &str) -> String {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        hint(&error).unwrap_or_else(|| "none".into())
    }

    #[test]
    fn the_words_of_other_tools_lead_to_the_command_that_is_meant() {
        assert_eq!(hint_for("regsql tags"), "`tags` is a report: regsql report tags");
        assert_eq!(hint_for("regsql du"), "use regsql report");
        assert!(hint_for("regsql gc").contains("regsql prune --garbage"));
        assert!(hint_for("regsql report tags --limit 5").contains("-p limit=N"));
        assert!(hint_for("regsql report tags --limit=5").contains("-p limit=N"));
        assert_eq!(hint_for("regsql report tags --csv"), "use --format csv");
        assert!(hint_for("regsql prune keep-latest --keep=3").ends_with("-p keep=VALUE"));
        assert!(hint_for("regsql prune --dry-run").contains("without --delete"));
        assert_eq!(hint_for("regsql report tags keep=3"), "a parameter is given as -p keep=3");
        assert!(hint_for("regsql free 1GiB --min-age 0s").contains("prune --plan"));
        assert_eq!(hint_for("regsql frobnicate"), "none");
        assert!(hint_for("regsql scan").contains("its config.yml"));
        assert!(hint_for("regsql nightly").contains("nightly.toml"));
        assert!(hint_for("regsql free").contains("50GiB"));
        assert!(hint_for("regsql html").contains("-o registry.html"));
    }

    #[test]
    fn no_word_that_leads_elsewhere_is_a_command_or_an_option_itself() {
        let cli = <Cli as clap::CommandFactory>::command();
        let words = COMMANDS.iter().flat_map(|(words, _)| *words);
        for word in words {
            assert!(cli.find_subcommand(word).is_none(), "{word}");
        }
        // A hint names commands that there are.
        for (_, meant) in COMMANDS {
            let name = meant.split([' ', ',']).nth(1).unwrap();
            assert!(name.starts_with("--") || cli.find_subcommand(name).is_some(), "{meant}");
        }
    }
}
