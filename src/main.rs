//! `gatherd`: parses the command line, runs the command, turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use gatherd::cli::{self, Args};

fn main() -> ExitCode {
    cli::complete();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nothing is left to be done when standard error is closed.
            let _ = error.print();
            return if error.use_stderr() { cli::exit::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    cli::run(args)
}
