//! Asking one name server one question, without any cache of our own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Largest answer read, in bytes: what fits a UDP answer without extensions (RFC 1035, 4.2.1) with room to spare.
const ANSWER_BYTES: usize = 1232;

/// What a name server answers for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the name is an alias of, lower case, without the last dot; none where it is no alias.
    pub alias: Option<String>,
    /// Addresses at the end of the chain.
    pub addresses: Vec<IpAddr>,
    /// Time to live of the first record of the chain, in seconds.
    pub ttl_seconds: u32,
}

/// Asks `server` for the addresses of `name`.
///
/// # Errors
/// Where it does not answer in time, or answers with an error.
pub async fn addresses(server: SocketAddr, name: &str) -> Result<Answer> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(
        Name::from_ascii(format!("{name}."))?,
        RecordType::A,
    ));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question.to_vec()?).await?;
    let mut buffer = vec![0; ANSWER_BYTES];
    let length = timeout(ANSWER_LIMIT, socket.recv(&mut buffer))
        .await
        .with_context(|| format!("{server} does not answer for {name}"))?
        .with_context(|| format!("{server} does not answer for {name}"))?;
    let answer = Message::from_vec(buffer.get(..length).unwrap_or_default())?;
    ensure!(
        answer.metadata.id == question.metadata.id,
        "{server} answers another question"
    );
    let code = answer.metadata.response_code;
    ensure!(
        code == ResponseCode::NoError,
        "{server} answers {code} for {name}"
    );
    let mut found = Answer {
        alias: None,
        addresses: Vec::new(),
        ttl_seconds: 0,
    };
    if let Some(first) = answer.answers.first() {
        found.ttl_seconds = first.ttl;
    }
    for record in &answer.answers {
        match &record.data {
            RData::CNAME(target) if found.alias.is_none() => {
                let target = target.0.to_ascii().to_lowercase();
                found.alias = Some(target.trim_end_matches('.').to_owned());
            }
            RData::A(address) => found.addresses.push(IpAddr::V4(address.0)),
            _ => {}
        }
    }
    Ok(found)
}
