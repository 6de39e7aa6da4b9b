//! Why credentials or options cannot be used.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    #[error("the password hash of credential `{name}` cannot be used: {problem}")]
    PasswordHash { name: String, problem: String },
    #[error("the secret of credential `{name}` is empty")]
    Empty { name: String },
    #[error("credentials `{first}` and `{second}` have the same secret but different rights")]
    SameSecret { first: String, second: String },
    #[error("two API keys are named `{name}`: give each a name of its own in access.keys")]
    SameName { name: String },
    #[error("`{option}` must be at least {least}")]
    OptionTooSmall { option: &'static str, least: &'static str },
    #[error("the operating system's random generator failed: {problem}")]
    Random { problem: String },
    #[error("the password cannot be hashed: {problem}")]
    Hashing { problem: String },
}
