//! Canned reports and ad-hoc queries: from a `.sql` text to a stream of rows with units.
//!
//! Guarantees: a report is data, one `.sql` file with a header that says what it takes, gives and
//! selects; nothing here prints, and no rows are held, they go to a [`RowSink`] as SQLite steps.

mod catalog;
mod docs;
mod gather;
mod header;
mod metric;
mod params;
mod query_error;
mod rowset;
mod run;
mod scan_age;

pub use catalog::{Catalog, CatalogError, Origin, Report};
pub use docs::reports_markdown;
pub use gather::Gathered;
pub use header::{ColumnSpec, Header, HeaderError, NextStep, Selects};
pub use metric::{Metric, MetricValue};
pub use params::{
    Bound, Param, ParamError, ParamKind, bind_report, bind_untyped, nearest, parse_bytes,
};
pub use query_error::QueryError;
pub use rowset::{Column, End, RowSink, Unit, Value, hex};
pub use run::{Query, RunError, run};
pub use scan_age::ScanInfo;
