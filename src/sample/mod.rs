//! Registries made from code: what `regsql demo` shows, what tests scan, what benchmarks measure.
//!
//! [`RegistryBuilder`] puts together a storage tree in memory, as the registry would have written
//! it, and writes it below a directory. [`demo`] and [`generate`] make two large registries with it.
//! Nothing here reads a clock or a random source: the same calls give the same bytes, and so the
//! same digests.

mod artifacts;
mod builder;
pub mod demo;
mod descriptor;
pub mod generate;
mod image;
mod index;
pub mod media_types;
pub mod paths;
mod random;
mod tree;

pub use builder::RegistryBuilder;
pub use descriptor::Descriptor;
pub use image::ImageBuilder;
pub use index::IndexBuilder;
pub use random::Random;
pub use tree::{Content, Entry, Tree};
