//! What people read and change: GRUB's menu, and a page on how to serve it all.

/// Where the root filesystem is, for people to fill in.
const SERVER: &str = "http://HTTP-SERVER/rootfs.img";

/// GRUB's menu.
#[derive(Clone, Debug)]
pub struct Menu {
    /// What the image calls its system.
    pub name: String,
    /// Arguments of the kernel, without where the root filesystem is.
    pub arguments: String,
}

impl Menu {
    /// A template: the server's name is to be filled in.
    #[must_use]
    pub fn text(&self) -> String {
        let name: String = self.name.chars().filter(|&c| c != '\'' && !c.is_control()).collect();
        let entry = |title: &str, root: &str, initrd: &str| {
            let arguments = &self.arguments;
            format!(
                "menuentry '{name} ({title})' {{\n    linux /vmlinuz root=live:{root} rd.live.image {arguments}\n    \
                 initrd /{initrd}\n}}\n"
            )
        };
        let both = [
            entry("http-rootfs", SERVER, "initrd.img"),
            entry("combined-rootfs", "/rootfs.img", "combined.img"),
        ];
        format!("set timeout=60\n{}", both.concat())
    }
}

/// The page.
pub const README: &str = "\
What is here starts a system from a network. It runs from memory: what it writes is gone with the next start.

    EFI/        shim and GRUB, for UEFI
    grub.cfg    GRUB's menu: a template
    vmlinuz     the kernel
    initrd.img  the initramfs
    rootfs.img  the root filesystem (SquashFS)

These files belong together: the menu names a directory of this rootfs.img. A machine needs memory for rootfs.img, for
the unpacked initramfs and for its work; 2 GiB do for a small system.

Over HTTP
    1. Put rootfs.img where machines reach it by HTTP.
    2. In grub.cfg, replace HTTP-SERVER by the server's name, with port and directory if there are any.
    3. Serve the rest by TFTP, or by HTTP to firmware that boots by HTTP. Firmware starts EFI/BOOT/BOOT*.EFI, which
       looks for grub*.efi beside itself. GRUB looks for grub.cfg beside itself, and for vmlinuz and initrd.img at the
       root of the server.
    Loaders that are not GRUB (iPXE, PXELINUX) take the arguments of the kernel out of grub.cfg.

In one file
    Without an HTTP server, the root filesystem can be part of the initramfs:

        echo rootfs.img | cpio -H newc -o > rootfs.cpio
        cat initrd.img rootfs.cpio > combined.img

    The second entry of the menu starts that one.

If a machine does not start
    'failed to download live image': the address after root=live: is not that of rootfs.img, or the machine has no
    network; ip=dhcp as one more argument makes it wait for an address.
    'Couldn't find specified OSTree root': grub.cfg is of another archive than rootfs.img.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_entries_have_all_arguments() {
        let menu = Menu { name: "It's\n1".into(), arguments: "rw ostree=/ostree/boot.1/x/0".into() };
        let text = menu.text();
        let line = "linux /vmlinuz root=live:http://HTTP-SERVER/rootfs.img rd.live.image rw ostree=/ostree/boot.1/x/0\n";
        assert!(text.contains("menuentry 'Its1 (http-rootfs)' {\n") && text.contains(line), "{text}");
        assert!(text.contains("root=live:/rootfs.img rd.live.image rw ") && text.contains("/combined.img\n"));
    }
}
