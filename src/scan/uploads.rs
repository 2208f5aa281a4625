//! Walking `_uploads` of one repository: uploads that go on or were given up.

use std::path::Path;

use crate::model::{Code, parse_time_ns, text_of};
use crate::storage::{FileKind, LeafOptions, LeafState, Usage};

use super::facts::{Notes, UploadFacts};
use super::fingerprint::Fingerprint;
use super::walk::{Listing, Walk};

/// The most that is read of `startedat`, in bytes.
const MAX_STARTED_AT_BYTES: u64 = 64;

#[derive(Default)]
pub struct Uploads {
    pub found: Vec<UploadFacts>,
    pub notes: Notes,
    pub fingerprint: [u8; 32],
    pub usage: Usage,
}

impl Walk<'_> {
    pub fn uploads(&self) -> Uploads {
        let mut found = Uploads::default();
        let mut fingerprint = Fingerprint::default();
        let directory = self.path.join("_uploads");
        if let Listing::Found(mut entries) = self.list(&mut found.notes, &directory) {
            found.usage.directory_count = 1;
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            for entry in entries {
                let path = directory.join(&entry.name);
                if found.notes.count_clutter(&path, entry.kind) {
                    continue;
                }
                if entry.kind == FileKind::Directory {
                    let upload = self.upload(&path, text_of(&entry.name), &mut found);
                    fingerprint.name(&entry.name);
                    fingerprint.number(upload.size_bytes);
                    fingerprint.number(upload.started_ns.unwrap_or(0) as u64);
                    fingerprint.number(upload.active_ns.unwrap_or(0) as u64);
                    found.found.push(upload);
                } else {
                    self.note_foreign(&mut found.notes, &path, entry.kind);
                }
            }
        }
        found.fingerprint = fingerprint.finish();
        found
    }

    fn upload(&self, path: &Path, id: String, found: &mut Uploads) -> UploadFacts {
        found.usage.directory_count += 1;
        let notes = &mut found.notes;
        let started_at = path.join("startedat");
        let started_ns = match self.storage.read(&started_at, MAX_STARTED_AT_BYTES) {
            Ok(content) => {
                let text = String::from_utf8_lossy(&content.bytes);
                let time = parse_time_ns(&text);
                if time.is_none() {
                    self.find(notes, Code::UploadStartUnreadable, &started_at, "it holds no time");
                }
                time
            }
            Err(error) => {
                self.find(notes, Code::UploadStartUnreadable, &started_at, error.to_string());
                None
            }
        };
        let data =
            self.storage.stat(&path.join("data")).ok().filter(|facts| facts.kind == FileKind::File);
        if let Some(facts) = &data {
            found.usage.add_file(facts);
        }
        let hash_states = self
            .storage
            .list_leaves(&path.join("hashstates"), Path::new("."), LeafOptions::default())
            .unwrap_or_default();
        let newest_state = hash_states
            .into_iter()
            .filter_map(|leaf| match leaf.state {
                LeafState::File { facts, .. } | LeafState::NotAFile(facts) => {
                    Some(facts.modified_ns)
                }
                _ => None,
            })
            .max();
        UploadFacts {
            id,
            size_bytes: data.map_or(0, |facts| facts.size_bytes),
            started_ns,
            active_ns: started_ns.max(data.map(|facts| facts.modified_ns)).max(newest_state),
        }
    }
}
