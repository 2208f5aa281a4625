//! Whoever may push chooses names: nothing they wrote acts on a terminal, breaks out of a format or
//! becomes a formula. docs/security.md promises it.

mod damage;
mod trees;

use quick_xml::Reader;
use quick_xml::events::Event;
use regsql::sample::RegistryBuilder;

/// Names that attack whatever shows them. As a tag they are a directory's name, so they hold no `/`.
const HOSTILE: &[&str] = &[
    // Sets the clipboard, clears the screen, forges a line, hides and reorders text.
    "\u{1b}]52;c;aGk=\u{7}",
    "\u{1b}[2J\u{9b}31m",
    "two\r\nlines\ttab",
    "\u{202e}gpj.exe\u{200b}",
    // A formula in a spreadsheet, a cell in a CSV file, a cell in a markdown table.
    "=cmd|' C calc'!A0",
    "@SUM(1)",
    "a\",\"b",
    "a|b`c[x](javascript:alert)",
    // Mark-up, a label of a metric, an end of a script.
    "<img src=x onerror=alert(1)>",
    "x\"} 1\n# HELP",
    "]]>&amp;<!--",
    "{{7*7}}${7*7}",
];

/// A format, a command that shows names in it, and what its output must hold to.
type Surface = (&'static str, &'static [&'static str], fn(&str));

/// What shows names. A new format adds a line.
const SURFACES: &[Surface] = &[
    ("table", &["report", "tags", "-p", "limit=all"], nothing_active),
    ("table", &["report", "layer-commands", "-p", "limit=all"], nothing_active),
    ("table", &["report", "problems", "-p", "limit=all"], nothing_active),
    ("table", &["verify"], nothing_active),
    ("json", &["report", "tags", "-p", "limit=all", "-f", "json"], json),
    ("json", &["report", "layer-commands", "-p", "limit=all", "-f", "json"], json),
    ("json", &["verify", "-f", "json"], json),
    ("ndjson", &["report", "tags", "-p", "limit=all", "-f", "ndjson"], ndjson),
    ("csv", &["report", "tags", "-p", "limit=all", "-f", "csv"], csv),
    ("csv", &["report", "layer-commands", "-p", "limit=all", "-f", "csv"], csv),
    ("csv", &["verify", "-f", "csv"], csv),
    ("tsv", &["report", "tags", "-p", "limit=all", "-f", "tsv"], tsv),
    ("markdown", &["report", "tags", "-p", "limit=all", "-f", "markdown"], markdown),
    ("markdown", &["report", "layer-commands", "-p", "limit=all", "-f", "markdown"], markdown),
    ("markdown", &["verify", "-f", "markdown"], markdown),
    ("plan", &["prune", "tags", "-p", "limit=all", "--min-age", "0s", "-f", "json"], json),
    ("sarif", &["verify", "-f", "sarif"], json),
    ("junit", &["verify", "-f", "junit"], xml),
    ("html", &["html", "-o", "-"], html),
    ("metrics", &["metrics", "--per-tag", "all"], metrics),
    ("plan", &["prune", "--sql", "SELECT repository, tag FROM tags", "--all"], nothing_active),
    ("plan", &["prune", "--sql", "SELECT repository, tag FROM tags", "-f", "json"], json),
];

#[test]
fn names_from_the_registry_are_shown_and_do_nothing() {
    let directory = tempfile::tempdir().unwrap();
    registry().write_to(&directory.path().join("registry")).unwrap();
    let run = |arguments: &[&str]| {
        let output = crate::env::regsql_in(directory.path(), arguments).output().unwrap();
        assert!(output.status.code() != Some(2), "{}", String::from_utf8_lossy(&output.stderr));
        nothing_active(&String::from_utf8(output.stderr).unwrap());
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["scan", "registry"]);
    for (format, arguments, check) in SURFACES {
        let out = run(arguments);
        assert!(out.contains("onerror"), "{format}: {arguments:?} shows no hostile name: {out}");
        check(&out);
    }
}

/// Tags, repositories, labels, build commands and stray files with hostile names.
fn registry() -> RegistryBuilder {
    let mut registry = RegistryBuilder::new();
    for name in HOSTILE {
        let mut image = |repository: &str, tag: &str, command: &str| {
            let layer = registry.layer(&format!("{repository}:{tag}"), 1_000);
            let image = registry.image(repository).layers([&layer]).label(name, name);
            image.created_by([command]).push_tag(tag)
        };
        image("team/app", name, name);
        image(&format!("team/{name}"), "1.0", &format!("RUN {name}</script>"));
    }
    registry
}

/// Nothing but what is seen, and ends of lines.
fn nothing_active(text: &str) {
    let is_active = |char: char| {
        (char.is_control() && char != '\n')
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
    };
    let active: Vec<char> = text.chars().filter(|char| is_active(*char)).collect();
    assert!(active.is_empty(), "{active:?} in {text}");
    // A name with an end of line in it is one line.
    assert!(!text.lines().any(|line| line.starts_with("lines")), "{text}");
}

fn json(text: &str) {
    nothing_active(text);
    serde_json::from_str::<serde_json::Value>(text).unwrap();
}

/// Mark-up from a name is text, and no name ends the page's script.
fn html(text: &str) {
    assert!(!text.contains("<img") && text.contains("&lt;img"), "{text}");
    assert_eq!(text.matches("</script>").count(), text.matches("<script").count());
    assert_eq!(text.matches("<!--").count(), 0, "{text}");
}

/// A name stays in its label: every line is a comment or a series of regsql or of the old exporter.
fn metrics(text: &str) {
    for line in text.lines() {
        let is_known = ["# HELP re", "# TYPE re", "regsql_", "repository_"];
        assert!(is_known.iter().any(|start| line.starts_with(start)), "{line}");
    }
}

fn ndjson(text: &str) {
    nothing_active(text);
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

fn csv(text: &str) {
    separated(text, b',');
}

fn tsv(text: &str) {
    separated(text, b'\t');
}

/// Values are exact in a pipe, but each is one cell and none a formula.
fn separated(text: &str, delimiter: u8) {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let mut cells = 0;
    // A record with more or fewer cells than the header is an error.
    for record in reader.records() {
        for cell in &record.unwrap() {
            assert!(!cell.starts_with(['=', '@', '+', '\t', '\r']), "{cell}");
            cells += 1;
        }
    }
    assert!(cells > HOSTILE.len());
}

fn markdown(text: &str) {
    nothing_active(text);
    assert!(!text.contains(['<', '>']), "HTML in {text}");
    assert!(!text.contains("[x]"), "a link in {text}");
    // Every row of a table has as many cells.
    for table in text.split("\n\n") {
        let rows = table.lines().filter(|line| line.starts_with('|'));
        let widths = rows.map(|row| row.replace("\\|", "").matches('|').count());
        let widths: std::collections::BTreeSet<usize> = widths.collect();
        assert!(widths.len() <= 1, "{widths:?} in {table}");
    }
}

fn xml(text: &str) {
    nothing_active(text);
    let mut reader = Reader::from_str(text);
    let names = ["testsuites", "testsuite", "testcase", "failure", "system-out"];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => assert!(names.contains(&tag.name().as_ref()), "{tag:?}"),
            Event::Comment(comment) => panic!("{comment:?}"),
            Event::CData(data) => panic!("{data:?}"),
            Event::Eof => break,
            _ => {}
        }
    }
}
