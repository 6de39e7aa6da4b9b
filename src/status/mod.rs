//! The pages for people: the status page and the API page.
//!
//! What lives here: what they show and how it looks, as HTML, one style sheet and one small script, all compiled in.
//! What may not: routes, credentials and decisions about locks. Nothing here loads anything from another host.

pub mod assets;
mod docs;
mod html;
mod human;
mod locks;
mod page;
mod view;

#[cfg(test)]
mod tests;

pub use docs::{docs_page, errors_page};
pub use page::{page, trouble_page};
pub use view::{PageQuery, gather};
