//! All reports there are: the built-in ones and those in a person's own directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::header::{Header, HeaderError};
use super::params::nearest;

/// `(name, text)` of every file in `queries/`.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/reports.rs"));

/// The order in which people need them; a report that is not named here follows, by name.
const ORDER: &[&str] = &[
    "overview",
    "next-steps",
    "disk",
    "repositories",
    "teams",
    "shared-with",
    "tags",
    "largest-layers",
    "rare-layers",
    "shared-layers",
    "layer-images",
    "layer-commands",
    "churn",
    "base-images",
    "derived-images",
    "platforms",
    "media-types",
    "authority",
    "unknown-blobs",
    "missing-blobs",
    "unknown-revisions",
    "garbage",
    "orphan-blobs",
    "untagged-revisions",
    "dangling-links",
    "unneeded-links",
    "stale-uploads",
    "ghost-repositories",
    "orphan-referrers",
    "dead-tag-history",
    "broken-images",
    "mending",
    "problems",
    "keep-latest",
    "older-than",
    "not-pulled",
    "pull-watch",
    "equal-times",
    "stale-repositories",
    "growth",
];

/// Where a report comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is part of regsql.
    BuiltIn,
    /// It is a person's own.
    File(PathBuf),
}

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its name: the file's, without `.sql`.
    pub name: String,
    /// What it says of itself.
    pub header: Header,
    /// The whole file: SQLite skips the comments.
    pub sql: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Why a report is not there.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No report has this name.
    #[error("there is no report `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// Its header cannot be understood.
    #[error("report `{name}` cannot be used")]
    Header {
        /// The report.
        name: String,
        /// Why.
        source: HeaderError,
    },
    /// The person's directory or a file in it cannot be read.
    #[error("cannot read reports from `{}`", .path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl CatalogError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            // A tag, or a manifest by its digest.
            Self::Unknown { name, .. } if name.contains([':', '@']) => Some(format!(
                "`regsql why {name}` explains it, and `regsql prune --target {name}` shows what deleting \
                 it takes along"
            )),
            Self::Unknown { name, .. } if name.contains(['/', '.']) => Some(format!(
                "a file of SQL runs with `regsql sql --file {name}`; --reports DIR makes reports \
                     of the files in a directory"
            )),
            Self::Unknown { name, .. } if name.contains(' ') => {
                Some("a query of your own runs with `regsql sql QUERY`".into())
            }
            Self::Unknown { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?"))
            }
            Self::Unknown { .. } => Some("`regsql report --list` names them all".into()),
            Self::Header { source, .. } => source.hint(),
            Self::Io { .. } => {
                Some("--reports (or REGSQL_REPORTS) names a directory of .sql files".into())
            }
        }
    }
}

/// The reports.
#[derive(Debug)]
pub struct Catalog {
    reports: BTreeMap<(usize, String), Result<Report, HeaderError>>,
    /// Names of built-in reports that a person's own stand in for.
    pub replaced: Vec<String>,
}

fn position(name: &str) -> (usize, String) {
    let place = ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    (place, name.to_owned())
}

impl Catalog {
    /// The built-in reports alone.
    pub fn built_in() -> Self {
        let mut catalog = Self { reports: BTreeMap::new(), replaced: Vec::new() };
        for (name, sql) in BUILT_IN {
            let file = format!("queries/{name}.sql");
            catalog.add(name, &file, (*sql).to_owned(), Origin::BuiltIn);
        }
        catalog
    }

    /// The built-in reports, and every `.sql` file in `directory`. A file with a broken header
    /// is an error only when its report is asked for.
    pub fn with_directory(directory: Option<&Path>) -> Result<Self, CatalogError> {
        let mut catalog = Self::built_in();
        let Some(directory) = directory else {
            return Ok(catalog);
        };
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| CatalogError::Io { path, source }
        };
        for entry in std::fs::read_dir(directory).map_err(io(directory))? {
            let path = entry.map_err(io(directory))?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let (Some(name), true) = (name, path.extension().is_some_and(|end| end == "sql"))
            else {
                continue;
            };
            let sql = std::fs::read_to_string(&path).map_err(io(&path))?;
            if BUILT_IN.iter().any(|(known, _)| *known == name) {
                catalog.replaced.push(name.clone());
            }
            let file = path.display().to_string();
            catalog.add(&name, &file, sql, Origin::File(path));
        }
        catalog.replaced.sort();
        Ok(catalog)
    }

    fn add(&mut self, name: &str, file: &str, sql: String, origin: Origin) {
        let report = Header::parse(file, &sql).map(|header| Report {
            name: name.to_owned(),
            header,
            sql,
            origin,
        });
        self.reports.insert(position(name), report);
    }

    /// The report of that name.
    pub fn get(&self, name: &str) -> Result<&Report, CatalogError> {
        match self.reports.get(&position(name)) {
            Some(Ok(report)) => Ok(report),
            Some(Err(source)) => {
                Err(CatalogError::Header { name: name.to_owned(), source: source.clone() })
            }
            None => Err(CatalogError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, self.reports.keys().map(|(_, known)| known.as_str()))
                    .map(str::to_owned),
            }),
        }
    }

    /// All that can be used, in the order in which people need them.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.reports.values().filter_map(|report| report.as_ref().ok())
    }

    /// What is wrong with those that cannot.
    pub fn broken(&self) -> impl Iterator<Item = &HeaderError> {
        self.reports.values().filter_map(|report| report.as_ref().err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_report_can_be_used_and_has_its_place() {
        let catalog = Catalog::built_in();
        assert_eq!(catalog.broken().collect::<Vec<_>>(), Vec::<&HeaderError>::new());
        let names: Vec<&str> = catalog.reports().map(|report| report.name.as_str()).collect();
        assert_eq!(names, ORDER);
    }

    #[test]
    fn a_misspelt_report_is_met_with_the_nearest_name() {
        let error = Catalog::built_in().get("rare-layer").unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean `rare-layers`?");
    }
}
