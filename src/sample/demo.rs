//! The registry of `regsql demo`: a small shop's, with the waste and the faults of a real one.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::builder::RegistryBuilder;
use super::descriptor::Descriptor;
use super::tree::Content;
use super::{media_types, paths};
use crate::model::Digest;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Writes the demo registry below `root`, which is made when missing and must be empty. Layers are
/// sparse: some 7 GiB to look at, next to nothing on disk.
pub fn write_demo(root: &Path, now: SystemTime) -> io::Result<()> {
    fs::create_dir_all(root)?;
    if fs::read_dir(root)?.next().is_some() {
        return Err(io::Error::new(
            io::ErrorKind::DirectoryNotEmpty,
            format!("{} is not empty", root.display()),
        ));
    }
    demo_registry(now).write_to(root)
}

/// The demo registry as it would look at `now`. The same `now` gives the same digests.
pub fn demo_registry(now: SystemTime) -> RegistryBuilder {
    let mut demo =
        Demo { registry: RegistryBuilder::with_sparse_layers(), now, today: String::new() };
    let bases = demo.base_images();
    demo.legacy_reports(&bases);
    demo.shop_web(&bases);
    demo.shop_api(&bases);
    demo.shop_worker(&bases);
    demo.billing(&bases);
    demo.embeddings(&bases);
    demo.gateway(&bases);
    demo.charts();
    demo.build_cache(&bases);
    demo.leftovers(&bases);
    demo.registry
}

struct Demo {
    registry: RegistryBuilder,
    now: SystemTime,
    /// The day of the story as a config's `created` says it.
    today: String,
}

/// The layers of a base image with the build commands behind them.
type Steps = Vec<(String, Descriptor)>;

struct Bases {
    debian: Steps,
    alpine: Steps,
    python: Steps,
    node: Steps,
}

impl Demo {
    /// Turns to a day of the story: files get its time, configs its date.
    fn day(&mut self, days_ago: u64) {
        let time = self.now - Duration::from_secs(days_ago * 86_400 + 3_600);
        self.registry.at(time);
        self.today = jiff::Timestamp::try_from(time)
            .ok()
            .and_then(|time| time.round(jiff::Unit::Second).ok())
            .map_or_else(String::new, |time| time.to_string());
    }

    fn step(&mut self, command: &str, size: u64) -> (String, Descriptor) {
        let command = format!("{command} # buildkit");
        let layer = self.registry.layer(&command, size);
        (command, layer)
    }

    /// Pushes `base` with `steps` on top.
    fn push(&mut self, repository: &str, tags: &[&str], base: &Steps, steps: &Steps) -> Descriptor {
        self.push_platform(repository, tags, base, steps, "linux/amd64")
    }

    fn push_platform(
        &mut self,
        repository: &str,
        tags: &[&str],
        base: &Steps,
        steps: &Steps,
        platform: &str,
    ) -> Descriptor {
        let created = self.today.clone();
        let mut image = self.registry.image(repository).oci().platform(platform).created(&created);
        for (command, layer) in base {
            image = image.step(command, layer);
        }
        image = image.empty_step("WORKDIR /app");
        for (command, layer) in steps {
            image = image.step(command, layer);
        }
        image.empty_step("CMD [\"/entrypoint.sh\"]").push_tags(tags.iter().copied())
    }

    fn base_images(&mut self) -> Bases {
        self.day(400);
        let debian = vec![self.step("ADD debian-12-rootfs.tar.xz /", 46 * MIB)];
        let alpine = vec![self.step("ADD alpine-minirootfs-3.20-x86_64.tar.gz /", 3_480 * KIB)];
        let mut python = debian.clone();
        python.push(self.step(
            "RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates netbase tzdata",
            3_300 * KIB,
        ));
        python.push(self.step("RUN wget -O python.tar.xz https://www.python.org/ftp/python/3.12.4/Python-3.12.4.tar.xz && make -j install", 12 * MIB));
        let mut node = debian.clone();
        node.push(self.step("RUN curl -fsSLO https://nodejs.org/dist/v22.4.0/node-v22.4.0-linux-x64.tar.xz && tar -xJf node-*.tar.xz -C /usr/local", 48 * MIB));
        node.push(self.step("RUN corepack enable && corepack prepare yarn@1.22.22", 1_700 * KIB));
        let nothing = Steps::new();
        self.push("base/debian", &["12", "bookworm"], &debian, &nothing);
        self.push("base/alpine", &["3.20"], &alpine, &nothing);
        self.push("base/python", &["3.12"], &python, &nothing);
        self.push("base/node", &["22"], &node, &nothing);
        Bases { debian, alpine, python, node }
    }

    /// Nothing was pushed here for a year.
    fn legacy_reports(&mut self, bases: &Bases) {
        for (minor, days) in [(1, 390), (2, 380), (3, 372)] {
            self.day(days);
            let steps = vec![
                self.step("RUN apt-get install -y openjdk-17-jre-headless", 182 * MIB),
                self.step(
                    &format!("COPY reports-1.{minor}.jar /app/reports.jar"),
                    (60 + minor) * MIB,
                ),
            ];
            let tag = format!("1.{minor}");
            self.push("shop/legacy/reports", &[&tag], &bases.debian, &steps);
        }
    }

    /// A busy repository: releases, a `latest` that moves, and one branch whose image holds every
    /// development dependency and three browsers.
    fn shop_web(&mut self, bases: &Bases) {
        let packages =
            ["package.json yarn.lock as of spring", "package.json yarn.lock as of summer"];
        for release in 0..12_u64 {
            self.day(240 - release * 20);
            let lock = packages[usize::from(release >= 6)];
            let steps = vec![
                self.step(&format!("COPY {lock} ./ && yarn install --production"), 118 * MIB),
                self.step(
                    &format!("COPY dist/ /app/dist (2.{release}.0)"),
                    (9 + release % 3) * MIB,
                ),
            ];
            let version = format!("2.{release}.0");
            // Only the newest releases keep their tags; `latest` moved on from all the others.
            let tags = if release < 5 { vec!["latest"] } else { vec![version.as_str(), "latest"] };
            self.push("shop/web", &tags, &bases.node, &steps);
        }
        self.day(96);
        let steps = vec![
            self.step("RUN yarn install && npx playwright install --with-deps", 1_240 * MIB),
            self.step("COPY . /app (e2e)", 31 * MIB),
        ];
        self.push("shop/web", &["e2e-playwright"], &bases.node, &steps);
    }

    /// Built for two platforms with BuildKit's attestations.
    fn shop_api(&mut self, bases: &Bases) {
        for release in 0..4_u64 {
            self.day(120 - release * 35);
            let mut children = Vec::new();
            for platform in ["linux/amd64", "linux/arm64"] {
                let requirements = format!(
                    "RUN pip install -r requirements.txt for {platform}, set {}",
                    release / 2
                );
                let code = format!("COPY api/ /app for {platform} (5.{release}.0)");
                let steps = vec![self.step(&requirements, 92 * MIB), self.step(&code, 2_600 * KIB)];
                let image = self.push_platform("shop/api", &[], &bases.python, &steps, platform);
                let attestation = self.registry.attestation("shop/api", &image);
                children.extend([image, attestation]);
            }
            let version = format!("5.{release}.0");
            self.registry
                .index("shop/api")
                .children(&children)
                .push_tags([version.as_str(), "stable"]);
        }
    }

    /// Every commit of `main` pushes, so all but one of its revisions are untagged.
    fn shop_worker(&mut self, bases: &Bases) {
        for commit in 0..14_u64 {
            self.day(70 - commit * 5);
            let steps = vec![
                self.step("RUN pip install -r worker/requirements.txt", 64 * MIB),
                self.step(&format!("COPY worker/ /app (commit {commit})"), (4 + commit % 4) * MIB),
            ];
            self.push("shop/worker", &["main"], &bases.python, &steps);
        }
    }

    /// A disk was full once: one layer of 3.1.0 never came back.
    fn billing(&mut self, bases: &Bases) {
        self.day(45);
        let kept = self.step("COPY billing-3.0.0/ /app", 7 * MIB);
        self.push("shop/billing", &["3.0.0"], &bases.python, &vec![kept]);
        let lost = self.step("COPY billing-3.1.0/ /app", 7 * MIB);
        let path = paths::blob_directory(&lost.1.digest);
        self.push("shop/billing", &["3.1.0"], &bases.python, &vec![lost]);
        self.registry.tree.remove(&path);
    }

    /// A model layer outweighs everything else; the one before it is no longer tagged.
    fn embeddings(&mut self, bases: &Bases) {
        let runtime = |demo: &mut Self| {
            demo.step(
                "RUN pip install torch==2.3.1 --index-url https://download.pytorch.org/whl/cpu",
                198 * MIB,
            )
        };
        self.day(160);
        let steps = vec![
            runtime(self),
            self.step("COPY models/e5-large-v1.safetensors /models/", 1_340 * MIB),
        ];
        self.push("ml/embeddings", &["prod"], &bases.python, &steps);
        self.day(30);
        let steps = vec![
            runtime(self),
            self.step("COPY models/e5-large-v2.safetensors /models/", 1_380 * MIB),
        ];
        self.push("ml/embeddings", &["2.0", "prod"], &bases.python, &steps);
        self.day(29);
        let started = self.today.clone();
        let id = "6e3f9d0a-7c41-4a5e-9a55-0d5d2b1c8f10";
        self.registry.upload("ml/embeddings", id, 911 * MIB, &started);
    }

    /// Signed, with an SBOM; the signature of an image that is gone stayed.
    fn gateway(&mut self, bases: &Bases) {
        for (version, days) in [("0.9.0", 50), ("0.9.1", 12)] {
            self.day(days);
            let steps = vec![self.step(&format!("COPY gateway-{version} /gateway"), 19 * MIB)];
            let image = self.push("platform/gateway", &[version], &bases.alpine, &steps);
            self.registry.cosign_signature("platform/gateway", &image);
            let bill = format!("{{\"spdxVersion\":\"SPDX-2.3\",\"name\":\"gateway {version}\"}}");
            self.registry.referrer("platform/gateway", &image, "application/spdx+json", &bill);
        }
        let gone =
            Descriptor::new(Digest::of(b"gateway 0.8.0"), 1_210).of_type(media_types::OCI_MANIFEST);
        self.day(88);
        let bill = "{\"spdxVersion\":\"SPDX-2.3\",\"name\":\"gateway 0.8.0\"}";
        self.registry.referrer("platform/gateway", &gone, "application/spdx+json", bill);
    }

    fn charts(&mut self) {
        for (version, days) in [("1.4.0", 75), ("1.5.0", 20)] {
            self.day(days);
            self.registry.helm_chart("charts/shop", version, 38 * KIB);
        }
    }

    fn build_cache(&mut self, bases: &Bases) {
        self.day(3);
        let mut layers: Vec<Descriptor> =
            bases.node.iter().map(|(_, layer)| layer.clone()).collect();
        layers.push(self.step("RUN yarn install --frozen-lockfile", 164 * MIB).1);
        self.registry.buildkit_cache("ci/cache", &layers, "shop-web");
    }

    /// What deletes, crashes and cancelled pushes leave.
    fn leftovers(&mut self, bases: &Bases) {
        // A repository whose images were deleted through the API: links, no revision, no tag.
        self.day(210);
        let (_, layer) = self.step("COPY prototype/ /app", 86 * MIB);
        self.registry.link_layer("sandbox/prototype", &layer.digest);
        for (_, layer) in &bases.debian {
            self.registry.link_layer("sandbox/prototype", &layer.digest);
        }
        let manifests = format!("{}/_manifests", paths::repository("sandbox/prototype"));
        self.registry.put(format!("{manifests}/tags"), Content::Directory);
        self.registry.put(format!("{manifests}/revisions/sha256"), Content::Directory);

        // Blobs of a push that was cancelled before its manifest.
        self.day(17);
        for part in 1..=3_u64 {
            let (_, layer) =
                self.step(&format!("COPY dataset-part-{part}.parquet /data/"), 140 * MIB);
            self.registry.link_layer("ml/embeddings", &layer.digest);
        }

        // An image that a garbage collection took, all but a link.
        self.day(130);
        let gone = Digest::of(b"a layer of shop/worker that was collected");
        self.registry.link_layer("shop/worker", &gone);
    }
}
