//! Scripts: recognised by their text, and carried out by the engine.

mod digest;
mod known;
mod lua;
pub mod run;
mod shape;
mod table;

pub use known::KnownScripts;
pub use lua::canonical;
