//! A client of the registry's HTTP API, as far as deleting, and seeing that it serves, need it.
//!
//! Sources: OCI distribution specification (`/v2/` endpoints, error codes, `Link` pages); the
//! distribution project's token authentication specification; RFC 9110 (challenges, redirects).
//!
//! Guarantees: whatever a server sends, no call reads more than its limit or waits longer than the
//! timeout; credentials go to the registry's own origin and to the token server that it names, and
//! are never part of an error, of a log line or of `Debug`; no request is made with a name that
//! could not be one of a registry.
//!
//! Not its work: to decide what may go. [`delete`] only re-checks and acts.

mod address;
mod answer;
mod auth;
mod challenge;
mod client;
mod credentials;
pub mod delete;
mod error;
mod gate;
mod holder;
mod manifests;
mod options;
mod probe;
mod pull;
mod tags;
mod transport;

pub use client::Registry;
pub use credentials::{Credentials, CredentialsError};
pub use error::RegistryError;
pub use gate::{Expected, Found, GateError};
pub use manifests::DeleteOutcome;
pub use options::Options;
pub use probe::ServingState;
pub use pull::{PullError, Pulled};
pub use tags::TagState;
