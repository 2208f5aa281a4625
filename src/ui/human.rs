//! Figures as a person reads them.

/// `512 B`, `1.234 GiB`: binary units, as disks are counted by those who run out of one. No more than an
/// `i64` holds is shown.
pub fn bytes(count: impl TryInto<i64>) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let count = count.try_into().unwrap_or(i64::MAX);
    if count.unsigned_abs() < 1024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    // 1023.9996 would be shown as 1024.000.
    while size.abs() >= 1023.9995 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.3} {}", UNITS[unit])
}

/// `640 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration_ms(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        60_000..3_600_000 => {
            format!("{} min {} s", milliseconds / 60_000, milliseconds / 1000 % 60)
        }
        _ => format!("{} h {} min", milliseconds / 3_600_000, milliseconds / 60_000 % 60),
    }
}

/// `3 minutes ago`: when something was, roughly. What a clock that was ahead dated into the future is
/// called that; two machines may differ by a minute.
pub fn ago(seconds: i64) -> String {
    match seconds {
        ..-60 => format!("{} in the future (a clock was or is wrong)", age(-seconds)),
        _ => format!("{} ago", age(seconds)),
    }
}

/// `3 minutes`, `1 day`: how long something is, roughly.
pub fn age(seconds: i64) -> String {
    const UNITS: &[(i64, &str)] =
        &[(86_400 * 365, "year"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let seconds = seconds.max(0);
    let (size, name) = UNITS.iter().find(|(size, _)| seconds >= *size).unwrap_or(&(1, "second"));
    let count = seconds / size;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// `2026-01-31 12:00Z` from RFC 3339 in UTC; anything else stays as it is.
pub fn time(text: &str) -> Option<String> {
    let minutes = text.get(..16)?;
    let is_rfc3339 = minutes.as_bytes()[10] == b'T' && text.ends_with('Z') && text.len() >= 20;
    is_rfc3339.then(|| format!("{} {}Z", &minutes[..10], &minutes[11..]))
}

/// `sha256:` and twelve hex digits; anything else stays as it is.
pub fn short_digest(text: &str) -> &str {
    let is_sha256 = text.len() == 71 && text.starts_with("sha256:");
    if is_sha256 { text.get(..19).unwrap_or(text) } else { text }
}

/// A word that fits into `width` columns: its beginning, an ellipsis, and its end, which is where
/// paths and names differ.
pub fn fold(word: &str, width: usize) -> String {
    let count = word.chars().count();
    if count <= width {
        return word.to_owned();
    }
    let kept = width.saturating_sub(1);
    let end = kept.div_ceil(2);
    let beginning: String = word.chars().take(kept - end).collect();
    let end: String = word.chars().skip(count - end).collect();
    format!("{beginning}…{end}")
}

/// A sentence in lines of at most `width` columns, broken at blanks alone.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A column's heading: `untagged_revision_count` is `untagged revisions`.
pub fn heading(name: &str) -> String {
    let name = name.strip_prefix("is_").unwrap_or(name);
    let stem = ["_bytes", "_at"].iter().find_map(|suffix| name.strip_suffix(suffix));
    if let Some(stem) = stem {
        return stem.replace('_', " ");
    }
    match name.strip_suffix("_count") {
        Some(stem) => {
            let words = stem.replace('_', " ");
            if words.ends_with("ed") {
                return words;
            }
            words.strip_suffix('y').map_or_else(
                || {
                    if words.ends_with("ss") { format!("{words}es") } else { format!("{words}s") }
                },
                |stem| format!("{stem}ies"),
            )
        }
        None => name.replace('_', " "),
    }
}

/// Text for people with all its sha256 digests cut to twelve digits, which `regsql why` takes.
pub fn short_digests(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("sha256:") {
        let (before, digest) = rest.split_at(at);
        short.push_str(before);
        let hex = digest["sha256:".len()..].bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digest, after) = digest.split_at("sha256:".len() + hex);
        let shown = if hex == 64 { &digest[.."sha256:".len() + 12] } else { digest };
        short.push_str(shown);
        rest = after;
    }
    short.push_str(rest);
    short
}

/// `3 tags, 1 blob` from counts with their singular and plural; `nothing` when all are 0.
pub fn counted(parts: &[(u64, &str, &str)]) -> String {
    let texts: Vec<String> = parts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
        .collect();
    if texts.is_empty() { "nothing".into() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units_and_never_a_thousand_of_one() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.000 KiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1023.999 KiB");
        assert_eq!(bytes((1 << 30) - 1), "1.000 GiB");
        assert_eq!(bytes(3_044_051_157_u64), "2.835 GiB");
        assert_eq!(bytes(-2048), "-2.000 KiB");
        assert_eq!(bytes(i64::MAX), "8.000 EiB");
    }

    #[test]
    fn ages_and_durations_are_rough() {
        assert_eq!(age(0), "0 seconds");
        assert_eq!(age(65), "1 minute");
        assert_eq!(age(86_400 * 3), "3 days");
        assert_eq!(ago(-5), "0 seconds ago");
        assert_eq!(ago(-86_400 * 3), "3 days in the future (a clock was or is wrong)");
        assert_eq!(duration_ms(1_240), "1.2 s");
        assert_eq!(duration_ms(200_000), "3 min 20 s");
    }

    #[test]
    fn headings_are_words() {
        assert_eq!(heading("untagged_revision_count"), "untagged revisions");
        assert_eq!(heading("repository_count"), "repositories");
        assert_eq!(heading("last_pushed_at"), "last pushed");
        assert_eq!(heading("size_bytes"), "size");
        assert_eq!(heading("is_broken"), "broken");
        assert_eq!(heading("skipped_count"), "skipped");
    }

    #[test]
    fn what_is_no_time_stays_as_it_is() {
        assert_eq!(time("2026-01-31T12:00:09Z").unwrap(), "2026-01-31 12:00Z");
        assert_eq!(time("yesterday"), None);
        assert_eq!(time("ääääääääääääääääääää"), None);
    }

    #[test]
    fn a_sentence_breaks_at_blanks_alone() {
        assert_eq!(wrap("what comes free now", 10), ["what comes", "free now"]);
        assert_eq!(wrap("sha256:0123456789 goes", 8), ["sha256:0123456789", "goes"]);
    }

    #[test]
    fn a_long_word_keeps_both_ends() {
        assert_eq!(fold("docker/registry/v2/blobs", 11), "docke…blobs");
        assert_eq!(fold("short", 5), "short");
        assert_eq!(fold("äöüß", 3), "ä…ß");
        assert_eq!(fold("word", 0), "…");
    }

    #[test]
    fn digests_in_a_text_are_cut_and_what_only_looks_like_one_is_not() {
        let hex = "ab".repeat(32);
        let text = format!("a@sha256:{hex}: as sha256:{hex}, not sha256:abc");
        let short = "a@sha256:abababababab: as sha256:abababababab, not sha256:abc";
        assert_eq!(short_digests(&text), short);
    }
}
