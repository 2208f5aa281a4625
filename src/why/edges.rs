//! The edges of the graph as the snapshot has them, read upwards from what is kept to what keeps it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::answer::{Step, Via};

/// Roots that are looked at. A registry with more of them is kept whole for any practical purpose.
const MAX_ROOTS: i64 = 100_000;

/// Reads edges from one snapshot.
pub struct Edges<'c> {
    /// The snapshot.
    pub connection: &'c Connection,
    /// What is kept because something cannot be read.
    pub roots: Vec<Root>,
    root_of_blob: HashMap<i64, Vec<usize>>,
    has_aliases: bool,
    has_external_roots: bool,
}

/// One row of `unreadable_roots`.
pub struct Root {
    scope: String,
    repository: Option<(i64, String)>,
    code: String,
    path: String,
}

/// Where a path ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// At a tag.
    Tag { repository_id: i64, repository: String, tag: String, is_broken: bool },
    /// At a revision that no tag leads to.
    Untagged { repository_id: i64, repository: String, is_held: bool, pushed_at: Option<String> },
    /// At a row of an export.
    External { source: String, line: i64, reference: String },
    /// At a root, by its place.
    Root { place: usize, repository_id: Option<i64> },
}

impl Stop {
    /// The repository it is in, if it is in one.
    pub fn repository_id(&self) -> Option<i64> {
        match self {
            Self::Tag { repository_id, .. } | Self::Untagged { repository_id, .. } => {
                Some(*repository_id)
            }
            Self::External { .. } => None,
            Self::Root { repository_id, .. } => *repository_id,
        }
    }
}

impl<'c> Edges<'c> {
    /// Over the snapshot in `connection`.
    pub fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare(include_str!("sql/roots.sql"))?;
        let mut rows = statement.query(named_params! {":limit": MAX_ROOTS})?;
        let (mut roots, mut root_of_blob) = (Vec::new(), HashMap::<i64, Vec<usize>>::new());
        while let Some(row) = rows.next()? {
            if let Some(blob) = row.get("blob_id")? {
                root_of_blob.entry(blob).or_default().push(roots.len());
            }
            let id: Option<i64> = row.get("repository_id")?;
            let name: Option<String> = row.get("repository")?;
            roots.push(Root {
                scope: row.get("scope")?,
                repository: id.zip(name),
                code: row.get("code")?,
                path: row.get("path")?,
            });
        }
        let has_aliases = connection.prepare("SELECT 1 FROM alias")?.exists([])?;
        let has_external_roots = connection.prepare("SELECT 1 FROM root_blob")?.exists([])?;
        Ok(Self { connection, roots, root_of_blob, has_aliases, has_external_roots })
    }

    /// Manifests that keep `blob` by naming it, each once, whatever they call it.
    pub fn named_by(&self, blob: i64, limit: i64) -> rusqlite::Result<Vec<(i64, Via)>> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/named_by.sql"))?;
        let mut rows = statement.query(named_params! {":blob": blob, ":limit": limit})?;
        let mut found: Vec<(i64, Via)> = Vec::new();
        while let Some(row) = rows.next()? {
            let manifest = row.get(0)?;
            if found.last().is_some_and(|(last, _)| *last == manifest) {
                continue;
            }
            let via = match row.get_ref(1)?.as_str()? {
                "config" => Via::Config,
                "layer" => Via::Layer,
                "manifest" => Via::Manifest,
                _ => Via::Blob,
            };
            found.push((manifest, via));
        }
        Ok(found)
    }

    /// Digests that the registry resolves to `blob`.
    pub fn aliases(&self, blob: i64) -> rusqlite::Result<Vec<i64>> {
        // Few registries have any, and a walk asks at every step.
        if !self.has_aliases {
            return Ok(Vec::new());
        }
        self.ids(include_str!("sql/aliases.sql"), blob)
    }

    /// Repositories in which `blob` is a revision.
    pub fn repositories_of(&self, blob: i64) -> rusqlite::Result<Vec<i64>> {
        self.ids(include_str!("sql/repositories_of.sql"), blob)
    }

    /// What the manifest `blob` is about.
    pub fn subject(&self, blob: i64) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached(include_str!("sql/subject.sql"))?
            .query_row(named_params! {":blob": blob}, |row| row.get(0))
            .optional()
    }

    /// Images that tags on the manifest `blob` are about, each with the tag's repository.
    pub fn subjects_by_tag(&self, blob: i64) -> rusqlite::Result<Vec<(i64, Vec<i64>)>> {
        let mut statement =
            self.connection.prepare_cached(include_str!("sql/subjects_by_tag.sql"))?;
        let rows = statement
            .query_map(named_params! {":blob": blob}, |row| Ok((row.get(0)?, vec![row.get(1)?])))?;
        rows.collect()
    }

    fn ids(&self, sql: &str, blob: i64) -> rusqlite::Result<Vec<i64>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(named_params! {":blob": blob}, |row| row.get(0))?;
        rows.collect()
    }

    /// Whether any tag leads to `blob`.
    pub fn has_tags(&self, blob: i64) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT tag_count > 0 FROM blob WHERE id = ?1")?
            .query_row([blob], |row| row.get(0))
    }

    /// Where a path may end at `blob`.
    pub fn stops(&self, blob: i64, limit: i64) -> rusqlite::Result<Vec<Stop>> {
        let mut stops = Vec::new();
        let bound = named_params! {":blob": blob, ":limit": limit};
        let mut statement = self.connection.prepare_cached(include_str!("sql/tags_of.sql"))?;
        let mut rows = statement.query(bound)?;
        while let Some(row) = rows.next()? {
            stops.push(Stop::Tag {
                repository_id: row.get(0)?,
                repository: row.get(1)?,
                tag: row.get(2)?,
                is_broken: row.get(3)?,
            });
        }
        let mut statement = self.connection.prepare_cached(include_str!("sql/untagged_of.sql"))?;
        let mut rows = statement.query(bound)?;
        while let Some(row) = rows.next()? {
            stops.push(Stop::Untagged {
                repository_id: row.get(0)?,
                repository: row.get(1)?,
                is_held: row.get(2)?,
                pushed_at: row.get(3)?,
            });
        }
        stops.extend(self.external_root(blob)?);
        let places = self.root_of_blob.get(&blob).into_iter().flatten();
        stops.extend(places.map(|place| self.stop_at_root(*place)));
        Ok(stops)
    }

    fn external_root(&self, blob: i64) -> rusqlite::Result<Option<Stop>> {
        // It is asked at every step.
        if !self.has_external_roots {
            return Ok(None);
        }
        let mut statement =
            self.connection.prepare_cached(include_str!("sql/external_root.sql"))?;
        let row = statement.query_row(named_params! {":blob": blob}, |row| {
            let repository: Option<String> = row.get(2)?;
            let tag: Option<String> = row.get(3)?;
            let digest: Option<String> = row.get(4)?;
            let tag = tag.map(|tag| format!(":{tag}"));
            let digest = digest
                .map(|digest| if repository.is_some() { format!("@{digest}") } else { digest });
            // A tag says more than what it points at.
            let named = tag.or(digest).unwrap_or_default();
            let reference = repository.unwrap_or_default() + &named;
            Ok(Stop::External { source: row.get(0)?, line: row.get(1)?, reference })
        });
        row.optional()
    }

    fn stop_at_root(&self, place: usize) -> Stop {
        let repository_id = self.roots[place].repository.as_ref().map(|(id, _)| *id);
        Stop::Root { place, repository_id }
    }

    /// Holds that keep a blob: those of a repository keep what it links, with all that it names. What
    /// a hold keeps wherever it lies is known with all that it names, so that it is asked about the
    /// target alone.
    pub fn stops_of_holds(&self, blob: i64, is_target: bool) -> rusqlite::Result<Vec<Stop>> {
        if self.roots.is_empty() {
            return Ok(Vec::new());
        }
        let mut is_held = self.connection.prepare_cached(include_str!("sql/is_held.sql"))?;
        let (is_present, is_held): (bool, bool) =
            is_held.query_row([blob], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let names: Vec<i64> = std::iter::once(blob).chain(self.aliases(blob)?).collect();
        let mut stops = Vec::new();
        for (place, root) in self.roots.iter().enumerate() {
            let keeps = match root.scope.as_str() {
                "storage" => is_target && is_present,
                "manifests" if is_target && is_held => true,
                "manifests" | "repository" => match &root.repository {
                    Some((repository, _)) => self.is_linked(*repository, blob, &names)?,
                    None => false,
                },
                _ => false,
            };
            if keeps {
                stops.push(self.stop_at_root(place));
            }
        }
        Ok(stops)
    }

    fn is_linked(&self, repository: i64, blob: i64, names: &[i64]) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/is_linked.sql"))?;
        for name in names {
            if statement.exists((repository, name, blob))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `blob` as a step of a path.
    pub fn step(&self, blob: i64, via: Option<Via>) -> rusqlite::Result<Step> {
        self.connection.prepare_cached(include_str!("sql/node.sql"))?.query_row(
            named_params! {":blob": blob},
            |row| {
                let digest: String = row.get("digest")?;
                let manifest_kind: Option<String> = row.get("manifest_kind")?;
                Ok(match manifest_kind.as_deref() {
                    None => Step::Blob { digest, via },
                    Some("index") => Step::Index { digest, via },
                    Some(_) => Step::Manifest { digest, via, platform: row.get("platform")? },
                })
            },
        )
    }

    /// The last steps of a path.
    pub fn last_steps(&self, stop: &Stop) -> Vec<Step> {
        let plain = |name: &str| Step::Repository {
            repository: name.to_owned(),
            revision: None,
            pushed_at: None,
        };
        match stop {
            Stop::Tag { repository, tag, is_broken, .. } => vec![
                Step::Tag {
                    repository: repository.clone(),
                    tag: tag.clone(),
                    is_broken: *is_broken,
                },
                plain(repository),
            ],
            Stop::Untagged { repository, is_held, pushed_at, .. } => vec![Step::Repository {
                repository: repository.clone(),
                revision: Some(if *is_held { "held" } else { "untagged" }),
                pushed_at: pushed_at.clone(),
            }],
            Stop::External { source, line, reference } => vec![Step::ExternalRoot {
                source: source.clone(),
                line: *line,
                reference: reference.clone(),
            }],
            Stop::Root { place, .. } => {
                let root = &self.roots[*place];
                let held_by = Step::Root {
                    scope: root.scope.clone(),
                    code: root.code.clone(),
                    path: root.path.clone(),
                };
                std::iter::once(held_by)
                    .chain(root.repository.as_ref().map(|(_, name)| plain(name)))
                    .collect()
            }
        }
    }
}
