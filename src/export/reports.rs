//! The gauges that reports declare in their headers.

use std::collections::HashSet;
use std::io;

use rusqlite::Connection;

use super::error::ExportError;
use super::text::{Family, Number};
use super::{night, process};
use crate::db::Guard;
use crate::report::{
    self, Catalog, Column, End, Metric, MetricValue, ParamKind, Query, Report, RowSink, Value,
};

/// The most rows of a report that become series.
const MAX_SERIES: usize = 1000;

/// Runs every report that declares a metric, and adds what it gives.
pub(super) fn families(
    connection: &Connection,
    guard: &Guard,
    catalog: &Catalog,
    families: &mut Vec<Family>,
) -> Result<(), ExportError> {
    let mut left_out = Family::gauge(
        "regsql_report_rows_not_exported",
        "Rows of a report that became no series: too many, without a value, or labelled twice.",
    );
    let mut taken: HashSet<String> = families.iter().map(|family| family.name().into()).collect();
    let kept = process::NAMES.iter().chain(night::NAMES);
    taken.extend(kept.map(|name| (*name).to_owned()));
    taken.insert(left_out.name().into());
    for report in catalog.reports().filter(|report| !report.header.metrics.is_empty()) {
        for metric in &report.header.metrics {
            if !taken.insert(metric.name.clone()) {
                let (report, metric) = (report.name.clone(), metric.name.clone());
                return Err(ExportError::Taken { report, metric });
            }
        }
        let (each, whole): (Vec<&Metric>, Vec<&Metric>) = report
            .header
            .metrics
            .iter()
            .partition(|metric| matches!(metric.value, MetricValue::Each { .. }));
        if !whole.is_empty() {
            let sink = run(connection, guard, report, &whole, true)?;
            families.extend(sink.gauges.into_iter().map(Gauge::finish));
        }
        if !each.is_empty() {
            let sink = run(connection, guard, report, &each, false)?;
            let count = sink.gauges.iter().map(|gauge| gauge.left_out).max().unwrap_or(0);
            left_out.add(&[("report", &report.name)], count);
            families.extend(sink.gauges.into_iter().map(Gauge::finish));
        }
    }
    families.push(left_out);
    Ok(())
}

/// A count or a sum is over all rows, not over those that a person wants on a screen.
fn run<'r>(
    connection: &Connection,
    guard: &Guard,
    report: &'r Report,
    metrics: &[&'r Metric],
    of_all_rows: bool,
) -> Result<MetricSink<'r>, ExportError> {
    let limits = report.header.params.iter().filter(|param| param.kind == ParamKind::Limit);
    let given: Vec<String> =
        limits.filter(|_| of_all_rows).map(|param| format!("{}=all", param.name)).collect();
    let bound = report::bind_report(&report.name, &report.header.params, &given)
        .map_err(|source| ExportError::Param { report: report.name.clone(), source })?;
    let query = Query {
        name: format!("report `{}`", report.name),
        sql: &report.sql,
        bound,
        columns: &report.header.columns,
        max_rows: None,
        time_limit: None,
    };
    let gauges = metrics.iter().map(|metric| Gauge::new(metric)).collect();
    let mut sink = MetricSink { gauges };
    report::run(connection, guard, &query, &mut sink)
        .map_err(|source| ExportError::Report { report: report.name.clone(), source })?;
    Ok(sink)
}

/// Makes gauges of the rows of one report.
struct MetricSink<'r> {
    gauges: Vec<Gauge<'r>>,
}

struct Gauge<'r> {
    metric: &'r Metric,
    family: Family,
    /// Where the value stands in a row.
    column: Option<usize>,
    /// The labels, and where their texts stand in a row.
    labels: Vec<(&'r str, usize)>,
    rows: i64,
    sum: f64,
    seen: HashSet<Vec<String>>,
    left_out: i64,
}

impl<'r> Gauge<'r> {
    fn new(metric: &'r Metric) -> Self {
        Self {
            metric,
            family: Family::gauge(&metric.name, &metric.meaning),
            column: None,
            labels: Vec::new(),
            rows: 0,
            sum: 0.0,
            seen: HashSet::new(),
            left_out: 0,
        }
    }

    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        let metric = self.metric;
        let place = |name: &str| {
            columns.iter().position(|column| column.name == name).ok_or_else(|| {
                io::Error::other(format!("metric `{}`: no column `{name}`", metric.name))
            })
        };
        match &metric.value {
            MetricValue::Rows => {}
            MetricValue::Sum(column) => self.column = Some(place(column)?),
            MetricValue::Each { column, labels } => {
                self.column = Some(place(column)?);
                for label in labels {
                    self.labels.push((label, place(label)?));
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) {
        self.rows += 1;
        let number = self.column.and_then(|column| number(&values[column]));
        if !matches!(self.metric.value, MetricValue::Each { .. }) {
            self.sum += match number {
                Some(Number::Integer(number)) => number as f64,
                Some(Number::Real(number)) => number,
                None => 0.0,
            };
            return;
        }
        let texts = || self.labels.iter().map(|(_, column)| text(&values[*column])).collect();
        match number {
            // Prometheus refuses a whole scrape for two series with the same labels.
            Some(number) if self.seen.len() < MAX_SERIES && self.seen.insert(texts()) => {
                let texts: Vec<String> = texts();
                let labels: Vec<(&str, &str)> = self
                    .labels
                    .iter()
                    .zip(&texts)
                    .map(|((label, _), text)| (*label, text.as_str()))
                    .collect();
                self.family.add(&labels, number);
            }
            _ => self.left_out += 1,
        }
    }

    fn finish(mut self) -> Family {
        match self.metric.value {
            MetricValue::Rows => self.family.add(&[], self.rows),
            MetricValue::Sum(_) => self.family.add(&[], self.sum),
            MetricValue::Each { .. } => {}
        }
        self.family
    }
}

impl RowSink for MetricSink<'_> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.gauges.iter_mut().try_for_each(|gauge| gauge.begin(columns))
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        self.gauges.iter_mut().for_each(|gauge| gauge.row(values));
        Ok(())
    }

    fn end(&mut self, _end: End) -> io::Result<()> {
        Ok(())
    }
}

fn number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Integer(number) => Some(Number::Integer(*number)),
        Value::Real(number) => Some(Number::Real(*number)),
        Value::Null | Value::Text(_) | Value::Blob(_) => None,
    }
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.as_ref().to_owned(),
        Value::Blob(bytes) => report::hex(bytes),
    }
}
