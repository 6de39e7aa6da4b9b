//! The protocol: which calls there are, how many at once, how they are cancelled, and what they answer.

use std::sync::Arc;
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::answer;
use super::holds::{Holds, NotAcquired};
use super::tools::{self, Acquire, Call, List, Renew};
use crate::cli::lock::frozen;
use crate::client::clock::Moment;
use crate::client::{Client, Lock, LockQuery};

/// Calls at once; more are refused.
const CALLS_MAX: usize = 32;
/// How often a wait says that it goes on: clients give up on a call that is silent.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

const INSTRUCTIONS: &str = "Locks for agents that share a repository, a database or a machine. Before you change something \
    that others may be changing, `acquire` a lock whose name all agents derive in the same way (such as repo/NAME), and \
    `release` it when the change is complete. Without the lock, do not make the change.";

/// The tools of one process.
pub struct Server {
    client: Client,
    holds: Holds,
    calls: Arc<Semaphore>,
    /// True once the process ends.
    closing: watch::Receiver<bool>,
}

/// What a tool answers, or why it cannot.
type Told = Result<Value, Refusal>;

/// A tool error: with data, or only a sentence.
enum Refusal {
    Data(Value),
    Text(String),
}

impl Server {
    pub fn new(client: Client, holds: Holds, closing: watch::Receiver<bool>) -> Server {
        Server { client, holds, calls: Arc::new(Semaphore::new(CALLS_MAX)), closing }
    }

    async fn told(&self, call: Call, context: &RequestContext<RoleServer>) -> Told {
        match call {
            Call::Acquire(asked) => self.acquire(&asked, context).await,
            Call::Renew(asked) => self.renew(&asked).await,
            Call::Release(asked) => self.release(&asked.name).await,
            Call::List(asked) => self.list(&asked).await,
            Call::Why(asked) => {
                let (lock, frozen) =
                    tokio::join!(self.client.show_lock(&asked.name), self.client.frozen_by(&asked.name));
                let frozen = frozen.map(|freeze| freeze.text());
                Ok(answer::why(&self.holds, &asked.name, lock.map_err(failed)?.as_ref(), frozen.as_deref()))
            }
        }
    }

    async fn acquire(&self, asked: &Acquire, context: &RequestContext<RoleServer>) -> Told {
        let acquired = tokio::select! {
            acquired = self.holds.acquire(asked) => acquired,
            never = progress(context, asked) => match never {},
        };
        match acquired {
            // The agent will not learn that it has it.
            Ok(held) if context.ct.is_cancelled() => {
                self.holds.give_back(held);
                Err(cancelled())
            }
            Ok(held) => Ok(answer::held(&held)),
            Err(NotAcquired::Held) => {
                let (seen, frozen) = tokio::join!(self.seen(&asked.names), frozen(&self.client, &asked.names));
                Err(Refusal::Data(answer::refusal(&self.holds, &seen, &frozen, asked.wait_seconds > 0)))
            }
            Err(NotAcquired::Client(error)) => Err(failed(error)),
            Err(NotAcquired::Refused(why)) => Err(Refusal::Text(why)),
        }
    }

    /// Those of the locks that somebody has; only for a message, so errors are ignored: the key may lack the right to look.
    async fn seen(&self, names: &[String]) -> Vec<Lock> {
        let mut seen = Vec::new();
        for name in names {
            seen.extend(self.client.show_lock(name).await.ok().flatten());
        }
        seen
    }

    async fn renew(&self, asked: &Renew) -> Told {
        match self.holds.renew(asked).await.map_err(failed)? {
            Some(held) => Ok(answer::held(&held)),
            None => Err(Refusal::Text(not_held(&asked.name))),
        }
    }

    async fn release(&self, name: &str) -> Told {
        let released = self.holds.release(name).await;
        match released.map_err(|error| Refusal::Text(answer::unreleased(error)))? {
            Some(true) => Ok(serde_json::json!({"released": true})),
            Some(false) => Err(Refusal::Text(format!(
                "{:?} had ended before: somebody else may have had it meanwhile. Check what you changed last",
                answer::cut(name)
            ))),
            None => Err(Refusal::Text(not_held(name))),
        }
    }

    async fn list(&self, asked: &List) -> Told {
        let query = LockQuery { prefix: asked.prefix.clone(), contended: asked.contended, ..LockQuery::default() };
        let (locks, more) = self.client.locks_page(&query, asked.limit).await.map_err(failed)?;
        Ok(answer::listing(&self.holds, &locks, more))
    }

    /// The answer, with what the agent does not know yet of its holds. The answer to a cancelled call is not sent.
    fn result(&self, told: Told, is_cancelled: bool) -> CallToolResult {
        let mut result = match told {
            Ok(value) => CallToolResult::structured(value),
            Err(Refusal::Data(value)) => CallToolResult::structured_error(value),
            Err(Refusal::Text(text)) => CallToolResult::error(vec![ContentBlock::text(text)]),
        };
        if !is_cancelled {
            result.content.extend(self.holds.take_ended().into_iter().map(ContentBlock::text));
        }
        result
    }
}

fn failed(error: crate::client::ClientError) -> Refusal {
    Refusal::Text(answer::failure(error))
}

fn cancelled() -> Refusal {
    Refusal::Text("the call was cancelled".to_owned())
}

fn not_held(name: &str) -> String {
    format!("you do not hold {:?}: stop what needs it, and acquire it again. `why` shows who has it", answer::cut(name))
}

/// Until the process ends.
pub async fn closed(closing: &mut watch::Receiver<bool>) {
    // Without a sender the process ends too.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Tells the client, if it asked to be told, that the call goes on.
async fn progress(context: &RequestContext<RoleServer>, asked: &Acquire) -> std::convert::Infallible {
    let begun = Moment::now();
    let Some(token) = context.meta.get_progress_token() else { return std::future::pending().await };
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let seconds = Moment::now().since(begun).as_secs_f64();
        let mut param = ProgressNotificationParam::new(token.clone(), seconds);
        (param.total, param.message) = (Some(asked.wait().as_secs_f64()), Some("waiting for the lock".to_owned()));
        // A client that is gone is noticed at the end of stdin.
        let _ = context.peer.notify_progress(param).await;
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("latchd", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(call) = Call::read(&request.name, request.arguments) else {
            return Err(ErrorData::invalid_params(format!("there is no tool {:?}", answer::cut(&request.name)), None));
        };
        let mut closing = self.closing.clone();
        let told = match (call, self.calls.try_acquire()) {
            (Err(why), _) => Err(Refusal::Text(answer::cut(&why))),
            (_, Err(_)) => Err(Refusal::Text(format!("{CALLS_MAX} calls are under way already: wait for one to end"))),
            (Ok(call), Ok(_permit)) => tokio::select! {
                // What has come to its end is not thrown away.
                biased;
                told = self.told(call, &context) => told,
                () = context.ct.cancelled() => Err(cancelled()),
                () = closed(&mut closing) => Err(Refusal::Text("this server ends".to_owned())),
            },
        };
        Ok(self.result(told, context.ct.is_cancelled()).into())
    }
}
