//! Where each file goes below the output directory: the format's own path, or what templates make.
//!
//! A template is text with placeholders in braces. Without `{ext}` the format's extension follows.

use std::{
    fmt::{self, Write},
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use anyhow::{Result, anyhow};
use diskwright_formats::writer::{Medium, Spec};

use crate::error::{ErrorKind, Hint};

/// Text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Placeholder),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Name,
    Type,
    Arch,
    Ext,
}

impl Placeholder {
    const ALL: [(&str, Self); 4] =
        [("name", Self::Name), ("type", Self::Type), ("arch", Self::Arch), ("ext", Self::Ext)];
}

/// What the disks of one run have in common.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Name of the image without registry, path and tag, or of the disk's file.
    pub name: String,
    /// Architecture, in OCI spelling.
    pub arch: String,
}

/// How files get their paths.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    /// Directory below the output directory.
    pub dir: Option<Template>,
    /// Path below that.
    pub name: Option<Template>,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("a '{' without its '}'")?;
            let known = Placeholder::ALL.iter().find(|(known, _)| *known == name);
            let (_, place) = known.ok_or_else(|| unknown(name))?;
            parts.extend([Part::Text(before.to_owned()), Part::Place(*place)]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let is_odd = |c: char| c.is_control() || ['{', '}', '\\'].contains(&c);
        match parts.iter().find(|part| matches!(part, Part::Text(text) if text.contains(is_odd))) {
            Some(_) => Err("control characters, '\\' and a '}' alone cannot be in a path".into()),
            None => Ok(Self(parts)),
        }
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<_> = Placeholder::ALL.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    format!("'{{{name}}}' is no placeholder; there are {}", known.join(", "))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Place(place) => {
                let known = Placeholder::ALL.iter().find(|(_, known)| known == place);
                write!(f, "{{{}}}", known.map_or("", |(name, _)| name))
            }
        })
    }
}

impl Template {
    fn render(&self, spec: &Spec, subject: &Subject) -> String {
        let is_odd = |c: char| c.is_control() || ['/', '\\'].contains(&c);
        let name = subject.name.replace(is_odd, "_");
        let mut text = String::new();
        for part in &self.0 {
            text += match part {
                Part::Text(text) => text,
                Part::Place(Placeholder::Name) => &name,
                Part::Place(Placeholder::Type) => spec.name,
                Part::Place(Placeholder::Arch) => &subject.arch,
                Part::Place(Placeholder::Ext) => spec.extension(),
            };
        }
        text
    }

    fn has_extension(&self) -> bool {
        self.0.contains(&Part::Place(Placeholder::Ext))
    }
}

impl Naming {
    /// Path of the format's file below the output directory.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a path that leads elsewhere.
    pub fn path(&self, spec: &Spec, subject: &Subject) -> Result<PathBuf> {
        Ok(self.directory(spec, subject)?.join(self.file(spec, subject)?))
    }

    fn directory(&self, spec: &Spec, subject: &Subject) -> Result<PathBuf> {
        let own = Path::new(spec.path).parent().unwrap_or(Path::new(""));
        match (&self.dir, &self.name) {
            (Some(template), _) => inside(&template.render(spec, subject)),
            (None, Some(_)) => Ok(PathBuf::new()),
            (None, None) => Ok(own.to_owned()),
        }
    }

    fn file(&self, spec: &Spec, subject: &Subject) -> Result<PathBuf> {
        let Some(template) = &self.name else {
            return Ok(Path::new(spec.path).file_name().map(PathBuf::from).unwrap_or_default());
        };
        if spec.medium == Medium::Network {
            return Err(named_by_others(spec));
        }
        let mut file = template.render(spec, subject);
        if file.is_empty() || file.ends_with('/') {
            return Err(astray(&file));
        }
        if !template.has_extension() {
            let _ = write!(file, ".{}", spec.extension());
        }
        inside(&file)
    }
}

/// A path that stays below the directory it is put in; `.` is that directory.
fn inside(text: &str) -> Result<PathBuf> {
    let stays = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    let path = Path::new(text);
    if !text.is_empty() && path.components().all(stays) {
        return Ok(path.components().filter(|part| *part != Component::CurDir).collect());
    }
    Err(astray(text))
}

/// The files of a directory name each other.
fn named_by_others(spec: &Spec) -> anyhow::Error {
    let error = anyhow!("--output-name: {} is a directory of files that name each other", spec.name);
    error.context(Hint("name the directory with --output-dir".into())).context(ErrorKind::Usage)
}

fn astray(text: &str) -> anyhow::Error {
    let error = anyhow!("'{text}' is no path below the output directory");
    error.context(Hint("name the directory above with --output".into())).context(ErrorKind::Usage)
}

#[cfg(test)]
mod tests {
    use diskwright_formats::writer::by_name;

    use super::*;

    fn path(dir: Option<&str>, name: Option<&str>, type_name: &str) -> Result<String> {
        let template = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let naming = Naming { dir: template(dir), name: template(name) };
        let subject = Subject { name: "os".into(), arch: "arm64".into() };
        let path = naming.path(by_name(type_name).unwrap().spec(), &subject)?;
        Ok(path.to_str().unwrap().to_owned())
    }

    #[test]
    fn templates_make_paths() {
        for (dir, name, type_name, expected) in [
            (None, None, "raw-xz", "image/disk.raw.xz"),
            (None, Some("{name}-{type}-{arch}"), "qcow2", "os-qcow2-arm64.qcow2"),
            (None, Some("{type}/{name}.{ext}"), "gce", "gce/os.tar.gz"),
            (Some("{arch}"), None, "vhd", "arm64/disk.vhd"),
            (Some("."), None, "vhd", "disk.vhd"),
            (Some("x/"), None, "vhd", "x/disk.vhd"),
            (Some("a/{type}"), Some("x"), "raw", "a/raw/x.raw"),
            (Some("{name}/{type}"), None, "netboot", "os/netboot/boot.ipxe"),
        ] {
            assert_eq!(path(dir, name, type_name).unwrap(), expected);
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for bad in ["/x/{ext}", "../{ext}", "a/../../{ext}", ""] {
            assert!(path(None, Some(bad), "raw").is_err(), "{bad}");
            assert!(path(Some(bad), None, "raw").is_err(), "{bad}");
        }
        assert!(path(None, Some("x/"), "raw").is_err());
        assert!(path(None, Some("x"), "netboot").is_err());
    }

    #[test]
    fn what_is_no_template_is_an_error_that_lists_the_placeholders() {
        let error = "{name}-{nmae}".parse::<Template>().unwrap_err();
        assert!(error.contains("'{nmae}'") && error.contains("{name}, {type}, {arch}, {ext}"), "{error}");
        for bad in ["{name", "name}", "a\nb", "a\\b"] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
        assert_eq!("a{type}b{ext}".parse::<Template>().unwrap().to_string(), "a{type}b{ext}");
    }
}
