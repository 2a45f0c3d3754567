//! A system that runs from memory: kernel and initramfs as a bootloader would load them, the root filesystem from an
//! HTTP server of this test, with the arguments of the archive's own menu. `DISKWRIGHT_DEMO_IMAGE_TRIXIE` names the
//! OCI layout.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{demo, qemu::Machine};

const BOOT_TIMEOUT: Duration = Duration::from_secs(900);
/// The host, as the machine sees it.
const HOST: &str = "10.0.2.2";

#[test]
fn a_system_runs_from_memory() {
    let scratch = demo::scratch("boot-pxe");
    let blueprint = scratch.join("live.yaml");
    fs::write(&blueprint, include_str!("pxe.yaml")).unwrap();
    let image = demo::image("DISKWRIGHT_DEMO_IMAGE_TRIXIE", "demo-image-trixie", " --suite trixie --metal");
    let arguments = [
        "--blueprint",
        blueprint.to_str().unwrap(),
        "--karg",
        demo::PATIENCE,
        "--target-imgref",
        "registry.example.com/live:1",
    ];
    demo::build_as("pxe-tar-xz", &image, &scratch, &arguments);
    let unpacked =
        Command::new("tar").arg("-xJf").arg(scratch.join("xz/pxe.tar.xz")).arg("-C").arg(&scratch).status();
    assert!(unpacked.unwrap_or_else(|error| panic!("tar (package tar): {error}")).success());
    let port = serve(scratch.join("rootfs.img"));
    let arguments =
        arguments_of_menu(&scratch.join("grub.cfg")).replace("HTTP-SERVER", &format!("{HOST}:{port}"));
    let machine = Machine::with_kernel(&scratch.join("vmlinuz"), &scratch.join("initrd.img"), &arguments);
    let report =
        machine.script(include_str!("pxe.sh")).boot(BOOT_TIMEOUT).unwrap_or_else(|why| panic!("{why}"));
    println!("booted and powered off in {} s\n{}", report.duration.as_secs(), report.output);
    assert_eq!(report.section("state"), "running", "failed units: {}", report.section("failed"));
    assert!(report.section("cmdline").contains(" demo.live=1 "), "{}", report.section("cmdline"));
    assert!(report.section("root").contains("overlay"), "{}", report.section("root"));
    assert_eq!(report.section("base"), "squashfs");
    assert_eq!(report.section("disks"), "");
    let status = report.section("status");
    assert!(status.starts_with("* default ") && status.contains("registry.example.com/live:1"), "{status}");
    assert_eq!(report.section("blueprint"), "from the blueprint\nada\nlive.example");
    assert_eq!(report.section("written"), "written");
    fs::remove_dir_all(scratch).unwrap();
}

/// What the first entry gives to the kernel.
fn arguments_of_menu(menu: &Path) -> String {
    let menu = fs::read_to_string(menu).unwrap();
    let mut lines = menu.lines().filter_map(|line| line.trim().strip_prefix("linux /vmlinuz "));
    lines.next().unwrap().to_owned()
}

/// Serves one file, whatever is asked for; the port.
fn serve(file: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // a client that goes away is its own affair
            let _ = stream.and_then(|stream| answer(stream, &file));
        }
    });
    port
}

fn answer(mut stream: TcpStream, path: &Path) -> io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?).lines();
    let first = request.next().transpose()?.unwrap_or_default();
    request.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n")?;
    if first.starts_with("GET ") {
        io::copy(&mut file, &mut stream)?;
    }
    Ok(())
}
