//! Flags of other tools that mean nothing here.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser};

/// Flags of bootc-image-builder that mean nothing here: accepted, so that old command lines run.
#[derive(Args, Debug)]
pub struct DeadArgs {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    local: Option<bool>,
    #[arg(long, hide = true)]
    store: Option<PathBuf>,
    #[arg(long, hide = true)]
    rpmmd: Option<PathBuf>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    use_librepo: Option<bool>,
    #[arg(long, hide = true)]
    build_container: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    in_vm: Option<bool>,
    #[arg(long, hide = true)]
    seed: Option<String>,
    #[arg(long, hide = true)]
    distro: Option<String>,
    #[arg(long, hide = true)]
    bootc_build_ref: Option<String>,
    #[arg(long, hide = true)]
    bootc_pull_container: bool,
    #[arg(long, hide = true)]
    with_manifest: bool,
    #[arg(long, hide = true)]
    with_buildlog: bool,
    #[arg(long, hide = true)]
    with_metrics: bool,
}

impl DeadArgs {
    /// One line for each that was given.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let given = [
            (self.local.is_some(), "--local", "images come from where the reference says"),
            (self.store.is_some(), "--store", "there is no osbuild store; --cache names the layer cache"),
            (self.rpmmd.is_some(), "--rpmmd", "no package metadata is used"),
            (self.use_librepo.is_some(), "--use-librepo", "no packages are downloaded"),
            (self.build_container.is_some(), "--build-container", "no tools of a container are run"),
            (self.in_vm.is_some(), "--in-vm", "nothing needs a virtual machine"),
            (self.seed.is_some(), "--seed", "identifiers derive from the image and the blueprint"),
            (self.distro.is_some(), "--distro", "the image says what it is"),
            (self.bootc_build_ref.is_some(), "--bootc-build-ref", "no tools of a container are run"),
            (
                self.bootc_pull_container,
                "--bootc-pull-container",
                "images come from where the reference says",
            ),
            (self.with_manifest, "--with-manifest", "there is no osbuild manifest; see `diskwright plan`"),
            (self.with_buildlog, "--with-buildlog", "--progress verbose shows what is done"),
            (self.with_metrics, "--with-metrics", "--progress json has the times"),
        ];
        let lines = given.into_iter().filter(|(given, ..)| *given);
        lines.map(|(_, flag, why)| format!("{flag} has no effect: {why}")).collect()
    }
}
