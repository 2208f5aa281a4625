//! What clients may rely on: every manifest and tag that got 201 can be pulled, until a client deletes
//! it or a person chooses it to go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regsql::storage::Layout;
use regsql::trash::moves_list;

use super::content::{self, CONTENTS, Id, MANIFESTS, REPOSITORIES, TAGS};
use super::registry::{Registry, at};

/// What was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Manifest { repository: usize, id: Id },
    Tag { repository: usize, tag: usize },
}

/// A push that got 201.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    pub id: Id,
    /// When its link was written.
    pub written_ns: i64,
    /// No deletion was under way when it was made: from then on it can be pulled at every moment.
    pub is_settled: bool,
}

impl What {
    pub fn repository(self) -> usize {
        match self {
            Self::Manifest { repository, .. } | Self::Tag { repository, .. } => repository,
        }
    }

    pub fn link(self) -> PathBuf {
        match self {
            Self::Manifest { repository, id } => content::revision(repository, id),
            Self::Tag { repository, tag } => content::current(repository, tag),
        }
    }

    pub fn name(self, id: Id) -> String {
        match self {
            Self::Manifest { repository, id } => at(repository, id),
            Self::Tag { repository, tag } => {
                format!("{}:{} ({})", REPOSITORIES[repository], TAGS[tag], CONTENTS[id].name)
            }
        }
    }
}

/// A file that a pull of a manifest reads.
struct ReadFile {
    path: PathBuf,
    /// What it is the link of. The registry does without one that it remembers.
    link_of: Option<Id>,
}

/// Every file that a pull of a manifest reads, by repository and manifest.
static READ_BY_PULL: LazyLock<Vec<Vec<Vec<ReadFile>>>> = LazyLock::new(|| {
    let all = 0..REPOSITORIES.len();
    all.map(|repository| MANIFESTS.map(|id| files(repository, id)).collect()).collect()
});

fn files(repository: usize, id: Id) -> Vec<ReadFile> {
    let pair = |link, id| {
        let blob = ReadFile { path: content::blob(id), link_of: None };
        [ReadFile { path: link, link_of: Some(id) }, blob]
    };
    let mut files: Vec<ReadFile> = pair(content::revision(repository, id), id).into();
    for &layer in &CONTENTS[id].blobs {
        // The registry looks for what an alias leads to by its own name.
        for name in BTreeSet::from([layer, content::target(layer)]) {
            files.extend(pair(content::layer_link(repository, name), name));
        }
    }
    let children = CONTENTS[id].children.iter();
    files.extend(children.flat_map(|child| self::files(repository, *child)));
    files
}

/// All promises.
#[derive(Default)]
pub struct Promises {
    pub all: BTreeMap<What, Promise>,
}

impl Promises {
    /// Drops what a client has deleted, and says which promise is broken.
    pub fn check(&mut self, registry: &Registry) -> Result<(), String> {
        let mut broken = Ok(());
        self.all.retain(|what, promise| match is_kept(*what, *promise, registry) {
            Kept::Yes => true,
            Kept::Deleted => false,
            Kept::No(why) => {
                broken = Err(format!("{} got 201, and {why}", what.name(promise.id)));
                true
            }
        });
        broken
    }

    /// From now on everything can be pulled at every moment.
    pub fn settle(&mut self) {
        for promise in self.all.values_mut() {
            promise.is_settled = true;
        }
    }
}

enum Kept {
    Yes,
    /// A client deleted a part of it.
    Deleted,
    No(String),
}

fn is_kept(what: What, promise: Promise, registry: &Registry) -> Kept {
    if let What::Tag { repository, tag } = what
        && let Some(id) = registry.tagged(repository, tag)
        && id != promise.id
    {
        // A push has moved the tag, and is not answered yet.
        return Kept::Deleted;
    }
    let repository = what.repository();
    let own = matches!(what, What::Tag { .. }).then(|| what.link());
    let read = &READ_BY_PULL[repository][promise.id - MANIFESTS.start];
    let read = read.iter().map(|file| (&file.path, file.link_of));
    for (path, link_of) in own.iter().map(|path| (path, None)).chain(read) {
        if registry.disk.stat(path).is_ok() {
            continue;
        }
        if registry.removed.contains(path) {
            // A part that a client deleted and the registry still remembers is served until it forgets that.
            let is_part = link_of.filter(|id| *id != promise.id);
            if is_part.is_some_and(|id| registry.is_remembered(repository, id)) {
                continue;
            }
            return Kept::Deleted;
        }
        match where_it_lies(path, registry) {
            None => return Kept::No(format!("{} is nowhere", path.display())),
            Some(place) if promise.is_settled => {
                return Kept::No(format!("{} lies {place}", path.display()));
            }
            Some(_) => {}
        }
    }
    Kept::Yes
}

/// Where a file lies that is not in its place, and from which it can come back.
fn where_it_lies(path: &Path, registry: &Registry) -> Option<String> {
    if registry.disk.stat(&path.with_file_name("gone")).is_ok() {
        return Some("beside its place".into());
    }
    let trash = Path::new(".regsql/trash");
    let runs = registry.disk.list(trash).unwrap_or_default();
    let found = runs.into_iter().find(|run| {
        let run = trash.join(&run.name);
        let layout = Layout::new(content::V2.into());
        let list = run.join("moves.jsonl");
        let Ok(bytes) = registry.disk.read(&list) else { return false };
        let Ok((_, moves)) = moves_list::read(bytes, &layout, &list) else { return false };
        (0..).zip(&moves).any(|(number, item): (u32, _)| {
            path.strip_prefix(&item.path).is_ok_and(|below| {
                let taken = run.join("files").join(number.to_string()).join(below);
                registry.disk.stat(&taken).is_ok()
            })
        })
    });
    found.map(|run| format!("in the trash of run {}", run.name.to_string_lossy()))
}
