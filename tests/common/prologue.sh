exec > /dev/virtio-ports/report 2>&1
section() { printf '\n@@ %s\n' "$1"; }
