//! A registry's `config.yml`, as versions 2 and 3 read it: `storage`, `proxy`, and the environment
//! that overrides them (distribution `configuration/{configuration,parser}.go`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::LocateError;
use crate::model::authority::{Configured, Evidence, EvidenceCode};

/// A configuration larger than this is none.
const MAX_BYTES: u64 = 1 << 20;

/// Keys of `storage` that are no driver (distribution `configuration.go`, `Storage.Type`).
const NO_DRIVERS: [&str; 5] = ["maintenance", "cache", "delete", "redirect", "tag"];

/// Where a driver of that name without a `rootdirectory` keeps its data (distribution
/// `registry/storage/driver/filesystem/driver.go`).
const DEFAULT_ROOT: &str = "/var/lib/registry";

const ROOT_VARIABLE: &str = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";

const GIVE_THE_DIRECTORY: &str =
    "give the directory itself; regsql reads `storage.filesystem.rootdirectory`";

/// What a configuration says of the storage.
#[derive(Debug)]
pub struct Read {
    /// Where it lies.
    pub place: ConfiguredPlace,
    /// What else it says.
    pub says: Configured,
}

/// Where a registry stores, as its configuration says.
#[derive(Debug)]
pub enum ConfiguredPlace {
    /// Files.
    Directory(ConfiguredDirectory),
    /// A bucket, and what keys in it begin with.
    #[cfg(feature = "object-storage")]
    Bucket(super::Provider, String),
}

/// A root directory.
#[derive(Debug)]
pub struct ConfiguredDirectory {
    /// Maybe relative, maybe one inside a container.
    root: PathBuf,
    /// Where that was found, for people.
    source: &'static str,
}

impl ConfiguredDirectory {
    /// The root as it is on this machine. A relative one is looked for where the configuration lies
    /// and where the command runs: the registry takes it from the directory it was started in,
    /// which nothing says.
    pub fn existing_root(&self, configuration: &Path) -> Result<PathBuf, LocateError> {
        let beside = configuration.parent().unwrap_or(Path::new(".")).join(&self.root);
        let mut found: Vec<PathBuf> = [beside, self.root.clone()]
            .iter()
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        found.dedup();
        let is_registry = |path: &PathBuf| super::has_halves(&path.join(super::V2));
        if !found.iter().all(is_registry) {
            // Where the configuration lies, unless only the other one is a registry.
            found.sort_by_key(|path| !is_registry(path));
            found.truncate(1);
        }
        let error = |found, hint| LocateError::Configuration {
            path: configuration.to_owned(),
            found,
            hint,
        };
        let shown = self.root.display();
        match found.as_slice() {
            [root] => Ok(root.clone()),
            [first, second, ..] => Err(error(
                format!(
                    "{} `{shown}` may mean `{}` or `{}`",
                    self.source,
                    first.display(),
                    second.display()
                ),
                "give one of them".into(),
            )),
            [] if self.root.is_relative() => Err(error(
                format!("{} `{shown}` is relative, and not here", self.source),
                "the registry takes it from the directory it was started in: give the directory \
                 itself"
                    .into(),
            )),
            [] => Err(error(
                format!("{} `{shown}` does not exist on this machine", self.source),
                format!(
                    "if the registry runs in a container, give the directory of the host that is \
                     mounted at {shown} (`docker inspect` lists it under Mounts)"
                ),
            )),
        }
    }
}

/// Variables of the environment by name.
type Variables = BTreeMap<String, String>;

/// Reads the configuration at `path`, with the variables of the environment.
pub fn read(path: &Path, variables: &Variables) -> Result<Read, LocateError> {
    let unreadable = |source| LocateError::Unreadable { path: path.to_owned(), source };
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(no_configuration(path, "it is neither a directory nor a file"));
    }
    if path.metadata().map_err(unreadable)?.len() > MAX_BYTES {
        return Err(no_configuration(path, "it is a file of more than 1 MiB, so no configuration"));
    }
    let text = String::from_utf8(std::fs::read(path).map_err(unreadable)?)
        .map_err(|_| error(path, "it is not text".into()))?;
    parse(path, &text, variables)
}

fn no_configuration(path: &Path, found: &str) -> LocateError {
    LocateError::NotARegistry {
        path: path.to_owned(),
        found: found.to_owned(),
        hint: super::layouts::EXPECTED.to_owned(),
    }
}

fn error(path: &Path, found: String) -> LocateError {
    LocateError::Configuration { path: path.to_owned(), found, hint: GIVE_THE_DIRECTORY.to_owned() }
}

fn parse(path: &Path, text: &str, variables: &Variables) -> Result<Read, LocateError> {
    let yaml = |text: &str| {
        serde_saphyr::from_str::<Value>(text).map_err(|reason| {
            let reason = reason.to_string();
            error(path, format!("it is not YAML ({})", reason.lines().next().unwrap_or("")))
        })
    };
    let value = yaml(text)?;
    let given = |name: &str| variables.get(name).filter(|text| !text.is_empty());
    // A section as the environment leaves it, which may have one that the file has not.
    let section = |name: &str| -> Result<Option<Value>, LocateError> {
        let prefix = format!("registry_{name}");
        let mut section = match given(&prefix.to_ascii_uppercase()) {
            Some(text) => Some(yaml(text)?),
            None => value.get(name).cloned(),
        };
        // In sorted order, so that what is more exact wins, as in the registry.
        for (name, text) in variables {
            let name = name.to_ascii_lowercase();
            let keys = name.strip_prefix(&prefix).and_then(|rest| rest.strip_prefix('_'));
            let Some(keys) = keys.filter(|_| !text.is_empty()) else { continue };
            let value = match yaml(text) {
                // Such as a password: only what says where the storage is must be understood.
                Err(_) if prefix != "registry_storage" => Value::String(text.clone()),
                value => value?,
            };
            set(section.get_or_insert(Value::Null), keys.split('_'), value);
        }
        Ok(section)
    };
    let proxy = section("proxy")?;
    let remote_url = proxy.as_ref().and_then(|proxy| proxy.get("remoteurl")?.as_str());
    let says = Configured {
        proxied_url: remote_url.filter(|url| !url.is_empty()).map(without_user),
        evidence: holders(&value, section("database")?.as_ref(), section("auth")?.as_ref()),
    };

    let root_variable = given(ROOT_VARIABLE).map(PathBuf::from);
    let storage = section("storage")?;
    let drivers: Vec<String> = match &storage {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Object(sections)) => {
            sections.keys().filter(|name| !NO_DRIVERS.contains(&name.as_str())).cloned().collect()
        }
        _ if value.get("services").is_some() => {
            let found = "it is a Compose file, not a registry's configuration".into();
            return Err(LocateError::Configuration {
                path: path.to_owned(),
                found,
                hint: "give the directory that it mounts at /var/lib/registry".into(),
            });
        }
        _ => return Err(error(path, "it has no `storage`".into())),
    };
    match drivers.as_slice() {
        [name] if name == "filesystem" => {}
        #[cfg(feature = "object-storage")]
        [name] if super::drivers::is_known(name) => {
            let section = storage.as_ref().and_then(|storage| storage.get(name));
            let (provider, prefix) = super::drivers::read(name, section).map_err(|refused| {
                let (found, hint) = refused;
                LocateError::Configuration { path: path.to_owned(), found, hint }
            })?;
            return Ok(Read { place: ConfiguredPlace::Bucket(provider, prefix), says });
        }
        [] => return Err(error(path, "its `storage` names no driver".into())),
        [name] => {
            let found = format!("its storage is not a file system (it has {name})");
            let hint = hint_for(name).to_owned();
            return Err(LocateError::Configuration { path: path.to_owned(), found, hint });
        }
        _ => {
            let found = format!(
                "it has several storage drivers ({}), which no registry takes",
                drivers.join(", ")
            );
            return Err(error(path, found));
        }
    }
    let (root, source) = if let Some(root) = root_variable {
        (root, "the root directory of REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY")
    } else {
        let named = storage.as_ref().and_then(|value| value.pointer("/filesystem/rootdirectory"));
        match named {
            None | Some(Value::Null) => (PathBuf::from(DEFAULT_ROOT), "the default root directory"),
            Some(Value::String(root)) => (PathBuf::from(root), "the rootdirectory"),
            // The registry prints whatever it is (`fmt.Sprint`).
            Some(other) => (PathBuf::from(other.to_string()), "the rootdirectory"),
        }
    };
    let place = ConfiguredPlace::Directory(ConfiguredDirectory { root, source });
    Ok(Read { place, says })
}

/// Who else holds references, by what no other registry's configuration has.
fn holders(value: &Value, database: Option<&Value>, auth: Option<&Value>) -> Vec<Evidence> {
    let word = |value: &Value| match value {
        Value::String(text) => text.to_ascii_lowercase(),
        other => other.to_string(),
    };
    let has_name = |list: &str, name: &str| {
        let entries = value.pointer(list).and_then(Value::as_array);
        let is_it = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(name);
        entries.is_some_and(|entries| entries.iter().any(is_it))
    };
    let enabled = database.and_then(|database| database.get("enabled")).map(word);
    let gitlab = enabled
        .filter(|word| matches!(word.as_str(), "true" | "prefer"))
        .map(|word| format!("database.enabled: {word}"));
    let openshift = [
        (value.get("openshift").is_some(), "openshift"),
        (auth.is_some_and(|auth| auth.get("openshift").is_some()), "auth.openshift"),
        (has_name("/middleware/registry", "openshift"), "middleware.registry: openshift"),
        (has_name("/middleware/repository", "openshift"), "middleware.repository: openshift"),
    ];
    let token = |key: &str| auth.and_then(|auth| auth.get("token")?.get(key)?.as_str());
    let harbor = [
        (token("service") == Some("harbor-registry"), "auth.token.service: harbor-registry"),
        (token("issuer") == Some("harbor-token-issuer"), "auth.token.issuer: harbor-token-issuer"),
        (has_name("/notifications/endpoints", "harbor"), "notifications.endpoints: harbor"),
    ];
    let first = |signs: &[(bool, &str)]| {
        signs.iter().find(|(is_there, _)| *is_there).map(|(_, sign)| (*sign).to_owned())
    };
    let found = [
        (EvidenceCode::GitlabConfiguration, gitlab),
        (EvidenceCode::OpenshiftConfiguration, first(&openshift)),
        (EvidenceCode::HarborConfiguration, first(&harbor)),
    ];
    let evidence = |(code, sign): (EvidenceCode, Option<String>)| {
        sign.map(|example| Evidence { code, count: 1, of: 1, example })
    };
    found.into_iter().filter_map(evidence).collect()
}

/// What to do with the storage of a driver that regsql does not read.
fn hint_for(driver: &str) -> &'static str {
    match driver {
        "swift" => {
            "regsql does not read Swift, where large objects lie in pieces: copy the storage into a directory or a \
             bucket with a program that knows Swift, such as rclone"
        }
        "oss" => {
            "OSS speaks S3, too: give s3://BUCKET/ROOTDIRECTORY?endpoint=https://oss-REGION.aliyuncs.com&path-style=false \
             with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        }
        "inmemory" => "such a registry holds everything in memory: there is no storage to scan",
        "s3" | "s3aws" | "azure" | "gcs" => {
            "this build reads directories alone: take one with the feature object-storage, as released ones are"
        }
        _ => GIVE_THE_DIRECTORY,
    }
}

/// Sets what `keys` lead to, whatever stood on the way. Whole sections may be a word alone.
fn set<'k>(at: &mut Value, mut keys: impl Iterator<Item = &'k str>, value: Value) {
    let Some(key) = keys.next() else {
        *at = value;
        return;
    };
    if let Value::String(name) = at {
        *at = Value::Object(std::iter::once((std::mem::take(name), Value::Null)).collect());
    }
    if !at.is_object() {
        *at = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(section) = at {
        set(section.entry(key).or_insert(Value::Null), keys, value);
    }
}

/// User and password are for the registry alone.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, variables: &[(&str, &str)]) -> Result<Read, LocateError> {
        let variables = variables.iter().map(|(name, text)| ((*name).into(), (*text).into()));
        parse(Path::new("config.yml"), text, &variables.collect())
    }

    fn directory(configured: Read) -> ConfiguredDirectory {
        match configured.place {
            ConfiguredPlace::Directory(directory) => directory,
            #[cfg(feature = "object-storage")]
            ConfiguredPlace::Bucket(..) => panic!("it is a bucket"),
        }
    }

    fn root(text: &str, variables: &[(&str, &str)]) -> PathBuf {
        directory(parsed(text, variables).unwrap()).root
    }

    #[test]
    fn the_forms_that_the_registry_takes_all_name_a_root() {
        let default = Path::new(DEFAULT_ROOT);
        assert_eq!(root("storage: filesystem", &[]), default);
        assert_eq!(root("storage:\n  filesystem:\n", &[]), default);
        assert_eq!(root("storage:\n  filesystem: {maxthreads: 100}\n", &[]), default);
        let both = "storage:\n  cache: {blobdescriptor: inmemory}\n  delete: {enabled: true}\n  \
                    tag: {concurrencylimit: 5}\n  filesystem: {rootdirectory: /srv/r}\n";
        assert_eq!(root(both, &[]), Path::new("/srv/r"));
        assert_eq!(root(both, &[(ROOT_VARIABLE, "/env")]), Path::new("/env"));
        assert_eq!(root("version: 0.1\n", &[(ROOT_VARIABLE, "/env")]), Path::new("/env"));
        assert_eq!(root("storage: s3", &[("REGISTRY_STORAGE", "filesystem")]), default);
    }

    #[test]
    fn other_drivers_are_named_without_the_sections_that_are_none() {
        for (text, word) in [
            ("storage:\n  swift: {container: b}\n  cache: {}\n  redirect: {}\n", "(it has swift)"),
            ("storage: {oss: {bucket: b}}", "(it has oss)"),
            ("storage: inmemory", "(it has inmemory)"),
            ("storage:\n  s3: {}\n  filesystem: {}\n", "filesystem"),
            ("storage:\n  delete: {enabled: true}\n", "names no driver"),
            ("http: {}", "no `storage`"),
            ("services:\n  registry: {image: registry}\n", "Compose"),
            ("[", "not YAML"),
        ] {
            let error = parsed(text, &[]).unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_remote_url_makes_a_pull_through_cache_and_keeps_its_password() {
        let proxy =
            "storage: filesystem\nproxy:\n  remoteurl: https://u:p@example.com/x\n  ttl: 0\n";
        assert_eq!(
            parsed(proxy, &[]).unwrap().says.proxied_url.as_deref(),
            Some("https://example.com/x")
        );
        let variable = [("REGISTRY_PROXY_REMOTEURL", "https://example.org")];
        let of_variable = parsed("storage: filesystem", &variable).unwrap();
        assert_eq!(of_variable.says.proxied_url.as_deref(), Some("https://example.org"));
        assert_eq!(parsed("storage: filesystem", &[]).unwrap().says, Configured::default());
        let section = [("REGISTRY_PROXY", "{remoteurl: 'https://u@example.net', ttl: 0s}")];
        let of_section = parsed("storage: filesystem", &section).unwrap().says;
        assert_eq!(of_section.proxied_url.as_deref(), Some("https://example.net"));
    }

    #[test]
    fn the_environment_says_who_else_holds_references_too() {
        let of = |variables| parsed("storage: filesystem", variables).unwrap().says.evidence;
        let [gitlab] = &of(&[("REGISTRY_DATABASE_ENABLED", "true")])[..] else { panic!() };
        assert_eq!(gitlab.code, EvidenceCode::GitlabConfiguration);
        assert_eq!(gitlab.example, "database.enabled: true");
        let [harbor] = &of(&[("REGISTRY_AUTH_TOKEN_SERVICE", "harbor-registry")])[..] else {
            panic!()
        };
        assert_eq!(harbor.code, EvidenceCode::HarborConfiguration);
        assert_eq!(of(&[("REGISTRY_DATABASE_ENABLED", "false")]), []);
        let secret = [("REGISTRY_DATABASE_ENABLED", "true"), ("REGISTRY_DATABASE_PASSWORD", "%[x")];
        assert_eq!(of(&secret).len(), 1, "a password need not be YAML");
    }

    #[test]
    fn a_root_that_is_not_here_is_named_with_the_way_to_the_host() {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("config.yml");
        let absolute = self::directory(
            parsed("storage: {filesystem: {rootdirectory: /no/such/root}}", &[]).unwrap(),
        );
        let error = absolute.existing_root(&configuration).unwrap_err();
        assert!(error.to_string().contains("`/no/such/root` does not exist"), "{error}");
        assert!(error.hint().unwrap().contains("mounted at /no/such/root"));
        let relative = "storage: {filesystem: {rootdirectory: ./data-of-r}}";
        let relative = self::directory(parsed(relative, &[]).unwrap());
        let error = relative.existing_root(&configuration).unwrap_err();
        assert!(error.to_string().contains("`./data-of-r` is relative"), "{error}");
        std::fs::create_dir(directory.path().join("data-of-r")).unwrap();
        let root = relative.existing_root(&configuration).unwrap();
        assert_eq!(root, directory.path().join("data-of-r").canonicalize().unwrap());
    }

    #[cfg(feature = "object-storage")]
    fn bucket(text: &str, variables: &[(&str, &str)]) -> (super::super::Provider, String) {
        match parsed(text, variables).unwrap().place {
            ConfiguredPlace::Bucket(provider, prefix) => (provider, prefix),
            ConfiguredPlace::Directory(directory) => panic!("{directory:?}"),
        }
    }

    #[test]
    #[cfg(feature = "object-storage")]
    fn a_bucket_is_read_from_the_file_and_the_environment_as_the_registry_reads_them() {
        use super::super::Provider;

        let file = "storage:\n  s3:\n    bucket: of-file\n    region: us-east-1\n    accesskey: k\n    \
                    secretkey: s\n    regionendpoint: minio:9000\n    secure: false\n    rootdirectory: /x/y\n";
        let (Provider::S3(options), prefix) = bucket(file, &[]) else { panic!() };
        assert_eq!((&*options.bucket, &*prefix), ("of-file", "/x/y"));
        assert_eq!(options.endpoint.as_deref(), Some("http://minio:9000"));
        assert_eq!(options.is_path_style, Some(true));
        assert!(options.access.is_some());
        assert!(!format!("{options:?}").contains("\"s\""), "{options:?}");

        // The environment wins, its values are YAML, and it may name the driver, too.
        let variables = [
            ("REGISTRY_STORAGE_S3_BUCKET", "of-environment"),
            ("registry_storage_s3_forcepathstyle", "false"),
            ("REGISTRY_STORAGE_S3_ENCRYPT", "true"),
        ];
        let (Provider::S3(options), _) = bucket(file, &variables) else { panic!() };
        assert_eq!((&*options.bucket, options.is_path_style), ("of-environment", Some(false)));
        assert!(options.is_encrypted);
        let only = [
            ("REGISTRY_STORAGE", "gcs"),
            ("REGISTRY_STORAGE_GCS_BUCKET", "b"),
            ("REGISTRY_STORAGE_GCS_ROOTDIRECTORY", "/z"),
        ];
        let (Provider::Gcs(options), prefix) = bucket("version: 0.1", &only) else { panic!() };
        assert_eq!((&*options.bucket, &*prefix), ("b", "/z"));
        let azure = "storage: {azure: {accountname: a, container: c, credentials: {type: client_secret, \
                     tenantid: t, clientid: i, secret: hidden}}, cache: {blobdescriptor: inmemory}}";
        let (Provider::Azure(options), prefix) = bucket(azure, &[]) else { panic!() };
        assert_eq!((&*options.account, &*options.container, &*prefix), ("a", "c", ""));
        assert!(options.client.is_some());
        assert!(!format!("{options:?}").contains("hidden"), "{options:?}");
    }

    #[test]
    #[cfg(feature = "object-storage")]
    fn a_bucket_that_regsql_cannot_read_as_the_registry_does_says_what_to_do() {
        for (text, variables, word) in [
            ("storage: {s3: {bucket: b, v4auth: false}}", &[][..], "v4auth"),
            ("storage: {s3: {region: r}}", &[], "no `bucket`"),
            ("storage: {s3: {bucket: b, accesskey: k}}", &[], "one of"),
            ("storage: {s3: {bucket: b, secure: maybe}}", &[], "neither true nor false"),
            ("storage: {azure: {accountname: a}}", &[], "no `container`"),
            (
                "storage: {filesystem: {}}",
                &[("REGISTRY_STORAGE_S3_BUCKET", "b")],
                "several storage drivers",
            ),
        ] {
            let error = parsed(text, variables).unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert!(!error.hint().unwrap().is_empty());
        }
    }
}
