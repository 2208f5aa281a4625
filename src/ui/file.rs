//! Files that a command writes for other programs: whole, or not at all.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", .path.display())]
pub struct WriteFileError {
    path: PathBuf,
    source: io::Error,
}

/// Puts `content` in the place of the file at `path`: a reader finds the old file or all of the new
/// one, never a part. A pipe or a device is written to as it is.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<(), WriteFileError> {
    let written = match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() => std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(content)),
        // The target of a link is replaced, and the link stays.
        Ok(_) => std::fs::canonicalize(path).and_then(|path| replace(&path, content)),
        Err(_) => replace(path, content),
    };
    written.map_err(|source| WriteFileError { path: path.to_owned(), source })
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".regsql-")
        // As any new file: what the umask leaves. Others are to read it.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_a_link_to_it_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("page"), directory.path().join("link"));
        replace_file(&file, b"old").unwrap();
        std::os::unix::fs::symlink("page", &link).unwrap();
        replace_file(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let error = replace_file(Path::new("/nowhere/page.html"), b"x").unwrap_err();
        assert_eq!(error.to_string(), "cannot write `/nowhere/page.html`");
        let directory = tempfile::tempdir().unwrap();
        assert!(replace_file(directory.path(), b"x").is_err());
    }
}
