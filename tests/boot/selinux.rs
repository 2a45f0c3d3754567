//! The demo image with Debian's policy (`scripts/demo-image DIR --selinux`),
//! booted: its own restorecon finds no label to change.
//!
//! `DISKWRIGHT_DEMO_IMAGE_SELINUX` names the OCI layout, `target/demo-image-selinux` if not given.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::qemu::{Machine, Report};

/// Labels are compared one by one under emulation.
const BOOT_TIMEOUT: Duration = Duration::from_secs(1800);
const BLUEPRINT: &str = "\
customizations:
  hostname: demo-host
  user:
    - name: demo
      password: secret
  files:
    - path: /etc/demo.d/secret
      data: x
    - path: /etc/sudoers.d/demo
      mode: '0440'
      data: |
        demo ALL=(ALL) ALL
";

#[test]
fn restorecon_finds_nothing_to_change() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = build(scratch.path());
    let machine = Machine::new(&disk).uefi().script(include_str!("selinux.sh"));
    let report = machine.boot(BOOT_TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("{}", report.output);
    assert_eq!(report.section("mode"), "Permissive");
    assert!(report.section("cmdline").contains("security=selinux"));
    for place in ["usr", "etc", "var", "boot", "root"] {
        assert_clean(&report, place);
    }
    let judge = report.section("judge");
    assert!(
        judge.contains("relabel") && judge.contains("shadow_t"),
        "restorecon says nothing of a wrong label: {judge}"
    );
    assert_eq!(report.section("fsck"), "clean");
    assert_eq!(report.section("failed"), "");
}

/// The section ends in the number of inodes that were compared.
fn assert_clean(report: &Report, place: &str) {
    let (changes, count) =
        report.section(place).rsplit_once("inodes ").unwrap_or_else(|| panic!("no section {place}"));
    assert_eq!(changes.trim(), "", "{place}");
    assert!(count.trim().parse::<u32>().unwrap() > 5, "{place}: {count}");
}

fn build(scratch: &Path) -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/demo-image-selinux");
    let image = env::var_os("DISKWRIGHT_DEMO_IMAGE_SELINUX").map_or(default, PathBuf::from);
    let image = image.display();
    assert!(
        fs::exists(format!("{image}/index.json")).unwrap(),
        "make it: scripts/demo-image {image} --selinux"
    );
    let blueprint = scratch.join("blueprint.yaml");
    fs::write(&blueprint, BLUEPRINT).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args([
            "build",
            &format!("oci:{image}"),
            "-t",
            "qcow2",
            "--target-imgref",
            "registry.example.com/demo:1",
        ])
        .arg("-o")
        .arg(scratch)
        .arg("-b")
        .arg(&blueprint)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    scratch.join("qcow2/disk.qcow2")
}
