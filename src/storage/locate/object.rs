//! A registry's place in a bucket, and what that is called.

use std::path::PathBuf;

use super::{Location, ObjectPlace, Place, Provider, V2};
use crate::storage::Layout;

/// The place of the registry whose keys begin with `prefix`, and its name: the address that leads to it again,
/// with the server where that goes not without saying. Two registries never have the same.
pub fn location(
    provider: Provider,
    prefix: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Location {
    let prefix = prefix.trim_matches('/');
    let prefix = prefix
        .strip_suffix(V2)
        .filter(|rest| rest.is_empty() || rest.ends_with('/'))
        .unwrap_or(prefix);
    let prefix = prefix.trim_end_matches('/');
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (mut root, endpoint) = match &provider {
        Provider::S3(options) => {
            let endpoint = options.endpoint.clone();
            let set = || set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL"));
            (format!("s3://{}", options.bucket), endpoint.or_else(set))
        }
        // An emulator of the environment is for tests.
        Provider::Gcs(options) => (format!("gs://{}", options.bucket), options.endpoint.clone()),
        Provider::Azure(options) => {
            let endpoint = options.endpoint.clone();
            let set = || set("AZURE_STORAGE_SERVICE_ENDPOINT");
            (format!("az://{}/{}", options.account, options.container), endpoint.or_else(set))
        }
    };
    if !prefix.is_empty() {
        root.push('/');
        root.push_str(prefix);
    }
    // One with a password is refused when it is to be used.
    if let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.contains('@')) {
        root.push_str("?endpoint=");
        root.push_str(endpoint.trim_end_matches('/'));
        if let Provider::S3(options) = &provider
            // In the path is what goes without saying.
            && options.is_path_style == Some(false)
        {
            root.push_str("&path-style=false");
        }
    }
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Location {
        root: PathBuf::from(&root),
        origin: PathBuf::from(root),
        layout: Layout::new(V2.into()),
        configured: None,
        place: Place::Object(ObjectPlace { provider, prefix }),
    }
}
