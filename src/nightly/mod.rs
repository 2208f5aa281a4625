//! `nightly`: the whole night job of a registry, from the announcement of a downtime to its end.
//!
//! Each step is a process with a time limit: the commands of the configuration, and regsql itself for
//! scan, prune and purge. A step that hangs, is killed or runs out of memory therefore never takes
//! this process along, whose one duty is that the registry is started again and the downtime ends. What
//! is deleted goes through `prune` and `trash purge` as a person would call them, and nothing here
//! touches the storage.
//!
//! Guarantees: once a command that stops the registry was begun, the one that starts it is run,
//! whatever fails, also after SIGTERM; a run that was killed is healed by the next one, which finds its
//! record; two runs never meet.

mod children;
mod config;
mod job;
mod log;
pub mod process;
mod record;
mod run;
mod serving;
mod step;
mod summary;

pub use config::{Config, ConfigError, Mode, RegistryTable};
pub use log::{Log, LogError};
pub use record::{Record, RecordError, State};
pub use run::{Job, PARENT_VARIABLE};
pub use serving::Checked;
pub use summary::{PruneFigures, StepReport, StepResult, Summary};
