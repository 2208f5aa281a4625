//! Widths of a table's columns on a terminal: figures keep theirs, names and commands share the
//! rest, and what does not fit is left out from the right, never silently. What is free then goes to
//! headings (so that they stay on one line), to bars, and last to whole digests: no column is left
//! out for any of these.

use crate::report::Unit;

/// Blank columns between two columns.
pub const GAP: usize = 2;

/// A name is not folded below this width, nor a command cut below the other.
const NAME_AT_LEAST: usize = 20;
const COMMAND_AT_LEAST: usize = 16;
/// A name that is no longer than this is not folded for a bar or a command.
const NAME_BEFORE_BARS: usize = 32;
/// A bar is not drawn narrower, nor wider.
const BAR_AT_LEAST: usize = 5;
const BAR_AT_MOST: usize = 10;
/// Columns that always stay: what a row is about, and its first figure.
const ALWAYS: usize = 2;

/// A column as it would like to be.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// What its values are.
    pub unit: Unit,
    /// Its widest cell, with short digests.
    pub content: usize,
    /// The longest word of its cells.
    pub word: usize,
    /// The widest cell with whole digests.
    pub whole: usize,
    /// The longest word of its heading.
    pub heading_word: usize,
    /// Its heading on one line.
    pub heading: usize,
    /// Bars are drawn beside it, where there is room.
    pub has_bar: bool,
}

/// The columns as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The width of each column that is shown.
    pub widths: Vec<usize>,
    /// The width of each bar; 0: there is no room for bars.
    pub bar_width: usize,
}

impl Wish {
    fn natural(self) -> usize {
        self.content.max(self.heading_word)
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
        least.max(self.heading_word)
    }
}

/// Lays out as many of the columns as fit into `width` when `may_hide`.
pub fn layout(wishes: &[Wish], width: usize, may_hide: bool) -> Layout {
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
    widen(&mut widths, shown, &mut spare, |wish| wish.at_least().max(wish.heading));
    let bars = shown.iter().filter(|wish| wish.has_bar).count();
    let mut bar_width = 0;
    let (mut widened, mut left) = (widths.clone(), spare);
    widen(&mut widened, shown, &mut left, |wish| match wish.unit {
        Unit::Text => wish.word.min(NAME_BEFORE_BARS),
        _ => 0,
    });
    let room = left.checked_div(bars).map(|each| each.saturating_sub(GAP).min(BAR_AT_MOST));
    if let Some(room) = room.filter(|room| *room >= BAR_AT_LEAST) {
        (widths, bar_width) = (widened, room);
        spare = left - bars * (bar_width + GAP);
    }
    widen(&mut widths, shown, &mut spare, |wish| match wish.unit {
        Unit::Text => wish.word.min(NAME_BEFORE_BARS),
        _ => 0,
    });
    let natural = |wish: &Wish| if wish.is_flexible() { wish.natural() } else { 0 };
    widen(&mut widths, shown, &mut spare, natural);
    // A digest is whole or short, nothing between.
    for (width, wish) in widths.iter_mut().zip(shown) {
        let more = wish.whole.saturating_sub(*width);
        if matches!(wish.unit, Unit::Digest | Unit::Text) && more <= spare {
            *width += more;
            spare -= more;
        }
    }
    Layout { widths, bar_width }
}

/// Gives `spare` away in single columns, so that no name starves beside a long command.
fn widen(
    widths: &mut [usize],
    wishes: &[Wish],
    spare: &mut usize,
    at_most: impl Fn(&Wish) -> usize,
) {
    loop {
        let mut gave = false;
        for (width, wish) in widths.iter_mut().zip(wishes) {
            if *spare > 0 && *width < at_most(wish) {
                *width += 1;
                *spare -= 1;
                gave = true;
            }
        }
        if !gave {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(unit: Unit, content: usize) -> Wish {
        let whole = if unit == Unit::Digest { 71 } else { content };
        Wish { unit, content, word: content, whole, heading_word: 4, heading: 4, has_bar: false }
    }

    #[test]
    fn a_heading_stays_on_one_line_and_a_digest_whole_where_there_is_room() {
        let revisions = Wish { heading_word: 9, heading: 18, ..wish(Unit::Count, 2) };
        let wishes = [wish(Unit::Text, 18), revisions, wish(Unit::Digest, 19)];
        assert_eq!(layout(&wishes, 200, true).widths, [18, 18, 71]);
        assert_eq!(layout(&wishes, 110, true).widths, [18, 18, 19], "a whole digest needs 111");
        assert_eq!(layout(&wishes, 50, true).widths, [18, 9, 19], "the heading breaks first");
    }

    #[test]
    fn what_fits_has_its_natural_width() {
        let wishes = [wish(Unit::Text, 30), wish(Unit::Bytes, 11), wish(Unit::Command, 20)];
        assert_eq!(layout(&wishes, 80, true).widths, [30, 11, 20]);
    }

    #[test]
    fn names_and_commands_share_what_figures_leave() {
        let wishes = [wish(Unit::Digest, 19), wish(Unit::Text, 60), wish(Unit::Command, 60)];
        let widths = layout(&wishes, 80, true).widths;
        assert_eq!(widths.iter().sum::<usize>() + 2 * GAP, 80);
        assert_eq!(widths[0], 19);
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_right_but_never_all() {
        let wishes = [wish(Unit::Text, 60), wish(Unit::Bytes, 11), wish(Unit::Digest, 71)];
        assert_eq!(layout(&wishes, 80, true).widths.len(), 2);
        assert_eq!(layout(&wishes, 80, false).widths.len(), 3);
        assert_eq!(layout(&wishes, 10, true).widths.len(), 2);
    }

    #[test]
    fn bars_take_what_is_free_and_never_the_place_of_a_column() {
        let size = Wish { has_bar: true, ..wish(Unit::Bytes, 11) };
        let wishes = [wish(Unit::Text, 18), size, wish(Unit::Command, 60)];
        assert_eq!(layout(&wishes, 80, true), Layout { widths: vec![18, 11, 35], bar_width: 10 });
        assert_eq!(layout(&wishes, 56, true), Layout { widths: vec![18, 11, 16], bar_width: 5 });
        assert_eq!(layout(&wishes, 55, true), Layout { widths: vec![18, 11, 22], bar_width: 0 });
    }
}
