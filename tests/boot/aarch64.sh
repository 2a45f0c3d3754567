# The only boot of the 64-bit Arm disk: it is what was asked for, and it grows.
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section machine; uname -m
section firmware; [ -d /sys/firmware/efi ] && echo UEFI || echo BIOS
section status; ostree admin status
section root; findmnt -no SOURCE,FSTYPE /
section cmdline; cat /proc/cmdline
section hostname; hostname
section ssh; login demo 'id -un; uname -m'

section grow
root=$(findmnt -nvo SOURCE /sysroot)
disk=/dev/$(lsblk -rndo PKNAME "$root")
sfdisk --quiet --relocate gpt-bak-std "$disk"
echo ', +' | sfdisk --quiet --no-reread --force -N "${root##*[!0-9]}" "$disk"
partx --update "$disk"
unshare --mount sh -c "mount -o remount,rw /sysroot && resize2fs $root"
section size; findmnt -bno SIZE /var
