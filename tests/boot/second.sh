# Second boot: into the changed commit, with /etc and /var carried over. Then back.
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section status; ostree admin status
section changed; cat /usr/share/changed
section kept; cat /etc/mark /var/lib/boot-test/mark
section cmdline; cat /proc/cmdline
echo second > /etc/mark
echo second > /var/lib/boot-test/mark
section rollback; ostree admin set-default 1
