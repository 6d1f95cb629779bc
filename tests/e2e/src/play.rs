//! Scenes of one theme, played one after another on one stage.

use std::path::PathBuf;
use std::time::Instant;

use crate::failure::{Failure, Outcome};
use crate::world::World;

/// Lines of the operator's log and of the objects' story that a failed scene shows.
const SHOWN: usize = 40;

/// A play. A scene that fails does not keep the next from being played; the play fails at its end.
#[derive(Debug, Default)]
pub struct Play {
    failed: Vec<String>,
    only: Option<String>,
}

impl Play {
    /// A play of all scenes; or, for whoever works on one of them, of those whose name contains `E2E_ONLY`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            failed: Vec::new(),
            only: std::env::var("E2E_ONLY").ok(),
        }
    }

    /// Plays a scene and tells how it went.
    pub async fn scene(&mut self, world: &World, name: &str, scene: impl Future<Output = Outcome>) {
        if self
            .only
            .as_ref()
            .is_some_and(|only| !name.contains(only.as_str()))
        {
            return;
        }
        let begun = Instant::now();
        let outcome = scene.await;
        self.note(world, name, begun, outcome);
    }

    /// Plays a scene that changes the stage itself, such as one that kills the operator.
    pub async fn upheaval(
        &mut self,
        world: &mut World,
        name: &str,
        scene: impl AsyncFnOnce(&mut World) -> Outcome,
    ) {
        if self
            .only
            .as_ref()
            .is_some_and(|only| !name.contains(only.as_str()))
        {
            return;
        }
        let begun = Instant::now();
        let outcome = scene(world).await;
        self.note(world, name, begun, outcome);
    }

    fn note(&mut self, world: &World, name: &str, begun: Instant, outcome: Outcome) {
        let seconds = begun.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("{seconds:7.1}s  ok      {name}"),
            Err(Failure(why)) => {
                println!("{seconds:7.1}s  FAILED  {name}\n{why}");
                println!("  the objects' story:\n{}", last(&world.story()));
                println!("  the end of the operator's log:\n{}", log(&world.operator_log()));
                self.failed.push(format!("{name}: {why}"));
            }
        }
    }

    /// The play's outcome.
    ///
    /// # Errors
    /// A scene failed.
    pub fn end(self) -> Outcome {
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(Failure(format!(
            "{} scenes failed:\n{}",
            self.failed.len(),
            self.failed.join("\n")
        )))
    }
}

fn log(path: &PathBuf) -> String {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let lines: Vec<String> = text.unwrap_or_default().lines().map(str::to_owned).collect();
    last(&lines)
}

fn last(lines: &[String]) -> String {
    let skipped = lines.len().saturating_sub(SHOWN);
    let shown: Vec<String> = lines
        .iter()
        .skip(skipped)
        .map(|line| format!("    {line}"))
        .collect();
    shown.join("\n")
}
