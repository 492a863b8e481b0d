//! Programs that outlast a call of their provider: started once, asked after until their end is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::launch::Launch;
use super::process::{Ended, execute};
use super::{Fault, JOB_LEASH, MAX_JOBS};
use crate::clock::{Clock, Instant, timeout_at};

/// The jobs of a binding by program and name.
#[derive(Default)]
pub(super) struct Jobs(Mutex<BTreeMap<(String, String), Job>>);

/// How a job stands.
#[derive(Debug)]
pub(super) enum Stand {
    /// At it for so long.
    Running(Duration),
    /// Told once.
    Ended(Ended),
}

type Outcome = Option<Result<Ended, Fault>>;

struct Job {
    identity: String,
    started: Instant,
    asked: Arc<AtomicU64>,
    outcome: watch::Receiver<Outcome>,
    task: JoinHandle<()>,
}

impl Drop for Job {
    fn drop(&mut self) {
        // Its future is dropped with it, which kills the program.
        self.task.abort();
    }
}

impl Jobs {
    /// Starts a job, or finds the one of this name; waits for its end until `wait`.
    pub(super) async fn ask(
        &self,
        name: &str,
        launch: Launch,
        clock: &Arc<dyn Clock>,
        wait: Instant,
    ) -> Result<Stand, Fault> {
        let key = (launch.program.clone(), name.to_owned());
        let (mut outcome, started) = self.find_or_start(&key, launch, clock)?;
        let ended = timeout_at(clock.as_ref(), wait, outcome.wait_for(Option::is_some)).await;
        match ended {
            None => Ok(Stand::Running(clock.now().since(started))),
            Some(seen) => {
                let outcome = seen.ok().and_then(|outcome| outcome.clone());
                self.all().remove(&key);
                let lost = || Fault::in_doubt("CP0014", format!("job `{name}` is lost"));
                outcome.unwrap_or_else(|| Err(lost())).map(Stand::Ended)
            }
        }
    }

    fn find_or_start(
        &self,
        key: &(String, String),
        launch: Launch,
        clock: &Arc<dyn Clock>,
    ) -> Result<(watch::Receiver<Outcome>, Instant), Fault> {
        let now = clock.now();
        let mut all = self.all();
        if let Some(job) = all.get(key) {
            if job.identity != launch.identity {
                let text = format!("a job `{}` of `{}` runs another command", key.1, key.0);
                return Err(Fault::conflicting("CP0040", text));
            }
            job.asked.store(now.0, Ordering::Relaxed);
            return Ok((job.outcome.clone(), job.started));
        }
        if all.len() >= MAX_JOBS {
            // An end that nobody came for.
            all.retain(|_, job| job.outcome.borrow().is_none());
        }
        if all.len() >= MAX_JOBS {
            let text = format!("{MAX_JOBS} jobs are running already");
            return Err(Fault::busy("CP0041", text, None));
        }
        let job = Job::start(launch, now, clock);
        let found = (job.outcome.clone(), job.started);
        all.insert(key.clone(), job);
        Ok(found)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<(String, String), Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn start(launch: Launch, now: Instant, clock: &Arc<dyn Clock>) -> Self {
        let (tell, outcome) = watch::channel(None);
        let asked = Arc::new(AtomicU64::new(now.0));
        let identity = launch.identity.clone();
        let limit = now.after(launch.time_limit());
        let (held, clock) = (Arc::clone(&asked), Arc::clone(clock));
        let program = launch.program.clone();
        let task = tokio::spawn(async move {
            let ended = tokio::select! {
                ended = execute(launch, Arc::clone(&clock), limit) => ended,
                () = forgotten(&held, clock.as_ref()) => {
                    let seconds = JOB_LEASH.as_secs();
                    let text = format!("`{program}` was killed: nobody asked after it for {seconds} s");
                    Err(Fault::over_time("CP0036", text))
                }
            };
            tell.send_replace(Some(ended));
        });
        Self {
            identity,
            started: now,
            asked,
            outcome,
            task,
        }
    }
}

/// Resolves when nobody has asked for too long.
async fn forgotten(asked: &AtomicU64, clock: &dyn Clock) {
    loop {
        let until = Instant(asked.load(Ordering::Relaxed)).after(JOB_LEASH);
        if clock.now() >= until {
            return;
        }
        clock.sleep_until(until).await;
    }
}
