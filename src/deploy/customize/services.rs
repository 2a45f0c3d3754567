//! Units enabled, disabled and masked, by the links that systemctl(1) makes, and by a preset for
//! the first boot, at which systemd asks its presets (systemd.preset(5)).

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    place::Root,
    units::{CONFIG, Unit, find},
};
use crate::blueprint::{Services, unit_name};

/// Read before the presets of the image.
const PRESET: &str = "/etc/systemd/system-preset/00-blueprint.preset";
const NULL: &str = "/dev/null";
/// Directories of links that belong to the image.
const VENDOR: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];

pub(super) fn apply(root: &mut Root<'_>, services: &Services) -> Result<()> {
    let mut preset = String::new();
    for name in &services.enabled {
        let unit = existing(root, name).with_context(|| format!("enabled: {name}"))?;
        enable(root, &unit).with_context(|| format!("enabled: {name}"))?;
        writeln!(preset, "enable {}", unit.name)?;
    }
    for name in &services.disabled {
        disable(root, name).with_context(|| format!("disabled: {name}"))?;
        writeln!(preset, "disable {}", unit_name(name))?;
    }
    for name in &services.masked {
        root.symlink(CONFIG, &unit_name(name), NULL).with_context(|| format!("masked: {name}"))?;
    }
    if preset.is_empty() { Ok(()) } else { root.write_text(PRESET, 0o644, preset) }
}

fn existing(root: &Root<'_>, name: &str) -> Result<Unit> {
    find(root, name)?.with_context(|| {
        format!("the image has no unit {}; install it in the Containerfile", unit_name(name))
    })
}

fn enable(root: &mut Root<'_>, unit: &Unit) -> Result<()> {
    ensure!(
        !unit.name.contains("@."),
        "it is a template without a default; name an instance, such as NAME@INSTANCE"
    );
    ensure!(
        !unit.links.is_empty() || !unit.also.is_empty(),
        "its [Install] section names nothing that would start it; a unit of this kind is started by others"
    );
    make_links(root, unit)?;
    for name in &unit.also {
        if let Some(other) = find(root, name)? {
            make_links(root, &other)?;
        }
    }
    Ok(())
}

fn make_links(root: &mut Root<'_>, unit: &Unit) -> Result<()> {
    for link in &unit.links {
        if link.directory.is_empty() && link.name == unit.name {
            continue;
        }
        let directory = if link.directory.is_empty() {
            CONFIG.to_owned()
        } else {
            format!("{CONFIG}/{}", link.directory)
        };
        root.symlink(&directory, &link.name, &unit.path)?;
    }
    Ok(())
}

/// Takes away every link to the unit, and links to those.
fn disable(root: &mut Root<'_>, name: &str) -> Result<()> {
    let unit = existing(root, name)?;
    let mut names = BTreeSet::from([unit_name(name), unit.name]);
    names.extend(unit.also);
    let mut count = 0;
    while count != names.len() {
        count = names.len();
        for directory in link_directories(root)? {
            remove_links(root, &directory, &mut names)?;
        }
    }
    for vendor in VENDOR {
        if let Some(by) = started_by(root, vendor, &names)? {
            bail!("{vendor}/{by} of the image starts it all the same; mask it instead");
        }
    }
    Ok(())
}

/// [`CONFIG`] last, so that links to aliases go first.
fn link_directories(root: &Root<'_>) -> Result<Vec<String>> {
    let is_links = |name: &&String| [".wants", ".requires", ".upholds"].iter().any(|end| name.ends_with(end));
    let names = root.names(CONFIG)?;
    let mut all: Vec<_> = names.iter().filter(is_links).map(|name| format!("{CONFIG}/{name}")).collect();
    all.push(CONFIG.to_owned());
    Ok(all)
}

fn remove_links(root: &mut Root<'_>, directory: &str, names: &mut BTreeSet<String>) -> Result<()> {
    for name in root.names(directory)? {
        let Some(target) = root.link_at(directory, &name)? else { continue };
        let leads = target.rsplit('/').next().is_some_and(|target| names.contains(target));
        if target != NULL && (leads || names.contains(&name)) {
            root.remove(directory, &name)?;
            names.insert(name);
        }
    }
    Ok(())
}

fn started_by(root: &Root<'_>, vendor: &str, names: &BTreeSet<String>) -> Result<Option<String>> {
    for directory in
        root.names(vendor)?.into_iter().filter(|name| name.ends_with(".wants") || name.ends_with(".requires"))
    {
        let links = root.names(&format!("{vendor}/{directory}"))?;
        if let Some(name) = links.into_iter().find(|name| names.contains(name)) {
            return Ok(Some(format!("{directory}/{name}")));
        }
    }
    Ok(None)
}
