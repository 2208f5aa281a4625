//! The client of the HTTP API, against Debian's `docker-registry` and against servers that do not
//! behave.

mod auth;
mod calls;
mod deleting;
pub mod fake;
mod hostile;
mod probe;

use std::time::Duration;

use regsql::model::Digest;
use regsql::registry::{Options, Registry as Client};

use crate::real::layout::Image;
use crate::real::pushes;
use crate::real::registry::Registry;

/// Options for a test: what fails need not be tried for long.
fn options() -> Options {
    Options {
        timeout: Duration::from_secs(20),
        retry_pause: Duration::from_millis(5),
        ..Options::default()
    }
}

fn client(registry: &Registry) -> Client {
    Client::connect(&format!("http://{}", registry.address()), options()).unwrap()
}

fn digest(image: &Image) -> Digest {
    Digest::parse(&image.digest()).unwrap()
}

/// A registry in which `team/app` has a small image at each of these tags, all different.
fn with_tags(tags: &[&str]) -> (Registry, Vec<Image>) {
    let registry = Registry::start();
    let images: Vec<Image> = tags.iter().map(|tag| Image::of(&[tag.as_bytes()])).collect();
    for (tag, image) in tags.iter().zip(&images) {
        pushes::put(&registry, "team/app", tag, image);
    }
    (registry, images)
}
