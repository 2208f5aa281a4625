//! `serve --events` behind a real registry, and before clients that mean harm.

use regsql::sample::RegistryBuilder;

use super::{Registry as Sample, images};
use crate::monitoring::exporter::{Exporter, wait_for};
use crate::real::registry::Registry;
use crate::real::{layout, skopeo};

#[test]
fn a_pull_with_skopeo_reaches_the_database_through_the_registrys_notifications() {
    let mut registry = Registry::start();
    let image = layout::Image::of(&[&layout::layer("notified", 1_000)]);
    skopeo::push(&registry, &image, "team/app", "1.0");
    skopeo::push(&registry, &image, "team/app", "1.1");
    let place = registry.beside().to_owned();
    let root = registry.root().to_str().unwrap().to_owned();
    let regsql = |arguments: &[&str]| {
        let output = crate::env::regsql_in(&place, arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    regsql(&["scan", &root]);
    std::fs::write(place.join("token"), "secret\n").unwrap();
    let mut exporter =
        Exporter::start(&place, &["--interval", "0s", "--events", "--events-token-file", "token"]);
    let address = exporter.address;
    registry.restart_with(|config| {
        format!(
            "{config}notifications:\n  endpoints:\n    - name: regsql\n      url: http://{address}/events\n      headers:\n        Authorization: [Bearer secret]\n      timeout: 2s\n      threshold: 3\n      backoff: 1s\n"
        )
    });
    skopeo::pull(&registry, "team/app", "1.0");
    let sql = "SELECT tag, pull_count, reference FROM tags t JOIN pulls p USING (repository, manifest_digest) WHERE t.last_pulled_at IS NOT NULL AND p.reference = tag";
    let rows = wait_for("the pull", || {
        let rows = regsql(&["-q", "sql", sql, "-f", "csv"]);
        (rows.lines().count() > 1).then_some(rows)
    });
    assert!(rows.contains("1.0,1,1.0"), "{rows}");
    let since = regsql(&["-q", "sql", "SELECT pulls_since FROM scan_info", "-f", "csv"]);
    assert!(since.contains("20"), "{since}");
    // A scan keeps them.
    regsql(&["scan", "--full", &root]);
    assert!(regsql(&["-q", "sql", sql, "-f", "csv"]).contains("1.0,1,1.0"));
    assert!(exporter.terminate().success());
}

#[test]
fn events_are_taken_with_the_token_and_as_json_within_bounds_only() {
    let mut builder = RegistryBuilder::new();
    images(&mut builder, "app", &[&["1.0.0"]]);
    let registry = Sample::of(&builder);
    let place = registry.path("");
    std::fs::write(place.join("token"), "secret").unwrap();
    let exporter =
        Exporter::start(&place, &["--interval", "0s", "--events", "--events-token-file", "token"]);
    let json = ("Content-Type", "application/vnd.docker.distribution.events.v1+json");
    let token = ("Authorization", "Bearer secret");
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        crate::real::http::request(exporter.address, "POST", "/events", headers, body)
            .unwrap()
            .status
    };
    assert_eq!(send(&[json], b"{\"events\":[]}"), 401);
    assert_eq!(send(&[json, ("Authorization", "Bearer secre")], b"{\"events\":[]}"), 401);
    assert_eq!(send(&[token, ("Content-Type", "text/plain")], b"{\"events\":[]}"), 415);
    assert_eq!(send(&[token, json], b"{}"), 400);
    assert_eq!(send(&[token, json], &vec![b' '; (1 << 20) + 1]), 413);
    assert_eq!(send(&[token, json], b"{\"events\":[]}"), 200);
    assert_eq!(exporter.get("/events").0, 404);
}
