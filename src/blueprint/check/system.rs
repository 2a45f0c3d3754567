//! Time, language, units, firewall and the bootloader's console.
//!
//! Sources: systemd.unit(5) for names of units, firewalld.zone(5) for ports and sources.

use super::{field, list};
use crate::blueprint::{
    boot::Bootloader,
    error::{Fault, quoted},
    network::{Firewall, Zone},
    region::{Locale, Timezone},
    service::Services,
};

/// Types of units that can be enabled.
const UNIT_TYPES: [&str; 9] =
    ["service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice"];
const PROTOCOLS: [&str; 4] = ["tcp", "udp", "sctp", "dccp"];

/// Why `text` is not made of letters, digits and `others` alone.
fn word(what: &str, text: &str, others: &str) -> Option<String> {
    let good = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c));
    (!good).then(|| format!("{} is no {what}", quoted(text)))
}

pub(super) fn timezone(timezone: &Timezone) -> Option<Fault> {
    let zone = timezone.timezone.as_deref().and_then(|name| {
        let parts = name.split('/').all(|part| word("", part, "_+-").is_none());
        (!parts).then(|| {
            field("timezone", format!("{} is no name of a time zone", quoted(name))).hint("Europe/Vienna")
        })
    });
    let servers = || list("ntpservers", &timezone.ntpservers, |name| word("time server", name, ".-:"));
    zone.or_else(servers).map(|fault| fault.inside("timezone"))
}

pub(super) fn locale(locale: &Locale) -> Option<Fault> {
    let languages = list("languages", &locale.languages, |name| word("locale", name, "_.@-"));
    let keyboard = || word("keymap", locale.keyboard.as_deref()?, "_.-+").map(|why| field("keyboard", why));
    languages.or_else(keyboard).map(|fault| fault.inside("locale"))
}

pub(super) fn services(services: &Services) -> Option<Fault> {
    let lists =
        [("enabled", &services.enabled), ("disabled", &services.disabled), ("masked", &services.masked)];
    let names = lists.iter().find_map(|(name, units)| list(name, units, unit));
    let twice = || {
        let (rest, wishes) = (&lists[1..], |text: &str| unit_name(text));
        rest.iter().find_map(|(name, units)| {
            let why = |unit: &str| {
                let is = |other: &&String| wishes(other) == wishes(unit);
                services.enabled.iter().find(is).map(|_| format!("{} is enabled as well", quoted(unit)))
            };
            list(name, units, why)
        })
    };
    names.or_else(twice).map(|fault| fault.inside("services"))
}

/// The name with its type, which is `.service` where none is given.
pub(crate) fn unit_name(text: &str) -> String {
    let has_type = text.rsplit_once('.').is_some_and(|(_, end)| UNIT_TYPES.contains(&end));
    if has_type { text.to_owned() } else { format!("{text}.service") }
}

fn unit(text: &str) -> Option<String> {
    let (name, _) = text.split_once('@').unwrap_or((text, ""));
    let long = text.len() > 255;
    word("name of a unit", name, ":-_.\\")
        .or_else(|| word("name of a unit", text, ":-_.\\@"))
        .or_else(|| long.then(|| "longer than 255 characters".to_owned()))
}

pub(super) fn firewall(firewall: &Firewall) -> Option<Fault> {
    let services = |list_name: &str, names| {
        list(list_name, names, |name| word("service of firewalld", name, "_-."))
            .map(|fault| fault.inside("services"))
    };
    list("ports", &firewall.ports, port_fault)
        .or_else(|| services("enabled", &firewall.services.enabled))
        .or_else(|| services("disabled", &firewall.services.disabled))
        .or_else(|| {
            let zones = firewall.zones.iter().enumerate();
            zones.into_iter().find_map(|(index, zone)| Some(zone_fault(zone)?.inside(index).inside("zones")))
        })
        .map(|fault| fault.inside("firewall"))
}

fn zone_fault(zone: &Zone) -> Option<Fault> {
    let name = word("zone of firewalld", &zone.name, "_-").map(|why| field("name", why));
    name.or_else(|| list("sources", &zone.sources, |text| word("source of a zone", text, ".:/-_")))
}

/// `8080:tcp` as its two halves; `8080/tcp` is accepted too.
pub(crate) fn port(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once([':', '/'])
}

fn port_fault(text: &str) -> Option<String> {
    let Some((ports, protocol)) = port(text) else {
        return Some(format!("{} is no port and protocol, such as 8080:tcp", quoted(text)));
    };
    if !PROTOCOLS.contains(&protocol) {
        return Some(format!("{} is no protocol: {}", quoted(protocol), PROTOCOLS.join(", ")));
    }
    let number = |text: &str| text.parse::<u16>().ok().filter(|&port| port != 0);
    let is_range = |(first, last): (&str, &str)| number(first) <= number(last) && number(first).is_some();
    let good = number(ports).is_some()
        || ports.split_once('-').is_some_and(is_range)
        || (ports.starts_with(|c: char| c.is_ascii_alphabetic()) && word("", ports, "-_").is_none());
    (!good).then(|| format!("{} is neither a port, nor a range, nor a name of /etc/services", quoted(ports)))
}

pub(super) fn bootloader(bootloader: &Bootloader) -> Option<Fault> {
    let grub = &bootloader.grub2;
    let terminal = |text: &str| word("terminal of GRUB", text, "_");
    let serial = || {
        let text = grub.serial.as_deref()?;
        let whole = text == "serial" || text.starts_with("serial ");
        (!whole)
            .then(|| field("serial", "the whole command is wanted").hint("serial --unit=0 --speed=115200"))
    };
    let unsafe_serial = || {
        let text = grub.serial.as_deref()?;
        word("command for a serial port", text, " =_.,-").map(|why| field("serial", why))
    };
    list("terminal_input", &grub.terminal_input, terminal)
        .or_else(|| list("terminal_output", &grub.terminal_output, terminal))
        .or_else(serial)
        .or_else(unsafe_serial)
        .map(|fault| fault.inside("grub2").inside("bootloader"))
}
