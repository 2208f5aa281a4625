//! Which of the selected manifests must go before which.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Certainty, Classified, Digest, Role, classify};

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
    /// Why it may name more than what is known of it.
    pub(super) fn read(
        &mut self,
        digest: &Digest,
        body: &[u8],
        selected: &BTreeSet<Digest>,
    ) -> Result<(), String> {
        let manifest = match classify(digest, Ok(body), Certainty::Certain) {
            Classified::Manifest(manifest) => manifest,
            Classified::NotAManifest => return Ok(()),
            Classified::Uncertain { detail, .. } => return Err(detail),
        };
        for reference in manifest.references {
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
        let image = digest(2);
        let mut parents = Parents::default();
        let body = |key: &str| format!(r#"{{"schemaVersion":2,{key}}}"#);
        let index = body(&format!(r#""manifests":[{{"digest":"{image}"}}]"#));
        let signature = body(&format!(
            r#""config":{{"digest":"{0}"}},"layers":[],"subject":{{"digest":"{image}"}}"#,
            digest(9)
        ));
        let [of_index, of_signature] = [&index, &signature].map(|b| Digest::of(b.as_bytes()));
        let selected = BTreeSet::from([image.clone(), of_index.clone(), of_signature.clone()]);
        parents.read(&of_index, index.as_bytes(), &selected).unwrap();
        parents.read(&of_signature, signature.as_bytes(), &selected).unwrap();
        assert_eq!(parents.in_order(&selected), [of_index, image, of_signature]);
    }

    #[test]
    fn a_manifest_that_may_name_anything_has_no_place_in_the_order() {
        for body in [
            r#"{"schemaVersion":2,"mediaType":"application/vnd.example.list+json","parts":[]}"#,
            r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:short"}]}"#,
            "{}",
        ] {
            let digest = Digest::of(body.as_bytes());
            let read = Parents::default().read(&digest, body.as_bytes(), &BTreeSet::new());
            assert!(read.is_err(), "{body}");
        }
    }
}
