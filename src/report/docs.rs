//! docs/reports.md, from the reports' own headers.

use std::fmt::Write as _;

use super::catalog::{Catalog, Report};
use super::header::Selects;

/// All reports as one markdown page.
pub fn reports_markdown(catalog: &Catalog) -> String {
    let mut page = String::from(PREFACE);
    for report in catalog.reports() {
        let summary = report.header.summary.trim_end_matches('.');
        let _infallible = writeln!(page, "- [`{0}`](#{0}): {summary}", report.name);
    }
    for report in catalog.reports() {
        page.push('\n');
        section(&mut page, report);
    }
    page.push('\n');
    page.push_str(OWN_REPORTS);
    page
}

fn section(page: &mut String, report: &Report) {
    let header = &report.header;
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("## {}\n", report.name));
    line(format!("**{}.** {}.\n", header.title, header.summary.trim_end_matches('.')));
    if !header.prose.is_empty() {
        line(format!("{}\n", header.prose));
    }
    if let Some(selects) = header.selects {
        let what_if = match selects {
            Selects::Blobs | Selects::Uploads | Selects::LayerLinks | Selects::TagHistory => "",
            _ => "`--what-if` and ",
        };
        line(format!("Selects {} for {what_if}`regsql prune`.\n", selects.name()));
    }
    for metric in &header.metrics {
        line(format!("Metric `{}`: {} ({}).\n", metric.name, metric.meaning, metric.source()));
    }
    if !header.params.is_empty() {
        line("| parameter | type | default | meaning |\n|---|---|---|---|".into());
        for param in &header.params {
            let default =
                param.default.as_ref().map_or("(must be given)".into(), |text| format!("`{text}`"));
            let kind = param.kind.to_string().replace('|', "\\|");
            line(format!("| `{}` | {kind} | {default} | {} |", param.name, param.meaning));
        }
        line(String::new());
    }
    line("| column | unit | meaning |\n|---|---|---|".into());
    for column in &header.columns {
        line(format!("| `{}` | {} | {} |", column.name, column.unit.name(), column.meaning));
    }
}

const PREFACE: &str = "\
<!-- Made from queries/*.sql by `REGSQL_UPDATE=1 cargo test docs`; a test keeps it fresh. -->
# Reports

`regsql report NAME` runs one, `-p name=value` sets a parameter, `--sql` prints the query. Each is one
file in `queries/` that the stock `sqlite3` shell runs as it stands (a parameter that is not set is
NULL there, and the query falls back to the default):

```console
$ regsql report rare-layers -p limit=5
$ regsql report rare-layers --sql | sqlite3 -box registry.db
```

Three sorts of bytes, never mixed: **logical** is everything that a thing reaches, **exclusive** is
what nothing else reaches, so deleting it frees that, and **shared** is the rest, which stays. The
exclusive bytes of two things do not add up to what deleting both frees: a blob that just these two
share is exclusive to neither.

";

const OWN_REPORTS: &str = "\
## Your own reports

Put `.sql` files in a directory and name it with `--reports DIR` or `REGSQL_REPORTS`. The file's
name is the report's name; one that is named like a built-in report stands in for it. The file
begins with a header of comment lines:

```sql
-- title: Tags that a person made
-- summary: Tags that no version scheme made, largest first
-- param: limit limit = 20 -- rows to show
-- column: repository text -- the repository
-- column: tag text -- the tag
-- column: exclusive_bytes bytes -- freed by deleting this tag alone
-- selects: tags
--
-- Markdown: how to read it.
SELECT repository, tag, exclusive_bytes
FROM tags
WHERE version_key IS NULL
ORDER BY exclusive_bytes DESC, repository, tag
LIMIT COALESCE(:limit, 20)
```

| key | value |
|---|---|
| `title` | the heading; the only key that must be there |
| `summary` | what it answers, in one sentence |
| `param` | `name type [N..] [= default] -- meaning`; types: `integer`, `limit` (a number or `all`), `bytes` (`10GiB`), `days` (`30`, `4w`), `text`, `glob`, `digest`, or words such as `version\\|pushed`; without a default it must be given |
| `column` | `name unit -- meaning`; units: `text`, `bytes`, `count`, `number`, `digest`, `time`, `duration_ms`, `flag`, `command`; a column that is not declared has the unit that its name tells (`*_bytes`, `*_count`, `*_at`, `*_digest`) |
| `total` | columns whose sum means something; never those whose rows share bytes |
| `group` | a column whose value a table shows only where it changes |
| `bar` | columns of bytes beside which a table on a terminal draws bars, where there is room |
| `selects` | what `prune` deletes of it: `tags`, `revisions`, `repositories`, `layers`, `blobs`, `uploads` or `layer-links` |
| `next` | `command -- meaning`: shown under the table |
| `next-from` | a report whose rows (`command`, `meaning`, and perhaps bytes) are shown there too |
| `notices-from` | a report that takes the same parameters; its column `notice` says what limits the rows, in every command that uses them |
| `metric` | a gauge for `regsql metrics` and `regsql serve`: `name = count -- meaning` (the number of rows), `name = sum column -- meaning`, or `name{label,label} = column -- meaning` (a series for each row); the columns are declared ones |

Any other key is an error that names the file and the line.

A report with a metric runs with the defaults of its parameters, except that for a count or a sum a
`limit` is `all`. Of a metric with labels the first 1000 rows are exported, and
`regsql_report_rows_not_exported` counts the others.

## How cells are written

| format | names with control characters | NULL | sizes, times |
|---|---|---|---|
| `table`, `markdown` | shown as `\\x1b`, `\\n`, `\\u{202e}`; markdown also escapes its own marks | empty | `1.234 GiB`, `2026-01-31 12:00Z` |
| `json`, `ndjson` | as `\\u001b`, also what JSON itself would leave alone (C1 controls, bidi marks) | `null` | integers, RFC 3339 |
| `csv`, `tsv` | as they are, quoted (on a terminal as in a table) | empty | integers, RFC 3339 |

In `csv` and `tsv` a text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return gets a leading
apostrophe, so that a spreadsheet does not take a name from the registry for a formula. Use `json` for
the exact text.
";
