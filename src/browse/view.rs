//! Draws the state. Every name goes through `ui::visible`; what a screen has no room for is cut.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as TextLine, Span};
use ratatui::widgets::{Clear, Paragraph};
use unicode_width::UnicodeWidthStr as _;

use super::keys::{FLAGS, KEYS};
use super::level::Level;
use super::look::{Look, cut_front, cut_middle};
use super::pane;
use super::place::{Branch, Place, Row, RowKind};
use super::state::{App, Focus, Overlay};
use crate::ui::{self, visible};

/// From this width on, what there is to say about a row stands beside the list; below it under it.
const WIDE: u16 = 110;

/// Draws everything, and notes where things are.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look) {
    let area = frame.area();
    app.areas.tabs.clear();
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ];
    let [tabs, path, middle, marks, hints] = Layout::vertical(rows).areas(area);
    draw_tabs(frame, app, look, tabs);
    draw_path(frame, app, look, path);
    let (list, pane) = if area.width >= WIDE {
        let [list, pane] =
            Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(middle);
        (list, pane)
    } else if middle.height >= 12 {
        // A short list leaves the rest to what there is to say.
        let rows = u16::try_from(app.level().count()).unwrap_or(u16::MAX);
        let height = rows.saturating_add(2).clamp(5, middle.height * 3 / 5);
        let [list, pane] =
            Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(middle);
        (list, pane)
    } else {
        (middle, Rect::default())
    };
    draw_list(frame, app, look, list);
    app.areas.pane = pane;
    pane::draw(frame, app, look, pane);
    draw_marks(frame, app, look, marks);
    draw_hints(frame, app, hints);
    if let Some(Overlay::Help(line)) = app.overlay {
        // A key up moves at once, however far down one has pressed.
        app.overlay = Some(Overlay::Help(draw_help(frame, look, area, line)));
    }
    app.settle();
}

fn draw_tabs(frame: &mut Frame<'_>, app: &mut App, look: Look, area: Rect) {
    let mut spans = Vec::new();
    let mut x = area.x;
    for (number, branch) in (1..).zip(Branch::ALL) {
        let figure = match branch {
            Branch::Garbage if app.facts.garbage_bytes > 0 => {
                format!(" {}", short_bytes(app.facts.garbage_bytes))
            }
            Branch::Problems if app.facts.problem_count > 0 => {
                format!(" {}", app.facts.problem_count)
            }
            _ => String::new(),
        };
        let text = format!(" {number} {}{figure} ", branch.title());
        let width = text.width() as u16;
        let room = area.right().saturating_sub(x);
        app.areas.tabs.push(Rect {
            x,
            y: area.y,
            width: width.min(room),
            height: area.height.min(1),
        });
        x = x.saturating_add(width);
        let style = if branch == app.branch {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, style));
    }
    let age = (app.now_ns - app.facts.finished_ns) / 1_000_000_000;
    let room = usize::from(area.right().saturating_sub(x));
    let at_least = if app.facts.is_at_least { " · figures are at least" } else { "" };
    let about = format!("  scan of {}{at_least}", ui::ago(age));
    if about.width() <= room {
        spans.push(Span::styled(about, look.dim()));
    }
    frame.render_widget(Paragraph::new(TextLine::from(spans)), area);
}

/// Where the list is, from the top down.
fn path_of(app: &App) -> String {
    let mut parts = Vec::new();
    let mut known = String::new();
    for level in app.stack() {
        parts.push(match &level.listing.place {
            Place::Groups { prefix } if prefix.is_empty() => "all repositories".to_owned(),
            Place::Groups { prefix } => {
                let shown = prefix.strip_prefix(&known).unwrap_or(prefix);
                let shown = format!("{}/", shown.trim_start_matches('/'));
                known.clone_from(prefix);
                shown
            }
            Place::Tags { repository } => {
                let shown = repository.strip_prefix(&known).filter(|_| !known.is_empty());
                shown.unwrap_or(repository).trim_start_matches('/').to_owned()
            }
            Place::Image { tag, digest, .. } => match tag {
                Some(tag) => tag.clone(),
                None => ui::short_digest(digest).to_owned(),
            },
            Place::Layers => "all layers".into(),
            Place::Holders { digest } => format!("holders of {}", ui::short_digest(digest)),
            Place::Garbage => "what no tag needs".into(),
            Place::Class { name } => name.clone(),
            Place::Trash => "runs in the trash".into(),
            Place::Codes => "problems".into(),
            Place::Problems { code } => code.clone(),
        });
    }
    visible(&parts.join(" > ")).into_owned()
}

fn draw_path(frame: &mut Frame<'_>, app: &App, look: Look, area: Rect) {
    let level = app.level();
    let order = &level.listing.order;
    let reversed = if order.is_reversed { ", reversed" } else { "" };
    let count = level.summary.map_or_else(|| "…".to_owned(), |all| all.count.to_string());
    let sort = order.sort.title();
    let mut right = match level.waits_for() {
        Some(waiting) if level.are_rows_old => format!("{waiting} "),
        Some(waiting) => format!("{count} rows by {sort}{reversed} {waiting} "),
        None => format!("{count} rows by {sort}{reversed} "),
    };
    if !level.listing.filter.is_empty() {
        right = format!("/{}  {right}", visible(&level.listing.filter));
    }
    let room = usize::from(area.width).saturating_sub(right.width() + 2);
    let left = cut_front(&path_of(app), room);
    let gap = usize::from(area.width).saturating_sub(left.width() + right.width() + 1);
    let line = TextLine::from(vec![
        Span::styled(format!(" {left}"), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(" ".repeat(gap)),
        Span::styled(right, look.dim()),
    ]);
    frame.render_widget(Paragraph::new(line), area);
}

/// The columns beside the name, as wide as there is room.
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own")]
struct Columns {
    has_bytes: bool,
    bar: usize,
    has_share: bool,
    has_count: bool,
    has_age: bool,
    name: usize,
}

const SIZE: usize = 10;
const SHARE: usize = 6;
const COUNT: usize = 7;
const AGE: usize = 5;

impl Columns {
    fn new(width: usize, has_bytes: bool) -> Self {
        // Flags always stand there, and the size where there is one.
        let bar = if width >= 90 { 10 } else { 6 };
        let mut rest = width.saturating_sub(if has_bytes { 4 + SIZE + 1 } else { 4 });
        let mut take = |needed: usize, leaves: usize| {
            let fits = rest >= needed + leaves;
            if fits {
                rest -= needed;
            }
            fits
        };
        let has_share = has_bytes && take(SHARE, 20);
        let has_age = take(AGE, 20);
        let has_count = take(COUNT, 20);
        let bar = if has_bytes && take(bar + 1, 20) { bar } else { 0 };
        Self { bar, has_bytes, has_share, has_count, has_age, name: rest }
    }
}

fn draw_list(frame: &mut Frame<'_>, app: &mut App, look: Look, area: Rect) {
    let [heading, rows] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    app.areas.rows = rows;
    app.settle();
    let level = app.level();
    let columns = Columns::new(usize::from(area.width), level.listing.place.has_bytes());
    let mut text = String::from("    ");
    if columns.bar > 0 {
        text.push_str(&" ".repeat(columns.bar + 1));
    }
    if columns.has_bytes {
        let has_measures = level.listing.place.has_measures();
        let measure = if has_measures { level.measure().title() } else { "size" };
        text.extend([format!("{measure:>SIZE$} ")]);
    }
    if columns.has_share {
        text.push_str("share ");
    }
    if columns.has_count {
        text.extend([format!("{:>6} ", level.listing.place.counted())]);
    }
    if columns.has_age {
        text.push_str(" age ");
    }
    text.push_str("name");
    frame.render_widget(Paragraph::new(Span::styled(text, look.dim())), heading);
    if level.count() == 0 && level.summary.is_some() {
        let why = if level.listing.filter.is_empty() { "nothing here" } else { "nothing matches" };
        frame.render_widget(Paragraph::new(Span::styled(format!("    {why}"), look.dim())), rows);
        return;
    }
    for line in 0..rows.height {
        let place = level.top + u64::from(line);
        if level.summary.is_some_and(|all| place >= all.count) {
            break;
        }
        let at = Rect { y: rows.y + line, height: 1, ..rows };
        let row_line = match level.row(place) {
            Some(row) => {
                let has_cursor = place == level.cursor && app.focus == Focus::List;
                row_line(app, level, row, &columns, look, has_cursor)
            }
            None if level.pending.is_some() => TextLine::from(Span::styled("    …", look.dim())),
            None => break,
        };
        let mut style = Style::new();
        if place == level.cursor && app.focus != Focus::List {
            style = style.add_modifier(Modifier::UNDERLINED);
        }
        frame.render_widget(Paragraph::new(row_line).style(style), at);
    }
}

fn row_line<'a>(
    app: &App,
    level: &Level,
    row: &Row,
    columns: &Columns,
    look: Look,
    has_cursor: bool,
) -> TextLine<'a> {
    let is_marked = app.is_marked(row);
    let mut flags = String::from(if is_marked { "*" } else { " " });
    flags.extend(row.flags.chars().take(2));
    let flag_style = match row.flags.chars().next() {
        _ if is_marked => look.color(Color::Yellow),
        Some('!') => look.color(Color::Red),
        _ => look.color(Color::Cyan),
    };
    // The bar is itself a field of colour, and would be its own negative under the cursor.
    let under =
        if has_cursor { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
    let mut spans = vec![Span::styled(format!("{flags:<4}"), flag_style)];
    let bytes = row.bytes(level.measure());
    let most = level.summary.map_or(bytes, |all| all.most_bytes).max(bytes).max(1);
    if columns.bar > 0 {
        let bar = bar(bytes as f64 / most as f64, columns.bar);
        spans.push(Span::styled(format!("{bar} "), look.color(Color::Green)));
    }
    // Of the classes of garbage some are links, which take no space.
    let is_blank = row.kind == RowKind::Class && bytes == 0;
    if columns.has_bytes {
        let at_least = if row.is_at_least || app.facts.is_at_least { "≥" } else { "" };
        let size = format!("{at_least}{}", short_bytes(bytes));
        let size = if is_blank { String::new() } else { size };
        let gap = " ".repeat(SIZE.saturating_sub(size.width()));
        spans.push(Span::styled(format!("{gap}{size} "), under));
    }
    if columns.has_share {
        let share = match level.whole_bytes().filter(|whole| *whole > 0 && !is_blank) {
            Some(whole) => format!("{:.0} %", bytes as f64 * 100.0 / whole as f64),
            None => String::new(),
        };
        spans.push(Span::styled(format!("{share:>5} "), under));
    }
    if columns.has_count {
        spans.push(Span::styled(format!("{:>6} ", short_count(row.item_count)), under));
    }
    if columns.has_age {
        let age = row.time_ns.map_or_else(String::new, |time| short_age(app.now_ns - time));
        spans.push(Span::styled(format!("{age:>4} "), under));
    }
    let mut name = visible(&row.name).into_owned();
    let detail = visible(&row.detail);
    // What does not fit is in the pane.
    let with_detail = name.width() + 2 + detail.width();
    if !detail.is_empty() && detail != name && with_detail <= columns.name {
        name = format!("{name}  {detail}");
    }
    let style = if is_marked { under.add_modifier(Modifier::BOLD) } else { under };
    let mut name = cut_middle(&name, columns.name);
    if has_cursor {
        name.push_str(&" ".repeat(columns.name.saturating_sub(name.width())));
    }
    spans.push(Span::styled(name, style));
    TextLine::from(spans)
}

fn draw_marks(frame: &mut Frame<'_>, app: &App, look: Look, area: Rect) {
    let text = if app.marks.is_empty() {
        " nothing marked".to_owned()
    } else {
        let count = app.marks.len();
        let marks = if count == 1 { "mark" } else { "marks" };
        match app.known_union() {
            Some(union) => {
                let stay = match union.skipped_count {
                    0 => String::new(),
                    count => format!(" · {count} of it stays (m)"),
                };
                let at_least = if app.facts.is_at_least { "at least " } else { "" };
                let freed = ui::bytes(union.freed_bytes);
                format!(" {count} {marks}: deleting all together frees {at_least}{freed}{stay}")
            }
            None => format!(" {count} {marks}: working out what they free together …"),
        }
    };
    let style = if app.marks.is_empty() { look.dim() } else { look.color(Color::Yellow) };
    frame.render_widget(Paragraph::new(Span::styled(text, style)), area);
}

fn draw_hints(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let (text, style) = match (&app.overlay, &app.message, &app.progress) {
        (Some(Overlay::Filter), ..) => (
            format!(
                " filter: {}▏  Enter keeps it, Esc ends it",
                visible(&app.level().listing.filter)
            ),
            bold,
        ),
        (Some(Overlay::Path(path)), ..) => {
            (format!(" write the plan to: {}▏  Enter, Esc", visible(path)), bold)
        }
        (Some(Overlay::Quit), ..) => {
            let count = app.marks.len();
            let marks = if count == 1 { "mark is" } else { "marks are" };
            let text = format!(
                " {count} {marks} lost: q quits, w writes a plan, p prints the prune line, Esc stays"
            );
            (text, bold)
        }
        (_, Some(message), _) => (format!(" {message}"), bold),
        (_, _, Some(progress)) => (format!(" {progress}"), bold),
        _ => {
            let text =
                " ? help  Enter open  h back  Space mark  a bytes  t turn over  / filter  q quit";
            (text.to_owned(), Style::new())
        }
    };
    let text = cut_middle(&text, usize::from(area.width));
    frame.render_widget(Paragraph::new(Span::styled(text, style)), area);
}

/// Draws the help from a line on, or its last screen. Gives the line that it begins with.
fn draw_help(frame: &mut Frame<'_>, look: Look, area: Rect, line: u16) -> u16 {
    let mut lines: Vec<TextLine<'_>> = vec![
        TextLine::from(Span::styled(
            " Keys (j, k, PgDn, PgUp, g and G scroll; any other key ends this)",
            Style::new().add_modifier(Modifier::BOLD),
        )),
        TextLine::default(),
    ];
    lines.extend(KEYS.iter().map(|binding| {
        TextLine::from(vec![
            Span::styled(format!(" {:<15}", binding.shown), look.color(Color::Cyan)),
            Span::raw(binding.help),
        ])
    }));
    lines.push(TextLine::default());
    lines.push(TextLine::from(Span::styled(
        " Letters before a row",
        Style::new().add_modifier(Modifier::BOLD),
    )));
    lines.extend(FLAGS.iter().map(|(letter, meaning)| {
        TextLine::from(vec![
            Span::styled(format!(" {letter:<15}"), look.color(Color::Cyan)),
            Span::raw(*meaning),
        ])
    }));
    lines.push(TextLine::default());
    lines.push(TextLine::from(
        " exclusive: deleting just this frees it. logical: all that it reaches.",
    ));
    lines.push(TextLine::from(
        " shared: what something else keeps too. ≥: at least, still being worked out.",
    ));
    let most = (lines.len() as u16).saturating_sub(area.height);
    let line = line.min(most);
    if line < most {
        let below = format!(" {} more lines below", most - line + 1);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        lines.truncate(usize::from(line + area.height).saturating_sub(1));
        lines.push(TextLine::from(Span::styled(below, bold)));
    }
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).scroll((line, 0)), area);
    line
}

/// A bar in eighths of a cell.
fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    let length = bar.chars().count();
    bar.push_str(&" ".repeat(width.saturating_sub(length)));
    bar
}

/// `1.2 GiB`: one digit behind the point, for a column.
fn short_bytes(bytes: u64) -> String {
    let long = ui::bytes(bytes);
    match long.split_once('.') {
        Some((whole, rest)) => format!("{whole}.{}{}", &rest[..1], &rest[3..]),
        None => long,
    }
}

fn short_count(count: u64) -> String {
    match count {
        0..=99_999 => count.to_string(),
        100_000..=99_999_999 => format!("{}k", count / 1000),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// `5 d`: at most four columns.
fn short_age(age_ns: i64) -> String {
    let minutes = (age_ns / 60_000_000_000).max(0);
    match minutes {
        0..60 => format!("{minutes}m"),
        60..1440 => format!("{}h", minutes / 60),
        1440..525_600 => format!("{}d", minutes / 1440),
        _ => format!("{}y", (minutes / 525_600).min(999)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_fit_their_columns() {
        assert_eq!(short_bytes(3_044_051_157), "2.8 GiB");
        assert_eq!(short_bytes(512), "512 B");
        assert_eq!(short_age(90 * 60_000_000_000), "1h");
        assert_eq!(short_age(i64::MAX), "292y");
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(f64::NAN, 4), "    ");
    }
}
