//! `why REPOSITORY`: what is in it, what deleting it frees, and where the rest lives on.

use std::io::Write as _;

use serde_json::{Value as Json, json};

use crate::commands::Context;
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::report::query;
use crate::commands::result::Snapshot;
use crate::report::{Catalog, Gathered, Unit, Value, bind_report};
use crate::ui::{self, Format, Frame};

/// A row of report `repositories`, by the names of its columns.
struct Row {
    figures: Gathered,
}

impl Row {
    fn value(&self, name: &str) -> Option<&Value<'static>> {
        let at = self.figures.columns.iter().position(|column| column.name == name)?;
        self.figures.rows.first()?.get(at)
    }

    fn integer(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// Answers for the repository of that whole name.
pub fn show(context: &Context, snapshot: &Snapshot, name: &str, format: Format) -> Result {
    let row = Row { figures: rows(snapshot, "repositories", &pattern(name))? };
    if row.figures.rows.is_empty() {
        return Err(Error::new(format!("there is no repository `{name}` in the snapshot")));
    }
    let shared = [format!("repository={name}"), "limit=all".into()];
    match format {
        Format::Json | Format::Ndjson => {
            let others = rows(snapshot, "shared-with", &shared)?;
            let mut object = json!({ "schema": 1, "target": name, "kind": "repository" });
            if let Some(object) = object.as_object_mut() {
                object.extend(object_of(&row.figures, &row.figures.rows[0]));
                let others = others.rows.iter().map(|row| Json::Object(object_of(&others, row)));
                object.insert("shared_with".into(), others.collect());
            }
            let mut out = context.printer.out();
            writeln!(out, "{}", ui::json_text(object.to_string()))?;
            out.finish()?;
        }
        _ => {
            let catalog = Catalog::built_in();
            let report = catalog.get("shared-with")?;
            let given = &shared[..1];
            let bound = bind_report(&report.name, &report.header.params, given)?;
            let frame = Frame {
                title: Some(format!("repository {name}")),
                notes: notes(&row, snapshot.is_at_least()),
                bars: report.header.bars.clone(),
                may_hide: true,
                ..Frame::default()
            };
            snapshot.show(context, &query(report, bound), format, frame)?;
        }
    }
    Ok(Outcome::Done)
}

fn rows(snapshot: &Snapshot, name: &str, given: &[String]) -> Result<Gathered> {
    let catalog = Catalog::built_in();
    let report = catalog.get(name)?;
    let bound = bind_report(&report.name, &report.header.params, given)?;
    let mut gathered = Gathered::default();
    snapshot.run(&query(report, bound), &mut gathered)?;
    Ok(gathered)
}

/// The parameter that matches this very name, whatever characters are in it.
fn pattern(name: &str) -> [String; 1] {
    let mut pattern = String::new();
    for char in name.chars() {
        match char {
            '*' | '?' | '[' => pattern.extend(['[', char, ']']),
            _ => pattern.push(char),
        }
    }
    [format!("repository={pattern}")]
}

fn object_of(result: &Gathered, row: &[Value<'static>]) -> serde_json::Map<String, Json> {
    let value = |(value, unit): (&Value<'_>, Unit)| match (value, unit) {
        (Value::Integer(number), Unit::Flag) => Json::from(*number != 0),
        (Value::Integer(number), _) => Json::from(*number),
        (Value::Real(number), _) => Json::from(*number),
        (Value::Text(text), _) => Json::from(text.as_ref()),
        _ => Json::Null,
    };
    let columns = result.columns.iter().zip(row);
    columns.map(|(column, cell)| (column.name.clone(), value((cell, column.unit)))).collect()
}

fn notes(row: &Row, is_at_least: bool) -> Vec<String> {
    let at_least = if is_at_least { "at least " } else { "" };
    let bytes = |count: i64| format!("{at_least}{}", ui::bytes(count));
    let counted = |name: &str, one, many| {
        let count = u64::try_from(row.integer(name)).unwrap_or(0);
        if count == 0 { format!("no {one}") } else { ui::counted(&[(count, one, many)]) }
    };
    let untagged = row.integer("untagged_revision_count");
    let pushed = row.text("last_pushed_at").and_then(ui::time);
    let mut notes = vec![format!(
        "{} and {}, {untagged} of them untagged{}",
        counted("tag_count", "tag", "tags"),
        counted("revision_count", "revision", "revisions"),
        pushed.map_or(String::new(), |at| format!("; last pushed {at}")),
    )];
    let (exclusive, logical) = (row.integer("exclusive_bytes"), row.integer("logical_bytes"));
    notes.push(format!("Deleting the whole repository frees {}.", bytes(exclusive)));
    if row.integer("untagged_bytes") > 0 {
        notes.push(format!(
            "Its untagged revisions alone hold {}: regsql prune untagged-revisions",
            bytes(row.integer("untagged_bytes"))
        ));
    }
    match logical.saturating_sub(exclusive) {
        0 => notes.push("It shares nothing with another repository.".into()),
        shared => notes.push(format!("The other {} live on in:", bytes(shared))),
    }
    notes
}
