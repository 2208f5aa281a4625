//! `demo`: a small sample registry to look at.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, scan};
use crate::commands::error::{Error, Outcome, Result};
use crate::sample::demo::write_demo;
use crate::scan::DeepLook;
use crate::snapshot::{self, Reuse, RootsChoice, ScanOptions};
use crate::ui;

/// Arguments of `demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Where to make it: a directory that is missing or empty. The database is DIR/registry.db, whatever
    /// --db says
    #[arg(default_value = "regsql-demo")]
    pub dir: PathBuf,
}

/// Makes the sample registry and looks at it.
pub fn run(context: &Context, args: &DemoArgs) -> Result {
    let printer = &context.printer;
    let storage = args.dir.join("registry");
    let database = args.dir.join("registry.db");
    match write_demo(&storage, super::now().into()) {
        // The demo is there from last time: look at it again.
        Err(error)
            if error.kind() == std::io::ErrorKind::DirectoryNotEmpty && is_demo(&storage) => {}
        Err(error) => {
            let shown = args.dir.display().to_string();
            return Err(Error::from(
                anyhow::Error::new(error).context(format!("cannot make the demo in `{shown}`")),
            )
            .with_hint("name another directory: `regsql demo DIR`"));
        }
        Ok(()) => printer.note(&format!(
            "made a sample registry in {} (sparse files: it needs almost no space)",
            storage.display()
        )),
    }
    let options = ScanOptions {
        storage: storage.clone(),
        database: database.clone(),
        io_threads: NonZeroUsize::MIN.saturating_add(7),
        deep: DeepLook::Auto,
        reuse: Reuse::Nothing,
        replaces: false,
        max_vanished_percent: None,
        roots: RootsChoice::AsBefore(None),
    };
    if context.db != Path::new("registry.db") && context.db != database {
        printer.note(&format!(
            "the demo has its own database, {}: --db is not used",
            database.display()
        ));
    }
    let here = Context { db: database.clone(), printer: printer.clone() };
    printer.note(&format!("$ regsql --db {} scan {}", database.display(), storage.display()));
    scan::show(&here, &snapshot::scan(&options, &ui::Bar::new(printer))?);

    for name in ["overview", "rare-layers"] {
        printer.note("");
        printer.note(&format!("$ regsql --db {} report {name}", database.display()));
        super::show_built_in(&here, name, &[], ui::Format::Table)?;
    }
    let db = database.display();
    printer.note("");
    printer.note("Try next:");
    for (command, meaning) in [
        ("report --list".to_owned(), "all reports"),
        ("report broken-images".to_owned(), "what cannot be pulled, and why"),
        ("report keep-latest -p keep=2".to_owned(), "which tags a retention rule would drop"),
        (
            "prune untagged-revisions --garbage --min-age 0s".to_owned(),
            "what could go, and what that frees",
        ),
        ("sql 'SELECT * FROM tags ORDER BY exclusive_bytes DESC'".to_owned(), "your own question"),
        ("html -o registry.html".to_owned(), "a page with pictures"),
        ("schema".to_owned(), "the views and their columns"),
    ] {
        printer.note(&format!("  regsql --db {db} {command}"));
        printer.note(&format!("      {meaning}"));
    }
    Ok(Outcome::Done)
}

fn is_demo(storage: &Path) -> bool {
    storage.join("docker/registry/v2/repositories/shop").is_dir()
}
