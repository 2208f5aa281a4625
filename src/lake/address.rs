//! Where a lake lies, as each engine writes it.

use clap::ValueEnum;

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// `DuckDB` 1.1 or later
    #[value(name = "duckdb")]
    DuckDb,
    /// `ClickHouse` 24 or later, also as chdb
    #[value(name = "clickhouse")]
    ClickHouse,
    /// Spark SQL 3.4 or later
    Spark,
    /// Trino with a Hive catalog named `hive`
    Trino,
}

/// A directory, or an address of a bucket with its options taken apart. What would end a text in SQL, or means
/// something else in it, is written as the engine wants it.
pub(super) struct Address {
    /// `s3`, `gs` or `az`; nothing for a directory.
    scheme: String,
    /// The directory; or the bucket and the prefix, of Azure behind the account.
    path: String,
    /// The server's URL.
    endpoint: Option<String>,
    region: Option<String>,
    /// Whether the bucket's name stands in the path; without a word it does where there is an endpoint.
    is_path_style: Option<bool>,
}

impl Address {
    /// Of a directory's path, or of an address that [`crate::storage::locate`] takes.
    pub fn new(engine: Engine, place: &str) -> Self {
        let place = in_text(engine, place);
        let (scheme, rest) = place.split_once("://").unwrap_or(("", &place));
        let (path, options) = match rest.split_once('?') {
            Some(parts) if !scheme.is_empty() => parts,
            _ => (rest, ""),
        };
        let option = |wanted: &str| {
            let options = options.split('&').filter_map(|option| option.split_once('='));
            options.filter(|(name, _)| *name == wanted).map(|(_, value)| value).next_back()
        };
        Self {
            scheme: scheme.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
            endpoint: option("endpoint").map(|url| url.trim_end_matches('/').to_owned()),
            region: option("region").map(str::to_owned),
            is_path_style: option("path-style").map(|value| value == "true"),
        }
    }

    /// The bucket and what follows it; of Azure the account, the container and what follows them.
    fn parts(&self) -> (&str, &str, &str) {
        fn cut(text: &str) -> (&str, &str) {
            text.split_once('/').unwrap_or((text, ""))
        }
        let (account, rest) = if self.scheme == "az" { cut(&self.path) } else { ("", &*self.path) };
        let (bucket, key) = cut(rest);
        (account, bucket, key)
    }

    /// What the engine takes as the place of the lake. Hadoop, with which Spark and Trino read, has other schemes
    /// than regsql, and each engine puts the Azure account in another place.
    pub fn text_for(&self, engine: Engine) -> String {
        let path = &self.path;
        let (account, bucket, key) = self.parts();
        let below = if key.is_empty() { String::new() } else { format!("/{key}") };
        match (&*self.scheme, engine) {
            ("", _) => path.clone(),
            ("s3", Engine::Spark) => format!("s3a://{path}"),
            ("az", Engine::Spark | Engine::Trino) => {
                format!("abfss://{bucket}@{account}.dfs.core.windows.net{below}")
            }
            ("az", Engine::DuckDb) => {
                format!("az://{account}.blob.core.windows.net/{bucket}{below}")
            }
            (scheme, _) => format!("{scheme}://{path}"),
        }
    }

    /// The function that reads the files of a table, of `ClickHouse`: a bucket has the address that a browser takes.
    pub fn clickhouse_files(&self, table: &str) -> String {
        let (account, bucket, key) = self.parts();
        let key = if key.is_empty() { String::new() } else { format!("{key}/") };
        let files = format!("{key}{table}/*/*/*.parquet");
        let server = match (&*self.scheme, &self.endpoint, &self.region) {
            ("", ..) => return format!("file('{}/{table}/*/*/*.parquet', 'Parquet')", self.path),
            (_, Some(endpoint), _) => endpoint.clone(),
            ("s3", None, Some(region)) => format!("https://s3.{region}.amazonaws.com"),
            ("s3", None, None) => "https://s3.amazonaws.com".to_owned(),
            ("az", ..) => format!("https://{account}.blob.core.windows.net"),
            _ => "https://storage.googleapis.com".to_owned(),
        };
        if self.scheme == "az" {
            // Its key goes into the named collection `azure`, or into the server's configuration.
            return format!(
                "azureBlobStorage(azure, storage_account_url = '{server}', container = '{bucket}', \
                 blob_path = '{files}', format = 'Parquet')"
            );
        }
        let of_bucket = match server.split_once("://") {
            Some((scheme, host)) if self.is_path_style == Some(false) => {
                format!("{scheme}://{bucket}.{host}")
            }
            _ => format!("{server}/{bucket}"),
        };
        format!("s3('{of_bucket}/{files}', 'Parquet')")
    }

    /// What `DuckDB` must know of a bucket in S3: credentials by the ways of AWS's own tools, and the server where it is
    /// another one. `None` where there is no such thing to say.
    pub fn duckdb_secret(&self) -> Option<String> {
        if self.scheme != "s3" {
            return None;
        }
        let mut options = vec![format!("SCOPE '{}'", self.text_for(Engine::DuckDb))];
        if let Some(region) = &self.region {
            options.push(format!("REGION '{region}'"));
        }
        if let Some((scheme, host)) =
            self.endpoint.as_deref().and_then(|endpoint| endpoint.split_once("://"))
        {
            options.push(format!("ENDPOINT '{host}'"));
            options.push(format!("USE_SSL {}", scheme != "http"));
        }
        let is_in_path = self.is_path_style.unwrap_or(self.endpoint.is_some());
        options.push(format!("URL_STYLE '{}'", if is_in_path { "path" } else { "vhost" }));
        Some(format!(
            "CREATE OR REPLACE SECRET regsql_lake (TYPE s3, PROVIDER credential_chain, {});",
            options.join(", ")
        ))
    }
}

/// A place as it stands in a text of the engine's SQL.
fn in_text(engine: Engine, place: &str) -> String {
    match engine {
        Engine::DuckDb | Engine::Trino => place.replace('\'', "''"),
        Engine::ClickHouse => place.replace('\\', r"\\").replace('\'', r"\'"),
        // Hadoop takes these for patterns; an address has its options after a `?`.
        Engine::Spark => {
            let (path, options) = match place.split_once('?') {
                Some((path, options)) if place.contains("://") => (path, format!("?{options}")),
                _ => (place, String::new()),
            };
            let is_pattern = |char| matches!(char, '*' | '?' | '[' | ']' | '{' | '}' | '\\');
            let literal = |char| if is_pattern(char) { format!("\\{char}") } else { char.into() };
            let path: String = path.chars().map(literal).collect();
            format!("{path}{options}").replace('\\', r"\\").replace('\'', r"\'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_backslashes_and_patterns_is_one_text_of_each_engine() {
        let of = |engine, place| Address::new(engine, place).text_for(engine);
        let path = r"/srv/o'neil\lake[1]";
        assert_eq!(of(Engine::DuckDb, path), r"/srv/o''neil\lake[1]");
        assert_eq!(of(Engine::Trino, path), r"/srv/o''neil\lake[1]");
        assert_eq!(of(Engine::ClickHouse, path), r"/srv/o\'neil\\lake[1]");
        assert_eq!(
            Address::new(Engine::ClickHouse, path).clickhouse_files("tags"),
            r"file('/srv/o\'neil\\lake[1]/tags/*/*/*.parquet', 'Parquet')"
        );
        assert_eq!(of(Engine::Spark, path), r"/srv/o\'neil\\\\lake\\[1\\]");
        // No text ends in the middle, and a backslash at the end takes no quote along.
        assert_eq!(of(Engine::ClickHouse, r"/srv/lake\"), r"/srv/lake\\");
        assert_eq!(of(Engine::Spark, "s3://b/lake?endpoint=http://h:1"), "s3a://b/lake");
    }

    #[test]
    fn each_engine_gets_a_bucket_s_address_as_it_writes_it() {
        let of = |engine, place| Address::new(engine, place).text_for(engine);
        assert_eq!(of(Engine::DuckDb, "/srv/a?b"), "/srv/a?b");
        assert_eq!(of(Engine::DuckDb, "s3://b/lake?endpoint=http://127.0.0.1:1"), "s3://b/lake");
        assert_eq!(of(Engine::Spark, "s3://b/lake"), "s3a://b/lake");
        assert_eq!(of(Engine::Trino, "gs://b/lake"), "gs://b/lake");
        assert_eq!(
            of(Engine::Spark, "az://acme/c/lake/x"),
            "abfss://c@acme.dfs.core.windows.net/lake/x"
        );
        assert_eq!(of(Engine::Trino, "az://acme/c/"), "abfss://c@acme.dfs.core.windows.net");
        assert_eq!(
            of(Engine::DuckDb, "az://acme/c/lake"),
            "az://acme.blob.core.windows.net/c/lake"
        );
    }

    #[test]
    fn clickhouse_reads_a_bucket_through_its_server() {
        let of = |place| Address::new(Engine::ClickHouse, place).clickhouse_files("tags");
        let s3 = |address: &str| format!("s3('{address}/tags/*/*/*.parquet', 'Parquet')");
        assert_eq!(of("/srv/lake"), "file('/srv/lake/tags/*/*/*.parquet', 'Parquet')");
        assert_eq!(of("s3://b"), s3("https://s3.amazonaws.com/b"));
        assert_eq!(
            of("s3://b/lake?region=eu-west-1"),
            s3("https://s3.eu-west-1.amazonaws.com/b/lake")
        );
        assert_eq!(
            of("s3://b/lake/?region=x&endpoint=http://127.0.0.1:9000/"),
            s3("http://127.0.0.1:9000/b/lake")
        );
        assert_eq!(
            of("s3://b/lake?endpoint=https://minio&path-style=false"),
            s3("https://b.minio/lake")
        );
        assert_eq!(of("gs://b/lake"), s3("https://storage.googleapis.com/b/lake"));
        let azure = of("az://acme/c/lake");
        assert!(azure.contains("'https://acme.blob.core.windows.net', container = 'c'"), "{azure}");
    }

    #[test]
    fn duckdb_finds_credentials_and_the_server_of_a_bucket() {
        let of = |place| Address::new(Engine::DuckDb, place).duckdb_secret();
        assert_eq!(of("/srv/lake"), None);
        assert_eq!(of("gs://b/lake"), None);
        let created = |options: &str| {
            Some(format!(
                "CREATE OR REPLACE SECRET regsql_lake (TYPE s3, PROVIDER credential_chain, {options});"
            ))
        };
        assert_eq!(of("s3://b/lake"), created("SCOPE 's3://b/lake', URL_STYLE 'vhost'"));
        assert_eq!(
            of("s3://b/lake?endpoint=http://127.0.0.1:9000&region=here"),
            created(
                "SCOPE 's3://b/lake', REGION 'here', ENDPOINT '127.0.0.1:9000', USE_SSL false, URL_STYLE 'path'"
            )
        );
        assert_eq!(
            of("s3://b?endpoint=https://minio&path-style=false"),
            created("SCOPE 's3://b', ENDPOINT 'minio', USE_SSL true, URL_STYLE 'vhost'")
        );
    }
}
