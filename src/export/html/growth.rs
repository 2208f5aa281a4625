//! How the storage grew: a line over past scans.

use jiff::Timestamp;
use maud::{Markup, html};

use super::PageError;
use super::source::{Row, Source};
use super::table::{self, Sizes};
use crate::report::Gathered;
use crate::ui;

const SQL: &str = include_str!("sql/history.sql");
/// More points than this are closer together than they are wide.
const MAX_POINTS: i64 = 200;

/// A past scan.
struct Point {
    /// Seconds since 1970.
    at: i64,
    time: String,
    blob_bytes: u64,
    garbage_bytes: u64,
}

/// The chart, or why there is none.
pub fn chart(source: &Source<'_>, sizes: Sizes) -> Result<Markup, PageError> {
    let result = source.query("history", SQL, &[("points", MAX_POINTS)])?;
    let points = points(&result);
    Ok(html! {
        @if points.len() < 2 {
            p.none { "The line begins with the second scan into the same database." }
        } @else {
            figure.growth {
                (picture("wide", 1200.0, 280.0, &points, sizes))
                (picture("narrow", 380.0, 240.0, &points, sizes))
                figcaption {
                    ul.legend {
                        li { svg.swatch viewBox="0 0 12 12" aria-hidden="true" {
                            rect.total width="12" height="12" {} } "on disk" }
                        li { svg.swatch viewBox="0 0 12 12" aria-hidden="true" {
                            rect.orphan width="12" height="12" {} } "of it orphan blobs and untagged revisions" }
                    }
                }
            }
        }
        (table::query("regsql sql 'SELECT * FROM scan_history'", &[SQL]))
    })
}

fn points(result: &Gathered) -> Vec<Point> {
    let point = |row: Row<'_>| {
        let time: Timestamp = row.text("finished_at").parse().ok()?;
        let garbage = row.bytes("orphan_bytes").saturating_add(row.bytes("untagged_bytes"));
        Some(Point {
            at: time.as_second(),
            time: row.text("finished_at").to_owned(),
            blob_bytes: row.bytes("blob_bytes"),
            garbage_bytes: garbage,
        })
    };
    Row::all(result).filter_map(point).collect()
}

/// Where the chart's values go.
struct Scale {
    left: f64,
    width: f64,
    bottom: f64,
    height: f64,
    first: i64,
    last: i64,
    most: f64,
}

impl Scale {
    fn x(&self, at: i64) -> f64 {
        let span = self.last.saturating_sub(self.first).max(1) as f64;
        self.left + at.saturating_sub(self.first) as f64 / span * self.width
    }

    fn y(&self, bytes: u64) -> f64 {
        self.bottom - bytes as f64 / self.most * self.height
    }

    /// The corners of a line through `values`.
    fn line(&self, points: &[Point], value: fn(&Point) -> u64) -> String {
        let corners = points
            .iter()
            .map(|point| format!("{:.1},{:.1}", self.x(point.at), self.y(value(point))));
        corners.collect::<Vec<_>>().join(" ")
    }
}

fn picture(screen: &str, width: f64, height: f64, points: &[Point], sizes: Sizes) -> Markup {
    let largest = points.iter().map(|point| point.blob_bytes.max(point.garbage_bytes)).max();
    let step = tick(largest.unwrap_or(0));
    let ticks = largest.unwrap_or(0).div_ceil(step).max(1);
    let (left, right, top, bottom) = (72.0, 14.0, 12.0, 28.0);
    let scale = Scale {
        left,
        width: width - left - right,
        bottom: height - bottom,
        height: height - top - bottom,
        first: points.iter().map(|point| point.at).min().unwrap_or(0),
        last: points.iter().map(|point| point.at).max().unwrap_or(0),
        most: step.saturating_mul(ticks) as f64,
    };
    let whole = scale.line(points, |point| point.blob_bytes);
    let garbage = scale.line(points, |point| point.garbage_bytes);
    let base =
        format!("{:.1},{1} {2:.1},{1}", scale.x(scale.last), scale.bottom, scale.x(scale.first));
    let day = |point: Option<&Point>| {
        point.map_or(String::new(), |point| point.time.chars().take(10).collect())
    };
    html! {
        svg.(screen) viewBox={ "0 0 " (width) " " (height) } role="img"
            aria-label="Bytes on disk over past scans" {
            @for number in 0..=ticks {
                @let y = scale.y(step.saturating_mul(number));
                line.grid x1=(left) x2=(width - right) y1=(format!("{y:.1}")) y2=(format!("{y:.1}")) {}
                text.axis x=(left - 8.0) y=(format!("{:.1}", y + 4.0)) text-anchor="end" {
                    (axis_bytes(step.saturating_mul(number)))
                }
            }
            polygon.total-area points={ (whole) " " (base) } {}
            polygon.garbage-area points={ (garbage) " " (base) } {}
            polyline.total-line points=(whole) {}
            polyline.garbage-line points=(garbage) {}
            @for point in points {
                g.point {
                    title {
                        (ui::time(&point.time).unwrap_or_default()) " — "
                        (sizes.human_sum(point.blob_bytes)) " on disk, "
                        (sizes.human_sum(point.garbage_bytes)) " garbage"
                    }
                    circle cx=(format!("{:.1}", scale.x(point.at)))
                        cy=(format!("{:.1}", scale.y(point.blob_bytes))) r="3" {}
                }
            }
            text.axis x=(left) y=(height - 8.0) { (day(points.first())) }
            text.axis x=(width - right) y=(height - 8.0) text-anchor="end" { (day(points.last())) }
        }
    }
}

/// A power of two of which two to four reach `largest`.
fn tick(largest: u64) -> u64 {
    let mut step: u64 = 1;
    while step.saturating_mul(4) < largest {
        step = step.saturating_mul(2);
    }
    step
}

/// `512 MiB`: powers of two need no digits behind the point.
fn axis_bytes(bytes: u64) -> String {
    ui::bytes(bytes).replace(".000", "").replace(".500", ".5")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_round_figures() {
        assert_eq!((tick(0), tick(4), tick(5)), (1, 1, 2));
        assert_eq!(axis_bytes(tick(6 << 30)), "2 GiB");
        assert_eq!(axis_bytes(3 << 29), "1.5 GiB");
        assert!(tick(u64::MAX) > 0);
    }
}
