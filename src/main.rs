//! The program: arguments in, exit code out.

use std::process::ExitCode;

use guard::system::environment::Environment;

fn main() -> ExitCode {
    guard::cli::run(std::env::args_os(), Environment::of_this_process())
}
