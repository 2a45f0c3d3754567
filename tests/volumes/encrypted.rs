//! Encrypted partitions, opened by cryptsetup and decrypted by another implementation of AES-XTS.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::disk::{Disk, cat, check_ext4, etc, judge, names, run, text};

/// Decrypts the data with the volume's key.
const DECRYPT: &str = "
import sys
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
key = open(sys.argv[2], 'rb').read()
with open(sys.argv[1], 'rb') as source, open(sys.argv[3], 'wb') as target:
    source.seek(16 << 20)
    number = 0
    while sector := source.read(512):
        tweak = number.to_bytes(16, 'little')
        target.write(Cipher(algorithms.AES(key), modes.XTS(tweak)).decryptor().update(sector))
        number += 1
";

fn blueprint(reproducible: bool) -> String {
    format!(
        "
customizations:
  disk:
    partitions:
      - {{mountpoint: /boot, minsize: 64 MiB}}
      - {{mountpoint: /boot/efi, minsize: 48 MiB}}
      - type: luks
        passphrase: open sesame
        reproducible: {reproducible}
        tpm2: {{pcrs: [7, 11]}}
        minsize: 48 MiB
        mountpoint: /
      - type: luks
        key_file: key
        reproducible: {reproducible}
        minsize: 30 MiB
        logical_volumes:
          - {{name: data, mountpoint: /var/data, minsize: 8 MiB}}
"
    )
}

/// The disk, beside a key file.
fn build(reproducible: bool) -> Disk {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("key");
    fs::write(&key, "from a file\n").unwrap();
    let blueprint = blueprint(reproducible).replace("key_file: key", &format!("key_file: {}", key.display()));
    let disk = Disk::build(&blueprint, &["--size", "fit"]);
    if reproducible {
        assert!(disk.is_made_again(), "the same build made other bytes");
    } else {
        assert!(!disk.is_made_again(), "a random key came twice");
    }
    disk
}

fn opens(volume: &Path, secret: &str) -> bool {
    let file = volume.with_extension("secret");
    fs::write(&file, secret).unwrap();
    let arguments = ["open", "--test-passphrase", "--key-file", text(&file), text(volume)];
    run("cryptsetup-bin", "cryptsetup", &arguments).status.success()
}

fn decrypt(volume: &Path, secret: &str) -> PathBuf {
    let (file, key, data) =
        (volume.with_extension("secret"), volume.with_extension("key"), volume.with_extension("data"));
    fs::write(&file, secret).unwrap();
    let dump = ["luksDump", "--batch-mode", "--dump-volume-key", "--volume-key-file", text(&key)];
    judge("cryptsetup-bin", "cryptsetup", &[&dump[..], &["--key-file", text(&file), text(volume)]].concat());
    judge("python3-cryptography", "python3", &["-c", DECRYPT, text(volume), text(&key), text(&data)]);
    data
}

#[test]
fn encrypted_volumes_are_opened_by_their_secrets_alone() {
    let disk = build(true);
    let (data, root) = (disk.extract(4), disk.extract(5));
    assert!(opens(&root, "open sesame") && opens(&data, "from a file\n"), "the secrets open nothing");
    assert!(!opens(&root, "open sesam") && !opens(&data, "from a file"), "anything opens them");
    let uuid =
        |volume: &Path| judge("cryptsetup-bin", "cryptsetup", &["luksUUID", text(volume)]).trim().to_owned();
    let (data_uuid, root_uuid) = (uuid(&data), uuid(&root));
    let plain = decrypt(&root, "open sesame");
    check_ext4(&plain);
    let etc = etc(&plain);
    let crypttab = cat(&plain, &format!("{etc}/crypttab"));
    assert_eq!(crypttab, format!("luks-{data_uuid} UUID={data_uuid} none luks\n"));
    let keys = names(&plain, &format!("{etc}/cryptsetup-keys.d"));
    let mut wanted = [format!("luks-{data_uuid}.key"), format!("luks-{root_uuid}.key")];
    wanted.sort();
    assert_eq!(keys, wanted);
    assert_eq!(cat(&plain, &format!("{etc}/cryptsetup-keys.d/luks-{data_uuid}.key")), "from a file\n");
    let unit = cat(&plain, &format!("{etc}/systemd/system/luks-{root_uuid}-tpm2.service"));
    assert!(unit.contains(" --tpm2-device=auto --tpm2-pcrs=7+11 /dev/disk/by-uuid/"), "{unit}");
    let entry = cat(&disk.extract(3), "/loader.1/entries/ostree-1.conf");
    let arguments = format!(" rd.luks.uuid={root_uuid} rd.luks.options={root_uuid}=tpm2-device=auto ");
    assert!(entry.contains(&arguments) && !entry.contains(&data_uuid), "{entry}");
    // a group in there, and ext4 in that
    let plain = decrypt(&data, "from a file\n");
    let kind = judge("util-linux", "blkid", &["-p", "-s", "TYPE", "-o", "value", text(&plain)]);
    assert_eq!(kind.trim(), "LVM2_member");
    let bytes = fs::read(&plain).unwrap();
    let member = plain.with_extension("ext4");
    fs::write(&member, &bytes[1 << 20..9 << 20]).unwrap();
    check_ext4(&member);
}

#[test]
fn keys_are_random_unless_asked_otherwise() {
    let disk = build(false);
    assert!(opens(&disk.extract(5), "open sesame"));
    check_verified(&disk);
}

/// `verify` says once of each volume that it is locked, and finds what is wrong outside of it.
fn check_verified(disk: &Disk) {
    let said = disk.verified();
    let locked = "encrypted (LUKS): what is in it is not read";
    assert!(said.len() == 2 && said.iter().all(|text| text.contains(locked)), "{said:#?}");
    assert!(said.iter().all(|text| text.contains("\"severity\":\"warning\"")), "{said:#?}");
    let (offset, _) = disk.partition(5);
    let file = File::options().write(true).open(&disk.path).unwrap();
    file.write_all_at(b"other", offset + 170).unwrap();
    file.write_all_at(b"x", offset + (16 << 10) + 5000).unwrap();
    let said = disk.verified().join("\n");
    for words in ["LUKS header 1", "LUKS header 2", "the checksum is wrong", "nothing encrypted has it"] {
        assert!(said.contains(words), "no {words}: {said}");
    }
    let said = run("cryptsetup-bin", "cryptsetup", &["luksUUID", text(&disk.extract(5))]);
    assert!(!said.status.success(), "cryptsetup reads a header whose copies are both damaged");
}
