//! Command lines of other tools: `bootc-image-builder` by the program's name, and
//! `image-builder build TYPE --bootc-ref REFERENCE` by that flag.

use std::{ffi::OsString, path::Path};

/// Where bootc-image-builder looks for its configuration.
const CONFIGS: [&str; 2] = ["/config.toml", "/config.json"];
/// Flags of image-builder, and what they are here.
const RENAMED: [(&str, &str); 6] = [
    ("--output-dir", "--output"),
    ("--arch", "--target-arch"),
    ("--bootc-default-fs", "--rootfs"),
    ("--image-size", "--size"),
    ("--bootc-no-default-kernel-args", "--no-default-kernel-args"),
    ("--bootc-installer-payload-ref", "--installer-payload-ref"),
];

/// The command line as this program has it.
///
/// # Errors
/// What the other tool would refuse too.
pub(super) fn translated(
    arguments: Vec<OsString>,
    exists: impl Fn(&str) -> bool,
) -> Result<Vec<OsString>, String> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    let is_bib = name.is_some_and(|name| name.to_string_lossy().ends_with("bootc-image-builder"));
    let has_flag = |flag: &str| arguments.iter().any(|argument| is_flag(argument, flag));
    if has_flag("--bootc-ref") {
        return Ok(from_image_builder(arguments));
    }
    if is_bib { with_default_config(arguments, exists) } else { Ok(arguments) }
}

fn is_flag(argument: &OsString, flag: &str) -> bool {
    argument.to_str().is_some_and(|text| text.split('=').next() == Some(flag))
}

/// `build TYPE --bootc-ref REFERENCE` to `build --type TYPE REFERENCE`.
fn from_image_builder(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut made: Vec<OsString> = Vec::new();
    let mut arguments = arguments.into_iter().peekable();
    let (mut needs_type, mut reference) = (false, None);
    made.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let (flag, value) =
            text.split_once('=').map_or((text.as_str(), None), |(flag, value)| (flag, Some(value)));
        if flag == "--bootc-ref" {
            reference = value.map(OsString::from).or_else(|| arguments.next());
        } else if let Some((_, ours)) = RENAMED.iter().find(|(theirs, _)| *theirs == flag) {
            made.push(value.map_or_else(|| OsString::from(ours), |value| format!("{ours}={value}").into()));
        } else if needs_type && !text.starts_with('-') {
            made.extend(["--type".into(), argument]);
            needs_type = false;
        } else {
            needs_type |= text == "build" || text == "plan";
            made.push(argument);
        }
    }
    made.extend(reference);
    made
}

/// The configuration that is found, unless one is named.
fn with_default_config(
    arguments: Vec<OsString>,
    exists: impl Fn(&str) -> bool,
) -> Result<Vec<OsString>, String> {
    let takes_one =
        |argument: &OsString| ["--config", "--blueprint", "-b"].iter().any(|flag| is_flag(argument, flag));
    let builds = !arguments.iter().skip(1).any(|argument| {
        ["version", "help", "inspect", "verify", "convert", "completions", "blueprint", "describe"]
            .iter()
            .any(|verb| argument == verb)
            || argument == "--help"
            || argument == "-h"
    });
    let found: Vec<_> = CONFIGS.into_iter().filter(|path| exists(path)).collect();
    match found[..] {
        _ if !builds || arguments.iter().any(takes_one) => Ok(arguments),
        [] => Ok(arguments),
        [path] => Ok([arguments, vec!["--blueprint".into(), path.into()]].concat()),
        _ => Err(format!("both {} exist; name one with --config", CONFIGS.join(" and "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(line: &str, files: &[&str]) -> Result<String, String> {
        let line = line.split(' ').map(OsString::from).collect();
        let made = translated(line, |path| files.contains(&path))?;
        Ok(made.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn bootc_image_builder_finds_its_configuration() {
        let bib = "/usr/bin/bootc-image-builder --type raw image";
        assert_eq!(made(bib, &[]).unwrap(), bib);
        assert_eq!(made(bib, &["/config.toml"]).unwrap(), format!("{bib} --blueprint /config.toml"));
        assert!(made(bib, &CONFIGS).unwrap_err().contains("both"));
        let named = "bootc-image-builder --config a.toml image";
        assert_eq!(made(named, &CONFIGS).unwrap(), named);
        assert_eq!(made("bootc-image-builder version", &CONFIGS).unwrap(), "bootc-image-builder version");
        assert_eq!(made("diskwright image", &CONFIGS).unwrap(), "diskwright image");
    }

    #[test]
    fn image_builder_names_the_type_first() {
        for (theirs, ours) in [
            (
                "image-builder build qcow2 --bootc-ref a/b:c --output-dir out",
                "image-builder build --type qcow2 --output out a/b:c",
            ),
            (
                "diskwright build --bootc-ref=a/b:c --arch=arm64 raw",
                "diskwright build --target-arch=arm64 --type raw a/b:c",
            ),
        ] {
            assert_eq!(made(theirs, &[]).unwrap(), ours);
        }
    }
}
