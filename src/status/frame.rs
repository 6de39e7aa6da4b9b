//! What stands around every page of the console: the title, the ways to the other pages, and who looks.

use super::asked::Href;
use super::html::{Html, fill};
use crate::access::{Identity, Role};
use crate::domain::Dialect;

const TEMPLATE: &str = include_str!("assets/page.html");

/// The titles of the dialects.
pub type Titles<'a> = &'a (dyn Fn(Dialect) -> &'static str + Sync);

/// What a page knows besides its content.
pub struct Context<'a> {
    /// `None` for somebody who has shown no credential.
    pub viewer: Option<&'a Identity>,
    pub titles: Titles<'a>,
    /// The moment after so many milliseconds, for people.
    pub moment_after: fn(u64) -> String,
    /// Where the viewer found this server, for examples: `https://host:port`.
    pub origin: String,
    /// A credential is configured.
    pub needs_credential: bool,
    /// The viewer has logged in, and can log out.
    pub is_logged_in: bool,
    /// The query by which the page reads itself anew without a script, where that must not look like somebody's visit.
    pub refresh_query: Option<String>,
    /// What forms carry to show that they were made for this viewer.
    pub form_token: String,
    /// What was just done.
    pub note: Option<String>,
}

impl Context<'_> {
    /// Part of each form that changes something.
    pub fn token_field(&self) -> Html {
        let mut html = Html::default();
        html.raw("<input type=\"hidden\" name=\"form\" value=\"").text(&self.form_token).raw("\">");
        html
    }
}

/// The path to which the form is sent by which somebody logs out.
pub const LOGOUT: &str = "/ui/logout";

/// The pages that the navigation names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    Locks,
    Elections,
    Sessions,
    Events,
    Contention,
    Freezes,
    Cluster,
    Rights,
    /// None of them.
    Other,
}

impl Section {
    const ALL: [Section; 8] = [
        Section::Locks,
        Section::Contention,
        Section::Freezes,
        Section::Elections,
        Section::Sessions,
        Section::Events,
        Section::Cluster,
        Section::Rights,
    ];

    pub const fn path(self) -> &'static str {
        match self {
            Section::Locks | Section::Other => "/",
            Section::Elections => "/ui/elections",
            Section::Sessions => "/ui/sessions",
            Section::Events => "/ui/events",
            Section::Contention => "/ui/contention",
            Section::Freezes => "/ui/freezes",
            Section::Cluster => "/ui/cluster",
            Section::Rights => "/ui/rights",
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Section::Locks => "Locks",
            Section::Elections => "Elections",
            Section::Sessions => "Sessions",
            Section::Events => "Events",
            Section::Contention => "Contention",
            Section::Freezes => "Freezes",
            Section::Cluster => "Cluster",
            Section::Rights => "Your rights",
            Section::Other => "Console",
        }
    }
}

/// One page.
pub struct Page {
    /// Of the window, without the name of the program.
    pub title: String,
    pub section: Section,
    /// The page is one below its section.
    pub is_below: bool,
    /// The one `h1`.
    pub heading: Html,
    /// Forms, which are not exchanged while somebody uses them.
    pub above: Html,
    pub body: Html,
    /// It has a form that takes a while to fill in, so without a script it does not reload itself.
    pub is_filled_in: bool,
    /// The page is read anew while it is shown; with the parameters of the events that tell when.
    pub live: Option<Href>,
}

/// The path of the console's stream of events.
pub const STREAM: &str = "/ui/stream";

impl Page {
    /// A page of the navigation.
    pub fn of(section: Section, body: Html) -> Page {
        Page {
            title: section.label().to_owned(),
            section,
            is_below: false,
            heading: Html::of(section.label()),
            above: Html::default(),
            body,
            is_filled_in: false,
            live: None,
        }
    }

    pub fn finish(self, context: &Context<'_>) -> String {
        let mut live = Html::default();
        let mut noscript = Html::default();
        if let Some(stream) = &self.live {
            live.raw(" data-stream=\"").append(stream.written()).raw("\"");
            if !self.is_filled_in {
                noscript.raw("<noscript><meta http-equiv=\"refresh\" content=\"5");
                context.refresh_query.iter().for_each(|query| _ = noscript.raw("; url=?").text(query));
                noscript.raw("\"></noscript>\n");
            }
        }
        let freshness = match self.live {
            Some(_) => "This page reads the state anew every few seconds.",
            None => "",
        };
        let parts = vec![
            ("title", Html::of(format_args!("{} · latchd", self.title))),
            ("version", Html::of(env!("CARGO_PKG_VERSION"))),
            ("refresh", noscript),
            ("nav", nav(self.section, context)),
            ("who", who(context)),
            ("crumbs", self.crumbs()),
            ("heading", self.heading),
            ("note", note(context)),
            ("above", self.above),
            ("live", live),
            ("body", self.body),
            ("freshness", Html::of(freshness)),
        ];
        fill(TEMPLATE, parts)
    }

    fn crumbs(&self) -> Html {
        let mut html = Html::default();
        html.raw("<ol><li><a href=\"/\">latchd</a></li>");
        if self.is_below {
            html.raw("<li><a href=\"").raw(self.section.path()).raw("\">").raw(self.section.label()).raw("</a></li>");
        }
        html.raw("<li aria-current=\"page\"><bdi>").append(self.heading.copy()).raw("</bdi></li></ol>");
        html
    }
}

fn nav(here: Section, context: &Context<'_>) -> Html {
    // Sessions belong to the whole service.
    let is_limited = context.viewer.is_some_and(|viewer| !viewer.sees_every_name());
    let mut html = Html::default();
    html.raw("<ul>");
    for section in Section::ALL.into_iter().filter(|section| !is_limited || *section != Section::Sessions) {
        html.raw("<li><a href=\"").raw(section.path()).raw("\"");
        html.raw(if section == here { " aria-current=\"true\">" } else { ">" }).raw(section.label()).raw("</a></li>");
    }
    html.raw("<li><a href=\"/docs\">API</a></li></ul>");
    html
}

fn who(context: &Context<'_>) -> Html {
    let mut html = Html::default();
    match context.viewer {
        None => html.raw("<span class=\"quiet\">not logged in</span>"),
        Some(_) if !context.needs_credential => html.raw("<span class=\"quiet\">no login needed</span>"),
        Some(viewer) => {
            html.raw("<span class=\"quiet\">").raw(role(viewer.role)).raw("</span> <bdi class=\"user\" title=\"");
            html.text(&viewer.name).raw("\">").text(&viewer.name).raw("</bdi>")
        }
    };
    if context.is_logged_in {
        html.raw("<form method=\"post\" action=\"").raw(LOGOUT).raw("\">").append(context.token_field());
        html.raw("<button type=\"submit\">Log out</button></form>");
    }
    html
}

/// What was just done, read out by screen readers.
fn note(context: &Context<'_>) -> Html {
    let mut html = Html::default();
    if let Some(note) = &context.note {
        html.raw("<p class=\"note\" role=\"status\">").text(note).raw("</p>\n");
    }
    html
}

pub const fn role(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Admin => "admin",
        Role::ReadOnly => "read-only",
    }
}
