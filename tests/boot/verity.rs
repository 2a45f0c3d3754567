//! A disk whose composefs demands fs-verity, booted once: the kernel measures
//! what `fsverity` computes outside, and refuses to read an object of which a
//! byte was changed on the disk.
//!
//! The image is the demo image (`DISKWRIGHT_DEMO_IMAGE`, as in `changes.rs`) with
//! one more layer: prepare-root.conf, `fsverity` and two files. The initramfs
//! has its own copy of prepare-root.conf (its kernel argument knows no
//! "verity"), so a small archive with another one follows the initramfs.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use crate::{demo, qemu::Machine};
use sha2::{Digest as _, Sha256};

const BOOT_TIMEOUT: Duration = Duration::from_secs(1200);
const LIBRARY: &str = "usr/lib/x86_64-linux-gnu/libfsverity.so.0";
const PREPARE_ROOT: (&str, &[u8]) = ("usr/lib/ostree/prepare-root.conf", b"[composefs]\nenabled = verity\n");

#[test]
fn a_sealed_system_boots_and_a_changed_object_does_not_read() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot-verity");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).unwrap();
    let layout = scratch.join("layout");
    let [intact, victim] = ["intact", "victim"].map(|name| format!("{name}\n").repeat(3000));
    derive(
        &layout,
        &[("usr/share/demo/intact", intact.as_bytes()), ("usr/share/demo/victim", victim.as_bytes())],
    );
    let disk = build(&scratch, &layout);
    let report = diskwright::verify(&diskwright::VerifyRequest { disk: disk.clone() }, &()).unwrap();
    assert_eq!(report.findings, []);
    flip(&disk, victim.as_bytes());
    let report = diskwright::verify(&diskwright::VerifyRequest { disk: disk.clone() }, &()).unwrap();
    let checks: Vec<_> = report.findings.iter().map(|found| found.check).collect();
    assert!(checks.contains(&"ostree") && checks.contains(&"verity"), "{:?}", report.findings);

    let overlay = scratch.join("overlay.qcow2");
    let create = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b"];
    judge("qemu-utils", "qemu-img", &[&create[..], &[path(&disk), path(&overlay)]].concat());
    let booted = Machine::new(&overlay).uefi().script(SCRIPT).boot(BOOT_TIMEOUT);
    let report = booted.unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert!(report.section("root").contains("verity=require"), "{}", report.section("root"));
    assert_eq!(report.section("intact"), digest(&scratch, intact.as_bytes()));
    assert_eq!(report.section("config"), digest(&scratch, &config_of(report.section("config-text"))));
    assert_eq!(report.section("sealed").lines().count(), 1, ".ostree.cfs is not sealed");
    assert_eq!(report.section("read"), format!("{:x}", Sum(intact.as_bytes())));
    assert!(report.section("changed").contains("Input/output error"), "{}", report.section("changed"));
    fs::remove_dir_all(scratch).unwrap();
}

const SCRIPT: &str = r#"
object() { find /sysroot/ostree/repo/objects -samefile "/sysroot/$1" | head -n 1; }
measure() { fsverity measure "$1" | sed 's/^sha256://; s/ .*//'; }
deployment=$(cd /sysroot && ls -d ostree/deploy/default/deploy/*.0)
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section root; findmnt -no OPTIONS /
section intact; measure "$(object "$deployment/usr/share/demo/intact")"
section config; measure /sysroot/ostree/repo/config
section config-text; cat /sysroot/ostree/repo/config
section sealed; measure "/sysroot/$deployment/.ostree.cfs"
section read; sha256sum < /usr/share/demo/intact | sed 's/ .*//'
section changed; cat /usr/share/demo/victim | tail -n 1
"#;

/// Sections lose the newline at their ends.
fn config_of(section: &str) -> Vec<u8> {
    format!("{section}\n").into_bytes()
}

/// What `fsverity` says of these bytes.
fn digest(scratch: &Path, content: &[u8]) -> String {
    let file = scratch.join("content");
    fs::write(&file, content).unwrap();
    let output = judge("fsverity", "fsverity", &["digest", "--compact", path(&file)]);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn build(scratch: &Path, layout: &Path) -> PathBuf {
    let output = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["build", &format!("oci:{}", path(layout)), "-t", "raw", "-o", path(scratch)])
        .args(["--target-imgref", "registry.example.com/demo:latest", "--no-cache"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    scratch.join("image/disk.raw")
}

/// Changes a byte of the content, wherever on the disk it is.
fn flip(disk: &Path, content: &[u8]) {
    let file = fs::File::options().read(true).write(true).open(disk).unwrap();
    let mut at = 0;
    let mut block = vec![0; 4096];
    loop {
        at = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)).expect("the content is on the disk");
        at = at / 4096 * 4096;
        file.read_exact_at(&mut block, at).unwrap();
        if block == content[..4096] {
            return file.write_all_at(b"V", at).unwrap();
        }
        at += 4096;
    }
}

/// The demo image with one more layer.
fn derive(layout: &Path, files: &[(&str, &[u8])]) {
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE", "demo-image", "");
    let (fsverity, library) = fsverity();
    let mut tar = tar::Builder::new(Vec::new());
    let (initramfs_name, initramfs) = initramfs(&image);
    let own: [(&str, &[u8]); 4] =
        [PREPARE_ROOT, ("usr/bin/fsverity", &fsverity), (LIBRARY, &library), (&initramfs_name, &initramfs)];
    for (name, bytes) in own.iter().chain(files) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if name.starts_with("usr/bin") { 0o755 } else { 0o644 });
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    demo::derive(&image, layout, &tar.into_inner().unwrap());
}

/// This machine's program and its library; it must be no newer than the image's.
fn fsverity() -> (Vec<u8>, Vec<u8>) {
    let program = judge("debianutils", "which", &["fsverity"]).stdout;
    let program = String::from_utf8(program).unwrap().trim().to_owned();
    let libraries = String::from_utf8(judge("libc-bin", "ldd", &[&program]).stdout).unwrap();
    let library =
        libraries.split_whitespace().find(|word| word.starts_with('/') && word.contains("libfsverity"));
    let library = fs::read(library.expect("fsverity has a library of its own")).unwrap();
    (fs::read(program).unwrap(), library)
}

/// The demo image's initramfs with an archive of prepare-root.conf after it, and its path.
fn initramfs(image: &Path) -> (String, Vec<u8>) {
    let pattern = "*usr/lib/modules/*/initramfs.img";
    for blob in fs::read_dir(image.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let list = Command::new("tar").args(["--wildcards", "-tf", path(&blob), pattern]).output().unwrap();
        let names = String::from_utf8_lossy(&list.stdout).into_owned();
        let Some(name) = names.lines().next() else { continue };
        let mut bytes = judge("tar", "tar", &["-xOf", path(&blob), name]).stdout;
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(cpio(PREPARE_ROOT.0, 0o100_644, PREPARE_ROOT.1));
        bytes.extend(cpio("TRAILER!!!", 0, b""));
        return (name.trim_start_matches("./").to_owned(), bytes);
    }
    panic!("no initramfs in {}", image.display());
}

/// A member of an archive of the kind the kernel unpacks ("newc").
fn cpio(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut member = b"070701".to_vec();
    let fields = [1, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    fields.iter().for_each(|field| member.extend(format!("{field:08x}").bytes()));
    for part in [&[name.as_bytes(), b"\0"].concat()[..], content] {
        member.extend(part);
        member.resize(member.len().next_multiple_of(4), 0);
    }
    member
}

/// Bytes that format as their SHA-256.
struct Sum<'a>(&'a [u8]);

impl std::fmt::LowerHex for Sum<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Sha256::digest(self.0).iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn judge(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"));
    assert!(output.status.success(), "{program} (package {package}) {arguments:?}: {output:?}");
    output
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
