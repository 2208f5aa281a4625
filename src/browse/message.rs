//! What the state asks for, and what it is answered. An answer may take as long as it needs.

use super::place::{Mark, Row};
use super::source::{Facts, Found, Listing, Summary};

/// Asked for by the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Rows of a list.
    Rows {
        /// Of which version of the list.
        version: u64,
        /// The list.
        listing: Listing,
        /// The first row.
        offset: u64,
    },
    /// How much is in a list.
    Summary {
        /// Of which version of the list.
        version: u64,
        /// The list.
        listing: Listing,
    },
    /// Where something stands in a list.
    Position {
        /// Of which version of the list.
        version: u64,
        /// The list.
        listing: Listing,
        /// What is looked for.
        found: Found,
    },
    /// What there is to say about a row.
    About {
        /// Which request this is.
        version: u64,
        /// The row.
        row: Row,
    },
    /// What deleting all marks together frees, and what each adds.
    Union {
        /// Of which version of the marks.
        version: u64,
        /// The marks.
        marks: Vec<Mark>,
    },
    /// The marks as a plan in a file.
    Save {
        /// The file.
        path: String,
        /// The marks.
        marks: Vec<Mark>,
    },
    /// A new scan.
    Rescan,
    /// A text for the terminal's clipboard.
    Copy(String),
    /// The terminal is the shell's for a while.
    Suspend,
    /// Everything is drawn again.
    Redraw,
}

/// A line of the right pane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The text; already escaped.
    pub text: String,
    /// Where `Enter` leads from it.
    pub jump: Option<Found>,
}

/// What deleting all marks together does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Union {
    /// Bytes that come free.
    pub freed_bytes: u64,
    /// Tags that go.
    pub tag_count: u64,
    /// Of what was marked or goes with it, what stays, with the reason: the first of it.
    pub skipped: Vec<String>,
    /// How much stays.
    pub skipped_count: u64,
}

/// Answers to requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Rows from an offset.
    Rows {
        /// As asked for.
        version: u64,
        /// The first row's place.
        offset: u64,
        /// The rows.
        rows: Vec<Row>,
    },
    /// How much is in a list.
    Summary {
        /// As asked for.
        version: u64,
        /// That.
        summary: Summary,
    },
    /// Where something stands.
    Position {
        /// As asked for.
        version: u64,
        /// Its place, if it is there.
        place: Option<u64>,
    },
    /// A request that a newer one made needless; it may be asked again.
    Dropped {
        /// As asked for.
        version: u64,
    },
    /// What there is to say about a row.
    About {
        /// As asked for.
        version: u64,
        /// That.
        lines: Vec<Line>,
    },
    /// What all marks free.
    Union {
        /// As asked for.
        version: u64,
        /// That.
        union: Union,
    },
    /// What one mark adds to the others.
    Adds {
        /// As asked for.
        version: u64,
        /// The mark's place.
        at: usize,
        /// Bytes that come free with it and not without.
        bytes: u64,
    },
    /// What came of writing a plan: the file, or why not.
    Saved(Result<String, String>),
    /// How far the scan is.
    Progress(String),
    /// What came of the scan: the rows are to be read again.
    Rescanned(Result<(), String>),
    /// What is shown around the lists.
    Facts(Facts),
    /// The graph has been worked out: rows say more now.
    Learned,
    /// Something went wrong; the text says what.
    Failed(String),
}
