//! Arguments of `plan`, and what it shows.
//!
//! ```text
//! qcow2/disk.qcow2: 10.0 GiB
//! +--------------+--------------+----------------+-------------------------------+
//! | 1 BIOS-BOOT  | 2 EFI-SYSTEM | 3 boot         | 4 root                        |
//! | 1.0 MiB      | 501.0 MiB    | 1.0 GiB        | 8.5 GiB                       |
//! +--------------+--------------+----------------+-------------------------------+
//! ```

use std::fmt::Write as _;

use clap::{Args, ValueEnum};

use super::{DEFAULT_TYPE, ImageArgs, SystemArgs, size, values};
use crate::{
    build::BuildRequest,
    preview::{Disk, Holds, Inner, Preview},
};

/// Characters between the outer bars of the picture.
const WIDTH: usize = 78;
/// No partition is drawn narrower.
const NARROWEST: usize = 14;

/// Arguments of `plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// Which image.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Disk format; repeat it, or separate with commas, for several [default: qcow2]
    #[arg(short = 't', long = "type", value_name = "TYPE", value_delimiter = ',',
          value_parser = values::types(), hide_possible_values = true)]
    pub types: Vec<String>,
    /// What to put on the disk.
    #[command(flatten)]
    pub system: SystemArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: PlanFormat,
}

/// How a plan is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people, with a picture
    #[default]
    Text,
    /// YAML
    Yaml,
    /// JSON
    Json,
}

impl PlanArgs {
    /// What is asked of the library.
    #[must_use]
    pub fn request(&self) -> BuildRequest {
        let types = if self.types.is_empty() { vec![DEFAULT_TYPE.to_owned()] } else { self.types.clone() };
        self.system.request(&self.image, types)
    }
}

/// A plan as text.
#[must_use]
pub fn plan(found: &Preview) -> String {
    let mut text = String::new();
    for disk in &found.disks {
        let _ =
            writeln!(text, "{} ({}): {}, {}", disk.path, disk.types.join(", "), size(disk.size), disk.why);
        text += &picture(disk);
        text += &rows(disk);
        text.push('\n');
    }
    for archive in &found.archives {
        let types = archive.types.join(", ");
        let _ =
            writeln!(text, "{} ({types}): runs from memory, {} of files", archive.path, size(archive.size));
        let _ = writeln!(text, "  kernel: {}\n", super::text::printable(&archive.kernel_arguments));
    }
    let lists = [
        ("bootloader", &found.bootloader),
        ("user", &found.added.users),
        ("group", &found.added.groups),
        ("directory", &found.added.directories),
        ("file", &found.added.files),
        ("unit", &found.added.units),
        ("setting", &found.added.settings),
        ("warning", &found.warnings),
    ];
    let mut facts = vec![
        ("image", found.image.as_str()),
        ("digest", &found.manifest_digest),
        ("system", &found.system),
        ("kernel", &found.kernel_arguments),
        ("updates from", &found.updates_from),
    ];
    facts.extend(lists.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, value.as_str()))));
    for (name, value) in facts {
        let _ = writeln!(text, "{name:<13} {}", super::text::printable(value));
    }
    text
}

/// Boxes side by side, wider for larger partitions.
fn picture(disk: &Disk) -> String {
    let widths = widths(&disk.partitions.iter().map(|part| part.entry.size).collect::<Vec<_>>());
    let edge: String = widths.iter().map(|width| format!("+{}", "-".repeat(*width))).collect();
    let line = |label: &dyn Fn(usize) -> String| {
        let boxes =
            widths.iter().enumerate().map(|(index, width)| format!("|{}", fitted(&label(index), *width)));
        boxes.collect::<String>() + "|\n"
    };
    let names = line(&|index| format!("{} {}", index + 1, disk.partitions[index].entry.name));
    let sizes = line(&|index| size(disk.partitions[index].entry.size));
    format!("{edge}+\n{names}{sizes}{edge}+\n")
}

/// A label with a space before it, cut or filled to `width` characters.
fn fitted(label: &str, width: usize) -> String {
    let label: String = label.chars().take(width.saturating_sub(1)).collect();
    format!(" {label:<rest$}", rest = width.saturating_sub(1))
}

/// The narrowest for each, and what is left shared by size.
fn widths(sizes: &[u64]) -> Vec<usize> {
    let total: u128 = sizes.iter().map(|&size| u128::from(size)).sum::<u128>().max(1);
    let left = WIDTH.saturating_sub(sizes.len() * (NARROWEST + 1));
    let share = |&size: &u64| usize::try_from(left as u128 * u128::from(size) / total).unwrap_or_default();
    sizes.iter().map(|size| NARROWEST + share(size)).collect()
}

fn rows(disk: &Disk) -> String {
    let mut text = String::new();
    for part in &disk.partitions {
        let filesystem = part.holds.filesystem.as_deref().unwrap_or("-");
        let needs = if part.minimum > 0 { format!(" (needs {})", size(part.minimum)) } else { String::new() };
        let _ = writeln!(
            text,
            "  {} {:<12} {filesystem:<6} {:>11} at {:>10}  {}{needs}{}",
            part.entry.number,
            part.entry.name,
            size(part.entry.size),
            size(part.entry.offset),
            part.why,
            mounted(&part.holds)
        );
        inner_rows(&part.holds, 1, &mut text);
    }
    text
}

/// What lies in a partition, below it and further to the right.
fn inner_rows(holds: &Holds, depth: usize, text: &mut String) {
    for volume in &holds.volumes {
        let filesystem = volume.holds.filesystem.as_deref().unwrap_or("-");
        let indent = "  ".repeat(depth + 1);
        let Inner { name, holds, .. } = volume;
        let _ = writeln!(text, "{indent}{name}  {filesystem}  {}{}", size(volume.size), mounted(holds));
        inner_rows(holds, depth + 1, text);
    }
}

fn mounted(holds: &Holds) -> String {
    let at = holds.mountpoint.as_ref().map(|path| format!(", mounted at {}", super::text::printable(path)));
    at.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_fill_the_line_and_the_smallest_can_be_seen() {
        let widths = widths(&[1, 501, 1024, 8500]);
        assert!(widths.iter().all(|width| *width >= NARROWEST), "{widths:?}");
        let sum: usize = widths.iter().map(|width| width + 1).sum();
        assert!((WIDTH - 4..=WIDTH).contains(&sum), "{widths:?}");
        assert!(super::widths(&[0; 128]).iter().all(|width| *width == NARROWEST));
        assert_eq!(fitted("abc", 3), " ab");
    }
}
