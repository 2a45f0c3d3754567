//! The kernel's command line, in the order bootc makes it.

/// Arguments in order, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KernelArguments(Vec<String>);

impl KernelArguments {
    /// Appends what is not there yet; the same key with another value is kept. A text may hold several.
    pub(super) fn extend<I: IntoIterator<Item = S>, S: AsRef<str>>(&mut self, arguments: I) {
        for text in arguments {
            for argument in words(text.as_ref()) {
                if !self.0.iter().any(|old| is_same(old, argument)) {
                    self.0.push(argument.to_owned());
                }
            }
        }
    }

    /// Takes away `key` (with any value) or `key=value` (exactly).
    pub(super) fn delete(&mut self, what: &str) {
        if what.contains('=') {
            self.0.retain(|argument| !is_same(argument, what));
        } else {
            self.0.retain(|argument| !is_same_key(key(argument), what));
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

/// Arguments of a command line; blanks between double quotes are part of one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let separates = move |c: char| {
        quoted ^= c == '"';
        c.is_ascii_whitespace() && !quoted
    };
    text.split(separates).filter(|word| !word.is_empty())
}

fn key(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(key, _)| key)
}

/// The kernel takes `-` and `_` in a key for the same.
fn is_same_key(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte };
    one.bytes().map(plain).eq(other.bytes().map(plain))
}

fn is_same(one: &str, other: &str) -> bool {
    let rest = |argument: &str| argument.split_once('=').map(|(_, value)| value.trim_matches('"').to_owned());
    is_same_key(key(one), key(other)) && rest(one) == rest(other)
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

    #[test]
    fn a_text_may_hold_several_and_keys_are_the_kernels() {
        let mut all = KernelArguments::default();
        all.extend(["rw quiet", " rw  dyndbg=\"file a b\" x-y=1", "x_y=1 x_y=2"]);
        assert_eq!(all.to_string(), "rw quiet dyndbg=\"file a b\" x-y=1 x_y=2");
        all.delete("x_y=1");
        all.delete("dyndbg");
        assert_eq!(all.to_string(), "rw quiet x_y=2");
        all.delete("x-y");
        assert_eq!(all.to_string(), "rw quiet");
    }
}
