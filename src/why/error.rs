//! Why there is no answer.

/// A target that names nothing, or several things; or the database failed.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// It is none of the three forms.
    #[error(
        "`{0}` is no repository in the snapshot, no digest, and neither REPO:TAG nor REPO@DIGEST"
    )]
    NoTarget(String),
    /// No blob has this digest or begins with it.
    #[error("no blob in the snapshot has the digest `{0}`")]
    NoBlob(String),
    /// Several blobs begin with it.
    #[error("`{prefix}` is the beginning of {count} digests:{}", listed(.candidates, *.count))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// The first of them.
        candidates: Vec<String>,
        /// How many there are.
        count: u64,
    },
    /// There is no such repository.
    #[error("there is no repository `{name}` in the snapshot")]
    NoRepository {
        /// What was given.
        name: String,
        /// The repository that is most like it.
        nearest: Option<String>,
    },
    /// The repository has no such tag.
    #[error("repository `{repository}` has no tag `{tag}`")]
    NoTag {
        /// The repository.
        repository: String,
        /// What was given.
        tag: String,
        /// The tag that is most like it.
        nearest: Option<String>,
    },
    /// The repository does not link such a manifest.
    #[error("repository `{repository}` has no revision `{digest}`")]
    NoRevision {
        /// The repository.
        repository: String,
        /// What was given.
        digest: String,
    },
    /// The name of a repository alone.
    #[error("`{0}` is a repository: name one of its tags or revisions")]
    RepositoryAlone(String),
    /// The database failed.
    #[error("cannot answer from the database")]
    Database(#[from] rusqlite::Error),
    /// The answer could not be written.
    #[error("cannot write the answer")]
    Write(#[source] std::io::Error),
}

impl WhyError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoTarget(_) => Some(
                "`regsql report repositories` lists repositories; a digest is sha256:… or at least four \
                 digits of it"
                    .into(),
            ),
            Self::NoBlob(_) => Some(
                "a blob that came after the scan is not in it; `regsql scan` looks again".into(),
            ),
            Self::Ambiguous { .. } => Some("give more digits".into()),
            Self::NoRepository { nearest, .. } => Some(match nearest {
                Some(name) => format!("did you mean `{name}`?"),
                None => "`regsql report repositories` lists them".into(),
            }),
            Self::NoTag { repository, nearest, .. } => Some(match nearest {
                Some(tag) => format!("did you mean `{repository}:{tag}`?"),
                None => format!("`regsql report tags -p repository='{repository}'` lists them"),
            }),
            Self::NoRevision { digest, .. } => {
                Some(format!("`regsql why {digest}` says what refers to it, if anything does"))
            }
            Self::RepositoryAlone(name) => {
                Some(format!("`regsql report tags -p repository='{name}'` lists its tags"))
            }
            Self::Database(_) => Some("`regsql scan --full` replaces a damaged database".into()),
            Self::Write(_) => None,
        }
    }
}

fn listed(candidates: &[String], count: u64) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    lines.extend_from_slice(candidates);
    let more = count.saturating_sub(candidates.len() as u64);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n  ")
}
