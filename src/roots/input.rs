//! One file of roots: opened, its form found by how it begins, read to its end.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Form, Origin, RootKind, RootsError, Row, Source, json, table, words};

/// Enough to see a header line, also where a pipe gives a few bytes at a time.
const BEGIN_BYTES: u64 = 64 << 10;

/// The bytes of a byte-order mark.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// A file whose reading has not begun.
pub struct Input {
    path: PathBuf,
    file: String,
    exported_ns: i64,
    content: Box<dyn Read + Send>,
}

impl Input {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be opened, or is a directory.
    pub fn open(path: &Path) -> Result<Self, RootsError> {
        let is_standard_input = path == Path::new("-");
        let file =
            if is_standard_input { "standard input".into() } else { path.display().to_string() };
        let on_read = |source| RootsError::Read { file: file.clone(), source };
        if is_standard_input {
            let now = jiff::Timestamp::now().as_nanosecond();
            let exported_ns = i64::try_from(now).unwrap_or(i64::MAX);
            let content = Box::new(io::stdin());
            return Ok(Self { path: path.to_owned(), file, exported_ns, content });
        }
        let open = File::open(path).map_err(on_read)?;
        let facts = open.metadata().map_err(on_read)?;
        if facts.is_dir() {
            return Err(on_read(io::ErrorKind::IsADirectory.into()));
        }
        let exported_ns = modified_ns(&facts);
        let path = std::path::absolute(path).map_err(on_read)?;
        Ok(Self { path, file, exported_ns, content: Box::new(open) })
    }

    /// A text that has no file; `name` is for messages.
    pub fn of_text(name: &str, text: &str) -> Self {
        Self::of(name, Box::new(Cursor::new(text.as_bytes().to_vec())))
    }

    pub(super) fn of(name: &str, content: Box<dyn Read + Send>) -> Self {
        Self { path: name.into(), file: name.into(), exported_ns: 0, content }
    }

    /// Its absolute path, or `-`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its mtime in nanoseconds since 1970; for standard input when it was opened.
    pub fn exported_ns(&self) -> i64 {
        self.exported_ns
    }

    /// Hands every row to `take`.
    ///
    /// # Errors
    /// When it cannot be read, cannot be understood to its end, or names nothing. What was handed over
    /// before is then worth nothing.
    pub fn read(self, take: &mut dyn FnMut(&Row<'_>)) -> Result<Source, RootsError> {
        let Self { path, file, exported_ns, content } = self;
        let mut hash = Sha256::new();
        let hashing = Hashing { content, hash: &mut hash };
        let mut reader = BufReader::with_capacity(1 << 18, hashing);
        let mut begin = Vec::new();
        let on_read = |source| RootsError::Read { file: file.clone(), source };
        while begin.trim_ascii().is_empty() && begin.len() < BEGIN_BYTES as usize {
            let mut limited = (&mut reader).take(BEGIN_BYTES);
            if limited.read_until(b'\n', &mut begin).map_err(on_read)? == 0 {
                break;
            }
        }
        let form = form_of(&begin);
        let begin_at = if begin.starts_with(MARK) { MARK.len() } else { 0 };
        let mut whole = begin[begin_at..].chain(reader);
        let mut source = Source {
            path,
            form,
            row_count: 0,
            exported_ns,
            sha256: [0; 32],
            has_blobs: false,
            has_manifests_elsewhere: false,
            has_pulls: false,
            has_streams: false,
        };
        let mut take = |row: Row<'_>| {
            source.row_count += 1;
            source.has_blobs |= row.kind != RootKind::Manifest;
            source.has_manifests_elsewhere |= row.kind == RootKind::ManifestElsewhere;
            source.has_pulls |= row.pulled_ns.is_some();
            source.has_streams |= row.origin == Origin::ImageStream;
            take(&row);
        };
        match form {
            Form::Json => json::read(&file, &mut whole, &mut take)?,
            Form::Csv => table::read(&file, &mut whole, b',', &mut take)?,
            Form::Tsv => table::read(&file, &mut whole, b'\t', &mut take)?,
            Form::Words => words::read(&file, &mut whole, &mut take)?,
        }
        drop(whole);
        if source.row_count == 0 {
            return Err(RootsError::Empty { file });
        }
        source.sha256 = hash.finalize().into();
        Ok(source)
    }
}

/// SHA-256 over the content of a file.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of(path: &Path) -> Result<[u8; 32], RootsError> {
    let on_read = |source| RootsError::Read { file: path.display().to_string(), source };
    let mut hash = Sha256::new();
    let content = File::open(path).map_err(on_read)?;
    let mut reader = BufReader::with_capacity(1 << 18, Hashing { content, hash: &mut hash });
    io::copy(&mut reader, &mut io::sink()).map_err(on_read)?;
    Ok(hash.finalize().into())
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

/// The form of a text, by how it begins.
pub fn form_of_text(text: &str) -> Form {
    form_of(text.as_bytes())
}

fn form_of(begin: &[u8]) -> Form {
    let begin = begin.strip_prefix(MARK).unwrap_or(begin).trim_ascii_start();
    if let Some(b'{' | b'[') = begin.first() {
        return Form::Json;
    }
    let line = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match table::separator_of(line) {
        Some(b'\t') => Form::Tsv,
        Some(_) => Form::Csv,
        None => Form::Words,
    }
}
