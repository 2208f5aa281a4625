//! The wheel scrolls what it is over; a click goes to a row, a second one opens it.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::place::Branch;
use super::state::{App, Focus, Overlay};

impl App {
    /// Takes in what the mouse did.
    pub(super) fn mouse(&mut self, mouse: MouseEvent) {
        let at = Position::new(mouse.column, mouse.row);
        let lines = match mouse.kind {
            MouseEventKind::ScrollDown => 3,
            MouseEventKind::ScrollUp => -3,
            MouseEventKind::Down(MouseButton::Left) => return self.click(at),
            _ => return,
        };
        if let Some(Overlay::Help(line)) = &mut self.overlay {
            *line = line.saturating_add_signed(lines).min(99);
        } else if self.areas.pane.contains(at) {
            if self.focus == Focus::List {
                self.focus = Focus::Why;
                self.pane_cursor = 0;
            }
            self.move_by(lines.into());
        } else {
            self.focus = Focus::List;
            self.move_by(lines.into());
        }
    }

    fn click(&mut self, at: Position) {
        if self.overlay.take_if(|overlay| matches!(overlay, Overlay::Help(_))).is_some() {
            return;
        }
        if let Some(tab) = self.areas.tabs.iter().position(|tab| tab.contains(at)) {
            self.go_to(Branch::ALL[tab]);
        } else if self.areas.rows.contains(at) {
            self.focus = Focus::List;
            let line = u64::from(at.y - self.areas.rows.y);
            let level = self.level_mut();
            let place = level.top + line;
            if place == level.cursor {
                self.open();
            } else if place < level.count() {
                level.cursor = place;
            }
        } else if self.areas.pane.contains(at) && self.focus == Focus::List {
            self.next_pane();
        }
    }
}
