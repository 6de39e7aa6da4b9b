//! Advice for each error, for the page that problem types point at.

use crate::http::Code;

/// Declares the advice for each code once.
macro_rules! advice {
    ($($code:ident => $text:literal,)*) => {
        pub const fn advice(code: Code) -> &'static str {
            match code {
                $(Code::$code => $text,)*
            }
        }
    };
}

#[rustfmt::skip]
advice! {
    MalformedBody => "Send a body of the documented form. The detail says where reading it failed.",
    InvalidField => "Correct the field that the answer names.",
    LimitExceeded => "Stay within the limit that the answer names, or have the operator raise it in the configuration.",
    BodyTooLarge => "Send less; the limit is `server.body_bytes_max`.",
    BodyTimeout => "Send the whole body at once; the limit is `server.body_timeout`.",
    HeadTooLarge => "Send fewer or shorter headers; the limit of their size is `server.header_bytes_max`.",
    UnsupportedMediaType => "Send `Content-Type: application/json`, or none.",
    MethodNotAllowed => "Use a method that the `Allow` header names.",
    NotFound => "Check the path against the API page.",
    CredentialMissing => "Send a password or an API key: Basic, Bearer or `X-API-Key`.",
    CredentialWrong => "Check the password or the API key; the server knows only its hash.",
    IdentityTokenRefused => "Get a new token of your issuer, for the audience that the operator names; the detail says what is wrong with this one.",
    IssuerUnreachable => "Ask again after `Retry-After` seconds; the operator finds the reason in the log. Passwords, API keys and tokens that were verified before open meanwhile.",
    TooManyAttempts => "Wait for `Retry-After` seconds. A valid key is let in even now, and a valid password from an address \
             where it opened before.",
    RateExceeded => "Wait for `Retry-After` seconds, or send fewer requests. Releases and renewals always pass. The answer names the rate, which the operator sets in `quotas.rates`.",
    Forbidden => "Use a credential with the role or the name prefix that the detail names.",
    CrossSite => "Use a program, or a page that this service itself serves. A browser's request for another page only reads.",
    BadHost => "Send one `Host` header with the host and port of the service's URL.",
    UnknownHost => "Use the service's address, or have the operator add the name to `server.hosts`.",
    SessionUnknown => "Open a new session. What the old one held was released when it ended.",
    SessionExists => "Ask again: the server draws another id.",
    NoSuchSession => "There is nothing to do: what the session held was released when it ended.",
    SessionOfAnother => "Use the credential that opened the session (of a key that was renewed, the next of its name), or open a session of your own. Admins may use any.",
    Held => "Wait in the queue where the dialect can, or ask again later.",
    Frozen => "Wait in the queue where the dialect can, or ask again after the end that the answer names. The reason is an operator's.",
    WaitTimedOut => "The wait left nothing behind. Ask again, or wait longer.",
    WaitCancelled => "Ask again: the node that carried the request was out of touch with the others, or a later attempt of the same request took its place.",
    SizeMismatch => "Ask for the size that the lock is in use with, or wait until it is free.",
    WouldDeadlock => "Release what the others in the cycle wait for, then ask again; or take all names with one request.",
    UpgradePending => "Release the shared hold, then take an exclusive one: the other holder waits for you to leave.",
    NotConvertible => "Only a hold of one name that is not counted is upgraded and downgraded, and a leader resigns instead of handing over.",
    OtherNames => "Give all names of the hold in `names`.",
    NotCounted => "Only a lock that was taken with a `size` has one to change.",
    SizeBelowWeight => "Wait until that waiter is gone, or choose a larger size.",
    NotElected => "Campaign with `POST /v1/elections/{name}` for a hold with a value.",
    NoElectedLeader => "Ask again later, or follow `GET /v1/events?election=`: the last leader has ended, and the next is not elected yet.",
    TargetUnknown => "Have the other side open a session, and send its id.",
    TokenBelowMark => "Do not write: a newer holder has. Stop, and take the lock again.",
    NoSuchLock => "The hold was released, or its lease or its session has ended. Do not rely on it any more.",
    WrongKey => "The hold was released or has expired, or the key belongs to another one. Do not rely on it any more.",
    NotOwner => "The hold was released or has expired, or another owner has it. Do not rely on it any more.",
    TokenMismatch => "The owner acquired again since and got a newer token. Use the newest.",
    NotWaiting => "The wait has ended, or the lock was granted. Look at the lock.",
    RequestReused => "Use a fresh idempotency key for each request, and repeat one only with the same body and credential.",
    RequestEnded => "It was released or has expired. Use a fresh idempotency key to ask for another.",
    NoLease => "A hold that was taken without a lease lives as long as its session and needs no renewal.",
    QueueFull => "Ask again later; the limit is `locks.waiters_per_lock_max`.",
    SessionHoldsFull => "Release something or open another session; the limit is `sessions.holds_max`.",
    HoldsFull => "Ask again later; the limit is `locks.holds_max`.",
    SessionsFull => "Ask again later; the limit is `sessions.count_max`. Clients that reuse their session need fewer.",
    RequestsFull => "Ask again later, or without an idempotency key; the limit is `locks.requests_max`.",
    MarksFull => "Use fewer resources, or ask again later; the limit is `fences.marks_max`.",
    FreezesFull => "Thaw something, or freeze a prefix instead of many names; the limit is `locks.freezes_max`.",
    NoSuchFreeze => "There is nothing to do: the freeze has ended, or there was none. `GET /v1/freezes` lists them.",
    TableFull => "Release something, or ask again later. The limit is `locks.table_bytes_max`, and for one caller its share of it; releases, renewals and reads go on.",
    ShareFull => "Release something, or ask again later: one credential, and one address, may have only a part of each pool (`quotas.credential_percent`, `quotas.address_percent`).",
    ReadersFull => "Ask again later, or another node; the limit is `events.readers_max`.",
    AddressFull => "Ask again later; the answer names the limit, of which one address has a share.",
    ConnectionsFull => "Use fewer connections, or one with HTTP/2; the answer names the limit.",
    TokensExhausted => "All 2^53 tokens are used. Start a new service with an empty data directory.",
    NotYet => "For the operator: upgrade the node that the detail names. Everything older goes on meanwhile.",
    NotLeader => "Ask again: the node is starting or the cluster is choosing a leader. Nothing was done.",
    NoQuorum => "Ask again: nothing was done. Look at the other nodes if it stays.",
    ShuttingDown => "Ask again, or ask another node. Nothing was done.",
    OutcomeUnknown => "The command may have been carried out. Look at the lock before doing it again; a hold that nobody knows of ends with its lease or session.",
    StorageFailed => "The server stops by itself, because it answers nothing that it cannot write. Look at its log and its disk.",
    Overloaded => "Ask again after a pause.",
    DiskFull => "Free disk space: the node has started on a full disk and shows what it holds; it goes on by itself.",
    DiskNearlyFull => "Free disk space. Releases and renewals still work.",
    AuditUnwritten => "For the operator: look at the disk of the audit file. Until it can be written, administrative acts are refused, or go on without a line with `audit.on_failure = \"continue\"`.",
    NodeWiped => "Ask another node: nothing was done. For the operator: `latchd members remove` the node, then add it again.",
    NodeRemoved => "Ask another node: nothing was done. For the operator: stop the node, or `latchd members add` it again.",
    RunsAlone => "Start the node with `--peer-listen` and its certificates, then add the others.",
    NoSuchMember => "Look at `latchd members list` or `GET /v1/cluster` for the ids of the members.",
    MemberExists => "There is nothing to do, or remove the node first if it is to come back with an empty disk.",
    MemberUnreachable => "Start the node, check its address, its certificates and that its data directory is empty, then ask again.",
    MemberBehind => "Wait until its lag is close to 0, then promote it.",
    WouldLoseQuorum => "Bring another node up first, or add and promote a new one.",
    MembershipBusy => "Wait until the other change is finished, then ask again.",
    Internal => "Report it with the server's log of that moment.",
}
