//! What installs from a network: a machine with an empty disk starts by PXE of its BIOS, has script, kernel
//! and both initramfs from QEMU's own TFTP server and the payload from a web server here, and installs
//! without a question. What is on the disk then is the payload.
//!
//! `DISKWRIGHT_DEMO_IMAGE_TRIXIE` names the OCI layout, whose initramfs has a network;
//! `DISKWRIGHT_INSTALLER` the static installer.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{demo, install, qemu::Machine};

const TIMEOUT: Duration = Duration::from_secs(900);
const MIB: u64 = 1 << 20;
const TARGET: u64 = 20 << 30;
/// This machine, as QEMU's network shows it to guests.
const HOST: &str = "10.0.2.2";

#[test]
fn a_machine_installs_from_a_network() {
    let scratch = demo::scratch("boot-netboot");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{HOST}:{}/os/", listener.local_addr().unwrap().port());
    let directory = build(&scratch, &address);
    let served = directory.clone();
    thread::spawn(move || serve(&listener, &served));
    let disk = scratch.join("disk.qcow2");
    judge("qemu-utils", "qemu-img", &["create", "-q", "-f", "qcow2", text(&disk), &TARGET.to_string()]);
    let machine = Machine::from_network(&directory, "boot.ipxe").target(&disk, "target");
    let report = machine.run(TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("installed and powered off in {} s\n{}", report.duration.as_secs(), report.serial);
    for said in [format!("Looking for the payload at {address}"), "Fetching".into(), "Installed.".into()] {
        assert!(report.serial.contains(&said), "no '{said}': {}", report.serial);
    }
    check(&scratch, &directory, &disk);
    fs::remove_dir_all(scratch).unwrap();
}

/// The directory, with what a user would change for this one machine.
fn build(scratch: &Path, address: &str) -> PathBuf {
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE_TRIXIE", "demo-image-trixie", " --suite trixie --metal");
    let blueprint = scratch.join("blueprint.yaml");
    let installer = "{unattended: true, bootloader: {grub2: {menu-timeout: 1}}}";
    fs::write(&blueprint, format!("customizations: {{installer: {installer}}}\n")).unwrap();
    let installer = install::installer();
    let arguments = ["--installer", text(&installer), "--payload-url", address, "-b", text(&blueprint)];
    let said = demo::build_as("netboot", &image, scratch, &arguments);
    assert!(said.contains("reaches the network by virtio_net"), "{said}");
    let script = scratch.join("netboot/boot.ipxe");
    let options = "set arguments inst.diskwright.after=poweroff inst.diskwright.grow=no ";
    let edited = fs::read_to_string(&script).unwrap().replace("set arguments ", options);
    fs::write(script, edited).unwrap();
    scratch.join("netboot")
}

/// The disk has the payload, byte for byte between the tables, and tables that fit its own size.
fn check(scratch: &Path, directory: &Path, disk: &Path) {
    let (installed, payload) = (scratch.join("installed.raw"), scratch.join("payload.raw"));
    for (from, to) in [(disk, &installed), (&directory.join("disk.qcow2"), &payload)] {
        judge("qemu-utils", "qemu-img", &["convert", "-O", "raw", text(from), text(to)]);
    }
    let count = fs::metadata(&payload).unwrap().len() - 2 * MIB;
    let (skip, count) = (MIB.to_string(), count.to_string());
    let compare = ["-s", "-i", &skip, "-n", &count, text(&installed), text(&payload)];
    judge("diffutils", "cmp", &compare);
    let table = judge("gdisk", "sgdisk", &["-v", text(&installed)]);
    assert!(table.contains("No problems found"), "{table}");
    // the judge sees a byte that is another
    File::options().write(true).open(&installed).unwrap().write_all_at(b"other", 3 * MIB).unwrap();
    let differ = Command::new("cmp").args(compare).status().unwrap();
    assert!(!differ.success(), "cmp sees no difference");
}

/// A web server that knows ranges, for as long as the test runs.
fn serve(listener: &TcpListener, directory: &Path) {
    for stream in listener.incoming() {
        let directory = directory.to_owned();
        // who asked may be gone before the answer has ended
        thread::spawn(move || answer(stream.unwrap(), &directory).ok());
    }
}

fn answer(mut stream: TcpStream, directory: &Path) -> io::Result<()> {
    let (mut request, mut reader) = (String::new(), BufReader::new(stream.try_clone()?));
    while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request)? > 0 {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    let name = path.strip_prefix("/os/").filter(|name| !name.contains(".."));
    let Some(mut file) = name.and_then(|name| File::open(directory.join(name)).ok()) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let range = request.lines().find_map(|line| line.strip_prefix("Range: bytes="));
    let from: u64 = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let len = file.metadata()?.len();
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let range = format!("Content-Range: bytes {from}-{}/{len}\r\n", len - 1);
    let range = if from > 0 { range } else { String::new() };
    write!(stream, "HTTP/1.1 {status}\r\n{range}Content-Length: {}\r\n\r\n", len - from)?;
    file.seek(SeekFrom::Start(from))?;
    io::copy(&mut file.take(len - from), &mut stream).map(drop)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn judge(package: &str, program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (package {package}): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
