//! How a physical volume looks, little endian. Source: LVM2's
//! `lib/label/label.h` and `lib/format_text/layout.h`.

use uuid::Uuid;
use zerocopy::{
    Immutable, IntoBytes,
    little_endian::{U32, U64},
};

/// Where the label is: the second of the four sectors that are searched.
pub(super) const LABEL_OFFSET: u64 = SECTOR;
/// Where the metadata area begins, and its bytes: up to the first extent.
pub(super) const AREA_OFFSET: u64 = 4096;
pub(super) const AREA_BYTES: u64 = super::DATA_OFFSET - AREA_OFFSET;
/// Where in the area the text begins.
pub(super) const TEXT_OFFSET: u64 = SECTOR;
/// Bytes that LVM calls a sector.
pub(super) const SECTOR: u64 = 512;

/// What checksums start from.
const INITIAL_CRC: u32 = 0xf597_a6cf;
/// Reflected polynomial of CRC-32.
const POLYNOMIAL: u32 = 0xedb8_8320;
/// How a label begins.
pub(super) const LABEL_ID: [u8; 8] = *b"LABELONE";
/// The type of label.
const TYPE: [u8; 8] = *b"LVM2 001";
pub(super) const AREA_MAGIC: [u8; 16] = *b" LVM2 x[5A%r0N*>";
const AREA_VERSION: u32 = 1;
/// `pv_header_extension`: its version, and the flag of a volume that a group uses.
const EXTENSION_VERSION: u32 = 2;
const EXTENSION_USED: u32 = 1;

/// `struct disk_locn`: a span in bytes; zero ends a list.
#[derive(Clone, Copy, Default, IntoBytes, Immutable)]
#[repr(C)]
struct Span {
    offset: U64,
    size: U64,
}

/// `struct label_header`, then `struct pv_header` with its lists and extension: one sector.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Label {
    id: [u8; 8],
    /// The sector it is in.
    sector: U64,
    /// crc of everything after this field.
    checksum: U32,
    /// Of the physical volume header, in bytes.
    header_offset: U32,
    kind: [u8; 8],

    uuid: [u8; 32],
    device_bytes: U64,
    /// Extents; a size of zero is "to the end".
    data: [Span; 2],
    areas: [Span; 2],
    extension_version: U32,
    extension_flags: U32,
    boot_areas: [Span; 1],
    padding: [u8; 512 - 32 - 40 - 5 * 16 - 8],
}
const _: () = assert!(size_of::<Label>() as u64 == SECTOR);

impl Label {
    pub(super) fn new(uuid: Uuid, device_bytes: u64) -> Self {
        let span = |offset: u64, size: u64| Span { offset: offset.into(), size: size.into() };
        let mut label = Self {
            id: LABEL_ID,
            sector: (LABEL_OFFSET / SECTOR).into(),
            checksum: 0.into(),
            header_offset: 32.into(),
            kind: TYPE,
            uuid: identifier(uuid),
            device_bytes: device_bytes.into(),
            data: [span(super::DATA_OFFSET, 0), Span::default()],
            areas: [span(AREA_OFFSET, AREA_BYTES), Span::default()],
            extension_version: EXTENSION_VERSION.into(),
            extension_flags: EXTENSION_USED.into(),
            boot_areas: [Span::default()],
            padding: [0; _],
        };
        label.checksum = crc(&label.as_bytes()[20..]).into();
        label
    }
}

/// `struct mda_header` with one `struct raw_locn`: one sector.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct AreaHeader {
    /// crc of everything after this field.
    checksum: U32,
    magic: [u8; 16],
    version: U32,
    /// Of this header on the device.
    start: U64,
    size: U64,
    /// The text: offset in the area, bytes, crc, flags.
    text_offset: U64,
    text_bytes: U64,
    text_checksum: U32,
    text_flags: U32,
    padding: [u8; 512 - 40 - 24],
}
const _: () = assert!(size_of::<AreaHeader>() as u64 == SECTOR);

impl AreaHeader {
    pub(super) fn new(text_bytes: u64, text_checksum: u32) -> Self {
        let mut header = Self {
            checksum: 0.into(),
            magic: AREA_MAGIC,
            version: AREA_VERSION.into(),
            start: AREA_OFFSET.into(),
            size: AREA_BYTES.into(),
            text_offset: TEXT_OFFSET.into(),
            text_bytes: text_bytes.into(),
            text_checksum: text_checksum.into(),
            text_flags: 0.into(),
            padding: [0; _],
        };
        header.checksum = crc(&header.as_bytes()[4..]).into();
        header
    }
}

/// CRC-32 from LVM's own start, not inverted at the end. A few kilobytes are summed.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(INITIAL_CRC, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(crc & 1)))
    })
}

/// An identifier of 32 letters and digits, made of a UUID's hexadecimal digits.
pub(super) fn identifier(uuid: Uuid) -> [u8; 32] {
    let mut text = [0; 32];
    uuid.simple().encode_lower(&mut text);
    text
}
