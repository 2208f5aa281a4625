//! Filling a new file: every table once, in key order, through one prepared statement each.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::authority;
use super::content::blob_at;
use super::images::{AgeOfTag, ImageRow, ImageTables, hash_of};
use super::reclaimable::load_reclaimable;
use super::rows::{NO_MEDIA_TYPE, Snapshot, Totals};
use super::summaries::load_summaries;
use super::table::{Table, Target};
use super::verified::{self, VerifiedTimes};
use crate::graph::{BlobId, RevisionAccount};
use crate::model::{
    Code, Digest, Finding, ManifestKind, Role, Severity, TagClass, TagName, tag_names,
};
use crate::scan::{
    BlobDescription, BlobKind, Catalog, CatalogLink, CatalogManifest, CatalogTag, TextNumber,
    describe_blobs,
};

/// All other tables of the snapshot; history and indices come after. Returns the totals. `old` is
/// the snapshot whose place this one takes.
pub fn load_figures(
    target: Target<'_>,
    snapshot: &Snapshot<'_>,
    old: Option<&Connection>,
) -> rusqlite::Result<Totals> {
    let Target { connection, .. } = target;
    let graph = snapshot.graph;
    let described = describe_blobs(graph);
    // What cannot be read of the old file is verified again.
    let mut verified = old.and_then(|old| verified::prepare(old).ok());
    let verified = verified.as_mut().and_then(|old| VerifiedTimes::new(old).ok());
    let verified = verified.unwrap_or_default();
    blobs(target, snapshot, verified, &described)?;
    let created_ns = graph.created_ns();
    manifests(target, snapshot, &created_ns)?;
    repositories(target, snapshot, &created_ns)?;
    uploads(connection, snapshot)?;
    load_summaries(connection, snapshot, &described)?;
    problems(connection, snapshot)?;
    authority::load(connection, snapshot.authority, snapshot.ids)?;
    storage_classes(connection, snapshot)?;
    load_reclaimable(connection, graph, snapshot.accounts, snapshot.scan.finished_ns)?;
    let mut insert = connection.prepare("INSERT INTO held_blob VALUES (?1)")?;
    for blob in &snapshot.accounts.kept_everywhere {
        insert.execute([snapshot.ids.blob(*blob)])?;
    }
    let totals = totals(snapshot, &described);
    let mut insert = connection.prepare("INSERT INTO total VALUES (?1, ?2)")?;
    for (name, value) in &totals {
        insert.execute(params![name, value])?;
    }
    Ok(totals)
}

fn storage_classes(connection: &Connection, snapshot: &Snapshot<'_>) -> rusqlite::Result<()> {
    let classes = &snapshot.scan.bucket.storage_classes;
    let mut insert = connection.prepare("INSERT INTO storage_class VALUES (?1, ?2)")?;
    for (id, name) in (1_i64..).zip(&classes.names) {
        insert.execute(params![id, name])?;
    }
    let mut insert = connection.prepare("INSERT INTO blob_storage_class VALUES (?1, ?2)")?;
    for (blob, class) in (0..).zip(&classes.of_blobs).filter(|(_, class)| **class > 0) {
        insert.execute([snapshot.ids.blob(blob), i64::from(*class)])?;
    }
    Ok(())
}

fn blobs(
    target: Target<'_>,
    snapshot: &Snapshot<'_>,
    mut verified: VerifiedTimes<'_>,
    described: &[BlobDescription],
) -> rusqlite::Result<()> {
    let Snapshot { graph, ids, .. } = snapshot;
    let mut old = target.old("blob", 1)?;
    let mut table = old.table(18)?;
    let insert_checked = "INSERT INTO checked_file VALUES (?1, ?2)";
    let mut insert_checked = target.connection.prepare(insert_checked)?;
    let rows = graph.digests.iter().zip(&graph.files).zip(&snapshot.accounts.blobs).zip(described);
    for (blob, (((digest, file), account), description)) in (0..).zip(rows) {
        let id = ids.blob(blob);
        let (hash, other) = match digest {
            Digest::Sha256(bytes) => (Some(bytes.as_slice()), None),
            Digest::Other(text) => (None, Some(text.as_ref())),
        };
        let layer_media_type = description
            .is_layer
            .then(|| ids.media_types.id(description.layer_media_type).unwrap_or(NO_MEDIA_TYPE));
        let verified_ns = file.and_then(|file| {
            let facts = [file.size_bytes as i64, file.modified_ns, file.changed_ns];
            verified.of(digest, facts, file.inode)
        });
        if let (Some(_), Some(file)) = (verified_ns, file) {
            insert_checked.execute(params![id, file.inode as i64])?;
        }
        table.put(params![
            id,
            hash,
            other,
            file.is_some(),
            account.is_orphan,
            description.kind.as_str(),
            file.map(|file| file.size_bytes as i64),
            file.map(|file| file.modified_ns),
            file.map(|file| file.changed_ns),
            layer_media_type,
            ids.build_steps.id(description.build_step),
            description.manifest_count,
            account.repository_count,
            account.tag_count,
            account.only_repository.map(|place| ids.repository(place)),
            account.only_tag.map(|place| ids.tag(place)),
            verified_ns,
            graph.may_be_manifest(blob),
        ])?;
    }
    table.finish()?.delete(target.connection)
}

fn manifests(
    target: Target<'_>,
    snapshot: &Snapshot<'_>,
    created_ns: &[Option<i64>],
) -> rusqlite::Result<()> {
    let Snapshot { graph, ids, .. } = snapshot;
    let mut old = target.old("manifest", 1)?;
    let mut table = old.table(14)?;
    let figures = snapshot.accounts.manifest_logical_bytes.iter().zip(created_ns);
    for (manifest, (logical_bytes, created_ns)) in graph.manifests.iter().zip(figures) {
        let body = manifest.body.as_ref();
        let platform = |number: Option<TextNumber>| {
            number.map(|number| graph.platforms[number.place()].as_str())
        };
        let first =
            |role| manifest.references().iter().find(move |reference| reference.role == role);
        let mut layers: Vec<u32> = manifest
            .references()
            .iter()
            .filter(|reference| reference.role == Role::Layer)
            .map(|reference| reference.blob)
            .collect();
        layers.sort_unstable();
        layers.dedup();
        table.put(params![
            ids.blob(manifest.blob),
            kind_of(manifest).as_str(),
            !manifest.is_broken(),
            manifest.is_orphan,
            ids.media_types.id(body.and_then(|body| body.media_type)),
            ids.media_types.id(body.and_then(|body| body.artifact_type)),
            first(Role::Config).map(|reference| ids.blob(reference.blob)),
            first(Role::Subject).map(|reference| ids.blob(reference.blob)),
            layers.len() as i64,
            *logical_bytes as i64,
            platform(body.and_then(|body| body.os)),
            platform(body.and_then(|body| body.architecture)),
            platform(body.and_then(|body| body.variant)),
            created_ns,
        ])?;
    }
    table.finish()?.delete(target.connection)
}

fn kind_of(manifest: &CatalogManifest) -> ManifestKind {
    manifest.body.as_ref().map_or(ManifestKind::Unknown, |body| body.kind)
}

fn load_class(
    table: &mut Table<'_>,
    tag_id: i64,
    class: TagClass,
    snapshot: &Snapshot<'_>,
) -> rusqlite::Result<()> {
    match class {
        TagClass::Version | TagClass::Name => Ok(()),
        TagClass::Commit => table.put(params![tag_id, "commit", None::<i64>, None::<&str>]),
        TagClass::Referrer(subject) => {
            let digests = &snapshot.graph.digests;
            let rank = subject.as_ref().and_then(|digest| digests.binary_search(digest).ok());
            let id = rank.map(|rank| snapshot.ids.blob(rank as u32));
            let digest = subject.map(|digest| digest.to_string());
            table.put(params![tag_id, "referrer", id, digest])
        }
    }
}

fn repositories(
    target: Target<'_>,
    snapshot: &Snapshot<'_>,
    created_ns: &[Option<i64>],
) -> rusqlite::Result<()> {
    let Snapshot { graph, ids, .. } = snapshot;
    let Target { connection, .. } = target;
    let created_ns = |blob| created_ns[graph.manifest_at(blob)? as usize];
    let children = |blob| children(graph, blob);
    let (mut old_images, mut old_orders) = (target.old("image", 2)?, target.old("image_order", 1)?);
    let mut images = ImageTables::new(old_images.table(10)?, old_orders.table(4)?);
    let mut old_repositories = target.old("repository", 1)?;
    let mut repository_rows = old_repositories.table(14)?;
    let mut old_revisions = target.old("revision", 2)?;
    let mut revision_rows = old_revisions.table(9)?;
    let mut old_tags = target.old("tag", 1)?;
    let mut tag_rows = old_tags.table(10)?;
    let mut old_classes = target.old("tag_class", 1)?;
    let mut class_rows = old_classes.table(4)?;
    let mut old_entries = target.old("tag_entry", 2)?;
    let mut entry_rows = old_entries.table(4)?;
    let mut old_links = target.old("layer_link", 2)?;
    let mut link_rows = old_links.table(6)?;
    let mut tag_place = 0_u32;
    for (place, (repository, account)) in
        (0..).zip(graph.repositories.iter().zip(&snapshot.accounts.repositories))
    {
        let id = ids.repository(place);
        let is_untagged = |revision: &&RevisionAccount| revision.is_untagged();
        let untagged = account.revisions.iter().filter(is_untagged).count();
        let pushed = repository.revisions.iter().map(|revision| revision.modified_ns);
        let pushed = pushed.chain(repository.tags.iter().filter_map(|tag| tag.modified_ns));
        repository_rows.put(params![
            id,
            repository.name,
            repository.tags.len() as i64,
            repository.revisions.len() as i64,
            untagged as i64,
            repository.layer_links.len() as i64,
            repository.uploads.len() as i64,
            account.logical_bytes as i64,
            account.exclusive_bytes as i64,
            account.untagged_bytes as i64,
            pushed.max(),
            repository.is_held,
            repository.facts.notes.findings.is_empty(),
            repository.facts.fingerprint.as_slice(),
        ])?;
        for (revision, figures) in repository.revisions.iter().zip(&account.revisions) {
            put_revision(&mut revision_rows, id, revision, figures, snapshot)?;
        }
        let names: Vec<&str> = repository.tags.iter().map(|tag| tag.name.as_str()).collect();
        let names = tag_names(&names);
        let row = |blob: u32| ImageRow {
            id: ids.blob(blob),
            digest: &graph.digests[blob as usize],
            exclusive_bytes: repository
                .revisions
                .binary_search_by_key(&blob, |revision| revision.name)
                .ok()
                .map(|at| account.revisions[at].exclusive_bytes as i64),
        };
        images.add(id, ages(&repository.tags, &names), created_ns, children, row)?;
        let verdicts = &snapshot.verdicts[tag_place as usize..];
        let rows = repository.tags.iter().zip(&account.tags).zip(names).zip(verdicts);
        for (((tag, figures), name), verdict) in rows {
            let tag_id = ids.tag(tag_place);
            tag_place += 1;
            tag_rows.put(params![
                tag_id,
                id,
                tag.name,
                tag.target.map(|target| ids.blob(target)),
                tag.modified_ns,
                figures.logical_bytes as i64,
                figures.exclusive_bytes as i64,
                verdict.layer_count,
                verdict.is_broken,
                name.version_key,
            ])?;
            load_class(&mut class_rows, tag_id, name.class, snapshot)?;
            for (blob, is_current, linked_ns) in entries(tag) {
                entry_rows.put(params![tag_id, ids.blob(blob), is_current, linked_ns])?;
            }
        }
        for (link, is_needed) in repository.layer_links.iter().zip(&account.link_is_needed) {
            link_rows.put(params![
                id,
                ids.blob(link.name),
                ids.blob(link.target),
                link.modified_ns,
                graph.files[link.target as usize].is_none(),
                is_needed
            ])?;
        }
    }
    let tables = [repository_rows, revision_rows, tag_rows, class_rows, entry_rows, link_rows];
    for table in tables {
        table.finish()?.delete(connection)?;
    }
    images.finish(connection)
}

fn uploads(connection: &Connection, snapshot: &Snapshot<'_>) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO upload VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (place, repository) in (0..).zip(&snapshot.graph.repositories) {
        let id = snapshot.ids.repository(place);
        for upload in &repository.uploads {
            let size_bytes = upload.size_bytes as i64;
            insert.execute(params![
                id,
                upload.id,
                size_bytes,
                upload.started_ns,
                upload.active_ns
            ])?;
        }
    }
    Ok(())
}

fn put_revision(
    table: &mut Table<'_>,
    repository_id: i64,
    revision: &CatalogLink,
    figures: &RevisionAccount,
    Snapshot { graph, ids, .. }: &Snapshot<'_>,
) -> rusqlite::Result<()> {
    let is_held = figures.is_held || figures.is_rooted && !figures.is_tagged;
    let manifest = graph.manifest_at(revision.name).filter(|_| !figures.is_tagged && !is_held);
    let untagged_kind = manifest.map(|at| kind_of(&graph.manifests[at as usize]).as_str());
    table.put(params![
        repository_id,
        ids.blob(revision.name),
        figures.is_tagged,
        is_held,
        revision.modified_ns,
        figures.logical_bytes as i64,
        figures.exclusive_bytes as i64,
        manifest.and(hash_of(&graph.digests[revision.name as usize])),
        untagged_kind,
    ])
}

/// What a tag has pointed at, in order, whether it does, and since when.
fn entries(tag: &CatalogTag) -> Vec<(BlobId, bool, Option<i64>)> {
    let mut entries: Vec<_> = tag
        .entries
        .iter()
        .map(|entry| (entry.name, tag.target == Some(entry.name), Some(entry.modified_ns)))
        .collect();
    // The tag's own link is the better witness of what is current.
    let current = tag.target.filter(|target| tag.entries.iter().all(|entry| entry.name != *target));
    entries.extend(current.map(|target| (target, true, tag.modified_ns)));
    entries.sort_unstable_by_key(|entry| entry.0);
    entries
}

/// The manifests that a blob names, if it is an index.
fn children(graph: &Catalog, blob: BlobId) -> Vec<BlobId> {
    let manifest = graph.manifest_at(blob).map(|at| &graph.manifests[at as usize]);
    let index = manifest.filter(|manifest| kind_of(manifest) == ManifestKind::Index);
    let references = index.iter().flat_map(|index| index.references());
    let named = references.filter(|reference| reference.role == Role::Manifest);
    named.map(|reference| reference.blob).collect()
}

fn ages<'a>(tags: &'a [CatalogTag], names: &'a [TagName]) -> Vec<AgeOfTag<'a>> {
    let ages = tags.iter().zip(names).filter_map(|(tag, name)| {
        Some(AgeOfTag {
            manifest: tag.target?,
            pushed_ns: tag.modified_ns,
            name: &tag.name,
            version_key: name.version_key.as_deref(),
            is_referrer: matches!(name.class, TagClass::Referrer(_)),
            is_commit: matches!(name.class, TagClass::Commit),
        })
    });
    ages.collect()
}

fn problems(connection: &Connection, snapshot: &Snapshot<'_>) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare("INSERT INTO problem VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (id, finding) in (1_i64..).zip(snapshot.findings) {
        insert.execute(params![
            id,
            finding.code.name(),
            finding.code.severity().as_str(),
            finding.repository,
            finding.digest.as_ref().map(Digest::to_string),
            finding.path,
            finding.detail,
        ])?;
    }
    let about_content = snapshot.findings.iter().filter(|finding| finding.code.is_about_content());
    for blob in about_content.filter_map(|finding| blob_at(&finding.path)) {
        let place = snapshot.graph.digests.binary_search(&blob).ok();
        if let Some((place, file)) = place.and_then(|at| Some((at, snapshot.graph.files[at]?))) {
            let sql = "INSERT OR REPLACE INTO checked_file VALUES (?1, ?2)";
            let id = snapshot.ids.blob(place as u32);
            connection.execute(sql, params![id, file.inode as i64])?;
        }
    }
    let mut insert =
        connection.prepare("INSERT INTO unreadable_root VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (id, root) in (1_i64..).zip(&snapshot.graph.roots) {
        insert.execute(params![
            id,
            root.scope.as_str(),
            root.repository.map(|place| snapshot.ids.repository(place)),
            root.blob.map(|blob| snapshot.ids.blob(blob)),
            root.code.name(),
            root.path,
        ])?;
    }
    Ok(())
}

fn totals(snapshot: &Snapshot<'_>, described: &[BlobDescription]) -> Totals {
    let graph = snapshot.graph;
    let accounts = snapshot.accounts;
    let mut totals = Totals::new();
    let mut add = |name: &'static str, value: u64| {
        let total = totals.entry(Cow::Borrowed(name)).or_default();
        *total = i64::saturating_add(*total, i64::try_from(value).unwrap_or(i64::MAX));
    };
    let mut of_kinds = BTreeMap::new();
    for (file, description) in graph.files.iter().zip(described) {
        let Some(file) = file else { continue };
        let (count, bytes) = of_kinds.entry(description.kind).or_insert((0, 0_u64));
        *count += 1;
        *bytes = bytes.saturating_add(file.size_bytes);
    }
    for (kind, count, bytes) in [
        (BlobKind::Layer, "layer_count", "layer_bytes"),
        (BlobKind::Config, "config_count", "config_bytes"),
        (BlobKind::Manifest, "manifest_count", "manifest_bytes"),
        (BlobKind::Index, "index_count", "index_bytes"),
        (BlobKind::Unknown, "unknown_count", "unknown_bytes"),
    ] {
        let of_kind = of_kinds.get(&kind).copied().unwrap_or_default();
        for (count, bytes) in [(count, bytes), ("blob_count", "blob_bytes")] {
            add(count, of_kind.0);
            add(bytes, of_kind.1);
        }
    }
    for (repository, account) in graph.repositories.iter().zip(&accounts.repositories) {
        add("tag_count", repository.tags.len() as u64);
        add("revision_count", repository.revisions.len() as u64);
        let untagged = account.revisions.iter();
        let untagged = untagged.filter(|revision| revision.is_untagged());
        add("untagged_revision_count", untagged.count() as u64);
        add("layer_link_count", repository.layer_links.len() as u64);
        let dangling = repository
            .layer_links
            .iter()
            .filter(|link| graph.files[link.target as usize].is_none());
        add("dangling_link_count", dangling.count() as u64);
        let unneeded = account.link_is_needed.iter().filter(|is_needed| !**is_needed);
        add("unneeded_link_count", unneeded.count() as u64);
        add("upload_count", repository.uploads.len() as u64);
        add(
            "upload_bytes",
            repository
                .uploads
                .iter()
                .fold(0, |sum: u64, upload| sum.saturating_add(upload.size_bytes)),
        );
    }
    let broken = snapshot.verdicts.iter().filter(|verdict| verdict.is_broken);
    add("broken_tag_count", broken.count() as u64);
    let is_ghost = |finding: &&Finding| {
        matches!(finding.code, Code::GhostRepository | Code::RepositoryNeverCompleted)
    };
    add("ghost_repository_count", snapshot.findings.iter().filter(is_ghost).count() as u64);
    add("repository_count", graph.repositories.len() as u64);
    add("orphan_blob_count", accounts.orphan_count);
    add("orphan_bytes", accounts.orphan_bytes);
    add("untagged_bytes", accounts.untagged_bytes);
    add("untagged_and_orphan_bytes", accounts.untagged_bytes.saturating_add(accounts.orphan_bytes));
    add("problem_count", snapshot.findings.len() as u64);
    let suspicion = snapshot.authority.suspicion();
    add("authority_suspected", u64::from(suspicion.is_some()));
    let is_error = |finding: &&Finding| finding.code.severity() == Severity::Error;
    add("error_count", snapshot.findings.iter().filter(is_error).count() as u64);
    totals
}
