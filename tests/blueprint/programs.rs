//! Settings, read back by the programs they are for: sshd (package openssh-server),
//! firewall-offline-cmd (firewalld), visudo (sudo), openssl.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    sync::OnceLock,
};

use diskwright::blueprint::Blueprint;

use crate::image::{deployed, full, short};

/// What a blueprint changes in /etc and /var.
fn made(customizations: &str) -> BTreeMap<String, String> {
    let text = format!("customizations: {customizations}");
    let blueprint = Blueprint::from_yaml(&text, "b.yaml").unwrap_or_else(|error| panic!("{error}"));
    let all = deployed(&full(), &blueprint).unwrap_or_else(|error| panic!("{error:#}"));
    all.into_iter().filter_map(|(path, what)| Some((short(&path)?, what))).collect()
}

/// Mode, owners and text.
fn text<'a>(made: &'a BTreeMap<String, String>, path: &str) -> (&'a str, &'a str) {
    let what = made.get(path).unwrap_or_else(|| panic!("no {path}"));
    let at = what.match_indices(' ').nth(1).unwrap().0;
    (&what[..at], &what[at + 1..])
}

fn judge(package: &str, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A certificate made for this run, in PEM.
pub(crate) fn certificate() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        let arguments = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Test", "-keyout"];
        let output = judge("openssl", "openssl", &[&arguments[..], &[key.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    })
}

/// What sshd makes of a drop-in before a configuration that says otherwise.
fn sshd(directory: &Path, drop_in: &str) -> Output {
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let _ = fs::remove_file(path("key"));
    judge("openssh-client", "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path("key")]);
    // what it wants of a running system
    fs::create_dir_all("/run/sshd").expect("/run/sshd: the test must be root");
    fs::write(path("drop-in.conf"), drop_in).unwrap();
    fs::write(path("config"), format!("Include {}\nPermitRootLogin no\n", path("*.conf"))).unwrap();
    judge("openssh-server", "/usr/sbin/sshd", &["-T", "-f", &path("config"), "-h", &path("key")])
}

#[test]
fn sshd_reads_its_settings() {
    let made = made(
        "{sshd: {password_authentication: false, kbd_interactive_authentication: false, \
         permit_root_login: prohibit-password, client_alive_interval: 77}}",
    );
    let (mode, drop_in) = text(&made, "etc/ssh/sshd_config.d/00-blueprint.conf");
    assert_eq!(mode, "600 0:0");
    let directory = tempfile::tempdir().unwrap();
    let output = sshd(directory.path(), drop_in);
    assert!(output.status.success(), "{}", said(&output));
    let found = said(&output).to_lowercase();
    for line in [
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin without-password",
        "clientaliveinterval 77",
    ] {
        assert!(found.lines().any(|found| found == line), "no {line} in\n{found}");
    }
    assert!(!sshd(directory.path(), "PasswordAuthentication perhaps\n").status.success());
}

#[test]
fn firewalld_reads_its_zones() {
    let made = made(
        "{firewall: {ports: ['8080:tcp', 'imap:tcp', '9000-9100:udp'], services: {enabled: [http], disabled: [ssh]}, \
         zones: [{name: trusted, sources: [10.0.0.0/8, 'aa:bb:cc:dd:ee:ff']}]}}",
    );
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("zones")).unwrap();
    let write =
        |zone: &str, text: &str| fs::write(directory.path().join(format!("zones/{zone}.xml")), text).unwrap();
    for zone in ["public", "trusted"] {
        write(zone, text(&made, &format!("etc/firewalld/zones/{zone}.xml")).1);
    }
    let list = |zone: &str| {
        let config = directory.path().to_str().unwrap();
        let arguments = ["--system-config", config, "--zone", zone, "--list-all"];
        judge("firewalld", "firewall-offline-cmd", &arguments)
    };
    let (public, trusted) = (said(&list("public")), said(&list("trusted")));
    assert!(public.contains("ports: 8080/tcp 143/tcp 9000-9100/udp"), "{public}");
    assert!(public.contains("services: http\n"), "{public}");
    assert!(trusted.contains("target: ACCEPT"), "{trusted}");
    assert!(trusted.contains("sources: 10.0.0.0/8 aa:bb:cc:dd:ee:ff"), "{trusted}");
    write("public", "<zone><port port=\"99999\" protocol=\"tcp\"/></zone>");
    assert!(!said(&list("public")).contains("99999/tcp"), "the judge says yes to anything");
}

#[test]
fn sudo_reads_its_files() {
    let made = made("{user: [{name: a.b}], installer: {sudo-nopasswd: [a.b, '%wheel']}}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sudoers");
    let visudo = |text: &str| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        let output = judge("sudo", "visudo", &["-c", "-f", path.to_str().unwrap()]);
        fs::remove_file(&path).unwrap();
        output
    };
    for name in ["a_b", "group-wheel"] {
        let (mode, text) = text(&made, &format!("etc/sudoers.d/90-nopasswd-{name}"));
        assert_eq!(mode, "440 0:0");
        let output = visudo(text);
        assert!(output.status.success(), "{text}: {}", said(&output));
    }
    assert!(!visudo("a ALL=(ALL) PERHAPS: ALL\n").status.success());
}

#[test]
fn openssl_trusts_the_bundle() {
    let made = made(&format!("{{cacerts: {{pem_certs: [{:?}]}}}}", certificate()));
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    // the image's own certificate is none, and would stop the reader
    let bundle = text(&made, "etc/ssl/certs/ca-certificates.crt").1;
    let at = bundle.rfind("-----BEGIN").unwrap();
    fs::write(path("bundle"), &bundle[at..]).unwrap();
    fs::write(path("certificate"), certificate()).unwrap();
    let verify = |bundle: &str| {
        judge("openssl", "openssl", &["verify", "-no-CApath", "-CAfile", bundle, &path("certificate")])
    };
    assert!(verify(&path("bundle")).status.success());
    fs::write(path("empty"), "").unwrap();
    assert!(!verify(&path("empty")).status.success());
    // by its hash, in a directory without a bundle
    let links: Vec<_> =
        made.iter().filter(|(path, _)| path.starts_with("etc/ssl/certs/") && path.ends_with(".0")).collect();
    let [(link, target)] = links.as_slice() else { panic!("{links:?}") };
    let target = target.rsplit(' ').next().unwrap();
    fs::create_dir(path("certs")).unwrap();
    assert_eq!(text(&made, &format!("etc/ssl/certs/{target}")).0, "777 0:0");
    fs::write(path(&format!("certs/{target}")), certificate()).unwrap();
    std::os::unix::fs::symlink(target, path(&format!("certs/{}", link.rsplit('/').next().unwrap()))).unwrap();
    let by_hash = |certs: &str| {
        judge("openssl", "openssl", &["verify", "-no-CAfile", "-CApath", certs, &path("certificate")])
    };
    assert!(by_hash(&path("certs")).status.success());
    fs::create_dir(path("none")).unwrap();
    assert!(!by_hash(&path("none")).status.success());
    let anchors =
        made.keys().filter(|path| path.starts_with("var/usrlocal/share/ca-certificates/blueprint-"));
    assert_eq!(anchors.count(), 1);
}

#[test]
fn settings_are_where_programs_look() {
    let made = made(
        "{timezone: {timezone: Europe/Vienna, ntpservers: [a.example]}, locale: {languages: [en_US.UTF-8, de_AT.UTF-8], \
         keyboard: de}, fips: true, cloud_init: {user_data: '#cloud-config'}, \
         directories: [{path: /etc/a/b, ensure_parents: true, mode: '0750', group: wheel}]}",
    );
    for (path, what) in [
        ("etc/localtime", "777 0:0 ../usr/share/zoneinfo/Europe/Vienna"),
        ("etc/chrony/chrony.conf", "644 0:0 server a.example iburst\ndriftfile /var/lib/chrony/drift\n"),
        ("etc/locale.conf", "644 0:0 LANG=en_US.UTF-8\nLANGUAGE=en_US:de_AT\n"),
        ("etc/vconsole.conf", "644 0:0 KEYMAP=de\n"),
        ("etc/crypto-policies/config", "644 0:0 FIPS\n"),
        (
            "etc/crypto-policies/back-ends/openssl.config",
            "777 0:0 /usr/share/crypto-policies/FIPS/openssl.txt",
        ),
        ("var/lib/cloud/seed/nocloud/user-data", "600 0:0 #cloud-config"),
        ("etc/a/b", "750 0:10 "),
        ("etc/a", "755 0:0 "),
    ] {
        assert_eq!(made.get(path).map(String::as_str), Some(what), "{path}");
    }
}
