//! How many series of each kind a monitoring system gets.

use clap::Args;

use crate::export::{MetricsOptions, SeriesLimit};

/// Bounds on what is exported.
#[derive(Args, Clone, Copy, Debug)]
pub struct SeriesArgs {
    /// Tags with series of their own: all, none, or top=N for the N with the most logical bytes
    #[arg(long, value_name = "top=N|all|none", default_value = "top=1000")]
    #[arg(value_parser = parse_series_limit)]
    pub per_tag: SeriesLimit,
    /// Repositories with series of their own, in the same way
    #[arg(long, value_name = "top=N|all|none", default_value = "top=10000")]
    #[arg(value_parser = parse_series_limit)]
    pub per_repository: SeriesLimit,
}

impl From<SeriesArgs> for MetricsOptions {
    fn from(args: SeriesArgs) -> Self {
        Self { per_tag: args.per_tag, per_repository: args.per_repository }
    }
}

/// `all`, `none`, `top=1000`; also `top 1000` and the number alone.
fn parse_series_limit(text: &str) -> Result<SeriesLimit, String> {
    match text {
        "all" => return Ok(SeriesLimit::All),
        "none" => return Ok(SeriesLimit::None),
        _ => {}
    }
    let number =
        text.strip_prefix("top").map_or(text, |rest| rest.strip_prefix(['=', ' ']).unwrap_or(""));
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let count = number.parse().ok().filter(|_| is_number);
    count.map(SeriesLimit::Top).ok_or_else(|| "expected all, none, or such as top=1000".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_on_series_is_all_none_or_so_many() {
        assert_eq!(parse_series_limit("all"), Ok(SeriesLimit::All));
        assert_eq!(parse_series_limit("none"), Ok(SeriesLimit::None));
        for text in ["top=20", "top 20", "20"] {
            assert_eq!(parse_series_limit(text), Ok(SeriesLimit::Top(20)), "{text}");
        }
        for text in ["", "top", "top=", "top20", "+20", "-1", "top=all", "1e3", "99999999999"] {
            assert!(parse_series_limit(text).is_err(), "{text}");
        }
    }
}
