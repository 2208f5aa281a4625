//! The pane beside the list: what there is to say about a row, or the marks.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as TextLine, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use unicode_width::UnicodeWidthStr as _;

use super::keys::FLAGS;
use super::look::{Look, cut_middle};
use super::message::Line;
use super::place::{Place, Row, RowKind};
use super::state::{App, Focus};
use crate::model::Code;
use crate::ui::{self, visible};

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, app: &App, look: Look, area: Rect) {
    if area.is_empty() {
        return;
    }
    let is_beside = area.x > 0;
    let borders = if is_beside { Borders::LEFT | Borders::TOP } else { Borders::TOP };
    let title = match app.focus {
        Focus::Marks => " marks, and what each adds to the others ",
        _ => " why ",
    };
    let style = if app.focus == Focus::List { look.dim() } else { Style::new() };
    let block = Block::new().borders(borders).border_style(style).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let width = usize::from(inner.width);
    let lines = if app.focus == Focus::Marks { marks(app, width) } else { why(app) };
    let cursor = (app.focus != Focus::List).then_some(app.pane_cursor);
    let (lines, at) = wrapped(lines, cursor, width);
    let height = usize::from(inner.height);
    let top = at.map_or(0, |at| (at + 1).saturating_sub(height));
    for (line, text) in lines.iter().skip(top).take(height).enumerate() {
        let place = Rect { y: inner.y + line as u16, height: 1, ..inner };
        let mut style = match text.kind {
            LineKind::Heading => Style::new().add_modifier(Modifier::BOLD),
            LineKind::Jump => look.color(Color::Cyan),
            LineKind::Plain => Style::new(),
            LineKind::Waiting => look.dim(),
        };
        if Some(top + line) == at {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let span = Span::styled(text.text.clone(), style);
        frame.render_widget(Paragraph::new(TextLine::from(span)), place);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Heading,
    Jump,
    Plain,
    Waiting,
}

struct PaneLine {
    kind: LineKind,
    text: String,
    /// Its place among those that the cursor goes to.
    place: Option<usize>,
}

fn line(kind: LineKind, text: impl Into<String>) -> PaneLine {
    PaneLine { kind, text: text.into(), place: None }
}

fn why(app: &App) -> Vec<PaneLine> {
    let Some(row) = app.about_row() else {
        return Vec::new();
    };
    let mut lines = facts(row, app);
    match &app.about {
        Some(about) => {
            for (place, Line { text, jump }) in about.iter().enumerate() {
                let (kind, text) = match jump {
                    Some(_) => (LineKind::Jump, format!("> {text}")),
                    None => (LineKind::Plain, text.clone()),
                };
                lines.push(PaneLine { kind, text, place: Some(place) });
            }
        }
        None => lines.push(line(LineKind::Waiting, "…")),
    }
    lines
}

/// What the row itself says, which is there at once.
fn facts(row: &Row, app: &App) -> Vec<PaneLine> {
    // A repository's row has the part of its name that its level does not say.
    let name = match (row.kind, &row.repository) {
        (RowKind::Repository, Some(repository)) => repository,
        _ => &row.name,
    };
    let mut lines = vec![line(LineKind::Heading, visible(name).into_owned())];
    let bytes = |bytes: u64| ui::bytes(bytes);
    let at_least = if row.is_at_least || app.facts.is_at_least { "at least " } else { "" };
    match row.kind {
        RowKind::Group
        | RowKind::Repository
        | RowKind::Tag
        | RowKind::Revision
        | RowKind::Referrer => {
            let alone = match row.kind {
                RowKind::Group => "deleting all of it frees",
                RowKind::Repository => "deleting it whole frees",
                _ => "deleting it alone frees",
            };
            let freed = bytes(row.exclusive_bytes);
            lines.push(line(LineKind::Plain, format!("{alone} {at_least}{freed}")));
            let shared = row.logical_bytes.saturating_sub(row.exclusive_bytes);
            let text = format!(
                "reaches {}, of which {} are shared",
                bytes(row.logical_bytes),
                bytes(shared)
            );
            lines.push(line(LineKind::Plain, text));
        }
        RowKind::Platform | RowKind::Layer | RowKind::Config | RowKind::Blob | RowKind::Upload => {
            lines.push(line(LineKind::Plain, bytes(row.logical_bytes)));
        }
        _ => {}
    }
    for letter in row.flags.chars() {
        if let Some((_, meaning)) = FLAGS.iter().find(|(known, _)| *known == letter) {
            lines.push(line(LineKind::Plain, format!("{letter} {meaning}")));
        }
    }
    if !row.detail.is_empty() && row.detail != row.name && row.detail != "image" {
        lines.push(line(LineKind::Plain, visible(&row.detail).into_owned()));
    }
    lines.extend(finding(row, app));
    lines
}

/// What a code of a finding means, and what to do about it.
fn finding(row: &Row, app: &App) -> Vec<PaneLine> {
    let name = match (row.kind, &app.level().listing.place) {
        (RowKind::Code, _) => &row.name,
        (RowKind::Problem, Place::Problems { code }) => code,
        _ => return Vec::new(),
    };
    let Some(code) = Code::ALL.iter().find(|code| code.name() == name) else {
        return Vec::new();
    };
    let meaning = line(LineKind::Plain, code.meaning());
    vec![meaning, line(LineKind::Plain, format!("what to do: {}", code.hint()))]
}

fn marks(app: &App, width: usize) -> Vec<PaneLine> {
    let mut lines = Vec::new();
    for (place, mark) in app.marks.iter().enumerate() {
        let adds = match app.adds.get(place) {
            Some(Some(bytes)) => ui::bytes(*bytes),
            _ => "…".into(),
        };
        let gap = 13usize.saturating_sub(adds.width());
        let name = cut_middle(&visible(&mark.text()), width.saturating_sub(14));
        let text = format!("{}{adds} {name}", " ".repeat(gap));
        lines.push(PaneLine { kind: LineKind::Plain, text, place: Some(place) });
    }
    if let Some(union) = app.known_union() {
        for skipped in &union.skipped {
            lines.push(line(LineKind::Waiting, skipped.clone()));
        }
        let more = union.skipped_count.saturating_sub(union.skipped.len() as u64);
        if more > 0 {
            lines.push(line(LineKind::Waiting, format!("and {more} more stay")));
        }
    }
    lines
}

/// Lines that fit, and where the one at the cursor stands among them.
fn wrapped(
    lines: Vec<PaneLine>,
    cursor: Option<usize>,
    width: usize,
) -> (Vec<PaneLine>, Option<usize>) {
    let mut fitting = Vec::new();
    let mut at = None;
    for line in lines {
        if cursor.is_some() && line.place == cursor {
            at = Some(fitting.len());
        }
        let indent = line.text.len() - line.text.trim_start().len();
        let mut rest = line.text.as_str();
        let mut prefix = String::new();
        loop {
            let room = width.saturating_sub(prefix.len()).max(1);
            let end = fit(rest, room);
            let text = format!("{prefix}{}", rest[..end].trim_end());
            fitting.push(PaneLine { kind: line.kind, text, place: line.place });
            rest = rest[end..].trim_start();
            if rest.is_empty() {
                break;
            }
            prefix = " ".repeat((indent + 2).min(width / 2));
        }
    }
    (fitting, at)
}

/// How many bytes of a text go into a line: to the last blank that fits, or as much as fits.
fn fit(text: &str, width: usize) -> usize {
    use unicode_width::UnicodeWidthChar as _;
    let mut columns = 0;
    let mut blank = None;
    for (at, char) in text.char_indices() {
        columns += char.width().unwrap_or(0);
        if columns > width {
            return match blank {
                Some(blank) if blank > 0 => blank,
                // A character that is wider than the line stands in it all the same.
                _ if at == 0 => char.len_utf8(),
                _ => at,
            };
        }
        if char == ' ' && !text[..at].trim().is_empty() {
            blank = Some(at);
        }
    }
    text.len()
}
