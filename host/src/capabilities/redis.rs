//! `spin:redis`: commands to the Redis servers that `allowed_outbound_hosts` grants.
//!
//! All handles to one address, of all instances, share one connection, on which commands follow
//! each other without waiting for answers. Whoever finds it ended makes it anew, so that a server
//! that was restarted needs nothing else. Commands that would change the connection for the
//! others (`SELECT`, `MULTI`, `SUBSCRIBE`), or keep it busy until something happens (`BLPOP`,
//! `XREADGROUP ... BLOCK`), are refused by name: a guest asks again later instead, and puts what
//! belongs together into a script (`EVAL`).

use super::allowed_hosts::{AllowedHost, allow};
use crate::bindings::redis::{self as interface, Error, RedisParameter, RedisResult};
use crate::instance::InstanceState;
use crate::telemetry::data;
use crate::telemetry::tasks::caller;
use anyhow::anyhow;
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisError,
    Value, cmd,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tower_service::Service;
use wasmtime::component::{Accessor, HasSelf, Resource};

/// Open handles an instance may hold at once.
const MAX_HANDLES: usize = 256;
/// Addresses in use at once: a wildcard grant must not let a guest open connections without end.
const MAX_ADDRESSES: usize = 64;
/// How long a guest waits for a connection, its own or one that somebody else is making.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a guest waits for an answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// After this time without traffic the kernel looks whether the server is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Bytes one answer may have; it is held in memory until the guest has it.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// Commands that change a connection for all who share it.
const CHANGES_CONNECTION: &[&str] = &[
    "ASKING",
    "AUTH",
    "CLIENT",
    "DISCARD",
    "EXEC",
    "HELLO",
    "MONITOR",
    "MULTI",
    "PSUBSCRIBE",
    "PSYNC",
    "PUNSUBSCRIBE",
    "QUIT",
    "READONLY",
    "READWRITE",
    "RESET",
    "SELECT",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SUNSUBSCRIBE",
    "SYNC",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WATCH",
];
/// Commands whose answer waits for something to happen, and with it all answers after it.
const BLOCKS_CONNECTION: &[&str] = &[
    "BLMOVE",
    "BLMPOP",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "BZMPOP",
    "BZPOPMAX",
    "BZPOPMIN",
    "WAIT",
    "WAITAOF",
];

/// Phase one, for an address that a guest names only when it runs: where it leads and how to log
/// in there. Host and port are read once, so that what was granted is what is connected to.
#[derive(Clone)]
pub struct Address {
    scheme: &'static str,
    /// Where to connect, in the terms of the connector: `https` stands for TLS.
    uri: Uri,
    login: redis::RedisConnectionInfo,
}

impl Address {
    /// Reads `redis://[user:password@]host[:port][/database]`, or the same with `rediss`.
    pub fn parse(address: &str) -> Option<Self> {
        let (scheme, transport, rest) = match address.split_once("://")? {
            ("redis", rest) => ("redis", Scheme::HTTP, rest),
            ("rediss", rest) => ("rediss", Scheme::HTTPS, rest),
            _ => return None,
        };
        let info = format!("redis://{rest}").into_connection_info().ok()?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return None;
        };
        let authority = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let uri = Uri::builder()
            .scheme(transport)
            .authority(authority.to_ascii_lowercase())
            .path_and_query("/");
        Some(Self {
            scheme,
            uri: uri.build().ok()?,
            login: info.redis_settings().clone(),
        })
    }

    fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or_default()
    }

    fn is_granted(&self, allowed: &[AllowedHost]) -> bool {
        allow(allowed, self.scheme, self.host(), self.port())
    }
}

/// Phase two: the servers in use, shared by all components.
pub struct Servers {
    connector: HttpsConnector<HttpConnector>,
    /// By the address as guests write it: with another user or database it is another connection.
    by_address: Mutex<BTreeMap<String, Arc<Server>>>,
}

impl Servers {
    /// None yet: a connection is made when a guest asks for it.
    pub fn new() -> Self {
        Self {
            connector: connector(),
            by_address: Mutex::default(),
        }
    }

    /// The server at an address, if a component may go there.
    fn find(&self, allowed: &[AllowedHost], address: &str) -> Result<Arc<Server>, Error> {
        let parsed = Address::parse(address).ok_or(Error::InvalidAddress)?;
        if !parsed.is_granted(allowed) {
            let (scheme, host, port) = (parsed.scheme, parsed.host(), parsed.port());
            tracing::warn!(%scheme, %host, port, "outbound connection denied: not in allowed_outbound_hosts");
            return Err(Error::InvalidAddress);
        }
        let mut servers = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(address) {
            return Ok(server.clone());
        }
        if servers.len() >= MAX_ADDRESSES {
            servers.retain(|_, server| Arc::strong_count(server) > 1);
        }
        if servers.len() >= MAX_ADDRESSES {
            return Err(Error::TooManyConnections);
        }
        let server = Arc::new(Server::new(parsed, self.connector.clone()));
        servers.insert(address.to_owned(), server.clone());
        Ok(server)
    }
}

/// Despite its name it only resolves, connects and speaks TLS.
fn connector() -> HttpsConnector<HttpConnector> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp)
}

/// One server, as one user in one database.
pub struct Server {
    address: Address,
    connector: HttpsConnector<HttpConnector>,
    line: tokio::sync::Mutex<Option<Arc<Line>>>,
}

/// A connection. Ends when nobody uses it any more.
struct Line {
    connection: MultiplexedConnection,
    /// Moves commands and answers, until the connection has ended.
    driver: JoinHandle<()>,
    /// Set once an answer did not come in time.
    stuck: AtomicBool,
}

impl Line {
    fn works(&self) -> bool {
        !self.stuck.load(Ordering::Relaxed) && !self.driver.is_finished()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Server {
    /// A server that the host's own configuration names.
    pub fn at(address: Address) -> Self {
        Self::new(address, connector())
    }

    fn new(address: Address, connector: HttpsConnector<HttpConnector>) -> Self {
        Self {
            address,
            connector,
            line: tokio::sync::Mutex::default(),
        }
    }

    /// The connection, made if there is none that works.
    async fn line(&self) -> Result<Arc<Line>, Error> {
        let found = async {
            let mut line = self.line.lock().await;
            if let Some(line) = line.as_ref().filter(|line| line.works()) {
                return Ok(line.clone());
            }
            let fresh = Arc::new(self.connect().await?);
            *line = Some(fresh.clone());
            Ok(fresh)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, found)
            .await
            .unwrap_or_else(|_| Err(anyhow!("no connection within {CONNECT_TIMEOUT:?}")))
            .map_err(|error| {
                let (host, port) = (self.address.host(), self.address.port());
                tracing::warn!(%host, port, "cannot connect to Redis: {error:#}");
                Error::Other(format!("{error:#}"))
            })
    }

    async fn connect(&self) -> anyhow::Result<Line> {
        let mut connector = self.connector.clone();
        std::future::poll_fn(|context| connector.poll_ready(context))
            .await
            .map_err(|error| anyhow!(error))?;
        let stream = connector
            .call(self.address.uri.clone())
            .await
            .map_err(|error| anyhow!(error))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(RESPONSE_TIMEOUT));
        let stream = TokioIo::new(stream);
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&self.address.login, stream, config).await?;
        Ok(Line {
            connection,
            driver: tokio::spawn(driver),
            stuck: AtomicBool::new(false),
        })
    }

    /// The answer to a command. It is never sent twice: nobody knows whether one whose answer did
    /// not come was carried out.
    ///
    /// # Errors
    /// What the server says against it, and that it cannot be reached or does not answer.
    pub async fn run(&self, command: &Cmd) -> Result<Value, Error> {
        let line = self.line().await?;
        let answer: Result<Value, _> = command.query_async(&mut line.connection.clone()).await;
        if answer.as_ref().is_err_and(RedisError::is_timeout) {
            line.stuck.store(true, Ordering::Relaxed);
        }
        let value = answer.map_err(to_guest)?;
        if bytes(&value) > MAX_RESULT_BYTES {
            let limit = format!("the answer has more than {MAX_RESULT_BYTES} bytes");
            return Err(Error::Other(limit));
        }
        Ok(value)
    }
}

/// As in Spin, whatever the server or the connection says comes in its own words.
fn to_guest(error: RedisError) -> Error {
    Error::Other(error.to_string())
}

/// Bytes an answer takes in memory.
fn bytes(value: &Value) -> usize {
    let held = match value {
        Value::BulkString(bytes) => bytes.len(),
        Value::SimpleString(text) => text.len(),
        Value::Array(values) | Value::Set(values) => values.iter().map(bytes).sum(),
        _ => 0,
    };
    size_of::<Value>() + held
}

/// Why a command cannot be run on a connection that is shared, if it cannot.
fn refusal(command: &str, arguments: &[RedisParameter]) -> Option<String> {
    let among = |names: &[&str]| names.iter().any(|name| command.eq_ignore_ascii_case(name));
    if among(CHANGES_CONNECTION) {
        return Some(format!(
            "{command} is not supported: it would change a connection that others use too"
        ));
    }
    if among(BLOCKS_CONNECTION)
        || (among(&["XREAD"]) && asks_to_block(arguments))
        || (among(&["XREADGROUP"]) && asks_to_block(arguments.get(3..).unwrap_or_default()))
    {
        return Some(format!(
            "{command} is not supported where it waits: it would hold up a connection that others use too"
        ));
    }
    None
}

/// Whether a read of streams has the option to wait, which stands before the streams' names. (Of a group's read the first three words
/// are `GROUP`, and names that may be anything.)
fn asks_to_block(arguments: &[RedisParameter]) -> bool {
    let is = |argument: &RedisParameter, word: &str| matches!(argument, RedisParameter::Binary(bytes) if bytes.eq_ignore_ascii_case(word.as_bytes()));
    arguments
        .iter()
        .take_while(|argument| !is(argument, "STREAMS"))
        .any(|argument| is(argument, "BLOCK"))
}

/// Any command, of a guest's making.
fn any_command(name: &str, arguments: Vec<RedisParameter>) -> Cmd {
    let mut command = cmd(name);
    for argument in arguments {
        match argument {
            RedisParameter::Int64(number) => command.arg(number),
            RedisParameter::Binary(bytes) => command.arg(bytes),
        };
    }
    command
}

/// Appends the values of an answer, one after the other, with those of its lists where the list was.
fn flatten(value: Value, into: &mut Vec<RedisResult>) -> Result<(), Error> {
    into.push(match value {
        Value::Nil => RedisResult::Nil,
        Value::Okay => RedisResult::Status("OK".into()),
        Value::SimpleString(text) => RedisResult::Status(text),
        Value::Int(number) => RedisResult::Int64(number),
        Value::Boolean(yes) => RedisResult::Int64(yes.into()),
        Value::BulkString(bytes) | Value::BigNumber(bytes) => RedisResult::Binary(bytes),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::Array(values) | Value::Set(values) => {
            return values
                .into_iter()
                .try_for_each(|value| flatten(value, into));
        }
        _ => {
            return Err(Error::Other(
                "the answer has a type that has no form here".into(),
            ));
        }
    });
    Ok(())
}

/// Phase three: what a guest's handle refers to.
pub struct OpenServer(Arc<Server>);

impl InstanceState {
    fn find_redis(&self, address: &str) -> Result<Arc<Server>, Error> {
        let allowed = &self.component.allowed_hosts;
        self.shared.redis.find(allowed, address)
    }

    fn open_redis(
        &mut self,
        server: Arc<Server>,
    ) -> wasmtime::Result<Result<Resource<OpenServer>, Error>> {
        if self.open_servers == MAX_HANDLES {
            return Ok(Err(Error::TooManyConnections));
        }
        let handle = self.table.push(OpenServer(server))?;
        self.open_servers += 1;
        Ok(Ok(handle))
    }
}

/// The answer to a command on a guest's handle.
async fn run<T: Send>(
    accessor: &Accessor<T, HasSelf<InstanceState>>,
    handle: &Resource<OpenServer>,
    command: &Cmd,
) -> wasmtime::Result<Result<Value, Error>> {
    let (place, server) = accessor.with(|mut access| {
        let place = caller(&mut access);
        let open = access.get().table.get(handle)?;
        wasmtime::error::Ok((place, open.0.clone()))
    })?;
    let span = data::redis(&place, command, server.address.host());
    Ok(data::end(span, server.run(command).await))
}

/// The same, where the answer has a type.
async fn ask<T: Send, R: FromRedisValue>(
    accessor: &Accessor<T, HasSelf<InstanceState>>,
    handle: &Resource<OpenServer>,
    command: &Cmd,
) -> wasmtime::Result<Result<R, Error>> {
    let answer = run(accessor, handle, command).await?;
    Ok(answer.and_then(|value| redis::from_redis_value(value).map_err(|e| to_guest(e.into()))))
}

impl interface::Host for InstanceState {}

impl interface::HostConnection for InstanceState {
    async fn drop(&mut self, handle: Resource<OpenServer>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        self.open_servers -= 1;
        Ok(())
    }
}

impl<T: Send> interface::HostConnectionWithStore<T> for HasSelf<InstanceState> {
    async fn open(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> wasmtime::Result<Result<Resource<OpenServer>, Error>> {
        let server = match accessor.with(|mut access| access.get().find_redis(&address)) {
            Ok(server) => server,
            Err(error) => return Ok(Err(error)),
        };
        // As in Spin, a server that cannot be reached is an error here already.
        if let Err(error) = server.line().await {
            return Ok(Err(error));
        }
        accessor.with(|mut access| access.get().open_redis(server))
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        channel: String,
        payload: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let command = cmd("PUBLISH").arg(channel).arg(payload).to_owned();
        let answer = run(accessor, &handle, &command).await?;
        Ok(answer.map(drop))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        ask(accessor, &handle, cmd("GET").arg(key)).await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        ask(accessor, &handle, cmd("SET").arg(key).arg(value)).await
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        key: String,
    ) -> wasmtime::Result<Result<i64, Error>> {
        ask(accessor, &handle, cmd("INCR").arg(key)).await
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<u32, Error>> {
        ask(accessor, &handle, cmd("DEL").arg(keys)).await
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        key: String,
        values: Vec<String>,
    ) -> wasmtime::Result<Result<u32, Error>> {
        ask(accessor, &handle, cmd("SADD").arg(key).arg(values)).await
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        key: String,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        ask(accessor, &handle, cmd("SMEMBERS").arg(key)).await
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        key: String,
        values: Vec<String>,
    ) -> wasmtime::Result<Result<u32, Error>> {
        ask(accessor, &handle, cmd("SREM").arg(key).arg(values)).await
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenServer>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> wasmtime::Result<Result<Vec<RedisResult>, Error>> {
        if let Some(why) = refusal(&command, &arguments) {
            return Ok(Err(Error::Other(why)));
        }
        let command = any_command(&command, arguments);
        let answer = run(accessor, &handle, &command).await?;
        Ok(answer.and_then(|value| {
            let mut values = Vec::new();
            flatten(value, &mut values).map(|()| values)
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::allowed_hosts;
    use super::*;
    use std::collections::BTreeSet;

    fn granted(entry: &str, address: &str) -> bool {
        let allowed = allowed_hosts::grant(&[entry.to_owned()], &BTreeSet::new()).unwrap();
        Address::parse(address).is_some_and(|address| address.is_granted(&allowed))
    }

    #[test]
    fn an_address_is_granted_by_scheme_host_and_port() {
        assert!(granted("redis://127.0.0.1:*", "redis://127.0.0.1:7777"));
        assert!(granted("redis://cache", "redis://cache"));
        assert!(granted("redis://cache", "redis://user:p%40ss@Cache:6379/2"));
        assert!(granted("redis://[::1]:6379", "redis://[::1]/"));
        assert!(granted("rediss://cache:6380", "rediss://cache:6380"));
        assert!(!granted("redis://cache", "rediss://cache"));
        assert!(!granted("redis://cache", "redis://cache:6380"));
        assert!(!granted("redis://cache", "redis://cache@elsewhere"));
        assert!(!granted("redis://self:6379", "redis://self"));
    }

    #[test]
    fn what_is_no_address_of_a_server_is_none() {
        for address in [
            "",
            "127.0.0.1:6379",
            "http://127.0.0.1",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock",
            "redis://",
            "redis://cache:port",
            "redis://cache/database",
        ] {
            assert!(!granted("*://*:*", address), "{address}");
        }
    }

    #[test]
    fn user_and_database_are_read_and_only_tls_is_secure() {
        let plain = Address::parse("redis://user:p%40ss@cache/2").unwrap();
        assert_eq!(plain.uri, "http://cache:6379/");
        assert_eq!(plain.login.username(), Some("user"));
        assert_eq!(plain.login.password(), Some("p@ss"));
        assert_eq!(plain.login.db(), 2);
        // Verification of the certificate cannot be turned off.
        let secure = Address::parse("rediss://cache:6380/#insecure").unwrap();
        assert_eq!(secure.uri, "https://cache:6380/");
    }

    #[test]
    fn addresses_in_use_are_bounded_and_those_out_of_use_make_room() {
        let servers = Servers::new();
        let allowed = allowed_hosts::grant(&["redis://cache".into()], &BTreeSet::new()).unwrap();
        let find = |number: usize| servers.find(&allowed, &format!("redis://cache/{number}"));
        let mut held: Vec<_> = (0..MAX_ADDRESSES).map(|n| find(n).unwrap()).collect();
        assert!(matches!(find(1000), Err(Error::TooManyConnections)));
        assert!(Arc::ptr_eq(&find(3).unwrap(), &held[3]));
        held.pop();
        assert!(find(1000).is_ok());
    }

    fn word(text: &str) -> RedisParameter {
        RedisParameter::Binary(text.into())
    }

    #[test]
    fn commands_that_change_or_hold_up_the_connection_are_refused() {
        for command in ["SELECT", "multi", "Subscribe", "BLPOP", "client"] {
            let why = refusal(command, &[]).unwrap();
            assert!(why.starts_with(command), "{why}");
        }
        let blocking = ["block", "0", "STREAMS"].map(word);
        assert!(refusal("xread", &blocking).is_some());
        for group in ["group", "streams"] {
            let blocking = ["GROUP", group, "c", "BLOCK", "0", "STREAMS", "k", ">"].map(word);
            assert!(refusal("xreadgroup", &blocking).is_some());
        }
        let named_block = ["GROUP", "block", "block", "STREAMS", "k", ">"].map(word);
        assert_eq!(refusal("XREADGROUP", &named_block), None);
        let named_block = [word("STREAMS"), word("block"), word("$")];
        assert_eq!(refusal("XREAD", &named_block), None);
        assert_eq!(refusal("EVAL", &[word("return 1")]), None);
    }

    #[test]
    fn an_answer_is_flattened() {
        let entry = Value::Array(vec![
            Value::SimpleString("PONG".into()),
            Value::Array(vec![Value::BulkString(b"a".into()), Value::Nil]),
            Value::Okay,
            Value::Double(1.5),
        ]);
        let mut values = Vec::new();
        flatten(entry, &mut values).unwrap();
        flatten(Value::Array(Vec::new()), &mut values).unwrap();
        let told: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
        let status = |text: &str| format!("{:?}", RedisResult::Status(text.into()));
        let binary = |text: &str| format!("{:?}", RedisResult::Binary(text.into()));
        let nil = format!("{:?}", RedisResult::Nil);
        let wanted = [
            status("PONG"),
            binary("a"),
            nil,
            status("OK"),
            binary("1.5"),
        ];
        assert_eq!(told, wanted);
        flatten(Value::Map(Vec::new()), &mut values).unwrap_err();
    }

    fn server_at(address: &str) -> Arc<Server> {
        let entries = ["redis://*:*".to_owned(), "rediss://*:*".to_owned()];
        let allowed = allowed_hosts::grant(&entries, &BTreeSet::new()).unwrap();
        Servers::new().find(&allowed, address).unwrap()
    }

    #[tokio::test]
    async fn rediss_begins_with_a_handshake() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("rediss://:secret@{}", listener.local_addr().unwrap());
        let first_byte = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap()
        };
        let server = server_at(&address);
        let (line, first_byte) = tokio::join!(server.line(), first_byte);
        assert!(line.is_err());
        assert_eq!(first_byte, 0x16);
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_given_up_by_all_who_wait() {
        // It takes connections, as the kernel does for it, and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("redis://:secret@{}", silent.local_addr().unwrap());
        let server = server_at(&address);
        let begun = std::time::Instant::now();
        let (first, second) = tokio::join!(server.line(), server.line());
        assert!(first.is_err() && second.is_err());
        assert!(
            begun.elapsed() < 2 * CONNECT_TIMEOUT,
            "{:?}",
            begun.elapsed()
        );
    }
}
