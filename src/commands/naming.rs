//! Rows that name things: which columns do it, and what each row names.

use std::io;

use super::result::Snapshot;
use crate::error::{Error, Result};
use crate::report::{Column, End, Query, RowSink, Selects, Value};

/// What a row names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// A tag, and what the row says that it points at.
    Tag { repository: &'a str, tag: &'a str, manifest_digest: Option<&'a str> },
    /// A revision.
    Revision { repository: &'a str, manifest_digest: &'a str },
    /// Every image that holds a layer.
    Layer { digest: &'a str },
    /// A whole repository.
    Repository { repository: &'a str },
    /// A blob by itself.
    Blob { digest: &'a str },
    /// An upload.
    Upload { repository: &'a str, upload_id: &'a str },
    /// A layer link.
    LayerLink { repository: &'a str, digest: &'a str },
}

impl Named<'_> {
    /// For people.
    pub fn text(self) -> String {
        match self {
            Self::Tag { repository, tag, .. } => format!("{repository}:{tag}"),
            Self::Revision { repository, manifest_digest: digest }
            | Self::LayerLink { repository, digest } => format!("{repository}@{digest}"),
            Self::Layer { digest } | Self::Blob { digest } => digest.to_owned(),
            Self::Repository { repository } => repository.to_owned(),
            Self::Upload { repository, upload_id } => format!("upload {upload_id} in {repository}"),
        }
    }
}

/// Runs `query` and gives what each row names to `take`, `None` for a row in which a name is
/// missing; `selects` is what a report declares of its rows.
///
/// # Errors
/// When the query fails, or its columns name nothing.
pub fn each_named(
    snapshot: &Snapshot,
    query: &Query<'_>,
    selects: Option<Selects>,
    take: &mut dyn FnMut(Option<Named<'_>>),
) -> Result<()> {
    let mut sink = Sink { selects, naming: None, has_no_names: false, take };
    let result = snapshot.run(query, &mut sink);
    if sink.has_no_names {
        let message = format!("the columns of {} do not name what to delete", query.name);
        let hint = match selects {
            Some(selects) => format!("give columns {}", selects.columns().join(" and ")),
            None => "give columns repository and tag, repository and manifest_digest, \
                 layer_digest, blob_digest, repository and upload_id, repository and link_digest, \
                 or repository alone"
                .into(),
        };
        return Err(Error::new(message).with_hint(hint));
    }
    result?;
    Ok(())
}

/// Where in a row the names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// The revision counts where there is no tag.
    Tag {
        repository: usize,
        tag: usize,
        digest: Option<usize>,
    },
    Revision {
        repository: usize,
        digest: usize,
    },
    Layer {
        digest: usize,
    },
    Repository {
        repository: usize,
    },
    Blob {
        digest: usize,
    },
    Upload {
        repository: usize,
        upload_id: usize,
    },
    LayerLink {
        repository: usize,
        digest: usize,
    },
}

impl Naming {
    fn of(columns: &[Column], selects: Option<Selects>) -> Option<Self> {
        let at = |name: &str| columns.iter().position(|column| column.name == name);
        let repository = at("repository");
        let digest = at("manifest_digest");
        let tag = || Some(Self::Tag { repository: repository?, tag: at("tag")?, digest });
        let revision = || Some(Self::Revision { repository: repository?, digest: digest? });
        let layer = || Some(Self::Layer { digest: at("layer_digest")? });
        let whole = || Some(Self::Repository { repository: repository? });
        let blob = || Some(Self::Blob { digest: at("blob_digest")? });
        let upload = || Some(Self::Upload { repository: repository?, upload_id: at("upload_id")? });
        let link = || Some(Self::LayerLink { repository: repository?, digest: at("link_digest")? });
        match selects {
            Some(Selects::Tags) => tag(),
            Some(Selects::Revisions) => revision(),
            Some(Selects::Layers) => layer(),
            Some(Selects::Repositories) => whole(),
            Some(Selects::Blobs) => blob(),
            Some(Selects::Uploads) => upload(),
            Some(Selects::LayerLinks) => link(),
            // Who names a part of a repository does not mean the whole.
            None => {
                tag().or_else(revision).or_else(upload).or_else(link).or_else(layer).or_else(|| {
                    blob()
                        .or_else(|| whole().filter(|_| PARTS.iter().all(|part| at(part).is_none())))
                })
            }
        }
    }
}

/// Columns that name a part of a repository.
const PARTS: &[&str] = &["tag", "manifest_digest", "upload_id", "link_digest", "digest"];

struct Sink<'a> {
    selects: Option<Selects>,
    naming: Option<Naming>,
    /// The columns say nothing that could be deleted.
    has_no_names: bool,
    take: &'a mut dyn FnMut(Option<Named<'_>>),
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.naming = Naming::of(columns, self.selects);
        self.has_no_names = self.naming.is_none();
        // Ends the query; nobody sees this error.
        if self.has_no_names { Err(io::Error::other("no names")) } else { Ok(()) }
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        let Some(naming) = self.naming else {
            return Ok(());
        };
        (self.take)(named(naming, values));
        Ok(())
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        Ok(())
    }
}

fn named<'v>(naming: Naming, values: &'v [Value<'_>]) -> Option<Named<'v>> {
    let text = |at: usize| match &values[at] {
        Value::Text(text) => Some(text.as_ref()),
        _ => None,
    };
    match naming {
        Naming::Tag { repository, tag, digest } => {
            let repository = text(repository)?;
            let manifest_digest = digest.and_then(text);
            match text(tag) {
                Some(tag) => Some(Named::Tag { repository, tag, manifest_digest }),
                None => Some(Named::Revision { repository, manifest_digest: manifest_digest? }),
            }
        }
        Naming::Revision { repository, digest } => {
            Some(Named::Revision { repository: text(repository)?, manifest_digest: text(digest)? })
        }
        Naming::Layer { digest } => Some(Named::Layer { digest: text(digest)? }),
        Naming::Repository { repository } => {
            Some(Named::Repository { repository: text(repository)? })
        }
        Naming::Blob { digest } => Some(Named::Blob { digest: text(digest)? }),
        Naming::Upload { repository, upload_id } => {
            Some(Named::Upload { repository: text(repository)?, upload_id: text(upload_id)? })
        }
        Naming::LayerLink { repository, digest } => {
            Some(Named::LayerLink { repository: text(repository)?, digest: text(digest)? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    fn naming(names: &[&str]) -> Option<Naming> {
        let columns = names.iter().map(|name| Column { name: (*name).into(), unit: Unit::Text });
        Naming::of(&columns.collect::<Vec<_>>(), None)
    }

    #[test]
    fn the_narrowest_name_counts() {
        assert_eq!(
            naming(&["tag", "repository", "manifest_digest"]),
            Some(Naming::Tag { repository: 1, tag: 0, digest: Some(2) })
        );
        assert_eq!(
            naming(&["repository", "blob_digest", "manifest_digest"]),
            Some(Naming::Revision { repository: 0, digest: 2 })
        );
        assert_eq!(
            naming(&["repository", "link_digest", "blob_digest"]),
            Some(Naming::LayerLink { repository: 0, digest: 1 })
        );
        assert_eq!(naming(&["layer_digest", "n"]), Some(Naming::Layer { digest: 0 }));
        assert_eq!(naming(&["n", "repository"]), Some(Naming::Repository { repository: 1 }));
    }

    #[test]
    fn a_part_of_a_repository_is_not_the_whole() {
        assert_eq!(naming(&["repository", "digest"]), None);
        assert_eq!(naming(&["tag", "digest"]), None);
        assert_eq!(naming(&["upload_id"]), None);
    }
}
