//! The gauges of a snapshot.
//!
//! The four without a prefix are those of the docker-registry-exporter, with its names, labels and
//! meaning, so that dashboards made for it go on working. Their `_total` is against today's custom,
//! which keeps it for counters.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use super::error::ExportError;
use super::reports;
use super::text::Family;
use crate::db::Guard;
use crate::model::Code;
use crate::report::{Catalog, ScanInfo};

/// How many series a kind of thing may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesLimit {
    /// One for each.
    All,
    /// None.
    None,
    /// Those of the largest only, by logical bytes.
    Top(u32),
}

impl SeriesLimit {
    /// As SQLite's `LIMIT` has it.
    fn rows(self) -> i64 {
        match self {
            Self::All => -1,
            Self::None => 0,
            Self::Top(count) => i64::from(count),
        }
    }
}

/// How much is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsOptions {
    /// Tags that have series of their own.
    pub per_tag: SeriesLimit,
    /// Repositories that have series of their own.
    pub per_repository: SeriesLimit,
}

/// A gauge, the name of its figure in `total`, what it means.
const TOTALS: &[(&str, &str, &str)] = &[
    ("regsql_repositories", "repository_count", "Repositories on disk."),
    ("regsql_tags", "tag_count", "Tags."),
    ("regsql_revisions", "revision_count", "Manifests linked in a repository."),
    ("regsql_untagged_revisions", "untagged_revision_count", "Revisions that no tag leads to."),
    ("regsql_untagged_bytes", "untagged_bytes", "Freed by deleting all untagged revisions."),
    ("regsql_orphan_blobs", "orphan_blob_count", "Blobs that nothing reaches."),
    ("regsql_orphan_bytes", "orphan_bytes", "Bytes of blobs that nothing reaches."),
    ("regsql_garbage_bytes", "garbage_bytes", "Freed by deleting orphan blobs and stale uploads."),
    (
        "regsql_reclaimable_bytes",
        "reclaimable_bytes",
        "Freed without dropping a tag: orphan blobs, stale uploads, untagged revisions.",
    ),
    (
        "regsql_reclaimable_now_bytes",
        "reclaimable_now_bytes",
        "Of those, what is old enough to go now (24 h; uploads 7 days).",
    ),
    ("regsql_layer_links", "layer_link_count", "Links from a repository to a blob."),
    ("regsql_dangling_layer_links", "dangling_link_count", "Layer links whose blob is gone."),
    ("regsql_unneeded_layer_links", "unneeded_link_count", "Layer links that no image needs."),
    ("regsql_uploads", "upload_count", "Uploads begun and not finished, of any age."),
    ("regsql_upload_bytes", "upload_bytes", "Bytes of uploads begun and not finished."),
    ("regsql_ghost_repositories", "ghost_repository_count", "Repositories with nothing left."),
    ("regsql_broken_tags", "broken_tag_count", "Tags that cannot be pulled whole."),
    (
        "regsql_authority_suspected",
        "authority_suspected",
        "1: something outside of the storage seems to hold references, so garbage is not known.",
    ),
    (
        "regsql_unknown_tags",
        "unknown_tag_count",
        "Tags of which a part could not be read, so that it is not known whether they are whole.",
    ),
    (
        "regsql_unreadable_directories",
        "unreadable_directory_count",
        "Directories of the storage that could not be read.",
    ),
    (
        "regsql_unreadable_places",
        "unreadable_place_count",
        "Directories, files and symbolic links of the storage that could not be read.",
    ),
    ("regsql_trash_runs", "trash_run_count", "Deletions whose things lie in the trash."),
    (
        "regsql_trash_unfinished_runs",
        "trash_unfinished_run_count",
        "Of those, the ones that were stopped before their end.",
    ),
    ("regsql_trash_bytes", "trash_bytes", "Freed by regsql trash purge."),
    (
        "regsql_last_prune_timestamp_seconds",
        "last_prune_finished_seconds",
        "When the last deletion ended or failed, in seconds since 1970; 0 when there was none.",
    ),
    (
        "regsql_last_prune_complete",
        "last_prune_is_complete",
        "1: the last deletion came to its end.",
    ),
    (
        "regsql_last_prune_exit_code",
        "last_prune_exit_code",
        "Exit code of the last regsql prune --delete: 0 done, 1 something stays, 2 failed, 130 stopped.",
    ),
    ("regsql_last_prune_bytes", "last_prune_bytes", "What the last deletion took away."),
    (
        "regsql_last_prune_skipped",
        "last_prune_skipped_count",
        "What the last deletion was asked for and left.",
    ),
];

/// The kinds of blobs, with the names of their figures in `total`.
const KINDS: &[(&str, &str, &str)] = &[
    ("layer", "layer_count", "layer_bytes"),
    ("config", "config_count", "config_bytes"),
    ("manifest", "manifest_count", "manifest_bytes"),
    ("index", "index_count", "index_bytes"),
    ("unknown", "unknown_count", "unknown_bytes"),
];

/// All gauges of the snapshot in `connection`, in Prometheus's text format.
pub fn render_metrics(
    connection: &Connection,
    guard: &Guard,
    catalog: &Catalog,
    options: &MetricsOptions,
) -> Result<String, ExportError> {
    let mut families = Vec::new();
    families.push(
        Family::gauge("regsql_build_info", "The regsql that gives these metrics; always 1.")
            .with(&[("version", env!("CARGO_PKG_VERSION"))], 1),
    );
    scan(connection, &mut families)?;
    let totals = totals(connection, &mut families)?;
    problems(connection, &mut families)?;
    let total = |name: &str| totals.get(name).copied().unwrap_or(0);
    let exported = repositories(connection, options.per_repository, &mut families)?;
    families.push(
        Family::gauge(
            "regsql_repositories_not_exported",
            "Repositories without series of their own, because of --per-repository.",
        )
        .with(&[], total("repository_count").saturating_sub(exported)),
    );
    let exported = tags(connection, options.per_tag, &mut families)?;
    families.push(
        Family::gauge(
            "regsql_tags_not_exported",
            "Tags without series of their own, because of --per-tag or an unreadable manifest.",
        )
        .with(&[], total("tag_count").saturating_sub(exported)),
    );
    reports::families(connection, guard, catalog, &mut families)?;

    let mut text = String::new();
    for family in families {
        family.finish(&mut text);
    }
    Ok(text)
}

fn scan(connection: &Connection, families: &mut Vec<Family>) -> Result<(), ExportError> {
    if let Some(scan) = ScanInfo::read(connection)? {
        families.extend([
            Family::gauge(
                "regsql_last_scan_timestamp_seconds",
                "When the snapshot was published, or its inventory was made, in seconds since 1970.",
            )
            .with(&[], scan.inventory_ns.unwrap_or(scan.finished_ns) as f64 / 1e9),
            Family::gauge("regsql_scan_duration_seconds", "How long the scan behind it took.")
                .with(&[], scan.duration_ms as f64 / 1e3),
            Family::gauge(
                "regsql_scan_complete",
                "1: everything was read; 0: something could not be, so figures are \"at least\".",
            )
            .with(&[], i64::from(scan.is_complete)),
        ]);
    }
    let sql = include_str!("sql/disk.sql");
    let disk: Option<[Option<i64>; 3]> = connection
        .query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
        .optional()?;
    let [size, used, free] = disk.unwrap_or_default();
    let gauges = [
        ("regsql_disk_bytes", "Size of the file system that holds the blobs.", size),
        ("regsql_disk_used_bytes", "What was in use of it at the scan, by whatever.", used),
        (
            "regsql_disk_free_bytes",
            "What was free of it at the scan, for users other than root.",
            free,
        ),
    ];
    for (name, help, value) in gauges {
        let mut family = Family::gauge(name, help);
        if let Some(value) = value {
            family.add(&[], value);
        }
        families.push(family);
    }
    let mut used = Family::gauge(
        "regsql_disk_use_bytes",
        "Blocks that the registry takes of its disk, by what they hold.",
    );
    let mut parts = connection.prepare(include_str!("sql/disk_use.sql"))?;
    let mut rows = parts.query([])?;
    while let Some(row) = rows.next()? {
        let (what, bytes): (String, i64) = (row.get(0)?, row.get(1)?);
        used.add(&[("what", &what)], bytes);
    }
    families.push(used);
    Ok(())
}

fn totals(
    connection: &Connection,
    families: &mut Vec<Family>,
) -> Result<BTreeMap<String, i64>, ExportError> {
    let totals: BTreeMap<String, i64> = connection
        .prepare(include_str!("sql/totals.sql"))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut blobs = Family::gauge("regsql_blobs", "Blobs on disk, by kind.");
    let mut bytes = Family::gauge("regsql_blob_bytes", "Bytes of blobs on disk, by kind.");
    for (kind, count_name, bytes_name) in KINDS {
        for (family, name) in [(&mut blobs, count_name), (&mut bytes, bytes_name)] {
            if let Some(value) = totals.get(*name) {
                family.add(&[("kind", kind)], *value);
            }
        }
    }
    families.extend([blobs, bytes]);
    for (name, total, help) in TOTALS {
        let mut family = Family::gauge(name, help);
        if let Some(value) = totals.get(*total) {
            family.add(&[], *value);
        }
        families.push(family);
    }
    Ok(totals)
}

/// Codes of which there are none have a series too, so that an alert can see one appear.
fn problems(connection: &Connection, families: &mut Vec<Family>) -> Result<(), ExportError> {
    let known = Code::ALL.iter().map(|code| (code.name(), code.severity().as_str()));
    let mut counts: BTreeMap<(String, String), i64> =
        known.map(|(code, severity)| ((code.into(), severity.into()), 0)).collect();
    let mut statement = connection.prepare(include_str!("sql/problems.sql"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        counts.insert((row.get(0)?, row.get(1)?), row.get(2)?);
    }
    let mut family = Family::gauge("regsql_problems", "Faults found, by code and severity.");
    for ((code, severity), count) in &counts {
        family.add(&[("code", code), ("severity", severity)], *count);
    }
    families.push(family);
    Ok(())
}

/// Gives how many repositories have series.
fn repositories(
    connection: &Connection,
    limit: SeriesLimit,
    families: &mut Vec<Family>,
) -> Result<i64, ExportError> {
    let mut of_repository = [
        ("repository_tags_total", "Number of tags of each repository."),
        ("repository_revisions_total", "Number of revisions of each repository."),
        ("regsql_repository_logical_bytes", "Distinct present blobs that the repository reaches."),
        ("regsql_repository_exclusive_bytes", "Of those, what deleting the repository frees."),
        ("regsql_repository_untagged_bytes", "Freed by deleting its untagged revisions."),
    ]
    .map(|(name, help)| Family::gauge(name, help));
    let mut statement = connection.prepare(include_str!("sql/repositories.sql"))?;
    let mut rows = statement.query([limit.rows()])?;
    let mut exported = 0;
    while let Some(row) = rows.next()? {
        let repository = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        for (place, family) in of_repository.iter_mut().enumerate() {
            family.add(&[("repository", repository)], row.get::<_, i64>(place + 1)?);
        }
        exported += 1;
    }
    families.extend(of_repository);
    Ok(exported)
}

/// Gives how many tags have series.
fn tags(
    connection: &Connection,
    limit: SeriesLimit,
    families: &mut Vec<Family>,
) -> Result<i64, ExportError> {
    let mut layers =
        Family::gauge("repository_tag_layers_total", "Number of layers of each tag's images.");
    let mut sizes =
        Family::gauge("repository_tag_size_bytes", "Size of the layers of each tag's images.");
    let mut statement = connection.prepare(include_str!("sql/tags.sql"))?;
    let mut rows = statement.query([limit.rows()])?;
    let mut exported = 0;
    while let Some(row) = rows.next()? {
        let name = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        let labels = [("repository", name(0)?), ("tag", name(1)?)];
        layers.add(&labels, row.get::<_, i64>(2)?);
        sizes.add(&labels, row.get::<_, f64>(3)?);
        exported += 1;
    }
    families.extend([layers, sizes]);
    Ok(exported)
}
