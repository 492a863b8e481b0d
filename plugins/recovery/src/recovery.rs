//! One recovery: what the host gave the step, parsed, and what the steps of a run leave for each other.

use understudy_sdk::strategy::understudy::control::control::{
    self, Decision, Evidence, Level, Quantity, Question,
};

use crate::parameters::Parameters;
use crate::{Context, Error, Mode};

/// Stability window where the parameters name none, in milliseconds: thirty minutes, the lower end of what the source
/// runbooks ask for after a failback.
pub const DEFAULT_WINDOW_MS: u64 = 30 * 60 * 1000;

/// What a move is given.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The strategy, as its plugin names itself.
    pub strategy: &'static str,
    /// The step that runs; empty while the plan is made.
    pub step: String,
    /// Identity of the run.
    pub run: String,
    /// Whether the site that is left still answers.
    pub mode: Mode,
    /// Recovery time objective in milliseconds.
    pub rto_target_ms: u64,
    /// Recovery point objective in milliseconds.
    pub rpo_target_ms: u64,
    /// What all strategies are told.
    pub parameters: Parameters,
    /// The parameters as they came, for what only one strategy is told.
    pub config: String,
}

impl Recovery {
    /// Parses what the host gave.
    ///
    /// # Errors
    /// `invalid`: the parameters do not have the shape of the strategy's schema.
    pub fn read(strategy: &'static str, context: Context, step: &str) -> Result<Self, Error> {
        Ok(Self {
            strategy,
            step: step.to_owned(),
            run: context.run,
            mode: context.mode,
            rto_target_ms: context.rto_target_ms,
            rpo_target_ms: context.rpo_target_ms,
            parameters: Parameters::read(&context.config)?,
            config: context.config,
        })
    }

    /// The site that is left.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.parameters.from
    }

    /// The site that is gone to.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.parameters.to
    }

    /// True where the site that is left may be dead.
    #[must_use]
    pub fn ungraceful(&self) -> bool {
        self.mode == Mode::Ungraceful
    }

    /// The length of the stability window in milliseconds.
    #[must_use]
    pub fn stability_window_ms(&self) -> u64 {
        self.parameters
            .stability_window_ms
            .unwrap_or(DEFAULT_WINDOW_MS)
    }

    /// `text` with `{from}` and `{to}` replaced by the names of the sites.
    #[must_use]
    pub fn name_sites(&self, text: &str) -> String {
        text.replace("{from}", self.from())
            .replace("{to}", self.to())
    }

    /// What the organisation calls this role.
    #[must_use]
    pub fn role(&self, role: &str) -> String {
        self.parameters
            .roles
            .get(role)
            .map_or_else(|| role.to_owned(), Clone::clone)
    }

    /// The same over a crash and over a second attempt at the step, and never for two steps: run, strategy, direction
    /// and step. What the contracts call a token, a name or a key.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{}-{}-{}-{}", self.run, self.strategy, self.to(), self.step)
    }

    /// `name` with the direction in it: a run that fails over and back keeps both values apart.
    #[must_use]
    pub fn own(&self, name: &str) -> String {
        format!("{name}-{}-{}", self.from(), self.to())
    }

    /// Asks a role; no-go is an error.
    ///
    /// # Errors
    /// `conflict`: the answer was no-go. Whatever `control.decide` answers.
    pub fn ask(&self, role: &str, title: String, detail: String) -> Result<Decision, Error> {
        let role = self.role(role);
        let decision = control::decide(&Question {
            role: role.clone(),
            title: title.clone(),
            detail,
        })?;
        if decision.go {
            return Ok(decision);
        }
        let note = if decision.note.is_empty() {
            String::new()
        } else {
            format!(": {}", decision.note)
        };
        Err(Error::Conflict(format!(
            "{role} ({}) said no-go to \"{title}\"{note}",
            decision.by
        )))
    }

    /// Sets a milestone about the site that is left.
    ///
    /// # Errors
    /// Whatever `control.mark` answers.
    pub fn mark_from(&self, name: &str) -> Result<(), Error> {
        control::mark(name, Some(self.from()))
    }

    /// Sets a milestone about the site that is gone to.
    ///
    /// # Errors
    /// Whatever `control.mark` answers.
    pub fn mark_to(&self, name: &str) -> Result<(), Error> {
        control::mark(name, Some(self.to()))
    }
}

/// Keeps a length of time in milliseconds.
///
/// # Errors
/// Whatever `control.measure` answers.
pub fn measure_duration(name: &str, duration_ms: u64) -> Result<(), Error> {
    control::measure(name, &Quantity::DurationMs(duration_ms))
}

/// Keeps a text.
///
/// # Errors
/// Whatever `control.measure` answers.
pub fn measure_text(name: &str, text: String) -> Result<(), Error> {
    control::measure(name, &Quantity::Text(text))
}

/// A length of time in milliseconds that a step has kept.
///
/// # Errors
/// Whatever `control.recall` answers.
pub fn recall_duration(name: &str) -> Result<Option<u64>, Error> {
    Ok(match control::recall(name)? {
        Some(Quantity::DurationMs(duration_ms)) => Some(duration_ms),
        _ => None,
    })
}

/// A text that a step has kept.
///
/// # Errors
/// Whatever `control.recall` answers.
pub fn recall_text(name: &str) -> Result<Option<String>, Error> {
    Ok(match control::recall(name)? {
        Some(Quantity::Text(text)) => Some(text),
        _ => None,
    })
}

/// A number that a step has kept.
///
/// # Errors
/// Whatever `control.recall` answers.
pub fn recall_count(name: &str) -> Result<Option<u64>, Error> {
    Ok(match control::recall(name)? {
        Some(Quantity::Count(count)) => Some(count),
        _ => None,
    })
}

/// Attaches JSON to the step.
///
/// # Errors
/// Whatever `control.attach` answers.
pub fn attach(name: &str, body: &serde_json::Value) -> Result<(), Error> {
    control::attach(&Evidence {
        name: name.to_owned(),
        media_type: "application/json".to_owned(),
        body: body.to_string(),
    })
}

/// Attaches text to the step.
///
/// # Errors
/// Whatever `control.attach` answers.
pub fn attach_text(name: &str, body: String) -> Result<(), Error> {
    control::attach(&Evidence {
        name: name.to_owned(),
        media_type: "text/plain".to_owned(),
        body,
    })
}

/// Somebody should look at this.
///
/// # Errors
/// Whatever `control.log` answers.
pub fn warn(message: &str) -> Result<(), Error> {
    control::log(Level::Warn, message)
}

/// Most looks at one state, and the time between two, in milliseconds: half a minute together, longer than control
/// planes commonly take to show what they have accepted.
const LOOKS: u32 = 7;
const LOOK_EVERY_MS: u64 = 5_000;

/// Reads until what is shown is what was asked for: a control plane may show an old state for a while after it has
/// accepted a change. Answers what was read last, expected or not.
///
/// # Errors
/// Whatever `read` or `control.sleep` answers.
pub fn settled<T>(
    mut read: impl FnMut() -> Result<T, Error>,
    expected: impl Fn(&T) -> bool,
) -> Result<T, Error> {
    let mut seen = read()?;
    for _ in 1..LOOKS {
        if expected(&seen) {
            break;
        }
        control::sleep(LOOK_EVERY_MS)?;
        seen = read()?;
    }
    Ok(seen)
}
