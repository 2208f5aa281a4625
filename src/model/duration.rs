//! Times as people write them in options and configurations.

use std::time::Duration;

/// `500ms`, `60s`, `10m`, `24h`, `7d`, `2w`.
///
/// # Errors
/// What was expected, for a person.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, u64)] = &[
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
    ];
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .and_then(|(_, size)| number.parse::<u64>().ok()?.checked_mul(*size))
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a time such as 0s, 90s, 10m, 24h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_hours(168)));
        for text in
            ["", "7", "d", "-1s", "1.5h", "1y", "99999999999999999999s", "18446744073709551615w"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
