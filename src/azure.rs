//! What Azure wants to be told of a disk: the generation of Hyper-V's machines that start it. The first
//! has a BIOS, the second UEFI.
//!
//! Source: Azure, "Support for Generation 2 VMs"; `hyperVGeneration` of its image resources.

use crate::{firmware::Startup, progress::Progress, write::BuiltOutput};

const TYPE: &str = "azure";

/// Notes the generations with the outputs that are for Azure, and tells the watcher.
pub(crate) fn note_generations(outputs: &mut [BuiltOutput], startup: &Startup, progress: &dyn Progress) {
    for output in outputs.iter_mut().filter(|output| output.type_name == TYPE) {
        progress.note(&sentence(startup));
        output.hyper_v_generations = Some(generations(startup));
    }
}

/// By Azure's names, the better one first.
fn generations(startup: &Startup) -> Vec<&'static str> {
    let known = [(!startup.loaders.is_empty(), "V2"), (startup.has_bios_code, "V1")];
    known.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
}

fn sentence(startup: &Startup) -> String {
    let machines = match (startup.loaders.is_empty(), startup.has_bios_code) {
        (false, false) => "machines of generation 2 (UEFI) start it",
        (true, true) => "machines of generation 1 (BIOS) start it",
        (false, true) => "machines of generation 2 (UEFI) and of generation 1 (BIOS) start it",
        (true, false) => "neither UEFI nor a BIOS finds anything to start on it",
    };
    format!("{TYPE}: {machines}")
}
