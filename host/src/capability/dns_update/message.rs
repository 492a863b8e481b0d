//! What is asked, as messages: a question (RFC 1035) or an update (RFC 2136). Pure.

use hickory_proto::op::{Message, MessageType, OpCode, Query, UpdateMessage as _};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use super::super::Fault;
use super::content::Kind;
use super::server::Server;
use super::{Change, Prerequisite, RecordSet, SetName};

/// Most prerequisites of one update, and most changes: a flip has two of each.
pub const MAX_ITEMS: usize = 32;

/// Most contents of one record set: as `wit/dns-update` says.
pub const MAX_CONTENTS: usize = 256;

/// Longest time to live in seconds (RFC 2181, 8).
const MAX_TTL_SECONDS: u32 = 0x7fff_ffff;

impl Change {
    /// The name and type of what is changed.
    pub(super) fn set(&self) -> (&str, &str) {
        match self {
            Self::Replace(set) => (&set.name, &set.kind),
            Self::Delete(set) => (&set.name, &set.kind),
        }
    }
}

/// What is changed, without contents: `replace wp-active.example.test CNAME`.
pub(super) fn line(changes: &[Change]) -> String {
    let lines = changes.iter().map(|change| {
        let (name, kind) = change.set();
        match change {
            Change::Replace(_) => format!("replace {name} {kind}"),
            Change::Delete(_) => format!("delete {name} {kind}"),
        }
    });
    lines.collect::<Vec<_>>().join(", ")
}

/// What did not hold, for people: a server says only that something did not.
pub(super) fn unmet(prerequisites: &[Prerequisite]) -> String {
    let asked = prerequisites.iter().map(|one| match one {
        Prerequisite::Holds(set) => {
            format!(
                "{} {} holds {}",
                set.name,
                set.kind,
                set.contents.join(", ")
            )
        }
        Prerequisite::Absent(set) => format!("{} has no {}", set.name, set.kind),
        Prerequisite::Unused(name) => format!("{name} has no records"),
    });
    let asked: Vec<String> = asked.collect();
    format!("it does not hold that {}", asked.join(" and "))
}

/// The question for a record set.
///
/// # Errors
/// `invalid`: the name is none of the server's zone.
pub(super) fn question(server: &Server, name: &str, kind: Kind) -> Result<Message, Fault> {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(server.name(name)?, kind.record_type()));
    Ok(message)
}

/// The update of the server's zone.
///
/// # Errors
/// `invalid`: a name outside the zone, a content that is none of its type, too much.
pub(super) fn update(
    server: &Server,
    prerequisites: &[Prerequisite],
    changes: &[Change],
) -> Result<Message, Fault> {
    if changes.is_empty() || changes.len() > MAX_ITEMS || prerequisites.len() > MAX_ITEMS {
        let text = format!("an update has 1 to {MAX_ITEMS} changes and as many prerequisites");
        return Err(Fault::invalid("CP0009", text));
    }
    let id = Message::query().metadata.id;
    let mut message = Message::new(id, MessageType::Query, OpCode::Update);
    message.add_zone(Query::query(server.zone_name().clone(), RecordType::SOA));
    for one in prerequisites {
        let (required, class) = match one {
            Prerequisite::Holds(set) => (records(server, set, 0)?, DNSClass::IN),
            Prerequisite::Absent(set) => (vec![empty(server, set)?], DNSClass::NONE),
            Prerequisite::Unused(name) => {
                let any = Record::update0(server.name(name)?, 0, RecordType::ANY);
                (vec![any], DNSClass::NONE)
            }
        };
        message.add_pre_requisites(of_class(required, class));
    }
    for one in changes {
        let (old, new) = match one {
            Change::Delete(set) => (empty(server, set)?, Vec::new()),
            Change::Replace(set) => {
                let name = SetName {
                    name: set.name.clone(),
                    kind: set.kind.clone(),
                };
                (
                    empty(server, &name)?,
                    records(server, set, set.ttl_seconds)?,
                )
            }
        };
        message.add_updates(of_class(vec![old], DNSClass::ANY));
        message.add_updates(new);
    }
    Ok(message)
}

/// The class says what an entry of an update means (RFC 2136, 2.4 and 2.5).
fn of_class(mut records: Vec<Record>, class: DNSClass) -> Vec<Record> {
    for record in &mut records {
        record.dns_class = class;
    }
    records
}

/// A name and type without content.
fn empty(server: &Server, set: &SetName) -> Result<Record, Fault> {
    let kind = Kind::parse(&set.kind)?;
    let name = server.name(&set.name)?;
    Ok(Record::update0(name, 0, kind.record_type()))
}

fn records(server: &Server, set: &RecordSet, ttl_seconds: u32) -> Result<Vec<Record>, Fault> {
    let kind = Kind::parse(&set.kind)?;
    let name: Name = server.name(&set.name)?;
    let count = set.contents.len();
    if count == 0 || count > MAX_CONTENTS || ttl_seconds > MAX_TTL_SECONDS {
        let text = format!(
            "{} {} is given {count} contents and a TTL of {ttl_seconds} s; a record set has 1 to {MAX_CONTENTS}, and at most {MAX_TTL_SECONDS} s",
            set.name, set.kind
        );
        return Err(Fault::invalid("CP0009", text));
    }
    let contents = set.contents.iter();
    contents
        .map(|content| {
            Ok(Record::from_rdata(
                name.clone(),
                ttl_seconds,
                kind.read(content)?,
            ))
        })
        .collect()
}
