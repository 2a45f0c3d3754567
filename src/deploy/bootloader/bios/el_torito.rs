//! GRUB for BIOS on a disc, and on a stick that is the disc's copy:
//!
//! ```text
//! MBR    boot_hybrid.img: loads the file's second sector of 2048 bytes
//! file   cdboot.img, loaded by a BIOS from a disc, with a boot information table | core image
//! ```
//!
//! From a disc cdboot.img loads the rest of the file; from a stick the core
//! image's own first sector does. Source: GRUB's `boot/i386/pc/cdboot.S` and
//! `util/mkimage.c`; `-boot-info-table` of mkisofs.

use anyhow::{Context, Result, ensure};
use zerocopy::{
    FromBytes, IntoBytes,
    little_endian::{U32, U64},
};

use super::{
    Bios,
    core_image::CoreImage,
    ondisk::{CdBoot, HybridBoot},
};
use crate::deploy::rootfs::Rootfs;

/// Sectors of 512 bytes in one of a disc.
const SECTORS: u64 = 4;
/// The disc's sector that has the primary volume descriptor.
const DESCRIPTOR: u32 = 16;
/// Bytes of the boot sector before the disk's own.
const BOOT_CODE: usize = 440;

/// What BIOS boots of a disc, but for its place.
#[derive(Clone, Debug)]
pub struct ElTorito {
    head: CdBoot,
    hybrid: HybridBoot,
    core: CoreImage,
}

impl Bios {
    /// GRUB for a disc with the volume id `label`, whose configuration is `prefix`/grub.cfg; `None`
    /// where the image lacks the parts that only discs need.
    ///
    /// # Errors
    /// Files of the image that are damaged or lack something.
    pub fn el_torito(&self, rootfs: &Rootfs<'_>, label: &str, prefix: &str) -> Result<Option<ElTorito>> {
        let has = |name: &str| rootfs.is_file(&format!("{}/{name}", self.place));
        if !["cdboot.img", "boot_hybrid.img", "iso9660.mod", "search_label.mod"].into_iter().all(has) {
            return Ok(None);
        }
        let early = format!("search.fs_label {label} root\nset prefix=($root)'{prefix}'\n");
        let core = self.assemble(rootfs, ["part_gpt", "iso9660"], (early, prefix.to_owned()))?;
        let (head, hybrid) = (self.read(rootfs, "cdboot.img")?, self.read(rootfs, "boot_hybrid.img")?);
        ElTorito::new(&head, &hybrid, core)
            .with_context(|| format!("GRUB for BIOS in /{}", self.place))
            .map(Some)
    }
}

impl ElTorito {
    /// Out of `cdboot.img`, `boot_hybrid.img` and a core image.
    ///
    /// # Errors
    /// Pieces of another size, or without the mark of a boot sector.
    pub fn new(head: &[u8], hybrid: &[u8], core: CoreImage) -> Result<Self> {
        let found = head.len();
        let head = CdBoot::read_from_bytes(head).ok();
        let head = head.with_context(|| format!("cdboot.img: {found} bytes, not {}", size_of::<CdBoot>()))?;
        let found = hybrid.len();
        let hybrid = HybridBoot::read_from_bytes(hybrid).ok();
        let hybrid = hybrid
            .with_context(|| format!("boot_hybrid.img: {found} bytes, not {}", size_of::<HybridBoot>()))?;
        ensure!(hybrid.signature == [0x55, 0xaa], "boot_hybrid.img: no boot sector");
        Ok(Self { head, hybrid, core })
    }

    /// The file with zeros where its place goes.
    #[must_use]
    pub fn unplaced(&self) -> Vec<u8> {
        [self.head.as_bytes(), self.core.unplaced()].concat()
    }

    /// The file, of the same length, when it starts at `sector` of the disc.
    #[must_use]
    pub fn placed(&self, sector: u32) -> Vec<u8> {
        let core = self.core.placed((u64::from(sector) + 1) * SECTORS);
        let mut head = self.head.clone();
        head.descriptor = DESCRIPTOR.into();
        head.file = sector.into();
        head.length = U32::new((size_of::<CdBoot>() + core.len()) as u32);
        head.checksum = 0.into();
        head.reserved.fill(0);
        let mut file = [head.as_bytes(), &core].concat();
        head.checksum = sum(&file[CdBoot::SUMMED..]).into();
        file[..CdBoot::SUMMED].copy_from_slice(&head.as_bytes()[..CdBoot::SUMMED]);
        file
    }

    /// Code for the master boot record when the file starts at `sector` of the disc.
    #[must_use]
    pub fn boot_code(&self, sector: u32) -> [u8; BOOT_CODE] {
        let mut hybrid = self.hybrid.clone();
        hybrid.kernel_sector = U64::new((u64::from(sector) + 1) * SECTORS);
        let mut code = [0; BOOT_CODE];
        code.copy_from_slice(&hybrid.as_bytes()[..BOOT_CODE]);
        code
    }
}

/// Sum of 32-bit words, the last one filled with zeros.
fn sum(bytes: &[u8]) -> u32 {
    let word = |chunk: &[u8]| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_le_bytes(word)
    };
    bytes.chunks(4).map(word).fold(0, u32::wrapping_add)
}
