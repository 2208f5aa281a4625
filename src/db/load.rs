//! Filling a new file: every table once, in key order, through one prepared statement each.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rusqlite::{Connection, Statement, params};

use super::authority;
use super::content::blob_at;
use super::images::{AgeOfTag, ImageTables};
use super::reclaimable::load_reclaimable;
use super::rows::{NO_MEDIA_TYPE, Snapshot, SortedTexts, StorageClasses, Totals};
use super::summaries::load_summaries;
use super::verified::{self, VerifiedTimes};
use crate::graph::RevisionAccount;
use crate::model::{
    Code, Digest, Finding, ManifestKind, Role, Severity, TagClass, TagName, tag_names,
};
use crate::scan::{
    BlobDescription, BlobKind, Catalog, CatalogLink, CatalogTag, TextNumber, describe_blobs,
};

/// All other tables of the snapshot; history and indices come after. Returns the totals. `old` is
/// the snapshot whose place this one takes.
pub fn load_figures(
    connection: &Connection,
    snapshot: &Snapshot<'_>,
    old: Option<&Connection>,
) -> rusqlite::Result<Totals> {
    let graph = snapshot.graph;
    let described = describe_blobs(graph);
    let media_types = SortedTexts::new(&graph.media_types);
    let build_steps = SortedTexts::new(&graph.build_steps);
    // What cannot be read of the old file is verified again.
    let mut verified = old.and_then(|old| verified::prepare(old).ok());
    let verified = verified.as_mut().and_then(|old| VerifiedTimes::new(old).ok());
    let verified = verified.unwrap_or_default();
    blobs(connection, snapshot, verified, &described, &media_types, &build_steps)?;
    let created_ns = graph.created_ns();
    manifests(connection, snapshot, &media_types, &created_ns)?;
    repositories(connection, snapshot, &created_ns)?;
    load_summaries(connection, snapshot, &described, &media_types)?;
    problems(connection, snapshot)?;
    authority::load(connection, snapshot.authority)?;
    storage_classes(connection, &snapshot.scan.bucket.storage_classes)?;
    load_reclaimable(connection, graph, snapshot.accounts, snapshot.scan.finished_ns)?;
    let mut insert = connection.prepare("INSERT INTO held_blob VALUES (?1)")?;
    for blob in &snapshot.accounts.kept_everywhere {
        insert.execute([blob])?;
    }
    let totals = totals(snapshot, &described);
    let mut insert = connection.prepare("INSERT INTO total VALUES (?1, ?2)")?;
    for (name, value) in &totals {
        insert.execute(params![name, value])?;
    }
    Ok(totals)
}

fn storage_classes(connection: &Connection, classes: &StorageClasses) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO storage_class VALUES (?1, ?2)")?;
    for (id, name) in (1_i64..).zip(&classes.names) {
        insert.execute(params![id, name])?;
    }
    let mut insert = connection.prepare("INSERT INTO blob_storage_class VALUES (?1, ?2)")?;
    for (blob, class) in (0_i64..).zip(&classes.of_blobs).filter(|(_, class)| **class > 0) {
        insert.execute([blob, i64::from(*class)])?;
    }
    Ok(())
}

fn blobs(
    connection: &Connection,
    snapshot: &Snapshot<'_>,
    mut verified: VerifiedTimes<'_>,
    described: &[BlobDescription],
    media_types: &SortedTexts<'_>,
    build_steps: &SortedTexts<'_>,
) -> rusqlite::Result<()> {
    let graph = snapshot.graph;
    let mut insert = connection.prepare(
        "INSERT INTO blob VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    let mut insert_checked = connection.prepare("INSERT INTO checked_file VALUES (?1, ?2)")?;
    let rows = graph.digests.iter().zip(&graph.files).zip(&snapshot.accounts.blobs).zip(described);
    for (id, (((digest, file), account), description)) in (0_i64..).zip(rows) {
        let (hash, other) = match digest {
            Digest::Sha256(bytes) => (Some(bytes.as_slice()), None),
            Digest::Other(text) => (None, Some(text.as_ref())),
        };
        let layer_media_type = description
            .is_layer
            .then(|| media_types.id(description.layer_media_type).unwrap_or(NO_MEDIA_TYPE));
        let verified_ns = file.and_then(|file| {
            let facts = [file.size_bytes as i64, file.modified_ns, file.changed_ns];
            verified.of(digest, facts, file.inode)
        });
        if let (Some(_), Some(file)) = (verified_ns, file) {
            insert_checked.execute(params![id, file.inode as i64])?;
        }
        insert.execute(params![
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
            build_steps.id(description.build_step),
            description.manifest_count,
            account.repository_count,
            account.tag_count,
            account.only_repository,
            account.only_tag,
            verified_ns,
            graph.may_be_manifest(id as u32),
        ])?;
    }
    Ok(())
}

fn manifests(
    connection: &Connection,
    snapshot: &Snapshot<'_>,
    media_types: &SortedTexts<'_>,
    created_ns: &[Option<i64>],
) -> rusqlite::Result<()> {
    let graph = snapshot.graph;
    let mut insert = connection.prepare(
        "INSERT INTO manifest VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
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
        insert.execute(params![
            manifest.blob,
            body.map_or(ManifestKind::Unknown, |body| body.kind).as_str(),
            !manifest.is_broken(),
            manifest.is_orphan,
            media_types.id(body.and_then(|body| body.media_type)),
            media_types.id(body.and_then(|body| body.artifact_type)),
            first(Role::Config).map(|reference| reference.blob),
            first(Role::Subject).map(|reference| reference.blob),
            layers.len() as i64,
            *logical_bytes as i64,
            platform(body.and_then(|body| body.os)),
            platform(body.and_then(|body| body.architecture)),
            platform(body.and_then(|body| body.variant)),
            created_ns,
        ])?;
    }
    Ok(())
}

fn load_class(
    insert: &mut rusqlite::Statement<'_>,
    tag_id: i64,
    class: TagClass,
    digests: &[Digest],
) -> rusqlite::Result<()> {
    match class {
        TagClass::Version | TagClass::Name => {}
        TagClass::Commit => {
            insert.execute(params![tag_id, "commit", None::<u32>, None::<&str>])?;
        }
        TagClass::Referrer(subject) => {
            // Ids are ranks in the order of digests.
            let rank = subject.as_ref().and_then(|digest| digests.binary_search(digest).ok());
            let id = rank.map(|rank| rank as u32);
            let digest = subject.map(|digest| digest.to_string());
            insert.execute(params![tag_id, "referrer", id, digest])?;
        }
    }
    Ok(())
}

fn repositories(
    connection: &Connection,
    snapshot: &Snapshot<'_>,
    created_ns: &[Option<i64>],
) -> rusqlite::Result<()> {
    let graph = snapshot.graph;
    let created_ns = |blob| created_ns[graph.manifest_at(blob)? as usize];
    let mut images = ImageTables::new(connection)?;
    let mut insert_repository = connection.prepare(
        "INSERT INTO repository VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let mut insert_revision =
        connection.prepare("INSERT INTO revision VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let mut insert_tag =
        connection.prepare("INSERT INTO tag VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    let mut insert_class = connection.prepare("INSERT INTO tag_class VALUES (?1, ?2, ?3, ?4)")?;
    let mut insert_entry = connection.prepare("INSERT INTO tag_entry VALUES (?1, ?2, ?3, ?4)")?;
    let mut insert_link =
        connection.prepare("INSERT INTO layer_link VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut insert_upload = connection.prepare("INSERT INTO upload VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut tag_id = 0_i64;
    for (id, (repository, account)) in
        (0_i64..).zip(graph.repositories.iter().zip(&snapshot.accounts.repositories))
    {
        let is_untagged = |revision: &&RevisionAccount| revision.is_untagged();
        let untagged = account.revisions.iter().filter(is_untagged).count();
        let pushed = repository.revisions.iter().map(|revision| revision.modified_ns);
        let pushed = pushed.chain(repository.tags.iter().filter_map(|tag| tag.modified_ns));
        insert_repository.execute(params![
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
            insert_revision.execute(params![
                id,
                revision.name,
                figures.is_tagged,
                figures.is_held || figures.is_rooted && !figures.is_tagged,
                revision.modified_ns,
                figures.logical_bytes as i64,
                figures.exclusive_bytes as i64,
            ])?;
        }
        let names: Vec<&str> = repository.tags.iter().map(|tag| tag.name.as_str()).collect();
        let names = tag_names(&names);
        images.add(id, ages(&repository.tags, &names), created_ns)?;
        let verdicts = &snapshot.verdicts[tag_id as usize..];
        let rows = repository.tags.iter().zip(&account.tags).zip(names).zip(verdicts);
        for (((tag, figures), name), verdict) in rows {
            insert_tag.execute(params![
                tag_id,
                id,
                tag.name,
                tag.target,
                tag.modified_ns,
                figures.logical_bytes as i64,
                figures.exclusive_bytes as i64,
                verdict.layer_count,
                verdict.is_broken,
                name.version_key,
            ])?;
            load_class(&mut insert_class, tag_id, name.class, &graph.digests)?;
            // The tag's own link is the better witness of what is current.
            let current =
                tag.target.filter(|target| tag.entries.iter().all(|entry| entry.name != *target));
            for entry in &tag.entries {
                let is_current = tag.target == Some(entry.name);
                insert_entry.execute(params![tag_id, entry.name, is_current, entry.modified_ns])?;
            }
            if let Some(target) = current {
                insert_entry.execute(params![tag_id, target, true, tag.modified_ns])?;
            }
            tag_id += 1;
        }
        layer_links(&mut insert_link, graph, id, &repository.layer_links, &account.link_is_needed)?;
        for upload in &repository.uploads {
            insert_upload.execute(params![
                id,
                upload.id,
                upload.size_bytes as i64,
                upload.started_ns,
                upload.active_ns,
            ])?;
        }
    }
    Ok(())
}

fn ages<'a>(tags: &'a [CatalogTag], names: &'a [TagName]) -> Vec<AgeOfTag<'a>> {
    let ages = tags.iter().zip(names).filter_map(|(tag, name)| {
        Some(AgeOfTag {
            manifest: tag.target?,
            pushed_ns: tag.modified_ns,
            name: &tag.name,
            version_key: name.version_key.as_deref(),
            is_referrer: matches!(name.class, TagClass::Referrer(_)),
        })
    });
    ages.collect()
}

fn layer_links(
    insert: &mut Statement<'_>,
    graph: &Catalog,
    repository_id: i64,
    links: &[CatalogLink],
    link_is_needed: &[bool],
) -> rusqlite::Result<()> {
    for (link, is_needed) in links.iter().zip(link_is_needed) {
        let is_dangling = graph.files[link.target as usize].is_none();
        insert.execute(params![
            repository_id,
            link.name,
            link.target,
            link.modified_ns,
            is_dangling,
            is_needed
        ])?;
    }
    Ok(())
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
            connection.execute(sql, params![place as i64, file.inode as i64])?;
        }
    }
    let mut insert =
        connection.prepare("INSERT INTO unreadable_root VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (id, root) in (1_i64..).zip(&snapshot.graph.roots) {
        insert.execute(params![
            id,
            root.scope.as_str(),
            root.repository,
            root.blob,
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
