//! One line of a log: the registry's own (logrus text and JSON), and the combined format of nginx,
//! Apache and Traefik, which the registry writes too.
//!
//! Around them may stand what a log driver adds: Docker's JSON, the CRI's prefix, syslog's prefix.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;

use super::{Filter, Line, Request, events, hash_of, time};

static MANIFESTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("/manifests/"));
static LEVEL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("level="));
static EVENTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"action\""));

/// Which of two formats a line has in which the registry writes the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The registry's own: `http.request.method=…`.
    Registry,
    /// The combined log format.
    Combined,
    /// A notification.
    Event,
}

/// Reads a line. `wants_time` asks for the time of a line that is about no manifest, too. Several
/// lines come from an envelope of notifications.
pub fn read(
    line: &[u8],
    filter: &Filter,
    wants_time: bool,
    take: &mut dyn FnMut(Line, Option<Format>),
) {
    // A log that was truncated while it was written begins with zeros.
    let line = line.trim_ascii();
    let start = line.iter().position(|byte| *byte != 0).unwrap_or(line.len());
    let line = &line[start..];
    if line.is_empty() {
        return;
    }
    let is_about_manifest = MANIFESTS.find(line).is_some();
    if line[0] == b'{' {
        return json(line, filter, is_about_manifest || wants_time, take);
    }
    if !is_about_manifest && !wants_time {
        let is_log = LEVEL.find(line).is_some() || memchr::memchr(b'[', line).is_some();
        return take(if is_log { Line::Other(None) } else { Line::Broken }, None);
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return take(Line::Broken, None);
    };
    if let Some(found) = logfmt(text, filter) {
        take(found, Some(Format::Registry));
    } else if let Some(found) = combined(text, filter) {
        take(found, Some(Format::Combined));
    } else {
        take(Line::Broken, None);
    }
}

/// A JSON object: a line of the registry's log, a notification, or what Docker's log driver wraps
/// around a line.
fn json(line: &[u8], filter: &Filter, is_wanted: bool, take: &mut dyn FnMut(Line, Option<Format>)) {
    #[derive(Deserialize)]
    struct Wrapped {
        log: String,
    }
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default, alias = "@timestamp")]
        time: std::borrow::Cow<'a, str>,
        #[serde(borrow, default, rename = "http.request.method")]
        method: std::borrow::Cow<'a, str>,
        #[serde(borrow, default, rename = "http.request.uri")]
        uri: std::borrow::Cow<'a, str>,
        #[serde(borrow, default, rename = "http.request.useragent")]
        agent: std::borrow::Cow<'a, str>,
        #[serde(borrow, default, rename = "http.request.host")]
        host: Option<std::borrow::Cow<'a, str>>,
        #[serde(default, rename = "http.response.status")]
        status: Option<u16>,
    }
    // A line of the registry's log has no such key.
    if line.starts_with(b"{\"log\":")
        || line.ends_with(b"\"}") && line.windows(7).any(|part| part == b"\"log\":\"")
    {
        return match serde_json::from_slice::<Wrapped>(line) {
            // What is wrapped twice could be wrapped for ever.
            Ok(wrapped) if !wrapped.log.trim_start().starts_with("{\"log\"") => {
                read(wrapped.log.as_bytes(), filter, is_wanted, take);
            }
            _ => take(Line::Broken, None),
        };
    }
    if EVENTS.find(line).is_some() {
        match events::lines_in(line, filter) {
            Some(lines) => lines.into_iter().for_each(|line| take(line, Some(Format::Event))),
            None => take(Line::Broken, None),
        }
        return;
    }
    if !is_wanted {
        return take(Line::Other(None), None);
    }
    let Ok(fields) = serde_json::from_slice::<Fields<'_>>(line) else {
        return take(Line::Broken, None);
    };
    let request = Request {
        at_ns: time::rfc3339(&fields.time),
        method: &fields.method,
        uri: &fields.uri,
        status: fields.status.unwrap_or(0),
        agent: &fields.agent,
        host: fields.host.as_deref(),
    };
    let found = if fields.status.is_none() {
        // Not the end of a request.
        other(request.at_ns, filter)
    } else {
        request.judge(filter, hash_of(line))
    };
    take(found, Some(Format::Registry));
}

fn other(at_ns: Option<i64>, filter: &Filter) -> Line {
    match at_ns {
        Some(at_ns) if filter.is_possible(at_ns) => Line::Other(Some(at_ns)),
        _ => Line::Broken,
    }
}

/// `time="…" level=info msg="response completed" http.request.method=GET …`
fn logfmt(text: &str, filter: &Filter) -> Option<Line> {
    let start = text.find("time=")?;
    let text = &text[start..];
    if !text.contains("level=") {
        return None;
    }
    let mut request = Request::default();
    let mut status = None;
    let mut rest = text;
    while let Some((key, value, after)) = pair(rest) {
        rest = after;
        match key {
            "time" => request.at_ns = request.at_ns.or_else(|| time::rfc3339(value)),
            "http.request.method" => request.method = value,
            "http.request.uri" => request.uri = value,
            "http.request.useragent" => request.agent = value,
            "http.request.host" => request.host = Some(value),
            "http.response.status" => status = Some(value.parse().ok()),
            _ => {}
        }
    }
    Some(match status {
        // Not the end of a request.
        None => other(request.at_ns, filter),
        Some(None) => Line::Broken,
        Some(Some(status)) => {
            request.status = status;
            request.judge(filter, hash_of(text.as_bytes()))
        }
    })
}

/// The next `key=value`, quoted or not, and what follows. Escaped quotes end no value.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start();
    let (key, rest) = text.split_once('=')?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(' ').unwrap_or(rest.len());
        return Some((key, &rest[..end], &rest[end..]));
    };
    let end = end_of_quotes(quoted)?;
    Some((key, &quoted[..end], &quoted[end + 1..]))
}

/// Where the quotes end in which `text` begins. A backslash escapes the next byte.
fn end_of_quotes(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// `HOST - USER [20/Nov/2025:10:00:00 +0000] "GET /v2/… HTTP/1.1" 200 528 "REFERER" "AGENT"`
fn combined(text: &str, filter: &Filter) -> Option<Line> {
    // A user's name may hold a bracket; a time has this form.
    let (at, at_ns) = text.match_indices('[').find_map(|(at, _)| {
        let time = text.get(at + 1..at + 27)?;
        (text.as_bytes().get(at + 27) == Some(&b']')).then_some(())?;
        Some((at, time::common_log(time)?))
    })?;
    let (line, after) = quoted(text.get(at + 28..)?)?;
    let mut words = line.split(' ');
    let (method, uri) = (words.next()?, words.next()?);
    let mut fields = after.split_ascii_whitespace();
    let status = fields.next()?.parse().ok()?;
    let agent = quoted(after).and_then(|(_, after)| quoted(after)).map_or("", |(agent, _)| agent);
    let request = Request { at_ns: Some(at_ns), method, uri, status, agent, host: None };
    Some(request.judge(filter, hash_of(text.as_bytes())))
}

/// What stands within the next quotes, and after them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = &text[text.find('"')? + 1..];
    let end = end_of_quotes(inner)?;
    Some((&inner[..end], &inner[end + 1..]))
}
