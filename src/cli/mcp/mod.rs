//! `latchd mcp`: a server of the Model Context Protocol on stdin and stdout, with which agents take locks. It is a client of
//! the service: `holds.rs` has what it holds, `tools.rs` what it offers, `server.rs` the protocol, `answer.rs` the words.
//!
//! Only messages of the protocol go to stdout. At the end of stdin, and on a signal, everything is released.

mod answer;
mod holds;
mod server;
mod stdin;
mod tools;

use std::time::Duration;

use clap::Args;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::connect::{Connect, explain};
use super::{Failure, output_queue};
use crate::client::Client;
use crate::client::clock::Moment;
use holds::Holds;
use server::Server;
use stdin::UntilEnd;

/// Of each call of the service, without the time that it waits for a lock.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call is tried again while the service does not answer; a wait for a lock as long as it lasts.
const RETRY_FOR: Duration = Duration::from_secs(5);
/// How long answers that were given may take to be read once stdin has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the end may take: what was not released then ends by its lease.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// No message to these tools is longer.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Mcp {
    #[command(flatten)]
    connect: Connect,
}

const HELP: &str = "\
For agents that work on the same things: their program starts this one, and talks to it on stdin and stdout. The tools
are acquire, renew, release, list and why. What an agent may lock is what its key may: give it a key of its own with a
prefix, in LATCHD_API_KEY_FILE or ~/.config/latchd.toml. docs/agents.md has the settings of common programs.

The holds of one process are in one session and are renewed while it lives, each for at most the lease_seconds that the
agent asked for. When stdin ends, and on TERM, INT or HUP, all of them are released; after kill -9 they end within 30 s.
The exit code is 0 then, and 1 if the protocol could not be spoken or the holds could not be released.

Examples:
  latchd mcp
  latchd mcp --url https://locks.example.org:8443 --api-key-file ~/.agent-key";

impl Mcp {
    pub fn run(self) -> Result<(), Failure> {
        let builder = self.connect.builder()?.timeout(TIMEOUT).retry_for(RETRY_FOR);
        let client = builder.build().map_err(Failure::config)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::from_error)?;
        let served = runtime.block_on(serve(client));
        // A thread may still read stdin.
        runtime.shutdown_background();
        served
    }
}

async fn serve(client: Client) -> Result<(), Failure> {
    let holds = Holds::new(client.clone());
    let (close, closing) = watch::channel(false);
    let ended = tokio::select! {
        ended = speak(Server::new(client, holds.clone(), closing.clone()), close.clone()) => ended,
        ended = signalled() => ended.map_err(Failure::from_error),
        () = unread(closing) => Ok(()),
    };
    close.send_replace(true);
    let why = match tokio::time::timeout(CLOSE_TIMEOUT, holds.close()).await {
        Ok(Ok(())) => return ended,
        Ok(Err(error)) => explain(error).message,
        Err(_) => "no answer in time".to_owned(),
    };
    let lease = holds::SERVICE_LEASE.as_secs();
    output_queue::note(format!("the locks were not released: they end within {lease} s"));
    ended.and(Err(Failure::from(why)))
}

/// Some time after the end of stdin: the program that started this one may not read what it is answered.
async fn unread(mut closing: watch::Receiver<bool>) {
    server::closed(&mut closing).await;
    Moment::now().after(DRAIN_TIMEOUT).wait().await;
}

/// Until the end of stdin.
async fn speak(server: Server, close: watch::Sender<bool>) -> Result<(), Failure> {
    let stdin = UntilEnd::new(tokio::io::stdin(), close);
    let transport = AsyncRwTransport::new_server(stdin, tokio::io::stdout()).with_max_line_length(MESSAGE_BYTES_MAX);
    let running = rmcp::serve_server(server, transport).await;
    let running = running.map_err(|error| format!("the client does not speak the protocol: {error}"))?;
    running.waiting().await.map(drop).map_err(Failure::from_error)
}

/// Until a signal asks for the end.
async fn signalled() -> std::io::Result<()> {
    let [mut terminate, mut interrupt, mut hangup] =
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
