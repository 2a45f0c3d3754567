//! A virtual machine that boots a disk, runs one script and hands back what it said.
//!
//! Nothing of the disk is changed to be tested: script and units enter as
//! systemd credentials in SMBIOS strings (systemd.exec(5), "system credentials";
//! `systemd.extra-unit.*`), and the answer leaves through a virtio serial port
//! of its own, free of what firmware, GRUB and getty print.
//!
//! ```text
//! host script --smbios--> /run/credentials/@system --bash--> /dev/virtio-ports/report --> report
//!                                                            ttyS0                    --> serial
//! ```
//!
//! A report is lines in sections, each opened by `@@ NAME`; the last is `@@ end`.
//! The machine is emulated, which works anywhere; a boot takes about a minute.
//! `DISKWRIGHT_TEST_ACCEL=kvm` asks for hardware instead.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// What an emulated kernel dies of in its first second, on a busy host, before it sees a disk.
const EMULATOR_FAULTS: [&str; 2] = ["IO-APIC + timer doesn't work", "Oops: int3"];
/// Code and fresh variables of UEFI firmware.
const UEFI: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];
/// The same with Microsoft's keys enrolled, so that Secure Boot is on.
const SECURE_UEFI: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"];
/// Everything but `cmpxchg16b`, after which QEMU 7.2 leaves wrong flags: Linux 6.12 dies of it.
const CPU: &str = "max,cx16=off";
const RUNNER: &str = include_str!("run-script.service");
const WANTED: &str = "[Unit]\nWants=run-script.service\n";
const PROLOGUE: &str = include_str!("prologue.sh");
const EPILOGUE: &str = "\nsection end\nsync\nsystemctl poweroff\n";
/// What a console shows when waiting longer is useless.
const DEAD_ENDS: [&str; 4] = ["Kernel panic", "emergency mode", "emergency shell", "grub rescue>"];

/// A machine not yet started.
pub(crate) struct Machine {
    drive: Drive,
    credentials: Vec<(String, String)>,
    firmware: Option<[&'static str; 2]>,
}

/// What a machine boots from, and how it is attached.
enum Drive {
    /// A qcow2 disk that is written to.
    Disk(PathBuf),
    /// A raw file as a disc.
    Disc(PathBuf),
    /// A raw file as a disk that is only read.
    Copy(PathBuf),
}

/// What came out of a machine that powered itself off.
pub(crate) struct Report {
    /// All that firmware, bootloader and system printed on the first serial port.
    pub(crate) serial: String,
    /// What the script printed.
    pub(crate) output: String,
    /// From power on to power off.
    pub(crate) duration: Duration,
}

impl Machine {
    /// A machine with `disk` (qcow2) as its only drive. The disk is written to: give an overlay.
    pub(crate) fn new(disk: &Path) -> Self {
        Self::with(Drive::Disk(disk.into()))
    }

    /// A machine with `medium` in its only drive for discs.
    pub(crate) fn with_disc(medium: &Path) -> Self {
        Self::with(Drive::Disc(medium.into()))
    }

    /// A machine whose only drive is a copy of `medium`.
    pub(crate) fn with_copy(medium: &Path) -> Self {
        Self::with(Drive::Copy(medium.into()))
    }

    fn with(drive: Drive) -> Self {
        Self { drive, credentials: Vec::new(), firmware: None }
    }

    /// Starts through UEFI, with fresh variables, instead of a BIOS.
    pub(crate) fn uefi(mut self) -> Self {
        self.firmware = Some(UEFI);
        self
    }

    /// Starts through UEFI with Secure Boot on.
    pub(crate) fn secure_boot(mut self) -> Self {
        self.firmware = Some(SECURE_UEFI);
        self
    }

    /// Adds a unit file; something must want it.
    pub(crate) fn unit(self, name: &str, text: &str) -> Self {
        self.credential(&format!("systemd.extra-unit.{name}"), text)
    }

    /// Adds a drop-in to a unit.
    pub(crate) fn drop_in(self, unit: &str, text: &str) -> Self {
        self.credential(&format!("systemd.unit-dropin.{unit}"), text)
    }

    /// Runs `text` with bash once multi-user.target is reached, then powers off.
    pub(crate) fn script(self, text: &str) -> Self {
        self.credential("script", &[PROLOGUE, text, EPILOGUE].concat())
            .unit("run-script.service", RUNNER)
            .drop_in("multi-user.target", WANTED)
    }

    /// Adds a file to `/run/credentials/@system`.
    pub(crate) fn credential(mut self, name: &str, text: &str) -> Self {
        self.credentials.push((name.into(), BASE64.encode(text)));
        self
    }

    /// Boots and waits for power off.
    ///
    /// # Errors
    /// No power off in time, a dead end on the console, or a report without its
    /// end; the text holds the last lines of the console.
    pub(crate) fn boot(&self, timeout: Duration) -> Result<Report, String> {
        let mut outcome = self.attempt(timeout);
        for _ in 0..2 {
            match &outcome {
                Err(why) if EMULATOR_FAULTS.iter().any(|fault| why.contains(fault)) => {
                    outcome = self.attempt(timeout);
                }
                _ => break,
            }
        }
        outcome
    }

    fn attempt(&self, timeout: Duration) -> Result<Report, String> {
        let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
        let start = Instant::now();
        let mut qemu = self
            .command(scratch.path())
            .spawn()
            .map_err(|e| format!("starting qemu-system-x86_64 (package qemu-system-x86): {e}"))?;
        let outcome = wait(&mut qemu, &scratch.path().join("serial"), start + timeout);
        let text = |name| {
            let bytes = fs::read(scratch.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let report = Report { serial: text("serial"), output: text("report"), duration: start.elapsed() };
        match outcome {
            Ok(()) if report.output.contains("\n@@ end\n") => Ok(report),
            Ok(()) => Err(report.explain("powered off without the end of the report")),
            Err(why) => Err(report.explain(&why)),
        }
    }

    fn command(&self, scratch: &Path) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        let accelerator = env::var("DISKWRIGHT_TEST_ACCEL").unwrap_or_else(|_| "tcg,thread=multi".into());
        command
            .args(["-accel", &accelerator, "-machine", "q35", "-cpu", CPU])
            .args(["-m", "2048", "-smp", "1", "-nodefaults", "-display", "none", "-no-reboot"])
            .args(["-device", "virtio-rng-pci", "-nic", "user,model=virtio-net-pci"])
            .args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=report,name=report"])
            .arg("-chardev")
            .arg(format!("file,id=report,path={}", scratch.join("report").display()))
            .arg("-serial")
            .arg(format!("file:{}", scratch.join("serial").display()))
            .args(self.drive.arguments())
            .stdin(Stdio::null());
        for (name, value) in &self.credentials {
            command.arg("-smbios").arg(format!("type=11,value=io.systemd.credential.binary:{name}={value}"));
        }
        if let Some([code, fresh]) = self.firmware {
            let variables = scratch.join("variables");
            fs::copy(fresh, &variables).expect("UEFI firmware is installed (package ovmf)");
            if self.firmware == Some(SECURE_UEFI) {
                command.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
            }
            command
                .arg("-drive")
                .arg(format!("if=pflash,format=raw,readonly=on,file={code}"))
                .arg("-drive")
                .arg(format!("if=pflash,format=raw,file={}", variables.display()));
        }
        command
    }
}

impl Drive {
    fn arguments(&self) -> [String; 4] {
        let only_read = |kind: &str, path: &Path| {
            format!("if=none,id=medium,{kind},format=raw,readonly=on,file={}", path.display())
        };
        let (drive, device) = match self {
            Self::Disk(path) => {
                let drive = format!("if=none,id=disk,format=qcow2,discard=unmap,file={}", path.display());
                (drive, "virtio-blk-pci,drive=disk")
            }
            Self::Disc(path) => (only_read("media=cdrom", path), "ide-cd,drive=medium"),
            Self::Copy(path) => (only_read("media=disk", path), "virtio-blk-pci,drive=medium"),
        };
        ["-drive".into(), drive, "-device".into(), format!("{device},bootindex=0")]
    }
}

impl Report {
    /// The lines of a section, without its heading; an absent section has none.
    pub(crate) fn section(&self, name: &str) -> &str {
        let heading = format!("@@ {name}\n");
        let Some((_, rest)) = self.output.split_once(&heading) else { return "" };
        rest.split("@@ ").next().unwrap_or_default().trim()
    }

    fn explain(&self, why: &str) -> String {
        let tail = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        let seconds = self.duration.as_secs();
        format!(
            "{why} after {seconds} s\n--- console:\n{}\n--- report:\n{}",
            tail(&self.serial),
            tail(&self.output)
        )
    }
}

fn wait(qemu: &mut Child, serial: &Path, deadline: Instant) -> Result<(), String> {
    loop {
        if let Some(status) = qemu.try_wait().map_err(|e| e.to_string())? {
            return if status.success() { Ok(()) } else { Err(format!("qemu: {status}")) };
        }
        let console = fs::read(serial).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let dead_end = DEAD_ENDS.iter().find(|mark| console.contains(**mark));
        let why = dead_end.map(|mark| format!("console says {mark:?}"));
        let why = why.or_else(|| (Instant::now() > deadline).then(|| "no power off".into()));
        if let Some(why) = why {
            let _ = qemu.kill();
            let _ = qemu.wait();
            return Err(why);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
