//! The order of GRUB's modules in a core image, out of `moddep.lst`:
//!
//! ```text
//! normal: terminal extcmd crypto boot verifiers gettext bufio
//! ```
//!
//! A line names a module and what it needs. GRUB loads embedded modules in
//! the order in which they lie there and knows no other, so what is needed
//! comes first. Any such order boots; this one is `grub-mkimage`'s: depth
//! first, the needs of a module from right to left, each module once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

/// Deepest chain of needs; real ones are below ten.
const DEPTH_MAX: usize = 100;

/// What each module needs.
#[derive(Debug)]
pub struct Dependencies<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Dependencies<'a> {
    /// Reads `moddep.lst`.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Self(lines.map(|(name, needs)| (name.trim(), needs.split_whitespace().collect())).collect())
    }

    /// Whether there is such a module.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// `wanted` in their order, each after what it needs.
    ///
    /// # Errors
    /// A module that the list does not name, or one that needs itself.
    pub fn closure(&self, wanted: &[&'a str]) -> Result<Vec<&'a str>> {
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        for name in wanted {
            self.visit(name, 0, &mut seen, &mut order)?;
        }
        Ok(order)
    }

    fn visit(
        &self,
        name: &'a str,
        depth: usize,
        seen: &mut BTreeSet<&'a str>,
        order: &mut Vec<&'a str>,
    ) -> Result<()> {
        ensure!(depth < DEPTH_MAX, "the GRUB module '{name}' needs itself (moddep.lst)");
        if seen.contains(name) {
            return Ok(());
        }
        let needs = self.0.get(name);
        ensure!(needs.is_some(), "no GRUB module '{name}' (moddep.lst)");
        for need in needs.into_iter().flatten().rev() {
            self.visit(need, depth + 1, seen, order)?;
        }
        if seen.insert(name) {
            order.push(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_come_first_from_right_to_left_and_once() {
        let modules = Dependencies::parse("a: b c\nb: d\nc: d\nd:\ne: a\n");
        assert_eq!(modules.closure(&["e", "b"]).unwrap(), ["d", "c", "b", "a", "e"]);
        assert_eq!(modules.closure(&["b", "e"]).unwrap(), ["d", "b", "c", "a", "e"]);
    }

    #[test]
    fn loops_and_unknown_modules_are_refused() {
        let modules = Dependencies::parse("a: b\nb: a\nc: x\n");
        assert!(modules.closure(&["a"]).unwrap_err().to_string().contains("needs itself"));
        assert!(modules.closure(&["c"]).unwrap_err().to_string().contains("'x'"));
    }
}
