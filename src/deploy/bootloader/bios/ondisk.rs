//! How GRUB for BIOS looks on a disk. Sources: GRUB's `include/grub/offsets.h`,
//! `include/grub/kernel.h` and `include/grub/i386/pc/boot.h`, the same from 2.06 to 2.14
//! and in Fedora's branches; ELF is the System V ABI's. All numbers are little endian.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

/// Bytes per sector that BIOS and GRUB's first stages count in.
pub(super) const SECTOR: usize = 512;

/// Where `kernel.img` runs, and where what is behind `diskboot.img` is limited by.
pub(super) const KERNEL_ADDRESS: u32 = 0x9000;
/// The decompressor is loaded here and ends below [`KERNEL_ADDRESS`].
pub(super) const DECOMPRESSOR_ADDRESS: u32 = 0x8200;
/// Decompressor and stream, read behind [`KERNEL_ADDRESS`], end below this.
pub(super) const IMAGE_END: u32 = 0x7_8000;
/// The kernel with its zeroed memory ends below this.
pub(super) const KERNEL_END: u32 = 0x6_8000;
/// Real-mode segment of the sectors behind the first: [`DECOMPRESSOR_ADDRESS`] / 16.
pub(super) const IMAGE_SEGMENT: u16 = 0x0820;

/// `boot.img`: the master boot record.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BootSector {
    /// A jump over the parameter block.
    pub jump: [u8; 3],
    /// BIOS parameter block: the disk's own, none on a GPT disk.
    pub parameters: [u8; 0x57],
    /// Where the next sector is loaded.
    pub kernel_address: U16,
    /// LBA of the core image.
    pub kernel_sector: U64,
    /// BIOS drive, 0xff for the one that the BIOS names.
    pub boot_drive: u8,
    /// Code.
    pub code_start: u8,
    /// A jump over the check that the BIOS named a hard disk; [`Self::CHECK`] runs it.
    pub drive_check: [u8; 2],
    /// Code, up to what the disk keeps for itself.
    pub code: [u8; 0x150],
    /// Disk signature and partition entries.
    pub disk: [u8; 0x46],
    /// 55 aa.
    pub signature: [u8; 2],
}

impl BootSector {
    /// Two instructions that do nothing, where the jump was.
    pub(super) const CHECK: [u8; 2] = [0x90, 0x90];
    /// The drive that the BIOS names.
    pub(super) const ANY_DRIVE: u8 = 0xff;
    /// Of every boot sector.
    pub(super) const SIGNATURE: [u8; 2] = [0x55, 0xaa];
}

/// An entry of the block list that ends at the end of `diskboot.img`, first entry last.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BlockList {
    /// LBA.
    pub start: U64,
    /// Sectors; 0 ends the list.
    pub count: U16,
    /// Real-mode segment.
    pub segment: U16,
}

/// `diskboot.img`: the first sector of a core image.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DiskBoot {
    /// Code and messages.
    pub code: [u8; 0x1e8],
    /// The end of the list: all zero.
    pub end: BlockList,
    /// Everything behind this sector.
    pub rest: BlockList,
}

/// `cdboot.img`: what a BIOS loads of a disc; a boot information table is part of it.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct CdBoot {
    /// A jump over the table.
    pub jump: [u8; 8],
    /// Sector of the primary volume descriptor.
    pub descriptor: U32,
    /// Sector of the file that this is the start of.
    pub file: U32,
    /// Bytes of the file.
    pub length: U32,
    /// Sum of the file's words from byte 64 on.
    pub checksum: U32,
    /// Zero.
    pub reserved: [u8; 40],
    /// Code.
    pub code: [u8; 2048 - 64],
}

impl CdBoot {
    /// Where the sum begins.
    pub(super) const SUMMED: usize = 64;
}

/// `boot_hybrid.img`: the master boot record of a disc's copy on a stick.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct HybridBoot {
    /// Code.
    pub code: [u8; 0x1b0],
    /// LBA of the core image.
    pub kernel_sector: U64,
    /// Disk signature and partition entries.
    pub disk: [u8; 0x46],
    /// 55 aa.
    pub signature: [u8; 2],
}

/// The head of `lzma_decompress.img`.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Decompressor {
    /// A far jump.
    pub jump: [u8; 8],
    /// Bytes of the LZMA stream.
    pub compressed: U32,
    /// Bytes it unpacks to.
    pub uncompressed: U32,
    /// Bytes of Reed-Solomon codes behind the stream.
    pub redundancy: U32,
}

/// In front of the embedded objects.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ModuleInfo {
    /// [`Self::MAGIC`].
    pub magic: U32,
    /// From here to the first object: 12.
    pub offset: U32,
    /// Bytes with this head.
    pub size: U32,
}

impl ModuleInfo {
    /// "mimg".
    pub(super) const MAGIC: u32 = 0x676d_696d;
}

/// In front of one object.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ObjectHeader {
    /// What it is.
    pub kind: U32,
    /// Bytes with this head, a multiple of 4.
    pub size: U32,
}

/// A module.
pub(super) const OBJECT_ELF: u32 = 0;
/// Configuration that runs before anything else.
pub(super) const OBJECT_CONFIG: u32 = 2;
/// Value of `$prefix`.
pub(super) const OBJECT_PREFIX: u32 = 3;

/// Head of a 32-bit ELF file.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ElfHeader {
    /// [`Self::IDENT`] and padding.
    pub ident: [u8; 16],
    /// Type, machine, version, entry point.
    pub unused: [u8; 12],
    /// Offset of the program headers.
    pub program_headers: U32,
    /// Section headers, flags, size of this head.
    pub unused_2: [u8; 10],
    /// Bytes of a program header.
    pub program_header_bytes: U16,
    /// Program headers.
    pub program_header_count: U16,
    /// Section headers.
    pub unused_3: [u8; 6],
}

impl ElfHeader {
    /// 32 bits, little endian, version 1.
    pub(super) const IDENT: [u8; 7] = *b"\x7fELF\x01\x01\x01";
}

/// A segment of an ELF file.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ProgramHeader {
    /// [`Self::LOAD`] for what is loaded.
    pub kind: U32,
    /// Where its bytes are in the file.
    pub offset: U32,
    /// Where they go.
    pub address: U32,
    /// Physical address.
    pub unused: U32,
    /// Bytes in the file.
    pub file_bytes: U32,
    /// Bytes in memory.
    pub memory_bytes: U32,
    /// Flags, alignment.
    pub unused_2: [u8; 8],
}

impl ProgramHeader {
    /// `PT_LOAD`.
    pub(super) const LOAD: u32 = 1;
}

const _: () = assert!(size_of::<BootSector>() == SECTOR && size_of::<DiskBoot>() == SECTOR);
const _: () = assert!(size_of::<BlockList>() == 12 && size_of::<Decompressor>() == 0x14);
const _: () = assert!(size_of::<ElfHeader>() == 52 && size_of::<ProgramHeader>() == 32);
const _: () = assert!(size_of::<ModuleInfo>() == 12 && size_of::<ObjectHeader>() == 8);
