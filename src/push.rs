//! A container disk to a registry, before its file gets a name: if that fails, nothing is left.

use anyhow::{Context, Result, anyhow};
use diskwright_formats::writer::{FormatWriter, Uses, by_name};

use crate::{
    error::{ErrorKind, Hint, with_hint, with_source_marks},
    progress::Progress,
    source::{self, Hinted, Name, Options, Reference},
    write::BuiltOutput,
};

/// Where in a registry a disk goes.
#[derive(Clone, Debug)]
pub struct Destination(Name);

impl Destination {
    /// `[docker://]HOST/NAME[:TAG]`.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed = text.parse().map_err(|error: Hinted| with_hint(error.into()));
        match parsed.context("--push").context(ErrorKind::Usage)? {
            Reference::Registry(name) if name.digest.is_none() => Ok(Self(name)),
            other => {
                let error = anyhow!("--push {other}: this is no tag in a registry");
                let hint = Hint("write HOST/NAME:TAG".into());
                Err(error.context(hint).context(ErrorKind::Usage))
            }
        }
    }
}

/// Pushes what can be pushed of `outputs`, and notes where it went.
///
/// # Errors
/// What the registry says.
pub fn push(
    to: &Destination,
    outputs: &mut [BuiltOutput],
    options: &Options,
    progress: &dyn Progress,
) -> Result<()> {
    for output in outputs.iter_mut() {
        let uses = by_name(&output.type_name).map(FormatWriter::uses);
        if uses.is_some_and(|uses| uses.contains(Uses::PUSH)) {
            progress.begin("pushing", Some(output.size));
            let archive = output.file.reader().context(ErrorKind::Output)?;
            let digest = source::push(archive, &to.0, options, progress);
            let digest = digest.map_err(|error| with_source_marks(error, true))?;
            output.pushed = Some(format!("docker://{}@{digest}", to.0));
        }
    }
    Ok(())
}
