//! Names of refs: how ostree's container support turns an image reference or
//! a layer digest into a path below `refs/heads`.

use std::fmt::Write as _;

use anyhow::bail;

/// Below this, refs name the commit of a layer; what follows is its escaped digest.
pub const BLOB_PREFIX: &str = "ostree/container/blob/";
/// Below this, refs name the merge commit of an image; what follows is its escaped reference.
pub const IMAGE_PREFIX: &str = "ostree/container/image/";

/// `text` as one ref name: ASCII letters, digits and `-` stay, `/` stays after
/// a letter or digit and before the end, `_` doubles, and anything else
/// becomes its code point in upper-case hexadecimal between underscores.
#[must_use]
pub fn escape_ref(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    let mut after_alphanumeric = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let alphanumeric = character.is_ascii_alphanumeric();
        match character {
            '_' => escaped.push_str("__"),
            '/' if after_alphanumeric && characters.peek().is_some() => escaped.push('/'),
            '-' => escaped.push('-'),
            _ if alphanumeric => escaped.push(character),
            _ => write!(escaped, "_{:02X}_", u32::from(character)).expect("strings take any text"),
        }
        after_alphanumeric = alphanumeric;
    }
    escaped
}

/// Checks what libostree demands of a ref: components of letters, digits and
/// `-._` (the first not `-` or `.`), joined by `/`.
///
/// # Errors
/// If `name` is not such a ref.
pub fn validate_ref(name: &str) -> anyhow::Result<()> {
    let valid = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(is_word) && bytes.all(|byte| is_word(byte) || b"-.".contains(&byte))
    };
    if !name.split('/').all(valid) {
        bail!("'{name}' is no valid ref name");
    }
    Ok(())
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_escapes() {
        for (text, escaped) in [
            ("sha256:ab0", "sha256_3A_ab0"),
            (
                "docker://registry.example.com/os_x:latest",
                "docker_3A__2F__2F_registry_2E_example_2E_com/os__x_3A_latest",
            ),
            (
                "docker://registry.example.com/gold:latest",
                "docker_3A__2F__2F_registry_2E_example_2E_com/gold_3A_latest",
            ),
            ("a/", "a_2F_"),
            ("/a", "_2F_a"),
            ("a-/b", "a-_2F_b"),
            ("x@y", "x_40_y"),
            ("é", "_E9_"),
        ] {
            assert_eq!(escape_ref(text), escaped);
            validate_ref(escaped).unwrap();
        }
    }

    #[test]
    fn refs_that_libostree_refuses() {
        for name in ["", "/", "a//b", "a/", ".a", "-a", "a b", "a/../b"] {
            validate_ref(name).unwrap_err();
        }
    }
}
