# First boot of the disk as built: everything that was asked for is there, and the system can be changed.
state

section status; ostree admin status
commit=$(ostree admin status | sed -n 's/^\* default \([0-9a-f]*\)\.0.*/\1/p')
section commit; echo "$commit"
section origin; cat "/sysroot/ostree/deploy/default/deploy/$commit.0.origin"
section manifest-digest; ostree show --print-metadata-key=ostree.manifest-digest "$commit"
section fsck; if log=$(ostree fsck 2>&1); then echo clean; else tail -n 5 <<< "$log"; fi

section root; findmnt -no SOURCE,FSTYPE /
section read-only; touch /usr/mark
section writable; echo first > /etc/mark && mkdir -p /var/lib/boot-test && echo first > /var/lib/boot-test/mark && echo yes
section cmdline; cat /proc/cmdline
section hostname; hostname
section derived; cd /usr/share/demo && find . -printf '%p %M %U:%G %s %l\n' | sort; cat opaque/new hardlink; cd /

section passwd; getent passwd demo
section groups; id -nG demo
section password; PASSWORD=secret perl -e '$h = (split /:/, `getent shadow demo`)[1]; print crypt($ENV{PASSWORD}, $h) eq $h ? "right\n" : "wrong\n"'
section ssh; login demo 'id -un; pwd; umask'
section files; stat -c '%n %a %U:%G %s' /etc/demo.conf /etc/demo.d/secret; cat /etc/demo.conf

section esp
esp=$(lsblk -rnpo NAME,PARTTYPE | sed -n 's/ c12a7328.*//p')
findmnt "$esp" > /dev/null || mount -o ro "$esp" /mnt
findmnt -no FSTYPE "$esp"
(cd "$(findmnt -no TARGET "$esp")" && find . -type f | sort && find . -type f -exec cat {} + | wc -c)

section grow
root=$(findmnt -nvo SOURCE /sysroot)
disk=/dev/$(lsblk -rndo PKNAME "$root")
sfdisk --quiet --relocate gpt-bak-std "$disk"
echo ', +' | sfdisk --quiet --no-reread --force -N "${root##*[!0-9]}" "$disk"
partx --update "$disk"
unshare --mount sh -c "mount -o remount,rw /sysroot && resize2fs $root"
section size; findmnt -bno SIZE /var

section deploy
mkdir -p /var/tmp/change/usr/share
echo changed > /var/tmp/change/usr/share/changed
changed=$(ostree commit --branch=changed --tree="ref=$commit" --tree=dir=/var/tmp/change --owner-uid=0 --owner-gid=0)
ostree admin deploy --stage "$changed"
section changed; echo "$changed"
