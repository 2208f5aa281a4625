//! A table with more rows than a file may have lies in several.

use std::collections::BTreeMap;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use regsql::lake::{self, Directory, ExportOptions, Exported, FileFormat};

use super::{readable, sample};

fn export(database: &Path, lake: &Path, format: FileFormat, part_rows: NonZeroUsize) -> Exported {
    let stop = AtomicBool::new(false);
    let options = ExportOptions {
        database,
        registry: Some("acme"),
        format,
        part_rows,
        threads: NonZeroUsize::new(2).unwrap(),
        stop: &stop,
    };
    lake::export(&options, &Directory::new(lake)).unwrap()
}

/// Of each table the rows of each of its parts, in the order of the parts.
fn rows_of_parts(lake: &Path) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut parts: BTreeMap<String, BTreeMap<usize, Vec<String>>> = BTreeMap::new();
    for path in readable(lake) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let number = name.strip_prefix("part-").unwrap().split('.').next().unwrap();
        let table = path.iter().next().unwrap().to_str().unwrap().to_owned();
        let rows: Vec<String> = if path.extension().is_some_and(|ending| ending == "csv") {
            let mut reader = csv::Reader::from_path(lake.join(&path)).unwrap();
            assert!(!reader.headers().unwrap().is_empty(), "each part names its columns");
            reader.records().map(|row| format!("{:?}", row.unwrap())).collect()
        } else {
            let reader = SerializedFileReader::new(File::open(lake.join(&path)).unwrap()).unwrap();
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
        };
        parts.entry(table).or_default().insert(number.parse().unwrap(), rows);
    }
    let in_order = |(table, parts): (String, BTreeMap<usize, Vec<String>>)| {
        assert!(parts.keys().copied().eq(0..parts.len()), "{table}: {:?}", parts.keys());
        (table, parts.into_values().collect())
    };
    parts.into_iter().map(in_order).collect()
}

#[test]
fn a_table_with_more_rows_than_a_part_may_have_is_in_several_and_none_is_lost() {
    let sample = sample::generated();
    let limit = NonZeroUsize::new(50).unwrap();
    for format in [FileFormat::Parquet, FileFormat::Csv] {
        let place = |name: &str| sample.path().join(format!("{name}-{}", format.extension()));
        let whole = export(&sample.database(), &place("whole"), format, lake::PART_ROWS);
        assert_eq!(whole.file_count, whole.table_count);
        let split = export(&sample.database(), &place("split"), format, limit);
        assert_eq!(split.row_count, whole.row_count);
        let (whole, split) = (rows_of_parts(&place("whole")), rows_of_parts(&place("split")));
        assert!(whole.keys().eq(split.keys()));
        for (table, parts) in &split {
            assert_eq!(parts.concat(), whole[table].concat(), "{table}");
            let (last, full) = parts.split_last().unwrap();
            assert!(full.iter().all(|part| part.len() == 50), "{table}");
            assert!(last.len() <= 50 && (parts.len() == 1 || !last.is_empty()), "{table}");
        }
        assert!(split["reach"].len() > 3 && split["layer_links"].len() > 3);
        // Nothing is written twice, however many parts there are.
        assert!(export(&sample.database(), &place("split"), format, limit).is_unchanged);
    }
}
