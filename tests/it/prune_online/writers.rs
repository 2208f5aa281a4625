//! Clients that push and push again, each as some real client does, and remember what the registry
//! said 201 to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::real::http::{self, Answer};
use crate::real::layout::{Image, digest_of, layer};
use crate::real::registry::{MANIFEST_TYPES, Registry};

/// Everything is pushed to each of these, so that blobs are shared and mounted between them.
pub const REPOSITORIES: [&str; 2] = ["busy/app", "busy/other"];

/// So long a group of images is pushed; then it rests, and its garbage grows old enough to go.
const TURN: Duration = Duration::from_millis(2500);
const GROUPS: usize = 4;
const IMAGES_A_GROUP: usize = 4;

/// Images in groups that share a base layer. The last of each group is an index.
pub fn images() -> Vec<Vec<Image>> {
    let base = layer("base", 40_000);
    let group = |number: usize| {
        let middle = layer(&format!("middle {number}"), 20_000);
        let image =
            |at: usize| Image::of(&[&base, &middle, &layer(&format!("top {number} {at}"), 10_000)]);
        let mut images: Vec<Image> = (1..IMAGES_A_GROUP).map(image).collect();
        images.push(Image::index(vec![
            image(0),
            Image::for_platform(("linux", "arm64"), &[&middle, &layer("arm", 5_000)]),
        ]));
        images
    };
    (0..GROUPS).map(group).collect()
}

/// What one writer did.
#[derive(Default)]
pub struct Story {
    /// What each of its tags was last pushed to; `None` when the registry failed in the middle.
    pub tags: BTreeMap<(&'static str, String), Option<Image>>,
    /// Manifests that the registry took.
    pub pushes: usize,
    /// Manifests that it refused. A client tells its user, who tries again.
    pub refused: usize,
    /// Blobs that were not sent, because the registry said that it had them.
    pub relied_on: usize,
    /// Blobs mounted from the other repository.
    pub mounts: usize,
}

/// A writer with tags of its own.
pub struct Writer<'a> {
    registry: &'a Registry,
    images: &'a [Vec<Image>],
    name: usize,
    longest: Duration,
    random: u64,
    story: Story,
}

/// Pushes until it is over. What a push that took longer than `longest` left is not known: no deletion
/// waits for longer.
pub fn write(
    registry: &Registry,
    images: &[Vec<Image>],
    name: usize,
    longest: Duration,
    is_over: &dyn Fn(&Story) -> bool,
) -> Story {
    let random = 0x9e37_79b9_7f4a_7c15 ^ name as u64;
    let mut writer = Writer { registry, images, name, longest, random, story: Story::default() };
    let start = Instant::now();
    while !is_over(&writer.story) {
        let turn = start.elapsed().as_millis() / TURN.as_millis();
        writer.push_one(turn as usize);
        std::thread::sleep(Duration::from_millis(40 + writer.below(100)));
    }
    writer.story
}

impl Writer<'_> {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn push_one(&mut self, turn: usize) {
        // Now and then one of a group that rests.
        let group = if self.below(12) == 0 { turn + 1 } else { turn } % self.images.len();
        let image = &self.images[group][self.below(IMAGES_A_GROUP as u64) as usize];
        let repository = REPOSITORIES[self.below(2) as usize];
        let tag = format!("w{}", self.name);
        // Some push the manifest alone: a tag that moves, or a client that knows the rest is there.
        let is_manifest_alone = self.below(4) == 0;
        let start = Instant::now();
        let pushed = if is_manifest_alone {
            self.put(repository, &tag, image)
        } else {
            self.push_whole(repository, &tag, image)
        };
        match pushed {
            201 if start.elapsed() > self.longest => {
                self.story.tags.insert((repository, tag), None);
            }
            201 => {
                self.story.pushes += 1;
                self.story.tags.insert((repository, tag), Some(image.clone()));
            }
            // Nothing was written.
            400..500 => self.story.refused += 1,
            _ => {
                self.story.refused += 1;
                self.story.tags.insert((repository, tag), None);
            }
        }
    }

    /// The status of the last answer.
    fn push_whole(&mut self, repository: &str, reference: &str, image: &Image) -> u16 {
        for child in &image.children {
            let status = self.push_whole(repository, &child.digest(), child);
            if status != 201 {
                // The tag was not touched.
                return 400;
            }
        }
        for blob in &image.blobs {
            if !self.push_blob(repository, blob) {
                return 400;
            }
        }
        self.put(repository, reference, image)
    }

    fn push_blob(&mut self, repository: &str, bytes: &[u8]) -> bool {
        let digest = digest_of(bytes);
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let begun = match self.below(4) {
            // As docker does.
            0 | 1 => {
                if self.send("HEAD", &format!("/v2/{repository}/blobs/{digest}"), &[]).status == 200
                {
                    self.story.relied_on += 1;
                    return true;
                }
                self.send("POST", &uploads, &[])
            }
            2 => {
                let other = REPOSITORIES.iter().find(|other| **other != repository).unwrap();
                let mount = format!("{uploads}?mount={digest}&from={other}");
                self.send("POST", &mount, &[])
            }
            _ => self.send("POST", &uploads, &[]),
        };
        match begun.status {
            201 => {
                self.story.mounts += 1;
                true
            }
            202 => {
                let location = begun.must_have("Location");
                let host = format!("http://{}", self.registry.address());
                let path = location.strip_prefix(&host).unwrap_or(&location);
                let sign = if path.contains('?') { '&' } else { '?' };
                self.send("PUT", &format!("{path}{sign}digest={digest}"), bytes).status == 201
            }
            _ => false,
        }
    }

    fn put(&mut self, repository: &str, reference: &str, image: &Image) -> u16 {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let headers = [("Content-Type", image.media_type)];
        let address = self.registry.address();
        http::request(address, "PUT", &path, &headers, &image.manifest).unwrap().status
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [("Content-Type", "application/octet-stream")];
        http::request(self.registry.address(), method, path, &headers, body).unwrap()
    }
}

/// Everything that is wrong with an image under a tag or digest.
pub fn wrongs(
    registry: &Registry,
    repository: &str,
    reference: &str,
    image: &Image,
) -> Vec<String> {
    let mut wrongs = Vec::new();
    let headers = [("Accept", MANIFEST_TYPES)];
    let path = format!("/v2/{repository}/manifests/{reference}");
    let answer = registry.send("GET", &path, &headers, &[]);
    if answer.status != 200 || digest_of(&answer.body) != image.digest() {
        wrongs.push(format!("{repository} {reference} {}: {}", image.digest(), answer.status));
    }
    for digest in image.blobs.iter().map(|bytes| digest_of(bytes)) {
        let answer = registry.send("GET", &format!("/v2/{repository}/blobs/{digest}"), &[], &[]);
        if answer.status != 200 || digest_of(&answer.body) != digest {
            let (status, size) = (answer.status, answer.body.len());
            wrongs.push(format!("{repository} {reference} {digest}: {status}, {size} bytes"));
        }
    }
    for child in &image.children {
        wrongs.extend(self::wrongs(registry, repository, &child.digest(), child));
    }
    wrongs
}
