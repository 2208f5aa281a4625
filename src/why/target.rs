//! What a target names.

use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::error::WhyError;
use super::search::Prefix;
use crate::report::nearest;

/// How many digests an error lists.
const CANDIDATES: usize = 10;

/// What was found.
#[derive(Clone, Debug)]
pub enum Target {
    /// A blob.
    Blob {
        /// Its id.
        blob: i64,
        /// The id of the digest that was given, when the registry resolves it to the blob.
        alias: Option<i64>,
    },
    /// A tag.
    Tag {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
        /// What it points at.
        blob: Option<i64>,
    },
    /// A manifest in a repository.
    Revision {
        /// The repository.
        repository: String,
        /// Its id.
        repository_id: i64,
        /// The manifest's id.
        blob: i64,
    },
}

/// Finds it. A digest wins over a repository of the name `sha256`.
pub fn resolve(connection: &Connection, given: &str) -> Result<Target, WhyError> {
    let mut beginning = None;
    if let Some(prefix) = Prefix::parse(given) {
        match blob(connection, given, &prefix) {
            Err(WhyError::NoBlob(_)) => beginning = Some(WhyError::NoBlob(given.to_owned())),
            found => return found,
        }
    }
    if let Some(target) = in_repository(connection, given)? {
        return Ok(target);
    }
    // A digest has no part before a slash that looks like a host.
    if let Some(name) = without_host(given) {
        return resolve(connection, name);
    }
    Err(match beginning {
        Some(error) => error,
        // Too few digits, or none.
        None if given.starts_with("sha256:") => WhyError::NoTarget(given.to_owned()),
        None => unknown(connection, given)?,
    })
}

/// An image reference as clients write it, without the registry that it begins with: the part
/// before the first slash is a host if it has a dot or a colon, or is `localhost` (reference
/// grammar of distribution).
fn without_host(given: &str) -> Option<&str> {
    let (host, name) = given.split_once('/')?;
    (host.contains(['.', ':']) || host == "localhost").then_some(name)
}

fn blob(connection: &Connection, given: &str, prefix: &Prefix) -> Result<Target, WhyError> {
    let range = prefix.range(connection)?;
    let ids: Vec<i64> = connection
        .prepare_cached(include_str!("sql/blobs_between.sql"))?
        .query_map([range.start, range.end], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if ids.is_empty() {
        return Err(WhyError::NoBlob(given.to_owned()));
    }
    let first = &ids[..ids.len().min(CANDIDATES)];
    let blob = one(connection, given, first, ids.len() as u64)?;
    let target: Option<i64> = connection
        .query_row(include_str!("sql/alias_target.sql"), [blob], |row| row.get(0))
        .optional()?;
    Ok(match target {
        Some(target) => Target::Blob { blob: target, alias: Some(blob) },
        None => Target::Blob { blob, alias: None },
    })
}

fn one(connection: &Connection, given: &str, ids: &[i64], count: u64) -> Result<i64, WhyError> {
    if let [blob] = ids {
        return Ok(*blob);
    }
    let candidates: rusqlite::Result<Vec<String>> =
        ids.iter().map(|id| digest(connection, *id)).collect();
    Err(WhyError::Ambiguous { prefix: given.to_owned(), candidates: candidates?, count })
}

/// The text of a blob's digest.
pub fn digest(connection: &Connection, blob: i64) -> rusqlite::Result<String> {
    connection
        .prepare_cached(
            "SELECT COALESCE(other_digest, 'sha256:' || lower(hex(hash))) FROM blob WHERE id = ?1",
        )?
        .query_row([blob], |row| row.get(0))
}

/// `REPO:TAG`, `REPO@DIGEST`, or `REPO:TAG@DIGEST` as Docker writes it.
fn in_repository(connection: &Connection, given: &str) -> Result<Option<Target>, WhyError> {
    if let Some((name, text)) = given.rsplit_once('@')
        && let Some(prefix) = Prefix::parse(text)
    {
        let pinned = split_tag(name).map(|(repository, _)| repository);
        for repository in [Some(name), pinned].into_iter().flatten() {
            if let Some(id) = repository_id(connection, repository)? {
                return revision(connection, repository, id, text, &prefix).map(Some);
            }
        }
        let name = pinned.unwrap_or(name);
        return Err(no_repository(connection, name)?);
    }
    // No registry accepts a tag with a colon, and yet a directory may be called so.
    for (at, _) in given.rmatch_indices(':') {
        let (repository, tag) = (&given[..at], &given[at + 1..]);
        let Some(id) = repository_id(connection, repository)? else {
            continue;
        };
        let found: Option<Option<i64>> = connection
            .query_row(
                "SELECT manifest_id FROM tag WHERE repository_id = ?1 AND name = ?2",
                (id, tag),
                |row| row.get(0),
            )
            .optional()?;
        if let Some(blob) = found {
            let (repository, tag) = (repository.to_owned(), tag.to_owned());
            return Ok(Some(Target::Tag { repository, tag, blob }));
        }
        let mut names =
            connection.prepare("SELECT name FROM tag WHERE repository_id = ?1 ORDER BY name")?;
        let names: Vec<String> =
            names.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        return Err(WhyError::NoTag {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            nearest: nearest(tag, names.iter().map(String::as_str)).map(str::to_owned),
        });
    }
    Ok(None)
}

fn revision(
    connection: &Connection,
    repository: &str,
    id: i64,
    text: &str,
    prefix: &Prefix,
) -> Result<Target, WhyError> {
    let range = prefix.range(connection)?;
    let mut statement = connection.prepare(include_str!("sql/revisions_between.sql"))?;
    let bound = named_params! {":repository": id, ":from": range.start, ":until": range.end};
    let found: Vec<i64> =
        statement.query_map(bound, |row| row.get(0))?.collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(WhyError::NoRevision {
            repository: repository.to_owned(),
            digest: text.to_owned(),
        });
    }
    let first = &found[..found.len().min(CANDIDATES)];
    let blob = one(connection, text, first, found.len() as u64)?;
    Ok(Target::Revision { repository: repository.to_owned(), repository_id: id, blob })
}

/// At the last colon behind the last slash: what stands before may be a host with a port.
fn split_tag(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))
}

/// The id of the repository of that name.
fn repository_id(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM repository WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

fn unknown(connection: &Connection, given: &str) -> Result<WhyError, WhyError> {
    if repository_id(connection, given)?.is_some() {
        return Ok(WhyError::RepositoryAlone(given.to_owned()));
    }
    match split_tag(given) {
        Some(("", _)) | None => Ok(WhyError::NoTarget(given.to_owned())),
        Some((repository, _)) => no_repository(connection, repository),
    }
}

fn no_repository(connection: &Connection, name: &str) -> Result<WhyError, WhyError> {
    // A reference as `docker pull` takes it begins with the registry's host.
    if let Some((_, rest)) = name.split_once('/')
        && repository_id(connection, rest)?.is_some()
    {
        return Ok(WhyError::NoRepository { name: name.into(), nearest: Some(rest.to_owned()) });
    }
    let mut names = connection.prepare("SELECT name FROM repository ORDER BY name")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let nearest = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    Ok(WhyError::NoRepository { name: name.to_owned(), nearest })
}
