//! The capability against a real PostgreSQL server on loopback, with TLS and SCRAM.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::call::CallError;
use crate::capability::testbed::{
    Authority, CANARY, CANARY_VARIABLE, binding, call, capabilities, soon,
};
use crate::capability::{Capabilities, Used};
use crate::clock::{Clock as _, SystemClock};
use crate::runbook::types::{Binding, Connection, Engine, SecretSource};

/// Name in the server's certificate; it resolves nowhere.
const SERVER_NAME: &str = "db-pz.example.test";

/// Who may connect: everybody, with TLS only, by SCRAM only.
const ACCESS: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\n";

/// A server in a folder of its own, ended with the test.
struct Server {
    folder: tempfile::TempDir,
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A program of the newest release that is installed.
fn program(name: &str) -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<_> = folders
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
        .pop()
        .unwrap_or_else(|| panic!("`{name}` is needed for this test (Debian package postgresql)"))
}

/// The server refuses to run as root: as its package's user then.
fn command(name: &str) -> Command {
    let program = program(name);
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ])
        .arg(program);
    command
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {text}");
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let authority = Authority::new();
        let identity = authority.issue(&[SERVER_NAME]);
        for (name, content) in [
            ("ca.pem", authority.pem()),
            ("server.pem", &identity.certificate),
            ("server.key", &identity.key),
            ("password", CANARY),
            ("access", ACCESS),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        done(Command::new("chmod").arg("600").arg(path("server.key")));
        if rustix::process::geteuid().is_root() {
            done(
                Command::new("chown")
                    .args(["-R", "postgres:"])
                    .arg(folder.path()),
            );
        }
        done(
            command("initdb")
                .args(["--username=ops", "--auth=scram-sha-256", "--encoding=UTF8"])
                .args(["--no-locale", "--no-sync"])
                .arg(format!("--pgdata={}", path("data")))
                .arg(format!("--pwfile={}", path("password"))),
        );
        let port = free_port();
        let set = |name: &str, value: String| format!("-c{name}={value}");
        let process = command("postgres")
            .arg(format!("-D{}", path("data")))
            .arg(set("listen_addresses", "127.0.0.1".to_owned()))
            .arg(set("port", port.to_string()))
            .arg(set("unix_socket_directories", String::new()))
            .arg(set("hba_file", path("access")))
            .arg(set("ssl", "on".to_owned()))
            .arg(set("ssl_cert_file", path("server.pem")))
            .arg(set("ssl_key_file", path("server.key")))
            .arg(set("shared_buffers", "16MB".to_owned()))
            .arg(set("fsync", "off".to_owned()))
            .arg(set("log_connections", "on".to_owned()))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self {
            folder,
            process,
            port,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until the server lets sessions in; its own end is the limit.
    async fn ready(&mut self) {
        while !self.log().contains("ready to accept connections") {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn binding(&self) -> Binding {
        let connection = Connection {
            engine: Engine::Postgres,
            host: "127.0.0.1".to_owned(),
            port: self.port,
            server_name: Some(SERVER_NAME.to_owned()),
            user: "ops".to_owned(),
            password: SecretSource::Environment(CANARY_VARIABLE.to_owned()),
            database: "postgres".to_owned(),
            trust: None,
        };
        let mut binding = binding();
        binding.connections = [("pz".to_owned(), connection)].into();
        binding.trust = vec![PathBuf::from("ca.pem")];
        binding
    }

    fn changed(&self, change: impl FnOnce(&mut Connection)) -> Capabilities {
        let mut binding = self.binding();
        change(binding.connections.get_mut("pz").unwrap());
        capabilities(&binding, self.folder.path())
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

async fn ask(capabilities: &Capabilities, statements: Value) -> Used {
    let args = json!({ "connection": "pz", "statements": statements });
    call(capabilities, "understudy:sql/sql", "run", args, soon()).await
}

/// Statements without parameters.
async fn texts(capabilities: &Capabilities, texts: &[&str]) -> Used {
    let statements = texts
        .iter()
        .map(|text| json!({ "text": text, "parameters": [] }));
    ask(capabilities, Value::Array(statements.collect())).await
}

fn rows(used: &Used) -> &Value {
    used.reply
        .as_ref()
        .unwrap_or_else(|error| panic!("{error:?}"))
}

fn conflict(used: &Used) -> &str {
    match &used.reply {
        Err(CallError::Conflict(text)) => text,
        other => panic!("no conflict: {other:?}"),
    }
}

fn invalid(used: &Used) -> &str {
    match &used.reply {
        Err(CallError::Invalid(text)) => text,
        other => panic!("not invalid: {other:?}"),
    }
}

fn reason(used: &Used) -> &str {
    match &used.reply {
        Err(CallError::Unavailable(hint)) => &hint.reason,
        other => panic!("not unavailable: {other:?}"),
    }
}

/// One server for all checks: starting one takes longer than all of them.
#[tokio::test]
async fn against_a_real_server() {
    let mut server = Server::start();
    server.ready().await;
    let sql = server.changed(|_| ());
    values_of_every_type(&sql).await;
    columns_and_secrets(&sql).await;
    administrative_statements(&sql).await;
    refusals(&sql).await;
    limits(&sql).await;
    deadline(&sql).await;
    transport_that_does_not_verify(&server).await;
    broken_session(&sql).await;
    let log = server.log();
    assert!(log.contains("method=scram-sha-256"), "{log}");
}

async fn values_of_every_type(sql: &Capabilities) {
    let table = "CREATE TABLE t (b boolean, s smallint, i integer, l bigint, o oid, r real, d double precision, n numeric, \
                 x text, v varchar(9), j json, y bytea, at timestamptz)";
    let used = texts(sql, &[table]).await;
    assert_eq!(
        rows(&used),
        &json!([{ "columns": [], "rows": [], "affected": 0 }])
    );
    assert_eq!(
        (used.action.as_str(), used.result.as_str()),
        ("sql pz: 1 statement", "ok, 0 rows")
    );
    let parameters = json!([
        { "boolean": true }, { "integer": -7 }, { "integer": 70000 }, { "text": "9223372036854775807" }, { "unsigned": 7 },
        { "real": 0.5 }, { "real": 2.5 }, { "text": "1.50" }, { "text": "Ünicode" }, "null", { "text": "{\"a\": 1}" },
        { "bytes": { "base64": "AP8=" } }, { "text": "2026-01-02 03:04:05.678+00" }
    ]);
    let insert = json!({
        "text": "INSERT INTO t VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)", "parameters": parameters
    });
    let zone = json!({ "text": "SET TIME ZONE 'UTC'", "parameters": [] });
    let by_text = json!({ "text": "SELECT * FROM t", "parameters": [] });
    let prepared = json!({
        "text": "SELECT b, s, i, l, o, r, d, n::text, x, v, j, y, at::text FROM t WHERE i = $1",
        "parameters": [{ "integer": 70000 }]
    });
    let update = json!({ "text": "UPDATE t SET v = 'a'", "parameters": [] });
    let used = ask(sql, json!([zone, insert, by_text, prepared, update])).await;
    let text = |text: &str| json!({ "text": text });
    let results = rows(&used);
    assert_eq!(
        results[1],
        json!({ "columns": [], "rows": [], "affected": 1 })
    );
    assert_eq!(
        results[2]["rows"],
        json!([[
            text("t"),
            text("-7"),
            text("70000"),
            text("9223372036854775807"),
            text("7"),
            text("0.5"),
            text("2.5"),
            text("1.50"),
            text("Ünicode"),
            "null",
            text("{\"a\": 1}"),
            text("\\x00ff"),
            text("2026-01-02 03:04:05.678+00")
        ]])
    );
    assert_eq!(
        results[3]["rows"],
        json!([[
            { "boolean": true }, { "integer": -7 }, { "integer": 70000 }, { "integer": i64::MAX }, { "unsigned": 7 },
            { "real": 0.5 }, { "real": 2.5 }, text("1.50"), text("Ünicode"), "null", text("{\"a\": 1}"),
            { "bytes": { "base64": "AP8=" } }, text("2026-01-02 03:04:05.678+00")
        ]])
    );
    assert_eq!(results[3]["columns"][7], "n");
    assert_eq!(results[4]["affected"], 1);
}

/// Without a row the columns are there all the same; a password that the server repeats does not come back.
async fn columns_and_secrets(sql: &Capabilities) {
    let used = texts(sql, &["SELECT i FROM t WHERE false"]).await;
    assert_eq!(
        rows(&used)[0],
        json!({ "columns": ["i"], "rows": [], "affected": 0 })
    );
    let echo = json!([{ "text": "SELECT $1::text", "parameters": [{ "text": CANARY }] }]);
    assert_eq!(
        rows(&ask(sql, echo).await)[0]["rows"][0][0],
        json!({ "text": "[redacted]" })
    );
}

async fn administrative_statements(sql: &Capabilities) {
    let used = texts(
        sql,
        &[
            "ALTER SYSTEM SET work_mem = '5MB'",
            "SELECT pg_reload_conf()",
            "VACUUM t",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            "SELECT pg_is_in_recovery(), pg_current_wal_lsn()",
            "COMMIT",
            "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            "CREATE TEMP TABLE a (n int); INSERT INTO a VALUES (1); SELECT n FROM a",
        ],
    )
    .await;
    let results = rows(&used);
    assert_eq!(results[4]["rows"][0][0], json!({ "text": "f" }));
    assert_eq!(results[6]["rows"][0][0], json!({ "text": "understudy" }));
    assert_eq!(results[7]["rows"], json!([[{ "text": "1" }]]));
    let address = json!({ "connection": "pz" });
    let used = call(sql, "understudy:sql/sql", "get-address", address, soon()).await;
    assert!(rows(&used).as_str().unwrap().starts_with("127.0.0.1:"));
}

async fn refusals(sql: &Capabilities) {
    let used = texts(
        sql,
        &[
            "INSERT INTO t (i) VALUES (1)",
            "SELEC 1",
            "INSERT INTO t (i) VALUES (2)",
        ],
    )
    .await;
    assert!(
        conflict(&used).starts_with("42601: syntax error"),
        "{}",
        conflict(&used)
    );
    let used = texts(sql, &["SELECT i FROM t WHERE i IN (1, 2)"]).await;
    assert_eq!(rows(&used)[0]["rows"], json!([[{ "text": "1" }]]));
    let used = ask(
        sql,
        json!([{ "text": "SELECT $1::int, $2::int", "parameters": ["null"] }]),
    )
    .await;
    assert!(invalid(&used).contains("has 2 parameters"), "{used:?}");
    let used = ask(
        sql,
        json!([{ "text": "SELECT now(), $1::int", "parameters": ["null"] }]),
    )
    .await;
    assert!(
        invalid(&used).contains("`now` is of type timestamptz"),
        "{used:?}"
    );
    let used = ask(
        sql,
        json!([{ "text": "SELECT $1::int", "parameters": [{ "text": "seven" }] }]),
    )
    .await;
    assert!(conflict(&used).starts_with("22P02: "), "{used:?}");
    invalid(&texts(sql, &["SELECT 1; SELECT 2"]).await);
    invalid(&texts(sql, &["COPY t FROM STDIN"]).await);
    // One that hides behind another statement is not waited for.
    let used = texts(sql, &["SELECT 1; COPY t TO STDOUT"]).await;
    assert!(
        matches!(&used.reply, Err(CallError::InDoubt(_))),
        "{used:?}"
    );
    invalid(
        &texts(
            sql,
            &["ALTER SYSTEM SET primary_conninfo = ${credential:replication}"],
        )
        .await,
    );
    let args = json!({ "connection": "bz", "statements": [] });
    let used = call(sql, "understudy:sql/sql", "run", args, soon()).await;
    assert!(
        matches!(&used.reply, Err(CallError::Denied(denial)) if denial.rule == "CP0005"),
        "{used:?}"
    );
}

async fn limits(sql: &Capabilities) {
    for (text, fits) in [
        ("SELECT generate_series(1, 10000)", true),
        ("SELECT generate_series(1, 10001)", false),
        ("SELECT repeat('x', 4194304)", true),
        ("SELECT repeat('x', 4194305)", false),
        ("SELECT repeat('x', 90000000)", false),
    ] {
        let used = texts(sql, &[text]).await;
        match (&used.reply, fits) {
            (Ok(_), true) => {}
            (Err(CallError::Other(reason)), false) if reason.starts_with("CP0010") => {}
            (other, _) => panic!("{text}: {other:?}"),
        }
    }
}

async fn deadline(sql: &Capabilities) {
    let deadline = SystemClock.now().after(std::time::Duration::from_secs(2));
    let statements = json!([{ "text": "SELECT pg_sleep(600)", "parameters": [] }]);
    let args = json!({ "connection": "pz", "statements": statements });
    let used = call(sql, "understudy:sql/sql", "run", args, deadline).await;
    // Whoever is first: the host, or the server that was told when.
    match &used.reply {
        Err(CallError::TimedOut(_)) => {}
        Err(CallError::Conflict(text)) => assert!(text.starts_with("57014"), "{text}"),
        other => panic!("{other:?}"),
    }
    // And it goes on with nothing: nobody waits for that session.
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
    while rows(&texts(sql, &[running]).await)[0]["rows"][0][0] != json!({ "text": "0" }) {}
}

async fn transport_that_does_not_verify(server: &Server) {
    let select = ["SELECT 1"];
    let wrong_name = server.changed(|connection| {
        connection.server_name = Some("db-bz.example.test".to_owned());
    });
    let used = texts(&wrong_name, &select).await;
    assert!(reason(&used).starts_with("CP0011"), "{}", reason(&used));
    assert!(
        reason(&used).contains("not valid for name"),
        "{}",
        reason(&used)
    );

    let mut binding = server.binding();
    binding.trust = vec!["other.pem".into()];
    let other = server.folder.path().join("other.pem");
    std::fs::write(other, Authority::new().pem()).unwrap();
    let stranger = capabilities(&binding, server.folder.path());
    let used = texts(&stranger, &select).await;
    assert!(reason(&used).contains("CP0011"), "{}", reason(&used));
    binding.trust.clear();
    let nobody = capabilities(&binding, Path::new("."));
    assert!(texts(&nobody, &select).await.reply.is_err());

    let used = texts(&server.changed(|one| one.port = free_port()), &select).await;
    assert!(reason(&used).starts_with("CP0013"), "{}", reason(&used));
    let used = texts(
        &server.changed(|one| one.user = "nobody".to_owned()),
        &select,
    )
    .await;
    assert!(
        invalid(&used).starts_with("CP0017") && invalid(&used).contains("28P01"),
        "{used:?}"
    );
    let used = texts(
        &server.changed(|one| one.database = "none".to_owned()),
        &select,
    )
    .await;
    assert!(invalid(&used).contains("3D000"), "{used:?}");
    // A server of another kind, that never says a word of this protocol: no session in plain text is ever begun.
    let plain = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let port = plain.local_addr().unwrap().port();
    let sql = server.changed(|one| one.port = port);
    let answer = async {
        let (mut stream, _) = plain.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"N")
            .await
            .unwrap();
        let mut sent = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut sent)
            .await
            .unwrap();
        sent
    };
    let (used, sent) = tokio::join!(texts(&sql, &select), answer);
    assert!(reason(&used).contains("offers no TLS"), "{}", reason(&used));
    assert_eq!(sent.len(), 8, "more than the wish for TLS was sent");
}

async fn broken_session(sql: &Capabilities) {
    let kill = async {
        let find = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(601)'";
        while rows(&texts(sql, &[find]).await)[0]["rows"] == json!([]) {}
    };
    let (used, ()) = tokio::join!(texts(sql, &["SELECT pg_sleep(601)"]), kill);
    let Err(CallError::InDoubt(text)) = &used.reply else {
        panic!("{used:?}")
    };
    assert!(
        text.starts_with("CP0014") && text.contains("57P01"),
        "{text}"
    );
}

#[test]
fn what_changes_something_is_known() {
    for (text, changes) in [
        ("SELECT 1", false),
        ("select pg_is_in_recovery()", false),
        ("SELECT pg_promote(false)", true),
        ("BEGIN READ ONLY", false),
        ("INSERT INTO t VALUES (1)", true),
        ("ALTER SYSTEM RESET work_mem", true),
        ("CHECKPOINT", true),
    ] {
        assert_eq!(super::changes(text), changes, "{text}");
    }
}
