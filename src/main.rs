//! The command line program; see `cli` for what it does.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
