package latchd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"
)

// Downgrade shares a lock that is held alone, and lets those in at once that wait to share it. The hold goes on under a new
// token.
func (h *Hold) Downgrade(ctx context.Context) error {
	ctx, done := h.client.until(ctx)
	defer done()
	return h.change(func(hold granted) error {
		request, told := changing(hold, "/v1/downgrade", nil)
		if _, err := h.client.transport.send(ctx, request, h.client.usual()); err != nil {
			return err
		}
		h.changed(told)
		return nil
	})
}

// Upgrade makes the holder of a shared lock the only one, before all that wait already. It waits for the others as long as
// the context and [Wait], the only option, let it. The hold goes on under a new token.
//
// The error is a [NotAcquiredError] if others still share it then, which is a [FrozenError] under a freeze, a [WouldDeadlockError] or a [RefusedError] if one of
// them wants the same, and a [LockLostError] if the hold has ended. Unless it is lost, it stays as it was.
func (h *Hold) Upgrade(ctx context.Context, opts ...Option) error {
	w, err := newWanted(h.Name(), usualLease, opts)
	if err != nil {
		return err
	}
	ctx, done := h.client.until(ctx)
	defer done()
	return h.change(func(hold granted) error {
		told, err := h.upgrade(ctx, hold, h.client.limits(ctx, w.wait, w.hasWait))
		if err == nil {
			h.changed(told)
		}
		return err
	})
}

func (h *Hold) upgrade(ctx context.Context, hold granted, l limits) (*holdAnswer, error) {
	shared := &NotAcquiredError{Name: h.Name(), Note: "others share it"}
	if l.byContext {
		shared.Cause = context.DeadlineExceeded
	}
	for {
		wait := min(l.over.left(), time.Duration(h.client.longestWait.Load()))
		open, more := time.Duration(0), map[string]any{}
		if wait > 0 {
			open = h.client.openFor
			more["wait_timeout_seconds"] = math.Max(0.001, math.Round(wait.Seconds()*1000)/1000)
		}
		request, told := changing(hold, "/v1/upgrade", more)
		_, err := h.client.transport.send(ctx, request, l.patience(h.client, open))
		var refused *RefusedError
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			shared.Cause = ctx.Err()
			return nil, shared
		case isCutShort(err) && open > 0 && l.ends.left() > 0:
			continue // The next attempt takes the place of this one.
		case errors.As(err, &refused):
			if shorter, ok := refusedWait(refused); ok && shorter < wait {
				h.client.longestWait.Store(int64(shorter))
				continue
			}
			return nil, err
		case err != nil:
			return nil, err
		case *told.Locked:
			return told, nil
		}
		if err := told.deadlock(h.Name()); err != nil {
			return nil, err
		}
		if code, message := told.fault(); code != "" && code != "LockWaitTimeout" {
			return nil, &RefusedError{Message: fmt.Sprintf("%q: %s", h.Name(), printable(message)), Status: 200, Code: code}
		}
		if l.over.left() == 0 {
			if freeze := freezeOf(told.Frozen); freeze != nil {
				frozen := newFrozen(h.Name(), *freeze)
				frozen.Cause = shared.Cause
				return nil, frozen
			}
			return nil, shared
		}
	}
}

func changing(hold granted, path string, more map[string]any) (call, *holdAnswer) {
	told := &holdAnswer{}
	body := map[string]any{"name": hold.names[0], "key": hold.key()}
	maps.Copy(body, more)
	return call{
		method: http.MethodPost, path: path, body: body, session: hold.session.id(),
		read: reading(told, lockCheck(hold.names[:1])),
	}, told
}

// changed takes over the new token; the key stays.
func (h *Hold) changed(told *holdAnswer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if told.Token != nil {
		h.granted.token = *told.Token
	}
}

// Transferred is a hold that another session has now; [Client.Adopt] takes it up there. It contains secrets, and writes them
// nowhere but in [Transferred.Reveal].
type Transferred struct {
	names   []string
	token   uint64
	session secret
	key     secret
}

type transferredJSON struct {
	Names   []string `json:"names"`
	Token   uint64   `json:"fencing_token"`
	Session string   `json:"session_id"`
	Key     string   `json:"key"`
}

// Names of the locks that it holds.
func (t Transferred) Names() []string { return slices.Clone(t.names) }

// Token is its new fencing token.
func (t Transferred) Token() uint64 { return t.token }

// Reveal is a text with the secrets, for another process, which reads it by [ParseTransferred].
func (t Transferred) Reveal() (string, error) {
	if t.key == nil {
		return "", errors.New("latchd: an empty Transferred")
	}
	text, err := json.Marshal(transferredJSON{t.names, t.token, t.session(), t.key()})
	return string(text), err
}

// ParseTransferred reads what [Transferred.Reveal] wrote.
func ParseTransferred(text string) (Transferred, error) {
	var read transferredJSON
	if json.Unmarshal([]byte(text), &read) != nil || len(read.Names) == 0 || read.Session == "" || read.Key == "" {
		return Transferred{}, errors.New("latchd: this is no text of Transferred.Reveal")
	}
	return Transferred{read.Names, read.Token, hidden(read.Session), hidden(read.Key)}, nil
}

// Format writes the same for every verb: it contains secrets.
func (t Transferred) Format(out fmt.State, _ rune) { fmt.Fprint(out, t.String()) }

// String names the locks and the token.
func (t Transferred) String() string {
	return fmt.Sprintf("latchd.Transferred(%q, token %d)", t.names, t.token)
}

// LogValue is the same for package slog.
func (t Transferred) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Transfer gives the hold to the session of another client, by its [Client.SessionID]; that client goes on with
// [Client.Adopt]. Here the hold counts as released.
//
// Where no answer comes, the other side may have it: then it is found to be lost with its next renewal.
func (h *Hold) Transfer(ctx context.Context, session string) (Transferred, error) {
	ctx, done := h.client.until(ctx)
	defer done()
	given := Transferred{names: h.names}
	err := h.change(func(hold granted) error {
		h.handover.Lock()
		defer h.handover.Unlock()
		told := &holdAnswer{}
		request := call{
			method: http.MethodPost, path: "/v1/transfer", session: hold.session.id(),
			body: map[string]any{"name": hold.names[0], "key": hold.key(), "to_session": session},
			read: reading(told, transferCheck(hold.names[0])),
		}
		if _, err := h.client.transport.send(ctx, request, h.client.usual()); err != nil {
			return err
		}
		given.token, given.session, given.key = *told.Token, hidden(session), hidden(told.Key)
		if h.finish() {
			h.client.sessions.leave(h.session)
		}
		return nil
	})
	if given.key != nil {
		// It is given away even if it counts as lost here.
		return given, nil
	}
	return Transferred{}, err
}

// Adopt goes on with a hold that [Hold.Transfer] gave to a session of this client. Of the options it takes [Lease] and
// [OnLost]. The error is a [LockLostError] if the hold has ended since.
func (c *Client) Adopt(ctx context.Context, given Transferred, opts ...Option) (*Hold, error) {
	if given.key == nil {
		return nil, errors.New("latchd: an empty Transferred")
	}
	w, err := newWanted(given.names[0], usualLease, opts)
	if err != nil {
		return nil, err
	}
	caller := ctx
	ctx, done := c.until(ctx)
	defer done()
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	own := &owner{}
	session := c.sessions.find(own, given.session())
	if session == nil {
		return nil, &LockLostError{given.names[0], "the session that it was given to is none of this client, or has ended"}
	}
	hold := granted{names: given.names, key: given.key, token: given.token, lease: w.lease, session: session}
	told, got, err := c.renew(ctx, &hold, c.usual())
	if isRefusal(err, sessionEnded) {
		c.end(session, sessionGone)
		return nil, &LockLostError{given.names[0], "the session that it was given to has ended"}
	}
	if err != nil {
		c.sessions.leave(session)
		return nil, err
	}
	hold.sent, hold.until = got.sent, leaseEnd(told.ExpiresIn, hold.longest(), got.sent)
	if !*told.Locked || hold.until.left() == 0 {
		c.sessions.leave(session)
		return nil, &LockLostError{given.names[0], "the service says that it had ended before it was taken up"}
	}
	return c.begin(c.with(caller, own), hold, w.onLost)
}
