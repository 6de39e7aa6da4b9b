//! The commands that are served, and how many arguments each takes, its name included.

use super::error::RedisError;
use super::request::Request;
use std::ops::RangeInclusive;

const MANY: usize = usize::MAX;

/// Declares each command once: variant, name, arguments, and whether a client may send it before it is identified.
macro_rules! commands {
    ($($variant:ident = $name:literal, $arguments:expr, $open:literal;)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Command {
            $($variant,)*
        }

        impl Command {
            const ALL: &[Command] = &[$(Command::$variant),*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Command::$variant => $name,)*
                }
            }

            pub const fn arguments(self) -> RangeInclusive<usize> {
                match self {
                    $(Command::$variant => $arguments,)*
                }
            }

            pub const fn is_open(self) -> bool {
                match self {
                    $(Command::$variant => $open,)*
                }
            }
        }

        /// What commands are counted under.
        pub const LABELS: &[&str] = &[OTHER, $($name),*];
    };
}

/// The label of commands that are not served.
pub const OTHER: &str = "other";

commands! {
    Set = "SET", 3..=MANY, false;
    SetNx = "SETNX", 3..=3, false;
    Get = "GET", 2..=2, false;
    MGet = "MGET", 2..=MANY, false;
    Del = "DEL", 2..=MANY, false;
    Unlink = "UNLINK", 2..=MANY, false;
    Exists = "EXISTS", 2..=MANY, false;
    Type = "TYPE", 2..=2, false;
    Ttl = "TTL", 2..=2, false;
    PTtl = "PTTL", 2..=2, false;
    Expire = "EXPIRE", 3..=3, false;
    PExpire = "PEXPIRE", 3..=3, false;
    Eval = "EVAL", 3..=MANY, false;
    EvalSha = "EVALSHA", 3..=MANY, false;
    Script = "SCRIPT", 2..=MANY, false;
    Token = "LATCHD.TOKEN", 2..=3, false;
    Hello = "HELLO", 1..=MANY, true;
    Auth = "AUTH", 2..=3, true;
    Quit = "QUIT", 1..=MANY, true;
    Reset = "RESET", 1..=1, true;
    Select = "SELECT", 2..=2, false;
    Client = "CLIENT", 2..=MANY, false;
    Ping = "PING", 1..=2, false;
    Echo = "ECHO", 2..=2, false;
    Info = "INFO", 1..=MANY, false;
    Details = "COMMAND", 1..=MANY, false;
    Time = "TIME", 1..=1, false;
}

/// Names of commands are short; more of an unknown one is not repeated.
const NAME_BYTES_MAX: usize = 32;

impl Command {
    /// Whether rates count it: it takes or reads keys. What only keeps or ends holds, or is about the connection, always passes;
    /// a script is judged by what it does.
    pub const fn is_counted(self) -> bool {
        use Command::{Exists, Get, MGet, PTtl, Set, SetNx, Token, Ttl, Type};
        matches!(self, Set | SetNx | Get | MGet | Exists | Type | Ttl | PTtl | Token)
    }

    /// Whether it is about keys, and so may reach the table; the others are about the connection.
    const fn is_about_keys(self) -> bool {
        use Command::{Del, Eval, EvalSha, Expire, PExpire, Unlink};
        self.is_counted() || matches!(self, Del | Unlink | Expire | PExpire | Eval | EvalSha)
    }

    pub fn find(name: &[u8]) -> Option<Command> {
        Command::ALL.iter().copied().find(|command| command.name().as_bytes().eq_ignore_ascii_case(name))
    }

    pub const fn count() -> i64 {
        Command::ALL.len() as i64
    }
}

/// The name of a command that may reach the lock table.
pub fn table_command(request: &Request<'_>) -> Option<&'static str> {
    Command::find(request.get(0)).filter(|command| command.is_about_keys()).map(Command::name)
}

/// The error of a command that is not served. Its arguments may be secrets, and are not repeated.
pub fn unknown(name: &[u8]) -> RedisError {
    let known: Vec<&str> =
        Command::ALL.iter().filter(|command| !command.is_open()).map(|command| command.name()).collect();
    let name = String::from_utf8_lossy(&name[..name.len().min(NAME_BYTES_MAX)]);
    RedisError::new(format!("unknown command {name:?}: latchd serves the lock commands of Redis: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_found_in_any_case() {
        assert_eq!(Command::find(b"latchd.Token"), Some(Command::Token));
        assert_eq!(Command::find(b"LPUSH"), None);
        assert_eq!(LABELS.len() as i64, Command::count() + 1);
    }
}
