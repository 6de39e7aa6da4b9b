//! The pages for people: the console and the API page.
//!
//! What lives here: what they show and how it looks, as HTML, one style sheet and one small script, all compiled in.
//! What may not live here: routes, credentials and decisions about locks. Nothing here loads anything from another host.
//!
//! One file for each page: its `gather` reads what a viewer may see, and its `page` writes it.

pub mod acts;
mod asked;
pub mod assets;
pub mod contention;
mod docs;
pub mod elections;
pub mod events;
mod frame;
pub mod freezes;
mod history;
mod html;
mod human;
pub mod lock;
pub mod locks;
pub mod login;
pub mod members;
mod names;
mod owner;
pub mod rights;
pub mod session;
pub mod sessions;
mod table;
pub mod trouble;

#[cfg(test)]
mod tests;

pub use asked::{Asked, Href};
pub use docs::{Service, docs_page, errors_page};
pub use frame::{Context, LOGOUT, STREAM, Section, Titles};
pub use html::Html;
