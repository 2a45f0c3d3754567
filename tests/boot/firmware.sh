section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section firmware; [ -d /sys/firmware/efi ] && echo UEFI || echo BIOS
section secure; od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>&1
section lockdown; cat /sys/kernel/security/lockdown
section status; ostree admin status
