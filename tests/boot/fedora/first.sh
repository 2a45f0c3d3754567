# First boot, by UEFI: what the builder left for bootupd and GRUB; then a change is staged.
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
section root; findmnt -no SOURCE,FSTYPE /
section cmdline; cat /proc/cmdline

section modes
(cd /boot && stat -c '%a %U:%G %s %n' grub2 grub2/grub.cfg grub2/grubenv grub2/bootuuid.cfg bootupd-state.json)
findmnt /boot/efi > /dev/null || mount /boot/efi
section esp-modes; find /boot/efi -mindepth 1 -printf '%y %m %U:%G\n' | sort -u
section esp; cd /boot/efi/EFI && find . -type f -printf '%s %P\n' | sort -k 2
section esp-sums; find . -type f -printf '%P\n' | sort | xargs sha512sum
section image-sums; cd /usr/lib/efi && find . -type f -path './*/*/EFI/*' -printf '%P\n' | sort | xargs -d '\n' sha512sum
section esp-bootuuid; cat /boot/efi/EFI/debian/bootuuid.cfg
section esp-config; diff /boot/efi/EFI/debian/grub.cfg /usr/lib/bootupd/grub2-static/grub-static-efi.cfg && echo same
section updates; cd /usr/lib/bootupd/updates && for file in *.json; do echo "$file $(cat "$file")"; done
section bootupd; cat /boot/bootupd-state.json
section config; cat /boot/grub2/grub.cfg
section bootuuid; cat /boot/grub2/bootuuid.cfg; findmnt -no UUID /boot
section label; blkid -p -s LABEL -o value "$(findmnt -nvo SOURCE /boot)"
section environment; grub-editenv /boot/grub2/grubenv list

commit=$(ostree admin status | sed -n 's/^\* default \([0-9a-f]*\)\.0.*/\1/p')
section commit; echo "$commit"
section parent; ostree rev-parse "$commit^"
section chunks; ostree refs --list ostree/container/blob | wc -l
section derived; cd /usr/share/demo && find . -printf '%p %M %U:%G %s %l\n' | sort; cat opaque/new hardlink; cd /
section capability; getcap /usr/bin/* /usr/share/demo/capability

section deploy
echo first > /etc/mark
mkdir -p /var/tmp/change/usr/share
echo changed > /var/tmp/change/usr/share/changed
changed=$(ostree commit --branch=changed --tree="ref=$commit" --tree=dir=/var/tmp/change --owner-uid=0 --owner-gid=0)
ostree admin deploy --stage --karg=demo.second=2 "$changed"
section changed; echo "$changed"
