//! One list on the way down: where the cursor is, and the window of rows that is held.

use super::place::{Measure, Order, Place, Row, Sort};
use super::source::{Found, Listing, Summary};

/// Rows that are fetched at once: some screens in both directions.
pub const WINDOW: u64 = 600;

/// Rows of a window before the first one on the screen.
const BEFORE: u64 = 200;

/// A list, as far as it is held.
#[derive(Clone, Debug)]
pub struct Level {
    /// What is listed.
    pub listing: Listing,
    /// The row under the cursor.
    pub cursor: u64,
    /// The first row on the screen.
    pub top: u64,
    /// The place of the first row that is held.
    pub start: u64,
    /// Rows that are held.
    pub rows: Vec<Row>,
    /// How much there is; `None` until it is known. Of the old rows, as long as these are shown.
    pub summary: Option<Summary>,
    /// Exclusive and logical bytes of what the list is of: all of it is 100 %.
    pub whole: Option<(u64, u64)>,
    /// Put the cursor there when its place is known.
    pub seek: Option<Found>,
    /// Changes with whatever makes held rows wrong.
    pub version: u64,
    /// The offset that was asked for and is not here yet.
    pub pending: Option<u64>,
    /// All must be fetched again, and is not asked for yet.
    pub is_stale: bool,
    /// The rows are of another order or filter, until theirs are here.
    pub are_rows_old: bool,
    /// The count is of another filter, until its own is here.
    pub is_count_old: bool,
}

impl Level {
    /// At the first row, by exclusive bytes.
    pub fn new(place: Place, measure: Measure, version: u64) -> Self {
        let sort = match place {
            // The order of a manifest is the order of its build.
            Place::Codes | Place::Problems { .. } => Sort::Count,
            _ => Sort::Size,
        };
        let order = Order { sort, is_reversed: false, measure };
        Self {
            listing: Listing { place, order, filter: String::new() },
            cursor: 0,
            top: 0,
            start: 0,
            rows: Vec::new(),
            summary: None,
            whole: None,
            seek: None,
            version,
            pending: None,
            is_stale: true,
            are_rows_old: true,
            is_count_old: true,
        }
    }

    /// Takes in rows.
    pub fn take_rows(&mut self, start: u64, rows: Vec<Row>) {
        (self.start, self.rows) = (start, rows);
        self.pending = None;
        self.are_rows_old = false;
        if self.is_count_old {
            self.summary = None;
        }
    }

    /// Takes in how much there is.
    pub fn take_summary(&mut self, summary: Summary) {
        self.summary = Some(summary);
        self.is_count_old = false;
    }

    /// What is being done before the rows are there.
    pub fn waits_for(&self) -> Option<&'static str> {
        match (self.are_rows_old, self.pending) {
            (true, _) if !self.listing.filter.is_empty() => Some("filtering …"),
            (true, _) => Some("reading …"),
            (false, Some(_)) => Some("…"),
            (false, None) => None,
        }
    }

    /// Rows, as far as is known.
    pub fn count(&self) -> u64 {
        self.summary.map_or(self.start + self.rows.len() as u64, |summary| summary.count)
    }

    /// A row that is held.
    pub fn row(&self, place: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(place.checked_sub(self.start)?).ok()?)
    }

    /// The row under the cursor.
    pub fn current(&self) -> Option<&Row> {
        self.row(self.cursor)
    }

    /// The rows are to be fetched again, under another version.
    pub fn forget(&mut self, version: u64) {
        self.version = version;
        self.pending = None;
        self.is_stale = true;
        self.are_rows_old = true;
        self.is_count_old = true;
    }

    /// Moves the cursor by rows, within the list.
    pub fn step(&mut self, rows: i64) {
        let last = self.count().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(rows).min(last);
    }

    /// Scrolls so that the cursor is on a screen of `height` rows. Gives what must be fetched.
    pub fn scroll(&mut self, height: u64, is_stale: bool) -> Option<u64> {
        if let Some(summary) = self.summary {
            self.cursor = self.cursor.min(summary.count.saturating_sub(1));
        }
        let height = height.max(1);
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
        let end = (self.top + height).min(self.summary.map_or(u64::MAX, |summary| summary.count));
        let held = self.start..self.start + self.rows.len() as u64;
        let is_held = self.top >= held.start
            && (end <= held.end || self.summary.is_none() && !self.rows.is_empty());
        let is_empty = self.summary.is_some_and(|all| all.count == 0);
        if !is_stale && (is_held || is_empty || self.pending.is_some()) {
            return None;
        }
        let offset = self.top.saturating_sub(BEFORE);
        self.pending = Some(offset);
        Some(offset)
    }

    /// The bytes that are 100 %.
    pub fn whole_bytes(&self) -> Option<u64> {
        let (exclusive, logical) = self.whole?;
        Some(match self.measure() {
            Measure::Exclusive => exclusive,
            Measure::Logical => logical,
            Measure::Shared => logical.saturating_sub(exclusive),
        })
    }

    /// The bytes that are shown.
    pub fn measure(&self) -> Measure {
        if self.listing.place.has_measures() {
            self.listing.order.measure
        } else {
            Measure::Logical
        }
    }
}
