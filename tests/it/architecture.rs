//! The sources keep to ARCHITECTURE.md: who uses whom, who touches files, where SQL stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// A file of `src`.
struct Source {
    /// Below `src`, with `/`.
    path: String,
    /// The first part of the path: the module it is of.
    module: String,
    text: String,
}

impl Source {
    /// Lines of code with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The same without unit tests, which stand at the end of a file.
    fn code_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code().take_while(|(_, line)| *line != "#[cfg(test)]")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files with this extension in a directory of the repository.
fn files_below(directory: &str, extension: &str) -> Vec<PathBuf> {
    let all = WalkDir::new(root().join(directory)).sort_by_file_name().into_iter();
    let paths = all.map(|entry| entry.unwrap().into_path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for path in files_below("src", "rs") {
        let below = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap();
        let module = below.split('/').next().unwrap().trim_end_matches(".rs");
        sources.push(Source {
            path: below.to_owned(),
            module: module.to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        });
    }
    // Unit tests in a directory of their own may use whatever they test against.
    sources.retain(|source| source.module != "lib" && !source.path.contains("/tests/"));
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

/// The rows of the table with this heading line in ARCHITECTURE.md, cell by cell.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = page.lines().skip_while(|line| *line != heading).skip(2);
    let rows: Vec<_> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table `{heading}`");
    rows
}

/// Words in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Each module, and what it may use, in the order of ARCHITECTURE.md.
fn allowed() -> Vec<(String, BTreeSet<String>)> {
    table("| module | may use |")
        .iter()
        .map(|row| (quoted(&row[0]).remove(0), quoted(&row[1]).into_iter().collect()))
        .collect()
}

/// What follows each `prefix` in a line, up to the end of the name.
fn names_after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let rest = line.split(prefix).skip(1);
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    rest.map(|rest| &rest[..rest.find(|char| !is_name(char)).unwrap_or(rest.len())]).collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let allowed: BTreeMap<_, _> = allowed().into_iter().collect();
    let mut wrong = Vec::new();
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    for source in sources() {
        let Some(may_use) = allowed.get(&source.module) else {
            wrong.push(format!("src/{}: its module is not in the table", source.path));
            continue;
        };
        let prefix = if source.module == "main" { "regsql::" } else { "crate::" };
        for (number, line) in source.code() {
            let names = names_after(line, prefix);
            for name in names.into_iter().filter(|name| *name != source.module) {
                used.insert((source.module.clone(), name.to_owned()));
                if !may_use.contains(name) {
                    let path = &source.path;
                    let module = &source.module;
                    wrong.push(format!("src/{path}:{number}: `{module}` may not use `{name}`"));
                }
            }
        }
    }
    for (module, may_use) in &allowed {
        for name in may_use.iter().filter(|name| !used.contains(&(module.clone(), (*name).clone())))
        {
            wrong.push(format!("`{module}` does not use `{name}`: strike it from the table"));
        }
    }
    assert!(wrong.is_empty(), "see ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_ring() {
    let mut above = BTreeSet::new();
    for (module, may_use) in allowed() {
        for name in may_use {
            assert!(above.contains(&name), "`{module}` uses `{name}`, which is not above it");
        }
        above.insert(module);
    }
}

#[test]
fn every_module_is_on_the_map() {
    let modules: BTreeSet<String> = sources().into_iter().map(|source| source.module).collect();
    let on_map: BTreeSet<String> = table("| module | does | must always hold |")
        .iter()
        .map(|row| {
            assert!(row.iter().all(|cell| !cell.is_empty()), "an empty cell: {row:?}");
            quoted(&row[0]).remove(0)
        })
        .collect();
    let in_table: BTreeSet<String> = allowed().into_iter().map(|(module, _)| module).collect();
    assert_eq!(on_map, modules);
    assert_eq!(in_table, modules);
}

/// Who may open files, and why.
const MAY_TOUCH_FILES: &[(&str, &str)] = &[
    ("storage/", "the seam to a registry's bytes"),
    ("roots/input.rs", "reads exports of roots"),
    ("sample/", "writes sample registries"),
    ("db/stamp.rs", "tells whether the database is another one"),
    ("export/file.rs", "puts a new file in the place of an old one"),
    ("lake/staging.rs", "writes the files of an export aside"),
    ("lake/directory.rs", "puts them where engines read them"),
    ("db/lock.rs", "the lock beside the database, and what a stopped scan leaves there"),
    ("db/publish.rs", "puts the new database in the place of the old one"),
    ("db/references.rs", "half of the new database's rows, in a file beside it"),
    ("report/catalog.rs", "reads a person's own reports"),
    ("commands/prune.rs", "reads plans, protect lists and the query of `--file`"),
    ("commands/prune/edit.rs", "gives rows to an editor"),
    ("commands/save.rs", "writes a plan"),
    ("commands/serve.rs", "reads the token of notifications"),
    ("pulls/import.rs", "reads logs"),
    ("nightly/", "its configuration, record and log, and whether a database has room"),
    ("commands/nightly.rs", "copies the database for a dry run"),
    ("commands/sql.rs", "reads the query of `--file`"),
    ("commands/storage.rs", "a database that nobody keeps"),
    ("commands/options/registry.rs", "reads a password, certificates and docker's logins"),
    ("commands/man.rs", "makes the directory of the man pages"),
    ("ui/pager.rs", "asks a terminal for its size"),
];

#[test]
fn only_storage_reads_a_registry() {
    let touches = |line: &str| {
        ["std::fs", "fs::", "rustix", "tempfile", ".read_dir(", ".metadata("]
            .iter()
            .any(|word| line.contains(word))
    };
    allows_exactly(MAY_TOUCH_FILES, "touches files", touches);
}

/// Who may remove or rename files, and why.
const MAY_REMOVE: &[(&str, &str)] = &[
    ("storage/", "the seam: how it is done"),
    ("trash/", "every deletion of a registry's files"),
    ("prune/age.rs", "the empty file that shows the clock of the storage"),
    ("prune/executor.rs", "directories with nothing in them"),
    ("db/lock.rs", "its lock, and the new files of a scan that is stopped"),
    ("db/publish.rs", "the new database, in the place of the old one"),
    ("db/references.rs", "its own file, whose rows are taken into the new database"),
    ("lake/staging.rs", "its own files, which get their names when all are whole"),
    ("lake/bucket.rs", "its own objects, which a killed export left"),
    ("lake/directory.rs", "its own files, into the lake, and what a killed export left of them"),
];

#[test]
fn only_the_trash_removes_what_a_registry_wrote() {
    let removes = |line: &str| {
        [
            ".remove_file(",
            ".remove_directory(",
            ".rename_new(",
            "fs::remove_",
            "fs::rename",
            "unlinkat",
            ".delete_all(",
            "bucket.delete(",
            "bucket().delete(",
            ".abort_multipart_upload(",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    allows_exactly(MAY_REMOVE, "removes files", removes);
}

/// The module that a file is, as a path below the crate: `ui::printer` as `["ui", "printer"]`.
fn module_path(path: &str) -> Vec<String> {
    let parts = path.trim_end_matches(".rs").split('/').filter(|part| *part != "mod");
    parts.map(str::to_owned).collect()
}

/// The paths that a `use` names, each whole: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn flattened(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        return vec![tree.split(" as ").next().unwrap().trim().to_owned()];
    };
    let inside = &tree[open + 1..tree.rfind('}').unwrap()];
    let mut depth = 0;
    let parts = inside.split(|char| {
        depth += i32::from(char == '{') - i32::from(char == '}');
        char == ',' && depth == 0
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(|part| flattened(&format!("{}{part}", &tree[..open]))).collect()
}

/// The paths to other files that a file names, and those among them that it gives out.
fn named_paths(source: &Source) -> (Vec<String>, Vec<String>) {
    let code: Vec<&str> = source.code_without_tests().map(|(_, line)| line).collect();
    let code = code.join("\n");
    let (mut named, mut given_out) = (Vec::new(), Vec::new());
    for statement in code.split_inclusive(';') {
        let is_use = |line: &str| {
            let line = line.trim_start();
            line.starts_with("use ") || line.starts_with("pub") && line.contains(" use ")
        };
        let at = statement.lines().position(is_use);
        let words: Vec<&str> = statement.lines().skip(at.unwrap_or(usize::MAX)).collect();
        let words = words.join(" ");
        let (before, tree) = words.split_once("use ").unwrap_or_default();
        let paths = flattened(tree.trim_end_matches(';'));
        if before.trim_start().starts_with("pub") {
            given_out.extend(paths.clone());
        }
        named.extend(paths);
    }
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let is_path = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
            let path = &code[at..];
            let path = &path[..path.find(|char| !is_path(char)).unwrap_or(path.len())];
            named.push(path.trim_end_matches(':').to_owned());
        }
    }
    (named, given_out)
}

/// Each file with those that it uses, above and below it left out: a module and its parts are one thing. A name that
/// a module gives out counts as the file's that has it.
fn uses_of_files() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let sources = sources();
    let files: BTreeSet<Vec<String>> = sources.iter().map(|file| module_path(&file.path)).collect();
    let absolute = |from: &[String], path: &str| -> Vec<String> {
        let mut found = from.to_vec();
        for (at, part) in path.split("::").enumerate() {
            match part {
                "crate" => found.clear(),
                "super" => drop(found.pop()),
                "self" => {}
                _ if at == 0 && !files.contains(&[from, &[part.to_owned()]].concat()) => {
                    return Vec::new();
                }
                _ => found.push(part.to_owned()),
            }
        }
        found
    };
    let named: Vec<_> =
        sources.iter().map(|file| (module_path(&file.path), named_paths(file))).collect();
    let mut given_out: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for (from, (_, paths)) in &named {
        for path in paths {
            let target = absolute(from, path);
            if let Some(name) = target.last() {
                given_out.insert([&from[..], std::slice::from_ref(name)].concat(), target);
            }
        }
    }
    let file_of = |mut path: Vec<String>| {
        for _ in 0..8 {
            match (1..=path.len()).rev().find_map(|end| given_out.get(&path[..end])) {
                Some(target) if *target != path => path.clone_from(target),
                _ => break,
            }
        }
        while !path.is_empty() && !files.contains(&path) {
            path.pop();
        }
        path
    };
    let mut uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (from, (paths, _)) in named {
        let targets = paths.iter().map(|path| file_of(absolute(&from, path)));
        let others = targets.filter(|to| !to.is_empty());
        let others = others.filter(|to| !to.starts_with(&from) && !from.starts_with(to));
        let others = others.collect();
        uses.insert(from, others);
    }
    uses
}

/// Files that need each other cannot be read one after the other.
#[test]
fn no_files_use_each_other_in_a_circle() {
    let uses = uses_of_files();
    let arrows: usize = uses.values().map(BTreeSet::len).sum();
    assert!(arrows > 300, "only {arrows} uses were found");
    let mut circles = BTreeSet::new();
    for start in uses.keys() {
        // The shortest way from a file back to it.
        let mut ways: Vec<Vec<&Vec<String>>> = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while let Some(way) = (!ways.is_empty()).then(|| ways.remove(0)) {
            for next in uses.get(*way.last().unwrap()).into_iter().flatten() {
                if next == start {
                    let mut files: Vec<_> = way.iter().map(|file| file.join("::")).collect();
                    files.sort();
                    circles.insert(files.join(", "));
                    ways.clear();
                    break;
                }
                if seen.insert(next) {
                    ways.push([&way[..], &[next]].concat());
                }
            }
        }
    }
    let circles: Vec<_> = circles.into_iter().collect();
    assert!(circles.is_empty(), "these use each other:\n{}", circles.join("\n"));
}

/// A module that gave out what is another one's would open a way around the table.
#[test]
fn no_module_gives_out_what_is_another_ones() {
    for source in sources() {
        for (number, line) in source.code() {
            let names = names_after(line, "pub use crate::");
            let other = names.into_iter().find(|name| *name != source.module);
            assert_eq!(other, None, "src/{}:{number}: {}", source.path, line.trim());
        }
    }
}

/// Where SQL may stand in Rust, and why.
const MAY_HOLD_SQL: &[(&str, &str)] = &[
    ("db/", "fills and opens the database: one line a statement"),
    ("lake/rows.rs", "reads what numbers stand for: one line a statement"),
    ("lake/table.rs", "names the columns of a view"),
    ("lake/mod.rs", "reads which scan it is"),
    ("lake/engines.rs", "writes statements for other engines"),
    ("why/", "looks single facts up: one line a statement"),
    ("pulls/store.rs", "takes pulls in: one line a statement"),
    ("report/query_error.rs", "hints that show a query"),
    ("report/docs.rs", "an example for those who write a report"),
    ("commands/demo.rs", "a command to try next"),
    ("export/html/", "commands that give a figure again"),
];

fn holds_sql(line: &str) -> bool {
    ["SELECT ", "INSERT INTO ", "DELETE FROM ", "CREATE TABLE ", "CREATE VIEW ", "CREATE INDEX "]
        .iter()
        .any(|word| line.contains(word))
}

#[test]
fn sql_stands_in_sql_files() {
    allows_exactly(MAY_HOLD_SQL, "holds SQL", holds_sql);
}

/// Longer than a line is a `.sql` file's; these are not.
const MAY_HOLD_LONG_SQL: &[(&str, &str)] = &[
    ("report/docs.rs", "an example for those who write a report"),
    ("lake/engines.rs", "statements for other engines, put together of a table's columns"),
];

#[test]
fn sql_of_several_lines_stands_in_sql_files() {
    // A statement that is not closed on its line, or was opened on one before.
    let is_long = |line: &str| {
        holds_sql(line) && !line.replace("\\\"", "").matches('"').count().is_multiple_of(2)
            || holds_sql(line) && !line.contains('"')
    };
    allows_exactly(MAY_HOLD_LONG_SQL, "holds SQL of several lines", is_long);
}

/// Fails for each line outside the `list` that `is_met`, and for each entry that nothing needs.
fn allows_exactly(list: &[(&str, &str)], what: &str, is_met: impl Fn(&str) -> bool) {
    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    for source in sources() {
        for (number, line) in source.code_without_tests().filter(|(_, line)| is_met(line)) {
            match list.iter().find(|(path, _)| source.path.starts_with(path)) {
                Some((path, _)) => drop(needed.insert(*path)),
                None => wrong.push(format!("src/{}:{number} {what}: {}", source.path, line.trim())),
            }
        }
    }
    let spare = list.iter().filter(|(path, _)| !needed.contains(path));
    wrong.extend(spare.map(|(path, _)| format!("{path} no longer {what}: strike it")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_printer_prints() {
    for source in sources() {
        for (number, line) in source.code() {
            let prints = ["println!", "print!(", "dbg!("].iter().any(|word| line.contains(word));
            assert!(!prints, "src/{}:{number} prints past ui::Printer", source.path);
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for source in sources() {
        let count = source.text.lines().count();
        assert!(count <= 700, "src/{} has {count} lines: split it", source.path);
    }
}

#[test]
fn every_report_is_in_the_docs() {
    let page = fs::read_to_string(root().join("docs/reports.md")).unwrap();
    for entry in fs::read_dir(root().join("queries")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            page.lines().any(|line| line == format!("## {name}")),
            "docs/reports.md has no heading for {name}"
        );
    }
}

#[test]
fn every_fleet_query_is_in_the_docs() {
    let page = fs::read_to_string(root().join("docs/lake.md")).unwrap();
    let files = files_below("queries/fleet", "sql");
    assert!(files.len() >= 9);
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(page.contains(&format!("| `{name}` |")), "docs/lake.md has no row for {name}");
    }
}

#[test]
fn tests_run_programs_in_one_environment() {
    let mut found = files_below("tests/it", "rs");
    found.retain(|path| {
        let is_judge = path.ends_with("env.rs") || path.ends_with("architecture.rs");
        let text = fs::read_to_string(path).unwrap();
        let marks = ["env_clear", "CARGO_BIN_EXE", "var(\"PATH", "var_os(\"PATH"];
        !is_judge && marks.iter().any(|mark| text.contains(mark))
    });
    assert_eq!(found, Vec::<PathBuf>::new(), "run programs through tests/it/env.rs");
}
