//! Images that want other images beside them: refused by name, or built without them by name.

use super::{
    Desk, refuse_image,
    tiny::{Member, Tiny},
};

const DIRECTORY: &str = "usr/lib/bootc/bound-images.d";
const CADDY: &str = "registry.example.com/caddy:2";
const AGENT: &str = "registry.example.com/agent@sha256:aa";

/// A Quadlet file of each kind, and a link that leads nowhere.
fn image() -> Tiny {
    let link = |name: &str, target: &str| Member::symlink(format!("{DIRECTORY}/{name}"), target);
    Tiny::default()
        .with_file("usr/share/containers/systemd/caddy.image", format!("[Image]\nImage={CADDY}\n"))
        .with_file("usr/share/containers/systemd/agent.container", format!("[Container]\nImage = {AGENT}\n"))
        .with(link("caddy.image", "/usr/share/containers/systemd/caddy.image"))
        .with(link("agent.container", "../../../share/containers/systemd/agent.container"))
        .with(link("gone.image", "/nowhere"))
}

#[test]
fn they_are_refused_with_the_name_of_each() {
    let gone = format!("/{DIRECTORY}/gone.image");
    let words = ["bound images", DIRECTORY, CADDY, "caddy.image", AGENT, &gone, "hint: --skip-bound-images"];
    refuse_image(&image(), &words);
}

#[test]
fn a_message_stays_short() {
    let mut many = Tiny::default();
    for number in 0..500 {
        many =
            many.with_file(&format!("{DIRECTORY}/{number:03}.image"), format!("[Image]\nImage=r/{number}\n"));
    }
    refuse_image(&many, &["r/9 (009.image) and 490 more"]);
}

#[test]
fn without_them_the_disk_is_built_and_they_are_named() {
    let desk = Desk::new();
    let layout = image().write();
    let arguments = ["--skip-bound-images", "--size", "fit", "--progress", "verbose", &layout.reference()];
    let output = desk.command(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for name in [CADDY, AGENT] {
        assert!(said.contains("left out: ") && said.contains(name), "{said}");
    }
    assert!(desk.path().join("out/image/disk.raw").is_file());
}
