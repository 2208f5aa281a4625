//! Why a file of roots cannot be relied on.

/// As much of a word or value as a message has.
const MAX_SHOWN_CHARS: usize = 100;

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// It cannot be read.
    #[error("cannot read `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A word or value is not what belongs there.
    #[error("{file}:{line}: {what}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// It ends in the middle of something.
    #[error("`{file}` is cut short: {what}")]
    Cut {
        /// The file.
        file: String,
        /// Where it ends.
        what: String,
    },
    /// It is JSON of another kind, or an answer that is no list of objects.
    #[error("`{file}` {what}")]
    Foreign {
        /// The file.
        file: String,
        /// What it is.
        what: String,
    },
    /// It names nothing: what was to write it may have failed.
    #[error("`{file}` names nothing")]
    Empty {
        /// The file.
        file: String,
    },
}

impl RootsError {
    /// That a word is nothing which a registry could have.
    pub fn of_word(file: &str, line: u64, word: &str) -> Self {
        let what = format!("`{}` is not an image reference or digest", shown(word));
        Self::of_line(file, line, what)
    }

    /// That something in a line is not what belongs there.
    pub(super) fn of_line(file: &str, line: u64, what: impl Into<String>) -> Self {
        Self::Line { file: file.into(), line, what: what.into() }
    }

    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => {
                "nothing was changed; export it there again, name others with scan --roots, or forget it with scan \
                 --authority storage"
                    .into()
            }
            Self::Line { .. } => {
                "write repo:tag, repo@sha256:… or sha256:…, # before a comment, or CSV with the header \
                repository,tag,digest (docs/roots.md has each form)"
                    .into()
            }
            Self::Cut { .. } => {
                "export it again: a part of a list would keep a part of what is in use".into()
            }
            Self::Foreign { .. } => {
                "export it as docs/roots.md shows, such as oc get images -o json".into()
            }
            Self::Empty { .. } => {
                "export it again: what was to write it may have failed; or leave the option out"
                    .into()
            }
        })
    }
}

/// The beginning of what stands in a file, for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}
