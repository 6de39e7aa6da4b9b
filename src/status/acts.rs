//! What an operator can do by hand, and the page that asks for a confirmation: it names what happens.

use super::asked::{Asked, Href};
use super::frame::{Context, Page, Section};
use super::html::Html;
use super::human::{Count, Length, Span};
use super::names;
use super::owner;
use crate::access::Identity;
use crate::domain::view::{HoldView, LockView, SessionView, WaiterView};
use crate::domain::{FreezeHolds, Name, Token};
use std::time::Duration;

/// What can be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    ForceRelease,
    DropWaiter,
    EndSession,
    Take,
    GiveBack,
    Freeze,
    Thaw,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::ForceRelease, Kind::DropWaiter, Kind::EndSession, Kind::Take, Kind::GiveBack, Kind::Freeze, Kind::Thaw];

    pub const fn path(self) -> &'static str {
        match self {
            Kind::ForceRelease => "/ui/act/force-release",
            Kind::DropWaiter => "/ui/act/drop-waiter",
            Kind::EndSession => "/ui/act/end-session",
            Kind::Take => "/ui/act/take",
            Kind::GiveBack => "/ui/act/give-back",
            Kind::Freeze => "/ui/act/freeze",
            Kind::Thaw => "/ui/act/thaw",
        }
    }

    /// The heading of the page that asks, and its button.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::ForceRelease => ("Force the release", "Force the release"),
            Kind::DropWaiter => ("Drop a waiter", "Drop the waiter"),
            Kind::EndSession => ("End a session", "End the session"),
            Kind::Take => ("Take a lock by hand", "Take the lock"),
            Kind::GiveBack => ("Give a lock back", "Give it back"),
            Kind::Freeze => ("Freeze", "Freeze"),
            Kind::Thaw => ("Thaw", "Thaw"),
        }
    }

    /// It takes something from another client.
    const fn is_harsh(self) -> bool {
        matches!(self, Kind::ForceRelease | Kind::DropWaiter | Kind::EndSession)
    }
}

/// How long a lock can be taken by hand, in seconds.
pub const LEASES_SECONDS: [u64; 5] = [900, 3_600, 14_400, 43_200, 86_400];

/// The parameters that name what is acted on, in the address of the page and in its form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub token: String,
    pub waiter: String,
    pub handle: String,
    /// Of a freeze: which names the name stands for, what becomes of the holds, and for how many seconds or until when.
    pub covers: String,
    pub holds: String,
    pub seconds: String,
    pub until: String,
}

impl Target {
    pub fn of(asked: Asked<'_>) -> Target {
        let [name, token, waiter, handle] = ["name", "token", "waiter", "handle"].map(|field| asked.text(field));
        let [covers, holds, seconds, until] = ["match", "holds", "for", "until"].map(|field| asked.text(field));
        Target { name, token, waiter, handle, covers, holds, seconds, until }
    }

    pub fn hold(name: &Name, token: Token) -> Target {
        Target { name: name.to_string(), token: token.0.to_string(), ..Target::default() }
    }

    pub fn waiter(name: &Name, waiter: &WaiterView) -> Target {
        Target { name: name.to_string(), waiter: waiter.key.handle(), ..Target::default() }
    }

    pub fn session(handle: &str) -> Target {
        Target { handle: handle.to_owned(), ..Target::default() }
    }

    pub fn lock(name: &Name) -> Target {
        Target { name: name.to_string(), ..Target::default() }
    }

    fn fields(&self) -> [(&'static str, &str); 8] {
        [
            ("name", &self.name),
            ("token", &self.token),
            ("waiter", &self.waiter),
            ("handle", &self.handle),
            ("match", &self.covers),
            ("holds", &self.holds),
            ("for", &self.seconds),
            ("until", &self.until),
        ]
    }

    pub fn href(&self, kind: Kind) -> Href {
        self.fields().into_iter().fold(Href::to(kind.path()), |href, (name, value)| href.with(name, value))
    }

    /// The page to go back to after this act.
    pub fn back(&self, kind: Kind) -> Href {
        match kind {
            Kind::Freeze | Kind::Thaw => Href::to(Section::Freezes.path()),
            Kind::EndSession => Href::to(owner::SESSION).with("handle", &self.handle),
            _ => Href::to(names::LOCK).with("name", &self.name),
        }
    }
}

/// A way to the page that asks for a confirmation.
pub fn link(kind: Kind, target: &Target, label: &'static str) -> Html {
    let mut html = Html::default();
    html.raw(if kind.is_harsh() { "<a class=\"act harsh\" href=\"" } else { "<a class=\"act\" href=\"" });
    html.append(target.href(kind).written()).raw("\">").raw(label).raw("</a>");
    html
}

/// What the page asks.
pub struct Question {
    pub kind: Kind,
    pub target: Target,
    /// What happens, in sentences.
    pub what: Html,
    /// As it was sent before, where that was refused.
    pub reason: String,
    pub refused: Option<String>,
}

impl Question {
    fn is_harsh(&self) -> bool {
        self.kind.is_harsh() || self.target.holds == FreezeHolds::Break.as_str()
    }
}

pub fn page(question: &Question, context: &Context<'_>) -> String {
    let (heading, button) = question.kind.words();
    let mut body = Html::default();
    if let Some(why) = &question.refused {
        body.raw("<p class=\"refused\" role=\"alert\">").text(why).raw(".</p>\n");
    }
    body.append(form(question, context, button, &question.target.back(question.kind)));
    let page = Page { title: heading.to_owned(), heading: Html::of(heading), ..Page::of(Section::Other, body) };
    page.finish(context)
}

fn form(question: &Question, context: &Context<'_>, button: &'static str, back: &Href) -> Html {
    let mut html = Html::default();
    html.raw("<form class=\"card\" method=\"post\" action=\"").raw(question.kind.path()).raw("\">");
    html.append(question.what.copy()).append(context.token_field());
    for (name, value) in question.target.fields().into_iter().filter(|(_, value)| !value.is_empty()) {
        html.raw("<input type=\"hidden\" name=\"").raw(name).raw("\" value=\"").text(value).raw("\">");
    }
    if question.kind == Kind::Take {
        html.raw("<label for=\"lease\">For at most</label><select id=\"lease\" name=\"lease\">");
        for seconds in LEASES_SECONDS {
            html.raw("<option value=\"").text(seconds).raw("\">").text(Length(Duration::from_secs(seconds)));
            html.raw("</option>");
        }
        html.raw("</select>");
    }
    html.raw("<label for=\"reason\">Reason, for the log and for others</label>");
    html.raw("<input id=\"reason\" name=\"reason\" maxlength=\"256\" required autocomplete=\"off\" autofocus value=\"");
    html.text(&question.reason).raw("\">");
    html.raw("<p class=\"buttons\"><button type=\"submit\" class=\"");
    html.raw(if question.is_harsh() { "main harsh\">" } else { "main\">" }).raw(button).raw("</button> ");
    html.raw("<a href=\"").append(back.written()).raw("\">Cancel</a></p></form>\n");
    html
}

/// What happens when a hold is ended by force.
pub fn on_force(lock: &LockView, hold: &HoldView, context: &Context<'_>) -> Html {
    let mut html = Html::default();
    html.raw("<p>The hold of ").append(names::link(&lock.name)).raw(" under token <strong>").text(hold.token.0);
    html.raw("</strong> ends at once:</p>\n<blockquote>")
        .append(owner::of_hold(context, hold))
        .raw("</blockquote>\n<ul>");
    all_names(&mut html, hold.names());
    html.raw("<li>").append(who_follows(lock, ", under a higher token")).raw(
        "</li><li>Its holder is not asked, and learns of it at its next request. If it still works, only a resource ",
    );
    html.raw("that checks fencing tokens stops it.</li></ul>\n");
    html
}

/// Who gets a lock that its holder loses.
fn who_follows(lock: &LockView, under: &'static str) -> Html {
    let (mut html, waiters) = (Html::default(), Count(lock.waiters.into(), "waiter"));
    match (lock.waiters, &lock.frozen) {
        (0, _) => html.raw("Nobody waits for it, so it is free then."),
        (_, None) => html.raw("The next of ").text(waiters).raw(" gets it").raw(under).raw("."),
        (_, Some(by)) => {
            html.raw("None of those who wait gets it while it is frozen, for another ");
            html.text(Span(Duration::from_millis(by.remaining_ms))).raw(".")
        }
    };
    html
}

fn all_names<'a>(html: &mut Html, names: impl Iterator<Item = &'a Name>) {
    let names: Vec<&Name> = names.collect();
    if names.len() > 1 {
        html.raw("<li>It ends under all its names: ");
        for (at, name) in names.into_iter().enumerate() {
            html.raw(if at > 0 { ", " } else { "" }).append(names::link(name));
        }
        html.raw(".</li>");
    }
}

/// What happens when a waiter is dropped.
pub fn on_drop(name: &Name, waiter: &WaiterView, context: &Context<'_>) -> Html {
    let mut html = Html::default();
    html.raw("<p>This waiter leaves the queue of ").append(names::link(name)).raw(", where it has place <strong>");
    html.text(u64::from(waiter.position) + 1).raw("</strong>:</p>\n<blockquote>");
    html.append(owner::of_waiter(context, waiter)).raw("</blockquote>\n<ul>");
    html.raw("<li>Its request is answered that an operator took it out of the queue. It may ask again, and then stands last.</li>");
    html.raw("<li>If it is granted the lock while you confirm, that hold ends.</li></ul>\n");
    html
}

/// What happens when a session is ended.
pub fn on_end(session: &SessionView) -> Html {
    let mut html = Html::default();
    html.raw("<p>The session <span class=\"handle\">")
        .text(session.session.handle())
        .raw("</span> ends at once.</p>\n<ul>");
    html.raw("<li>").text(Count(session.holds.into(), "hold")).raw(" of it and ");
    html.text(Count(session.waiters.into(), "wait"))
        .raw(" end with it; others get those locks, under higher tokens.</li>");
    html.raw(
        "<li>Its client is not asked, and learns of it at its next request. If it still works, only resources that ",
    );
    html.raw("check fencing tokens stop it.</li></ul>\n");
    html
}

/// What happens when a lock is taken by hand.
pub fn on_take(name: &Name) -> Html {
    let mut html = Html::default();
    html.raw("<p>You hold ")
        .append(names::link(name))
        .raw(" alone, until you give it back or the time is over. Nobody ");
    html.raw("else is granted it meanwhile. If somebody holds it now, nothing is taken.</p>\n");
    html
}

/// What happens when a lock is given back.
pub fn on_give_back(lock: &LockView, hold: &HoldView) -> Html {
    let mut html = Html::default();
    html.raw("<p>You give back ").append(names::link(&lock.name)).raw(", which you hold under token <strong>");
    html.text(hold.token.0).raw("</strong>. ").append(who_follows(lock, "")).raw("</p>\n");
    html
}

/// The key of the metadata by which a hold shows who took it in the console.
pub const BY_HAND: &str = "taken by hand by";

/// Whether this viewer took this hold by hand. Anybody can write the metadata, and identity tokens of several subjects can
/// have one name, so the credential must be the same too.
pub fn is_taken_by(hold: &HoldView, viewer: &Identity) -> bool {
    hold.credential == viewer.credential && hold.metadata.iter().any(|pair| pair == (BY_HAND, &*viewer.name))
}
