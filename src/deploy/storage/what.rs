//! What can be in a partition, and in what is in it.

use std::fmt;

use diskwright_formats::tree::Tree;
use uuid::Uuid;

use crate::blueprint::storage::Mount;

/// The content of a partition or a logical volume; `F` stands for its filesystems.
#[derive(Clone, Debug)]
pub enum What<F> {
    /// Room for GRUB.
    BiosBoot,
    /// Nothing.
    Raw,
    /// A filesystem.
    Filesystem(F),
    /// Swap space.
    Swap {
        /// Its identifier.
        uuid: Uuid,
        /// Its label; may be empty.
        label: String,
    },
    /// A group of logical volumes.
    Group(Group<F>),
    /// Something encrypted.
    Locked(Box<Locked<F>>),
}

/// A filesystem before it has content.
#[derive(Clone, Debug)]
pub struct Filesystem {
    /// Name of its kind.
    pub kind: &'static str,
    /// Where it is mounted.
    pub mountpoint: Option<String>,
    /// Its label; may be empty.
    pub label: String,
    /// Its identifier.
    pub uuid: Uuid,
    /// How it is mounted, where not as usual.
    pub mount: Mount,
}

/// A filesystem and what it holds.
#[derive(Clone, Debug)]
pub struct Content {
    /// What the filesystem holds.
    pub tree: Tree,
    /// The filesystem.
    pub filesystem: Filesystem,
}

/// A group of logical volumes.
#[derive(Clone, Debug)]
pub struct Group<F> {
    /// Its name.
    pub name: String,
    /// Its identifier.
    pub uuid: Uuid,
    /// The identifier of its physical volume.
    pub physical_uuid: Uuid,
    /// Its volumes.
    pub members: Vec<Member<F>>,
}

/// A logical volume.
#[derive(Clone, Debug)]
pub struct Member<F> {
    /// Its name in the group.
    pub name: String,
    /// Its identifier.
    pub uuid: Uuid,
    /// Bytes it has at least.
    pub size: u64,
    /// What is in it.
    pub what: What<F>,
}

/// Something encrypted.
#[derive(Clone)]
pub struct Locked<F> {
    /// Its identifier.
    pub uuid: Uuid,
    /// Where all of its keys come from.
    pub seed: [u8; 32],
    /// What opens it.
    pub secrets: Vec<Vec<u8>>,
    /// Whether one of them is a file, which the system may keep.
    pub key_file: Option<Vec<u8>>,
    /// Registers of the machine's TPM that shall open it.
    pub tpm2: Option<Vec<u32>>,
    /// What is in it.
    pub what: What<F>,
}

impl<F: fmt::Debug> fmt::Debug for Locked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked").field("uuid", &self.uuid).field("what", &self.what).finish_non_exhaustive()
    }
}

/// What a filesystem is reached through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Container {
    /// A logical volume: group and name.
    Logical(String, String),
    /// An encrypted volume: its identifier, and whether a TPM may open it.
    Locked(Uuid, bool),
}

impl Filesystem {
    /// Whether it is mounted there.
    #[must_use]
    pub fn is_at(&self, mountpoint: &str) -> bool {
        self.mountpoint.as_deref() == Some(mountpoint)
    }

    /// What `UUID=` finds it by.
    #[must_use]
    pub fn volume_id(&self) -> String {
        match (self.kind, self.uuid.as_bytes()) {
            ("vfat", [a, b, c, d, ..]) => format!("{a:02X}{b:02X}-{c:02X}{d:02X}"),
            _ => self.uuid.to_string(),
        }
    }
}

impl AsRef<Filesystem> for Filesystem {
    fn as_ref(&self) -> &Filesystem {
        self
    }
}

impl AsRef<Filesystem> for Content {
    fn as_ref(&self) -> &Filesystem {
        &self.filesystem
    }
}

impl<F> What<F> {
    /// The same with other filesystems.
    pub fn map<G>(self, change: &mut impl FnMut(F) -> G) -> What<G> {
        match self {
            Self::BiosBoot => What::BiosBoot,
            Self::Raw => What::Raw,
            Self::Swap { uuid, label } => What::Swap { uuid, label },
            Self::Filesystem(filesystem) => What::Filesystem(change(filesystem)),
            Self::Group(Group { name, uuid, physical_uuid, members }) => {
                let mut member =
                    |Member { name, uuid, size, what }| Member { name, uuid, size, what: map(what, change) };
                let members = members.into_iter().map(&mut member).collect();
                What::Group(Group { name, uuid, physical_uuid, members })
            }
            Self::Locked(locked) => {
                let Locked { uuid, seed, secrets, key_file, tpm2, what } = *locked;
                let what = what.map(change);
                What::Locked(Box::new(Locked { uuid, seed, secrets, key_file, tpm2, what }))
            }
        }
    }

    /// Adds every filesystem in it.
    pub fn filesystems<'a>(&'a self, all: &mut Vec<&'a F>) {
        match self {
            Self::Filesystem(filesystem) => all.push(filesystem),
            Self::Group(group) => group.members.iter().for_each(|member| member.what.filesystems(all)),
            Self::Locked(locked) => locked.what.filesystems(all),
            Self::BiosBoot | Self::Raw | Self::Swap { .. } => {}
        }
    }
}

/// As [`What::map`]: one function for every depth.
fn map<F, G, C: FnMut(F) -> G>(what: What<F>, change: &mut C) -> What<G> {
    what.map(change)
}

impl<F: AsRef<Filesystem>> What<F> {
    /// Whether a filesystem in it is mounted there.
    #[must_use]
    pub fn holds(&self, mountpoint: &str) -> bool {
        let mut all = Vec::new();
        self.filesystems(&mut all);
        all.into_iter().any(|filesystem| filesystem.as_ref().is_at(mountpoint))
    }

    /// Whether a filesystem in it is of that kind.
    #[must_use]
    pub fn has_kind(&self, kind: &str) -> bool {
        let mut all = Vec::new();
        self.filesystems(&mut all);
        all.into_iter().any(|filesystem| filesystem.as_ref().kind == kind)
    }

    /// What the filesystem mounted there is reached through, from the outside.
    #[must_use]
    pub fn way_to(&self, mountpoint: &str) -> Vec<Container> {
        match self {
            Self::Group(group) => {
                let member = group.members.iter().find(|member| member.what.holds(mountpoint));
                let step = |member: &Member<F>| Container::Logical(group.name.clone(), member.name.clone());
                member.map(step).into_iter().collect()
            }
            Self::Locked(locked) if locked.what.holds(mountpoint) => {
                let outer = Container::Locked(locked.uuid, locked.tpm2.is_some());
                [vec![outer], locked.what.way_to(mountpoint)].concat()
            }
            _ => Vec::new(),
        }
    }
}
