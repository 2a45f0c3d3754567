# Waits for a visitor over the network, then says what the blueprint made of the system.
section state; systemctl is-system-running --wait
section failed; systemctl --failed --no-legend --plain
systemctl --failed --no-legend --plain | cut -d ' ' -f 1 | xargs -r systemctl status -n 20

section visited
for _ in {1..300}; do [ -e /run/visited ] && break; sleep 1; done
[ -e /run/visited ] && echo yes

section hostname; hostname
section cmdline; cat /proc/cmdline
section time; timedatectl show -p Timezone; grep LANG= /etc/locale.conf
section ntp; timedatectl show-timesync -p SystemNTPServers --value
section files; stat -c '%n %a %U:%G' /etc/demo /etc/demo/deep /etc/demo/deep/file; cat /etc/demo/deep/file
section asked; systemctl is-active asked.service; cat /run/asked; systemctl is-active also-asked.service
section enabled
for unit in asked.service getty@tty3.service fstrim.timer apt-daily.timer systemd-networkd-wait-online.service; do
    systemctl is-enabled "$unit"
done
section sshd; sshd -T | grep -iE '^(permitrootlogin|clientaliveinterval)'
section expires; chage -l keyed | grep 'Account expires' | tr -s '\t ' ' '
section checks; pwck -rq && echo good; grpck -r && echo good
