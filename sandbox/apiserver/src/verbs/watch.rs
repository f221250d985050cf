//! Watch: initial state, events, bookmarks, expiry.

use super::list::{self, Selection};
use super::render::Writer;
use super::{Answer, Op};
use crate::registry::Resource;
use crate::router::respond;
use crate::schema::FieldError;
use crate::server::Inner;
use crate::service::ResponseBody;
use crate::status::ApiError;
use crate::store::{Event, EventKind, Start, Stored, Subscription};
use bytes::Bytes;
use futures::stream;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A bookmark is sent this long before the watch ends, so that the client resumes from a recent revision.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

pub(crate) async fn watch(op: &Op<'_>) -> Result<Answer, ApiError> {
    let query = &op.request.query;
    let mut selection = Selection::parse(op)?;
    let timeout = query
        .number("timeoutSeconds")?
        .and_then(|s| u64::try_from(s).ok())
        .filter(|s| *s > 0)
        .map_or(op.server.options.watch_timeout, Duration::from_secs);
    let initial_events = initial_events(op)?;
    let asked = list::revision(op)?;
    if let (Some(true), Some(revision)) = (initial_events, asked) {
        list::wait_for(op, revision).await?;
    }
    let bookmarks = query.flag("allowWatchBookmarks");
    // The old path /watch/.../name selects a single object.
    if !op.name.is_empty() {
        let text = format!("metadata.name={}", op.name);
        selection.fields = crate::selector::FieldSelector::parse(&text, &op.resource).map_err(ApiError::bad_request)?;
    }
    let start = match (asked, initial_events) {
        (_, Some(true)) | (None | Some(0), None) => Start::Now,
        (None | Some(0), Some(false)) => Start::After(op.server.store.revision()),
        (Some(revision), _) => Start::After(revision),
    };
    let writer = Writer::new(op)?;
    let began =
        op.server.store.watch(&op.resource.storage, selection.namespace(&op.namespace), selection.fields.name(), start);
    let content_type = writer.content_type();
    let mut subscription = match began {
        Ok(subscription) => subscription,
        Err(compacted) => {
            // The request was well-formed: an expired revision is told in the stream, as the watch cache does.
            let asked = asked.unwrap_or_default();
            let error = ApiError::expired(format!("too old resource version: {asked} ({})", compacted.oldest));
            let body = ResponseBody::whole(writer.error(&error));
            return Ok(Answer::Response(respond(200, content_type, body)));
        }
    };
    let now = Instant::now();
    let (objects, missed) = (std::mem::take(&mut subscription.objects), std::mem::take(&mut subscription.missed));
    let mut watch = Watch {
        server: Arc::clone(op.server),
        resource: Arc::clone(&op.resource),
        selection,
        writer,
        queue: VecDeque::new(),
        revision: subscription.revision,
        after: match start {
            Start::Now => 0,
            Start::After(revision) => revision,
        },
        subscription,
        bookmarks,
        next_bookmark: next_bookmark(now, now + timeout, op.server.options.bookmark_interval),
        deadline: now + timeout,
    };
    for object in &objects {
        if watch.selection.matches(&watch.resource, object) {
            let line = watch.writer.event("ADDED", object);
            watch.queue.push_back(line);
        }
    }
    if initial_events == Some(true) && bookmarks {
        let line = watch.writer.bookmark(watch.revision, true);
        watch.queue.push_back(line);
    }
    for event in &missed {
        watch.push(event);
    }
    let body = ResponseBody::stream(stream::unfold(watch, Watch::next));
    Ok(Answer::Response(respond(200, content_type, body)))
}

/// `sendInitialEvents`, with the rules of the parameters around it.
fn initial_events(op: &Op<'_>) -> Result<Option<bool>, ApiError> {
    let query = &op.request.query;
    let matching = query.text("resourceVersionMatch");
    let initial = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
    let mut errors = Vec::new();
    match (initial, matching) {
        (Some(_), None) => errors.push(FieldError::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
        (Some(_), Some("NotOlderThan")) | (None, None) => {}
        (Some(_), Some(other)) => {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
            errors.push(FieldError::not_supported("resourceVersionMatch", &Value::from(other), &["NotOlderThan"]))
        }
        (None, Some(_)) => errors.push(FieldError::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )),
    }
    if errors.is_empty() { Ok(initial) } else { Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

fn next_bookmark(now: Instant, deadline: Instant, interval: Duration) -> Instant {
    let regular = now + interval;
    let last = deadline.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(deadline);
    if last > now { regular.min(last) } else { regular }
}

struct Watch {
    server: Arc<Inner>,
    resource: Arc<Resource>,
    selection: Selection,
    writer: Writer,
    queue: VecDeque<Bytes>,
    /// Revision of the newest event that was looked at.
    revision: u64,
    /// The revision asked for, which may lie ahead: events up to it are not sent.
    after: u64,
    subscription: Subscription,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
}

enum Wake {
    Event(Option<Arc<Event>>),
    Bookmark,
    End,
}

impl Watch {
    /// The next line of the stream; the stream ends with the time-out, or when the server ends its watches.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            if let Some(line) = self.queue.pop_front() {
                return Some((line, self));
            }
            let wake = tokio::select! {
                biased;
                event = self.subscription.events.recv() => Wake::Event(event),
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => Wake::Bookmark,
                () = tokio::time::sleep_until(self.deadline) => Wake::End,
            };
            match wake {
                Wake::Event(Some(event)) => {
                    self.push(&event);
                }
                Wake::Bookmark => {
                    // Events come in order of revisions, and this one's queue is empty: everything up to the store's
                    // revision has been sent, unless a write came in between, which the queue shows.
                    let current = self.server.store.revision();
                    if self.subscription.events.is_empty() {
                        self.revision = self.revision.max(current);
                    }
                    let line = self.writer.bookmark(self.revision, false);
                    let interval = self.server.options.bookmark_interval;
                    self.next_bookmark = next_bookmark(Instant::now(), self.deadline, interval);
                    return Some((line, self));
                }
                Wake::Event(None) | Wake::End => return None,
            }
        }
    }

    /// Queues the line of an event, as this watch's selection sees it.
    fn push(&mut self, event: &Event) {
        self.revision = self.revision.max(event.revision());
        if event.revision() <= self.after {
            return;
        }
        let Some((kind, object)) = self.seen(event) else {
            return;
        };
        let line = if kind == event.kind && std::ptr::eq(object, event.object.as_ref()) {
            self.writer.shared_event(event)
        } else {
            self.writer.event_at(kind.as_str(), object, event.revision())
        };
        self.queue.push_back(line);
    }

    /// What an event is to this watch: an object that starts to match is added, one that no longer does is deleted.
    fn seen<'e>(&self, event: &'e Event) -> Option<(EventKind, &'e Stored)> {
        if self.selection.is_everything() {
            return Some((event.kind, &event.object));
        }
        let matches = |stored: &Stored| self.selection.matches(&self.resource, stored);
        let before = event.previous.as_deref().is_some_and(matches);
        let after = event.kind != EventKind::Deleted && matches(&event.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some((EventKind::Added, &event.object)),
            (true, true) => Some((EventKind::Modified, &event.object)),
            (true, false) if event.kind == EventKind::Deleted => Some((EventKind::Deleted, &event.object)),
            // The state that last matched, at the revision at which it stopped to.
            (true, false) => event.previous.as_deref().map(|p| (EventKind::Deleted, p)),
        }
    }
}
