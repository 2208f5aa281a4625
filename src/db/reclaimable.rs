//! What comes free without dropping a tag, by when it was last written or linked.
//!
//! A push may rely on a blob without writing a byte to it, so a blob is as fresh as the newest of its
//! data (mtime and ctime), the layer links that lead to it and the revisions that name it. `prune`
//! looks at the same times (`prune::age`).

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::graph::Accounts;
use crate::scan::Catalog;

const HOUR_NS: i64 = 3_600_000_000_000;
/// What is older than this needs no hour of its own, since no least age is longer by default.
const WEEK_NS: i64 = 7 * 24 * HOUR_NS;

/// Fills `reclaimable_hour` for a scan that ended at `finished_ns`.
pub fn load_reclaimable(
    connection: &Connection,
    graph: &Catalog,
    accounts: &Accounts,
    finished_ns: i64,
) -> rusqlite::Result<()> {
    let touched_ns = touched_ns(graph);
    let mut sums: BTreeMap<(&str, i64), (i64, i64)> = BTreeMap::new();
    for ((file, account), touched_ns) in graph.files.iter().zip(&accounts.blobs).zip(touched_ns) {
        let class = match account {
            account if account.is_orphan => "orphan",
            account if account.is_untagged => "untagged",
            _ => continue,
        };
        let Some(file) = file else { continue };
        let (count, bytes) = sums.entry((class, end_of_hour(touched_ns, finished_ns))).or_default();
        *count += 1;
        *bytes = bytes.saturating_add(i64::try_from(file.size_bytes).unwrap_or(i64::MAX));
    }
    let mut insert = connection.prepare("INSERT INTO reclaimable_hour VALUES (?1, ?2, ?3, ?4)")?;
    for ((class, touched_ns), (count, bytes)) in sums {
        insert.execute(params![class, touched_ns, count, bytes])?;
    }
    Ok(())
}

fn end_of_hour(time_ns: i64, finished_ns: i64) -> i64 {
    if time_ns < finished_ns.saturating_sub(WEEK_NS) {
        return 0;
    }
    (time_ns.div_euclid(HOUR_NS).saturating_add(1)).saturating_mul(HOUR_NS)
}

/// When each blob was last written or linked, in nanoseconds since 1970.
fn touched_ns(graph: &Catalog) -> Vec<i64> {
    let of_file = |file: &crate::scan::BlobFile| file.modified_ns.max(file.changed_ns);
    let mut touched: Vec<i64> =
        graph.files.iter().map(|file| file.as_ref().map_or(i64::MIN, of_file)).collect();
    let mut touch = |blob: u32, time_ns: i64| {
        let known = &mut touched[blob as usize];
        *known = (*known).max(time_ns);
    };
    for repository in &graph.repositories {
        for link in &repository.layer_links {
            touch(link.name, link.modified_ns);
            touch(link.target, link.modified_ns);
        }
        for revision in &repository.revisions {
            touch(revision.name, revision.modified_ns);
            if let Some(manifest) = graph.manifest_of.get(&revision.name) {
                for reference in graph.manifests[*manifest as usize].references() {
                    touch(reference.blob, revision.modified_ns);
                }
            }
        }
    }
    touched
}

#[cfg(test)]
mod tests {
    use super::{HOUR_NS, WEEK_NS, end_of_hour};

    #[test]
    fn an_hour_is_named_by_its_end_and_all_that_is_old_is_one() {
        let finished_ns = 100 * WEEK_NS;
        assert_eq!(end_of_hour(finished_ns - WEEK_NS - 1, finished_ns), 0);
        assert_eq!(end_of_hour(finished_ns - 1, finished_ns), finished_ns);
        assert_eq!(end_of_hour(finished_ns, finished_ns), finished_ns + HOUR_NS);
        assert_eq!(end_of_hour(i64::MIN, finished_ns), 0, "a link without its blob");
        assert!(end_of_hour(i64::MAX, finished_ns) > finished_ns, "a clock gone wrong");
    }
}
