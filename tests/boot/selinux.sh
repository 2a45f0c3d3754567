# What the running system made by itself since is its own affair.
booted=$(sed -n 's/^btime //p' /proc/stat)
check() { # NAME DIR
    section "$1"
    restorecon -n -v -r -F "$2" > /run/found 2>&1 || echo "restorecon fails"
    grep '^Would relabel' /run/found | while IFS= read -r line; do
        path=${line#Would relabel }
        path=${path%% from *}
        [ "$(stat -c %W "$path")" -ge "$booted" ] || echo "$line"
    done
    echo "inodes $(find "$2" -xdev | wc -l)"
    section "messages $1"; grep -v '^Would relabel' /run/found
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
roles='s|^\.$|/|; s|^\./ostree$|/usr|; s|^\./ostree/deploy/[^/]*/deploy/[^/]*\.origin$|/etc/ostree/remotes.d/dummy.conf|
    s|^\./ostree/deploy/.*/upper$|/|; s|^\./ostree/deploy/[^/]*/var$|/var|; s|^\./ostree/deploy/[^/]*/deploy/[^/]*$|/|; s|^\./|/|'
count=0
for pair in d:dir f:file l:lnk_file; do
    mapfile -t paths < <(find . -xdev \( -path './ostree/deploy/*/deploy/*/*' -o -path './ostree/deploy/*/var/*' \
        -o -path './ostree/repo/objects/*/*' \) -prune -o -type "${pair%:*}" -print)
    mapfile -t as < <(printf '%s\n' "${paths[@]}" | sed "$roles")
    count=$((count + ${#paths[@]}))
    diff <(stat -c %C "${paths[@]}" | paste -d ' ' - <(printf '%s\n' "${as[@]}")) \
        <(matchpathcon -n -m "${pair#*:}" "${as[@]}" 2>/dev/null | paste -d ' ' - <(printf '%s\n' "${as[@]}"))
done
echo "inodes $count"
cd /

section judge
chcon -t etc_t /etc/shadow && restorecon -n -v -F /etc/shadow; restorecon -F /etc/shadow
section fsck; if ostree fsck > /run/ostree-fsck 2>&1; then echo clean; else tail -n 5 /run/ostree-fsck; fi
