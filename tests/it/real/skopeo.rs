//! Pushing and pulling with `skopeo`, as people do.

use super::layout::Image;
use super::registry::{Registry, missing};

/// Pushes an image (all of an index) from an OCI layout.
pub fn push(registry: &Registry, image: &Image, repository: &str, tag: &str) {
    let layout = tempfile::tempdir().unwrap();
    image.write_layout(layout.path(), tag);
    let from = format!("oci:{}:{tag}", layout.path().display());
    let to = format!("docker://{}/{repository}:{tag}", registry.address());
    // The digests made here are the ones that the test asks for.
    copy(&["--all", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);
}

/// Pulls a tag with all its platforms; fails the test when anything of it is missing.
pub fn pull(registry: &Registry, repository: &str, tag: &str) {
    pull_reference(registry, &format!("{repository}:{tag}"));
}

/// The same by digest, as deployments do that pin one.
pub fn pull_digest(registry: &Registry, repository: &str, digest: &str) {
    pull_reference(registry, &format!("{repository}@{digest}"));
}

fn pull_reference(registry: &Registry, reference: &str) {
    let to = tempfile::tempdir().unwrap();
    let from = format!("docker://{}/{reference}", registry.address());
    let to = format!("dir:{}", to.path().display());
    copy(&["--all", "--src-tls-verify=false", &from, &to]);
}

/// Runs `skopeo copy` with a home of its own: no credentials, no policy, no state of the user.
fn copy(arguments: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let output = crate::env::program("skopeo")
        .args(["--insecure-policy", "copy"])
        .args(arguments)
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .output()
        .unwrap_or_else(|error| missing("skopeo", &error));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo copy {arguments:?}: {error}");
}
