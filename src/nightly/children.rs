//! The command lines of regsql's own steps.

use std::ffi::{OsStr, OsString};

use super::config::{Config, Mode};
use crate::ui;

/// `scan STORAGE`, as configured.
pub fn scan(config: &Config) -> Vec<OsString> {
    let mut words = Words::of("scan");
    for file in &config.scan.roots {
        words.option("--roots", file);
    }
    if let Some(authority) = &config.scan.authority {
        words.option("--authority", authority);
    }
    if config.scan.full {
        words.word("--full");
    }
    words.word("--").word(&config.storage);
    words.0
}

/// `prune` of all that is configured; `acts` carries it out.
pub fn prune(config: &Config, acts: bool) -> Vec<OsString> {
    let mut words = Words::of("prune");
    let prune = &config.prune;
    prune.files.iter().for_each(|file| words.option("--file", file));
    if prune.garbage {
        words.word("--garbage");
    }
    if let Some(age) = &prune.min_age {
        words.option("--min-age", &age.text);
    }
    if let Some(percent) = prune.max_delete_percent {
        words.option("--max-delete-percent", percent.0.to_string());
    }
    if let Some(size) = &prune.max_delete_bytes {
        words.option("--max-delete-bytes", &size.text);
    }
    prune.protect.iter().for_each(|file| words.option("--protect", file));
    prune.protect_commands.iter().for_each(|text| words.option("--protect-command", text));
    prune.protect_tags.iter().for_each(|glob| words.option("--protect-tags", glob));
    let switches = [
        ("--trust-storage", prune.trust_storage),
        ("--no-trash", prune.no_trash),
        ("--whole-repositories", prune.whole_repositories),
    ];
    for (switch, _) in switches.iter().filter(|(_, is_on)| *is_on) {
        words.word(switch);
    }
    registry(config, &mut words);
    words.option("--format", "json");
    if acts {
        words.word("--delete").word("--yes");
        match config.mode() {
            // The command that stops it has succeeded: that is somebody's word, which the probe checks.
            Mode::Stop { .. } => {
                words.word("--offline");
            }
            Mode::ReadOnly { .. } => {}
            Mode::Online => {
                words.word("--online");
                if config.registry().cache_off {
                    words.word("--cache-off");
                }
                if let Some(wait) = &config.registry().wait {
                    words.option("--wait", &wait.text);
                }
            }
        }
    }
    words.word("--");
    for report in &prune.reports {
        words.word(report);
    }
    words.0
}

fn registry(config: &Config, words: &mut Words) {
    let table = config.registry();
    words.option("--registry-url", &table.url);
    if let Some(user) = &table.user {
        words.option("--registry-user", user);
    }
    if let Some(file) = &table.password_file {
        words.option("--registry-password-file", file);
    }
    if let Some(file) = &table.ca {
        words.option("--registry-ca", file);
    }
    if let Some(timeout) = &table.timeout {
        words.option("--registry-timeout", &timeout.text);
    }
}

/// `trash purge`, by age; `is_offline` when nothing writes to the storage.
pub fn purge(age: &str, is_dry_run: bool, is_offline: bool) -> Vec<OsString> {
    let mut words = Words::of("trash");
    words.word("purge");
    words.option("--older-than", age);
    words.word(if is_dry_run { "--dry-run" } else { "--yes" });
    if is_offline {
        words.word("--offline");
    }
    words.0
}

/// `trash list`, for its sizes.
pub fn trash_list() -> Vec<OsString> {
    let mut words = Words::of("trash");
    words.word("list");
    words.option("--format", "json");
    words.0
}

/// A command line as a person would write it.
pub fn shown(words: &[OsString]) -> String {
    words.iter().fold("regsql".to_owned(), |text, word| {
        format!("{text} {}", ui::shell_word(&word.to_string_lossy()))
    })
}

struct Words(Vec<OsString>);

impl Words {
    fn of(command: &str) -> Self {
        Self(vec![command.into()])
    }

    fn word(&mut self, word: impl AsRef<OsStr>) -> &mut Self {
        self.0.push(word.as_ref().to_owned());
        self
    }

    /// One word with the value, so that a value that begins with a dash is none of its own.
    fn option(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(value);
        self.0.push(word);
    }
}
