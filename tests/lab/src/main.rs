//! `cargo lab`: the laboratory on the command line.

use clap::{Parser, Subcommand};
use lab::poc::{Run, drawing, printing, report::Report};
use lab::progress::Progress;
use lab::tools::{Tool, Toolbox};
use lab::{Lab, Options, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Everything vic-operator needs, on loopback: a Kubernetes control plane, simulated vCenter and NSX, and the operator.
///
/// Without a command: brings the reference topology up, shows it, and stays until Ctrl-C.
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
    /// Bring the reference topology up, and stay or measure its whole life.
    Poc {
        /// Apply, serve, edit by hand, take away; then end.
        #[arg(long)]
        once: bool,
        /// Write what was found as JSON.
        #[arg(long, value_name = "FILE", requires = "once")]
        json: Option<PathBuf>,
    },
    /// Find or build the real programs.
    Tools,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let work = async {
        match arguments.command {
            Some(Command::Tools) => tools().await,
            Some(Command::Up { env }) => up(env.as_deref()).await,
            Some(Command::Poc { once: true, json }) => once(json.as_deref()).await,
            Some(Command::Poc { once: false, .. }) | None => stay().await,
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

async fn start(name: &str) -> Result<Lab> {
    Lab::start(Options {
        progress: Progress::shown(),
        ..Options::named(name)
    })
    .await
}

async fn tools() -> Result<ExitCode> {
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

async fn up(env: Option<&Path>) -> Result<ExitCode> {
    let lab = start("up").await?;
    let _overlay = lab.component().publish()?;
    let text = lab
        .environment()
        .into_iter()
        .fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{key}={value}");
            text
        });
    print!("{text}");
    println!("\nThe reference topology: kubectl apply -k examples/poc");
    if let Some(path) = env {
        std::fs::write(path, &text).map_err(|source| lab::Error::Io {
            what: format!("write {}", path.display()),
            source,
        })?;
    }
    Err(lab.died().await)
}

async fn stay() -> Result<ExitCode> {
    let lab = start("poc").await?;
    let _overlay = lab.component().publish()?;
    let mut run = Run::new(&lab, printing()).await?;
    run.bring_up().await?;
    println!("\n{}", drawing::topology(&run.objects()));
    println!("{}", drawing::probes(&run.report.probes));
    complain(&run.report);
    println!("export KUBECONFIG={}", lab.cluster.kubeconfig().display());
    println!("alias kubectl={}", lab.tool(Tool::Kubectl).display());
    println!("\nLook around (kubectl get vic -A), edit, delete. Ctrl-C ends the laboratory.");
    Err(lab.died().await)
}

async fn once(json: Option<&Path>) -> Result<ExitCode> {
    let report = measured().await.unwrap_or_else(|error| {
        let mut report = Report::new(Options::named("once").nsx_resync.as_secs());
        report.fail("the laboratory", "to start", error.to_string());
        report.finish(0.0);
        report
    });
    println!("\n{}", drawing::probes(&report.probes));
    for drift in &report.drift {
        println!(
            "  {:24} {} after {:.1} s",
            drift.what,
            if drift.repaired {
                "repaired"
            } else {
                "NOT repaired"
            },
            drift.seconds
        );
    }
    complain(&report);
    if let Some(path) = json {
        report.write(path)?;
    }
    println!(
        "\n{} in {:.1} s",
        if report.ok { "ok" } else { "not ok" },
        report.seconds
    );
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measured() -> Result<Report> {
    let lab = start("once").await?;
    let mut run = Run::new(&lab, printing()).await?;
    run.complete().await;
    Ok(run.report)
}

fn complain(report: &Report) {
    for failure in &report.failures {
        println!(
            "FAILED {}: expected {}, got {}",
            failure.what, failure.expected, failure.got
        );
    }
}
