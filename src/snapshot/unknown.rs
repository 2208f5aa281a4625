//! What could not be read is not missing: what lies in a directory that could not be listed is
//! unknown, and nothing is said against it.

use crate::model::{Code, Digest, Finding, text_of};
use crate::storage::Layout;

/// Takes out what was only found to be missing because its place could not be read.
pub fn retain_known(findings: &mut Vec<Finding>, layout: &Layout) {
    let hidden: Vec<String> = findings
        .iter()
        .filter(|finding| {
            matches!(
                finding.code,
                Code::DirectoryUnreadable | Code::SymlinkNotFollowed | Code::BlobsMissing
            )
        })
        .map(|finding| finding.path.clone())
        .collect();
    if !hidden.is_empty() {
        findings.retain(|finding| {
            place(finding, layout)
                .is_none_or(|place| !hidden.iter().any(|top| lies_in(&place, top)))
        });
    }
}

/// Where the thing belongs that a finding calls missing; `None` when it calls nothing missing.
fn place(finding: &Finding, layout: &Layout) -> Option<String> {
    let blob = || match &finding.digest {
        Some(digest @ Digest::Sha256(_)) => {
            Some(text_of(layout.blob_data(&digest.encoded()).as_os_str()))
        }
        _ => None,
    };
    match finding.code {
        Code::ManifestMissing
        | Code::ConfigMissing
        | Code::LayerMissing
        | Code::IndexChildAbsent
        | Code::OrphanReferrer
        | Code::DanglingLink => blob(),
        Code::LayerLinkMissing | Code::ChildWithoutRevision => Some(finding.path.clone()),
        Code::TagWithoutRevision => {
            let (repository, _) = finding.path.split_once("/_manifests/tags/")?;
            let digest = finding.digest.as_ref()?.to_string().replace(':', "/");
            Some(format!("{repository}/_manifests/revisions/{digest}/link"))
        }
        _ => None,
    }
}

fn lies_in(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
