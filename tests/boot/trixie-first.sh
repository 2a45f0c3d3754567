# First boot: stage a change with a kernel argument of its own.
section secure; od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>&1
section cmdline; cat /proc/cmdline
section probe; findmnt -no SOURCE,FSTYPE /; grub-probe --target=device / 2>&1
# by hand: a file of one's own, and a change to one of the blueprint's
echo 'by hand' > /etc/own && chmod 600 /etc/own && chown demo:sudo /etc/own
echo too >> /etc/motd
commit=$(ostree admin status | sed -n 's/^\* default \([0-9a-f]*\)\.0.*/\1/p')
section deploy
mkdir -p /var/tmp/change/usr/share
echo changed > /var/tmp/change/usr/share/changed
changed=$(ostree commit --branch=changed --tree="ref=$commit" --tree=dir=/var/tmp/change --owner-uid=0 --owner-gid=0)
ostree admin deploy --stage --karg=demo.second=2 "$changed"
section changed; echo "$changed"
