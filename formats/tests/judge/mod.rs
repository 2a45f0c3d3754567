//! Outside programs that judge what we write. One that is missing fails the test.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod parts;

use std::{
    fs::File,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use diskwright_formats::{
    data::Data,
    sparse::Sparse,
    writer::{self, Options},
};

/// Runs `program` of the Debian package `package`; its output whatever the exit code.
pub(crate) fn run(package: &str, program: &str, args: &[&str]) -> Output {
    let output =
        Command::new(program).args(args).env("LC_ALL", "C.UTF-8").env("MTOOLS_SKIP_CHECK", "1").output();
    output.unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"))
}

/// Runs it with `input` on its standard input; both outputs, whatever the exit code.
pub(crate) fn talk(package: &str, program: &str, args: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Runs it and demands success; its standard output.
pub(crate) fn pass(package: &str, program: &str, args: &[&str]) -> String {
    let output = run(package, program, args);
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs it and demands failure; both outputs.
pub(crate) fn refuse(package: &str, program: &str, args: &[&str]) -> String {
    let output = run(package, program, args);
    assert!(!output.status.success(), "{program} {args:?} found nothing wrong: {output:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Writes `disk` in the format `name` to `path`.
#[expect(clippy::needless_pass_by_value, reason = "callers make the options where they ask")]
pub(crate) fn write(name: &str, disk: &Sparse, options: Options, path: &Path) {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    writer::by_name(name).unwrap().write(disk, &options, &file, &()).unwrap();
}

/// Changes one byte of the file.
pub(crate) fn flip(path: &Path, offset: u64) {
    use std::os::unix::fs::FileExt;
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// `len` bytes that are zero but for these pieces.
pub(crate) fn sparse<'a>(len: u64, pieces: impl IntoIterator<Item = (u64, &'a [u8])>) -> Sparse {
    let mut sparse = Sparse::new(len);
    for (offset, bytes) in pieces {
        sparse.insert(offset, Data::from_bytes(bytes)).unwrap();
    }
    sparse
}
