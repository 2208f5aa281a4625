//! What a terminal can show, and texts cut to the columns that there are.

use ratatui::style::{Color, Modifier, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// It may have colours.
    pub has_color: bool,
}

impl Look {
    /// A colour, where there are any.
    pub fn color(self, color: Color) -> Style {
        if self.has_color { Style::new().fg(color) } else { Style::new() }
    }

    /// Not as important.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// The end of a text, which says most of a path.
pub fn cut_front(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let mut start = text.len();
    for (at, char) in text.char_indices().rev() {
        let Some(left) = room.checked_sub(char.width().unwrap_or(0)) else {
            break;
        };
        (room, start) = (left, at);
    }
    if width == 0 { String::new() } else { format!("…{}", &text[start..]) }
}

/// The beginning and the end of a text, in columns.
pub fn cut_middle(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    if width < 12 {
        let mut room = width;
        let fits = |char: &char| {
            let left = room.checked_sub(char.width().unwrap_or(0));
            room = left.unwrap_or(0);
            left.is_some()
        };
        return text.chars().take_while(fits).collect();
    }
    let end = cut_front(text, width / 3);
    let mut room = width.saturating_sub(end.width());
    let mut cut = String::new();
    for char in text.chars() {
        let Some(left) = room.checked_sub(char.width().unwrap_or(0)) else {
            break;
        };
        room = left;
        cut.push(char);
    }
    cut.push_str(&end);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_the_columns_that_they_take() {
        assert_eq!(cut_middle("team/application", 20), "team/application");
        assert_eq!(cut_middle("team/application-server", 16), "team/applic…rver");
        assert!((10..=12).contains(&cut_middle("日本語日本語日本語", 12).width()));
        assert_eq!(cut_front("all > team > app", 6), "…> app");
        assert_eq!(cut_middle("abc", 0), "");
    }
}
