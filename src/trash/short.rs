//! Lines of a list in a few bytes: what a path is made of, instead of the path.

use std::borrow::Cow;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::item::{Move, MoveKind};
use crate::model::Digest;
use crate::storage::{Layout, paths};

/// The kind of a line that names the repository of the lines after it.
pub const IN: &str = "in";

/// A move whose path follows from its kind, its repository and its name.
pub struct Short<'a> {
    /// What it is, or [`IN`].
    pub kind: Cow<'a, str>,
    /// The name of a tag, upload or repository; a digest, which of sha256 is its base64 form.
    pub name: Cow<'a, str>,
    /// Bytes that come free when it is removed for good.
    pub size_bytes: u64,
}

/// As it is in the list.
#[derive(Deserialize)]
struct Line<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(default)] u64,
);

impl<'a> Short<'a> {
    /// Of a line of a list.
    pub fn read(line: &'a [u8]) -> serde_json::Result<Self> {
        let Line(kind, name, size_bytes) = serde_json::from_slice(line)?;
        Ok(Self { kind, name, size_bytes })
    }

    /// Of a move; `None` for one of a kind whose path does not follow from anything.
    pub fn of(item: &'a Move) -> Option<Self> {
        let kind = match item.kind {
            MoveKind::Tag => "tag",
            MoveKind::Revision => "revision",
            MoveKind::LayerLink => "link",
            MoveKind::Upload => "upload",
            MoveKind::Blob if item.is_corrupt => "corrupt",
            MoveKind::Blob => "blob",
            MoveKind::TagHistory | MoveKind::Leftover | MoveKind::Directory => return None,
        };
        let name = match (item.kind, Digest::parse(&item.name)) {
            (MoveKind::Tag | MoveKind::Upload, _) | (_, Ok(Digest::Other(_))) => {
                Cow::Borrowed(item.name.as_str())
            }
            (_, Ok(Digest::Sha256(bytes))) => URL_SAFE_NO_PAD.encode(bytes).into(),
            (_, Err(_)) => return None,
        };
        let is_blob = item.kind == MoveKind::Blob;
        let follows = item.access.is_none() && item.repository.is_none() == is_blob;
        follows.then_some(Self { kind: kind.into(), name, size_bytes: item.size_bytes })
    }

    /// The move that this stands for.
    pub fn to_move(&self, layout: &Layout, repository: Option<&str>) -> Option<Move> {
        let kind = self.move_kind()?;
        let is_blob = kind == MoveKind::Blob;
        let repository = repository.filter(|_| !is_blob);
        Some(Move {
            path: self.path(layout, repository)?,
            kind,
            repository: repository.map(str::to_owned),
            name: match kind {
                MoveKind::Tag | MoveKind::Upload => self.name.clone().into_owned(),
                _ => self.digest()?.to_string(),
            },
            size_bytes: self.size_bytes,
            access: None,
            is_corrupt: self.kind == "corrupt",
        })
    }

    /// The path that follows.
    pub fn path(&self, layout: &Layout, repository: Option<&str>) -> Option<PathBuf> {
        let kind = self.move_kind()?;
        if kind == MoveKind::Blob {
            return paths::blob(layout, &self.digest()?);
        }
        let directory = paths::repository(layout, repository?)?;
        match kind {
            MoveKind::Tag => paths::tag(&directory, &self.name),
            MoveKind::Upload => paths::upload(&directory, &self.name),
            MoveKind::Revision => paths::revision(&directory, &self.digest()?),
            _ => paths::layer_link(&directory, &self.digest()?),
        }
    }

    fn move_kind(&self) -> Option<MoveKind> {
        Some(match self.kind.as_ref() {
            "tag" => MoveKind::Tag,
            "revision" => MoveKind::Revision,
            "link" => MoveKind::LayerLink,
            "upload" => MoveKind::Upload,
            "blob" | "corrupt" => MoveKind::Blob,
            _ => return None,
        })
    }

    fn digest(&self) -> Option<Digest> {
        if self.name.contains(':') {
            return Digest::parse(&self.name).ok();
        }
        let bytes = URL_SAFE_NO_PAD.decode(self.name.as_bytes()).ok()?;
        Some(Digest::Sha256(bytes.try_into().ok()?))
    }
}
