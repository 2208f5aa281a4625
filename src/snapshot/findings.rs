//! What a snapshot says is wrong.

use super::vanished::{RepositoryNow, vanished};
use crate::db::{AuthorityRecord, StoredFinding, Witness};
use crate::model::authority::Evidence;
use crate::model::{Code, Finding, Severity, text_of};
use crate::scan::{Catalog, Notes};
use crate::storage::Storage;

/// What is wrong, what is known of contents included, sorted, each once.
pub fn all(
    mut findings: Vec<Finding>,
    catalog: &Catalog,
    notes: Notes,
    about_content: &[StoredFinding],
) -> Vec<Finding> {
    findings.extend(notes.findings);
    for repository in &catalog.repositories {
        findings.extend(repository.facts.notes.findings.iter().cloned());
    }
    // Only as long as the file is the one that was read.
    let is_same_file = |stored: &&StoredFinding| {
        let place = catalog.digests.binary_search(&stored.blob).ok();
        place.and_then(|place| catalog.files[place]).is_some_and(|file| {
            (file.modified_ns, file.changed_ns) == (stored.modified_ns, stored.changed_ns)
                && stored.inode.is_none_or(|inode| inode == file.inode)
        })
    };
    findings.extend(about_content.iter().filter(is_same_file).map(|stored| stored.finding.clone()));
    findings.sort_unstable();
    findings.dedup();
    findings
}

/// Adds what is not there now and was at a scan before.
pub fn add_vanished(
    findings: &mut Vec<Finding>,
    witness: Option<&Witness>,
    catalog: &Catalog,
    max_percent: u8,
) {
    let Some(witness) = witness else { return };
    let now: Vec<_> = catalog
        .repositories
        .iter()
        .map(|repository| RepositoryNow {
            name: &repository.name,
            tag_count: repository.tags.len() as u64,
            revision_count: repository.revisions.len() as u64,
        })
        .collect();
    // What is not there at all has vanished as well, and uploads hold no reference.
    let hidden: Vec<&str> = findings
        .iter()
        .filter(|finding| {
            matches!(finding.code, Code::DirectoryUnreadable | Code::SymlinkNotFollowed)
                && !finding.path.split('/').any(|name| name == "_uploads")
        })
        .map(|finding| finding.path.as_str())
        .collect();
    let found = vanished(witness, &now, max_percent, &catalog.layout.repositories(), &hidden);
    findings.extend(found);
    findings.sort_unstable();
}

/// That something outside of the storage seems to hold references.
pub fn of_authority(authority: &AuthorityRecord, storage: &dyn Storage) -> Option<Finding> {
    let suspicion = authority.suspicion()?;
    let seen: Vec<String> = authority.evidence.iter().map(Evidence::text).collect();
    Some(Finding {
        code: Code::AuthorityElsewhere,
        repository: None,
        digest: None,
        path: text_of(storage.layout().repositories().as_os_str()),
        detail: format!(
            "{} seems to hold references that are not on disk: {}",
            suspicion.product.title(),
            seen.join("; ")
        ),
    })
}

/// How many of each severity, the least first.
pub fn by_severity(findings: &[Finding]) -> [u64; 3] {
    Severity::ALL.map(|severity| {
        let of_severity = findings.iter().filter(|finding| finding.code.severity() == severity);
        of_severity.count() as u64
    })
}
