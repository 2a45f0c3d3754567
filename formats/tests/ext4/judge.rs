//! The outside programs that judge: e2fsprogs and the kernel.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use diskwright_formats::{
    filesystem::{self, Identity},
    sparse::Sparse,
    tree::{Time, Tree},
};
use rustix::fs::{SeekFrom, seek};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) fn identity() -> Identity {
    Identity {
        uuid: Uuid::from_bytes([0xA5, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, 15]),
        label: "root".into(),
        time: Time { seconds: 1_700_000_000, nanoseconds: 0 },
        sector_size: 512,
        offset: 1 << 20,
        on_noise: false,
    }
}

pub(crate) fn mkfs(tree: &Tree, size: u64) -> Sparse {
    filesystem::by_name("ext4").unwrap().mkfs(tree, &identity(), size).unwrap()
}

pub(crate) fn min_size(tree: &Tree) -> u64 {
    filesystem::by_name("ext4").unwrap().min_size(tree, &identity()).unwrap()
}

/// Runs a program; its absence fails the test.
pub(crate) fn run(program: &str, package: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").env("TZ", "UTC").output();
    output.unwrap_or_else(|error| panic!("{program} of package {package} is missing: {error}"))
}

pub(crate) fn run_ok(program: &str, package: &str, arguments: &[&str]) -> String {
    let output = run(program, package, arguments);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// In memory where there is such a place: the kernel looks at every block of an image.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A filesystem in a sparse file.
pub(crate) struct Image {
    directory: TempDir,
}

impl Image {
    pub(crate) fn new(sparse: &Sparse) -> Self {
        let image = Self { directory: directory() };
        let file = File::create(image.file()).unwrap();
        file.set_len(sparse.len()).unwrap();
        let mut buffer = vec![0; 1 << 20];
        for piece in sparse.pieces() {
            for at in (0..piece.data.len()).step_by(buffer.len()) {
                let part = &mut buffer[..(piece.data.len() - at).min(1 << 20) as usize];
                piece.data.read_exact_at(part, at).unwrap();
                file.write_all_at(part, piece.offset + at).unwrap();
            }
        }
        image
    }

    pub(crate) fn of(tree: &Tree, size: u64) -> Self {
        Self::new(&mkfs(tree, size))
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    pub(crate) fn path(&self) -> String {
        self.file().to_str().unwrap().into()
    }

    pub(crate) fn e2fsck(&self) -> Output {
        run("e2fsck", "e2fsprogs", &["-fn", &self.path()])
    }

    pub(crate) fn assert_clean(&self) {
        let output = self.e2fsck();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        // e2fsck may optimise away what it does not call an error.
        for word in ["WARNING", "optimized", "Fix?", "wrong"] {
            assert!(!text.contains(word), "{text}");
        }
    }

    pub(crate) fn debugfs(&self, request: &str) -> String {
        run_ok("debugfs", "e2fsprogs", &["-R", request, &self.path()])
    }

    pub(crate) fn dumpe2fs(&self) -> String {
        run_ok("dumpe2fs", "e2fsprogs", &["-h", &self.path()])
    }

    pub(crate) fn mount(&self, options: &str) -> Mount {
        let point = self.directory.path().join("mount");
        std::fs::create_dir_all(&point).unwrap();
        let options = format!("loop,{options}");
        run_ok("mount", "mount", &["-t", "ext4", "-o", &options, &self.path(), point.to_str().unwrap()]);
        self.read_ahead(&point);
        Mount { point }
    }

    /// Reads the image's data through the mounted device: in order that is many times faster
    /// than block by block as the kernel meets names.
    fn read_ahead(&self, point: &Path) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mut fields = mounts.lines().map(|line| line.split(' '));
        let device = fields.find_map(|mut line| {
            let device = line.next()?;
            (line.next()? == point.to_str()?).then_some(device)
        });
        let (file, device) = (File::open(self.file()).unwrap(), File::open(device.unwrap()).unwrap());
        let (mut at, mut buffer) = (0, vec![0; 1 << 20]);
        while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
            at = seek(&file, SeekFrom::Hole(start)).unwrap();
            for offset in (start..at).step_by(buffer.len()) {
                let len = (at - offset).min(buffer.len() as u64) as usize;
                device.read_exact_at(&mut buffer[..len], offset).unwrap();
            }
        }
    }

    pub(crate) fn mount_ro(&self) -> Mount {
        self.mount("ro,noload")
    }
}

/// A mounted filesystem.
pub(crate) struct Mount {
    point: PathBuf,
}

impl Mount {
    pub(crate) fn path(&self) -> &Path {
        &self.point
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(&self.point).status();
        if !std::thread::panicking() {
            assert!(status.unwrap().success(), "umount");
        }
    }
}
