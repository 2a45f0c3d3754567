//! The disk of the demo image with Debian's policy: every path of it, as the kernel sees it, has the label
//! that libselinux gives by the texts on that disk. `DISKWRIGHT_DEMO_IMAGE_SELINUX` names the OCI layout.

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use diskwright::deploy::selinux::Texts;

use crate::{
    deploy::{Labels, judged, kernel_labels, role, run},
    judge,
};

/// A partition of a disk, mounted until dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(disk: &Path, number: usize, directory: PathBuf) -> Self {
        let text = run("gdisk", Command::new("sgdisk").arg(format!("-i{number}")).arg(disk));
        let sector = |key: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split(' ').next().unwrap().parse().unwrap()
        };
        let (first, last) = (sector("First sector: "), sector("Last sector: "));
        fs::create_dir(&directory).unwrap();
        let options = format!("ro,loop,offset={},sizelimit={}", first * 512, (last + 1 - first) * 512);
        run("mount", Command::new("mount").args(["-o", &options]).arg(disk).arg(&directory));
        Self(directory)
    }

    /// Every path with its `st_mode`.
    fn paths(&self) -> Vec<(String, u32)> {
        let (mut found, mut stack) = (Vec::new(), vec![self.0.clone()]);
        while let Some(path) = stack.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                stack.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let name = path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned();
            found.push((name, meta.mode()));
        }
        found
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn image() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/demo-image-selinux");
    let image = env::var_os("DISKWRIGHT_DEMO_IMAGE_SELINUX").map_or(default, PathBuf::from);
    let there = image.join("index.json").exists();
    assert!(there, "no OCI layout: make it with `scripts/demo-image {} --selinux`", image.display());
    image
}

/// The policy's texts in a deployment.
fn texts(deployment: &Path) -> Texts {
    let directory = deployment.join("etc/selinux/default/contexts/files");
    let read = |name: &str| fs::read(directory.join(name)).unwrap_or_default();
    let suffixes = ["", ".homedirs", ".local", ".subs", ".subs_dist"];
    let texts = judge::texts(&suffixes.map(|suffix| read(&format!("file_contexts{suffix}"))));
    assert!(!texts.contexts.is_empty(), "no file_contexts in {}", directory.display());
    texts
}

/// Paths whose label is another than libselinux's; what it leaves open may have any.
fn differences(found: &Labels, wanted: &Labels) -> Vec<String> {
    let differs = wanted.iter().filter(|(path, label)| found.get(*path) != Some(label));
    differs.map(|(path, label)| format!("{path}: {:?} not {label}", found.get(path))).collect()
}

#[test]
fn every_path_of_the_disk_has_the_label_of_libselinux() {
    let work = tempfile::tempdir().unwrap();
    let mut build = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    build.args(["build", "--type", "raw", "--output"]).arg(work.path());
    run("", build.arg(format!("oci:{}", image().display())));
    let disk = work.path().join("image/disk.raw");
    let root = Mounted::new(&disk, 4, work.path().join("root"));
    let boot = Mounted::new(&disk, 3, work.path().join("boot"));
    let deploys = fs::read_dir(root.0.join("ostree/deploy/default/deploy")).unwrap();
    let deployment = deploys.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let texts = texts(&deployment);
    let (paths, found) = (root.paths(), kernel_labels(&root.0));
    let unlabelled = paths.iter().filter(|(path, _)| !found.contains_key(path)).count();
    let mut wanted = judged(&texts, paths.into_iter(), role);
    assert_eq!(differences(&found, &wanted), [""; 0]);
    let of_boot = judged(&texts, boot.paths().into_iter(), |path| {
        Some(format!("/boot/{path}").trim_end_matches('/').to_owned())
    });
    assert_eq!(differences(&kernel_labels(&boot.0), &of_boot), [""; 0]);
    println!("{} paths of root, {} of boot, {unlabelled} without a label", wanted.len(), of_boot.len());
    assert!(wanted.len() > 10_000 && of_boot.len() > 10, "{} {}", wanted.len(), of_boot.len());
    // So says our own reader, which knows every inode's label and the policy.
    let verify = run("", Command::new(env!("CARGO_BIN_EXE_diskwright")).arg("verify").arg(&disk));
    assert!(verify.ends_with("result        clean\n"), "{verify}");
    // The judge says no.
    wanted.insert("ostree".into(), "system_u:object_r:other_t:s0".into());
    assert_eq!(differences(&found, &wanted).len(), 1);
}
