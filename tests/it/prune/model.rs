//! Random registries and random choices against a slow and obvious model of deleting: what is left
//! on disk is what the model leaves, file by file, and undo brings back all of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use regsql::graph::Graph;
use regsql::model::{Kind, Name};
use regsql::prune::{Chosen, Policy, Protect, plan};
use regsql::sample::{RegistryBuilder, paths};

use super::pulls::{assert_none_lost, pulls};
use super::{Disk, act, policy};
use crate::properties::model::{Model, Set};
use crate::properties::story;
use crate::tree::{Node, Tree};

const UPLOAD: &str = "0b8a1c62-6d1f-4f0e-8b57-3a4e2f1d9c10";

/// What is asked for; numbers choose among what is there.
#[derive(Clone, Debug)]
struct Wish {
    tags: Vec<Index>,
    revisions: Vec<Index>,
    repositories: Vec<Index>,
    layers: Vec<Index>,
    protected_tags: Vec<Index>,
    protected_digests: Vec<Index>,
    is_garbage_chosen: bool,
    keeps_revisions: bool,
}

fn wishes() -> impl Strategy<Value = Wish> {
    let some = |most| prop::collection::vec(any::<Index>(), 0..most);
    let chosen = (some(4), some(4), some(2), some(2));
    let kept = (some(3), some(3), any::<bool>(), prop::bool::weighted(0.1));
    (chosen, kept).prop_map(|(chosen, kept)| Wish {
        tags: chosen.0,
        revisions: chosen.1,
        repositories: chosen.2,
        layers: chosen.3,
        protected_tags: kept.0,
        protected_digests: kept.1,
        is_garbage_chosen: kept.2,
        keeps_revisions: kept.3,
    })
}

/// The same by names.
#[derive(Debug, Default)]
struct Choice {
    tags: BTreeSet<(String, String)>,
    revisions: BTreeSet<(String, String)>,
    repositories: Set,
    layers: Set,
    protected_tags: BTreeSet<(String, String)>,
    protected_digests: Set,
    /// Those, and every index that leads to one.
    protected_images: Set,
    is_garbage_chosen: bool,
    keeps_revisions: bool,
}

/// All that lead to one of these, and these.
fn with_parents(model: &Model, digests: &Set) -> Set {
    let mut found = digests.clone();
    loop {
        let count = found.len();
        for (digest, manifest) in &model.manifests {
            if !manifest.children.is_disjoint(&found) {
                found.insert(digest.clone());
            }
        }
        if found.len() == count {
            return found;
        }
    }
}

fn pick<T: Clone + Ord>(indexes: &[Index], all: &[T]) -> BTreeSet<T> {
    indexes.iter().filter(|_| !all.is_empty()).map(|index| index.get(all).clone()).collect()
}

impl Choice {
    fn new(wish: &Wish, model: &Model, graph: &Graph) -> Self {
        let repositories = model.repositories.iter();
        let tags: Vec<_> = repositories
            .clone()
            .flat_map(|(name, node)| node.tags.keys().map(|tag| (name.clone(), tag.clone())))
            .collect();
        let revisions: Vec<_> = repositories
            .clone()
            .flat_map(|(name, node)| node.revisions.iter().map(|at| (name.clone(), at.clone())))
            .collect();
        let names: Vec<String> = repositories.map(|(name, _)| name.clone()).collect();
        let layers = graph.blobs.iter().filter(|blob| blob.is_layer);
        let layers: Vec<String> = layers.map(|blob| blob.digest.to_string()).collect();
        let digests: Vec<String> = model.manifests.keys().cloned().collect();
        let protected_digests = pick(&wish.protected_digests, &digests);
        Self {
            tags: pick(&wish.tags, &tags),
            revisions: pick(&wish.revisions, &revisions),
            repositories: pick(&wish.repositories, &names),
            layers: pick(&wish.layers, &layers),
            protected_tags: pick(&wish.protected_tags, &tags),
            protected_images: with_parents(model, &protected_digests),
            protected_digests,
            is_garbage_chosen: wish.is_garbage_chosen,
            keeps_revisions: wish.keeps_revisions,
        }
    }

    fn chosen<'a>(&self, graph: &'a Graph) -> Chosen<'a> {
        let mut chosen = Chosen::nothing(graph);
        chosen.is_garbage_chosen = self.is_garbage_chosen;
        for (repository, tag) in &self.tags {
            chosen.add(super::tag(repository, tag));
        }
        for (repository, digest) in &self.revisions {
            let (repository, manifest_digest) = (repository.clone(), digest.clone());
            chosen.add(Name::Revision { repository, manifest_digest });
        }
        for repository in &self.repositories {
            chosen.add(Name::Repository { repository: repository.clone() });
        }
        for layer_digest in &self.layers {
            chosen.add(Name::Layer { layer_digest: layer_digest.clone() });
        }
        assert_eq!(chosen.skipped, []);
        chosen
    }

    fn policy(&self) -> Policy {
        let mut protect = Protect::default();
        let tags =
            self.protected_tags.iter().map(|(repository, tag)| format!("{repository}:{tag}"));
        let words: Vec<String> = tags.chain(self.protected_digests.iter().cloned()).collect();
        protect.add_list("list", &words.join("\n")).unwrap();
        Policy { protect, keeps_revisions: self.keeps_revisions, ..policy() }
    }

    fn keeps_tag(&self, repository: &str, tag: &str, target: &str) -> bool {
        self.protected_images.contains(target)
            || self.protected_tags.contains(&(repository.to_owned(), tag.to_owned()))
    }

    /// Whether the image is chosen because of a layer that it, or something it names, holds.
    fn holds_layer(&self, model: &Model, digest: &str) -> bool {
        let mut led_to = vec![digest.to_owned()];
        let mut at = 0;
        while at < led_to.len() {
            if let Some(manifest) = model.manifests.get(&led_to[at]) {
                if !manifest.blobs.is_disjoint(&self.layers) {
                    return true;
                }
                let children = manifest.children.iter();
                let new: Vec<_> =
                    children.filter(|child| !led_to.contains(child)).cloned().collect();
                led_to.extend(new);
            }
            at += 1;
        }
        false
    }

    /// What is left of the model, and the repositories that go whole.
    fn left(&self, model: &Model) -> (Model, Set) {
        let mut left = model.clone();
        let mut whole = Set::new();
        for (name, node) in &model.repositories {
            let after = left.repositories.get_mut(name).unwrap();
            let is_kept_tag = |tag: &str| self.keeps_tag(name, tag, &node.tags[tag]);
            let is_kept = |digest: &String| self.protected_images.contains(digest);
            if self.keeps_revisions {
                after.tags.retain(|tag, _| {
                    is_kept_tag(tag) || !self.tags.contains(&(name.clone(), tag.clone()))
                });
                continue;
            }
            let is_whole = self.repositories.contains(name);
            let keeps_part =
                node.tags.keys().any(|tag| is_kept_tag(tag)) || node.revisions.iter().any(is_kept);
            if is_whole && !keeps_part {
                (after.tags, after.revisions) = Default::default();
                whole.insert(name.clone());
                continue;
            }
            let tags: Set = node
                .tags
                .iter()
                .filter(|(tag, target)| {
                    let is_named = self.tags.contains(&(name.clone(), (*tag).clone()));
                    !is_kept_tag(tag) && (is_whole || is_named || self.holds_layer(model, target))
                })
                .map(|(tag, _)| tag.clone())
                .collect();
            let revisions: Set = node
                .revisions
                .iter()
                .filter(|digest| {
                    let is_named = self.revisions.contains(&(name.clone(), (*digest).clone()));
                    !is_kept(digest) && (is_whole || is_named || self.holds_layer(model, digest))
                })
                .cloned()
                .collect();
            let doomed = tags.iter().map(|tag| node.tags[tag].clone()).chain(revisions.clone());
            let doomed = model.closure(name, doomed.collect());
            let loses_revision =
                |tag: &str| !is_kept_tag(tag) && revisions.contains(&node.tags[tag]);
            let other_tags = node
                .tags
                .iter()
                .filter(|(tag, _)| !tags.contains(*tag) && !loses_revision(tag))
                .map(|(_, target)| target.clone());
            let outside = node.revisions.iter().filter(|at| !doomed.contains(*at) || is_kept(at));
            let stays = model.closure(name, other_tags.chain(outside.cloned()).collect());
            after.revisions.retain(|at| stays.contains(at));
            after.tags.retain(|tag, target| {
                !tags.contains(tag) && (!loses_revision(tag) || stays.contains(target))
            });
        }
        (left, whole)
    }

    /// Directories that go, with all below them.
    fn gone(&self, model: &Model, before: &Tree) -> BTreeSet<PathBuf> {
        let (left, whole) = self.left(model);
        let mut gone = BTreeSet::new();
        let (reached, reached_after) = (model.reached(), left.reached());
        let goes = |blob: &str| {
            let comes_free = reached.contains(blob) && !reached_after.contains(blob);
            let is_garbage = self.is_garbage_chosen && !reached.contains(blob);
            !self.keeps_revisions
                && (comes_free || is_garbage)
                && !self.protected_digests.contains(blob)
        };
        for (path, node) in &before.nodes {
            let text = path.to_str().unwrap().strip_prefix(paths::V2).unwrap_or_default();
            if node.is_directory() || text.is_empty() {
                continue;
            }
            let is_gone = match text.split_once("/_") {
                None => goes(&format!("sha256:{}", text.rsplit('/').nth(1).unwrap())),
                Some((repository, inside)) => {
                    let name = repository.strip_prefix("/repositories/").unwrap();
                    let (node, after) = (&model.repositories[name], &left.repositories[name]);
                    let is_ghost = node.tags.is_empty()
                        && node.revisions.is_empty()
                        && (self.is_garbage_chosen || self.repositories.contains(name));
                    let is_ghost = !self.keeps_revisions && (is_ghost || whole.contains(name));
                    let parts: Vec<&str> = inside.split('/').collect();
                    match parts[..] {
                        ["manifests", "tags", tag, ..] => !after.tags.contains_key(tag),
                        ["manifests", "revisions", "sha256", hex, ..] => {
                            !after.revisions.contains(&format!("sha256:{hex}"))
                        }
                        ["layers", algorithm, hex, "link"] => {
                            let Node::File { bytes, .. } = &before.nodes[path] else {
                                panic!("{text}");
                            };
                            let target = String::from_utf8(bytes.clone()).unwrap();
                            let ends = [format!("{algorithm}:{hex}"), target];
                            let is_needed = |model: &Model| {
                                let blobs = model.blobs(&model.kept(name));
                                ends.iter().any(|end| blobs.contains(end))
                            };
                            let (was, is) = (is_needed(model), is_needed(&left));
                            let loses_its_blob = ends.iter().any(|end| goes(end));
                            let is_garbage = self.is_garbage_chosen || loses_its_blob;
                            !self.keeps_revisions && (is_ghost || was && !is || !was && is_garbage)
                        }
                        ["uploads", ..] => {
                            !self.keeps_revisions && (self.is_garbage_chosen || is_ghost)
                        }
                        _ => panic!("{text}"),
                    }
                }
            };
            if is_gone {
                gone.insert(path.clone());
            }
        }
        gone
    }
}

/// Files by their paths.
fn files(tree: &Tree) -> BTreeSet<PathBuf> {
    let files = tree.nodes.iter().filter(|(_, node)| !node.is_directory());
    files.map(|(path, _)| path.clone()).collect()
}

fn bytes_of(tree: &Tree, paths: &BTreeSet<PathBuf>) -> u64 {
    let size = |path: &PathBuf| match &tree.nodes[path] {
        Node::File { bytes, .. } => bytes.len() as u64,
        _ => 0,
    };
    paths.iter().filter(|path| path.ends_with("data")).map(size).sum()
}

fn check(registry: &RegistryBuilder, wish: &Wish) -> Result<(), TestCaseError> {
    let model = Model::of(&registry.tree);
    let disk = Disk::of(registry);
    let (before, served) = (disk.tree(), pulls(&disk.root()));
    let graph = disk.graph();
    let choice = Choice::new(wish, &model, &graph);
    let plan = plan(choice.chosen(&graph), &choice.policy());
    let done = act(&disk.storage(), &graph, &plan, true).unwrap();

    prop_assert_eq!(&done.skipped, &[]);
    prop_assert_eq!(done.put_back_count, 0);
    let after = disk.tree();
    let gone: BTreeSet<PathBuf> = files(&before).difference(&files(&after)).cloned().collect();
    prop_assert_eq!(&gone, &choice.gone(&model, &before), "{:?}", choice);
    prop_assert_eq!(plan.freed_bytes, bytes_of(&before, &gone));
    prop_assert_eq!(done.size_bytes, plan.freed_bytes);
    prop_assert_eq!(done.counts, plan.counts());
    assert_none_lost(&served, &pulls(&disk.root()), "acted");

    // A second run finds nothing but repositories that the first one emptied. With its last link a
    // sha512 name is forgotten, so what only that led to is garbage from then on.
    let graph = disk.graph();
    let again = super::plan_of(&graph, []);
    let has_alias = registry.tree.iter().any(|(path, _)| path.contains("/_layers/sha512/"));
    let takes_all = choice.is_garbage_chosen && !choice.keeps_revisions;
    if takes_all && choice.protected_digests.is_empty() && !has_alias {
        let mut rest = again;
        rest.goes[Kind::Repository].clear();
        prop_assert!(rest.is_empty(), "{:?}", rest);
    }
    disk.undo_all("acted");
    before.assert_same(&disk.tree(), "undone");

    // Without the trash the same goes.
    let graph = disk.graph();
    let plan = regsql::prune::plan(choice.chosen(&graph), &choice.policy());
    let done = act(&disk.storage(), &graph, &plan, false).unwrap();
    prop_assert_eq!(&done.skipped, &[]);
    prop_assert_eq!(files(&disk.tree()), files(&after));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_what_a_deleting_model_leaves(
        story in story::stories(),
        wish in wishes(),
        has_upload in any::<bool>(),
    ) {
        let mut registry = story::tell(&story);
        if has_upload {
            registry.upload("c", UPLOAD, 10, "2026-01-02T03:04:05Z");
        }
        check(&registry, &wish)?;
    }
}
