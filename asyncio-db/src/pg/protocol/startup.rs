//! How a session begins: encryption, who one is, what the server says of itself.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use asyncio_core::{Exception, Result};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::frames::{Incoming, invalid};
use super::stream::Channel;
use super::wire::{Backend, Wire};
use crate::exceptions::PgError;
use crate::pg::config::{Address, ChannelBinding as Binding, Secret, Server, SessionAttrs};
use crate::pg::errors::{self, InterfaceError};
use crate::pg::notices::Notices;
use crate::pg::target::{SslMode, Target};

/// A session that has begun, and what it takes to interrupt it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) address: Address,
    pub(crate) encrypted: bool,
}

/// Whether a stream is to be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    No,
    IfOffered,
    Yes,
}

/// Begins a session with one of the servers, the first that takes us and is good enough.
///
/// # Errors
///
/// What the last of them said; [`InterfaceError`] when none is good enough.
pub(crate) async fn start(target: &Target, notices: &Arc<Notices>) -> Result<Session> {
    let wanted = target.parameters.target_session_attrs;
    let rounds: &[SessionAttrs] = match wanted {
        SessionAttrs::PreferStandby => &[SessionAttrs::Standby, SessionAttrs::Any],
        _ => &[wanted],
    };
    let servers = target.servers();
    let mut last = None;
    for round in rounds {
        for server in &servers {
            match at(target, server, notices).await {
                Ok(mut session) => {
                    if is_good_enough(&mut session.wire, *round).await? {
                        return Ok(session);
                    }
                    session.wire.terminate();
                }
                // It is the program that is wrong then, wherever the server may be.
                Err(error) if error.is::<InterfaceError>() => return Err(error),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.unwrap_or_else(|| {
        let wanted = wanted.name();
        InterfaceError::new(format!("none of the servers is as it is to be: {wanted}")).into()
    }))
}

/// Whether a server is one of those that are wanted.
async fn is_good_enough(wire: &mut Wire, wanted: SessionAttrs) -> Result<bool> {
    // Servers from version 14 on say so unasked.
    let (told, question, right) = match wanted {
        SessionAttrs::Primary => ("in_hot_standby", STANDBY, "off"),
        SessionAttrs::Standby => ("in_hot_standby", STANDBY, "on"),
        SessionAttrs::ReadWrite => ("default_transaction_read_only", READ_ONLY, "off"),
        SessionAttrs::ReadOnly => ("default_transaction_read_only", READ_ONLY, "on"),
        SessionAttrs::Any | SessionAttrs::PreferStandby => return Ok(true),
    };
    let parameter = |wire: &Wire, name: &str| wire.parameters().get(name).cloned();
    let mut answer = parameter(wire, told);
    if told == "default_transaction_read_only"
        && parameter(wire, "in_hot_standby").as_deref() == Some("on")
    {
        // What follows another server writes nothing, whatever is its default.
        answer = Some("on".to_owned());
    }
    let answer = match answer {
        Some(answer) => answer,
        None => ask(wire, question).await?,
    };
    Ok(answer == right)
}

const STANDBY: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END";
const READ_ONLY: &str = "SHOW transaction_read_only";

/// The one text that is the answer to a question.
async fn ask(wire: &mut Wire, question: &str) -> Result<String> {
    wire.query(question)?;
    let mut answer = String::new();
    loop {
        match std::future::poll_fn(|cx| wire.poll_incoming(cx)).await? {
            Incoming::Rows(run) => {
                for row in run {
                    // The number of fields, the length of the first one, and that.
                    let text = row.get(6..).unwrap_or_default();
                    answer = String::from_utf8_lossy(text).into_owned();
                }
            }
            Incoming::Message(Message::ErrorResponse(body)) => {
                return Err(errors::server_error(body.fields()).into());
            }
            Incoming::Message(Message::ReadyForQuery(_)) => return Ok(answer),
            Incoming::Message(_) | Incoming::Copied(_) => {}
        }
    }
}

async fn at(target: &Target, server: &Server, notices: &Arc<Notices>) -> Result<Session> {
    let (first, second) = match target.parameters.tls.mode {
        SslMode::Disable => (Encryption::No, None),
        SslMode::Allow => (Encryption::No, Some(Encryption::Yes)),
        SslMode::Prefer => (Encryption::IfOffered, Some(Encryption::No)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Encryption::Yes, None),
    };
    let begun = with(target, server, first, notices).await;
    match (begun, second) {
        (Err(error), Some(second)) if is_about_encryption(&error) => {
            // What was said first is the better answer when the second attempt is no better.
            let begun = with(target, server, second, notices).await;
            begun.map_err(|_| error)
        }
        (begun, _) => begun,
    }
}

/// Whether another attempt, with or without encryption, may fare better: the server has no rule for such
/// a session, or TLS did not come about.
fn is_about_encryption(error: &Exception) -> bool {
    match error.downcast_ref::<PgError>() {
        Some(error) => error.sqlstate() == "28000",
        None => error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::InvalidData),
    }
}

async fn with(
    target: &Target,
    server: &Server,
    encryption: Encryption,
    notices: &Arc<Notices>,
) -> Result<Session> {
    let channel = open(target, &server.address, encryption).await?;
    let encrypted = channel.is_encrypted();
    let mut wire = Wire::new(channel, Arc::clone(notices));
    let settings = target.parameters.server_settings.iter();
    let settings = settings.map(|(name, value)| (name.as_str(), value.as_str()));
    let parameters = [
        ("user", target.parameters.user.as_str()),
        ("database", target.parameters.database.as_str()),
        ("client_encoding", "UTF8"),
    ];
    wire.say(|out| frontend::startup_message(parameters.into_iter().chain(settings), out))?;
    authenticate(&mut wire, target, server).await?;
    settle(&mut wire).await?;
    Ok(Session {
        wire,
        address: server.address.clone(),
        encrypted,
    })
}

/// Asks the server to interrupt what a session does, and waits until it has passed that on. After that no
/// signal is under way any more: who comes next on that session is not hit by it.
pub(crate) async fn interrupt(
    target: &Target,
    address: &Address,
    encrypted: bool,
    backend: Backend,
) -> io::Result<()> {
    let encryption = if encrypted {
        Encryption::Yes
    } else {
        Encryption::No
    };
    let mut channel = open(target, address, encryption).await?;
    let mut request = BytesMut::new();
    frontend::cancel_request(backend.pid, backend.key, &mut request);
    channel.write_all(&request).await?;
    let mut rest = BytesMut::new();
    // Nothing is ever said; the end comes when the signal has been sent. A reset is an end as well.
    loop {
        rest.clear();
        rest.reserve(64);
        match channel.read_some(&mut rest).await {
            Ok(1..) => {}
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Over TLS the server goes without saying so.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}

async fn open(target: &Target, address: &Address, encryption: Encryption) -> io::Result<Channel> {
    let mut channel = Channel::open(address).await?;
    // PostgreSQL does not speak TLS over a Unix socket.
    if encryption == Encryption::No || channel.is_unix() {
        return Ok(channel);
    }
    if cfg!(feature = "tls") && target.parameters.tls.direct {
        return encrypt(target, address, channel).await;
    }
    if !cfg!(feature = "tls") {
        if encryption == Encryption::IfOffered {
            return Ok(channel);
        }
        let message = "TLS is asked for, and the feature `tls` is not there";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    channel.write_all(&request).await?;
    let mut answer = BytesMut::with_capacity(64);
    channel.read_some(&mut answer).await?;
    match &answer[..] {
        [] => Err(io::ErrorKind::UnexpectedEof.into()),
        b"N" if encryption == Encryption::IfOffered => Ok(channel),
        b"N" => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the server does not speak TLS",
        )),
        b"S" => encrypt(target, address, channel).await,
        // What comes behind it in the clear may be anybody's.
        _ => Err(invalid("no answer to the request for TLS")),
    }
}

#[cfg(feature = "tls")]
async fn encrypt(target: &Target, address: &Address, channel: Channel) -> io::Result<Channel> {
    let (Channel::Tcp(stream), Address::Tcp { host, .. }) = (channel, address) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    super::tls::connect(&target.tls, host, stream).await
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "with the feature it waits")]
async fn encrypt(_: &Target, _: &Address, _: Channel) -> io::Result<Channel> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn hear(wire: &mut Wire) -> Result<Message> {
    match std::future::poll_fn(|cx| wire.poll_incoming(cx)).await? {
        Incoming::Message(Message::ErrorResponse(body)) => {
            Err(errors::server_error(body.fields()).into())
        }
        Incoming::Message(message) => Ok(message),
        Incoming::Rows(_) | Incoming::Copied(_) => Err(unexpected()),
    }
}

fn unexpected() -> Exception {
    invalid("the server said something else than was to be expected").into()
}

/// Says who we are.
async fn authenticate(wire: &mut Wire, target: &Target, server: &Server) -> Result<()> {
    let password = async || -> Result<Cow<'_, str>> {
        if let Some(function) = &target.password {
            return Ok(Cow::Owned(function.ask().await?));
        }
        let missing = || InterfaceError::new("the server asks for a password, and there is none");
        let known = server.password.as_ref().map(Secret::reveal);
        Ok(Cow::Borrowed(known.ok_or_else(missing)?))
    };
    let binding = target.parameters.tls.channel_binding;
    let mut scram: Option<ScramSha256> = None;
    let mut bound = false;
    loop {
        match hear(wire).await? {
            // Who asks for a proof and does not wait for it is not the server.
            Message::AuthenticationOk if scram.is_some() => return Err(unexpected()),
            Message::AuthenticationOk if binding == Binding::Require && !bound => {
                let message = "the authentication was not bound to the encrypted channel";
                return Err(InterfaceError::new(message).into());
            }
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => {
                let password = password().await?;
                wire.say(|out| frontend::password_message(password.as_bytes(), out))?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(
                    target.parameters.user.as_bytes(),
                    password().await?.as_bytes(),
                    body.salt(),
                );
                wire.say(|out| frontend::password_message(hash.as_bytes(), out))?;
            }
            Message::AuthenticationSasl(body) => {
                let (mechanism, binding) = mechanism(wire, &body, binding)?;
                bound = mechanism == SCRAM_SHA_256_PLUS;
                let begun = ScramSha256::new(password().await?.as_bytes(), binding);
                let data = begun.message();
                wire.say(|out| frontend::sasl_initial_response(mechanism, data, out))?;
                scram = Some(begun);
            }
            Message::AuthenticationSaslContinue(body) => {
                let scram = scram.as_mut().ok_or_else(unexpected)?;
                scram.update(body.data())?;
                let data = scram.message();
                wire.say(|out| frontend::sasl_response(data, out))?;
            }
            Message::AuthenticationSaslFinal(body) => {
                // Here the server has proved that it knows the password too.
                scram.take().ok_or_else(unexpected)?.finish(body.data())?;
            }
            Message::AuthenticationGss
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
            | Message::AuthenticationSspi => {
                let message = "the server asks for a kind of authentication that is not supported";
                return Err(InterfaceError::new(message).into());
            }
            _ => return Err(unexpected()),
        }
    }
}

/// The best mechanism that both sides know, bound to the TLS below where that is possible.
fn mechanism(
    wire: &Wire,
    body: &AuthenticationSaslBody,
    wanted: Binding,
) -> Result<(&'static str, ChannelBinding)> {
    let (mut plain, mut plus) = (false, false);
    let mut mechanisms = body.mechanisms();
    while let Some(mechanism) = mechanisms.next()? {
        plain |= mechanism == SCRAM_SHA_256;
        plus |= mechanism == SCRAM_SHA_256_PLUS;
    }
    let hash = match wanted {
        Binding::Disable => None,
        Binding::Prefer | Binding::Require => wire.channel_binding(),
    };
    match (hash, plus, plain) {
        (Some(hash), true, _) => Ok((
            SCRAM_SHA_256_PLUS,
            ChannelBinding::tls_server_end_point(hash),
        )),
        // Said so, so that the server finds out when somebody in between has taken its offer away.
        (Some(_), false, true) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
        (None, _, true) => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
        _ => Err(InterfaceError::new("the server knows no kind of SCRAM that we know").into()),
    }
}

/// Hears what the server says of itself, until it is ready.
async fn settle(wire: &mut Wire) -> Result<()> {
    wire.expect_ready();
    loop {
        match hear(wire).await? {
            Message::BackendKeyData(body) => wire.set_backend(Backend {
                pid: body.process_id(),
                key: body.secret_key(),
            }),
            Message::ReadyForQuery(_) => return Ok(()),
            _ => return Err(unexpected()),
        }
    }
}
