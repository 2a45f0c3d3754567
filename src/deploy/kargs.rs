//! The kernel's command line, in the order bootc makes it.

/// Arguments in order, without exact duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KernelArguments(Vec<String>);

impl KernelArguments {
    /// Appends what is not there yet; the same key with another value is kept.
    pub(super) fn extend<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, arguments: I) {
        for argument in arguments {
            let argument = argument.into();
            if !self.0.contains(&argument) {
                self.0.push(argument);
            }
        }
    }

    /// Takes away `key` (with any value) or `key=value` (exactly).
    pub(super) fn delete(&mut self, what: &str) {
        let key = |argument: &str| argument.split_once('=').map_or(argument, |(key, _)| key) == what;
        if what.contains('=') {
            self.0.retain(|argument| argument != what);
        } else {
            self.0.retain(|argument| !key(argument));
        }
    }
}

impl KernelArguments {
    /// Keeps what `is_kept` says; the rest.
    pub(super) fn retain(&mut self, is_kept: fn(&str) -> bool) -> Vec<String> {
        let all = std::mem::take(&mut self.0);
        let (kept, rest) = all.into_iter().partition(|argument| is_kept(argument));
        self.0 = kept;
        rest
    }
}

impl std::fmt::Display for KernelArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_go_other_values_stay_and_deletions_match_key_or_pair() {
        let mut all = KernelArguments::default();
        all.extend(["rw", "console=tty0", "console=ttyS0", "rw", "quiet"]);
        assert_eq!(all.to_string(), "rw console=tty0 console=ttyS0 quiet");
        all.delete("console=tty0");
        all.delete("quiet");
        assert_eq!(all.to_string(), "rw console=ttyS0");
        all.delete("console");
        assert_eq!(all.to_string(), "rw");
    }
}
