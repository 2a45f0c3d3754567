# Third boot: the deployment that was built is back, with its own /etc and the common /var.
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section status; ostree admin status
section changed; ls /usr/share/changed
section kept; cat /etc/mark /var/lib/boot-test/mark
section fsck; if log=$(ostree fsck 2>&1); then echo clean; else tail -n 5 <<< "$log"; fi
