//! Images of a repository by age, and whether their times say anything about order.

use rusqlite::{Connection, params};

use super::table::Table;
use crate::model::Digest;

/// Creation times before 1980-01-02, in nanoseconds since 1970, are those of reproducible builds (0 for most
/// tools, 1980-01-01 for buildpacks) and say nothing.
const FIRST_CREATION_NS: i64 = 315_619_200_000_000_000;

const MINUTE_NS: i64 = 60_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// A tag, as far as the age of its image goes.
#[derive(Clone, Copy, Debug)]
pub struct AgeOfTag<'a> {
    /// What it points at.
    pub manifest: u32,
    /// When it was last set, in nanoseconds since 1970.
    pub pushed_ns: Option<i64>,
    /// Its name.
    pub name: &'a str,
    /// Sorts it as a version.
    pub version_key: Option<&'a str>,
    /// It belongs to the image that it names, as a signature's does.
    pub is_referrer: bool,
    /// It names a commit.
    pub is_commit: bool,
}

/// What else a row has of an image.
pub struct ImageRow<'a> {
    /// The id of its manifest.
    pub id: i64,
    /// Its digest.
    pub digest: &'a Digest,
    /// Freed by deleting its revision with all its tags; `None` without a revision.
    pub exclusive_bytes: Option<i64>,
}

/// Of a sha256 digest.
pub(super) fn hash_of(digest: &Digest) -> Option<&[u8]> {
    match digest {
        Digest::Sha256(hash) => Some(hash),
        Digest::Other(_) => None,
    }
}

#[derive(Debug)]
struct Image<'a> {
    manifest: u32,
    pushed_ns: Option<i64>,
    created_ns: Option<i64>,
    newest_tag_ns: Option<i64>,
    version_key: Option<&'a str>,
    name: &'a str,
    is_kept: bool,
    newer_image_count: u32,
    /// The greatest name that is not a signature's.
    own_name: &'a str,
    /// One of its tags says nothing of its version.
    is_kept_by_name: bool,
    newer_version_count: Option<u32>,
}

impl Image<'_> {
    fn known_creation_ns(&self) -> Option<i64> {
        self.created_ns.filter(|created_ns| *created_ns >= FIRST_CREATION_NS)
    }
}

/// Fills `image` and `image_order`.
pub struct ImageTables<'t> {
    images: Table<'t>,
    orders: Table<'t>,
}

impl<'t> ImageTables<'t> {
    pub(super) fn new(images: Table<'t>, orders: Table<'t>) -> Self {
        Self { images, orders }
    }

    pub(super) fn finish(self, connection: &Connection) -> rusqlite::Result<()> {
        self.images.finish()?.delete(connection)?;
        self.orders.finish()?.delete(connection)
    }

    /// Adds the images of a repository. `created_ns` says when a manifest was built, `children` which manifests it
    /// names as an index, `row` what else there is of it.
    pub fn add(
        &mut self,
        repository_id: i64,
        tags: Vec<AgeOfTag<'_>>,
        created_ns: impl Fn(u32) -> Option<i64>,
        children: impl Fn(u32) -> Vec<u32>,
        row: impl Fn(u32) -> ImageRow<'t>,
    ) -> rusqlite::Result<()> {
        let images = images(tags, created_ns, children);
        for image in &images {
            let ImageRow { id, digest, exclusive_bytes } = row(image.manifest);
            self.images.put(params![
                repository_id,
                id,
                image.pushed_ns,
                image.known_creation_ns(),
                image.newest_tag_ns,
                image.is_kept,
                image.newer_image_count,
                exclusive_bytes,
                hash_of(digest),
                image.newer_version_count,
            ])?;
        }
        if !images.is_empty() {
            let pushed = images.iter().filter_map(|image| Some(image.pushed_ns? / MINUTE_NS));
            let created =
                images.iter().map(|image| image.known_creation_ns().map(|ns| ns / SECOND_NS));
            let has_equal_pushes = are_most_equal(pushed.collect(), images.len());
            let has_equal_creations = are_most_equal(created.collect(), images.len());
            self.orders.put(params![
                repository_id,
                images.len() as i64,
                has_equal_pushes,
                has_equal_creations,
            ])?;
        }
        Ok(())
    }
}

/// Images by manifest.
fn images<'a>(
    mut tags: Vec<AgeOfTag<'a>>,
    created_ns: impl Fn(u32) -> Option<i64>,
    children: impl Fn(u32) -> Vec<u32>,
) -> Vec<Image<'a>> {
    tags.sort_unstable_by_key(|tag| tag.manifest);
    let mut images: Vec<Image<'a>> = tags
        .chunk_by(|a, b| a.manifest == b.manifest)
        // A manifest that only signatures' tags name is no image.
        .filter(|tags| tags.iter().any(|tag| !tag.is_referrer))
        .map(|tags| Image {
            manifest: tags[0].manifest,
            pushed_ns: tags
                .iter()
                .filter(|tag| !tag.is_referrer)
                .filter_map(|tag| tag.pushed_ns)
                .max(),
            created_ns: created_ns(tags[0].manifest),
            newest_tag_ns: tags.iter().filter_map(|tag| tag.pushed_ns).max(),
            version_key: tags.iter().filter_map(|tag| tag.version_key).max(),
            name: tags.iter().map(|tag| tag.name).max().unwrap_or_default(),
            is_kept: tags.iter().any(|tag| tag.is_referrer || tag.pushed_ns.is_none()),
            newer_image_count: 0,
            own_name: tags
                .iter()
                .filter(|tag| !tag.is_referrer)
                .map(|tag| tag.name)
                .max()
                .unwrap_or_default(),
            is_kept_by_name: tags
                .iter()
                .any(|tag| tag.is_referrer || tag.version_key.is_none() && !tag.is_commit),
            newer_version_count: None,
        })
        .collect();
    images.sort_unstable_by(|a, b| {
        let age = |image: &Image<'a>| {
            (image.newest_tag_ns, image.created_ns, image.version_key, image.name)
        };
        age(b).cmp(&age(a)).then(a.manifest.cmp(&b.manifest))
    });
    for (place, image) in (0..).zip(&mut images) {
        image.newer_image_count = place;
    }
    images.sort_unstable_by_key(|image| image.manifest);
    let is_tagged =
        |manifest: &u32| tags.binary_search_by_key(manifest, |tag| tag.manifest).is_ok();
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for of in tags.chunk_by(|a, b| a.manifest == b.manifest) {
        let index = of[0].manifest;
        let named = children(index).into_iter().filter(|child| *child != index && is_tagged(child));
        parts.extend(named.map(|child| (child, index)));
    }
    parts.sort_unstable();
    count_newer_versions(&mut images, &parts);
    images
}

/// `parts` are tagged platforms, each with a tagged index that names it, sorted.
fn count_newer_versions(images: &mut [Image<'_>], parts: &[(u32, u32)]) {
    let is_part = |manifest| {
        let at = parts.partition_point(|(child, _)| *child < manifest);
        parts.get(at).is_some_and(|(child, _)| *child == manifest)
    };
    let mut ranked: Vec<usize> = (0..images.len())
        .filter(|at| images[*at].version_key.is_some() && !is_part(images[*at].manifest))
        .collect();
    ranked.sort_unstable_by(|a, b| {
        let key = |at: usize| {
            let image = &images[at];
            (image.version_key, image.known_creation_ns(), image.own_name)
        };
        key(*b).cmp(&key(*a)).then(a.cmp(b))
    });
    for (place, at) in (0..).zip(ranked) {
        images[at].newer_version_count = (!images[at].is_kept_by_name).then_some(place);
    }
    // A platform goes with the last index that names it.
    let of_parts: Vec<(usize, Option<u32>)> = parts
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|of| {
            let place = |manifest| images.binary_search_by_key(&manifest, |image| image.manifest);
            let at = place(of[0].0).ok().filter(|at| !images[*at].is_kept_by_name)?;
            let counts =
                of.iter().map(|(_, index)| images[place(*index).ok()?].newer_version_count);
            Some((at, counts.collect::<Option<Vec<u32>>>()?.into_iter().min()))
        })
        .collect();
    for (at, count) in of_parts {
        images[at].newer_version_count = count;
    }
}

/// Whether more than half of some images have the same value; two of three are not many.
fn are_most_equal<T: Ord>(mut values: Vec<T>, image_count: usize) -> bool {
    values.sort_unstable();
    let equal_count = values.chunk_by(T::eq).map(<[T]>::len).max().unwrap_or(0);
    image_count > 1
        && 2 * equal_count > image_count
        && (equal_count > 2 || equal_count == image_count)
}

#[cfg(test)]
mod tests {
    use super::{AgeOfTag, FIRST_CREATION_NS, are_most_equal, images};

    fn tag(manifest: u32, name: &str, pushed_ns: Option<i64>) -> AgeOfTag<'_> {
        let is_referrer = name.starts_with("sha256-");
        let version_key = name.starts_with(|first: char| first.is_ascii_digit()).then_some(name);
        AgeOfTag { manifest, pushed_ns, name, version_key, is_referrer, is_commit: false }
    }

    #[test]
    fn an_image_is_as_old_as_its_newest_tag_and_ranks_by_that() {
        let tags = vec![
            tag(7, "latest", Some(30)),
            tag(7, "1.0", Some(10)),
            tag(3, "0.9", Some(20)),
            tag(5, "0.8", None),
            tag(9, "sha256-aa.sig", Some(90)),
        ];
        let images = images(tags, |_| Some(FIRST_CREATION_NS - 1), |_| Vec::new());
        let rows: Vec<_> = images
            .iter()
            .map(|image| (image.manifest, image.newest_tag_ns, image.newer_image_count))
            .collect();
        assert_eq!(rows, [(3, Some(20), 1), (5, None, 2), (7, Some(30), 0)]);
        assert_eq!(images[1].known_creation_ns(), None, "a reproducible build");
        assert!(images[1].is_kept && !images[0].is_kept, "one without a time stays");
    }

    #[test]
    fn a_signature_on_an_image_keeps_it_and_does_not_count_as_a_push_of_it() {
        let signed = [tag(1, "app", Some(10)), tag(1, "sha256-bb.sig", Some(50))];
        let images = images(signed.to_vec(), |_| None, |_| Vec::new());
        assert_eq!((images[0].pushed_ns, images[0].newest_tag_ns), (Some(10), Some(50)));
        assert!(images[0].is_kept);
    }

    #[test]
    fn a_platform_counts_with_the_newest_of_its_indexes_and_stays_with_one_that_stays() {
        let tags = vec![
            tag(1, "1.0-amd64", None),
            tag(2, "1.0", None),
            tag(3, "1.1", None),
            tag(4, "0.9", None),
            tag(5, "0.9-arm64", None),
            tag(5, "arm64", None),
        ];
        // An index that names itself is none of its platforms.
        let children = |index| match index {
            2 | 3 => vec![1, index],
            4 => vec![5],
            _ => Vec::new(),
        };
        let counts = |tags| -> Vec<Option<u32>> {
            let images = images(tags, |_| None, children);
            images.iter().map(|image| image.newer_version_count).collect()
        };
        assert_eq!(counts(tags.clone()), [Some(0), Some(1), Some(0), Some(2), None]);
        let mut tagged = tags;
        tagged.push(tag(2, "stable", None));
        assert_eq!(counts(tagged), [None, None, Some(0), Some(2), None], "`stable` keeps 1.0");
    }

    #[test]
    fn times_are_equal_when_more_than_half_are_and_these_are_not_few() {
        assert!(are_most_equal(vec![1, 1], 2));
        assert!(!are_most_equal(vec![1, 1, 2], 3), "two of three are a coincidence");
        assert!(are_most_equal(vec![1, 1, 1, 2], 4));
        assert!(!are_most_equal(vec![1], 1));
        assert!(!are_most_equal(vec![1, 1], 5), "times of the others are not known");
    }
}
