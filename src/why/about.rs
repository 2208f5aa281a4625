//! Everything about a target but its paths.

use rusqlite::{OptionalExtension as _, named_params};

use super::answer::{Answer, Fault, FreedWith, LayerLink, Reason, TargetKind, Verdict};
use super::edges::Edges;
use super::error::WhyError;
use super::target::{Target, digest};
use crate::report::ScanInfo;

/// How many of a kind are listed.
const LISTED: usize = 5;
/// Faults of a tag that are listed.
const FAULTS: i64 = 20;

/// The answer about `target`.
pub fn answer(edges: &Edges<'_>, given: &str, target: &Target) -> Result<Answer, WhyError> {
    let scan = ScanInfo::read(edges.connection)?;
    let mut answer = Answer {
        schema: 1,
        target: given.to_owned(),
        kind: TargetKind::Blob,
        repository: None,
        tag: None,
        digest: None,
        blob_kind: None,
        media_type: None,
        artifact_type: None,
        created_by: None,
        size_bytes: None,
        modified_at: None,
        pushed_at: None,
        verdict: Verdict::Absent,
        logical_bytes: None,
        exclusive_bytes: None,
        shared_bytes: None,
        freed_bytes: None,
        manifest_count: 0,
        repository_count: 0,
        tag_count: 0,
        is_at_least: scan.is_some_and(|scan| !scan.is_complete),
        reasons: Vec::new(),
    };
    match target {
        Target::Blob { blob, alias } => {
            if let Some(alias) = alias {
                let alias = digest(edges.connection, *alias)?;
                answer.reasons.push(Reason::AliasOf { alias });
            }
            let freed_with = describe(edges, *blob, &mut answer)?;
            about_blob(edges, *blob, freed_with, &mut answer)?;
        }
        Target::Tag { repository, tag, blob } => {
            answer.kind = TargetKind::Tag;
            answer.repository = Some(repository.clone());
            answer.tag = Some(tag.clone());
            if let Some(blob) = blob {
                describe(edges, *blob, &mut answer)?;
            }
            about_tag(edges, repository, tag, &mut answer)?;
        }
        Target::Revision { repository, repository_id, blob } => {
            answer.kind = TargetKind::Revision;
            answer.repository = Some(repository.clone());
            describe(edges, *blob, &mut answer)?;
            about_revision(edges, *repository_id, *blob, &mut answer)?;
        }
    }
    answer.shared_bytes =
        answer.logical_bytes.zip(answer.exclusive_bytes).map(|(all, own)| (all - own).max(0));
    Ok(answer)
}

/// Fills in what is known of the blob; gives what it would come free with.
fn describe(
    edges: &Edges<'_>,
    blob: i64,
    answer: &mut Answer,
) -> rusqlite::Result<Option<FreedWith>> {
    let mut statement = edges.connection.prepare(include_str!("sql/blob.sql"))?;
    statement.query_row(named_params! {":blob": blob}, |row| {
        answer.digest = row.get("digest")?;
        answer.blob_kind = row.get("kind")?;
        answer.media_type = row.get("media_type")?;
        answer.artifact_type = row.get("artifact_type")?;
        answer.created_by = row.get("created_by")?;
        answer.size_bytes = row.get("size_bytes")?;
        answer.modified_at = row.get("modified_at")?;
        answer.logical_bytes = row.get("logical_bytes")?;
        answer.manifest_count = row.get("manifest_count")?;
        answer.repository_count = row.get("repository_count")?;
        answer.tag_count = row.get("tag_count")?;
        answer.verdict = match (row.get("is_present")?, row.get("is_orphan")?) {
            (false, _) => Verdict::Absent,
            (true, true) => Verdict::Garbage,
            (true, false) => Verdict::Kept,
        };
        let tag: Option<String> = row.get("only_tag")?;
        let in_tag: Option<(String, i64)> =
            row.get::<_, Option<_>>("only_tag_repository")?.zip(row.get("only_tag_bytes")?);
        let in_repository: Option<(String, i64)> =
            row.get::<_, Option<_>>("only_repository")?.zip(row.get("only_repository_bytes")?);
        let freed = |(repository, freed_bytes)| FreedWith {
            repository,
            tag: tag.clone().filter(|_| in_tag.is_some()),
            freed_bytes,
        };
        Ok(in_tag.clone().or(in_repository).map(freed))
    })
}

fn about_blob(
    edges: &Edges<'_>,
    blob: i64,
    freed_with: Option<FreedWith>,
    answer: &mut Answer,
) -> Result<(), WhyError> {
    match answer.verdict {
        Verdict::Garbage => {
            answer.freed_bytes = answer.size_bytes;
            answer.reasons.push(Reason::Unreferenced);
        }
        Verdict::Absent => answer.freed_bytes = Some(0),
        Verdict::Kept => answer.reasons.extend(freed_with.map(Reason::FreedWith)),
    }
    if answer.verdict != Verdict::Kept {
        mentions(edges, blob, answer)?;
        layer_links(edges, blob, answer)?;
    }
    refers_to(edges, blob, answer)?;
    Ok(())
}

fn refers_to(edges: &Edges<'_>, blob: i64, answer: &mut Answer) -> Result<(), WhyError> {
    if let Some(subject) = edges.subject(blob)? {
        let mut statement =
            edges.connection.prepare_cached("SELECT is_present FROM blob WHERE id = ?1")?;
        answer.reasons.push(Reason::RefersTo {
            digest: digest(edges.connection, subject)?,
            is_present: statement.query_row([subject], |row| row.get(0))?,
        });
    }
    Ok(())
}

fn mentions(edges: &Edges<'_>, blob: i64, answer: &mut Answer) -> Result<(), WhyError> {
    let mut statement = edges.connection.prepare(include_str!("sql/mentions.sql"))?;
    let mut rows = statement.query(named_params! {":blob": blob, ":limit": LISTED as i64 + 1})?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        if count > LISTED {
            answer.reasons.push(Reason::MoreManifests);
            break;
        }
        let manifest_digest = row.get("digest")?;
        let role: String = row.get("role")?;
        answer.reasons.push(if row.get("is_orphan")? {
            Reason::NamedByGarbage { manifest_digest, role }
        } else if role == "subject" {
            Reason::SubjectOf { manifest_digest }
        } else {
            Reason::ForeignLayerOf { manifest_digest }
        });
    }
    Ok(())
}

fn layer_links(edges: &Edges<'_>, blob: i64, answer: &mut Answer) -> Result<(), WhyError> {
    let mut statement = edges.connection.prepare(include_str!("sql/layer_links.sql"))?;
    let (mut count, mut first) = (0, Vec::new());
    for name in std::iter::once(blob).chain(edges.aliases(blob)?) {
        let mut rows = statement.query(named_params! {":name": name, ":blob": blob})?;
        while let Some(row) = rows.next()? {
            count += 1;
            if first.len() < LISTED {
                first.push(LayerLink {
                    repository: row.get("repository")?,
                    is_dangling: row.get("is_dangling")?,
                    linked_at: row.get("linked_at")?,
                });
            }
        }
    }
    if count > 0 {
        answer.reasons.push(Reason::LayerLinks { count, first });
    }
    Ok(())
}

fn about_tag(
    edges: &Edges<'_>,
    repository: &str,
    tag: &str,
    answer: &mut Answer,
) -> Result<(), WhyError> {
    let mut statement = edges.connection.prepare(include_str!("sql/tag.sql"))?;
    let (id, repository_id, blob, is_broken) =
        statement.query_row(named_params! {":repository": repository, ":tag": tag}, |row| {
            answer.pushed_at = row.get("pushed_at")?;
            answer.logical_bytes = row.get("logical_bytes")?;
            answer.exclusive_bytes = row.get("exclusive_bytes")?;
            answer.freed_bytes = answer.exclusive_bytes;
            Ok((
                row.get::<_, i64>("id")?,
                row.get::<_, i64>("repository_id")?,
                row.get::<_, Option<i64>>("manifest_id")?,
                row.get::<_, bool>("is_broken")?,
            ))
        })?;
    if is_broken {
        let mut statement = edges.connection.prepare(include_str!("sql/tag_faults.sql"))?;
        let rows = statement.query_map(named_params! {":tag": id, ":limit": FAULTS}, |row| {
            Ok(Fault { fault: row.get("fault")?, digest: row.get("digest")? })
        })?;
        answer.reasons.push(Reason::Broken { faults: rows.collect::<Result<_, _>>()? });
    }
    let Some(blob) = blob else {
        return Ok(());
    };
    let tags = tags_on(edges, repository_id, blob)?;
    if tags.len() > 1 {
        let revision = revision_bytes(edges, repository_id, blob)?;
        let others = tags.iter().filter(|name| *name != tag);
        answer.reasons.push(Reason::SameDigest {
            tags: others.take(LISTED).cloned().collect(),
            count: tags.len() as u64 - 1,
            freed_bytes: revision,
        });
    }
    refers_to(edges, blob, answer)?;
    let is_referrer = answer.reasons.iter().any(|reason| matches!(reason, Reason::RefersTo { .. }));
    if answer.kind == TargetKind::Revision && is_referrer && answer.exclusive_bytes == Some(0) {
        // The accounting gives a referrer's bytes to its subject: zero would be a wrong promise.
        answer.freed_bytes = None;
    }
    other_repositories(answer);
    Ok(())
}

fn other_repositories(answer: &mut Answer) {
    let count = answer.repository_count - 1;
    if count > 0 {
        answer.reasons.push(Reason::InOtherRepositories { count });
    }
}

fn tags_on(edges: &Edges<'_>, repository: i64, blob: i64) -> rusqlite::Result<Vec<String>> {
    let mut statement = edges.connection.prepare(include_str!("sql/same_digest.sql"))?;
    let bound = named_params! {":blob": blob, ":repository": repository};
    statement.query_map(bound, |row| row.get(0))?.collect()
}

fn revision_bytes(edges: &Edges<'_>, repository: i64, blob: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = edges.connection.prepare(include_str!("sql/revision.sql"))?;
    let bound = named_params! {":blob": blob, ":repository": repository};
    statement.query_row(bound, |row| row.get("exclusive_bytes")).optional()
}

fn about_revision(
    edges: &Edges<'_>,
    repository: i64,
    blob: i64,
    answer: &mut Answer,
) -> Result<(), WhyError> {
    let bound = named_params! {":blob": blob, ":repository": repository};
    let mut statement = edges.connection.prepare(include_str!("sql/revision.sql"))?;
    let (is_tagged, is_held) = statement.query_row(bound, |row| {
        answer.pushed_at = row.get("pushed_at")?;
        answer.logical_bytes = row.get("logical_bytes")?;
        answer.exclusive_bytes = row.get("exclusive_bytes")?;
        answer.freed_bytes = answer.exclusive_bytes;
        Ok((row.get::<_, bool>("is_tagged")?, row.get::<_, bool>("is_held")?))
    })?;
    if !is_tagged {
        answer.reasons.push(Reason::Untagged { is_held });
        let mut statement = edges.connection.prepare(include_str!("sql/was_tagged.sql"))?;
        let bound = named_params! {
            ":blob": blob, ":repository": repository, ":limit": LISTED as i64,
        };
        let mut rows = statement.query(bound)?;
        while let Some(row) = rows.next()? {
            answer
                .reasons
                .push(Reason::WasTagged { tag: row.get("tag")?, moved_at: row.get("moved_at")? });
        }
    }
    refers_to(edges, blob, answer)?;
    let is_referrer = answer.reasons.iter().any(|reason| matches!(reason, Reason::RefersTo { .. }));
    if answer.kind == TargetKind::Revision && is_referrer && answer.exclusive_bytes == Some(0) {
        // The accounting gives a referrer's bytes to its subject: zero would be a wrong promise.
        answer.freed_bytes = None;
    }
    other_repositories(answer);
    Ok(())
}
