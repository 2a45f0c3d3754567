//! The command `diskwright`: arguments, one call, an error chain and an exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result};
use diskwright::{
    ErrorKind,
    cli::{
        self, BlueprintVerb, BuildArgs, Cli, Cloud, ConvertArgs, Format, InspectArgs, IsoVerb, PlanArgs,
        PlanFormat, PublishAwsArgs, Verb, VerifyArgs,
    },
    error, output,
    progress::{self, End, Watcher},
};
use serde::Serialize;
use serde_json::Value;

fn main() -> ExitCode {
    let cli = match cli::parse_from(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let watcher = progress::watcher(cli.talk.style(), cli.talk.log_level);
    match run(&cli, &watcher) {
        Ok(code) => code,
        Err(error) => fail(&error, &*watcher),
    }
}

fn fail(error: &anyhow::Error, watcher: &dyn Watcher) -> ExitCode {
    let kind = ErrorKind::of(error);
    let (message, hints) = (error::chain(error), error::hints(error));
    watcher.end(&End::Failed { kind: kind.name(), message: &message, hints: &hints });
    ExitCode::from(kind.exit_code())
}

/// What a verb has to show: as text for standard output, and as JSON for the last event.
struct Shown(String, Value);

fn run(cli: &Cli, watcher: &Arc<dyn Watcher>) -> Result<ExitCode> {
    let farewell = Arc::clone(watcher);
    let interrupted = End::Failed { kind: "interrupted", message: "interrupted", hints: &[] };
    output::clean_up_on_signals(move || farewell.end(&interrupted)).context("watching for signals")?;
    let mut code = ExitCode::SUCCESS;
    let Shown(text, result) = match &cli.verb {
        Verb::Build(arguments) => build(arguments, &**watcher)?,
        Verb::Plan(arguments) => plan(arguments, &**watcher)?,
        Verb::Blueprint(verb) => blueprints(verb)?,
        Verb::Describe(arguments) => {
            show(&diskwright::describe(&arguments.type_name)?, arguments.format, cli::description)?
        }
        Verb::Convert(arguments) => convert(arguments, &**watcher)?,
        Verb::Inspect(arguments) => inspect(arguments, &**watcher)?,
        Verb::Iso(verb) => iso(verb)?,
        Verb::Verify(arguments) => {
            let (shown, found) = verify(arguments, &**watcher)?;
            code = found;
            shown
        }
        Verb::Publish(Cloud::Aws(arguments)) => {
            let (shown, found) = publish_aws(arguments, &**watcher)?;
            code = found;
            shown
        }
        Verb::Version { format } => version(*format)?,
        Verb::Completions { shell } => Shown(cli::completions(*shell), Value::Null),
    };
    watcher.end(&End::Done(&result));
    print(&text).map(|()| code)
}

fn build(arguments: &BuildArgs, watcher: &dyn Watcher) -> Result<Shown> {
    for notice in arguments.dead.notices() {
        watcher.note(&notice);
    }
    if let Some(notice) = arguments.aws.notice() {
        watcher.note(notice);
    }
    let report = diskwright::build(&arguments.request(), watcher)?;
    show(&report, arguments.out.format, |report| {
        cli::paths(&report.outputs) + &report.aws.as_ref().map(cli::published).unwrap_or_default()
    })
}

fn plan(arguments: &PlanArgs, watcher: &dyn Watcher) -> Result<Shown> {
    let found = diskwright::preview(&arguments.request(), watcher)?;
    match arguments.format {
        PlanFormat::Text => show(&found, Format::Text, cli::plan),
        PlanFormat::Json => show(&found, Format::Json, cli::plan),
        PlanFormat::Yaml => Ok(Shown(diskwright::as_yaml(&found)?, serde_json::to_value(&found)?)),
    }
}

fn blueprints(verb: &BlueprintVerb) -> Result<Shown> {
    let text = match verb {
        BlueprintVerb::Check { files, types } => {
            let check = |file| diskwright::check_blueprint(file, types);
            let lines = files.iter().map(|file| check(file).map(|()| format!("{}: good\n", file.display())));
            lines.collect::<Result<String>>()?
        }
        BlueprintVerb::Convert { file, to } => diskwright::convert_blueprint(file, to.syntax())?,
        BlueprintVerb::Schema => serde_json::to_string_pretty(&diskwright::blueprint::json_schema())? + "\n",
    };
    Ok(Shown(text, Value::Null))
}

fn convert(arguments: &ConvertArgs, watcher: &dyn Watcher) -> Result<Shown> {
    let report = diskwright::convert(&arguments.request(), watcher)?;
    show(&report, arguments.out.format, |report| cli::paths(&report.outputs))
}

fn inspect(arguments: &InspectArgs, watcher: &dyn Watcher) -> Result<Shown> {
    let found = diskwright::inspect(&arguments.request(), watcher)?;
    show(&found, arguments.format, cli::inspection)
}

fn iso(verb: &IsoVerb) -> Result<Shown> {
    match verb {
        IsoVerb::Inspect { iso, format } => {
            let request = IsoVerb::inspect_request(iso.clone());
            show(&diskwright::iso_inspect(&request)?, *format, cli::medium)
        }
        IsoVerb::Edit(arguments) => {
            show(&diskwright::iso_edit(&arguments.request())?, arguments.format, cli::medium)
        }
    }
}

/// The report is shown whatever it says; errors in it are the input's.
fn verify(arguments: &VerifyArgs, watcher: &dyn Watcher) -> Result<(Shown, ExitCode)> {
    let report = diskwright::verify(&arguments.request(), watcher)?;
    let code = if report.errors > 0 { ErrorKind::Input.exit_code() } else { 0 };
    Ok((show(&report, arguments.format, cli::verification)?, ExitCode::from(code)))
}

/// A dry run shows the policy whatever is allowed; what is not is told in the exit code.
fn publish_aws(arguments: &PublishAwsArgs, watcher: &dyn Watcher) -> Result<(Shown, ExitCode)> {
    if let Some(notice) = arguments.aws.notice() {
        watcher.note(notice);
    }
    let request = arguments.request()?;
    if !arguments.dry_run {
        let published = diskwright::publish::publish(&request, watcher)?;
        return Ok((show(&published, arguments.format, cli::published)?, ExitCode::SUCCESS));
    }
    let run = diskwright::publish::dry_run(&request, watcher)?;
    cli::permissions(&run).for_each(|line| watcher.note(&line));
    let code = if run.is_allowed() { 0 } else { ErrorKind::Network.exit_code() };
    Ok((show(&run, arguments.format, cli::policy)?, ExitCode::from(code)))
}

fn version(format: Format) -> Result<Shown> {
    show(&cli::Version::current(), format, ToString::to_string)
}

fn show<T: Serialize>(value: &T, format: Format, text: impl Fn(&T) -> String) -> Result<Shown> {
    let text = match format {
        Format::Text => text(value),
        Format::Json => serde_json::to_string_pretty(value)? + "\n",
    };
    Ok(Shown(text, serde_json::to_value(value)?))
}

/// Results go to standard output; a reader that has seen enough is no failure.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("writing to standard output").context(ErrorKind::Output),
    }
}
