# Second boot: into the change.
section secure; od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>&1
section status; ostree admin status
section etc; cat /etc/own; stat -c '%a %U:%G' /etc/own; tail -n 1 /etc/motd
section changed; cat /usr/share/changed
section cmdline; cat /proc/cmdline
