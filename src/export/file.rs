//! Files that other programs read while they are written anew.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::ExportError;

/// Writes what `fill` gives into a new file and puts that in the place of `path`: a reader sees the
/// old content or the new one, never a part. Everybody may read it (mode 0644): who collects it runs
/// as another user.
///
/// # Errors
/// [`ExportError::Write`]; the old file is then as it was.
pub fn replace_file(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ExportError> {
    replace(path, fill).map_err(|source| ExportError::Write { path: path.to_owned(), source })
}

fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // A rename would put a file in the place of a device or pipe.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file"));
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut new = tempfile::Builder::new()
        .prefix(".regsql-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)
        // It names the file that only stands in for the one that a person knows.
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(error.kind(), "there is no such directory"),
            kind => kind.into(),
        })?;
    let mut out = BufWriter::new(&mut new);
    fill(&mut out)?;
    out.flush()?;
    drop(out);
    // Set by hand, whatever the umask says.
    new.as_file().set_permissions(Permissions::from_mode(0o644))?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    Ok(())
}
