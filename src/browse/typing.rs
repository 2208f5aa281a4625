//! Texts that a person types: a filter, and the name of a plan's file.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::message::Request;
use super::state::{App, Overlay};

impl App {
    /// A key while the filter is typed.
    pub(super) fn filter_key(&mut self, key: KeyEvent) {
        let mut filter = self.level().listing.filter.clone();
        match key.code {
            KeyCode::Enter => return,
            KeyCode::Esc => filter.clear(),
            KeyCode::Backspace => {
                filter.pop();
                self.overlay = Some(Overlay::Filter);
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                filter.clear();
                self.overlay = Some(Overlay::Filter);
            }
            KeyCode::Char(char) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
                if filter.len() < 200 {
                    filter.push(char);
                }
                self.overlay = Some(Overlay::Filter);
            }
            KeyCode::Down | KeyCode::Up => {
                self.overlay = Some(Overlay::Filter);
                self.move_by(if key.code == KeyCode::Down { 1 } else { -1 });
            }
            _ => self.overlay = Some(Overlay::Filter),
        }
        self.set_filter(filter);
    }

    pub(super) fn set_filter(&mut self, filter: String) {
        if self.level().listing.filter != filter {
            let version = self.next_version();
            let level = self.level_mut();
            level.listing.filter = filter;
            (level.cursor, level.top) = (0, 0);
            level.forget(version);
        }
    }

    /// A key while a plan's file is named.
    pub(super) fn path_key(&mut self, mut path: String, key: KeyEvent) {
        match key.code {
            KeyCode::Enter if !path.is_empty() => {
                self.requests.push(Request::Save { path, marks: self.marks.clone() });
                return;
            }
            KeyCode::Esc => return,
            KeyCode::Backspace => drop(path.pop()),
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => path.clear(),
            KeyCode::Char(char) if path.len() < 1000 => path.push(char),
            _ => {}
        }
        self.overlay = Some(Overlay::Path(path));
    }
}
