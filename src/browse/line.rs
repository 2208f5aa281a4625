//! The `prune` line for a set of marks, as a shell takes it.

use std::fmt::Write as _;

use super::place::Mark;
use crate::model::Name;
use crate::ui::{shell_word, visible};

/// A shell's line may be long, and a person still wants to read it.
const MOST_TARGETS: usize = 200;

/// The line, or why there is none.
pub fn prune_line(database: Option<&str>, marks: &[Mark]) -> Result<String, String> {
    let with_plan = "press w: a plan file takes them";
    if marks.len() > MOST_TARGETS {
        return Err(format!("{} marks are too many for one line; {with_plan}", marks.len()));
    }
    let mut line = String::from("regsql");
    if let Some(database) = database {
        let _infallible = write!(line, " --db {}", shell_word(database));
    }
    line.push_str(" prune");
    for mark in marks {
        let target = match mark {
            Mark::Thing(Name::Tag { repository, tag, .. }) => format!("{repository}:{tag}"),
            Mark::Thing(Name::Revision { repository, manifest_digest }) => {
                format!("{repository}@{manifest_digest}")
            }
            Mark::Thing(Name::Blob { blob_digest, .. }) => blob_digest.clone(),
            other => {
                let what = visible(&other.text()).into_owned();
                return Err(format!("no --target can name {what}; {with_plan}"));
            }
        };
        let _infallible = write!(line, " --target {}", shell_word(&target));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(repository: &str, tag: &str) -> Mark {
        Mark::Thing(Name::Tag {
            repository: repository.into(),
            tag: tag.into(),
            manifest_digest: None,
        })
    }

    #[test]
    fn marks_become_targets_of_one_command() {
        let blob = Mark::Thing(Name::Blob { blob_digest: "sha256:ab".into(), size_bytes: 1 });
        assert_eq!(
            prune_line(Some("my registry.db"), &[tag("team/app", "1.0"), blob]).unwrap(),
            "regsql --db 'my registry.db' prune --target team/app:1.0 --target sha256:ab"
        );
    }

    #[test]
    fn a_name_that_would_end_the_quotes_or_move_the_cursor_stays_a_word() {
        assert_eq!(
            prune_line(None, &[tag("a", "it's; rm -rf ~")]).unwrap(),
            r"regsql prune --target 'a:it'\''s; rm -rf ~'"
        );
        assert_eq!(
            prune_line(None, &[tag("a", "x\u{1b}[2J'")]).unwrap(),
            r"regsql prune --target $'a:x\x1b[2J\''"
        );
    }

    #[test]
    fn what_no_target_can_name_needs_a_plan() {
        let error = prune_line(None, &[Mark::Group("team".into())]).unwrap_err();
        assert!(error.contains("press w"), "{error}");
    }
}
