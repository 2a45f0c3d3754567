//! Blueprints that ask for what is not there or not allowed.

use std::fs;

use super::{INPUT, refuse, tiny::Tiny};

#[track_caller]
fn refuse_blueprint(text: impl AsRef<[u8]>, words: &[&str]) {
    let layout = Tiny::default().write();
    let path = layout.path().join("server.yaml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    refuse(&["--blueprint", path, &layout.reference()], INPUT, words);
}

#[test]
fn unknown_key() {
    let text = "customizations:\n  user:\n    - name: a\n      shel: /bin/sh\n";
    refuse_blueprint(text, &["server.yaml:4:7", "customizations.user[0].shel", "did you mean `shell`"]);
}

#[test]
fn wrong_type() {
    refuse_blueprint(
        "customizations:\n  hostname: [a]\n",
        &["server.yaml:2", "customizations.hostname", "list"],
    );
}

#[test]
fn broken_yaml() {
    refuse_blueprint("customizations: {\n", &["server.yaml", "YAML"]);
}

#[test]
fn not_text() {
    refuse_blueprint(b"name: \xff\n", &["server.yaml", "UTF-8"]);
}

#[test]
fn nested_deeply() {
    refuse_blueprint("[".repeat(200_000), &["server.yaml:1:", "recursion limit"]);
}

#[test]
fn aliases() {
    refuse_blueprint("name: &a x\ndescription: *a\n", &["server.yaml:2", "aliases"]);
}

#[test]
fn user_in_unknown_group() {
    let text = "customizations:\n  user:\n    - name: anna\n      groups: [nogroup]\n";
    refuse_blueprint(text, &["anna", "nogroup"]);
}

#[test]
fn user_with_missing_shell() {
    let text = "customizations:\n  user:\n    - name: anna\n      shell: /bin/zsh\n";
    refuse_blueprint(text, &["anna", "/bin/zsh"]);
}

#[test]
fn file_outside_policy() {
    let text = "customizations:\n  files:\n    - path: /usr/bin/evil\n      data: x\n";
    refuse_blueprint(
        text,
        &["server.yaml:3", "customizations.files[0].path", "/usr/bin/evil", "Containerfile"],
    );
}

#[test]
fn file_that_climbs() {
    let text = "customizations:\n  files:\n    - path: /etc/../usr/x\n";
    refuse_blueprint(text, &["customizations.files[0].path", "/etc/../usr/x", ".."]);
}

#[test]
fn file_for_unknown_user() {
    let text = "customizations:\n  files:\n    - path: /etc/x\n      user: nobody9\n";
    refuse_blueprint(text, &["/etc/x", "nobody9"]);
}

/// A password is not repeated in a message.
#[test]
fn password_that_is_no_hash() {
    let layout = Tiny::default().write();
    let path = layout.path().join("server.yaml");
    fs::write(&path, "customizations:\n  user:\n    - name: a\n      password: $6$secret\n").unwrap();
    let desk = super::Desk::new();
    let output =
        desk.command(&["--blueprint", path.to_str().unwrap(), &layout.reference()]).output().unwrap();
    super::assert_refused(&output, INPUT, &["customizations.user[0].password", "crypt"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("secret"));
}

#[test]
fn missing_file() {
    let layout = Tiny::default().write();
    refuse(&["-b", "/nonexistent.yaml", &layout.reference()], INPUT, &["/nonexistent.yaml", "No such file"]);
}

#[test]
fn endless_file() {
    let layout = Tiny::default().write();
    refuse(&["-b", "/dev/zero", &layout.reference()], INPUT, &["/dev/zero", "16777216"]);
}

/// Nor where it only stands beside what is wrong.
#[test]
fn password_beside_a_mistake() {
    for user in ["{name: a, password: secret, shel: x}", "{name: a, password: \"secret}"] {
        let layout = Tiny::default().write();
        let path = layout.path().join("server.yaml");
        fs::write(&path, format!("customizations:\n  user:\n    - {user}\n")).unwrap();
        let desk = super::Desk::new();
        let output = desk.command(&["-b", path.to_str().unwrap(), &layout.reference()]).output().unwrap();
        super::assert_refused(&output, INPUT, &["server.yaml:"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("secret"), "{said}");
    }
}

/// Looking for each key among all before it would take minutes.
#[test]
fn very_many_keys() {
    let keys: String = (0..200_000).map(|index| format!("k{index}: 1\n")).collect();
    refuse_blueprint(keys, &["server.yaml:1", "k0", "unknown key"]);
}
