//! File context specifications in the syntax of the `regex` crate.
//!
//! libselinux hands a specification to PCRE2 as `^SPEC$`, without a group
//! around it, on bytes, `.` matching newlines. Here the same language is
//! written down for `regex::bytes`: escapes, braces and classes that mean
//! something else there are spelled out, and `$` also matches before a final
//! newline. Left out on purpose, as an error: what is no regular language
//! (lookaround, back references, possessive quantifiers) and escapes no
//! policy uses. Source: pcre2pattern(3), the `regex` crate's syntax page.

use anyhow::{Result, bail, ensure};

/// Characters that need a backslash in the `regex` crate to stand for themselves.
const META: &[u8] = br"\.+*?()|[]{}^$#&-~";
/// Letters that mean the same set or byte after a backslash in both syntaxes.
const SHARED_ESCAPES: &[u8] = b"dDwWsStnrfa";

/// `^SPEC$` for a [`regex::bytes::RegexSetBuilder`] with `unicode(false)` and `dot_matches_new_line(true)`.
///
/// # Errors
/// Syntax that has no counterpart; the text says which.
pub(super) fn translate(spec: &[u8]) -> Result<String> {
    let anchored = [spec, b"$"].concat();
    let mut translator = Translator { rest: &anchored, out: String::from("^"), quantified: false };
    while let Some(byte) = translator.next() {
        translator.item(byte)?;
    }
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a [u8],
    out: String,
    /// The last item was a quantifier.
    quantified: bool,
}

/// What a class consists of.
enum ClassItem {
    Byte(u8),
    /// `[:alpha:]`, `\d`: already in the target's syntax.
    Set(String),
}

impl Translator<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn skip(&mut self, text: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn item(&mut self, byte: u8) -> Result<()> {
        let quantified = std::mem::take(&mut self.quantified);
        match byte {
            b'*' | b'+' | b'?' => return self.quantifier(&char::from(byte).to_string(), quantified),
            b'{' => match self.repetition()? {
                Some(text) => return self.quantifier(&text, quantified),
                None => self.literal(b'{'),
            },
            b'$' => self.out.push_str("(?:\n?$)"),
            b'.' | b'^' | b'|' | b')' => self.out.push(char::from(byte)),
            b'(' => self.group()?,
            b'[' => self.class()?,
            b'\\' => match self.escape()? {
                ClassItem::Byte(byte) => self.literal(byte),
                ClassItem::Set(text) => self.out.push_str(&text),
            },
            _ => self.literal(byte),
        }
        Ok(())
    }

    fn literal(&mut self, byte: u8) {
        if META.contains(&byte) {
            self.out.push('\\');
        }
        self.out.push(char::from(byte));
    }

    fn quantifier(&mut self, text: &str, quantified: bool) -> Result<()> {
        ensure!(!quantified, "a quantifier follows a quantifier");
        ensure!(!self.skip(b"+"), "possessive quantifier '{text}+' is not supported");
        self.out += text;
        if self.skip(b"?") {
            self.out.push('?');
        }
        self.quantified = true;
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`; any other brace is an ordinary character.
    fn repetition(&mut self) -> Result<Option<String>> {
        let Some(end) = self.rest.iter().position(|&byte| byte == b'}') else { return Ok(None) };
        let (body, rest) = (&self.rest[..end], &self.rest[end + 1..]);
        let mut numbers = body.split(|&byte| byte == b',');
        let (low, high) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        if numbers.next().is_some() || body.is_empty() || body == b"," || !digits(low) || !digits(high) {
            return Ok(None);
        }
        ensure!(!low.is_empty(), "'{{,n}}' means different things to different releases of PCRE2");
        let text = format!("{{{}}}", String::from_utf8_lossy(body));
        self.rest = rest;
        Ok(Some(text))
    }

    fn group(&mut self) -> Result<()> {
        if self.skip(b"?:") {
            self.out.push_str("(?:");
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&self.rest[..self.rest.len().min(3)]).into_owned();
        match self.rest.first() {
            Some(b'?') => bail!("group '({shown}': lookaround, flags and the like are not supported"),
            Some(b'*') => bail!("verb '({shown}' is not supported"),
            _ => self.out.push('('),
        }
        Ok(())
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<ClassItem> {
        let Some(byte) = self.next() else { bail!("a backslash at the end") };
        if byte == b'$' && self.rest.is_empty() {
            // The end anchor is added without regard to what the specification ends in.
            bail!("a backslash at the end");
        }
        match byte {
            b'x' => {
                let digits = self.rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let Some(value) = value.filter(u8::is_ascii) else { bail!("escape '\\x' is not supported") };
                self.rest = &self.rest[2..];
                Ok(ClassItem::Byte(value))
            }
            _ if SHARED_ESCAPES.contains(&byte) => Ok(ClassItem::Set(format!("\\{}", char::from(byte)))),
            b'1'..=b'9' => bail!("back reference '\\{}' is not supported", char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => bail!("escape '\\{}' is not supported", char::from(byte)),
            _ => Ok(ClassItem::Byte(byte)),
        }
    }

    fn class(&mut self) -> Result<()> {
        self.out.push('[');
        if self.skip(b"^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(byte) = self.next() else { bail!("a class without ']'") };
            if byte == b']' && !first {
                break;
            }
            first = false;
            match self.class_item(byte)? {
                ClassItem::Set(text) => self.out.push_str(&text),
                ClassItem::Byte(low) => self.range(low)?,
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// A byte of a class, or a range from it.
    fn range(&mut self, low: u8) -> Result<()> {
        self.literal(low);
        if self.rest.len() < 2 || self.rest[0] != b'-' || self.rest[1] == b']' {
            return Ok(());
        }
        self.rest = &self.rest[1..];
        let byte = self.next().unwrap_or_default();
        let ClassItem::Byte(high) = self.class_item(byte)? else { bail!("a range that ends in a set") };
        self.out.push('-');
        self.literal(high);
        Ok(())
    }

    fn class_item(&mut self, byte: u8) -> Result<ClassItem> {
        match (byte, self.rest.first()) {
            (b'\\', _) => self.escape(),
            (b'[', Some(b':')) => {
                let end = self.rest.windows(2).position(|pair| pair == b":]");
                let Some(end) = end else { return Ok(ClassItem::Byte(b'[')) };
                let name = String::from_utf8_lossy(&self.rest[..end + 2]).into_owned();
                self.rest = &self.rest[end + 2..];
                Ok(ClassItem::Set(format!("[{name}")))
            }
            (b'[', Some(b'.' | b'=')) => bail!("collating elements are not supported"),
            _ => Ok(ClassItem::Byte(byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::RegexSetBuilder;

    fn matches(spec: &str, path: &str) -> bool {
        let pattern = translate(spec.as_bytes()).unwrap();
        let set = RegexSetBuilder::new([pattern]).unicode(false).dot_matches_new_line(true).build().unwrap();
        set.is_match(path.as_bytes())
    }

    #[test]
    fn what_pcre_reads_otherwise_is_spelled_out() {
        for (spec, path) in [
            (r"/a\<b\>c\_d\-e.", "/a<b>c_d-ef"),
            ("/x{y}z.*", "/x{y}z"),
            ("/x{2}.", "/xxy"),
            ("/[[a].", "/[b"),
            ("/[a&&b].", "/&b"),
            ("/[]x]+", "/]x]"),
            (r"/[\w-.]+", "/a-."),
            ("/[--/]x.", "/.xy"),
            ("/[^/]+/([^.].*)?", "/a/"),
            ("/a(/.*)?", "/a\n"),
            ("/a|/b", "/axx"),
            ("/a|/b", "x/b"),
            ("/[[:digit:]]+", "/12"),
        ] {
            assert!(matches(spec, path), "{spec} {path}");
        }
        assert!(!matches("/a|/b", "/bx") && !matches("/[^a-c]", "/b") && !matches(r"/a\.b.", "/axbc"));
    }

    #[test]
    fn what_is_not_regular_is_refused() {
        for spec in
            ["/a(?=b)", r"/(a)\1", "/a*+", "/a**", "(?i)/a", "/a{,3}", "/[a", r"/a\", r"/\Qa", "/(*ACCEPT)"]
        {
            assert!(translate(spec.as_bytes()).is_err(), "{spec}");
        }
    }
}
