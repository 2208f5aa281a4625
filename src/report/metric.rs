//! The gauges that a report declares: `metric:` lines of its header.
//!
//! ```text
//! -- metric: regsql_stale_uploads = count -- uploads without a sign of life for a week
//! -- metric: regsql_stale_upload_bytes = sum size_bytes -- their bytes
//! -- metric: regsql_platform_images{platform} = manifest_count -- images of each platform
//! ```

/// A gauge that a report gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as the data model of Prometheus has names.
    pub name: String,
    /// What its values are.
    pub value: MetricValue,
    /// What it means.
    pub meaning: String,
}

/// Where a gauge's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricValue {
    /// One value: the number of rows.
    Rows,
    /// One value: the sum of a column.
    Sum(String),
    /// A value for each row.
    Each {
        /// The column of the value.
        column: String,
        /// The columns that become labels.
        labels: Vec<String>,
    },
}

/// Endings that Prometheus keeps for counters and histograms.
const RESERVED_ENDINGS: &[&str] = &["_total", "_count", "_sum", "_bucket"];

impl Metric {
    /// `name = count -- meaning`, `name = sum column -- meaning` or
    /// `name{label,label} = column -- meaning`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected `metric: name = count -- meaning`, `name = sum column -- \
                                meaning` or `name{label,label} = column -- meaning`";
        let (declaration, meaning) = text.split_once(" -- ").ok_or(EXPECTED)?;
        let (head, value) = declaration.split_once('=').ok_or(EXPECTED)?;
        let words: Vec<&str> = value.split_whitespace().collect();
        let (name, value) = match (head.trim().split_once('{'), words.as_slice()) {
            (None, ["count"]) => (head.trim(), MetricValue::Rows),
            (None, ["sum", column]) => (head.trim(), MetricValue::Sum((*column).into())),
            (Some((name, labels)), [column]) => {
                let labels = labels.strip_suffix('}').ok_or(EXPECTED)?;
                let labels: Vec<String> =
                    labels.split(',').map(|label| label.trim().to_owned()).collect();
                (name.trim(), MetricValue::Each { column: (*column).into(), labels })
            }
            _ => return Err(EXPECTED.into()),
        };
        check_name(name)?;
        if let MetricValue::Each { labels, .. } = &value {
            check_labels(labels)?;
        }
        Ok(Self { name: name.into(), value, meaning: meaning.trim().into() })
    }

    /// The columns that it needs.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let (value, labels) = match &self.value {
            MetricValue::Rows => (None, &[][..]),
            MetricValue::Sum(column) => (Some(column), &[][..]),
            MetricValue::Each { column, labels } => (Some(column), &labels[..]),
        };
        value.into_iter().chain(labels).map(String::as_str)
    }

    /// How a header writes its value.
    pub(super) fn source(&self) -> String {
        match &self.value {
            MetricValue::Rows => "the number of rows".into(),
            MetricValue::Sum(column) => format!("the sum of `{column}`"),
            MetricValue::Each { column, labels } => {
                format!("`{column}` of each row, with the labels `{}`", labels.join("`, `"))
            }
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if !is_name(name) {
        return Err(format!(
            "`{name}` is not a name for a metric: expected letters, digits and `_`"
        ));
    }
    match RESERVED_ENDINGS.iter().find(|ending| name.ends_with(**ending)) {
        Some(ending) => Err(format!("`{name}` is a gauge: `{ending}` is kept for other kinds")),
        None => Ok(()),
    }
}

fn check_labels(labels: &[String]) -> Result<(), String> {
    for (place, label) in labels.iter().enumerate() {
        if !is_name(label) || label.starts_with("__") {
            return Err(format!("`{label}` is not a name for a label"));
        }
        if labels[..place].contains(label) {
            return Err(format!("label `{label}` is named twice"));
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_a_count_a_sum_or_a_value_for_each_row() {
        let parsed = |text: &str| Metric::parse(text).unwrap();
        assert_eq!(parsed("regsql_rows = count -- rows").value, MetricValue::Rows);
        let sum = parsed("regsql_bytes = sum size_bytes -- bytes");
        assert_eq!(sum.value, MetricValue::Sum("size_bytes".into()));
        let each = parsed("regsql_bytes{kind, media_type} = bytes -- by kind");
        assert_eq!((each.name.as_str(), each.meaning.as_str()), ("regsql_bytes", "by kind"));
        assert_eq!(each.columns().collect::<Vec<_>>(), ["bytes", "kind", "media_type"]);
    }

    #[test]
    fn what_prometheus_would_refuse_is_refused() {
        for text in [
            "regsql_rows = count",
            "regsql_rows -- rows",
            "regsql rows = count -- a blank",
            "9rows = count -- a digit first",
            "größe = count -- not ASCII",
            "regsql_rows_total = count -- a counter's name",
            "regsql_rows = sum -- of nothing",
            "regsql_rows = bytes -- rows without labels are one series",
            "regsql_rows{kind} = count bytes -- two columns",
            "regsql_rows{kind = bytes -- not closed",
            "regsql_rows{} = bytes -- no labels",
            "regsql_rows{__kind} = bytes -- a reserved label",
            "regsql_rows{kind,kind} = bytes -- a label twice",
        ] {
            assert!(Metric::parse(text).is_err(), "{text}");
        }
    }
}
