//! One log, line by line, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::csv::Columns;
use super::line::{Format, read};
use super::store::{PullStore, StoredPulls};
use super::{Coverage, Filter, Line, PullsError, Span};

/// A longer line is none of a log: it is skipped, not held.
const MAX_LINE_BYTES: usize = 1 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// Of the lines that are about no manifest one in this many is asked for its time.
const TIME_EVERY: u64 = 256;

/// What was found in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Lines that hold something.
    pub line_count: u64,
    /// Pulls of repositories that are here.
    pub pull_count: u64,
    /// Of those, the ones that were not counted before.
    pub new_pull_count: u64,
    /// Look-ups without a download.
    pub head_count: u64,
    /// Requests of regsql and of agents that are left out.
    pub own_count: u64,
    /// Pulls of repositories that are not here.
    pub unknown_count: u64,
    /// Lines that were not understood.
    pub skipped_count: u64,
    /// The first of those, from 1.
    pub first_skipped_line: Option<u64>,
    /// Why reading ended before the end.
    pub cut: Option<String>,
    /// The first and the last moment that it makes known.
    pub span: Option<Span>,
}

impl FileReport {
    /// All pulls are of other repositories: the log is another registry's.
    pub fn is_of_another_registry(&self) -> bool {
        self.unknown_count > 0 && self.pull_count == 0
    }

    fn skip(&mut self) {
        self.skipped_count += 1;
        let line = self.line_count;
        self.first_skipped_line.get_or_insert(line);
    }
}

/// Reads a log into `store`; `-` is standard input.
///
/// # Errors
/// When it cannot be opened, or the database cannot be written. A log that ends in the middle counts
/// as far as it goes.
pub fn import_file(
    path: &Path,
    filter: &Filter,
    store: &mut PullStore<'_>,
) -> Result<FileReport, PullsError> {
    let error = |source| PullsError::Read { path: path.to_owned(), source };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(error)?;
        if file.metadata().map_err(error)?.is_dir() {
            return Err(error(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        Box::new(file)
    };
    let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
    let is_gzip = source.fill_buf().map_err(error)?.starts_with(&[0x1f, 0x8b]);
    let import = Import {
        filter,
        store,
        report: FileReport::default(),
        coverage: Coverage::default(),
        counted_format: None,
    };
    if is_gzip {
        let inner = MultiGzDecoder::new(source);
        import.run(BufReader::with_capacity(BUFFER_BYTES, inner))
    } else {
        import.run(source)
    }
}

struct Import<'i, 's> {
    filter: &'i Filter,
    store: &'i mut PullStore<'s>,
    report: FileReport,
    coverage: Coverage,
    /// The registry writes each request in two formats into one stream; pulls of the first count.
    counted_format: Option<Format>,
}

impl Import<'_, '_> {
    fn run(mut self, mut source: impl BufRead) -> Result<FileReport, PullsError> {
        let (mut line, mut last) = (Vec::new(), Vec::new());
        let mut columns: Option<Columns> = None;
        loop {
            line.clear();
            let is_whole = match next_line(&mut source, &mut line) {
                Ok(None) => break,
                Ok(Some(is_whole)) => is_whole,
                Err(source) => {
                    self.report.cut = Some(source.to_string());
                    break;
                }
            };
            if is_whole && line.trim_ascii().is_empty() {
                continue;
            }
            self.report.line_count += 1;
            if !is_whole {
                self.report.skip();
                continue;
            }
            if self.report.line_count == 1 {
                columns = Columns::of(&line);
                if columns.is_some() {
                    continue;
                }
            }
            if let Some(columns) = &columns {
                self.take(columns.read(&line, self.filter), None)?;
                continue;
            }
            let wants_time = self.coverage.spans().is_empty()
                || self.report.line_count.is_multiple_of(TIME_EVERY);
            self.read(&line, wants_time)?;
            std::mem::swap(&mut line, &mut last);
        }
        // The time until which the log goes.
        let mut end = None;
        read(&last, self.filter, true, &mut |line, _| end = time_of(&line).or(end));
        if let Some(end) = end {
            self.coverage.add(end);
        }
        let spans: &[Span] =
            if self.report.is_of_another_registry() { &[] } else { self.coverage.spans() };
        self.store.end_log(spans)?;
        self.report.span = spans.iter().copied().reduce(|one, other| Span {
            from_ns: one.from_ns.min(other.from_ns),
            to_ns: one.to_ns.max(other.to_ns),
        });
        Ok(self.report)
    }

    fn read(&mut self, line: &[u8], wants_time: bool) -> Result<(), PullsError> {
        let filter = self.filter;
        let mut failure = None;
        read(line, filter, wants_time, &mut |line, format| {
            if failure.is_none() {
                failure = self.take(line, format).err();
            }
        });
        failure.map_or(Ok(()), Err)
    }

    fn take(&mut self, line: Line, format: Option<Format>) -> Result<(), PullsError> {
        if let Some(at_ns) = time_of(&line) {
            self.coverage.add(at_ns);
        }
        match line {
            Line::Other(_) => {}
            Line::Head(_) => self.report.head_count += 1,
            Line::Own(_) => self.report.own_count += 1,
            Line::Broken => self.report.skip(),
            Line::Pull(pull) => {
                let counts = *self.counted_format.get_or_insert(format.unwrap_or(Format::Combined))
                    == format.unwrap_or(Format::Combined);
                let stored = self.store.add(&pull, counts)?;
                match stored {
                    StoredPulls::Unknown => self.report.unknown_count += 1,
                    _ if !counts => {}
                    StoredPulls::New => {
                        self.report.pull_count += 1;
                        self.report.new_pull_count += 1;
                    }
                    StoredPulls::Counted => self.report.pull_count += 1,
                }
            }
        }
        Ok(())
    }
}

fn time_of(line: &Line) -> Option<i64> {
    match line {
        Line::Pull(pull) => Some(pull.at_ns),
        Line::Head(at_ns) | Line::Own(at_ns) => Some(*at_ns),
        Line::Other(at_ns) => *at_ns,
        Line::Broken => None,
    }
}

/// Reads a line into `line`. `Some(false)`: it was too long, and is passed over.
fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    let mut is_whole = true;
    let mut is_any = false;
    loop {
        let buffer = match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        if buffer.is_empty() {
            return Ok(is_any.then_some(is_whole));
        }
        is_any = true;
        let end = memchr::memchr(b'\n', buffer);
        let part = &buffer[..end.unwrap_or(buffer.len())];
        if line.len() + part.len() > MAX_LINE_BYTES {
            is_whole = false;
            line.clear();
        }
        if is_whole {
            line.extend_from_slice(part);
        }
        let used = end.map_or(buffer.len(), |end| end + 1);
        source.consume(used);
        if end.is_some() {
            return Ok(Some(is_whole));
        }
    }
}
