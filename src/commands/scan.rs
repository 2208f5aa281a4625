//! `scan`: from storage to snapshot.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::{Context, end_on_interrupt};
use crate::commands::error::{Error, Outcome, Result};
use crate::model::authority::Authority;
use crate::scan::DeepLook;
use crate::snapshot::{self, Reuse, RootsChoice, ScanOptions, Summary};
use crate::ui;

/// Files and directories read at once when nothing else is asked for.
pub const IO_THREADS: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Arguments of `scan`.
#[derive(Args, Debug)]
pub struct ScanArgs {
    /// The registry's root directory, its docker/registry/v2, its config.yml, or a bucket's address: s3://,
    /// gs://, az://
    pub storage: PathBuf,
    /// Files and directories read at once (more helps on network storage); in a bucket eight times as many
    #[arg(long, value_name = "N", default_value_t = IO_THREADS)]
    pub io_threads: NonZeroUsize,
    /// Look for leftovers beside each blob and link, and read every layer link; auto does so up to
    /// 10,000 blobs, as it makes a scan twice as long
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub deep: DeepLook,
    /// Read everything again, even when nothing seems changed since the last scan
    #[arg(long)]
    pub full: bool,
    /// Let the scan of another storage take the place of the one in the database, with its history
    #[arg(long)]
    pub replace: bool,
    /// Call it a finding, at which prune refuses, when more than this share of all tags is missing
    /// since the last scan; kept for later scans [default: 50]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_vanished_percent: Option<u8>,
    /// Keep what this file names, with all that leads to: an export of who else holds references
    /// (CSV, JSON of kubectl or oc, or words), - for standard input; may be repeated. Later scans read
    /// the same files again
    #[arg(long, value_name = "FILE")]
    pub roots: Vec<PathBuf>,
    /// Read the inventory that the provider made of the bucket instead of listing it: S3's manifest.json, Azure's
    /// RULE-manifest.json or Google's ...manifest.json, by path or address. For reports alone: prune lists again
    #[arg(long, value_name = "MANIFEST")]
    pub inventory: Option<String>,
    /// What keeps things: the storage alone (forgets roots), roots alone, so that tags on disk keep
    /// nothing, or both [default: both with roots]
    #[arg(long, value_name = "WHO", value_enum)]
    pub authority: Option<Authority>,
    /// Take roots that are older or have 20 % fewer rows than those of the last scan
    #[arg(long)]
    pub accept_roots: bool,
}

/// Scans a storage.
pub fn run(context: &Context, args: &ScanArgs) -> Result {
    if !args.roots.is_empty() && matches!(args.authority, Some(Authority::Storage)) {
        let error = Error::new("--authority storage keeps nothing that --roots names");
        return Err(error.with_hint("leave one of them out"));
    }
    let options = ScanOptions {
        storage: args.storage.clone(),
        database: context.db.clone(),
        io_threads: args.io_threads,
        deep: args.deep,
        reuse: if args.full { Reuse::Nothing } else { Reuse::DIRECTORIES },
        replaces: args.replace,
        max_vanished_percent: args.max_vanished_percent,
        roots: RootsChoice::Given {
            files: args.roots.clone(),
            authority: args.authority,
            is_fall_accepted: args.accept_roots,
        },
    };
    end_on_interrupt(context, "the scan was stopped; the database is as it was before");
    let progress = ui::Bar::new(&context.printer);
    let summary = match &args.inventory {
        Some(manifest) => snapshot::scan_inventory(&options, manifest, &progress)?,
        None => snapshot::scan(&options, &progress)?,
    };
    drop(progress);
    show(context, &summary);
    Ok(Outcome::Done)
}

/// What a person wants to know of a scan: what there is, what comes free, what is wrong.
pub fn show(context: &Context, summary: &Summary) {
    let printer = &context.printer;
    if let Some(unreadable) = &summary.unreadable {
        printer.warn(&format!("{unreadable}; what lies there is unknown"));
    }
    let total = |name: &str| summary.totals.get(name).copied().unwrap_or(0);
    let at_least = if summary.is_complete { "" } else { "at least " };
    let bytes = |name: &str| format!("{at_least}{}", ui::bytes(total(name)));
    printer.note(&format!(
        "{} in {} blobs, {}, {}, {}",
        bytes("blob_bytes"),
        total("blob_count"),
        counted(total("repository_count"), "repository", "repositories"),
        counted(total("tag_count"), "tag", "tags"),
        counted(total("revision_count"), "revision", "revisions"),
    ));
    if summary.has_other_authority() {
        printer.warn(
            "something outside of the storage seems to hold references to it, so nothing here is known \
             to be garbage: regsql report authority",
        );
    }
    let untagged = match total("untagged_revision_count") {
        0 => String::new(),
        count => format!(
            "; {} more by deleting {}",
            bytes("untagged_bytes"),
            counted(count, "untagged revision", "untagged revisions"),
        ),
    };
    printer.note(&format!(
        "{} in {}{untagged}",
        bytes("orphan_bytes"),
        counted(total("orphan_blob_count"), "orphan blob", "orphan blobs"),
    ));
    if let Some(noncurrent) = summary.bucket.as_ref().and_then(|facts| facts.noncurrent)
        && noncurrent.versions.count > 0
    {
        printer.note(&format!(
            "{} more in {} that the bucket keeps of what was overwritten or deleted",
            ui::bytes(i64::try_from(noncurrent.versions.size_bytes).unwrap_or(i64::MAX)),
            counted(noncurrent.versions.count as i64, "noncurrent version", "noncurrent versions"),
        ));
    }
    let [info, warning, error] = summary.findings;
    if info + warning + error > 0 {
        printer.note(&format!(
            "{}, {}, {} (regsql report problems)",
            counted(error as i64, "error", "errors"),
            counted(warning as i64, "warning", "warnings"),
            counted(info as i64, "note", "notes"),
        ));
    }
    if !summary.is_complete {
        printer.warn("part of the storage could not be read, so every figure is a minimum: regsql report problems");
    }
    if summary.has_lost_history {
        printer.warn("the old database was damaged: it was replaced, without its history");
    }
    if let Some(inventory) = summary.bucket.as_ref().and_then(|facts| facts.inventory.as_ref()) {
        printer.warn(&format!(
            "from an inventory of {}: names, sizes and times are of then, and prune lists again",
            ui::ago(seconds_since(inventory.made_ns)),
        ));
    }
    let took = ui::duration_ms(summary.duration.as_millis() as i64);
    let unchanged = if summary.is_unchanged { ", nothing has changed" } else { "" };
    printer.note(&format!(
        "scanned {} into {} in {took}{unchanged}",
        summary.root.display(),
        context.db.display(),
    ));
}

fn seconds_since(time_ns: i64) -> i64 {
    let now_ns = i64::try_from(super::now().as_nanosecond()).unwrap_or(i64::MAX);
    now_ns.saturating_sub(time_ns) / 1_000_000_000
}

fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
