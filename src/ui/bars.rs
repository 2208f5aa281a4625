//! Bars beside sizes: what a person compares, they should see.

use crate::report::{Column, Value};

/// Eighths of a character, from one to seven; eight are a full block.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// The values of the columns that get bars.
#[derive(Debug, Default)]
pub(super) struct Bars {
    /// Places of the columns, and the values in each, a row each.
    columns: Vec<(usize, Vec<i64>)>,
}

impl Bars {
    /// For the columns that `names` says get one.
    pub(super) fn of(columns: &[Column], names: &[String]) -> Self {
        let places = (0..).zip(columns).filter(|(_, column)| names.contains(&column.name));
        Self { columns: places.map(|(place, _)| (place, Vec::new())).collect() }
    }

    pub(super) fn add(&mut self, row: &[Value<'_>]) {
        for (place, values) in &mut self.columns {
            values.push(match row.get(*place) {
                Some(Value::Integer(number)) => *number,
                _ => 0,
            });
        }
    }

    /// Whether the column at `place` gets bars.
    pub(super) fn has(&self, place: usize) -> bool {
        self.columns.iter().any(|(known, _)| *known == place)
    }

    /// The bar of a row, beside the largest of its column; rows that were not added have none.
    pub(super) fn bar(&self, place: usize, row: usize, width: usize) -> String {
        let Some((_, values)) = self.columns.iter().find(|(known, _)| *known == place) else {
            return String::new();
        };
        let largest = values.iter().copied().max().unwrap_or(0);
        values.get(row).map_or_else(String::new, |value| draw(*value, largest, width))
    }
}

/// `value` of `largest` as a bar of at most `width` characters; what is not nothing is seen.
fn draw(value: i64, largest: i64, width: usize) -> String {
    if value <= 0 || largest <= 0 {
        return String::new();
    }
    let eighths = (value as f64 / largest as f64 * (width * 8) as f64).round() as usize;
    let eighths = eighths.clamp(1, width * 8);
    let mut bar = "█".repeat(eighths / 8);
    bar.extend((eighths % 8).checked_sub(1).map(|part| EIGHTHS[part]));
    bar
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn bars_are_in_proportion_and_what_is_not_nothing_is_seen() {
        assert_eq!(draw(100, 100, 4), "████");
        assert_eq!(draw(50, 100, 4), "██");
        assert_eq!(draw(30, 100, 4), "█▎");
        assert_eq!(draw(1, 1_000_000, 4), "▏");
        assert_eq!(draw(0, 100, 4), "");
        assert_eq!(draw(-5, 100, 4), "");
        assert_eq!(draw(0, 0, 4), "");
        assert_eq!(draw(i64::MAX, i64::MAX, 4), "████");
    }
}
