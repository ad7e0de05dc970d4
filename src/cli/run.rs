//! From arguments to an exit code.

use std::io::Write;
use std::process::ExitCode;

use super::arguments::{Arguments, Command, ConfigCommand};
use super::failure::Failure;
use super::{
    client_config, completions, config_check, config_init, config_reference, config_schema, config_show, demo,
    healthcheck, iam, jobs, lifecycle, maintenance, output, serve, transfer, usage,
};

/// Runs what was typed, writes what came of it, and says how to exit.
pub async fn run(arguments: Arguments) -> ExitCode {
    let done = match dispatch(arguments).await {
        Ok(text) => output::print(&text),
        Err(failure) => failure.data().map_or(Ok(()), output::print).and(Err(failure)),
    };
    let Err(failure) = done else { return ExitCode::SUCCESS };
    let text = failure.to_string();
    if !text.is_empty() {
        // Where standard error is closed, the exit code still tells.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    ExitCode::from(failure.exit_code())
}

async fn dispatch(arguments: Arguments) -> Result<String, Failure> {
    let source = arguments.source();
    if let (Some(_), Some(name)) = (&arguments.config, arguments.command.as_ref().and_then(Command::without_settings)) {
        return Err(Failure::Usage(format!("{name} reads no configuration; leave --config out")));
    }
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(source).await.map(|()| String::new()),
        Command::Config { command: ConfigCommand::Check { output } } => config_check::run(&source, output.format),
        Command::Config { command: ConfigCommand::Show { output } } => config_show::run(&source, output.format),
        Command::Config { command: ConfigCommand::Init(init) } => config_init::run(&init),
        Command::Config { command: ConfigCommand::Reference } => Ok(config_reference::run()),
        Command::Config { command: ConfigCommand::Schema } => Ok(config_schema::run()),
        Command::ClientConfig(wanted) => client_config::run(&source, &wanted),
        Command::Healthcheck(healthcheck) => healthcheck::run(&source, &healthcheck).await,
        Command::Gc { dry_run, maintenance } => maintenance::gc(&source, dry_run, &maintenance).await,
        Command::Scrub(wanted) => maintenance::scrub(&source, &wanted).await,
        Command::Jobs { command } => jobs::run(&source, command).await,
        Command::Usage(wanted) => usage::usage(&source, wanted).await,
        Command::Iam { command } => iam::iam(&source, command).await,
        Command::Policy { command } => iam::policy(&source, command).await,
        Command::Lifecycle { command } => lifecycle::run(&command),
        Command::Export(wanted) => transfer::export(&wanted).await,
        Command::Import(wanted) => transfer::import(&wanted).await,
        Command::Demo(wanted) => demo::run(&wanted).await,
        Command::Completions { shell } => completions::run(shell),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    async fn code_of(line: &str) -> u8 {
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        dispatch(arguments).await.map_or_else(|failure| failure.exit_code(), |_| 0)
    }

    #[tokio::test]
    async fn exit_codes_that_scripts_rely_on() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good.toml"), folder.path().join("bad.toml"));
        std::fs::write(&good, "[admin]\nlisten = []\n").unwrap();
        std::fs::write(&bad, "[cache]\ndisk = true\n").unwrap();
        let (good, bad) = (good.display(), bad.display());
        for (line, code) in [
            (format!("entrepot config check -c {good}"), 0),
            (format!("entrepot config check -c {good} -o json"), 0),
            (format!("entrepot config show -c {good}"), 0),
            (format!("entrepot config init --file {good}"), 1),
            (format!("entrepot healthcheck -c {good}"), 2),
            (format!("entrepot client-config docker -c {good} --url http://a/b"), 2),
            (format!("entrepot config check -c {bad}"), 3),
            (format!("entrepot config check -c {bad} -o json"), 3),
            (format!("entrepot config show -c {bad}"), 3),
            (format!("entrepot serve -c {bad}"), 3),
            (format!("entrepot client-config k3s -c {bad}"), 3),
            (format!("entrepot usage -c {good} --since yesterday"), 2),
            (format!("entrepot completions zsh -c {good}"), 2),
            (format!("entrepot demo -c {good}"), 2),
            ("entrepot healthcheck --url http://127.0.0.1:1".to_owned(), 4),
        ] {
            assert_eq!(code_of(&line).await, code, "{line}");
        }
    }
}
