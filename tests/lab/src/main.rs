//! `cargo lab`: the laboratory on the command line.

use clap::{Parser, Subcommand};
use lab::bench::{Plan, subject::Subject};
use lab::outside::{Clients, OPERATOR};
use lab::poc::report::{Failure, Report};
use lab::poc::{Run, drawing, printing};
use lab::progress::Progress;
use lab::run_dir::RunDir;
use lab::simulators::BODIES;
use lab::sweep::report::Head;
use lab::sweep::scenario::Scenario;
use lab::sweep::{crash, fault_sweep, kill};
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
    /// Kill the operator at random moments of the reference topology's life.
    Kill {
        /// Whole lives; in each it is killed three times.
        #[arg(long, default_value_t = 10)]
        rounds: u32,
        /// What the moments are drawn from; random, and told, without.
        #[arg(long)]
        seed: Option<u64>,
        /// Write what was found as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Kill the operator before and after each call that it makes.
    CrashSweep {
        /// What it is killed at.
        #[arg(value_enum, default_value_t = Swept::Networks)]
        scenario: Swept,
        /// Try so many points only, spread over all.
        #[arg(long)]
        sample: Option<usize>,
        /// Laboratories at once.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Leave out what converged by FILE.
        #[arg(long, requires = "json")]
        resume: bool,
        /// Write what was found as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Let NSX and vCenter fail in every way, in each phase of an object's life.
    FaultSweep {
        /// Try so many cells only, spread over all.
        #[arg(long)]
        sample: Option<usize>,
        /// Try only faults whose name contains this.
        #[arg(long)]
        only: Option<String>,
        /// Write what was found as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Measure what many objects cost.
    Bench {
        #[command(subcommand)]
        subject: Bench,
    },
    /// Find or build the real programs, and install the outside clients.
    Tools,
    /// Hold the bodies that the operator sent to NSX against the types of NSX's makers.
    Outside {
        /// Files with recorded bodies; without any, those of all runs that are kept.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// What a crash sweep is about.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Swept {
    /// `ContainerNetwork` and `EdgeNatRule`.
    Networks,
    /// `VirtualContainerHost`.
    Vch,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// NAT rules on ten gateways, half of them mapping ports.
    Nat {
        /// How many.
        #[arg(long, value_name = "N")]
        rules: usize,
        #[command(flatten)]
        how: Measuring,
    },
    /// Segments, half of them routed.
    Networks {
        /// How many.
        #[arg(long, value_name = "N")]
        networks: usize,
        #[command(flatten)]
        how: Measuring,
    },
}

#[derive(Debug, clap::Args)]
struct Measuring {
    /// Runs of floor and ready, one after the other.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long the operator is watched at rest.
    #[arg(long, default_value_t = 2, value_name = "MINUTES")]
    rest: u32,
    /// Write what was found as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let work = async {
        match arguments.command {
            Some(Command::Bench { subject }) => bench(subject).await,
            Some(Command::Tools) => tools().await,
            Some(Command::Outside { files }) => outside(files).await,
            Some(Command::Up { env }) => up(env.as_deref()).await,
            Some(Command::Kill { rounds, seed, json }) => {
                let (file, progress) = (json, Progress::shown());
                let options = kill::Options {
                    rounds,
                    seed,
                    file,
                    progress,
                };
                Ok(ended(&kill::run(options).await.head))
            }
            Some(Command::CrashSweep {
                scenario,
                sample,
                jobs,
                resume,
                json,
            }) => {
                let options = crash::Options {
                    scenario: match scenario {
                        Swept::Networks => Scenario::Networks,
                        Swept::Vch => Scenario::Vch,
                    },
                    sample,
                    jobs,
                    file: json,
                    resume,
                    progress: Progress::shown(),
                };
                Ok(ended(&crash::run(options).await.head))
            }
            Some(Command::FaultSweep { sample, only, json }) => {
                let options = fault_sweep::Options {
                    sample,
                    only,
                    file: json,
                    progress: Progress::shown(),
                };
                Ok(ended(&fault_sweep::run(options).await.head))
            }
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
    let clients = Clients::provide(&Progress::shown()).await?;
    println!(
        "{:24} {:10} {}",
        "outside clients",
        "",
        clients.python().display()
    );
    Ok(ExitCode::SUCCESS)
}

async fn outside(mut files: Vec<PathBuf>) -> Result<ExitCode> {
    if files.is_empty() {
        files = RunDir::kept().into_iter().map(|run| run.join(BODIES)).collect();
    }
    let clients = Clients::provide(&Progress::shown()).await?;
    let report = clients.check_bodies(&files, OPERATOR)?;
    for (name, count) in &report.types {
        println!("{count:8}  {name}");
    }
    println!(
        "{} calls, {} bodies that differ, {} faults",
        report.calls,
        report.bodies,
        report.faults.len()
    );
    Ok(match report.complaint() {
        None => ExitCode::SUCCESS,
        Some(complaint) => {
            println!("{complaint}");
            ExitCode::FAILURE
        }
    })
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

async fn bench(subject: Bench) -> Result<ExitCode> {
    let (subject, count, how) = match subject {
        Bench::Nat { rules, how } => (Subject::Nat, rules, how),
        Bench::Networks { networks, how } => (Subject::Networks, networks, how),
    };
    let plan = Plan {
        subject,
        count,
        runs: usize::try_from(how.runs).unwrap_or(1),
        rest_minutes: how.rest,
    };
    let report = lab::bench::run(plan).await;
    if let Some(path) = how.json {
        lab::sweep::report::write(&report, &path)?;
    }
    println!(
        "\nready in {:?} s, floor {:?} s",
        report.ready_seconds, report.floor_seconds
    );
    Ok(ended(&report.head))
}

/// Tells how a sweep or a benchmark went.
fn ended(head: &Head) -> ExitCode {
    tell(&head.failures);
    println!(
        "\n{} in {:.1} s",
        if head.ok { "ok" } else { "not ok" },
        head.seconds
    );
    if head.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn complain(report: &Report) {
    tell(&report.failures);
}

fn tell(failures: &[Failure]) {
    for failure in failures {
        println!(
            "FAILED {}: expected {}, got {}",
            failure.what, failure.expected, failure.got
        );
    }
}
