//! Who else may hold references to what lies in a storage: the evidence, and what it rules out.
//!
//! Several products keep tags or manifests in a database and only blobs in a storage that looks like
//! a plain registry's. A scan cannot prove that; it can see what a plain registry does not leave.
//! Every threshold stands here with its reason. Evidence leads to a refusal with a way out
//! (`--roots`, `--trust-storage`), never to a verdict, so a doubtful case counts as evidence.

use clap::ValueEnum;

/// What keeps things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Authority {
    /// What is on disk
    #[default]
    Storage,
    /// What roots name alone: tags on disk keep nothing
    Roots,
    /// Either
    Both,
}

impl Authority {
    /// As `scan_info` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Both => "both",
            Self::Roots => "roots",
        }
    }
}

/// A kind of evidence that something outside of the storage holds references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvidenceCode {
    /// `lockfiles/database-in-use`: GitLab's registry writes it when its metadata database is on
    /// (registry/storage/locks.go). Its absence proves nothing: some versions never write it.
    GitlabLockFile,
    /// Image configs that no manifest on disk names: the manifests are elsewhere.
    OrphanConfigs,
    /// Revisions, and not one tag in the whole storage: the tags are elsewhere (OpenShift, new Harbor).
    NoTags,
    /// Repositories with revisions and without a `_manifests/tags`: they never had a tag. The directory
    /// stays when a registry's last tag goes.
    RepositoriesWithoutTagsDirectory,
    /// Revisions that no tag leads to or ever led to: tags are elsewhere since some day. A tag that was
    /// moved leaves an entry in its `index`, so ordinary garbage looks different.
    NeverTagged,
    /// A repository `sys_harb0r/…`, where Harbor keeps exports.
    HarborRepository,
    /// Directories of a Harbor installation beside the storage.
    HarborDirectories,
    /// A registry that answers with `Gitlab-Container-Registry-Database-Enabled: true`.
    GitlabHeader,
    /// A registry that answers as OpenShift's: with `X-Registry-Supports-Signatures`, or a token server at
    /// `/openshift/token` (image-registry pkg/dockerregistry/server/app.go).
    OpenshiftHeader,
    /// A registry whose token service is `harbor-registry` (core/service/token/creator.go).
    HarborTokenService,
    /// A registry lists tags that its storage has not: they are elsewhere, in a product that is not known.
    TagsNotInStorage,
    /// A configuration with `database.enabled` (GitLab registry/configuration): `true`, or `prefer`, with which
    /// the registry uses the database as soon as it is there.
    GitlabConfiguration,
    /// A configuration with OpenShift's section or middleware (image-registry images/dockerregistry/config.yml).
    OpenshiftConfiguration,
    /// A configuration with Harbor's token service or notifications (make/photon/prepare/templates/registry).
    HarborConfiguration,
}

impl EvidenceCode {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::GitlabLockFile,
        Self::OrphanConfigs,
        Self::NoTags,
        Self::RepositoriesWithoutTagsDirectory,
        Self::NeverTagged,
        Self::HarborRepository,
        Self::HarborDirectories,
        Self::GitlabHeader,
        Self::OpenshiftHeader,
        Self::HarborTokenService,
        Self::TagsNotInStorage,
        Self::GitlabConfiguration,
        Self::OpenshiftConfiguration,
        Self::HarborConfiguration,
    ];

    /// As the `authority_evidence` view writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::GitlabLockFile => "gitlab-lock-file",
            Self::OrphanConfigs => "orphan-configs",
            Self::NoTags => "no-tags",
            Self::RepositoriesWithoutTagsDirectory => "repositories-without-tags-directory",
            Self::NeverTagged => "never-tagged",
            Self::HarborRepository => "harbor-repository",
            Self::HarborDirectories => "harbor-directories",
            Self::GitlabHeader => "gitlab-header",
            Self::OpenshiftHeader => "openshift-header",
            Self::HarborTokenService => "harbor-token-service",
            Self::TagsNotInStorage => "tags-not-in-storage",
            Self::GitlabConfiguration => "gitlab-configuration",
            Self::OpenshiftConfiguration => "openshift-configuration",
            Self::HarborConfiguration => "harbor-configuration",
        }
    }

    /// Whether a configuration says it. One may be given at some scans alone.
    pub fn is_of_configuration(self) -> bool {
        matches!(
            self,
            Self::GitlabConfiguration | Self::OpenshiftConfiguration | Self::HarborConfiguration
        )
    }

    /// The kind of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its kind.
    pub code: EvidenceCode,
    /// How many things show it.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// One of them: a repository, digest or path.
    pub example: String,
}

impl Evidence {
    /// What was seen, in words.
    pub fn text(&self) -> String {
        let Self { code, count, of, example } = self;
        match code {
            EvidenceCode::GitlabLockFile => format!("{example} exists"),
            EvidenceCode::OrphanConfigs => {
                format!("no manifest on disk names {count} of {of} image configs ({example})")
            }
            EvidenceCode::NoTags => {
                format!("{of} revisions and no tag in the whole storage ({example})")
            }
            EvidenceCode::RepositoriesWithoutTagsDirectory => {
                format!("{count} of {of} repositories never had a tag ({example})")
            }
            EvidenceCode::NeverTagged => {
                format!("{count} of {of} top-level revisions never had a tag ({example})")
            }
            EvidenceCode::HarborRepository => format!("a repository {example}"),
            EvidenceCode::HarborDirectories => format!("{example} beside the storage"),
            EvidenceCode::GitlabHeader
            | EvidenceCode::OpenshiftHeader
            | EvidenceCode::HarborTokenService => format!("the registry answers `{example}`"),
            EvidenceCode::GitlabConfiguration
            | EvidenceCode::OpenshiftConfiguration
            | EvidenceCode::HarborConfiguration => {
                format!("the registry's configuration has `{example}`")
            }
            EvidenceCode::TagsNotInStorage => {
                format!(
                    "the registry lists {count} of {of} tags that the storage has not ({example})"
                )
            }
        }
    }
}

/// What a registry's configuration says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The registry behind it, without user and password: with `proxy.remoteurl` it is a pull-through cache
    /// (distribution `configuration/configuration.go`, `registry/handlers/app.go`).
    pub proxied_url: Option<String>,
    /// Who else holds references.
    pub evidence: Vec<Evidence>,
}

/// A product that keeps references outside of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// GitLab's container registry with its metadata database.
    GitlabDatabase,
    /// Harbor.
    Harbor,
    /// OpenShift's integrated registry.
    Openshift,
    /// The evidence does not say which.
    Unknown,
}

impl Product {
    /// As `scan_info.suspected_authority` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitlabDatabase => "gitlab-database",
            Self::Harbor => "harbor",
            Self::Openshift => "openshift",
            Self::Unknown => "unknown",
        }
    }

    /// In a sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::GitlabDatabase => "GitLab's metadata database",
            Self::Harbor => "Harbor's database",
            Self::Openshift => "OpenShift's etcd",
            Self::Unknown => "a database outside of the storage",
        }
    }
}

/// Fewer orphan configs than this say nothing: a few failed pushes leave as many.
const LEAST_CONFIGS: u64 = 3;
/// Percent of all configs, for orphan configs that no repository links. A plain registry links every
/// blob that it takes, and a GitLab with its database links none, so few are enough.
const UNLINKED_CONFIG_PERCENT: u64 = 2;
/// Percent of all configs, for orphan configs that a repository links. Pushes that fail at the manifest
/// leave such ones in a plain registry; a quarter of all is more than failures explain.
const LINKED_CONFIG_PERCENT: u64 = 25;

/// Fewer never-tagged revisions than this say nothing: a person may push by digest now and then.
const LEAST_NEVER_TAGGED: u64 = 3;
/// Percent of top-level revisions. A Harbor that was upgraded keeps all old tags, so new images are
/// few at first.
const NEVER_TAGGED_PERCENT: u64 = 10;
/// The number of newest top-level revisions without a tag that says that nothing is tagged here any more, however
/// many old ones there are.
pub const NEWEST_REVISIONS: usize = 10;

/// Images with a tag, all pushed after every revision of their repository without one, that show that tags are still
/// set there and only old ones were deleted. One may be what a person tagged by hand.
pub const LEAST_TAGGED_SINCE: usize = 2;

/// Directories of Harbor's compose installation beside `registry` (docker-compose.yml.jinja).
pub const HARBOR_DIRECTORIES: &[&str] = &["database", "redis", "secret", "job_logs", "ca_download"];
/// The number of them that counts: each alone is a common name.
pub const LEAST_HARBOR_DIRECTORIES: usize = 3;

/// The repositories in which Harbor keeps exports without a manifest (pkg/systemartifact/manager.go).
pub const HARBOR_SYSTEM_PREFIX: &str = "sys_harb0r/";

/// Whether this number of orphan configs is evidence.
pub fn are_configs_evidence(unlinked: u64, linked: u64, of: u64) -> bool {
    let is = |count: u64, percent: u64| {
        count >= LEAST_CONFIGS && count.saturating_mul(100) >= of.saturating_mul(percent)
    };
    is(unlinked, UNLINKED_CONFIG_PERCENT)
        || is(unlinked.saturating_add(linked), LINKED_CONFIG_PERCENT)
}

/// Whether this number of revisions that never had a tag is evidence. `is_newest`: the newest
/// [`NEWEST_REVISIONS`] are all among them.
pub fn are_never_tagged_evidence(count: u64, of: u64, is_newest: bool) -> bool {
    is_newest
        || count >= LEAST_NEVER_TAGGED
            && count.saturating_mul(100) >= of.saturating_mul(NEVER_TAGGED_PERCENT)
}

/// What all evidence together says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Who holds the references.
    pub product: Product,
    /// Manifests are elsewhere, or images are served without links: no blob can be called garbage.
    pub hides_manifests: bool,
    /// Tags are elsewhere: no revision can be called untagged, and tags on disk may be stale.
    pub hides_tags: bool,
}

/// What the evidence says; `None` for a storage that is the whole truth.
pub fn suspicion(evidence: &[Evidence]) -> Option<Suspicion> {
    let has = |code| evidence.iter().any(|evidence| evidence.code == code);
    let is_gitlab = has(EvidenceCode::GitlabLockFile)
        || has(EvidenceCode::GitlabHeader)
        || has(EvidenceCode::GitlabConfiguration);
    let is_openshift =
        has(EvidenceCode::OpenshiftHeader) || has(EvidenceCode::OpenshiftConfiguration);
    let is_harbor = has(EvidenceCode::HarborRepository)
        || has(EvidenceCode::HarborConfiguration)
        || has(EvidenceCode::HarborDirectories)
        || has(EvidenceCode::HarborTokenService);
    let product = match (is_gitlab, is_openshift, is_harbor) {
        (true, ..) => Product::GitlabDatabase,
        (_, true, _) => Product::Openshift,
        (.., true) => Product::Harbor,
        _ => Product::Unknown,
    };
    // Harbor without tags on disk still serves by links and has every manifest on disk.
    let hides_manifests = is_gitlab
        || is_openshift
        || has(EvidenceCode::OrphanConfigs)
        || has(EvidenceCode::NoTags) && !is_harbor;
    let hides_tags = hides_manifests
        || is_harbor
        || has(EvidenceCode::NoTags)
        || has(EvidenceCode::NeverTagged)
        || has(EvidenceCode::TagsNotInStorage);
    hides_tags.then_some(Suspicion { product, hides_manifests, hides_tags })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(code: EvidenceCode) -> Evidence {
        Evidence { code, count: 8, of: 8, example: "harbor-registry".into() }
    }

    #[test]
    fn a_repository_that_never_had_a_tag_says_nothing_of_the_others() {
        assert_eq!(suspicion(&[evidence(EvidenceCode::RepositoriesWithoutTagsDirectory)]), None);
    }

    #[test]
    fn harbor_has_its_manifests_on_disk_and_others_without_tags_may_not() {
        let without_tags = suspicion(&[evidence(EvidenceCode::NoTags)]).unwrap();
        assert!(without_tags.hides_manifests && without_tags.product == Product::Unknown);
        let codes = [EvidenceCode::NoTags, EvidenceCode::HarborRepository];
        let harbor = suspicion(&codes.map(evidence)).unwrap();
        assert!(!harbor.hides_manifests && harbor.hides_tags && harbor.product == Product::Harbor);
    }

    #[test]
    fn failed_pushes_are_no_evidence_and_configs_without_links_are() {
        assert!(!are_configs_evidence(2, 0, 2), "two are nothing");
        assert!(are_configs_evidence(3, 0, 150));
        assert!(!are_configs_evidence(0, 20, 100), "a fifth of the pushes failed at the manifest");
        assert!(are_configs_evidence(0, 8, 8));
        assert!(!are_configs_evidence(3, 0, 151));
    }
}
