//! The README tells the truth: its commands parse, its scripts exist, its tables are those of the code.
//!
//! `BLESS=1 cargo test --test readme` writes the tables anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fmt::Write, fs, os::unix::fs::PermissionsExt, path::Path};

use clap::CommandFactory;
use diskwright::{
    cli::{Cli, parse_from},
    describe::field_support,
};
use diskwright_formats::{
    filesystem::FILESYSTEMS,
    writer::{Medium, WRITERS},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The README and every page of docs/.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages = pages.chain([Path::new(ROOT).join("README.md")]);
    pages.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

/// The command lines in blocks marked `sh`, continuation lines joined.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(""));
    let lines = blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(ToOwned::to_owned).collect::<Vec<_>>());
    let without_comments = lines.map(|line| line.split(" #").next().unwrap_or("").trim().to_owned());
    without_comments.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Why a command of the pages would not run.
fn fault(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[0] {
        "diskwright" => parse_from(words.iter().map(Into::into))
            .err()
            .filter(clap::Error::use_stderr)
            .map(|error| error.to_string()),
        "cargo" => None,
        script if script.starts_with("scripts/") => script_fault(script, &words[1..]),
        other => Some(format!("{other} is neither ours nor cargo")),
    }
}

fn script_fault(script: &str, arguments: &[&str]) -> Option<String> {
    let path = Path::new(ROOT).join(script);
    let Ok(text) = fs::read_to_string(&path) else { return Some(format!("{script} does not exist")) };
    if fs::metadata(&path).unwrap().permissions().mode() & 0o111 == 0 {
        return Some(format!("{script} is not executable"));
    }
    let unknown = arguments.iter().find(|argument| argument.starts_with('-') && !text.contains(**argument));
    unknown.map(|argument| format!("{script} does not know {argument}"))
}

#[test]
fn every_command_runs() {
    let mut count = 0;
    for (name, page) in pages() {
        for line in commands(&page) {
            count += 1;
            if let Some(fault) = fault(&line) {
                panic!("{name}: `{line}`: {fault}");
            }
        }
    }
    assert!(count >= 5, "the commands were not found");
}

#[test]
fn a_command_that_would_not_run_is_caught() {
    for line in [
        "diskwright --nonsense image",
        "diskwright build",
        "scripts/none",
        "sudo rm",
        "diskwright image --size x",
    ] {
        assert!(fault(line).is_some(), "{line}");
    }
    assert_eq!(commands("```sh\na \\\n  b # c\n# d\n```\n```text\ne\n```"), ["a    b"]);
}

#[test]
fn the_readme_opens_with_the_demonstration() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    assert_eq!(commands(&readme)[..3], ["scripts/demo", "scripts/demo --boot", "scripts/test"]);
}

#[test]
fn tables_are_those_of_the_code() {
    compare("README.md", &[("formats", formats()), ("filesystems", filesystems()), ("flags", flags())]);
    compare("docs/blueprint.md", &[("support", support())]);
}

/// Compares the tables of a page with those given, or writes them.
fn compare(page: &str, tables: &[(&str, String)]) {
    let path = Path::new(ROOT).join(page);
    let mut text = fs::read_to_string(&path).unwrap();
    for (name, table) in tables {
        let (before, rest) = text.split_once(&format!("<!-- {name} -->\n")).expect("the table's mark");
        let (_, after) = rest.split_once(&format!("<!-- end of {name} -->")).expect("the table's end");
        text = format!("{before}<!-- {name} -->\n{table}<!-- end of {name} -->{after}");
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "run `BLESS=1 cargo test --test readme`");
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let help = Cli::command().render_long_help().to_string();
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    for line in codes.lines().filter(|line| !line.is_empty()) {
        let (code, meaning) = line.trim().split_once(' ').unwrap();
        assert!(readme.contains(&format!("| {code} | {} |", meaning.trim())), "{line}");
    }
}

fn formats() -> String {
    let mut table = String::from("| `--type` | also | file | what it is |\n|---|---|---|---|\n");
    for spec in WRITERS.iter().map(|writer| writer.spec()) {
        let aliases = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect::<Vec<_>>().join(", ");
        writeln!(table, "| `{}` | {aliases} | `{}` | {} |", spec.name, spec.path, spec.about).unwrap();
    }
    table
}

fn filesystems() -> String {
    let names: Vec<_> = FILESYSTEMS.iter().map(|filesystem| format!("`{}`", filesystem.name())).collect();
    format!("{}\n", names.join(", "))
}

fn flags() -> String {
    let mut table = String::from("| flag | |\n|---|---|\n");
    let cli = Cli::command();
    let build = cli.find_subcommand("build").unwrap();
    for flag in build.get_arguments().chain(cli.get_arguments()).filter(|flag| !flag.is_hide_set()) {
        let Some(long) = flag.get_long() else { continue };
        let short = flag.get_short().map_or(String::new(), |short| format!("`-{short}`, "));
        let takes = flag.get_action().takes_values();
        let value =
            flag.get_value_names().filter(|_| takes).map_or(String::new(), |names| format!(" {}", names[0]));
        writeln!(table, "| {short}`--{long}{value}` | {} |", flag.get_help().unwrap()).unwrap();
    }
    table
}

/// Every field of a blueprint, and what disks and installation media do with it.
fn support() -> String {
    let mut table =
        String::from("| key | | disks | installation media | from a network |\n|---|---|---|---|---|\n");
    let sign = |refused: Option<&str>| refused.map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"));
    let [disks, media, network] = [Medium::Disk, Medium::Optical, Medium::Network].map(field_support);
    for ((disk, medium), network) in disks.into_iter().zip(media).zip(network) {
        let [disk_sign, medium, network] = [disk.refused, medium.refused, network.refused].map(sign);
        writeln!(table, "| `{}` | {} | {disk_sign} | {medium} | {network} |", disk.field, disk.about)
            .unwrap();
    }
    table
}
