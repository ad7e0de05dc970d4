//! The program: a runtime, and the command line.

use std::process::ExitCode;
use std::time::Duration;

use entrepot::cli::{self, Arguments, Parsed};

/// Threads for work on files. They are many because a cold disk makes them wait, and bounded because each has a stack.
const MAX_BLOCKING_THREADS: usize = 64;

/// How long work on files may go on after the command is done.
const LAST_MOMENT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = match Arguments::of_process() {
        Parsed::Arguments(arguments) => arguments,
        Parsed::Exit(code) => return code,
    };
    // One worker a core, which is what tokio does unless it is told otherwise.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name("entrepot")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("entrepot: the threads cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(arguments));
    runtime.shutdown_timeout(LAST_MOMENT);
    code
}
