//! `--edit`: a person strikes rows in an editor before anything is planned.

use std::collections::HashSet;
use std::io::{Read as _, Seek as _, Write as _};
use std::process::Command;

use crate::commands::error::{Error, Result};
use crate::model::Name;
use crate::ui;

const HEAD: &str = "\
# What the rows name, one a line. A line that is deleted here, or begins with #, stays.
# Nothing is deleted yet: the plan comes next. An empty file ends here.
";

/// Opens the names in `$VISUAL` or `$EDITOR`, and gives those that are left.
///
/// # Errors
/// When the editor fails, or a line is none of the rows.
pub fn edit(names: Vec<Name>) -> Result<Vec<Name>> {
    if names.is_empty() {
        return Ok(names);
    }
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.trim().is_empty()))
        .unwrap_or_else(|| "vi".into());
    let line_of = |name: &Name| ui::visible(&name.text()).replace('\n', "\\n");
    let mut file = tempfile::Builder::new().prefix("regsql-").suffix(".txt").tempfile()?;
    file.write_all(HEAD.as_bytes())?;
    for name in &names {
        writeln!(file, "{}", line_of(name))?;
    }
    file.flush()?;
    // As git does: the variable may hold options.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file.path())
        .status()
        .map_err(|source| anyhow::Error::new(source).context(format!("cannot run `{editor}`")))?;
    if !status.success() {
        return Err(Error::new(format!("the editor `{editor}` failed, so nothing is planned"))
            .with_hint("EDITOR names the editor"));
    }
    let mut text = String::new();
    // An editor may have put a new file in the place of the old one.
    let mut edited = std::fs::File::open(file.path())?;
    edited.rewind()?;
    edited.read_to_string(&mut text)?;
    let left: HashSet<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let known: HashSet<String> = names.iter().map(line_of).collect();
    if let Some(line) = left.iter().find(|line| !known.contains(**line)) {
        return Err(Error::new(format!("`{line}` is none of the rows that were to be edited"))
            .with_hint("only delete lines; another row needs another query"));
    }
    Ok(names.into_iter().filter(|name| left.contains(line_of(name).as_str())).collect())
}
