//! What a person or a machine sees: the printer, the formats, and the escaping of names that a
//! stranger pushed. Knows rows with units, and nothing of registries or SQL.

mod bars;
mod csv;
mod format;
mod frame;
mod human;
mod json;
mod junit;
mod layout;
mod markdown;
mod pager;
mod printer;
mod progress;
mod sanitize;
mod sarif;
mod shown_bar;
mod table;

pub use format::{Format, sink};
pub use frame::{Frame, Look};
pub use human::{
    age, ago, bytes, counted, duration_ms, heading, short_digest, short_digests, time,
};
pub use json::write_json;
pub use junit::Sink as JunitSink;
pub use pager::Out;
pub use printer::{Color, LogTime, Printer, Verbosity};
pub use progress::Bar;
pub use sanitize::{json_text, shell_word, visible};
pub use sarif::{Rule, Sink as SarifSink};
pub use shown_bar::clear_bar;
