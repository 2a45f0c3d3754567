check() { # NAME DIR [PREFIX]
    section "$1"
    restorecon -n -v -r -F "$2" 2>&1
    echo "inodes $(find "$2" -xdev | wc -l)"
}
section mode; getenforce
section cmdline; cat /proc/cmdline
section failed; systemctl --failed --no-legend --plain
check usr /usr
check etc /etc
check var /var
check boot /boot

# The physical root, seen as a root: its own paths, with what counts as something else left out.
mkdir -p /run/physical && mount --bind /sysroot /run/physical
section root
cd /run/physical
count=0
while IFS= read -r -d '' path; do
    count=$((count + 1))
    label=$(stat -c %C "$path")
    as=/${path#./}
    [ "$path" != . ] || as=/
    [ "$path" != ./ostree ] || as=/usr
    case $path in ./ostree/deploy/*/deploy/*.origin) as=/etc/ostree/remotes.d/dummy.conf ;; ./ostree/deploy/*/upper) as=/ ;; ./ostree/deploy/*/var) as=/var ;; ./ostree/deploy/*/deploy/*.0) as=/ ;; esac
    printf '%s\0%s\0%s\n' "$label" "$as" "$(stat -c %F "$path")"
done < <(find . -xdev \( -path './ostree/deploy/*/deploy/*.0/*' -o -path './ostree/deploy/*/var/*' -o -path './ostree/repo/objects/*/*' \) -prune -o -print0) > /run/labels
tr '\0' '|' < /run/labels | while IFS='|' read -r label as kind; do
    case $kind in directory) type=dir ;; symbolic*) type=lnk_file ;; *) type=file ;; esac
    expected=$(matchpathcon -n -m "$type" "$as")
    [ "$label" = "$expected" ] || echo "$as is $label, not $expected"
done
echo "inodes $count"
cd /

section judge
chcon -t etc_t /etc/shadow && restorecon -n -v -F /etc/shadow; restorecon -F /etc/shadow
section fsck; if ostree fsck > /run/fsck 2>&1; then echo clean; else tail -n 5 /run/fsck; fi
