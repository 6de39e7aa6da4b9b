package latchd

import (
	"context"
	"math"
	"time"
)

// moment is the time since some moment in the past, by the clock of leases. It means nothing to another machine or after a
// restart of this one. It goes on while the machine is suspended where the system has such a clock: a laptop that slept
// through its lease has to know so when it wakes up.
type moment time.Duration

// never is later than every other moment.
const never moment = math.MaxInt64

// slice is the longest timer of a hold, because timers stop while the machine is suspended.
const slice = 250 * time.Millisecond

func (m moment) after(duration time.Duration) moment {
	if duration > 0 && m > never-moment(duration) {
		return never
	}
	return m + moment(duration)
}

// left is the time until then, and 0 if it has passed.
func (m moment) left() time.Duration {
	return max(0, time.Duration(m-now()))
}

// seconds converts a number of an answer, which may be too large for a duration.
func seconds(number float64) time.Duration {
	if number >= float64(math.MaxInt64)/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(max(0, number) * float64(time.Second))
}

// lingering is ctx that ends so much later. What gives something back needs a moment, also where its caller has none.
func lingering(ctx context.Context, extra time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(extra)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(ctx))
		case <-late.Done():
		}
	})
	return late, func() { stop(); cancel(context.Canceled) }
}

// rest waits for so long; false if ctx ended first.
func rest(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
