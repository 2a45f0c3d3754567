# Second boot, by BIOS: into the changed commit, by the same configuration. Then back.
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section firmware; [ -d /sys/firmware/efi ] && echo UEFI || echo BIOS
section status; ostree admin status
section changed; cat /usr/share/changed
section kept; cat /etc/mark
section cmdline; cat /proc/cmdline
section environment; grub-editenv /boot/grub2/grubenv list
section rollback; ostree admin set-default 1
