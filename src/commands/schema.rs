//! `schema`: the views and what their columns mean.

use std::io::Write as _;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::Context;
use crate::commands::error::{Error, Outcome, Result};
use crate::commands::options::{OutputArgs, complete};
use crate::db::{self, View};
use crate::report::{Column, End, RowSink, Unit, Value, nearest};
use crate::ui::{self, Format, Frame};

/// Arguments of `schema`.
#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// The view; without it, all views
    #[arg(add = ArgValueCompleter::new(complete::views))]
    pub view: Option<String>,
    /// How rows go out.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Shows the views, or the columns of one.
pub fn run(context: &Context, args: &SchemaArgs) -> Result {
    let views = db::views();
    let format: Format = args.output.format;
    let chosen: Vec<&View> = match &args.view {
        None => views.iter().collect(),
        Some(name) => vec![find(&views, name)?],
    };
    let mut out = context.paged();
    // Markdown is read from top to bottom: a section for each view, as docs/schema.md has it.
    if format == Format::Markdown {
        out.write_all(markdown(&chosen).as_bytes())?;
        out.finish()?;
        return Ok(Outcome::Done);
    }
    let is_list = format == Format::Table && args.view.is_none();
    let frame = Frame {
        title: args.view.as_ref().map(|_| format!("{}: {}", chosen[0].name, chosen[0].meaning)),
        footer: if is_list {
            vec!["regsql schema VIEW lists its columns".into()]
        } else {
            Vec::new()
        },
        ..Frame::default()
    };
    {
        let mut sink = ui::sink(format, &mut out, frame, context.printer.look());
        if is_list {
            list_views(sink.as_mut(), &chosen)?;
        } else {
            list_columns(sink.as_mut(), &chosen, format)?;
        }
    }
    out.finish()?;
    Ok(Outcome::Done)
}

fn find<'a>(views: &'a [View], name: &str) -> Result<&'a View> {
    views.iter().find(|view| view.name == name).ok_or_else(|| {
        let error = Error::new(format!("there is no view `{name}`"));
        match nearest(name, views.iter().map(|view| view.name)) {
            Some(meant) => error.with_hint(format!("did you mean `{meant}`?")),
            None => error.with_hint("`regsql schema` lists the views"),
        }
    })
}

fn columns(names: &[&str]) -> Vec<Column> {
    names.iter().map(|name| Column { name: (*name).into(), unit: Unit::Text }).collect()
}

fn list_views(sink: &mut dyn RowSink, views: &[&View]) -> std::io::Result<()> {
    sink.begin(&columns(&["view", "meaning"]))?;
    for view in views {
        sink.row(&[Value::Text(view.name.into()), Value::Text(view.meaning.as_str().into())])?;
    }
    sink.end(End { rows: views.len() as u64, is_cut: false })
}

fn list_columns(sink: &mut dyn RowSink, views: &[&View], format: Format) -> std::io::Result<()> {
    // A machine gets the view with each column; under a heading that names it, it would be noise.
    let first = usize::from(format == Format::Table);
    let names = ["view", "column", "unit", "meaning"];
    sink.begin(&columns(&names[first..]))?;
    let mut rows = 0;
    for view in views {
        for column in &view.columns {
            let unit = Unit::of_column_named(column.name).name();
            let values = [view.name, column.name, unit, column.meaning];
            sink.row(
                &values[first..].iter().map(|text| Value::Text((*text).into())).collect::<Vec<_>>(),
            )?;
            rows += 1;
        }
    }
    sink.end(End { rows, is_cut: false })
}

/// A section for each view.
fn markdown(views: &[&View]) -> String {
    use std::fmt::Write as _;
    let mut page = String::new();
    for (index, view) in views.iter().enumerate() {
        if index > 0 {
            page.push('\n');
        }
        let _infallible = write!(page, "## {}\n\n{}\n\n", view.name, view.meaning);
        page.push_str("| column | unit | meaning |\n|---|---|---|\n");
        for column in &view.columns {
            let unit = Unit::of_column_named(column.name).name();
            let meaning = column.meaning.replace('|', "\\|");
            let _infallible = writeln!(page, "| `{}` | {unit} | {meaning} |", column.name);
        }
    }
    page
}
