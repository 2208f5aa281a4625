//! `sql`: a person's own query, read-only, within limits.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::Context;
use super::result::Snapshot;
use super::what_if::{self, Expected};
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::options::{LimitArgs, OutputArgs, ParamArgs, parse_size};
use crate::db;
use crate::report::{Query, bind_untyped};
use crate::ui::Frame;

/// A query is a text that a person wrote; more is a mistake.
const MAX_QUERY_BYTES: u64 = 1 << 20;

/// Arguments of `sql`.
#[derive(Args, Debug)]
pub struct SqlArgs {
    /// The query, or `-` to read it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub query: Option<String>,
    /// Read the query from a file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Values for `:name` in the query.
    #[command(flatten)]
    pub params: ParamArgs,
    /// Show what deleting everything that the rows name would free together
    #[arg(long, conflicts_with = "max_rows")]
    pub what_if: bool,
    /// With --what-if: end with exit code 1 when more would come free than this, such as 100GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "what_if")]
    pub expect_max_bytes: Option<u64>,
    /// With --what-if: end with exit code 1 when more tags would go than this
    #[arg(long, value_name = "N", requires = "what_if")]
    pub expect_max_tags: Option<u64>,
    /// How far it may go.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// How rows go out.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl SqlArgs {
    fn limits_of_policy(&self) -> Expected {
        Expected { max_bytes: self.expect_max_bytes, max_tags: self.expect_max_tags }
    }
}

/// Runs a query.
pub fn run(context: &Context, args: &SqlArgs) -> Result {
    let (name, sql) = text(args)?;
    let time_limit = Some(args.limits.timeout).filter(|limit| !limit.is_zero());
    let query = Query {
        name,
        sql: &sql,
        bound: bind_untyped(&args.params.param)?,
        columns: &[],
        // What a part of the rows frees says nothing of the whole.
        max_rows: Some(args.limits.max_rows).filter(|rows| *rows > 0 && !args.what_if),
        time_limit,
    };
    let snapshot = Snapshot::open(context, time_limit)?;
    let frame = Frame { may_hide: true, ..Frame::default() };
    if args.what_if {
        let format = args.output.format;
        return what_if::run(
            context,
            &snapshot,
            &query,
            None,
            format,
            frame,
            args.limits_of_policy(),
        );
    }
    snapshot.show(context, &query, args.output.format, frame)?;
    for (table, view) in private_tables(&sql) {
        context.printer.note(&format!(
            "`{table}` is a table of regsql's own, which may change with each version: the view for \
             queries is `{view}`"
        ));
    }
    Ok(Outcome::Done)
}

/// The tables after FROM and JOIN whose view is what a person most likely means.
fn private_tables(sql: &str) -> Vec<(String, &'static str)> {
    let views = db::views();
    let plural = |table: &str| match table.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{table}s"),
    };
    let mut found: Vec<(String, &'static str)> = Vec::new();
    let mut before = String::new();
    for word in sql.to_lowercase().split(|char: char| !(char.is_alphanumeric() || char == '_')) {
        if matches!(before.as_str(), "from" | "join")
            && let Some(view) = views.iter().find(|view| view.name == plural(word))
            && !found.iter().any(|(table, _)| table == word)
        {
            found.push((word.to_owned(), view.name));
        }
        if !word.is_empty() {
            word.clone_into(&mut before);
        }
    }
    // A name that the query defines itself is no table.
    let sql = sql.to_lowercase();
    found.retain(|(table, _)| {
        !sql.contains(&format!("{table} as (")) && !sql.contains(&format!("{table}("))
    });
    found
}

/// The query and what messages call it.
fn text(args: &SqlArgs) -> Result<(String, String)> {
    match (&args.file, args.query.as_deref()) {
        (Some(path), _) => {
            let name = format!("`{}`", path.display());
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?;
            let sql = read(file, &name)?;
            Ok((name, sql))
        }
        (None, Some("-") | None) => {
            let name = "the query on standard input";
            Ok((name.into(), read(std::io::stdin(), name)?))
        }
        (None, Some(sql)) => Ok(("the query".into(), sql.to_owned())),
    }
}

fn read(source: impl std::io::Read, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    source
        .take(MAX_QUERY_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > MAX_QUERY_BYTES {
        return Err(Error::new(format!("{name} is longer than 1 MiB")));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(format!("{name} is not text in UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::private_tables;

    #[test]
    fn a_private_table_is_met_with_its_view_and_nothing_else_is() {
        assert_eq!(private_tables("SELECT * FROM tag"), [("tag".into(), "tags")]);
        let joined = "select 1 from blobs b join Repository on 1 JOIN repository";
        assert_eq!(private_tables(joined), [("repository".into(), "repositories")]);
        assert!(private_tables("SELECT tag FROM tags").is_empty());
        assert!(private_tables("WITH tag AS (SELECT 1) SELECT * FROM tag").is_empty());
    }
}
