//! `file_contexts`: which label a path has, as libselinux's
//! `selabel_lookup_raw` answers it.
//!
//! ```text
//! SPECIFICATION [-TYPE] CONTEXT       one a line; # comments
//! ```
//!
//! The order that counts is that of libselinux 3.8 and later: a specification
//! without metacharacters that equals the path wins over every regular
//! expression; of the expressions that match, the one read last wins
//! (`file_contexts`, then `.homedirs`, then `.local`). Expressions are kept
//! in a tree by their first three literal path parts, of which only the ones
//! on the path's way are tried; `<<none>>` ends the search in the deepest
//! part where it is the last match. Earlier releases differ only for
//! specifications that contradict each other across these parts, for doubled
//! ones, and for rare escapes. Source: libselinux's `label_file.c` and
//! file_contexts(5). Left out: compiled files (`.bin`), partial matches.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::{
    pattern,
    substitution::{Substitutions, is_space},
};

/// A value of `security.selinux`, its NUL included.
pub type Label = Arc<[u8]>;

/// The context that means: no label.
const NONE: &[u8] = b"<<none>>";
/// Path parts by which expressions are sorted.
const STEM_PARTS: usize = 3;
/// Characters that make a specification an expression.
const META: &[u8] = b".^$?*+|[({])}";
/// Characters that may follow a backslash in a specification that is none.
const ESCAPABLE: &[u8] = b".^$?*+|[({])}-_,";
/// Memory a set of expressions may take once it is compiled, and while it runs.
const SET_BYTES: usize = 256 << 20;
const CACHE_BYTES: usize = 16 << 20;
const S_IFMT: u32 = 0o170_000;

/// The texts of a policy's `contexts/files`.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// Path and text of `file_contexts`, `.homedirs` and `.local`, as many as there are.
    pub contexts: Vec<(String, Vec<u8>)>,
    /// `file_contexts.subs`.
    pub subs: Vec<u8>,
    /// `file_contexts.subs_dist`.
    pub subs_dist: Vec<u8>,
}

/// All specifications of a policy, ready to be asked.
#[derive(Debug)]
pub struct FileContexts {
    subs: Substitutions,
    subs_dist: Substitutions,
    /// Specifications without metacharacters, by the path they name; first one first.
    literals: HashMap<Box<[u8]>, Vec<Spec>>,
    root: Stem,
}

/// What a specification says of the paths it matches.
#[derive(Clone, Debug)]
struct Spec {
    /// File and line, as one growing number.
    order: u64,
    /// The only file type (bits of `st_mode`) it is meant for.
    file_type: Option<u32>,
    /// `None` is `<<none>>`.
    label: Option<Label>,
}

/// The expressions below one literal beginning.
#[derive(Debug, Default)]
struct Stem {
    below: BTreeMap<Box<[u8]>, Self>,
    /// In the order read.
    specs: Vec<Spec>,
    patterns: Vec<Pattern>,
    set: RegexSet,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    /// File and line, for messages.
    place: String,
}

impl FileContexts {
    /// Reads a policy's texts.
    ///
    /// # Errors
    /// A line libselinux would not take, or an expression that the engine cannot take; with file and line.
    pub fn parse(texts: &Texts) -> Result<Self> {
        let mut contexts = Self {
            subs: Substitutions::parse(&texts.subs),
            subs_dist: Substitutions::parse(&texts.subs_dist),
            literals: HashMap::new(),
            root: Stem::default(),
        };
        let mut labels = HashMap::new();
        for (file, (name, text)) in (0..).zip(&texts.contexts) {
            for (line, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
                let place = || format!("{name}:{line}");
                let Some(parsed) = Line::parse(bytes).with_context(place)? else { continue };
                let order = u64::from(file as u32) << 32 | line;
                contexts.add(&parsed, order, place(), &mut labels).with_context(place)?;
            }
        }
        for same in contexts.literals.values_mut() {
            // Files added later count first, within a file the first line does.
            same.sort_by_key(|spec| (std::cmp::Reverse(spec.order >> 32), spec.order));
        }
        contexts.root.compile()?;
        Ok(contexts)
    }

    fn add(
        &mut self,
        line: &Line<'_>,
        order: u64,
        place: String,
        labels: &mut HashMap<Vec<u8>, Label>,
    ) -> Result<()> {
        let label = |context: &[u8]| {
            let value = [context, b"\0"].concat();
            labels.entry(value.clone()).or_insert_with(|| value.into()).clone()
        };
        let label = Some(line.context).filter(|&context| context != NONE).map(label);
        let spec = Spec { order, file_type: line.file_type, label };
        if let Some(path) = literal(line.specification) {
            self.literals.entry(path.into()).or_default().push(spec);
            return Ok(());
        }
        let text = pattern::translate(line.specification)
            .with_context(|| format!("specification '{}'", line.specification.escape_ascii()))?;
        let stem = stem_parts(line.specification)
            .into_iter()
            .fold(&mut self.root, |stem, part| stem.below.entry(part.into()).or_default());
        stem.specs.push(spec);
        stem.patterns.push(Pattern { text, place });
        Ok(())
    }

    /// The label of the absolute `path` of a node with `st_mode`; `None` if there is none.
    #[must_use]
    pub fn lookup(&self, path: &[u8], st_mode: u32) -> Option<&Label> {
        let path = self.substitute(clean(path));
        let fits = |spec: &Spec| spec.file_type.is_none_or(|bits| bits == st_mode & S_IFMT);
        if let Some(same) = self.literals.get(&*path)
            && let Some(spec) = same.iter().find(|spec| fits(spec))
        {
            return spec.label.as_ref();
        }
        let mut best: Option<&Spec> = None;
        for stem in self.way(&path).into_iter().rev() {
            let found = stem.set.matches(&path).into_iter().rev().map(|index| &stem.specs[index]);
            let Some(found) = found.into_iter().find(|spec| fits(spec)) else { continue };
            if best.is_none_or(|best| found.order > best.order) {
                found.label.as_ref()?;
                best = Some(found);
            }
        }
        best?.label.as_ref()
    }

    fn substitute(&self, path: Vec<u8>) -> Vec<u8> {
        let path = self.subs.apply(&path).unwrap_or(path);
        self.subs_dist.apply(&path).unwrap_or(path)
    }

    /// The stems whose beginning `path` has, from the root on.
    fn way(&self, path: &[u8]) -> Vec<&Stem> {
        let mut way = vec![&self.root];
        let mut stem = &self.root;
        let mut parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let Some(below) = stem.below.get(part).filter(|_| parts.peek().is_some()) else { break };
            stem = below;
            way.push(stem);
        }
        way
    }
}

/// Without doubled slashes and one at the end.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut clean = path.to_vec();
    clean.dedup_by(|b, a| *a == b'/' && *b == b'/');
    if clean.len() > 1 && clean.ends_with(b"/") {
        clean.pop();
    }
    clean
}

impl Stem {
    fn compile(&mut self) -> Result<()> {
        let texts = self.patterns.iter().map(|pattern| pattern.text.as_str());
        self.set = match set(texts) {
            Ok(set) => set,
            Err(error) => return Err(self.culprit().unwrap_or_else(|| anyhow!(error))),
        };
        self.patterns = Vec::new();
        self.below.values_mut().try_for_each(Self::compile)
    }

    /// The expression that cannot be compiled.
    fn culprit(&self) -> Option<anyhow::Error> {
        self.patterns.iter().find_map(|pattern| {
            let error = set([pattern.text.as_str()]).err()?;
            Some(anyhow!("{}: {error}", pattern.place))
        })
    }
}

fn set<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(SET_BYTES)
        .dfa_size_limit(CACHE_BYTES)
        .build()
}

/// The fields of a line.
struct Line<'a> {
    specification: &'a [u8],
    file_type: Option<u32>,
    context: &'a [u8],
}

impl<'a> Line<'a> {
    /// `None` for comments and empty lines.
    fn parse(line: &'a [u8]) -> Result<Option<Self>> {
        let mut fields = line.split(is_space).filter(|field| !field.is_empty());
        let Some(specification) = fields.next().filter(|field| !field.starts_with(b"#")) else {
            return Ok(None);
        };
        let second = fields.next().context("a specification without a context")?;
        let (file_type, context) = match fields.next() {
            Some(context) => (Some(file_type(second)?), context),
            None => (None, second),
        };
        for field in [specification, context] {
            ensure!(field.is_ascii() && !field.contains(&0), "a character that is not ASCII");
        }
        let shown = || context.escape_ascii().to_string();
        ensure!(context == NONE || context.contains(&b':'), "'{}' is no security context", shown());
        Ok(Some(Self { specification, file_type, context }))
    }
}

fn file_type(field: &[u8]) -> Result<u32> {
    Ok(match field {
        b"-p" => 0o010_000,
        b"-c" => 0o020_000,
        b"-d" => 0o040_000,
        b"-b" => 0o060_000,
        b"--" => 0o100_000,
        b"-l" => 0o120_000,
        b"-s" => 0o140_000,
        _ => bail!("'{}' is no file type", field.escape_ascii()),
    })
}

/// The path that a specification without metacharacters names.
fn literal(specification: &[u8]) -> Option<Vec<u8>> {
    let mut path = Vec::new();
    let mut bytes = specification.iter();
    while let Some(&byte) = bytes.next() {
        path.push(match byte {
            b'\\' => *bytes.next().filter(|byte| ESCAPABLE.contains(byte))?,
            _ if META.contains(&byte) => return None,
            _ => byte,
        });
    }
    Some(path)
}

/// The literal path parts in front of an expression's first metacharacter, three at most.
fn stem_parts(specification: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while parts.len() < STEM_PARTS && at < specification.len() {
        let rest = &specification[at + 1..];
        let Some(length) = rest.iter().position(|&byte| byte == b'/') else { break };
        if length > 0 {
            let Some(part) = literal(&rest[..length]) else { break };
            parts.push(part);
        }
        at += length + 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: u32 = 0o100_644;
    const DIR: u32 = 0o040_755;

    fn contexts(files: &[&str]) -> Result<FileContexts> {
        let text = |(index, text): (usize, &&str)| (format!("file{index}"), text.as_bytes().to_vec());
        FileContexts::parse(&Texts {
            contexts: files.iter().enumerate().map(text).collect(),
            ..Texts::default()
        })
    }

    fn label(contexts: &FileContexts, path: &str, mode: u32) -> String {
        let label = contexts.lookup(path.as_bytes(), mode).map_or(&b"-\0"[..], |label| label);
        String::from_utf8(label.strip_suffix(b"\0").unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_last_expression_wins_and_an_exact_path_before_all() {
        let contexts = contexts(&[
            "/a\\.b u:exact\n/.* u:any\n/a.* -d u:dir\n/a.* u:a\n/n(/.*)? <<none>>\n",
            "# comment\n\n  /a/.*   u:home  \t\n",
        ])
        .unwrap();
        for (path, mode, expected) in [
            ("/a.b", FILE, "u:exact"),
            ("/abc", DIR, "u:a"),
            ("/a/b/c", FILE, "u:home"),
            ("/x", FILE, "u:any"),
            ("/n/m", FILE, "-"),
            ("//a//b/", FILE, "u:home"),
        ] {
            assert_eq!(label(&contexts, path, mode), expected, "{path}");
        }
    }

    #[test]
    fn errors_name_file_and_line() {
        for (text, message) in [
            ("/a u:a\n/b(?=c) u:b", "file0:2: specification"),
            ("/a", "file0:1: a specification without"),
            ("\n/a -x u:a", "file0:2: '-x'"),
            ("/a -d", "file0:1: '-d' is no security"),
            ("/a\u{e9} u:a", "file0:1: a character"),
            ("/a u:a\n/b(c u:b", "file0:2: regex parse error"),
        ] {
            let error = format!("{:#}", contexts(&[text]).unwrap_err());
            assert!(error.starts_with(message), "{error}");
        }
    }
}
