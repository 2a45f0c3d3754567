# A small bootable image of three layers with every edge that a deployment can
# hold. Usage: bash image.sh DIRECTORY (as root); makes DIRECTORY/layout with
# the tag "v1", and DIRECTORY/bundle/rootfs, which the layers were made of.
set -eu
umask 022
top=$1
image=$top/layout:v1
umoci init --layout "$top/layout"
umoci new --image "$image"
umoci unpack --image "$image" "$top/bundle"
cd "$top/bundle/rootfs"

mkdir -p sysroot boot tmp run/lock proc sys dev var/lib/a var/log usr/bin usr/etc/vendor etc/app.d opt srv/data
mkdir -p usr/lib/modules/6.1.0 usr/lib/ostree usr/lib/shim usr/lib/grub/x86_64-efi-signed usr/lib/tmpfiles.d
head -c 300001 /dev/urandom > usr/lib/modules/6.1.0/vmlinuz
head -c 700001 /dev/urandom > usr/lib/modules/6.1.0/initramfs.img
printf '[composefs]\nenabled = yes\n' > usr/lib/ostree/prepare-root.conf
printf 'ID=debian\nPRETTY_NAME="Tiny 1"\n' > usr/lib/os-release
echo shim > usr/lib/shim/shimx64.efi.signed
printf 'grub /EFI/debian\0' > usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed
printf 'root:x:0:0:root:/root:/usr/bin/bash\n' > etc/passwd
printf 'root:x:0:\n' > etc/group
printf 'root:*:20000:0:99999:7:::\n' > etc/shadow; chmod 0640 etc/shadow; chgrp 42 etc/shadow
echo vendor > usr/etc/vendor/file; echo admin > etc/app.d/file; echo same > etc/same; cp -p etc/same usr/bin/same
: > etc/hostname; echo nameserver > etc/resolv.conf; : > etc/.updated; : > var/.updated
echo tool > usr/bin/tool; chown 12:34 usr/bin/tool; chmod 6755 usr/bin/tool
ln usr/bin/tool usr/bin/tool-again; ln usr/bin/tool etc/tool-in-etc
echo raw > usr/bin/ping; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 usr/bin/ping
setfattr -n user.text -v value usr/bin/ping; setfattr -n user.dir -v d usr/lib/ostree
setfacl -m u:33:r etc/app.d/file; mkdir -p var/log/journal; setfacl -d -m g:44:rwx var/log/journal
: > usr/lib/empty-1; : > usr/lib/empty-2; : > var/lib/empty
ln -s ../bin/tool usr/lib/link; ln -s var/roothome root; ln -s nowhere etc/dangling; chown -h 3:4 etc/dangling
mkdir -p usr/share/many; for n in $(seq 700); do echo "$((n % 50))" > "usr/share/many/file-$n"; done
mkdir -p usr/share/old/deep usr/share/opaque/below usr/share/changed usr/share/type
echo old > usr/share/old/deep/file; echo old > usr/share/opaque/below/file; echo x > usr/share/type/dir-to-file-x
mkdir usr/share/type/dir; echo f > usr/share/type/file; ln -s dir usr/share/type/link
name=$(printf 'n%.0s' $(seq 250)); echo long > "usr/share/$name"; printf 'utf8' > "$(printf 'usr/share/n\303\244me \\ "q"')"
chmod 1777 tmp; chmod 0700 var/lib/a; chown 1000:1000 var/lib/a; echo mine > var/lib/a/file; chown 1000:1000 var/lib/a/file
truncate -s 3M usr/share/holes; printf end >> usr/share/holes
echo lost > run/lock/file; echo lost > tmp/file; echo kept > opt/file; echo none > usr/bin/unreadable; chmod 0 usr/bin/unreadable
umoci repack --refresh-bundle --image "$image" "$top/bundle"

rm -r usr/share/old; rm usr/share/many/file-7; rm -r usr/share/opaque; mkdir -p usr/share/opaque; echo new > usr/share/opaque/file
rmdir usr/share/type/dir; echo now-a-file > usr/share/type/dir; rm usr/share/type/file; mkdir usr/share/type/file
rm usr/share/type/link; echo was-a-link > usr/share/type/link
chmod 0750 usr/share/changed; chown 7:8 usr/share/changed; setfattr -n user.changed -v yes usr/share/changed
echo more > etc/app.d/second; rm etc/same
umoci repack --refresh-bundle --image "$image" "$top/bundle"

echo again > usr/share/many/file-7; chmod 4711 usr/bin/same; touch usr/lib/empty-3
umoci repack --refresh-bundle --image "$image" "$top/bundle"
umoci config --image "$image" --architecture amd64 --os linux --created 2026-01-01T00:00:00Z --config.label containers.bootc=1
umoci gc --layout "$top/layout"
