//! The virtual machine.

use std::ops::RangeInclusive;

use diskwright_formats::{units::MIB, writer::Firmware};

use super::field;
use crate::blueprint::{
    error::{Fault, quoted},
    vm::Vm,
};

/// As many as the flag takes.
const CPUS: RangeInclusive<u32> = 1..=1024;

pub(super) fn vm(vm: &Vm) -> Option<Fault> {
    let texts = [("name", &vm.name), ("network", &vm.network), ("guest_type", &vm.guest_type)];
    let text = texts.into_iter().find_map(|(name, text)| Some(field(name, text_fault(text.as_deref()?)?)));
    let cpus = || {
        let cpus = vm.cpus.filter(|cpus| !CPUS.contains(cpus))?;
        Some(field("cpus", format!("{cpus} is not from {} to {}", CPUS.start(), CPUS.end())))
    };
    let memory = || {
        let is_wrong = vm.memory.is_some_and(|size| size.0 == 0 || size.0 % MIB != 0);
        is_wrong.then(|| field("memory", "whole MiB are needed").hint("4 GiB"))
    };
    let secure = || {
        let is_bios = vm.firmware.is_some_and(|firmware| firmware.0 == Firmware::Bios);
        let is_wrong = is_bios && vm.secure_boot == Some(true);
        is_wrong.then(|| field("secure_boot", "a BIOS has no Secure Boot"))
    };
    text.or_else(cpus).or_else(memory).or_else(secure)
}

fn text_fault(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("it is empty".to_owned());
    }
    text.contains(char::is_control).then(|| format!("{} holds a control character", quoted(text)))
}
