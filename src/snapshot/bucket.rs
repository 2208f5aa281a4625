//! What a snapshot says of a bucket beside names, sizes and times.

use std::collections::HashMap;
use std::path::Path;

use crate::db::{BucketRecord, InventoryRecord, Noncurrent, StorageClasses};
use crate::model::{Code, Digest, Finding, is_repository_name, is_tag_name, text_of};
use crate::scan::{Catalog, CatalogRepository, CatalogTag};
use crate::storage::Storage;

/// What the provider said when the storage was listed.
pub fn record(storage: &dyn Storage) -> BucketRecord {
    let facts = storage.bucket_facts().unwrap_or_default();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    BucketRecord {
        noncurrent: facts.noncurrent.map(|noncurrent| Noncurrent {
            version_count: number(noncurrent.versions.count),
            version_bytes: number(noncurrent.versions.size_bytes),
            delete_marker_count: number(noncurrent.delete_marker_count),
        }),
        multipart_uploads: facts
            .multipart_uploads
            .map(|uploads| (number(uploads.count), number(uploads.size_bytes))),
        inventory: facts.inventory.map(|inventory| InventoryRecord {
            address: inventory.address,
            made_ns: inventory.made_ns,
        }),
        storage_classes: StorageClasses::default(),
    }
}

/// The storage class of each of these digests, which are sorted.
pub fn storage_classes(storage: &dyn Storage, digests: &[Digest]) -> StorageClasses {
    let mut classes = StorageClasses::default();
    storage.each_storage_class(&mut |path, class| {
        let Some(blob) = digest_of(path).and_then(|digest| digests.binary_search(&digest).ok())
        else {
            return;
        };
        let known = classes.names.iter().position(|name| name == class);
        let place = known.unwrap_or_else(|| {
            classes.names.push(class.to_owned());
            classes.names.len() - 1
        });
        // A provider has a dozen: of more than 255 the last have none.
        if classes.of_blobs.is_empty() {
            classes.of_blobs.resize(digests.len(), 0);
        }
        classes.of_blobs[blob] = u8::try_from(place + 1).unwrap_or(0);
    });
    classes
}

/// Says of a tag without a revision in S3 what may have left it, and what deletes it. Registries before version 3 delete a
/// tag there by asking for all keys that begin with its directory, without a slash, and stop at the first one that is not
/// below it. Beside `1-alpine` or `1.2` the tag `1` stays, its revision goes, and the answer is 202 (distribution, issue
/// 3142). Nothing is said of names that no registry takes: what is said is a command to copy, and they would end up in it.
pub fn explain_undeleted_tags(findings: &mut [Finding], catalog: &Catalog, storage: &dyn Storage) {
    if !storage.root().to_str().is_some_and(|root| root.starts_with("s3://")) {
        return;
    }
    let valid =
        catalog.repositories.iter().filter(|repository| is_repository_name(&repository.name));
    let repositories: HashMap<&str, &CatalogRepository> =
        valid.map(|repository| (repository.name.as_str(), repository)).collect();
    for finding in findings.iter_mut().filter(|finding| finding.code == Code::TagWithoutRevision) {
        let name = finding.repository.as_deref();
        let Some(repository) = name.and_then(|name| repositories.get(name)) else { continue };
        let tags = format!("{}/_manifests/tags/", text_of(repository.facts.path.as_os_str()));
        let tag = finding.path.strip_prefix(&tags).and_then(|path| path.split_once('/'));
        let Some((tag, _)) = tag else { continue };
        if !is_tag_name(tag) {
            continue;
        }
        if let Some(beside) = first_that_goes_on(&repository.tags, tag) {
            finding.detail = format!(
                "{}; if it was deleted: registries before version 3 delete no tag in S3 beside one like {beside} and \
                 answer 202. regsql prune --target {}:{tag} deletes it",
                finding.detail, repository.name,
            );
        }
    }
}

/// The first of these tags, which are sorted, that begins with `tag` and `-` or `.`, if a registry takes it.
fn first_that_goes_on<'t>(tags: &'t [CatalogTag], tag: &str) -> Option<&'t str> {
    ["-", "."].into_iter().find_map(|sign| {
        let beginning = format!("{tag}{sign}");
        let at = tags.partition_point(|tag| tag.name < beginning);
        let name = tags.get(at)?.name.as_str();
        (name.starts_with(&beginning) && is_tag_name(name)).then_some(name)
    })
}

/// The digest of the blob whose data lies there: `…/sha256/<2 digits>/<digest>/data`.
fn digest_of(path: &Path) -> Option<Digest> {
    let directory = path.parent().filter(|_| path.ends_with("data"))?;
    let hex = directory.file_name()?.to_str()?;
    let algorithm = directory.parent()?.parent()?.file_name()?.to_str()?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok().filter(|_| algorithm == "sha256")
}
