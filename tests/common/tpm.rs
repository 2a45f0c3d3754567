//! A TPM 2.0 that swtpm emulates, for one machine.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// From its start to its socket.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program; it ends with the value, or before, when the machine hangs up.
pub(crate) struct Tpm(Child);

impl Tpm {
    /// A fresh one, whose state and socket are in `scratch`.
    pub(crate) fn start(scratch: &Path) -> Self {
        let socket = scratch.join("tpm.socket");
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--terminate"])
            .arg(format!("--tpmstate=dir={}", scratch.display()))
            .arg(format!("--ctrl=type=unixio,path={}", socket.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let tpm = Self(child.unwrap_or_else(|error| panic!("swtpm (package swtpm): {error}")));
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < PATIENCE, "swtpm has made no socket");
            std::thread::sleep(Duration::from_millis(50));
        }
        tpm
    }

    /// QEMU's arguments for it.
    pub(crate) fn arguments(scratch: &Path) -> [String; 6] {
        let socket = format!("socket,id=tpm-socket,path={}", scratch.join("tpm.socket").display());
        let [emulator, device] = ["emulator,id=tpm,chardev=tpm-socket", "tpm-tis,tpmdev=tpm"];
        ["-chardev", &socket, "-tpmdev", emulator, "-device", device].map(str::to_owned)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
