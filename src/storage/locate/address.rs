//! Addresses of buckets: `s3://BUCKET[/PREFIX]`, `gs://BUCKET[/PREFIX]`, `az://ACCOUNT/CONTAINER[/PREFIX]`,
//! with what is no secret and cannot be known otherwise after a question mark.

use super::{LocateError, Location};

const FORMS: &str = "give a directory, such as /var/lib/registry, a registry's config.yml, or a bucket: s3://BUCKET[/PREFIX], \
    gs://BUCKET[/PREFIX], az://ACCOUNT/CONTAINER[/PREFIX]";

/// Where an address leads; `None` when it is a path. `variable` gives a variable of the environment.
pub fn parse(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<Result<Location, LocateError>> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return None;
    }
    let shown = match rest.split_once('/').map_or(rest, |(host, _)| host).rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://{}", &rest[user.len() + 1..]),
        None => text.to_owned(),
    };
    let refused = |found: &str, hint: &str| {
        let (found, hint) = (found.to_owned(), hint.to_owned());
        Some(Err(LocateError::Address { address: shown.clone(), found, hint }))
    };
    if shown != text {
        let hint =
            "leave it out; credentials come from the environment or the registry's configuration";
        return refused("it has a user or a password in it", hint);
    }
    match scheme {
        "s3" | "gs" | "az" => bucket(scheme, rest, variable, &refused),
        "s3a" | "s3n" => refused("that is Hadoop's word for it", "write s3://BUCKET[/PREFIX]"),
        "gcs" => refused("its scheme is not known", "write gs://BUCKET[/PREFIX]"),
        "azure" | "abfs" | "abfss" | "wasb" | "wasbs" => {
            refused("its scheme is not known", "write az://ACCOUNT/CONTAINER[/PREFIX]")
        }
        "file" => refused("it is a file's", "give the directory itself, without file://"),
        "swift" => refused(
            "regsql does not read Swift, where large objects lie in pieces",
            "copy the storage into a directory or a bucket with a program that knows Swift, such as rclone",
        ),
        "http" | "https" | "docker" => {
            refused("regsql reads where a registry stores and not the registry itself", FORMS)
        }
        _ => refused("its scheme is not known", FORMS),
    }
}

type Refused<'a> = &'a dyn Fn(&str, &str) -> Option<Result<Location, LocateError>>;

#[cfg(not(feature = "object-storage"))]
fn bucket(
    _scheme: &str,
    _rest: &str,
    _variable: &dyn Fn(&str) -> Option<String>,
    refused: Refused<'_>,
) -> Option<Result<Location, LocateError>> {
    refused(
        "this build reads directories alone",
        "take a build with the feature object-storage, as released ones are; or mount the bucket, or copy it here",
    )
}

#[cfg(feature = "object-storage")]
fn bucket(
    scheme: &str,
    rest: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    refused: Refused<'_>,
) -> Option<Result<Location, LocateError>> {
    use super::{Provider, object};
    use crate::storage::object::{azure::AzureOptions, gcs::GcsOptions, s3::S3Options};

    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let is_name = |name: &str| {
        let is_plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '$');
        !name.is_empty() && name.chars().all(is_plain)
    };
    let mut names = path.splitn(if scheme == "az" { 3 } else { 2 }, '/');
    let mut next = || names.next().unwrap_or_default();
    let (account, bucket) = if scheme == "az" { (next(), next()) } else { ("", next()) };
    let prefix = next();
    if scheme == "az" && !(is_name(account) && is_name(bucket)) {
        return refused(
            "an account and a container belong in it",
            "write az://ACCOUNT/CONTAINER[/PREFIX]",
        );
    }
    if !is_name(bucket) {
        return refused("its bucket has no name, or one that no bucket has", FORMS);
    }
    let (mut endpoint, mut region, mut is_path_style) = (None, None, None);
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match (name, value, scheme) {
            ("endpoint", value, _) if value.contains("://") => endpoint = Some(value.to_owned()),
            ("region", value, "s3") if !value.is_empty() => region = Some(value.to_owned()),
            ("path-style", "true" | "false", "s3") => is_path_style = Some(value == "true"),
            _ => {
                return refused(
                    &format!("`{option}` after the question mark is none of its options"),
                    "s3:// takes endpoint=URL, region=NAME and path-style=true or false; gs:// and az:// take \
                     endpoint=URL",
                );
            }
        }
    }
    let bucket = bucket.to_owned();
    let provider = match scheme {
        "s3" => Provider::S3(Box::new(S3Options {
            bucket,
            region,
            endpoint,
            is_path_style,
            ..S3Options::default()
        })),
        "gs" => Provider::Gcs(GcsOptions { bucket, endpoint, ..GcsOptions::default() }),
        _ => Provider::Azure(Box::new(AzureOptions {
            account: account.to_owned(),
            container: bucket,
            endpoint,
            ..AzureOptions::default()
        })),
    };
    Some(Ok(object::location(provider, prefix, variable)))
}

#[cfg(test)]
#[cfg(feature = "object-storage")]
mod tests {
    use super::*;
    use crate::storage::{Place, Provider};

    fn parsed(text: &str) -> Result<Location, LocateError> {
        parse(text, &|_| None).unwrap()
    }

    fn root_and_prefix(text: &str) -> (String, String) {
        let location = parsed(text).unwrap();
        let Place::Object(place) = location.place else { panic!("{text}") };
        (location.root.display().to_string(), place.prefix)
    }

    #[test]
    fn the_address_of_a_bucket_leads_to_its_registry_however_it_is_written() {
        for (text, root, prefix) in [
            ("s3://b", "s3://b", ""),
            ("s3://b/", "s3://b", ""),
            ("s3://b/x/y/", "s3://b/x/y", "x/y/"),
            ("s3://b/x/docker/registry/v2/", "s3://b/x", "x/"),
            ("s3://b/docker/registry/v2", "s3://b", ""),
            ("gs://b/x", "gs://b/x", "x/"),
            ("az://a/c", "az://a/c", ""),
            ("az://a/c/x", "az://a/c/x", "x/"),
            ("s3://b/x?endpoint=http://h:9000/", "s3://b/x?endpoint=http://h:9000", "x/"),
            (
                "s3://b?endpoint=http://h&path-style=false&region=r",
                "s3://b?endpoint=http://h&path-style=false",
                "",
            ),
        ] {
            assert_eq!(root_and_prefix(text), (root.to_owned(), prefix.to_owned()), "{text}");
            // What a snapshot calls it leads to the same place.
            assert_eq!(root_and_prefix(root), (root.to_owned(), prefix.to_owned()), "{root}");
        }
    }

    #[test]
    fn the_server_is_part_of_what_a_bucket_is_called() {
        let variable = |name: &str| {
            (name == "AWS_ENDPOINT_URL").then(|| "https://minio.example.com".to_owned())
        };
        let location = parse("s3://b", &variable).unwrap().unwrap();
        let root = location.root.display().to_string();
        assert_eq!(root, "s3://b?endpoint=https://minio.example.com");
        let Place::Object(place) = parsed(&root).unwrap().place else { panic!() };
        let Provider::S3(options) = place.provider else { panic!() };
        assert_eq!(options.endpoint.as_deref(), Some("https://minio.example.com"));
    }

    #[test]
    fn what_is_no_address_says_how_one_is_written() {
        for (text, word) in [
            ("s3://", "no name"),
            ("s3:///x", "no name"),
            ("az://a", "account"),
            ("swift://c", "Swift"),
            ("ftp://x", "not known"),
            ("s3://key:secret@b/x", "password"),
            ("s3://b?secret=x", "none of its options"),
            ("s3://b?endpoint=h", "none of its options"),
            ("file:///srv", "file"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert!(!error.hint().unwrap().is_empty());
        }
        let error = parsed("s3://key:secret@b/x").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert!(parse("/srv/a://b", &|_| None).is_none());
        assert!(parse("registry", &|_| None).is_none());
    }
}
