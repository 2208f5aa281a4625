//! Which of the selected manifests must go before which.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Digest, Role, parse_manifest};

/// Among the selected manifests of a repository, those that must be gone before each: the indexes
/// that hold it, and the manifest that it is about.
#[derive(Debug, Default)]
pub(super) struct Parents {
    of: BTreeMap<Digest, BTreeSet<Digest>>,
}

impl Parents {
    /// Adds what the body of the selected manifest `digest` says.
    ///
    /// # Errors
    /// When it cannot be understood, so that nobody knows what it holds.
    pub(super) fn read(
        &mut self,
        digest: &Digest,
        body: &[u8],
        selected: &BTreeSet<Digest>,
    ) -> Result<(), serde_json::Error> {
        for reference in parse_manifest(body)?.references {
            if !selected.contains(&reference.digest) || reference.digest == *digest {
                continue;
            }
            // A signature goes after what it signs: should that stay, so does the signature.
            let (child, parent) = match reference.role {
                Role::Subject => (digest.clone(), reference.digest),
                _ => (reference.digest, digest.clone()),
            };
            self.of.entry(child).or_default().insert(parent);
        }
        Ok(())
    }

    pub(super) fn of(&self, digest: &Digest) -> impl Iterator<Item = &Digest> {
        self.of.get(digest).into_iter().flatten()
    }

    /// The selected manifests, each after its parents.
    pub(super) fn in_order(&self, selected: &BTreeSet<Digest>) -> Vec<Digest> {
        let mut order = Vec::with_capacity(selected.len());
        let mut done = BTreeSet::new();
        for digest in selected {
            // Depth first without recursion: a chain may be as long as the selection.
            let mut path = vec![digest];
            let mut entered = BTreeSet::new();
            while let Some(&top) = path.last() {
                // A ring cannot be made of digests, but a subject that holds its referrer as an
                // entry is one of these edges; it is left by the way it was entered.
                let open = self.of(top).find(|d| !done.contains(*d) && !entered.contains(*d));
                if let Some(parent) = open {
                    entered.insert(parent);
                    path.push(parent);
                } else {
                    path.pop();
                    if done.insert(top) {
                        order.push(top.clone());
                    }
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::Sha256([byte; 32])
    }

    fn parents(edges: &[(u8, u8)]) -> Parents {
        let mut parents = Parents::default();
        for (parent, child) in edges {
            parents.of.entry(digest(*child)).or_default().insert(digest(*parent));
        }
        parents
    }

    fn order(edges: &[(u8, u8)], count: u8) -> Vec<u8> {
        let selected = (1..=count).map(digest).collect();
        let first = |digest: &Digest| match digest {
            Digest::Sha256(bytes) => bytes[0],
            Digest::Other(_) => 0,
        };
        parents(edges).in_order(&selected).iter().map(first).collect()
    }

    #[test]
    fn a_manifest_goes_after_all_that_hold_it() {
        assert_eq!(order(&[(3, 2), (2, 1), (4, 2)], 4), [3, 4, 2, 1]);
        assert_eq!(order(&[], 2), [1, 2]);
    }

    #[test]
    fn a_ring_ends() {
        assert_eq!(order(&[(1, 2), (2, 1)], 2).len(), 2);
    }

    #[test]
    fn a_signature_goes_after_the_image_and_the_image_after_its_index() {
        let selected: BTreeSet<Digest> = (1..=3).map(digest).collect();
        let mut parents = Parents::default();
        let body = |key: &str| format!(r#"{{"schemaVersion":2,{key}}}"#);
        let index = body(&format!(r#""manifests":[{{"digest":"{}"}}]"#, digest(2)));
        parents.read(&digest(3), index.as_bytes(), &selected).unwrap();
        let signature = body(&format!(r#""layers":[],"subject":{{"digest":"{}"}}"#, digest(2)));
        parents.read(&digest(1), signature.as_bytes(), &selected).unwrap();
        assert_eq!(parents.in_order(&selected), [digest(3), digest(2), digest(1)]);
    }
}
