//! A disk that is full, with the database on it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::{Night, free_address};

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_night_on_a_full_disk_makes_room_from_the_trash_first() {
    let directory = tempfile::tempdir().unwrap();
    let night = Night { address: free_address(), directory };
    let disk = night.path("disk");
    fs::create_dir(&disk).unwrap();
    let mut mount = Command::new("mount");
    let mount = mount.args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(&disk).output();
    let mount = mount.unwrap();
    if !mount.status.success() {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: nothing can be mounted here").unwrap();
        return;
    }
    let _mounted = Mounted(disk.clone());
    let root = night.root();
    fs::create_dir(&root).unwrap();
    Night::fill(&root);
    night.prepare();
    let on_disk = |text: String| {
        text.replace("\"registry.db\"", "\"disk/registry.db\"")
            .replace("\"registry\"", "\"disk/registry\"")
    };
    night.write_config(on_disk);
    night.ends(0, &[]);
    // What that night took fills the trash; then the disk fills up to the last byte.
    let run = fs::read_dir(root.join(".regsql/trash")).unwrap().next().unwrap().unwrap().path();
    assert!(run.is_dir());
    let mut filler = File::create(disk.join("filler")).unwrap();
    for size in [1 << 20, 4096, 1] {
        while filler.write_all(&vec![1; size]).is_ok() {}
    }
    night.write_config(|text| {
        on_disk(text).replace("garbage = true", "garbage = true\npurge_older_than = \"0s\"")
    });
    let output = night.run(&[]);
    let text = format!("{}{}", crate::env::shown(&output), night.text("log"));
    // Whatever comes of it, the trash was purged before all else, and the registry serves.
    assert!(text.contains("the trash is purged first"), "{text}");
    assert!(!run.exists(), "{text}");
    assert!(matches!(output.status.code(), Some(0 | 2)), "{text}");
    night.assert_whole();
    drop(filler);
    fs::remove_file(disk.join("filler")).unwrap();
    night.ends(0, &[]);
    night.assert_whole();
}
