//! The page of freezes: what is frozen, why, until when and by whom; and what happens when something is frozen or thawed.

use super::acts::{self, Kind, Target};
use super::asked::{Asked, Href};
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::human::{Count, Grouped, Length, Span};
use super::names;
use super::table::{Column, cell, empty, figure, number, pager, table, text};
use crate::access::Identity;
use crate::base::ends_with_separator;
use crate::domain::{Covers, Freeze, FreezeHolds, FreezeOrder, FrozenBy, Name, Timestamp};
use crate::engine::{Engine, Fault};
use std::time::Duration;

const SHOWN: usize = 100;

/// How long something can be frozen in the console, in seconds, as far as the longest freeze allows.
const LENGTHS_SECONDS: [u64; 9] = [900, 3_600, 14_400, 43_200, 86_400, 259_200, 604_800, 1_209_600, 2_592_000];

const COVERS: [(&str, &str); 3] =
    [("name", "one lock"), ("prefix", "all names that start with"), ("everything", "everything")];

const HOLDS: [(FreezeHolds, &str); 2] = [(FreezeHolds::Drain, "may finish"), (FreezeHolds::Break, "are ended")];

/// What the page shows.
pub struct FreezesView {
    pub(super) freezes: Vec<(Name, Freeze)>,
    pub(super) now: Timestamp,
    /// The name with which the form begins.
    pub(super) name: String,
    pub(super) is_first: bool,
    pub(super) has_more: bool,
    /// Locks are still looked at: holds may be left under freezes that end them.
    pub(super) is_sweeping: bool,
    pub(super) longest_ms: u64,
}

/// The freezes that concern any name that this viewer may see.
pub async fn gather(engine: &Engine, viewer: &Identity, asked: Asked<'_>) -> Result<FreezesView, Fault> {
    let after = asked.given("after").map(|after| Name::from(&*after));
    let (all, now) = engine.freezes().await?;
    let own = viewer.prefixes_under("");
    let is_seen = |target: &Name, freeze: &Freeze| own.iter().any(|own| freeze.concerns_any_under(target, own));
    let mut seen = all.after(after.as_ref(), now).filter(|(target, freeze)| is_seen(target, freeze));
    let page = seen.by_ref().take(SHOWN).map(|(target, freeze)| (target.clone(), freeze.clone()));
    Ok(FreezesView {
        freezes: page.collect(),
        has_more: seen.next().is_some(),
        is_sweeping: all.is_sweeping(),
        now,
        name: asked.text("name"),
        is_first: after.is_none(),
        longest_ms: engine.limits().freeze_ms_max,
    })
}

pub fn page(view: &FreezesView, context: &Context<'_>) -> String {
    const COLUMNS: [Column; 6] =
        [text("Frozen"), text("Reason"), text("Who holds now"), number("Frozen for"), number("Ends in"), text("By")];
    let mut body = Html::default();
    if view.freezes.is_empty() {
        let mut next = Html::default();
        next.raw(
            "<p>Locks are granted as ever. While a release goes out or a database moves, a freeze keeps anybody from ",
        );
        next.raw("beginning something new, with a reason and an end that those who are refused are told.</p>");
        empty(&mut body, "Nothing is frozen", next);
    } else {
        let mut rows = Html::default();
        view.freezes.iter().for_each(|(target, freeze)| row(&mut rows, target, freeze, view, context));
        table(&mut body, "Freezes", "freezes", &COLUMNS, rows);
    }
    let here = || Href::to(Section::Freezes.path());
    let last = view.freezes.last().filter(|_| view.has_more);
    pager(&mut body, (!view.is_first).then(here), last.map(|(target, _)| here().with("after", target)));
    let may_freeze = context.viewer.is_some_and(Identity::is_admin);
    let above = if may_freeze { form(view, context) } else { Html::default() };
    let live = Some(Href::to(STREAM));
    Page { above, live, is_filled_in: may_freeze, ..Page::of(Section::Freezes, body) }.finish(context)
}

fn row(html: &mut Html, target: &Name, freeze: &Freeze, view: &FreezesView, context: &Context<'_>) {
    let now = view.now;
    let may_thaw = context.viewer.is_some_and(|viewer| viewer.may_administer(target));
    html.raw("<tr><td>").append(named(target, freeze.covers));
    if may_thaw {
        html.raw(" <span class=\"via\">").append(acts::link(Kind::Thaw, &Target::lock(target), "Thaw")).raw("</span>");
    }
    html.raw("</td>");
    let mut reason = Html::default();
    reason.raw("<bdi>").text(&freeze.reason).raw("</bdi>");
    cell(html, "Reason", reason);
    let mut holds = Html::default();
    match freeze.holds {
        FreezeHolds::Drain => holds.raw("may finish"),
        FreezeHolds::Break if view.is_sweeping => holds.raw("<span class=\"mark bad\">is being ended</span>"),
        FreezeHolds::Break => holds.raw("<span class=\"mark bad\">was ended</span>"),
    };
    cell(html, "Who holds now", holds);
    figure(html, "Frozen for", Html::of(Span(now.since(freeze.since))));
    let left = freeze.until.since(now);
    let mut end = Html::of(Span(left));
    end.raw("<span class=\"via\">").text(until(left, context)).raw("</span>");
    figure(html, "Ends in", end);
    let mut by = Html::default();
    match may_thaw {
        true => by.raw("<bdi>").text(&freeze.by).raw("</bdi>"),
        false => by.raw("<span class=\"quiet\">shown to its admins</span>"),
    };
    cell(html, "By", by);
    html.raw("</tr>\n");
}

/// What a target stands for.
fn named(target: &Name, covers: Covers) -> Html {
    let mut html = Html::default();
    match covers {
        Covers::Name => return names::link(target),
        Covers::Prefix if target.is_empty() => html.raw("<strong>everything</strong>"),
        Covers::Prefix => html.raw("all that start with <bdi class=\"name\">").text(target).raw("</bdi>"),
    };
    html
}

fn until(left: Duration, context: &Context<'_>) -> String {
    (context.moment_after)(left.as_millis() as u64)
}

/// It leads to the page that asks for a confirmation.
fn form(view: &FreezesView, context: &Context<'_>) -> Html {
    // A hold ends under all its names.
    let may_break = context.viewer.is_some_and(Identity::sees_every_name);
    let mut html = Html::default();
    html.raw("<form class=\"search\" action=\"").raw(Kind::Freeze.path()).raw("\" method=\"get\">");
    html.raw("<label>Freeze <select name=\"match\">");
    for (covers, label) in COVERS {
        html.raw("<option value=\"").raw(covers).raw("\">").raw(label).raw("</option>");
    }
    html.raw("</select></label>\n<label>Name <input name=\"name\" autocomplete=\"off\" autocapitalize=\"off\" ");
    html.raw("spellcheck=\"false\" value=\"").text(&view.name).raw("\"></label>\n<label>For <select name=\"for\">");
    for seconds in lengths(view.longest_ms / 1_000) {
        html.raw("<option value=\"")
            .text(seconds)
            .raw("\">")
            .text(Length(Duration::from_secs(seconds)))
            .raw("</option>");
    }
    html.raw("</select></label>\n<label class=\"moment\">or until, in UTC ");
    html.raw("<input name=\"until\" type=\"datetime-local\" min=\"").text(minute_after(0, context)).raw("\" max=\"");
    html.text(minute_after(view.longest_ms, context));
    html.raw("\"></label>\n<label>Who holds a lock <select name=\"holds\">");
    for (holds, label) in HOLDS.into_iter().filter(|(holds, _)| may_break || *holds == FreezeHolds::Drain) {
        html.raw("<option value=\"").raw(holds.as_str()).raw("\">").raw(label).raw("</option>");
    }
    html.raw("</select></label>\n<label class=\"wide\">Reason <input name=\"reason\" maxlength=\"256\" required ");
    html.raw("autocomplete=\"off\"></label>\n<button type=\"submit\">Freeze…</button></form>\n");
    html
}

/// As a field for a date and a time has it.
fn minute_after(ms: u64, context: &Context<'_>) -> String {
    (context.moment_after)(ms).chars().take("2026-11-30T06:00".len()).collect()
}

/// The longest one alone where it is shorter than those that are offered.
fn lengths(longest_seconds: u64) -> Vec<u64> {
    let offered: Vec<u64> = LENGTHS_SECONDS.into_iter().filter(|seconds| *seconds <= longest_seconds).collect();
    if offered.is_empty() { vec![longest_seconds.max(1)] } else { offered }
}

/// What somebody holds of what is to be frozen.
pub struct Under {
    pub held: u64,
    /// The names of some of them, where they are several.
    pub first: Vec<Name>,
    /// The freeze of the same that ends with this one.
    pub replaced: Option<FrozenBy>,
}

/// What happens when something is frozen.
pub fn on_freeze(order: &FreezeOrder, under: &Under, context: &Context<'_>) -> Html {
    let length = Duration::from_millis(order.for_ms);
    let mut html = Html::default();
    html.raw("<p>Nothing new is granted of ").append(named(&order.target, order.covers)).raw(" for <strong>");
    html.text(Length(length)).raw("</strong>, until ").text(until(length, context)).raw(
        ":</p>
<ul>",
    );
    named_alone(&mut html, order);
    html.raw(
        "<li>Who asks and does not wait is refused, and told the reason and the end. Who waits stays in the queue, ",
    );
    html.raw("and gets its lock in its turn after the freeze.</li><li>");
    held(&mut html, under);
    html.raw(match (under.held, order.holds) {
        (0, _) => "",
        (_, FreezeHolds::Drain) => " That goes on: holders renew and finish as before.",
        (_, FreezeHolds::Break) => {
            " <strong>All of that is ended.</strong> Holders are not asked, and learn of it at their next request; only \
             resources that check fencing tokens stop them."
        }
    });
    html.raw("</li><li>It ends by itself, or when somebody thaws it.");
    if let Some(by) = &under.replaced {
        html.raw(" It takes the place of the freeze that there is, which would end in ").append(left(by));
        html.raw(": <bdi>").text(&by.reason).raw("</bdi>");
    }
    html.raw("</li></ul>\n");
    html
}

/// A name alone is easily taken for all that is below it.
fn named_alone(html: &mut Html, order: &FreezeOrder) {
    if order.covers == Covers::Prefix {
        return;
    }
    html.raw("<li>Only the lock of this name is frozen, and none whose name is longer.");
    if ends_with_separator(&order.target) {
        html.raw(" <strong>The name looks like the start of others:</strong> to freeze those, go back and choose “");
        html.raw(COVERS[1].1).raw("”.");
    }
    html.raw("</li>");
}

fn held(html: &mut Html, under: &Under) {
    html.raw(match under.held {
        0 => "Nobody holds anything of it now.",
        _ => "Held now: ",
    });
    if under.held == 0 {
        return;
    }
    html.text(Count(under.held, "lock"));
    for (at, name) in under.first.iter().enumerate() {
        html.raw(if at == 0 { ": " } else { ", " }).append(names::link(name));
    }
    let more = under.held - under.first.len() as u64;
    if more > 0 && !under.first.is_empty() {
        html.raw(" and ").text(Grouped(more)).raw(" more");
    }
    html.raw(".");
}

/// What happens when a freeze is ended.
pub fn on_thaw(target: &Name, freeze: &Freeze, now: Timestamp, context: &Context<'_>) -> Html {
    let left = freeze.until.since(now);
    let mut html = Html::default();
    html.raw("<p>The freeze of ").append(named(target, freeze.covers)).raw(" ends now instead of in <strong>");
    html.text(Span(left)).raw("</strong>, at ").text(until(left, context)).raw(":</p>\n<blockquote><bdi>");
    html.text(&freeze.reason).raw("</bdi><span class=\"via\">frozen by <bdi>").text(&freeze.by).raw("</bdi>, ");
    html.text(Span(now.since(freeze.since))).raw(" ago</span></blockquote>\n<ul>");
    html.raw("<li>Who waits gets its lock in its turn. Other freezes of the same names go on.</li></ul>\n");
    html
}

/// Above the page of a lock that is frozen.
pub fn notice(by: &FrozenBy, context: &Context<'_>) -> Html {
    let mut html = Html::default();
    html.raw("<p class=\"frozen\"><span class=\"mark busy\">frozen</span> Nothing new is granted of ");
    html.append(named_by(by)).raw(" until ").text((context.moment_after)(by.remaining_ms)).raw(", for another ");
    html.append(left(by)).raw(": <bdi>").text(&by.reason).raw("</bdi> <a href=\"").raw(Section::Freezes.path());
    html.raw("\">All freezes</a></p>\n");
    html
}

/// In a list, below the name of a lock that is frozen.
pub fn mark(by: &FrozenBy, context: &Context<'_>) -> Html {
    let mut html = Html::default();
    html.raw("<span class=\"via\"><span class=\"mark busy\">frozen</span> until ");
    html.text((context.moment_after)(by.remaining_ms)).raw(": <bdi>").text(&by.reason).raw("</bdi></span>");
    html
}

/// Above the queue of such a lock.
pub fn queue_notice(by: &FrozenBy) -> Html {
    let mut html = Html::default();
    html.raw("<p class=\"state\"><span class=\"mark busy\">frozen</span> Nobody here is granted the lock for another ");
    html.append(left(by)).raw(": <bdi>").text(&by.reason).raw("</bdi></p>\n");
    html
}

/// For who may freeze this lock: the form, filled in with its name.
pub fn way_to_freeze(name: &Name, context: &Context<'_>) -> Html {
    let mut html = Html::default();
    if context.viewer.is_some_and(|viewer| viewer.may_administer(name)) {
        html.raw("<a class=\"act\" href=\"").append(Href::to(Section::Freezes.path()).with("name", name).written());
        html.raw("\">Freeze…</a>");
    }
    html
}

fn named_by(by: &FrozenBy) -> Html {
    match by.covers {
        Covers::Name => Html::of("this lock"),
        Covers::Prefix => named(&by.target, by.covers),
    }
}

fn left(by: &FrozenBy) -> Html {
    Html::of(Span(Duration::from_millis(by.remaining_ms)))
}
