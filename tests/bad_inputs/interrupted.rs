//! Builds that are killed half way.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use diskwright_formats::writer::{Medium, WRITERS};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    Desk,
    tiny::{Layout, Tiny, noise},
};

/// An image that takes seconds to write.
fn slow() -> Layout {
    Tiny::default().with_file("usr/lib/big", noise(96 << 20)).write()
}

/// Starts a build and kills it `after` the phase named is announced; its status and last words.
fn kill(desk: &Desk, layout: &Layout, phase: &str, after: Duration, signal: Signal) -> (ExitStatus, String) {
    // a medium of Anaconda is built alone, of an image that has it
    let specs = WRITERS.iter().map(|writer| writer.spec()).filter(|spec| spec.medium != Medium::Anaconda);
    let types = specs.map(|spec| spec.name).collect::<Vec<_>>().join(",");
    let mut command = desk.command(&["--progress", "json", "--type", &types, &layout.reference()]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(phase) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "'{phase}' was not announced");
    }
    std::thread::sleep(after);
    kill_process(Pid::from_child(&child), signal).unwrap();
    let mut said = String::new();
    lines.read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

const PHASES: [&str; 3] = ["reading layers", "deploying", "\"writing\""];

#[test]
fn interrupt_leaves_nothing_behind() {
    let layout = slow();
    for phase in PHASES {
        let desk = Desk::new();
        let before = desk.found();
        let (status, said) = kill(&desk, &layout, phase, Duration::from_millis(20), Signal::INT);
        assert_eq!(status.code(), Some(130), "{phase}: {said}");
        assert!(said.contains("interrupted") && !said.contains("panicked"), "{said}");
        assert_eq!(desk.found(), before, "{phase}");
    }
}

#[test]
fn terminate_leaves_nothing_behind() {
    let layout = slow();
    for phase in PHASES {
        let desk = Desk::new();
        let before = desk.found();
        let (status, said) = kill(&desk, &layout, phase, Duration::from_millis(20), Signal::TERM);
        assert_eq!(status.code(), Some(143), "{phase}: {said}");
        assert_eq!(desk.found(), before, "{phase}");
    }
}

#[test]
fn kill_leaves_nothing_behind() {
    let layout = slow();
    for phase in PHASES {
        let desk = Desk::new();
        let before = desk.found();
        let (status, _) = kill(&desk, &layout, phase, Duration::from_millis(20), Signal::KILL);
        assert_eq!(status.signal(), Some(9), "{phase}");
        assert_eq!(desk.found(), before, "{phase}");
    }
}
