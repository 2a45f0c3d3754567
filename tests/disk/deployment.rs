//! What lies on the root filesystem, against the directory the image unpacks to.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    disk::{Disk, Mounted, agrees},
    listing::{self, Item, Listing, assert_same, differences},
};

/// Top directories whose content a deployment does not take over.
const RUNTIME: [&str; 5] = ["run", "tmp", "proc", "sys", "dev"];
const S_IFMT: u32 = 0o170_000;

/// A mounted disk and what the image holds.
pub(crate) struct Judged<'a> {
    root: &'a Path,
    commit: String,
    target: String,
    /// The image as ostree keeps it: etc below usr, no content of runtime directories, no times.
    commit_tree: Listing,
}

impl<'a> Judged<'a> {
    pub(crate) fn new(mounted: &'a Mounted, rootfs: &Path, target: &str) -> Self {
        let root = mounted.path();
        let commit =
            fs::read_to_string(root.join("ostree/repo/refs/heads/ostree/1/1/0")).unwrap().trim().to_owned();
        let commit_tree = commit_tree(listing::of_directory(rootfs));
        Self { root, commit, target: target.to_owned(), commit_tree }
    }

    fn deployment(&self) -> PathBuf {
        self.root.join(format!("ostree/deploy/default/deploy/{}.0", self.commit))
    }

    fn repo(&self) -> PathBuf {
        self.root.join("ostree/repo")
    }

    fn ostree(&self) -> Command {
        let mut command = Command::new("ostree");
        command.arg(format!("--repo={}", self.repo().display()));
        command
    }

    /// ostree finds the repository sound, the deployment, and its origin.
    pub(crate) fn check_ostree(&self) {
        agrees("ostree", self.ostree().args(["fsck", "--quiet"]));
        let mut command = Command::new("ostree");
        command.arg("admin").arg(format!("--sysroot={}", self.root.display())).arg("status");
        let status = agrees("ostree", &mut command);
        assert!(status.contains(&format!("default {}.0", self.commit)), "{status}");
        let reference = format!("ostree-unverified-registry:{}", self.target);
        let origin = fs::read_to_string(format!("{}.origin", self.deployment().display())).unwrap();
        assert_eq!(origin, format!("[origin]\ncontainer-image-reference={reference}\n"));
        let flags = agrees("e2fsprogs", Command::new("lsattr").arg("-d").arg(self.deployment()));
        assert!(flags.split(' ').next().unwrap().contains('i'), "{flags}");
    }

    /// The checkout is the merged image, name by name.
    pub(crate) fn check_deployment(&self) {
        let lines = self.deployment_differences();
        assert!(lines.is_empty(), "{} differences\n{}", lines.len(), lines[..lines.len().min(20)].join("\n"));
    }

    pub(crate) fn deployment_differences(&self) -> Vec<String> {
        let mut found = comparable(listing::of_directory(&self.deployment()));
        found.retain(|path, _| path != ".ostree.cfs" && path != "etc" && !path.starts_with("etc/"));
        differences(&found, &self.commit_tree)
    }

    /// Private copies: /etc is usr/etc and the fstab, the stateroot's /var is the image's.
    pub(crate) fn check_etc_and_var(&self) {
        let mut etc = comparable(listing::of_directory(&self.deployment().join("etc")));
        let mut expected = below(&self.commit_tree, "usr/etc");
        expected.remove(".updated");
        for own in [&mut etc, &mut expected] {
            own.remove("fstab");
        }
        assert_same("/etc", &etc, &expected);
        let mut var = comparable(listing::of_directory(&self.root.join("ostree/deploy/default/var")));
        let stamp = var.remove(".ostree-selabeled").expect("a stamp");
        assert_eq!((stamp.mode, stamp.size), (0o100_644, 0));
        let mut expected = below(&self.commit_tree, "var");
        expected.remove(".updated");
        assert_same("/var", &var, &expected);
    }

    /// Files with content and links are names of their objects; empty files, /etc and /var are not.
    pub(crate) fn check_shared_inodes(&self) {
        let mut objects = BTreeSet::new();
        for path in walk(&self.repo().join("objects")) {
            objects.insert(fs::symlink_metadata(path).unwrap().ino());
        }
        let deployment = self.deployment();
        let mut shared_count = 0;
        for path in walk(&deployment) {
            let meta = fs::symlink_metadata(&path).unwrap();
            let own = path.starts_with(deployment.join("etc")) || path == deployment.join(".ostree.cfs");
            let shared = !own && (meta.is_symlink() || meta.len() > 0);
            assert_eq!(objects.contains(&meta.ino()), shared, "{}", path.display());
            shared_count += usize::from(shared);
        }
        assert!(shared_count > 500, "only {shared_count} names of objects");
        for path in walk(&self.root.join("ostree/deploy/default/var")) {
            assert!(!objects.contains(&fs::symlink_metadata(&path).unwrap().ino()), "{}", path.display());
        }
    }

    /// The boot entry leads to the deployment, and what it names are the image's kernel and initramfs.
    pub(crate) fn check_boot(&self, disk: &Disk) {
        let boot = self.root.join("boot");
        assert_eq!(fs::read_link(boot.join("loader")).unwrap(), Path::new("loader.1"));
        assert_eq!(fs::read_link(boot.join("boot")).unwrap(), Path::new("."));
        let entry = fs::read_to_string(boot.join("loader/entries/ostree-1.conf")).unwrap();
        let field =
            |key: &str| entry.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
        let options = field("options ");
        let (root, own) = (disk.blkid(4, "UUID"), disk.blkid(3, "UUID"));
        assert!(options.starts_with(&format!("root=UUID={root} rw boot=UUID={own} ")), "{options}");
        let link = options.rsplit_once(" ostree=/").unwrap().1;
        assert_eq!(fs::canonicalize(self.root.join(link)).unwrap(), self.deployment());
        let (kernel, initramfs) = (field("linux /boot/"), field("initrd /boot/"));
        let version =
            Path::new(&kernel).file_name().unwrap().to_str().unwrap().strip_prefix("vmlinuz-").unwrap();
        let modules = self.deployment().join("usr/lib/modules").join(version);
        let mut concatenated = Vec::new();
        for (name, original) in [(kernel.as_str(), "vmlinuz"), (&initramfs, "initramfs.img")] {
            let bytes = fs::read(boot.join(name)).unwrap();
            assert!(bytes == fs::read(modules.join(original)).unwrap(), "/boot/{name} is not {original}");
            concatenated.extend(bytes);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, concatenated).unwrap();
        let sum = agrees("coreutils", Command::new("sha256sum").arg(file.path()));
        assert!(kernel.contains(&format!("default-{}/", &sum[..64])), "{kernel}");
        let fstab = fs::read_to_string(self.deployment().join("etc/fstab")).unwrap();
        assert!(fstab.starts_with(&format!("UUID={own} /boot auto ro 0 0\n")), "{fstab}");
        assert!(fstab.contains(&format!("UUID={} /boot/efi ", disk.blkid(2, "UUID"))), "{fstab}");
        assert!(!disk.esp_file("/EFI/BOOT/BOOTX64.EFI").is_empty());
    }

    /// libostree makes the same objects of the unpacked layers and of the merged tree.
    ///
    /// Its own merge would take the metadata of a directory from the lowest
    /// layer that has it; ours is OCI's, so the merged tree is the unpacked one.
    pub(crate) fn check_objects(&self, layout: &Path, work: &Path) {
        let theirs = work.join("theirs");
        let mut init = Command::new("ostree");
        agrees("ostree", init.arg(format!("--repo={}", theirs.display())).args(["init", "--mode=bare"]));
        let mut known = BTreeSet::new();
        for (index, (digest, diff_id)) in layers(layout).iter().enumerate() {
            let tree = work.join(format!("layer-{index}"));
            extract(layout, digest, &tree);
            rearrange(&tree);
            known.extend(commit(&theirs, &tree));
            // Refs name the compressed blobs of the image as it was built; the content is what counts.
            assert!(!diff_id.is_empty());
        }
        let merged = work.join("merged");
        fs::create_dir(&merged).unwrap();
        agrees("cp", Command::new("cp").arg("-a").arg(work.join("bundle/rootfs/.")).arg(&merged));
        rearrange(&merged);
        remove_runtime_files(&merged);
        let content = commit(&theirs, &merged);
        known.extend(content.clone());
        let mut ours = BTreeSet::new();
        for reference in agrees("ostree", self.ostree().arg("refs")).lines() {
            ours.insert(content_checksum(&mut self.ostree(), reference));
        }
        assert_eq!(ours, known, "content checksums of the commits");
        let merge_commit = content_checksum(&mut self.ostree(), &self.commit);
        assert_eq!(Some(merge_commit), content, "the merge commit");
        let (ours, theirs) = (objects(&self.repo()), objects(&theirs));
        let only: Vec<_> = ours.symmetric_difference(&theirs).take(10).collect();
        assert!(only.is_empty(), "objects that only one repository has: {only:?}");
    }
}

impl Judged<'_> {
    /// The base commit is the one that ostree made, complete, and the parent of what is deployed.
    pub(crate) fn check_base(&self, layout: &Path, repo: &Path, base: &str) {
        let first = &layers(layout)[0].0;
        let reference = format!("ostree/container/blob/{}", first.replace(':', "_3A_"));
        assert_eq!(agrees("ostree", self.ostree().args(["rev-parse", &reference])).trim(), base);
        let text = agrees("ostree", self.ostree().args(["show", &self.commit]));
        assert!(text.contains(&format!("Parent:  {base}\n")), "{text}");
        let missing: Vec<_> = objects(repo).difference(&objects(&self.repo())).cloned().collect();
        assert!(missing.is_empty(), "objects of the base that are not there: {missing:?}");
        let refs = agrees("ostree", self.ostree().args(["refs", "--list", "ostree/container/blob"]));
        assert_eq!(refs.lines().count(), layers(layout).len(), "{refs}");
    }
}

/// Items as a deployment has them: no times, no holes, and which names share an inode is not compared.
fn comparable(mut listing: Listing) -> Listing {
    for item in listing.values_mut() {
        assert!(item.mtime.1 == 0, "{item:?}");
        item.linked = None;
        item.data = Vec::new();
    }
    listing
}

fn untimed(mut item: Item) -> Item {
    item.mtime = (0, 0);
    item.linked = None;
    item.data = Vec::new();
    item
}

fn commit_tree(image: Listing) -> Listing {
    let mut tree = Listing::new();
    for (path, item) in image {
        let (top, rest) = path.split_once('/').unwrap_or((&path, ""));
        if RUNTIME.contains(&top) && !rest.is_empty() {
            continue;
        }
        let empty = item.mode & S_IFMT == 0o100_000 && item.size == 0;
        if empty && ["etc/hostname", "etc/resolv.conf"].contains(&path.as_str()) {
            continue;
        }
        let moved = if top == "etc" { format!("usr/{path}") } else { path };
        tree.insert(moved, untimed(item));
    }
    tree
}

/// What is below `directory`, itself included as "".
fn below(tree: &Listing, directory: &str) -> Listing {
    let inside = |path: &str| match path.strip_prefix(directory) {
        Some("") => Some(String::new()),
        Some(rest) => rest.strip_prefix('/').map(str::to_owned),
        None => None,
    };
    tree.iter().filter_map(|(path, item)| Some((inside(path)?, item.clone()))).collect()
}

/// Everything below a directory that is no directory.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut stack) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(here) = stack.pop() {
        for entry in fs::read_dir(here).unwrap().map(Result::unwrap) {
            let to = if entry.file_type().unwrap().is_dir() { &mut stack } else { &mut found };
            to.push(entry.path());
        }
    }
    found
}

/// Digests of the layers' blobs and of their uncompressed tars.
fn layers(layout: &Path) -> Vec<(String, String)> {
    let read =
        |path: PathBuf| -> serde_json::Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = read(layout.join("index.json"));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let manifest = read(blob(layout, &text(&index["manifests"][0]["digest"])));
    let config = read(blob(layout, &text(&manifest["config"]["digest"])));
    let layers = manifest["layers"].as_array().unwrap().iter().map(|layer| text(&layer["digest"]));
    layers.zip(config["rootfs"]["diff_ids"].as_array().unwrap().iter().map(text)).collect()
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// One layer with its whiteouts as the empty files they are.
fn extract(layout: &Path, digest: &str, to: &Path) {
    fs::create_dir(to).unwrap();
    let mut command = Command::new("tar");
    command.args(["-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--no-acls"]);
    agrees("tar", command.arg("-C").arg(to).arg("-f").arg(blob(layout, digest)));
}

/// /etc below /usr, runtime directories empty.
fn rearrange(tree: &Path) {
    for name in RUNTIME {
        let script = format!("[ ! -d {name} ] || find {name} -mindepth 1 -delete");
        agrees("findutils", Command::new("sh").args(["-ec", &script]).current_dir(tree));
    }
    let script = "[ ! -d etc ] || { mkdir -p usr; [ ! -d usr/etc ] || { cp -a etc/. usr/etc; rm -r etc; exit; }; mv etc usr/etc; }";
    agrees("coreutils", Command::new("sh").args(["-ec", script]).current_dir(tree));
}

fn remove_runtime_files(tree: &Path) {
    for name in ["hostname", "resolv.conf"] {
        let path = tree.join("usr/etc").join(name);
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() == 0) {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Commits a directory; its content checksum.
fn commit(repo: &Path, tree: &Path) -> Option<String> {
    let repo = format!("--repo={}", repo.display());
    let source = format!("--tree=dir={}", tree.display());
    let mut command = Command::new("ostree");
    let checksum = agrees(
        "ostree",
        command.args([&repo, "commit", "--orphan", "--no-bindings", "--fsync=false", &source]),
    );
    Some(content_checksum(Command::new("ostree").arg(&repo), checksum.trim()))
}

fn content_checksum(ostree: &mut Command, reference: &str) -> String {
    let text = agrees("ostree", ostree.args(["show", reference]));
    text.lines().find_map(|line| line.strip_prefix("ContentChecksum:")).unwrap().trim().to_owned()
}

/// Names of all objects but commits.
fn objects(repo: &Path) -> BTreeSet<String> {
    let name = |path: PathBuf| path.strip_prefix(repo).unwrap().display().to_string();
    walk(&repo.join("objects")).into_iter().map(name).filter(|name| !name.contains(".commit")).collect()
}
