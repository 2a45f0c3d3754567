//! Command line arguments; no logic but their meaning.
//!
//! `build` is the verb when none is named ([`parse_from`] puts it in), and its flags have the names
//! that bootc-image-builder gives them. Names of formats and filesystems come from the registries.

mod blueprint;
mod compat;
mod dead;
mod iso;
mod output;
mod plan;
mod publish;
mod text;
mod values;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint, builder::BoolishValueParser};
use clap_complete::Shell;
use diskwright_install::address::Address;

use crate::{
    build::{BuildRequest, SizeWish},
    convert::ConvertRequest,
    inspect::InspectRequest,
    progress::{Level, Style},
    source::{CacheChoice, Options},
    verify::VerifyRequest,
    write,
};

pub use blueprint::{BlueprintVerb, DescribeArgs, SyntaxName, description};
pub use dead::DeadArgs;
pub use iso::{IsoEditArgs, IsoVerb, medium};
pub use output::{MachineArgs, OutArgs};
pub use plan::{PlanArgs, PlanFormat, plan};
pub use publish::{AwsArgs, Cloud, PublishAwsArgs};
pub use text::{Version, inspection, paths, permissions, policy, published, size, verification};

/// What is made when no type is named.
const DEFAULT_TYPE: &str = "qcow2";

/// Bootable OCI images to disks, without privileges
///
/// Reads a bootable container image from a registry or a file, and writes disks that boot it. Needs no
/// root, no mounts and no loop devices, runs nothing of the image, and makes the same bytes each time.
/// Without a verb it builds: `diskwright IMAGE` is `diskwright build IMAGE`.
#[derive(Debug, Parser)]
#[command(name = "diskwright", version, arg_required_else_help = true, max_term_width = 100,
          after_long_help = text::overview(),
          after_help = "`diskwright --help` shows examples and exit codes")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// What to say meanwhile.
    #[command(flatten)]
    pub talk: Talk,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make disks of an image (the verb when none is named)
    Build(Box<BuildArgs>),
    /// Show what `build` would write, without writing it
    Plan(Box<PlanArgs>),
    /// Check, convert or describe blueprints
    #[command(subcommand)]
    Blueprint(BlueprintVerb),
    /// Show what a disk format is, and which fields of a blueprint it takes
    Describe(DescribeArgs),
    /// Write a disk that exists, raw or qcow2, in other formats
    Convert(Box<ConvertArgs>),
    /// Show what an image holds, as far as a disk is concerned
    Inspect(InspectArgs),
    /// Show and change installer media
    #[command(subcommand)]
    Iso(IsoVerb),
    /// Read a disk back and say what is wrong with it
    Verify(VerifyArgs),
    /// Make a disk that exists an image of a cloud
    #[command(subcommand)]
    Publish(Cloud),
    /// Show the version, formats and filesystems of this program
    Version {
        /// How to write it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write a completion script for a shell to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// How much to say, and how. All of it goes to standard error.
#[derive(Args, Debug)]
#[command(next_help_heading = "Messages")]
pub struct Talk {
    /// How progress is shown: bars, lines, or one JSON object a line
    #[arg(long, global = true, value_enum, default_value_t, value_name = "HOW")]
    pub progress: Style,
    /// What is shown: errors only, warnings too, or progress too
    #[arg(long, global = true, value_enum, default_value_t, value_name = "LEVEL")]
    pub log_level: Level,
    /// Same as --progress verbose
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

impl Talk {
    /// The style meant.
    #[must_use]
    pub const fn style(&self) -> Style {
        if self.verbose { Style::Verbose } else { self.progress }
    }
}

/// How results are written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Where images come from, for every verb that reads one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Image")]
pub struct ImageArgs {
    /// The image.
    #[arg(
        value_name = "IMAGE",
        help_heading = None,
        help = "The image: a registry reference, or oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE"
    )]
    pub reference: String,
    /// Architecture, of an image that has several [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    pub target_arch: Option<String>,
    /// How registries are spoken to.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Keep verified layers in this directory, until unused for 30 days [default: the user's cache directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "no_cache")]
    pub cache: Option<PathBuf>,
    /// Keep no layers
    #[arg(long)]
    pub no_cache: bool,
    /// Put temporary content here [default: $TMPDIR, else /var/tmp]
    #[arg(long = "spool", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub spool_dir: Option<PathBuf>,
}

impl ImageArgs {
    fn options(&self) -> Options {
        Options {
            target_arch: self.target_arch.clone(),
            cache: match &self.cache {
                _ if self.no_cache => CacheChoice::Off,
                Some(dir) => CacheChoice::Dir(dir.clone()),
                None => CacheChoice::Default,
            },
            spool_dir: self.spool_dir.clone(),
            ..self.registry.options()
        }
    }
}

/// How registries are spoken to.
#[derive(Args, Debug)]
#[command(next_help_heading = "Image")]
pub struct RegistryArgs {
    /// Whether registries must speak TLS with a valid certificate
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set,
          value_parser = BoolishValueParser::new())]
    pub tls_verify: bool,
    /// Credentials for registries [default: as containers-auth.json(5) says]
    #[arg(long = "authfile", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub auth_file: Option<PathBuf>,
    /// Certificates for registries [default: as containers-certs.d(5) says]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cert_dir: Option<PathBuf>,
}

impl RegistryArgs {
    fn options(&self) -> Options {
        Options {
            tls_verify: self.tls_verify,
            auth_file: self.auth_file.clone(),
            cert_dir: self.cert_dir.clone(),
            ..Options::default()
        }
    }
}

/// Arguments of `inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Which image.
    #[command(flatten)]
    pub image: ImageArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

impl InspectArgs {
    /// What is asked of the library.
    #[must_use]
    pub fn request(&self) -> InspectRequest {
        InspectRequest { reference: self.image.reference.clone(), source: self.image.options() }
    }
}

/// Arguments of `verify`.
#[derive(Args, Debug)]
#[command(after_long_help = text::verify_notes())]
pub struct VerifyArgs {
    /// The disk, raw or qcow2; it is only read
    #[arg(value_name = "DISK", value_hint = ValueHint::FilePath)]
    pub disk: PathBuf,
    /// How to write the report
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

impl VerifyArgs {
    /// What is asked of the library.
    #[must_use]
    pub fn request(&self) -> VerifyRequest {
        VerifyRequest { disk: self.disk.clone() }
    }
}

/// Arguments of `build`.
#[derive(Args, Debug)]
#[command(after_help = text::names(), after_long_help = text::build_examples())]
pub struct BuildArgs {
    /// Which image.
    #[command(flatten)]
    pub image: ImageArgs,
    /// What to write.
    #[command(flatten)]
    pub out: OutArgs,
    /// What to put on the disk.
    #[command(flatten)]
    pub system: SystemArgs,
    /// What the disk becomes at AWS.
    #[command(flatten)]
    pub aws: AwsArgs,
    /// What people type out of habit.
    #[command(flatten)]
    pub dead: DeadArgs,
}

/// Arguments of `convert`.
#[derive(Args, Debug)]
pub struct ConvertArgs {
    /// The disk: a raw or qcow2 file, or a block device
    #[arg(value_name = "DISK", value_hint = ValueHint::FilePath)]
    pub input: PathBuf,
    /// What to write.
    #[command(flatten)]
    pub out: OutArgs,
    /// Architecture of what is on the disk, in formats that record it [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    pub target_arch: Option<String>,
    /// Where --push goes.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Time of everything that needs one, in seconds since 1970 [default: 0]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub source_date_epoch: Option<i64>,
}

impl ConvertArgs {
    /// What is asked of the library.
    #[must_use]
    pub fn request(&self) -> ConvertRequest {
        ConvertRequest {
            input: self.input.clone(),
            types: self.out.types.clone(),
            output: self.out.output.clone(),
            chown: self.out.chown,
            compression: self.out.compress,
            choices: self.out.choices(),
            source: Options { target_arch: self.target_arch.clone(), ..self.registry.options() },
            source_date_epoch: self.source_date_epoch,
        }
    }
}

/// What goes onto the disk.
#[derive(Args, Debug)]
#[command(next_help_heading = "System")]
pub struct SystemArgs {
    /// Blueprint: what to set up on the disk
    #[arg(short, long, alias = "config", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub blueprint: Option<PathBuf>,
    /// Filesystem of the root volume [default: what the image declares]
    #[arg(long, value_name = "FILESYSTEM", value_parser = values::filesystems(), hide_possible_values = true)]
    pub rootfs: Option<String>,
    /// Size of the disk: 10GiB; +5GiB for the content and so much free space; or `fit`
    #[arg(long, value_name = "SIZE", value_parser = values::size_wish)]
    pub size: Option<SizeWish>,
    /// Append a kernel argument; repeat it for several
    #[arg(long = "karg", value_name = "ARG", allow_hyphen_values = true)]
    pub kargs: Vec<String>,
    /// Leave out the kernel arguments that every disk gets
    #[arg(long)]
    pub no_default_kernel_args: bool,
    /// Program that an installer starts [default: diskwright-install beside this program]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub installer: Option<PathBuf>,
    /// Where machines find the netboot directory, as http://HOST/PATH/ [default: beside boot.ipxe]
    #[arg(long, value_name = "URL")]
    pub payload_url: Option<Address>,
    /// Reference that the installed system updates from [default: IMAGE]
    #[arg(long, value_name = "REFERENCE")]
    pub target_imgref: Option<String>,
    /// Keys that may log in as root by SSH, one a line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub root_ssh_authorized_keys: Option<PathBuf>,
    /// Build although the image's logically bound images will not be on the disk
    #[arg(long)]
    pub skip_bound_images: bool,
    /// Time of everything that needs one, in seconds since 1970 [default: the image's own]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub source_date_epoch: Option<i64>,
}

impl BuildArgs {
    /// What is asked of the library.
    #[must_use]
    pub fn request(&self) -> BuildRequest {
        let out = &self.out;
        let types = if out.types.is_empty() { vec![DEFAULT_TYPE.to_owned()] } else { out.types.clone() };
        BuildRequest {
            output: out.output.clone(),
            chown: out.chown,
            compression: out.compress,
            choices: out.choices(),
            aws: self.aws.wish(),
            ..self.system.request(&self.image, types)
        }
    }
}

impl SystemArgs {
    /// What is asked of a build that writes where it stands.
    fn request(&self, image: &ImageArgs, types: Vec<String>) -> BuildRequest {
        BuildRequest {
            reference: image.reference.clone(),
            types,
            rootfs: self.rootfs.clone(),
            source: image.options(),
            output: PathBuf::from("."),
            chown: None,
            blueprint: self.blueprint.clone(),
            kargs: self.kargs.clone(),
            no_default_kernel_args: self.no_default_kernel_args,
            installer: self.installer.clone(),
            payload_url: self.payload_url.clone(),
            target_imgref: self.target_imgref.clone(),
            skip_bound_images: self.skip_bound_images,
            root_ssh_authorized_keys: self.root_ssh_authorized_keys.clone(),
            size: self.size,
            compression: diskwright_formats::writer::Compression::default(),
            choices: write::Choices::default(),
            source_date_epoch: self.source_date_epoch,
            aws: None,
        }
    }
}

/// Parses a command line (with the program's name first), with `build` put in where no verb is named.
///
/// # Errors
/// clap's, which also carries the texts of `--help` and `--version`.
pub fn parse_from(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let exists = |path: &str| std::path::Path::new(path).exists();
    let arguments = compat::translated(arguments.into_iter().collect(), exists)
        .map_err(|message| Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message))?;
    Cli::try_parse_from(with_verb(arguments))
}

/// The completion script of a shell.
#[must_use]
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "diskwright", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Global flags may come first; if what follows them is no verb, the verb is `build`.
fn with_verb(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let command = Cli::command();
    let mut at = 1;
    while let Some(takes_value) = arguments.get(at).and_then(|argument| global_flag(&command, argument)) {
        at += if takes_value { 2 } else { 1 };
    }
    let is_verb = |text: &str| text == "help" || command.find_subcommand(text).is_some();
    let needs_none = |text: &str| is_verb(text) || ["-h", "--help", "-V", "--version"].contains(&text);
    if arguments.get(at).is_some_and(|first| !first.to_str().is_some_and(needs_none)) {
        arguments.insert(1, "build".into());
    }
    arguments
}

/// Whether this is a global flag, and if so, whether its value is the next argument.
fn global_flag(command: &clap::Command, argument: &OsString) -> Option<bool> {
    let text = argument.to_str()?;
    let name = text.split('=').next()?;
    let is = |arg: &&clap::Arg| {
        let long = name.strip_prefix("--").is_some_and(|name| arg.get_long() == Some(name));
        let short = name.strip_prefix('-').is_some_and(|name| name.chars().eq(arg.get_short()));
        arg.is_global_set() && (long || short)
    };
    let arg = command.get_arguments().find(is)?;
    Some(arg.get_action().takes_values() && !text.contains('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(line: &str) -> String {
        let line = with_verb(line.split(' ').map(OsString::from).collect());
        line.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn clap_finds_no_fault_in_the_definition() {
        Cli::command().debug_assert();
    }

    #[test]
    fn build_is_put_in_where_no_verb_is() {
        for (given, meant) in [
            ("d image", "d build image"),
            ("d -o build image", "d build -o build image"),
            ("d -v image", "d build -v image"),
            ("d --progress json image", "d build --progress json image"),
        ] {
            assert_eq!(with(given), meant);
        }
        for same in ["d", "d build x", "d -v build x", "d --progress json inspect x", "d -h", "d help build"]
        {
            assert_eq!(with(same), same);
        }
        assert_eq!(with("d --log-level=warn version"), "d --log-level=warn version");
    }
}
