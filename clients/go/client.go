package latchd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	usualLease = 30 * time.Second
	// lookLimit bounds the question who holds a lock that was not acquired.
	lookLimit = time.Second
)

// Client is a client of one service. Goroutines may share it. Close releases whatever its holds still have.
type Client struct {
	transport *transport
	attempt   time.Duration
	patience  time.Duration
	metadata  map[string]string
	log       *slog.Logger
	sessions  sessions
	// The longest wait that the service allows, as far as it is known, as a duration.
	longestWait atomic.Int64
	// The longest that one request of a wait stays open.
	openFor time.Duration
	// Whether the service is known to have modes.
	hasModes atomic.Bool
	// Ends when the client is closed.
	closing context.Context
	stop    context.CancelCauseFunc
	work    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	holds  map[*Hold]struct{}
}

// New makes a client of the service at a URL, or at those of several nodes with commas between them. It sends nothing yet.
func New(urls string, options ...ClientOption) (*Client, error) {
	set := &settings{tls: &tls.Config{}, attempt: 10 * time.Second, patience: 10 * time.Second}
	for _, option := range options {
		if err := option(set); err != nil {
			return nil, err
		}
	}
	transport, err := newTransport(urls, set)
	if err != nil {
		return nil, err
	}
	c := &Client{
		transport: transport, attempt: set.attempt, patience: set.patience, metadata: set.metadata, log: set.log,
		holds: map[*Hold]struct{}{}, openFor: openMax,
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	// At first the default of `locks.wait_max`.
	c.longestWait.Store(int64(24 * time.Hour))
	c.closing, c.stop = context.WithCancelCause(context.Background())
	return c, nil
}

// Lock takes a lock, and waits for it as long as the context and [Wait] let it.
//
// The error is a [NotAcquiredError] if the lock was not to be had in that time, which tells who holds it or that no answer
// came; [FrozenError], which is one of these, if an operator has frozen it for longer; [WouldDeadlockError], which is one too,
// if the wait could not end; [UnreachableError] if no node is there or
// can work now; [RefusedError] if the service will not do it; the error of the context if that was cancelled. Whatever the
// service does, a wait with [Wait] has ended a second after it. A cancelled wait leaves the queue.
//
// The context is for the wait alone: its end later does not release the lock.
func (c *Client) Lock(ctx context.Context, name string, opts ...Option) (*Hold, error) {
	w, err := newWanted(name, usualLease, opts)
	if err != nil {
		return nil, err
	}
	return c.take(ctx, w, true)
}

// TryLock takes a lock, or several, if all are free now; otherwise the error is [ErrNotAcquired], without the holders,
// for whom [Client.Show] and a Lock with [Wait] of 0 ask.
func (c *Client) TryLock(ctx context.Context, name string, opts ...Option) (*Hold, error) {
	w, err := newWanted(name, usualLease, opts)
	if err != nil {
		return nil, err
	}
	w.wait, w.hasWait = 0, true
	return c.take(ctx, w, false)
}

// Do takes a lock as [Client.Lock] does, runs work, and releases the lock. The context of work ends with ctx, and with the
// lock if that is lost; then [context.Cause] is a [LockLostError].
//
// The error is that of Lock or of work. If the lock was lost, it is an [ErrLockLost] too, also if work succeeded. If only
// the release does not reach the service, the lock ends with its lease, and that is logged.
func (c *Client) Do(
	ctx context.Context, name string, opts Options, work func(ctx context.Context, hold *Hold) error,
) error {
	hold, err := c.Lock(ctx, name, opts...)
	if err != nil {
		return err
	}
	return hold.during(ctx, func(ctx context.Context) error { return work(ctx, hold) })
}

// Show tells who holds a lock and how many wait for it.
func (c *Client) Show(ctx context.Context, name string) (LockInfo, error) {
	ctx, done := c.until(ctx)
	defer done()
	return c.show(ctx, name, c.usual())
}

// Close ends the sessions of the client: whatever is still held is free, and lost to its holders. Waits end with
// [ErrClosed]. The error says that no node could be reached, and everything ends by itself. Closing twice is no error.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	// Before the waits end, which would take out their own.
	open := c.sessions.all()
	c.stop(ErrClosed)
	for _, hold := range c.heldIn(nil) {
		hold.lose(closedHere)
	}
	errs := make([]error, len(open))
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	var deleting sync.WaitGroup
	places := make(chan struct{}, 8)
	for n := range open {
		deleting.Add(1)
		places <- struct{}{}
		go func() {
			defer func() { <-places; deleting.Done() }()
			errs[n] = c.delete(ctx, open[n])
		}()
	}
	deleting.Wait()
	c.work.Wait()
	c.transport.http.CloseIdleConnections()
	return errors.Join(errs...)
}

// Format writes the URLs, whatever the verb: the client contains a credential.
func (c *Client) Format(out fmt.State, _ rune) { fmt.Fprint(out, c.String()) }

// String names the URLs.
func (c *Client) String() string {
	return "latchd.Client(" + strings.Join(c.transport.bases, ", ") + ")"
}

// LogValue is the same for package slog.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c *Client) take(ctx context.Context, w *wanted, tells bool) (*Hold, error) {
	caller := ctx
	ctx, done := c.until(ctx)
	defer done()
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	w.metadata = described(c.metadata, w.metadata)
	if !w.hasWait || w.wait > 0 {
		if err := c.refuseOwnDeadlock(ctx, w); err != nil {
			return nil, err
		}
	}
	own := c.ownerOf(ctx)
	l := c.limits(ctx, w.wait, w.hasWait)
	got, err := c.acquire(ctx, own, w, l)
	if err == nil {
		err = c.refuseIgnoredMode(ctx, w, &got)
	}
	if err != nil {
		return nil, c.notTaken(ctx, w, l, err, tells)
	}
	return c.begin(c.with(caller, own), got, w.onLost)
}

// notTaken is the error for the caller.
func (c *Client) notTaken(ctx context.Context, w *wanted, l limits, err error, tells bool) error {
	refused := &NotAcquiredError{Name: w.places[0].name}
	var frozen *FrozenError
	if errors.As(err, &frozen) {
		refused = &frozen.NotAcquiredError
	}
	if l.byContext {
		refused.Cause = context.DeadlineExceeded
	}
	switch {
	case frozen != nil && (ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded)):
		if tells {
			c.tell(ctx, w, refused)
		}
		return frozen
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return refused
	case ctx.Err() != nil:
		return fmt.Errorf("latchd: waiting for %s: %w", w.shown(), ended(ctx))
	case errors.Is(err, errNotGranted):
		if tells {
			c.tell(ctx, w, refused)
		}
		return refused
	case isCutShort(err) && l.over == l.until:
		// It has waited, and was not answered.
		refused.Note = strings.TrimPrefix(err.Error(), "latchd: ")
		if refused.Cause == nil {
			refused.Cause = err
		}
		return refused
	}
	return err
}

// tell adds who holds the lock.
func (c *Client) tell(ctx context.Context, w *wanted, refused *NotAcquiredError) {
	for _, each := range w.places {
		found, err := c.look(ctx, each.name)
		if err != nil {
			return
		}
		if len(found.Holders) > 0 {
			refused.Name, refused.Holders, refused.QueueLength = found.Name, found.Holders, found.QueueLength
			if refused.Note == "" {
				refused.Note = c.noteOf(found, each.mode)
			}
			return
		}
		if found.DelayedFor > 0 && refused.Note == "" {
			left := found.DelayedFor.Round(time.Second)
			refused.Note = fmt.Sprintf("%q is not granted for %v, because of how its last hold ended", each.name, left)
		}
	}
}

// noteOf is what a message says about the holders of a lock.
func (c *Client) noteOf(found LockInfo, mode string) string {
	note := enclosingNote(found, mode)
	if note == "" && c.holdsOneOf(found.Holders) {
		note = "held by this client itself"
	}
	return note
}

// refuseOwnDeadlock refuses to wait for the `latchd lock` that waits for the end of this program.
func (c *Client) refuseOwnDeadlock(ctx context.Context, w *wanted) error {
	own := enclosingNames()
	for _, each := range w.places {
		if !slices.Contains(own, each.name) {
			continue
		}
		found, err := c.look(ctx, each.name)
		if note := enclosingNote(found, each.mode); err == nil && note != "" {
			return &NotAcquiredError{Name: found.Name, Holders: found.Holders, QueueLength: found.QueueLength, Note: note}
		}
	}
	return nil
}
