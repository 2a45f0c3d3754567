# Waits for a visitor over the network, then says what the blueprint made of the system.
state
section visited; visited
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
section trusted
trusts() { openssl verify "$@" /run/credentials/@system/certificate > /dev/null 2>&1; }
trusts -no-CAfile -CApath /etc/ssl/certs && echo 'by its hash'
trusts -no-CApath -CAfile /etc/ssl/certs/ca-certificates.crt && echo 'by the bundle'
update-ca-certificates > /dev/null 2>&1; trusts -no-CAfile -CApath /etc/ssl/certs && echo 'after an update'
mkdir -p /run/none; trusts -no-CAfile -CApath /run/none || echo 'not without'
