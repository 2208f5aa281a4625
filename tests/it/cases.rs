//! What is found on disks in the wild: 45 cases from distribution's source, its issues and runs of
//! it. Each has a test named after its number, which damages a registry made in code, scans it with
//! the real program and asks the public views. A case with several shapes has several tests.

mod blobs;
mod codes;
mod depth;
pub mod fixture;
mod graph;
mod links;
mod manifests;
mod names;
mod repositories;
mod storage;
mod tags;
mod uploads;
mod vanished;

/// Every case keeps at least one test.
#[test]
fn no_case_is_forgotten() {
    let sources = [
        include_str!("cases/blobs.rs"),
        include_str!("cases/graph.rs"),
        include_str!("cases/links.rs"),
        include_str!("cases/manifests.rs"),
        include_str!("cases/names.rs"),
        include_str!("cases/repositories.rs"),
        include_str!("cases/storage.rs"),
        include_str!("cases/tags.rs"),
        include_str!("cases/uploads.rs"),
    ];
    let missing: Vec<u32> = (1..=45)
        .filter(|case| {
            let name = format!("#[test]\nfn case_{case:02}_");
            !sources.iter().any(|source| source.contains(&name))
        })
        .collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}
