until [ -e /dev/virtio-ports/report ]; do sleep 1; done
exec > /dev/virtio-ports/report 2>&1
section() { printf '\n@@ %s\n' "$1"; }
section cmdline; cat /proc/cmdline
section firmware; [ -d /sys/firmware/efi ] && echo UEFI || echo BIOS
label=$(sed -n 's/.*inst[.]diskwright[.]medium=\([^ ]*\).*/\1/p' /proc/cmdline)
# as docs/installer-medium.md has it: whole disks, by the volume id, again and again
while [ -z "$device" ]; do
    for disk in /sys/block/*; do
        disk=/dev/${disk##*/}
        [ "$(dd if="$disk" bs=1 skip=32808 count=${#label} 2>/dev/null)" != "$label" ] || device=$disk
    done
    [ -n "$device" ] || sleep 1
done
section medium; echo "$device"
mkdir /run/medium
mount -t iso9660 -o ro "$device" /run/medium
section mount; grep /run/medium /proc/mounts
cd /run/medium/diskwright
section yaml; grep ^version diskwright.yaml
[ -e /run/credentials/@system/brief ] || { section sha256; sha256sum < disk.qcow2 | cut -c 1-64; }
section expected; sed -n 's/^  "sha256": "\(.*\)",$/\1/p' payload.json
section end
sync
systemctl --force --force poweroff
