//! Where the files of a scan lie: `<view>/registry=NAME/scan=TIME/`, as Hive names partitions.

use super::LakeError;

/// The directories of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// `registry=` and the registry's name, escaped.
    pub registry: String,
    /// `scan=` and when the scan ended, in UTC to the millisecond.
    pub scan: String,
}

/// File systems take no longer names (`NAME_MAX` of Linux).
const MAX_NAME_BYTES: usize = 255;

impl Partition {
    /// Of a registry of that name.
    ///
    /// # Errors
    /// [`LakeError::Name`] for a name that no directory can have.
    pub fn new(name: &str, finished_ns: i64) -> Result<Self, LakeError> {
        let refuse = |reason| LakeError::Name { name: name.to_owned(), reason };
        if name.is_empty() {
            return Err(refuse("it is empty"));
        }
        let registry = format!("registry={}", escaped(name));
        if registry.len() > MAX_NAME_BYTES {
            return Err(refuse("it is too long for a directory's name"));
        }
        Ok(Self { registry, scan: format!("scan={}", time_text(finished_ns)) })
    }

    /// The directory of a table, below the lake.
    pub fn directory(&self, table: &str) -> String {
        format!("{table}/{}/{}", self.registry, self.scan)
    }
}

/// Escapes a partition's value as `%XX`: all that Hive escapes, and whatever in ASCII is not plain, so that
/// every engine and object storage takes it. Other characters stand as they are: Hive and Spark make a
/// character of each `%XX`, not a byte. A leading `_` would be hidden, or Hive's word for NULL.
fn escaped(name: &str) -> String {
    use std::fmt::Write as _;
    let is_plain = |char: char| {
        char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.') || !char.is_ascii()
    };
    name.char_indices().fold(String::new(), |mut text, (at, char)| {
        if is_plain(char) && !(at == 0 && matches!(char, '_' | '.')) {
            text.push(char);
        } else {
            let _infallible = write!(text, "%{:02X}", u32::from(char));
        }
        text
    })
}

/// `2026-11-25T020000.123Z`: sorts as it passes, and has no colon, which some file systems refuse.
fn time_text(at_ns: i64) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H%M%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_one_directory_and_two_names_never_the_same() {
        let of = |name: &str| Partition::new(name, 0).map(|partition| partition.registry);
        assert_eq!(of("acme").unwrap(), "registry=acme");
        assert_eq!(of("/srv/a=b").unwrap(), "registry=%2Fsrv%2Fa%3Db");
        assert_eq!(of("a%2Fb").unwrap(), "registry=a%252Fb");
        assert_eq!(of("..").unwrap(), "registry=%2E.");
        assert_eq!(of("é\n").unwrap(), "registry=é%0A");
        assert_eq!(
            of("__HIVE_DEFAULT_PARTITION__").unwrap(),
            "registry=%5F_HIVE_DEFAULT_PARTITION__"
        );
        assert!(of("").is_err());
        assert!(of(&"a".repeat(300)).is_err());
    }

    #[test]
    fn times_sort_as_text() {
        let scan = |ns| Partition::new("a", ns).unwrap().scan;
        assert_eq!(scan(1_769_860_800_123_456_789), "scan=2026-01-31T120000.123Z");
        assert!(scan(1_769_860_800_000_000_000) < scan(1_769_860_800_001_000_000));
    }
}
