//! Every path has the label libselinux gives it: the paths of this machine,
//! and paths made up from every specification of Debian's policy.

use std::{fs, os::unix::ffi::OsStrExt as _, os::unix::fs::MetadataExt as _, path::Path, time::Instant};

use diskwright::deploy::selinux::{FileContexts, Texts};

use crate::judge::{self, Question};

/// Every file type, with the permissions left out.
const TYPES: [u32; 7] = [0o010_000, 0o020_000, 0o040_000, 0o060_000, 0o100_000, 0o120_000, 0o140_000];
/// Paths of the host that are asked.
const HOST_PATHS: usize = 40_000;

/// Questions on which our answers and these differ.
fn differences(texts: &Texts, questions: &[Question], answers: &[String]) -> Vec<String> {
    let contexts = FileContexts::parse(texts).unwrap();
    let pairs = questions.iter().zip(answers);
    let differing = pairs.filter_map(|((path, mode), theirs)| {
        let ours = contexts.lookup(path, *mode).map_or(&b"-\0"[..], |label| label);
        let same = ours.strip_suffix(b"\0") == Some(theirs.as_bytes());
        (!same).then(|| format!("{} {mode:o}: {} not {theirs}", path.escape_ascii(), ours.escape_ascii()))
    });
    differing.collect()
}

fn agree(texts: &Texts, questions: &[Question]) {
    agree_with(texts, questions, &judge::labels(texts, questions));
    agree_with(texts, questions, &judge::newer_labels(texts, questions));
}

fn agree_with(texts: &Texts, questions: &[Question], answers: &[String]) {
    let differing = differences(texts, questions, answers);
    assert!(
        differing.is_empty(),
        "{} of {}: {:#?}",
        differing.len(),
        questions.len(),
        &differing[..differing.len().min(20)]
    );
}

/// Paths of the host, top directories of a running system as they happen to be.
fn host_paths() -> Vec<Question> {
    let mut found = Vec::new();
    let mut stack = vec![Path::new("/").to_path_buf()];
    while let Some(directory) = stack.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let (path, Ok(meta)) = (entry.path(), entry.path().symlink_metadata()) else { continue };
            found.push((path.as_os_str().as_bytes().to_vec(), meta.mode()));
            if meta.is_dir() && !["/proc", "/sys", "/work", "/tmp"].iter().any(|skip| path.starts_with(skip))
            {
                stack.push(path);
            }
        }
        if found.len() > HOST_PATHS {
            break;
        }
    }
    found.push((b"/".to_vec(), 0o040_755));
    found
}

/// Deterministic numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// A path that a specification may match: literal parts kept, the rest made up; sometimes spoiled.
fn path_of(spec: &[u8], random: &mut Random) -> Vec<u8> {
    let mut path = expand(spec, random);
    match random.below(12) {
        0 => path.extend_from_slice(b"/x/y.z"),
        1 => drop(path.pop()),
        2 => path.extend_from_slice(b"\xff"),
        3 => path.insert(random.below(path.len() + 1), b'/'),
        _ => {}
    }
    path.retain(|&byte| byte != 0);
    if path.first() != Some(&b'/') {
        path.insert(0, b'/');
    }
    path
}

/// One alternative of `spec`, expanded.
fn expand(spec: &[u8], random: &mut Random) -> Vec<u8> {
    let alternatives = alternatives(spec);
    let chosen = alternatives[random.below(alternatives.len())];
    let mut path = Vec::new();
    let mut at = 0;
    while at < chosen.len() {
        let (atom, length) = atom(&chosen[at..]);
        at += length;
        let (times, length) = times(&chosen[at..], random);
        at += length;
        for _ in 0..times {
            match atom {
                Atom::Byte(byte) => path.push(byte),
                Atom::Any => path.push(b"abc/0._-X\xe4"[random.below(10)]),
                Atom::Class(class) => path.push(from_class(class, random)),
                Atom::Group(group) => path.extend(expand(group, random)),
                Atom::Nothing => {}
            }
        }
    }
    path
}

#[derive(Clone, Copy)]
enum Atom<'a> {
    Byte(u8),
    Any,
    Class(&'a [u8]),
    Group(&'a [u8]),
    Nothing,
}

/// The first atom and its length.
fn atom(spec: &[u8]) -> (Atom<'_>, usize) {
    match spec[0] {
        b'\\' if spec.len() > 1 => match spec[1] {
            b'd' => (Atom::Class(b"0-9"), 2),
            b'w' => (Atom::Class(b"a-z"), 2),
            byte => (Atom::Byte(byte), 2),
        },
        b'.' => (Atom::Any, 1),
        b'^' | b'$' => (Atom::Nothing, 1),
        b'[' => {
            let end = spec[2..].iter().position(|&byte| byte == b']').unwrap() + 2;
            (Atom::Class(&spec[1..end]), end + 1)
        }
        b'(' => {
            let end = closing(spec);
            let inner = spec[1..end].strip_prefix(b"?:").unwrap_or(&spec[1..end]);
            (Atom::Group(inner), end + 1)
        }
        byte => (Atom::Byte(byte), 1),
    }
}

/// Where the group that opens `spec` closes.
fn closing(spec: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    loop {
        match spec[at] {
            b'\\' => at += 1,
            b'[' => at += atom(&spec[at..]).1 - 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
        at += 1;
    }
}

fn alternatives(spec: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    while at < spec.len() {
        if spec[at] == b'|' {
            found.push(&spec[start..at]);
            start = at + 1;
            at += 1;
        } else {
            at += atom(&spec[at..]).1;
        }
    }
    found.push(&spec[start..]);
    found
}

/// How often an atom is repeated, and the length of its quantifier.
fn times(rest: &[u8], random: &mut Random) -> (usize, usize) {
    let lazy = usize::from(rest.get(1) == Some(&b'?'));
    match rest.first() {
        Some(b'*') => (random.below(4), 1 + lazy),
        Some(b'+') => (1 + random.below(3), 1 + lazy),
        Some(b'?') => (random.below(2), 1 + lazy),
        Some(b'{') => {
            let end = rest.iter().position(|&byte| byte == b'}').unwrap();
            let number = std::str::from_utf8(&rest[1..end]).unwrap().split(',').next().unwrap();
            (number.parse().unwrap(), end + 1)
        }
        _ => (1, 0),
    }
}

fn from_class(class: &[u8], random: &mut Random) -> u8 {
    if class.starts_with(b"^") || class.starts_with(b"[:") {
        return b"abz019_-."[random.below(9)];
    }
    let at = random.below(class.len());
    match class.get(at.saturating_sub(1)..=at + 1) {
        Some(&[low, b'-', high]) if low < high => low + random.below(usize::from(high - low) + 1) as u8,
        _ => class[at],
    }
}

/// Specifications of the texts, with the left sides of substitutions.
fn specifications(texts: &Texts) -> Vec<Vec<u8>> {
    let all = texts.contexts.iter().map(|(_, text)| text).chain([&texts.subs, &texts.subs_dist]);
    let lines = all.flat_map(|text| text.split(|&byte| byte == b'\n'));
    let first = lines.filter_map(|line| line.split(u8::is_ascii_whitespace).next());
    first.filter(|spec| spec.starts_with(b"/") || spec.starts_with(b"(")).map(<[u8]>::to_vec).collect()
}

/// `count` paths shaped by the specifications, of every type.
fn made_up(texts: &Texts, count: usize) -> Vec<Question> {
    let specifications = specifications(texts);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let question = |index: usize| {
        let path = path_of(&specifications[index % specifications.len()], &mut random);
        (path, TYPES[random.below(TYPES.len())])
    };
    (0..count).map(question).collect()
}

/// The same with image paths: what a commit holds is below /usr/etc.
fn usr_etc(questions: Vec<Question>) -> Vec<Question> {
    let moved = |(path, mode): Question| match path.strip_prefix(b"/etc") {
        Some(rest) => ([b"/usr/etc", rest].concat(), mode),
        None => (path, mode),
    };
    questions.into_iter().map(moved).collect()
}

#[test]
fn paths_of_this_machine() {
    let texts = judge::debian_texts();
    agree(&texts, &host_paths());
    agree(&texts, &usr_etc(host_paths()));
}

#[test]
fn paths_made_of_every_specification() {
    let texts = judge::debian_texts();
    agree(&texts, &made_up(&texts, 40_000));
}

#[test]
fn local_contexts_and_substitutions() {
    let mut texts = judge::debian_texts();
    texts.contexts.push((
        "file_contexts.local".into(),
        b"/usr/bin/(ba)?sh -- system_u:object_r:local_t:s0\n/srv/\\w+(/.*)? -d <<none>>\n/usr/bin/mount system_u:object_r:second_t:s0\n".to_vec(),
    ));
    texts.subs = b"/data /var\n/data/srv /srv\n/slash /\n/home2 /home\n".to_vec();
    let mut questions = made_up(&texts, 20_000);
    for (index, (path, _)) in questions.iter_mut().enumerate() {
        let prefix: &[u8] = [&b""[..], b"/data", b"/slash", b"/home2", b"/data/srv"][index % 5];
        *path = [prefix, path].concat();
    }
    agree(&texts, &questions);
}

/// Where releases before 3.8 differ, the later ones are followed.
#[test]
fn specifications_that_contradict_each_other() {
    let file = b"/a/b/c/.* <<none>>\n/a/b/.* u:r:late\n/x u:r:first\n/x u:r:second\n/y -d u:r:dir\n/y u:r:all\n\
        /d\\d u:r:escape\n/d.* u:r:any\n/e\\-e/f.* u:r:stem\n/n u:r:exact\n/m. u:r:dot\n\
        /p|/q u:r:either\n/b{r}.* u:r:brace\n/k[[:digit:]-]+x u:r:class\n/x/y/z/w.* u:r:four\n/x/.* u:r:one\n";
    let local = b"/x u:r:local\n/a/.* u:r:a\n/a/b/c/d u:r:literal\n/x/y/z/.* -- u:r:three\n";
    let texts = judge::texts(&[
        file.to_vec(),
        Vec::new(),
        local.to_vec(),
        b"/sub /a/b/\n/x/sub /\n".to_vec(),
        Vec::new(),
    ]);
    let paths: [&[u8]; 26] = [
        b"/",
        b"/a/b/c/x",
        b"/a/b/c/d",
        b"/a/b/x",
        b"/a/x",
        b"/x",
        b"/y",
        b"/d1",
        b"/dx",
        b"/e-e/f",
        b"/n",
        b"/n\n",
        b"/m\n",
        b"/p",
        b"/pq",
        b"/x/q",
        b"/q",
        b"/b{r}",
        b"/k1-x",
        b"/sub/x",
        b"/sub",
        b"/x/sub/y",
        b"/x/y/z/w",
        b"/x/y/z/w/v",
        b"//a//b",
        b"/x/y/z/q",
    ];
    let questions: Vec<_> = paths.iter().flat_map(|path| TYPES.map(|mode| (path.to_vec(), mode))).collect();
    agree_with(&texts, &questions, &judge::newer_labels(&texts, &questions));
    let old = differences(&texts, &questions, &judge::labels(&texts, &questions));
    assert!(!old.is_empty(), "nothing here contradicts itself");
}

#[test]
fn the_judge_says_no() {
    let texts = judge::debian_texts();
    let mut changed = texts.clone();
    let shadow = b"/etc/shadow.*\t--\tsystem_u:object_r:other_t:s0\n";
    changed.contexts[0].1.extend_from_slice(shadow);
    let question = [(b"/etc/shadow-".to_vec(), 0o100_600)];
    let (ours, theirs) = (judge::labels(&texts, &question), judge::labels(&changed, &question));
    assert_ne!(ours, theirs);
    agree(&changed, &question);
    assert_eq!(
        FileContexts::parse(&texts).unwrap().lookup(b"/etc/shadow-", 0o100_600).map(|label| &label[..]),
        Some(&b"system_u:object_r:shadow_t:s0\0"[..])
    );
}

/// Not asserted: a machine may be busy. Run with `--release -- --nocapture`.
#[test]
fn how_long_100_000_paths_take() {
    let texts = judge::debian_texts();
    let mut questions = host_paths();
    questions.extend(made_up(&texts, 100_000));
    questions.truncate(100_000);
    let start = Instant::now();
    let contexts = FileContexts::parse(&texts).unwrap();
    let parsed = start.elapsed();
    let found = questions.iter().filter(|(path, mode)| contexts.lookup(path, *mode).is_some()).count();
    let all = start.elapsed();
    eprintln!(
        "{} specifications read in {parsed:?}, {found} of {} paths labelled in {:?}",
        specifications(&texts).len(),
        questions.len(),
        all - parsed
    );
}
