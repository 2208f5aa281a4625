//! A full disk under the database.

use std::io::Write as _;
use std::process::Command;

use super::Machine;
use crate::env::assert_well_behaved;
use crate::env::shown;

/// Runs a shell script in a namespace where it may mount: `$1` is an empty directory, `$2` regsql,
/// `$3` the registry. `None` where mounts are forbidden, as in many containers.
fn script(machine: &Machine, text: &str) -> Option<String> {
    let mount_point = machine.path().join("disk");
    std::fs::create_dir(&mount_point).unwrap();
    let namespace = |text: &str| {
        let mut command = Command::new("unshare");
        let is_root = rustix::process::geteuid().is_root();
        command.args(if is_root { &["-m"] as &[_] } else { &["-r", "-m"] });
        command.args(["sh", "-c", text, "sh"]).arg(&mount_point);
        command.arg(crate::env::REGSQL).arg(machine.root()).env("LC_ALL", "C");
        command.output().expect("unshare of util-linux")
    };
    let tried = namespace("mount -t tmpfs none \"$1\"");
    if !tried.status.success() {
        let reason = String::from_utf8_lossy(&tried.stderr).into_owned();
        let mut stderr = std::io::stderr();
        writeln!(stderr, "a full disk needs mounts: {reason}").unwrap();
        return None;
    }
    let output = namespace(text);
    assert_well_behaved(&output, text);
    Some(shown(&output))
}

#[test]
fn a_scan_onto_a_full_disk_says_so_and_leaves_nothing() {
    let told = script(
        &Machine::new(3),
        "mount -t tmpfs -o size=128k none \"$1\" || exit
         \"$2\" --db \"$1/registry.db\" scan \"$3\"; echo \"ends with $?\"
         echo left: $(ls -A \"$1\")",
    );
    let Some(told) = told else { return };
    assert!(told.contains("ends with 2"), "{told}");
    assert!(told.contains("its disk is full") && told.contains("hint:"), "{told}");
    assert!(told.contains("left:\n"), "{told}");
}

#[test]
fn an_old_snapshot_survives_a_disk_that_filled_up() {
    let told = script(
        &Machine::new(3),
        "mount -t tmpfs -o size=4m none \"$1\" || exit
         db=\"$1/registry.db\"
         \"$2\" -q --db \"$db\" scan \"$3\" || exit
         sum() { sha256sum <\"$db\"; }; before=$(sum)
         head -c 8m /dev/zero >\"$1/filler\" 2>&1
         \"$2\" --db \"$db\" scan --full \"$3\"; echo \"scan ends with $?\"
         \"$2\" --db \"$db\" verify --content; echo \"verify ends with $?\"
         rm \"$1/filler\"
         [ \"$before\" = \"$(sum)\" ] && echo the old one stands
         echo left: $(ls -A \"$1\")
         \"$2\" -q --db \"$db\" verify --content; echo \"then it ends with $?\"",
    );
    let Some(told) = told else { return };
    assert!(told.contains("scan ends with 2"), "{told}");
    assert!(told.contains("verify ends with 2"), "{told}");
    assert_eq!(told.matches("its disk is full").count(), 2, "{told}");
    assert!(told.contains("the old one stands"), "{told}");
    assert!(told.contains("left: registry.db\n"), "{told}");
    assert!(told.contains("then it ends with 0"), "{told}");
}
