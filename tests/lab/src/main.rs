//! `understudy-lab`: brings the lab up and keeps it until it is told to end; `understudy-lab app FILE` is the
//! application of one site, which the lab starts.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    understudy_lab::cli::run(std::env::args_os().skip(1).collect()).await
}
