//! `cargo lab`: the laboratory on the command line.

use clap::{Parser, Subcommand};
use lab::progress::Progress;
use lab::tools::{Tool, Toolbox};
use lab::{Error, Lab, Options};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Everything vic-operator needs, on loopback: a Kubernetes control plane, simulated vCenter and NSX, and the operator.
#[derive(Debug, Parser)]
#[command(name = "lab", bin_name = "cargo lab")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything and apply nothing; stays until Ctrl-C.
    Up {
        /// Write what a script needs to know as KEY=value.
        #[arg(long, value_name = "FILE")]
        env: Option<PathBuf>,
    },
    /// Build or find the real programs.
    Tools,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let work = async {
        match arguments.command {
            Some(Command::Tools) => tools().await,
            Some(Command::Up { env }) => up(env.as_deref()).await,
            None => Ok(ExitCode::SUCCESS),
        }
    };
    // A signal drops the work and with it the laboratory, whose processes end in order.
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = interrupted() => return ExitCode::from(130),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("stopping the laboratory");
}

async fn tools() -> Result<ExitCode, Error> {
    let tools = Toolbox::provide(&Progress::shown()).await?;
    for tool in Tool::ALL {
        println!(
            "{:24} {:10} {}",
            tool.name(),
            tool.pinned()?.to_string(),
            tools.path(tool).display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(env: Option<&Path>) -> Result<ExitCode, Error> {
    let lab = Lab::start(Options {
        progress: Progress::shown(),
        ..Options::named("up")
    })
    .await?;
    let _overlay = lab.component().publish()?;
    let text = lab
        .environment()
        .into_iter()
        .fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{key}={value}");
            text
        });
    print!("{text}");
    if let Some(path) = env {
        std::fs::write(path, &text).map_err(|source| Error::Io {
            what: format!("write {}", path.display()),
            source,
        })?;
    }
    std::future::pending().await
}
