//! Installer media that exist: what they hold, and new options for them
//! without a rebuild. `docs/installer-medium.md` is the contract.
//!
//! The two files that can change were made longer than they need to be, so
//! that they are replaced at their place and every other byte stays.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, ensure};
use diskwright_formats::{data::ReadAt, reader::iso9660::Iso};
use diskwright_install::{
    file::{self, File as Options},
    options::{After, Log, rule},
};
use serde::Serialize;
use serde_json::Value;

use crate::error::{ErrorKind, Hint};

/// GRUB's menu, with the line that carries the kernel's arguments.
const MENU: &str = "boot/grub/grub.cfg";
const ARGUMENTS: &str = "set arguments=\"";
/// What the payload is.
const PAYLOAD: &str = "diskwright/payload.json";

/// What to read.
#[derive(Clone, Debug)]
pub struct IsoInspectRequest {
    /// The medium's file.
    pub iso: PathBuf,
}

/// What a medium holds.
#[derive(Clone, Debug, Serialize)]
pub struct IsoInspection {
    /// Volume id.
    pub volume_id: String,
    /// `payload.json`, without its digests.
    pub payload: Value,
    /// Options of the installer.
    pub options: IsoOptions,
    /// Kernel arguments of the installer.
    pub boot_kargs: String,
}

/// Options of the installer, as they are on the medium.
#[derive(Clone, Debug, Serialize)]
pub struct IsoOptions {
    /// The target, as a rule; none: the installer asks.
    pub disk: Option<String>,
    /// Whether nothing is asked.
    pub unattended: bool,
    /// Whether a disk that holds data may be overwritten without a question.
    pub wipe: bool,
    /// Whether the last partition takes all the disk.
    pub grow: bool,
    /// Whether disk and partitions get new UUIDs.
    pub fresh_ids: bool,
    /// What follows: `reboot`, `poweroff` or `shell`.
    pub after: String,
    /// How much is told: `normal` or `verbose`.
    pub log: String,
    /// Kernel arguments to append on the installed system.
    pub kargs: Vec<String>,
    /// Keys for root on the installed system.
    pub ssh_keys: Vec<String>,
}

/// What to change; what is `None` or empty stays.
#[derive(Clone, Debug, Default)]
pub struct IsoEditRequest {
    /// The medium's file.
    pub iso: PathBuf,
    /// Where to put the edited medium; none: in its place.
    pub output: Option<PathBuf>,
    /// The target, as a rule; `ask` to be asked.
    pub disk: Option<String>,
    /// Whether nothing is asked.
    pub unattended: Option<bool>,
    /// Whether a disk that holds data may be overwritten without a question.
    pub wipe: Option<bool>,
    /// Whether the last partition takes all the disk.
    pub grow: Option<bool>,
    /// Whether disk and partitions get new UUIDs.
    pub fresh_ids: Option<bool>,
    /// What follows.
    pub after: Option<After>,
    /// How much is told.
    pub log: Option<Log>,
    /// Kernel arguments to append on the installed system.
    pub kargs: Vec<String>,
    /// Keys to add for root on the installed system.
    pub ssh_keys: Vec<String>,
    /// Kernel arguments to append for the installer itself.
    pub boot_kargs: Vec<String>,
}

/// Reads a medium.
///
/// # Errors
/// [`ErrorKind::Input`] for a file that is no installer medium.
pub fn iso_inspect(request: &IsoInspectRequest) -> Result<IsoInspection> {
    Medium::open(&request.iso)?.inspect().context(ErrorKind::Input)
}

/// Changes a medium, and says what it holds then.
///
/// # Errors
/// [`ErrorKind::Input`] for a file that is no installer medium and for options that are wrong or do not
/// fit, before anything is written; [`ErrorKind::Output`].
pub fn iso_edit(request: &IsoEditRequest) -> Result<IsoInspection> {
    let medium = Medium::open(&request.iso)?;
    let changes = medium.changes(request).context(ErrorKind::Input)?;
    let path = match &request.output {
        None => request.iso.clone(),
        Some(output) => copy(&request.iso, output).context(ErrorKind::Output)?,
    };
    write(&path, &changes)
        .with_context(|| format!("writing {}", path.display()))
        .context(ErrorKind::Output)?;
    Medium::open(&path)?.inspect().context(ErrorKind::Input)
}

/// New bytes and where they go.
struct Change {
    at: u64,
    bytes: Vec<u8>,
}

struct Medium {
    iso: Iso,
}

impl Medium {
    fn open(path: &Path) -> Result<Self> {
        let opened = || -> Result<Self> {
            let file: Arc<dyn ReadAt> = Arc::new(File::open(path)?);
            let iso = Iso::open(file).ok().flatten().context("no ISO 9660 medium")?;
            iso.spans(PAYLOAD).map_err(|_| anyhow!("an ISO 9660 medium, but none that diskwright made"))?;
            Ok(Self { iso })
        };
        let hint = Hint("`diskwright build --type iso` makes installer media".into());
        opened()
            .with_context(|| format!("reading {}", path.display()))
            .context(hint)
            .context(ErrorKind::Input)
    }

    fn text(&self, path: &str) -> Result<String> {
        let bytes =
            self.iso.file(path).and_then(|file| file.to_vec()).with_context(|| format!("reading /{path}"))?;
        String::from_utf8(bytes).with_context(|| format!("/{path}"))
    }

    fn inspect(&self) -> Result<IsoInspection> {
        let mut payload: Value =
            serde_json::from_str(&self.text(PAYLOAD)?).with_context(|| format!("/{PAYLOAD}"))?;
        if let Some(payload) = payload.as_object_mut() {
            payload.remove("chunks");
        }
        Ok(IsoInspection {
            volume_id: self.iso.volume_id.clone(),
            payload,
            options: self.options()?.into(),
            boot_kargs: arguments(&self.text(MENU)?)?.trim().to_owned(),
        })
    }

    fn options(&self) -> Result<Options> {
        Options::parse(&self.text(file::PATH)?).with_context(|| format!("/{}", file::PATH))
    }

    fn changes(&self, request: &IsoEditRequest) -> Result<Vec<Change>> {
        let options = edited(self.options()?, request)?;
        let mut changes = vec![self.change(file::PATH, options.text()?)?];
        if !request.boot_kargs.is_empty() {
            let menu = with_arguments(&self.text(MENU)?, &request.boot_kargs)?;
            changes.push(self.change(MENU, menu)?);
        }
        Ok(changes)
    }

    fn change(&self, path: &str, text: String) -> Result<Change> {
        let spans = self.iso.spans(path).with_context(|| format!("finding /{path}"))?;
        let place = match &spans[..] {
            [span] if span.end - span.start == text.len() as u64 => span.start,
            _ => return Err(anyhow!("/{path} has not the {} bytes that it was made with", text.len())),
        };
        Ok(Change { at: place, bytes: text.into_bytes() })
    }
}

impl From<Options> for IsoOptions {
    fn from(options: Options) -> Self {
        let Options { disk, unattended, wipe, grow, fresh_ids, after, log, kargs, ssh_keys, .. } = options;
        let (after, log) = (after.name().into(), log.name().into());
        Self { disk, unattended, wipe, grow, fresh_ids, after, log, kargs, ssh_keys }
    }
}

fn edited(mut options: Options, request: &IsoEditRequest) -> Result<Options> {
    if let Some(disk) = &request.disk {
        if disk != "ask" {
            rule(disk)?;
        }
        options.disk = Some(disk.clone()).filter(|disk| disk != "ask");
    }
    options.unattended = request.unattended.unwrap_or(options.unattended);
    options.wipe = request.wipe.unwrap_or(options.wipe);
    options.grow = request.grow.unwrap_or(options.grow);
    options.fresh_ids = request.fresh_ids.unwrap_or(options.fresh_ids);
    options.after = request.after.unwrap_or(options.after);
    options.log = request.log.unwrap_or(options.log);
    let is_line = |text: &&String| !text.is_empty() && !text.contains(char::is_control);
    for text in request.kargs.iter().chain(&request.ssh_keys) {
        ensure!(is_line(&text), "'{}' is not one line of text", text.escape_debug());
    }
    options.kargs.extend_from_slice(&request.kargs);
    options.ssh_keys.extend_from_slice(&request.ssh_keys);
    Ok(options)
}

/// What stands between the quotes of the menu's line of arguments.
fn arguments(menu: &str) -> Result<&str> {
    let (_, rest) = menu.split_once(ARGUMENTS).context("the menu has no line of kernel arguments")?;
    rest.split_once("\"\n")
        .map(|(arguments, _)| arguments)
        .context("the menu's line of kernel arguments has no end")
}

/// The menu with more arguments, and as much less of the comments that fill it.
fn with_arguments(menu: &str, more: &[String]) -> Result<String> {
    for argument in more {
        let is_plain = !argument.is_empty()
            && !argument.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\$`*?[".contains(c));
        ensure!(is_plain, "kernel argument '{}': GRUB would change it", argument.escape_debug());
    }
    let found = arguments(menu)?;
    let added = format!(" {}", more.join(" "));
    let end = menu.find(ARGUMENTS).unwrap_or_default() + ARGUMENTS.len() + found.len();
    let text = format!("{}{added}{}", &menu[..end], &menu[end..]);
    let filling = text.trim_end_matches(['#', ' ', '\n']).len();
    let has_room = text.len() - filling > added.len() + 1;
    ensure!(has_room, "the menu has no room for {} more bytes of kernel arguments", added.len());
    let kept = text.len() - added.len() - 1;
    Ok(format!("{}\n", &text[..kept]))
}

fn copy(from: &Path, to: &Path) -> Result<PathBuf> {
    ensure!(!to.exists(), "{} is there already", to.display());
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(to.to_owned())
}

fn write(path: &Path, changes: &[Change]) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    for change in changes {
        file.write_all_at(&change.bytes, change.at)?;
    }
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_menu_keeps_its_length_while_its_arguments_grow() {
        let menu = format!("set arguments=\"a b\"\nmenuentry x {{\n}}\n{}", "#   \n".repeat(8));
        let edited = with_arguments(&menu, &["c=1".into(), "d".into()]).unwrap();
        assert_eq!(edited.len(), menu.len());
        assert!(
            edited.starts_with("set arguments=\"a b c=1 d\"\nmenuentry x {\n}\n#") && edited.ends_with('\n')
        );
        assert!(with_arguments(&menu, &["x".repeat(60)]).is_err());
        assert!(with_arguments(&menu, &["x y".into()]).is_err());
    }
}
