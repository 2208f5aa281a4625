//! How closely a scan looks at storages of any size.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use regsql::scan::{DeepLook, Depth, depth_for};
use regsql::storage::{
    Content, Entry, FileFacts, FileKind, Layout, Leaf, LeafOptions, Storage, Streamed,
};

/// A storage of two shards, of which only the names can be asked for.
struct Shards {
    layout: Layout,
    /// How many names lie in each.
    counts: [usize; 2],
}

impl Storage for Shards {
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let numbers = |count: usize| (0..count).map(|number| number.to_string()).collect();
        let names: Vec<String> = match directory.to_str() {
            Some("v2/blobs") => vec!["sha256".into()],
            Some("v2/blobs/sha256") => vec!["00".into(), "ff".into()],
            Some("v2/blobs/sha256/00") => numbers(self.counts[0]),
            Some("v2/blobs/sha256/ff") => numbers(self.counts[1]),
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        let entry = |name: String| Entry { name: name.into(), kind: FileKind::Directory };
        Ok(names.into_iter().map(entry).collect())
    }

    fn list_leaves(&self, _: &Path, _: &Path, _: LeafOptions) -> io::Result<Vec<Leaf>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn stat(&self, _: &Path) -> io::Result<FileFacts> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read(&self, _: &Path, _: u64) -> io::Result<Content> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn stream(
        &self,
        _: &Path,
        _: &mut [u8],
        _: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Streamed> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn root(&self) -> &Path {
        Path::new("/")
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }
}

#[test]
fn leftovers_are_looked_for_in_up_to_ten_thousand_blobs_unless_asked_otherwise() {
    let depth =
        |counts, deep| depth_for(&Shards { layout: Layout::new("v2".into()), counts }, deep);
    assert_eq!(depth([0, 0], DeepLook::Auto), Depth::Deep);
    assert_eq!(depth([6_000, 4_000], DeepLook::Auto), Depth::Deep);
    assert_eq!(depth([6_000, 4_001], DeepLook::Auto), Depth::Full);
    assert_eq!(depth([10_001, 0], DeepLook::Auto), Depth::Full);
    assert_eq!(depth([6_000, 4_001], DeepLook::Always), Depth::Deep);
    assert_eq!(depth([1, 0], DeepLook::Never), Depth::Full);
}
