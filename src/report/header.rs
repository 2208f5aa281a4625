//! The header of a report file: leading `-- key: value` lines, an empty comment, then prose.
//!
//! ```text
//! -- title: Layers that few images need
//! -- summary: Large layers that few manifests name
//! -- param: limit limit = 20 -- rows to show
//! -- column: size_bytes bytes -- the layer's bytes on disk
//! -- total: size_bytes
//! -- selects: layers
//! -- next: regsql report layer-images -p digest=DIGEST -- who holds one of them
//! -- metric: regsql_rare_layer_bytes = sum size_bytes -- their bytes
//! --
//! -- Prose in markdown: how to read it, what to do about it.
//! SELECT …
//! ```

use super::metric::Metric;
use super::params::Param;
use super::rowset::Unit;

/// What a report says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// Its heading.
    pub title: String,
    /// What it shows, in one sentence.
    pub summary: String,
    /// What it takes.
    pub params: Vec<Param>,
    /// What it gives.
    pub columns: Vec<ColumnSpec>,
    /// The columns whose sum means something.
    pub totals: Vec<String>,
    /// A column whose value a table shows only where it changes.
    pub group: Option<String>,
    /// Columns of bytes beside which a table draws bars, for sizes that are worth comparing.
    pub bars: Vec<String>,
    /// What `prune` would delete of it.
    pub selects: Option<Selects>,
    /// What to do next.
    pub next: Vec<NextStep>,
    /// A report whose rows (`command`, `meaning` and perhaps bytes) say what to do next.
    pub next_from: Option<String>,
    /// The report whose column `notice` says what limits this one; it takes this one's parameters.
    pub notices_from: Option<String>,
    /// The gauges that monitoring gets of it.
    pub metrics: Vec<Metric>,
    /// How to read it: markdown.
    pub prose: String,
}

/// A column that a report gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub unit: Unit,
    /// What it means.
    pub meaning: String,
}

/// A command that is worth a try after a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// The command line.
    pub command: String,
    /// What it does.
    pub meaning: String,
}

/// What the rows of a report name, so that `prune` can delete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selects {
    /// `repository`, `tag`
    Tags,
    /// `repository`, `manifest_digest`
    Revisions,
    /// `repository`
    Repositories,
    /// `layer_digest`
    Layers,
    /// `blob_digest`
    Blobs,
    /// `repository`, `upload_id`
    Uploads,
    /// `repository`, `link_digest`
    LayerLinks,
    /// `repository`, `history_tag`, `history_digest`
    TagHistory,
}

impl Selects {
    /// All, with their names in headers.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("tags", Self::Tags),
        ("revisions", Self::Revisions),
        ("repositories", Self::Repositories),
        ("layers", Self::Layers),
        ("blobs", Self::Blobs),
        ("uploads", Self::Uploads),
        ("layer-links", Self::LayerLinks),
        ("tag-history", Self::TagHistory),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, selects)| *selects == self).map_or("", |(name, _)| name)
    }

    /// The columns that a row must have to name one.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Tags => &["repository", "tag"],
            Self::Revisions => &["repository", "manifest_digest"],
            Self::Repositories => &["repository"],
            Self::Layers => &["layer_digest"],
            Self::Blobs => &["blob_digest"],
            Self::Uploads => &["repository", "upload_id"],
            Self::LayerLinks => &["repository", "link_digest"],
            Self::TagHistory => &["repository", "history_tag", "history_digest"],
        }
    }
}

/// A header that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct HeaderError {
    /// The report's file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl HeaderError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(
            "a report begins with `-- title: …`; see docs/reports.md, or copy from \
             `regsql report overview --sql`"
                .into(),
        )
    }
}

const KEYS: &[&str] = &[
    "title",
    "summary",
    "param",
    "column",
    "total",
    "group",
    "bar",
    "selects",
    "next",
    "next-from",
    "notices-from",
    "metric",
];

impl Header {
    /// Reads the header of a report; `file` is for messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, HeaderError> {
        let mut header = Self::default();
        let mut prose: Option<Vec<&str>> = None;
        for (index, line) in text.lines().enumerate() {
            let Some(comment) = line.strip_prefix("--") else {
                break;
            };
            let comment = comment.strip_prefix(' ').unwrap_or(comment).trim_end();
            let error =
                |message: String| HeaderError { file: file.to_owned(), line: index + 1, message };
            match &mut prose {
                Some(lines) => lines.push(comment),
                None if comment.is_empty() => prose = Some(Vec::new()),
                None => header.take_line(comment).map_err(error)?,
            }
        }
        prose.unwrap_or_default().join("\n").trim().clone_into(&mut header.prose);
        header.check().map_err(|message| HeaderError {
            file: file.to_owned(),
            line: 1,
            message,
        })?;
        Ok(header)
    }

    fn take_line(&mut self, comment: &str) -> Result<(), String> {
        let (key, value) = comment
            .split_once(':')
            .ok_or("expected `key: value`, or an empty `--` before the prose")?;
        let value = value.trim();
        match key {
            "title" => set_once(&mut self.title, key, value)?,
            "summary" => set_once(&mut self.summary, key, value)?,
            "param" => {
                let param = Param::parse(value)?;
                if self.params.iter().any(|known| known.name == param.name) {
                    return Err(format!("parameter `{}` is declared twice", param.name));
                }
                self.params.push(param);
            }
            "column" => self.columns.push(parse_column(value)?),
            "total" => self.totals.extend(value.split_whitespace().map(str::to_owned)),
            "group" => self.group = Some(value.to_owned()),
            "bar" => self.bars.extend(value.split_whitespace().map(str::to_owned)),
            "next-from" => self.next_from = Some(value.to_owned()),
            "notices-from" => self.notices_from = Some(value.to_owned()),
            "selects" => {
                let found = Selects::NAMES.iter().find(|(name, _)| *name == value);
                let names: Vec<_> = Selects::NAMES.iter().map(|(name, _)| *name).collect();
                let (_, selects) = found.ok_or_else(|| {
                    format!("`{value}` cannot be selected; known: {}", names.join(", "))
                })?;
                self.selects = Some(*selects);
            }
            "next" => {
                let (command, meaning) =
                    value.split_once(" -- ").ok_or("expected `next: command -- meaning`")?;
                self.next.push(NextStep { command: command.into(), meaning: meaning.into() });
            }
            "metric" => {
                let metric = Metric::parse(value)?;
                if self.metrics.iter().any(|known| known.name == metric.name) {
                    return Err(format!("metric `{}` is declared twice", metric.name));
                }
                self.metrics.push(metric);
            }
            unknown => {
                return Err(format!("unknown key `{unknown}`; known: {}", KEYS.join(", ")));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.title.is_empty() {
            return Err("no `-- title:`".into());
        }
        let is_declared = |name: &str| self.columns.iter().any(|column| column.name == name);
        for total in &self.totals {
            if !self.columns.is_empty() && !is_declared(total) {
                return Err(format!("total of `{total}`, which is not a declared column"));
            }
        }
        for bar in &self.bars {
            let is_bytes = |column: &ColumnSpec| column.name == *bar && column.unit == Unit::Bytes;
            if !self.columns.is_empty() && !self.columns.iter().any(is_bytes) {
                return Err(format!("bar of `{bar}`, which is not a declared column of bytes"));
            }
        }
        for metric in &self.metrics {
            if let Some(column) = metric.columns().find(|column| !is_declared(column)) {
                let name = &metric.name;
                return Err(format!("metric `{name}` needs a declared column `{column}`"));
            }
        }
        if !self.metrics.is_empty()
            && let Some(param) = self.params.iter().find(|param| param.default.is_none())
        {
            return Err(format!(
                "a metric is worked out with the defaults, and `{}` has none",
                param.name
            ));
        }
        for name in self.selects.map_or(&[][..], Selects::columns) {
            if !self.columns.is_empty() && !is_declared(name) {
                let selects = self.selects.map_or("", Selects::name);
                return Err(format!("a report that selects {selects} needs a column `{name}`"));
            }
        }
        Ok(())
    }
}

fn set_once(field: &mut String, key: &str, value: &str) -> Result<(), String> {
    if !field.is_empty() {
        return Err(format!("a second `{key}`"));
    }
    value.clone_into(field);
    Ok(())
}

/// `name unit -- meaning`
fn parse_column(value: &str) -> Result<ColumnSpec, String> {
    let (declaration, meaning) = value.split_once(" -- ").unwrap_or((value, ""));
    let mut words = declaration.split_whitespace();
    let (Some(name), Some(unit), None) = (words.next(), words.next(), words.next()) else {
        return Err("expected `column: name unit -- meaning`".into());
    };
    let unit = Unit::by_name(unit).ok_or_else(|| {
        let names: Vec<_> = Unit::NAMES.iter().map(|(name, _)| *name).collect();
        format!("unknown unit `{unit}`; known: {}", names.join(", "))
    })?;
    Ok(ColumnSpec { name: name.into(), unit, meaning: meaning.trim().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_a_report_takes_gives_and_selects() {
        let header = Header::parse(
            "x.sql",
            "-- title: T\n-- param: limit limit = 20 -- rows\n-- column: repository text -- r\n\
             -- column: tag text -- t\n-- selects: tags\n--\n-- Read *this*.\n--\n-- And this.\nSELECT 1",
        )
        .unwrap();
        assert_eq!(header.title, "T");
        assert_eq!(header.params[0].name, "limit");
        assert_eq!(header.selects, Some(Selects::Tags));
        assert_eq!(header.prose, "Read *this*.\n\nAnd this.");
    }

    #[test]
    fn what_is_not_understood_is_named_with_file_and_line() {
        let message = |text: &str| Header::parse("x.sql", text).unwrap_err().to_string();
        assert_eq!(
            message("-- title: T\n-- titel: U\nSELECT 1"),
            "x.sql:2: unknown key `titel`; known: title, summary, param, column, total, group, bar, selects, next, next-from, notices-from, metric"
        );
        assert_eq!(message("SELECT 1"), "x.sql:1: no `-- title:`");
        assert!(message("-- title: T\n-- column: a parsecs\n").contains("x.sql:2: unknown unit"));
        assert!(
            message("-- title: T\n-- column: tag text\n-- bar: tag\n")
                .contains("bar of `tag`, which is not a declared column of bytes")
        );
        assert!(message("-- title: T\n-- title: U\n").contains("a second `title`"));
        assert!(
            message("-- title: T\n-- column: tag text\n-- selects: tags\n")
                .contains("needs a column `repository`")
        );
        assert!(
            message("-- title: T\n-- metric: m = sum bytes -- b\n")
                .contains("metric `m` needs a declared column `bytes`")
        );
        assert!(
            message("-- title: T\n-- param: d digest -- a digest\n-- metric: m = count -- rows\n")
                .contains("`d` has none")
        );
    }
}
