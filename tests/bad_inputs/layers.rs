//! Layers that are no archives, or archives of what no disk can hold.

use super::{
    INPUT, refuse, refuse_image,
    tiny::{Member, Tiny, archive, blocks, gzip},
};

/// The image with one more layer of these members is refused; the message names the layer.
#[track_caller]
fn refuse_members(members: &[Member], words: &[&str]) {
    refuse_archive(archive(members), words);
}

#[track_caller]
fn refuse_archive(bytes: Vec<u8>, words: &[&str]) {
    refuse_image(&Tiny::default().with_layer(bytes), &[&["layer 2 of 2"], words].concat());
}

/// As [`refuse_members`], where what is wrong shows after the layers are one.
#[track_caller]
fn refuse_tree(member: Member, words: &[&str]) {
    refuse_image(&Tiny::default().with(member), words);
}

#[test]
fn name_with_dot_dot() {
    refuse_members(&[Member::file("usr/../../etc/x", "x")], &["usr/../../etc/x", ".."]);
}

#[test]
fn absolute_hard_link_to_nothing() {
    refuse_members(&[Member::hardlink("usr/x", "/usr/nothing")], &["usr/x", "hard link", "/usr/nothing"]);
}

#[test]
fn hard_link_out_of_the_layer() {
    refuse_members(&[Member::hardlink("usr/x", "../../etc/shadow")], &["usr/x", "../../etc/shadow"]);
}

#[test]
fn hard_link_to_directory() {
    refuse_members(&[Member::hardlink("usr/x", "usr/lib")], &["usr/x", "hard link to directory", "usr/lib"]);
}

#[test]
fn file_below_a_file() {
    refuse_members(
        &[Member::file("usr/x", "x"), Member::file("usr/x/y", "y")],
        &["usr/x/y", "not a directory"],
    );
}

#[test]
fn parent_that_is_a_loop() {
    refuse_members(
        &[Member::symlink("loop", "loop"), Member::file("loop/x", "x")],
        &["loop/x", "symbolic links"],
    );
}

#[test]
fn symbolic_link_longer_than_the_kernel_takes() {
    refuse_members(&[Member::symlink("usr/x", "a/".repeat(2048))], &["usr/x", "4096", "4095"]);
}

#[test]
fn device_node_in_usr() {
    refuse_tree(Member::device("usr/lib/null"), &["usr/lib/null", "device"]);
}

#[test]
fn name_that_is_not_utf8() {
    refuse_tree(Member::file(b"usr/lib/\xff", "x"), &["usr/lib/", "UTF-8"]);
}

#[test]
fn name_of_256_bytes() {
    refuse_tree(Member::file(format!("usr/lib/{}", "n".repeat(256)), "x"), &["usr/lib/nnn", "255 bytes"]);
}

#[test]
fn extended_attribute_too_large_for_ext4() {
    let member = Member::file("usr/lib/x", "x").pax("SCHILY.xattr.user.big", vec![b'v'; 70_000]);
    refuse_tree(member, &["usr/lib/x", "extended attribute"]);
}

#[test]
fn extended_attribute_of_unknown_namespace() {
    let member = Member::file("usr/lib/x", "x").pax("SCHILY.xattr.nonsense", "v");
    refuse_members(&[member], &["usr/lib/x", "nonsense", "user, trusted, security"]);
}

#[test]
fn path_nested_5000_deep() {
    refuse_members(&[Member::file("d/".repeat(5000) + "x", "x")], &["nested deeper than"]);
}

/// What is allowed is no trap for later stages, which are recursive.
#[test]
fn path_nested_as_deep_as_allowed_does_not_overflow_the_stack() {
    let deep = Member::file("usr/".to_owned() + &"d/".repeat(1022) + "x", vec![1; 100]);
    refuse_image(&Tiny::default().without("sysroot/").with(deep), &["/sysroot"]);
    let desk = super::Desk::new();
    let deep = Member::file("usr/".to_owned() + &"d/".repeat(1022) + "x", vec![1; 100]);
    let output = desk.command(&[&Tiny::default().with(deep).write().reference()]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | INPUT)), "{:?} {said}", output.status);
}

#[test]
fn pax_record_with_a_wrong_length() {
    let bytes =
        [blocks(b'x', 0o644, b"pax", b"", b"99 path=x\n"), archive(&[Member::file("x", "x")])].concat();
    refuse_archive(bytes, &["pax record", "99"]);
}

#[test]
fn pax_size_beyond_the_archive() {
    refuse_members(
        &[Member::file("usr/x", "x").pax("size", "18446744073709551615")],
        &["usr/x", "18446744073709551615"],
    );
}

#[test]
fn extension_larger_than_believed() {
    let bytes = [blocks(b'L', 0o644, b"long", b"", &vec![b'n'; 9 << 20]), archive(&[])].concat();
    refuse_archive(bytes, &["extension header", "9437184"]);
}

#[test]
fn global_records_larger_than_believed() {
    let record = [b"100013 a=".as_slice(), &[b'v'; 100_003], b"\n"].concat();
    let bytes = [blocks(b'g', 0o644, b"pax", b"", &record), archive(&[])].concat();
    refuse_archive(bytes, &["global", "65536"]);
}

#[test]
fn bad_tar_checksum() {
    let mut bytes = archive(&[Member::file("usr/x", "x"), Member::file("usr/y", "y")]);
    bytes[1024] ^= 1;
    refuse_archive(bytes, &["checksum", "byte 1024"]);
}

#[test]
fn archive_of_noise() {
    refuse_archive(super::tiny::noise(4096), &["checksum"]);
}

#[test]
fn archive_that_ends_inside_a_member() {
    let bytes = archive(&[Member::file("usr/x", vec![1; 5000])]);
    refuse_archive(bytes[..2048].to_vec(), &["usr/x", "5000"]);
}

#[test]
fn member_of_unknown_type() {
    refuse_archive([blocks(b'M', 0o644, b"usr/x", b"", b""), archive(&[])].concat(), &["usr/x", "'M'"]);
}

fn sparse(map: &str, real: &str) -> Member {
    let file = Member::file("usr/x", [7; 20]);
    file.pax("GNU.sparse.size", real).pax("GNU.sparse.numblocks", "2").pax("GNU.sparse.map", map)
}

#[test]
fn sparse_map_overlapping() {
    refuse_members(&[sparse("0,10,5,10", "100")], &["usr/x", "sparse", "5"]);
}

#[test]
fn sparse_map_backwards() {
    refuse_members(&[sparse("50,10,0,10", "100")], &["usr/x", "sparse"]);
}

#[test]
fn sparse_map_past_the_end() {
    refuse_members(&[sparse("0,10,95,10", "100")], &["usr/x", "sparse", "100"]);
}

#[test]
fn sparse_map_of_more_than_there_is() {
    refuse_members(&[sparse("0,10,20,11", "100")], &["usr/x", "sparse map asks for more"]);
}

/// Reading eight exbibytes of nothing would take until the machine is scrapped.
#[test]
fn sparse_file_of_eight_exbibytes() {
    refuse_members(
        &[sparse("0,10,20,10", "9223372036854775807")],
        &["usr/x", "sparse", "9223372036854775807"],
    );
}

#[test]
fn gzip_of_garbage() {
    let layout = Tiny::default().write();
    let mut blob = gzip(&[0; 4096]);
    for byte in &mut blob[10..] {
        *byte ^= 0x55;
    }
    layout.set_layer(0, &blob);
    refuse(&[&layout.reference()], INPUT, &["layer 1 of 1", &layout.layer_digest(0), "gzip"]);
}

#[test]
fn gzip_with_garbage_after_it() {
    let layout = Tiny::default().write();
    let blob = [std::fs::read(layout.layer_path(0)).unwrap(), b"garbage".to_vec()].concat();
    layout.set_layer(0, &blob);
    refuse(&[&layout.reference()], INPUT, &["layer 1 of 1", &layout.layer_digest(0), "gzip"]);
}

#[test]
fn gzip_cut_short() {
    let layout = Tiny::default().write();
    let blob = std::fs::read(layout.layer_path(0)).unwrap();
    layout.set_layer(0, &blob[..blob.len() - 20]);
    refuse(&[&layout.reference()], INPUT, &["layer 1 of 1", &layout.layer_digest(0), "gzip"]);
}

#[test]
fn tar_that_says_it_is_gzip() {
    let layout = Tiny::default().write();
    layout.set_layer(0, &archive(&[]));
    refuse(&[&layout.reference()], INPUT, &["layer 1 of 1", &layout.layer_digest(0), "tar+gzip"]);
}

/// A name must not clear the screen of who reads the message.
#[test]
fn name_with_a_terminal_sequence() {
    refuse_members(&[Member::hardlink("usr/\x1b[2J", "usr/nothing")], &["usr/\\u{1b}[2J", "usr/nothing"]);
}
