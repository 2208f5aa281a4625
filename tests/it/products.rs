//! Storages that products fill through the real registry, each the way it does it, beside the tables or objects
//! in which it holds the references. The exports that docs/roots.md and docs/openshift.md tell people to make are
//! run, and what is pruned with them is compared with what the product knows.

mod databases;
mod evidence;
mod forms;
mod holder;
mod openshift;
mod postgres;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use crate::env::shown;
use crate::real::layout::Image;
use crate::real::registry::Registry;

/// Blobs on disk with their sizes.
pub fn blobs(root: &Path) -> BTreeMap<String, u64> {
    let below = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let top = root.join("docker/registry/v2/blobs/sha256");
    let blobs = below(&top).flat_map(|prefix| below(&prefix.path()));
    let sizes = blobs.filter_map(|blob| {
        let size = blob.path().join("data").metadata().ok()?.len();
        Some((format!("sha256:{}", blob.file_name().into_string().unwrap()), size))
    });
    sizes.collect()
}

/// Runs regsql beside the registry's storage.
pub fn regsql(registry: &Registry, arguments: &[&str]) -> Output {
    crate::env::regsql_in(registry.beside(), arguments).output().unwrap()
}

/// The exit code and all that was said.
pub fn run(registry: &Registry, arguments: &[&str]) -> (i32, String) {
    let output = regsql(registry, arguments);
    (output.status.code().unwrap(), shown(&output))
}

/// Standard output of a run that must end with 0.
#[track_caller]
pub fn stdout(registry: &Registry, arguments: &[&str]) -> String {
    let output = regsql(registry, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Live images of which a blob is missing on disk.
pub fn broken<'a>(registry: &Registry, live: impl IntoIterator<Item = &'a Image>) -> usize {
    let there = blobs(&registry.root());
    let is_broken =
        |image: &&Image| !image.all_digests().iter().all(|blob| there.contains_key(blob));
    live.into_iter().filter(is_broken).count()
}

/// The lines of all blocks of a page that are fenced as `language`, below a heading.
pub fn block(page: &str, heading: &str, language: &str) -> String {
    let (_, section) = page.split_once(&format!("\n{heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let fence = format!("```{language}\n");
    let blocks = section.split(&fence).skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}
