//! Unit files as `systemctl enable` and `disable` read them: names, and the `[Install]` section.
//!
//! Source: systemd.unit(5), "[Install] section options" and "Specifiers". Left out on purpose:
//! drop-ins with an `[Install]` section, and specifiers other than those of the unit's name.

use anyhow::{Context as _, Result, bail};

use super::place::Root;
use crate::blueprint::unit_name;

/// Where links and units of the administrator are.
pub(super) const CONFIG: &str = "/etc/systemd/system";
/// Where units are looked for, in this order.
const DIRECTORIES: [&str; 4] =
    [CONFIG, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// More symbolic links than this lead nowhere.
const LINKS_MAX: usize = 16;

/// A unit of the image.
#[derive(Debug)]
pub(super) struct Unit {
    /// Its name, with the instance if it has one.
    pub(super) name: String,
    /// Its file.
    pub(super) path: String,
    /// Name and type of the link, as `NAME.wants`, or an alias.
    pub(super) links: Vec<Link>,
    /// Further units to treat alike.
    pub(super) also: Vec<String>,
}

/// A link that enables a unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The directory below [`CONFIG`], empty for an alias.
    pub(super) directory: String,
    /// The name of the link.
    pub(super) name: String,
}

/// Finds a unit by name, through aliases; `None` if the image has none.
pub(super) fn find(root: &Root<'_>, wanted: &str) -> Result<Option<Unit>> {
    let mut name = unit_name(wanted);
    for _ in 0..LINKS_MAX {
        let template = template_of(&name);
        let file = match file_of(root, &name)? {
            Some(directory) => Some((directory, name.clone())),
            None => file_of(root, &template)?.map(|directory| (directory, template)),
        };
        let Some((directory, file)) = file else { return Ok(None) };
        match root.link_at(directory, &file)? {
            Some(target) if target == "/dev/null" => bail!("the image masks {file}"),
            Some(target) => name = with_instance(target.rsplit('/').next().unwrap_or_default(), &name),
            None => return read(root, name, &format!("{directory}/{file}")).map(Some),
        }
    }
    bail!("too many symbolic links from {wanted}")
}

fn file_of(root: &Root<'_>, name: &str) -> Result<Option<&'static str>> {
    for directory in DIRECTORIES {
        if root.entry_at(directory, name)?.is_some() {
            return Ok(Some(directory));
        }
    }
    Ok(None)
}

/// `a@b.service` to `a@.service`; other names to themselves.
fn template_of(name: &str) -> String {
    match (name.split_once('@'), name.rsplit_once('.')) {
        (Some((prefix, _)), Some((_, kind))) => format!("{prefix}@.{kind}"),
        _ => name.to_owned(),
    }
}

/// A template's name with the instance of another name.
fn with_instance(name: &str, other: &str) -> String {
    let instance = instance(other);
    match name.split_once("@.") {
        Some((prefix, kind)) if !instance.is_empty() => format!("{prefix}@{instance}.{kind}"),
        _ => name.to_owned(),
    }
}

fn instance(name: &str) -> &str {
    let rest = name.split_once('@').map(|(_, rest)| rest);
    rest.and_then(|rest| rest.rsplit_once('.')).map_or("", |(instance, _)| instance)
}

fn read(root: &Root<'_>, name: String, path: &str) -> Result<Unit> {
    let text = root.config(path)?.with_context(|| format!("{path} is no file"))?;
    let install = Install::parse(&text);
    let default = install.values("DefaultInstance").into_iter().next_back();
    let name = match (name.contains("@."), default) {
        (true, Some(default)) => name.replacen("@.", &format!("@{default}."), 1),
        _ => name,
    };
    let mut links = Vec::new();
    for (key, suffix) in [("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds")] {
        for target in install.expanded(key, &name)? {
            links.push(Link { directory: format!("{}.{suffix}", unit_name(&target)), name: name.clone() });
        }
    }
    for alias in install.expanded("Alias", &name)? {
        links.push(Link { directory: String::new(), name: with_instance(&alias, &name) });
    }
    let also = install.expanded("Also", &name)?;
    Ok(Unit { name, path: path.to_owned(), links, also })
}

/// Assignments of the `[Install]` section, in order.
struct Install(Vec<(String, String)>);

impl Install {
    fn parse(text: &str) -> Self {
        let (mut found, mut inside) = (Vec::new(), false);
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim) {
            match line.split_once('=') {
                _ if line.starts_with(['#', ';']) => {}
                _ if line.starts_with('[') => inside = line == "[Install]",
                Some((key, value)) if inside => found.push((key.trim().to_owned(), value.trim().to_owned())),
                _ => {}
            }
        }
        Self(found)
    }

    /// The words of all assignments to a key; an empty one drops those before it.
    fn values(&self, key: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (_, value) in self.0.iter().filter(|(name, _)| name == key) {
            if value.is_empty() {
                words.clear();
            }
            words.extend(value.split_whitespace().map(|word| word.trim_matches('"').to_owned()));
        }
        words
    }

    fn expanded(&self, key: &str, unit: &str) -> Result<Vec<String>> {
        self.values(key).iter().map(|word| expand(word, unit)).collect()
    }
}

/// `%i` and its like.
fn expand(word: &str, unit: &str) -> Result<String> {
    let (stem, prefix) = (unit.rsplit_once('.').map_or(unit, |(stem, _)| stem), unit.split('@').next());
    let (mut out, mut chars) = (String::new(), word.chars());
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('%')) => out.push('%'),
            ('%', Some('n')) => out.push_str(unit),
            ('%', Some('N')) => out.push_str(stem),
            ('%', Some('i' | 'I')) => out.push_str(instance(unit)),
            ('%', Some('p' | 'P')) => {
                out.push_str(prefix.map_or(stem, |p| p.strip_suffix(&unit[stem.len()..]).unwrap_or(p)));
            }
            ('%', other) => bail!("%{} in its [Install] section is not known here", other.unwrap_or(' ')),
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_install_section_is_read_as_systemd_does() {
        let text = "[Unit]\nWantedBy=no\n[Install]\n# x\nWantedBy=a.target b.target\nWantedBy=\nWantedBy=c.target \\\n d.target\nAlias=%p-x.%i\n";
        let install = Install::parse(text);
        assert_eq!(install.values("WantedBy"), ["c.target", "d.target"]);
        assert_eq!(install.expanded("Alias", "u@v.service").unwrap(), ["u-x.v"]);
        assert!(expand("%m", "a.service").is_err());
        assert_eq!(expand("%p.%N.%n", "a.service").unwrap(), "a.a.a.service");
    }

    #[test]
    fn templates_and_instances() {
        assert_eq!(template_of("a@b.c.service"), "a@.service");
        assert_eq!(instance("a@b.c.service"), "b.c");
        assert_eq!(with_instance("x@.service", "a@b.service"), "x@b.service");
        assert_eq!(with_instance("x.service", "a@b.service"), "x.service");
    }
}
