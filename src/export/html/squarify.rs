//! The squarified treemap layout of Bruls, Huizing and van Wijk (2000): areas in proportion to
//! values, in boxes that are as near to squares as they get.

/// A box in the picture, in its units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Area {
    /// The same without a margin on each side; what is too small becomes empty.
    pub fn inset(self, left: f64, top: f64, right: f64, bottom: f64) -> Self {
        Self {
            x: self.x + left,
            y: self.y + top,
            width: (self.width - left - right).max(0.0),
            height: (self.height - top - bottom).max(0.0),
        }
    }

    fn shorter_side(self) -> f64 {
        self.width.min(self.height)
    }
}

/// Divides `whole` in proportion to `values`, which come largest first; one area for each value.
pub fn squarify(values: &[u64], whole: Area) -> Vec<Area> {
    let sum: f64 = values.iter().map(|value| *value as f64).sum();
    let scale = if sum > 0.0 { whole.width * whole.height / sum } else { 0.0 };
    let sizes: Vec<f64> = values.iter().map(|value| *value as f64 * scale).collect();
    let mut areas = Vec::with_capacity(sizes.len());
    let mut rest = whole;
    let mut start = 0;
    while start < sizes.len() {
        let side = rest.shorter_side();
        let mut end = start + 1;
        while end < sizes.len()
            && worst_ratio(&sizes[start..=end], side) <= worst_ratio(&sizes[start..end], side)
        {
            end += 1;
        }
        rest = lay_row(&sizes[start..end], rest, &mut areas);
        start = end;
    }
    areas
}

/// The longest box of a row along a side of this length, as long side to short side.
fn worst_ratio(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let (largest, smallest) = (row[0], row[row.len() - 1]);
    if sum <= 0.0 || smallest <= 0.0 || side <= 0.0 {
        return f64::INFINITY;
    }
    let square = side * side;
    (square * largest / (sum * sum)).max(sum * sum / (square * smallest))
}

/// Lays a row along the shorter side of `rest`, and gives what is left of it.
fn lay_row(row: &[f64], rest: Area, areas: &mut Vec<Area>) -> Area {
    let sum: f64 = row.iter().sum();
    let side = rest.shorter_side();
    let depth = if side > 0.0 { sum / side } else { 0.0 };
    let is_wide = rest.width >= rest.height;
    let mut offset = 0.0;
    for size in row {
        let length = if depth > 0.0 { size / depth } else { 0.0 };
        areas.push(if is_wide {
            Area { x: rest.x, y: rest.y + offset, width: depth, height: length }
        } else {
            Area { x: rest.x + offset, y: rest.y, width: length, height: depth }
        });
        offset += length;
    }
    if is_wide { rest.inset(depth, 0.0, 0.0, 0.0) } else { rest.inset(0.0, depth, 0.0, 0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Area = Area { x: 0.0, y: 0.0, width: 6.0, height: 4.0 };

    #[test]
    fn areas_are_in_proportion_and_nearly_square() {
        // The example of the paper.
        let areas = squarify(&[6, 6, 4, 3, 2, 2, 1], WHOLE);
        let sizes: Vec<f64> = areas.iter().map(|area| area.width * area.height).collect();
        for (size, value) in sizes.iter().zip([6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0]) {
            assert!((size - value).abs() < 1e-9, "{sizes:?}");
        }
        assert_eq!(areas[0], Area { x: 0.0, y: 0.0, width: 3.0, height: 2.0 });
        for area in &areas {
            let ratio = (area.width / area.height).max(area.height / area.width);
            assert!(ratio < 3.1, "{area:?}");
        }
    }

    #[test]
    fn nothing_and_zeroes_and_one_giant_are_laid_out_too() {
        assert_eq!(squarify(&[], WHOLE), []);
        assert_eq!(squarify(&[7], WHOLE), [WHOLE]);
        for values in [&[0, 0][..], &[u64::MAX, 1, 0], &[5, 0, 0]] {
            for area in squarify(values, WHOLE) {
                let edges = [area.x, area.y, area.width, area.height];
                assert!(edges.iter().all(|edge| edge.is_finite() && *edge >= 0.0), "{area:?}");
            }
        }
        let flat = Area { height: 0.0, ..WHOLE };
        assert!(squarify(&[3, 2], flat).iter().all(|area| area.width.is_finite()));
    }
}
