//! Inventories, made as each provider documents them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest as _, Md5};
use parquet::data_type::{BoolType, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use regsql::storage::object::{Bucket, Object, PutCondition};
use serde_json::{Value, json};

use super::servers::{BUCKET, Kind, Server};

/// How its files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Csv,
    Parquet,
}

/// The text of a value.
pub type Text = std::borrow::Cow<'static, str>;

/// A column: its name, and what a Parquet file has it as.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: &'static str,
}

impl Column {
    pub fn of(name: &str, kind: &'static str) -> Self {
        Self { name: name.to_owned(), kind }
    }
}

/// The columns of S3 as Parquet writes them.
pub const S3_COLUMNS: [(&str, &str); 6] = [
    ("bucket", "binary"),
    ("key", "binary"),
    ("size", "int64"),
    ("last_modified_date", "time"),
    ("e_tag", "binary"),
    ("storage_class", "binary"),
];

/// Whose inventory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    S3,
    Azure,
    Google,
}

/// An inventory before it is written.
pub struct Made {
    whose: Whose,
    form: Form,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<Text>>>,
    pub rows_of_a_file: usize,
    /// The manifest without its files.
    manifest: Value,
    /// Where its files lie.
    prefix: String,
    /// What happens to the files once they are written.
    pub after: Vec<Edit>,
}

/// What happens to files.
pub type Edit = Box<dyn Fn(&mut Files)>;

/// Its files by their keys.
pub struct Files {
    pub files: BTreeMap<String, Vec<u8>>,
    pub manifest: String,
}

impl Files {
    fn named(&mut self, name: &str) -> (String, &mut Vec<u8>) {
        let found = self.files.iter_mut().find(|(key, _)| key.ends_with(name));
        let (key, bytes) = found.unwrap_or_else(|| panic!("no file {name}"));
        (key.clone(), bytes)
    }

    pub fn remove(&mut self, name: &str) {
        let (key, _) = self.named(name);
        self.files.remove(&key);
    }

    pub fn set(&mut self, name: &str, bytes: &[u8]) {
        *self.named(name).1 = bytes.to_vec();
    }

    pub fn cut(&mut self, name: &str) {
        let bytes = self.named(name).1;
        bytes.truncate(bytes.len() / 2);
    }

    pub fn flip(&mut self, name: &str) {
        let bytes = self.named(name).1;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
    }

    pub fn edit_manifest(&mut self, edit: &dyn Fn(&mut Value)) {
        let name = self.manifest.clone();
        let mut manifest: Value = serde_json::from_slice(&self.files[&name]).unwrap();
        edit(&mut manifest);
        let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
        if let Some(checksum) = self.files.get_mut(&name.replace(".json", ".checksum")) {
            *checksum = hex_md5(&bytes).into_bytes();
        }
        self.files.insert(name, bytes);
    }

    /// Whoever damages a file may write another manifest, too.
    pub fn make_sums_right(&mut self) {
        let files = self.files.clone();
        self.edit_manifest(&|manifest| {
            for file in manifest["files"].as_array_mut().unwrap() {
                let bytes = &files[file["key"].as_str().unwrap()];
                file["size"] = bytes.len().into();
                file["MD5checksum"] = hex_md5(bytes).into();
            }
        });
    }
}

fn hex_md5(bytes: &[u8]) -> String {
    let bytes = Md5::digest(bytes);
    format!("{:032x}", u128::from_be_bytes(bytes.into()))
}

fn time(ns: i64) -> Text {
    let time = jiff::Timestamp::from_nanosecond(ns.into()).unwrap();
    format!("{time:.3}").into()
}

/// As S3 encodes keys in CSV.
fn encoded(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*/".contains(&byte);
    key.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            b' ' => "+".to_owned(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// A row of S3.
pub fn row_of_s3(bucket: &str, object: &Object) -> Vec<Option<Text>> {
    vec![
        Some(bucket.to_owned().into()),
        Some(object.key.clone().into()),
        Some(object.size_bytes.to_string().into()),
        Some(time(object.modified_ns)),
        object.etag.clone().map(Text::from),
        object.storage_class.clone().map(Text::from),
    ]
}

/// As S3 makes it: two files or more.
pub fn s3(bucket: &str, form: Form, objects: &[Object], made_ns: i64) -> Made {
    Made {
        whose: Whose::S3,
        form,
        columns: S3_COLUMNS.iter().map(|(name, kind)| Column::of(name, kind)).collect(),
        rows: objects.iter().map(|object| row_of_s3(bucket, object)).collect(),
        rows_of_a_file: objects.len() / 2 + 1,
        manifest: json!({
            "sourceBucket": bucket,
            "destinationBucket": "arn:aws:s3:::inventories",
            "version": "2016-11-30",
            "creationTimestamp": (made_ns / 1_000_000).to_string(),
        }),
        prefix: format!("inventories/{bucket}/daily"),
        after: Vec::new(),
    }
}

fn azure(server: &Server, form: Form, objects: &[Object], made_ns: i64) -> Made {
    let columns = [
        ("Name", "binary"),
        ("Last-Modified", "time"),
        ("Etag", "binary"),
        ("Content-Length", "int64"),
        ("Content-MD5", "binary"),
        ("BlobType", "binary"),
        ("AccessTier", "binary"),
    ];
    let row = |object: &Object| {
        vec![
            Some(format!("{BUCKET}/{}", object.key).into()),
            Some(time(object.modified_ns)),
            object.etag.clone().map(Text::from),
            Some(object.size_bytes.to_string().into()),
            object.md5.map(|md5| BASE64_STANDARD.encode(md5).into()),
            Some("BlockBlob".into()),
            object.storage_class.clone().map(Text::from),
        ]
    };
    let mut rows: Vec<_> = objects.iter().map(row).collect();
    // It is of the whole account.
    let mut other = rows[0].clone();
    other[0] = Some("another-container/x".into());
    rows.push(other);
    Made {
        whose: Whose::Azure,
        form,
        columns: columns.iter().map(|(name, kind)| Column::of(name, kind)).collect(),
        rows_of_a_file: rows.len() / 2 + 1,
        manifest: json!({
            "destinationContainer": BUCKET,
            "endpoint": server.endpoint(),
            "inventoryStartTime": time(made_ns),
            "inventoryCompletionTime": time(made_ns),
            "ruleDefinition": {
                "filters": {
                    "blobTypes": ["blockBlob", "appendBlob"],
                    "includeBlobVersions": false,
                    "prefixMatch": [format!("{BUCKET}/team/")],
                },
                "format": if form == Form::Csv { "csv" } else { "parquet" },
                "objectType": "blob",
                "schedule": "daily",
                "schemaFields": columns.map(|(name, _)| name),
            },
            "ruleName": "all",
            "status": "Succeeded",
            "summary": {"objectCount": rows.len(), "totalObjectSize": 1},
            "version": "1.0",
        }),
        rows,
        prefix: format!("inventories/{form:?}/2026/11/26/01-00-00/all"),
        after: Vec::new(),
    }
}

fn google(form: Form, objects: &[Object], made_ns: i64) -> Made {
    let columns = [
        ("bucket", "binary"),
        ("name", "binary"),
        ("size", "int64"),
        ("timeCreated", "micros"),
        ("storageClass", "binary"),
        ("md5Hash", "binary"),
        ("generation", "int64"),
        ("timeDeleted", "micros"),
    ];
    let row = |object: &Object| {
        let time = jiff::Timestamp::from_nanosecond(object.modified_ns.into()).unwrap();
        vec![
            Some(BUCKET.into()),
            Some(object.key.clone().into()),
            Some(object.size_bytes.to_string().into()),
            Some(time.to_string().into()),
            object.storage_class.clone().map(Text::from),
            object.md5.map(|md5| BASE64_STANDARD.encode(md5).into()),
            object.version.clone().map(Text::from),
            None,
        ]
    };
    let rows: Vec<_> = objects.iter().map(row).collect();
    Made {
        whose: Whose::Google,
        form,
        columns: columns.iter().map(|(name, kind)| Column::of(name, kind)).collect(),
        rows_of_a_file: rows.len() / 2 + 1,
        manifest: json!({
            "report_config": {
                "name": "projects/p/locations/l/reportConfigs/c",
                "csv_options": {"record_separator": "\n", "delimiter": ",", "header_required": true},
                "object_metadata_report_options": {
                    "metadata_fields": columns.map(|(name, _)| name),
                    "storage_filters": {"bucket": BUCKET},
                },
            },
            "records_processed": rows.len(),
            "snapshot_time": time(made_ns),
        }),
        rows,
        prefix: format!("inventories/{form:?}"),
        after: Vec::new(),
    }
}

/// The inventory of a server's bucket, as its provider makes it.
pub fn of_server(server: &Server, form: Form, objects: &[Object], made_ns: i64) -> Made {
    match server.kind {
        Kind::Moto | Kind::SeaweedFs => {
            let mut made = s3(BUCKET, form, objects, made_ns);
            made.prefix = format!("inventories/{BUCKET}/{form:?}");
            made
        }
        Kind::Azurite => azure(server, form, objects, made_ns),
        Kind::FakeGcs => google(form, objects, made_ns),
    }
}

impl Made {
    /// Gives a column another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        let column = self.columns.iter_mut().find(|column| column.name == from).unwrap();
        to.clone_into(&mut column.name);
    }

    /// Its files.
    pub fn files(&self) -> Files {
        let mut files = BTreeMap::new();
        let mut named = Vec::new();
        let ending = match (self.form, self.whose) {
            (Form::Parquet, _) => "parquet",
            (Form::Csv, Whose::S3) => "csv.gz",
            (Form::Csv, _) => "csv",
        };
        for (number, rows) in self.rows.chunks(self.rows_of_a_file.max(1)).enumerate() {
            let bytes = match self.form {
                Form::Csv => self.csv(rows),
                Form::Parquet => self.parquet(rows),
            };
            let key = match self.whose {
                Whose::S3 => format!("{}/data/{number}.{ending}", self.prefix),
                _ => format!("{}/all_{number}.{ending}", self.prefix),
            };
            named.push((key.clone(), bytes.len(), hex_md5(&bytes)));
            files.insert(key, bytes);
        }
        let mut manifest = self.manifest.clone();
        let name = match self.whose {
            Whose::S3 => {
                manifest["fileFormat"] =
                    if self.form == Form::Csv { "CSV" } else { "Parquet" }.into();
                let columns: Vec<String> =
                    self.columns.iter().map(|column| camel(&column.name)).collect();
                manifest["fileSchema"] = columns.join(", ").into();
                let file = |(key, size, md5): &(String, usize, String)| json!({"key": key, "size": size, "MD5checksum": md5});
                manifest["files"] = named.iter().map(file).collect();
                format!("{}/2026-11-26T01-00Z/manifest.json", self.prefix)
            }
            Whose::Azure => {
                let file =
                    |(key, size, _): &(String, usize, String)| json!({"blob": key, "size": size});
                manifest["files"] = named.iter().map(file).collect();
                format!("{}/all-manifest.json", self.prefix)
            }
            Whose::Google => {
                let name = |(key, ..): &(String, usize, String)| {
                    Value::from(key.rsplit('/').next().unwrap())
                };
                manifest["shard_count"] = named.len().into();
                manifest["report_shards_file_names"] = named.iter().map(name).collect();
                format!("{}/c_2026-11-26T01:00_manifest.json", self.prefix)
            }
        };
        let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
        if self.whose != Whose::Google {
            files.insert(
                name.replace(".json", ".checksum"),
                format!("{}\n", hex_md5(&bytes)).into_bytes(),
            );
        }
        files.insert(name.clone(), bytes);
        let mut files = Files { files, manifest: name };
        for edit in &self.after {
            edit(&mut files);
        }
        files
    }

    /// Writes them below a directory, and gives the path of the manifest.
    pub fn write_below(&self, directory: &Path) -> PathBuf {
        let files = self.files();
        for (key, bytes) in &files.files {
            let path = directory.join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        directory.join(files.manifest)
    }

    /// Writes them into a bucket, and gives the key of the manifest.
    pub fn put_into(&self, bucket: &dyn Bucket) -> String {
        let files = self.files();
        for (key, bytes) in &files.files {
            bucket.put(key, bytes, PutCondition::Absent).unwrap();
        }
        files.manifest
    }

    fn csv(&self, rows: &[Vec<Option<Text>>]) -> Vec<u8> {
        let is_s3 = self.whose == Whose::S3;
        let style = if is_s3 { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let mut writer =
            csv::WriterBuilder::new().flexible(true).quote_style(style).from_writer(Vec::new());
        if !is_s3 {
            writer.write_record(self.columns.iter().map(|column| &column.name)).unwrap();
        }
        for row in rows {
            let fields = row.iter().enumerate().map(|(at, text)| {
                let text = text.as_deref().unwrap_or_default();
                if is_s3 && at == 1 { encoded(text) } else { text.to_owned() }
            });
            writer.write_record(fields).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        if !is_s3 {
            return bytes;
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn parquet(&self, rows: &[Vec<Option<Text>>]) -> Vec<u8> {
        let declared = self.columns.iter().map(|column| {
            let (kind, logical) = match column.kind {
                "binary" => ("binary", " (UTF8)"),
                "time" => ("int64", " (TIMESTAMP_MILLIS)"),
                "micros" => ("int64", " (TIMESTAMP_MICROS)"),
                kind => (kind, ""),
            };
            format!("optional {kind} {}{logical};", column.name)
        });
        let declared = declared.collect::<Vec<_>>().join(" ");
        let schema = parse_message_type(&format!("message inventory {{ {declared} }}")).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .build();
        let mut writer =
            SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for (at, column) in self.columns.iter().enumerate() {
            let mut out = group.next_column().unwrap().unwrap();
            let cells: Vec<Option<&str>> = rows.iter().map(|row| row[at].as_deref()).collect();
            let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
            let texts = cells.into_iter().flatten();
            match column.kind {
                "binary" => {
                    let values: Vec<_> =
                        texts.map(|text| text.as_bytes().to_vec().into()).collect();
                    out.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
                }
                "boolean" => {
                    let values: Vec<bool> = texts.map(|text| text == "true").collect();
                    out.typed::<BoolType>().write_batch(&values, Some(&levels), None).unwrap();
                }
                kind => {
                    let number = |text: &str| match kind {
                        "int64" => text.parse().unwrap(),
                        "time" => text.parse::<jiff::Timestamp>().unwrap().as_millisecond(),
                        _ => text.parse::<jiff::Timestamp>().unwrap().as_microsecond(),
                    };
                    let values: Vec<i64> = texts.map(number).collect();
                    out.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
                }
            }
            out.close().unwrap();
        }
        group.close().unwrap();
        writer.into_inner().unwrap()
    }
}

/// `LastModifiedDate` of `last_modified_date`.
fn camel(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect()
}
