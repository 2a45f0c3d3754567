# A directory with every kind of inode and metadata that archives can carry.
# Usage: bash source.sh DIRECTORY (as root)
set -eu
umask 022
mkdir "$1" && cd "$1"
mkdir -p usr/bin usr/lib etc tmp var/empty dev
echo tool > usr/bin/tool; chown 12:34 usr/bin/tool; chmod 4755 usr/bin/tool
echo group > usr/bin/group; chown 0:70000 usr/bin/group; chmod 2755 usr/bin/group
echo none > usr/lib/no-permissions; chmod 0 usr/lib/no-permissions
ln usr/bin/tool usr/lib/tool-again; ln usr/bin/tool etc/tool-third
ln -s ../usr/bin/tool etc/relative; ln -s /usr/bin etc/absolute; ln -s "$(printf 'n%.0s' $(seq 300))" etc/long-target
chown -h 5:6 etc/relative
chmod 1777 tmp; chmod 2750 var/empty; chown 65534:65535 var/empty
: > etc/empty
mknod dev/null c 1 3; mknod dev/disk b 259 300; mknod dev/pipe p; chmod 0620 dev/disk; chown 0:5 dev/disk
name=$(printf 'l%.0s' $(seq 130))
mkdir -p "long/$name/$name"; echo long > "long/$name/$name/$name"
ln "long/$name/$name/$name" "long/$name/hard-link"
echo edge > "long/$(printf 'x%.0s' $(seq 95))"; echo edge > "long/$(printf 'x%.0s' $(seq 96))"
echo full > "long/$(printf 'f%.0s' $(seq 255))"
echo latin > "$(printf 'etc/caf\303\251 "quoted" \\ name')"
echo bytes > "$(printf 'etc/not-utf8-\377\376')"
echo owner > etc/large-owner; chown 3000000000:4000000000 etc/large-owner
echo old > etc/old; touch -d '1969-12-31 23:59:58.75 UTC' etc/old
echo older > etc/older; touch -d '1905-01-02 03:04:05 UTC' etc/older
echo new > etc/new; touch -d '2040-05-06 07:08:09.123456789 UTC' etc/new
echo now > etc/exact; touch -d '2020-02-02 02:02:02.000000001 UTC' etc/exact
touch -h -d '2001-02-03 04:05:06 UTC' etc/relative
head -c 100000 /dev/zero | tr '\0' 'z' > usr/lib/blocks
head -c 512 /dev/zero | tr '\0' 'y' > usr/lib/one-block
head -c 513 /dev/zero | tr '\0' 'y' > usr/lib/one-more
if [ "${2:-}" = xattrs ]; then
    setfattr -n user.text -v value usr/bin/tool
    setfattr -n user.binary -v 0x00ff0a3d00313233 usr/bin/tool
    setfattr -n user.empty usr/bin/group
    setfattr -n user.long -v "0x$(printf 'ab%.0s' $(seq 2000))" usr/lib/blocks
    setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 usr/lib/one-block
    setfattr -n user.directory -v "two words" usr
    setfattr -h -n trusted.link -v l etc/relative
    setfattr -n trusted.file -v "$(printf 'new\nline')" etc/empty
    setfacl -m u:33:r etc/exact; setfacl -d -m g:44:rwx var/empty
fi
touch -d '2011-11-11 11:11:11.5 UTC' usr etc tmp var var/empty dev .
