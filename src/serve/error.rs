//! Why nothing is served, or nothing new.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::db::DatabaseError;
use crate::export::ExportError;
use crate::snapshot::ScanError;

/// Something failed, before it serves or while it does.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Neither the command line nor the database names a storage.
    #[error("no STORAGE is given, and there is no snapshot in `{}` that names one", .0.display())]
    NoStorage(PathBuf),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No thread for the scans.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The thread that waits for scans is gone.
    #[error("the thread that makes the answers ended by a fault in regsql")]
    Ended,
    /// The storage cannot be found.
    #[error(transparent)]
    Storage(#[from] ScanError),
    /// The scan cannot be started or waited for.
    #[error("cannot start the scan")]
    ScanStart(#[source] io::Error),
    /// The scan failed, and has said why.
    #[error("the scan failed ({0}); the last snapshot is still served")]
    ScanFailed(ExitStatus),
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The metrics cannot be worked out.
    #[error(transparent)]
    Export(Box<ExportError>),
    /// The page for browsers cannot be made.
    #[error("cannot make the page for browsers")]
    Home(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<ExportError> for ServeError {
    fn from(error: ExportError) -> Self {
        Self::Export(Box::new(error))
    }
}

impl ServeError {
    /// The next step, where one exists.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoStorage(_) => {
                Some("name the registry's storage: `regsql serve STORAGE`".into())
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("another program listens there; name another address with --listen".into())
            }
            Self::Listen { .. } => Some("name another address with --listen".into()),
            Self::Ended => Some("please report it, with what was printed above".into()),
            Self::Storage(error) => error.hint(),
            Self::Database(error) => error.hint(),
            Self::Export(error) => error.hint(),
            Self::Thread(_) | Self::ScanStart(_) | Self::ScanFailed(_) | Self::Home(_) => None,
        }
    }
}
