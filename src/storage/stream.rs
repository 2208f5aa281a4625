//! Reading whole files without driving out what the registry has in the page cache.
//!
//! A check of all content reads more than any memory holds, and read in the ordinary way it would
//! leave the registry with a cold cache. Three ways, the first that the kernel knows:
//!
//! 1. `RWF_DONTCACHE` (Linux 6.14, file systems that support it): pages that were not in the cache
//!    leave it again after the read, and pages that were there stay.
//! 2. Older kernels: a file of which nothing was in the cache at the start is dropped at the end
//!    with `POSIX_FADV_DONTNEED`. A file that was there in part stays as it is.
//! 3. No way to tell (`RWF_NOWAIT` unknown): nothing is dropped.

use std::io::{self, IoSliceMut};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};
use sha2::{Digest as _, Sha256};

use super::Storage;

/// Pieces in which a file is read that is only hashed.
const BUFFER_BYTES: usize = 1 << 20;

/// `RWF_DONTCACHE` of `linux/fs.h`.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// Places of a file that are asked whether they are in the cache. They lie farther apart than a
/// read-ahead reaches, which asking may set off.
const PROBES: u64 = 8;

/// A smaller file takes a few pages, which are not worth another call.
const MIN_PROBED_BYTES: u64 = 1 << 20;

/// Gives the first `size` bytes of `file` to `take`, a piece of `buffer` at a time, until it says
/// to stop. Returns how many bytes were given: fewer when the file has become shorter.
pub fn stream(
    file: &OwnedFd,
    size: u64,
    buffer: &mut [u8],
    take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<u64> {
    let mut flags = DONT_CACHE;
    let mut drop_after = false;
    // Read-ahead twice as far; a file system that does not know it reads as before.
    let _advice_only = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
    let mut done = 0;
    while done < size {
        let wanted =
            usize::try_from(size - done).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut slices = [IoSliceMut::new(&mut buffer[..wanted])];
        match rustix::io::preadv2(file, &mut slices, done, flags) {
            Ok(0) => break,
            Ok(count) => {
                done += count as u64;
                if take(&buffer[..count]).is_break() {
                    break;
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) if flags == DONT_CACHE => {
                flags = ReadWriteFlags::empty();
                drop_after = is_uncached(file, size);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if drop_after {
        let _advice_only = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    }
    Ok(done)
}

/// The SHA-256 of a whole file, in little memory.
///
/// # Errors
/// As [`Storage::stream`].
pub fn sha256(storage: &dyn Storage, path: &Path) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    storage.stream(path, &mut buffer, &mut |piece| {
        hash.update(piece);
        ControlFlow::Continue(())
    })?;
    Ok(hash.finalize().into())
}

/// Whether none of the places that were asked is in the page cache; `false` when that is unknown.
fn is_uncached(file: &OwnedFd, size: u64) -> bool {
    if size < MIN_PROBED_BYTES {
        return false;
    }
    // From the end, so that a read-ahead of one probe does not reach the next.
    (0..PROBES).rev().all(|probe| {
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        let place = size / PROBES * probe;
        rustix::io::preadv2(file, &mut slices, place, ReadWriteFlags::NOWAIT) == Err(Errno::AGAIN)
    })
}
