//! What counts, and how much: severities by code, as a person sets them.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::model::{Code, Severity};

/// `CODE=LEVEL`: a code's findings count more or less than they do of themselves, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeverityChange {
    code: Code,
    /// `None`: not at all.
    severity: Option<Severity>,
}

impl FromStr for SeverityChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) =
            text.split_once('=').ok_or("expected CODE=LEVEL, such as foreign-file=error")?;
        let code = Code::by_name(name)
            .ok_or_else(|| format!("there is no code `{name}`; docs/findings.md lists them all"))?;
        let severity = match level {
            "off" => None,
            level => Some(
                Severity::by_name(level)
                    .ok_or("expected error, warning, info or off behind the code")?,
            ),
        };
        Ok(Self { code, severity })
    }
}

/// All changes; the last one for a code counts.
#[derive(Clone, Debug, Default)]
pub struct Severities {
    changes: BTreeMap<&'static str, Option<Severity>>,
}

impl Severities {
    /// What the changes come to.
    pub fn new(changes: &[SeverityChange]) -> Self {
        let changes = changes.iter().map(|change| (change.code.name(), change.severity));
        Self { changes: changes.collect() }
    }

    /// How much the code counts; `None` when not at all.
    pub fn of(&self, code: Code) -> Option<Severity> {
        self.changes.get(code.name()).copied().unwrap_or(Some(code.severity()))
    }

    /// Every code that counts other than of itself, as an object of names and levels for
    /// [`super::FINDINGS_SQL`].
    pub fn to_json(&self) -> String {
        let level = |severity: &Option<Severity>| severity.map_or("off", Severity::as_str);
        let pairs = self
            .changes
            .iter()
            .map(|(name, severity)| format!("\"{name}\":\"{}\"", level(severity)));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_a_code_counts() {
        let parse = |text: &str| text.parse::<SeverityChange>().unwrap();
        let severities = Severities::new(&[
            parse("foreign-file=error"),
            parse("dangling-link=off"),
            parse("foreign-file=info"),
        ]);
        assert_eq!(severities.of(Code::ForeignFile), Some(Severity::Info));
        assert_eq!(severities.of(Code::DanglingLink), None);
        assert_eq!(severities.of(Code::LayerMissing), Some(Severity::Error));
        assert_eq!(severities.to_json(), r#"{"dangling-link":"off","foreign-file":"info"}"#);
    }

    #[test]
    fn a_change_names_a_code_and_a_level() {
        for text in ["foreign-file", "foreign=error", "foreign-file=fatal", "=off", ""] {
            assert!(text.parse::<SeverityChange>().is_err(), "{text}");
        }
    }
}
