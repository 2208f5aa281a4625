//! Writes a registry of a given size for benchmarks: `cargo run --release --example generate -- --preset 165k DIR`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use regsql::sample::generate::{Size, generate};

/// Writes a registry of a given size: real manifests and configs, sparse layers.
#[derive(Parser)]
struct Args {
    /// The directory to write into; made when missing.
    directory: PathBuf,
    /// The size to start from.
    #[arg(long, default_value = "165k", value_parser = Size::PRESETS)]
    preset: String,
    /// Another number of repositories.
    #[arg(long)]
    repositories: Option<u64>,
    /// Another number of blobs.
    #[arg(long)]
    blobs: Option<u64>,
    /// Another number of revisions.
    #[arg(long)]
    revisions: Option<u64>,
    /// Another number of tags.
    #[arg(long)]
    tags: Option<u64>,
    /// Another registry of the same size.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut size = Size::preset(&args.preset).context("no such preset")?;
    size.repositories = args.repositories.unwrap_or(size.repositories);
    size.blobs = args.blobs.unwrap_or(size.blobs);
    size.revisions = args.revisions.unwrap_or(size.revisions);
    size.tags = args.tags.unwrap_or(size.tags);
    size.seed = args.seed.unwrap_or(size.seed);
    let counts = generate(&args.directory, &size)
        .with_context(|| format!("cannot write {}", args.directory.display()))?;
    let mut out = io::stdout().lock();
    for (name, value) in [
        ("repositories", counts.repositories),
        ("blobs", counts.blobs),
        ("orphans", counts.orphans),
        ("revisions", counts.revisions),
        ("tags", counts.tags),
        ("layer_links", counts.layer_links),
        ("references", counts.references),
        ("most_tags", counts.most_tags),
        ("most_revisions", counts.most_revisions),
    ] {
        writeln!(out, "{name}\t{value}")?;
    }
    Ok(())
}
