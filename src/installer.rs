//! The program that an installer medium starts: where it is found, and whether
//! it can be started there, read off its ELF header.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    deploy::arch::Arch,
    error::{ErrorKind, Hint},
};

/// The program's name.
const NAME: &str = "diskwright-install";
/// Largest program.
const LARGEST: u64 = 256 << 20;
/// ELF: 64 bits, little endian; executable or position-independent; type of the segment that names a loader.
const IDENT: [u8; 6] = *b"\x7fELF\x02\x01";
const TYPES: [u16; 2] = [2, 3];
const INTERPRETER: u32 = 3;

/// The bytes of the program for `arch`: the file given, else the one beside this program.
///
/// # Errors
/// [`ErrorKind::Usage`] for no such file, or one that would not start on the medium.
pub fn read(given: Option<&Path>, arch: Arch) -> Result<Vec<u8>> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => find(arch)?,
    };
    let checked = || -> Result<Vec<u8>> {
        let file = fs::metadata(&path)?;
        ensure!(file.is_file() && file.len() <= LARGEST, "no file of {LARGEST} bytes at most");
        let bytes = fs::read(&path)?;
        check(&bytes, arch)?;
        Ok(bytes)
    };
    checked().with_context(|| format!("installer {}", path.display())).context(ErrorKind::Usage)
}

fn find(arch: Arch) -> Result<PathBuf> {
    let own = env::current_exe().context("finding this program")?;
    let directory = own.parent().unwrap_or(Path::new("/"));
    let beside = [directory.join(NAME), directory.join("../libexec/diskwright").join(arch.rust()).join(NAME)];
    if let Some(found) = beside.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<_> = beside.iter().map(|path| path.display().to_string()).collect();
    Err(anyhow!("no {NAME} for {}: looked for {}", arch.rust(), looked.join(" and ")))
        .context(Hint("name the program with --installer FILE".into()))
        .context(ErrorKind::Usage)
}

/// That the program needs nothing beside itself on a machine of `arch`.
fn check(bytes: &[u8], arch: Arch) -> Result<()> {
    ensure!(bytes.starts_with(&IDENT), "it is no ELF program of 64 bits");
    let truncated = || anyhow!("its ELF header is truncated");
    let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let machine = half(18).ok_or_else(truncated)?;
    ensure!(machine == self::machine(arch), "it is for another architecture than {}", arch.rust());
    ensure!(TYPES.contains(&half(16).ok_or_else(truncated)?), "it is no program");
    let start = bytes.get(32..40).and_then(|field| field.try_into().ok()).map(u64::from_le_bytes);
    let (step, count) = (half(54).ok_or_else(truncated)?, half(56).ok_or_else(truncated)?);
    for index in 0..u64::from(count) {
        let at = start.and_then(|start| start.checked_add(index * u64::from(step)));
        let at = at.and_then(|at| usize::try_from(at).ok()).ok_or_else(truncated)?;
        let kind = at.checked_add(4).and_then(|end| bytes.get(at..end)).ok_or_else(truncated)?;
        let kind = u32::from_le_bytes(kind.try_into()?);
        ensure!(
            kind != INTERPRETER,
            "it is not static: it asks for a loader that the initramfs may not have"
        );
    }
    Ok(())
}

/// ELF's number of the architecture.
const fn machine(arch: Arch) -> u16 {
    match arch {
        Arch::X86_64 => 62,
        Arch::Aarch64 => 183,
        Arch::Riscv64 => 243,
    }
}
