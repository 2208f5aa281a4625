//! A scan in a process of its own: what it took from the allocator is given back when it ends, which
//! hundreds of scans in one process would not do, and whatever ends it leaves the server alive.

use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::ServeError;

/// How often to look whether the scan has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a scan ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There is a new snapshot.
    Done,
    /// It was killed because the other end of `hung_up` is gone; the old snapshot is as it was.
    Stopped,
}

/// Runs `command`, which says itself what is wrong when it fails.
pub fn scan(command: &mut Command, hung_up: &Receiver<()>) -> Result<Ended, ServeError> {
    let mut child = command.spawn().map_err(ServeError::ScanStart)?;
    loop {
        match child.try_wait().map_err(ServeError::ScanStart)? {
            Some(status) if status.success() => return Ok(Ended::Done),
            Some(status) => return Err(ServeError::ScanFailed(status)),
            None => {}
        }
        if let Ok(()) | Err(RecvTimeoutError::Disconnected) = hung_up.recv_timeout(LOOK_EVERY) {
            // It may have ended by itself meanwhile, which is as good.
            drop(child.kill());
            drop(child.wait());
            return Ok(Ended::Stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_scan_that_fails_is_told_from_one_that_does_not() {
        let (_serving, hung_up) = mpsc::channel();
        assert_eq!(scan(&mut Command::new("true"), &hung_up).unwrap(), Ended::Done);
        let failed = scan(&mut Command::new("false"), &hung_up).unwrap_err().to_string();
        assert_eq!(failed, "the scan failed (exit status: 1); the last snapshot is still served");
        let absent = scan(&mut Command::new("/none"), &hung_up).unwrap_err();
        assert!(matches!(absent, ServeError::ScanStart(_)));
    }

    #[test]
    fn a_scan_ends_when_the_server_does() {
        let (serving, hung_up) = mpsc::channel::<()>();
        drop(serving);
        let started = Instant::now();
        let ended = scan(Command::new("sleep").arg("60"), &hung_up).unwrap();
        assert!(ended == Ended::Stopped && started.elapsed() < Duration::from_secs(30));
    }
}
