//! Options of the installer, as a file of the medium that can be edited.

use anyhow::Result;

use super::padded;

/// Bytes of the file: room to be edited in place.
const BYTES: usize = 64 << 10;

const TEXT: &str = "\
# Options of the installer. Kernel arguments inst.diskwright.* win over them.
version: 1
# The target: a path below /dev, serial=S, wwn=W, model=M, largest, smallest or first-empty. Without it, it asks.
#disk: largest
# Nothing is asked; what would be asked is an error.
unattended: no
# A disk that holds data may be the target without a question.
wipe: no
# The last partition and its filesystem take the whole disk.
grow: yes
# New UUIDs of the disk, its partitions and filesystems.
fresh-ids: no
# reboot, poweroff or shell.
after: reboot
# normal or verbose.
log: normal
# Kernel arguments to append on the installed system, and SSH keys for root there.
kargs: []
ssh-keys: []
";

/// The text of the file.
///
/// # Errors
/// None.
pub(super) fn text() -> Result<String> {
    padded(TEXT.to_owned(), BYTES)
}
