// Package latchdgocron has the Locker and the Elector of gocron, on locks and elections of latchd.
//
// With a [Locker], each job runs on one of many schedulers at a time. With an [Elector], all jobs run on the one that leads.
// An elector does not depend on clocks that go alike; a locker does, see [Locker.Keep].
package latchdgocron

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	latchd "github.com/latchd/latchd/clients/go"
)

var (
	_ gocron.Locker  = Locker{}
	_ gocron.Elector = (*Elector)(nil)
)

// Locker is for [gocron.WithDistributedLocker]: a job runs only where its lock is had, and is skipped elsewhere.
type Locker struct {
	// Client of the service.
	Client *latchd.Client
	// Prefix of the name of each lock, before the name of the job. Give each job a name by [gocron.WithName]: two schedulers
	// exclude each other by it.
	Prefix string
	// Keep is for how long a lock stays taken after it was granted, also if its job has ended: longer than the clocks of the
	// schedulers differ, and shorter than the pause between two runs. Otherwise a scheduler whose clock is late runs a short
	// job once more.
	Keep time.Duration
	// Options of each lock, such as [latchd.Lease]. A job is skipped at once if the lock is held, unless they have
	// [latchd.Wait].
	Options latchd.Options
}

type lock struct {
	hold *latchd.Hold
	till time.Time
}

// Lock takes the lock of a job.
func (l Locker) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	opts := append(latchd.Options{latchd.Wait(0)}, l.Options...)
	began := time.Now()
	hold, err := l.Client.Lock(ctx, l.Prefix+key, opts...)
	if err != nil {
		return nil, err
	}
	return &lock{hold, began.Add(l.Keep)}, nil
}

// Unlock gives the lock back, or has it given back when Keep is over. The error is a [latchd.LockLostError] if the lock was
// lost during the job.
func (l *lock) Unlock(ctx context.Context) error {
	left := time.Until(l.till)
	if left <= 0 {
		return l.hold.Release(ctx)
	}
	time.AfterFunc(left, func() { _ = l.hold.Release(context.Background()) })
	return l.hold.Check()
}

// ErrNotLeader is what [Elector.IsLeader] tells everywhere but at the leader.
var ErrNotLeader = errors.New("latchdgocron: this scheduler does not lead")

// Elector is for [gocron.WithDistributedElector]: jobs run where it leads.
type Elector struct {
	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex
	lead *latchd.Leadership
	// Why the last campaign failed.
	failed error
}

// NewElector campaigns in an election, and again when the lead is lost, until it is closed. The value is what
// [latchd.Client.Leader] tells about this scheduler; the options are those of [latchd.Client.Elect].
func NewElector(client *latchd.Client, name, value string, opts ...latchd.Option) *Elector {
	ctx, stop := context.WithCancel(context.Background())
	e := &Elector{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		for ctx.Err() == nil {
			lead, err := client.Elect(ctx, name, value, opts...)
			e.set(lead, err)
			switch {
			case err == nil:
				e.follow(ctx, lead)
			case errors.Is(err, latchd.ErrClosed):
				return
			default:
				pause(ctx, pauseAfter(err))
			}
		}
	}()
	return e
}

func (e *Elector) set(lead *latchd.Leadership, failed error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lead, e.failed = lead, failed
}

// follow returns when the lead is over.
func (e *Elector) follow(ctx context.Context, lead *latchd.Leadership) {
	select {
	case <-lead.Lost():
	case <-ctx.Done():
	}
	e.set(nil, nil)
	_ = lead.Release(ctx)
}

// IsLeader is nil while this scheduler leads, and an [ErrNotLeader] otherwise.
func (e *Elector) IsLeader(context.Context) error {
	e.mu.Lock()
	lead, failed := e.lead, e.failed
	e.mu.Unlock()
	if lead != nil && lead.Check() == nil {
		return nil
	}
	if failed != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, failed)
	}
	return ErrNotLeader
}

// Close resigns, and campaigns no more.
func (e *Elector) Close() {
	e.stop()
	<-e.done
}

// pauseAfter is how long the service wants it to wait, within reason.
func pauseAfter(err error) time.Duration {
	asked := time.Duration(0)
	if failed := (*latchd.UnreachableError)(nil); errors.As(err, &failed) {
		asked = failed.RetryAfter
	}
	return min(max(asked, time.Second), time.Minute)
}

func pause(ctx context.Context, duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
