//! The lock of a storage in a bucket: an object that only one can make, and that its owner renews.
//!
//! Whoever finds one that is not renewed for [`LEASE`] takes it over, by a write that only one can win.
//! No clock is compared with another: it is watched for that long. An owner that could not renew it in
//! time, stopped or cut off, changes nothing any more.
//!
//! In a bucket with versions a renewal leaves an older one. They go when the lock ends.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::requests::{error_at, forget_versions, token_of};
use crate::storage::ProcessId;
use crate::storage::object::{Bucket, BucketErrorKind, DeleteCondition, PutCondition};
use crate::trash::error::TrashError;

/// How long a lock holds that is not renewed.
pub const LEASE: Duration = Duration::from_mins(1);

/// A lease is renewed this number of times before it ends.
const RENEWALS: u32 = 6;

/// Attempts to write the lock while others come and go.
const ATTEMPTS: usize = 5;

/// What the object says.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    /// Who.
    #[serde(flatten)]
    process: ProcessId,
    /// Since when, by its clock.
    started_at: String,
    /// When it ends unless it is renewed, by its clock.
    expires_at: String,
    /// How often it was renewed: no two writes are alike, and neither are their entity tags.
    renewal: u64,
    /// Tells its owner from every other.
    token: String,
}

/// Whether a lock is held, for whoever is about to change something.
#[derive(Debug, Default)]
pub struct Watch {
    good_until: Mutex<Option<Instant>>,
    /// Since when it is held without a gap.
    held_since: Mutex<Option<Instant>>,
}

impl Watch {
    /// Whether it is held for some time yet.
    pub fn is_held(&self) -> bool {
        let good_until = self.good_until.lock().unwrap_or_else(PoisonError::into_inner);
        good_until.is_some_and(|until| Instant::now() < until)
    }

    /// Since when it is held, if it is.
    pub fn held_since(&self) -> Option<Instant> {
        let held_since = *self.held_since.lock().unwrap_or_else(PoisonError::into_inner);
        held_since.filter(|_| self.is_held())
    }

    fn taken(&self, lease: Duration) {
        *self.held_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.renewed(lease);
    }

    fn renewed(&self, lease: Duration) {
        let mut good_until = self.good_until.lock().unwrap_or_else(PoisonError::into_inner);
        // A request that is sent last of all must be answered before another takes it over.
        *good_until = Some(Instant::now() + lease / 2);
    }

    fn lost(&self) {
        *self.good_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The lock, held until this is dropped.
pub struct HeldLock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Which object, and how long it holds.
pub struct Place {
    /// Where it lies.
    pub bucket: Arc<dyn Bucket>,
    /// Its key.
    pub key: String,
    /// How long it holds that is not renewed.
    pub lease: Duration,
    /// The bucket keeps what each renewal overwrites, until that is removed.
    pub has_versions: bool,
}

struct Shared {
    place: Place,
    watch: Arc<Watch>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    owner: Owner,
    /// What the next write must find.
    condition: String,
    renewed_at: Instant,
    is_ending: bool,
}

/// Takes the lock; `watch` says as long as it is held.
pub fn take(place: Place, watch: &Arc<Watch>) -> Result<HeldLock, TrashError> {
    let (bucket, lease, key) = (Arc::clone(&place.bucket), place.lease, place.key.clone());
    let process = ProcessId::own();
    let now = Timestamp::now();
    let token = format!("{}-{}-{}", process.host, process.pid, now.as_nanosecond());
    let mut owner = Owner {
        process,
        started_at: now.to_string(),
        expires_at: String::new(),
        renewal: 0,
        token,
    };
    for _ in 0..ATTEMPTS {
        let error = match write(bucket.as_ref(), &key, &mut owner, lease, PutCondition::Absent) {
            Ok(condition) => return Ok(hold(place, watch, owner, condition)),
            Err(error) => error,
        };
        if error.kind != BucketErrorKind::Changed {
            return Err(error_at(error));
        }
        let Some(there) = bucket.head(&key).map_err(error_at)? else {
            continue;
        };
        let condition = token_of(bucket.as_ref(), &there);
        let known = bucket.get(&key, None, None);
        let known: Option<Owner> = known.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if known.as_ref().is_some_and(|known| known.token == owner.token) {
            // An attempt of one's own whose answer was lost.
            return Ok(hold(place, watch, owner, condition));
        }
        let has_ended = known.as_ref().is_some_and(|known| known.process.has_ended());
        if !has_ended && is_renewed(bucket.as_ref(), &key, &condition, lease)? {
            return Err(TrashError::LockedBy {
                url: format!("{}/{key}", bucket.url()),
                owner: known.map_or_else(
                    || "an unknown process".to_owned(),
                    |known| {
                        let Owner { process, started_at, .. } = known;
                        format!("process {} of {}, since {started_at}", process.pid, process.host)
                    },
                ),
            });
        }
        let taken_over =
            write(bucket.as_ref(), &key, &mut owner, lease, PutCondition::Unchanged(&condition));
        match taken_over {
            Ok(condition) => return Ok(hold(place, watch, owner, condition)),
            Err(error) if error.kind == BucketErrorKind::Changed => {}
            Err(error) => return Err(error_at(error)),
        }
    }
    Err(TrashError::LockedBy {
        url: format!("{}/{key}", bucket.url()),
        owner: "several at once".into(),
    })
}

/// Watches a lock of somebody else for as long as it holds without a renewal.
fn is_renewed(
    bucket: &dyn Bucket,
    key: &str,
    condition: &str,
    lease: Duration,
) -> Result<bool, TrashError> {
    let began = Instant::now();
    // An owner that lives renews it far more often.
    while began.elapsed() < lease {
        std::thread::sleep((lease / RENEWALS).min(Duration::from_secs(1)));
        match bucket.head(key).map_err(error_at)? {
            Some(there) if token_of(bucket, &there) == condition => {}
            _ => return Ok(true),
        }
    }
    Ok(false)
}

fn write(
    bucket: &dyn Bucket,
    key: &str,
    owner: &mut Owner,
    lease: Duration,
    condition: PutCondition<'_>,
) -> Result<String, crate::storage::object::BucketError> {
    let lease = jiff::SignedDuration::try_from(lease).unwrap_or_default();
    let expires_at = Timestamp::now().checked_add(lease);
    owner.expires_at = expires_at.unwrap_or(Timestamp::MAX).to_string();
    let bytes = serde_json::to_vec(owner).unwrap_or_default();
    let condition = bucket.put(key, &bytes, condition)?;
    owner.renewal += 1;
    Ok(condition)
}

fn hold(place: Place, watch: &Arc<Watch>, owner: Owner, condition: String) -> HeldLock {
    watch.taken(place.lease);
    let state = State { owner, condition, renewed_at: Instant::now(), is_ending: false };
    let shared = Arc::new(Shared {
        place,
        watch: Arc::clone(watch),
        state: Mutex::new(state),
        changed: Condvar::new(),
    });
    let renewer = Arc::clone(&shared);
    let thread = std::thread::Builder::new()
        .name("lock".into())
        .spawn(move || renewer.renew_until_it_ends());
    if thread.is_err() {
        watch.lost();
    }
    HeldLock { shared, thread: thread.ok() }
}

impl Shared {
    fn renew_until_it_ends(&self) {
        let Place { bucket, key, lease, .. } = &self.place;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // It may be over before this thread begins to wait.
            let waited =
                self.changed.wait_timeout_while(state, *lease / RENEWALS, |state| !state.is_ending);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.is_ending {
                return;
            }
            // A process that was stopped for long may have lost it to another one.
            if state.renewed_at.elapsed() >= *lease {
                self.watch.lost();
                return;
            }
            let at = Instant::now();
            let State { owner, condition, .. } = &mut *state;
            let unchanged = PutCondition::Unchanged(condition);
            match write(bucket.as_ref(), key, owner, *lease, unchanged) {
                Ok(next) => {
                    state.condition = next;
                    state.renewed_at = at;
                    self.watch.renewed(*lease);
                }
                Err(error)
                    if matches!(
                        error.kind,
                        BucketErrorKind::Changed | BucketErrorKind::NotFound
                    ) =>
                {
                    self.watch.lost();
                    return;
                }
                // Tried again, as long as there is time.
                Err(_) => {}
            }
        }
    }

    fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_ending = true;
        self.changed.notify_all();
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.shared.end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        if self.shared.watch.is_held() {
            let Shared { place: Place { bucket, key, has_versions, .. }, state, .. } =
                self.shared.as_ref();
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            // Only its own: where no condition can be given, the lease has not ended, so it is still held.
            let etag = DeleteCondition::Etag(&state.condition);
            let by_etag = bucket.delete(key, etag);
            if by_etag.is_err_and(|error| error.kind == BucketErrorKind::Unsupported) {
                let version = DeleteCondition::Version(&state.condition);
                drop(bucket.delete(key, version));
            }
            // Each renewal left one, and so did every holder that was killed.
            if *has_versions {
                drop(forget_versions(bucket.as_ref(), key, &|found| found == key));
            }
        }
        self.shared.watch.lost();
    }
}
