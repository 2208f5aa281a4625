//! Tables for people. The rows are held: widths and totals need all of them.

use std::io::{self, Write};

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Row, Table, TableStyle,
    Width,
};

use super::bars::Bars;
use super::frame::{Frame, Look};
use super::human;
use super::layout::{self, Layout};
use super::sanitize::visible;
use crate::report::{Column, End, RowSink, Unit, Value, hex};

/// A line under the headings, and no other.
const QUIET: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The sums of a result's columns.
#[derive(Debug, Default)]
pub(super) struct Totals {
    sums: Vec<Option<i128>>,
}

impl Totals {
    /// For the columns that `names` says may be summed.
    pub(super) fn of(columns: &[Column], names: &[String]) -> Self {
        let sums = columns.iter().map(|column| names.contains(&column.name).then_some(0)).collect();
        Self { sums }
    }

    pub(super) fn add(&mut self, values: &[Value<'_>]) {
        for (sum, value) in self.sums.iter_mut().zip(values) {
            if let (Some(sum), Value::Integer(number)) = (sum, value) {
                *sum += i128::from(*number);
            }
        }
    }

    /// The last row, if there is anything to sum.
    pub(super) fn row(&self, label: &'static str) -> Option<Vec<Value<'static>>> {
        self.sums.iter().any(Option::is_some).then(|| {
            let row = self.sums.iter().enumerate().map(|(index, sum)| match sum {
                Some(sum) => Value::Integer(i64::try_from(*sum).unwrap_or(i64::MAX)),
                None if index == 0 => Value::Text(label.into()),
                None => Value::Null,
            });
            row.collect()
        })
    }
}

/// A value as a person reads it, without escaping.
pub(super) fn shown(value: &Value<'_>, unit: Unit, is_at_least: bool) -> String {
    match (value, unit) {
        (Value::Null, _) => String::new(),
        (Value::Integer(count), Unit::Bytes) if is_at_least => {
            format!("≥ {}", human::bytes(*count))
        }
        (Value::Integer(count), Unit::Bytes) => human::bytes(*count),
        (Value::Integer(number), Unit::DurationMs) => human::duration_ms(*number),
        (Value::Integer(0), Unit::Flag) => "no".into(),
        (Value::Integer(1), Unit::Flag) => "yes".into(),
        (Value::Integer(number), _) => number.to_string(),
        (Value::Real(number), _) => number.to_string(),
        (Value::Text(text), Unit::Time) => {
            human::time(text).unwrap_or_else(|| text.clone().into_owned())
        }
        (Value::Text(text), _) => text.clone().into_owned(),
        (Value::Blob(bytes), _) => hex(bytes),
    }
}

/// The line under a result: rows, what cut them, and what the frame adds.
pub(super) fn footer(frame: &Frame, end: End) -> String {
    if frame.is_whole_without_rows && end.rows == 0 {
        return frame.footer.join(" · ");
    }
    let mut parts = vec![match end.rows {
        0 => "no rows".to_owned(),
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }];
    if end.is_cut {
        parts[0].push_str(", cut");
    }
    if let Some((limit, how)) = &frame.limit
        && *limit == end.rows
    {
        parts[0] = format!("{} ({how})", parts[0]);
    }
    parts.extend(frame.footer.iter().cloned());
    parts.join(" · ")
}

/// Writes an aligned table.
pub struct Sink<'a> {
    out: &'a mut dyn Write,
    frame: Frame,
    look: Look,
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    totals: Totals,
    bars: Bars,
    group: Option<String>,
}

impl<'a> Sink<'a> {
    /// A table inside `frame`.
    pub fn new(out: &'a mut dyn Write, frame: Frame, look: Look) -> Self {
        Self {
            out,
            frame,
            look,
            columns: Vec::new(),
            rows: Vec::new(),
            totals: Totals::default(),
            bars: Bars::default(),
            group: None,
        }
    }

    fn cells(&self, values: &[Value<'_>]) -> Vec<String> {
        let cell = |(value, column): (&Value<'_>, &Column)| {
            visible(&shown(value, column.unit, self.frame.is_at_least)).into_owned()
        };
        values.iter().zip(&self.columns).map(cell).collect()
    }

    /// The columns that are shown, if there is a width to keep.
    fn layout(&self) -> Option<Layout> {
        let width = usize::from(self.look.width?);
        let wish = |(index, column): (usize, &Column)| {
            let cells = || self.rows.iter().filter_map(|row| row.get(index));
            let short = |cell: &String| match column.unit {
                Unit::Digest => human::short_digest(cell).chars().count(),
                Unit::Text => human::short_digests(cell).chars().count(),
                _ => cell.chars().count(),
            };
            let heading = heading(column);
            layout::Wish {
                unit: column.unit,
                content: cells().map(short).max().unwrap_or(0),
                word: cells()
                    .map(|cell| longest_word(&human::short_digests(cell)))
                    .max()
                    .unwrap_or(0),
                whole: cells().map(|cell| cell.chars().count()).max().unwrap_or(0),
                heading_word: longest_word(&heading),
                heading: heading.chars().count(),
                has_bar: self.bars.has(index),
            }
        };
        let wishes: Vec<_> = self.columns.iter().enumerate().map(wish).collect();
        Some(layout::layout(&wishes, width, self.frame.may_hide))
    }

    fn table(&self, layout: Option<&Layout>) -> Table {
        let mut table = Table::new();
        table.load_style(QUIET).force_no_tty();
        let shown = layout.map_or(self.columns.len(), |layout| layout.widths.len());
        let bar_width = layout.map_or(0, |layout| layout.bar_width);
        let has_bar = |index: usize| bar_width > 0 && self.bars.has(index);
        // A bar stands in a column of its own, behind the figure that it is of.
        let mut headings = Vec::new();
        for (index, column) in self.columns[..shown].iter().enumerate() {
            headings.push(Cell::new(heading(column)));
            headings.extend(has_bar(index).then(|| Cell::new("")));
        }
        table.set_header(Row::from(headings));
        for (number, row) in self.rows.iter().enumerate() {
            let mut cells = Vec::new();
            for (index, (cell, column)) in row.iter().zip(&self.columns).take(shown).enumerate() {
                cells.push(match layout {
                    Some(layout) => Cell::new(fit(cell, column.unit, layout.widths[index])),
                    None => Cell::new(cell),
                });
                let bar = || Cell::new(self.bars.bar(index, number, bar_width));
                cells.extend(has_bar(index).then(bar));
            }
            table.add_row(cells);
        }
        match layout {
            Some(layout) => {
                let bars = (0..shown).filter(|index| has_bar(*index)).count();
                let whole = layout.widths.iter().map(|width| width + layout::GAP).sum::<usize>()
                    + bars * (bar_width + layout::GAP);
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(whole as u16);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let mut place = 0;
        for (index, column) in self.columns[..shown].iter().enumerate() {
            let width = layout.map(|layout| layout.widths[index]);
            set_style(&mut table, place, width, column.unit.is_numeric());
            place += 1;
            if has_bar(index) {
                set_style(&mut table, place, Some(bar_width), false);
                place += 1;
            }
        }
        table
    }

    /// The columns for which there was no room.
    fn left_out(&self, layout: Option<&Layout>) -> Option<String> {
        let left_out = &self.columns[layout?.widths.len()..];
        let names: Vec<String> = left_out.iter().map(heading).collect();
        (!names.is_empty()).then(|| format!("a wider terminal shows {}", names.join(", ")))
    }
}

fn set_style(table: &mut Table, place: usize, width: Option<usize>, is_numeric: bool) {
    let Some(style) = table.column_mut(place) else {
        return;
    };
    style.set_padding((0, 1));
    if is_numeric {
        style.set_cell_alignment(CellAlignment::Right);
    }
    if let Some(width) = width {
        style.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width as u16 + 1)));
    }
}

fn heading(column: &Column) -> String {
    visible(&human::heading(&column.name)).into_owned()
}

fn longest_word(text: &str) -> usize {
    text.split(' ').map(|word| word.chars().count()).max().unwrap_or(0)
}

/// A cell for a column of `width`: whole if it fits. Of a command the beginning says most. No path,
/// name or digest breaks inside, since half of one cannot be copied: it is folded in the middle.
fn fit(cell: &str, unit: Unit, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    match unit {
        Unit::Command => {
            let kept: String = cell.chars().take(width.saturating_sub(1)).collect();
            format!("{kept}…")
        }
        Unit::Digest => human::fold(human::short_digest(cell), width),
        Unit::Text => {
            let short = human::short_digests(cell);
            let words = short.split(' ').map(|word| human::fold(word, width));
            words.collect::<Vec<_>>().join(" ")
        }
        _ => cell.to_owned(),
    }
}

/// A line above the totals, as wide as the figures over it.
fn rule(rows: &[Vec<String>], totals: &[String], index: usize) -> String {
    let cells = rows.iter().filter_map(|row| row.get(index)).chain(totals.get(index));
    "─".repeat(cells.map(|cell| cell.chars().count()).max().unwrap_or(0))
}

impl RowSink for Sink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        self.totals = Totals::of(columns, &self.frame.totals);
        self.bars = Bars::of(columns, &self.frame.bars);
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.totals.add(values);
        self.bars.add(values);
        let mut cells = self.cells(values);
        let place =
            self.columns.iter().position(|column| Some(&column.name) == self.frame.group.as_ref());
        if let Some(place) = place {
            let group = cells[place].clone();
            if self.group.as_ref() == Some(&group) {
                cells[place].clear();
            }
            self.group = Some(group);
        }
        self.rows.push(cells);
        Ok(())
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        let is_part =
            self.frame.limit.as_ref().is_some_and(|(limit, _)| *limit == end.rows) || end.is_cut;
        let label = if is_part { "total shown" } else { "total" };
        if end.rows > 1
            && let Some(values) = self.totals.row(label)
        {
            let totals = self.cells(&values);
            let rules = values.iter().enumerate().map(|(index, value)| match value {
                Value::Integer(_) => rule(&self.rows, &totals, index),
                _ => String::new(),
            });
            self.rows.push(rules.collect());
            self.rows.push(totals);
        }
        let (bold, dim, plain) =
            if self.look.color { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        if let Some(title) = &self.frame.title {
            writeln!(self.out, "{bold}{}{plain}", visible(title))?;
        }
        let width = self.look.width.map_or(usize::MAX, usize::from);
        for note in &self.frame.notes {
            for line in human::wrap(&visible(note), width) {
                writeln!(self.out, "{dim}{line}{plain}")?;
            }
        }
        if self.frame.title.is_some() || !self.frame.notes.is_empty() {
            writeln!(self.out)?;
        }
        let layout = self.layout();
        // Headings over nothing say nothing.
        if !self.rows.is_empty() {
            for line in self.table(layout.as_ref()).lines() {
                let line = line.trim_end();
                // The rule is drawn under the last column's padding too: one more than the width.
                let line = line
                    .strip_suffix('─')
                    .filter(|rule| rule.chars().all(|char| char == '─'))
                    .unwrap_or(line);
                writeln!(self.out, "{line}")?;
            }
        }
        if !self.frame.is_bare {
            let before = if self.rows.is_empty() { "" } else { "\n" };
            writeln!(self.out, "{before}{dim}{}{plain}", footer(&self.frame, end))?;
        }
        if let Some(left_out) = self.left_out(layout.as_ref()).filter(|_| !self.rows.is_empty()) {
            writeln!(self.out, "{dim}{left_out}{plain}")?;
        }
        if !self.frame.tail.is_empty() && !self.frame.is_bare {
            writeln!(self.out)?;
        }
        for line in &self.frame.tail {
            writeln!(self.out, "{}", visible(line))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(frame: Frame, look: Look, rows: &[(&str, i64, &str)]) -> String {
        let columns = [
            Column { name: "tag".into(), unit: Unit::Text },
            Column { name: "size_bytes".into(), unit: Unit::Bytes },
            Column { name: "digest".into(), unit: Unit::Digest },
        ];
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out, frame, look);
        sink.begin(&columns).unwrap();
        for (tag, size, digest) in rows {
            let values =
                [Value::Text((*tag).into()), Value::Integer(*size), Value::Text((*digest).into())];
            sink.row(&values).unwrap();
        }
        sink.end(End { rows: rows.len() as u64, is_cut: false }).unwrap();
        String::from_utf8(out).unwrap()
    }

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_pipe_gets_whole_digests_and_a_terminal_short_ones() {
        let rows = [("latest", 1 << 30, DIGEST), ("v1\n\x1b[31m", 512, DIGEST)];
        let frame = || Frame {
            title: Some("Tags".into()),
            totals: vec!["size_bytes".into()],
            footer: vec!["scan of 3 minutes ago, took 1.2 s".into()],
            ..Frame::default()
        };
        insta::assert_snapshot!(render(frame(), Look::default(), &rows), @r#"
        Tags

        tag                size  digest
        ────────────────────────────────────────────────────────────────────────────────────────────────
        latest        1.000 GiB  sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
        v1\n\x1b[31m      512 B  sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
                      ─────────
        total         1.000 GiB

        2 rows · scan of 3 minutes ago, took 1.2 s
        "#);
        let terminal = Look { is_terminal: true, width: Some(80), color: false };
        insta::assert_snapshot!(render(frame(), terminal, &rows), @r#"
        Tags

        tag                size  digest
        ────────────────────────────────────────────
        latest        1.000 GiB  sha256:e3b0c44298fc
        v1\n\x1b[31m      512 B  sha256:e3b0c44298fc
                      ─────────
        total         1.000 GiB

        2 rows · scan of 3 minutes ago, took 1.2 s
        "#);
    }

    #[test]
    fn a_path_folds_in_the_middle_a_sentence_wraps_and_both_are_whole_where_there_is_room() {
        let columns = [
            Column { name: "code".into(), unit: Unit::Text },
            Column { name: "path".into(), unit: Unit::Text },
            Column { name: "detail".into(), unit: Unit::Text },
        ];
        let path = format!("docker/registry/v2/blobs/sha256/e3/{}/data", &DIGEST[7..]);
        let detail = format!("named by the manifest {DIGEST}");
        let at = |width| {
            let look = Look { is_terminal: true, width: Some(width), color: false };
            let mut out = Vec::new();
            let mut sink = Sink::new(&mut out, Frame::default(), look);
            sink.begin(&columns).unwrap();
            let values = ["layer-missing", &path, &detail];
            sink.row(&values.map(|text| Value::Text(text.to_owned().into()))).unwrap();
            sink.end(End { rows: 1, is_cut: false }).unwrap();
            String::from_utf8(out).unwrap()
        };
        insta::assert_snapshot!(at(80), @"
        code           path                                    detail
        ────────────────────────────────────────────────────────────────────────────────
        layer-missing  docker/registry/v2…95991b7852b855/data  named by the manifest
                                                               sha256:e3b0c44298fc

        1 row
        ");
        assert!(at(220).contains(&path) && at(220).contains(&detail));
    }

    #[test]
    fn a_result_without_rows_has_no_headings() {
        let frame = Frame { title: Some("Tags".into()), ..Frame::default() };
        insta::assert_snapshot!(render(frame, Look::default(), &[]), @"
        Tags

        no rows
        ");
    }

    #[test]
    fn sizes_of_an_incomplete_scan_are_at_least() {
        let frame = Frame { is_at_least: true, ..Frame::default() };
        insta::assert_snapshot!(render(frame, Look::default(), &[("a", 2048, "x")]), @r#"
        tag         size  digest
        ────────────────────────
        a    ≥ 2.000 KiB  x

        1 row
        "#);
    }
}
