//! The same tables as CSV with a header line, for what does not read Parquet. Values are exact: flags are
//! `true` and `false`, times RFC 3339 in UTC, digests text. Nothing is NULL but an empty field, and no
//! text is changed for spreadsheets.

use super::LakeError;
use super::rows::Sink;
use super::staging::{Part, PartFile, Staging};
use super::table::{Table, Type};
use crate::model::Digest;

/// Writes a table as one or more files.
pub(super) struct Writer<'a> {
    staging: &'a Staging,
    table: &'a Table,
    /// The most rows of a part.
    part_rows: usize,
    open: Option<(csv::Writer<PartFile>, usize)>,
    /// The sha256 digest of a column `other_…` that follows it, which goes in its place.
    fields: Vec<String>,
    parts: Vec<Part>,
}

impl Writer<'_> {
    /// The place in a line of a column: a digest of any algorithm is one field.
    fn columns(&self) -> impl Iterator<Item = usize> {
        let columns = self.table.columns.iter().enumerate();
        let is_other = |at: usize| at > 0 && self.table.columns[at - 1].kind == Type::Digest;
        columns.filter(move |(at, _)| !is_other(*at)).map(|(at, _)| at)
    }

    fn open(&mut self) -> Result<&mut (csv::Writer<PartFile>, usize), LakeError> {
        let open = if let Some(open) = self.open.take() {
            open
        } else {
            let part = self.staging.create_part(self.table.name, self.parts.len())?;
            let mut writer = csv::Writer::from_writer(part);
            let names = self.columns().map(|at| self.table.columns[at].name.as_str());
            writer
                .write_record(names)
                .map_err(|error| self.staging.error(self.table.name, error))?;
            (writer, 0)
        };
        Ok(self.open.insert(open))
    }

    fn end_part(&mut self) -> Result<(), LakeError> {
        if let Some((writer, rows)) = self.open.take() {
            let file = writer
                .into_inner()
                .map_err(|error| self.staging.error(self.table.name, error.into_error()))?;
            file.add_rows(rows);
            self.parts.push(file.finish()?);
        }
        Ok(())
    }
}

impl<'a> super::rows::Writer<'a> for Writer<'a> {
    fn begin(staging: &'a Staging, table: &'a Table, part_rows: usize) -> Result<Self, LakeError> {
        let fields = vec![String::new(); table.columns.len()];
        Ok(Self { staging, table, part_rows, open: None, fields, parts: Vec::new() })
    }

    fn finish(mut self) -> Result<Vec<Part>, LakeError> {
        if self.parts.is_empty() {
            self.open()?;
        }
        self.end_part()?;
        Ok(self.parts)
    }
}

impl Writer<'_> {
    fn put(&mut self, column: usize, field: String) {
        let is_other = column > 0 && self.table.columns[column - 1].kind == Type::Digest;
        self.fields[if is_other { column - 1 } else { column }] = field;
    }
}

impl Sink for Writer<'_> {
    fn null(&mut self, _column: usize) {}

    fn number(&mut self, column: usize, value: i64) {
        let is_time = self.table.columns[column].kind == Type::Time;
        let time = is_time.then(|| jiff::Timestamp::from_microsecond(value));
        self.put(
            column,
            match time {
                None => value.to_string(),
                Some(time) => time.map_or(String::new(), |at| at.to_string()),
            },
        );
    }

    fn flag(&mut self, column: usize, value: bool) {
        self.put(column, value.to_string());
    }

    fn digest(&mut self, column: usize, value: &[u8; 32]) {
        self.put(column, Digest::Sha256(*value).to_string());
    }

    fn text(&mut self, column: usize, value: &str, _number: Option<u32>) {
        self.put(column, value.to_owned());
    }

    fn end_row(&mut self) -> Result<(), LakeError> {
        let columns: Vec<usize> = self.columns().collect();
        let fields = std::mem::take(&mut self.fields);
        let failed = |staging: &Staging, name, error| staging.error(name, error);
        let (staging, name, part_rows) = (self.staging, self.table.name, self.part_rows);
        let (writer, rows) = self.open()?;
        writer
            .write_record(columns.iter().map(|at| fields[*at].as_bytes()))
            .map_err(|error| failed(staging, name, error))?;
        *rows += 1;
        let is_full = *rows == part_rows;
        self.fields = fields;
        self.fields.iter_mut().for_each(String::clear);
        if is_full { self.end_part() } else { Ok(()) }
    }
}
