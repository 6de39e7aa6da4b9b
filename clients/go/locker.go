package latchd

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lockerPause is the longest that a Locker heeds a service that asks for a pause.
const lockerPause = time.Minute

// Locker is a [sync.Locker] for programs that expect one. [Client.Do] is better: it has a context, and errors.
type Locker struct {
	client *Client
	name   string
	opts   []Option
	mu     sync.Mutex
	// More than one where the options let several hold it.
	holds []*Hold
}

var _ sync.Locker = (*Locker)(nil)

// Locker makes a [sync.Locker] of a lock. Goroutines that share it are like strangers: one waits for the other.
func (c *Client) Locker(name string, opts ...Option) *Locker {
	return &Locker{client: c, name: name, opts: opts}
}

// Lock takes the lock, and waits for it as long as it takes; also for a service that cannot be reached, which is logged. A
// sync.Locker has no errors, so Lock panics with any other one: a [RefusedError], a [WouldDeadlockError], [ErrClosed], and
// a [NotAcquiredError] if the options have [Wait].
func (l *Locker) Lock() {
	for {
		hold, err := l.client.Lock(context.Background(), l.name, l.opts...)
		if err == nil {
			l.mu.Lock()
			l.holds = append(l.holds, hold)
			l.mu.Unlock()
			return
		}
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrNotAcquired) {
			panic(err)
		}
		l.client.log.Warn("latchd: still waiting for a lock", "name", l.name, "why", err)
		if failed := (*UnreachableError)(nil); errors.As(err, &failed) {
			rest(l.client.closing, min(failed.RetryAfter, lockerPause))
		}
	}
}

// Unlock releases the lock. It panics if the lock is not held, and with a [LockLostError] if it was lost meanwhile: then
// what was done under it may not have been protected. If the service cannot be reached, the lock ends with its lease, and
// that is logged.
func (l *Locker) Unlock() {
	hold := l.pop()
	if hold == nil {
		panic(errors.New("latchd: Unlock of a Locker that is not locked"))
	}
	err := hold.Release(context.Background())
	if errors.Is(err, ErrLockLost) {
		panic(err)
	}
	if err != nil {
		l.client.log.Warn("latchd: a lock could not be given back and ends with its lease", "name", l.name, "why", err)
	}
}

func (l *Locker) pop() *Hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.holds) - 1
	if last < 0 {
		return nil
	}
	hold := l.holds[last]
	l.holds = l.holds[:last]
	return hold
}

// Hold is the newest hold between Lock and Unlock, with its token and its loss; nil without one.
func (l *Locker) Hold() *Hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.holds) == 0 {
		return nil
	}
	return l.holds[len(l.holds)-1]
}
