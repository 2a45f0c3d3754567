//! Blueprint texts and what they mean, or exactly how they are refused.

use super::*;

/// The public half of a key pair made for these tests.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILAF64YtqEUoIpnBWoMjwrS1TLaHViT/qeVG98n9ycdG admin@example.com";

const GOOD: &str = r#"
name: server
version: "1.0"
customizations:
  hostname: server.example.com
  user:
    - name: admin
      description: The admin
      password: $6$abcdefgh$sTAzBvBj7XbEm6uVSbrgcVNqtfN/8yR0UfR1g4rkqUDOQ1xkc4DWdvWQQOvIi3y2gTc2eCeT2yqfRk9oTQKAF.
      key: KEY
      groups: [sudo, adm]
      uid: 1200
    - name: root
      password: plain
  kernel:
    append: quiet console=ttyS0,115200 dyndbg="file a.c +p"
  files:
    - path: /etc/motd
      data: |
        hello
      mode: "0640"
      user: admin
      group: 4
    - path: /usr/local/bin/run
      mode: 0755
"#;

fn good(text: &str) -> Blueprint {
    Blueprint::from_yaml(&text.replace("KEY", KEY), "b.yaml").unwrap_or_else(|error| panic!("{error}"))
}

fn bad(text: &str) -> String {
    Blueprint::from_yaml(text, "b.yaml").expect_err(text).to_string()
}

#[test]
fn every_key_is_read() {
    let blueprint = good(GOOD);
    assert_eq!(blueprint.kernel_arguments(), ["quiet", "console=ttyS0,115200", "dyndbg=\"file a.c +p\""]);
    let Customizations { user, hostname, files, .. } = blueprint.customizations;
    assert_eq!(hostname.as_deref(), Some("server.example.com"));
    assert_eq!(user.len(), 2);
    assert_eq!(user[0].uid, Some(1200));
    assert_eq!(user[0].groups, ["sudo", "adm"]);
    assert_eq!(files[0].data, "hello\n");
    assert_eq!(files[0].mode, Some(Mode(0o640)));
    assert_eq!(files[0].user, Some(Owner::Name("admin".into())));
    assert_eq!(files[0].group, Some(Owner::Id(4)));
    assert_eq!(files[1].mode, Some(Mode(0o755)));
}

#[test]
fn the_wrapper_and_empty_texts_are_accepted() {
    assert_eq!(good(""), Blueprint::default());
    assert_eq!(good("---\n"), Blueprint::default());
    assert_eq!(good("customizations:\n  user:\n  hostname:\n"), Blueprint::default());
    let wrapped = good("{\"blueprint\": {\"name\": \"x\", \"customizations\": {\"hostname\": \"h\"}}}");
    assert_eq!(wrapped, good("name: x\ncustomizations: {hostname: h}\n"));
}

/// Each text and the whole error it gives.
const GOLDEN: &[(&str, &str)] = &[
    (
        "customizations:\n  user:\n    - name: a\n      shel: /bin/sh\n",
        "b.yaml:4:7: customizations.user[0].shel: unknown key
  |
4 |       shel: /bin/sh
  |       ^^^^
  = did you mean `shell`?",
    ),
    (
        "customizations:\n  users: []\n",
        "b.yaml:2:3: customizations.users: unknown key
  |
2 |   users: []
  |   ^^^^^
  = did you mean `user`?",
    ),
    (
        "colour: blue\n",
        "b.yaml:1:1: colour: unknown key
  |
1 | colour: blue
  | ^^^^^^
  = allowed here: name, description, version, customizations, vm",
    ),
    (
        "customizations:\n  rpm:\n    import_keys: {files: [/a]}\n",
        "b.yaml:2:3: customizations.rpm: belongs in the Containerfile
  |
2 |   rpm:
  |   ^^^",
    ),
    (
        "packages:\n  - name: vim\n",
        "b.yaml:1:1: packages: belongs in the Containerfile
  |
1 | packages:
  | ^^^^^^^^",
    ),
    (
        "name: a\nversion: 1.0\n",
        "b.yaml:2:10: version: expected a string, found a number
  |
2 | version: 1.0
  |          ^^^
  = put it in quotes",
    ),
    (
        "name: a\ndescription: b\nname: c\n",
        "b.yaml:3:1: name: given twice; first on line 1
  |
3 | name: c
  | ^^^^",
    ),
    (
        "customizations:\n  user:\n    - password: secret\n",
        "b.yaml:3:7: customizations.user[0]: the key `name` is missing
  |
3 |     - password: ...
  |       ^",
    ),
    (
        "customizations:\n  user:\n    - {name: a, pasword: secret}\n",
        "b.yaml:3:17: customizations.user[0].pasword: unknown key
  |
3 |     - {name: a, pasword: ...
  |                 ^^^^^^^
  = did you mean `password`?",
    ),
    (
        "customizations:\n  user:\n    - name: a\n      password: 12345\n",
        "b.yaml:4:17: customizations.user[0].password: expected a string, found a number
  |
4 |       password: ...
  |                 ^^^
  = put it in quotes",
    ),
    (
        "customizations:\n  hostname: my_host\n",
        "b.yaml:2:13: customizations.hostname: \"my_host\" is no valid host name
  |
2 |   hostname: my_host
  |             ^^^^^^^
  = labels of letters, digits and inner hyphens, joined by dots (RFC 1123)",
    ),
    (
        "customizations:\n  files:\n    - path: /etc/a\n    - path: /usr/lib/x.conf\n",
        "b.yaml:4:13: customizations.files[1].path: \"/usr/lib/x.conf\" is part of the image and belongs in the Containerfile
  |
4 |     - path: /usr/lib/x.conf
  |             ^^^^^^^^^^^^^^^",
    ),
    (
        "customizations:\n  files:\n    - path: /etc/a\n      mode: 644\n",
        "b.yaml:4:13: customizations.files[0].mode: expected a string, found a number
  |
4 |       mode: 644
  |             ^^^
  = put it in quotes",
    ),
    (
        "customizations:\n  user: root\n",
        "b.yaml:2:9: customizations.user: expected a list, found a string
  |
2 |   user: root
  |         ^^^^",
    ),
    (
        "customizations:\n\tuser: []\n",
        "b.yaml:2:2: not valid YAML: tabs disallowed within this context (block indentation)
  |
2 | \tuser: []
  | \t^
  = YAML is indented with spaces",
    ),
    (
        "a: [1, 2\nb: 3\n",
        "b.yaml:2:2: a: not valid YAML: illegal placement of ':' indicator
  |
2 | b: 3
  |  ^",
    ),
    (
        "customizations:\n  user:\n    - &a {name: x}\n    - *a\n",
        "b.yaml:4:7: customizations.user[1]: aliases are not supported
  |
4 |     - *a
  |       ^^
  = write the value out where it is used",
    ),
    (
        "name: a\n---\nname: b\n",
        "b.yaml:2:1: a second document; a blueprint is one
  |
2 | ---
  | ^^^",
    ),
];

#[test]
fn refusals_show_field_line_and_caret() {
    for (text, expected) in GOLDEN {
        let found = bad(text);
        assert_eq!(found, *expected, "\n{text}\nfound:\n{found}\n");
    }
}

/// A snippet below `customizations` and a part of its refusal.
const REFUSED: &[(&str, &str)] = &[
    ("user: [{name: a}, {name: a}]", "customizations.user[1].name: the user \"a\" is given twice"),
    ("user: [{name: -a}]", "no valid name"),
    ("user: [{name: 'a:b'}]", "no valid name"),
    ("user: [{name: 'a\\nb'}]", "no valid name"),
    ("user: [{name: abcdefghijklmnopqrstuvwxyz0123456}]", "longer than 32"),
    ("user: [{name: a, description: 'x:y'}]", "cannot stand in /etc/passwd"),
    ("user: [{name: a, password: ''}]", "the password is empty"),
    ("user: [{name: a, password: $6$abc}]", "starts like a crypt hash but is none"),
    ("user: [{name: a, home: home/a}]", "not an absolute path"),
    ("user: [{name: a, home: '/home/a:b'}]", "cannot stand in /etc/passwd"),
    ("user: [{name: a, key: AAAA}]", "none of the types"),
    ("user: [{name: a, key: ssh-ed25519}]", "nothing follows"),
    ("user: [{name: a, key: ssh-ed25519 AAA}]", "not base64"),
    ("user: [{name: a, key: ssh-ed25519 AAAAB3NzaC1yc2EAAAAD}]", "not of the type"),
    ("user: [{name: a, uid: -1}]", "out of range"),
    ("user: [{name: a, uid: 4294967295}]", "no id"),
    ("user: [{name: a, uid: 99999999999}]", "out of range"),
    ("user: [{name: a, expiredate: -1}]", "expected a date"),
    ("user: [{name: a, expiredate: 2023-02-29}]", "expected a date"),
    ("group: [{name: a}, {name: a}]", "given twice"),
    ("group: [{name: a, gid: 4294967295}]", "no id"),
    ("sshkey: [{user: a, key: x}]", "no SSH public key"),
    ("directories: [{path: /usr/x}]", "belongs in the Containerfile"),
    ("directories: [{path: x}]", "not an absolute path"),
    ("timezone: {timezone: ../x}", "no name of a time zone"),
    ("timezone: {ntpservers: ['a b']}", "no time server"),
    ("locale: {languages: ['a/b']}", "no locale"),
    ("locale: {keyboard: ''}", "no keymap"),
    ("services: {enabled: [a/b]}", "no name of a unit"),
    ("services: {enabled: [a], masked: [a.service]}", "is enabled as well"),
    ("firewall: {ports: [80]}", "expected a string"),
    ("firewall: {ports: ['80']}", "no port and protocol"),
    ("firewall: {ports: ['0:tcp']}", "neither a port"),
    ("firewall: {ports: ['90-80:tcp']}", "neither a port"),
    ("firewall: {ports: ['80:icmp']}", "no protocol"),
    ("firewall: {zones: [{name: 'a b'}]}", "no zone"),
    ("sshd: {permit_root_login: maybe}", "true, false or one of"),
    ("sshd: {password_authentication: 'yes'}", "expected true or false"),
    ("cacerts: {pem_certs: [x]}", "no certificate in PEM"),
    ("ignition: {embedded: {config: x}}", "neither JSON nor base64"),
    ("ignition: {firstboot: {url: 'ftp://x'}}", "no address that Ignition fetches"),
    ("ignition: {firstboot: {url: 'http://x', empty: true}}", "exclude each other"),
    ("cloud_init: {user_data: x}", "cloud-init would not know"),
    ("bootloader: {grub2: {serial: x}}", "the whole command is wanted"),
    ("bootloader: {grub2: {serial: serial --unit=0;reboot}}", "no command for a serial port"),
    ("bootloader: {grub2: {terminal_input: [a b]}}", "no terminal"),
    ("installer: {sudo-nopasswd: ['a b']}", "no valid name"),
    ("hostname: ''", "no valid host name"),
    ("hostname: -a", "no valid host name"),
    ("hostname: a..b", "no valid host name"),
    ("kernel: {append: 'a=\"b'}", "not closed"),
    ("kernel: {append: 'quiet root=/dev/sda'}", "set by the deployment"),
    ("kernel: {append: \"a=\\\"b\\nc\\\"\"}", "cannot hold"),
    ("kernel: {name: kernel-rt}", "belongs in the Containerfile"),
    ("files: [{path: /etc/passwd}]", "use customizations.user"),
    ("files: [{path: /etc/shadow-}]", "use customizations.user"),
    ("files: [{path: /etc/fstab}]", "partition table"),
    ("files: [{path: /etc/../usr/x}]", "has a part"),
    ("files: [{path: /etc//x}]", "a slash too many"),
    ("files: [{path: /etc/x/}]", "a slash too many"),
    ("files: [{path: etc/x}]", "not an absolute path"),
    ("files: [{path: /etc}]", "is a directory"),
    ("files: [{path: /lib/x}]", "belongs in the Containerfile"),
    ("files: [{path: /run/x}]", "files live in /etc or /var"),
    ("files: [{path: /boot/x}]", "takes no files"),
    ("files: [{path: /etc/a}, {path: /etc/a}]", "given twice"),
    ("files: [{path: /etc/a/b}, {path: /etc/a}]", "nothing can be below it"),
    ("files: [{path: /etc/a, mode: '0888'}]", "octal"),
    ("files: [{path: /etc/a, mode: '17777'}]", "octal"),
    ("files: [{path: /etc/a, user: 'a b'}]", "no valid name"),
    ("files: [{path: /etc/a, user: [a]}]", "expected a name or an id"),
    ("files: [{path: /etc/a, data: 1}]", "put it in quotes"),
    ("files: [{path: /etc/a, uri: 'file:///x'}]", "is not fetched"),
    ("hostname: !!str a", "tags are not supported"),
];

#[test]
fn what_cannot_work_is_refused_with_its_line() {
    for (snippet, part) in REFUSED {
        let found = bad(&format!("customizations:\n  {snippet}\n"));
        assert!(found.contains(part), "{snippet}\n{found}");
        assert!(found.starts_with("b.yaml:2:") && found.contains('^'), "{found}");
    }
}

#[test]
fn a_machine_that_cannot_be_is_refused_with_its_line() {
    for (snippet, part) in [
        ("name: ' '", "vm.name: it is empty"),
        ("network: \"a\\nb\"", "vm.network: \"a\\nb\" holds a control character"),
        ("guest_type: 5", "put it in quotes"),
        ("cpus: 0", "vm.cpus: 0 is not from 1 to 1024"),
        ("cpus: -1", "out of range"),
        ("memory: 1000", "vm.memory: whole MiB are needed"),
        ("memory: 0", "whole MiB are needed"),
        ("firmware: coreboot", "\"coreboot\" is none of efi, uefi, bios"),
        ("{firmware: bios, secure_boot: true}", "vm.secure_boot: a BIOS has no Secure Boot"),
        ("guest: x", "unknown key"),
    ] {
        let found = bad(&format!("vm:\n  {snippet}\n"));
        assert!(found.contains(part), "{snippet}\n{found}");
        assert!(found.starts_with("b.yaml:2:") && found.contains('^'), "{found}");
    }
}

#[test]
fn the_refusal_of_a_password_does_not_show_it() {
    let texts = [
        "customizations: {user: [{name: a, password: $6$hunter2}]}",
        "customizations: {user: [{name: a, password: \"hunter2\\nx\"}]}",
        "customizations: {user: [{name: a, password: [hunter2]}]}",
        "customizations: {user: [{name: a, password: hunter2, shel: x}]}",
        "customizations: {user: [{shel: a, password: hunter2}]}",
        "customizations: {user: [{name: a, pasword: hunter2, shel: x}]}",
        "customizations:\n  user:\n  - name: a\n    password: hunter2: x\n",
        "customizations:\n  user:\n  - name: a\n    password: \"hunter2\" x\n",
        "customizations:\n  user:\n  - name: a\n    password: \"hunter2\n",
        "customizations:\n  user:\n  - name: a\n    password:\n      hunter2: x\n",
        "customizations:\n  user:\n  - name: a\n    password: hunter2\n    password: hunter2\n",
    ];
    for text in texts {
        let found = bad(text);
        assert!(!found.contains("hunter2"), "{found}");
        assert!(found.contains('^'), "{found}");
    }
    let found = bad(texts[3]);
    let line = "1 | customizations: {user: [{name: a, password:.......... shel ...";
    assert!(found.contains(&line.replace(".. shel", "..shel")), "{found}");
}

#[test]
fn the_examples_are_blueprints() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("blueprints");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            Blueprint::from_yaml(&text, path.to_str().unwrap()).unwrap_or_else(|error| panic!("{error}"));
            count += 1;
        }
    }
    assert!(count >= 6);
}

/// The same in the other syntaxes, and the whole error each gives.
const OTHER_SYNTAXES: &[(&str, &str, &str)] = &[
    (
        "b.toml",
        "[[customizations.user]]\nname = \"a\"\nshel = \"/bin/sh\"\n",
        "b.toml:3:1: customizations.user[0].shel: unknown key
  |
3 | shel = \"/bin/sh\"
  | ^^^^
  = did you mean `shell`?",
    ),
    (
        "b.toml",
        "[customizations]\nhostname = 5\n",
        "b.toml:2:12: customizations.hostname: expected a string, found a number
  |
2 | hostname = 5
  |            ^
  = put it in quotes",
    ),
    (
        "b.toml",
        "name = \"a\"\nname = \"b\"\n",
        "b.toml:2:1: not valid TOML: duplicate key
  |
2 | name = \"b\"
  | ^^^^",
    ),
    (
        "b.json",
        "{\n\t\"customizations\": {\"user\": [{\"name\": \"a\", \"uid\": -1}]}\n}",
        "b.json:2:51: customizations.user[0].uid: integer `-1` is out of range, expected u32
  |
2 | \t\"customizations\": {\"user\": [{\"name\": \"a\", \"uid\": -1}]}
  | \t                                                 ^^",
    ),
    (
        "b.json",
        "{\"name\": \"a\", \"name\": \"b\"}",
        "b.json:1:15: name: given twice; first on line 1
  |
1 | {\"name\": \"a\", \"name\": \"b\"}
  |               ^^^^^^",
    ),
    (
        "-",
        "{\"name\": \"a\",}",
        "-:1:14: not valid JSON: expected a key in double quotes
  |
1 | {\"name\": \"a\",}
  |              ^",
    ),
];

#[test]
fn other_syntaxes_have_errors_of_the_same_form() {
    for (name, text, explained) in OTHER_SYNTAXES {
        let found = Document::read(text, name).expect_err(text).to_string();
        assert_eq!(&found, explained, "{text}");
    }
    for (name, text) in [
        ("b.toml", "[[customizations.user]]\nname = \"a\"\npassword = hunter2\n"),
        ("b.toml", "[[customizations.user]]\nname = \"a\"\npassword = \"$6$hunter2\"\n"),
        ("b.json", "{\"customizations\": {\"user\": [{\"name\": \"a\", \"password\": \"$6$hunter2\"}]}}"),
        ("b.json", "{\"customizations\": {\"user\": [{\"password\": \"hunter2\\x\"}]}}"),
    ] {
        let found = Document::read(text, name).expect_err(text).to_string();
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn json_is_read_as_its_standard_says() {
    let read = |text: &str| Document::read(text, "b.json").map(Document::into_blueprint);
    let name = read(r#"{"name": "a\/\ud83d\ude00\u00e9\t"}"#).unwrap().name;
    assert_eq!(name.as_deref(), Some("a/\u{1f600}\u{e9}\t"));
    assert_eq!(read("\t{\r\n}\n").unwrap(), Blueprint::default());
    for text in [
        "",
        "{",
        "{\"a\"}",
        "{\"name\": 'a'}",
        "{\"name\": \"\\ud83d\"}",
        "{} {}",
        "{\"a\": 01}",
        "{\"a\": nul}",
        "{\"name\": \"a\tb\"}",
        "// a\n{}",
        "{\"name\": \"\\",
    ] {
        assert!(read(text).unwrap_err().to_string().starts_with("b.json:"), "{text}");
    }
}

#[test]
fn one_blueprint_in_three_syntaxes_is_one_blueprint() {
    let document = Document::read(&GOOD.replace("KEY", KEY), "b.yaml").unwrap();
    for syntax in [Syntax::Yaml, Syntax::Toml, Syntax::Json] {
        let text = document.write(syntax).unwrap();
        let again = Document::read_as(syntax, &text, "b").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(again.blueprint(), document.blueprint(), "{text}");
        assert_eq!(Syntax::of("-", &text), syntax, "{text}");
    }
}

#[test]
fn wishes_for_nothing_are_no_wishes() {
    let text = "{\"blueprint\": {\"packages\": [], \"distro\": \"\", \"customizations\": {\"rpm\": null}}}";
    assert_eq!(Document::read(text, "b.json").unwrap().into_blueprint(), Blueprint::default());
}

#[test]
fn keys_with_options_and_several_lines_are_accepted() {
    let key = format!("# mine\\nno-pty,command=\\\"a b\\\" {KEY}\\n{KEY}\\n");
    good(&format!("customizations: {{user: [{{name: a, key: \"{key}\"}}]}}"));
}

/// xorshift64*: the same mutations at every run.
fn random(state: &mut u64) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
}

#[test]
fn no_bytes_make_it_panic() {
    const PIECES: &[&[u8]] = &[
        b"\n",
        b"  ",
        b": ",
        b"- ",
        b"[",
        b"{",
        b"]",
        b"\"",
        b"'",
        b"|\n",
        b"&a",
        b"*a",
        b"\t",
        b"#",
        b"?",
        b"\xff",
        b"\0",
        b"---",
        "é".as_bytes(),
    ];
    let mut state = 42;
    let document = Document::read(&GOOD.replace("KEY", KEY), "b.yaml").unwrap();
    for round in 0..4000 {
        let syntax = [Syntax::Yaml, Syntax::Toml, Syntax::Json][round % 3];
        let mut text = document.write(syntax).unwrap().into_bytes();
        for _ in 0..=random(&mut state) % 4 {
            let at = random(&mut state) % text.len();
            let end = (at + random(&mut state) % 6).min(text.len());
            let piece = PIECES[random(&mut state) % PIECES.len()];
            text.splice(at..end, piece.iter().copied());
        }
        match Document::read_as(syntax, &String::from_utf8_lossy(&text), "b") {
            Err(error) => assert!(error.to_string().starts_with("b:")),
            Ok(document) => {
                let json = document.write(Syntax::Json).unwrap();
                let again = Document::read_as(Syntax::Json, &json, "b").unwrap();
                assert_eq!(again.blueprint(), document.blueprint(), "{json}");
            }
        }
    }
}

#[test]
fn deep_nesting_is_an_error() {
    assert!(bad(&"[".repeat(100_000)).contains("b.yaml:"));
    assert!(bad(&format!("a: {}{}", "[".repeat(100), "]".repeat(100))).contains("nested deeper"));
    assert!(bad(&"- ".repeat(10_000)).contains("b.yaml:"));
    for (name, open) in [("b.json", "["), ("b.toml", "a = ["), ("b.toml", "["), ("b.json", "{\"a\":")] {
        assert!(Document::read(&open.repeat(100_000), name).is_err());
    }
    assert!(Document::read(&format!("a = {}", "[".repeat(100_000)), "b.toml").is_err());
}
