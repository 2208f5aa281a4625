//! A registry over a [`Disk`], request by request and step by step, as distribution makes them.
//!
//! Sources: distribution `registry/storage/linkedblobstore.go`, `blobwriter.go`, `tagstore.go`,
//! `cache/cachedblobdescriptorstore.go`, `registry/handlers/manifests.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::content::{self, CONTENTS, Id, REPOSITORIES, TAGS};
use super::disk::Disk;

/// Which descriptors a registry remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// None.
    Off,
    /// Blobs and layer links, as 2.8 does in memory.
    Layers,
    /// Revisions too, as 3 does.
    Revisions,
    /// Blobs and layer links, in a place of its own that outlives a restart: Redis.
    Shared,
}

/// The registry's disk and memory.
pub struct Registry {
    pub disk: Disk,
    pub cache: Cache,
    /// Blobs by digest. Nothing but a restart empties it.
    blobs: BTreeSet<Id>,
    /// What was taken away from another machine, and until when this one goes on to see it.
    seen_until_ns: BTreeMap<PathBuf, i64>,
    lag: Duration,
    /// Links of repositories.
    links: BTreeSet<(usize, Id)>,
    /// Files that a client's delete removed, and that nobody wrote again.
    pub removed: BTreeSet<PathBuf>,
    /// When each link was last written.
    pub written: BTreeMap<PathBuf, i64>,
    uploads: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Remembered,
    OnDisk,
    Nothing,
}

/// A request of a client. Repositories and tags are places in the lists of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `HEAD` of a blob, and an upload unless it is there.
    Ensure {
        repository: usize,
        id: Id,
    },
    Upload {
        repository: usize,
        id: Id,
    },
    /// An upload if the blob cannot be mounted.
    Mount {
        from: usize,
        repository: usize,
        id: Id,
    },
    /// `HEAD` of a manifest by digest, and a `PUT` unless it is there.
    EnsureManifest {
        repository: usize,
        id: Id,
    },
    Put {
        repository: usize,
        id: Id,
        tag: Option<usize>,
    },
    DeleteTag {
        repository: usize,
        tag: usize,
    },
    DeleteManifest {
        repository: usize,
        id: Id,
    },
    DeleteLayer {
        repository: usize,
        id: Id,
    },
}

/// A request under way.
#[derive(Clone, Debug)]
pub struct Running {
    pub request: Request,
    stage: usize,
    upload: PathBuf,
    revision_ns: i64,
    tags: Vec<usize>,
}

/// What a step came to.
pub enum Step {
    /// There is more to do.
    Goes(String),
    /// The request is answered.
    Ends(String),
    /// A manifest was stored, and its tag: 201.
    Created { repository: usize, id: Id, tag: Option<usize>, revision_ns: i64, tag_ns: i64 },
}

impl Registry {
    pub fn new(cache: Cache, lag: Duration) -> Self {
        let mut disk = Disk::new();
        for directory in ["blobs", "repositories"] {
            disk.create_directories(&Path::new(content::V2).join(directory));
        }
        Self {
            disk,
            cache,
            blobs: BTreeSet::new(),
            seen_until_ns: BTreeMap::new(),
            lag,
            links: BTreeSet::new(),
            removed: BTreeSet::new(),
            written: BTreeMap::new(),
            uploads: 0,
        }
    }

    /// The machine of the registry sees what it could not see yet.
    pub fn wait_for_lag(&mut self) {
        self.disk.pass(self.lag);
    }

    pub fn restart(&mut self) {
        if self.cache != Cache::Shared {
            self.flush();
        }
    }

    /// Empties the cache, wherever it is.
    pub fn flush(&mut self) {
        self.blobs.clear();
        self.links.clear();
    }

    /// Whether the registry sees a file.
    fn has(&self, path: &Path) -> bool {
        let now_ns = self.disk.now_ns();
        let mut seen = path.ancestors().filter_map(|path| self.seen_until_ns.get(path));
        self.disk.stat(path).is_ok() || seen.any(|until_ns| now_ns < *until_ns)
    }

    /// Someone on another machine takes this away.
    pub fn taken_elsewhere(&mut self, path: &Path) {
        if !self.lag.is_zero() && self.disk.stat(path).is_ok() {
            let until_ns = self.disk.now_ns() + self.lag.as_nanos() as i64;
            self.seen_until_ns.insert(path.to_owned(), until_ns);
        }
    }

    fn link(repository: usize, id: Id) -> PathBuf {
        let is_manifest = content::MANIFESTS.contains(&id);
        let link = if is_manifest { content::revision } else { content::layer_link };
        link(repository, id)
    }

    /// Whether a client deleted a link and nobody wrote it again.
    pub fn is_deleted(&self, repository: usize, id: Id) -> bool {
        self.removed.contains(&Self::link(repository, id))
    }

    /// Whether the registry goes by a link without a look at its disk.
    pub fn is_remembered(&self, repository: usize, id: Id) -> bool {
        self.links.contains(&(repository, id))
    }

    fn find(&self, repository: usize, id: Id) -> Found {
        if self.is_remembered(repository, id) {
            return Found::Remembered;
        }
        let is_there = self.has(&Self::link(repository, id))
            && (self.blobs.contains(&content::target(id)) || self.has(&content::blob(id)));
        if is_there { Found::OnDisk } else { Found::Nothing }
    }

    /// What is found on disk is remembered; an answer from the cache changes nothing there.
    fn learn(&mut self, repository: usize, id: Id, found: Found) {
        if found == Found::OnDisk {
            self.remember(repository, id);
        }
    }

    fn remember(&mut self, repository: usize, id: Id) {
        if self.cache == Cache::Off {
            return;
        }
        let target = content::target(id);
        self.blobs.insert(target);
        if target != id {
            // The descriptor that an alias leads to is put under its own name, too.
            self.links.insert((repository, target));
        }
        if self.cache == Cache::Revisions || content::LAYERS.contains(&id) {
            self.links.insert((repository, id));
        }
    }

    /// The answer to `HEAD`. A manifest's content is read from the disk.
    pub fn serves(&mut self, repository: usize, id: Id) -> bool {
        let found = self.find(repository, id);
        self.learn(repository, id, found);
        if content::LAYERS.contains(&id) {
            // What an alias leads to is looked for by its own name (`handlers/blob.go`).
            return found != Found::Nothing
                && self.find(repository, content::target(id)) != Found::Nothing;
        }
        found != Found::Nothing && self.has(&content::blob(id))
    }

    fn write(&mut self, path: PathBuf, bytes: &[u8]) -> i64 {
        self.disk.put(&path, bytes);
        self.removed.remove(&path);
        let now_ns = self.disk.now_ns();
        self.written.insert(path, now_ns);
        now_ns
    }

    fn write_link(&mut self, path: PathBuf, id: Id) -> i64 {
        self.write(path, CONTENTS[content::target(id)].digest.to_string().as_bytes())
    }

    /// What a tag stands for.
    pub fn tagged(&self, repository: usize, tag: usize) -> Option<Id> {
        let bytes = self.disk.read(&content::current(repository, tag)).ok()?;
        CONTENTS.iter().position(|content| content.digest.to_string().as_bytes() == bytes)
    }
}

impl Running {
    pub fn new(request: Request) -> Self {
        let (upload, tags) = (PathBuf::new(), Vec::new());
        Self { request, stage: 0, upload, revision_ns: 0, tags }
    }

    pub fn is_delete(&self) -> bool {
        use Request::{DeleteLayer, DeleteManifest, DeleteTag};
        matches!(self.request, DeleteTag { .. } | DeleteManifest { .. } | DeleteLayer { .. })
    }

    fn becomes(&mut self, request: Request, what: String) -> Step {
        (self.request, self.stage) = (request, 0);
        Step::Goes(what)
    }

    /// Makes the next step.
    pub fn step(&mut self, registry: &mut Registry) -> Step {
        let stage = self.stage;
        self.stage += 1;
        match self.request {
            Request::Ensure { repository, id } | Request::EnsureManifest { repository, id } => {
                self.ensure(registry, stage, repository, id)
            }
            Request::Upload { repository, id } => self.upload(registry, stage, repository, id),
            Request::Mount { from, repository, id } => {
                let shown = format!("mount of {} from {}", at(repository, id), REPOSITORIES[from]);
                if stage == 0 {
                    let found = registry.find(from, id);
                    if found == Found::Nothing {
                        let upload = Request::Upload { repository, id };
                        return self.becomes(upload, format!("{shown}: not there, uploads"));
                    }
                    registry.learn(from, id, found);
                    return Step::Goes(format!("{shown}: found"));
                }
                registry.write_link(content::layer_link(repository, id), id);
                Step::Ends(format!("{shown}: 201"))
            }
            Request::Put { repository, id, tag } => self.put(registry, stage, repository, id, tag),
            Request::DeleteTag { repository, tag } => {
                remove_tag(registry, repository, tag);
                Step::Ends(format!("DELETE {}:{}", REPOSITORIES[repository], TAGS[tag]))
            }
            Request::DeleteManifest { repository, id }
            | Request::DeleteLayer { repository, id } => {
                self.delete(registry, stage, repository, id)
            }
        }
    }

    fn ensure(&mut self, registry: &mut Registry, stage: usize, repository: usize, id: Id) -> Step {
        let shown = format!("HEAD {}", at(repository, id));
        if stage > 0 {
            registry.remember(repository, id);
            return Step::Ends(format!("{shown}: 200, skips it"));
        }
        let is_manifest = content::MANIFESTS.contains(&id);
        match registry.find(repository, id) {
            found
                if found == Found::Nothing || is_manifest && !registry.has(&content::blob(id)) =>
            {
                let next = if is_manifest {
                    Request::Put { repository, id, tag: None }
                } else {
                    Request::Upload { repository, id }
                };
                self.becomes(next, format!("{shown}: 404"))
            }
            Found::Remembered => Step::Ends(format!("{shown}: 200 from the cache, skips it")),
            _ => Step::Goes(format!("{shown}: found on disk")),
        }
    }

    fn upload(&mut self, registry: &mut Registry, stage: usize, repository: usize, id: Id) -> Step {
        let shown = format!("upload of {}", at(repository, id));
        match stage {
            0 => {
                registry.uploads += 1;
                let uploads = content::repository(repository).join("_uploads");
                let number = registry.uploads;
                self.upload = uploads.join(format!("00000000-0000-4000-8000-{number:012}"));
                let started = b"2025-10-09T08:53:20Z";
                registry.disk.put(&self.upload.join("startedat"), started);
                registry.disk.put(&self.upload.join("data"), &CONTENTS[id].bytes);
                Step::Goes(format!("{shown}: bytes received"))
            }
            1 => {
                let (data, blob) = (self.upload.join("data"), content::blob(id));
                if !registry.has(&data) {
                    return Step::Ends(format!("{shown}: 404, the upload is gone"));
                }
                if registry.has(&blob) {
                    return Step::Goes(format!("{shown}: the blob is there"));
                }
                registry.disk.create_directories(blob.parent().unwrap());
                registry.disk.rename_new(&data, &blob).unwrap();
                Step::Goes(format!("{shown}: blob in its place"))
            }
            2 => {
                let target = content::target(id);
                registry.write_link(content::layer_link(repository, target), target);
                Step::Goes(format!("{shown}: link written"))
            }
            3 if id != content::target(id) => {
                registry.write_link(content::layer_link(repository, id), id);
                Step::Goes(format!("{shown}: link of the alias written"))
            }
            3 | 4 if registry.has(&self.upload) => {
                registry.disk.remove_all(&self.upload);
                Step::Goes(format!("{shown}: upload removed"))
            }
            _ => {
                registry.remember(repository, id);
                Step::Ends(format!("{shown}: 201"))
            }
        }
    }

    fn put(
        &mut self,
        registry: &mut Registry,
        stage: usize,
        repository: usize,
        id: Id,
        tag: Option<usize>,
    ) -> Step {
        let named = &CONTENTS[id];
        let shown = match tag {
            Some(tag) => format!("PUT {} as {}", at(repository, id), TAGS[tag]),
            None => format!("PUT {}", at(repository, id)),
        };
        let mut references = named.blobs.iter().chain(&named.children);
        if let Some(&reference) = references.nth(stage) {
            let found = registry.find(repository, reference);
            if found == Found::Nothing {
                return Step::Ends(format!(
                    "{shown}: 400, {} is unknown",
                    CONTENTS[reference].name
                ));
            }
            registry.learn(repository, reference, found);
            return Step::Goes(format!("{shown}: {} is known", CONTENTS[reference].name));
        }
        match stage - named.blobs.len() - named.children.len() {
            0 if registry.blobs.contains(&id) || registry.has(&content::blob(id)) => {
                Step::Goes(format!("{shown}: the blob is there"))
            }
            0 => {
                registry.write(content::blob(id), &named.bytes);
                Step::Goes(format!("{shown}: blob written"))
            }
            1 => {
                registry.remember(repository, id);
                self.revision_ns = registry.write_link(content::revision(repository, id), id);
                match tag {
                    Some(_) => Step::Goes(format!("{shown}: revision linked")),
                    None => self.created(repository, id, tag, 0),
                }
            }
            2 => {
                let index = content::tag(repository, tag.unwrap()).join("index/sha256");
                registry.write_link(index.join(&named.hex).join("link"), id);
                Step::Goes(format!("{shown}: written to the tag's index"))
            }
            _ => {
                let tag_ns = registry.write_link(content::current(repository, tag.unwrap()), id);
                self.created(repository, id, tag, tag_ns)
            }
        }
    }

    fn created(&self, repository: usize, id: Id, tag: Option<usize>, tag_ns: i64) -> Step {
        Step::Created { repository, id, tag, revision_ns: self.revision_ns, tag_ns }
    }

    fn delete(&mut self, registry: &mut Registry, stage: usize, repository: usize, id: Id) -> Step {
        let shown = format!("DELETE {}", at(repository, id));
        match stage {
            0 => match registry.find(repository, id) {
                Found::Nothing => Step::Ends(format!("{shown}: 404")),
                found => {
                    registry.learn(repository, id, found);
                    Step::Goes(format!("{shown}: found"))
                }
            },
            1 => {
                registry.links.remove(&(repository, id));
                if registry.cache == Cache::Shared {
                    registry.blobs.remove(&content::target(id));
                }
                Step::Goes(format!("{shown}: cache emptied"))
            }
            2 => {
                let link = Registry::link(repository, id);
                drop(registry.disk.remove_file(&link));
                registry.removed.insert(link);
                if content::LAYERS.contains(&id) {
                    return Step::Ends(format!("{shown}: link removed, 202"));
                }
                Step::Goes(format!("{shown}: link removed"))
            }
            3 => {
                self.tags = (0..TAGS.len())
                    .filter(|tag| registry.tagged(repository, *tag) == Some(id))
                    .collect();
                Step::Goes(format!("{shown}: {} tags found", self.tags.len()))
            }
            _ => match self.tags.pop() {
                None => Step::Ends(format!("{shown}: 202")),
                Some(tag) => {
                    remove_tag(registry, repository, tag);
                    Step::Goes(format!("{shown}: tag {} removed", TAGS[tag]))
                }
            },
        }
    }
}

fn remove_tag(registry: &mut Registry, repository: usize, tag: usize) {
    registry.disk.remove_all(&content::tag(repository, tag));
    registry.removed.insert(content::current(repository, tag));
}

/// For people.
pub fn at(repository: usize, id: Id) -> String {
    format!("{} in {}", CONTENTS[id].name, REPOSITORIES[repository])
}
