//! `entrepot completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::arguments::Arguments;
use super::failure::Failure;

pub(super) fn run(shell: Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "entrepot", &mut script);
    String::from_utf8(script).map_err(|error| Failure::Runtime(format!("the script is not text: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = run(shell).unwrap();
            assert!(script.contains("client-config") && script.contains("healthcheck"), "{shell}");
        }
    }
}
