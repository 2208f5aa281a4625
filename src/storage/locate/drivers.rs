//! The sections `s3`, `azure` and `gcs` of a registry's configuration, key by key as its drivers read them
//! (distribution `registry/storage/driver/{s3-aws,azure,gcs}`, versions 2 and 3).

use serde_json::{Map, Value};

use super::Provider;
use crate::storage::object::Secret;
use crate::storage::object::azure::AzureOptions;
use crate::storage::object::gcs::GcsOptions;
use crate::storage::object::s3::S3Options;

/// What is wrong with a section, and what to do.
type Refused = (String, String);

/// A bucket, and what keys in it begin with.
pub type Placed = (Provider, String);

/// Whether a driver stores in a bucket that regsql reads.
pub fn is_known(driver: &str) -> bool {
    matches!(driver, "s3" | "s3aws" | "azure" | "gcs")
}

/// Reads the section of a driver that [`is_known`].
pub fn read(driver: &str, section: Option<&Value>) -> Result<Placed, Refused> {
    let empty = Map::new();
    let section = Section {
        driver,
        keys: match section {
            Some(Value::Object(keys)) => keys,
            _ => &empty,
        },
    };
    match driver {
        "azure" => azure(&section),
        "gcs" => gcs(&section),
        _ => s3(&section),
    }
}

struct Section<'a> {
    driver: &'a str,
    keys: &'a Map<String, Value>,
}

impl Section<'_> {
    fn refused<T>(&self, found: &str, hint: &str) -> Result<T, Refused> {
        Err((format!("its storage.{} {found}", self.driver), hint.to_owned()))
    }

    /// A text, or whatever else prints as one. An empty one is none.
    fn text(&self, key: &str) -> Option<String> {
        let text = match self.keys.get(key)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(text).filter(|text| !text.is_empty())
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, Refused> {
        match self.keys.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if matches!(&**text, "true" | "false") => {
                Ok(Some(text == "true"))
            }
            Some(_) => self.refused(
                &format!("has a `{key}` that is neither true nor false"),
                "write true or false",
            ),
        }
    }

    fn needed(&self, key: &str) -> Result<String, Refused> {
        match self.text(key) {
            Some(text) => Ok(text),
            None => self.refused(
                &format!("has no `{key}`"),
                "the registry does not start so: give the configuration and the REGISTRY_* variables that it runs with",
            ),
        }
    }

    fn secret(&self, key: &str) -> Option<Secret> {
        self.text(key).map(Secret::new)
    }

    fn prefix(&self) -> String {
        self.text("rootdirectory").unwrap_or_default()
    }
}

fn s3(section: &Section<'_>) -> Result<Placed, Refused> {
    if section.flag("v4auth")? == Some(false) {
        return section.refused(
            "has `v4auth: false`: regsql signs requests with version 4 alone, as all of AWS does",
            "most servers take both: give s3://BUCKET/PREFIX?endpoint=URL with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        );
    }
    let access = match (section.text("accesskey"), section.secret("secretkey")) {
        (Some(key), Some(secret)) => Some((key, secret)),
        (None, None) => None,
        _ => {
            return section
                .refused("has one of `accesskey` and `secretkey`", "give both, or neither");
        }
    };
    let is_secure = section.flag("secure")?.unwrap_or(true);
    let endpoint = section.text("regionendpoint").map(|endpoint| {
        let scheme = if is_secure { "https" } else { "http" };
        if endpoint.contains("://") { endpoint } else { format!("{scheme}://{endpoint}") }
    });
    // Version 2 knows no such key and always has the bucket in the path where there is an endpoint.
    let is_path_style = section.flag("forcepathstyle")?.or(endpoint.as_ref().map(|_| true));
    let class = section.text("storageclass").filter(|class| !class.eq_ignore_ascii_case("none"));
    let options = S3Options {
        bucket: section.needed("bucket")?,
        region: section.text("region"),
        endpoint,
        is_path_style,
        access,
        skips_verification: section.flag("skipverify")?.unwrap_or(false),
        is_dual_stack: section.flag("usedualstack")?.unwrap_or(false),
        is_accelerated: section.flag("accelerate")?.unwrap_or(false),
        is_fips: section.flag("usefipsendpoint")?.unwrap_or(false),
        storage_class: class,
        acl: section.text("objectacl"),
        is_encrypted: section.flag("encrypt")?.unwrap_or(false),
        kms_key_id: section.text("keyid"),
    };
    Ok((Provider::S3(Box::new(options)), section.prefix()))
}

fn azure(section: &Section<'_>) -> Result<Placed, Refused> {
    let empty = Map::new();
    let credentials = Section {
        driver: "azure.credentials",
        keys: section.keys.get("credentials").and_then(Value::as_object).unwrap_or(&empty),
    };
    let client = match credentials.text("type").as_deref() {
        Some("client_secret") => Some((
            credentials.needed("tenantid")?,
            credentials.needed("clientid")?,
            Secret::new(credentials.needed("secret")?),
        )),
        None | Some("shared_key" | "default_credentials") => None,
        Some(_) => {
            return credentials.refused(
                "has a `type` that is not known",
                "give client_secret, shared_key or default_credentials",
            );
        }
    };
    let options = AzureOptions {
        account: section.needed("accountname")?,
        container: section.needed("container")?,
        endpoint: section.text("serviceurl"),
        realm: section.text("realm"),
        key: section.secret("accountkey"),
        connection: section.secret("connectionstring"),
        client,
        skips_verification: section.flag("skipverify")?.unwrap_or(false),
    };
    Ok((Provider::Azure(Box::new(options)), section.prefix()))
}

fn gcs(section: &Section<'_>) -> Result<Placed, Refused> {
    let key = section.keys.get("credentials").filter(|key| key.is_object());
    let options = GcsOptions {
        bucket: section.needed("bucket")?,
        endpoint: None,
        key_file: section.text("keyfile"),
        key: key.map(|key| Secret::new(key.to_string())),
    };
    Ok((Provider::Gcs(options), section.prefix()))
}
