//! SQL for providers: `understudy:sql/sql`, for MySQL, MariaDB and PostgreSQL.
//!
//! A provider names a connection; engine, address, user, password and trust are the binding's. Each call is one session,
//! TLS is always on and always verified for the connection's server name. Start at [`Sql`], which knows no engine;
//! `sql/session.rs` is the seam to those that do: `sql/mysql.rs` and `sql/postgres.rs`, each with the types of its columns.
//!
//! A text that holds several statements is run by the server as it comes; at most one of them may answer rows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::{BoxFuture, Instant, timeout_at};
use crate::runbook::types::{Connection, Engine, Handout};

use super::credential::{Redactor, Secret};
use super::handout::{self, Desk, Kept};
use super::trust::{Trust, UNBELIEVED};
use super::{Asked, Capability, Facilities, Fault, Used};

pub(crate) mod mysql;
mod postgres;
mod session;
mod value;

use session::{Rows, Session, Statement};
pub use value::SqlValue;

/// Most rows of one statement: as `wit/sql` says.
pub const MAX_ROWS: usize = 10_000;

/// Most bytes of values in the answer to one call, all statements together.
pub const MAX_RESULT_BYTES: usize = 4 * 1024 * 1024;

/// Most statements of one call.
pub const MAX_STATEMENTS: usize = 100;

/// Most bytes of text and parameters in one call.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Longest time to a session: connection, TLS handshake and login.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection with its password.
pub(crate) struct Login {
    connection: Connection,
    password: Secret,
    roots: Roots,
}

/// Whom a connection believes.
pub(crate) enum Roots {
    /// Whom the binding believes.
    Binding,
    /// Those in its file or variable.
    Own(Trust),
    /// Those that an API hands out.
    Handout(Box<(Handout, Kept<Trust>)>),
}

impl Roots {
    /// Those that this API hands out, once they are needed.
    pub(crate) fn of(handout: &Handout) -> Self {
        Self::Handout(Box::new((handout.clone(), Kept::default())))
    }

    /// Where they are said.
    const fn place(&self) -> &'static str {
        match self {
            Self::Binding => "the binding's `trust`",
            Self::Own(_) => "the roots that the connection's `trust` names",
            Self::Handout(_) => "the roots that the connection's `trust` is handed out",
        }
    }
}

impl Login {
    pub(crate) fn new(connection: Connection, password: Secret, roots: Roots) -> Self {
        Self {
            connection,
            password,
            roots,
        }
    }

    fn authority(&self) -> String {
        let Connection { host, port, .. } = &self.connection;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// The name that the server's certificate must have.
    fn server_name(&self) -> &str {
        let Connection {
            host, server_name, ..
        } = &self.connection;
        server_name.as_ref().unwrap_or(host)
    }
}

/// The capability.
pub struct Sql {
    logins: BTreeMap<String, Login>,
    secrets: BTreeMap<String, Secret>,
    desk: Desk,
    redactor: Redactor,
    facilities: Facilities,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunArgs {
    connection: String,
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressArgs {
    connection: String,
}

impl Sql {
    pub(crate) fn new(
        logins: BTreeMap<String, Login>,
        secrets: BTreeMap<String, Secret>,
        desk: Desk,
        redactor: Redactor,
        facilities: Facilities,
    ) -> Self {
        // MySQL's driver makes its TLS configuration with the process's provider. Another one that is already installed
        // stays; it verifies as well.
        super::trust::provider()
            .as_ref()
            .clone()
            .install_default()
            .ok();
        Self {
            logins,
            secrets,
            desk,
            redactor,
            facilities,
        }
    }

    async fn serve(&self, asked: Asked<'_>) -> Used {
        let (action, done) = match asked.function {
            "get-address" => self.address(asked.args),
            "run" => self.run(asked.args, asked.deadline).await,
            other => (
                format!("sql {other}"),
                Err(Fault::no_function(self.interface(), other)),
            ),
        };
        Used::of(&action, done, &self.redactor)
    }

    fn login(&self, name: &str) -> Result<&Login, Fault> {
        self.logins.get(name).ok_or_else(|| {
            let grant = format!(
                r#"connections = {{ {name} = {{ host = "HOST", port = 3306, user = "USER", password = {{ env = "VARIABLE" }} }} }}"#
            );
            Fault::denied("CP0005", format!("the binding has no connection `{name}`"), grant)
        })
    }

    fn address(&self, args: Map<String, Value>) -> (String, Result<(Value, String), Fault>) {
        let args: AddressArgs = match super::arguments(args) {
            Ok(args) => args,
            Err(fault) => return ("sql get-address".to_owned(), Err(fault)),
        };
        let done = self
            .login(&args.connection)
            .map(|login| (Value::from(login.authority()), login.authority()));
        (format!("sql {}: address", args.connection), done)
    }

    async fn run(
        &self,
        args: Map<String, Value>,
        deadline: Instant,
    ) -> (String, Result<(Value, String), Fault>) {
        let args: RunArgs = match super::arguments(args).and_then(bounded) {
            Ok(args) => args,
            Err(fault) => return ("sql run".to_owned(), Err(fault)),
        };
        let count = args.statements.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut action = format!("sql {}: {count} statement{plural}", args.connection);
        let done = self.statements(args, &mut action, deadline).await;
        (action, done)
    }

    async fn statements(
        &self,
        args: RunArgs,
        action: &mut String,
        deadline: Instant,
    ) -> Result<(Value, String), Fault> {
        let login = self.login(&args.connection)?;
        let statements = self.with_passwords(login, args.statements)?;
        let trust = self
            .trust(&args.connection, login, action, deadline)
            .await?;
        self.session(login, &trust, statements, deadline).await
    }

    fn with_passwords(
        &self,
        login: &Login,
        statements: Vec<Statement>,
    ) -> Result<Vec<Statement>, Fault> {
        let fill = |Statement { text, parameters }| {
            let text = match login.connection.engine {
                Engine::Mysql => mysql::password::fill(text, &self.secrets)?,
                Engine::Postgres => postgres::without_passwords(text)?,
            };
            Ok(Statement { text, parameters })
        };
        statements.into_iter().map(fill).collect()
    }

    /// Whom the connection believes. What had to be asked to know it is said in `action`.
    async fn trust(
        &self,
        name: &str,
        login: &Login,
        action: &mut String,
        deadline: Instant,
    ) -> Result<Trust, Fault> {
        let (handout, kept) = match &login.roots {
            Roots::Binding => return Ok(self.desk.trust().clone()),
            Roots::Own(trust) => return Ok(trust.clone()),
            Roots::Handout(handed) => handed.as_ref(),
        };
        let make = async || {
            let what = format!("the roots of connection `{name}`");
            let pem = self.desk.ask(&what, handout).await?;
            Trust::only(&pem).map_err(|error| Fault::invalid("CP0008", format!("{what}: {error}")))
        };
        let clock = self.facilities.clock.as_ref();
        let kept = timeout_at(clock, deadline, kept.get(make)).await;
        let (trust, is_new) = kept.unwrap_or_else(|| Err(Fault::timed_out(action)))?;
        if is_new {
            action.push_str(&format!(", its roots by {}", handout::line(handout)));
        }
        Ok(trust.as_ref().clone())
    }

    async fn session(
        &self,
        login: &Login,
        trust: &Trust,
        statements: Vec<Statement>,
        deadline: Instant,
    ) -> Result<(Value, String), Fault> {
        let clock = self.facilities.clock.as_ref();
        let connected = clock.now().after(CONNECT_TIMEOUT).min(deadline);
        let authority = login.authority();
        let connecting = Session::connect(login, trust, &self.facilities, deadline);
        let session = timeout_at(clock, connected, connecting)
            .await
            .unwrap_or_else(|| {
                let text = format!("{authority} is not reached: no session in time");
                Err(Fault::unavailable("CP0013", text))
            });
        if session
            .as_ref()
            .is_err_and(|fault| fault.is_code(UNBELIEVED))
            && let Roots::Handout(handed) = &login.roots
        {
            handed.1.forget().await;
        }
        let mut session = session?;
        let answer = timeout_at(clock, deadline, session.run(statements)).await;
        // Before the answer is given: what the session holds (locks, its settings) must not meet the next call.
        session.end().await;
        let mut results = answer.unwrap_or_else(|| Err(Fault::timed_out(&authority)))?;
        for result in &mut results {
            self.redact(result);
        }
        let rows: usize = results.iter().map(|result| result.rows.len()).sum();
        let value = serde_json::to_value(results)
            .map_err(|error| Fault::other("CP0010", format!("no JSON of the rows: {error}")))?;
        Ok((value, format!("ok, {rows} rows")))
    }

    fn redact(&self, result: &mut Rows) {
        for name in &mut result.columns {
            *name = self.redactor.text(name);
        }
        for value in result.rows.iter_mut().flatten() {
            match value {
                SqlValue::Text(text) => *text = self.redactor.text(text),
                SqlValue::Bytes(bytes) => *bytes = self.redactor.bytes(std::mem::take(bytes)),
                SqlValue::Null
                | SqlValue::Boolean(_)
                | SqlValue::Integer(_)
                | SqlValue::Unsigned(_)
                | SqlValue::Real(_) => {}
            }
        }
    }
}

impl Capability for Sql {
    fn interface(&self) -> &'static str {
        "understudy:sql/sql"
    }

    fn call<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Used> {
        Box::pin(self.serve(asked))
    }

    fn changes(&self, _: &str, args: &Map<String, Value>) -> bool {
        let name = args.get("connection").and_then(Value::as_str);
        let login = name.and_then(|name| self.logins.get(name));
        let changes = match login.map(|login| login.connection.engine) {
            Some(Engine::Postgres) => postgres::changes,
            Some(Engine::Mysql) | None => mysql::changes,
        };
        let statements = args.get("statements").and_then(Value::as_array);
        let mut texts = statements
            .into_iter()
            .flatten()
            .filter_map(|statement| statement.get("text").and_then(Value::as_str));
        texts.any(changes)
    }
}

fn bounded(args: RunArgs) -> Result<RunArgs, Fault> {
    let bytes: usize = args
        .statements
        .iter()
        .map(|one| one.text.len() + one.parameters.iter().map(SqlValue::size).sum::<usize>())
        .sum();
    if args.statements.len() > MAX_STATEMENTS || bytes > MAX_REQUEST_BYTES {
        let text = format!(
            "more than {MAX_STATEMENTS} statements or {MAX_REQUEST_BYTES} bytes in one call; make several calls"
        );
        return Err(Fault::invalid("CP0009", text));
    }
    Ok(args)
}

/// TLS that did not verify, with what to do about it.
fn not_verified(login: &Login, tls: &rustls::Error) -> Fault {
    let (authority, name, roots) = (login.authority(), login.server_name(), login.roots.place());
    let text = format!(
        "TLS with {authority} did not verify for `{name}`: {tls}; if the server is right, add its issuer to {roots} or set the connection's `server-name`"
    );
    Fault::unavailable(UNBELIEVED, text)
}

/// A server without TLS.
fn no_tls(authority: &str) -> Fault {
    let text = format!("{authority} offers no TLS; turn it on at the server");
    Fault::unavailable(UNBELIEVED, text)
}

/// A session that broke after something was sent.
fn broke(authority: &str, reason: &str) -> Fault {
    let text = format!("the session with {authority} broke after a statement was sent: {reason}");
    Fault::in_doubt("CP0014", text)
}
