//! A credential of AWS, kept until shortly before it ends.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use object_store::aws::AwsCredential;
use serde::Deserialize;

/// A credential and when it ends.
pub(super) type Kept = Mutex<Option<(Arc<AwsCredential>, Timestamp)>>;

/// The one that is kept, while it is good for some minutes.
pub(super) fn still_good(kept: &Kept) -> Option<Arc<AwsCredential>> {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let (credential, ends_at) = kept.as_ref()?;
    let is_good = *ends_at > Timestamp::now() + SignedDuration::from_mins(5);
    is_good.then(|| Arc::clone(credential))
}

/// Keeps one. Without an end it is good for ever.
pub(super) fn keep(
    kept: &Kept,
    credential: AwsCredential,
    ends_at: Option<Timestamp>,
) -> Arc<AwsCredential> {
    let credential = Arc::new(credential);
    let ends_at = ends_at.unwrap_or(Timestamp::MAX);
    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(&credential), ends_at));
    credential
}

/// A credential as services and programs of AWS write it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Given {
    access_key_id: String,
    secret_access_key: String,
    /// Programs call it so.
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
}

impl Given {
    /// Keeps it.
    pub(super) fn kept_in(self, kept: &Kept) -> Arc<AwsCredential> {
        let credential = AwsCredential {
            key_id: self.access_key_id,
            secret_key: self.secret_access_key,
            token: self.token,
        };
        keep(kept, credential, self.expiration.and_then(|time| time.parse().ok()))
    }
}

/// The error of a way to credentials.
pub(super) fn failed(reason: String) -> object_store::Error {
    object_store::Error::Generic { store: "AWS", source: reason.into() }
}
