//! Byte offsets to lines and columns, in time that does not grow with the length of a line.

use std::ops::Range;

use super::node::Span;

/// Characters are counted from the nearest multiple of this many bytes.
const BLOCK: usize = 1024;

/// Where lines begin in a text.
pub(super) struct Places<'a> {
    text: &'a str,
    /// Offsets of the first byte of each line.
    lines: Vec<usize>,
    /// Characters before each block.
    chars: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        let mut count = 0;
        let mut chars = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            count += block.iter().filter(|byte| is_first(**byte)).count();
            chars.push(count);
        }
        Self { text, lines, chars }
    }

    /// Characters that begin before `offset`.
    fn chars_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let rest = &self.text.as_bytes()[block * BLOCK..offset];
        self.chars[block] + rest.iter().filter(|byte| is_first(**byte)).count()
    }

    /// The place of the bytes in `range`, as far as they are on one line.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let (start, end) = (range.start.min(self.text.len()), range.end.min(self.text.len()));
        let line = self.lines.partition_point(|first| *first <= start);
        let before = self.chars_before(start);
        let column = before - self.chars_before(self.lines[line - 1]) + 1;
        let on_one_line = self.lines.get(line).is_none_or(|next| end <= *next);
        let width = if on_one_line { self.chars_before(end.max(start)) - before } else { usize::MAX };
        Span { line, column, width: width.max(1) }
    }
}

/// Whether a byte begins a character.
const fn is_first(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters() {
        let text = format!("a\n{}bc\nd", "\u{e9}".repeat(2000));
        let places = Places::new(&text);
        assert_eq!(places.span(0..1), Span { line: 1, column: 1, width: 1 });
        assert_eq!(places.span(4002..4004), Span { line: 2, column: 2001, width: 2 });
        assert_eq!(places.span(4005..4006), Span { line: 3, column: 1, width: 1 });
        assert_eq!(places.span(9999..9999).line, 3);
        assert_eq!(places.span(0..4005).width, usize::MAX);
    }
}
