package latchd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	tooLate     = "its lease could not be renewed in time"
	goneThere   = "the service says that it has ended"
	sessionGone = "its session has ended"
	closedHere  = "its client was closed"
)

// Hold is a lock that is held until it is released, its client is closed, or it is lost. Goroutines may share it.
type Hold struct {
	client  *Client
	session *session
	names   []string
	ctx     context.Context
	cancel  context.CancelCauseFunc
	onLost  func(*Hold)
	// Closed when it is over: ended in any case, lost if it was lost.
	ended, lost chan struct{}
	// Held while another session is given the hold: until that is known, an end of it is no loss.
	handover sync.Mutex

	mu      sync.Mutex
	state   state
	why     string
	granted granted
	// The lease as it was last granted: a session may end sooner.
	term time.Duration
	// Whether the session is not used for it any more.
	left bool
}

type state int

const (
	held state = iota
	released
	lost
)

func (s state) String() string { return [...]string{"held", "released", "lost"}[s] }

// begin makes a hold of what was granted, and keeps it.
func (c *Client) begin(ctx context.Context, got granted, onLost func(*Hold)) (*Hold, error) {
	h := &Hold{
		client: c, session: got.session, names: got.names, onLost: onLost, granted: got,
		term: time.Duration(got.until - got.sent), ended: make(chan struct{}), lost: make(chan struct{}),
	}
	h.ctx, h.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if !c.add(h) {
		h.cancel(ErrClosed)
		return nil, ErrClosed
	}
	go h.keep()
	return h, nil
}

// Name of the lock; of several, the first.
func (h *Hold) Name() string { return h.names[0] }

// Names of all locks that it holds.
func (h *Hold) Names() []string { return slices.Clone(h.names) }

// Token is the fencing token: larger than that of every earlier hold of any lock. Pass it to whatever the lock protects. An
// upgrade and a downgrade give a new one.
func (h *Hold) Token() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.granted.token
}

func (h *Hold) current() granted {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.granted
}

// Lost is closed when the lock may belong to somebody else: as soon as that is known, and before the lease ends.
func (h *Hold) Lost() <-chan struct{} { return h.lost }

// Context ends when the lock is lost or released; [context.Cause] then is a [LockLostError] or [ErrReleased]. It has the
// values of the context with which the lock was taken, but not its deadline. Locks that are taken with it belong to the
// same owner as this one.
func (h *Hold) Context() context.Context { return h.ctx }

// Remaining is for how long it is certain that nobody else has the lock; 0 once it is lost or released.
func (h *Hold) Remaining() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != held {
		return 0
	}
	return h.deadline().left()
}

// Check is a [LockLostError] if the lock is lost, and nil if it is held or was released: for between the steps of a long
// work.
func (h *Hold) Check() error {
	h.mu.Lock()
	late := h.isLate()
	state, why := h.state, h.why
	h.mu.Unlock()
	if late {
		h.lose(tooLate)
		return &LockLostError{h.Name(), tooLate}
	}
	if state == lost {
		return &LockLostError{h.Name(), why}
	}
	return nil
}

// Release gives the lock back. The error is a [LockLostError] if it was lost before. If no node can be reached, the lock
// ends with its lease, and the error is an [UnreachableError]; what was done under the lock was protected. To release a
// hold twice is no error. A context that has ended leaves it two seconds.
func (h *Hold) Release(ctx context.Context) error {
	if err := h.Check(); err != nil {
		h.leaveLost()
		return err
	}
	if !h.finish() {
		return h.Check()
	}
	ctx, cancel := lingering(ctx, farewell)
	defer cancel()
	hold, p := h.current(), h.client.usual()
	p.until = min(p.until, hold.until)
	told, got, err := h.client.unlock(ctx, &hold, p)
	if isRefusal(err, sessionEnded) {
		h.client.end(h.session, sessionGone)
		return h.lostAtEnd("its session had ended before it was released")
	}
	if err != nil {
		h.client.abandon(h.session, nil)
		return err
	}
	h.client.sessions.leave(h.session)
	// A first attempt may have done it and its answer be lost.
	if *told.Unlocked || got.attempts > 1 {
		return nil
	}
	return h.lostAtEnd("the service says that it had ended before it was released")
}

// finish ends a hold that is held, so that nobody works under it any more; whether it was.
func (h *Hold) finish() bool {
	h.mu.Lock()
	was := h.state == held
	if was {
		h.state, h.left = released, true
		close(h.ended)
	}
	h.mu.Unlock()
	if was {
		h.cancel(ErrReleased)
		h.client.forget(h)
	}
	return was
}

// lostAtEnd is for a loss of which the release tells.
func (h *Hold) lostAtEnd(why string) error {
	h.mu.Lock()
	h.state, h.why = lost, why
	close(h.lost)
	h.mu.Unlock()
	return &LockLostError{h.Name(), why}
}

// lose ends a hold that is lost.
func (h *Hold) lose(why string) {
	h.mu.Lock()
	if h.state != held {
		h.mu.Unlock()
		return
	}
	h.state, h.why = lost, why
	h.cancel(&LockLostError{h.Name(), why})
	close(h.ended)
	close(h.lost)
	token := h.granted.token
	h.mu.Unlock()
	h.client.forget(h)
	level := slog.LevelError
	if why == closedHere {
		level = slog.LevelDebug // The program itself has done it.
	}
	h.client.log.Log(h.ctx, level, "latchd: a lock is lost", "name", h.Name(), "token", token, "why", why)
	if h.onLost != nil {
		go h.onLost(h)
	}
}

// leaveLost gives back what may still be there of a lost hold, whose holder is done; nothing depends on whether it works.
// Until then its lease ends by itself, so that a lock delay counts from there.
func (h *Hold) leaveLost() {
	h.mu.Lock()
	left := h.left
	h.left = true
	h.mu.Unlock()
	if left || h.client.closing.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell/4)
	defer cancel()
	p := patience{until: now(), attempt: farewell / 4, ends: never}
	hold := h.current()
	if _, _, err := h.client.unlock(ctx, &hold, p); err != nil {
		h.client.abandon(h.session, nil)
		return
	}
	h.client.sessions.leave(h.session)
}

// during runs work under the hold, and releases it.
func (h *Hold) during(ctx context.Context, work func(context.Context) error) (err error) {
	own := h.client.ownerOf(h.ctx)
	bound, cancel := context.WithCancelCause(h.client.with(ctx, own))
	stop := context.AfterFunc(h.ctx, func() { cancel(context.Cause(h.ctx)) })
	defer func() {
		stop()
		released := h.Release(context.WithoutCancel(ctx))
		cancel(ErrReleased)
		switch {
		case errors.Is(released, ErrLockLost) && !errors.Is(err, ErrLockLost):
			err = errors.Join(err, released)
		case errors.Is(released, ErrUnreachable):
			h.client.log.Warn("latchd: a lock could not be given back and ends with its lease", "name", h.Name(), "why", released)
		case released != nil && err == nil:
			err = released
		}
	}()
	return work(bound)
}

// Format writes the same for every verb: the hold contains a key.
func (h *Hold) Format(out fmt.State, _ rune) { fmt.Fprint(out, h.String()) }

// String names the lock, its token and its state.
func (h *Hold) String() string {
	_ = h.Check()
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("latchd.Hold(%q, token %d, %s)", h.names[0], h.granted.token, h.state)
}

// LogValue is the same for package slog.
func (h *Hold) LogValue() slog.Value { return slog.StringValue(h.String()) }
