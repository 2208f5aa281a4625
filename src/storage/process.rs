//! Which process this is, for a lock that must say who holds it.

use serde::{Deserialize, Serialize};

/// A process of some host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The host's name.
    pub host: String,
    /// The host's name for the numbers of its processes: containers have their own.
    pub namespace: String,
    /// Its number there.
    pub pid: i32,
}

impl ProcessId {
    /// The one that asks.
    pub fn own() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let namespace = rustix::fs::readlink("/proc/self/ns/pid", Vec::new())
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        Self { host, namespace, pid: rustix::process::getpid().as_raw_nonzero().get() }
    }

    /// Whether it is known to have ended: it was of this host, and no process has its number.
    pub fn has_ended(&self) -> bool {
        let own = Self::own();
        let is_here = !own.namespace.is_empty()
            && (&own.host, &own.namespace) == (&self.host, &self.namespace);
        let pid = rustix::process::Pid::from_raw(self.pid);
        is_here
            && pid.is_some_and(|pid| {
                rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
            })
    }
}
