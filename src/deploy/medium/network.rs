//! The files that install the image from a network: kernel and initramfs, the
//! installer, the payload, and what iPXE and GRUB read.
//!
//! ```text
//! boot.ipxe, EFI/*/grub.cfg --> vmlinuz, initramfs.img, installer.img
//!                           \-> command line: address of payload.json, its digest --> disk.qcow2
//! ```

use anyhow::Result;
use diskwright_formats::{cpio, sparse::Sparse, tree::Tree};
use diskwright_install::address::Address;

use super::{Base, ImageConfig, Wishes, menu::Menu, text, units};
use crate::{ids::Ids, progress::Progress};

/// Where iPXE takes the address from, if nobody has set it: newer ones know where their script came from, and
/// all what the DHCP server named.
const ADDRESS_OF_IPXE: &str = "\
isset ${payload} || set payload ${cwuri}
isset ${payload} || set payload ${filename}
";
/// The same for GRUB, which knows the server alone.
const ADDRESS_OF_GRUB: &str = "set payload=\"http://${net_default_server}/\"\n";

/// What GRUB's module `tftp` asks servers for, and nothing else of it does: the mode of RFC 1350.
const TFTP_MODE: &[u8] = b"octet\0";

const README: &str = "\
What installs NAME from a network. Every file has to stay beside the others, on a web server.

boot.ipxe       for iPXE: chain http://HOST/PATH/boot.ipxe
EFI/BOOT/       if it is there, for PXE boot of UEFI without iPXE: EFI/BOOT/BOOTX64.EFI or the like, where
                this directory is the server's own root
vmlinuz, initramfs.img, installer.img
                the kernel, and what it unpacks: the image's own initramfs, and the installer
payload.json    what is installed; the kernel's command line in boot.ipxe and grub.cfg has its digest
disk.qcow2      the disk; payload.json has the digest of every part

Options are arguments of the kernel in boot.ipxe and grub.cfg, such as inst.diskwright.unattended and
inst.diskwright.disk=largest. The installer reads by http:// from where boot.ipxe came from;
`inst.diskwright.payload=` names another place.
";

/// The files without the payload.
#[derive(Debug)]
pub struct Files {
    /// What the image calls its system.
    pub name: String,
    files: Vec<(String, Sparse)>,
    /// Paths at which GRUB may look for its configuration.
    configurations: Vec<String>,
    arguments: String,
    timeout: Option<u32>,
}

/// What is fetched by the installer.
#[derive(Debug)]
pub struct Payload {
    /// The file, and its name.
    pub file: (String, Sparse),
    /// Its description, and the name of that.
    pub description: (String, String),
    /// `sha256:...` of the description.
    pub digest: String,
}

/// The files for the image whose layers are merged in `tree`; `installer` is the program they start.
///
/// # Errors
/// An image that cannot boot, or whose initramfs can reach no network; the text says what is missing.
pub fn files(
    image: &ImageConfig,
    tree: &Tree,
    wishes: &Wishes<'_>,
    ids: &Ids,
    installer: &[u8],
    progress: &dyn Progress,
) -> Result<Files> {
    let base = Base::examine(image, tree, wishes, ids, progress)?;
    let (service, note) = base.drivers.network()?;
    progress.note(&note);
    let network = units::FromNetwork { service, options: base.options.text()? };
    let installer = units::initramfs(installer, Some(&network), ids.time());
    let mut files = vec![
        ("vmlinuz".to_owned(), base.kernel),
        ("initramfs.img".to_owned(), base.initramfs),
        ("installer.img".to_owned(), cpio::archive(&installer)?),
    ];
    let mut configurations = Vec::new();
    let efi = base.system.bootloader.removable(tree);
    if reads_network(&efi)? {
        files.extend(efi);
        configurations = base.system.bootloader.configurations();
    } else {
        progress
            .note("UEFI starts this by iPXE alone: the image's GRUB has no module that reads from a network");
    }
    Ok(Files {
        name: base.system.os.title().to_owned(),
        files,
        configurations,
        arguments: base.arguments.to_string(),
        timeout: base.timeout,
    })
}

/// Whether the GRUB among these files can go on from a network.
fn reads_network(files: &[(String, Sparse)]) -> Result<bool> {
    let grub = files.iter().find(|(path, _)| path.contains("/grub"));
    let bytes = grub.map(|(_, content)| content.to_vec()).transpose()?.unwrap_or_default();
    Ok(bytes.windows(TFTP_MODE.len()).any(|window| window == TFTP_MODE))
}

impl Files {
    /// All files by their paths, the script of iPXE first; `address` is where machines find them.
    #[must_use]
    pub fn with(self, payload: Payload, address: Option<&Address>) -> Vec<(String, Sparse)> {
        let (before_ipxe, before_grub) = match address {
            Some(address) => (format!("set payload {address}\n"), format!("set payload=\"{address}\"\n")),
            None => (ADDRESS_OF_IPXE.to_owned(), ADDRESS_OF_GRUB.to_owned()),
        };
        let arguments = |payload_address: &str| {
            let Payload { digest, .. } = &payload;
            let Self { arguments, .. } = &self;
            format!(
                "inst.diskwright.payload={payload_address} inst.diskwright.payload-digest={digest} {arguments}"
            )
        };
        let (of_ipxe, of_grub) = (arguments("${payload}"), arguments("$payload"));
        let menu = |arguments| Menu { name: &self.name, timeout: self.timeout, arguments };
        let ipxe = menu(&of_ipxe).of_ipxe(&before_ipxe);
        let grub = menu(&of_grub).of_server(&before_grub);
        let mut all = vec![("boot.ipxe".to_owned(), text(ipxe))];
        all.extend(self.configurations.iter().map(|path| (path.clone(), text(grub.clone()))));
        let (name, description) = payload.description;
        all.extend(self.files);
        all.extend([payload.file, (name, text(description))]);
        all.push(("README".to_owned(), text(README.replace("NAME", &self.name))));
        all
    }
}
