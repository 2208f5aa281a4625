//! What leaves regsql in a form of its own: the HTML page for browsers, gauges in the text format of
//! Prometheus for other programs.
//!
//! Guarantees: reads the snapshot alone, never the storage; names from the registry cannot break out
//! of their place; how much there is of anything is bounded, and what a bound cut off is said.
//! Prints nothing.

mod error;
mod file;
pub mod html;
mod metrics;
mod night;
mod process;
mod reports;
mod text;

pub use error::ExportError;
pub use file::replace_file;
pub use metrics::{MetricsOptions, SeriesLimit, render_metrics};
pub use night::{NightFigures, NightStep, render_night};
pub use process::{Scans, render_scans};
pub use text::TEXT_FORMAT;
