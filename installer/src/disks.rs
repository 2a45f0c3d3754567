//! The disks of the machine, as the kernel lists them in `/sys/block`.
//!
//! Source: Linux, `Documentation/ABI/stable/sysfs-block`. Sizes there are in
//! units of 512 bytes whatever the disk's sectors are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Bytes of the unit in which sysfs gives sizes.
const UNIT: u64 = 512;
/// Beginnings of names that are not disks: memory, mappings and floppies.
const NO_DISKS: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "fd", "nbd", "mtdblock"];

/// A block device that holds partitions or could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The kernel's name: `sda`, `nvme0n1`.
    pub(crate) name: String,
    /// Length in bytes; none for an empty drive.
    pub(crate) size: u64,
    /// Bytes of a logical sector.
    pub(crate) sector_size: u32,
    /// What the maker calls it; empty if unknown.
    pub(crate) model: String,
    /// The maker's number for this one; empty if unknown.
    pub(crate) serial: String,
    /// World Wide Name or NVMe identifier; empty if unknown.
    pub(crate) wwid: String,
    /// Whether writing is refused, as by optical drives.
    pub(crate) is_read_only: bool,
    /// Names below `/dev`, links of udev included.
    pub(crate) paths: Vec<PathBuf>,
}

impl Disk {
    /// Where to open it.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Whether `name` is one of its names: of the kernel, of udev, or with `/dev` before it.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name == name || self.paths.iter().any(|path| path == Path::new(name))
    }
}

/// The disks below `sys` (`/sys`) with their names below `dev` (`/dev`), ordered by name.
pub(crate) fn list(sys: &Path, dev: &Path) -> Result<Vec<Disk>> {
    let directory = sys.join("block");
    let entries = fs::read_dir(&directory).with_context(|| format!("listing {}", directory.display()))?;
    let mut disks = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !NO_DISKS.iter().any(|start| name.starts_with(start)) {
            disks.extend(read(&directory.join(&name), name, dev));
        }
    }
    disks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(disks)
}

/// A drive without a medium, or one that vanished meanwhile, is none.
fn read(directory: &Path, name: String, dev: &Path) -> Option<Disk> {
    let text = |file: &str| {
        let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
        text.trim().to_owned()
    };
    let first = |files: [&str; 2]| files.iter().map(|file| text(file)).find(|text| !text.is_empty());
    let size = text("size").parse::<u64>().ok().filter(|&size| size > 0)?;
    Some(Disk {
        size: size * UNIT,
        sector_size: text("queue/logical_block_size").parse().unwrap_or(512),
        model: text("device/model"),
        serial: first(["device/serial", "serial"]).unwrap_or_else(|| unit_serial(directory)),
        wwid: first(["device/wwid", "wwid"]).unwrap_or_default(),
        is_read_only: text("ro") == "1",
        paths: names(&name, dev),
        name,
    })
}

/// The serial number that a SCSI or SATA disk tells of itself. Source: SPC-4, "Unit Serial Number VPD page":
/// four bytes, the last two of them the length, and ASCII.
fn unit_serial(directory: &Path) -> String {
    let page = fs::read(directory.join("device/vpd_pg80")).unwrap_or_default();
    let text = String::from_utf8_lossy(page.get(4..).unwrap_or_default()).into_owned();
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned()
}

/// The device's own path, and udev's links to it.
fn names(name: &str, dev: &Path) -> Vec<PathBuf> {
    let mut names = vec![dev.join(name)];
    for kind in ["by-id", "by-path"] {
        let links = fs::read_dir(dev.join("disk").join(kind)).into_iter().flatten().flatten();
        let target_is =
            |link: &Path| fs::read_link(link).is_ok_and(|to| to.file_name() == Some(name.as_ref()));
        names.extend(links.map(|entry| entry.path()).filter(|link| target_is(link)));
    }
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("sys/block/vda/size", "41943040\n");
        file("sys/block/vda/queue/logical_block_size", "4096\n");
        file("sys/block/vda/serial", "disk-1\n");
        file("sys/block/sda/size", "2097152\n");
        file("sys/block/sda/device/model", "Flash Disk      \n");
        file("sys/block/sr0/size", "0\n");
        file("sys/block/loop0/size", "8\n");
        fs::write(root.path().join("sys/block/sda/device/vpd_pg80"), b"\0\x80\0\x08  AB-12 ").unwrap();
        fs::create_dir_all(root.path().join("dev/disk/by-id")).unwrap();
        std::os::unix::fs::symlink("../../vda", root.path().join("dev/disk/by-id/virtio-disk-1")).unwrap();
        root
    }

    #[test]
    fn disks_are_what_can_hold_partitions() {
        let root = machine();
        let disks = list(&root.path().join("sys"), &root.path().join("dev")).unwrap();
        let names: Vec<_> = disks.iter().map(|disk| disk.name.as_str()).collect();
        assert_eq!(names, ["sda", "vda"]);
        assert_eq!((disks[0].size, disks[0].model.as_str()), (1 << 30, "Flash Disk"));
        assert_eq!(disks[0].serial, "AB-12");
        assert_eq!(
            (disks[1].size, disks[1].sector_size, disks[1].serial.as_str()),
            (20 << 30, 4096, "disk-1")
        );
    }

    #[test]
    fn a_disk_answers_to_every_name_udev_gives_it() {
        let root = machine();
        let dev = root.path().join("dev");
        let disk = list(&root.path().join("sys"), &dev).unwrap().pop().unwrap();
        for name in
            ["vda", dev.join("vda").to_str().unwrap(), dev.join("disk/by-id/virtio-disk-1").to_str().unwrap()]
        {
            assert!(disk.is_named(name), "{name}");
        }
        assert!(!disk.is_named("sda"));
    }
}
