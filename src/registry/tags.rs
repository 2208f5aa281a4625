//! The tags of a repository and what they stand for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use ureq::http::Method;
use ureq::http::header::LINK;

use crate::model::{Digest, is_tag_name};

use super::address::own_part;
use super::auth::{Access, Action};
use super::client::{Registry, repository_path};
use super::error::RegistryError;
use super::manifests::is_unknown;
use super::transport::CONNECTIONS;

/// The most that all pages of one list may have, in bytes: about a million tags.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// The most pages of one list.
const MAX_PAGES: usize = 10_000;

/// What a tag that the registry lists stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagState {
    /// A manifest.
    At(Digest),
    /// The registry lists it and serves nothing: its link or its manifest is gone.
    Broken,
    /// The registry does not say. The text is its error.
    Unreadable(String),
}

#[derive(Deserialize)]
struct TagList {
    /// `null` for a repository without tags.
    tags: Option<Vec<String>>,
}

impl Registry {
    /// The tags of a repository, in order; none if the registry does not know it.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        let start = format!("{}/tags/list", repository_path(repository)?);
        let access = Access { repository, action: Action::Pull };
        let mut tags = BTreeSet::new();
        let mut bytes_left = MAX_LIST_BYTES;
        let mut path = start.clone();
        let mut seen = BTreeSet::new();
        loop {
            let answer = self.call(access, Method::GET, &path, None, bytes_left)?;
            match answer.status {
                200 => {}
                404 if is_unknown(&answer) => return Ok(Vec::new()),
                _ => return Err(answer.unexpected()),
            }
            bytes_left = bytes_left.saturating_sub(answer.body.len() as u64);
            let list: TagList = serde_json::from_slice(&answer.body)
                .map_err(|error| answer.makes_no_sense(super::error::shown(&error.to_string())))?;
            tags.extend(list.tags.unwrap_or_default());
            let Some(link) = answer.header(LINK.as_str()).and_then(next_page) else {
                return Ok(tags.into_iter().collect());
            };
            let query = own_part(link, &format!("{start}?"));
            let query = query.ok_or_else(|| answer.makes_no_sense("its next page is elsewhere"))?;
            path = format!("{start}?{query}");
            if !seen.insert(path.clone()) || seen.len() > MAX_PAGES {
                return Err(answer.makes_no_sense("its pages do not end"));
            }
        }
    }

    /// What each of `tags` stands for, in their order; several are asked for at a time.
    ///
    /// # Errors
    /// When the registry as a whole fails. That one tag cannot be read is its state.
    pub fn tag_states(
        &self,
        repository: &str,
        tags: &[&str],
    ) -> Result<Vec<TagState>, RegistryError> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, TagState)>, RegistryError> {
            let mut states = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(tag) = tags.get(index) else { return Ok(states) };
                match self.tag_state(repository, tag) {
                    Ok(state) => states.push((index, state)),
                    Err(error) => {
                        // The others need not go on.
                        next.store(tags.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let count = CONNECTIONS.min(tags.len());
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut states = Vec::with_capacity(tags.len());
        for result in results {
            states.extend(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        states.sort_unstable_by_key(|(index, _)| *index);
        Ok(states.into_iter().map(|(_, state)| state).collect())
    }

    fn tag_state(&self, repository: &str, tag: &str) -> Result<TagState, RegistryError> {
        // A stray file among the tags is listed too, and cannot be asked for.
        if !is_tag_name(tag) {
            return Ok(TagState::Broken);
        }
        match self.manifest_digest(repository, tag) {
            Ok(Some(digest)) => Ok(TagState::At(digest)),
            Ok(None) => Ok(TagState::Broken),
            Err(error) if error.is_about_whole_registry() => Err(error),
            Err(error) => Ok(TagState::Unreadable(error.to_string())),
        }
    }
}

/// The target of `<target>; rel="next"` (RFC 8288).
fn next_page(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), "rel=next" | "rel=\"next\""));
        is_next.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_link_that_says_so() {
        let header = r#"</v2/a/tags/list?last=x>; rel="next""#;
        assert_eq!(next_page(header), Some("/v2/a/tags/list?last=x"));
        assert_eq!(next_page(r#"<a>; rel="prev", <b>; title=x; rel=next"#), Some("b"));
        for header in ["", "<", "<a>", "a; rel=next", "<a>; rel=last"] {
            assert_eq!(next_page(header), None, "{header}");
        }
    }
}
