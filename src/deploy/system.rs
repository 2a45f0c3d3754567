//! What a merged tree says of its system: os-release, prepare-root
//! configuration. Read once, used by the deployment and by `inspect`.

use anyhow::{Result, ensure};

use super::rootfs::Rootfs;

/// Fields of os-release(5); all are optional.
#[derive(Clone, Debug, Default)]
pub struct OsRelease {
    fields: Vec<(String, String)>,
}

impl OsRelease {
    /// Reads `usr/lib/os-release`, else `etc/os-release`.
    ///
    /// # Errors
    /// A file that is not text.
    pub fn read(rootfs: &Rootfs<'_>) -> Result<Self> {
        for path in ["usr/lib/os-release", "etc/os-release", "usr/etc/os-release"] {
            if let Some(text) = rootfs.read_text(path)? {
                return Ok(Self::parse(&text));
            }
        }
        Ok(Self::default())
    }

    /// The assignments of `text`, quotes removed.
    #[must_use]
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('='));
        let fields = pairs.map(|(key, value)| (key.to_owned(), unquote(value))).collect();
        Self { fields }
    }

    /// The value of `key`, quotes removed.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.fields.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// What a boot menu shows: `PRETTY_NAME`, else `NAME`, else `ID`, else "Linux".
    #[must_use]
    pub fn title(&self) -> &str {
        ["PRETTY_NAME", "NAME", "ID"].iter().find_map(|key| self.get(key)).unwrap_or("Linux")
    }
}

/// A value as a shell would read it: one pair of quotes, backslashes inside double ones.
fn unquote(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// `[composefs] enabled` of `ostree/prepare-root.conf`: `/usr/lib`, then `/etc` over it.
///
/// # Errors
/// No such file at all (bootc refuses such an image), or one that is not text.
pub fn composefs_mode(rootfs: &Rootfs<'_>) -> Result<String> {
    let mut mode = None;
    let mut found = false;
    for path in [
        "usr/lib/ostree/prepare-root.conf",
        "etc/ostree/prepare-root.conf",
        "usr/etc/ostree/prepare-root.conf",
    ] {
        let Some(text) = rootfs.read_text(path)? else { continue };
        found = true;
        mode = key_file_value(&text, "composefs", "enabled").or(mode);
    }
    ensure!(
        found,
        "no usr/lib/ostree/prepare-root.conf in the image: its initramfs cannot find the deployment"
    );
    Ok(mode.unwrap_or_else(|| "no".to_owned()))
}

/// The value of `key` in `[section]` of a key file.
#[must_use]
pub fn key_file_value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name == section;
        } else if let Some((name, value)) = line.split_once('=')
            && inside
            && name.trim() == key
        {
            found = Some(value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_values_lose_their_quotes() {
        let os = OsRelease::parse("# x\nID=debian\nPRETTY_NAME=\"A \\\"b\\\" c\"\nNAME='d e'\nVERSION_ID=\n");
        assert_eq!((os.get("ID"), os.title(), os.get("NAME")), (Some("debian"), "A \"b\" c", Some("d e")));
        assert_eq!(os.get("VERSION_ID"), None);
    }

    #[test]
    fn key_files_have_sections() {
        let text = "[a]\nenabled=no\n[composefs]\n enabled = yes\n[b]\nenabled=1\n";
        assert_eq!(key_file_value(text, "composefs", "enabled").as_deref(), Some("yes"));
        assert_eq!(key_file_value(text, "c", "enabled"), None);
    }
}
