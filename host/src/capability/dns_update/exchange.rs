//! One message to a server and its answer, both signed (RFC 8945).
//!
//! An answer is believed where its MAC is right for our key and our request, and its time within the window. One that is
//! not signed is believed only where it says that we are not let in: a server that does not know the key cannot sign.
//! Start at [`exchange`].

use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::tsig::{TSIG, TsigError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clock::{Instant, timeout_at};

use super::super::{Facilities, Fault, network};
use super::server::{FUDGE_SECONDS, Server};

/// Longest time to a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time from a connection to the whole answer.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What was sent, as far as its answer has to fit.
struct Sent<'a> {
    server: &'a Server,
    message: Message,
    mac: Vec<u8>,
    /// It changes nothing, so not to know is the same as not to have asked.
    safe: bool,
}

/// Signs `message`, sends it and answers what is believed of the answer, whatever its response code.
///
/// # Errors
/// [`Fault`]: not reached, no answer, an answer that is not believed, or a key that the server does not accept.
pub(super) async fn exchange(
    server: &Server,
    mut message: Message,
    facilities: &Facilities,
    deadline: Instant,
    safe: bool,
) -> Result<Message, Fault> {
    let clock = facilities.clock.as_ref();
    let unsendable =
        |reason: String| Fault::invalid("CP0009", format!("this makes no message: {reason}"));
    let signed = message.finalize(server.signer(), clock.now().0 / 1000);
    signed.map_err(|error| unsendable(error.to_string()))?;
    let mac = message.signature().map(|one| one.data.mac.clone());
    let mac = mac.ok_or_else(|| unsendable("it is not signed".to_owned()))?;
    let bytes = message
        .to_vec()
        .map_err(|error| unsendable(error.to_string()))?;
    let length = u16::try_from(bytes.len())
        .map_err(|_| unsendable("it has more than 65535 bytes".to_owned()))?;
    let sent = Sent {
        server,
        message,
        mac,
        safe,
    };

    let end = clock.now().after(CONNECT_TIMEOUT).min(deadline);
    let mut stream = timeout_at(clock, end, connect(server, facilities))
        .await
        .unwrap_or_else(|| Err(unreached(server, "no connection in time")))?;
    let end = clock.now().after(EXCHANGE_TIMEOUT).min(deadline);
    let answer = timeout_at(clock, end, converse(&mut stream, length, &bytes)).await;
    let answer = match answer {
        None => return Err(sent.broken("no answer in time")),
        Some(Err(reason)) => return Err(sent.broken(&reason)),
        Some(Ok(answer)) => answer,
    };
    sent.judged(&answer, clock.now().0 / 1000)
}

async fn connect(server: &Server, facilities: &Facilities) -> Result<TcpStream, Fault> {
    let resolver = facilities.resolver.as_ref();
    let addresses = network::addresses(resolver, server.host(), server.port())
        .await
        .map_err(|problem| Fault::unavailable("CP0013", problem.to_string()))?;
    TcpStream::connect(addresses.as_slice())
        .await
        .map_err(|error| unreached(server, &error.to_string()))
}

fn unreached(server: &Server, reason: &str) -> Fault {
    let text = format!("{} is not reached: {reason}", server.authority());
    Fault::unavailable("CP0013", text)
}

/// A message goes behind its length, both ways (RFC 1035, 4.2.2): no answer is longer than 65535 bytes.
async fn converse(stream: &mut TcpStream, length: u16, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let broke = |error: std::io::Error| error.to_string();
    stream.write_u16(length).await.map_err(broke)?;
    stream.write_all(bytes).await.map_err(broke)?;
    let length = usize::from(stream.read_u16().await.map_err(broke)?);
    let mut answer = vec![0; length];
    let mut read = 0;
    while let Some(rest) = answer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest).await.map_err(broke)? {
            0 => return Err(format!("the answer ends after {read} of {length} bytes")),
            more => read += more,
        }
    }
    Ok(answer)
}

impl Sent<'_> {
    /// The connection broke, or stayed silent.
    fn broken(&self, reason: &str) -> Fault {
        let at = self.server.authority();
        if self.safe {
            Fault::unavailable("CP0014", format!("{at} did not answer: {reason}"))
        } else {
            let text = format!("an update was sent to {at} and not answered: {reason}");
            Fault::in_doubt("CP0014", text)
        }
    }

    /// Something answered, and it cannot have been the server.
    fn unbelieved(&self, reason: &str) -> Fault {
        let at = self.server.authority();
        if self.safe {
            let text = format!(
                "the answer from {at} is not believed: {reason}; see what lies between here and the server"
            );
            Fault::other("CP0056", text)
        } else {
            let text = format!(
                "an update was sent to {at}, and its answer is not believed: {reason}; look at the zone, and at what lies between here and the server"
            );
            Fault::in_doubt("CP0056", text)
        }
    }

    /// The message, if the server wrote it in answer to this one.
    fn judged(&self, bytes: &[u8], now_seconds: u64) -> Result<Message, Fault> {
        let message = Message::from_vec(bytes)
            .map_err(|error| self.unbelieved(&format!("it is no DNS message ({error})")))?;
        let fits = message.metadata.id == self.message.metadata.id
            && message.metadata.message_type == MessageType::Response
            && message.metadata.op_code == self.message.metadata.op_code;
        if !fits {
            return Err(self.unbelieved("it belongs to another message"));
        }
        if message.metadata.truncation {
            return Err(self.unbelieved("it says that it was cut short"));
        }
        let Some(record) = message.signature() else {
            return Err(match message.metadata.response_code {
                code @ (ResponseCode::NotAuth
                | ResponseCode::Refused
                | ResponseCode::FormErr
                | ResponseCode::NotImp) => self.shut_out(code),
                code => self.unbelieved(&format!("it is not signed (it says {})", mnemonic(code))),
            });
        };
        let tsig = &record.data;
        match tsig.error {
            // Such an answer cannot be signed (RFC 8945, 5.2.1 and 5.2.2).
            Some(error @ (TsigError::BadKey | TsigError::BadSig | TsigError::BadTrunc)) => {
                return Err(self.unknown_key(error));
            }
            Some(TsigError::Unknown(code)) if code != 0 => {
                return Err(self.unbelieved(&format!("its signature has the error {code}")));
            }
            _ => {}
        }
        self.verified(bytes, tsig)?;
        if tsig.error == Some(TsigError::BadTime) {
            return Err(self.apart(server_time(tsig), now_seconds));
        }
        if tsig.time.abs_diff(now_seconds) > u64::from(FUDGE_SECONDS) {
            return Err(self.unbelieved(&format!(
                "it was signed {} s from now by this machine's clock",
                tsig.time.abs_diff(now_seconds)
            )));
        }
        Ok(message)
    }

    /// The MAC is that of our key over our request and this answer.
    fn verified(&self, bytes: &[u8], tsig: &TSIG) -> Result<(), Fault> {
        // The library subtracts without a look.
        if tsig.time < u64::from(tsig.fudge) {
            return Err(self.unbelieved("its signature is of 1970"));
        }
        let signer = self.server.signer();
        signer
            .verify_message_byte(bytes, Some(&self.mac), true)
            .map(drop)
            .map_err(|_| self.unbelieved("its signature is wrong"))
    }

    fn unknown_key(&self, error: TsigError) -> Fault {
        let name = match error {
            TsigError::BadKey => "BADKEY",
            TsigError::BadSig => "BADSIG",
            _ => "BADTRUNC",
        };
        let text = format!(
            "{} answers {name} to the key `{}`; compare its name, algorithm and secret with the server's",
            self.server.authority(),
            self.server.key_name()
        );
        Fault::invalid("CP0054", text)
    }

    fn apart(&self, server_seconds: u64, now_seconds: u64) -> Fault {
        let text = format!(
            "{} answers BADTIME: its clock is {} s from this machine's, more than {FUDGE_SECONDS}; set both by NTP",
            self.server.authority(),
            server_seconds.abs_diff(now_seconds)
        );
        Fault::invalid("CP0055", text)
    }

    /// Not let in, by a server that does not sign.
    fn shut_out(&self, code: ResponseCode) -> Fault {
        let text = format!(
            "{} answers {} without a signature, so it may not know the key `{}` or be past the {FUDGE_SECONDS} s that clocks may differ; its log says which",
            self.server.authority(),
            mnemonic(code),
            self.server.key_name()
        );
        Fault::invalid("CP0057", text)
    }
}

/// What a server says of its own time (RFC 8945, 5.2.3): 48 bits in "Other Data".
fn server_time(tsig: &TSIG) -> u64 {
    let bytes = tsig.other.iter().take(6);
    let seconds = bytes.fold(0_u64, |seconds, byte| (seconds << 8) | u64::from(*byte));
    if tsig.other.is_empty() {
        tsig.time
    } else {
        seconds
    }
}

/// A response code that is neither success nor a prerequisite that does not hold, of a signed answer: nothing has changed.
pub(super) fn refusal(server: &Server, code: ResponseCode) -> Fault {
    let (at, zone) = (server.authority(), server.zone());
    let said = mnemonic(code);
    match code {
        ResponseCode::ServFail => Fault::unavailable(
            "CP0058",
            format!("{at} answers {said} for {zone}; nothing has changed"),
        ),
        ResponseCode::Refused
        | ResponseCode::NotAuth
        | ResponseCode::NotZone
        | ResponseCode::NotImp
        | ResponseCode::FormErr => {
            let text = format!(
                "{at} answers {said}: the key `{}` may not do this in {zone}, or the server does not serve it; see the server's rules for updates",
                server.key_name()
            );
            Fault::invalid("CP0057", text)
        }
        _ => Fault::other("CP0057", format!("{at} answers {said} for {zone}")),
    }
}

/// A response code as servers and their logs write it.
pub(super) fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::YXDomain => "YXDOMAIN".to_owned(),
        ResponseCode::YXRRSet => "YXRRSET".to_owned(),
        ResponseCode::NXRRSet => "NXRRSET".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        ResponseCode::NotZone => "NOTZONE".to_owned(),
        other => format!("RCODE {}", u16::from(other)),
    }
}
