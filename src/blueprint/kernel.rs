//! The kernel command line as text (Documentation/admin-guide/kernel-parameters).

/// Splits at white space outside double quotes, as the kernel's `next_arg` does.
pub(super) fn split(line: &str) -> Vec<&str> {
    let mut quoted = false;
    let separator = |c: char| {
        quoted ^= c == '"';
        !quoted && c.is_ascii_whitespace()
    };
    line.split(separator).filter(|argument| !argument.is_empty()).collect()
}

/// Why these arguments cannot be passed on, if so.
pub(super) fn fault(line: &str) -> Option<String> {
    if line.matches('"').count() % 2 == 1 {
        return Some("a double quote is not closed".to_owned());
    }
    split(line).into_iter().find_map(argument_fault)
}

fn argument_fault(argument: &str) -> Option<String> {
    if let Some(c) = argument.chars().find(|c| c.is_control() || !c.is_ascii()) {
        return Some(format!("the kernel's command line cannot hold the character {c:?}"));
    }
    let name = argument.split('=').next().unwrap_or_default().trim_matches('"');
    match name {
        "" => Some(format!("the argument {argument} has no name")),
        "root" | "ostree" => Some(format!("`{name}=` is set by the deployment and cannot be given")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_spaces_together() {
        let line = "quiet  foo=\"a b\" \"bar=c d\" x.y=1\n";
        assert_eq!(split(line), ["quiet", "foo=\"a b\"", "\"bar=c d\"", "x.y=1"]);
        assert_eq!(split(" "), [""; 0]);
    }
}
