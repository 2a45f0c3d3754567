//! Bootable OCI images to disks, without privileges.
//!
//! A reference becomes an [`source::OciImage`], its layers one tree
//! ([`merge`]), the tree becomes volumes ([`deploy`]), the volumes get places
//! ([`plan`]), filesystems and a partition table make one sparse virtual disk,
//! and every requested format writes that disk out once.

mod azure;
pub mod blueprint;
pub mod build;
pub mod cli;
pub mod convert;
pub mod deploy;
pub mod describe;
pub mod error;
pub mod firmware;
pub mod ids;
pub mod inspect;
pub mod installer;
pub mod iso;
mod layout;
pub mod merge;
pub mod optical;
pub mod output;
pub mod payload;
pub mod plan;
pub mod preview;
pub mod progress;
pub mod publish;
pub mod push;
pub mod pxe;
pub mod record;
pub mod source;
pub mod verify;
pub mod write;

pub use build::{BuildReport, BuildRequest, SizeWish, build, check_blueprint, convert_blueprint};
pub use convert::{ConvertReport, ConvertRequest, convert};
pub use describe::{Description, describe};
pub use error::{ErrorKind, Hint};
pub use inspect::{InspectRequest, Inspection, inspect};
pub use iso::{IsoEditRequest, IsoInspectRequest, IsoInspection, iso_edit, iso_inspect};
pub use preview::{Preview, as_yaml, preview};
pub use publish::PublishRequest;
pub use verify::{VerifyReport, VerifyRequest, verify};
pub use write::BuiltOutput;
