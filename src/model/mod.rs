//! The words of the field as types. Pure: no I/O, no database.

pub mod authority;
mod body;
mod classify;
pub mod clutter;
mod digest;
mod digests_in;
mod duration;
mod finding;
mod image_config;
mod json;
mod kind;
mod link;
mod manifest;
pub mod media_type;
mod name;
pub mod progress;
mod tag_name;
mod version;

pub use body::ManifestKind;
pub use classify::{Certainty, Classified, Unread, classify};
pub use digest::{Digest, NotADigest};
pub use digests_in::digests_in;
pub use duration::parse_duration;
pub use finding::{Code, Finding, HoldScope, Severity};
pub use image_config::{
    ImageConfig, MAX_CONFIG_BYTES, parse_image_config, parse_time_ns, parse_v1_history,
};
pub use kind::{ByKind, Kind, Name};
pub use link::{LinkContent, MAX_LINK_BYTES, parse_link};
pub use manifest::{
    MAX_MANIFEST_BYTES, Manifest, Reference, Role, begins_like_a_manifest, parse_manifest,
};
pub use name::{bytes_of, is_repository_name, is_tag_name, text_of};
pub use tag_name::{TagClass, TagName, tag_names, tag_subject};
pub use version::version_key;
