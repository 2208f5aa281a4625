//! Rows of an inventory that is Parquet.

use std::borrow::Cow;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::{LogicalType, TimeUnit};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field as Value;
use parquet::schema::types::Type;

use super::columns::{Cell, Columns, Entry};
use super::{Refused, Subject};

/// Gives each row of a file to `take`.
pub(super) fn each_row(
    file: File,
    subject: &Subject,
    take: &mut dyn FnMut(&Columns, Entry) -> Result<(), Refused>,
) -> Result<(), Refused> {
    // The crate takes for granted what no writer would write otherwise. What it panics at is refused here; a file made to
    // harm may still take more memory than there is, which ends the process.
    let read = catch_unwind(AssertUnwindSafe(|| rows(file, subject, take)));
    read.unwrap_or_else(|_| Err(Refused::new("it is damaged")))
}

fn refused(error: &ParquetError) -> Refused {
    match error {
        // Only what the providers write is built in.
        ParquetError::General(what) if what.contains("Disabled feature") => Refused::with_hint(
            format!("it is compressed in a way that regsql does not read ({what})"),
            "have the inventory made as CSV",
        ),
        error => Refused::new(error.to_string()),
    }
}

fn rows(
    file: File,
    subject: &Subject,
    take: &mut dyn FnMut(&Columns, Entry) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let reader = SerializedFileReader::new(file).map_err(|error| refused(&error))?;
    let schema = reader.metadata().file_metadata().schema();
    let fields = schema.get_fields();
    let all = Columns::new(fields.iter().map(|field| field.name()), subject, false)?;
    // What is not read is not even decompressed.
    let mut places: Vec<usize> = all.places().collect();
    places.sort_unstable();
    let wanted: Vec<_> = places.iter().map(|place| fields[*place].clone()).collect();
    if let Some(field) = wanted.iter().find(|field| !field.is_primitive()) {
        return Err(Refused::new(format!("its column `{}` is no simple one", field.name())));
    }
    let is_nanoseconds: Vec<bool> = wanted
        .iter()
        .map(|field| {
            let logical = field.get_basic_info().logical_type_ref();
            matches!(logical, Some(LogicalType::Timestamp(time)) if time.unit == TimeUnit::NANOS)
        })
        .collect();
    let columns = Columns::new(wanted.iter().map(|field| field.name()), subject, false)?;
    let projection = Type::group_type_builder(schema.name()).with_fields(wanted.clone()).build();
    let projection = projection.map_err(|error| refused(&error))?;
    let rows = reader.get_row_iter(Some(projection)).map_err(|error| refused(&error))?;
    for (number, row) in (1_u64..).zip(rows) {
        let row = row.map_err(|error| refused(&error))?;
        let values: Vec<&Value> = row.get_column_iter().map(|(_, value)| value).collect();
        let cell = |place: usize| match values.get(place) {
            Some(Value::Str(text)) => Cell::Text(Cow::Borrowed(text.as_str())),
            Some(Value::Bytes(bytes)) => match std::str::from_utf8(bytes.data()) {
                Ok(text) => Cell::Text(Cow::Borrowed(text)),
                Err(_) => Cell::Null,
            },
            Some(Value::Bool(yes)) => Cell::Yes(*yes),
            Some(Value::Int(number)) => Cell::Number((*number).into()),
            Some(Value::UInt(number)) => Cell::Number((*number).into()),
            Some(Value::Long(ns)) if is_nanoseconds[place] => Cell::Time(*ns),
            Some(Value::Long(number)) => Cell::Number(*number),
            Some(Value::ULong(number)) => i64::try_from(*number).map_or(Cell::Null, Cell::Number),
            Some(Value::TimestampMillis(ms)) => {
                ms.checked_mul(1_000_000).map_or(Cell::Null, Cell::Time)
            }
            Some(Value::TimestampMicros(us)) => us.checked_mul(1000).map_or(Cell::Null, Cell::Time),
            _ => Cell::Null,
        };
        let entry = columns.entry(&cell);
        let entry = entry
            .map_err(|why| Refused { reason: format!("row {number}: {}", why.reason), ..why })?;
        take(&columns, entry)?;
    }
    Ok(())
}
