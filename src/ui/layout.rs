//! Widths of a table's columns on a terminal: figures keep theirs, names and commands share the
//! rest, and what does not fit is left out from the right, never silently.

use crate::report::Unit;

/// Blank columns between two columns.
pub const GAP: usize = 2;

/// A name is not broken below this width, nor a command cut below the other.
const NAME_AT_LEAST: usize = 20;
const COMMAND_AT_LEAST: usize = 16;
/// Columns that always stay: what a row is about, and its first figure.
const ALWAYS: usize = 2;

/// A column as it would like to be.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// What its values are.
    pub unit: Unit,
    /// Its widest cell.
    pub content: usize,
    /// The longest word of its heading.
    pub heading: usize,
}

impl Wish {
    fn natural(self) -> usize {
        self.content.max(self.heading)
    }

    fn is_flexible(self) -> bool {
        matches!(self.unit, Unit::Text | Unit::Command)
    }

    fn at_least(self) -> usize {
        let least = match self.unit {
            Unit::Text => self.content.min(NAME_AT_LEAST),
            Unit::Command => self.content.min(COMMAND_AT_LEAST),
            _ => self.content,
        };
        least.max(self.heading)
    }
}

/// The widths of the columns that are shown: as many as fit into `width` when `may_hide`.
pub fn widths(wishes: &[Wish], width: usize, may_hide: bool) -> Vec<usize> {
    let needed = |count: usize| -> usize {
        wishes[..count].iter().map(|wish| wish.at_least() + GAP).sum::<usize>().saturating_sub(GAP)
    };
    let mut count = wishes.len();
    while may_hide && count > ALWAYS && needed(count) > width {
        count -= 1;
    }
    let shown = &wishes[..count];
    let mut widths: Vec<usize> = shown.iter().map(|wish| wish.at_least()).collect();
    let mut spare = width.saturating_sub(needed(count));
    // The rest goes round in single columns, so that no name starves beside a long command.
    loop {
        let mut gave = false;
        for (width, wish) in widths.iter_mut().zip(shown) {
            if spare > 0 && wish.is_flexible() && *width < wish.natural() {
                *width += 1;
                spare -= 1;
                gave = true;
            }
        }
        if !gave {
            return widths;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(unit: Unit, content: usize) -> Wish {
        Wish { unit, content, heading: 4 }
    }

    #[test]
    fn what_fits_has_its_natural_width() {
        let wishes = [wish(Unit::Text, 30), wish(Unit::Bytes, 11), wish(Unit::Command, 20)];
        assert_eq!(widths(&wishes, 80, true), [30, 11, 20]);
    }

    #[test]
    fn names_and_commands_share_what_figures_leave() {
        let wishes = [wish(Unit::Digest, 19), wish(Unit::Text, 60), wish(Unit::Command, 60)];
        let widths = widths(&wishes, 80, true);
        assert_eq!(widths.iter().sum::<usize>() + 2 * GAP, 80);
        assert_eq!(widths[0], 19);
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_right_but_never_all() {
        let wishes = [wish(Unit::Text, 60), wish(Unit::Bytes, 11), wish(Unit::Digest, 71)];
        assert_eq!(widths(&wishes, 80, true).len(), 2);
        assert_eq!(widths(&wishes, 80, false).len(), 3);
        assert_eq!(widths(&wishes, 10, true).len(), 2);
    }
}
