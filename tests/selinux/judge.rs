//! libselinux itself, asked through its Python binding; and Debian's policy.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use diskwright::deploy::selinux::Texts;

/// Where selinux-policy-default keeps its texts.
pub(crate) const POLICY: &str = "/etc/selinux/default";
const FILES: [&str; 5] = ["", ".homedirs", ".local", ".subs", ".subs_dist"];
/// A path and its `st_mode`.
pub(crate) type Question = (Vec<u8>, u32);

/// The texts of Debian's policy.
pub(crate) fn debian_texts() -> Texts {
    let base = format!("{POLICY}/contexts/files/file_contexts");
    let read = |suffix: &str| fs::read(format!("{base}{suffix}")).unwrap_or_default();
    assert!(!read("").is_empty(), "no {base}; install the package selinux-policy-default");
    texts(&FILES.map(read))
}

/// Texts from the content of the five files.
pub(crate) fn texts(files: &[Vec<u8>; 5]) -> Texts {
    let names = ["file_contexts", "file_contexts.homedirs", "file_contexts.local"].map(str::to_owned);
    let contexts =
        names.into_iter().zip(files.iter().cloned()).filter(|(_, text)| !text.is_empty()).collect();
    Texts { contexts, subs: files[3].clone(), subs_dist: files[4].clone() }
}

fn write(texts: &Texts, directory: &Path) {
    for (name, text) in &texts.contexts {
        fs::write(directory.join(name), text).unwrap();
    }
    fs::write(directory.join("file_contexts.subs"), &texts.subs).unwrap();
    fs::write(directory.join("file_contexts.subs_dist"), &texts.subs_dist).unwrap();
}

/// What the host's libselinux answers; `-` is no label.
pub(crate) fn labels(texts: &Texts, questions: &[Question]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    write(texts, directory.path());
    ask(Command::new("/usr/bin/python3"), &directory.path().join("file_contexts"), questions)
}

/// What a libselinux of 3.8 or later answers, in a root of its own.
pub(crate) fn newer_labels(texts: &Texts, questions: &[Question]) -> Vec<String> {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/judge-root");
        let output = Command::new(script).output().unwrap();
        assert!(output.status.success(), "judge-root: {}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    });
    let directory = tempfile::tempdir_in(root.join("judge")).unwrap();
    write(texts, directory.path());
    let mut command = Command::new("chroot");
    command.arg(root).arg("/usr/bin/python3");
    let inside = Path::new("/").join(directory.path().strip_prefix(root).unwrap());
    ask(command, &inside.join("file_contexts"), questions)
}

fn ask(mut command: Command, file_contexts: &Path, questions: &[Question]) -> Vec<String> {
    command.arg("-c").arg(include_str!("lookup.py")).arg(file_contexts);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python3 and chroot run");
    let mut input = String::new();
    for (path, mode) in questions {
        let hex: String = path.iter().map(|byte| format!("{byte:02x}")).collect();
        input += &format!("{mode} {hex}\n");
    }
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "libselinux.so.1 by ctypes (packages libselinux1, python3): {errors}");
    let answers: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), questions.len());
    answers
}
