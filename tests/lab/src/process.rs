//! A child process whose log is a file, that ends when its owner does.

use crate::error::{Context, Error, Result};
use crate::run_dir::{OwnGroup, RunDir};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How long a process may take to end after SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a process says on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// More log.
    Log,
    /// One JSON line when it serves, then nothing.
    ReadyLine,
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    over: watch::Receiver<bool>,
    log: PathBuf,
    ready: Option<oneshot::Receiver<String>>,
}

impl Process {
    /// Starts `command`, logging to `<run>/<name>.log`.
    ///
    /// # Errors
    /// The program cannot be started, or the log cannot be written.
    pub fn spawn(run: &RunDir, name: &str, mut command: Command, stdout: Stdout) -> Result<Self> {
        let log = run.log(name);
        let what = || format!("write {}", log.display());
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .context(what)?;
        writeln!(file, "# {command:?}").context(what)?;
        let to_log = || file.try_clone().map(Stdio::from).context(what);
        command
            .stdin(Stdio::null())
            .stderr(to_log()?)
            .process_group_zero();
        command.stdout(if stdout == Stdout::Log {
            to_log()?
        } else {
            Stdio::piped()
        });
        let mut child = command
            .spawn()
            .context(|| format!("start {}", command.get_program().display()))?;
        run.note(child.id())?;
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(std::io::Error::from)
            .context(|| format!("watch the process of {name}"))?;
        let over = end_of(
            pidfd
                .try_clone()
                .context(|| format!("watch the process of {name}"))?,
        );
        let ready = child.stdout.take().map(|stdout| first_line(stdout, file));
        Ok(Self {
            name: name.to_owned(),
            child,
            pid,
            pidfd,
            over,
            log,
            ready,
        })
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it logs.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits for the JSON line with which the program says that it serves.
    ///
    /// # Errors
    /// The process ended first, `limit` passed, or the line is not JSON; with the end of the log.
    pub async fn ready_line(&mut self, limit: Duration) -> Result<serde_json::Value> {
        let Some(ready) = self.ready.take() else {
            return Err(Error::Other(format!(
                "{} was not started with a ready line",
                self.name
            )));
        };
        match tokio::time::timeout(limit, ready).await {
            Ok(Ok(line)) => serde_json::from_str(&line)
                .map_err(|error| Error::program(format!("{} said {line:?}: {error}", self.name), &self.log)),
            Ok(Err(_)) => Err(self.ended()),
            Err(_) => Err(Error::program(
                format!("{} was not ready within {} s", self.name, limit.as_secs()),
                &self.log,
            )),
        }
    }

    /// Waits until the process ends of itself, and tells how, with the end of its log.
    pub async fn died(&self) -> Error {
        let _ = self.over.clone().wait_for(|over| *over).await;
        Error::program(format!("{} ended while it was needed", self.name), &self.log)
    }

    /// Refuses to go on when the process has ended.
    ///
    /// # Errors
    /// It has; with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(self.ended()),
        }
    }

    fn ended(&mut self) -> Error {
        wait_readable(&self.pidfd, Duration::from_secs(1));
        let how = self
            .child
            .try_wait()
            .ok()
            .flatten()
            .map_or("closed its output".to_owned(), |s| s.to_string());
        Error::program(format!("{} ended ({how})", self.name), &self.log)
    }

    /// Asks the process to end and waits for it; kills it when it takes too long. Returns its exit status.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        let _ = kill_process(self.pid, Signal::TERM);
        if !wait_readable(&self.pidfd, PATIENCE) {
            let _ = self.child.kill();
        }
        self.child.wait().ok()
    }

    /// Kills the process without a word, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Hands over the first line of `stdout`; what follows goes to the log.
fn first_line(stdout: ChildStdout, mut log: File) -> oneshot::Receiver<String> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        if reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            let _ = write!(log, "# stdout: {line}");
            let _ = sender.send(line);
        }
        let _ = std::io::copy(&mut reader, &mut log);
    });
    receiver
}

/// Becomes true when the process of that descriptor has ended.
fn end_of(pidfd: OwnedFd) -> watch::Receiver<bool> {
    let (sender, over) = watch::channel(false);
    std::thread::spawn(move || {
        while poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).is_err() {}
        let _ = sender.send(true);
    });
    over
}

/// Whether the descriptor became readable (a pidfd: the process ended) in time.
fn wait_readable(fd: &OwnedFd, limit: Duration) -> bool {
    let Ok(timeout) = limit.try_into() else {
        return false;
    };
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn shell(run: &RunDir, script: &str, stdout: Stdout) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(run, "sh", command, stdout).unwrap()
    }

    #[tokio::test]
    async fn the_ready_line_is_handed_over_and_the_process_lives_on() {
        let run = RunDir::create("unit").unwrap();
        let mut process = shell(&run, "echo '{\"url\":\"x\"}'; exec sleep 600", Stdout::ReadyLine);
        let line = process.ready_line(Duration::from_mins(1)).await.unwrap();
        assert_eq!(line["url"], "x");
        process.check().unwrap();
        assert!(process.died().now_or_never().is_none());
        let status = process.stop().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
        assert!(process.check().is_err());
        assert!(
            process
                .died()
                .await
                .to_string()
                .starts_with("sh ended while it was needed")
        );
    }

    #[tokio::test]
    async fn a_process_that_ends_first_is_told_with_its_log() {
        let run = RunDir::create("unit").unwrap();
        let mut process = shell(&run, "echo no such datastore >&2; exit 3", Stdout::ReadyLine);
        let error = process
            .ready_line(Duration::from_mins(1))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("no such datastore"),
            "{error}"
        );
    }

    #[test]
    fn processes_of_a_vanished_laboratory_are_ended_by_its_guardian() {
        let mut run = RunDir::create("unit").unwrap();
        let mut command = Command::new("sleep");
        command.arg("600").env("LAB", run.path());
        let mut process = Process::spawn(&run, "orphan", command, Stdout::Log).unwrap();
        run.vanish();
        assert!(wait_readable(&process.pidfd, Duration::from_mins(1)));
        assert!(process.check().is_err());
    }
}
