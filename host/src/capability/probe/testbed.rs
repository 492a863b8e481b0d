//! A resolver on loopback that answers what it is told, for the tests of the probe.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

/// Records by name and type, with their TTL.
pub(super) type Records = Arc<Mutex<BTreeMap<(&'static str, RecordType), (Vec<RData>, u32)>>>;

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

pub(super) fn alias(target: &str) -> Vec<RData> {
    vec![RData::CNAME(CNAME(name(target)))]
}

pub(super) fn address(last: u8) -> Vec<RData> {
    vec![RData::A(A(Ipv4Addr::new(127, 0, 0, last)))]
}

/// The answer to a question; `None` is silence. Names that begin with `fail` fail.
fn answer(records: &Records, query: &Message) -> Option<Message> {
    let question = query.queries.first().unwrap().clone();
    let mut asked = question.name().to_ascii().trim_end_matches('.').to_owned();
    let mut message = Message::new(
        query.metadata.id,
        MessageType::Response,
        query.metadata.op_code,
    );
    message.add_query(question.clone());
    if asked.starts_with("silent") {
        return None;
    }
    if asked.starts_with("fail") {
        message.metadata.response_code = ResponseCode::ServFail;
        return Some(message);
    }
    let records = records.lock().unwrap();
    let find = |asked: &str, kind| {
        records
            .iter()
            .find(|((name, of), _)| *name == asked && *of == kind)
            .map(|(_, found)| found.clone())
    };
    for kind in [RecordType::CNAME, question.query_type()] {
        let Some((data, ttl)) = find(&asked, kind) else {
            continue;
        };
        for data in data {
            let record = Record::from_rdata(name(&asked), ttl, data.clone());
            message.add_answer(record);
            if let (RData::CNAME(target), false) = (&data, kind == question.query_type()) {
                asked = target.0.to_ascii().trim_end_matches('.').to_owned();
            }
        }
        if kind == question.query_type() {
            break;
        }
    }
    if message.answers.is_empty() {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    Some(message)
}

/// Answers over UDP, where names that begin with `cut` come cut and names that begin with `forged` come after an
/// answer with another id, and over TCP.
pub(super) async fn resolver(records: &Records) -> SocketAddr {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(at).await.unwrap();
    let for_udp = Arc::clone(records);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let asked = query.queries[0].name().to_ascii();
            let Some(reply) = answer(&for_udp, &query) else {
                continue;
            };
            if asked.starts_with("forged") {
                let mut forged = reply.clone();
                forged.metadata.id = !forged.metadata.id;
                forged.answers.clear();
                udp.send_to(&forged.to_vec().unwrap(), from).await.unwrap();
            }
            let reply = if asked.starts_with("cut") {
                reply.truncate()
            } else {
                reply
            };
            udp.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
        }
    });
    let for_tcp = Arc::clone(records);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut bytes = vec![0; usize::from(length)];
            stream.read_exact(&mut bytes).await.unwrap();
            let query = Message::from_vec(&bytes).unwrap();
            let reply = answer(&for_tcp, &query).unwrap().to_vec().unwrap();
            let length = u16::try_from(reply.len()).unwrap();
            stream.write_u16(length).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    });
    at
}
