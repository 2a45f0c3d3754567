section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend
section status; ostree admin status
section cmdline; cat /proc/cmdline
section keys; cat /root/.ssh/authorized_keys 2>&1
section size; df -B1 --output=size /sysroot | tail -1 | tr -d ' '
section table; sfdisk --verify /dev/vda 2>&1; dmesg | grep -i 'GPT:'
section fsck; ostree fsck >/dev/null 2>&1 && echo clean
section superblock; echo $(($(cat "/sys/class/block/$(basename "$(findmnt -nvo SOURCE /sysroot)")/start") + 2))
section example; hostname; login admin 'id -un; id -nG'
