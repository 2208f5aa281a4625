//! What surrounds rows that are for people, and what the output can show.

/// What stands around the rows in the formats for people.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is said by itself")]
pub struct Frame {
    /// The heading.
    pub title: Option<String>,
    /// Lines under the heading.
    pub notes: Vec<String>,
    /// What is said behind the number of rows, such as the age of the scan.
    pub footer: Vec<String>,
    /// It is a part of a longer text: no line under the rows says how many they are.
    pub is_bare: bool,
    /// The heading and the notes say everything where there are no rows.
    pub is_whole_without_rows: bool,
    /// Lines at the very end, such as commands to try next.
    pub tail: Vec<String>,
    /// Columns whose sum means something.
    pub totals: Vec<String>,
    /// A column whose value is shown only where it changes.
    pub group: Option<String>,
    /// Columns of bytes beside which bars are drawn on a terminal that has room for them.
    pub bars: Vec<String>,
    /// On a narrow terminal the last columns may be left out.
    pub may_hide: bool,
    /// Something could not be read: every size is "at least".
    pub is_at_least: bool,
    /// The number of rows that was asked for, and how to ask for all.
    pub limit: Option<(u64, String)>,
}

/// What the output can show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Standard output is a terminal: short digests, lines that fit, nothing it could act on.
    pub is_terminal: bool,
    /// Its width in columns, if it is to be kept.
    pub width: Option<u16>,
    /// Bold and dim may be used.
    pub color: bool,
}
