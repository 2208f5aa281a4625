//! Sums over manifests, references and revisions that reports would need seconds for in a large storage.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::ids::{Ids, SortedTexts};
use super::rows::{NO_MEDIA_TYPE, Snapshot};
use crate::model::ManifestKind;
use crate::scan::{
    BlobDescription, BlobKind, Catalog, CatalogManifest, TextNumber, base_images, changing_steps,
};

/// Fills `base_image` and `changing_step`, which need no figures.
pub(super) fn load_image_summaries(
    connection: &Connection,
    catalog: &Catalog,
    ids: &Ids<'_>,
) -> rusqlite::Result<()> {
    bases(connection, catalog, ids)?;
    steps(connection, catalog, ids)
}

/// Fills `name_prefix`, `media_type_use` and `platform_use`.
pub(super) fn load_summaries(
    connection: &Connection,
    snapshot: &Snapshot<'_>,
    described: &[BlobDescription],
) -> rusqlite::Result<()> {
    prefixes(connection, snapshot)?;
    media_type_uses(connection, snapshot.graph, described, &snapshot.ids.media_types)?;
    platforms(connection, snapshot)
}

fn bases(connection: &Connection, catalog: &Catalog, ids: &Ids<'_>) -> rusqlite::Result<()> {
    let mut bases = base_images(catalog);
    bases.sort_unstable_by_key(|base| {
        let most = (base.derived_image_count, base.layer_bytes);
        (std::cmp::Reverse(most), base.manifest)
    });
    let mut insert = connection.prepare("INSERT INTO base_image VALUES (?1, ?2, ?3, ?4)")?;
    for base in bases {
        insert.execute(params![
            base.derived_image_count,
            stored(base.layer_bytes),
            ids.blob(base.manifest),
            base.layer_count,
        ])?;
    }
    Ok(())
}

fn steps(connection: &Connection, catalog: &Catalog, ids: &Ids<'_>) -> rusqlite::Result<()> {
    let steps = changing_steps(catalog).into_iter();
    let mut steps: Vec<_> =
        steps.map(|step| (ids.build_steps.id(Some(step.build_step)), step)).collect();
    steps.sort_unstable_by_key(|(id, step)| (step.repository, *id, step.place));
    let mut insert =
        connection.prepare("INSERT INTO changing_step VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (id, step) in steps {
        insert.execute(params![
            ids.repository(step.repository),
            id,
            step.place,
            step.build_count,
            step.layer_count,
            stored(step.layer_bytes),
        ])?;
    }
    Ok(())
}

fn prefixes(connection: &Connection, snapshot: &Snapshot<'_>) -> rusqlite::Result<()> {
    let mut groups: Vec<_> = snapshot.groups.iter().filter(|one| !one.prefix.is_empty()).collect();
    groups.sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix));
    let mut insert = connection.prepare("INSERT INTO name_prefix VALUES (?1, ?2, ?3)")?;
    for group in groups {
        insert.execute(params![
            group.prefix,
            stored(group.logical_bytes),
            stored(group.exclusive_bytes),
        ])?;
    }
    Ok(())
}

fn media_type_uses(
    connection: &Connection,
    catalog: &Catalog,
    described: &[BlobDescription],
    media_types: &SortedTexts<'_>,
) -> rusqlite::Result<()> {
    let mut sums: BTreeMap<_, (i64, i64)> = BTreeMap::new();
    for (blob, (file, description)) in (0..).zip(catalog.files.iter().zip(described)) {
        let Some(file) = file else { continue };
        let key = match description.kind {
            BlobKind::Manifest | BlobKind::Index => {
                let Some(manifest) = catalog.manifest_at(blob) else { continue };
                let body = catalog.manifests[manifest as usize].body.as_ref();
                let id = |number: Option<TextNumber>| media_types.id(number);
                let kind = body.map_or(ManifestKind::Unknown, |body| body.kind);
                (
                    kind.as_str(),
                    id(body.and_then(|body| body.media_type)),
                    id(body.and_then(|body| body.artifact_type)),
                )
            }
            kind => {
                let media_type = media_types.id(description.layer_media_type);
                let media_type = media_type.unwrap_or(NO_MEDIA_TYPE);
                (kind.as_str(), description.is_layer.then_some(media_type), None)
            }
        };
        let (count, bytes) = sums.entry(key).or_default();
        *count += 1;
        *bytes = bytes.saturating_add(stored(file.size_bytes));
    }
    let mut insert =
        connection.prepare("INSERT INTO media_type_use VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for ((kind, media_type, artifact_type), (count, bytes)) in sums {
        insert.execute(params![kind, media_type, artifact_type, count, bytes])?;
    }
    Ok(())
}

fn platforms(connection: &Connection, snapshot: &Snapshot<'_>) -> rusqlite::Result<()> {
    let catalog = snapshot.graph;
    let mut sums: BTreeMap<[Option<&str>; 3], (i64, i64, i64)> = BTreeMap::new();
    let figures = &snapshot.accounts.manifest_logical_bytes;
    for (manifest, logical_bytes) in catalog.manifests.iter().zip(figures) {
        let Some(platform) = platform_of_image(catalog, manifest) else { continue };
        let bytes = stored(*logical_bytes);
        let (count, sum, largest) = sums.entry(platform).or_default();
        *count += 1;
        *sum = sum.saturating_add(bytes);
        *largest = bytes.max(*largest);
    }
    let mut insert =
        connection.prepare("INSERT INTO platform_use VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for ([os, architecture, variant], (count, sum, largest)) in sums {
        insert.execute(params![os, architecture, variant, count, sum, largest])?;
    }
    Ok(())
}

/// `None` for what is no image that is kept.
fn platform_of_image<'c>(
    catalog: &'c Catalog,
    manifest: &CatalogManifest,
) -> Option<[Option<&'c str>; 3]> {
    let body = manifest.body.as_ref().filter(|_| !manifest.is_orphan)?;
    let text = |number: Option<TextNumber>| Some(catalog.platforms[number?.place()].as_str());
    matches!(body.kind, ManifestKind::Image | ManifestKind::Schema1)
        .then(|| [text(body.os), text(body.architecture), text(body.variant)])
}

/// As the database holds it.
fn stored(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
