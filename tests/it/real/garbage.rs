//! `docker-registry garbage-collect`, and what it says that it would delete.

use std::collections::BTreeSet;
use std::process::Command;

use super::registry::{Registry, missing};

/// What the collector calls eligible for deletion.
#[derive(Debug, PartialEq, Eq)]
pub struct Eligible {
    /// Repository and digest of revisions; only with `-m`.
    pub manifests: BTreeSet<(String, String)>,
    pub blobs: BTreeSet<String>,
}

/// Asks without deleting.
pub fn dry_run(registry: &Registry, options: &[&str]) -> Eligible {
    parse(&run(registry, &[&["--dry-run"], options].concat()))
}

/// Deletes. The registry ought to be stopped.
pub fn collect(registry: &Registry, options: &[&str]) -> Eligible {
    parse(&run(registry, options))
}

fn run(registry: &Registry, options: &[&str]) -> String {
    let output = Command::new("docker-registry")
        .arg("garbage-collect")
        .args(options)
        .arg(registry.config())
        .output()
        .unwrap_or_else(|error| missing("docker-registry", &error));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "garbage-collect {options:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Each repository begins with its bare name; `NAME: marking ..` and `manifest eligible ..` follow.
fn parse(text: &str) -> Eligible {
    let mut repository = "";
    let mut eligible = Eligible { manifests: BTreeSet::new(), blobs: BTreeSet::new() };
    for line in text.lines() {
        if let Some(digest) = line.strip_prefix("manifest eligible for deletion: ") {
            eligible.manifests.insert((repository.to_owned(), digest.to_owned()));
        } else if let Some(digest) = line.strip_prefix("blob eligible for deletion: ") {
            eligible.blobs.insert(digest.to_owned());
        } else if !line.is_empty() && !line.contains(' ') {
            repository = line;
        }
    }
    eligible
}
