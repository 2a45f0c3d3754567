//! Every format of the registry, judged by outside programs. A format without a judge here fails.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use diskwright_formats::{
    Error,
    data::{Data, ReadAt},
    sparse::Sparse,
    units::{GIB, KIB, MIB, TIB, round_up},
    writer::{self, Compression, FormatWriter, Medium, Options, Progress, Qcow2Version},
};
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn shell(package: &str, script: &str) -> String {
    judge::pass(package, "sh", &["-euc", script])
}

/// Bytes that compress.
fn prose(len: usize) -> Vec<u8> {
    let words = judge::noise(7, len / 4 + 1);
    words.iter().flat_map(|byte| format!("{:03} ", byte % 50).into_bytes()).take(len).collect()
}

/// Disks at the edges: blocks of 64 KiB, 1, 2, 8 and 24 MiB, tables of 32 MiB.
fn corpus() -> Vec<(&'static str, Sparse)> {
    let (noise, prose) = (judge::noise(1, 5 * MIB as usize), prose(3 * MIB as usize));
    let mut mixed = Vec::new();
    for i in 0..150 {
        let from: &[u8] = [&noise[..], &prose, &[0; 200_000]][i % 3];
        mixed.extend_from_slice(&from[i * 512..][..70_000 + i * 17]);
    }
    mixed.truncate(mixed.len() / 512 * 512);
    let edges = [64 * KIB, MIB, 2 * MIB, 8 * MIB, 24 * MIB, 32 * MIB];
    let mut at_edges: Vec<(u64, &[u8])> = edges.iter().map(|edge| (edge - 1, &b"ab"[..])).collect();
    at_edges.push((34 * MIB, &prose[..2 * MIB as usize]));
    at_edges.push((48 * MIB, &noise[..512]));
    vec![
        ("empty", Sparse::new(10 * MIB)),
        ("one byte at the end", judge::sparse(10 * MIB, [(10 * MIB - 1, &b"x"[..])])),
        ("one sector", Sparse::from_bytes(&noise[..512])),
        ("one sector of 4 KiB", Sparse::from_bytes(&noise[..4096])),
        ("noise", Sparse::from_bytes(noise.clone())),
        ("zeros that are data", Sparse::from_bytes(vec![0; 3 * MIB as usize])),
        ("mixed", Sparse::from_bytes(mixed)),
        ("one byte repeated", Sparse::from_bytes(vec![0xff; 33 * MIB as usize])),
        ("edges", judge::sparse(48 * MIB + 512, at_edges)),
        ("4 KiB sectors", judge::sparse(26 * MIB + 4096, [(26 * MIB, &noise[..4096])])),
    ]
}

/// The disk in a size that the format can have.
fn sized(disk: &Sparse, writer: &dyn FormatWriter) -> Sparse {
    let mut sized = Sparse::new(round_up(disk.len(), writer.spec().size_multiple));
    sized.place(0, disk).unwrap();
    sized
}

/// Written, in a directory of its own.
struct Written {
    name: &'static str,
    scratch: TempDir,
    disk: Sparse,
}

impl Written {
    fn new(writer: &'static dyn FormatWriter, disk: &Sparse, options: Options) -> Self {
        let scratch = TempDir::new().unwrap();
        let disk = sized(disk, writer);
        let written = Self { name: writer.spec().name, scratch, disk };
        judge::write(written.name, &written.disk, options, &written.file());
        judge::write("raw", &written.disk, Options::default(), &written.path("expected"));
        written
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("file")
    }

    fn qemu_name(&self) -> Option<&'static str> {
        Some(match self.name {
            "raw" | "ami" | "iso" | "netboot" => "raw",
            "qcow2" | "oci" => "qcow2",
            "vmdk" | "vmdk-sparse" => "vmdk",
            "vhd" | "vhd-dynamic" | "azure" => "vpc",
            "vhdx" => "vhdx",
            "vdi" => "vdi",
            _ => return None,
        })
    }

    /// The judges' opinion of the file, and the disk they read out of it.
    fn judged(&self) -> PathBuf {
        let (dir, file, back) = (self.scratch.path().display(), self.file(), self.path("back"));
        let file = text(&file);
        if let Some(name) = self.qemu_name() {
            check(name, file);
            return convert(name, file, back);
        }
        match self.name {
            "raw-xz" => shell("xz-utils", &format!("xz -tv {file}; xz -dc < {file} > {dir}/back")),
            "raw-zst" => shell("zstd", &format!("zstd -qt {file}; zstd -qdc < {file} > {dir}/back")),
            "raw-gz" => shell("gzip", &format!("gzip -t < {file}; gzip -dc < {file} > {dir}/back")),
            "gce" => {
                let list = shell("tar", &format!("tar -tvzf {file}; tar -xzSf {file} -C {dir}"));
                assert_eq!(list.lines().count(), 1, "{list}");
                return self.path("disk.raw");
            }
            "ova" => return self.judge_ova(),
            "containerdisk" => return self.judge_container(),
            "vagrant" => {
                let list = shell("tar", &format!("tar -tzf {file}; tar -xzSf {file} -C {dir}"));
                assert_eq!(list, "metadata.json\nVagrantfile\nbox.img\n");
                let metadata = fs::read_to_string(self.path("metadata.json")).unwrap();
                assert!(metadata.contains("\"format\": \"qcow2\""), "{metadata}");
                check("qcow2", text(&self.path("box.img")));
                return convert("qcow2", text(&self.path("box.img")), back);
            }
            other => panic!("{other} has no judge"),
        };
        back
    }

    fn judge_ova(&self) -> PathBuf {
        let (dir, file) = (self.scratch.path().display(), self.file());
        let list = shell("tar", &format!("tar -tf {}; tar -xf {} -C {dir}", text(&file), text(&file)));
        assert_eq!(list, "image.ovf\nimage.mf\nimage.vmdk\n");
        let sums = shell("coreutils", &format!("cd {dir}; sha256sum image.ovf image.vmdk"));
        let manifest: String = sums
            .lines()
            .map(|line| line.split_once("  ").unwrap())
            .map(|(sum, name)| format!("SHA256({name})= {sum}\n"))
            .collect();
        assert_eq!(fs::read_to_string(self.path("image.mf")).unwrap(), manifest);
        judge::pass("libxml2-utils", "xmllint", &["--noout", text(&self.path("image.ovf"))]);
        check("vmdk", text(&self.path("image.vmdk")));
        convert("vmdk", text(&self.path("image.vmdk")), self.path("back"))
    }

    fn judge_container(&self) -> PathBuf {
        let (dir, archive) = (self.scratch.path().display(), format!("oci-archive:{}", text(&self.file())));
        let inspect = judge::pass("skopeo", "skopeo", &["inspect", &archive]);
        assert!(inspect.contains("\"Architecture\": \"amd64\""), "{inspect}");
        let script = format!(
            "skopeo copy -q --insecure-policy {archive} oci:{dir}/layout:x; cd {dir};
             skopeo copy -q --insecure-policy --dest-decompress oci:{dir}/layout:x dir:{dir}/plain;
             for blob in plain/*; do
                 if tar -tvf $blob --numeric-owner 2>/dev/null; then tar -xSf $blob; fi
             done"
        );
        let list = shell("skopeo", &script);
        let of_qemu =
            |line: &str| line.starts_with("-r--r----- 107/107 ") && line.ends_with("disk/disk.qcow2");
        assert!(list.lines().any(of_qemu), "{list}");
        let image = self.path("disk/disk.qcow2");
        check("qcow2", text(&image));
        convert("qcow2", text(&image), self.path("back"))
    }

    fn assert_right(&self, what: &str) {
        let (back, expected) = (self.judged(), self.path("expected"));
        assert_eq!(fs::metadata(&back).unwrap().len(), self.disk.len(), "{} {what}", self.name);
        let same = ["compare", "-f", "raw", "-F", "raw", text(&back), text(&expected)];
        judge::pass("qemu-utils", "qemu-img", &same);
    }
}

/// qemu-img's check, for the formats that it can check.
fn check(format: &str, file: &str) {
    if ["qcow2", "vmdk", "vhdx", "vdi"].contains(&format) {
        let said = judge::pass("qemu-utils", "qemu-img", &["check", "-f", format, file]);
        assert!(said.contains("No errors were found"), "{said}");
    }
}

fn convert(format: &str, file: &str, back: PathBuf) -> PathBuf {
    judge::pass("qemu-utils", "qemu-img", &["convert", "-f", format, "-O", "raw", file, text(&back)]);
    back
}

/// A GiB takes its time to compress and to read, so formats of whole GiB get the worst disk.
fn disks_for(writer: &dyn FormatWriter) -> Vec<(&'static str, Sparse)> {
    let is_large = writer.spec().size_multiple == GIB;
    corpus().into_iter().filter(|(name, _)| !is_large || ["edges"].contains(name)).collect()
}

fn by_name(name: &str) -> &'static dyn FormatWriter {
    writer::by_name(name).unwrap()
}

#[test]
fn every_format_holds_every_disk() {
    for writer in writer::WRITERS {
        for (name, disk) in disks_for(*writer) {
            Written::new(*writer, &disk, Options::default()).assert_right(name);
        }
    }
}

#[test]
fn qcow2_has_two_versions_and_ten_cluster_sizes() {
    let disks = corpus();
    let disks = disks.iter().filter(|(name, _)| ["mixed", "edges", "one sector"].contains(name));
    for (name, disk) in disks {
        for (version, compression) in [
            (Qcow2Version::V2, Compression::Zlib),
            (Qcow2Version::V2, Compression::None),
            (Qcow2Version::V3, Compression::Zlib),
            (Qcow2Version::V3, Compression::Zstd),
        ] {
            for bits in [12, 13, 15, 18, 21] {
                let options = Options {
                    compression,
                    qcow2_version: version,
                    qcow2_cluster_bytes: 1 << bits,
                    ..Options::default()
                };
                let written = Written::new(by_name("qcow2"), disk, options);
                written.assert_right(name);
                let info = judge::pass("qemu-utils", "qemu-img", &["info", text(&written.file())]);
                let compat = if version == Qcow2Version::V2 { "compat: 0.10" } else { "compat: 1.1" };
                assert!(info.contains(compat), "{info}");
                assert!(info.contains(&format!("cluster_size: {}", 1 << bits)), "{info}");
            }
        }
    }
}

#[test]
fn options_that_cannot_be_are_errors() {
    let disk = Sparse::new(MIB);
    let refused = |name: &str, options: Options| {
        let out = tempfile::tempfile().unwrap();
        let error = by_name(name).write(&disk, &options, &out, &()).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    };
    let default = Options::default;
    for qcow2_cluster_bytes in [0, 2 * KIB, 65_537, 4 * MIB] {
        refused("qcow2", Options { qcow2_cluster_bytes, ..default() });
    }
    let (compression, qcow2_version) = (Compression::Zstd, Qcow2Version::V2);
    refused("qcow2", Options { compression, qcow2_version, ..default() });
    refused("vhdx", Options { sector_size: 520, ..default() });
}

/// QEMU reads no VHDX of such sectors. 7-Zip does, but refuses an odd number of them: it tests one bit of
/// the size where it means all below it. Of those disks libvhdi judges the metadata, and nobody the content.
#[test]
fn vhdx_has_sectors_of_4_kib() {
    let mut counts = [0, 0];
    for (name, disk) in corpus().into_iter().filter(|(_, disk)| disk.len() % 4096 == 0) {
        let options = Options { sector_size: 4096, ..Options::default() };
        let written = Written::new(by_name("vhdx"), &disk, options);
        let (file, expected) = (written.file(), written.path("expected"));
        let (file, expected) = (text(&file), text(&expected));
        let info = judge::pass("libvhdi-utils", "vhdiinfo", &[file]);
        let has = |what: &str| info.contains(what);
        assert!(has("4096 bytes") && has(&format!("({} bytes)", disk.len())), "{name}: {info}");
        let is_odd = disk.len() / 4096 % 2 == 1;
        counts[usize::from(is_odd)] += 1;
        if is_odd {
            continue;
        }
        shell("7zip", &format!("7zz x -tVHDX -so {file} > {file}.back; cmp {file}.back {expected}"));
        judge::flip(file.as_ref(), 64 * KIB + 9);
        judge::flip(file.as_ref(), 128 * KIB + 9);
        judge::refuse("7zip", "7zz", &["t", "-tVHDX", file]);
    }
    assert!(counts[0] >= 3 && counts[1] >= 1, "{counts:?}");
}

#[test]
fn sizes_are_exact() {
    for name in ["vhd", "vhd-dynamic"] {
        for size in [10 * MIB + 512, GIB + 1536, 128 * GIB + 512, 2040 * GIB] {
            let disk = judge::sparse(size, [(size - 512, &[7; 512][..])]);
            let scratch = TempDir::new().unwrap();
            let path = scratch.path().join("disk");
            judge::write(name, &disk, Options::default(), &path);
            let info = judge::pass("qemu-utils", "qemu-img", &["info", "-f", "vpc", text(&path)]);
            assert!(info.contains(&format!("({size} bytes)")), "{name}: {info}");
            assert_eq!(Footer::read(&path).size, size);
        }
    }
}

/// A reading of a VHD's footer that knows nothing of the writer: fields at their offsets.
struct Footer {
    size: u64,
    kind: u8,
    is_sound: bool,
}

impl Footer {
    fn read(path: &Path) -> Self {
        let (mut footer, file) = ([0; 512], File::open(path).unwrap());
        file.read_exact_at(&mut footer, file.metadata().unwrap().len() - 512).unwrap();
        let sum: u32 = (0..512).filter(|at| !(64..68).contains(at)).map(|at| u32::from(footer[at])).sum();
        Self {
            size: u64::from_be_bytes(footer[48..56].try_into().unwrap()),
            kind: footer[63],
            is_sound: footer.starts_with(b"conectix") && (!sum).to_be_bytes() == footer[64..68],
        }
    }
}

#[test]
fn footers_are_sound_and_a_flipped_byte_is_seen() {
    for (name, kind) in [("vhd", 2), ("azure", 2), ("vhd-dynamic", 3)] {
        let written = Written::new(by_name(name), &corpus().remove(6).1, Options::default());
        let footer = Footer::read(&written.file());
        assert!(footer.is_sound && footer.kind == kind, "{name}");
        let len = fs::metadata(written.file()).unwrap().len();
        assert!(kind == 3 || len == written.disk.len() + 512);
        judge::flip(&written.file(), len - 512 + 70);
        assert!(!Footer::read(&written.file()).is_sound, "{name}");
    }
    let path = Path::new("/nonexistent");
    judge::refuse("qemu-utils", "qemu-img", &["info", text(path)]);
}

/// Where a flipped byte must be noticed, and that it is: by the check or by the comparison.
#[test]
fn judges_say_no_to_a_flipped_byte() {
    for writer in writer::WRITERS {
        let spec = writer.spec();
        let disk = judge::sparse(8 * MIB, [(0, &judge::noise(3, 3 * MIB as usize)[..])]);
        let written = Written::new(*writer, &disk, Options::default());
        // Bytes of the disk itself, or of what it was compressed to.
        let metadata = if spec.name == "vhdx" { 4 * MIB } else { 0 };
        judge::flip(&written.file(), metadata + 3 * MIB / 2 + 7);
        let is_refused =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| written.assert_right("flipped")));
        assert!(is_refused.is_err(), "{} has a judge that sees nothing", spec.name);
    }
}

#[test]
fn any_number_of_threads_writes_the_same_file() {
    let disk = corpus().remove(8).1;
    for writer in writer::WRITERS {
        let name = writer.spec().name;
        let (scratch, disk) = (TempDir::new().unwrap(), sized(&disk, *writer));
        let paths = [1, 2, 5].map(|threads| {
            let path = scratch.path().join(threads.to_string());
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| judge::write(name, &disk, Options::default(), &path));
            path
        });
        for other in &paths[1..] {
            judge::pass("diffutils", "cmp", &[text(&paths[0]), text(other)]);
        }
    }
}

#[test]
fn seed_and_time_are_all_that_tells_files_apart() {
    let disk = corpus().remove(3).1;
    for name in ["vmdk", "vmdk-sparse", "vhd", "vhd-dynamic", "vhdx", "vdi", "ova"] {
        let bytes = |options: Options| fs::read(Written::new(by_name(name), &disk, options).file()).unwrap();
        assert!(bytes(Options::default()) == bytes(Options::default()), "{name}");
        let seed = [1; 16];
        assert!(bytes(Options { seed, ..Options::default() }) != bytes(Options::default()), "{name}");
    }
    for name in ["vhd", "vhd-dynamic", "ova", "gce", "containerdisk", "vagrant"] {
        let bytes = |time| {
            let options = Options { time, ..Options::default() };
            fs::read(Written::new(by_name(name), &disk, options).file()).unwrap()
        };
        assert!(bytes(1_600_000_000) != bytes(1_700_000_000), "{name}");
    }
}

#[test]
fn formats_of_one_path_write_one_file() {
    let mut paths = BTreeMap::<_, Vec<_>>::new();
    for writer in writer::WRITERS {
        paths.entry(writer.spec().path).or_default().push(writer);
    }
    let disk = judge::sparse(GIB, [(MIB, &prose(100_000)[..])]);
    for writers in paths.values().filter(|writers| writers.len() > 1) {
        let written: Vec<_> =
            writers.iter().map(|writer| Written::new(**writer, &disk, Options::default())).collect();
        for pair in written.windows(2) {
            judge::pass("diffutils", "cmp", &[text(&pair[0].file()), text(&pair[1].file())]);
        }
    }
}

/// Formats that have one byte or more for so many of a gap.
fn is_cheap_per_gap(name: &str) -> bool {
    !["raw-xz", "raw-zst", "raw-gz", "gce"].contains(&name)
}

#[test]
fn a_disk_of_2_tib_costs_what_its_data_costs() {
    for writer in writer::WRITERS.iter().filter(|writer| is_cheap_per_gap(writer.spec().name)) {
        let name = writer.spec().name;
        let size =
            if name.contains("vhd") && name != "vhdx" || name == "azure" { 2040 * GIB } else { 2 * TIB };
        let disk = judge::sparse(size, [(0, &b"first"[..]), (TIB, b"middle"), (size - 1, b"l")]);
        let written = Written::new(*writer, &disk, Options::default());
        let stored = fs::metadata(written.file()).unwrap().blocks() * 512;
        assert!(stored <= 10 * MIB, "{name}: {stored} bytes");
        if let Some(format) = written.qemu_name() {
            check(format, text(&written.file()));
            let (file, expected) = (written.file(), written.path("expected"));
            // QEMU reads these grain by grain, block by block, gaps too: minutes for a TiB.
            if ["vmdk", "vhdx"].contains(&format) {
                continue;
            }
            let same = ["compare", "-f", format, "-F", "raw", text(&file), text(&expected)];
            judge::pass("qemu-utils", "qemu-img", &same);
        }
    }
}

#[test]
fn gaps_are_cheap_where_every_byte_is_compressed() {
    for (name, limit) in [("raw-xz", 10 * MIB), ("raw-zst", 3 * MIB), ("raw-gz", 67 * MIB), ("gce", 67 * MIB)]
    {
        let disk = judge::sparse(64 * GIB, [(0, &b"first"[..]), (64 * GIB - 1, b"l")]);
        let scratch = TempDir::new().unwrap();
        let path = scratch.path().join("file");
        let start = std::time::Instant::now();
        judge::write(name, &disk, Options::default(), &path);
        assert!(start.elapsed().as_secs() < 20, "{name}: {:?}", start.elapsed());
        let len = fs::metadata(&path).unwrap().len();
        assert!(len < limit, "{name}: {len} bytes");
    }
}

#[test]
fn a_disk_past_the_limit_is_an_error() {
    for (name, limit) in [
        ("vmdk", 62 * TIB),
        ("vmdk-sparse", 62 * TIB),
        ("ova", 62 * TIB),
        ("vhd", 2040 * GIB),
        ("vhd-dynamic", 2040 * GIB),
        ("azure", 2040 * GIB),
        ("vhdx", 64 * TIB),
        ("vdi", 512 * TIB),
        ("qcow2", 2048 * TIB),
        ("vagrant", 2048 * TIB),
        ("containerdisk", 2048 * TIB),
    ] {
        let out = tempfile::tempfile().unwrap();
        let disk = Sparse::new(limit + GIB);
        let error = by_name(name).write(&disk, &Options::default(), &out, &()).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{name}: {error}");
    }
    for name in ["vmdk", "vhdx", "vmdk-sparse"] {
        let size = if name == "vhdx" { 64 * TIB } else { 62 * TIB };
        let disk = judge::sparse(size, [(size - 512, &[7; 512][..])]);
        let scratch = TempDir::new().unwrap();
        let path = scratch.path().join("file");
        judge::write(name, &disk, Options::default(), &path);
        let info = judge::pass("qemu-utils", "qemu-img", &["info", text(&path)]);
        assert!(info.contains(&format!("({size} bytes)")), "{info}");
    }
}

#[test]
fn a_size_that_the_format_cannot_have_is_an_error() {
    for writer in writer::WRITERS.iter().filter(|writer| writer.spec().medium != Medium::Network) {
        let spec = writer.spec();
        let disk = Sparse::new(spec.size_multiple + spec.size_multiple / 2);
        let out = tempfile::tempfile().unwrap();
        let error = writer.write(&disk, &Options::default(), &out, &()).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{}: {error}", spec.name);
    }
}

struct Sum(AtomicU64);

impl Progress for Sum {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[test]
fn progress_sums_to_the_data() {
    for writer in writer::WRITERS {
        for (name, disk) in disks_for(*writer) {
            let (sum, disk) = (Sum(AtomicU64::new(0)), sized(&disk, *writer));
            let out = tempfile::tempfile().unwrap();
            writer.write(&disk, &Options::default(), &out, &sum).unwrap();
            assert_eq!(sum.0.into_inner(), disk.data_len(), "{} {name}", writer.spec().name);
        }
    }
}

struct Broken;

impl ReadAt for Broken {
    fn read_exact_at(&self, _: &mut [u8], _: u64) -> std::io::Result<()> {
        Err(std::io::Error::other("broken source"))
    }
}

#[test]
fn a_source_that_cannot_be_read_is_an_error() {
    for writer in writer::WRITERS {
        let disk = sized(&Sparse::from_data(Data::from_source(Arc::new(Broken), 0, 40 * MIB)), *writer);
        let out = tempfile::tempfile().unwrap();
        let error = writer.write(&disk, &Options::default(), &out, &()).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}

#[test]
fn cot_reads_the_appliance() {
    let written = Written::new(by_name("ova"), &corpus().remove(4).1, Options::default());
    let appliance = written.path("image.ova");
    fs::rename(written.file(), &appliance).unwrap();
    let info = judge::pass("cot from PyPI", "cot", &["info", text(&appliance)]);
    assert!(info.contains("image.vmdk") && info.contains("4 GiB") && info.contains("VM Network"), "{info}");
    judge::flip(&appliance, 512 + 100);
    let said = judge::run("cot from PyPI", "cot", &["info", text(&appliance)]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("Unable to display"), "{said:?}");
}

#[test]
fn the_appliance_describes_the_machine_that_was_asked_for() {
    let mut options = Options::default();
    options.machine.name = "a & <b>".into();
    options.machine.cpus = 7;
    options.machine.secure_boot = true;
    let written = Written::new(by_name("ova"), &corpus().remove(3).1, options);
    written.assert_right("named");
    let get = |path: &str| {
        let path = format!("string({path})");
        judge::pass("libxml2-utils", "xmllint", &["--xpath", &path, text(&written.path("image.ovf"))])
    };
    assert_eq!(get("//*[local-name()='VirtualSystem']/*[local-name()='Name']").trim(), "a & <b>");
    assert_eq!(get("//*[local-name()='Item'][1]/*[local-name()='VirtualQuantity']").trim(), "7");
    assert_eq!(
        get("//*[@*[local-name()='key']='bootOptions.efiSecureBootEnabled']/@*[local-name()='value']").trim(),
        "true"
    );
    let size = fs::metadata(written.path("image.vmdk")).unwrap().len();
    assert_eq!(get("//*[local-name()='File']/@*[local-name()='size']").trim(), size.to_string());
}
