//! Names that file systems, NAS boxes, file managers and sync programs leave everywhere.
//!
//! None of them is a repository, a tag or a blob: a name that a registry could have written is never
//! clutter, whatever else writes it too (`desktop.ini` is a valid repository, `Thumbs.db` a valid
//! tag). So only files of such names count, and directories whose name no registry takes.

use super::name::{is_repository_name, is_tag_name};

/// How a name is recognised.
enum Name {
    /// It is just this.
    Is(&'static str),
    /// It is this in letters of any case.
    IsAnyCase(&'static str),
    /// It begins so.
    Begins(&'static str),
    /// It ends so.
    Ends(&'static str),
    /// It has this somewhere.
    Has(&'static str),
}

use Name::{Begins, Ends, Has, Is, IsAnyCase};

// Each name with the program that leaves it. The sources are the programs' manuals: Synology
// "Indexing" and "Recycle Bin", QNAP "Network Recycle Bin", NetApp "Snapshot directory", OpenZFS
// `snapdir`, snapper(8), Ceph "Snapshots", Samba vfs_fruit(8) and vfs_recycle(8), Apple "AppleDouble",
// the freedesktop.org Trash specification, e2fsck(8), nfs "silly rename" (Linux
// `fs/nfs/unlink.c`), libfuse `hard_remove`, GlusterFS, Syncthing "Versioning", "Temporary files" and
// "Conflicting changes", Resilio, Dropbox, Nextcloud, FreeFileSync, Unison, rclone(1), rsync(1), Samba
// vfs_streams_depot(8). Windows compares names without regard to case.
const NAMES: &[(Name, &str)] = &[
    (Is("@eaDir"), "Synology"),
    (Ends("@SynoEAStream"), "Synology"),
    (Ends("@SynoResource"), "Synology"),
    (Is("#recycle"), "Synology"),
    (Is("#snapshot"), "Synology"),
    (Is("@tmp"), "Synology"),
    (Is("@sharebin"), "Synology"),
    (Is(".SynologyWorkingDirectory"), "Synology"),
    (Is("@Recycle"), "QNAP"),
    (Is("@Recently-Snapshot"), "QNAP"),
    (Is("@__thumb"), "QNAP"),
    (Is(".@__thumb"), "QNAP"),
    (Begins(".@upload_cache"), "QNAP"),
    (Is(".recycle"), "Samba"),
    (Is(".streams"), "Samba"),
    (Is(".snapshot"), "a file system's snapshots"),
    (Is(".snapshots"), "a file system's snapshots"),
    (Is("~snapshot"), "a file system's snapshots"),
    (Is(".snap"), "a file system's snapshots"),
    (Is(".zfs"), "a file system's snapshots"),
    (Is(".ckpt"), "a file system's snapshots"),
    (Is("lost+found"), "fsck"),
    (Begins(".nfs"), "NFS"),
    (Begins(".fuse_hidden"), "FUSE"),
    (Is(".glusterfs"), "GlusterFS"),
    (Is(".Trash"), "a desktop's trash"),
    (Begins(".Trash-"), "a desktop's trash"),
    (Is(".directory"), "KDE"),
    (Begins("._"), "macOS"),
    (Is(".DS_Store"), "macOS"),
    (Is(".AppleDouble"), "macOS"),
    (Is(".AppleDB"), "macOS"),
    (Is(".AppleDesktop"), "macOS"),
    (Is(".Spotlight-V100"), "macOS"),
    (Is(".Trashes"), "macOS"),
    (Is(".fseventsd"), "macOS"),
    (Is(".TemporaryItems"), "macOS"),
    (Is("Temporary Items"), "macOS"),
    (Is("Network Trash Folder"), "macOS"),
    (Is(".DocumentRevisions-V100"), "macOS"),
    (Is(".com.apple.timemachine.supported"), "macOS"),
    (Is(".metadata_never_index"), "macOS"),
    (Is(".VolumeIcon.icns"), "macOS"),
    (Is(".localized"), "macOS"),
    (Is("Icon\r"), "macOS"),
    (Is(".apdisk"), "macOS"),
    (IsAnyCase("$RECYCLE.BIN"), "Windows"),
    (IsAnyCase("System Volume Information"), "Windows"),
    (IsAnyCase("Thumbs.db"), "Windows"),
    (IsAnyCase("ehthumbs.db"), "Windows"),
    (IsAnyCase("desktop.ini"), "Windows"),
    (Is(".stfolder"), "Syncthing"),
    (Begins(".stfolder ("), "Syncthing"),
    (Has(".sync-conflict-"), "Syncthing"),
    (Is(".stignore"), "Syncthing"),
    (Is(".stversions"), "Syncthing"),
    (Begins(".syncthing."), "Syncthing"),
    (Begins("~syncthing~"), "Syncthing"),
    (Is(".sync"), "Resilio Sync"),
    (Is(".dropbox"), "Dropbox"),
    (Is(".dropbox.cache"), "Dropbox"),
    (Begins(".owncloudsync"), "Nextcloud"),
    (Begins(".sync_"), "Nextcloud"),
    (Is(".nextcloudsync.log"), "Nextcloud"),
    (Begins(".csync_journal"), "Nextcloud"),
    (Ends(".ffs_db"), "FreeFileSync"),
    (Ends(".ffs_tmp"), "FreeFileSync"),
    (Ends(".ffs_lock"), "FreeFileSync"),
    (Begins(".unison"), "Unison"),
    (Is(".rsync-partial"), "rsync"),
    (Is(".~tmp~"), "rsync"),
    (Ends(".partial"), "rclone"),
];

/// Names of what a registry writes, which rsync hides behind a dot and six characters of its own
/// while it copies them (rsync(1), `--temp-dir`).
const COPIED: [&str; 3] = [".data.", ".link.", ".startedat."];

/// The program that leaves this name; `None` when nothing known does.
pub fn program(name: &[u8]) -> Option<&'static str> {
    let matches = |(wanted, _): &&(Name, _)| match wanted {
        Is(whole) => name == whole.as_bytes(),
        IsAnyCase(whole) => name.eq_ignore_ascii_case(whole.as_bytes()),
        Has(part) => memchr::memmem::find(name, part.as_bytes()).is_some(),
        Begins(start) => name.starts_with(start.as_bytes()),
        Ends(end) => name.ends_with(end.as_bytes()),
    };
    let of_rsync = COPIED.iter().any(|start| {
        let random = name.strip_prefix(start.as_bytes());
        random.is_some_and(|rest| rest.len() == 6 && rest.iter().all(u8::is_ascii_alphanumeric))
    });
    NAMES.iter().find(matches).map(|(_, program)| *program).or(of_rsync.then_some("rsync"))
}

/// The program that leaves this directory entry where a registry has repositories, tags and digests;
/// `None` when a registry could have written it, or nothing known does.
pub fn of_entry(name: &[u8], is_file: bool) -> Option<&'static str> {
    let program = program(name)?;
    let is_a_registrys =
        std::str::from_utf8(name).is_ok_and(|name| is_repository_name(name) || is_tag_name(name));
    (is_file || !is_a_registrys).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_a_registry_could_have_written_is_no_clutter() {
        for name in ["desktop.ini", "Thumbs.db", "a.partial", "latest", "team", "v1.0"] {
            assert_eq!(of_entry(name.as_bytes(), false), None, "{name}");
        }
        for (name, _) in NAMES {
            let name = match name {
                Is(name) => (*name).to_owned(),
                IsAnyCase(name) => name.to_ascii_lowercase(),
                Has(part) => format!("link{part}20260101"),
                Begins(start) => format!("{start}x"),
                Ends(end) => format!("x{end}"),
            };
            let is_a_registrys = is_repository_name(&name) || is_tag_name(&name);
            assert_eq!(of_entry(name.as_bytes(), false).is_none(), is_a_registrys, "{name}");
            assert!(of_entry(name.as_bytes(), true).is_some(), "{name}");
        }
    }

    #[test]
    fn what_rsync_is_copying_is_told_from_files_that_are_hidden_otherwise() {
        assert_eq!(program(b".data.Xy12Ab"), Some("rsync"));
        assert_eq!(program(b".data.Xy12Abc"), None);
        assert_eq!(program(b".data"), None);
    }
}
