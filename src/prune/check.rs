//! Whether a thing is still what the scan saw, asked at the moment of its step.

use std::io;
use std::path::Path;

use super::executor::{Destination, Executor, failed};
use super::name::SkipGroup;
use crate::graph::{BlobNode, Graph, Item};
use crate::model::{Digest, LinkContent, MAX_LINK_BYTES, parse_link};
use crate::storage::{FileFacts, FileKind, sha256};

/// Why something is not taken, if it is not.
pub(super) type Checked = Result<(), (SkipGroup, String)>;

impl Executor<'_> {
    /// A link must be what the scan saw.
    pub(super) fn check_link(&self, path: &Path, time_ns: Option<i64>) -> Checked {
        let facts = self.facts(path)?;
        if facts.kind == FileKind::File && Some(facts.modified_ns) == time_ns {
            return Ok(());
        }
        Err((SkipGroup::Changed, "it was written after the scan".into()))
    }

    /// A tag must point where the scan saw it point, or still be without a link.
    pub(super) fn check_tag(&self, link: &Path, tag: Item) -> Checked {
        let pushed_ns = self.graph.changed_ns_of(tag);
        match self.storage.stat(link) {
            Err(error) if pushed_ns.is_none() && is_half(&error, tag, self.graph) => Ok(()),
            _ => {
                self.check_link(link, pushed_ns)?;
                let content = self.storage.read_anew(link, MAX_LINK_BYTES as u64);
                self.must_lead_to(&content.map_err(|error| failed(&error))?.bytes, tag)
            }
        }
    }

    fn must_lead_to(&self, content: &[u8], tag: Item) -> Checked {
        match parse_link(content) {
            LinkContent::Clean(digest) | LinkContent::Spaced(digest)
                if Some(&digest) == self.graph.digest_of(tag) =>
            {
                Ok(())
            }
            LinkContent::Clean(digest) | LinkContent::Spaced(digest) => {
                Err((SkipGroup::Changed, format!("it points at {digest} now")))
            }
            // Only a repository that goes whole takes a tag along that says nothing.
            LinkContent::Nothing(_) if self.graph.digest_of(tag).is_none() => Ok(()),
            LinkContent::Nothing(why) => Err((SkipGroup::Changed, why)),
        }
    }

    /// A push may have written to the tag between the look and the rename.
    pub(super) fn recheck_tag(&self, path: &Path, tag: Item) -> Checked {
        let link = path.join("current/link");
        let content = match &self.destination {
            Destination::Trash(run) => run.read_taken(&link, MAX_LINK_BYTES as u64),
            Destination::Aside(aside) => aside.read(&link, MAX_LINK_BYTES as u64),
            Destination::Nowhere => return Ok(()),
        };
        match content {
            Ok(content) => self.must_lead_to(&content.bytes, tag),
            Err(error) if is_half(&error, tag, self.graph) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// An entry of a tag's history, `<repository>/_manifests/tags/<tag>/index/<algorithm>/<hex>`, must lead
    /// nowhere: its revision is gone, and the tag points elsewhere.
    pub(super) fn check_history(&self, path: &Path) -> Checked {
        let changed = |reason: &str| Err((SkipGroup::Changed, reason.to_owned()));
        let parts = || Some((path.ancestors().nth(3)?, path.ancestors().nth(5)?));
        let Some((tag, manifests)) = parts() else {
            return changed("its name leads to no path");
        };
        let Ok(digest) = path.strip_prefix(tag.join("index")) else {
            return changed("its name leads to no path");
        };
        let revision = manifests.join("revisions").join(digest);
        // A look at the place itself: what was listed before may be older.
        match self.storage.read_anew(&revision.join("link"), 1) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&error)),
            Ok(_) => return changed("its manifest is there again"),
        }
        let content = self.storage.read_anew(&tag.join("current/link"), MAX_LINK_BYTES as u64);
        match parse_link(&content.map_err(|error| failed(&error))?.bytes) {
            LinkContent::Clean(digest) | LinkContent::Spaced(digest)
                if !revision.ends_with(digest.encoded()) =>
            {
                Ok(())
            }
            LinkContent::Clean(_) | LinkContent::Spaced(_) => changed("the tag points there now"),
            LinkContent::Nothing(why) => changed(&why),
        }
    }

    pub(super) fn check_upload(&self, path: &Path, active_ns: Option<i64>) -> Checked {
        // Every byte that comes is written to `data`; `startedat` is written once, and its time on
        // disk says nothing when the storage was copied.
        match self.storage.stat(&path.join("data")) {
            Ok(facts) if Some(facts.modified_ns) > active_ns => {
                Err((SkipGroup::Changed, "the upload is still receiving data".into()))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(super) fn check_blob(&self, path: &Path, node: &BlobNode) -> Checked {
        let data = self.facts(&path.join("data"))?;
        let directory = self.facts(path)?;
        let changed_ns = data.modified_ns.max(data.changed_ns);
        if data.kind != FileKind::File
            || Some(data.size_bytes) != node.size_bytes
            || Some(changed_ns) != node.changed_ns
        {
            return Err((SkipGroup::Changed, "it was written after the scan".into()));
        }
        if self.clock.is_fresh(Some(directory.modified_ns)) {
            return Err((SkipGroup::Young, "its directory is younger than --min-age".into()));
        }
        Ok(())
    }

    /// The content is read once more: a push may have healed it, and a scan's sizes are only what
    /// manifests say.
    pub(super) fn check_corrupt(&self, path: &Path, node: &BlobNode) -> Checked {
        let data = path.join("data");
        let facts = self.facts(&data)?;
        let content = sha256(self.storage, &data).map_err(|error| failed(&error))?;
        let after = self.facts(&data)?;
        if after != facts {
            return Err((SkipGroup::Changed, "it was written while it was read".into()));
        }
        if Digest::Sha256(content) == node.digest {
            return Err((SkipGroup::Changed, "its content is what its digest says".into()));
        }
        Ok(())
    }

    /// The registry said that it removed a link of this storage; another one's would say so too.
    pub(super) fn must_be_gone(&self, link: &Path) -> Checked {
        // A look at the place itself, not at what was listed before.
        match self.storage.read_anew(link, 1) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&error)),
            Ok(_) => {
                let reason = "the registry says that it is gone, and it is there: \
                              is --registry-url the registry of this storage?";
                Err((SkipGroup::Failed, reason.into()))
            }
        }
    }

    /// A link that was removed must not be there again before it is removed once more.
    pub(super) fn must_not_be_new(&self, link: &Path) -> Checked {
        match self.storage.read_anew(link, 1) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&error)),
            Ok(_) => Err((SkipGroup::Changed, "it was pushed again".into())),
        }
    }

    /// Whether something was there for long enough.
    pub(super) fn check_old(&self, path: &Path) -> Checked {
        let facts = self.facts(path)?;
        if self.clock.is_fresh(Some(facts.modified_ns)) {
            return Err((SkipGroup::NotYet, "it is younger than --min-age".into()));
        }
        Ok(())
    }

    fn facts(&self, path: &Path) -> Result<FileFacts, (SkipGroup, String)> {
        self.storage.stat(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => (SkipGroup::NotThere, "it is gone already".to_owned()),
            _ => failed(&error),
        })
    }
}

/// Whether a tag that had no link has none.
fn is_half(error: &io::Error, tag: Item, graph: &Graph) -> bool {
    error.kind() == io::ErrorKind::NotFound && graph.digest_of(tag).is_none()
}
