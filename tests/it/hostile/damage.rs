//! What disks, editors, crashes and attackers do to a storage.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

use regsql::sample::Random;
use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat};

/// How far damage goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Things are changed, replaced by what cannot be read, or added. What a registry needs can be
    /// told then: something is left that says "here is what I do not know".
    NothingRemoved,
    /// Things may also vanish, be renamed, or give way to plain files.
    Anything,
}

/// Names that no registry writes.
fn nasty_name(random: &mut Random) -> OsString {
    let name: Vec<u8> = match random.below(9) {
        0 => vec![b'x'; 255],
        1 => [b"n\n\x1b[2J".repeat(42), b"abc".to_vec()].concat(),
        2 => b"\xff\xfe\x80".to_vec(),
        3 => "\u{202e}gpj.exe\u{9b}".into(),
        4 => b"sha256".to_vec(),
        5 => b"link".to_vec(),
        6 => b"_manifests".to_vec(),
        7 => b"a\\x5cb\r".to_vec(),
        _ => b"=cmd()".to_vec(),
    };
    OsString::from_vec(name)
}

/// One to six faults below `root`, some of which lead to `outside`. Gives what was done.
pub fn damage(random: &mut Random, root: &Path, outside: &Path, mode: Damage) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..=random.below(6) {
        let (files, directories) = all_in(&root.join("docker/registry/v2"));
        let pick = |random: &mut Random, paths: &[PathBuf]| {
            (!paths.is_empty()).then(|| paths[random.below(paths.len() as u64) as usize].clone())
        };
        let (Some(file), Some(directory)) = (pick(random, &files), pick(random, &directories))
        else {
            break;
        };
        let (what, path, result) = match random.below(if mode == Damage::Anything { 10 } else { 7 })
        {
            0 | 1 => change_bytes(random, file),
            2 | 3 => replace_file(random, file, outside),
            4 => {
                // Whatever was there lies elsewhere now, as when a disk was added.
                let moved = outside.join(format!("moved{}", random.next_u64()));
                let result =
                    fs::rename(&directory, &moved).and_then(|()| symlink(&moved, &directory));
                ("a link to where it was moved to", directory, result)
            }
            5 => (
                "something with a nasty name in it",
                directory.clone(),
                add(random, &directory, outside),
            ),
            6 => ("200 directories in each other", directory.clone(), nest(random, &directory)),
            7 => {
                let result = fs::remove_dir_all(&directory);
                ("removed", directory, result)
            }
            8 => {
                let result =
                    fs::remove_dir_all(&directory).and_then(|()| fs::write(&directory, b"x"));
                ("a file in place of the directory", directory, result)
            }
            _ => {
                let renamed = directory.with_file_name(nasty_name(random));
                let result = fs::rename(&directory, &renamed);
                ("renamed", directory, result)
            }
        };
        // A name may be taken already.
        let outcome = result.map_or_else(|error| format!(" (failed: {error})"), |()| String::new());
        done.push(format!("{what}: {}{outcome}", path.strip_prefix(root).unwrap().display()));
    }
    done
}

type Done = (&'static str, PathBuf, io::Result<()>);

fn change_bytes(random: &mut Random, file: PathBuf) -> Done {
    let mut bytes = fs::read(&file).unwrap_or_default();
    let at = random.below(bytes.len() as u64 + 1) as usize;
    let what = match random.below(7) {
        0 | 1 if at < bytes.len() => {
            bytes[at] ^= 1 << random.below(8);
            "a flipped bit"
        }
        2 => {
            bytes.truncate(at);
            "truncated"
        }
        3 => {
            bytes.fill(0);
            "zeros"
        }
        4 => {
            bytes.extend_from_slice(b"\n\x1b[31m");
            "grown"
        }
        5 => {
            bytes.clear();
            "emptied"
        }
        _ => {
            bytes = random.bytes(bytes.len());
            "noise"
        }
    };
    let result = fs::write(&file, bytes);
    (what, file, result)
}

fn replace_file(random: &mut Random, file: PathBuf, outside: &Path) -> Done {
    if let Err(error) = fs::remove_file(&file) {
        return ("not replaced", file, Err(error));
    }
    let node = |kind: FileType| Ok(mknodat(CWD, &file, kind, Mode::from_raw_mode(0o644), 0)?);
    let (what, result) = match random.below(9) {
        0 => ("a directory", fs::create_dir(&file)),
        1 => ("a FIFO", node(FileType::Fifo)),
        2 => ("a socket", node(FileType::Socket)),
        3 => ("a link to itself", symlink(&file, &file)),
        4 => ("a link to /etc/passwd", symlink("/etc/passwd", &file)),
        5 => ("a link to a link outside", symlink(outside.join("link"), &file)),
        6 => ("a link to a manifest outside", symlink(outside.join("manifest"), &file)),
        7 => ("a link to a directory outside", symlink(outside, &file)),
        _ => ("a hole of 1 TiB", File::create(&file).and_then(|file| file.set_len(1 << 40))),
    };
    (what, file, result)
}

fn add(random: &mut Random, directory: &Path, outside: &Path) -> io::Result<()> {
    let path = directory.join(nasty_name(random));
    match random.below(6) {
        0 => File::create_new(&path).map(drop),
        1 => fs::create_dir(&path),
        2 => symlink(outside, &path),
        3 => symlink("..", &path),
        4 => Ok(mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?),
        _ => fs::create_dir(&path).and_then(|()| File::create_new(path.join("link")).map(drop)),
    }
}

/// Deeper than a path may be long, when names are long.
fn nest(random: &mut Random, directory: &Path) -> io::Result<()> {
    let name = if random.chance(0.5) { "d".repeat(255) } else { "d".into() };
    let flags = OFlags::DIRECTORY | OFlags::RDONLY;
    let mut current = openat(CWD, directory, flags, Mode::empty())?;
    for _ in 0..200 {
        mkdirat(&current, &name, Mode::from_raw_mode(0o755))?;
        current = openat(&current, &name, flags, Mode::empty())?;
    }
    Ok(())
}

/// Files, and directories below the top one, without following a link and not endlessly deep.
fn all_in(top: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    // The order of a directory is the file system's.
    let all = WalkDir::new(top).min_depth(1).max_depth(30).sort_by_file_name();
    for entry in all.into_iter().flatten() {
        match entry.file_type() {
            kind if kind.is_dir() => directories.push(entry.into_path()),
            kind if kind.is_file() => files.push(entry.into_path()),
            _ => {}
        }
    }
    (files, directories)
}
