//! Rows of an inventory that is CSV.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::columns::{Cell, Columns, Entry};
use super::manifest::CsvForm;
use super::{Refused, Subject};

/// The longest row that is read, in bytes: a key has 1,024, three times as many when it is encoded.
const MAX_ROW_BYTES: usize = 1 << 20;
/// What is read at once.
const BUFFER_BYTES: usize = 1 << 18;

/// Gives each row of a file to `take`.
pub(super) fn each_row(
    file: File,
    form: &CsvForm,
    subject: &Subject,
    take: &mut dyn FnMut(&Columns, Entry) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let reader: Box<dyn Read> = if form.is_gzip {
        Box::new(MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    let reader = Bounded { reader, since_row: 0 };
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).delimiter(form.delimiter).buffer_capacity(BUFFER_BYTES);
    let mut rows = builder.from_reader(reader);
    let mut row = csv::ByteRecord::new();
    let mut columns = match &form.columns {
        Some(names) => Some((
            Columns::new(names.iter().map(String::as_str), subject, form.is_encoded)?,
            names.len(),
        )),
        None => None,
    };
    let mut number = 0_u64;
    loop {
        number += 1;
        let about = |why: &str| Refused::new(format!("row {number}: {why}"));
        match rows.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(about(&shown(&error))),
        }
        rows.get_mut().since_row = 0;
        let Some((columns, width)) = &columns else {
            let names: Option<Vec<&str>> =
                row.iter().map(|name| std::str::from_utf8(name).ok()).collect();
            let names = names.ok_or_else(|| about("the names of its columns are no text"))?;
            let width = names.len();
            columns = Some((Columns::new(names, subject, form.is_encoded)?, width));
            continue;
        };
        if row.len() != *width {
            return Err(about(&format!("it has {} columns, and not {width}", row.len())));
        }
        let is_text = row.iter().all(|field| std::str::from_utf8(field).is_ok());
        if !is_text {
            return Err(about("it is no text"));
        }
        let entry = columns.entry(&|place| match row.get(place).map(std::str::from_utf8) {
            Some(Ok(text)) if !text.is_empty() => Cell::Text(Cow::Borrowed(text)),
            _ => Cell::Null,
        });
        let entry = entry
            .map_err(|why| Refused { reason: format!("row {number}: {}", why.reason), ..why })?;
        take(columns, entry)?;
    }
    match columns {
        Some(_) => Ok(()),
        None => Err(Refused::new("it is empty, without the names of columns")),
    }
}

/// Why a row cannot be read.
fn shown(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the file ends early".to_owned()
        }
        csv::ErrorKind::Io(error) => error.to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} columns, and not {expected_len}")
        }
        _ => error.to_string(),
    }
}

/// Fails where a row does not end, so that none takes memory without end. The ends of lines say nothing of it: a value in
/// quotes may hold them.
struct Bounded<R> {
    reader: R,
    /// Bytes since the last row ended. Some of them were read with that row.
    since_row: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.since_row += length;
        if self.since_row > MAX_ROW_BYTES + BUFFER_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row is too long"));
        }
        Ok(length)
    }
}
