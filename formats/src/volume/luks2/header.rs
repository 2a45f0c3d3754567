//! The header, big endian, and the JSON after it. Source: the specification,
//! sections 2 and 3.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha256};
use zerocopy::{
    Immutable, IntoBytes,
    big_endian::{U16, U64},
};

use super::{
    DATA_OFFSET, Encryption, KEY_BYTES, Material,
    key_slot::{AREA_BYTES, KeySlot, LANES, MEMORY, PASSES, STRIPES},
};

/// Bytes of a copy, JSON included, and of its first part.
pub(super) const COPY_BYTES: usize = 16 << 10;
pub(super) const BINARY_BYTES: usize = 4096;
/// Bytes that key slots may fill.
const SLOTS_BYTES: u64 = DATA_OFFSET - 2 * COPY_BYTES as u64;
/// The key is random: its digest needs no stretching, only the fewest rounds of good manners.
const DIGEST_ROUNDS: u32 = 100_000;
const DIGEST_BYTES: usize = 32;
pub(super) const MAGIC: [[u8; 6]; 2] = [*b"LUKS\xba\xbe", *b"SKUL\xba\xbe"];

/// `struct luks2_hdr_disk`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    magic: [u8; 6],
    version: U16,
    /// Of a copy.
    size: U64,
    sequence: U64,
    label: [u8; 48],
    checksum_algorithm: [u8; 32],
    salt: [u8; 64],
    uuid: [u8; 40],
    subsystem: [u8; 48],
    /// Where this copy is.
    offset: U64,
    padding: [u8; 184],
    /// Of the copy with this field zero.
    checksum: [u8; 64],
    rest: [u8; BINARY_BYTES - 512],
}
const _: () = assert!(size_of::<Header>() == BINARY_BYTES);

/// Offset and bytes of each copy.
pub(super) fn copies(
    encryption: &Encryption,
    slots: &[KeySlot],
    key: &[u8; KEY_BYTES],
    material: &Material,
) -> [(u64, Vec<u8>); 2] {
    let json = json(encryption, slots, key, material);
    [0, 1].map(|index| {
        let mut header = header(index, encryption, material);
        let mut copy = [header.as_bytes(), json.as_bytes()].concat();
        copy.resize(COPY_BYTES, 0);
        header.checksum[..DIGEST_BYTES].copy_from_slice(&Sha256::digest(&copy));
        copy[..BINARY_BYTES].copy_from_slice(header.as_bytes());
        (header.offset.get(), copy)
    })
}

fn header(index: usize, encryption: &Encryption, material: &Material) -> Header {
    Header {
        magic: MAGIC[index],
        version: 2.into(),
        size: (COPY_BYTES as u64).into(),
        sequence: 1.into(),
        label: padded(encryption.label.as_bytes()),
        checksum_algorithm: padded(b"sha256"),
        salt: material.bytes(&format!("salt of header {index}")),
        uuid: padded(encryption.uuid.to_string().as_bytes()),
        subsystem: [0; 48],
        offset: ((index * COPY_BYTES) as u64).into(),
        padding: [0; 184],
        checksum: [0; 64],
        rest: [0; _],
    }
}

fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    field.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
    field
}

fn json(encryption: &Encryption, slots: &[KeySlot], key: &[u8; KEY_BYTES], material: &Material) -> String {
    let names: Vec<_> = slots.iter().map(|slot| format!("\"{}\"", slot.index)).collect();
    let key_slots: Vec<_> = slots.iter().map(key_slot).collect();
    let sector = encryption.sector_size;
    format!(
        r#"{{"keyslots":{{{}}},"tokens":{{}},"segments":{{"0":{{"type":"crypt","offset":"{DATA_OFFSET}","size":"dynamic","iv_tweak":"0","encryption":"aes-xts-plain64","sector_size":{sector}}}}},"digests":{{"0":{}}},"config":{{"json_size":"{}","keyslots_size":"{SLOTS_BYTES}"}}}}"#,
        key_slots.join(","),
        digest(&names.join(","), key, material),
        COPY_BYTES - BINARY_BYTES,
    )
}

fn key_slot(slot: &KeySlot) -> String {
    let (index, offset, salt) = (slot.index, slot.offset(), BASE64.encode(slot.salt));
    format!(
        r#""{index}":{{"type":"luks2","key_size":{KEY_BYTES},"af":{{"type":"luks1","stripes":{STRIPES},"hash":"sha256"}},"area":{{"type":"raw","offset":"{offset}","size":"{AREA_BYTES}","encryption":"aes-xts-plain64","key_size":{KEY_BYTES}}},"kdf":{{"type":"argon2id","time":{PASSES},"memory":{MEMORY},"cpus":{LANES},"salt":"{salt}"}}}}"#
    )
}

/// By which a key is known to be the right one.
fn digest(slots: &str, key: &[u8; KEY_BYTES], material: &Material) -> String {
    let salt: [u8; DIGEST_BYTES] = material.bytes("salt of the digest");
    let digest = pbkdf2::pbkdf2_hmac_array::<Sha256, DIGEST_BYTES>(key, &salt, DIGEST_ROUNDS);
    let (salt, digest) = (BASE64.encode(salt), BASE64.encode(digest));
    format!(
        r#"{{"type":"pbkdf2","keyslots":[{slots}],"segments":["0"],"hash":"sha256","iterations":{DIGEST_ROUNDS},"salt":"{salt}","digest":"{digest}"}}"#
    )
}
