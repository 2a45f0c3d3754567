//! A payload on a web server: its description is what the kernel's command line pins, and has the
//! digests of all else.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use diskwright_formats::data::ReadAt as _;
use sha2::{Digest as _, Sha256};

use crate::{address::Address, machine::Machine, remote::Remote, screen::Screen};

const DESCRIPTION: &str = "payload.json";
/// Longest description, in bytes.
const DESCRIPTION_MAX: u64 = 64 << 20;

/// A web server that has the payload.
pub(crate) struct Network {
    /// The directory, or a file in it.
    pub(crate) address: Address,
    /// The text of `payload.json`, as it was pinned.
    pub(crate) description: String,
}

impl Network {
    /// Waits until the description comes, and checks it against its `digest`.
    ///
    /// # Errors
    /// It does not come, or is another.
    pub(crate) fn find(machine: &Machine, address: &Address, digest: &str, screen: &Screen) -> Result<Self> {
        let at = address.join(DESCRIPTION)?;
        let mut last = String::new();
        let mut waiting = |why: &str| {
            if last != why {
                screen.say(format_args!("Waiting for the network: {why}"));
                last = why.to_owned();
            }
            let _ = name_servers(machine);
        };
        let _ = name_servers(machine);
        let file = Remote::open(at.clone(), machine.patience, &mut waiting)?;
        ensure!(file.len() <= DESCRIPTION_MAX, "{at} has {} bytes: no description of a payload", file.len());
        let mut bytes = vec![0; file.len() as usize];
        file.read_exact_at(&mut bytes, 0).with_context(|| format!("reading {at}"))?;
        let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(
            found == digest,
            "{at} is not what was pinned: its SHA-256 is {found}, the kernel's command line has {digest}; take both from one build"
        );
        let description = String::from_utf8(bytes).with_context(|| at.to_string())?;
        Ok(Self { address: address.clone(), description })
    }

    /// The file of this `name` beside the description.
    pub(crate) fn file(&self, name: &str, machine: &Machine) -> Result<Remote> {
        Remote::open(self.address.join(name)?, machine.patience, &mut |_| ())
    }
}

/// Tells the resolver of the name servers that systemd-networkd has learnt, if nobody else has: an
/// initramfs has no systemd-resolved.
fn name_servers(machine: &Machine) -> std::io::Result<()> {
    let known = fs::read_to_string(&machine.resolver).unwrap_or_default();
    if known.lines().any(|line| line.starts_with("nameserver")) {
        return Ok(());
    }
    let state = fs::read_to_string(&machine.network)?;
    let servers = state.lines().find_map(|line| line.strip_prefix("DNS=")).unwrap_or_default();
    let lines: String = servers.split_whitespace().map(|server| format!("nameserver {server}\n")).collect();
    if lines.is_empty() {
        return Ok(());
    }
    // it may be a link to what systemd-resolved would write
    let _ = fs::remove_file(&machine.resolver);
    machine.resolver.parent().map_or(Ok(()), |parent: &Path| fs::create_dir_all(parent))?;
    fs::write(&machine.resolver, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_of_the_lease_are_used_where_there_are_no_others() {
        let root = tempfile::tempdir().unwrap();
        let machine = Machine::new(root.path());
        fs::create_dir_all(machine.network.parent().unwrap()).unwrap();
        fs::write(&machine.network, "OPER_STATE=routable\nDNS=10.0.2.3 fe80::3\nNTP=1.2.3.4\n").unwrap();
        name_servers(&machine).unwrap();
        let text = || fs::read_to_string(&machine.resolver).unwrap();
        assert_eq!(text(), "nameserver 10.0.2.3\nnameserver fe80::3\n");
        fs::write(&machine.resolver, "nameserver 1.1.1.1\n").unwrap();
        name_servers(&machine).unwrap();
        assert_eq!(text(), "nameserver 1.1.1.1\n");
    }
}
