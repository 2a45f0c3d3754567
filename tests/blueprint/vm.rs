//! `vm`, the machine that an appliance describes: each key reaches it, flags win over keys, and a machine
//! that could not start the disk is refused. osslsigncode makes the loader a signed one, tar and xmllint
//! read the appliance.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use diskwright::blueprint::support;
use diskwright_formats::writer::{Uses, WRITERS};

use crate::tiny::{Layout, Tiny};

/// A leaf with a value of its own, and what of the appliance's description says so.
pub(crate) const LEAVES: [(&str, &[(&str, &str)]); 7] = [
    ("name", &[("one & two", "<Name>one &amp; two</Name>")]),
    ("cpus", &[("7", "7 virtual CPUs")]),
    ("memory", &[("3 GiB", "3072 MiB of memory"), ("512 MiB", "512 MiB of memory")]),
    ("firmware", &[("uefi", "vmw:key=\"firmware\" vmw:value=\"efi\""), ("bios", "vmw:value=\"bios\"")]),
    ("secure_boot", &[("true", "efiSecureBootEnabled\" vmw:value=\"true\"")]),
    ("network", &[("lan", "<Network ovf:name=\"lan\">")]),
    ("guest_type", &[("fedora64Guest", "vmw:osType=\"fedora64Guest\"")]),
];

fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C.UTF-8").output();
    output.unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"))
}

fn judge(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = run(package, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn diskwright(verb: &str, out: &Path, arguments: &[&str]) -> Output {
    let out = ["--output", text(out)];
    run("", env!("CARGO_BIN_EXE_diskwright"), &[&[verb], &out[..], arguments].concat())
}

fn build(layout: &Layout, out: &Path, arguments: &[&str]) -> Output {
    let rest = ["--no-cache", "--size", "fit", &layout.reference()];
    diskwright("build", out, &[arguments, &rest].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A PE file with one empty section, signed by a key that nobody knows.
fn signed(scratch: &Path) -> Vec<u8> {
    let mut pe = vec![0; 1024];
    let mut put = |at: usize, bytes: &[u8]| pe[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80_u32.to_le_bytes());
    put(0x80, b"PE\0\0\x64\x86\x01\0"); // for x86-64, one section
    put(0x94, &[240, 0, 6, 2]); // the optional header's length, executable
    put(0x98, &0x20b_u16.to_le_bytes());
    for (at, value) in [(32, 512), (36, 512), (56, 4096), (60, 512), (68, 10), (108, 16_u32)] {
        put(0x98 + at, &value.to_le_bytes());
    }
    put(0x188, b".text\0\0\0");
    for (at, value) in [(8, 512), (12, 4096), (16, 512), (20, 512_u32)] {
        put(0x188 + at, &value.to_le_bytes());
    }
    let [plain, key, certificate, signed] =
        ["plain.efi", "key.pem", "certificate.pem", "signed.efi"].map(|name| scratch.join(name));
    fs::write(&plain, pe).unwrap();
    let (key, certificate) = (text(&key), text(&certificate));
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nobody"];
    judge("openssl", "openssl", &[&request[..], &["-keyout", key, "-out", certificate]].concat());
    let files = ["-in", text(&plain), "-out", text(&signed)];
    let sign = ["sign", "-certs", certificate, "-key", key];
    judge("osslsigncode", "osslsigncode", &[&sign[..], &files].concat());
    fs::read(signed).unwrap()
}

/// An image that starts by UEFI, signed, and by BIOS.
fn image(scratch: &Path) -> Tiny {
    let shim = "usr/lib/shim/shimx64.efi.signed";
    Tiny::default().without(shim).with_file(shim, signed(scratch)).with_grub_for_bios()
}

/// The description of the appliance.
fn description(out: &Path) -> String {
    let dir = out.join("archive");
    judge("tar", "tar", &["-xf", text(&dir.join("image.ova")), "-C", text(&dir)]);
    judge("libxml2-utils", "xmllint", &["--noout", text(&dir.join("image.ovf"))]);
    fs::read_to_string(dir.join("image.ovf")).unwrap()
}

#[test]
fn each_key_reaches_the_appliance_and_flags_win() {
    let scratch = tempfile::tempdir().unwrap();
    let (layout, out) = (image(scratch.path()).write(), scratch.path().join("out"));
    let blueprint = scratch.path().join("b.yaml");
    let first = LEAVES.map(|(leaf, values)| format!("  {leaf}: {}\n", values[0].0)).concat();
    fs::write(&blueprint, format!("vm:\n{first}")).unwrap();
    // qcow2 has no place for a machine, which does not matter beside a type that has one
    let made = build(&layout, &out, &["-t", "qcow2,ova,vagrant", "-b", text(&blueprint)]);
    assert!(made.status.success(), "{}", said(&made));
    let described = description(&out);
    for (leaf, values) in LEAVES {
        assert!(described.contains(values[0].1), "{leaf}: {described}");
    }
    let packed = out.join("vagrant/libvirt.box");
    let vagrantfile = judge("tar", "tar", &["-xOzf", text(&packed), "Vagrantfile"]);
    assert!(vagrantfile.contains("cpus = 7\n") && vagrantfile.contains("memory = 3072\n"), "{vagrantfile}");

    fs::write(&blueprint, "vm: {firmware: bios, memory: 512 MiB, cpus: 3}\n").unwrap();
    let flags = ["-t", "ova", "-b", text(&blueprint), "--vm-cpus", "5", "--vm-name", "flagged"];
    assert!(build(&layout, &out, &flags).status.success());
    let described = description(&out);
    for what in ["vmw:value=\"bios\"", "512 MiB of memory", "5 virtual CPUs", "<Name>flagged</Name>"] {
        assert!(described.contains(what), "{what}: {described}");
    }
}

#[test]
fn a_type_without_a_machine_refuses_it_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    let blueprint = scratch.path().join("b.yaml");
    let check = |types: &str| {
        let arguments = ["blueprint", "check", "-t", types, text(&blueprint)];
        said(&run("", env!("CARGO_BIN_EXE_diskwright"), &arguments))
    };
    for (leaf, values) in LEAVES {
        fs::write(&blueprint, format!("vm: {{{leaf}: {}}}\n", values[0].0)).unwrap();
        let refused = check("raw,iso");
        assert!(refused.contains(&format!("vm.{leaf}: has no meaning for the type raw")), "{refused}");
        assert_eq!(check("raw,ova"), "", "{leaf}");
        assert_eq!(check("vagrant").is_empty(), ["cpus", "memory"].contains(&leaf), "{leaf}");
    }
}

/// The hints name types: those that the registry has.
#[test]
fn hints_name_the_types_that_describe_a_machine() {
    for (field, uses) in [("vm.name", Uses::MACHINE), ("vm.cpus", Uses::MACHINE_SIZE)] {
        let of_raw = support::refusal(field, &WRITERS[..1]);
        let (_, hint) = of_raw.expect("raw has no machine");
        for writer in WRITERS {
            let is_named = hint.split([' ', ',']).any(|word| word == writer.spec().name);
            assert_eq!(is_named, writer.uses().contains(uses), "{hint}: {}", writer.spec().name);
        }
    }
}

/// What starts the disk is read from it, so `convert` knows too.
#[test]
fn a_machine_that_cannot_start_the_disk_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let refused = |output: &Output, why: &str| {
        assert_eq!(output.status.code(), Some(3), "{}", said(output));
        assert!(said(output).contains(why), "{why}: {}", said(output));
        assert!(!out.exists());
    };
    let uefi = Tiny::default().write();
    refused(
        &build(&uefi, &out, &["-t", "ova", "--vm-secure-boot"]),
        "the EFI loader of the image is not signed",
    );
    refused(&build(&uefi, &out, &["-t", "ova", "--vm-firmware", "bios"]), "the disk starts by UEFI alone");
    let bios = Tiny::default().without_uefi().with_grub_for_bios().write();
    refused(&build(&bios, &out, &["-t", "ova", "--vm-secure-boot"]), "the disk starts by BIOS alone");
    refused(&build(&bios, &out, &["-t", "ova", "--vm-firmware", "efi"]), "the disk starts by BIOS alone");
    let blueprint = scratch.path().join("b.yaml");
    fs::write(&blueprint, "vm: {secure_boot: true}\n").unwrap();
    refused(&build(&bios, &out, &["-t", "ova", "-b", text(&blueprint)]), "BIOS alone, which has none");

    let disks = scratch.path().join("disks");
    assert!(build(&bios, &disks, &["-t", "raw"]).status.success());
    let raw = disks.join("image/disk.raw");
    let convert = |flags: &[&str]| diskwright("convert", &out, &[&["-t", "ova", text(&raw)], flags].concat());
    refused(&convert(&["--vm-secure-boot"]), "the disk starts by BIOS alone");
    assert!(convert(&[]).status.success());
    assert!(description(&out).contains("vmw:key=\"firmware\" vmw:value=\"bios\""));
}
