//! What a bucket in memory does.

use super::*;

fn keys(bucket: &MemoryBucket, prefix: &str, is_one_level: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let page = bucket.list(prefix, is_one_level, next.as_deref()).unwrap();
        found.extend(page.objects.into_iter().map(|object| object.key));
        found.extend(page.prefixes);
        next = page.next;
        if next.is_none() {
            found.sort();
            return found;
        }
    }
}

#[test]
fn pages_of_any_size_show_each_name_once() {
    for page_size in 1..6 {
        let settings = Settings { page_size, ..Settings::of(Provider::S3) };
        let bucket = MemoryBucket::new("s3://bucket", settings);
        for key in ["a/b/c", "a/b/d", "a/e", "a-b", "f", "a/b/e"] {
            bucket.write(key, b"");
        }
        assert_eq!(keys(&bucket, "", true), ["a-b", "a/", "f"], "{page_size}");
        assert_eq!(keys(&bucket, "a/", true), ["a/b/", "a/e"], "{page_size}");
        assert_eq!(keys(&bucket, "a/", false), ["a/b/c", "a/b/d", "a/b/e", "a/e"]);
    }
}

#[test]
fn what_was_deleted_comes_back_where_the_bucket_keeps_it() {
    for provider in [Provider::S3, Provider::Gcs, Provider::Azure] {
        for (has_versions, soft) in [(true, None), (false, Some(60))] {
            if provider == Provider::S3 && soft.is_some() {
                continue;
            }
            let soft_delete_seconds = soft;
            let settings = Settings { has_versions, soft_delete_seconds, ..Settings::of(provider) };
            let bucket = MemoryBucket::new("x://bucket", settings);
            bucket.write("key", b"content");
            let version = bucket.head("key").unwrap().unwrap().version.unwrap();
            bucket.delete("key", DeleteCondition::Whatever).unwrap();
            assert_eq!(bucket.head("key").unwrap(), None);
            bucket.restore("key", &version).unwrap();
            assert_eq!(bucket.get("key", None, None).unwrap(), b"content", "{provider:?}");
            if soft.is_some() {
                bucket.delete("key", DeleteCondition::Whatever).unwrap();
                bucket.pass_seconds(61);
                let error = bucket.restore("key", &version).unwrap_err();
                assert_eq!(error.kind, BucketErrorKind::NotFound);
            }
        }
    }
}

#[test]
fn a_lost_answer_leaves_the_write_and_a_kill_before_it_does_not() {
    let bucket = MemoryBucket::new("s3://bucket", Settings::of(Provider::S3));
    let before = bucket.client(Fault::KilledBefore(0));
    before.put("a", b"1", PutCondition::Absent).unwrap_err();
    let after = bucket.client(Fault::KilledAfter(0));
    after.put("b", b"1", PutCondition::Absent).unwrap_err();
    after.put("c", b"1", PutCondition::Absent).unwrap_err();
    assert_eq!(bucket.contents().into_keys().collect::<Vec<_>>(), ["b"]);
}
