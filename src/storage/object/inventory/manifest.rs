//! The manifests of inventories: which files make one up, and what is in these.
//!
//! Formats: Amazon S3 User Guide, "Locating your inventory list"; Azure Storage, "Azure Storage blob inventory",
//! section "Inventory files"; Google Cloud Storage, "Storage Insights inventory reports".

use jiff::Timestamp;
use serde_json::Value;

use super::columns::time_ns;
use super::{Refused, Subject};
use crate::storage::object::md5_of_hex;

/// A file of an inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedFile {
    pub(super) key: String,
    pub(super) size_bytes: Option<u64>,
    pub(super) md5: Option<[u8; 16]>,
}

/// How its CSV files are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CsvForm {
    pub(super) is_gzip: bool,
    pub(super) delimiter: u8,
    /// The columns; `None` where the first row says them.
    pub(super) columns: Option<Vec<String>>,
    /// Keys are URL-encoded.
    pub(super) is_encoded: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv(CsvForm),
    Parquet,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) format: Format,
    pub(super) files: Vec<PlannedFile>,
    pub(super) row_count: Option<u64>,
    pub(super) made_ns: i64,
    /// Beside the manifest is a file with its MD5.
    pub(super) has_checksum_file: bool,
}

impl Plan {
    /// Reads a manifest, which must be of an inventory of `subject` that leaves nothing out that begins with
    /// `registry_prefix`.
    pub(super) fn parse(
        bytes: &[u8],
        subject: &Subject,
        registry_prefix: &str,
    ) -> Result<Self, Refused> {
        let manifest: Value =
            serde_json::from_slice(bytes).map_err(|error| no_manifest(&error.to_string()))?;
        let has = |name: &str| manifest.get(name).is_some();
        if has("fileSchema") || has("sourceBucket") {
            s3(&manifest, subject)
        } else if has("destinationContainer") || has("ruleDefinition") {
            azure(&manifest, subject, registry_prefix)
        } else if has("report_shards_file_names") {
            google(&manifest, subject)
        } else {
            Err(no_manifest("it has none of the fields of one"))
        }
    }
}

fn no_manifest(reason: &str) -> Refused {
    Refused::with_hint(
        format!("it is no manifest of an inventory: {reason}"),
        "give S3's manifest.json, Azure's RULE-manifest.json or Google's …manifest.json",
    )
}

fn foreign(found: &str, subject: &Subject) -> Refused {
    let expected = match subject {
        Subject::S3 { bucket } => format!("s3://{bucket}"),
        Subject::Gcs { bucket } => format!("gs://{bucket}"),
        Subject::Azure { account, container } => format!("az://{account}/{container}"),
    };
    Refused::with_hint(
        format!("it is of {found}, and the registry lies in {expected}"),
        "give the inventory of the registry's bucket",
    )
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str, Refused> {
    let found = value.get(name).and_then(Value::as_str);
    found.ok_or_else(|| no_manifest(&format!("it has no text `{name}`")))
}

fn number(value: &Value, name: &str) -> Result<u64, Refused> {
    let found = value.get(name).and_then(|found| match found {
        Value::String(text) => text.parse().ok(),
        found => found.as_u64(),
    });
    found.ok_or_else(|| no_manifest(&format!("it has no number `{name}`")))
}

fn array<'v>(value: &'v Value, name: &str) -> Result<&'v [Value], Refused> {
    let found = value.get(name).and_then(Value::as_array).map(Vec::as_slice);
    found.ok_or_else(|| no_manifest(&format!("it has no list `{name}`")))
}

fn time(value: &Value, name: &str) -> Result<i64, Refused> {
    let text = text(value, name)?;
    time_ns(text).ok_or_else(|| no_manifest(&format!("`{name}` is `{text}`")))
}

fn no_format(format: &str) -> Refused {
    let hint = match format {
        "ORC" => "regsql reads no ORC: set the inventory's format to CSV or Parquet",
        _ => "set the inventory's format to CSV or Parquet",
    };
    Refused::with_hint(format!("its format `{format}` is not known"), hint)
}

fn s3(manifest: &Value, subject: &Subject) -> Result<Plan, Refused> {
    let source = text(manifest, "sourceBucket")?;
    if !matches!(subject, Subject::S3 { bucket } if bucket == source) {
        return Err(foreign(&format!("s3://{source}"), subject));
    }
    let version = text(manifest, "version")?;
    if version != "2016-11-30" {
        return Err(Refused::new(format!("its version `{version}` is not known")));
    }
    let format = match text(manifest, "fileFormat")? {
        "CSV" => {
            let columns =
                text(manifest, "fileSchema")?.split(',').map(|name| name.trim().to_owned());
            let columns = Some(columns.collect());
            Format::Csv(CsvForm { is_gzip: true, delimiter: b',', columns, is_encoded: true })
        }
        "Parquet" => Format::Parquet,
        other => return Err(no_format(other)),
    };
    let milliseconds = number(manifest, "creationTimestamp")?;
    let made = i64::try_from(milliseconds).ok();
    let made = made.and_then(|made| Timestamp::from_millisecond(made).ok());
    let made = made.ok_or_else(|| no_manifest("its time is none"))?;
    let mut files = Vec::new();
    for file in array(manifest, "files")? {
        let md5 = text(file, "MD5checksum")?;
        let md5 = md5_of_hex(md5).ok_or_else(|| no_manifest(&format!("`{md5}` is no MD5")))?;
        files.push(PlannedFile {
            key: text(file, "key")?.to_owned(),
            size_bytes: Some(number(file, "size")?),
            md5: Some(md5),
        });
    }
    let made_ns = i64::try_from(made.as_nanosecond()).unwrap_or(i64::MAX);
    Ok(Plan { format, files, row_count: None, made_ns, has_checksum_file: true })
}

fn azure(manifest: &Value, subject: &Subject, registry_prefix: &str) -> Result<Plan, Refused> {
    let endpoint = text(manifest, "endpoint")?;
    let Subject::Azure { account, container } = subject else {
        return Err(foreign(endpoint, subject));
    };
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host).trim_end_matches('/');
    // An emulator has the account in the path.
    let is_own = host.split(['.', ':', '/']).next() == Some(account)
        || host.rsplit('/').next() == Some(account);
    if !is_own {
        return Err(foreign(endpoint, subject));
    }
    let status = text(manifest, "status")?;
    if status != "Succeeded" {
        let hint = "wait until it is `Succeeded`, or take an older inventory";
        return Err(Refused::with_hint(format!("its status is `{status}`"), hint));
    }
    let rule = manifest.get("ruleDefinition").ok_or_else(|| no_manifest("it has no rule"))?;
    let object_type = text(rule, "objectType")?;
    if !object_type.eq_ignore_ascii_case("blob") {
        return Err(Refused::with_hint(
            format!("it lists `{object_type}`s"),
            "make a rule whose object type is blob",
        ));
    }
    let filters = rule.get("filters").unwrap_or(&Value::Null);
    refuse_filters(filters, container, registry_prefix)?;
    let format = match text(rule, "format")?.to_ascii_lowercase().as_str() {
        "csv" => Format::Csv(CsvForm {
            is_gzip: false,
            delimiter: b',',
            columns: None,
            is_encoded: false,
        }),
        "parquet" => Format::Parquet,
        other => return Err(no_format(other)),
    };
    let mut files = Vec::new();
    for file in array(manifest, "files")? {
        files.push(PlannedFile {
            key: text(file, "blob")?.to_owned(),
            size_bytes: Some(number(file, "size")?),
            md5: None,
        });
    }
    let summary = manifest.get("summary").ok_or_else(|| no_manifest("it has no summary"))?;
    let row_count = Some(number(summary, "objectCount")?);
    let made_ns = time(manifest, "inventoryStartTime")?;
    Ok(Plan { format, files, row_count, made_ns, has_checksum_file: true })
}

/// Refuses a rule that leaves some of the registry's blobs out.
fn refuse_filters(filters: &Value, container: &str, registry_prefix: &str) -> Result<(), Refused> {
    let refused = |what: &str| {
        let hint = "make a rule for all block and append blobs below the registry's prefix";
        Err(Refused::with_hint(format!("its rule leaves some of the registry out: {what}"), hint))
    };
    let own = format!("{container}/{registry_prefix}");
    let texts = |name: &str| -> Vec<&str> {
        let list = filters.get(name).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    };
    let prefixes = texts("prefixMatch");
    if !prefixes.is_empty() && !prefixes.iter().any(|prefix| own.starts_with(prefix)) {
        return refused(&format!("prefixMatch is {}", prefixes.join(", ")));
    }
    let excluded = texts("excludePrefix");
    if let Some(prefix) =
        excluded.iter().find(|prefix| own.starts_with(**prefix) || prefix.starts_with(&own))
    {
        return refused(&format!("excludePrefix is {prefix}"));
    }
    let types = texts("blobTypes");
    // A registry writes uploads as append blobs, and what it copies of them to their places keeps the type.
    let has = |wanted: &str| types.iter().any(|kind| kind.eq_ignore_ascii_case(wanted));
    let has_both = has("blockBlob") && has("appendBlob");
    if !types.is_empty() && !has_both {
        return refused(&format!("blobTypes is {}", types.join(", ")));
    }
    let names = filters.as_object().into_iter().flat_map(serde_json::Map::keys);
    let known = [
        "prefixMatch",
        "excludePrefix",
        "blobTypes",
        "includeBlobVersions",
        "includeSnapshots",
        "includeDeleted",
    ];
    for name in names.filter(|name| !known.contains(&name.as_str())) {
        if !matches!(&filters[name], Value::Null | Value::Bool(false)) {
            return refused(&format!("its filter `{name}` is not known"));
        }
    }
    Ok(())
}

/// Google writes names in either form.
fn either<'v>(value: &'v Value, snake: &str, camel: &str) -> Option<&'v Value> {
    value.get(snake).or_else(|| value.get(camel))
}

fn google(manifest: &Value, subject: &Subject) -> Result<Plan, Refused> {
    let Subject::Gcs { bucket } = subject else {
        return Err(foreign("a bucket of Google", subject));
    };
    let config = manifest.get("report_config").unwrap_or(&Value::Null);
    let options = either(config, "object_metadata_report_options", "objectMetadataReportOptions");
    let options = options.unwrap_or(&Value::Null);
    let filters = either(options, "storage_filters", "storageFilters");
    let source = filters.and_then(|filters| filters.get("bucket")).and_then(Value::as_str);
    let fields = either(options, "metadata_fields", "metadataFields").and_then(Value::as_array);
    let fields: Option<Vec<String>> =
        fields.map(|fields| fields.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    match source.map(|source| source.rsplit('/').next().unwrap_or(source)) {
        Some(source) if source != bucket => {
            return Err(foreign(&format!("gs://{source}"), subject));
        }
        // Each row says it then.
        None if !fields
            .as_ref()
            .is_some_and(|fields| fields.iter().any(|name| name == "bucket")) =>
        {
            return Err(no_manifest("it does not say of which bucket it is"));
        }
        _ => {}
    }
    let files: Vec<PlannedFile> = array(manifest, "report_shards_file_names")?
        .iter()
        .map(|name| {
            let key = name.as_str().ok_or_else(|| no_manifest("the name of a file is no text"))?;
            Ok(PlannedFile { key: key.to_owned(), size_bytes: None, md5: None })
        })
        .collect::<Result<_, Refused>>()?;
    let shards = number(manifest, "shard_count")?;
    if shards != files.len() as u64 {
        return Err(Refused::new(format!("it names {} files of {shards}", files.len())));
    }
    let ends = |suffix: &str| files.iter().all(|file| file.key.ends_with(suffix));
    let csv = either(config, "csv_options", "csvOptions");
    let format = if ends(".parquet") {
        Format::Parquet
    } else if ends(".csv") {
        let option = |snake: &str, camel: &str| csv.and_then(|csv| either(csv, snake, camel));
        let delimiter = option("delimiter", "delimiter").and_then(Value::as_str).unwrap_or(",");
        let [delimiter] = delimiter.as_bytes() else {
            return Err(Refused::new(format!("its delimiter is `{delimiter}`")));
        };
        let has_header = option("header_required", "headerRequired").and_then(Value::as_bool);
        let columns = if has_header.unwrap_or(true) { None } else { fields };
        if has_header == Some(false) && columns.is_none() {
            return Err(no_manifest("neither it nor its files say which columns there are"));
        }
        Format::Csv(CsvForm { is_gzip: false, delimiter: *delimiter, columns, is_encoded: false })
    } else {
        let name = files.first().map_or("", |file| file.key.as_str());
        return Err(no_format(name.rsplit('.').next().unwrap_or(name)));
    };
    let row_count = Some(number(manifest, "records_processed")?);
    let made_ns = time(manifest, "snapshot_time")?;
    Ok(Plan { format, files, row_count, made_ns, has_checksum_file: false })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The manifest of a rule with these types of blobs.
    fn azure_with(types: &[&str]) -> Result<Plan, Refused> {
        let manifest = json!({
            "destinationContainer": "inventories",
            "endpoint": "https://account.blob.core.windows.net",
            "status": "Succeeded",
            "inventoryStartTime": "2026-11-26T01:00:00Z",
            "ruleDefinition": {
                "objectType": "blob",
                "format": "csv",
                "filters": {"blobTypes": types},
            },
            "files": [{"blob": "1.csv", "size": 1}],
            "summary": {"objectCount": 1},
        });
        let subject = Subject::Azure { account: "account".into(), container: "registry".into() };
        Plan::parse(manifest.to_string().as_bytes(), &subject, "docker/registry/v2/")
    }

    /// A registry writes uploads as append blobs, and a copy keeps the type. What is put in one piece is a block blob.
    #[test]
    fn a_rule_of_azure_without_append_blobs_or_without_block_blobs_leaves_the_registry_out() {
        for types in [&["blockBlob"][..], &["appendBlob"], &["pageBlob", "blockBlob"]] {
            let refused = azure_with(types).unwrap_err();
            assert!(refused.reason.contains("blobTypes"), "{types:?}: {refused:?}");
            assert!(refused.hint.is_some_and(|hint| hint.contains("append")), "{types:?}");
        }
        for types in [&["blockBlob", "appendBlob"][..], &["appendblob", "BlockBlob", "pageBlob"]] {
            azure_with(types).unwrap();
        }
    }
}
