//! What can be told wrong of a blueprint without looking at the image.
//!
//! Sources: hostname(7) and RFC 1123 section 2.1 for the host name; others are named where they are used.

mod accounts;
mod files;
mod system;
mod trust;
mod vm;

use super::{
    error::{Fault, quoted},
    kernel,
    node::Step,
    storage,
    types::{Blueprint, Customizations},
};
pub(crate) use files::etc_fault;
pub(crate) use system::{port, unit_name};
pub(crate) use trust::{Certificate, each_certificate};

/// Longest host name: the kernel's `__NEW_UTS_LEN`.
const HOSTNAME_MAX: usize = 64;
/// Longest label of a host name.
const LABEL_MAX: usize = 63;

/// The first fault, if any.
pub(super) fn check(blueprint: &Blueprint) -> Option<Fault> {
    let customizations =
        customizations(&blueprint.customizations).map(|fault| fault.inside("customizations"));
    customizations.or_else(|| vm::vm(&blueprint.vm).map(|fault| fault.inside("vm")))
}

fn customizations(all: &Customizations) -> Option<Fault> {
    let append = || {
        let line = all.kernel.append.as_deref()?;
        kernel::fault(line).map(|why| Fault::new(why).inside("append").inside("kernel"))
    };
    accounts::users(&all.user)
        .or_else(|| accounts::groups(&all.group))
        .or_else(|| accounts::ssh_keys(&all.sshkey))
        .or_else(|| accounts::sudoers(&all.installer.sudo_nopasswd))
        .or_else(|| all.hostname.as_deref().and_then(hostname))
        .or_else(append)
        .or_else(|| files::files(&all.files))
        .or_else(|| files::directories(&all.directories, &all.files))
        .or_else(|| storage::check(&all.filesystem, all.disk.as_ref(), all.partitioning_mode))
        .or_else(|| system::timezone(&all.timezone))
        .or_else(|| system::locale(&all.locale))
        .or_else(|| system::services(&all.services))
        .or_else(|| system::firewall(&all.firewall))
        .or_else(|| system::bootloader(&all.bootloader))
        .or_else(|| trust::certificates(&all.cacerts))
        .or_else(|| trust::ignition(&all.ignition))
        .or_else(|| trust::cloud_init(&all.cloud_init))
}

fn field(name: &str, message: impl Into<String>) -> Fault {
    Fault::of(vec![Step::from(name)], message)
}

/// The first fault of a list of texts, each checked by `check`.
fn list(name: &str, texts: &[String], check: impl Fn(&str) -> Option<String>) -> Option<Fault> {
    let fault = |(index, text): (usize, &String)| Some(Fault::new(check(text)?).inside(index).inside(name));
    texts.iter().enumerate().find_map(fault)
}

fn hostname(name: &str) -> Option<Fault> {
    let label_ok = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && (1..=LABEL_MAX).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > HOSTNAME_MAX {
        return Some(field("hostname", format!("longer than {HOSTNAME_MAX} characters")));
    }
    (!name.split('.').all(label_ok)).then(|| {
        let rule = "labels of letters, digits and inner hyphens, joined by dots (RFC 1123)";
        field("hostname", format!("{} is no valid host name", quoted(name))).hint(rule)
    })
}
