//! References that somebody outside of a storage holds: exports of a database, of a cluster, or lists
//! by hand. Nothing here knows a product; what a row means stands in docs/roots.md.
//!
//! Whatever cannot be understood is an error with its file and line: a part of a list would keep a part
//! of what is in use.

mod error;
mod json;
mod table;
mod words;

#[cfg(test)]
mod tests;

pub use error::RootsError;
pub use words::{Reference, is_host, readings, reference, words_of};

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use foldhash::fast::RandomState;
use sha2::{Digest as _, Sha256};

use crate::model::Digest;

/// What a root says about the thing that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// A manifest, or any blob that may be one: kept with all that it names.
    Manifest,
    /// A blob that is known: kept itself.
    Blob,
    /// A manifest whose body is elsewhere: not expected on disk.
    ManifestElsewhere,
}

impl RootKind {
    /// As the `roots` view and the column `kind` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::ManifestElsewhere => "manifest-elsewhere",
        }
    }
}

/// Who of OpenShift's objects names something; what an image is kept for is said by the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Neither.
    Other,
    /// An `Image`: a manifest that exists, whatever repository serves it.
    Image,
    /// An `ImageStream`: what a repository serves.
    ImageStream,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Image references, one or more a line.
    Words,
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
    /// A Kubernetes or OpenShift object or list.
    Json,
}

impl Form {
    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its absolute path, or `-`.
    pub path: PathBuf,
    /// Its form.
    pub form: Form,
    /// Rows that it gave.
    pub row_count: u64,
    /// Its mtime in nanoseconds since 1970; for standard input when it was read.
    pub exported_ns: i64,
}

/// No text, size or time.
const NONE: u32 = u32::MAX;
const NO_NUMBER: i64 = i64::MIN;

/// One reference. Texts and odd digests are numbers in [`Roots`]: there may be millions.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    /// Its file's place.
    pub source: u16,
    /// What it names.
    pub kind: RootKind,
    /// Which object names it.
    pub origin: Origin,
    /// Its line from 1; the item's number in JSON.
    pub line: u32,
    repository: u32,
    tag: u32,
    digest: StoredDigest,
    size_bytes: i64,
    pushed_ns: i64,
    pulled_ns: i64,
}

impl Root {
    /// Bytes, as the export says.
    pub fn size_bytes(&self) -> Option<i64> {
        (self.size_bytes != NO_NUMBER).then_some(self.size_bytes)
    }

    /// When it was pushed, as the export says, in nanoseconds since 1970.
    pub fn pushed_ns(&self) -> Option<i64> {
        (self.pushed_ns != NO_NUMBER).then_some(self.pushed_ns)
    }

    /// When it was last pulled, as the export says, in nanoseconds since 1970.
    pub fn pulled_ns(&self) -> Option<i64> {
        (self.pulled_ns != NO_NUMBER).then_some(self.pulled_ns)
    }
}

#[derive(Clone, Copy, Debug)]
enum StoredDigest {
    None,
    Sha256([u8; 32]),
    Other(u32),
}

/// A reference as a reader hands it over.
#[derive(Clone, Debug)]
struct Row<'a> {
    line: u64,
    kind: RootKind,
    origin: Origin,
    repository: Option<&'a str>,
    tag: Option<&'a str>,
    digest: Option<Digest>,
    size_bytes: Option<i64>,
    pushed_ns: Option<i64>,
    pulled_ns: Option<i64>,
}

impl Row<'_> {
    fn new(line: u64, digest: Option<Digest>) -> Self {
        Self {
            line,
            kind: RootKind::Manifest,
            origin: Origin::Other,
            repository: None,
            tag: None,
            digest,
            size_bytes: None,
            pushed_ns: None,
            pulled_ns: None,
        }
    }
}

/// Texts, each once.
#[derive(Clone, Debug, Default)]
struct Texts {
    texts: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32, RandomState>,
}

impl Texts {
    fn number(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return NONE;
        };
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.into());
        self.numbers.insert(text.into(), number);
        number
    }

    fn text(&self, number: u32) -> Option<&str> {
        self.texts.get(number as usize).map(|text| &**text)
    }
}

/// All references of all files.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// The files.
    pub sources: Vec<Source>,
    /// The references, by file and line.
    pub rows: Vec<Root>,
    repositories: Texts,
    tags: Texts,
    others: Texts,
    hash: Sha256,
}

impl Roots {
    /// Reads all files; `-` is standard input.
    ///
    /// # Errors
    /// When one cannot be read, cannot be understood to its end, or names nothing.
    pub fn read(paths: &[PathBuf]) -> Result<Self, RootsError> {
        let mut roots = Self::default();
        for path in paths {
            roots.read_file(path)?;
        }
        Ok(roots)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// SHA-256 over the content of all files.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// When the oldest file was written, in nanoseconds since 1970.
    pub fn exported_ns(&self) -> Option<i64> {
        self.sources.iter().map(|source| source.exported_ns).min()
    }

    /// Names of repositories by their numbers.
    pub fn repository_names(&self) -> impl Iterator<Item = &str> {
        self.repositories.texts.iter().map(|text| &**text)
    }

    /// The number of a root's repository.
    pub fn repository_number(&self, root: &Root) -> Option<u32> {
        (root.repository != NONE).then_some(root.repository)
    }

    /// A root's repository; wherever it lies when `None`.
    pub fn repository(&self, root: &Root) -> Option<&str> {
        self.repositories.text(root.repository)
    }

    /// A root's tag.
    pub fn tag(&self, root: &Root) -> Option<&str> {
        self.tags.text(root.tag)
    }

    /// A root's digest.
    pub fn digest(&self, root: &Root) -> Option<Digest> {
        match root.digest {
            StoredDigest::None => None,
            StoredDigest::Sha256(bytes) => Some(Digest::Sha256(bytes)),
            StoredDigest::Other(number) => {
                self.others.text(number).map(|text| Digest::Other(text.into()))
            }
        }
    }

    /// A root's file.
    pub fn source(&self, root: &Root) -> &Source {
        &self.sources[usize::from(root.source)]
    }

    fn push(&mut self, row: &Row<'_>) {
        let digest = match &row.digest {
            None => StoredDigest::None,
            Some(Digest::Sha256(bytes)) => StoredDigest::Sha256(*bytes),
            Some(Digest::Other(text)) => StoredDigest::Other(self.others.number(Some(text))),
        };
        let root = Root {
            source: self.sources.len() as u16,
            kind: row.kind,
            origin: row.origin,
            line: u32::try_from(row.line).unwrap_or(u32::MAX),
            repository: self.repositories.number(row.repository),
            tag: self.tags.number(row.tag),
            digest,
            size_bytes: row.size_bytes.unwrap_or(NO_NUMBER),
            pushed_ns: row.pushed_ns.unwrap_or(NO_NUMBER),
            pulled_ns: row.pulled_ns.unwrap_or(NO_NUMBER),
        };
        self.rows.push(root);
    }

    fn read_file(&mut self, path: &Path) -> Result<(), RootsError> {
        let file = path.display().to_string();
        let on_read = |source| RootsError::Read { file: file.clone(), source };
        if path == Path::new("-") {
            let now = jiff::Timestamp::now().as_nanosecond();
            let exported_ns = i64::try_from(now).unwrap_or(i64::MAX);
            return self.read_from(path.to_owned(), &file, exported_ns, io::stdin().lock());
        }
        let open = File::open(path).map_err(on_read)?;
        let facts = open.metadata().map_err(on_read)?;
        if facts.is_dir() {
            return Err(on_read(io::ErrorKind::IsADirectory.into()));
        }
        let exported_ns = modified_ns(&facts);
        let absolute = std::path::absolute(path).map_err(on_read)?;
        self.read_from(absolute, &file, exported_ns, open)
    }

    /// Reads one file whose content is given; `file` is for messages.
    ///
    /// # Errors
    /// When it cannot be read, cannot be understood to its end, or names nothing.
    pub fn read_from(
        &mut self,
        path: PathBuf,
        file: &str,
        exported_ns: i64,
        content: impl Read,
    ) -> Result<(), RootsError> {
        let before = self.rows.len();
        let mut hash = std::mem::take(&mut self.hash);
        let mut reader = BufReader::with_capacity(1 << 18, Hashing { content, hash: &mut hash });
        let form = form_of(file, &mut reader)?;
        match form {
            Form::Json => json::read(file, &mut reader, &mut |row| self.push(&row))?,
            Form::Csv => table::read(file, &mut reader, b',', &mut |row| self.push(&row))?,
            Form::Tsv => table::read(file, &mut reader, b'\t', &mut |row| self.push(&row))?,
            Form::Words => words::read(file, &mut reader, &mut |row| self.push(&row))?,
        }
        drop(reader);
        self.hash = hash;
        let row_count = (self.rows.len() - before) as u64;
        if row_count == 0 {
            return Err(RootsError::Empty { file: file.into() });
        }
        if self.sources.len() > usize::from(u16::MAX) {
            return Err(RootsError::TooMany);
        }
        self.sources.push(Source { path, form, row_count, exported_ns });
        Ok(())
    }
}

fn modified_ns(facts: &std::fs::Metadata) -> i64 {
    use std::os::unix::fs::MetadataExt as _;
    facts.mtime().saturating_mul(1_000_000_000).saturating_add(facts.mtime_nsec())
}

/// Hashes what goes through.
struct Hashing<'a, R> {
    content: R,
    hash: &'a mut Sha256,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// The form of a file that is read as a text.
///
/// # Errors
/// None for a text; the reader behind it may fail.
pub fn form_of_text(text: &str) -> Result<Form, RootsError> {
    form_of("", &mut text.as_bytes())
}

/// The form, by the first bytes.
fn form_of(file: &str, reader: &mut impl io::BufRead) -> Result<Form, RootsError> {
    let on_read = |source| RootsError::Read { file: file.into(), source };
    let mut begin = reader.fill_buf().map_err(on_read)?;
    let mut skipped = 0;
    if let Some(rest) = begin.strip_prefix("\u{feff}".as_bytes()) {
        begin = rest;
        skipped = 3;
    }
    let form = if let Some(b'{' | b'[') = begin.trim_ascii_start().first() {
        Form::Json
    } else {
        let line = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match table::separator_of(line) {
            Some(b'\t') => Form::Tsv,
            Some(_) => Form::Csv,
            None => Form::Words,
        }
    };
    reader.consume(skipped);
    Ok(form)
}
