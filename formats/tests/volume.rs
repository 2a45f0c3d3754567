//! Volumes between partition and filesystem, judged by util-linux, cryptsetup and lvm2.
//! LVM's own tools read block devices: needs root and loop devices.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod judge;

use std::{
    fs,
    path::{Path, PathBuf},
};

use diskwright_formats::{
    filesystem::{self, Identity},
    sparse::Sparse,
    tree::{Meta, Time, Tree},
    units::MIB,
    volume::{
        luks2::{self, Encryption},
        lvm2::{self, EXTENT_BYTES, Group, Logical},
        swap,
    },
};
use uuid::Uuid;

fn write(disk: &Sparse, below: &Path) -> PathBuf {
    let path = below.join("volume");
    judge::write("raw", disk, Default::default(), &path);
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn swap_is_what_mkswap_makes() {
    let scratch = tempfile::tempdir().unwrap();
    let uuid = Uuid::from_u128(0x1234);
    let ours = write(&swap::swap(uuid, "swap label", 3 * MIB).unwrap(), scratch.path());
    let theirs = scratch.path().join("theirs");
    fs::write(&theirs, vec![0; 3 * MIB as usize]).unwrap();
    let uuid = uuid.to_string();
    judge::pass("util-linux", "mkswap", &["-q", "-U", &uuid, "-L", "swap label", text(&theirs)]);
    assert!(fs::read(&ours).unwrap() == fs::read(&theirs).unwrap(), "mkswap writes other bytes");
    assert!(judge::pass("util-linux", "swaplabel", &[text(&ours)]).contains("swap label"));
    judge::flip(&ours, 4090);
    judge::refuse("util-linux", "swaplabel", &[text(&ours)]);
    assert!(swap::swap(Uuid::nil(), "sixteen letters!", MIB).is_err());
    assert!(swap::swap(Uuid::nil(), "", 4096).is_err());
}

/// A loop device as long as it lives.
struct Loop(String);

impl Loop {
    fn new(path: &Path) -> Self {
        let name = judge::pass("mount", "losetup", &["--find", "--show", text(path)]);
        Self(name.trim().to_owned())
    }

    /// Arguments that show LVM this device alone.
    fn lvm(&self, program: &str, arguments: &[&str]) -> std::process::Output {
        let config = format!(
            "devices{{use_devicesfile=0 scan_lvs=0 filter=[\"a|^{}$|\",\"r|.*|\"]}} \
             global{{locking_type=1 event_activation=0}} backup{{backup=0 archive=0}}",
            self.0
        );
        judge::run("lvm2", program, &[&["--config", &config], arguments].concat())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        judge::run("mount", "losetup", &["-d", &self.0]);
    }
}

fn group() -> Group {
    let volume = |number: u128, name: &str, extents: u64| {
        let len = extents * EXTENT_BYTES;
        let bytes = judge::noise(number as u64, 8192);
        let content = judge::sparse(len, [(0, &bytes[..4096]), (len - 4096, &bytes[4096..])]);
        Logical { name: name.into(), uuid: Uuid::from_u128(number), content }
    };
    Group {
        name: "group-1".into(),
        uuid: Uuid::from_u128(0xabc << 64),
        physical_uuid: Uuid::from_u128(0xdef << 64),
        volumes: vec![volume(1, "root", 3), volume(2, "var_log", 1), volume(3, "a.b+c-d", 2)],
        time: 1_767_225_600,
    }
}

#[test]
fn lvm_reads_the_group() {
    let scratch = tempfile::tempdir().unwrap();
    let size = 41 * MIB;
    let path = write(&lvm2::physical_volume(&group(), size).unwrap(), scratch.path());
    let device = Loop::new(&path);
    let ok = |program: &str, arguments: &[&str]| {
        let output = device.lvm(program, arguments);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{program}: {said}");
        said
    };
    let said = ok("pvck", &[&device.0]);
    assert!(!said.to_lowercase().contains("error"), "{said}");
    let said = ok("pvck", &["--dump", "headers", &device.0]);
    assert!(said.contains("label_header at 512") && !said.contains("CHECK"), "{said}");
    ok("vgck", &["group-1"]);
    let said = ok("vgs", &["--noheadings", "-o", "vg_name,vg_extent_count,vg_free_count,lv_count,vg_uuid"]);
    assert!(said.contains("group-1   10    4   3 000000-0000-"), "{said}");
    let options = "lv_name,seg_start_pe,seg_size_pe,seg_pe_ranges,segtype,lv_attr";
    let said = ok("lvs", &["--noheadings", "-o", options]);
    for line in ["root        0     3", "var_log     0     1", "a.b+c-d     0     2"] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains(":0-2 ") && said.contains(":3-3 ") && said.contains(":4-5 "), "{said}");
    let backup = scratch.path().join("backup");
    ok("vgcfgbackup", &["-f", text(&backup), "group-1"]);
    ok("vgcfgrestore", &["--list", "-f", text(&backup), "group-1"]);
    let bytes = fs::read(&path).unwrap();
    let noise = judge::noise(2, 8192);
    assert!(bytes[(MIB + 3 * EXTENT_BYTES) as usize..].starts_with(&noise[..4096]), "another place");
}

#[test]
fn lvm_refuses_a_damaged_group() {
    let scratch = tempfile::tempdir().unwrap();
    let path = write(&lvm2::physical_volume(&group(), 41 * MIB).unwrap(), scratch.path());
    judge::flip(&path, 4096 + 512 + 20);
    let device = Loop::new(&path);
    assert!(!device.lvm("vgck", &["group-1"]).status.success(), "vgck passes broken metadata");
    drop(device);
    assert!(lvm2::physical_volume(&group(), 24 * MIB).is_err(), "six extents and a header in 24 MiB");
}

fn encryption(sector_size: u32) -> Encryption {
    Encryption {
        uuid: Uuid::from_u128(0x4567),
        label: "secret".into(),
        secrets: vec![b"first pass phrase".to_vec(), judge::noise(5, 300)],
        seed: [7; 32],
        sector_size,
        fill: false,
    }
}

/// Decrypts the data with the volume's key, as another implementation of XTS does.
const DECRYPT: &str = "
import sys
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
path, key, sector = sys.argv[1], open(sys.argv[2], 'rb').read(), int(sys.argv[3])
data = open(path, 'rb').read()[16 << 20:]
out = b''
for at in range(0, len(data), sector):
    tweak = (at // 512).to_bytes(16, 'little')
    d = Cipher(algorithms.AES(key), modes.XTS(tweak)).decryptor()
    out += d.update(data[at:at + sector]) + d.finalize()
sys.stdout.buffer.write(out)
";

fn decrypted(path: &Path, secret: &Path, sector: u32) -> Vec<u8> {
    let key = path.with_extension(format!("key{sector}"));
    let dump = ["luksDump", "--batch-mode", "--dump-volume-key", "--volume-key-file", text(&key)];
    judge::pass(
        "cryptsetup-bin",
        "cryptsetup",
        &[&dump[..], &["--key-file", text(secret), text(path)]].concat(),
    );
    let arguments = ["-c", DECRYPT, text(path), text(&key), &sector.to_string()];
    let output = judge::run("python3-cryptography", "python3", &arguments);
    assert!(output.status.success(), "python3 (package python3-cryptography): {output:?}");
    output.stdout
}

#[test]
fn cryptsetup_opens_the_volume() {
    let scratch = tempfile::tempdir().unwrap();
    let [first, second, wrong] = ["first", "second", "wrong"].map(|name| scratch.path().join(name));
    fs::write(&first, "first pass phrase").unwrap();
    fs::write(&second, judge::noise(5, 300)).unwrap();
    fs::write(&wrong, "first pass phrase\n").unwrap();
    for sector in [512, 4096] {
        let bytes = judge::noise(9, 70_000);
        let content = judge::sparse(MIB, [(4096, &bytes[..]), (200_000, &bytes[..100])]);
        let volume = luks2::encrypt(content.clone(), &encryption(sector)).unwrap();
        let path = write(&volume, scratch.path());
        let open = |secret: &Path| {
            let arguments = ["open", "--test-passphrase", "--key-file", text(secret), text(&path)];
            judge::run("cryptsetup-bin", "cryptsetup", &arguments).status.success()
        };
        assert!(open(&first) && open(&second), "cryptsetup takes neither secret");
        assert!(!open(&wrong), "cryptsetup takes any secret");
        let dump = judge::pass("cryptsetup-bin", "cryptsetup", &["luksDump", text(&path)]);
        for line in
            ["UUID:          \t00000000-0000-0000-0000-000000004567", "Label:         \tsecret", "argon2id"]
        {
            assert!(dump.contains(line), "{dump}");
        }
        assert!(dump.contains(&format!("sector: {sector} [bytes]")), "{dump}");
        let found = decrypted(&path, &second, sector);
        let wanted = content.to_vec().unwrap();
        for (offset, len) in [(4096, 69_632 + 4096), (196_608, 4096)] {
            assert!(found[offset..offset + len] == wanted[offset..offset + len], "{offset}: other bytes");
        }
        assert!(volume.data_len() < 17 * MIB / 2, "gaps are written");
    }
}

#[test]
fn a_damaged_header_is_read_from_its_copy_and_two_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = write(&luks2::encrypt(Sparse::new(MIB), &encryption(512)).unwrap(), scratch.path());
    let judged = |path: &Path| judge::run("cryptsetup-bin", "cryptsetup", &["luksDump", text(path)]);
    judge::flip(&path, 5000);
    assert!(judged(&path).status.success(), "the second header does not stand in for the first");
    // cryptsetup has repaired the first meanwhile
    judge::flip(&path, 5000);
    judge::flip(&path, 16384 + 5000);
    assert!(!judged(&path).status.success(), "cryptsetup reads a header with two faults");
}

#[test]
fn filled_gaps_decrypt_to_zeros_and_the_seed_decides_all() {
    let scratch = tempfile::tempdir().unwrap();
    let secret = scratch.path().join("secret");
    fs::write(&secret, "first pass phrase").unwrap();
    let filled = Encryption { fill: true, ..encryption(512) };
    let volume = luks2::encrypt(Sparse::new(64 << 10), &filled).unwrap();
    let path = write(&volume, scratch.path());
    assert!(decrypted(&path, &secret, 512).iter().all(|&byte| byte == 0));
    let again = luks2::encrypt(Sparse::new(64 << 10), &filled).unwrap();
    assert!(again.to_vec().unwrap() == volume.to_vec().unwrap());
    let other = luks2::encrypt(Sparse::new(64 << 10), &Encryption { seed: [8; 32], ..filled }).unwrap();
    assert!(other.to_vec().unwrap() != volume.to_vec().unwrap());
    let nothing = Encryption { secrets: Vec::new(), ..encryption(512) };
    assert!(luks2::encrypt(Sparse::new(MIB), &nothing).is_err());
}

/// ext4 for an encrypted volume: whatever its gaps decrypt to, e2fsck finds nothing wrong.
#[test]
fn ext4_is_whole_on_noise() {
    let scratch = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(Meta::root(0o755));
    for number in 0..37 {
        let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(judge::noise(number, 5000)));
        tree.link(tree.root(), format!("file{number}").into_bytes(), file);
    }
    let identity = Identity {
        uuid: Uuid::from_u128(3),
        label: "noise".into(),
        time: Time { seconds: 1_767_225_600, nanoseconds: 0 },
        sector_size: 512,
        offset: 0,
        on_noise: true,
    };
    let volume = filesystem::by_name("ext4").unwrap().mkfs(&tree, &identity, 200 * MIB).unwrap();
    let path = scratch.path().join("volume");
    fs::write(&path, judge::noise(1, 200 * MIB as usize)).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    for window in volume.windows(4096) {
        let mut bytes = vec![0; window.len];
        volume.read_exact_at(&mut bytes, window.offset).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, window.offset).unwrap();
    }
    let report = judge::pass("e2fsprogs", "e2fsck", &["-fn", text(&path)]);
    assert!(report.contains("noise: 48/"), "{report}");
    judge::flip(&path, 1024 + 4);
    judge::refuse("e2fsprogs", "e2fsck", &["-fn", text(&path)]);
}
