//! From a place to a storage that can be read.

use std::io;
use std::ops::Deref;

use super::{FilesystemStorage, Location, Place, Storage};

#[cfg(feature = "object-storage")]
use super::object::{BucketError, ObjectStorage};

/// A storage of any kind.
#[derive(Debug)]
pub enum AnyStorage {
    /// Directories and files.
    Filesystem(Box<FilesystemStorage>),
    /// A bucket.
    #[cfg(feature = "object-storage")]
    Object(Box<ObjectStorage>),
}

impl AnyStorage {
    /// Directories and files, if it is these.
    pub fn as_filesystem(&self) -> Option<&FilesystemStorage> {
        match self {
            Self::Filesystem(storage) => Some(storage),
            #[cfg(feature = "object-storage")]
            Self::Object(_) => None,
        }
    }

    /// The bucket, if it is one.
    #[cfg(feature = "object-storage")]
    pub fn object(&self) -> Option<&ObjectStorage> {
        match self {
            Self::Filesystem(_) => None,
            Self::Object(storage) => Some(storage),
        }
    }
}

impl Deref for AnyStorage {
    type Target = dyn Storage;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Filesystem(storage) => &**storage,
            #[cfg(feature = "object-storage")]
            Self::Object(storage) => &**storage,
        }
    }
}

/// Opens a storage. Nothing is sent to a bucket yet.
///
/// # Errors
/// When a top directory cannot be opened, or there are no credentials.
pub fn open(location: Location) -> io::Result<AnyStorage> {
    match location.place {
        Place::Filesystem => {
            Ok(AnyStorage::Filesystem(Box::new(FilesystemStorage::open(location)?)))
        }
        #[cfg(feature = "object-storage")]
        Place::Object(place) => {
            let storage = ObjectStorage::connect(&place).map_err(super::object::to_io)?;
            let storage = storage.shown_as(location.root, location.origin, location.configured);
            Ok(AnyStorage::Object(Box::new(storage)))
        }
    }
}

/// An error of a bucket as one of a storage, from which [`hint_of`] gets the next step.
#[cfg(feature = "object-storage")]
pub fn bucket_error(error: BucketError) -> io::Error {
    super::object::to_io(error)
}

/// What to do about an error of a storage that cannot be opened or read.
pub fn hint_of(error: &io::Error) -> Option<String> {
    #[cfg(feature = "object-storage")]
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<BucketError>()) {
        return error.hint.clone();
    }
    (error.kind() == io::ErrorKind::PermissionDenied)
        .then(|| "run as the user that owns the storage".into())
}
