//! Path substitutions: `file_contexts.subs` and `file_contexts.subs_dist`.
//!
//! ```text
//! PREFIX REPLACEMENT      a line each; later lines count first
//! ```

/// Bytes that C calls white space.
pub(super) const fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A prefix and what takes its place.
type Pair = (Box<[u8]>, Box<[u8]>);

/// The substitutions of one file.
#[derive(Debug, Default)]
pub(super) struct Substitutions(Vec<Pair>);

impl Substitutions {
    pub(super) fn parse(text: &[u8]) -> Self {
        let pairs = text.split(|&byte| byte == b'\n').filter_map(|line| {
            let mut fields = line.split(is_space).filter(|field| !field.is_empty());
            let (from, to) = (fields.next()?, fields.next()?);
            (!from.starts_with(b"#")).then(|| (from.into(), to.into()))
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.reverse();
        Self(pairs)
    }

    /// The path under which `path` is looked up, if it is another one.
    pub(super) fn apply(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.0.iter().find_map(|(from, to)| {
            let rest = path.strip_prefix(&**from)?;
            match rest.first() {
                Some(b'/') if **to == *b"/" => Some(rest.to_vec()),
                None | Some(b'/') => Some([&**to, rest].concat()),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_parts_only_and_the_last_line_first() {
        let subs = Substitutions::parse(b"# c\n/lib /usr/lib\n/lib /x y z\n\n /srv  /\n/only\n/t/ /u\n");
        assert_eq!(subs.apply(b"/lib/a").as_deref(), Some(&b"/x/a"[..]));
        assert_eq!(subs.apply(b"/srv/a").as_deref(), Some(&b"/a"[..]));
        assert_eq!(subs.apply(b"/srv").as_deref(), Some(&b"/"[..]));
        assert_eq!(
            (subs.apply(b"/library"), subs.apply(b"/only/a"), subs.apply(b"/t/a")),
            (None, None, None)
        );
    }
}
