//! Commands about the connection: who the client is, and what it speaks.

use super::client::{Client, Done};
use super::error::RedisError;
use super::info;
use super::keys::integer;
use super::reply::{Protocol, Reply};
use super::request::Request;
use crate::http::auth::identify_secrets;

/// `HELLO [2|3 [AUTH user secret] [SETNAME name]]`.
pub async fn hello(client: &mut Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let protocol = match request.get(1) {
        b"" if request.len() == 1 => client.protocol,
        b"2" => Protocol::Resp2,
        b"3" => Protocol::Resp3,
        _ => return Err(RedisError::with_prefix("NOPROTO", "unsupported protocol version: HELLO takes 2 or 3")),
    };
    let (mut at, mut secret, mut name) = (2, None, None);
    while at < request.len() {
        let option = request.get(at);
        if option.eq_ignore_ascii_case(b"AUTH") && at + 2 < request.len() {
            secret = Some(request.get(at + 2));
            at += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && at + 1 < request.len() {
            name = Some(checked_name(request.get(at + 1))?);
            at += 2;
        } else {
            return Err(RedisError::new(
                "syntax error in HELLO: it takes a version, AUTH with user and secret, and SETNAME",
            ));
        }
    }
    if let Some(secret) = secret {
        identify(client, secret).await?;
    }
    if client.identity.is_none() {
        return Err(RedisError::with_prefix("NOAUTH", "HELLO needs a credential here: HELLO 3 AUTH user secret"));
    }
    client.protocol = protocol;
    if let Some(name) = name {
        client.name = name;
    }
    Ok(info::hello(client).into())
}

/// `AUTH [user] secret`. Any user will do, as over HTTP.
pub async fn auth(client: &mut Client, request: &Request<'_>) -> Result<Done, RedisError> {
    identify(client, request.get(request.len() - 1)).await?;
    Ok(Reply::OK.into())
}

async fn identify(client: &mut Client, secret: &[u8]) -> Result<(), RedisError> {
    let app = &client.shared.app;
    if app.access.is_open() {
        return Ok(());
    }
    // No credential has the empty secret: what is no text counts as wrong, and not as missing.
    let secret = str::from_utf8(secret).unwrap_or_default();
    let identity = identify_secrets(app, &[secret], client.from).await?;
    client.identity = Some(identity);
    Ok(())
}

/// As if the client had just connected.
pub fn reset(client: &mut Client) -> Done {
    *client = Client::new(&client.shared.clone(), client.from, client.is_proxy, &client.connection.clone());
    Reply::Status("RESET").into()
}

/// Databases that a client may select, as many as Redis has by default.
const DATABASES: i64 = 16;

/// Every database is the one lock table: what two programs lock under one name is one lock.
pub fn select(request: &Request<'_>) -> Result<Done, RedisError> {
    match integer(request.get(1))? {
        0..DATABASES => Ok(Reply::OK.into()),
        _ => Err(RedisError::new(format!("DB index is out of range: 0 to {}", DATABASES - 1))),
    }
}

pub fn ping(request: &Request<'_>) -> Done {
    match request.len() {
        1 => Reply::Status("PONG").into(),
        _ => Reply::Bulk(request.get(1).to_vec().into()).into(),
    }
}

pub fn client(client: &mut Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let subcommand = request.get(1).to_ascii_uppercase();
    Ok(match (&*subcommand, request.len()) {
        (b"SETNAME", 3) => {
            client.name = checked_name(request.get(2))?;
            Reply::OK
        }
        (b"GETNAME", 2) if client.name.is_empty() => Reply::Nil,
        (b"GETNAME", 2) => Reply::Bulk(client.name.clone().into()),
        (b"ID", 2) => Reply::Integer(client.id as i64),
        (b"SETINFO", 4) | (b"NO-EVICT" | b"NO-TOUCH", 3) => Reply::OK,
        _ => {
            let detail =
                "unknown subcommand of CLIENT: latchd serves SETNAME, GETNAME, SETINFO, ID, NO-EVICT and NO-TOUCH";
            return Err(RedisError::new(detail));
        }
    }
    .into())
}

const NAME_BYTES_MAX: usize = 256;

fn checked_name(name: &[u8]) -> Result<Vec<u8>, RedisError> {
    let is_plain = name.iter().all(|byte| (b'!'..=b'~').contains(byte));
    if is_plain && name.len() <= NAME_BYTES_MAX {
        return Ok(name.to_vec());
    }
    Err(RedisError::new(format!("a client's name has at most {NAME_BYTES_MAX} bytes, without spaces and line breaks")))
}
