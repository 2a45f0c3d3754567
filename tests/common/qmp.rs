//! What QEMU is told beside its arguments, while the machine runs.
//!
//! Source: QEMU, `docs/interop/qmp-spec`: lines of JSON, answers between events.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

/// A monitor that listens.
pub(crate) struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// QEMU's arguments for it.
    pub(crate) fn arguments(scratch: &Path) -> [String; 2] {
        ["-qmp".into(), format!("unix:{},server=on,wait=off", scratch.join("monitor").display())]
    }

    /// The monitor of a machine whose files are in `scratch`; none while it does not listen yet.
    pub(crate) fn open(scratch: &Path) -> Option<Self> {
        let socket = UnixStream::connect(scratch.join("monitor")).ok()?;
        let mut monitor = Self(BufReader::new(socket));
        monitor.tell("qmp_capabilities", &json!({}))?;
        Some(monitor)
    }

    /// What the command returns; none where it fails or the machine is gone.
    pub(crate) fn tell(&mut self, command: &str, arguments: &Value) -> Option<Value> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string();
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).ok()?;
        loop {
            let mut answer = String::new();
            if self.0.read_line(&mut answer).ok()? == 0 {
                return None;
            }
            let answer: Value = serde_json::from_str(&answer).ok()?;
            if answer.get("error").is_some() {
                eprintln!("{line}: {answer}");
                return None;
            }
            if let Some(outcome) = answer.get("return") {
                return Some(outcome.clone());
            }
        }
    }

    /// The pseudo terminal that QEMU made for a character device.
    pub(crate) fn terminal(&mut self, label: &str) -> Option<String> {
        let devices = self.tell("query-chardev", &json!({}))?;
        let device = devices.as_array()?.iter().find(|device| device["label"] == label)?.clone();
        Some(device["filename"].as_str()?.strip_prefix("pty:")?.to_owned())
    }

    /// Pulls a device out of the machine.
    pub(crate) fn remove(&mut self, device: &str) -> Option<()> {
        self.tell("device_del", &json!({ "id": device })).map(drop)
    }
}
