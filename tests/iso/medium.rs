//! A medium of a small image, and everything on it.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    Built, image, pass, run, text,
    tiny::{self, Tiny},
};

/// The medium and what xorriso extracts of it.
struct Opened {
    built: Built,
    iso: String,
}

impl Opened {
    fn new(arguments: &[&str]) -> Self {
        Self::of(&image(), arguments)
    }

    fn of(image: &Tiny, arguments: &[&str]) -> Self {
        let built = Built::new(&image.write(), arguments);
        let iso = built.medium();
        let to = text(&built.path("files"));
        fs::create_dir(&to).unwrap();
        let args = ["-no_rc", "-osirrox", "on", "-indev", &iso, "-extract", "/", &to];
        pass("xorriso", "xorriso", &args);
        Self { built, iso }
    }

    fn file(&self, path: &str) -> Vec<u8> {
        fs::read(self.built.path("files").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.file(path)).unwrap()
    }

    /// A report of xorriso, one blank between words.
    fn report(&self, what: &str) -> String {
        let output = run("xorriso", "xorriso", &["-no_rc", "-indev", &self.iso, what, "plain"]);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
    }
}

#[test]
fn firmware_finds_a_bootloader_both_ways() {
    let opened = Opened::new(&["-t", "iso"]);
    let torito = opened.report("-report_el_torito");
    // the second and third are only said of a table whose sectors, length and checksum are right
    for text in [
        "img : 1 BIOS y none 0x0000 0x00 4 ",
        "img opts : 1 boot-info-table grub2-boot-info",
        "img : 2 UEFI y none",
    ] {
        assert!(torito.contains(text), "no '{text}': {torito}");
    }
    let area = opened.report("-report_system_area");
    for text in ["grub2-mbr", "protective-msdos-label", "GPT type GUID : 2 28732ac11ff8d211ba4b00a0c93ec93b"]
    {
        assert!(area.contains(text), "no '{text}': {area}");
    }
    let verdict = pass("gdisk", "sgdisk", &["-v", &opened.iso]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let said = pass("genisoimage", "isoinfo", &["-d", "-i", &opened.iso]);
    assert!(said.contains("Volume id: DISKWRIGHT_") && said.contains("Rock Ridge"), "{said}");
    let start = area.lines().find_map(|line| line.strip_prefix("GPT start and size : 2 ")).unwrap();
    let start: u64 = start.split(' ').next().unwrap().parse().unwrap();
    let esp = format!("{}@@{}", opened.iso, start * 512);
    let shim = pass("mtools", "mtype", &["-i", &esp, "::EFI/BOOT/BOOTX64.EFI"]);
    let grub = pass("mtools", "mtype", &["-i", &esp, "::EFI/BOOT/grubx64.efi"]);
    assert_eq!((shim.as_str(), grub.as_str()), ("shim", "grub /EFI/debian\0"));
    for path in ["EFI/BOOT/grub.cfg", "EFI/debian/grub.cfg"] {
        let on_esp = pass("mtools", "mtype", &["-i", &esp, &format!("::{path}")]);
        assert_eq!(on_esp, opened.text(path), "{path}");
    }
}

#[test]
fn an_image_with_one_bootloader_makes_a_medium_for_one_firmware() {
    let bios = image().without("usr/lib/shim").without("usr/lib/grub/x86_64-efi-signed");
    let uefi = image().without("usr/lib/grub/i386-pc/cdboot.img");
    for (image, named, other) in [(bios, "BIOS", "UEFI"), (uefi, "UEFI", "BIOS")] {
        let opened = Opened::of(&image, &["-t", "iso"]);
        let torito = opened.report("-report_el_torito");
        assert!(torito.contains(&format!("img : 1 {named} y none")) && !torito.contains(other), "{torito}");
        let verdict = pass("gdisk", "sgdisk", &["-v", &opened.iso]);
        assert!(verdict.contains("No problems found"), "{verdict}");
        let esp = opened.report("-report_system_area").contains("28732ac11ff8d211ba4b00a0c93ec93b");
        assert_eq!((esp, opened.built.said().contains("UEFI only")), (named == "UEFI", named == "UEFI"));
    }
}

/// The judge says no: a byte of GRUB's image is another, and the table's checksum is not its own any more.
#[test]
fn a_changed_boot_image_is_seen() {
    let opened = Opened::new(&["-t", "iso"]);
    let torito = opened.report("-report_el_torito");
    let line = torito.lines().find(|line| line.contains("img : 1 BIOS")).unwrap();
    let sector: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
    let mut bytes = fs::read(&opened.iso).unwrap();
    bytes[sector * 2048 + 4000] ^= 1;
    fs::write(&opened.iso, bytes).unwrap();
    assert!(!opened.report("-report_el_torito").contains("boot-info-table"));
}

#[test]
fn the_payload_is_the_disk_and_its_description_is_true() {
    let opened = Opened::new(&["-t", "iso,raw", "--size", "fit"]);
    let payload = text(&opened.built.path("files/diskwright/disk.qcow2"));
    let check = pass("qemu-utils", "qemu-img", &["check", &payload]);
    assert!(check.contains("No errors were found"), "{check}");
    let raw = text(&opened.built.path("image/disk.raw"));
    pass("qemu-utils", "qemu-img", &["compare", "-f", "qcow2", "-F", "raw", &payload, &raw]);
    let info = pass("qemu-utils", "qemu-img", &["info", &payload]);
    assert!(info.contains("compression type: zstd"), "{info}");
    let said: Value = serde_json::from_slice(&opened.file("diskwright/payload.json")).unwrap();
    let sum = pass("coreutils", "sha256sum", &[&payload]);
    assert_eq!(said["sha256"], sum[..64]);
    let split = "split -b 4M --filter 'sha256sum | cut -c 1-64' \"$0\"";
    let chunks = pass("coreutils", "sh", &["-c", split, &payload]);
    let chunks: Vec<&str> = chunks.lines().collect();
    assert!(chunks.len() > 1, "one chunk proves nothing");
    assert_eq!(said["chunks"], Value::from(chunks));
    assert_eq!(said["chunk_size"], 4 << 20);
    assert_eq!(said["file_size"], fs::metadata(&payload).unwrap().len());
    assert_eq!(said["disk"]["size"], fs::metadata(&raw).unwrap().len());
    assert_eq!((&said["disk"]["root_partition"], &said["name"]), (&Value::from(4), &Value::from("Tiny 1")));
    assert_eq!(said["image"]["target"], "registry.example.com/os:1");
    let table = pass("gdisk", "sgdisk", &["-i", "4", &raw]);
    assert!(table.contains("Partition name: 'root'"), "{table}");
}

/// The partition with the root is the last one, and is named to the installer, whatever stands before it.
#[test]
fn the_payload_is_divided_as_the_blueprint_asks() {
    let blueprint = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let volumes =
        "{type: lvm, name: group, logical_volumes: [{name: data, mountpoint: /var/data, minsize: 20 MiB}]}";
    let disk = format!("{{partitions: [{{mountpoint: /, minsize: 70 MiB}}, {volumes}]}}");
    fs::write(blueprint.path(), format!("customizations: {{disk: {disk}}}\n")).unwrap();
    let opened = Opened::new(&["-t", "iso,raw", "--size", "fit", "-b", &text(blueprint.path())]);
    let said: Value = serde_json::from_slice(&opened.file("diskwright/payload.json")).unwrap();
    assert_eq!(
        (&said["disk"]["root_partition"], &said["disk"]["root_filesystem"]),
        (&5.into(), &"ext4".into())
    );
    let payload = text(&opened.built.path("files/diskwright/disk.qcow2"));
    let raw = text(&opened.built.path("image/disk.raw"));
    pass("qemu-utils", "qemu-img", &["compare", "-f", "qcow2", "-F", "raw", &payload, &raw]);
    for (number, name) in [("4", "group"), ("5", "root")] {
        let table = pass("gdisk", "sgdisk", &["-i", number, &raw]);
        assert!(table.contains(&format!("Partition name: '{name}'")), "{table}");
    }
    assert!(!opened.text("boot/grub/grub.cfg").contains("rd.lvm"), "the installer waits for volumes");
}

/// What an installer copies as it is, and how that is said before.
#[test]
fn a_disk_that_an_installer_does_not_grow_is_said_to_stay() {
    let volumes = "{type: lvm, logical_volumes: [{name: a, mountpoint: /}]}";
    for (disk, filesystem, words) in [
        (
            "{type: dos, partitions: [{mountpoint: /}]}".to_owned(),
            Value::from("ext4"),
            "a dos partition table",
        ),
        (format!("{{partitions: [{volumes}]}}"), Value::Null, "a root in LVM or LUKS"),
        (
            "{partitions: [{type: luks, passphrase: p, mountpoint: /}]}".into(),
            Value::Null,
            "a root in LVM or LUKS",
        ),
    ] {
        let blueprint = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        let path = text(blueprint.path());
        fs::write(blueprint.path(), format!("customizations: {{disk: {disk}}}\n")).unwrap();
        let opened = Opened::new(&["-t", "iso", "--size", "fit", "-b", &path]);
        let words = format!("the installer does not grow {words}");
        assert!(opened.built.said().contains(&words), "{}", opened.built.said());
        let said: Value = serde_json::from_slice(&opened.file("diskwright/payload.json")).unwrap();
        assert_eq!(said["disk"]["root_filesystem"], filesystem);
        let menu = opened.text("boot/grub/grub.cfg");
        assert!(!menu.contains("rd.l"), "the installer waits for volumes: {menu}");
        let layout = crate::image().write();
        let plan = ["plan", "-t", "iso", "--no-cache", "-b", &path, &layout.reference()];
        let plan = pass("diskwright", env!("CARGO_BIN_EXE_diskwright"), &plan);
        assert!(plan.contains(&words), "{plan}");
    }
}

#[test]
fn the_kernel_is_the_images_and_the_second_initramfs_starts_the_installer() {
    let opened = Opened::new(&["-t", "iso", "--karg", "a.b=c", "--karg", "spoken=\"two words\""]);
    assert_eq!(opened.file("boot/vmlinuz"), b"kernel");
    assert_eq!(opened.file("boot/initramfs.img"), crate::initramfs(&crate::DISC));
    let archive = text(&opened.built.path("files/boot/installer.img"));
    let root = opened.built.path("unpacked");
    fs::create_dir(&root).unwrap();
    let unpack = "cd \"$0\" && cpio -idm --quiet < \"$1\"";
    pass("cpio", "sh", &["-c", unpack, &text(&root), &archive]);
    assert_eq!(fs::read(root.join("usr/bin/diskwright-install")).unwrap(), tiny::installer());
    let units: Vec<String> = fs::read_dir(root.join("usr/lib/systemd/system"))
        .unwrap()
        .map(|entry| text(&entry.unwrap().path()))
        .collect();
    assert_eq!(units.len(), 4);
    let menu = opened.text("boot/grub/grub.cfg");
    for path in ["boot/grub/grub.cfg", "EFI/BOOT/grub.cfg"] {
        pass("grub-common", "grub-script-check", &[&text(&opened.built.path("files").join(path))]);
    }
    assert!(menu.contains(" a.b=c") && !menu.contains("words"), "{menu}");
    let said = opened.built.said();
    assert!(said.contains("does without 'spoken=\"two words\"'"), "{said}");
    for (path, len) in [("boot/grub/grub.cfg", 16 << 10), ("diskwright/diskwright.yaml", 64 << 10)] {
        assert_eq!(opened.file(path).len(), len, "{path}");
    }
}

/// Names in documents and code are the same.
#[test]
fn the_contract_names_what_is_there() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/installer-medium.md")).unwrap();
    let opened = Opened::new(&["-t", "iso"]);
    let options = opened.text("diskwright/diskwright.yaml");
    let keys = options.lines().map(|line| line.trim_start_matches('#'));
    let keys: Vec<&str> =
        keys.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(':').next()).collect();
    for key in keys.into_iter().filter(|key| !key.is_empty()) {
        assert!(page.contains(&format!("| `{key}` |")), "{key}");
    }
    let said: Value = serde_json::from_slice(&opened.file("diskwright/payload.json")).unwrap();
    let (_, example) = page.split_once("```json\n").unwrap();
    let example: Value = serde_json::from_str(example.split("```").next().unwrap()).unwrap();
    assert_eq!(keys_of(&said), keys_of(&example));
}

fn keys_of(value: &Value) -> Vec<String> {
    let Value::Object(map) = value else { return Vec::new() };
    map.iter().flat_map(|(key, value)| [vec![key.clone()], keys_of(value)].concat()).collect()
}

#[test]
fn what_the_blueprint_says_of_the_medium_is_on_it() {
    let scratch = tempfile::tempdir().unwrap();
    let blueprint = scratch.path().join("blueprint.yaml");
    let wishes = "customizations:\n  installer:\n    unattended: true\n    bootloader:\n      grub2:\n        menu-timeout: 7\n";
    let texts =
        "  iso:\n    volume_id: Example-1.0\n    application_id: EXAMPLE\n    publisher: Example Ltd.\n";
    fs::write(&blueprint, format!("{wishes}{texts}")).unwrap();
    let opened = Opened::new(&["-t", "iso", "-b", &text(&blueprint)]);
    let descriptor = pass("genisoimage", "isoinfo", &["-d", "-i", &opened.iso]);
    for row in ["Volume id: Example-1.0", "Publisher id: EXAMPLE LTD.", "Application id: EXAMPLE"] {
        assert!(descriptor.to_lowercase().contains(&row.to_lowercase()), "no '{row}': {descriptor}");
    }
    let menu = opened.text("boot/grub/grub.cfg");
    for line in ["inst.diskwright.medium=Example-1.0 ", "set timeout=7\n", "--label Example-1.0\n"] {
        assert!(menu.contains(line), "no '{line}': {menu}");
    }
    assert!(opened.text("diskwright/diskwright.yaml").contains("\nunattended: yes\n"));
}
