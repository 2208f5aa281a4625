//! Who keeps what, and what would come free: pure arithmetic over integers.
//!
//! ```text
//! facts of a scan ─┐
//!                  ├─> Parts ──> Graph ──> account()  figures of everything
//! rows of a file ──┘               ├─────> groups()   figures of repositories by the parts of their names
//!                                  ├─────> removal()  what a deletion takes along and frees
//!                                  ├─────> free()     which tags to drop for a number of bytes
//!                                  └─────> Walk       what anything leads to
//! ```
//!
//! A blob's id is its rank in digest order among all digests that are present or named. Edges run
//! from a manifest to what it names (except its subject), from a subject to its referrers in the
//! same repository, from an image to the manifest of a tag `sha256-<its digest>…` there, and from an
//! alias to the blob that the registry resolves it to. Every walk goes along these edges through
//! [`Walk`], and every question about what stays starts from [`Graph::starts`]:
//!
//! **What is kept keeps all that it names.** A hold, an external root and a protected image are
//! starts like a tag is. The kept set is the closure of its starts, for figures, plans, purges and
//! explanations alike.

mod account;
mod build;
mod flat;
mod free;
mod groups;
mod holds;
mod item;
mod parts;
mod reached;
mod removal;
mod select;
mod walk;

#[cfg(test)]
mod tests;

pub use account::{
    Accounts, BlobAccount, Reach, RepositoryAccount, RevisionAccount, TagAccount, account, reach,
};
pub use flat::Graph;
pub use free::{Choice, FreeOrder, Pick, free, free_with_untagged};
pub use groups::{GroupAccount, groups};
pub use item::Item;
pub use parts::{
    BlobId, BlobNode, Edge, ExternalRoot, Hold, LinkNode, ManifestId, Parts, RepositoryNode,
    TagNode, UploadNode,
};
pub use reached::{edges, reached, starts};
pub use removal::{Reason, Removal, Selection, Skipped, removal};
pub use select::{Missing, Names};
pub use walk::{Parents, Paths, Via, Walk};

/// The sum of sizes, or the largest number there is: a limit must never be compared with a sum that
/// began again at 0. Sparse files may claim any size.
pub fn total_bytes(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}
