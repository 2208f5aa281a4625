//! What was there at the last scan and is not there now. A mount that failed and a copy that is not
//! finished look like a registry from which much was deleted: only what was seen before shows it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::db::Witness;
use crate::model::{Code, Finding, text_of};

/// More percent of all tags missing at once than this has vanished, unless another limit was set.
pub const MAX_VANISHED_PERCENT: u8 = 50;

/// A repository as it is now.
pub struct RepositoryNow<'a> {
    pub name: &'a str,
    pub tag_count: u64,
    pub revision_count: u64,
}

/// Findings about what vanished. `top` is the directory of all repositories, `hidden` are paths that
/// could not be read: what lies there is unknown, and has not vanished.
pub fn vanished(
    witness: &Witness,
    now: &[RepositoryNow<'_>],
    max_percent: u8,
    top: &Path,
    hidden: &[&str],
) -> Vec<Finding> {
    let now: HashMap<&str, (u64, u64)> = now
        .iter()
        .map(|repository| (repository.name, (repository.tag_count, repository.revision_count)))
        .collect();
    let top = text_of(top.as_os_str());
    let since = jiff::Timestamp::from_nanosecond(i128::from(witness.finished_ns))
        .map_or_else(|_| "the scan before".into(), |time| format!("{time:.0}"));
    let finding = |repository: Option<&str>, below: &str, what: String| Finding {
        code: Code::Vanished,
        repository: repository.map(str::to_owned),
        digest: None,
        path: if below.is_empty() { top.clone() } else { format!("{top}/{below}") },
        detail: format!("{what} vanished since {since}"),
    };

    // Those that were something: an empty one is nothing that can be missed.
    let known: Vec<_> = witness
        .repositories
        .iter()
        .filter(|then| then.tag_count + then.revision_count > 0)
        .filter(|then| !is_hidden(&format!("{top}/{}", then.name), hidden))
        .collect();
    let is_gone = |name: &str| now.get(name).is_none_or(|(tags, revisions)| tags + revisions == 0);
    let all_tags: u64 = known.iter().map(|then| then.tag_count).sum();
    if !known.is_empty() && known.iter().all(|then| is_gone(&then.name)) {
        let what = format!("all {}", repositories_and_tags(known.len(), all_tags));
        return vec![finding(None, "", what)];
    }

    let mut found = Vec::new();
    // A namespace is any part of a name before a slash; the topmost that is gone stands for all in it.
    let mut namespaces: BTreeMap<&str, (usize, u64, bool)> = BTreeMap::new();
    for then in &known {
        for (at, _) in then.name.match_indices('/') {
            let (count, tags, is_all_gone) =
                namespaces.entry(&then.name[..at]).or_insert((0, 0, true));
            *count += 1;
            *tags += then.tag_count;
            *is_all_gone &= is_gone(&then.name);
        }
    }
    let mut gone_namespaces: BTreeSet<&str> = BTreeSet::new();
    for (name, (count, tags, is_all_gone)) in namespaces {
        let is_within =
            name.match_indices('/').any(|(at, _)| gone_namespaces.contains(&name[..at]));
        // One repository says by itself what is gone.
        if is_all_gone && !is_within && count > 1 {
            gone_namespaces.insert(name);
            let what = format!("namespace {name} ({})", repositories_and_tags(count, tags));
            found.push(finding(None, name, what));
        }
    }
    // Of those that no row of their own names.
    let (mut missing_tags, mut other_tags) = (0, 0);
    for then in &known {
        let (tags, revisions) = now.get(then.name.as_str()).copied().unwrap_or_default();
        let is_within =
            then.name.match_indices('/').any(|(at, _)| gone_namespaces.contains(&then.name[..at]));
        if is_within {
            continue;
        }
        let what = if !now.contains_key(then.name.as_str()) {
            format!("repository {} ({})", then.name, counted(then.tag_count, "tag", "tags"))
        } else if then.tag_count > 0 && tags == 0 {
            format!("all {} of {}", counted(then.tag_count, "tag", "tags"), then.name)
        } else if then.revision_count > 0 && revisions == 0 && then.tag_count > 0 {
            format!("all manifests of {}", then.name)
        } else {
            missing_tags += then.tag_count.saturating_sub(tags);
            other_tags += then.tag_count;
            continue;
        };
        found.push(finding(Some(&then.name), &then.name, what));
    }
    let limit = u128::from(other_tags) * u128::from(max_percent);
    if u128::from(missing_tags) * 100 > limit {
        let other = if found.is_empty() { "" } else { "other " };
        found.push(finding(None, "", format!("{missing_tags} of {other_tags} {other}tags")));
    }
    found
}

/// Whether a path, something above it or something in it could not be read.
fn is_hidden(path: &str, hidden: &[&str]) -> bool {
    let lies_in = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    hidden.iter().any(|other| lies_in(path, other) || lies_in(other, path))
}

fn repositories_and_tags(repositories: usize, tags: u64) -> String {
    format!(
        "{} with {}",
        counted(repositories as u64, "repository", "repositories"),
        counted(tags, "tag", "tags")
    )
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::RepositoryThen;

    fn texts(
        then: &[(&str, u64)],
        now: &[(&str, u64)],
        percent: u8,
        hidden: &[&str],
    ) -> Vec<String> {
        let repositories = then
            .iter()
            .map(|(name, tag_count)| RepositoryThen {
                name: (*name).to_owned(),
                tag_count: *tag_count,
                revision_count: 1,
            })
            .collect();
        let witness = Witness { finished_ns: 0, repositories, max_vanished_percent: None };
        let now: Vec<_> = now
            .iter()
            .map(|(name, tag_count)| RepositoryNow {
                name,
                tag_count: *tag_count,
                revision_count: 1,
            })
            .collect();
        vanished(&witness, &now, percent, Path::new("r"), hidden)
            .into_iter()
            .map(|finding| finding.detail.replace(" vanished since 1970-01-01T00:00:00Z", ""))
            .collect()
    }

    #[test]
    fn each_kind_of_loss_is_one_row_that_names_it() {
        let then = [("a", 2), ("team/x", 1), ("team/y", 3), ("z", 4)];
        assert!(texts(&then, &then, 0, &[]).is_empty());
        assert_eq!(texts(&then, &[], 50, &[]), ["all 4 repositories with 10 tags"]);
        assert_eq!(
            texts(&then, &[("a", 2), ("z", 4)], 50, &[]),
            ["namespace team (2 repositories with 4 tags)"]
        );
        assert_eq!(
            texts(&then, &[("a", 0), ("team/x", 1), ("team/y", 3)], 50, &[]),
            ["all 2 tags of a", "repository z (4 tags)"]
        );
        assert_eq!(
            texts(&then, &[("a", 1), ("team/x", 1), ("team/y", 2), ("z", 3)], 20, &[]),
            ["3 of 10 tags"]
        );
        // What has a row of its own is accepted by that row's name, and is no part of the share.
        assert_eq!(
            texts(&then, &[("a", 1), ("team/x", 1), ("team/y", 1)], 40, &[]),
            ["repository z (4 tags)", "3 of 6 other tags"]
        );
    }

    #[test]
    fn what_cannot_be_read_has_not_vanished() {
        let then = [("a", 2), ("team/x", 1), ("team/y", 3)];
        assert!(texts(&then, &[("a", 2)], 50, &["r/team"]).is_empty());
        assert!(
            texts(&then, &[("a", 0), ("team/x", 1), ("team/y", 3)], 50, &["r/a/_manifests"])
                .is_empty()
        );
        // A name that merely begins so is another one.
        assert_eq!(texts(&then, &[("a", 2)], 50, &["r/te"]).len(), 1);
    }
}
