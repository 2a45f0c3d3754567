//! Every uuid, salt and time of a build, derived from one seed: the same
//! image and blueprint give the same disk, bit for bit.

use diskwright_formats::tree::Time;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// The source of everything that would else be random or "now".
#[derive(Clone, Debug)]
pub struct Ids {
    seed: [u8; 32],
    time: i64,
}

impl Ids {
    /// Seeds from the image's manifest digest, the blueprint as written and the time of the build.
    ///
    /// `time` is `SOURCE_DATE_EPOCH` where set, else the image's own creation
    /// time, in seconds since 1970.
    #[must_use]
    pub fn new(manifest_digest: &str, blueprint: &[u8], time: i64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"diskwright ids 1\0");
        hash.update(manifest_digest);
        hash.update([0]);
        hash.update(Sha256::digest(blueprint));
        hash.update(time.to_be_bytes());
        Self { seed: hash.finalize().into(), time }
    }

    /// 32 bytes of their own for `purpose`.
    #[must_use]
    pub fn bytes(&self, purpose: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(purpose);
        hash.finalize().into()
    }

    /// A UUID of its own for `purpose`, in the form of a random one (version 4).
    ///
    /// # Panics
    /// Never: a digest has at least 16 bytes.
    #[must_use]
    pub fn uuid(&self, purpose: &str) -> Uuid {
        let bytes: [u8; 32] = self.bytes(purpose);
        let half: [u8; 16] = bytes[..16].try_into().expect("32 bytes hold 16");
        Builder::from_random_bytes(half).into_uuid()
    }

    /// The time of the build.
    #[must_use]
    pub const fn time(&self) -> Time {
        Time { seconds: self.time, nanoseconds: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_and_purpose_changes_the_uuid() {
        let ids = Ids::new("sha256:1", b"", 0);
        assert_eq!(ids.uuid("disk"), Ids::new("sha256:1", b"", 0).uuid("disk"));
        let others =
            [Ids::new("sha256:2", b"", 0), Ids::new("sha256:1", b"x", 0), Ids::new("sha256:1", b"", 1)];
        for other in others {
            assert_ne!(ids.uuid("disk"), other.uuid("disk"));
        }
        assert_ne!(ids.uuid("disk"), ids.uuid("root"));
        assert_eq!(ids.uuid("disk").get_version_num(), 4);
    }
}
