//! Times in logs.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::SECOND_NS;

/// RFC 3339, as the registry writes it, in nanoseconds since 1970.
pub fn rfc3339(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// `20/Nov/2025:10:00:00 +0100`, as Apache and those after it write it.
pub fn common_log(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 26 || !text.is_ascii() || bytes[20] != b' ' {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u16>().ok();
    let month = MONTHS.iter().position(|month| *month == &text[3..6])? as i8 + 1;
    let (day, hour, minute, second) =
        (number(0, 2)?, number(12, 14)?, number(15, 17)?, number(18, 20)?);
    let year = number(7, 11)?;
    let civil = DateTime::new(
        year as i16,
        month,
        day as i8,
        hour as i8,
        minute as i8,
        // A leap second.
        second.min(59) as i8,
        0,
    )
    .ok()?;
    let sign = match bytes[21] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let offset = i32::from(number(22, 24)?) * 3600 + i32::from(number(24, 26)?) * 60;
    let time = Offset::from_seconds(sign * offset).ok()?.to_timestamp(civil).ok()?;
    time.as_second().checked_mul(SECOND_NS)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_zones_name_the_same_moment() {
        let utc = rfc3339("2025-11-20T10:00:00Z").unwrap();
        assert_eq!(rfc3339("2025-11-20T11:00:00.000000000+01:00"), Some(utc));
        assert_eq!(common_log("20/Nov/2025:10:00:00 +0000"), Some(utc));
        assert_eq!(common_log("20/Nov/2025:02:00:00 -0800"), Some(utc));
        assert_eq!(common_log("20/Nov/2025:15:30:00 +0530"), Some(utc));
        for wrong in [
            "",
            "20/Nov/2025:10:00:00",
            "32/Nov/2025:10:00:00 +0000",
            "20/Foo/2025:10:00:00 +0000",
            "20/Nov/2025:10:00:00 +9900",
            "é0/Nov/2025:10:00:00 +000",
        ] {
            assert_eq!(common_log(wrong), None, "{wrong}");
        }
    }
}
