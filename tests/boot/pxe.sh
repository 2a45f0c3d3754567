section state
systemctl is-system-running --wait
section failed
systemctl --failed --no-legend --plain
section cmdline
cat /proc/cmdline
section root
findmnt -n -o FSTYPE,SOURCE /sysroot
section base
findmnt -n -o FSTYPE /run/rootfsbase
section disks
lsblk -n -d -o NAME | grep -v ^loop
section status
ostree admin status
grep -h container-image /ostree/deploy/*/deploy/*.origin
section blueprint
cat /etc/demo; echo
id -un ada
hostname
section written
echo written > /etc/new && cat /etc/new
