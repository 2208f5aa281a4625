//! What can be said to `prune`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::commands::options::{CatalogArgs, ParamArgs, RegistryArgs, parse_duration, parse_size};
use crate::commands::storage;
use crate::trash::Way;

/// Arguments of `prune`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct PruneArgs {
    /// Reports whose rows go: those that select something (regsql report --list); with values of its
    /// own as 'keep-latest keep=10'
    #[arg(value_name = "REPORT")]
    pub names: Vec<String>,
    /// Values for the reports' and the query's parameters.
    #[command(flatten)]
    pub params: ParamArgs,
    /// A query whose rows go
    #[arg(long, value_name = "QUERY")]
    pub sql: Option<String>,
    /// A file with a query whose rows go: a policy; may be repeated
    #[arg(long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// One thing that goes: REPO:TAG, REPO@DIGEST or the DIGEST of an orphan blob; may be repeated
    #[arg(long, value_name = "TARGET")]
    pub target: Vec<String>,
    /// Everything that nothing needs: orphan blobs, dangling and unneeded layer links, stale
    /// uploads, repositories with nothing left in them
    #[arg(long)]
    pub garbage: bool,
    /// Blobs whose content verify --content, or a size, shows to be wrong: each is read once more, and
    /// goes if that is so, although images need it. The registry keeps a wrong blob for ever; when it
    /// is gone, a push of any image with it repairs all of them
    #[arg(long)]
    pub corrupt: bool,
    /// Temporary files and empty directories that interrupted writes left
    #[arg(long)]
    pub leftovers: bool,
    /// A plan that --save wrote, worked out again: what has changed since stays
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "sql", "file", "target", "garbage", "corrupt", "leftovers"])]
    pub plan: Option<PathBuf>,
    /// Remove the tags alone, and nothing that they leave behind
    #[arg(long, conflicts_with_all = ["garbage", "corrupt", "leftovers"])]
    pub keep_revisions: bool,
    /// Open the rows of reports and queries in $EDITOR first: what is deleted there stays
    #[arg(long, conflicts_with = "plan")]
    pub edit: bool,
    /// Let rows that name a layer stand for every image that holds it
    #[arg(long)]
    pub images_holding_layers: bool,
    /// Let rows that name a repository alone stand for all in it
    #[arg(long)]
    pub whole_repositories: bool,
    /// What must hold.
    #[command(flatten)]
    pub guards: GuardArgs,
    /// How it acts.
    #[command(flatten)]
    pub acting: ActArgs,
    /// A directory of your own reports.
    #[command(flatten)]
    pub catalog: CatalogArgs,
    /// How the plan is shown
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub format: FormatArg,
    /// Show every repository and tag that goes and all that stays, not only the first of each
    #[arg(long)]
    pub all: bool,
    /// Write the plan to a file, for --plan
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// What must hold of whatever goes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Guards")]
pub struct GuardArgs {
    /// Leave what was written or linked within this time [default: 24h; for uploads 7d]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub min_age: Option<Duration>,
    /// Leave what a list names: image references or digests in use, as kubectl and docker print
    /// them (words or -o json), or CSV with the header repository,tag,digest; may be repeated
    #[arg(long, value_name = "FILE")]
    pub protect: Vec<PathBuf>,
    /// Leave what this command prints, as with --protect; when it fails nothing is deleted; may be
    /// repeated
    #[arg(long, value_name = "CMD")]
    pub protect_command: Vec<String>,
    /// Leave tags whose name matches, such as v1.*; REPO:GLOB for one repository, with or without
    /// the registry's host before it; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub protect_tags: Vec<String>,
    /// Refuse when more would come free than this, such as 100GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_delete_bytes: Option<u64>,
    /// Refuse when more than this percentage of all bytes of blobs and uploads would come free
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_delete_percent: u8,
    /// Go on although repositories or tags have vanished since the last scan, each of which is named;
    /// with a glob only what it matches: a repository, a namespace, or * for the whole
    #[arg(long, value_name = "GLOB", num_args = 0..=1, require_equals = true, default_missing_value = "**")]
    pub accept_vanished: Vec<String>,
    /// Your word that nothing outside of the storage holds references to it, against the evidence that
    /// a scan found (regsql report authority)
    #[arg(long)]
    pub trust_storage: bool,
    /// Scan again first when the scan is older. --delete always scans again, and --via-api refuses an
    /// older scan
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub max_scan_age: Duration,
}

/// How it acts.
#[derive(Args, Debug)]
#[command(next_help_heading = "Acting")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct ActArgs {
    /// Carry the plan out; without it nothing is deleted
    #[arg(long)]
    pub delete: bool,
    /// The registry's address: it must be stopped or read-only, or --online given
    #[arg(long, value_name = "URL")]
    pub registry_url: Option<String>,
    /// Your word that no registry writes to the storage now
    #[arg(long, conflicts_with = "online")]
    pub offline: bool,
    /// Act beside a registry that takes pushes: in phases, with waits
    #[arg(long)]
    pub online: bool,
    /// Your word that the registry has no blob descriptor cache, for --online without --registry-url,
    /// or with corrupt blobs
    #[arg(long, requires = "online")]
    pub cache_off: bool,
    /// How long to wait between the phases of --online: longer than a push takes from checking a
    /// manifest to writing it
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub wait: Duration,
    /// Delete tags and revisions through the registry's API alone, without touching the storage
    #[arg(long, value_name = "URL", conflicts_with_all = ["registry_url", "offline", "online", "no_trash", "before", "after", "keep_revisions", "corrupt", "leftovers"])]
    pub via_api: Option<String>,
    /// Who to be for the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Delete at once instead of moving to the trash: nothing can be undone
    #[arg(long)]
    pub no_trash: bool,
    /// In a bucket: what becomes of the data of blobs. Links and tags go at once in each way, and regsql
    /// undo puts all of it back until it is purged
    #[arg(long, value_name = "WAY", default_value = "auto", conflicts_with = "via_api")]
    pub trash: Way,
    /// A command to run before anything is touched, such as one that stops the registry; when it
    /// fails nothing is deleted
    #[arg(long, value_name = "CMD")]
    pub before: Option<String>,
    /// A command to run at the end, also after a failure
    #[arg(long, value_name = "CMD")]
    pub after: Option<String>,
}

impl ActArgs {
    /// How a storage is changed.
    pub(super) fn changing(&self) -> storage::Changing {
        let settle = self.online.then_some(self.wait);
        storage::Changing { way: self.trash, is_quiet: !self.online, settle }
    }
}

/// A format's name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// A summary for people
    Table,
    /// The whole plan, every item by name
    Json,
}
