//! What must hold of any bytes given to a parser. libFuzzer calls these (`fuzz/`), and an ordinary
//! test calls them with the corpus and with changes of it, so each panics when something does not.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use regsql::model::{
    Certainty, Classified, Code, Digest, LinkContent, MAX_LINK_BYTES, bytes_of, classify,
    digests_in, is_repository_name, is_tag_name, parse_image_config, parse_link, parse_manifest,
    parse_v1_history, text_of, version_key,
};
use regsql::prune::{Document, Protect};
use regsql::report::Header;
use regsql::storage::Layout;
use regsql::trash::moves_list;

/// A target, by the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("config", config),
    ("digest", digest),
    ("header", header),
    ("link", link),
    ("manifest", manifest),
    ("moves", moves),
    ("name", name),
    ("plan", plan),
    ("protect", protect),
    ("reference", reference),
    ("version", version),
];

/// Whatever is longer is not told again in an error.
const MAX_ERROR_BYTES: usize = 600;

/// A manifest names no more than its bytes can hold, and only what a digest may be. What is uncertain
/// names every digest in the bytes, and what is what its digest says is never called damaged.
pub fn manifest(body: &[u8]) {
    let classified = classify(&Digest::of(body), Ok(body), Certainty::Certain);
    if let Classified::Uncertain { manifest, code, .. } = classified {
        assert_ne!(code, Code::ManifestUnreadable);
        let named: HashSet<Digest> =
            manifest.unwrap().references.into_iter().map(|named| named.digest).collect();
        for digest in digests_in(body) {
            assert!(named.contains(&digest), "{digest}");
        }
    }
    let Ok(manifest) = parse_manifest(body) else {
        return;
    };
    // `{}` is the shortest thing that stands for a reference.
    assert!(manifest.references.len() + manifest.invalid_references.len() <= body.len() / 2 + 1);
    for reference in &manifest.references {
        is_a_digest(&reference.digest);
    }
    for invalid in &manifest.invalid_references {
        assert!(invalid.len() <= MAX_ERROR_BYTES, "{invalid}");
    }
    drop(parse_v1_history(&manifest.v1_history));
    assert_eq!(parse_manifest(body).ok().as_ref(), Some(&manifest), "a second look sees the same");
}

/// Build commands fit the layers, and none is longer than is kept.
pub fn config(body: &[u8]) {
    let layer_count = body.first().map_or(0, |byte| usize::from(byte % 5));
    for layer_count in [0, 1, layer_count] {
        let Ok(config) = parse_image_config(body, layer_count) else {
            continue;
        };
        assert!(config.created_by.is_empty() || config.created_by.len() == layer_count);
        for command in config.created_by.iter().flatten() {
            assert!(command.len() <= 4096 + 8 && !command.is_empty(), "{}", command.len());
        }
    }
    let text = String::from_utf8_lossy(body);
    assert!(parse_v1_history(&[text]).created_by.len() <= 1);
}

/// A clean link is its digest byte by byte; a spaced one is when it is trimmed.
pub fn link(content: &[u8]) {
    match parse_link(content) {
        LinkContent::Clean(digest) => {
            assert_eq!(digest.to_string().as_bytes(), content);
            is_a_digest(&digest);
        }
        LinkContent::Spaced(digest) => {
            assert_eq!(digest.to_string().as_bytes(), content.trim_ascii());
            assert_ne!(content, content.trim_ascii());
            assert!(content.len() < MAX_LINK_BYTES);
        }
        LinkContent::Nothing(reason) => {
            assert!(!reason.is_empty() && reason.len() <= MAX_ERROR_BYTES, "{reason}");
        }
    }
}

/// Any name comes back from its text, and a text means one name or none.
pub fn name(bytes: &[u8]) {
    let name = OsStr::from_bytes(bytes);
    let text = text_of(name);
    assert_eq!(bytes_of(&text).as_deref(), Some(name), "{text}");
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(name) = bytes_of(text) {
            assert_eq!(text_of(&name), text);
        }
        if is_repository_name(text) {
            assert!(text.len() <= 255 && !text.contains("..") && !text.starts_with('/'), "{text}");
        }
        if is_tag_name(text) {
            assert!(text.len() <= 128 && !text.contains('/') && text != ".." && text != ".");
        }
    }
}

/// Whatever a plan names is written as it was read.
pub fn plan(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let names = match Document::saved_in("plan.json", &text, "/srv/registry") {
        Ok(saved) => saved.items,
        Err(error) => {
            assert!(error.hint().is_some() && error.to_string().contains("plan.json"), "{error}");
            return;
        }
    };
    assert!(names.len() <= text.len());
    for name in names {
        let written = serde_json::to_string(&name).unwrap();
        assert_eq!(serde_json::from_str::<regsql::model::Name>(&written).unwrap(), name);
        drop(name.text());
    }
}

/// A list that is taken for one leads nowhere but into the registry, and is written as it was read.
pub fn moves(bytes: &[u8]) {
    let v2 = Path::new("docker/registry/v2");
    let layout = Layout::new(v2.to_owned());
    let Ok((header, moves)) = moves_list::read(bytes, &layout, Path::new("moves.jsonl")) else {
        return;
    };
    for item in &moves {
        let mut parts = item.path.components();
        assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{}", item.path.display());
        let rest = item.path.strip_prefix(v2).unwrap();
        assert!(rest.components().count() >= 2, "{}", item.path.display());
        assert!(
            rest.starts_with("blobs") || rest.starts_with("repositories"),
            "{}",
            item.path.display()
        );
    }
    let mut again = Vec::new();
    moves_list::write(&mut again, &header, &layout, &moves, moves_list::MAX_MOVES_BYTES).unwrap();
    assert_eq!(
        moves_list::read(&again, &layout, Path::new("moves.jsonl")).unwrap(),
        (header, moves)
    );
}

/// Defaults fit their parameters, and what a report selects is a column.
pub fn header(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let header = match Header::parse("x.sql", &text) {
        Ok(header) => header,
        Err(error) => return assert!(error.to_string().starts_with("x.sql:"), "{error}"),
    };
    assert!(!header.title.is_empty());
    assert!(header.prose.len() <= text.len());
    for param in &header.params {
        if let Some(default) = &param.default {
            param.value(default).unwrap();
        }
        // A value from the command line may be anything.
        drop(param.value(&text));
    }
    for column in header.selects.map_or(&[][..], regsql::report::Selects::columns) {
        let is_there = header.columns.iter().any(|known| known.name == *column);
        assert!(is_there || header.columns.is_empty(), "{column}");
    }
}

/// Each digest that stands in a list is protected.
pub fn protect(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut protect = Protect::default();
    if let Err(error) = protect.add_list("used", &text) {
        let message = error.to_string();
        let names_the_list = message.starts_with("used:") || message.starts_with("`used` ");
        assert!(names_the_list && message.len() < 1000, "{message}");
        return;
    }
    assert!(protect.reference_count() <= text.len());
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        for word in line.split(|char: char| char.is_whitespace() || char == ',') {
            if let Ok(digest) = Digest::parse(word) {
                assert!(protect.has_digest(&digest), "{word}");
            }
        }
    }
    drop(protect.add_patterns(&[text.into_owned()]));
}

/// Every reference that a registry would take is protected, with and without a host.
pub fn reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((repository, tag)) = text.split_once(':') else {
        return drop(Protect::default().add_list("used", &text));
    };
    // Such a name is a digest, perhaps cut.
    let is_algorithm = matches!(repository, "sha256" | "sha512");
    if is_algorithm || !is_repository_name(repository) || !is_tag_name(tag) {
        return drop(Protect::default().add_list("used", &text));
    }
    let digest = Digest::of(bytes);
    for (written, has_digest) in [
        (format!("{repository}:{tag}"), false),
        (format!("host.example:5000/{repository}:{tag}"), false),
        (format!("{repository}:{tag}@{digest}"), true),
        (format!("docker-pullable://host/{repository}:{tag}@{digest} # used"), true),
    ] {
        let mut protect = Protect::default();
        protect.add_list("used", &written).unwrap();
        assert!(protect.has_tag(repository, tag), "{written}");
        assert_eq!(protect.has_digest(&digest), has_digest, "{written}");
    }
}

/// A digest is its text, and its text is one plain name in a directory.
pub fn digest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Digest::parse(&text) {
        Ok(digest) => {
            assert_eq!(digest.to_string(), text);
            is_a_digest(&digest);
        }
        Err(error) => assert!(error.to_string().len() <= MAX_ERROR_BYTES),
    }
}

/// Plain numbers sort as numbers, and a leading `v` changes nothing.
pub fn version(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // No name on disk is longer.
    let mut names = text.lines().filter(|name| name.len() <= 255);
    let (Some(first), second) = (names.next(), names.next().unwrap_or("1.2.3")) else {
        return;
    };
    let key = version_key(first);
    if let Some(key) = &key {
        assert!(key.len() <= 8 * first.len() + 32, "{key}");
        let plain = first.trim_start_matches(['v', 'V']);
        if plain.starts_with(|c: char| c.is_ascii_digit()) {
            assert_eq!(version_key(&format!("v{plain}")), Some(key.clone()));
        }
    }
    if let (Some(a), Some(b)) = (plain_numbers(first), plain_numbers(second)) {
        let keys = (key.unwrap(), version_key(second).unwrap());
        assert_eq!(a.cmp(&b), keys.0.cmp(&keys.1), "{first} and {second}: {keys:?}");
    }
}

/// `1`, `1.2` or `1.2.3`, as three numbers; not the eight digits of a day, which are a date.
fn plain_numbers(text: &str) -> Option<[u128; 3]> {
    if text.len() == 8 && !text.contains('.') {
        return None;
    }
    let mut numbers = [0; 3];
    let parts: Vec<&str> = text.split('.').collect();
    for (at, part) in parts.iter().enumerate() {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *numbers.get_mut(at)? = part.parse().ok().filter(|_| is_number)?;
    }
    Some(numbers)
}

/// It can stand in a path, and is what its own text says.
fn is_a_digest(digest: &Digest) {
    let text = digest.to_string();
    assert!(text.len() <= Digest::MAX_LEN, "{text}");
    assert_eq!(Digest::parse(&text).as_ref(), Ok(digest));
    let encoded = digest.encoded();
    assert!(!encoded.is_empty() && !encoded.contains(['/', '.', '\0']), "{text}");
}
