//! The `sekisho` binary: reads the command line, and leaves the rest to the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
