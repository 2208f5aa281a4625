//! A registry with one of everything, and what is known of it because it was made so.

use std::collections::BTreeSet;

use super::layout::{Image, layer};
use super::registry::Registry;
use super::{pushes, skopeo};

/// A filled registry and the facts about it.
pub struct Known {
    pub registry: Registry,
    /// Tags that `skopeo` can pull: repository and tag.
    pub pullable: Vec<(&'static str, &'static str)>,
    /// Images that a tag of the repository points at.
    pub tagged: Vec<(&'static str, Image)>,
    /// Not tagged themselves, and kept through something tagged: children of an index, referrers.
    pub kept: Vec<(&'static str, Image)>,
    /// Linked, and nothing that is tagged leads there.
    pub untagged: Vec<(&'static str, Image)>,
    /// Blobs that nothing leads to.
    pub orphans: BTreeSet<String>,
    /// A repository with nothing but an unfinished upload: the upload's id and size.
    pub stalled: (&'static str, String, usize),
}

impl Known {
    /// Repository and digest of each image.
    pub fn revisions(images: &[(&str, Image)]) -> BTreeSet<(String, String)> {
        images.iter().map(|(name, image)| ((*name).to_owned(), image.digest())).collect()
    }

    /// All that the images are made of.
    pub fn blobs(images: &[(&str, Image)]) -> BTreeSet<String> {
        images.iter().flat_map(|(_, image)| image.all_digests()).collect()
    }

    /// What is named directly by a tagged manifest: all that 2.8.2's collector follows with `-m`.
    pub fn named_by_tagged(&self) -> BTreeSet<String> {
        let mut digests = BTreeSet::new();
        for (_, image) in &self.tagged {
            digests.insert(image.digest());
            digests.extend(image.children.iter().map(Image::digest));
            digests.extend(image.blobs.iter().map(|blob| super::layout::digest_of(blob)));
        }
        digests
    }

    /// A registry of single-platform images.
    pub fn simple() -> Self {
        Self::simple_in(Registry::start())
    }

    fn simple_in(registry: Registry) -> Self {
        let mut known = Self {
            registry,
            pullable: Vec::new(),
            tagged: Vec::new(),
            kept: Vec::new(),
            untagged: Vec::new(),
            orphans: BTreeSet::new(),
            stalled: ("stalled/push", String::new(), 0),
        };
        known.push_images();
        known.push_by_http();
        known.leave_garbage();
        known
    }

    /// The same with everything that has more than one level: indexes, caches, referrers.
    pub fn full() -> Self {
        Self::full_in(Registry::start())
    }

    /// The same in an empty registry.
    pub fn full_in(registry: Registry) -> Self {
        let mut known = Self::simple_in(registry);
        known.push_indexes();
        known.push_artifacts();
        known
    }

    fn skopeo(&mut self, repository: &'static str, tag: &'static str, image: &Image) {
        skopeo::push(&self.registry, image, repository, tag);
        self.pullable.push((repository, tag));
        self.tagged.push((repository, image.clone()));
    }

    fn put(&mut self, repository: &'static str, tag: &str, image: &Image) {
        pushes::put(&self.registry, repository, tag, image);
        self.tagged.push((repository, image.clone()));
    }

    /// Shared layers, two tags of one manifest, a tag that moved on.
    fn push_images(&mut self) {
        let (base, runtime) = (layer("base", 200_000), layer("runtime", 70_000));
        let image = |name: &str| Image::of(&[&base, &runtime, &layer(name, 3_000)]);
        let [one, two, three] = ["web-1", "web-2", "web-3"].map(image);
        self.skopeo("app/web", "1.0", &one);
        self.skopeo("app/web", "1.1", &two);
        self.put("app/web", "latest", &two);
        // `edge` leaves its first image behind, with a layer that only that image has.
        self.put("app/web", "edge", &one);
        pushes::put(&self.registry, "app/web", "edge", &three);
        self.put("app/web", "edge", &two);
        self.untagged.push(("app/web", three));
        // The same image in another repository, there without a tag.
        self.skopeo("app/api", "2.0", &Image::of(&[&base, &layer("api", 9_000)]));
        pushes::put(&self.registry, "app/api", &one.digest(), &one);
        self.untagged.push(("app/api", one));
        // Repositories below and above another, and a layer twice in one image.
        let twice = layer("twice", 500);
        self.put("app", "a.tag_with-all.signs", &Image::of(&[&twice, &base, &twice]));
        self.put("app/web/debug", "1", &Image::of(&[]));
    }

    /// What Docker pushes, with layers mounted from another repository.
    fn push_by_http(&mut self) {
        let base = layer("base", 200_000);
        let image = pushes::schema2(&[&base], Some("https://example.com/foreign.tar.gz"));
        self.registry.put_blob("legacy/app", &image.blobs[0]);
        self.registry.mount("legacy/app", &super::layout::digest_of(&base), "app/web");
        let (digest, body) = (image.digest(), &image.manifest);
        self.registry.put_manifest("legacy/app", &digest, body, image.media_type);
        self.registry.put_manifest("legacy/app", "1", body, image.media_type);
        self.tagged.push(("legacy/app", image));
    }

    /// Blobs without a manifest, a deleted image, an upload that was never finished.
    fn leave_garbage(&mut self) {
        for size in [0, 10, 40_000] {
            let blob = layer("never-used", size);
            self.orphans.insert(self.registry.put_blob("uploaded/only", &blob));
        }
        let gone = Image::of(&[&layer("base", 200_000), &layer("gone", 5_000)]);
        pushes::put(&self.registry, "deleted/app", "1", &gone);
        pushes::put(&self.registry, "deleted/app", "2", &gone);
        self.registry.delete_manifest("deleted/app", &gone.digest());
        let base = super::layout::digest_of(&layer("base", 200_000));
        self.orphans.extend(gone.all_digests().into_iter().filter(|digest| *digest != base));
        let (location, id) = self.registry.begin_upload(self.stalled.0);
        self.registry.send_part(&location, &[7; 12_345]);
        (self.stalled.1, self.stalled.2) = (id, 12_345);
    }

    /// Multi-platform images as buildx pushes them: with an attestation for each platform.
    fn push_indexes(&mut self) {
        let base = layer("base", 200_000);
        let platform = |architecture: &'static str, name: &str| {
            Image::for_platform(("linux", architecture), &[&base, &layer(name, 2_000)])
        };
        let [amd, arm] = [platform("amd64", "tool-amd"), platform("arm64", "tool-arm")];
        let about = [&amd, &arm].map(pushes::attestation);
        let [about_amd, about_arm] = about.clone();
        let index = Image::index(vec![amd.clone(), arm.clone(), about_amd, about_arm]);
        self.skopeo("tools/multi", "3.0", &index);
        // One platform has a tag of its own, which is all that keeps it from the collector.
        self.put("tools/multi", "3.0-arm64", &arm);
        self.kept.push(("tools/multi", amd.clone()));
        self.kept.extend(about.map(|image| ("tools/multi", image)));
        // A moved tag leaves an index behind; one of its children lives on in the first index.
        let left = platform("riscv64", "tool-left");
        let old = Image::index(vec![amd, left.clone()]);
        pushes::put(&self.registry, "tools/multi", "edge", &old);
        self.put("tools/multi", "edge", &arm);
        self.untagged.extend([("tools/multi", old), ("tools/multi", left)]);
        // An index deleted by digest leaves its children.
        let alone = platform("s390x", "tool-alone");
        let deleted = Image::index(vec![alone.clone()]);
        pushes::put(&self.registry, "tools/multi", "gone", &deleted);
        self.registry.delete_manifest("tools/multi", &deleted.digest());
        self.orphans.insert(deleted.digest());
        self.untagged.push(("tools/multi", alone));
        // Docker's own kind of index.
        let child = pushes::schema2(&[&layer("listed", 1_000)], None);
        self.put("legacy/list", "1", &pushes::list(vec![child.clone()]));
        self.kept.push(("legacy/list", child));
    }

    /// Signatures, referrers, and a build cache.
    fn push_artifacts(&mut self) {
        let image = Image::of(&[&layer("signed", 4_000)]);
        self.skopeo("signed/app", "1", &image);
        let (tag, signature) = pushes::signature(&image);
        self.put("signed/app", &tag, &signature);
        let referrer = |name: &str, subject: &Image| {
            pushes::artifact("application/spdx+json", name.as_bytes(), Some(subject))
        };
        // Nothing but its `subject` keeps this one.
        let sbom = referrer("packages", &image);
        pushes::put(&self.registry, "signed/app", &sbom.digest(), &sbom);
        self.kept.push(("signed/app", sbom));
        // The fallback tag for registries without the referrers API.
        let report = referrer("report", &image);
        let fallback = image.digest().replace(':', "-");
        self.put("signed/app", &fallback, &Image::index(vec![report.clone()]));
        self.kept.push(("signed/app", report));
        // About an image that has no tag, so it is not kept either.
        let old = Image::of(&[&layer("old", 800)]);
        let about_old = referrer("old packages", &old);
        for untagged in [old, about_old] {
            pushes::put(&self.registry, "signed/app", &untagged.digest(), &untagged);
            self.untagged.push(("signed/app", untagged));
        }
        let cache = pushes::build_cache(&[&layer("step-1", 6_000), &layer("step-2", 60)]);
        self.put("cache/build", "main", &cache);
    }
}
