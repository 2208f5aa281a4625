//! A registry's storage, put together in memory as the registry would write it.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use super::descriptor::Descriptor;
use super::random::Random;
use super::tree::{Content, Entry, Tree};
use super::{media_types, paths};
use crate::model::Digest;

/// A registry to be written. Each method does what one request to a registry does to its storage.
///
/// ```
/// use regsql::sample::RegistryBuilder;
///
/// let mut registry = RegistryBuilder::new();
/// let base = registry.layer("base", 30_000);
/// let code = registry.layer("code", 2_000);
/// let image = registry
///     .image("team/app")
///     .layers([&base, &code])
///     .created_by(["ADD rootfs.tar / # buildkit", "COPY . /app # buildkit"])
///     .push_tag("1.0");
/// assert!(registry.tree.iter().any(|(path, _)| path.ends_with("_manifests/tags/1.0/current/link")));
/// assert!(image.size > 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct RegistryBuilder {
    /// What is to be written; open to whatever damage a test wants.
    pub tree: Tree,
    now: Option<SystemTime>,
    has_sparse_layers: bool,
}

impl RegistryBuilder {
    /// A registry whose blobs all hold what their digests say.
    pub fn new() -> Self {
        Self::default()
    }

    /// A registry whose layers take no space: they are holes of the right size, named by the
    /// digest of their *name*. Their content does not match their digest, so such a registry
    /// serves to measure and to show, never to pull from, and hashing it reports every layer.
    pub fn with_sparse_layers() -> Self {
        Self { has_sparse_layers: true, ..Self::default() }
    }

    /// Everything put from here on was last written at this time.
    pub fn at(&mut self, time: SystemTime) -> &mut Self {
        self.now = Some(time);
        self
    }

    /// A layer of `size` bytes that no repository links yet. The same name and size give the same
    /// digest.
    pub fn layer(&mut self, name: &str, size: u64) -> Descriptor {
        let name = format!("{name} of {size} bytes");
        if !self.has_sparse_layers {
            return self.blob(Random::named(&name).bytes(size as usize));
        }
        let digest = Digest::of(name.as_bytes());
        let path = paths::blob(&digest);
        self.put_new(path, Content::Sparse(size));
        Descriptor::new(digest, size)
    }

    /// A blob that no repository links yet.
    pub fn blob(&mut self, content: impl Into<Vec<u8>>) -> Descriptor {
        let content = content.into();
        let descriptor = Descriptor::new(Digest::of(&content), content.len() as u64);
        self.put_new(paths::blob(&descriptor.digest), Content::Bytes(content));
        descriptor
    }

    /// The blob `{}`, config of every artifact.
    pub fn empty_config(&mut self) -> Descriptor {
        self.blob("{}").of_type(media_types::OCI_EMPTY)
    }

    /// Puts a manifest with this very body and links it as a revision. The media type is read from
    /// the body where it is JSON and has one.
    pub fn manifest(&mut self, repository: &str, body: impl Into<Vec<u8>>) -> Descriptor {
        let body = body.into();
        let media_type = serde_json::from_slice::<Value>(&body)
            .ok()
            .and_then(|json| json.get("mediaType")?.as_str().map(str::to_owned));
        let mut descriptor = self.blob(body);
        descriptor.media_type = media_type;
        self.link_revision(repository, &descriptor.digest);
        descriptor
    }

    /// Links a blob in a repository, as an upload or a mount does.
    pub fn link_layer(&mut self, repository: &str, digest: &Digest) {
        self.put_link(paths::layer_link(repository, digest), digest);
    }

    /// Links a blob by another digest of it (sha512, tarsum).
    pub fn link_layer_alias(&mut self, repository: &str, alias: &Digest, digest: &Digest) {
        self.put_link(paths::layer_link(repository, alias), digest);
    }

    /// Links a manifest in a repository.
    pub fn link_revision(&mut self, repository: &str, digest: &Digest) {
        self.put_link(paths::revision_link(repository, digest), digest);
    }

    /// Points a tag at a manifest; the tag remembers where it pointed before.
    pub fn tag(&mut self, repository: &str, tag: &str, digest: &Digest) {
        self.put_link(paths::tag_index(repository, tag, digest), digest);
        self.put_link(paths::tag_current(repository, tag), digest);
    }

    /// Removes a tag and leaves its revision, as `DELETE` of a tag does.
    pub fn untag(&mut self, repository: &str, tag: &str) {
        self.tree.remove(&paths::tag(repository, tag));
    }

    /// An upload of which `size` bytes came.
    pub fn upload(&mut self, repository: &str, id: &str, size: u64, started_at: &str) {
        let directory = paths::upload(repository, id);
        self.put(format!("{directory}/startedat"), Content::Bytes(started_at.into()));
        self.put(format!("{directory}/data"), Content::Sparse(size));
        self.put(format!("{directory}/hashstates/sha256/{size}"), Content::Bytes(vec![0; 108]));
        // Its time is that of the newest state.
        self.put(format!("{directory}/hashstates/sha256"), Content::Directory);
    }

    /// Puts a file or directory anywhere, in place of what is there.
    pub fn put(&mut self, path: impl Into<String>, content: Content) {
        let modified = self.now;
        self.tree.put(path, Entry { content, modified });
    }

    /// Writes the registry below `root`, which then is the registry's root directory.
    pub fn write_to(&self, root: &Path) -> io::Result<()> {
        self.tree.write_to(root)
    }

    fn put_link(&mut self, path: String, digest: &Digest) {
        self.put(path, Content::Bytes(digest.to_string().into_bytes()));
    }

    /// A registry does not write a blob again that it has, so its time stays.
    fn put_new(&mut self, path: String, content: Content) {
        if self.tree.get(&path).is_none() {
            self.put(path, content);
        }
    }
}
