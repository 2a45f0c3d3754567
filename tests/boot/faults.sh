# In the shell that a failed installation leaves: more of them, each with its own options and its own trouble.
until [ -e /dev/virtio-ports/report ]; do sleep 1; done
exec 3> /dev/virtio-ports/report
mkdir -p /run/picture/proc
ln -s /sys /dev /run/picture
attempt() { # NAME MEDIUM ARGUMENT...
    name=$1
    printf 'inst.diskwright.medium=%s inst.diskwright.unattended %s\n' "$2" "$3" > /run/picture/proc/cmdline
    echo "attempt: $name"
    diskwright-install --root /run/picture
    printf '\n@@ %s\nexit %s\n' "$name" "$?" >&3
}
medium=$(sed -n 's/.*inst[.]diskwright[.]medium=\([^ ]*\).*/\1/p' /proc/cmdline)
damaged=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
attempt small "$medium" "inst.diskwright.disk=serial=small"
attempt several "$medium" "inst.diskwright.disk=ask"
attempt damaged "$damaged" "inst.diskwright.disk=serial=target inst.diskwright.wipe"
attempt worn "$medium" "inst.diskwright.disk=serial=worn inst.diskwright.wipe"
attempt pulled "$medium" "inst.diskwright.disk=serial=pulled inst.diskwright.wipe"
echo "attempt: none"
printf '\n@@ end\n' >&3
sync
systemctl --force --force poweroff
