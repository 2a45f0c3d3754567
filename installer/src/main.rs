//! diskwright-install: what an installer medium or a network starts. It finds the payload,
//! chooses or asks for a disk, writes the system to it and starts it.
//!
//! `docs/installer-medium.md` is the contract with who starts it. Run as
//! `diskwright-install --root DIR` it works on a picture of a machine (`sys`,
//! `dev` and `proc` below DIR), changes only files there, and never stops the machine.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use rustix::system::{RebootCommand, reboot};

use diskwright_install::{install, machine::Machine, options::After, screen::Screen};

const USAGE: &str = "usage: diskwright-install [--root DIR]

Started by an installer medium or from a network; options come from it and from the kernel's command line.
--root DIR  work on a picture of a machine: sys, dev and proc below DIR";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run(Path::new("/"), true),
        ["--root", root] => run(&PathBuf::from(root), false),
        ["--help"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(root: &Path, is_machine: bool) -> ExitCode {
    let machine = Machine::new(root);
    let mut screen = Screen::open(&machine.consoles());
    screen.say(format_args!("\r\ndiskwright installer {}", env!("CARGO_PKG_VERSION")));
    match install::install(&machine, &mut screen) {
        Ok(after) => {
            screen.say(format_args!("Installed."));
            if is_machine {
                leave(after, &screen);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            screen.say(format_args!("\r\nThe installation failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The disk is flushed, so nothing needs an orderly end.
fn leave(after: After, screen: &Screen) {
    rustix::fs::sync();
    let outcome = match after {
        After::Reboot => reboot(RebootCommand::Restart).map_err(std::io::Error::from),
        After::Poweroff => reboot(RebootCommand::PowerOff).map_err(std::io::Error::from),
        After::Shell => {
            let start =
                Command::new("systemctl").args(["start", "--no-block", "diskwright-rescue.target"]).status();
            start.map(drop)
        }
    };
    if let Err(error) = outcome {
        screen.say(format_args!("{after:?} did not work: {error}"));
    }
}
