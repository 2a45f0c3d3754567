# The demo image laid out as Fedora's: an ostree commit in chunked layers, bootupd's trees and static
# configuration, and the demo image's own third layer derived from it.
# Usage: bash layout.sh DIRECTORY IMAGE CHUNKED.PY GRUB2-STATIC (as root); makes DIRECTORY/layout, prints the commit.
set -euo pipefail
umask 022
top=$1 image=$2 chunked=$3 static=$4
blobs() {
    python3 - "$image" <<'PYTHON'
import json, sys
read = lambda digest: json.load(open(f"{sys.argv[1]}/blobs/{digest.replace(':', '/')}"))
index = json.load(open(f"{sys.argv[1]}/index.json"))
for layer in read(index["manifests"][0]["digest"])["layers"]:
    print(f"{sys.argv[1]}/blobs/{layer['digest'].replace(':', '/')}")
PYTHON
}
mapfile -t layers < <(blobs)
mkdir "$top/source" && cd "$top/source"
for layer in "${layers[@]:0:2}"; do
    tar -xpf "$layer" --xattrs --xattrs-include='*' --numeric-owner --warning=no-unknown-keyword
done
cp "${layers[2]}" "$top/derived.tar"

version() { sed -n "/^Package: $1\$/,/^\$/s/^Version: //p" usr/lib/sysimage/dpkg/status; }
shim=$(version shim-signed) grub=$(version grub-efi-amd64-signed) pc=$(version grub-pc-bin)
signed=usr/lib/shim efi=usr/lib/efi/shim/$shim/EFI
mkdir -p "$efi/BOOT" "$efi/debian"
cp -p $signed/shimx64.efi.signed "$efi/BOOT/BOOTX64.EFI"
mv $signed/fbx64.efi.signed "$efi/BOOT/fbx64.efi"
mv $signed/shimx64.efi.signed "$efi/debian/shimx64.efi"
mv $signed/mmx64.efi.signed "$efi/debian/mmx64.efi"
mv $signed/BOOTX64.CSV "$efi/debian/BOOTX64.CSV"
efi=usr/lib/efi/grub2/1:$grub/EFI/debian
mkdir -p "$efi/x86_64-efi"
mv usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed "$efi/grubx64.efi"
mv usr/lib/grub/x86_64-efi/blsuki.mod "$efi/x86_64-efi/blsuki.mod"
rm -r $signed usr/lib/grub/x86_64-efi-signed usr/lib/grub/x86_64-efi

bootupd=usr/lib/bootupd
mkdir -p $bootupd/updates
cp -r "$static" $bootupd/grub2-static
grub2="{\"name\":\"grub2\",\"rpm_evr\":\"1:$grub\"}"
printf '%s' "{\"timestamp\":\"2026-01-01T08:48:03.555492819Z\",\"version\":\"grub2-1:$grub,shim-$shim\",\"versions\":[$grub2,{\"name\":\"shim\",\"rpm_evr\":\"$shim\"}]}" > $bootupd/updates/EFI.json
printf '%s' "{\"timestamp\":\"2026-01-01T07:47:29Z\",\"version\":\"grub2-tools-1:$pc.x86_64\",\"versions\":[{\"name\":\"grub2\",\"rpm_evr\":\"1:$pc\"}]}" > $bootupd/updates/BIOS.json

# As rpm-ostree leaves a tree: configuration below /usr, nothing in what belongs to a running system.
mv etc usr/etc
find dev proc run sys tmp -mindepth 1 -delete
cd "$top"
ostree --repo=repo init --mode=bare
base=$(ostree --repo=repo commit --orphan --no-bindings --fsync=false --consume --timestamp=@1767225600 --tree=dir=source)
python3 "$chunked" "$top" "$base"
rm -rf repo source
echo "$base"
