//! The command as its users meet it: exit codes, help, messages, streams.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs::File,
    io::Write,
    process::{Command, Output, Stdio},
};

use diskwright::cli::{Verb, parse_from};
use diskwright_formats::{filesystem::FILESYSTEMS, writer::WRITERS};
use serde_json::Value;

fn diskwright(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(arguments).stdin(Stdio::null()).env_remove("SOURCE_DATE_EPOCH");
    command
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The build request that a command line means.
fn request(line: &str) -> diskwright::BuildRequest {
    let cli =
        parse_from(line.split_whitespace().map(Into::into)).unwrap_or_else(|error| panic!("{line}: {error}"));
    let Verb::Build(arguments) = cli.verb else { panic!("{line}: not a build") };
    arguments.request()
}

/// The program under the name of another one.
#[test]
fn other_names_and_spellings_are_understood() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("bootc-image-builder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_diskwright"), &link).unwrap();
    let output = Command::new(&link).arg("version").output().unwrap();
    assert!(output.status.success() && out(&output).starts_with("diskwright "), "{}", err(&output));
    let asked =
        request("image-builder build ami --bootc-ref a.example/os:1 --output-dir out --arch arm64 --seed 5");
    assert_eq!((asked.reference.as_str(), &asked.types[..]), ("a.example/os:1", &["ami".to_owned()][..]));
    assert_eq!(asked.output.to_str(), Some("out"));
    assert_eq!(asked.source.target_arch.as_deref(), Some("arm64"));
    let output = diskwright(&["build", "oci:/nonexistent", "--seed", "5"]);
    assert!(err(&output).contains("--seed has no effect"), "{}", err(&output));
    let output = diskwright(&["describe", "nosuch"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for line in [
        &[][..],
        &["build"],
        &["--nonsense", "image"],
        &["image", "--size", "big"],
        &["image", "--chown", "root"],
        &["image", "--cache", "dir", "--no-cache"],
        &["image", "--rootfs", "fat33"],
        &["inspect"],
        &["completions", "tcl"],
    ] {
        let output = diskwright(line);
        assert_eq!(output.status.code(), Some(2), "{line:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{line:?}");
    }
}

#[test]
fn a_failure_is_told_once_and_is_no_usage_error() {
    let output = diskwright(&["--log-level", "error", "oci:/nonexistent/layout"]);
    assert!(matches!(output.status.code(), Some(1 | 3)), "{output:?}");
    assert_eq!(err(&output).matches("error: ").count(), 1, "{}", err(&output));
    assert_eq!(out(&output), "");
}

#[test]
fn a_full_output_exits_with_5() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command(&["version"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", err(&output));
    assert!(err(&output).starts_with("error: writing to standard output: "), "{}", err(&output));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&["completions", "bash"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[test]
fn help_lists_every_format_and_the_exit_codes() {
    for line in [&["--help"][..], &["build", "--help"], &["help", "build"]] {
        let output = diskwright(line);
        assert_eq!(output.status.code(), Some(0));
        let help = out(&output);
        for spec in WRITERS.iter().map(|writer| writer.spec()) {
            for text in [spec.name, spec.path, spec.about].iter().chain(spec.aliases) {
                assert!(help.contains(text), "{line:?} lacks '{text}'");
            }
        }
        for text in ["Examples:", "Exit codes:", "130"] {
            assert!(help.contains(text), "{line:?} lacks '{text}'");
        }
    }
}

#[test]
fn help_is_grouped_and_hides_dead_flags() {
    let output = diskwright(&["build", "--help"]);
    for text in ["Image:", "Output:", "System:", "Messages:"] {
        assert!(out(&output).contains(text), "no heading {text}");
    }
    for text in ["--rpmmd", "--use-librepo", "--build-container", "--in-vm", "--local", "--store"] {
        assert!(!out(&output).contains(text), "{text} shows");
    }
}

#[test]
fn short_help_names_every_format() {
    let output = diskwright(&["build", "-h"]);
    for spec in WRITERS.iter().map(|writer| writer.spec()) {
        assert!(out(&output).contains(spec.name));
    }
}

#[test]
fn an_unknown_type_is_answered_with_the_names() {
    let Some(first) = WRITERS.first().map(|writer| writer.spec().name) else { return };
    let output = diskwright(&["--type", &format!("{first}x"), "image"]);
    assert_eq!(output.status.code(), Some(2));
    for spec in WRITERS.iter().map(|writer| writer.spec()) {
        assert!(err(&output).contains(spec.name), "{}", err(&output));
    }
    assert!(err(&output).contains("similar value"), "{}", err(&output));
    assert!(err(&output).contains(&format!("'{first}'")), "{}", err(&output));
}

#[test]
fn every_name_and_alias_is_a_type() {
    for spec in WRITERS.iter().map(|writer| writer.spec()) {
        for name in [spec.name].iter().chain(spec.aliases) {
            assert_eq!(request(&format!("diskwright -t {name} image")).types, [*name]);
        }
    }
    let names: Vec<_> = WRITERS.iter().map(|writer| writer.spec().name).collect();
    if !names.is_empty() {
        assert_eq!(request(&format!("diskwright -t {} image", names.join(","))).types, names);
        assert_eq!(request(&format!("diskwright -t {} image", names.join(" -t "))).types, names);
    }
}

#[test]
fn filesystems_that_can_hold_a_root_are_accepted() {
    for name in FILESYSTEMS.iter().map(|filesystem| filesystem.name()).filter(|name| *name == "ext4") {
        assert_eq!(request(&format!("diskwright --rootfs {name} image")).rootfs.as_deref(), Some(name));
    }
}

#[test]
fn build_is_the_default_verb() {
    let meant = format!("{:?}", request("diskwright build -o dir --karg a=b image"));
    for line in [
        "diskwright -o dir --karg a=b image",
        "diskwright image --karg a=b -o dir",
        "diskwright -v image -o dir --karg=a=b",
    ] {
        assert_eq!(format!("{:?}", request(line)), meant, "{line}");
    }
}

#[test]
fn flags_mean_what_they_say() {
    use diskwright::{SizeWish, source::CacheChoice};
    let plain = request("diskwright image");
    assert_eq!(plain.types, ["qcow2"]);
    assert!(plain.source.tls_verify && plain.source.cache == CacheChoice::Default && plain.size.is_none());
    let full = request(
        "diskwright image --tls-verify=false --no-cache --size +1GiB --chown 1:2 --config b.toml --karg -x \
         --no-default-kernel-args --target-imgref r --source-date-epoch 7 --compress zstd --spool s",
    );
    assert!(!full.source.tls_verify && full.no_default_kernel_args);
    assert_eq!((full.source.cache, full.size), (CacheChoice::Off, Some(SizeWish::PlusFree(1 << 30))));
    assert_eq!((full.chown, full.source_date_epoch), (Some((1, Some(2))), Some(7)));
    assert_eq!(full.blueprint.unwrap().to_str(), Some("b.toml"));
    assert_eq!((full.kargs.as_slice(), full.target_imgref.as_deref()), (&["-x".to_owned()][..], Some("r")));
}

#[test]
fn flags_without_meaning_are_noticed_in_one_line_each() {
    let dead =
        ["--local", "--store=/s", "--rpmmd=/r", "--use-librepo=True", "--build-container=c", "--in-vm"];
    let line: Vec<_> = dead.iter().copied().chain(["oci:/nonexistent/layout"]).collect();
    let output = diskwright(&line);
    assert_ne!(output.status.code(), Some(2), "{}", err(&output));
    for flag in dead {
        let name = flag.split('=').next().unwrap();
        let notice = format!("note: {name} has no effect");
        assert_eq!(err(&output).lines().filter(|line| line.starts_with(&notice)).count(), 1, "{name}");
    }
}

#[test]
fn json_progress_is_one_object_a_line() {
    let output = diskwright(&["--progress", "json", "oci:/nonexistent/layout", "--in-vm"]);
    let events: Vec<Value> = err(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["event"].is_string() && event["elapsed_ms"].is_u64()));
    assert_eq!(events[0]["event"], "note");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "error");
    assert!(last["message"].is_string() && last["kind"].is_string() && last["hints"].is_array(), "{last}");
    assert_eq!(out(&output), "");
}

#[test]
fn version_tells_what_is_built_in() {
    let text = diskwright(&["version"]);
    assert!(out(&text).starts_with(&format!("diskwright {}\n", env!("CARGO_PKG_VERSION"))));
    let json = diskwright(&["version", "--format", "json"]);
    let version: Value = serde_json::from_str(out(&json)).unwrap();
    assert_eq!(version["types"].as_array().unwrap().len(), WRITERS.len());
    assert_eq!(diskwright(&["--version"]).status.code(), Some(0));
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = diskwright(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(out(&output).contains("target-imgref"), "{shell}");
    }
    let script = diskwright(&["completions", "bash"]).stdout;
    assert!(bash_parses(&script));
    assert!(!bash_parses(&[&script, b"if".as_slice()].concat()), "the judge says yes to anything");
}

fn bash_parses(script: &[u8]) -> bool {
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
    let bash = bash.as_mut().expect("bash (package bash) is missing");
    bash.stdin.take().unwrap().write_all(script).unwrap();
    bash.wait().unwrap().success()
}
