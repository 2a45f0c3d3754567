//! Layouts, manifests and configs that lie, and images that cannot boot.

use std::fs;

use serde_json::json;

use super::{
    Desk, INPUT, USAGE, refuse, refuse_image,
    tiny::{Layout, Member, Tiny, digest},
};

#[track_caller]
fn refuse_layout(layout: &Layout, words: &[&str]) {
    refuse(&[&layout.reference()], INPUT, words);
}

#[test]
fn truncated_layer() {
    let layout = Tiny::default().write();
    let path = layout.layer_path(0);
    let blob = fs::read(&path).unwrap();
    fs::write(&path, &blob[..blob.len() / 2]).unwrap();
    let (found, wanted) = ((blob.len() / 2).to_string(), blob.len().to_string());
    refuse_layout(&layout, &["layer 1 of 1", &layout.layer_digest(0), &found, &wanted]);
}

#[test]
fn layer_with_wrong_digest() {
    let layout = Tiny::default().write();
    let path = layout.layer_path(0);
    let mut blob = fs::read(&path).unwrap();
    let last = blob.len() - 1;
    blob[last] ^= 1;
    fs::write(&path, &blob).unwrap();
    refuse_layout(&layout, &["layer 1 of 1", &layout.layer_digest(0), &digest(&blob)]);
}

#[test]
fn layer_with_wrong_size() {
    let layout = Tiny::default().write();
    layout.edit_manifest(|manifest| manifest["layers"][0]["size"] = json!(7));
    refuse_layout(&layout, &["layer 1 of 1", &layout.layer_digest(0), "7"]);
}

#[test]
fn layer_with_negative_size() {
    let layout = Tiny::default().write();
    layout.edit_manifest(|manifest| manifest["layers"][0]["size"] = json!(-7));
    refuse_layout(&layout, &["layers[0].size", "-7"]);
}

#[test]
fn layer_with_wrong_diff_id() {
    let layout = Tiny::default().write();
    let wrong = digest(b"other");
    layout.edit_config(|config| config["rootfs"]["diff_ids"][0] = json!(wrong));
    refuse_layout(&layout, &["layer 1 of 1", "diff_id", &wrong]);
}

#[test]
fn fewer_diff_ids_than_layers() {
    let layout = Tiny::default().write();
    layout.edit_config(|config| config["rootfs"]["diff_ids"] = json!([]));
    refuse_layout(&layout, &["1 layers", "0 diff_ids"]);
}

#[test]
fn missing_blob() {
    let layout = Tiny::default().write();
    fs::remove_file(layout.layer_path(0)).unwrap();
    refuse_layout(&layout, &["layer 1 of 1", &layout.layer_digest(0)]);
}

#[test]
fn blob_is_a_directory() {
    let layout = Tiny::default().write();
    let path = layout.layer_path(0);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refuse_layout(&layout, &["layer 1 of 1", "directory"]);
}

#[test]
fn digest_that_leads_elsewhere() {
    let layout = Tiny::default().write();
    layout.edit_manifest(|manifest| manifest["layers"][0]["digest"] = json!("sha256:../../index.json"));
    refuse_layout(&layout, &["layers[0]", "../../index.json"]);
}

#[test]
fn manifest_is_not_json() {
    let layout = Tiny::default().write();
    layout.set_manifest(b"{\"schemaVersion\": 2,");
    refuse_layout(&layout, &["manifest", &digest(b"{\"schemaVersion\": 2,"), "line 1 column"]);
}

#[test]
fn manifest_nested_deeply() {
    let layout = Tiny::default().write();
    let text = format!("{{\"schemaVersion\": 2, \"x\": {}", "[".repeat(1 << 20));
    layout.set_manifest(text.as_bytes());
    refuse_layout(&layout, &["manifest", "line 1 column"]);
}

#[test]
fn manifest_without_layers() {
    let layout = Tiny::default().write();
    layout.edit_manifest(|manifest| manifest["layers"] = json!([]));
    refuse_layout(&layout, &["no layers"]);
}

#[test]
fn config_is_not_json() {
    let layout = Tiny::default().write();
    let blob = layout.blob("application/vnd.oci.image.config.v1+json", b"rootfs");
    layout.edit_manifest(|manifest| manifest["config"] = blob);
    refuse_layout(&layout, &["config", &digest(b"rootfs")]);
}

#[test]
fn layer_of_unknown_type() {
    let layout = Tiny::default().write();
    layout.edit_manifest(|manifest| manifest["layers"][0]["mediaType"] = json!("text/plain"));
    refuse_layout(&layout, &["layer 1 of 1", "text/plain"]);
}

#[test]
fn empty_index() {
    let layout = Tiny::default().write();
    layout.set_index(&json!([]));
    refuse_layout(&layout, &["index.json", "empty"]);
}

#[test]
fn index_is_not_json() {
    let layout = Tiny::default().write();
    fs::write(layout.path().join("index.json"), b"\xff\xfe").unwrap();
    refuse_layout(&layout, &["index.json"]);
}

#[test]
fn tag_not_found() {
    let layout = Tiny::default().write();
    let reference = format!("oci:{}:v2", layout.path().display());
    refuse(&[&reference], INPUT, &["v2", "v1"]);
}

#[test]
fn layout_that_does_not_exist() {
    refuse(&["oci:/nonexistent/layout"], INPUT, &["/nonexistent/layout", "No such file"]);
}

#[test]
fn layout_without_an_index() {
    let layout = Tiny::default().write();
    fs::remove_file(layout.path().join("index.json")).unwrap();
    refuse_layout(&layout, &["no index.json", "OCI layout"]);
}

#[test]
fn archive_that_is_none() {
    let layout = Tiny::default().write();
    let file = layout.path().join("oci-layout");
    refuse(&[&format!("oci-archive:{}", file.display())], INPUT, &["oci-layout"]);
}

#[test]
fn unknown_transport() {
    refuse(&["ftp:somewhere"], USAGE, &["ftp"]);
}

#[test]
fn unknown_architecture() {
    let layout = Tiny::default().write();
    refuse(&["--target-arch", "vax", &layout.reference()], USAGE, &["vax", "amd64"]);
}

#[test]
fn no_prepare_root_configuration() {
    let image = Tiny::default().without("usr/lib/ostree/");
    refuse_image(&image, &["usr/lib/ostree/prepare-root.conf"]);
}

#[test]
fn prepare_root_configuration_is_not_text() {
    let image = Tiny::default().with_file("usr/lib/ostree/prepare-root.conf", b"\xff\xff");
    refuse_image(&image, &["usr/lib/ostree/prepare-root.conf", "UTF-8"]);
}

#[test]
fn no_sysroot() {
    refuse_image(&Tiny::default().without("sysroot/"), &["/sysroot"]);
}

#[test]
fn not_labelled_bootable() {
    refuse_image(&Tiny::default().without_labels(), &["containers.bootc", "bootable"]);
}

#[test]
fn no_bootloader() {
    let places = ["usr/lib/efi/*/*/EFI", "usr/lib/bootupd/updates/EFI", "usr/lib/shim", "boot/efi/EFI"];
    let words = [&["amd64", "BOOTX64.EFI", "GRUB for BIOS at usr/lib/grub/i386-pc"][..], &places].concat();
    refuse_image(&Tiny::default().without("usr/lib/grub/"), &words);
}

#[test]
fn no_bootloader_for_another_machine() {
    let image = Tiny::default().for_architecture("arm64");
    refuse_image(&image, &["no bootloader for arm64", "BOOTAA64.EFI"]);
}

/// Not refused, but not in silence.
#[test]
fn partition_table_of_the_image() {
    for directory in ["usr/lib/image-builder/bootc", "usr/lib/bootc-image-builder"] {
        let path = format!("{directory}/disk.yaml");
        let layout = Tiny::default().with_file(&path, "partition_table:\n  type: gpt\n").write();
        let desk = Desk::new();
        let arguments = ["--size", "fit", "--progress", "verbose", &layout.reference()];
        let output = desk.command(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains(&format!("partition table /{path}")), "{said}");
    }
}

#[test]
fn selinux_policy_without_file_contexts() {
    let image = Tiny::default()
        .with_file("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
        .with_file("etc/selinux/targeted/policy/policy.33", "x");
    refuse_image(&image, &["SELinux", "etc/selinux/targeted"]);
}

#[test]
fn composefs_signed() {
    let image =
        Tiny::default().with_file("usr/lib/ostree/prepare-root.conf", "[composefs]\nenabled = signed\n");
    refuse_image(&image, &["composefs", "signed", "prepare-root.conf", "verity"]);
}

#[test]
fn install_configuration_with_unknown_key() {
    let image = Tiny::default().with_file("usr/lib/bootc/install/10.toml", "[install]\nrot = 1\n");
    refuse_image(&image, &["/usr/lib/bootc/install/10.toml", "rot", "2"]);
}

#[test]
fn install_configuration_of_wrong_type() {
    let image = Tiny::default().with_file("usr/lib/bootc/install/10.toml", "[install]\nkargs = \"quiet\"\n");
    refuse_image(&image, &["/usr/lib/bootc/install/10.toml", "line 2", "kargs = \"quiet\"", "sequence"]);
}

#[test]
fn whiteouts_of_no_name() {
    for name in ["", ".", ".."] {
        let path = format!("usr/share/.ostree-wh.{name}");
        refuse_image(
            &Tiny::default().with_file(&path, ""),
            &[&format!(".ostree-wh.{name} quotes"), "no name"],
        );
    }
}

#[test]
fn image_that_allows_only_an_encrypted_root() {
    let image =
        Tiny::default().with_file("usr/lib/bootc/install/10.toml", "[install]\nblock = [\"tpm2-luks\"]\n");
    refuse_image(&image, &["'tpm2-luks'", "bootc/install", "'direct'"]);
}

#[test]
fn install_configuration_nested_deeply() {
    let text = format!("x = {}", "[".repeat(200_000));
    let image = Tiny::default().with_file("usr/lib/bootc/install/10.toml", text);
    refuse_image(&image, &["/usr/lib/bootc/install/10.toml"]);
}

#[test]
fn install_configuration_is_not_text() {
    let image = Tiny::default().with_file("usr/lib/bootc/install/10.toml", b"\xff");
    refuse_image(&image, &["/usr/lib/bootc/install/10.toml", "UTF-8"]);
}

#[test]
fn install_configuration_that_leads_nowhere() {
    let image = Tiny::default().with(Member::symlink("usr/lib/bootc/install/10.toml", "10.toml"));
    refuse_image(&image, &["/usr/lib/bootc/install/10.toml", "not a file"]);
}

#[test]
fn kernel_arguments_that_are_no_toml() {
    let image = Tiny::default().with_file("usr/lib/bootc/kargs.d/10.toml", "kargs = [\"a\"\nb");
    refuse_image(&image, &["/usr/lib/bootc/kargs.d/10.toml"]);
}

#[test]
fn image_that_asks_for_xfs() {
    let image = Tiny::default()
        .with_file("usr/lib/bootc/install/10.toml", "[install.filesystem.root]\ntype = \"xfs\"\n");
    refuse_image(&image, &["xfs", "--rootfs ext4"]);
}

#[test]
fn image_that_asks_for_another_bootloader() {
    let image =
        Tiny::default().with_file("usr/lib/bootc/install/10.toml", "[install]\nbootloader = \"systemd\"\n");
    refuse_image(&image, &["systemd", "grub"]);
}

/// Each of the two links would be entered below the other, 2 to the power of 40 times.
#[test]
fn bootloader_directory_with_loops_is_walked_once() {
    let image = Tiny::default()
        .without("usr/lib/grub/")
        .with_file("boot/efi/EFI/debian/shimx64.efi", "x")
        .with(Member::symlink("boot/efi/EFI/a", "."))
        .with(Member::symlink("boot/efi/EFI/b", "../EFI"));
    refuse_image(&image, &["boot/efi/EFI"]);
}
