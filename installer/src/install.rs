//! One installation, from the payload to a disk that starts.
//!
//! ```text
//! find payload -> read options -> choose disk -> check payload -> [ clear table | write | read back | write table ] -> grow
//! ```
//!
//! Inside the brackets the disk has no partition table: what fails there leaves
//! a disk that starts nothing, never half of a system.

use std::{fs::File, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use diskwright_formats::sparse::{Piece, Sparse};

use crate::{
    choose::Candidate,
    contents::Contents,
    copy,
    disks::{self, Disk},
    installed::Installed,
    machine::Machine,
    medium::Medium,
    options::{After, Log, Options, Place},
    payload::{Check, Payload},
    screen::{Bar, Screen},
    table::{self, Table, Wishes},
};

/// Bytes at both ends of a disk that partition tables and boot code may take.
const END: u64 = 1 << 20;

/// Installs; returns what is to follow.
///
/// # Errors
/// What went wrong, and where the disk was left.
pub fn install(machine: &Machine, screen: &mut Screen) -> Result<After> {
    let command_line = machine.command_line()?;
    let medium = Medium::find(machine, &Place::of(&command_line)?, screen)?;
    let options = Options::new(&medium.options(machine)?, &command_line)?;
    screen.set_verbose(options.file.log == Log::Verbose);
    screen.detail(format_args!("{medium}, options {options:?}"));
    let payload = Payload::open(&medium, machine)?;
    let facts = &payload.description;
    screen.say(format_args!("This installs {} ({})", facts.name, facts.image.reference));
    let candidates = candidates(machine, &medium)?;
    let target = choose(&candidates, &options, facts.disk.size, screen)?;
    ensure!(
        target.disk.sector_size == facts.disk.sector_size,
        "{} has sectors of {} bytes, the system was made for {}: build it with that sector size",
        target.disk.path().display(),
        target.disk.sector_size,
        facts.disk.sector_size
    );
    check(&payload, screen)?;
    write(machine, &payload, &target.disk, &options, screen)?;
    Ok(options.file.after)
}

/// The disks that could be installed on: not the medium, and writable.
fn candidates(machine: &Machine, medium: &Medium) -> Result<Vec<Candidate>> {
    let is_target = |disk: &Disk| {
        medium.device() != Some(&disk.name) && !disk.is_read_only && !disk.name.starts_with("sr")
    };
    let disks = disks::list(&machine.sys, &machine.dev)?.into_iter().filter(is_target);
    let look = |disk: Disk| {
        Ok(Candidate { contents: Contents::of(&machine.dev.join(&disk.name), disk.size)?, disk })
    };
    disks.map(look).collect()
}

fn choose<'a>(
    candidates: &'a [Candidate],
    options: &Options,
    needed: u64,
    screen: &Screen,
) -> Result<&'a Candidate> {
    ensure!(!candidates.is_empty(), "there is no disk to install on; does the kernel have a driver for it?");
    let target = match &options.disk {
        Some(rule) => rule.choose(candidates, needed).with_context(|| format!("disk: {rule}"))?,
        None if options.file.unattended => only(candidates, needed)?,
        None => ask(candidates, needed, screen)?,
    };
    if target.contents.is_data() && !options.file.wipe {
        let path = target.disk.path();
        if options.file.unattended {
            bail!("{} holds {}; give `wipe: yes` to overwrite it", path.display(), target.contents);
        }
        let question =
            format_args!("All on {} will be lost: {}. Type yes to go on:", path.display(), target.contents);
        ensure!(screen.ask(question)? == "yes", "not confirmed; {} is as it was", path.display());
    }
    screen.say(format_args!("Installing on {}", describe(target)));
    Ok(target)
}

/// The one disk that is large enough, where nobody can be asked.
fn only(candidates: &[Candidate], needed: u64) -> Result<&Candidate> {
    let fitting: Vec<_> = candidates.iter().filter(|found| found.disk.size >= needed).collect();
    let listed: Vec<_> = candidates.iter().map(describe).collect();
    match fitting[..] {
        [one] => Ok(one),
        [] => bail!("no disk has the {needed} bytes that are needed: {}", listed.join("; ")),
        _ => bail!("several disks could be meant, and nobody is asked; give `disk`: {}", listed.join("; ")),
    }
}

fn ask<'a>(candidates: &'a [Candidate], needed: u64, screen: &Screen) -> Result<&'a Candidate> {
    let fitting: Vec<_> = candidates.iter().filter(|found| found.disk.size >= needed).collect();
    ensure!(!fitting.is_empty(), "no disk has the {needed} bytes that are needed");
    screen.say(format_args!("\r\nDisks:"));
    for (number, found) in (1..).zip(&fitting) {
        screen.say(format_args!("  {number}) {}", describe(found)));
    }
    loop {
        let answer = screen.ask(format_args!("Install on which disk? [1-{}]", fitting.len()))?;
        match answer.parse::<usize>().ok().and_then(|number| fitting.get(number.checked_sub(1)?)) {
            Some(found) => return Ok(found),
            None => screen.say(format_args!("'{answer}' is not in the list")),
        }
    }
}

fn describe(found: &Candidate) -> String {
    let Disk { size, model, serial, .. } = &found.disk;
    let gib = *size as f64 / f64::from(1 << 30);
    let words = [model.as_str(), serial.as_str()].into_iter().filter(|word| !word.is_empty());
    let name: String = words.map(|word| format!(", {word}")).collect();
    format!("{} ({gib:.1} GiB{name}: {})", found.disk.path().display(), found.contents)
}

/// Before anything is lost: is the payload whole?
fn check(payload: &Payload, screen: &Screen) -> Result<()> {
    let bar = |label| Bar::new(screen, label, payload.file.len());
    match payload.check {
        Check::Before => {
            let bar = bar("Checking the medium");
            let checked = payload.file.check(|bytes| bar.add(bytes));
            checked.context("the medium is damaged; the disk is as it was")?;
            bar.finish();
        }
        Check::Fetch => {
            let bar = bar("Fetching");
            let fetched = payload.file.fetch(|bytes| bar.add(bytes));
            fetched.context("the payload did not come whole; the disk is as it was")?;
            bar.finish();
        }
        Check::AsWritten => screen.say(format_args!(
            "The payload has {} MiB, more than there is memory: it is fetched and checked as it is written",
            payload.file.len() >> 20
        )),
    }
    Ok(())
}

fn write(
    machine: &Machine,
    payload: &Payload,
    disk: &Disk,
    options: &Options,
    screen: &Screen,
) -> Result<()> {
    let path = machine.dev.join(&disk.name);
    let target = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    let table = plan(machine, payload, disk, options)?;
    let left =
        || format!("installing on {}: it has no partition table now and starts nothing", path.display());
    copy_all(payload, &target, disk.size, screen).with_context(left)?;
    put(&table.bytes, &target)
        .and_then(|()| Ok(target.sync_all()?))
        .context("writing the partition table")
        .with_context(left)?;
    drop(target);
    let installed = Installed { machine, disk: &disk.name, root: table.root, options: &options.file };
    for line in installed.finish().context("the system is installed, but could not be adapted")? {
        screen.say(format_args!("{line}"));
    }
    Ok(())
}

fn plan(machine: &Machine, payload: &Payload, disk: &Disk, options: &Options) -> Result<Table> {
    let source = machine.clone();
    let uuids = options
        .file
        .fresh_ids
        .then(|| Box::new(move || source.fresh_uuid()) as Box<dyn FnMut() -> Result<_>>);
    let wishes = Wishes { size: disk.size, grow: options.file.grow, uuids };
    table::table(&payload.disk, payload.description.disk.root_partition, wishes)
}

/// All but the tables at both ends.
fn copy_all(payload: &Payload, target: &File, size: u64, screen: &Screen) -> Result<()> {
    for at in [0, size - END] {
        copy::zero(target, at, END).context("clearing the old partition table")?;
    }
    target.sync_all().context("clearing the old partition table")?;
    let disk = between_ends(&payload.disk)?;
    let total = copy::data_len(&disk);
    let bar = Bar::new(screen, "Writing", total);
    let written = copy::write(&disk, target, |bytes| bar.add(bytes))?;
    bar.finish();
    let bar = Bar::new(screen, "Reading back", total);
    copy::verify(&written, target, |bytes| bar.add(bytes))?;
    bar.finish();
    Ok(())
}

/// The payload's disk without its partition tables: gaps at both ends.
fn between_ends(disk: &Arc<Sparse>) -> Result<Sparse> {
    let mut between = Sparse::new(disk.len());
    let (first, last) = (END, disk.len().saturating_sub(END));
    for Piece { offset, data } in disk.pieces() {
        let (start, end) = ((*offset).max(first), (offset + data.len()).min(last));
        if start < end {
            between.insert(start, data.slice(start - offset, end - start))?;
        }
    }
    Ok(between)
}

/// The backup first: until the primary is there the disk has no table.
fn put(table: &Sparse, target: &File) -> Result<()> {
    use std::os::unix::fs::FileExt as _;
    for Piece { offset, data } in table.pieces().iter().rev() {
        target.write_all_at(&data.to_vec()?, *offset)?;
        target.sync_all()?;
    }
    Ok(())
}
