shown() { findmnt -n -v -o SOURCE "$1" | tail -1; }
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section mounts; for path in /sysroot /var /var/data /var/home /boot /boot/efi; do echo "$path $(findmnt -n -o FSTYPE --mountpoint "$path" | tail -1)"; done
section sources; for path in /sysroot /var /var/data /home; do [ -z "$(shown "$path")" ] || echo "$path $(lsblk -n -s -o TYPE "$(shown "$path")" | tr -dc 'a-z0-9\n' | xargs)"; done
section swap; swapon --noheadings --show=SIZE --bytes | sort -n
section lvm; vgck system && lvs --noheadings -o vg_name,lv_name,lv_active system | xargs
section luks; for name in /dev/mapper/luks-*; do cryptsetup status "$name" | grep -E 'type:|cipher:|keysize:' | xargs; done
section home; stat -c '%n %U %a' /home/volumes /home/volumes/.ssh/authorized_keys
section write; for path in /var /var/data /home; do echo written > "$path/new" && sync && cat "$path/new"; done
section var; stat -c '%n %a' /var/tmp; ls -A /sysroot/ostree/deploy/default/var
# every byte of every object, through whatever is below
section content; ostree fsck --quiet > /dev/null 2>&1 && echo sound
section itable; dmesg | grep -iE 'EXT4-fs (error|warning)|corrupt'
section table; lsblk -n -d -o LOG-SEC,PTTYPE /dev/vda | xargs
section firmware; [ -d /sys/firmware/efi ] && echo UEFI || echo BIOS
section status; ostree admin status
