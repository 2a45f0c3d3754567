//! Reads a system's files out of a tree, symbolic links followed as if the
//! tree were the root of a machine. Reading a file of an image never leaves it.

use anyhow::{Context, Result, ensure};
use diskwright_formats::tree::{Kind, NodeId, Tree};

/// Largest configuration file that is read into memory.
const MAX_TEXT: u64 = 16 << 20;
/// Symbolic links followed before a path counts as a loop.
const MAX_LINKS: usize = 40;

/// A directory of a tree, seen as a machine's root.
#[derive(Clone, Copy, Debug)]
pub struct Rootfs<'a> {
    /// The arena.
    pub tree: &'a Tree,
    /// The root directory.
    pub root: NodeId,
}

impl<'a> Rootfs<'a> {
    /// The node at `path`, links followed, also the last.
    #[must_use]
    pub fn lookup(&self, path: impl AsRef<[u8]>) -> Option<NodeId> {
        let mut at = vec![self.root];
        let mut todo: Vec<&[u8]> = parts(path.as_ref());
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == b".." {
                at.truncate(at.len().saturating_sub(1).max(1));
                continue;
            }
            let child = self.tree.child(*at.last()?, part)?;
            if let Kind::Symlink(target) = &self.tree.node(child).kind {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                if target.starts_with(b"/") {
                    at.truncate(1);
                }
                todo.extend(parts(target));
            } else {
                at.push(child);
            }
        }
        at.last().copied()
    }

    /// The content of a regular file; `None` where there is none.
    ///
    /// # Errors
    /// A file too large to be a configuration, or unreadable content.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(Kind::File(content)) = self.lookup(path).map(|id| &self.tree.node(id).kind) else {
            return Ok(None);
        };
        ensure!(content.len() <= MAX_TEXT, "/{path}: {} bytes, {MAX_TEXT} are read at most", content.len());
        let bytes = content.to_vec().with_context(|| format!("reading /{path} of the image"))?;
        Ok(Some(bytes))
    }

    /// As [`Rootfs::read`], as UTF-8 text.
    ///
    /// # Errors
    /// As [`Rootfs::read`], and for text that is not UTF-8.
    pub fn read_text(&self, path: &str) -> Result<Option<String>> {
        let bytes = self.read(path)?;
        let text = bytes.map(String::from_utf8).transpose();
        text.with_context(|| format!("/{path} of the image is not UTF-8 text"))
    }

    /// Names and nodes in the directory at `path`, sorted; empty where there is none.
    #[must_use]
    pub fn list(&self, path: &str) -> Vec<(&'a [u8], NodeId)> {
        let children = self.lookup(path).and_then(|id| self.tree.children(id));
        children.into_iter().flatten().map(|(name, &id)| (&name[..], id)).collect()
    }

    /// Whether `path` is a regular file.
    #[must_use]
    pub fn is_file(&self, path: &str) -> bool {
        self.lookup(path).is_some_and(|id| matches!(self.tree.node(id).kind, Kind::File(_)))
    }

    /// Whether `path` is a directory.
    #[must_use]
    pub fn is_directory(&self, path: &str) -> bool {
        self.lookup(path).is_some_and(|id| self.tree.children(id).is_some())
    }
}

/// Parts of a path, last first, without the ones that say nothing.
fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|&byte| byte == b'/').rev().filter(|part| !part.is_empty() && part != b".").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright_formats::{sparse::Sparse, tree::Meta};

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let mut tree = Tree::new(Meta::root(0o755));
        let root = tree.root();
        let usr = tree.add_directory(Meta::root(0o755));
        tree.link(root, *b"usr", usr);
        let file = tree.add_file(Meta::root(0o644), Sparse::from_bytes(*b"x"));
        tree.link(usr, *b"file", file);
        for (name, target) in [(&b"a"[..], "usr/file"), (b"b", "/usr/../../usr/file"), (b"loop", "loop")] {
            let link = tree.add_symlink(target.as_bytes());
            tree.link(root, name, link);
        }
        let rootfs = Rootfs { tree: &tree, root };
        assert_eq!(rootfs.lookup("a"), Some(file));
        assert_eq!(rootfs.lookup("/b"), Some(file));
        assert_eq!(rootfs.lookup("loop"), None);
        assert_eq!(rootfs.read_text("a").unwrap().as_deref(), Some("x"));
    }
}
