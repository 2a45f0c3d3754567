//! GRUB's console as the user wants it.

use crate::blueprint::Grub2;

/// Commands of GRUB that set up its console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console(String);

impl Console {
    /// `None` if nothing is asked.
    #[must_use]
    pub fn of(wanted: &Grub2) -> Option<Self> {
        let terminal = |command: &str, names: &[String]| {
            if names.is_empty() { String::new() } else { format!("{command} {}\n", names.join(" ")) }
        };
        let serial = wanted.serial.iter().map(|command| format!("{command}\n")).collect::<String>();
        let input = terminal("terminal_input", &wanted.terminal_input);
        let text = serial + &input + &terminal("terminal_output", &wanted.terminal_output);
        (!text.is_empty()).then_some(Self(text))
    }

    /// The commands, each on a line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}
