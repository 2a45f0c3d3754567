//! LUKS2: a volume that a passphrase or a key file opens.
//!
//! ```text
//! 0        header: 4 KiB, then its JSON
//! 16 KiB   the same again
//! 32 KiB   key slots, 252 KiB each: the volume's key, split and encrypted
//! 16 MiB   the data, AES-256-XTS, encrypted as it is read
//! ```
//!
//! Keys and salts are expanded from a seed that the caller gives: the system's
//! randomness, or a derived one where the same input must make the same bytes.
//! A gap of the content is left as it is unless asked otherwise, and then
//! decrypts to noise; what surrounds a piece in its 4 KiB is zeros, encrypted.
//!
//! Source: "LUKS2 On-Disk Format Specification" 1.1.1; RFC 9106 for the
//! parameters of Argon2id. Left out on purpose: other ciphers, integrity,
//! detached headers, reencryption.

mod cipher;
mod header;
mod key_slot;
mod reader;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::reader::read;
use self::{
    cipher::{Encrypted, Xts},
    key_slot::KeySlot,
};
use crate::{Error, Result, data::Data, sparse::Sparse, units::MIB};

/// Bytes before the data.
pub const DATA_OFFSET: u64 = 16 * MIB;
/// Longest passphrase or key file in bytes, as cryptsetup has it.
pub const SECRET_MAX: u64 = 8 * MIB;
/// Most key slots.
pub const SLOTS_MAX: usize = 8;
/// Longest label in bytes.
pub const LABEL_MAX: usize = 47;
/// Bytes of the volume's key: two keys of AES-256.
const KEY_BYTES: usize = 64;
/// What is encrypted around a piece of content.
const GRAIN: usize = 4096;

/// How a volume is to be encrypted.
#[derive(Clone)]
pub struct Encryption {
    /// The volume's identifier.
    pub uuid: Uuid,
    /// Its label; may be empty.
    pub label: String,
    /// What opens it; each has a key slot.
    pub secrets: Vec<Vec<u8>>,
    /// All keys and salts come of this.
    pub seed: [u8; 32],
    /// Bytes per sector: 512 or 4096.
    pub sector_size: u32,
    /// Whether gaps of the content must decrypt to zeros.
    pub fill: bool,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encryption").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// The encrypted volume, which is [`DATA_OFFSET`] bytes longer than `content`.
///
/// # Errors
/// [`Error::Unsupported`] for no secret, a sector size that is neither, or content that is not whole
/// sectors; [`Error::Limit`] for too many or too long secrets, or a long label.
pub fn encrypt(content: Sparse, encryption: &Encryption) -> Result<Sparse> {
    check(&content, encryption)?;
    let material = Material(encryption.seed);
    let key: [u8; KEY_BYTES] = material.bytes("volume key");
    let mut slots = Vec::new();
    for (index, secret) in encryption.secrets.iter().enumerate() {
        slots.push(KeySlot::new(index, secret, &key, &material)?);
    }
    let mut space = Sparse::new(DATA_OFFSET + content.len());
    for copy in header::copies(encryption, &slots, &key, &material) {
        space.insert(copy.0, Data::from_bytes(copy.1))?;
    }
    for slot in slots {
        space.insert(slot.offset(), Data::from_bytes(slot.area))?;
    }
    place(content, encryption, &key, &mut space)?;
    Ok(space)
}

fn place(content: Sparse, encryption: &Encryption, key: &[u8; KEY_BYTES], space: &mut Sparse) -> Result<()> {
    let len = content.len();
    let spans = if encryption.fill { vec![(0, len)] } else { spans(&content) };
    let cipher = Xts::new(key, encryption.sector_size);
    let data = Data::from_source(Arc::new(Encrypted { content, cipher }), 0, len);
    for (offset, len) in spans {
        space.insert(DATA_OFFSET + offset, data.slice(offset, len))?;
    }
    Ok(())
}

/// Offset and length of what has content, in whole grains; neighbours are one.
fn spans(content: &Sparse) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for window in content.windows(GRAIN) {
        match spans.last_mut() {
            Some((offset, len)) if *offset + *len == window.offset => *len += window.len as u64,
            _ => spans.push((window.offset, window.len as u64)),
        }
    }
    spans
}

fn check(content: &Sparse, encryption: &Encryption) -> Result<()> {
    let limit = |what: &str, found, allowed| Error::Limit { what: format!("LUKS {what}"), found, allowed };
    let refuse = |why: &str| Err(Error::Unsupported { what: "LUKS volume".into(), why: why.into() });
    let count = encryption.secrets.len();
    if count > SLOTS_MAX {
        return Err(limit("key slots", count as u64, SLOTS_MAX as u64));
    }
    if encryption.label.len() > LABEL_MAX {
        return Err(limit("label, bytes", encryption.label.len() as u64, LABEL_MAX as u64));
    }
    let longest = encryption.secrets.iter().map(Vec::len).max().unwrap_or(0) as u64;
    if longest > SECRET_MAX {
        return Err(limit("passphrase or key file, bytes", longest, SECRET_MAX));
    }
    if encryption.secrets.iter().any(Vec::is_empty) || count == 0 {
        return refuse("nothing would open it: it needs a passphrase or a key file");
    }
    let sector = u64::from(encryption.sector_size);
    if !matches!(sector, 512 | 4096) || !content.len().is_multiple_of(sector) || content.is_empty() {
        return refuse("use whole sectors of 512 or 4096 bytes");
    }
    Ok(())
}

/// Everything that has to look random, from one seed.
struct Material([u8; 32]);

impl Material {
    /// `N` bytes of their own for `purpose`.
    fn bytes<const N: usize>(&self, purpose: &str) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(purpose, &mut bytes);
        bytes
    }

    fn fill(&self, purpose: &str, bytes: &mut [u8]) {
        let start = Sha256::new().chain_update(b"diskwright luks 1\0").chain_update(self.0);
        let start = start.chain_update(purpose).chain_update([0]);
        for (counter, part) in (0_u64..).zip(bytes.chunks_mut(32)) {
            let digest = start.clone().chain_update(counter.to_be_bytes()).finalize();
            part.copy_from_slice(&digest[..part.len()]);
        }
    }
}
