# Second boot: into the change.
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section secure; od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>&1
section status; ostree admin status
section changed; cat /usr/share/changed
section cmdline; cat /proc/cmdline
