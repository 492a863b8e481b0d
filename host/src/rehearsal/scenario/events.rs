//! What happens in a scenario that nobody planned: injects at a time, faults of single calls, people, stand-ins. Deaths
//! of the host are in [`crash`](super::crash).

use serde::Deserialize;
use toml::Spanned;

use super::time::{Length, Offset, Range};
use crate::name::{InterfaceName, SiteName, StrategyName};

/// `[[injects]]`: something happens to the world at a time.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawInject")]
pub struct Inject {
    /// When.
    pub at: Offset,
    /// What.
    pub action: Action,
}

/// What an inject does.
#[derive(Debug, Clone)]
pub enum Action {
    /// A site dies: power, network and control plane.
    FailSite(Spanned<SiteName>),
    /// A dead or cut-off site is back.
    HealSite(Spanned<SiteName>),
    /// A site is cut off from operators and from the other sites; clients still reach it.
    PartitionSite(Spanned<SiteName>),
    /// The control plane behind a contract stops answering; what it has set up goes on.
    FailApi(Spanned<String>),
    /// The control plane answers again.
    HealApi(Spanned<String>),
    /// The control plane behind a contract shows the old state for a while after each change, and that for a while.
    LagApi {
        /// Which contract.
        api: Spanned<String>,
        /// How long a change stays hidden.
        by: Range,
        /// For how long it is so.
        length: Length,
    },
    /// Replication into a site stops receiving.
    StallReplication(Spanned<SiteName>),
    /// Replication into a site goes on.
    ResumeReplication(Spanned<SiteName>),
    /// The newest recovery point of a database turns out to be unreadable. Lists still show it as complete.
    CorruptLatestBackup(Spanned<String>),
    /// Tables of a database are lost where it takes writes. Replicas and logs carry that on faithfully, and so does every
    /// recovery point that is taken afterwards; an application that lacks a table answers nothing but errors.
    DamageDatabase {
        /// Which database.
        database: Spanned<String>,
        /// How many of its tables.
        tables: Spanned<u32>,
    },
    /// An issuer refuses every order for a while.
    LimitIssuer {
        /// Which issuer.
        issuer: Spanned<String>,
        /// For how long.
        length: Length,
    },
    /// A stored certificate stops being valid.
    ExpireCertificate {
        /// Where.
        site: Spanned<SiteName>,
        /// Name under which it is stored.
        certificate: String,
    },
    /// A database at a site, or everything there, refuses to be changed for a while; reads go on.
    ReadOnly {
        /// Where.
        site: Spanned<SiteName>,
        /// Which database; all of them and the site's control planes, where it is left out.
        database: Option<Spanned<String>>,
        /// For how long.
        length: Length,
    },
    /// The replicas of an application start and die, again and again: none is ready.
    CrashLoop {
        /// Where.
        site: Spanned<SiteName>,
        /// Which application.
        app: Spanned<String>,
        /// For how long; for ever, where it is left out.
        length: Option<Length>,
    },
    /// A node of a site's cluster has a condition, or has it no longer. Where it is not `Ready`, neither are the pods on it,
    /// and applications have that much less room.
    Node {
        /// Where.
        site: Spanned<SiteName>,
        /// Which: `SITE-1` is the first.
        name: Spanned<String>,
        /// For example `Ready`, `DiskPressure`.
        condition: String,
        /// True where it holds from now on.
        holds: bool,
    },
    /// Somebody edits a record of the zone by hand.
    EditRecord(RecordEdit),
}

/// `edit` of an inject: what somebody makes of a record that is there from the beginning.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecordEdit {
    /// Its name.
    pub record: Spanned<String>,
    /// Its type.
    pub kind: String,
    /// What it holds from now on; the same as before, where it is left out.
    pub values: Option<Vec<String>>,
    /// Its TTL from now on; the same as before, where it is left out.
    pub ttl_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawInject {
    at: Offset,
    fail: Option<Target>,
    heal: Option<Target>,
    partition: Option<SiteTarget>,
    stall: Option<ReplicationTarget>,
    resume: Option<ReplicationTarget>,
    corrupt: Option<BackupTarget>,
    damage: Option<DamageTarget>,
    limit: Option<IssuerTarget>,
    expire: Option<CertificateTarget>,
    read_only: Option<ReadOnlyTarget>,
    crash_loop: Option<AppTarget>,
    node: Option<NodeTarget>,
    edit: Option<RecordEdit>,
    lag: Option<LagTarget>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Target {
    Site(Spanned<SiteName>),
    Api(Spanned<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteTarget {
    site: Spanned<SiteName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplicationTarget {
    replication: Spanned<SiteName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct BackupTarget {
    latest_backup: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DamageTarget {
    database: Spanned<String>,
    tables: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerTarget {
    issuer: Spanned<String>,
    #[serde(rename = "for")]
    length: Length,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateTarget {
    site: Spanned<SiteName>,
    certificate: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadOnlyTarget {
    site: Spanned<SiteName>,
    database: Option<Spanned<String>>,
    #[serde(rename = "for")]
    length: Length,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppTarget {
    site: Spanned<SiteName>,
    app: Spanned<String>,
    #[serde(rename = "for")]
    length: Option<Length>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeTarget {
    site: Spanned<SiteName>,
    name: Spanned<String>,
    condition: String,
    holds: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LagTarget {
    api: Spanned<String>,
    by: Range,
    #[serde(rename = "for")]
    length: Length,
}

impl TryFrom<RawInject> for Inject {
    type Error = &'static str;

    fn try_from(raw: RawInject) -> Result<Self, Self::Error> {
        let mut actions = [
            raw.fail.map(|target| match target {
                Target::Site(site) => Action::FailSite(site),
                Target::Api(api) => Action::FailApi(api),
            }),
            raw.heal.map(|target| match target {
                Target::Site(site) => Action::HealSite(site),
                Target::Api(api) => Action::HealApi(api),
            }),
            raw.partition
                .map(|target| Action::PartitionSite(target.site)),
            raw.stall
                .map(|target| Action::StallReplication(target.replication)),
            raw.resume
                .map(|target| Action::ResumeReplication(target.replication)),
            raw.corrupt
                .map(|target| Action::CorruptLatestBackup(target.latest_backup)),
            raw.damage.map(|target| Action::DamageDatabase {
                database: target.database,
                tables: target.tables,
            }),
            raw.limit.map(|target| Action::LimitIssuer {
                issuer: target.issuer,
                length: target.length,
            }),
            raw.expire.map(|target| Action::ExpireCertificate {
                site: target.site,
                certificate: target.certificate,
            }),
            raw.lag.map(|target| Action::LagApi {
                api: target.api,
                by: target.by,
                length: target.length,
            }),
            raw.read_only.map(|target| Action::ReadOnly {
                site: target.site,
                database: target.database,
                length: target.length,
            }),
            raw.crash_loop.map(|target| Action::CrashLoop {
                site: target.site,
                app: target.app,
                length: target.length,
            }),
            raw.node.map(|target| Action::Node {
                site: target.site,
                name: target.name,
                condition: target.condition,
                holds: target.holds,
            }),
            raw.edit.map(Action::EditRecord),
        ]
        .into_iter()
        .flatten();
        match (actions.next(), actions.next()) {
            (Some(action), None) => Ok(Self { at: raw.at, action }),
            (None, _) => Err(
                "an inject does one thing: add one of `fail`, `heal`, `partition`, `stall`, `resume`, `corrupt`, \
                 `damage`, `limit`, `expire`, `read-only`, `crash-loop`, `node`, `edit`, `lag`",
            ),
            _ => Err("an inject does one thing: write the others as injects of their own"),
        }
    }
}

/// `[[faults]]`: calls of one function go wrong.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// `contract/function`, for example `dns/ensure-record`.
    pub call: Spanned<String>,
    /// Only the nth call of this function in the run, from 1; attempts at one call count as one.
    pub nth: Option<u32>,
    /// Each call with this probability, 0 to 1.
    pub probability: Option<Spanned<f64>>,
    /// How many attempts at the call are hit, from the first.
    #[serde(default = "one")]
    pub attempts: u32,
    /// What goes wrong.
    pub kind: FaultKind,
    /// For `delay`: how much longer it takes. For `throttle`: when to come back.
    #[serde(default = "fault_length")]
    pub by: Range,
    /// For `wrong-answer`: the payload of `ok` instead of the true one.
    pub answer: Option<toml::Value>,
}

fn one() -> u32 {
    1
}

fn fault_length() -> Range {
    Range::seconds(10, 30)
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// It takes longer.
    Delay,
    /// It fails with `unavailable`; nothing happened.
    Error,
    /// It fails with `unavailable` after everything happened.
    ErrorAfterEffect,
    /// It fails with `unavailable` and a wish for when to come back; nothing happened.
    Throttle,
    /// No answer comes; nothing happened.
    Hang,
    /// An effect claims `changed` and did nothing; a read answers `answer`.
    WrongAnswer,
}

/// `[people.ROLE]`: how people of a role answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Person {
    /// Time they take.
    #[serde(default = "person_after")]
    pub after: Range,
    /// What they say.
    #[serde(default)]
    pub answer: PersonSays,
    /// After this many failed attempts at a step they say no-go to another one, whatever `answer` is. Once a point of
    /// no return has begun, where no-go undoes nothing, it takes them [`PAST_NO_RETURN`] times as many.
    #[serde(default = "patience")]
    pub patience: u32,
    /// What they say instead, where it is offered: that this strategy takes over.
    pub switch_to: Option<Spanned<StrategyName>>,
    /// They say that after this many failed attempts at a step, and when they are asked for that many times about a
    /// step that is over its budget; as many as `patience`, where it is left out.
    pub switch_after: Option<u32>,
}

/// How much more patience people have with a step once the run cannot be taken back.
pub const PAST_NO_RETURN: u32 = 4;

fn person_after() -> Range {
    Range::seconds(20, 90)
}

fn patience() -> u32 {
    4
}

impl Default for Person {
    fn default() -> Self {
        Self {
            after: person_after(),
            answer: PersonSays::default(),
            patience: patience(),
            switch_to: None,
            switch_after: None,
        }
    }
}

/// What people say at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonSays {
    /// Go.
    #[default]
    Go,
    /// No-go.
    NoGo,
    /// Nothing, ever.
    Silent,
}

/// `[[stand-ins]]`: an answer for a function of an organisation's own contract.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StandIn {
    /// The interface, for example `acme:cdn/purge@1.0.0`.
    pub contract: InterfaceName,
    /// The function.
    pub function: String,
    /// Payload of `ok` in the shape of the contract; left out for a function whose `ok` carries nothing.
    pub answer: Option<toml::Value>,
    /// Time it takes.
    #[serde(default = "stand_in_takes")]
    pub takes: Range,
}

fn stand_in_takes() -> Range {
    Range::seconds(1, 1)
}
