//! What can be typed. The words of the help are here.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use reqwest::Url;

use super::demo::Demo;
use super::failure::USAGE;
use super::iam::{Iam, Policy};
use super::jobs::Jobs;
use super::transfer::{Export, Import};
use super::usage::Usage;
use crate::config::Source;

pub use super::output::{Format, Output};

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("ENTREPOT_COMMIT"), ")");

const AFTER_HELP: &str = "\
Without a command, entrepot serves. Without a file, it serves on 127.0.0.1:5000 and keeps its data in ./entrepot-data.

Exit codes:
  0  done
  1  it failed while running
  2  the command line is wrong
  3  the configuration is wrong
  4  healthcheck: the service is not healthy

Environment:
  ENTREPOT_CONFIG           the configuration file, where --config is not given
  ENTREPOT_<TABLE>__<KEY>   any key of the configuration, such as ENTREPOT_CACHE__DISK=10GiB
  NO_COLOR                  log without colours";

/// A container registry: a streaming pull-through cache in front of any upstream registry.
#[derive(Debug, Parser)]
#[command(name = "entrepot", version = VERSION, after_help = AFTER_HELP)]
pub struct Arguments {
    /// Configuration file in TOML, of the service and of commands about its registry
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    Serve,
    /// Check, show or write the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print what a client needs to pull through this service
    ClientConfig(ClientConfig),
    /// Ask a running service whether it lives; for container health checks
    Healthcheck(Healthcheck),
    /// Remove what nobody needs any more from repositories of one's own; the service does so by itself once in a while
    Gc {
        /// Only tell what would be removed
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        maintenance: Maintenance,
    },
    /// Read everything that is kept again, to find what the disk has changed
    Scrub(Maintenance),
    /// Work that waits, runs or could not be done
    Jobs {
        #[command(subcommand)]
        command: Jobs,
    },
    /// Who used how much: requests and bytes by repository, principal or hour
    Usage(Usage),
    /// Users, their keys and their policies
    Iam {
        #[command(subcommand)]
        command: Iam,
    },
    /// Why somebody may do something, or may not
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// Lifecycle policies: which images of a repository go, and when
    Lifecycle {
        #[command(subcommand)]
        command: Lifecycle,
    },
    /// Copy images of a registry into an OCI layout: a folder or a tar archive
    Export(Box<Export>),
    /// Push the images of an OCI layout to a registry
    Import(Box<Import>),
    /// Show on this machine, without a network, what the program does
    Demo(Demo),
    /// Print a completion script for a shell
    Completions {
        /// The shell that reads the script
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// The name of a command that would pass over `--config`.
    pub(super) const fn without_settings(&self) -> Option<&'static str> {
        match self {
            Self::Demo(_) => Some("demo"),
            Self::Lifecycle { .. } => Some("lifecycle"),
            Self::Completions { .. } => Some("completions"),
            _ => None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Tell everything that is wrong, each with its line
    Check {
        #[command(flatten)]
        output: Output,
    },
    /// Print the settings that hold: file, environment and defaults together, without secrets
    Show {
        #[command(flatten)]
        output: Output,
    },
    /// Print a file with every default, to begin with
    Init(ConfigInit),
    /// Print the reference of every key, in Markdown
    Reference,
    /// Print a JSON Schema of the file, for editors and for checks without this program
    Schema,
}

#[derive(Debug, Subcommand)]
pub enum Lifecycle {
    /// Tell whether a file is a lifecycle policy that ECR would take, and what is wrong if not
    Check {
        /// The policy in JSON; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Take what this registry has beyond ECR, in policies that declare it
        #[arg(long)]
        extensions: bool,
    },
}

#[derive(Debug, Args)]
pub struct ConfigInit {
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(long, requires = "file")]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct ClientConfig {
    /// The program that pulls
    #[arg(value_enum)]
    pub client: Client,
    /// How the client reaches this service [default: the first address it listens on]
    #[arg(long, value_name = "URL")]
    pub url: Option<Url>,
    /// Write the files below this folder, under their full paths, instead of printing them
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// Overwrite files that are there and differ; with --remove, remove them
    #[arg(long, requires = "root")]
    pub force: bool,
    /// Write nothing while another program listens at the URL, which the client would ask for every image; for the time before
    /// this service starts, on its own machine
    #[arg(long, requires = "root", conflicts_with = "remove")]
    pub if_free: bool,
    /// Remove the files below --root that are as they would be written
    #[arg(long, requires = "root")]
    pub remove: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Client {
    Containerd,
    Docker,
    /// Also for CRI-O, buildah and skopeo
    #[value(alias = "crio", alias = "cri-o", alias = "buildah", alias = "skopeo")]
    Podman,
    #[value(alias = "buildkitd")]
    Buildkit,
    /// Also for RKE2
    #[value(alias = "rke2")]
    K3s,
    Talos,
}

#[derive(Debug, Args)]
pub struct Healthcheck {
    /// Where to ask; /livez where the URL has no path [default: the first address of admin.listen]
    #[arg(long, value_name = "URL")]
    pub url: Option<Url>,
    /// Ask /readyz: not only alive, but ready for requests
    #[arg(long)]
    pub ready: bool,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = crate::config::parse_duration)]
    pub timeout: Duration,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Maintenance {
    #[command(flatten)]
    pub output: Output,
}

/// Arguments, or the code to exit with because help, version or an error has been printed.
pub enum Parsed {
    Arguments(Arguments),
    Exit(ExitCode),
}

impl Arguments {
    pub fn of_process() -> Parsed {
        match Self::try_parse() {
            Ok(arguments) => Parsed::Arguments(arguments),
            Err(error) => {
                // Nobody is left to be told that this could not be printed.
                let _ = error.print();
                Parsed::Exit(if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS })
            }
        }
    }

    pub fn source(&self) -> Source {
        Source::of_process(self.config.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_can_be_typed() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        for good in [
            "entrepot",
            "entrepot serve",
            "entrepot -c file.toml",
            "entrepot serve --config file.toml",
            "entrepot config check -c file.toml --output json",
            "entrepot config init --file a.toml --force",
            "entrepot config schema",
            "entrepot client-config k3s --url http://a:5000",
            "entrepot client-config containerd --root / --if-free --force",
            "entrepot client-config containerd --root / --remove",
            "entrepot healthcheck --ready --timeout 500ms",
            "entrepot completions zsh",
            "entrepot gc --dry-run -o json",
            "entrepot scrub",
            "entrepot jobs ls --queue gc --state dead --after 7 --limit 5 -o json",
            "entrepot jobs show 7",
            "entrepot jobs retry 7",
            "entrepot jobs retry --dead gc",
            "entrepot jobs drop 7",
            "entrepot usage",
            "entrepot usage --since 7d --until 2026-01-31 --by hour --repository team/* -o json",
            "entrepot iam list -o json",
            "entrepot iam create-user ci --policy PowerUser --policy p.json --account 000000000001",
            "entrepot iam set-password ci",
            "entrepot policy check",
            "entrepot lifecycle check policy.json",
            "entrepot lifecycle check --extensions -",
            "entrepot policy explain --principal anonymous --action ecr:PutImage --repository team/app",
            "entrepot export -o x.tar --platform linux/amd64 --platform linux/arm/v7 --referrers a:1 b:2",
            "entrepot export --list images --output json -o folder",
            "entrepot import --to team x.tar a:1 --output json",
            "entrepot import --url https://a --ca ca.pem --username me --password-file secret x.tar",
            "entrepot demo --keep",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "entrepot sevre",
            "entrepot config",
            "entrepot config init --force",
            "entrepot client-config rocket",
            "entrepot client-config docker --url nonsense",
            "entrepot client-config docker --remove",
            "entrepot client-config docker --if-free",
            "entrepot client-config docker --root / --if-free --remove",
            "entrepot healthcheck --timeout 3",
            "entrepot serve --output json",
            "entrepot jobs",
            "entrepot jobs ls --state gone",
            "entrepot jobs ls --limit 0",
            "entrepot jobs retry",
            "entrepot jobs retry 7 --dead gc",
            "entrepot jobs drop",
            "entrepot usage --by day",
            "entrepot iam create-user ci --account 1",
            "entrepot lifecycle check",
            "entrepot policy explain --action ecr:PutImage",
            "entrepot export a:1",
            "entrepot export -o x.tar",
            "entrepot export -o x.tar --platform amd64 a:1",
            "entrepot import",
            "entrepot import --username me x.tar",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let config = parse("entrepot config check -c file.toml").unwrap().config;
        assert_eq!(config, Some(PathBuf::from("file.toml")));
    }
}
