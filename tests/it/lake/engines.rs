//! What engines read is what the databases say: every view row by row, and every fleet query against what
//! plain Python works out.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{exports, sample};
use crate::env::{REGSQL, program, regsql, shown};
use crate::object::servers::{Kind, Server};

/// The Python of a virtual environment that `tests/python` made.
fn python(environment: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(environment).join("bin/python");
    assert!(path.exists(), "no {}: run tests/run once, or tests/python", path.display());
    path
}

/// Runs the check of an engine on exports of three registries, one of them exported twice, into a directory or a bucket.
#[track_caller]
fn check(engine: &str, environment: &str, bucket: Option<&Server>) -> String {
    let shop = sample::shop();
    let lake = match bucket {
        None => shop.path().join("lake"),
        Some(server) => server.url("fleet/lake").into(),
    };
    let variables = bucket.map_or_else(Vec::new, Server::variables);
    let exports = |database: &Path, lake: &Path, arguments: &[&str]| {
        let mut command = regsql();
        command.arg("--db").arg(database).arg("export").arg(lake).args(arguments);
        let output = command.envs(variables.clone()).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
    };
    let mut given: Vec<(&str, PathBuf)> = Vec::new();
    shop.age(40);
    exports(&shop.database(), &lake, &["--registry", "shop"]);
    given.push(("shop", shop.database_now("then.db")));
    sample::grow(&shop);
    shop.scan(&[]);
    exports(&shop.database(), &lake, &["--registry", "shop"]);
    given.push(("shop", shop.database()));
    let mirror = sample::mirror();
    let odd_name = "eu/mirror=100%2F 'é'";
    exports(&mirror.database(), &lake, &["--registry", odd_name]);
    given.push((odd_name, mirror.database()));
    let generated = sample::generated();
    exports(&generated.database(), &lake, &["--registry", "007"]);
    given.push(("007", generated.database()));

    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/engines/check.py");
    let mut command = program(python(environment).to_str().unwrap());
    command.arg(script).args([engine, REGSQL]).arg(&lake);
    command.args(given.iter().map(|(name, path)| format!("{name}={}", path.display())));
    let output = command.env("HOME", shop.path()).envs(variables).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn duckdb_reads_what_the_databases_say() {
    let told = check("duckdb", "target/python", None);
    let count =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/queries/fleet")).unwrap().count();
    assert_eq!(told.matches("worked out by hand").count(), count, "{told}");
    assert!(told.contains("views in 4 exports are those of SQLite"), "{told}");
}

#[test]
fn statements_for_trino_can_be_parsed() {
    let told = check("trino", "target/python", None);
    assert!(told.contains("parsed by sqlglot"), "{told}");
}

/// `tests/engines/run` calls it with each engine that takes long to install or to start.
#[test]
fn another_engine_reads_what_the_databases_say() {
    if let Ok(engine) = std::env::var("REGSQL_TEST_ENGINE") {
        let told = check(&engine, "target/engines", None);
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    }
}

/// The same for engines that read a bucket without more than what `tests/engines/run` installs.
#[test]
fn another_engine_reads_a_bucket_s_lake() {
    if let Ok(engine) = std::env::var("REGSQL_TEST_ENGINE")
        && engine != "spark"
    {
        let told = check(&engine, "target/engines", Some(&Server::start(Kind::Moto)));
        for line in told.lines() {
            writeln!(std::io::stderr(), "in a bucket: {line}").unwrap();
        }
    }
}

#[test]
fn a_query_is_printed_by_name_and_a_wrong_name_is_met_with_the_nearest() {
    let list = crate::env::stdout(regsql().args(["export", "--queries"]));
    for name in ["growth", "shared-layers", "exclusive-bytes", "graph"] {
        assert!(list.lines().any(|line| line.split(' ').next() == Some(name)), "{list}");
    }
    let query = crate::env::stdout(regsql().args(["export", "--query", "garbage"]));
    assert_eq!(query, include_str!("../../../queries/fleet/garbage.sql"));
    let told = shown(&regsql().args(["export", "--query", "garbages"]).output().unwrap());
    assert!(told.contains("exit 2") && told.contains("hint: did you mean `garbage`?"), "{told}");
}

#[test]
fn the_notebook_of_the_cookbook_runs() {
    let sample = sample::shop();
    exports(&sample.database(), &sample.path().join("lake"), &["--registry", "acme"]);
    let page = include_str!("../../../docs/cookbook.md");
    let block = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let mut command = program(python("target/python").to_str().unwrap());
    command.args(["-c", block]).current_dir(sample.path()).env("HOME", sample.path());
    let told = crate::env::stdout(&mut command);
    assert!(told.contains("acme") && told.contains("grown_bytes"), "{told}");
}

#[test]
fn the_panel_of_the_cookbook_is_a_time_series() {
    let sample = sample::shop();
    let lake = sample.path().join("lake");
    sample.age(3);
    exports(&sample.database(), &lake, &["--registry", "acme"]);
    sample.scan(&[]);
    exports(&sample.database(), &lake, &["--registry", "acme"]);
    let page = include_str!("../../../docs/cookbook.md");
    let panel = page.split("In Grafana, a data source").nth(1).unwrap();
    let panel = panel.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    // What a panel of this kind needs: one column of times in rising order, one of names, one of numbers.
    let script = "import datetime, subprocess, sys, duckdb
lake = duckdb.connect()
lake.execute(subprocess.run([sys.argv[1], 'export', 'lake', '--views', 'duckdb'], check=True, capture_output=True, text=True).stdout)
found = lake.execute(sys.argv[2])
assert [column[0] for column in found.description] == ['time', 'metric', 'value'], found.description
rows = found.fetchall()
assert all(isinstance(time, datetime.datetime) and metric == 'acme' and value > 0 for time, metric, value in rows), rows
assert [time for time, _, _ in rows] == sorted({time for time, _, _ in rows}), rows
print(len(rows), 'points')";
    let mut command = program(python("target/python").to_str().unwrap());
    command.args(["-c", script, REGSQL, panel]).current_dir(sample.path());
    assert_eq!(crate::env::stdout(command.env("HOME", sample.path())), "2 points\n");
}
