//! CSV and TSV with a header line, as `psql` writes them with `\\copy … CSV HEADER`.

use std::io::Read;

use super::bounded::Bounded;
use super::error::shown;
use super::{Origin, RootKind, RootsError, Row};
use crate::model::{Digest, is_repository_name, is_tag_name, parse_time_ns};

/// Columns that a file may have.
const COLUMNS: [&str; 7] =
    ["repository", "tag", "digest", "kind", "size_bytes", "pushed_at", "pulled_at"];
const DIGEST: usize = 2;
/// The kind of a row that says how many others there are, in `size_bytes`.
const ROW_COUNT: &str = "row-count";

/// A row longer than this is none: its values have at most some hundred bytes each.
const MAX_ROW_BYTES: usize = 1 << 20;

/// The separator of a header line; `None` when it is none.
pub(super) fn separator_of(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii();
    let is_column = |cell: &[u8]| COLUMNS.iter().any(|column| column.as_bytes() == unquoted(cell));
    [b',', b'\t'].into_iter().find(|separator| {
        let mut cells = line.split(|byte| byte == separator);
        (cells.clone().count() > 1 || unquoted(line) == b"digest") && cells.any(is_column)
    })
}

fn unquoted(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\"")).unwrap_or(cell)
}

/// Hands every row to `take`.
pub(super) fn read(
    file: &str,
    content: &mut dyn Read,
    separator: u8,
    take: &mut dyn FnMut(Row<'_>),
) -> Result<(), RootsError> {
    let (content, begins) = Bounded::new(content, MAX_ROW_BYTES);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .buffer_capacity(1 << 16)
        .from_reader(content);
    let header = reader.headers().map_err(|error| of_csv(file, error))?.clone();
    let mut places = [None; COLUMNS.len()];
    for (at, name) in header.iter().enumerate() {
        let column = COLUMNS.iter().position(|column| *column == name.trim());
        let column = column.ok_or_else(|| {
            RootsError::of_line(
                file,
                1,
                format!("`{name}` is no column of roots; there are {}", COLUMNS.join(", ")),
            )
        })?;
        if places[column].replace(at).is_some() {
            return Err(RootsError::of_line(file, 1, format!("column `{name}` stands twice")));
        }
    }
    if places[DIGEST].is_none() && places[1].is_none() {
        return Err(RootsError::of_line(
            file,
            1,
            "there is neither a column digest nor a column tag",
        ));
    }
    let mut record = csv::StringRecord::new();
    let (mut row_count, mut promised) = (0_u64, None);
    loop {
        let line = reader.position().line();
        begins.now();
        if !reader.read_record(&mut record).map_err(|error| of_csv(file, error))? {
            break;
        }
        let cell = |column: usize| {
            places[column]
                .and_then(|at| record.get(at))
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        if cell(3) == Some(ROW_COUNT) {
            let count = cell(4).and_then(|text| text.parse::<u64>().ok());
            let error = || RootsError::of_line(file, line, "its number of rows is no number");
            promised = Some(count.ok_or_else(error)?);
            continue;
        }
        let row = row(line, cell).map_err(|what| RootsError::of_line(file, line, what))?;
        row_count += 1;
        take(row);
    }
    if let Some(promised) = promised.filter(|promised| *promised != row_count) {
        let what = format!("it says that it has {promised} rows, and {row_count} are there");
        return Err(RootsError::Cut { file: file.into(), what });
    }
    if reader.get_ref().last.is_some_and(|last| last != b'\n') {
        return Err(RootsError::Cut { file: file.into(), what: "its last line has no end".into() });
    }
    Ok(())
}

fn row<'a>(line: u64, cell: impl Fn(usize) -> Option<&'a str>) -> Result<Row<'a>, String> {
    let repository = cell(0);
    if let Some(name) = repository.filter(|name| !is_repository_name(name)) {
        return Err(format!("`{}` is no repository", shown(name)));
    }
    let tag = cell(1);
    if let Some(tag) = tag.filter(|tag| !is_tag_name(tag)) {
        return Err(format!("`{}` is no tag", shown(tag)));
    }
    let digest = cell(DIGEST).map(digest).transpose()?;
    let kind = match cell(3) {
        None | Some("manifest") => RootKind::Manifest,
        Some("blob") => RootKind::Blob,
        Some("manifest-elsewhere") => RootKind::ManifestElsewhere,
        Some(other) => {
            return Err(format!(
                "`{}` is no kind: manifest, blob, manifest-elsewhere",
                shown(other)
            ));
        }
    };
    if digest.is_none() && (tag.is_none() || repository.is_none()) {
        return Err("it has neither a digest nor a repository with a tag".into());
    }
    let size_bytes = cell(4)
        .map(|text| {
            text.parse::<i64>()
                .ok()
                .filter(|size| *size >= 0)
                .ok_or_else(|| format!("`{}` is no size", shown(text)))
        })
        .transpose()?;
    let time = |column| match cell(column) {
        None => Ok(None),
        Some(text) if is_never(text) => Ok(None),
        Some(text) => match time_ns(text) {
            None => Err(format!("`{}` is no time", shown(text))),
            time => Ok(time),
        },
    };
    Ok(Row {
        line,
        kind,
        origin: Origin::Other,
        repository,
        tag,
        digest,
        size_bytes,
        pushed_ns: time(5)?,
        pulled_ns: time(6)?,
    })
}

/// The time that Go has for "not yet", which Harbor writes for an image that was not pulled, and what
/// `psql` prints for it.
fn is_never(text: &str) -> bool {
    text.starts_with("0001-01-01") || text == "-infinity"
}

/// RFC 3339, or as `psql` prints a timestamp: `2026-01-15 08:00:00.123+00`; without a zone it is UTC.
fn time_ns(text: &str) -> Option<i64> {
    let has_zone = text.get(10..)?.contains(['+', '-', 'Z', 'z']);
    if has_zone {
        return parse_time_ns(text);
    }
    let time: jiff::civil::DateTime = text.parse().ok()?;
    let time = jiff::tz::Offset::UTC.to_timestamp(time).ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// A digest, 64 hex digits, or what GitLab's database has: a first byte for the algorithm (01 sha256, 02
/// sha512; registry/datastore/digest.go) and the hash, also as `psql` prints bytea.
pub(super) fn digest(text: &str) -> Result<Digest, String> {
    let error = || format!("`{}` is no digest", shown(text));
    if text.contains(':') {
        return Digest::parse(text).map_err(|_| error());
    }
    let hex = text.strip_prefix("\\x").unwrap_or(text);
    let parsed = match (hex.len(), hex.as_bytes()) {
        (64, bytes) => Digest::from_sha256_hex(bytes),
        (66, [b'0', b'1', rest @ ..]) => Digest::from_sha256_hex(rest),
        (130, [b'0', b'2', rest @ ..]) => std::str::from_utf8(rest)
            .ok()
            .and_then(|rest| Digest::parse(&format!("sha512:{rest}")).ok()),
        _ => None,
    };
    parsed.ok_or_else(error)
}

fn of_csv(file: &str, error: csv::Error) -> RootsError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => RootsError::Read { file: file.into(), source },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => RootsError::of_line(
            file,
            line,
            format!("{len} values, and the header has {expected_len}"),
        ),
        csv::ErrorKind::Utf8 { .. } => RootsError::of_line(file, line, "it is not UTF-8"),
        other => RootsError::of_line(file, line, format!("{other:?}")),
    }
}
