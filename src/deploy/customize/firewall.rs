//! firewalld's zones, changed as `firewall-offline-cmd` does: firewalld.zone(5).
//!
//! A zone of the image is copied to /etc and changed there, line by line, so that what it says
//! already stays.

use anyhow::{Context as _, Result, bail, ensure};

use super::place::Root;
use crate::blueprint::{Firewall, port};

const IMAGE: &str = "/usr/lib/firewalld";
const CONFIG: &str = "/etc/firewalld";
/// What firewalld itself takes where its configuration names none.
const DEFAULT_ZONE: &str = "public";

pub(super) fn apply(root: &mut Root<'_>, wanted: &Firewall) -> Result<()> {
    if *wanted == Firewall::default() {
        return Ok(());
    }
    ensure!(root.find(IMAGE)?.is_some(), "the image has no firewalld; install it in the Containerfile");
    let name = default_zone(root)?;
    let mut zone = Zone::read(root, &name)?;
    for text in &wanted.ports {
        let (ports, protocol) = port(text).context("a port without a protocol")?;
        let number = port_number(root, ports, protocol)?;
        zone.add(&format!("<port port=\"{number}\" protocol=\"{protocol}\"/>"));
    }
    for service in &wanted.services.enabled {
        ensure_service(root, service)?;
        zone.add(&format!("<service name=\"{service}\"/>"));
    }
    for service in &wanted.services.disabled {
        ensure_service(root, service)?;
        zone.remove(&format!("<service name=\"{service}\""));
    }
    zone.write(root)?;
    for wanted in &wanted.zones {
        let mut zone = Zone::read(root, &wanted.name)?;
        for text in &wanted.sources {
            zone.add(&source(text));
        }
        zone.write(root)?;
    }
    Ok(())
}

fn default_zone(root: &Root<'_>) -> Result<String> {
    let text = root.config(&format!("{CONFIG}/firewalld.conf"))?.unwrap_or_default();
    let named = text.lines().find_map(|line| line.trim().strip_prefix("DefaultZone="));
    Ok(named.map(str::trim).filter(|name| !name.is_empty()).unwrap_or(DEFAULT_ZONE).to_owned())
}

fn ensure_service(root: &Root<'_>, name: &str) -> Result<()> {
    for directory in [CONFIG, IMAGE] {
        if root.find(&format!("{directory}/services/{name}.xml"))?.is_some() {
            return Ok(());
        }
    }
    bail!("firewalld of the image knows no service {name}")
}

/// A port by number or range, or by its name in the image's services(5).
fn port_number(root: &Root<'_>, text: &str, protocol: &str) -> Result<String> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let services = root.config("/etc/services")?.unwrap_or_default();
    let found = services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (name, entry) = (words.next()?, words.next()?);
        let named = name == text || words.any(|alias| alias == text);
        entry
            .split_once('/')
            .filter(|(_, found)| named && *found == protocol)
            .map(|(number, _)| number.to_owned())
    });
    found.with_context(|| format!("/etc/services of the image has no {text}/{protocol}; give its number"))
}

/// Networks and hardware addresses alike, or a set of them.
fn source(text: &str) -> String {
    match text.strip_prefix("ipset:") {
        Some(set) => format!("<source ipset=\"{set}\"/>"),
        None => format!("<source address=\"{text}\"/>"),
    }
}

struct Zone {
    name: String,
    text: String,
}

impl Zone {
    fn read(root: &Root<'_>, name: &str) -> Result<Self> {
        for directory in [CONFIG, IMAGE] {
            if let Some(text) = root.config(&format!("{directory}/zones/{name}.xml"))? {
                // an element of its own needs an end to be put before
                let text = if text.contains("</zone>") { text } else { text.replacen("/>", ">\n</zone>", 1) };
                ensure!(text.contains("</zone>"), "{directory}/zones/{name}.xml is no zone");
                return Ok(Self { name: name.to_owned(), text });
            }
        }
        bail!("firewalld of the image has no zone {name}")
    }

    fn add(&mut self, element: &str) {
        let same = |line: &str| line.split_whitespace().collect::<String>();
        if self.text.lines().any(|line| same(line) == same(element)) {
            return;
        }
        let at = self.text.rfind("</zone>").unwrap_or(self.text.len());
        self.text.insert_str(at, &format!("  {element}\n"));
    }

    fn remove(&mut self, start: &str) {
        while let Some(at) = self.text.find(start) {
            let len = self.text[at..].find("/>").map_or(self.text.len() - at, |len| len + 2);
            self.text.replace_range(at..at + len, "");
        }
        self.text = self
            .text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| format!("{line}\n"))
            .collect();
    }

    fn write(self, root: &mut Root<'_>) -> Result<()> {
        root.write_text(&format!("{CONFIG}/zones/{}.xml", self.name), 0o644, self.text)
    }
}
