//! Freeing what runs hold in a bucket.
//!
//! Data that is only marked is deleted here, and a registry may write meanwhile: a push that found the
//! data just before links it just after. So, unless nothing else writes, it is copied aside, deleted, and
//! after a pause all links are listed once more; what one of them names is copied back.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::ObjectTrash;
use super::journal::{Done, Entry, Fate, Journal};
use super::requests::{delete_all, error_at, forget_versions, parallel};
use super::restore::{Restored, copy_key, is_alike, is_of_run};
use super::run::BATCH;
use crate::model::{LinkContent, MAX_LINK_BYTES, parse_link};
use crate::storage::object::{Abilities, BucketErrorKind, MultipartUpload, Object};
use crate::trash::error::TrashError;
use crate::trash::moves::{Move, MoveKind};
use crate::trash::paths::{TRASH, run_directory};
use crate::trash::purge::{PurgeOptions, PurgeReport, PurgedRun};

/// A run with its list, and its end if it came to one.
type Read = Option<(Journal, Option<Done>)>;

/// What is asked of a purge of one run.
struct Rules<'a> {
    /// What something needs again.
    keep: &'a dyn Fn(&Move) -> bool,
    /// Paths that a later run marks, too: they are left to it.
    left_to_later: HashSet<&'a Path>,
    /// What is marked must have been so for long enough.
    has_margin: bool,
    /// Nothing is touched.
    is_preview: bool,
}

impl ObjectTrash {
    pub(super) fn purge_runs(
        &self,
        options: &PurgeOptions,
        keep: &dyn Fn(&Move) -> bool,
        is_preview: bool,
    ) -> Result<PurgeReport, TrashError> {
        let mut report = PurgeReport::default();
        let mut runs = Vec::new();
        let mut must_stay = false;
        for run in self.runs()? {
            let read = match self.read_run(&run.name) {
                Ok(read) => read,
                Err(error) => {
                    // What it marks is not known, and any other run may mark the same.
                    must_stay = true;
                    report.failed.push((run.name, error));
                    continue;
                }
            };
            runs.push((run.name, read));
        }
        if !runs.is_empty() {
            self.refresh()?;
        }
        for at in 0..runs.len() {
            let (run, read) = &runs[at];
            if let Some((journal, done)) = read {
                if journal.header.started_at >= options.started_before {
                    must_stay = true;
                    continue;
                }
                if done.is_none() && !options.includes_unfinished {
                    must_stay = true;
                    report.unfinished.push(run.clone());
                    continue;
                }
                if must_stay {
                    report.held_back.push(run.clone());
                    continue;
                }
            }
            let rules = Rules {
                keep,
                left_to_later: marked_by(&runs[at + 1..]),
                has_margin: !self.options.is_quiet,
                is_preview,
            };
            let mut purged = PurgedRun { run: run.clone(), ..PurgedRun::default() };
            if let Err(error) = self.purge_run(run, read.as_ref(), &rules, &mut purged) {
                must_stay = true;
                report.failed.push((run.clone(), error));
            }
            must_stay |= !purged.kept.is_empty();
            report.runs.push(purged);
        }
        if !is_preview && self.abilities()?.has_versions {
            self.forget_removed_runs()?;
        }
        Ok(report)
    }

    /// Removes the older versions of what lay in the trash, also of runs whose purge was stopped at that.
    fn forget_removed_runs(&self) -> Result<(), TrashError> {
        let top = self.own_key(&format!("{TRASH}/"));
        let is_own = |key: &str| {
            let below = key.strip_prefix(&top).and_then(|below| below.split_once('/'));
            below.is_some_and(|(run, below)| run_directory(run).is_some() && is_of_run(below))
        };
        forget_versions(self.bucket(), &top, &is_own).map_err(error_at)
    }

    /// Purges a run whose owner did not want a trash, and who knows that nothing needs what it took.
    pub(super) fn purge_named(&self, run: &str) -> Result<PurgedRun, TrashError> {
        let read = self.read_run(run)?;
        // Without it nothing says what of the list the run left where it was.
        if matches!(read, Some((_, None))) {
            return Err(TrashError::Bucket {
                message: format!("run {run} did not come to its end"),
                hint: Some(format!("regsql undo {run} puts back what it took")),
            });
        }
        self.refresh_if_old()?;
        let rules = Rules {
            keep: &|_| false,
            left_to_later: HashSet::new(),
            has_margin: false,
            is_preview: false,
        };
        let mut purged = PurgedRun { run: run.to_owned(), ..PurgedRun::default() };
        self.purge_run(run, read.as_ref(), &rules, &mut purged)?;
        Ok(purged)
    }

    fn purge_run(
        &self,
        run: &str,
        read: Option<&(Journal, Option<Done>)>,
        rules: &Rules<'_>,
        purged: &mut PurgedRun,
    ) -> Result<(), TrashError> {
        let Some((journal, done)) = read else {
            if !rules.is_preview {
                purged.is_removed = self.remove_run(run, &mut purged.leftovers)?;
            }
            return Ok(());
        };
        let stayed = done.as_ref().map(|done| done.stayed.as_slice()).unwrap_or_default();
        // Of `back` an older version may be left.
        let (mut marked, mut gone, mut back) = (Vec::new(), Vec::new(), Vec::new());
        for (number, item) in journal.moves.iter().enumerate() {
            let entries = journal.entries_of(number);
            if item.kind == MoveKind::Directory
                || entries.is_empty()
                || stayed.binary_search(&number).is_ok()
            {
                continue;
            }
            let is_needed = (rules.keep)(item);
            if entries.iter().any(Entry::is_mark) {
                // What is in its place and needed is only no longer marked, and so is everything
                // of a run that did not come to its end: it may have been about to leave it.
                if rules.left_to_later.contains(item.path.as_path()) || done.is_none() {
                    continue;
                }
                if !is_needed || !self.is_there(journal, number)? {
                    marked.push((number, is_needed));
                }
            } else if self.is_there(journal, number)? {
                // It came back by itself, or was pushed again.
                back.push(number);
            } else if is_needed {
                purged.kept.push(item.clone());
            } else {
                gone.push(number);
            }
        }
        if rules.has_margin && !marked.is_empty() {
            self.check_margin(run, done.as_ref(), marked.len())?;
        }
        if rules.is_preview {
            let all = marked.iter().filter(|(_, is_needed)| !is_needed).map(|(number, _)| number);
            for number in all.chain(&gone) {
                purged.count(&journal.moves[*number], None);
            }
            purged.is_removed = purged.kept.is_empty();
            return Ok(());
        }
        let deleted = self.purge_marked(journal, &marked, purged)?;
        self.purge_versions(journal, &[gone.as_slice(), &back, &deleted].concat())?;
        let copies = gone.iter().flat_map(|number| journal.entries_of(*number));
        let copies = copies.filter(|entry| entry.fate == Fate::Copied);
        self.delete_keys(copies.map(|entry| (self.own_key(&copy_key(journal, entry)), None)))?;
        for number in gone {
            purged.count(&journal.moves[number], None);
        }
        if purged.kept.is_empty() {
            purged.is_removed = self.remove_run(run, &mut purged.leftovers)?;
        }
        Ok(())
    }

    fn check_margin(&self, run: &str, done: Option<&Done>, count: usize) -> Result<(), TrashError> {
        let marked_at = done.map_or(self.options.now, |done| done.summary.finished_at);
        let margin = jiff::SignedDuration::try_from(self.options.margin).unwrap_or_default();
        let free_at = marked_at.checked_add(margin).unwrap_or(Timestamp::MAX);
        if self.options.now >= free_at {
            return Ok(());
        }
        Err(TrashError::Marked { run: run.to_owned(), count: count as u64, free_at })
    }

    fn is_there(&self, journal: &Journal, number: usize) -> Result<bool, TrashError> {
        for entry in journal.entries_of(number) {
            if entry.fate != Fate::Parts && self.listed(&journal.path_of(entry))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An object as it was last listed.
    fn listed(&self, path: &Path) -> Result<Option<Object>, TrashError> {
        let key = self.key_of(path);
        Ok(self.objects_at(path)?.into_iter().find(|object| object.key == key))
    }

    /// Deletes data and uploads that were only marked, unless something needs them after all. Gives what
    /// of them is not there any more.
    fn purge_marked(
        &self,
        journal: &Journal,
        marked: &[(usize, bool)],
        purged: &mut PurgedRun,
    ) -> Result<Vec<usize>, TrashError> {
        if marked.is_empty() {
            return Ok(Vec::new());
        }
        let mut deleted_before = Vec::new();
        let linked = self.linked()?;
        let (mut going, mut uploads) = (Vec::new(), Vec::new());
        for &(number, is_needed) in marked {
            let item = &journal.moves[number];
            let is_needed = is_needed || linked.has(item);
            match (item.kind, self.is_there(journal, number)?) {
                (MoveKind::Upload, _) => uploads.push(number),
                (_, true) if is_needed || !self.is_as_listed(journal, number)? => {}
                (_, true) => going.push(number),
                // A purge was stopped after it had deleted it.
                (_, false) if is_needed => self.bring_back(journal, &[number])?,
                (_, false) => deleted_before.push(number),
            }
        }
        let entries = |numbers: &[usize]| -> Vec<&Entry> {
            numbers.iter().flat_map(|number| journal.entries_of(*number)).collect()
        };
        let is_quiet = self.options.is_quiet;
        if !is_quiet {
            let copied = parallel(&entries(&going), |entry| self.copy_aside(journal, entry));
            copied.into_iter().collect::<Result<Vec<_>, _>>().map_err(error_at)?;
        }
        let keys = entries(&going).into_iter();
        let deleted =
            self.delete_keys(keys.map(|entry| (self.key_of_entry(&journal.moves, entry), None)));
        if !is_quiet && !going.is_empty() {
            std::thread::sleep(self.options.settle);
            // In doubt all of it comes back.
            let looked = self.refresh().and_then(|()| self.linked());
            let needed: Vec<usize> = match &looked {
                Ok(linked) => {
                    let is_needed = |number: &&usize| linked.has(&journal.moves[**number]);
                    going.iter().filter(is_needed).copied().collect()
                }
                Err(_) => going.clone(),
            };
            self.bring_back(journal, &needed)?;
            going.retain(|number| !needed.contains(number));
            looked?;
        }
        deleted?;
        going.extend(deleted_before);
        going.extend(self.purge_uploads(journal, &uploads)?);
        for number in &going {
            purged.count(&journal.moves[*number], None);
        }
        Ok(going)
    }

    /// Copies data back that was deleted and is needed.
    fn bring_back(&self, journal: &Journal, numbers: &[usize]) -> Result<(), TrashError> {
        let results = parallel(numbers, |number| self.restore_item(journal, *number));
        for (number, result) in numbers.iter().zip(results) {
            if result.map_err(error_at)? == Restored::Missing {
                let path = journal.moves[*number].path.display();
                return Err(TrashError::Bucket {
                    message: format!("`{path}` is needed again, and is gone"),
                    hint: Some(
                        "push the images again that need it: regsql report broken-images".into(),
                    ),
                });
            }
        }
        Ok(())
    }

    /// Whether the data was not written again since it was marked.
    fn is_as_listed(&self, journal: &Journal, number: usize) -> Result<bool, TrashError> {
        for entry in journal.entries_of(number) {
            let now = self.listed(&journal.path_of(entry))?;
            let is_same =
                |now: Object| is_alike(&now, entry) && now.modified_ns == entry.modified_ns;
            if !now.is_none_or(is_same) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes uploads for good that have received nothing since they were marked. Gives those.
    fn purge_uploads(
        &self,
        journal: &Journal,
        uploads: &[usize],
    ) -> Result<Vec<usize>, TrashError> {
        let mut removed = Vec::new();
        if uploads.is_empty() {
            return Ok(removed);
        }
        let parts = self.parts().map_err(error_at)?;
        let mut of_upload: HashMap<&Path, Vec<&MultipartUpload>> = HashMap::new();
        for (path, upload) in &parts {
            for above in path.ancestors() {
                of_upload.entry(above).or_default().push(upload);
            }
        }
        for &number in uploads {
            let item = &journal.moves[number];
            let entries = journal.entries_of(number);
            let now = of_upload.get(item.path.as_path()).map(Vec::as_slice).unwrap_or_default();
            let is_known = |upload: &&MultipartUpload| {
                entries.iter().any(|entry| {
                    entry.fate == Fate::Parts
                        && entry.etag.as_ref() == Some(&upload.upload_id)
                        && entry.modified_ns == upload.active_ns
                        && entry.size_bytes == upload.size_bytes
                })
            };
            let objects = self.objects_at(&item.path)?;
            let is_listed = |object: &Object| {
                entries.iter().any(|entry| {
                    self.key_of_entry(&journal.moves, entry) == object.key
                        && is_alike(object, entry)
                        && object.modified_ns == entry.modified_ns
                })
            };
            if !now.iter().all(is_known) || !objects.iter().all(is_listed) {
                // It goes on after all.
                continue;
            }
            self.must_hold_lock()
                .map_err(|source| TrashError::Write { path: item.path.clone(), source })?;
            for upload in now {
                self.bucket()
                    .abort_multipart_upload(&upload.key, &upload.upload_id)
                    .map_err(error_at)?;
            }
            self.delete_keys(objects.into_iter().map(|object| (object.key, None)))?;
            removed.push(number);
        }
        Ok(removed)
    }

    /// Removes for good the older versions that a run left, and the markers over them where nothing else
    /// lies below. Versions from before the run are not regsql's.
    fn purge_versions(&self, journal: &Journal, gone: &[usize]) -> Result<(), TrashError> {
        let Abilities { has_versions, version_deletes_are_final, .. } = self.abilities()?;
        if !has_versions || gone.is_empty() {
            return Ok(());
        }
        let mut ours: HashMap<String, &Entry> = HashMap::new();
        for entry in gone.iter().flat_map(|number| journal.entries_of(*number)) {
            ours.insert(self.key_of_entry(&journal.moves, entry), entry);
        }
        let mut found: HashMap<String, Versions> = HashMap::new();
        let layout = self.storage.layout();
        for top in [layout.blobs(), layout.repositories()] {
            if !gone.iter().any(|number| journal.moves[*number].path.starts_with(&top)) {
                continue;
            }
            self.each_version(&format!("{}/", self.key_of(&top)), &mut |version| {
                let Some(entry) = ours.get(&version.object.key) else { return };
                let of_key = found.entry(version.object.key.clone()).or_default();
                let id = version.object.version.clone();
                // Where the list does not say the version as this listing does, its time is what is left.
                let is_listed = match &entry.version {
                    Some(listed) if version_deletes_are_final => Some(listed) == id.as_ref(),
                    listed => {
                        listed.is_some() && *listed == id
                            || is_alike(&version.object, entry)
                                && version.object.modified_ns / 1_000_000_000
                                    == entry.modified_ns / 1_000_000_000
                    }
                };
                if version.is_deletion {
                    of_key.markers.extend(id);
                } else if version.is_current {
                    of_key.has_others = true;
                } else if is_listed {
                    of_key.ours.extend(id);
                } else {
                    of_key.has_others = true;
                }
            })?;
        }
        let mut markers = Vec::new();
        let mut versions = Vec::new();
        for (key, of_key) in found {
            versions.extend(of_key.ours.into_iter().map(|id| (key.clone(), Some(id))));
            if !of_key.has_others {
                markers.extend(of_key.markers.into_iter().map(|id| (key.clone(), Some(id))));
            }
        }
        // Without its marker an older version would be back.
        self.delete_keys(versions)?;
        self.delete_keys(markers)
    }

    fn delete_keys(
        &self,
        keys: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<(), TrashError> {
        let keys: Vec<_> = keys.into_iter().collect();
        for some in keys.chunks(BATCH) {
            self.note_change();
            self.must_hold_lock().map_err(|source| TrashError::Write {
                path: self.storage.root().to_owned(),
                source,
            })?;
            if let Some((_, error)) = delete_all(self.bucket(), some).into_iter().next() {
                return Err(error_at(error));
            }
        }
        Ok(())
    }

    /// What the links of all repositories name, as they were last listed.
    fn linked(&self) -> Result<Linked, TrashError> {
        let mut linked = Linked::default();
        let mut aliases = Vec::new();
        for object in self.objects_at(&self.storage.layout().repositories())? {
            let Some(directory) = object.key.strip_suffix("/link") else { continue };
            let mut above = directory.rsplit('/');
            let (name, algorithm) = (above.next(), above.next().unwrap_or_default());
            match name {
                // A tag leads to a revision, which has a link of its own, and its history to nothing.
                _ if directory.contains("/_manifests/tags/") => {}
                Some(name) if algorithm == "sha256" => drop(linked.0.insert(name.to_owned())),
                // It leads to a blob of another name.
                _ => aliases.push(object.key),
            }
        }
        let range = 0..MAX_LINK_BYTES as u64;
        let contents = parallel(&aliases, |key| self.bucket().get(key, Some(range.clone()), None));
        for content in contents {
            match content {
                Ok(bytes) => {
                    if let LinkContent::Clean(digest) | LinkContent::Spaced(digest) =
                        parse_link(&bytes)
                    {
                        linked.0.insert(digest.encoded());
                    }
                }
                Err(error) if error.kind == BucketErrorKind::NotFound => {}
                Err(error) => return Err(error_at(error)),
            }
        }
        Ok(linked)
    }
}

/// Versions of one key.
#[derive(Default)]
struct Versions {
    ours: Vec<String>,
    markers: Vec<String>,
    has_others: bool,
}

/// The hexadecimal names of all that links lead to.
#[derive(Default)]
struct Linked(HashSet<String>);

impl Linked {
    fn has(&self, item: &Move) -> bool {
        let name = item.name.rsplit(':').next().unwrap_or_default();
        item.kind == MoveKind::Blob && self.0.contains(name)
    }
}

/// The paths that runs only mark.
fn marked_by(runs: &[(String, Read)]) -> HashSet<&Path> {
    let mut paths = HashSet::new();
    for (journal, done) in runs.iter().filter_map(|(_, read)| read.as_ref()) {
        let stayed = done.as_ref().map(|done| done.stayed.as_slice()).unwrap_or_default();
        for entry in journal.entries.iter().filter(|entry| entry.is_mark()) {
            if stayed.binary_search(&entry.item).is_err() {
                let path: &PathBuf = &journal.moves[entry.item].path;
                paths.insert(path.as_path());
            }
        }
    }
    paths
}
