//! Users, compared line for line with what shadow-utils makes of the same image.
//!
//! Judges: useradd, usermod, chpasswd, pwck and grpck (package passwd), openssl,
//! ssh-keygen (openssh-client). All work on a copy below a temporary directory
//! by their own `-R`, for which the test must be root.

#![expect(clippy::unwrap_used, reason = "test support outside #[test] functions")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
    path::Path,
    process::{Command, Output, Stdio},
};

use diskwright::{
    blueprint::Blueprint,
    deploy::customize::{System, apply},
};
use diskwright_formats::{
    sparse::Sparse,
    tree::{Kind, Meta, Node, NodeId, Time, Tree},
};

/// 2023-11-14: in the past, since shadow-utils ignores a SOURCE_DATE_EPOCH to come.
const EPOCH: i64 = 1_700_000_000;
const SEED: [u8; 32] = [7; 32];
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILAF64YtqEUoIpnBWoMjwrS1TLaHViT/qeVG98n9ycdG admin@example.com";
const ACCOUNT_FILES: [&str; 6] = ["passwd", "group", "shadow", "gshadow", "subuid", "subgid"];

const LOGIN_DEFS: &str = "\
# comment
PASS_MAX_DAYS\t99999
PASS_MIN_DAYS\t0
PASS_WARN_AGE\t7
UID_MIN\t\t 1000
UID_MAX\t\t60000
GID_MIN\t\t 1000
GID_MAX\t\t60000
SUB_UID_MIN\t100000
SUB_UID_MAX\t600100000
SUB_UID_COUNT\t65536
SUB_GID_MIN\t100000
SUB_GID_MAX\t600100000
SUB_GID_COUNT\t65536
ENCRYPT_METHOD SHA512
";

/// Accounts as a small image has them, in the order of its files.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
operator:x:999:998::/var/lib/operator:/bin/sh
ann:x:1000:1000:Ann:/home/ann:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "\
root:x:0:
daemon:x:1:
adm:x:4:daemon
sudo:x:27:ann
users:x:100:
operator:x:998:
ann:x:1000:
taken:x:1001:
nogroup:x:65534:
";
const SHADOW: &str = "\
root:*:19000:0:99999:7:::
daemon:*:19000:0:99999:7:::
operator:!:19000::::::
ann:!:19000:0:99999:7:::
nobody:*:19000:0:99999:7:::
";
const GSHADOW: &str = "\
root:*::
daemon:*::
adm:*::daemon
sudo:*::ann
users:*::
operator:!::
ann:!::
taken:!::
nogroup:*::
";

fn put(root: &Path, name: &str, mode: u32, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An image laid out for ostree, with `more` at the end of login.defs.
fn image(root: &Path, more: &str) {
    put(root, "etc/passwd", 0o644, PASSWD);
    put(root, "etc/group", 0o644, GROUP);
    put(root, "etc/shadow", 0o640, SHADOW);
    chown(root.join("etc/shadow"), Some(0), Some(27)).unwrap();
    put(root, "etc/gshadow", 0o640, GSHADOW);
    put(root, "etc/subuid", 0o644, "ann:100000:65536\n");
    put(root, "etc/subgid", 0o644, "ann:165536:65536\n");
    put(root, "etc/login.defs", 0o644, &format!("{LOGIN_DEFS}{more}\n"));
    put(
        root,
        "etc/default/useradd",
        0o644,
        "GROUP=100\nHOME=/home\nINACTIVE=-1\nEXPIRE=\nSHELL=/bin/sh\nSKEL=/etc/skel\n",
    );
    put(root, "etc/skel/.bashrc", 0o644, "PS1='$ '\n");
    put(root, "etc/skel/.netrc", 0o600, "x\n");
    symlink("/etc/skel/.bashrc", root.join("etc/skel/.profile")).unwrap();
    for shell in ["bin/sh", "bin/bash", "sbin/nologin"] {
        put(root, &format!("usr/{shell}"), 0o755, "#!\n");
    }
    for (name, target) in
        [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("home", "var/home"), ("root", "var/roothome")]
    {
        symlink(target, root.join(name)).unwrap();
    }
    for directory in ["var/home/ann", "var/roothome", "var/lib/operator", "nonexistent", "usr/local"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
}

/// Runs a judge; a missing one fails the test.
fn judge(program: &str, package: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: install the package {package}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn shadow_utils(program: &str, root: &Path, arguments: &[&str], input: &str) {
    let mut all = vec!["-R", root.to_str().unwrap()];
    all.extend_from_slice(arguments);
    let output = judge(program, "passwd", &all, input);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} (must be root): {error}");
}

fn load(tree: &mut Tree, path: &Path) -> NodeId {
    let stat = fs::symlink_metadata(path).unwrap();
    let meta =
        Meta { mode: (stat.mode() & 0o7777) as u16, uid: stat.uid(), gid: stat.gid(), ..Meta::default() };
    if stat.is_symlink() {
        let target = fs::read_link(path).unwrap();
        return tree.add_symlink(target.to_str().unwrap().as_bytes());
    }
    if stat.is_file() {
        return tree.add_file(meta, Sparse::from_bytes(fs::read(path).unwrap()));
    }
    let directory = tree.add_directory(meta);
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let child = load(tree, &entry.path());
        tree.link(directory, entry.file_name().to_str().unwrap().as_bytes(), child);
    }
    directory
}

fn save(tree: &Tree, node: NodeId, path: &Path) {
    let Node { meta, kind } = tree.node(node);
    match kind {
        Kind::Symlink(target) => {
            symlink(std::str::from_utf8(target).unwrap(), path).unwrap();
            return lchown(path, Some(meta.uid), Some(meta.gid)).unwrap();
        }
        Kind::File(content) => fs::write(path, content.to_vec().unwrap()).unwrap(),
        Kind::Directory(children) => {
            fs::create_dir_all(path).unwrap();
            for (name, &child) in children {
                save(tree, child, &path.join(std::str::from_utf8(name).unwrap()));
            }
        }
        _ => panic!("no such node in these tests"),
    }
    chown(path, Some(meta.uid), Some(meta.gid)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(u32::from(meta.mode))).unwrap();
}

/// A tree in memory, split as a deployment is.
struct Deployment {
    tree: Tree,
    system: System,
}

impl Deployment {
    fn of(path: &Path) -> Self {
        let mut tree = Tree::new(Meta::root(0o755));
        let deployment = load(&mut tree, path);
        let etc = tree.unlink(deployment, b"etc").unwrap();
        let var = tree.unlink(deployment, b"var").unwrap();
        Self { tree, system: System { deployment, etc, var } }
    }

    fn apply(&mut self, blueprint: &str) -> anyhow::Result<()> {
        let blueprint = Blueprint::from_yaml(blueprint, "test.yaml")?;
        let time = Time { seconds: EPOCH, nanoseconds: 0 };
        apply(&mut self.tree, &self.system, &blueprint, time, &SEED)
    }

    fn refusal(&mut self, blueprint: &str) -> String {
        format!("{:#}", self.apply(blueprint).expect_err(blueprint))
    }

    /// Everything, written out.
    fn save(&self, path: &Path) {
        save(&self.tree, self.system.deployment, path);
        save(&self.tree, self.system.etc, &path.join("etc"));
        save(&self.tree, self.system.var, &path.join("var"));
    }

    fn at(&self, start: NodeId, path: &str) -> &Node {
        self.tree.node(self.tree.lookup_from(start, path).unwrap_or_else(|| panic!("{path}")))
    }

    fn text(&self, start: NodeId, path: &str) -> String {
        let Kind::File(content) = &self.at(start, path).kind else { panic!("{path}") };
        String::from_utf8(content.to_vec().unwrap()).unwrap()
    }

    fn shadow_password(&self, user: &str) -> String {
        let shadow = self.text(self.system.etc, "shadow");
        let line = shadow.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap();
        line.split(':').nth(1).unwrap().to_owned()
    }
}

/// Path to mode, owner, group and content or target of everything below `path`.
fn listing(path: &Path) -> BTreeMap<String, (u32, u32, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut queue = vec![path.to_owned()];
    while let Some(at) = queue.pop() {
        let stat = fs::symlink_metadata(&at).unwrap();
        let content = if stat.is_symlink() {
            fs::read_link(&at).unwrap().to_str().unwrap().as_bytes().to_vec()
        } else if stat.is_file() {
            fs::read(&at).unwrap()
        } else {
            queue.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        };
        let name = at.strip_prefix(path).unwrap().to_str().unwrap().to_owned();
        found.insert(name, (stat.mode(), stat.uid(), stat.gid(), content));
    }
    found
}

/// pwck's and grpck's complaints; empty if there are none.
fn complaints(root: &Path) -> String {
    let root = root.to_str().unwrap();
    let mut found = String::new();
    for program in ["pwck", "grpck"] {
        let output = judge(program, "passwd", &["-r", "-R", root], "");
        if !output.status.success() {
            found.push_str(&format!("{program}: "));
            found.push_str(&String::from_utf8_lossy(&output.stdout));
            found.push_str(&String::from_utf8_lossy(&output.stderr));
        }
    }
    found
}

const USERS: &str = "
customizations:
  user:
    - {name: alice, description: The admin, groups: [adm, sudo], shell: /bin/bash, password: 'hunter 2'}
    - {name: bob, uid: 5000, password: $6$abcdefgh$yVfUwsw5T.JApa8POvClA1pQ5peiq97DUNyXCZN5IrF.BMSkiaLSVpvpuUXcqkUI.5jBKyWn/AwSIvK0bj4bC1}
    - {name: carol}
    - {name: dave, gid: 100, home: /var/lib/dave}
    - {name: eve}
    - {name: high, uid: 70000}
    - {name: root, password: toor}
    - {name: ann, groups: [adm, users], description: Ann B, shell: /bin/sh, expiredate: 2031-02-03}
    - {name: fay, groups: [crew], expiredate: 22279, force_password_reset: true}
    - {name: gus, gid: 4000, password: again, force_password_reset: true}
  group:
    - {name: crew}
    - {name: fleet, gid: 4000}
    - {name: ann, gid: 1000}
";

/// The same with the tools of the image; passwords by their hashes, which `ours` made.
fn users_by_shadow_utils(root: &Path, ours: &Deployment) {
    let useradd = |arguments: &[&str]| shadow_utils("useradd", root, arguments, "");
    shadow_utils("groupadd", root, &["crew"], "");
    shadow_utils("groupadd", root, &["-g", "4000", "fleet"], "");
    useradd(&["-m", "-c", "The admin", "-G", "adm,sudo", "-s", "/bin/bash", "alice"]);
    useradd(&["-m", "-u", "5000", "bob"]);
    useradd(&["-m", "carol"]);
    useradd(&["-m", "-g", "100", "-d", "/var/lib/dave", "dave"]);
    useradd(&["-m", "eve"]);
    useradd(&["-m", "-u", "70000", "high"]);
    shadow_utils("usermod", root, &["-a", "-G", "adm,users", "-c", "Ann B", "-s", "/bin/sh", "ann"], "");
    useradd(&["-m", "-G", "crew", "-e", "2030-12-31", "fay"]);
    useradd(&["-m", "-g", "4000", "gus"]);
    shadow_utils("usermod", root, &["-e", "2031-02-03", "ann"], "");
    let passwords: Vec<_> =
        ["alice", "bob", "root", "gus"].map(|user| format!("{user}:{}\n", ours.shadow_password(user))).into();
    shadow_utils("chpasswd", root, &["-e"], &passwords.concat());
    for user in ["fay", "gus"] {
        shadow_utils("chage", root, &["-d", "0", user], "");
    }
}

fn compare_with_shadow_utils(more: &str) {
    let directory = tempfile::tempdir().unwrap();
    let (theirs, written) = (directory.path().join("theirs"), directory.path().join("ours"));
    fs::create_dir(&theirs).unwrap();
    image(&theirs, more);
    assert_eq!(complaints(&theirs), "", "the fixture itself");
    let mut ours = Deployment::of(&theirs);
    ours.apply(USERS).unwrap();
    ours.save(&written);
    users_by_shadow_utils(&theirs, &ours);
    for name in ACCOUNT_FILES {
        let text = |root: &Path| fs::read_to_string(root.join("etc").join(name)).unwrap();
        assert_eq!(text(&written), text(&theirs), "{name} with {more:?}");
        let meta = |root: &Path| fs::metadata(root.join("etc").join(name)).unwrap();
        let owner = |root: &Path| (meta(root).mode(), meta(root).uid(), meta(root).gid());
        assert_eq!(owner(&written), owner(&theirs), "{name} with {more:?}");
    }
    for place in ["var/home", "var/lib"] {
        assert_eq!(listing(&written.join(place)), listing(&theirs.join(place)), "{place} with {more:?}");
    }
    assert_eq!(complaints(&written), "");
}

#[test]
fn users_are_what_shadow_utils_makes_with_private_groups() {
    compare_with_shadow_utils("USERGROUPS_ENAB yes\nUMASK 022");
}

#[test]
fn users_are_what_shadow_utils_makes_with_home_mode() {
    compare_with_shadow_utils("USERGROUPS_ENAB yes\nUMASK 022\nHOME_MODE 0700\nPASS_MIN_DAYS 3");
}

#[test]
fn users_are_what_shadow_utils_makes_without_private_groups() {
    compare_with_shadow_utils("USERGROUPS_ENAB no\nUMASK 027");
}

#[test]
fn users_are_what_shadow_utils_makes_when_the_range_is_nearly_full() {
    compare_with_shadow_utils("USERGROUPS_ENAB yes\nUID_MAX 5001\nGID_MAX 5001");
}

/// One step of a generator that gives the same numbers at every run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Keys of a user for the blueprint, and the same for useradd.
fn random_user(state: &mut u64, name: &str) -> (String, Vec<String>) {
    let (mut keys, mut arguments) = (format!("name: {name}"), vec!["-m".to_owned()]);
    let choice = |state: &mut u64, values: &[u64]| values[random(state) as usize % values.len()];
    if random(state).is_multiple_of(3) {
        let uid = choice(state, &[0, 100, 998, 999, 1000, 1001, 1002, 1005, 1008, 1009, 1010, 60001, 65534]);
        keys += &format!(", uid: {uid}");
        arguments.extend(["-u".to_owned(), uid.to_string()]);
    }
    if random(state).is_multiple_of(5) {
        let gid = choice(state, &[4, 12, 100, 1000, 1001]);
        keys += &format!(", gid: {gid}");
        arguments.extend(["-g".to_owned(), gid.to_string()]);
    }
    if random(state).is_multiple_of(2) {
        let groups = ["adm", "sudo,users", "adm,taken,sudo", "nosuch"][random(state) as usize % 4];
        keys += &format!(", groups: [{groups}]");
        arguments.extend(["-G".to_owned(), groups.to_owned()]);
    }
    arguments.push(name.to_owned());
    (keys, arguments)
}

#[test]
fn any_users_are_accepted_or_refused_as_useradd_does() {
    let (mut state, mut counted) = (5, [0, 0]);
    for round in 0..8 {
        let directory = tempfile::tempdir().unwrap();
        let theirs = directory.path();
        let last = 1006 + random(&mut state) % 4;
        let groups = if round % 3 == 0 { "no" } else { "yes" };
        let counts = 30_000 + random(&mut state) % 70_000;
        image(
            theirs,
            &format!("USERGROUPS_ENAB {groups}\nUID_MAX {last}\nGID_MAX {last}\nSUB_UID_COUNT {counts}"),
        );
        let mut ours = Deployment::of(theirs);
        for name in ["u0", "taken", "u2", "u3", "u4", "u5", "u6", "u7"] {
            let (keys, arguments) = random_user(&mut state, name);
            let mut all = vec!["-R", theirs.to_str().unwrap()];
            all.extend(arguments.iter().map(String::as_str));
            let output = judge("useradd", "passwd", &all, "");
            let before = ours.tree.clone();
            let result = ours.apply(&format!("customizations: {{user: [{{{keys}}}]}}"));
            let said =
                format!("{keys}: ours {result:?}, useradd {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(result.is_ok(), output.status.success(), "{said}");
            counted[usize::from(result.is_ok())] += 1;
            if result.is_err() {
                ours.tree = before;
            }
            for file in ACCOUNT_FILES {
                let text = fs::read_to_string(theirs.join("etc").join(file)).unwrap();
                assert_eq!(ours.text(ours.system.etc, file), text, "{file}, round {round}, {said}");
            }
        }
    }
    assert!(counted.iter().all(|&count| count > 20), "{counted:?} refused and accepted");
}

/// By itself, because useradd needs /proc below its root to copy directories.
#[test]
fn directories_of_the_skeleton_are_copied_and_owned() {
    let directory = tempfile::tempdir().unwrap();
    let (root, written) = (directory.path().join("image"), directory.path().join("ours"));
    image(&root, "USERGROUPS_ENAB yes");
    put(&root, "etc/skel/.config/deep/x", 0o600, "x\n");
    fs::set_permissions(root.join("etc/skel/.config"), fs::Permissions::from_mode(0o750)).unwrap();
    let mut ours = Deployment::of(&root);
    ours.apply("customizations: {user: [{name: alice}]}").unwrap();
    ours.save(&written);
    let mut expected = listing(&root.join("etc/skel"));
    for (name, (_, uid, gid, content)) in &mut expected {
        (*uid, *gid) = (1001, 1002);
        if name == ".profile" {
            *content = b"/home/alice/.bashrc".to_vec();
        }
    }
    assert_eq!(listing(&written.join("var/home/alice")), expected);
}

#[test]
fn pwck_and_grpck_say_no() {
    let directory = tempfile::tempdir().unwrap();
    for (name, line) in [("passwd", "alice:x:1001:1001::/home/alice\n"), ("group", "adm:x:4:\n")] {
        let root = directory.path().join(name);
        fs::create_dir(&root).unwrap();
        image(&root, "");
        let path = root.join("etc").join(name);
        fs::write(&path, fs::read_to_string(&path).unwrap() + line).unwrap();
        assert_ne!(complaints(&root), "", "{name}");
    }
}

#[test]
fn openssl_agrees_with_the_hash() {
    let directory = tempfile::tempdir().unwrap();
    image(directory.path(), "");
    let mut ours = Deployment::of(directory.path());
    ours.apply(USERS).unwrap();
    for (user, password, same) in
        [("alice", "hunter 2", true), ("root", "toor", true), ("root", "Toor", false)]
    {
        let field = ours.shadow_password(user);
        let salt = field.split('$').nth(2).unwrap();
        let output = judge("openssl", "openssl", &["passwd", "-6", "-salt", salt, password], "");
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end() == field, same, "{user}");
    }
    let salts = ["alice", "root"].map(|user| ours.shadow_password(user)[..20].to_owned());
    assert_ne!(salts[0], salts[1]);
}

#[test]
fn keys_land_where_sshd_looks_and_are_keys() {
    let directory = tempfile::tempdir().unwrap();
    image(directory.path(), "");
    fs::remove_dir(directory.path().join("var/roothome")).unwrap();
    let mut ours = Deployment::of(directory.path());
    let blueprint =
        format!("customizations: {{user: [{{name: admin, key: {KEY}}}, {{name: root, key: {KEY}}}]}}");
    ours.apply(&blueprint).unwrap();
    ours.apply(&format!("customizations: {{user: [{{name: admin, key: {KEY}}}]}}")).unwrap();
    for (home, id) in [("home/admin", 1001), ("roothome", 0)] {
        let path = format!("{home}/.ssh/authorized_keys");
        for (path, mode) in [(format!("{home}/.ssh"), 0o700), (path.clone(), 0o600)] {
            let meta = &ours.at(ours.system.var, &path).meta;
            assert_eq!((meta.mode, meta.uid), (mode, id), "{path}");
        }
        let text = ours.text(ours.system.var, &path);
        assert_eq!(text, format!("{KEY}\n"));
        let output = judge("ssh-keygen", "openssh-client", &["-l", "-f", "-"], &text);
        assert!(output.status.success(), "{output:?}");
        let output =
            judge("ssh-keygen", "openssh-client", &["-l", "-f", "-"], &text.replace("AAAAC3", "AAAAC4"));
        assert!(!output.status.success(), "{output:?}");
    }
    assert_eq!(ours.at(ours.system.var, "roothome").meta.mode, 0o700);
}

#[test]
fn files_follow_the_links_of_the_image_and_keep_what_they_replace() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    image(root, "");
    fs::remove_dir(root.join("usr/local")).unwrap();
    symlink("../var/usrlocal", root.join("usr/local")).unwrap();
    put(root, "etc/sudoers", 0o440, "old\n");
    chown(root.join("etc/sudoers"), Some(0), Some(4)).unwrap();
    symlink("../usr/share/zoneinfo/UTC", root.join("etc/localtime")).unwrap();
    put(root, "etc/hostname", 0o600, "old\n");
    let mut ours = Deployment::of(root);
    let before = ours.at(ours.system.etc, "sudoers").meta.clone();
    let shared = ours.tree.lookup_from(ours.system.etc, "sudoers").unwrap();
    ours.apply(
        "
customizations:
  hostname: box
  user: [{name: admin}]
  files:
    - {path: /etc/sudoers, data: new}
    - {path: /etc/localtime, data: TZif}
    - {path: /etc/a/b/c, data: c, user: admin, group: adm, mode: '0640'}
    - {path: /usr/local/bin/run, mode: '0755'}
    - {path: /root/.vimrc, user: 7, group: 8}
    - {path: /home/admin/x}
",
    )
    .unwrap();
    let System { etc, var, .. } = ours.system;
    assert_eq!(ours.text(etc, "hostname"), "box\n");
    assert_eq!(ours.at(etc, "hostname").meta.mode, 0o600);
    assert_eq!(ours.text(etc, "sudoers"), "new");
    let kept = Meta { mtime: Time { seconds: EPOCH, nanoseconds: 0 }, ..before };
    assert_eq!(ours.at(etc, "sudoers").meta, kept);
    let Kind::File(content) = &ours.tree.node(shared).kind else { panic!() };
    assert_eq!(content.to_vec().unwrap(), b"old\n", "the old node is as it was");
    assert_eq!(ours.text(etc, "localtime"), "TZif");
    let meta = &ours.at(etc, "a/b/c").meta;
    assert_eq!((meta.mode, meta.uid, meta.gid), (0o640, 1001, 4));
    assert_eq!(ours.at(etc, "a/b").meta.mode, 0o755);
    assert_eq!(ours.at(var, "usrlocal/bin/run").meta.mode, 0o755);
    assert_eq!((ours.at(var, "roothome/.vimrc").meta.uid, ours.at(var, "home/admin/x").meta.uid), (7, 0));
}

#[test]
fn nodes_of_the_image_stay_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    image(directory.path(), "");
    let mut ours = Deployment::of(directory.path());
    let (count, all) = (ours.tree.node_count(), ours.tree.clone());
    ours.apply(USERS).unwrap();
    ours.apply("customizations: {hostname: h, files: [{path: /etc/skel/.bashrc, mode: '0600'}]}").unwrap();
    let shown = |tree: &Tree, start: NodeId| {
        let mut tree = tree.clone();
        tree.set_root(start);
        let nodes: Vec<_> = tree.walk().map(|(path, id)| (path, format!("{:?}", tree.node(id)))).collect();
        nodes
    };
    assert!(ours.tree.node_count() > count);
    assert_eq!(shown(&ours.tree, ours.system.deployment), shown(&all, ours.system.deployment));
    for (_, id) in {
        let mut tree = all.clone();
        tree.set_root(ours.system.etc);
        tree.walk().collect::<Vec<_>>()
    } {
        let (old, new) = (all.node(id), ours.tree.node(id));
        assert_eq!(old.meta, new.meta);
        if !matches!(old.kind, Kind::Directory(_)) {
            assert_eq!(format!("{old:?}"), format!("{new:?}"));
        }
    }
}

#[test]
fn accounts_of_an_altfiles_image_are_found_and_copied() {
    let directory = tempfile::tempdir().unwrap();
    image(directory.path(), "USERGROUPS_ENAB yes");
    put(directory.path(), "usr/lib/passwd", 0o644, "core:x:1001:1001::/home/core:/bin/bash\n");
    put(directory.path(), "usr/lib/group", 0o644, "wheel:x:10:core\ncore:x:1002:\n");
    let mut ours = Deployment::of(directory.path());
    let blueprint = "customizations: {user: [{name: admin, groups: [wheel]}, {name: core, password: x}]}";
    ours.apply(blueprint).unwrap();
    let etc = ours.system.etc;
    assert!(
        ours.text(etc, "passwd")
            .ends_with("admin:x:1002:1003::/home/admin:/bin/sh\ncore:x:1001:1001::/home/core:/bin/bash\n")
    );
    assert!(ours.text(etc, "group").ends_with("admin:x:1003:\nwheel:x:10:core,admin\n"));
    assert!(ours.text(etc, "gshadow").ends_with("admin:!::\nwheel:!::core,admin\n"));
    assert!(ours.shadow_password("core").starts_with("$6$"));
}

/// A snippet below `customizations` and a part of its refusal.
const REFUSED: &[(&str, &str)] = &[
    ("user: [{name: a, groups: [wheel]}]", "the image has no group wheel"),
    ("user: [{name: a, shell: /bin/zsh}]", "the image has no shell /bin/zsh"),
    ("user: [{name: a, shell: /etc/passwd}]", "not an executable file"),
    ("user: [{name: a, uid: 0}]", "belongs to the user root"),
    ("user: [{name: a, gid: 12}]", "no group with this id"),
    ("user: [{name: taken}]", "already has a group taken; to make it the user's group, give gid: 1001"),
    ("user: [{name: ann, uid: 7}]", "the image already has this user with uid 1000"),
    ("user: [{name: a, home: /usr/a}]", "part of the read-only image"),
    ("user: [{name: a, home: /loop/a}]", "too many symbolic links"),
    ("user: [{name: daemon, key: KEY}]", "part of the read-only image"),
    ("files: [{path: /etc/x, user: nosuch}]", "the image has no user nosuch"),
    ("files: [{path: /etc/x, group: nosuch}]", "the image has no group nosuch"),
    ("files: [{path: /escape/x}]", "part of the read-only image"),
    ("files: [{path: /var/to-etc/passwd}]", "use customizations.user"),
    ("files: [{path: /opt/x}]", "part of the read-only image"),
    ("files: [{path: /etc/default}]", "is a directory"),
    ("files: [{path: /etc/passwd/x}]", "is not a directory"),
];

#[test]
fn what_the_image_cannot_give_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    image(root, "USERGROUPS_ENAB yes");
    symlink("loop", root.join("loop")).unwrap();
    symlink("../../../../usr/lib", root.join("escape")).unwrap();
    symlink("../etc", root.join("var/to-etc")).unwrap();
    fs::create_dir(root.join("opt")).unwrap();
    for (snippet, part) in REFUSED {
        let found =
            Deployment::of(root).refusal(&format!("customizations:\n  {}\n", snippet.replace("KEY", KEY)));
        assert!(found.contains(part), "{snippet}\n{found}");
    }
}

#[test]
fn broken_account_files_are_errors_or_kept_and_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    image(directory.path(), "USERGROUPS_ENAB yes");
    let good = Deployment::of(directory.path());
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for round in 0..600 {
        let name =
            ["passwd", "group", "shadow", "gshadow", "subuid", "login.defs", "default/useradd"][round % 7];
        let mut ours = Deployment { tree: good.tree.clone(), system: good.system };
        let mut text = ours.text(ours.system.etc, name).into_bytes();
        for _ in 0..3 {
            let at = random() % text.len();
            let end = (at + random() % 8).min(text.len());
            let piece: &[u8] =
                [b":".as_slice(), b"\n", b"99999999999999999999", b"+", b"\xff", b"", b"4294967295"]
                    [random() % 7];
            text.splice(at..end, piece.iter().copied());
        }
        let file = ours.tree.add_file(Meta::root(0o644), Sparse::from_bytes(text));
        let (parent, last) = name.rsplit_once('/').unwrap_or(("", name));
        let parent = ours.tree.lookup_from(ours.system.etc, parent).unwrap();
        ours.tree.link(parent, last.as_bytes(), file);
        let _ = ours.apply(
            "customizations: {user: [{name: a, groups: [adm]}, {name: ann, key: KEY}]}"
                .replace("KEY", KEY)
                .as_str(),
        );
    }
}
