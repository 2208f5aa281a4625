//! Base images, layer sizes and build commands.

use super::Size;
use crate::sample::{Descriptor, Random, RegistryBuilder};

/// A base image: layers that many repositories share.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// Bottom first, with the command behind each.
    pub layers: Vec<(String, Descriptor)>,
}

impl Base {
    /// The base image under all of a repository's images. Low numbers come up most: squaring a
    /// fraction pulls it towards 0.
    pub(super) fn of<'b>(repository: &str, size: &Size, bases: &'b [Self]) -> &'b Self {
        let fraction = Random::named(&format!("base of {repository} of {}", size.seed)).fraction();
        &bases[(fraction * fraction * bases.len() as f64) as usize]
    }

    /// How many base images there are; all grow from a few distributions.
    const COUNT: usize = 60;
    const DISTRIBUTIONS: usize = 6;

    pub(super) fn all(registry: &mut RegistryBuilder, random: &mut Random) -> Vec<Self> {
        let mut bases: Vec<Self> = Vec::with_capacity(Self::COUNT);
        for number in 0..Self::COUNT {
            let mut layers = if number < Self::DISTRIBUTIONS {
                Vec::new()
            } else {
                let parent = random.below(Self::DISTRIBUTIONS as u64) as usize;
                bases[parent].layers.clone()
            };
            let more = if layers.is_empty() { 1 } else { 2 + random.below(4) };
            for step in 0..more {
                let bytes = 3_000_000 + random.below(60_000_000);
                let layer = registry.layer(&format!("base {number} layer {step}"), bytes);
                layers.push((command(random), layer));
            }
            bases.push(Self { layers });
        }
        bases
    }
}

/// Most layers have some hundred kilobytes, a few have a gigabyte.
pub(super) fn layer_size(random: &mut Random) -> u64 {
    // The sum of twelve fractions is close to a normal distribution around 6.
    let normal = (0..12).map(|_| random.fraction()).sum::<f64>() - 6.0;
    let bytes = (300_000.0 * (2.4 * normal).exp()).clamp(120.0, 4e9);
    bytes as u64
}

/// A build command of a usual length, so that configs have a usual size.
pub(super) fn command(random: &mut Random) -> String {
    const PACKAGES: [&str; 12] = [
        "ca-certificates",
        "curl",
        "build-essential",
        "libpq-dev",
        "openssl",
        "git",
        "libxml2-dev",
        "imagemagick",
        "tzdata",
        "postgresql-client",
        "python3-venv",
        "unzip",
    ];
    let mut package = || PACKAGES[random.below(PACKAGES.len() as u64) as usize];
    let (one, two, three, four) = (package(), package(), package(), package());
    let number = random.below(100_000);
    match number % 4 {
        0 => format!("COPY --chown=app:app build/{number}/ /srv/app/ # buildkit"),
        1 => format!(
            "RUN /bin/sh -c pip install --no-cache-dir -r requirements-{number}.txt # buildkit"
        ),
        2 => format!(
            "RUN /bin/sh -c npm ci --omit=dev && npm cache clean --force && echo {number} # buildkit"
        ),
        _ => format!(
            "RUN /bin/sh -c set -eux; apt-get update; apt-get install -y --no-install-recommends {one} {two} {three} {four}; rm -rf /var/lib/apt/lists/*; echo {number} # buildkit"
        ),
    }
}
