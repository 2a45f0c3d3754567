//! A key slot: the volume's key, split over many stripes, encrypted by what a
//! passphrase comes to. Source: the specification, sections 3.2 and "AF
//! Splitter" (of LUKS1, which LUKS2 keeps).

use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};

use super::{KEY_BYTES, Material, cipher::Xts};
use crate::{Error, Result};

/// Stripes of the anti-forensic split.
pub(super) const STRIPES: usize = 4000;
/// Bytes of a slot: the stripes in whole 4 KiB.
pub(super) const AREA_BYTES: usize = (KEY_BYTES * STRIPES).next_multiple_of(4096);
/// Where the first slot is.
const FIRST_AREA: u64 = 32 << 10;
/// RFC 9106, section 4, second recommended option: passes, KiB of memory, lanes.
pub(super) const PASSES: u32 = 3;
pub(super) const MEMORY: u32 = 64 << 10;
pub(super) const LANES: u32 = 4;
pub(super) const SALT_BYTES: usize = 32;
/// Slots are encrypted in sectors of this.
const SECTOR: u32 = 512;
const DIGEST: usize = 32;

/// One slot.
pub(super) struct KeySlot {
    pub(super) index: usize,
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) area: Vec<u8>,
}

impl KeySlot {
    pub(super) fn new(
        index: usize,
        secret: &[u8],
        key: &[u8; KEY_BYTES],
        material: &Material,
    ) -> Result<Self> {
        let salt = material.bytes(&format!("salt of slot {index}"));
        let mut area = vec![0; AREA_BYTES];
        material.fill(&format!("stripes of slot {index}"), &mut area[..KEY_BYTES * (STRIPES - 1)]);
        split(key, &mut area[..KEY_BYTES * STRIPES]);
        Xts::new(&stretch(secret, &salt)?, SECTOR).encrypt(&mut area, 0);
        Ok(Self { index, salt, area })
    }

    pub(super) const fn offset(&self) -> u64 {
        FIRST_AREA + (self.index * AREA_BYTES) as u64
    }
}

/// What a passphrase comes to.
fn stretch(secret: &[u8], salt: &[u8]) -> Result<[u8; KEY_BYTES]> {
    let wrong =
        |error: argon2::Error| Error::Unsupported { what: "LUKS key slot".into(), why: error.to_string() };
    let params = Params::new(MEMORY, PASSES, LANES, Some(KEY_BYTES)).map_err(wrong)?;
    let mut key = [0; KEY_BYTES];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(secret, salt, &mut key).map_err(wrong)?;
    Ok(key)
}

/// Fills the last stripe such that all of them together are the key again.
fn split(key: &[u8; KEY_BYTES], stripes: &mut [u8]) {
    let mut sum = [0; KEY_BYTES];
    let (stripes, _) = stripes.as_chunks_mut::<KEY_BYTES>();
    let Some((last, others)) = stripes.split_last_mut() else { return };
    for stripe in others {
        add(&mut sum, stripe);
        diffuse(&mut sum);
    }
    add(&mut sum, key);
    *last = sum;
}

fn add(sum: &mut [u8; KEY_BYTES], other: &[u8; KEY_BYTES]) {
    sum.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

fn diffuse(sum: &mut [u8; KEY_BYTES]) {
    for (number, part) in (0_u32..).zip(sum.as_chunks_mut::<DIGEST>().0) {
        let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update(*part).finalize();
        *part = digest.into();
    }
}
