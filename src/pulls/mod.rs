//! Pulls: what a registry's access log and its notifications say of who pulled what, and when.
//!
//! Guarantees: memory depends on no line, file or body; nothing is a pull that is not a successful GET
//! of a manifest of a repository that is here; the same log given again counts nothing twice; times
//! for which pulls are called known are those of log lines, never further. A log that cannot be from
//! this registry makes no time known.

mod csv;
mod error;
mod events;
mod import;
mod line;
mod store;
mod time;

use std::collections::HashSet;

use crate::model::{Digest, is_repository_name, is_tag_name};

pub use error::PullsError;
pub use events::Notifications;
pub use import::{FileReport, import_file};
pub use store::{PullStore, StoredPulls};

/// Nanoseconds in a second.
const SECOND_NS: i64 = 1_000_000_000;
/// Registries of this kind are not older (2015); a time before is a clock's that was not set.
const EARLIEST_NS: i64 = 1_400_000_000 * SECOND_NS;
/// How far a clock may be ahead of this machine's.
const AHEAD_NS: i64 = 3_600 * SECOND_NS;

/// A request for a manifest that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
    /// The repository.
    pub repository: String,
    /// The tag or digest that was asked for.
    pub reference: String,
    /// What it was, when that is known.
    pub digest: Option<Digest>,
    /// How often, for a summary; 1 for a line of a log.
    pub count: u64,
    /// Distinguishes this line of a log from others of the same minute.
    pub hash: u32,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A pull.
    Pull(Pull),
    /// A look-up without a download (HEAD).
    Head(i64),
    /// A look-up of regsql's own, or of an agent that is left out.
    Own(i64),
    /// Any other line of a log; with its time when that was read.
    Other(Option<i64>),
    /// Not understood.
    Broken,
}

/// Which requests count.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only requests to these hosts, where a line says to which; empty: all.
    pub hosts: Vec<String>,
    /// User agents that begin so are left out, beside regsql's own.
    pub ignored_agents: Vec<String>,
    /// HEAD counts as a pull: some container runtimes only look whether a tag has changed.
    pub counts_head: bool,
    /// The time now, in nanoseconds since 1970.
    pub now_ns: i64,
}

impl Filter {
    fn is_ignored(&self, agent: &str) -> bool {
        agent.starts_with("regsql/")
            || self.ignored_agents.iter().any(|ignored| agent.starts_with(ignored.as_str()))
    }

    fn is_other_host(&self, host: Option<&str>) -> bool {
        !self.hosts.is_empty()
            && host.is_some_and(|host| !self.hosts.iter().any(|known| known == host))
    }

    fn is_possible(&self, at_ns: i64) -> bool {
        (EARLIEST_NS..=self.now_ns.saturating_add(AHEAD_NS)).contains(&at_ns)
    }
}

/// What a log says of a request, in any of the formats.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request<'a> {
    at_ns: Option<i64>,
    method: &'a str,
    uri: &'a str,
    status: u16,
    agent: &'a str,
    host: Option<&'a str>,
}

impl Request<'_> {
    /// `hash` is that of the line.
    fn judge(&self, filter: &Filter, hash: u32) -> Line {
        let Some(at_ns) = self.at_ns.filter(|at_ns| filter.is_possible(*at_ns)) else {
            return Line::Broken;
        };
        let Some((repository, reference)) = manifest_of(self.uri) else {
            return if self.uri.contains("/manifests/") {
                Line::Broken
            } else {
                Line::Other(Some(at_ns))
            };
        };
        let is_head = self.method == "HEAD";
        // 304: the client has it already, and asked in order to use it.
        let is_answered = matches!(self.status, 200 | 304) && (is_head || self.method == "GET");
        if !is_answered || filter.is_other_host(self.host) {
            return Line::Other(Some(at_ns));
        }
        if filter.is_ignored(self.agent) {
            return Line::Own(at_ns);
        }
        if is_head && !filter.counts_head {
            return Line::Head(at_ns);
        }
        let digest = Digest::parse(&reference).ok();
        Line::Pull(Pull { at_ns, repository, reference, digest, count: 1, hash })
    }
}

/// `NAME` and `REFERENCE` of `/v2/NAME/manifests/REFERENCE`, as far as a registry would take them.
fn manifest_of(uri: &str) -> Option<(String, String)> {
    let path = match uri.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => uri,
    };
    let path = path.split(['?', '#']).next()?;
    let (name, reference) = path.strip_prefix("/v2/")?.rsplit_once("/manifests/")?;
    let (name, reference) = (decoded(name)?, decoded(reference)?);
    is_valid(&name, &reference).then_some((name, reference))
}

/// Whether a registry would take the names.
fn is_valid(repository: &str, reference: &str) -> bool {
    is_repository_name(repository) && (is_tag_name(reference) || Digest::parse(reference).is_ok())
}

fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

/// The same on every machine and in every version: it is kept in the database (FNV-1a).
pub(crate) fn hash_of(bytes: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash ^ (hash >> 32)) as u32
}

/// Times without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// In nanoseconds since 1970.
    pub from_ns: i64,
    /// In nanoseconds since 1970.
    pub to_ns: i64,
}

/// The times that one log covers. A log is without gaps from its first line to its last, unless its
/// clock jumped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    spans: Vec<Span>,
    has_jumped: bool,
}

/// A step back of more than this is a clock that jumped; less is the order of concurrent requests.
const JITTER_NS: i64 = 600 * SECOND_NS;
/// After a jump, a silence of more than this is taken for another jump.
const DAY_NS: i64 = 86_400 * SECOND_NS;
/// No log of a registry in use is silent for so long.
const LONGEST_SILENCE_NS: i64 = 366 * DAY_NS;
/// A clock that jumps more often makes the rest of a log worth nothing.
const MOST_SPANS: usize = 1_000;

impl Coverage {
    pub(crate) fn add(&mut self, at_ns: i64) {
        let longest = if self.has_jumped { DAY_NS } else { LONGEST_SILENCE_NS };
        match self.spans.last_mut() {
            Some(last) if at_ns >= last.to_ns && at_ns - last.to_ns <= longest => {
                last.to_ns = at_ns;
            }
            Some(last) if at_ns < last.to_ns && last.to_ns - at_ns <= JITTER_NS => {}
            last => {
                self.has_jumped = last.is_some();
                if self.spans.len() < MOST_SPANS {
                    self.spans.push(Span { from_ns: at_ns, to_ns: at_ns });
                }
            }
        }
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }
}

/// Repositories that the snapshot has.
pub(crate) type Known = HashSet<String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_a_registry_takes_name_a_manifest() {
        let name =
            |uri: &str| manifest_of(uri).map(|(name, reference)| format!("{name} {reference}"));
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(name("/v2/lib/app/manifests/1.0").as_deref(), Some("lib/app 1.0"));
        assert_eq!(name("/v2/app/manifests/1.0?ns=docker.io").as_deref(), Some("app 1.0"));
        assert_eq!(name("http://h/v2/app/manifests/1.0").as_deref(), Some("app 1.0"));
        assert_eq!(
            name(&format!("/v2/app/manifests/{}", digest.replace(':', "%3A"))),
            Some(format!("app {digest}"))
        );
        // A repository may have this name.
        assert_eq!(name("/v2/a/manifests/b/manifests/c").as_deref(), Some("a/manifests/b c"));
        for other in [
            "/v2/",
            "/v2/app/tags/list",
            "/v2//manifests/x",
            "/v2/app/manifests/",
            "/v2/app/manifests/%zz",
            "/v2/app/manifests/%1b[31m",
            "/v2/APP/manifests/1",
            "/x/v2/app/manifests/1",
            "/v2/app/manifests/sha256:short",
            "/v2/../app/manifests/1",
            "/v2/app/manifests/%",
            "",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_no_time_known() {
        let spans = |days: &[i64]| {
            let mut coverage = Coverage::default();
            for day in days {
                coverage.add(day * DAY_NS);
            }
            coverage
                .spans()
                .iter()
                .map(|span| (span.from_ns / DAY_NS, span.to_ns / DAY_NS))
                .collect::<Vec<_>>()
        };
        assert_eq!(spans(&[10, 11, 40, 41]), [(10, 41)]);
        // Back, and right again.
        assert_eq!(spans(&[100, 101, 5, 102, 103]), [(100, 101), (5, 5), (102, 103)]);
        // Ahead, and right again.
        assert_eq!(spans(&[100, 101, 150, 102, 103]), [(100, 150), (102, 103)]);
        // A clock that was not set at first.
        assert_eq!(spans(&[100, 1000, 1001]), [(100, 100), (1000, 1001)]);
    }
}
