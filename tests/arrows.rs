//! Which module may use which: the table of the architecture, and a reader of the sources that fails
//! on any other arrow.
//!
//! Read are `use` lines and paths in the text that begin with `crate::`, `super::`, `diskwright::` or
//! `diskwright_formats::`. Tests inside files are exempt, and what a module does with its own children.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A module (with everything below it, unless a longer row matches), and what it may use.
/// `formats` alone means only the items in the root of that crate.
const TABLE: &[(&str, &[&str])] = &[
    (
        "main",
        &[
            "cli",
            "progress",
            "output",
            "error",
            "build::build",
            "convert::convert",
            "inspect::inspect",
            "iso::iso_edit",
            "iso::iso_inspect",
            "publish::publish",
            "publish::dry_run",
            "verify::verify",
            "describe::describe",
            "preview::preview",
            "preview::as_yaml",
            "build::check_blueprint",
            "build::convert_blueprint",
            "blueprint::json_schema",
        ],
    ),
    (
        "lib",
        &[
            "build",
            "convert",
            "describe",
            "inspect",
            "preview",
            "publish",
            "verify",
            "write::BuiltOutput",
            "error",
        ],
    ),
    (
        "cli",
        &[
            "build",
            "convert",
            "inspect",
            "iso",
            "write",
            "verify",
            "publish",
            "error",
            "blueprint::Syntax",
            "describe",
            "preview",
            "progress",
            "source::Options",
            "source::CacheChoice",
            "formats::filesystem",
            "formats::writer",
            "formats::units",
        ],
    ),
    ("describe", &["blueprint", "error", "formats::writer"]),
    ("preview", STAGES),
    ("error", &["blueprint::Error", "source::Hinted", "source::Kind", "formats::error"]),
    ("progress", &["formats::writer::Progress"]),
    ("output", &["error", "formats::writer::Output"]),
    ("build", STAGES),
    (
        "layout",
        &[
            "deploy",
            "error",
            "ids",
            "plan",
            "formats::data",
            "formats::disk",
            "formats::filesystem",
            "formats::sparse",
            "formats::units",
            "formats::volume",
        ],
    ),
    (
        "firmware",
        &[
            "error",
            "formats::data",
            "formats::disk",
            "formats::filesystem",
            "formats::partition",
            "formats::sparse",
            "formats::tree",
            "formats::writer::Firmware",
            "formats::writer::Machine",
        ],
    ),
    ("azure", &["firmware", "progress", "write::BuiltOutput"]),
    (
        "convert",
        &[
            "azure",
            "firmware",
            "write",
            "record",
            "push",
            "source",
            "output",
            "progress",
            "error",
            "formats::reader",
            "formats::sparse",
            "formats::error",
            "formats::writer",
        ],
    ),
    ("write", &["output", "progress", "error", "formats::sparse", "formats::error", "formats::writer"]),
    ("push", &["source", "write::BuiltOutput", "progress", "error", "formats::writer"]),
    (
        "record",
        &[
            "write",
            "output",
            "error",
            "firmware",
            "formats::data",
            "formats::disk",
            "formats::partition",
            "formats::sparse",
            "formats::writer::Output",
        ],
    ),
    ("installer", &["deploy::arch", "error"]),
    ("iso", &["error", "formats::data", "formats::reader"]),
    ("payload", &["progress", "formats::data", "formats::sparse", "formats::writer"]),
    (
        "optical",
        &[
            "deploy::medium",
            "ids",
            "formats::disk",
            "formats::filesystem",
            "formats::sparse",
            "formats::tree",
            "formats::units",
        ],
    ),
    (
        "pxe",
        &[
            "deploy::live",
            "ids",
            "progress",
            "formats::filesystem",
            "formats::sparse",
            "formats::tree",
            "formats::writer::pxe",
        ],
    ),
    ("inspect", STAGES),
    (
        "verify",
        &[
            "deploy",
            "error",
            "progress",
            "formats::data",
            "formats::disk",
            "formats::error",
            "formats::filesystem",
            "formats::partition",
            "formats::reader",
            "formats::sparse",
            "formats::tree",
            "formats::units",
            "formats::volume::luks2",
            "formats::volume::lvm2",
        ],
    ),
    (
        "blueprint",
        &[
            "error",
            "formats::filesystem::FILESYSTEMS",
            "formats::filesystem::by_name",
            "formats::writer::WRITERS",
            "formats::writer::by_name",
            "formats::writer::FormatWriter",
            "formats::writer::Firmware",
            "formats::writer::Medium",
            "formats::writer::Uses",
            "formats::units",
        ],
    ),
    ("source", &["error", "progress"]),
    ("ids", &["formats::tree::Time"]),
    (
        "merge",
        &[
            "source::OciImage",
            "source::Layer",
            "error",
            "progress",
            "formats::tree",
            "formats::data",
            "formats::sparse",
            "formats::error",
        ],
    ),
    (
        "deploy",
        &[
            "blueprint",
            "ids",
            // derived layers go over a chunked base by the rules of layers
            "merge::Merged",
            "merge::overlay",
            "error",
            "progress",
            "formats::sparse",
            "formats::cpio",
            "formats::writer::Progress",
            "formats::tree",
            "formats::data",
            // a bootloader depends on the kind of table
            "formats::disk::TableKind",
            "formats::filesystem",
            "formats::error",
            "formats::units",
            "formats::verity",
        ],
    ),
    (
        "plan",
        &[
            "blueprint::size",
            "ids",
            "error",
            "formats::disk",
            "formats::units",
            "formats::error",
            "formats::writer::Spec",
            "formats::writer::Medium",
        ],
    ),
    ("publish", &["error", "firmware", "progress", "formats::reader", "formats::sparse", "formats::units"]),
    ("formats", &["formats::error"]),
    ("formats::error", &[]),
    ("formats::units", &[]),
    ("formats::data", &["formats::error", "formats::units"]),
    ("formats::tree", &["formats::data", "formats::sparse", "formats::error", "formats::units"]),
    ("formats::sparse", &["formats::data", "formats::error", "formats::units"]),
    ("formats::verity", &["formats::sparse"]),
    (
        "formats::cpio",
        &["formats::data", "formats::sparse", "formats::tree", "formats::error", "formats::units"],
    ),
    (
        "formats::disk",
        &["formats::data", "formats::sparse", "formats::error", "formats::units", "formats::partition"],
    ),
    ("formats::filesystem", VALUES),
    ("formats::volume", VALUES),
    (
        "formats::partition",
        &["formats::data", "formats::sparse", "formats::error", "formats::units", "formats::disk"],
    ),
    ("formats::qcow2", &[]),
    (
        "formats::reader",
        &["formats::data", "formats::sparse", "formats::error", "formats::units", "formats::qcow2"],
    ),
    (
        "formats::writer",
        &["formats::data", "formats::sparse", "formats::error", "formats::units", "formats::qcow2"],
    ),
];

/// Where the stages meet.
const STAGES: &[&str] = &[
    "azure",
    "build",
    "firmware",
    "inspect",
    "blueprint",
    "source",
    "ids",
    "merge",
    "deploy",
    "installer",
    "optical",
    "payload",
    "plan",
    "pxe",
    "layout",
    "publish",
    "output",
    "write",
    "push",
    "record",
    "progress",
    "error",
    "formats",
];

const VALUES: &[&str] = &[
    "formats::data",
    "formats::sparse",
    "formats::tree",
    "formats::error",
    "formats::units",
    "formats::verity",
];

/// Children of those folders that are what the others are made of: they use each other and no plug-in.
const PARTS: &[&str] = &["formats::writer::parts", "formats::writer::progress", "formats::writer::options"];

/// Folders whose children are strangers to each other, though they may use what the folder itself defines.
const PLUGINS: &[&str] = &["formats::filesystem", "formats::partition", "formats::reader", "formats::writer"];

/// A source file: the path of its module, and its text.
struct Source {
    module: Vec<String>,
    text: String,
}

/// Public names at a crate's root, and the module each comes from.
type Exports = BTreeMap<String, Vec<String>>;

#[test]
fn only_the_arrows_of_the_table_are_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = read(&root.join("src"), &[]);
    sources.extend(read(&root.join("formats/src"), &["formats".into()]));
    assert!(sources.len() > 20, "the sources were not found");
    let wrong = forbidden(&sources);
    assert!(wrong.is_empty(), "arrows that the table does not allow:\n{}", wrong.join("\n"));
}

#[test]
fn forbidden_arrows_are_caught() {
    for (module, text) in [
        ("deploy::ostree", "use crate::output::OutputSet;"),
        ("deploy::ostree", "use crate::{ids, plan::Layout};"),
        ("deploy::ostree", "fn f() { let _ = crate::source::registry::fetch(); }"),
        ("deploy::ostree", "use super::super::merge::merge;"),
        ("source::registry", "use diskwright_formats::tree::Tree;"),
        ("formats::writer::raw", "use crate::filesystem::Filesystem;"),
        ("formats::writer::raw", "use super::qcow2::Header;"),
        ("formats::writer::raw", "use super::{Spec, qcow2};"),
        ("formats::writer::parts::tar", "use crate::writer::qcow2::Qcow2;"),
        ("formats::filesystem::ext4::emit", "use crate::filesystem::fat::Fat;"),
        ("merge", "use crate::source::{Layer, registry::Client};"),
        ("main", "use diskwright::merge::merge;"),
        ("unheard_of", "use crate::ids::Ids;"),
    ] {
        let wrong = forbidden(&among_others(module, text));
        assert_eq!(wrong.len(), 1, "{module}: {text}: {wrong:?}");
    }
}

#[test]
fn allowed_arrows_pass() {
    for (module, text) in [
        ("deploy::ostree", "use crate::{blueprint::Blueprint, ids::Ids}; use super::customize::Plan;"),
        ("deploy::ostree", "use super::*; use diskwright_formats::{Result, tree::{Node, Tree}};"),
        ("deploy::ostree", "#[cfg(test)]\nmod tests { use crate::output::OutputSet; fn f() { \"}\"; } }"),
        (
            "deploy::ostree",
            "// use crate::output::OutputSet;\n/* crate::plan::x */ const A: &str = \"crate::plan\";",
        ),
        ("formats::writer::raw", "use super::{Output, Spec, is_zero}; use crate::{Error, sparse::Sparse};"),
        ("formats::filesystem::ext4::emit", "use super::layout::Layout; use crate::tree::Tree;"),
        ("formats::writer", "use self::qcow2::Qcow2;"),
        ("formats::writer::raw", "use super::parts::{copy::copy, qcow2};"),
        ("merge", "pub(crate) fn f(layer: &crate::source::Layer) {}"),
        ("formats::filesystem::ext4::reader::inode", "use super::super::ondisk::{Inode, INODE_BYTES};"),
    ] {
        let wrong = forbidden(&among_others(module, text));
        assert_eq!(wrong, [""; 0], "{module}: {text}");
    }
}

/// A source, and neighbours that it could use.
fn among_others(module: &str, text: &str) -> Vec<Source> {
    let source = |module: &str, text: &str| Source { module: split(module), text: text.to_owned() };
    vec![source(module, text), source("formats::writer::qcow2", ""), source("formats::filesystem::fat", "")]
}

fn split(path: &str) -> Vec<String> {
    path.split("::").map(ToOwned::to_owned).collect()
}

/// Every source below `dir`, without files of tests.
fn read(dir: &Path, prefix: &[String]) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut module = prefix.to_vec();
        match name.as_str() {
            "tests" => continue,
            "mod" => {}
            "lib" if !prefix.is_empty() => {}
            _ => module.push(name),
        }
        if path.is_dir() {
            sources.extend(read(&path, &module));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source { module, text: fs::read_to_string(&path).unwrap() });
        }
    }
    sources
}

/// The arrows that no row allows, as lines.
fn forbidden(sources: &[Source]) -> Vec<String> {
    let exports = exports();
    let modules: Vec<_> = sources.iter().map(|source| &source.module).collect();
    let mut wrong = Vec::new();
    for source in sources {
        for target in targets(source, &exports) {
            if !is_allowed(&source.module, &target, &modules) {
                wrong.push(format!("{} -> {}", source.module.join("::"), target.join("::")));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

fn is_allowed(from: &[String], to: &[String], modules: &[&Vec<String>]) -> bool {
    if let Some(is_own) = among_plugins(from, to, modules) {
        return is_own;
    }
    let row =
        TABLE.iter().filter(|(name, _)| from.starts_with(&split(name))).max_by_key(|(name, _)| name.len());
    let Some((name, allowed)) = row else { return false };
    // Without a module of its own name in front, a path names something in the root of its crate.
    let is_own = to.starts_with(&split(name)) && *name != "formats";
    is_own || allowed.iter().any(|allowed| to.starts_with(&split(allowed)))
}

/// Inside a folder of plug-ins: whether the target is the folder's own item or the module's own.
fn among_plugins(from: &[String], to: &[String], modules: &[&Vec<String>]) -> Option<bool> {
    let folder =
        PLUGINS.iter().map(|name| split(name)).find(|name| from.starts_with(name) && to.starts_with(name))?;
    let (Some(own), Some(other)) = (from.get(folder.len()), to.get(folder.len())) else { return Some(true) };
    let is_module = modules.iter().any(|module| module.starts_with(&to[..=folder.len()]));
    let is_part = PARTS.iter().any(|part| to.starts_with(&split(part)));
    Some(own == other || !is_module || is_part)
}

/// What a source uses of this workspace, as full module paths.
fn targets(source: &Source, exports: &BTreeMap<&str, Exports>) -> Vec<Vec<String>> {
    let text = without_tests(&without_comments(&source.text));
    let in_formats = source.module.first().is_some_and(|first| first == "formats");
    let mut targets = Vec::new();
    for (at, _) in text.match_indices("::") {
        let head = &text[..at];
        let start = head.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        let is_head = !head[..start].ends_with("::");
        let base = match &head[start..] {
            "crate" if in_formats => vec!["formats".to_owned()],
            "crate" | "diskwright" => Vec::new(),
            "diskwright_formats" => vec!["formats".to_owned()],
            "super" => source.module[..source.module.len().saturating_sub(1)].to_vec(),
            _ => continue,
        };
        if !is_head {
            continue;
        }
        for path in paths(&text[at + 2..]) {
            let (mut path, mut base) = (&path[..], base.clone());
            while let [first, rest @ ..] = path
                && first == "super"
            {
                base.pop();
                path = rest;
            }
            targets.push(resolve([&base, path].concat(), exports));
        }
    }
    targets
}

/// Follows a name that a crate's root re-exports.
fn resolve(path: Vec<String>, exports: &BTreeMap<&str, Exports>) -> Vec<String> {
    let (root, at) =
        if path.first().is_some_and(|first| first == "formats") { ("formats", 1) } else { ("", 0) };
    let found = path.get(at).and_then(|name| exports[root].get(name));
    // `build` is both a module and a function of the root.
    match found {
        Some(module) if path.len() > at + 1 && module.last() == path.get(at) => path,
        Some(module) => [module.clone(), path[at..].to_vec()].concat(),
        None => path,
    }
}

fn exports() -> BTreeMap<&'static str, Exports> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str, prefix: &[String]| {
        let text = without_comments(&fs::read_to_string(root.join(file)).unwrap());
        let mut exports = Exports::new();
        for line in text.split("pub use ").skip(1) {
            for path in paths(line) {
                let (name, module) = path.split_last().unwrap();
                exports.insert(name.clone(), [prefix, module].concat());
            }
        }
        exports
    };
    BTreeMap::from([
        ("", read("src/lib.rs", &[])),
        ("formats", read("formats/src/lib.rs", &["formats".into()])),
    ])
}

/// The paths of a use tree (or of a path in an expression) at the start of `text`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut rest = text;
    tree(&mut rest)
}

fn tree(rest: &mut &str) -> Vec<Vec<String>> {
    *rest = rest.trim_start();
    if let Some(inner) = rest.strip_prefix('{') {
        *rest = inner;
        return group(rest);
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = after;
    let own = if name.is_empty() || name == "self" { vec![] } else { vec![name.to_owned()] };
    match rest.strip_prefix("::") {
        Some(inner) => {
            *rest = inner;
            tree(rest).into_iter().map(|path| [own.clone(), path].concat()).collect()
        }
        None => vec![own],
    }
}

fn group(rest: &mut &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    loop {
        *rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with('}') {
            *rest = rest.get(1..).unwrap_or("");
            return all;
        }
        all.extend(tree(rest));
        // Past `as name`, a glob or a comma, to the next member.
        let end = rest.find([',', '}']).unwrap_or(rest.len());
        *rest = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
    }
}

/// The text without comments, and with string and character literals emptied.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => string(rest),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#") => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        let taken = if skip == 0 { c.len_utf8() } else { skip };
        out.push_str(if skip == 0 { &rest[..taken] } else { " " });
        rest = &rest[taken..];
    }
    out
}

fn string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn raw_string(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0; // a raw identifier
    }
    let end = format!("\"{}", "#".repeat(hashes));
    text[2 + hashes..].find(&end).map_or(text.len(), |at| at + 2 + hashes + end.len())
}

/// A character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |at| at + 4),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// The text without what `#[cfg(test)]` stands before.
fn without_tests(text: &str) -> String {
    let Some((before, after)) = text.split_once("#[cfg(test)]") else { return text.to_owned() };
    let end = after.find(['{', ';']).unwrap_or(after.len());
    let end = if after[end..].starts_with('{') { end + block(&after[end..]) } else { end };
    format!("{before}{}", without_tests(&after[end..]))
}

/// Length of the block at the start of `text`, braces and all.
fn block(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}
