//! Platform, age and build commands, as an image config has them.
//!
//! Source: OCI image specification config.md; `v1Compatibility` from distribution
//! `manifest/schema1`.

use std::borrow::Cow;

use serde::Deserialize;

/// The largest config that is read, in bytes; real ones stay far below.
pub const MAX_CONFIG_BYTES: u64 = 8 << 20;

/// The longest build command that is kept, in bytes.
const MAX_CREATED_BY_BYTES: usize = 4096;

/// Platform, creation time and build commands.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Operating system.
    pub os: Option<String>,
    /// CPU architecture.
    pub architecture: Option<String>,
    /// CPU variant.
    pub variant: Option<String>,
    /// When the image was made, in nanoseconds since 1970.
    pub created_ns: Option<i64>,
    /// The build command behind each layer, in the order of the manifest; empty when the history
    /// does not fit the layers.
    pub created_by: Vec<Option<String>>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(default, borrow)]
    os: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    architecture: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    variant: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    created: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    history: Option<Vec<RawHistory<'a>>>,
}

#[derive(Deserialize)]
struct RawHistory<'a> {
    #[serde(default, borrow)]
    created_by: Option<Cow<'a, str>>,
    #[serde(default)]
    empty_layer: Option<bool>,
}

/// Parses the config of an image with `layer_count` layers.
pub fn parse_image_config(
    body: &[u8],
    layer_count: usize,
) -> Result<ImageConfig, serde_json::Error> {
    let raw: Raw<'_> = serde_json::from_slice(body)?;
    let mut created_by: Vec<Option<String>> = raw
        .history
        .into_iter()
        .flatten()
        .filter(|entry| entry.empty_layer != Some(true))
        .map(|entry| entry.created_by.and_then(|text| command(&text)))
        .collect();
    if created_by.len() != layer_count {
        created_by.clear();
    }
    Ok(ImageConfig {
        os: raw.os.and_then(non_empty),
        architecture: raw.architecture.and_then(non_empty),
        variant: raw.variant.and_then(non_empty),
        created_ns: raw.created.and_then(|text| parse_time_ns(&text)),
        created_by,
    })
}

#[derive(Deserialize)]
struct RawV1<'a> {
    #[serde(default, borrow)]
    os: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    architecture: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    created: Option<Cow<'a, str>>,
    #[serde(default)]
    container_config: Option<RawContainerConfig>,
}

#[derive(Deserialize)]
struct RawContainerConfig {
    #[serde(default, rename = "Cmd")]
    cmd: Option<Vec<String>>,
}

/// What the `v1Compatibility` texts of a schema 1 manifest say. The newest entry comes first and
/// speaks for the image. Build commands are left out: one layer digest may stand for many entries.
pub fn parse_v1_history(history: &[Cow<'_, str>]) -> ImageConfig {
    let Some(Ok(newest)) = history.first().map(|text| serde_json::from_str::<RawV1<'_>>(text))
    else {
        return ImageConfig::default();
    };
    let created_by = newest.container_config.and_then(|config| config.cmd).map(|cmd| cmd.join(" "));
    ImageConfig {
        os: newest.os.and_then(non_empty),
        architecture: newest.architecture.and_then(non_empty),
        variant: None,
        created_ns: newest.created.and_then(|text| parse_time_ns(&text)),
        created_by: created_by.map(|text| command(&text)).into_iter().collect(),
    }
}

/// An RFC 3339 time as nanoseconds since 1970; `None` when it is none or lies outside 1678-2262.
pub fn parse_time_ns(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

fn non_empty(text: Cow<'_, str>) -> Option<String> {
    (!text.is_empty()).then(|| text.into_owned())
}

fn command(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    Some(match text.char_indices().find(|(at, _)| *at >= MAX_CREATED_BY_BYTES) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_go_with_the_layers_that_they_made() {
        let body = br#"{"os":"linux","architecture":"arm64","variant":"v8","created":"2026-01-02T03:04:05.5Z",
            "history":[{"created_by":"ADD rootfs"},{"created_by":"ENV a=b","empty_layer":true},{"created_by":" RUN make "}]}"#;
        let config = parse_image_config(body, 2).unwrap();
        assert_eq!(config.created_by, [Some("ADD rootfs".into()), Some("RUN make".into())]);
        assert_eq!(config.created_ns, Some(1_767_323_045_500_000_000));
        assert_eq!(config.variant.as_deref(), Some("v8"));
    }

    #[test]
    fn a_history_that_does_not_fit_says_nothing_about_layers() {
        let config = parse_image_config(br#"{"history":[{"created_by":"x"}]}"#, 2).unwrap();
        assert_eq!(config, ImageConfig::default());
    }

    #[test]
    fn a_time_outside_all_calendars_is_no_time() {
        assert_eq!(parse_time_ns("9999-12-31T23:59:59Z"), None);
        assert_eq!(parse_time_ns("yesterday"), None);
    }
}
