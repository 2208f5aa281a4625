//! Why nothing can be exported.

use std::io;
use std::path::PathBuf;

use crate::report::{ParamError, RunError};

/// The snapshot, a report or the file failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database failed.
    #[error("cannot work out the metrics")]
    Sqlite(#[from] rusqlite::Error),
    /// A report that declares a metric failed.
    #[error("cannot work out the metrics of report `{report}`")]
    Report {
        /// The report.
        report: String,
        /// Why.
        source: RunError,
    },
    /// A report that declares a metric takes something that has no default.
    #[error("cannot work out the metrics of report `{report}`")]
    Param {
        /// The report.
        report: String,
        /// Why.
        source: ParamError,
    },
    /// Two have the same name.
    #[error("report `{report}` declares metric `{metric}`, which another one gives already")]
    Taken {
        /// The report.
        report: String,
        /// The metric.
        metric: String,
    },
    /// The file cannot be written.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ExportError {
    /// The next step, where one exists.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Sqlite(_) | Self::Param { .. } => None,
            Self::Report { report, .. } => {
                Some(format!("`regsql report {report}` shows what is wrong with it"))
            }
            Self::Taken { .. } => {
                Some("give the metric in its `-- metric:` line another name".into())
            }
            Self::Write { .. } => Some("name a file in a directory that you may write to".into()),
        }
    }
}
