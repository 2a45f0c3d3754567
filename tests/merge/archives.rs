//! One archive at a time: every format of every writer, judged by GNU tar's
//! extraction of the same archive (an archive that cannot hold a member, as
//! v7 and ustar, simply lacks it on both sides).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    agrees, extract,
    listing::{self, assert_same, differences},
    merge, run, script, try_merge,
};

const PYTHON: &str = r#"
import sys, tarfile
out, source, form = sys.argv[1:]
with tarfile.open(out, "w", format=getattr(tarfile, form + "_FORMAT"), errors="surrogateescape") as tar:
    def keep(member):
        try: member.tobuf(tar.format, tar.encoding, tar.errors)
        except ValueError: return None
        return member
    tar.add(source, arcname=".", filter=keep)
"#;

struct Sources {
    work: tempfile::TempDir,
    plain: PathBuf,
    xattrs: PathBuf,
}

impl Sources {
    fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        let (plain, xattrs) = (work.path().join("plain"), work.path().join("xattrs"));
        script(include_str!("source.sh"), &plain, &[]);
        script(include_str!("source.sh"), &xattrs, &["xattrs"]);
        Self { work, plain, xattrs }
    }

    fn tar(&self) -> PathBuf {
        self.work.path().join("layer.tar")
    }

    /// An archive and its extraction; at least `least` names must be in it.
    #[track_caller]
    fn judge(&self, what: &str, least: usize) {
        let tar = self.tar();
        let directory = self.work.path().join("extracted");
        fs::create_dir(&directory).unwrap();
        extract(&tar, &directory, &[]);
        let theirs = listing::of_directory(&directory);
        assert!(theirs.len() >= least, "{what}: only {} names", theirs.len());
        let mut ours = merge(&[fs::read(&tar).unwrap()]);
        // A directory that did not fit the format has no time but the extraction's.
        for (path, item) in ours.iter_mut().filter(|(_, item)| item.mtime == (0, 0)) {
            item.mtime = theirs.get(path).map_or((0, 0), |their| their.mtime);
        }
        assert_same(what, &ours, &theirs);
        fs::remove_dir_all(&directory).unwrap();
    }
}

#[test]
fn gnu_tar_in_each_format() {
    let sources = Sources::new();
    let cases = [("gnu", 39), ("oldgnu", 39), ("pax", 39), ("ustar", 30), ("v7", 25)];
    for (format, least) in cases {
        let mut command = Command::new("tar");
        command.args(["-c", "--numeric-owner", "--format", format, "-C"]).arg(&sources.plain);
        // ustar and v7 leave out what they cannot hold and then fail.
        run("tar", command.arg("-f").arg(sources.tar()).arg("."));
        sources.judge(&format!("GNU tar, {format}"), least);
    }
    let mut command = Command::new("tar");
    command.args(["-c", "--xattrs", "--xattrs-include=*", "--format=pax", "-C"]).arg(&sources.xattrs);
    agrees("tar", command.arg("-f").arg(sources.tar()).arg("."));
    sources.judge("GNU tar, extended attributes", 39);
    let ours = merge(&[fs::read(sources.tar()).unwrap()]);
    let count: usize = ours.values().map(|item| item.xattrs.len()).sum();
    assert!(count >= 10, "only {count} extended attributes");
}

#[test]
fn global_pax_headers_and_deleted_times() {
    let sources = Sources::new();
    for option in
        ["--pax-option=globexthdr.name=g,mtime=1234567890.5", "--pax-option=delete=mtime,exthdr.name=x"]
    {
        let mut command = Command::new("tar");
        command.args(["-c", "--format=pax", option, "-C"]).arg(&sources.plain);
        agrees("tar", command.arg("-f").arg(sources.tar()).arg("."));
        sources.judge(option, 39);
    }
}

#[test]
fn bsdtar_in_each_format() {
    let sources = Sources::new();
    for (format, source, least) in [
        ("pax", &sources.plain, 39),
        ("gnutar", &sources.plain, 39),
        ("ustar", &sources.plain, 30),
        ("pax", &sources.xattrs, 39),
    ] {
        let mut command = Command::new("bsdtar");
        command.args([
            "-c",
            "--numeric-owner",
            "--no-acls",
            "--no-fflags",
            "--xattrs",
            "--format",
            format,
            "-C",
        ]);
        // As with GNU tar, ustar leaves out what it cannot hold.
        run("libarchive-tools", command.arg(source).arg("-f").arg(sources.tar()).arg("."));
        sources.judge(&format!("bsdtar, {format}"), least);
    }
}

#[test]
fn python_in_each_format() {
    let sources = Sources::new();
    for (format, least) in [("GNU", 39), ("PAX", 39), ("USTAR", 25)] {
        let mut command = Command::new("python3");
        command.args(["-c", PYTHON]).arg(sources.tar()).arg(&sources.plain).arg(format);
        agrees("python3", &mut command);
        sources.judge(&format!("Python, {format}"), least);
    }
}

#[test]
fn sparse_members_in_each_version() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("source");
    script(include_str!("sparse.sh"), &source, &[]);
    let theirs = listing::of_directory(&source);
    let versions: [(&str, &[&str]); 5] = [
        ("tar", &["--format=gnu"]),
        ("tar", &["--format=pax", "--sparse-version=0.0"]),
        ("tar", &["--format=pax", "--sparse-version=0.1"]),
        ("tar", &["--format=pax", "--sparse-version=1.0"]),
        ("bsdtar", &["--format=pax", "--no-fflags"]),
    ];
    for (program, arguments) in versions {
        let tar = work.path().join("sparse.tar");
        let mut command = Command::new(program);
        command.arg("-c").args(if program == "tar" { &["--sparse"][..] } else { &[] }).args(arguments);
        agrees("libarchive-tools", command.arg("-C").arg(&source).arg("-f").arg(&tar).arg("."));
        assert!(fs::metadata(&tar).unwrap().len() < 1 << 20, "{arguments:?}: holes are stored");
        let mut ours = merge(&[fs::read(&tar).unwrap()]);
        whole_seconds_where(&mut ours, &theirs, arguments.contains(&"--format=gnu"));
        assert_same(&format!("{program} {arguments:?}"), &ours, &theirs);
    }
}

/// GNU's own format keeps no fractions of seconds.
fn whole_seconds_where(ours: &mut listing::Listing, theirs: &listing::Listing, whole: bool) {
    for (path, item) in ours.iter_mut().filter(|_| whole) {
        assert_eq!(item.mtime.1, 0);
        item.mtime.1 = theirs.get(path).map_or(0, |their| their.mtime.1);
    }
}

#[test]
fn one_altered_byte_mode_or_attribute_is_seen() {
    let sources = Sources::new();
    let mut command = Command::new("tar");
    command.args(["-c", "--xattrs", "--xattrs-include=*", "--format=pax", "-C"]).arg(&sources.xattrs);
    agrees("tar", command.arg("-f").arg(sources.tar()).arg("."));
    let ours = merge(&[fs::read(sources.tar()).unwrap()]);
    let reads = |path: &Path| differences(&ours, &listing::of_directory(path));
    assert_eq!(reads(&sources.xattrs), [""; 0]);
    for change in [
        "printf X | dd of=usr/lib/blocks bs=1 seek=5000 conv=notrunc status=none; touch -r etc/new usr/lib/blocks",
        "chmod u-s usr/bin/tool",
        "setfattr -n user.text -v valuE usr/bin/tool",
        "touch -d '2040-05-06 07:08:09.123456788 UTC' etc/new",
        "chown -h 5:7 etc/relative",
        "cp -p etc/tool-third copy && mv copy etc/tool-third",
    ] {
        let copy = sources.work.path().join("copy");
        agrees("coreutils", Command::new("cp").arg("-a").arg(&sources.xattrs).arg(&copy));
        agrees("bash", Command::new("bash").args(["-ec", change]).current_dir(&copy));
        assert!(!reads(&copy).is_empty(), "not seen: {change}");
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn a_damaged_header_is_an_error_that_names_its_place() {
    let sources = Sources::new();
    let mut command = Command::new("tar");
    agrees(
        "tar",
        command.args(["-c", "--format=gnu", "-C"]).arg(&sources.plain).arg("-f").arg(sources.tar()).arg("."),
    );
    let mut tar = fs::read(sources.tar()).unwrap();
    tar[512 + 3] ^= 1;
    fs::write(sources.tar(), &tar).unwrap();
    let verdict = run("tar", Command::new("tar").arg("-t").arg("-f").arg(sources.tar()));
    assert!(!verdict.status.success());
    let error = format!("{:#}", try_merge(&[tar]).unwrap_err());
    assert!(error.contains("byte 512") && error.contains("checksum"), "{error}");
}
