# Third boot, by UEFI: the deployment that was built is back, and nobody touched what bootupd keeps.
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section status; ostree admin status
section changed; ls /usr/share/changed
section cmdline; cat /proc/cmdline
section environment; grub-editenv /boot/grub2/grubenv list
section bootupd; cat /boot/bootupd-state.json
section config; cat /boot/grub2/grub.cfg
section fsck; if log=$(ostree fsck 2>&1); then echo clean; else tail -n 5 <<< "$log"; fi
