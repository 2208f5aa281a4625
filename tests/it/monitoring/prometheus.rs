//! A real Prometheus scrapes `regsql serve`.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use regsql::report::hex;
use serde_json::Value;

use super::exporter::{Exporter, push, storage, wait_for};
use super::rules::dashboard_expressions;
use crate::real::http;
use crate::real::registry::missing;

struct Prometheus {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes `exporter` every second, with the alert rules of this package.
    fn start(exporter: &Exporter) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/prometheus/regsql.rules.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{rules}']\n\
             scrape_configs:\n\
             - job_name: regsql\n  static_configs: [{{targets: ['{}']}}]\n",
            exporter.address
        );
        fs::write(directory.path().join("prometheus.yml"), config).unwrap();
        let log = directory.path().join("log");
        let child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| missing("prometheus", &error));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut prometheus = Self { child, address: nowhere, _directory: directory };
        prometheus.address = wait_for("prometheus to listen", || {
            let log = fs::read_to_string(&log).unwrap();
            let (_, rest) = log.split_once("msg=\"Listening on\" address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        wait_for("prometheus to be ready", || {
            let answer = http::request(prometheus.address, "GET", "/-/ready", &[], &[]).ok()?;
            (answer.status == 200).then_some(())
        });
        prometheus
    }

    fn api(&self, path: &str) -> Value {
        http::request(self.address, "GET", path, &[], &[]).unwrap().json()
    }

    /// The result of an instant query.
    fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.api(&format!("/api/v1/query?query={}", encoded(expression)));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// The value of an expression that gives one series.
    fn value(&self, expression: &str) -> Option<f64> {
        self.query(expression).first()?["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Percent-encoded, every byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| ["%", &hex(&[byte])].concat()).collect()
}

#[test]
fn a_real_prometheus_scrapes_it_answers_the_dashboard_and_watches_the_rules() {
    let directory = storage();
    let exporter = Exporter::start(directory.path(), &["registry", "--interval", "500ms"]);
    exporter.wait_until_ready();
    let prometheus = Prometheus::start(&exporter);
    wait_for("a scrape", || prometheus.value("up{job=\"regsql\"}").filter(|up| *up > 0.0));

    assert_eq!(prometheus.value("regsql_tags"), Some(2.0));
    let tag = "{repository=\"team/app\",tag=\"1.0\"}";
    assert_eq!(prometheus.value(&format!("repository_tag_layers_total{tag}")), Some(2.0));
    assert_eq!(prometheus.value(&format!("repository_tag_size_bytes{tag}")), Some(7000.0));
    assert_eq!(prometheus.value("repository_tags_total{repository=\"team/app\"}"), Some(2.0));
    let series = prometheus.query("{__name__=~\"regsql_.*|repository_.*\"}").len();
    assert!(series > 60, "{series} series");
    let types = prometheus.api("/api/v1/metadata?metric=regsql_scans_total");
    assert_eq!(types["data"]["regsql_scans_total"][0]["type"], "counter");

    // What is pushed arrives without anybody's doing.
    push(&directory.path().join("registry"), &["2.0"]);
    wait_for("the new tag", || prometheus.value("regsql_tags == 3"));

    let mut empty = Vec::new();
    for expression in dashboard_expressions() {
        if prometheus.query(&expression).is_empty() {
            empty.push(expression);
        }
    }
    // In a day-old series, in bad order, or only when there is garbage.
    empty.retain(|expression| !["offset", "> 0"].iter().any(|word| expression.contains(word)));
    assert_eq!(empty, Vec::<String>::new(), "panels without data");

    let rules = wait_for("the rules", || {
        let rules = prometheus.api("/api/v1/rules")["data"]["groups"][0]["rules"].clone();
        let rules = rules.as_array()?.clone();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert!(rules.len() > 5);
    for rule in rules {
        assert_eq!((&rule["health"], &rule["state"]), (&"ok".into(), &"inactive".into()), "{rule}");
    }
}
