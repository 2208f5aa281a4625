//! How soon `browse` answers on a database: `cargo run --release --example browse_times -- registry.db`.
//! Prints the rows of the table in docs/browse.md.
//!
//! Draws on a screen in memory. *Shown* is what a person waits for after a key: the state takes it and
//! the screen is drawn, with the old rows as long as the new ones are not there. *Rows* is when they are
//! there: every list in every order, its first, middle and last rows, and with a filter typed letter by
//! letter. In the program another thread works them out, and one more reads the numbers of long lists ahead. All but
//! the first frame is time of the processor, which other work on the machine does not change.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use regsql::browse::{
    Answer, App, Deletions, Listing, Look, Mark, Measure, Order, Outside, Place, Request, Row,
    Sort, Source, about, draw, rows,
};
use regsql::commands::{BrowseArgs, Context, browse_outside};
use regsql::ui::{Color, LogTime, Printer, Verbosity};

/// A walk through all kinds of lists, with a filter in the longest one.
const WALK: &str = "jjjjG gljjlllhhhh2jjGgjlh2MsNs3ljjjGgh5l1l/1.\n2/copy --from=\ng/\u{1b}";

/// Filters as they are typed: what many rows have, what few have, what none has, and a digest.
const FILTERS: [&str; 4] = ["copy", "app-0", "zzz", "sha256:3f91"];

/// The time that this thread has had of a processor.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The slowest of many, and what it was.
#[derive(Default)]
struct Slowest(Duration, String);

impl Slowest {
    fn take<T>(&mut self, what: impl FnOnce() -> String, work: impl FnOnce() -> T) -> T {
        let begun = processor();
        let result = work();
        self.add(processor().saturating_sub(begun), what);
        result
    }

    fn add(&mut self, took: Duration, what: impl FnOnce() -> String) {
        if took > self.0 {
            *self = Self(took, what());
        }
    }

    fn text(&self) -> String {
        if self.1.is_empty() { String::new() } else { format!("{:.1?} ({})", self.0, self.1) }
    }
}

struct Screen {
    app: App,
    source: Source,
    outside: Outside,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    fn draw(&mut self) -> Result<()> {
        self.terminal.draw(|frame| draw(frame, &mut self.app, Look { has_color: true }))?;
        Ok(())
    }

    /// Draws and answers until nothing is asked for.
    fn settle(&mut self) -> Result<()> {
        loop {
            self.draw()?;
            let requests = std::mem::take(&mut self.app.requests);
            if requests.is_empty() {
                return Ok(());
            }
            for request in requests {
                if let Request::About { version, row } = request {
                    let lines = about(&self.source, &self.outside, &row);
                    self.app.answer(Answer::About { version, lines });
                } else if matches!(
                    request,
                    Request::Rows { .. } | Request::Summary { .. } | Request::Position { .. }
                ) {
                    let answer = rows(&self.source, &request);
                    self.app.answer(answer);
                }
            }
        }
    }
}

/// Every list that there is, with one of each kind below it.
fn places(source: &mut Source) -> Result<Vec<(String, Place)>> {
    let mut places = vec![];
    let top = Place::Groups { prefix: String::new() };
    for (name, place) in [
        ("repositories", top.clone()),
        ("layers", Place::Layers),
        ("garbage", Place::Garbage),
        ("problems", Place::Codes),
    ] {
        places.push((name.to_owned(), place));
    }
    // The way down to the largest repository, its largest tag and platform.
    let mut from = top;
    loop {
        let order = order(Sort::Count, Measure::Logical);
        let listing = Listing { place: from.clone(), order, filter: String::new() };
        let first = source.rows(&listing, 0, 1)?.into_iter().next();
        let Some(place) = first.and_then(|row| row.opens(&from)) else {
            break;
        };
        let name = match &place {
            Place::Groups { prefix } => format!("group {prefix}"),
            Place::Tags { .. } => "tags of the largest repository".into(),
            Place::Image { .. } => "image".into(),
            _ => break,
        };
        places.push((name, place.clone()));
        from = place;
    }
    for (place, kind) in [(Place::Layers, "holders"), (Place::Garbage, ""), (Place::Codes, "")] {
        let order = order(Sort::Count, Measure::Logical);
        let listing = Listing { place: place.clone(), order, filter: String::new() };
        let rows = if kind == "holders" { 1 } else { 100 };
        for row in source.rows(&listing, 0, rows)? {
            if let Some(below) = row.opens(&place) {
                let name = if kind.is_empty() { row.name } else { kind.into() };
                places.push((name, below));
            }
        }
    }
    Ok(places)
}

fn order(sort: Sort, measure: Measure) -> Order {
    Order { sort, is_reversed: false, measure }
}

/// Marks for the sum of many.
const MOST_MARKS: u64 = 10_000;

/// Kibibytes of a line of `/proc/self/status`.
fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The sum of very many marks: tags and revisions that hold the most used layer. Memory is the most that this takes on top
/// of what is there, graph included.
fn many_marks(screen: &Screen, deletions: &Deletions, report: &mut Vec<String>) -> Result<()> {
    let order = order(Sort::Count, Measure::Logical);
    let listing = |place| Listing { place, order, filter: String::new() };
    let layer = screen.source.rows(&listing(Place::Layers), 0, 1)?.remove(0);
    let place = layer.opens(&Place::Layers).ok_or("a layer has no holders")?;
    let rows = screen.source.rows(&listing(place), 0, MOST_MARKS)?;
    let marks: Vec<Mark> = rows.iter().filter_map(|row| row.mark().ok()).collect();
    drop(rows);
    // From here on the peak is counted anew (proc(5), clear_refs).
    std::fs::write("/proc/self/clear_refs", "5")?;
    let (before_kib, begun) = (status_kib("VmRSS"), processor());
    let union = deletions.union(&marks);
    let took = processor().saturating_sub(begun);
    let mib = status_kib("VmHWM").saturating_sub(before_kib) / 1024;
    report.push(format!(
        "| sum of {} marks ({} bytes) | {took:.1?}, {mib} MiB more at its peak |",
        marks.len(),
        union.freed_bytes
    ));
    Ok(())
}

/// Lists as they are opened, before their numbers are there; then the numbers of all of them.
fn read_ahead(screen: &Screen, report: &mut Vec<String>) -> Result<()> {
    let class = |name: &str| Place::Class { name: name.into() };
    let (mut opened, mut ahead) = (Slowest::default(), Duration::ZERO);
    let before_kib = status_kib("RssAnon");
    for place in [
        Place::Layers,
        class("orphan blobs"),
        class("untagged revisions"),
        class("unneeded layer links"),
        class("dangling layer links"),
        Place::Holders { digest: String::new() },
    ] {
        if !matches!(place, Place::Holders { .. }) {
            let order = order(Sort::Size, Measure::Exclusive);
            let listing = Listing { place: place.clone(), order, filter: String::new() };
            let what = || format!("{place:?}");
            opened.take(what, || screen.source.rows(&listing, 0, 600))?;
            opened.take(what, || screen.source.summary(&listing))?;
        }
        let begun = processor();
        screen.source.read_ahead(&place)?;
        ahead += processor().saturating_sub(begun);
    }
    let mib = status_kib("RssAnon").saturating_sub(before_kib) / 1024;
    report.push(format!("| a long list is opened | {} |", opened.text()));
    report.push(format!("| all long lists read ahead | {ahead:.1?}, {mib} MiB |"));
    Ok(())
}

/// Every list in every order and with every filter.
fn lists(screen: &mut Screen, report: &mut Vec<String>) -> Result<()> {
    for (name, place) in places(&mut screen.source)? {
        let (mut orders, mut filters, mut why) =
            (Slowest::default(), Slowest::default(), Slowest::default());
        let mut listing =
            Listing { place, order: order(Sort::Size, Measure::Exclusive), filter: String::new() };
        let count = orders.take(|| "count".into(), || screen.source.summary(&listing))?.count;
        let mut seen: Vec<Row> = Vec::new();
        for sort in [Sort::Size, Sort::Name, Sort::Count, Sort::Time] {
            for measure in [Measure::Exclusive, Measure::Shared, Measure::Logical] {
                let is_same = sort != Sort::Size || !listing.place.has_measures();
                if is_same && measure != Measure::Exclusive {
                    continue;
                }
                for is_reversed in [false, true] {
                    listing.order = Order { sort, is_reversed, measure };
                    for offset in [0, count / 2, count.saturating_sub(600)] {
                        let what = || format!("{sort:?} {measure:?} {is_reversed} row {offset}");
                        let rows =
                            orders.take(what, || screen.source.rows(&listing, offset, 600))?;
                        seen.extend(rows.into_iter().take(2));
                    }
                }
            }
        }
        listing.order = order(Sort::Size, Measure::Exclusive);
        for filter in FILTERS {
            for end in 1..=filter.len() {
                filter[..end].clone_into(&mut listing.filter);
                let source = &mut screen.source;
                let what = || format!("rows of {}", &filter[..end]);
                filters.take(what, || source.rows(&listing, 0, 600))?;
                let what = || format!("count of {}", &filter[..end]);
                filters.take(what, || source.summary(&listing))?;
            }
        }
        for row in &seen {
            let what = || row.name.chars().take(20).collect();
            why.take(what, || about(&screen.source, &screen.outside, row));
        }
        let cells = [orders.text(), filters.text(), why.text()];
        report.push(format!("| {name} | {count} | {} |", cells.join(" | ")));
    }
    Ok(())
}

fn main() -> Result<()> {
    let database = PathBuf::from(std::env::args().nth(1).ok_or("which database?")?);
    let printer = Printer::new(Verbosity::Quiet, Color::Never, LogTime::Never);
    let context = Context { db: database, printer };
    let outside = browse_outside(&context, &BrowseArgs::default())
        .map_err(|error| error.messages().join(": "))?;
    let begun = Instant::now();
    let source = Source::open(&outside)?;
    let app = App::new(source.facts()?, outside.now_ns, None);
    let terminal = Terminal::new(TestBackend::new(160, 50))?;
    let mut screen = Screen { app, source, outside, terminal };
    screen.settle()?;
    let mut report = vec![format!("| first frame | {:.1?} |", begun.elapsed())];

    read_ahead(&screen, &mut report)?;

    let before_kib = status_kib("RssAnon");
    let begun = processor();
    let deletions = (screen.outside.deletions)()?;
    let graph_mib = status_kib("RssAnon").saturating_sub(before_kib) / 1024;
    report.push(format!(
        "| graph read, in the background | {:.1?}, {graph_mib} MiB |",
        processor().saturating_sub(begun)
    ));
    let begun = processor();
    screen.source.learn(&deletions.groups(), &[])?;
    screen.app.answer(Answer::Learned);
    screen.settle()?;
    report
        .push(format!("| exact bytes of all groups | {:.1?} |", processor().saturating_sub(begun)));

    let mut shown = Slowest::default();
    for char in WALK.chars() {
        let code = match char {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            'l' if screen.app.overlay.is_none() => KeyCode::Enter,
            char => KeyCode::Char(char),
        };
        let event = Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
        let begun = processor();
        screen.app.event(&event);
        screen.draw()?;
        shown.add(processor().saturating_sub(begun), || format!("key {char:?}"));
        screen.settle()?;
    }
    report.push(format!("| a key is shown | {} |", shown.text()));

    screen.app.event(&Event::Key(KeyEvent::new(KeyCode::Char('d'), KeyModifiers::NONE)));
    let marks = screen.app.marks.clone();
    let begun = processor();
    let union = deletions.union(&marks);
    let freed_bytes = union.freed_bytes;
    report.push(format!(
        "| sum of {} marks ({freed_bytes} bytes) | {:.1?} |",
        marks.len(),
        processor().saturating_sub(begun)
    ));
    many_marks(&screen, &deletions, &mut report)?;
    lists(&mut screen, &mut report)?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    report.extend(
        status
            .lines()
            .filter(|line| line.starts_with("VmHWM") || line.starts_with("Rss"))
            .map(str::to_owned),
    );
    context.printer.results(&format!("{}\n", report.join("\n")))?;
    Ok(())
}
