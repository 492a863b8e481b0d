//! What goes wrong in a run of a campaign beyond its scenario: entries of a scenario file that come and go together.
//!
//! A [`Trouble`] is text for a scenario and nothing else, so whatever a campaign finds is a scenario that people can
//! keep. Where troubles come from: [`Troubles`]. How random ones are drawn: [`random`](super::random).

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::random::Palette;
use crate::rehearsal::draw::Draws;
use crate::rehearsal::scenario::{Scenario, ScenarioError};

/// Most entries of a faults file: what goes wrong in one run must stay readable.
const MAX_LISTED: usize = 200;

/// Entries of a scenario that come and go together, for example an outage and its end.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trouble {
    /// In a few words.
    pub name: String,
    /// Entries of `[[faults]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Table>,
    /// Entries of `[[injects]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub injects: Vec<Table>,
    /// Entries of `[[crashes]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crashes: Vec<Table>,
}

/// A trouble of a faults file with its chance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Listed {
    /// In a few words.
    pub name: String,
    /// Share of the runs that have it, 0 to 1.
    #[serde(default = "always")]
    pub chance: f64,
    /// Entries of `[[faults]]`.
    #[serde(default)]
    pub faults: Vec<Table>,
    /// Entries of `[[injects]]`.
    #[serde(default)]
    pub injects: Vec<Table>,
    /// Entries of `[[crashes]]`.
    #[serde(default)]
    pub crashes: Vec<Table>,
}

fn always() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultsFile {
    troubles: Vec<Listed>,
}

/// A faults file that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultsError {
    /// The text is no faults file.
    #[error("[RH0006] the faults file cannot be read: {0}")]
    Unreadable(String),
    /// A value that cannot be.
    #[error("[RH0006] trouble `{name}` of the faults file can never be: {problem}")]
    Impossible {
        /// Which.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Where the troubles of a run come from.
#[derive(Debug, Clone)]
pub enum Troubles {
    /// There are none: only the seed varies.
    None,
    /// Drawn from what the plan uses.
    Random(Palette),
    /// Each with its chance, from a faults file.
    Listed(Vec<Listed>),
}

impl Troubles {
    /// Reads a faults file.
    ///
    /// # Errors
    /// [`FaultsError`].
    pub fn parse(text: &str) -> Result<Self, FaultsError> {
        let file: FaultsFile = toml::from_str(text)
            .map_err(|error| FaultsError::Unreadable(error.message().to_owned()))?;
        if file.troubles.len() > MAX_LISTED {
            let problem = format!("more than {MAX_LISTED} troubles");
            return Err(FaultsError::Unreadable(problem));
        }
        for listed in &file.troubles {
            let empty = listed.faults.len() + listed.injects.len() + listed.crashes.len() == 0;
            let problem = match listed.chance {
                chance if !(0.0..=1.0).contains(&chance) => "a chance is between 0 and 1",
                _ if empty => "it has no `faults`, `injects` or `crashes`",
                _ => continue,
            };
            return Err(FaultsError::Impossible {
                name: listed.name.clone(),
                problem: problem.to_owned(),
            });
        }
        Ok(Self::Listed(file.troubles))
    }

    /// The troubles of the run of this seed. They depend on nothing else, and nothing else depends on their draws.
    #[must_use]
    pub fn draw(&self, seed: u64) -> Vec<Trouble> {
        match self {
            Self::None => Vec::new(),
            Self::Random(palette) => palette.draw(seed),
            Self::Listed(listed) => {
                let draws = Draws::new(seed);
                let listed = listed.iter().zip(0..);
                let hit = listed.filter(|(listed, place)| {
                    let drawn = draws.ppm("campaign trouble", &listed.name, *place) as f64;
                    drawn < listed.chance * 1_000_000.0
                });
                hit.map(|(listed, _)| listed.trouble()).collect()
            }
        }
    }

    /// Everything that can be drawn at once, to see whether it fits a scenario; empty where it fits by construction.
    #[must_use]
    pub fn all(&self) -> Vec<Trouble> {
        match self {
            Self::None | Self::Random(_) => Vec::new(),
            Self::Listed(listed) => listed.iter().map(Listed::trouble).collect(),
        }
    }
}

impl Listed {
    fn trouble(&self) -> Trouble {
        Trouble {
            name: self.name.clone(),
            faults: self.faults.clone(),
            injects: self.injects.clone(),
            crashes: self.crashes.clone(),
        }
    }
}

/// A scenario's text with troubles added at its end.
#[must_use]
pub fn add(scenario: &str, troubles: &[Trouble]) -> String {
    let mut added = Table::new();
    let mut list = |name: &str, entries: fn(&Trouble) -> &[Table]| {
        let entries = troubles.iter().flat_map(entries);
        let entries: Vec<Value> = entries.cloned().map(Value::Table).collect();
        if !entries.is_empty() {
            added.insert(name.to_owned(), Value::Array(entries));
        }
    };
    list("faults", |trouble| &trouble.faults);
    list("injects", |trouble| &trouble.injects);
    list("crashes", |trouble| &trouble.crashes);
    // A table of what TOML itself read or of plain values can always be written.
    let added = toml::to_string(&added).unwrap_or_default();
    let names: String = troubles
        .iter()
        .map(|trouble| {
            format!(
                "# Added: {}.\n",
                crate::report::units::one_line(&trouble.name)
            )
        })
        .collect();
    format!("{}\n\n{names}{added}", scenario.trim_end())
}

/// A scenario with troubles added: what [`add`] writes, read again.
///
/// # Errors
/// [`ScenarioError`] if the scenario cannot have them, for example because it has no such site.
pub fn troubled(scenario: &str, troubles: &[Trouble]) -> Result<Scenario, ScenarioError> {
    Scenario::parse(&add(scenario, troubles))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[troubles]]
        name = "dns is away"
        chance = 0.5
        injects = [{ at = "T+5m", fail.api = "dns" }, { at = "T+9m", heal.api = "dns" }]

        [[troubles]]
        name = "slow dns"
        faults = [{ call = "dns/ensure-record", nth = 1, kind = "delay", by = { min = "1s", max = "2s" } }]
        crashes = [{ after-records = 100 }]
    "#;

    fn shipped() -> String {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../runbooks/wordpress/scenarios/primary-lost.toml"
        );
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn what_is_added_is_what_the_scenario_then_has() {
        let troubles = Troubles::parse(FILE).unwrap();
        let base = Scenario::parse(&shipped()).unwrap();
        let scenario = troubled(&shipped(), &troubles.all()).unwrap();
        let grown = |entries: (usize, usize)| entries.1 - entries.0;
        assert_eq!(grown((base.faults.len(), scenario.faults.len())), 1);
        assert_eq!(grown((base.injects.len(), scenario.injects.len())), 2);
        assert_eq!(grown((base.crashes.len(), scenario.crashes.len())), 1);
        assert_eq!(scenario.expect.ending, base.expect.ending);
    }

    #[test]
    fn a_chance_is_held_over_many_seeds_and_the_same_for_one() {
        let troubles = Troubles::parse(FILE).unwrap();
        let away = |seed| troubles.draw(seed).iter().any(|t| t.name == "dns is away");
        let hits = (0..2_000).filter(|seed| away(*seed)).count();
        assert!((900..1_100).contains(&hits), "{hits}");
        assert!((0..50).all(|seed| troubles.draw(seed) == troubles.draw(seed)));
        assert!((0..50).all(|seed| troubles.draw(seed).iter().any(|t| t.name == "slow dns")));
    }

    #[test]
    fn a_file_that_can_never_be_is_refused_by_name() {
        let cases = [
            "[[troubles]]\nname = 'a'\nchance = 1.5\ncrashes = [{ after-records = 1 }]",
            "[[troubles]]\nname = 'a'",
            "[[troubles]]\nname = 'a'\nfault = []",
            "[[faults]]",
        ];
        for case in cases {
            let error = Troubles::parse(case).unwrap_err().to_string();
            assert!(error.contains("RH0006"), "{case}: {error}");
        }
        let unknown = Trouble {
            injects: vec![toml::from_str("at = 'T'\nfail.api = 'dnss'").unwrap()],
            ..Trouble::default()
        };
        let error = troubled(&shipped(), &[unknown]).unwrap_err();
        assert!(error.to_string().contains("dnss"), "{error}");
    }
}
