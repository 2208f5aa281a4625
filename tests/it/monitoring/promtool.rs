//! `promtool`, from Debian's package `prometheus`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::real::registry::missing;

/// What Prometheus's own linter says of the names that are kept from the older exporter.
const KEPT_NAMES: &str = "\
repository_revisions_total non-counter metrics should not have \"_total\" suffix
repository_tag_layers_total non-counter metrics should not have \"_total\" suffix
repository_tags_total non-counter metrics should not have \"_total\" suffix
";

/// Runs `promtool check metrics`, which parses `text` and lints its names.
pub fn check_metrics(text: &str) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| missing("prometheus", &error));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let not_kept: Vec<&str> =
        said.lines().filter(|line| !KEPT_NAMES.lines().any(|kept| kept == *line)).collect();
    assert_eq!(not_kept, Vec::<&str>::new(), "promtool on:\n{text}");
    // 3: lint and nothing worse.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{:?}", output.status);
}

/// Runs another `promtool` command in the package's directory.
pub fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap_or_else(|error| missing("prometheus", &error));
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&text));
}

/// `name{labels}` and value of each series.
pub fn series(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The names of the families.
pub fn names(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|rest| rest.split(' ').next().unwrap().to_owned())
        .collect()
}
