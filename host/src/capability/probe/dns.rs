//! One question to one resolver: over UDP, over TCP where the answer is cut (RFC 1035 section 4.2, RFC 7766).
//!
//! Nothing is cached: a cache would be one more thing to converge. Start at [`ask`].

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::clock::{Clock, Instant, timeout_at};

/// Time for one attempt.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Attempts over UDP, where packets get lost.
pub const ATTEMPTS: u32 = 2;

/// Largest UDP answer asked for, in bytes: it passes every common link in one piece (RFC 9715 section 3).
const UDP_BYTES: u16 = 1232;

/// Datagrams looked at in one attempt; a flood of wrong ones must not keep it busy.
const MAX_DATAGRAMS: u32 = 64;

/// Most contents of one record set that are taken; what does not fit is no service's address list.
pub const MAX_VALUES: usize = 256;

/// What a resolver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Contents, sorted, names in lower case and without the last dot; empty where there is no such record set.
    pub values: Vec<String>,
    /// What is left of the time to live, in seconds, the least along a chain of aliases; 0 without contents.
    pub ttl_seconds: u32,
}

/// Why a resolver gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Silence.
    #[error("no answer in time")]
    TimedOut,
    /// The network is in the way.
    #[error("not reached: {0}")]
    Unreached(String),
    /// It answers an error.
    #[error("it answers {0}")]
    Refused(String),
    /// It answers something that is no answer to the question.
    #[error("its answer makes no sense: {0}")]
    Nonsense(String),
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    name: Name,
    kind: RecordType,
}

impl Question {
    /// The record set of this name and type.
    ///
    /// # Errors
    /// What is wrong with the name or the type, in words.
    pub fn new(name: &str, kind: &str) -> Result<Self, String> {
        let kind: RecordType = match kind.parse() {
            Ok(RecordType::ANY | RecordType::AXFR | RecordType::IXFR | RecordType::OPT)
            | Err(_) => {
                return Err(format!("`{kind}` is not a record type, such as `CNAME`"));
            }
            Ok(kind) => kind,
        };
        let mut name = Name::from_ascii(name)
            .map_err(|error| format!("`{name}` is not a domain name: {error}"))?
            .to_lowercase();
        name.set_fqdn(true);
        Ok(Self { name, kind })
    }

    fn message(&self) -> Message {
        // The id is random (RFC 5452 section 9.2).
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.kind));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES);
        message.set_edns(edns);
        message
    }

    fn answers(&self, query: &Message, bytes: &[u8]) -> Option<Message> {
        let message = Message::from_vec(bytes).ok()?;
        let question = message.queries.first()?;
        let fits = message.metadata.id == query.metadata.id
            && message.metadata.message_type == MessageType::Response
            && question.name().to_lowercase() == self.name
            && question.query_type() == self.kind
            && question.query_class() == DNSClass::IN;
        fits.then_some(message)
    }
}

/// Asks `server`. It ends by the deadline, and earlier where attempts run out.
///
/// # Errors
/// [`NoAnswer`].
pub async fn ask(
    clock: &dyn Clock,
    server: SocketAddr,
    question: &Question,
    deadline: Instant,
) -> Result<Found, NoAnswer> {
    let mut last = NoAnswer::TimedOut;
    for _ in 0..ATTEMPTS {
        let end = clock.now().after(ATTEMPT_TIMEOUT).min(deadline);
        match timeout_at(clock, end, by_udp(server, question)).await {
            None => last = NoAnswer::TimedOut,
            Some(Err(problem)) => last = problem,
            Some(Ok(message)) if message.metadata.truncation => {
                let end = clock.now().after(ATTEMPT_TIMEOUT).min(deadline);
                return match timeout_at(clock, end, by_tcp(server, question)).await {
                    None => Err(NoAnswer::TimedOut),
                    Some(answer) => read(&answer?, question),
                };
            }
            Some(Ok(message)) => return read(&message, question),
        }
    }
    Err(last)
}

async fn by_udp(server: SocketAddr, question: &Question) -> Result<Message, NoAnswer> {
    let unreached = |error: std::io::Error| NoAnswer::Unreached(error.to_string());
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(unreached)?;
    // Connected: datagrams of anybody else do not arrive.
    socket.connect(server).await.map_err(unreached)?;
    let query = question.message();
    let bytes = query
        .to_vec()
        .map_err(|error| NoAnswer::Nonsense(error.to_string()))?;
    socket.send(&bytes).await.map_err(unreached)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    for _ in 0..MAX_DATAGRAMS {
        let length = socket.recv(&mut buffer).await.map_err(unreached)?;
        let datagram = buffer.get(..length).unwrap_or_default();
        if let Some(message) = question.answers(&query, datagram) {
            return Ok(message);
        }
    }
    Err(NoAnswer::Nonsense(
        "only datagrams to other questions came".to_owned(),
    ))
}

async fn by_tcp(server: SocketAddr, question: &Question) -> Result<Message, NoAnswer> {
    let unreached = |error: std::io::Error| NoAnswer::Unreached(error.to_string());
    let nonsense = |reason: &str| NoAnswer::Nonsense(reason.to_owned());
    let mut stream = TcpStream::connect(server).await.map_err(unreached)?;
    let query = question.message();
    let bytes = query
        .to_vec()
        .map_err(|error| nonsense(&error.to_string()))?;
    let length = u16::try_from(bytes.len()).map_err(|_| nonsense("the question is too long"))?;
    stream.write_u16(length).await.map_err(unreached)?;
    stream.write_all(&bytes).await.map_err(unreached)?;
    let length = stream.read_u16().await.map_err(unreached)?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.map_err(unreached)?;
    question
        .answers(&query, &bytes)
        .ok_or_else(|| nonsense("it is not to this question"))
}

fn read(message: &Message, question: &Question) -> Result<Found, NoAnswer> {
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        other => return Err(NoAnswer::Refused(other.to_string())),
    }
    // Records of the type asked for, at the name or at the end of its aliases; an alias itself only of the name.
    let wanted: Vec<_> = message
        .answers
        .iter()
        .filter(|record| record.record_type() == question.kind)
        .filter(|record| {
            question.kind != RecordType::CNAME || record.name.to_lowercase() == question.name
        })
        .collect();
    if wanted.len() > MAX_VALUES {
        let text = format!("{} records, more than {MAX_VALUES}", wanted.len());
        return Err(NoAnswer::Nonsense(text));
    }
    let mut values: Vec<String> = wanted.iter().map(|record| content(&record.data)).collect();
    values.sort();
    values.dedup();
    let chain = message.answers.iter().filter(|record| {
        record.record_type() == question.kind || record.record_type() == RecordType::CNAME
    });
    let ttl_seconds = if values.is_empty() {
        0
    } else if question.kind == RecordType::CNAME {
        wanted.iter().map(|record| record.ttl).min().unwrap_or(0)
    } else {
        chain.map(|record| record.ttl).min().unwrap_or(0)
    };
    Ok(Found {
        values,
        ttl_seconds,
    })
}

fn content(data: &RData) -> String {
    match data {
        RData::TXT(text) => text.to_string(),
        other => normal(&other.to_string()),
    }
}

/// Lower case and without the last dot: how contents are compared.
pub(super) fn normal(content: &str) -> String {
    content.strip_suffix('.').unwrap_or(content).to_lowercase()
}
