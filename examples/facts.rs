//! A registry of any size as facts, straight into a database, without a file on disk:
//! `cargo run --release --example facts -- --blobs 10000000 big.db`. Prints what each step took.
//!
//! A million blobs are 250,000 revisions, 150,000 tags and 4.9 million references in 2,000
//! repositories, as in the preset `1m` of `generate`; other sizes keep the ratios. Repositories follow
//! Zipf's law up to a bound, images stand on one of 200 bases, a tenth of all blobs are orphans.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use regsql::db::{
    AuthorityRecord, BucketRecord, Ids, Making, NewDatabase, References, ScanRecord, Snapshot,
    WriteLock,
};
use regsql::model::{Digest, ManifestKind, Role};
use regsql::sample::Random;
use regsql::scan::{
    self, BlobFacts, DeclaredBytes, Facts, ManifestBody, ManifestFacts, Notes, NumberedLink,
    NumberedLinks, NumberedTag, ReferenceFacts, RepositoryFacts, TextNumber, ToRemember,
};
use regsql::storage::Layout;
use regsql::{db, graph};

/// Makes the facts of a registry and loads them as a scan does.
#[derive(Parser)]
struct Args {
    /// The database to write.
    database: PathBuf,
    /// How many blobs, about.
    #[arg(long, default_value_t = 1_000_000)]
    blobs: u64,
    /// Another registry of the same size.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// When the scan ended, in seconds since 1970: give a later one with another number of blobs for
    /// a second scan of the same registry.
    #[arg(long, default_value_t = 1_795_000_000)]
    finished: i64,
}

const DAY_NS: i64 = 86_400_000_000_000;

const MEDIA_TYPES: [&str; 5] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const PLATFORMS: [&str; 5] = ["linux", "amd64", "arm64", "linux/amd64", "linux/arm64"];

/// Blobs in the order in which they are made; they get their place by digest at the end.
struct Maker {
    random: Random,
    blobs: Vec<BlobFacts>,
    manifests: Vec<ManifestFacts>,
    build_steps: Vec<String>,
    finished_ns: i64,
}

impl Maker {
    fn blob(&mut self, size_bytes: u64, age_days: u64) -> u32 {
        let mut bytes = [0; 32];
        for eight in bytes.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.random.next_u64().to_le_bytes());
        }
        let at = self.finished_ns - age_days as i64 * DAY_NS - self.random.below(86_400) as i64;
        let digest = Digest::Sha256(bytes);
        self.blobs.push(BlobFacts {
            digest,
            size_bytes,
            modified_ns: at,
            changed_ns: at,
            inode: 0,
        });
        self.blobs.len() as u32 - 1
    }

    /// Most layers are small and most bytes are in large ones.
    fn layer(&mut self, age_days: u64) -> (u32, u32) {
        let magnitude = self.random.below(19);
        let size = (1 << 10 << magnitude) + self.random.below(1 << 10 << magnitude);
        let step = self.random.below(self.build_steps.len() as u64) as u32;
        (self.blob(size, age_days), step)
    }

    fn manifest(&mut self, blob: u32, kind: ManifestKind, references: Vec<ReferenceFacts>) {
        let is_index = kind == ManifestKind::Index;
        self.manifests.push(ManifestFacts {
            blob,
            body: Some(ManifestBody {
                kind,
                media_type: Some(TextNumber::at(u32::from(is_index))),
                artifact_type: None,
                references,
                os: (!is_index).then_some(TextNumber::at(0)),
                architecture: (!is_index).then_some(TextNumber::at(1)),
                variant: None,
                created_ns: Some(self.blobs[blob as usize].modified_ns - 60_000_000_000),
                is_type_unknown: false,
                config_fault: None,
            }),
            fault: None,
            is_orphan: false,
        });
    }

    fn image(&mut self, layers: &[(u32, u32)], age_days: u64) -> u32 {
        let config = self.blob(3_000 + layers.len() as u64 * 200, age_days);
        let manifest = self.blob(600 + layers.len() as u64 * 180, age_days);
        let mut references = vec![self.reference(Role::Config, config, 2)];
        for (layer, step) in layers {
            let layer = self.reference(Role::Layer, *layer, 3);
            references.push(ReferenceFacts { build_step: Some(TextNumber::at(*step)), ..layer });
        }
        self.manifest(manifest, ManifestKind::Image, references);
        manifest
    }

    fn reference(&self, role: Role, blob: u32, media_type: u32) -> ReferenceFacts {
        ReferenceFacts {
            role,
            blob,
            declared_bytes: DeclaredBytes::new(Some(self.blobs[blob as usize].size_bytes)),
            media_type: Some(TextNumber::at(media_type)),
            platform: None,
            build_step: None,
            is_external: false,
        }
    }
}

fn link(name: u32, modified_ns: i64) -> NumberedLink {
    NumberedLink { name, target: name, modified_ns, is_doubtful: false }
}

/// The name of a repository; teams of very different sizes.
fn name(number: u64) -> String {
    match number % 7 {
        0 => format!("service-{number}"),
        1..=4 => format!("team-{}/service-{number}", number % 41),
        _ => format!("org/team-{}/component/service-{number}", number % 41),
    }
}

fn facts(args: &Args) -> Facts {
    let finished_ns = args.finished * 1_000_000_000;
    let mut maker = Maker {
        random: Random::new(args.seed),
        blobs: Vec::with_capacity(args.blobs as usize + 1000),
        manifests: Vec::with_capacity(args.blobs as usize / 4 + 1000),
        build_steps: (0..5_000).map(|at| format!("RUN make -C /src component-{at}")).collect(),
        finished_ns,
    };
    let bases: Vec<Vec<(u32, u32)>> = (0..200)
        .map(|_| {
            let count = 6 + maker.random.below(10);
            (0..count).map(|_| maker.layer(900)).collect()
        })
        .collect();
    let repository_count = (args.blobs / 500).max(1);
    let revision_count = args.blobs / 4;
    // No repository has more than a hundredth of all revisions: a registry of ten times the size has
    // more large repositories, rather than one of ten times the size.
    let weight = |number: u64| 1.0 / (number as f64 + 20.0);
    let weights: f64 = (0..repository_count).map(weight).sum();
    let mut revisions_due = 0.0;
    let mut repositories = Vec::with_capacity(repository_count as usize);
    for number in 0..repository_count {
        revisions_due += weight(number) / weights * revision_count as f64;
        let is_multi_arch = number % 8 == 5;
        let each = if is_multi_arch { 3.0 } else { 1.0 };
        let pushes = (revisions_due / each).floor().max(1.0);
        revisions_due -= pushes * each;
        repositories.push(repository(&mut maker, &bases, number, pushes as u64, is_multi_arch));
    }
    while (maker.blobs.len() as u64) < args.blobs {
        let age_days = maker.random.below(1_000);
        maker.layer(age_days);
    }
    repositories.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    in_digest_order(maker, repositories)
}

fn repository(
    maker: &mut Maker,
    bases: &[Vec<(u32, u32)>],
    number: u64,
    pushes: u64,
    is_multi_arch: bool,
) -> (RepositoryFacts, NumberedLinks) {
    let base = &bases[(maker.random.below(20) * maker.random.below(11)) as usize % bases.len()];
    let platforms = if is_multi_arch { 2 } else { 1 };
    let mut own: Vec<Vec<(u32, u32)>> =
        (0..platforms).map(|_| (0..8).map(|_| maker.layer(800)).collect()).collect();
    let mut links = NumberedLinks::default();
    let mut linked: Vec<(u32, i64)> = Vec::new();
    let (mut has_linked, tags_from) = (pushes.min(1), pushes * 2 / 5);
    for push in 0..pushes {
        let age_days = (pushes - push - 1) * 700 / pushes;
        let pushed_ns = maker.finished_ns - age_days as i64 * DAY_NS - 3_600_000_000_000;
        let mut children = Vec::new();
        for own in &mut own {
            // The newest layers change with each build.
            let new = 1 + usize::from(maker.random.chance(0.4));
            for at in own.len() - new..own.len() {
                own[at] = maker.layer(age_days);
            }
            let layers: Vec<_> = base.iter().chain(own.iter()).copied().collect();
            let image = maker.image(&layers, age_days);
            children.push(image);
            links.revisions.push(link(image, pushed_ns));
            let config = maker.blobs.len() as u32 - 2;
            let fresh = own[own.len() - new..].iter().map(|(layer, _)| *layer);
            linked.extend(fresh.chain([config]).map(|blob| (blob, pushed_ns)));
            if has_linked > 0 {
                linked.extend(layers.iter().map(|(layer, _)| (*layer, pushed_ns)));
            }
        }
        has_linked = 0;
        let mut target = children[0];
        if is_multi_arch {
            target = maker.blob(500, age_days);
            let entry = |(at, child): (usize, &u32)| ReferenceFacts {
                platform: Some(TextNumber::at(3 + at as u32)),
                ..maker.reference(Role::Manifest, *child, 0)
            };
            let entries = children.iter().enumerate().map(entry).collect();
            maker.manifest(target, ManifestKind::Index, entries);
            links.revisions.push(link(target, pushed_ns));
        }
        if push >= tags_from {
            links.tags.push(NumberedTag {
                name: format!("1.{}.{push}", push / 50),
                target: Some(target),
                is_unreadable: false,
                modified_ns: Some(pushed_ns),
                entries: vec![link(target, pushed_ns)],
            });
        }
    }
    linked.sort_unstable();
    linked.dedup_by_key(|(blob, _)| *blob);
    links.layer_links = linked.into_iter().map(|(blob, at)| link(blob, at)).collect();
    let facts = RepositoryFacts {
        name: name(number),
        path: PathBuf::from("docker/registry/v2/repositories").join(name(number)),
        has_manifests: true,
        has_revisions: true,
        has_tags_directory: true,
        has_layers: true,
        ..RepositoryFacts::default()
    };
    (facts, links)
}

/// Gives each blob its place by digest.
fn in_digest_order(
    mut maker: Maker,
    mut repositories: Vec<(RepositoryFacts, NumberedLinks)>,
) -> Facts {
    let mut order: Vec<u32> = (0..maker.blobs.len() as u32).collect();
    order.sort_unstable_by(|a, b| {
        maker.blobs[*a as usize].digest.cmp(&maker.blobs[*b as usize].digest)
    });
    let mut place_of = vec![0; order.len()];
    for (place, number) in (0..).zip(&order) {
        place_of[*number as usize] = place;
    }
    maker.blobs.sort_unstable_by(|a, b| a.digest.cmp(&b.digest));
    let place = |number: &mut u32| *number = place_of[*number as usize];
    for manifest in &mut maker.manifests {
        place(&mut manifest.blob);
        for reference in manifest.body.iter_mut().flat_map(|body| &mut body.references) {
            place(&mut reference.blob);
        }
    }
    for (_, links) in &mut repositories {
        let entries = links.tags.iter_mut().flat_map(|tag| &mut tag.entries);
        for link in links.revisions.iter_mut().chain(&mut links.layer_links).chain(entries) {
            place(&mut link.name);
            link.target = link.name;
        }
        for target in links.tags.iter_mut().filter_map(|tag| tag.target.as_mut()) {
            place(target);
        }
    }
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Facts {
        blobs: maker.blobs,
        absent: Vec::new(),
        repositories,
        manifests: maker.manifests,
        maybe_manifests: Vec::new(),
        media_types: texts(&MEDIA_TYPES),
        platforms: texts(&PLATFORMS),
        build_steps: maker.build_steps,
        notes: Notes::default(),
        layout: Layout::new("docker/registry/v2".into()),
        is_pull_through: false,
        evidence: Vec::new(),
        fingerprint: [1; 32],
        disk_use: None,
        to_remember: ToRemember::default(),
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut clock = Clock { began: Instant::now(), out: io::stdout().lock() };
    let facts = facts(&args);
    clock.lap("facts")?;
    let lock = WriteLock::take(&args.database)?;
    let new = NewDatabase::create(&lock)?;
    let (catalog, graph, _) = scan::build(facts);
    let ids = Ids::new(&catalog);
    clock.lap("catalog and graph")?;
    let reference_count: usize = catalog.manifests.iter().map(|one| one.references().len()).sum();
    let link_count = graph.links.len();
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let references = scope.spawn(|| References::load(&lock, &catalog, &ids, Making::New));
        let accounts = graph::account(&graph);
        let groups = graph::groups(&graph);
        clock.lap("figures (references are written meanwhile)")?;
        let findings = scan::catalog_findings(&catalog, &graph, args.finished * 1_000_000_000);
        clock.lap("findings")?;
        let authority = AuthorityRecord::default();
        let snapshot = Snapshot {
            graph: &catalog,
            ids: &ids,
            accounts: &accounts,
            groups: &groups,
            verdicts: &scan::tag_verdicts(&catalog, &graph),
            findings: &findings,
            authority: &authority,
            scan: ScanRecord {
                root: format!("/srv/registry-{}", args.seed),
                started_ns: (args.finished - 60) * 1_000_000_000,
                finished_ns: args.finished * 1_000_000_000,
                duration_ms: 60_000,
                is_complete: true,
                is_deep: false,
                fingerprint: [1; 32],
                proxy_url: None,
                disk: None,
                disk_use: None,
                bucket: BucketRecord::default(),
                max_vanished_percent: 50,
                other_totals: Vec::new(),
            },
        };
        new.publish(&snapshot, || {
            references.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        clock.lap("database")?;
        Ok(())
    })?;
    let connection = db::open_for_reading(&args.database)?;
    for name in ["blob_count", "revision_count", "tag_count", "orphan_blob_count"] {
        let value = db::total(&connection, name).context("a total is missing")?;
        writeln!(clock.out, "{name}\t{value}")?;
    }
    writeln!(clock.out, "references\t{reference_count}")?;
    writeln!(clock.out, "layer_links\t{link_count}")?;
    let bytes = std::fs::metadata(&args.database)?.len();
    writeln!(clock.out, "database_mib\t{}", bytes >> 20)?;
    writeln!(clock.out, "peak_mib\t{}", peak_mib().unwrap_or(0))?;
    Ok(())
}

struct Clock {
    began: Instant,
    out: io::StdoutLock<'static>,
}

impl Clock {
    /// Prints the seconds since the last lap and the peak of memory until now.
    fn lap(&mut self, what: &str) -> io::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        writeln!(self.out, "{what}\t{seconds:.2} s\tpeak {} MiB", peak_mib().unwrap_or(0))?;
        self.out.flush()?;
        self.began = Instant::now();
        Ok(())
    }
}

/// The most memory that this process had, as Linux counts it.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? >> 10)
}
