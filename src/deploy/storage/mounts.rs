//! What the booted system must know of its volumes: kernel arguments,
//! /etc/fstab, /etc/crypttab, keys, and the unit that hands a volume to the
//! machine's TPM. Sources: fstab(5), crypttab(5), dracut.cmdline(7),
//! systemd-cryptenroll(1), ostree's system generator (which leaves /var to fstab).

mod table;

use diskwright_formats::{
    sparse::Sparse,
    tree::{Meta, NodeId, Time, Tree},
};
use uuid::Uuid;

use super::{Container, Filesystem, Locked, Part, Scheme, Split, What};

/// Where systemd looks for keys of volumes.
const KEYS: &str = "cryptsetup-keys.d";
const UNITS: &str = "systemd/system";

/// Arguments with which the initramfs finds the root.
#[must_use]
pub fn kernel_arguments(scheme: &Scheme) -> Vec<String> {
    let way = scheme.parts.iter().flat_map(|part| part.what.way_to("/"));
    way.flat_map(|container| match container {
        Container::Logical(group, name) => vec![format!("rd.lvm.lv={group}/{name}")],
        Container::Locked(uuid, false) => vec![format!("rd.luks.uuid={uuid}")],
        Container::Locked(uuid, true) => {
            vec![format!("rd.luks.uuid={uuid}"), format!("rd.luks.options={uuid}=tpm2-device=auto")]
        }
    })
    .collect()
}

/// Notes on keys that people should hear of.
#[must_use]
pub fn notes(scheme: &Scheme) -> Vec<String> {
    let open_root = !locked(scheme).iter().any(|locked| locked.what.holds("/"));
    let note = |locked: &&Locked<Filesystem>| {
        let uuid = locked.uuid;
        if locked.what.holds("/") {
            let text = format!(
                "the root is encrypted: name its key file to the kernel (rd.luks.key=PATH:DEVICE, luks {uuid})"
            );
            return (locked.key_file.is_some() && locked.secrets.len() == 1).then_some(text);
        }
        let text = format!("the key of the encrypted volume {uuid} lies on the root, which is not encrypted");
        (locked.key_file.is_some() && open_root).then_some(text)
    };
    locked(scheme).iter().filter_map(note).collect()
}

/// Files for /etc, by their paths below it, with their modes; and links with their targets.
#[must_use]
pub fn files(scheme: &Scheme, split: &Split, boot_spec: &str) -> Vec<(String, u16, Vec<u8>)> {
    let mut files = table::files(scheme, split, boot_spec);
    let mut crypttab = String::new();
    for locked in locked(scheme) {
        let name = format!("luks-{}", locked.uuid);
        let keep = if locked.tpm2.is_some() { locked.secrets.first() } else { None };
        let keep = keep.or(locked.key_file.as_ref().filter(|_| !locked.what.holds("/")));
        if let Some(key) = keep {
            files.push((format!("{KEYS}/{name}.key"), 0o600, key.clone()));
        }
        if !locked.what.holds("/") {
            let options = if locked.tpm2.is_some() { "luks,tpm2-device=auto" } else { "luks" };
            // without a key named here, the one in the usual place is taken where it is
            crypttab += &format!("{name} UUID={} none {options}\n", locked.uuid);
        }
        if let Some(pcrs) = &locked.tpm2 {
            files.push((
                format!("{UNITS}/{name}-tpm2.service"),
                0o644,
                tpm2_unit(locked.uuid, pcrs).into_bytes(),
            ));
        }
    }
    if !crypttab.is_empty() {
        files.push(("crypttab".to_owned(), 0o600, crypttab.into_bytes()));
    }
    files
}

/// Writes all of it into `etc`.
pub fn write(tree: &mut Tree, etc: NodeId, scheme: &Scheme, split: &Split, boot_spec: &str, time: Time) {
    for (path, mode, content) in files(scheme, split, boot_spec) {
        let file = tree.add_file(Meta { mtime: time, ..Meta::root(mode) }, Sparse::from_bytes(content));
        put(tree, etc, &path, file, time);
        if let Some(wants) = wants(&path)
            && let Some(name) = path.strip_prefix(UNITS)
        {
            let link = tree.add_symlink(format!("..{name}").into_bytes());
            tree.node_mut(link).meta.mtime = time;
            put(tree, etc, &format!("{UNITS}/{wants}.wants{name}"), link, time);
        }
    }
}

/// The target that wants a unit.
fn wants(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "mount" => Some("local-fs.target"),
        "swap" => Some("swap.target"),
        "service" => Some("multi-user.target"),
        _ => None,
    }
}

fn put(tree: &mut Tree, etc: NodeId, path: &str, node: NodeId, time: Time) {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    let directory = parts.iter().fold(etc, |at, part| {
        let found = tree.child(at, part.as_bytes()).filter(|&child| tree.children(child).is_some());
        found.unwrap_or_else(|| {
            let mode = if *part == KEYS { 0o700 } else { 0o755 };
            let made = tree.add_directory(Meta { mtime: time, ..Meta::root(mode) });
            tree.link(at, part.as_bytes(), made);
            made
        })
    });
    tree.link(directory, name.as_bytes(), node);
}

/// Identifiers of all swap space.
fn swap(scheme: &Scheme) -> Vec<Uuid> {
    fn add(what: &What<Filesystem>, all: &mut Vec<Uuid>) {
        match what {
            What::Swap { uuid, .. } => all.push(*uuid),
            What::Group(group) => group.members.iter().for_each(|member| add(&member.what, all)),
            What::Locked(locked) => add(&locked.what, all),
            What::BiosBoot | What::Raw | What::Filesystem(_) => {}
        }
    }
    let mut all = Vec::new();
    scheme.parts.iter().for_each(|part| add(&part.what, &mut all));
    all
}

fn locked<'a>(scheme: &'a Scheme) -> Vec<&'a Locked<Filesystem>> {
    let locked = |part: &'a Part| match &part.what {
        What::Locked(locked) => Some(&**locked),
        _ => None,
    };
    scheme.parts.iter().filter_map(locked).collect()
}

/// Enrols the machine's TPM at the first boot that has one, then forgets the key that was left for it.
/// Without `[Install]`, so that no preset of a first boot takes the link to it away. One of the conditions
/// with a bar is enough: not every firmware tells of its TPM.
fn tpm2_unit(uuid: Uuid, pcrs: &[u32]) -> String {
    let key = format!("/etc/{KEYS}/luks-{uuid}.key");
    let pcrs: Vec<_> = pcrs.iter().map(u32::to_string).collect();
    let pcrs = if pcrs.is_empty() { String::new() } else { format!(" --tpm2-pcrs={}", pcrs.join("+")) };
    format!(
        "[Unit]\n\
         Description=Bind the encrypted volume {uuid} to this machine's TPM\n\
         Documentation=man:systemd-cryptenroll(1)\n\
         ConditionSecurity=|tpm2\n\
         ConditionPathExistsGlob=|/dev/tpmrm*\n\
         ConditionPathExists={key}\n\n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=systemd-cryptenroll --unlock-key-file={key} --tpm2-device=auto{pcrs} /dev/disk/by-uuid/{uuid}\n\
         ExecStart=rm {key}\n"
    )
}
