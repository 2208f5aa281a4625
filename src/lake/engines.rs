//! Statements that give the files of a lake the names of the views, for engines that read Parquet.
//!
//! A view of an engine has `registry` and `scan` first, then the columns of the public view, and beside
//! each digest the number of its blob, where the files have it. It shows a scan only when `scan_info`, which
//! is published last, has it.

use std::fmt::{self, Write as _};

use super::LakeError;
use super::address::{Address, Engine};
use super::table::{Column, LAST, Table, Type, tables};

/// The statements for a lake; `Display` writes them.
pub struct Statements {
    engine: Engine,
    address: Address,
    /// Where the lake lies, as the engine writes it.
    place: String,
    tables: Vec<Table>,
}

impl Statements {
    /// For the lake in the directory `place`, or at an address of a bucket.
    ///
    /// # Errors
    /// When the tables of a database cannot be made in memory.
    pub fn new(engine: Engine, place: &str) -> Result<Self, LakeError> {
        let in_memory = |source| LakeError::Read { database: ":memory:".into(), source };
        let address = Address::new(engine, place);
        let place = address.text_for(engine);
        Ok(Self { engine, address, place, tables: tables().map_err(in_memory)? })
    }

    /// `scan_info` first: the others look at it.
    fn tables(&self) -> impl Iterator<Item = &Table> {
        let (last, others): (Vec<_>, Vec<_>) =
            self.tables.iter().partition(|table| table.name == LAST);
        last.into_iter().chain(others)
    }

    fn quoted(&self, name: &str) -> String {
        match self.engine {
            Engine::DuckDb | Engine::Trino => format!("\"{name}\""),
            Engine::ClickHouse | Engine::Spark => format!("`{name}`"),
        }
    }

    /// The name of a table's files beside that of its view, where an engine needs one.
    fn files_name(&self, table: &str) -> String {
        self.quoted(&format!("{table}_files"))
    }

    /// What a view of a table reads: the columns of its files, and `registry` and `scan`.
    fn files(&self, table: &str) -> String {
        let place = &self.place;
        match self.engine {
            Engine::DuckDb => format!(
                "read_parquet('{}/{table}/*/*/*.parquet', hive_partitioning = true, \
                 hive_types = {{'registry': VARCHAR, 'scan': VARCHAR}}, union_by_name = true)",
                literal_glob(place)
            ),
            Engine::ClickHouse => format!(
                "(SELECT *, decodeURLComponent(extract(_path, '/registry=([^/]*)/')) AS registry, \
                 extract(_path, '/scan=([^/]*)/') AS scan FROM {} SETTINGS use_hive_partitioning = 0)",
                self.address.clickhouse_files(table),
            ),
            Engine::Spark | Engine::Trino => self.files_name(table),
        }
    }

    /// What must be there before the view of a table can be made.
    fn preparation(&self, table: &Table) -> Option<String> {
        let place = format!("{}/{}", self.place, table.name);
        let files = self.files_name(table.name);
        match self.engine {
            Engine::DuckDb | Engine::ClickHouse => None,
            Engine::Spark => Some(format!(
                "CREATE OR REPLACE TEMPORARY VIEW {files} USING parquet \
                 OPTIONS (path '{place}', mergeSchema 'true');"
            )),
            Engine::Trino => {
                let columns = table.columns.iter();
                let columns = columns
                    .map(|column| format!("{} {}", self.quoted(&column.name), trino_type(column)));
                let columns: Vec<String> = columns.collect();
                Some(format!(
                    "CREATE TABLE IF NOT EXISTS {files} ({}, registry VARCHAR, scan VARCHAR) \
                     WITH (format = 'PARQUET', external_location = '{place}', \
                     partitioned_by = ARRAY['registry', 'scan']);\n\
                     CALL hive.system.sync_partition_metadata(CURRENT_SCHEMA, '{}_files', 'FULL');",
                    columns.join(", "),
                    table.name,
                ))
            }
        }
    }

    /// The text `sha256:…` of a digest's bytes.
    fn digest_text(&self, column: &str) -> String {
        let bytes = format!("f.{}", self.quoted(column));
        let other = format!("f.{}", self.quoted(&format!("other_{column}")));
        let hex = if self.engine == Engine::Trino { "TO_HEX" } else { "HEX" };
        format!("COALESCE({other}, 'sha256:' || LOWER({hex}({bytes})))")
    }

    /// The statement that makes the view of a table.
    fn view(&self, table: &Table) -> String {
        let mut columns = vec!["f.registry AS registry".to_owned(), "f.scan AS scan".to_owned()];
        let mut joins = String::new();
        for (at, column) in table.columns.iter().enumerate() {
            if column.name.starts_with("other_") {
                continue;
            }
            let name = self.quoted(&column.name);
            let value = match column.kind {
                Type::Digest => self.digest_text(&column.name),
                _ => format!("f.{name}"),
            };
            columns.push(format!("{value} AS {name}"));
            if let Some(digest) = digest_of_number(table, column) {
                let (key, text) = (self.quoted("blob_id"), self.quoted("digest"));
                columns.push(format!("b{at}.{text} AS {}", self.quoted(&digest)));
                let _infallible = write!(
                    joins,
                    "\nLEFT JOIN {} b{at} ON b{at}.registry = f.registry AND b{at}.scan = f.scan \
                     AND b{at}.{key} = f.{name}",
                    self.quoted("blobs"),
                );
            }
        }
        let create = match self.engine {
            Engine::Spark => "CREATE OR REPLACE TEMPORARY VIEW",
            Engine::DuckDb | Engine::ClickHouse | Engine::Trino => "CREATE OR REPLACE VIEW",
        };
        // One that is published whole has its row.
        let whole = if table.name == LAST {
            String::new()
        } else {
            let scans = self.quoted(LAST);
            format!("\nJOIN {scans} s ON s.registry = f.registry AND s.scan = f.scan")
        };
        format!(
            "{create} {} AS\nSELECT {}\nFROM {} f{whole}{joins};",
            self.quoted(table.name),
            columns.join(", "),
            self.files(table.name),
        )
    }
}

impl fmt::Display for Statements {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.engine == Engine::Spark {
            // The name `007` is no number.
            writeln!(out, "SET spark.sql.sources.partitionColumnTypeInference.enabled = false;")?;
            // `graph` follows as many edges as there are, and not a million alone.
            writeln!(out, "SET spark.sql.cteRecursionRowLimit = -1;\n")?;
        }
        if let Some(secret) = self.address.duckdb_secret().filter(|_| self.engine == Engine::DuckDb)
        {
            writeln!(out, "{secret}\n")?;
        }
        if self.engine == Engine::ClickHouse {
            writeln!(out, "SET join_use_nulls = 1;\n")?;
        }
        for table in self.tables() {
            if let Some(preparation) = self.preparation(table) {
                writeln!(out, "{preparation}")?;
            }
            writeln!(out, "{}\n", self.view(table))?;
        }
        Ok(())
    }
}

/// The column of the view that a file has as a number alone: only `blobs` has its text.
fn digest_of_number(table: &Table, column: &Column) -> Option<String> {
    let digest = match column.name.as_str() {
        "blob_id" if table.name == "layer_links" => "blob_digest".to_owned(),
        "blob_id" => "digest".to_owned(),
        name => {
            format!("{}_digest", name.strip_suffix("_id").filter(|_| column.kind == Type::Integer)?)
        }
    };
    let is_of_view = matches!(table.name, "manifest_references" | "layer_links");
    (is_of_view && !table.columns.iter().any(|other| other.name == digest)).then_some(digest)
}

fn trino_type(column: &Column) -> &'static str {
    match column.kind {
        Type::Integer => "BIGINT",
        Type::Boolean => "BOOLEAN",
        Type::Time => "TIMESTAMP",
        Type::Digest => "VARBINARY",
        Type::Text => "VARCHAR",
    }
}

/// A path in which nothing is a pattern, as `DuckDB` reads paths.
fn literal_glob(path: &str) -> String {
    let literal = |char| match char {
        '*' | '?' | '[' => format!("[{char}]"),
        char => char.to_string(),
    };
    path.chars().map(literal).collect()
}
