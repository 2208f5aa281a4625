//! Whether the registry serves: it answers, and a sample of its tags comes whole.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::db;
use crate::model::Digest;
use crate::registry::{Registry, ServingState};

/// How often a registry that does not answer yet is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);
const TAGS_SQL: &str = include_str!("sql/tags.sql");

/// What the check found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// Tags that came whole.
    pub pulled_count: u64,
    /// Bytes of manifests and blobs that were read for it.
    pub pulled_bytes: u64,
    /// What did not come, and why.
    pub failures: Vec<String>,
}

/// A tag.
pub type Tag = (String, String);

/// Waits until the registry answers. Gives what it said instead when the time is over.
pub fn wait_for(registry: &Registry, wait: Duration) -> Result<(), String> {
    let end = Instant::now() + wait;
    loop {
        let said = match registry.greet() {
            Ok(()) => return Ok(()),
            Err(error) => with_causes(&error),
        };
        if Instant::now() >= end {
            return Err(said);
        }
        std::thread::sleep(ASK_EVERY.min(wait));
    }
}

/// `count` tags of the database, others each time.
pub fn sample(database: &Path, count: usize, seed: u64) -> Result<Vec<Tag>, String> {
    let read = || -> Result<Vec<Tag>, Box<dyn std::error::Error>> {
        let connection = db::open_for_reading(database)?;
        let hasher = foldhash::quality::FixedState::with_seed(seed);
        let mut statement = connection.prepare(TAGS_SQL)?;
        let mut rows = statement.query([])?;
        // The smallest hashes stay.
        let mut chosen: BinaryHeap<(u64, Tag)> = BinaryHeap::new();
        while let Some(row) = rows.next()? {
            let tag: Tag = (row.get(0)?, row.get(1)?);
            chosen.push((hasher.hash_one(&tag), tag));
            if chosen.len() > count {
                chosen.pop();
            }
        }
        Ok(chosen.into_iter().map(|(_, tag)| tag).collect())
    };
    read().map_err(|error| error.to_string())
}

/// Pulls tags whole, until the limit is over. What was read of a repository is read once.
pub fn pull(registry: &Arc<Registry>, tags: Vec<Tag>, limit: Duration) -> (Checked, bool) {
    let end = Instant::now() + limit;
    let mut checked = Checked::default();
    let (sender, results) = channel();
    let registry = Arc::clone(registry);
    // A thread of its own, since an answer may come byte by byte. It ends with the process.
    let thread = std::thread::Builder::new().name("regsql-pull".into()).spawn(move || {
        let mut known: HashMap<String, HashSet<Digest>> = HashMap::new();
        for (repository, tag) in tags {
            let pulled = known.entry(repository.clone()).or_default();
            let result = registry.pull(&repository, &tag, pulled);
            let result =
                result.map_err(|error| format!("{repository}:{tag}: {}", with_causes(&error)));
            if result.is_err() {
                // What was begun may be what failed.
                known.remove(&repository);
            }
            if sender.send(result).is_err() {
                return;
            }
        }
    });
    if let Err(error) = thread {
        checked.failures.push(format!("cannot start a thread: {error}"));
        return (checked, true);
    }
    loop {
        match results.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Ok(pulled)) => {
                checked.pulled_count += 1;
                checked.pulled_bytes += pulled.size_bytes;
            }
            Ok(Err(failure)) => checked.failures.push(failure),
            Err(RecvTimeoutError::Disconnected) => return (checked, true),
            Err(RecvTimeoutError::Timeout) => return (checked, false),
        }
    }
}

/// Whether it takes pushes again, for a registry that was read-only. `repository`: one that exists.
pub fn takes_pushes(registry: &Registry, repository: &str) -> Result<(), String> {
    match registry.probe(repository) {
        Ok(ServingState::Writable) => Ok(()),
        Ok(ServingState::ReadOnly) => Err("it is still read-only".into()),
        Ok(ServingState::Stopped) => Err("nothing answers".into()),
        Err(error) => Err(with_causes(&error)),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
