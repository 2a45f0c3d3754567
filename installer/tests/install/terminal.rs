//! The installer at a pseudo terminal, as at a console: wrong answers, corrections, a window that shrinks,
//! and the keys that stop. The kernel's line discipline is what judges the keys.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, symlink},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize},
};

use crate::machine::{MIB, Machine};

const PATIENCE: Duration = Duration::from_secs(60);

/// A person who sits at the console of a machine.
struct Person {
    keys: File,
    /// Open as long as the person sits there.
    terminal: File,
    seen: Arc<Mutex<String>>,
    installer: Child,
}

impl Person {
    /// Starts the installer as systemd does: in a session of its own without a terminal.
    fn at(machine: &Machine) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap().into_string().unwrap();
        let flags = OFlags::NOCTTY.bits() as i32;
        let terminal = File::options().read(true).write(true).custom_flags(flags).open(&name).unwrap();
        resize(&terminal, 80);
        fs::create_dir_all(machine.path("sys/class/tty/console")).unwrap();
        fs::write(machine.path("sys/class/tty/console/active"), "ttyX0\n").unwrap();
        symlink(&name, machine.path("dev/ttyX0")).unwrap();
        let installer = Command::new("setsid")
            .args(["--wait", env!("CARGO_BIN_EXE_diskwright-install"), "--root"])
            .arg(machine.root.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("setsid (package util-linux): {error}"));
        let (keys, seen) = (File::from(keys), Arc::default());
        watch(keys.try_clone().unwrap(), Arc::clone(&seen));
        Self { keys, terminal, seen, installer }
    }

    /// Waits for what is shown after the last wait, then types.
    fn answers(&mut self, question: &str, keys: &str) {
        self.sees(question);
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is shown; all up to it, which is forgotten.
    fn sees(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut seen = self.seen.lock().unwrap();
            if let Some(at) = seen.find(text) {
                return seen.drain(..at + text.len()).collect();
            }
            assert!(Instant::now() < deadline, "no '{text}' in: {seen}");
            drop(seen);
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn exit_code(mut self) -> Option<i32> {
        self.installer.wait().unwrap().code()
    }
}

fn watch(mut screen: File, seen: Arc<Mutex<String>>) {
    let mut bytes = [0; 4096];
    thread::spawn(move || {
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    });
}

fn resize(terminal: &File, columns: u16) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

fn sends_signals(terminal: &File) -> bool {
    let modes: Termios = tcgetattr(terminal).unwrap();
    modes.local_modes.contains(LocalModes::ISIG)
}

#[test]
fn a_person_mistypes_corrects_and_installs_in_a_window_that_shrinks() {
    let machine = Machine::new("grow: no\n");
    machine.disk("vda", 80 * MIB, 0);
    let second = machine.disk("vdb", 80 * MIB, 0xa5);
    let mut person = Person::at(&machine);
    person.answers("Install on which disk? [1-2] ", "nine\n");
    person.answers("'nine' is not in the list", "\n");
    person.answers("'' is not in the list", "1\x7f2\n");
    resize(&person.terminal, 50);
    person.answers("Type yes to go on: ", "yes\n");
    // at a time when a killed installer would leave half a system
    person.answers("Checking the medium", "\x03");
    let shown = person.sees("Installed.");
    let bars: Vec<_> = shown.split(['\r', '\n']).filter(|line| line.contains('[')).collect();
    assert!(bars.iter().any(|line| line.starts_with("Writing ")), "{shown}");
    assert!(bars.iter().all(|line| line.len() < 50), "{bars:?}");
    assert!(shown.contains("^C"), "{shown}");
    assert_eq!(person.exit_code(), Some(0));
    assert_eq!(&fs::read(second).unwrap()[510..520], b"\x55\xaaEFI PART");
}

#[test]
fn the_keys_that_stop_leave_every_disk_and_the_terminal_as_they_were() {
    for (key, first) in [("\x03", None), ("\x04", None), ("ye\x03", Some("1\n")), ("\x04", Some("1\n"))] {
        let machine = Machine::new("");
        let disk = machine.disk("vda", 80 * MIB, 0xa5);
        let mut person = Person::at(&machine);
        if let Some(first) = first {
            person.answers("Install on which disk? [1-1] ", first);
        }
        person.answers(if first.is_some() { "Type yes to go on: " } else { "[1-1] " }, key);
        person.sees("The installation failed: stopped at the keyboard; every disk is as it was");
        let terminal = person.terminal.try_clone().unwrap();
        assert_eq!(person.exit_code(), Some(1), "{key:?}");
        assert!(sends_signals(&terminal), "the terminal's modes are others");
        assert!(fs::read(disk).unwrap().iter().all(|&byte| byte == 0xa5));
    }
}
