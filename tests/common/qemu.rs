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
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

mod console;
mod hardware;
mod qmp;
mod tpm;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use console::{Act, Console, Cue};
use hardware::{ARM, ARM_UEFI, Board, Drive, PC, SECURE_UEFI, Target, Trouble, UEFI};
use qmp::Monitor;
use tpm::Tpm;

/// What an emulated kernel dies of in its first second, on a busy host, before it sees a disk.
const EMULATOR_FAULTS: [&str; 2] = ["IO-APIC + timer doesn't work", "Oops: int3"];
const RUNNER: &str = include_str!("run-script.service");
const WANTED: &str = "[Unit]\nWants=run-script.service\n";
const PROLOGUE: &str = include_str!("prologue.sh");
const EPILOGUE: &str = "\nsection end\nsync\nsystemctl poweroff\n";
/// Nothing has started yet that wants to be stopped.
const EARLY_EPILOGUE: &str = "\nsection end\nsync\nsystemctl poweroff --force\n";
const EARLY_RUNNER: &str = "[Unit]\nAfter=basic.target\n[Service]\nType=exec\nStandardOutput=null\n\
                            StandardError=null\nExecStart=/bin/bash /run/credentials/@system/script\n";
/// What a console shows when waiting longer is useless.
const DEAD_ENDS: [&str; 4] = ["Kernel panic", "emergency mode", "emergency shell", "grub rescue>"];
/// The same, of an installer.
const FAILURE: &str = "The installation failed";
/// What explains a dead end may come after its mark.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A machine not yet started.
pub(crate) struct Machine {
    board: Board,
    drive: Drive,
    /// Disks beside the one that is booted from, with their serial numbers.
    targets: Vec<Target>,
    credentials: Vec<(String, String)>,
    firmware: Option<[&'static str; 2]>,
    cues: Vec<Cue>,
    /// Whether an installation may fail and the machine goes on.
    may_fail: bool,
    ssh_port: Option<u16>,
    has_tpm: bool,
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
        let options = "format=qcow2,discard=unmap".into();
        Self::with(Drive::Disk { path: disk.into(), options, sector_size: 512 })
    }

    /// A machine with `medium` in its only drive for discs.
    pub(crate) fn with_disc(medium: &Path) -> Self {
        Self::with(Drive::Disc(medium.into()))
    }

    /// A machine that boots a copy of `medium` on a USB stick.
    pub(crate) fn with_stick(medium: &Path) -> Self {
        Self::with(Drive::Stick(medium.into()))
    }

    /// A machine that starts from its network card: DHCP names `file`, below `directory` by TFTP or an address.
    pub(crate) fn from_network(directory: &Path, file: &str) -> Self {
        Self::with(Drive::Network { directory: directory.into(), file: file.into() })
    }

    /// A machine without a drive, that starts this kernel.
    pub(crate) fn with_kernel(kernel: &Path, initramfs: &Path, arguments: &str) -> Self {
        Self::with(Drive::Kernel(kernel.into(), initramfs.into(), arguments.into()))
    }

    fn with(drive: Drive) -> Self {
        Self {
            board: PC,
            drive,
            targets: Vec::new(),
            credentials: Vec::new(),
            firmware: None,
            cues: Vec::new(),
            may_fail: false,
            ssh_port: None,
            has_tpm: false,
        }
    }

    /// The disk is of a format by QEMU's name, and is only read: what the machine writes is lost.
    pub(crate) fn read_only(mut self, format: &str) -> Self {
        if let Drive::Disk { options, .. } = &mut self.drive {
            *options = format!("format={format},snapshot=on");
        }
        self
    }

    /// Gives the disk sectors of that many bytes.
    pub(crate) fn sector_size(mut self, bytes: u32) -> Self {
        if let Drive::Disk { sector_size, .. } = &mut self.drive {
            *sector_size = bytes;
        }
        self
    }

    /// Adds a disk (qcow2) with this serial number.
    pub(crate) fn target(self, disk: &Path, serial: &str) -> Self {
        self.troubled(disk, serial, Trouble::None)
    }

    /// The same, with a sector of 512 bytes that cannot be written.
    pub(crate) fn worn(self, disk: &Path, serial: &str, sector: u64) -> Self {
        self.troubled(disk, serial, Trouble::BadSector(sector))
    }

    /// The same, pulled out once `prompt` was printed, after what was asked before.
    pub(crate) fn pulled(mut self, disk: &Path, serial: &'static str, prompt: &'static str) -> Self {
        self.cues.push((prompt, Act::Remove(serial)));
        self.troubled(disk, serial, Trouble::Pulled)
    }

    fn troubled(mut self, disk: &Path, serial: &str, trouble: Trouble) -> Self {
        self.targets.push(Target { path: disk.into(), serial: serial.into(), trouble });
        self
    }

    /// An installation that fails is not the end.
    pub(crate) fn may_fail(mut self) -> Self {
        self.may_fail = true;
        self
    }

    /// Is a 64-bit Arm machine, which starts through UEFI.
    pub(crate) fn aarch64(mut self) -> Self {
        self.board = ARM;
        self.firmware = Some(ARM_UEFI);
        self
    }

    /// Types `text` at the first serial port once `prompt` was printed there, after what was asked before.
    pub(crate) fn types(mut self, prompt: &'static str, text: &'static str) -> Self {
        self.cues.push((prompt, Act::Type(text)));
        self
    }

    /// Makes the machine's SSH port reachable at this port of the host.
    pub(crate) fn ssh_port(mut self, port: u16) -> Self {
        self.ssh_port = Some(port);
        self
    }

    /// Has a TPM, a fresh one each time.
    pub(crate) fn tpm(mut self) -> Self {
        self.has_tpm = true;
        self
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

    /// Runs `text` as soon as basic.target is reached, then powers off at once.
    pub(crate) fn early_script(self, text: &str) -> Self {
        self.credential("script", &[PROLOGUE, text, EARLY_EPILOGUE].concat())
            .unit("run-script.service", EARLY_RUNNER)
            .drop_in("basic.target", WANTED)
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
        let mut outcome = self.report(timeout);
        for _ in 0..2 {
            match &outcome {
                Err(why) if EMULATOR_FAULTS.iter().any(|fault| why.contains(fault)) => {
                    outcome = self.report(timeout);
                }
                _ => break,
            }
        }
        outcome
    }

    /// As [`Self::boot`], of a machine that ends or restarts without having reported.
    pub(crate) fn run(&self, timeout: Duration) -> Result<Report, String> {
        self.attempt(timeout).map_or_else(|(why, report)| Err(report.explain(&why)), Ok)
    }

    fn report(&self, timeout: Duration) -> Result<Report, String> {
        let report = self.run(timeout)?;
        let has_end = report.output.contains("\n@@ end\n");
        if has_end { Ok(report) } else { Err(report.explain("powered off without the end of the report")) }
    }

    fn attempt(&self, timeout: Duration) -> Result<Report, (String, Report)> {
        let scratch = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let _tpm = self.has_tpm.then(|| Tpm::start(scratch.path()));
        let qemu = self.command(scratch.path()).spawn();
        let mut qemu = qemu.unwrap_or_else(|error| {
            panic!("starting {} (packages {}): {error}", self.board.program, self.board.packages)
        });
        let mut console = Console::new(scratch.path(), &self.cues);
        let outcome = self.wait(&mut qemu, &mut console, start + timeout);
        let text = |name| {
            let bytes = fs::read(scratch.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let report = Report { serial: text("serial"), output: text("report"), duration: start.elapsed() };
        match outcome {
            Ok(()) => Ok(report),
            Err(why) => Err((why, report)),
        }
    }

    fn wait(&self, qemu: &mut Child, console: &mut Console, deadline: Instant) -> Result<(), String> {
        loop {
            if let Some(status) = qemu.try_wait().map_err(|e| e.to_string())? {
                return if status.success() { Ok(()) } else { Err(format!("qemu: {status}")) };
            }
            let console = console.printed();
            let dead_end = self.dead_ends().find(|mark| console.contains(*mark));
            let why = dead_end.map(|mark| format!("console says {mark:?}"));
            let why = why.or_else(|| (Instant::now() > deadline).then(|| "no power off".into()));
            if let Some(why) = why {
                std::thread::sleep(LAST_WORDS);
                let _ = qemu.kill();
                let _ = qemu.wait();
                return Err(why);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn dead_ends(&self) -> impl Iterator<Item = &'static str> {
        let failure = (!self.may_fail).then_some(FAILURE);
        DEAD_ENDS.into_iter().chain(failure)
    }

    fn command(&self, scratch: &Path) -> Command {
        let mut command = Command::new(self.board.program);
        let accelerator = env::var("DISKWRIGHT_TEST_ACCEL").unwrap_or_else(|_| "tcg,thread=multi".into());
        let forward =
            self.ssh_port.map(|port| format!(",hostfwd=tcp:127.0.0.1:{port}-:22")).unwrap_or_default();
        command
            .args(["-accel", &accelerator, "-machine", self.board.machine, "-cpu", self.board.cpu])
            .args(["-m", "2048", "-smp", "1", "-nodefaults", "-display", "none", "-no-reboot"])
            .args(["-device", "virtio-rng-pci"])
            .args(self.drive.card(&forward))
            .args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=report,name=report"])
            .arg("-chardev")
            .arg(format!("file,id=report,path={}", scratch.join("report").display()))
            .args(Console::arguments(scratch))
            .args(Monitor::arguments(scratch))
            .args(self.drive.arguments())
            .args(self.targets.iter().flat_map(Target::arguments))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if self.has_tpm {
            command.args(Tpm::arguments(scratch));
        }
        for (name, value) in &self.credentials {
            command.arg("-smbios").arg(format!("type=11,value=io.systemd.credential.binary:{name}={value}"));
        }
        if let Some([code, fresh]) = self.firmware {
            let variables = scratch.join("variables");
            let copied = fs::copy(fresh, &variables);
            copied.unwrap_or_else(|e| panic!("{fresh} (packages {}): {e}", self.board.packages));
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
