//! Parquet files of typed columns, without Arrow: a row group is collected column by column and then
//! written (parquet.apache.org/docs/file-format).
//!
//! Numbers are packed as differences, texts as a dictionary, digests as they are. The least and the greatest value of a
//! group stand beside what engines look for: numbers, times, digests, repositories and tags. All columns may be NULL. Nothing in a file depends on when or where it was written.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type as Node, TypePtr};

use super::LakeError;
use super::rows::Sink;
use super::staging::{Part, PartFile, Staging};
use super::table::{Column, Table, Type};

/// Rows of a group, which is what is held in memory, and the unit that engines read in parallel.
const GROUP_ROWS: usize = 1 << 17;

/// Values that the crate is given at once.
const BATCH_ROWS: usize = 1 << 12;

/// A file ends with the group that reaches this: parts are uploaded whole.
const PART_BYTES: usize = 128 << 20;

/// Writes a table as one or more files.
pub(super) struct Writer<'a> {
    staging: &'a Staging,
    table: &'a Table,
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    columns: Vec<Values>,
    /// The levels of a column that has every value.
    all_there: Vec<i16>,
    row_count: usize,
    /// Rows of a group, and the most of a part.
    group_rows: usize,
    part_rows: usize,
    /// The part that is being written, and how many rows it has.
    open: Option<(SerializedFileWriter<PartFile>, usize)>,
    parts: Vec<Part>,
}

/// The values of one column in a group.
struct Values {
    row_count: usize,
    /// 1 where there is a value; empty while there is one in every row.
    levels: Vec<i16>,
    data: Data,
}

enum Data {
    Numbers(Vec<i64>),
    Flags(Vec<bool>),
    /// One after another.
    Digests(Vec<u8>),
    Texts(Texts),
}

/// Texts, of which those that come again and again are held once.
#[derive(Default)]
struct Texts {
    /// The place of each row's text among all.
    rows: Vec<u32>,
    all: Vec<ByteArray>,
    by_number: Vec<Option<u32>>,
    /// Places of those without a number that came last.
    recent: VecDeque<u32>,
}

impl Texts {
    const RECENT: usize = 8;

    fn push(&mut self, text: &str, number: Option<u32>) {
        let place = match number {
            Some(number) => self.numbered(text, number as usize),
            None => self.unnumbered(text),
        };
        self.rows.push(place);
    }

    fn numbered(&mut self, text: &str, number: usize) -> u32 {
        if number >= self.by_number.len() {
            self.by_number.resize(number + 1, None);
        }
        if let Some(place) = self.by_number[number] {
            return place;
        }
        let place = self.add(text);
        self.by_number[number] = Some(place);
        place
    }

    fn unnumbered(&mut self, text: &str) -> u32 {
        let is_it = |place: &&u32| self.all[**place as usize].data() == text.as_bytes();
        if let Some(place) = self.recent.iter().find(is_it) {
            return *place;
        }
        let place = self.add(text);
        if self.recent.len() == Self::RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(place);
        place
    }

    fn add(&mut self, text: &str) -> u32 {
        self.all.push(text.into());
        self.all.len() as u32 - 1
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.all.clear();
        self.by_number.clear();
        self.recent.clear();
    }
}

impl Values {
    fn new(kind: Type) -> Self {
        let data = match kind {
            Type::Integer | Type::Time => Data::Numbers(Vec::new()),
            Type::Boolean => Data::Flags(Vec::new()),
            Type::Digest => Data::Digests(Vec::new()),
            Type::Text => Data::Texts(Texts::default()),
        };
        Self { row_count: 0, levels: Vec::new(), data }
    }

    /// The row has a value, which was pushed, or none.
    fn end_value(&mut self, is_there: bool) {
        if !is_there && self.levels.is_empty() {
            self.levels.resize(self.row_count, 1);
        }
        if !is_there || !self.levels.is_empty() {
            self.levels.push(i16::from(is_there));
        }
        self.row_count += 1;
    }

    fn write(
        &mut self,
        writer: &mut ColumnWriter<'_>,
        all_there: &[i16],
    ) -> parquet::errors::Result<()> {
        let is_whole = self.levels.is_empty();
        let levels = if is_whole { &all_there[..self.row_count] } else { &self.levels[..] };
        match (writer, &mut self.data) {
            (ColumnWriter::Int64ColumnWriter(writer), Data::Numbers(values)) => {
                writer.write_batch(values, Some(levels), None)?;
                values.clear();
            }
            (ColumnWriter::BoolColumnWriter(writer), Data::Flags(values)) => {
                writer.write_batch(values, Some(levels), None)?;
                values.clear();
            }
            (ColumnWriter::FixedLenByteArrayColumnWriter(writer), Data::Digests(values)) => {
                let bytes = Bytes::from(std::mem::take(values));
                let mut digests = (0..bytes.len())
                    .step_by(32)
                    .map(|at| FixedLenByteArray::from(ByteArray::from(bytes.slice(at..at + 32))));
                write_batches(writer, &mut digests, levels)?;
            }
            (ColumnWriter::ByteArrayColumnWriter(writer), Data::Texts(texts)) => {
                let mut values = texts.rows.iter().map(|place| texts.all[*place as usize].clone());
                write_batches(writer, &mut values, levels)?;
                texts.clear();
            }
            _ => {}
        }
        self.levels.clear();
        self.row_count = 0;
        Ok(())
    }
}

/// Writes values that are made only now, few at a time: those of a whole group take much memory.
fn write_batches<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: &mut impl Iterator<Item = T::T>,
    levels: &[i16],
) -> parquet::errors::Result<()> {
    let mut batch = Vec::new();
    for levels in levels.chunks(BATCH_ROWS) {
        let count = levels.iter().filter(|level| **level == 1).count();
        batch.extend(values.take(count));
        writer.write_batch(&batch, Some(levels), None)?;
        batch.clear();
    }
    Ok(())
}

impl Writer<'_> {
    fn write_group(&mut self) -> Result<(), LakeError> {
        let failed = |error| self.staging.error(self.table.name, error);
        let (mut file, rows) = if let Some(open) = self.open.take() {
            open
        } else {
            let part = self.staging.create_part(self.table.name, self.parts.len())?;
            let (schema, properties) = (self.schema.clone(), self.properties.clone());
            (SerializedFileWriter::new(part, schema, properties).map_err(failed)?, 0)
        };
        if self.row_count > 0 {
            let mut group = file.next_row_group().map_err(failed)?;
            for values in &mut self.columns {
                let Some(mut column) = group.next_column().map_err(failed)? else { break };
                values.write(column.untyped(), &self.all_there).map_err(failed)?;
                column.close().map_err(failed)?;
            }
            group.close().map_err(failed)?;
        }
        file.inner().add_rows(self.row_count);
        self.open = Some((file, rows + self.row_count));
        self.row_count = 0;
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), LakeError> {
        if let Some((mut file, _)) = self.open.take() {
            let failed = |error| self.staging.error(self.table.name, error);
            // Taken out of the writer before, the file would give a full disk's error as a text.
            file.finish().map_err(failed)?;
            self.parts.push(file.inner().finish()?);
        }
        Ok(())
    }
}

impl<'a> super::rows::Writer<'a> for Writer<'a> {
    fn begin(staging: &'a Staging, table: &'a Table, part_rows: usize) -> Result<Self, LakeError> {
        let failed = |error| staging.error(table.name, error);
        Ok(Self {
            staging,
            table,
            schema: schema(table).map_err(failed)?,
            properties: Arc::new(properties(table)),
            columns: table.columns.iter().map(|column| Values::new(column.kind)).collect(),
            all_there: vec![1; GROUP_ROWS.min(part_rows)],
            row_count: 0,
            group_rows: GROUP_ROWS.min(part_rows),
            part_rows,
            open: None,
            parts: Vec::new(),
        })
    }

    fn finish(mut self) -> Result<Vec<Part>, LakeError> {
        if self.row_count > 0 || (self.open.is_none() && self.parts.is_empty()) {
            self.write_group()?;
        }
        self.end_part()?;
        Ok(self.parts)
    }
}

impl Sink for Writer<'_> {
    // A value of another type than the column's is none: `rows` makes no such thing.
    fn null(&mut self, column: usize) {
        self.columns[column].end_value(false);
    }

    fn number(&mut self, column: usize, value: i64) {
        let column = &mut self.columns[column];
        let is_there = matches!(column.data, Data::Numbers(_));
        if let Data::Numbers(values) = &mut column.data {
            values.push(value);
        }
        column.end_value(is_there);
    }

    fn flag(&mut self, column: usize, value: bool) {
        let column = &mut self.columns[column];
        let is_there = matches!(column.data, Data::Flags(_));
        if let Data::Flags(values) = &mut column.data {
            values.push(value);
        }
        column.end_value(is_there);
    }

    fn digest(&mut self, column: usize, value: &[u8; 32]) {
        let column = &mut self.columns[column];
        let is_there = matches!(column.data, Data::Digests(_));
        if let Data::Digests(values) = &mut column.data {
            values.extend_from_slice(value);
        }
        column.end_value(is_there);
    }

    fn text(&mut self, column: usize, value: &str, number: Option<u32>) {
        let column = &mut self.columns[column];
        let is_there = matches!(column.data, Data::Texts(..));
        if let Data::Texts(texts) = &mut column.data {
            texts.push(value, number);
        }
        column.end_value(is_there);
    }

    fn end_row(&mut self) -> Result<(), LakeError> {
        self.row_count += 1;
        if self.row_count == self.group_rows {
            self.write_group()?;
            if let Some((file, rows)) = &self.open
                && (rows + self.group_rows > self.part_rows || file.bytes_written() >= PART_BYTES)
            {
                self.end_part()?;
            }
        }
        Ok(())
    }
}

fn schema(table: &Table) -> parquet::errors::Result<TypePtr> {
    let fields: parquet::errors::Result<Vec<TypePtr>> =
        table.columns.iter().map(|column| field(column).map(Arc::new)).collect();
    Ok(Arc::new(Node::group_type_builder(table.name).with_fields(fields?).build()?))
}

fn field(column: &Column) -> parquet::errors::Result<Node> {
    let (physical, logical) = match column.kind {
        Type::Integer => (Physical::INT64, None),
        Type::Boolean => (Physical::BOOLEAN, None),
        Type::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Type::Digest => (Physical::FIXED_LEN_BYTE_ARRAY, None),
        Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let field = Node::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical);
    if column.kind == Type::Digest { field.with_length(32).build() } else { field.build() }
}

fn properties(table: &Table) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("regsql ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for column in &table.columns {
        let path = ColumnPath::from(column.name.as_str());
        if column.kind != Type::Text {
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
        }
        if column.kind == Type::Text && !matches!(column.name.as_str(), "repository" | "tag") {
            properties =
                properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        if matches!(column.kind, Type::Integer | Type::Time) {
            properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}
