//! GRUB's core image for BIOS: what `grub-mkimage -O i386-pc` makes and
//! `grub-bios-setup` places, as data.
//!
//! ```text
//! MBR            boot.img: loads the first sector of ...
//! sector 0       diskboot.img: loads the rest by its block list
//! sector 1...    lzma_decompress.img | raw LZMA1 stream of the payload
//! payload        kernel.img as loaded | module info | objects
//! object         u32 type | u32 size | module, configuration or prefix, padded to 4
//! ```
//!
//! Left out on purpose: Reed-Solomon codes behind the stream (GRUB takes none for none).
//! Source: GRUB's `util/mkimage.c` and `util/setup.c`, for what goes where.

use anyhow::{Context, Result, bail, ensure};
use liblzma::stream::{Action, Filters, LzmaOptions, MatchFinder, Mode, Status, Stream};
use zerocopy::{FromBytes, IntoBytes};

use super::ondisk::{
    BlockList, BootSector, DECOMPRESSOR_ADDRESS, Decompressor, DiskBoot, ElfHeader, IMAGE_END, IMAGE_SEGMENT,
    KERNEL_ADDRESS, KERNEL_END, ModuleInfo, OBJECT_CONFIG, OBJECT_ELF, OBJECT_PREFIX, ObjectHeader,
    ProgramHeader, SECTOR,
};

/// GRUB's decoder has room for this window.
const DICTIONARY: u32 = 64 << 10;
/// Bytes of the boot sector before the disk's own.
const BOOT_CODE: usize = 440;

/// The pieces of a core image, as they are in the image's files.
#[derive(Clone, Debug)]
pub struct Parts {
    /// `boot.img`.
    pub boot: Vec<u8>,
    /// `diskboot.img`.
    pub diskboot: Vec<u8>,
    /// `lzma_decompress.img`.
    pub decompressor: Vec<u8>,
    /// `kernel.img`.
    pub kernel: Vec<u8>,
    /// Modules, each after what it needs.
    pub modules: Vec<Vec<u8>>,
    /// Configuration that is in the core image.
    pub config: String,
    /// What `$prefix` is before the configuration ran.
    pub prefix: String,
}

/// GRUB as it is on the disk, but for its place.
#[derive(Clone, Debug)]
pub struct CoreImage {
    boot: BootSector,
    bytes: Vec<u8>,
}

impl Parts {
    /// What the decompressor unpacks.
    ///
    /// # Errors
    /// A `kernel.img` that is not GRUB's for BIOS.
    pub fn payload(&self) -> Result<Vec<u8>> {
        let mut objects = Vec::new();
        for module in &self.modules {
            object(&mut objects, OBJECT_ELF, module)?;
        }
        object(&mut objects, OBJECT_CONFIG, &terminated(&self.config))?;
        object(&mut objects, OBJECT_PREFIX, &terminated(&self.prefix))?;
        let head = size_of::<ModuleInfo>();
        let info = ModuleInfo {
            magic: ModuleInfo::MAGIC.into(),
            offset: u32::try_from(head)?.into(),
            size: u32::try_from(head + objects.len())?.into(),
        };
        Ok([loaded(&self.kernel).context("reading kernel.img")?, info.as_bytes(), &objects].concat())
    }

    /// Packs everything.
    ///
    /// # Errors
    /// Pieces that are not GRUB's for BIOS, or too large together.
    pub fn assemble(&self) -> Result<CoreImage> {
        let payload = self.payload()?;
        let stream = compress(&payload)?;
        let mut rest = self.decompressor.clone();
        let room = (KERNEL_ADDRESS - DECOMPRESSOR_ADDRESS) as usize;
        ensure!(rest.len() <= room, "lzma_decompress.img: {} bytes, {room} at most", rest.len());
        let Ok((head, _)) = Decompressor::mut_from_prefix(&mut rest) else {
            bail!("lzma_decompress.img: {} bytes are too few", self.decompressor.len());
        };
        head.compressed = u32::try_from(stream.len())?.into();
        head.uncompressed = u32::try_from(payload.len())?.into();
        head.redundancy = 0.into();
        rest.extend(stream);
        let room = (IMAGE_END - KERNEL_ADDRESS) as usize;
        ensure!(rest.len() <= room, "GRUB's core image has {} bytes, {room} at most", rest.len());
        let diskboot = diskboot(&self.diskboot, rest.len().div_ceil(SECTOR))?;
        Ok(CoreImage { boot: boot_sector(&self.boot)?, bytes: [diskboot.as_bytes(), &rest].concat() })
    }
}

impl CoreImage {
    /// The image as `grub-mkimage` writes it: its own place is not known yet.
    #[must_use]
    pub fn unplaced(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes for the sectors from `lba` (512 bytes each).
    #[must_use]
    pub fn placed(&self, lba: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Ok((head, _)) = DiskBoot::mut_from_prefix(&mut bytes) {
            head.rest.start = (lba + 1).into();
        }
        bytes
    }

    /// Code for the master boot record of a disk whose core image is at `lba`.
    #[must_use]
    pub fn boot_code(&self, lba: u64) -> [u8; BOOT_CODE] {
        let mut boot = self.boot.clone();
        boot.kernel_sector = lba.into();
        let mut code = [0; BOOT_CODE];
        code.copy_from_slice(&boot.as_bytes()[..BOOT_CODE]);
        code
    }
}

/// The master boot record for any drive; the disk keeps its own parameter block, which is none.
fn boot_sector(bytes: &[u8]) -> Result<BootSector> {
    let Ok(mut boot) = BootSector::read_from_bytes(bytes) else {
        bail!("boot.img: {} bytes, not {SECTOR}", bytes.len());
    };
    ensure!(boot.signature == BootSector::SIGNATURE, "boot.img: no boot sector");
    boot.parameters.fill(0);
    boot.boot_drive = BootSector::ANY_DRIVE;
    boot.drive_check = BootSector::CHECK;
    Ok(boot)
}

/// The first sector, which loads `count` more.
fn diskboot(bytes: &[u8], count: usize) -> Result<DiskBoot> {
    let Ok(mut diskboot) = DiskBoot::read_from_bytes(bytes) else {
        bail!("diskboot.img: {} bytes, not {SECTOR}", bytes.len());
    };
    let BlockList { segment, .. } = diskboot.rest;
    let known = segment == IMAGE_SEGMENT && diskboot.end.as_bytes().iter().all(|&byte| byte == 0);
    ensure!(known, "diskboot.img: no block list of one entry at its end");
    diskboot.rest.count = u16::try_from(count)?.into();
    Ok(diskboot)
}

/// The bytes of an ELF file's only segment: what GRUB's own tools put into the image.
fn loaded(elf: &[u8]) -> Result<&[u8]> {
    let (head, _) = ElfHeader::ref_from_prefix(elf).ok().context("no ELF file")?;
    ensure!(head.ident.starts_with(&ElfHeader::IDENT), "no 32-bit ELF file");
    let (start, count) = (head.program_headers.get() as usize, head.program_header_count.get());
    let step = usize::from(head.program_header_bytes.get());
    let mut segments = Vec::new();
    for index in 0..usize::from(count) {
        let bytes = elf.get(start + index * step..).context("program headers past the end")?;
        let (segment, _) = ProgramHeader::ref_from_prefix(bytes).ok().context("truncated program header")?;
        segments.extend((segment.kind == ProgramHeader::LOAD).then_some(segment));
    }
    let [segment] = segments[..] else { bail!("{} loaded segments, not one", segments.len()) };
    ensure!(segment.address == KERNEL_ADDRESS, "loaded to {:#x}", segment.address);
    let end = segment.memory_bytes.get().saturating_add(KERNEL_ADDRESS);
    ensure!(end <= KERNEL_END, "its memory ends at {end:#x}, {KERNEL_END:#x} at most");
    let (offset, len) = (segment.offset.get() as usize, segment.file_bytes.get() as usize);
    elf.get(offset..).and_then(|rest| rest.get(..len)).context("segment past the end")
}

fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn object(objects: &mut Vec<u8>, kind: u32, bytes: &[u8]) -> Result<()> {
    let padded = bytes.len().next_multiple_of(4);
    let size = u32::try_from(padded + size_of::<ObjectHeader>())?;
    let head = ObjectHeader { kind: kind.into(), size: size.into() };
    objects.extend(head.as_bytes());
    objects.extend(bytes);
    objects.resize(objects.len() + padded - bytes.len(), 0);
    Ok(())
}

/// A raw LZMA1 stream in the parameters that the decompressor is built for.
fn compress(payload: &[u8]) -> Result<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(6)?;
    options.dict_size(DICTIONARY).literal_context_bits(3).literal_position_bits(0).position_bits(2);
    options.mode(Mode::Normal).match_finder(MatchFinder::BinaryTree4).nice_len(273).depth(500);
    let mut filters = Filters::new();
    filters.lzma1(&options);
    let mut encoder = Stream::new_raw_encoder(&filters).context("starting LZMA")?;
    let mut stream = Vec::with_capacity(payload.len() + payload.len() / 8 + 1024);
    let status = encoder.process_vec(payload, &mut stream, Action::Finish).context("packing GRUB")?;
    ensure!(matches!(status, Status::StreamEnd), "packing GRUB: the stream has no end");
    Ok(stream)
}
