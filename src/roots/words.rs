//! Image references, one or more a line, as `kubectl`, `docker` and people write them.

use std::borrow::Cow;
use std::io::BufRead;

use super::error::shown;
use super::{RootsError, Row};
use crate::model::{Digest, is_repository_name, is_tag_name};

/// A word longer than this is no reference.
const MAX_WORD_BYTES: usize = 1024;

/// Hex digits in a SHA-256 digest.
const HEX_DIGITS: usize = 64;

/// Hex digits that are left of one where container runtimes cut it; fewer could mean anything.
const LEAST_PREFIX_DIGITS: usize = 12;

/// One word of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The path with all leading components that a repository may have, and the tag.
    pub name: Option<(String, String)>,
    /// The manifest's or blob's digest.
    pub digest: Option<Digest>,
    /// The first hexadecimal digits of a manifest's or config's digest.
    pub hex_prefix: Option<String>,
}

impl Reference {
    /// Every repository and tag that it may mean.
    pub fn readings(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        let name = self.name.iter();
        name.flat_map(|(path, tag)| readings(path).map(move |reading| (reading, tag.as_str())))
    }

    /// The first and the last digest that begin as the word does.
    pub fn digest_range(&self) -> Option<(Digest, Digest)> {
        let prefix = self.hex_prefix.as_ref()?;
        let padded = |digit: &str| prefix.clone() + &digit.repeat(HEX_DIGITS - prefix.len());
        let digest = |digit: &str| Digest::from_sha256_hex(padded(digit).as_bytes());
        digest("0").zip(digest("f"))
    }
}

/// A path, and what is left of it without its first components: a host, a proxy's prefix or the
/// repository's own. What is left of one component is in `library/` where docker.io is mirrored.
pub fn readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let suffixes =
        std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest));
    suffixes.flat_map(|path| {
        let official = (!path.contains('/')).then(|| Cow::Owned(format!("library/{path}")));
        [Some(Cow::Borrowed(path)), official].into_iter().flatten()
    })
}

/// Hands every word of a list to `take`, with its line from 1. `#` begins a comment.
///
/// # Errors
/// When the content cannot be read, a word is longer than any reference, or a name stands where a CSV
/// without a header would have a tag.
pub fn each_word(
    file: &str,
    content: &mut dyn BufRead,
    take: &mut dyn FnMut(u64, &str) -> Result<(), RootsError>,
) -> Result<(), RootsError> {
    let mut words = Words { file, line: 1, word: Vec::new(), is_comment: false, joins: None };
    loop {
        let bytes = match content.fill_buf() {
            Ok([]) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(RootsError::Read { file: file.into(), source }),
        };
        for byte in bytes {
            words.byte(*byte, take)?;
        }
        let count = bytes.len();
        content.consume(count);
    }
    words.end(None, take)
}

/// A list is one line of any length, as `kubectl -o jsonpath` prints it, or one of any number of lines: only a word is
/// held.
struct Words<'a> {
    file: &'a str,
    line: u64,
    word: Vec<u8>,
    is_comment: bool,
    /// What stands right between this word and the one before it, if that is a comma or a tab.
    joins: Option<u8>,
}

impl Words<'_> {
    fn byte(
        &mut self,
        byte: u8,
        take: &mut dyn FnMut(u64, &str) -> Result<(), RootsError>,
    ) -> Result<(), RootsError> {
        match byte {
            b'\n' => {
                self.end(None, take)?;
                self.joins = None;
                self.is_comment = false;
                self.line += 1;
            }
            _ if self.is_comment => {}
            b'#' => {
                self.end(None, take)?;
                self.is_comment = true;
            }
            b',' | b'\t' => self.end(Some(byte), take)?,
            _ if byte.is_ascii_whitespace() => self.end(None, take)?,
            _ if self.word.len() > MAX_WORD_BYTES => {
                let word = String::from_utf8_lossy(&self.word);
                return Err(RootsError::of_word(self.file, self.line, &word));
            }
            _ => self.word.push(byte),
        }
        Ok(())
    }

    fn end(
        &mut self,
        separator: Option<u8>,
        take: &mut dyn FnMut(u64, &str) -> Result<(), RootsError>,
    ) -> Result<(), RootsError> {
        if self.word.is_empty() {
            self.joins = None;
            return Ok(());
        }
        let Ok(word) = std::str::from_utf8(&self.word) else {
            return Err(RootsError::of_line(self.file, self.line, "it is not UTF-8"));
        };
        if self.joins.is_some() && !word.contains(['/', ':', '@']) {
            let what = format!(
                "`{}` may be a tag: write repo:tag, or the columns' names in the first line",
                shown(word)
            );
            return Err(RootsError::of_line(self.file, self.line, what));
        }
        take(self.line, word)?;
        self.word.clear();
        self.joins = separator;
        Ok(())
    }
}

/// Hands every reference to `take`.
pub(super) fn read(
    file: &str,
    content: &mut dyn BufRead,
    take_row: &mut dyn FnMut(Row<'_>),
) -> Result<(), RootsError> {
    each_word(file, content, &mut |line, word| {
        let reference = reference(word).ok_or_else(|| RootsError::of_word(file, line, word))?;
        if reference.hex_prefix.is_some() {
            let what = format!("`{}` is a cut digest: roots need it whole", shown(word));
            return Err(RootsError::of_line(file, line, what));
        }
        take(line, &reference, take_row);
        Ok(())
    })
}

/// Hands over what a reference names: a digest wherever it lies, and a tag.
pub(super) fn take(line: u64, reference: &Reference, take: &mut dyn FnMut(Row<'_>)) {
    if let Some(digest) = &reference.digest {
        take(Row::new(line, Some(digest.clone())));
    }
    if let Some((path, tag)) = &reference.name {
        take(Row { repository: Some(path), tag: Some(tag), ..Row::new(line, None) });
    }
}

/// What a word means, if it is a reference.
pub fn reference(word: &str) -> Option<Reference> {
    if word.len() > MAX_WORD_BYTES {
        return None;
    }
    // The image ids of container runtimes: `docker-pullable://repo@sha256:…`, `docker://sha256:…`.
    let word = match word.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        Some(_) => return None,
        None => word,
    };
    if let Some(digest) = Digest::from_sha256_hex(word.as_bytes()) {
        return Some(Reference { name: None, digest: Some(digest), hex_prefix: None });
    }
    if let Ok(digest) = Digest::parse(word) {
        // `app:release-2026-01-15` has the form of a digest, too: both readings are protected.
        let (repository, tag) = word.split_once(':')?;
        let is_name = !matches!(repository, "sha256" | "sha512")
            && is_repository_name(repository)
            && is_tag_name(tag);
        let name = is_name.then(|| (repository.to_owned(), tag.to_owned()));
        return Some(Reference { name, digest: Some(digest), hex_prefix: None });
    }
    let (name, digest) = match word.split_once('@') {
        Some((name, digest)) => (name, Some(Digest::parse(digest).ok()?)),
        None => (word, None),
    };
    // A colon before the last slash is a host's port.
    let after_path = name.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match name[after_path..].split_once(':') {
        Some((last, tag)) => (&name[..after_path + last.len()], Some(tag)),
        None => (name, None),
    };
    // A digest that was cut is no tag of a repository `sha256`.
    let is_cut = tag.is_some() && matches!(path, "sha256" | "sha512");
    if is_cut || tag.is_some_and(|tag| !is_tag_name(tag)) {
        return None;
    }
    let repository = match path.split_once('/') {
        _ if is_repository_name(path) => path,
        Some((host, rest)) if is_host(host) && is_repository_name(rest) => rest,
        _ => return None,
    };
    let has_name = tag.is_some() || digest.is_none();
    let tag = tag.unwrap_or("latest");
    let name = has_name.then(|| (repository.to_owned(), tag.to_owned()));
    // It may be a repository's name, too: both readings are protected.
    let hex_prefix = is_hex_prefix(word).then(|| word.to_owned());
    Some(Reference { name, digest, hex_prefix })
}

/// Whether a text is the beginning of a digest, as `docker images -q` and `docker ps` print it.
fn is_hex_prefix(text: &str) -> bool {
    (LEAST_PREFIX_DIGITS..HEX_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_scheme(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    !text.is_empty() && text.bytes().all(is_part)
}

/// Whether a text is a host's name or address, perhaps with a port.
pub fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_number = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = match address {
        Some(address) => address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => host.bytes().all(is_part),
    };
    port.is_none_or(is_number) && is_name && !host.is_empty()
}
