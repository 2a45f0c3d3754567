# A chunked image. Usage: bash chunked.sh DIRECTORY CHUNKED.PY [derived] (as root); makes
# DIRECTORY/layout, and DIRECTORY/source as the image shows it. Prints the base commit.
set -eu
umask 022
top=$1
mkdir "$top/source" && cd "$top/source"
mkdir -p sysroot boot tmp run proc sys dev var usr/bin usr/etc/app usr/share/changed usr/share/gone usr/lib/tmpfiles.d
mkdir -p usr/lib/modules/6.1.0 usr/lib/ostree usr/lib/shim usr/lib/grub/x86_64-efi-signed
head -c 300001 /dev/urandom > usr/lib/modules/6.1.0/vmlinuz
head -c 700001 /dev/urandom > usr/lib/modules/6.1.0/initramfs.img
printf '[composefs]\nenabled = yes\n' > usr/lib/ostree/prepare-root.conf
printf 'ID=debian\nPRETTY_NAME="Tiny 1"\n' > usr/lib/os-release
echo shim > usr/lib/shim/shimx64.efi.signed
printf 'grub /EFI/debian\0' > usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed
printf 'root:x:0:0:root:/root:/usr/bin/bash\n' > usr/etc/passwd; printf 'root:x:0:\n' > usr/etc/group
printf 'root:*:20000:0:99999:7:::\n' > usr/etc/shadow; chmod 0600 usr/etc/shadow
echo tool > usr/bin/tool; chown 12:34 usr/bin/tool; chmod 6755 usr/bin/tool; cp -p usr/bin/tool usr/bin/tool-again
echo ping > usr/bin/ping; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 usr/bin/ping
setfattr -n user.long -v "0x$(printf 'ab%.0s' $(seq 300))" usr/bin/ping; cp -a usr/bin/ping usr/share/ping-too
echo other > usr/share/other; setfattr -n user.a -v same usr/share/other
echo third > usr/share/third; setfattr -n user.a -v same usr/share/third; setfattr -n user.dir -v d usr/share
: > usr/lib/empty; : > usr/etc/empty; chmod 0640 usr/etc/empty
ln -s ../bin/tool usr/lib/link; ln -s var/roothome root; ln -s sysroot/ostree ostree; chown -h 3:4 usr/lib/link
chmod 0711 usr/share/changed; echo x > usr/share/gone/file; echo y > usr/share/one-gone; echo app > usr/etc/app/file; chmod 0710 usr/etc/app
chmod 1777 tmp
cd "$top"
ostree --repo=repo init --mode=bare
base=$(ostree --repo=repo commit --orphan --no-bindings --fsync=false --timestamp=@1700000000 --tree=dir=source)
if [ "${3:-}" = derived ]; then
    mkdir -p derived/etc/app derived/usr/share/changed derived/usr/bin && cd derived
    : > usr/share/.wh.gone; : > usr/share/.wh.one-gone; chmod 0700 usr/share/changed
    echo derived > etc/app/derived; echo new > usr/bin/tool-again; chmod 0755 usr/bin/tool-again
    tar -cf "$top/derived.tar" --no-recursion usr/share/.wh.gone usr/share/.wh.one-gone usr/share/changed etc/app/derived \
        usr/bin/tool-again
    # What that layer does, done to the directory.
    cd "$top/source"
    rm -r usr/share/gone usr/share/one-gone
    chmod 0700 usr/share/changed; echo derived > usr/etc/app/derived; echo new > usr/bin/tool-again; chmod 0755 usr/bin/tool-again
    chown 0:0 usr/bin/tool-again
fi
python3 "$2" "$top" "$base"
echo "$base"
