package latchd

import (
	"context"
	"errors"
	"testing"
	"time"
)

var _ = behaviour("renewal", func(t *testing.T) {
	client, other := pair(t)
	hold := locked(t, client, "renewal", Lease(8*time.Second))
	passed(t, hold, 12*time.Second)
	check(t, !isFree(t, other, "renewal"), "it is free")
})

var _ = behaviour("deadline", func(t *testing.T) {
	for how, stop := range map[string]func(*server){"killed": (*server).kill, "paused": func(s *server) { s.pause(t) }} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			client := connect(t, server.url, WithPatience(3*time.Second))
			told := make(chan *Hold, 2)
			hold := locked(t, client, "deadline", Lease(8*time.Second), OnLost(func(hold *Hold) { told <- hold }))
			stop(server)
			ends := hold.current().until
			check(t, hold.Check() == nil && hold.Remaining() > time.Second, "lost at once")
			within(t, hold.Lost())
			// A busy machine may wake this goroutine late, but not change when the answer turns.
			check(t, hold.currentDeadline() < ends, "after the lease has ended")
			check(t, ends.left() > 0 || now() < ends.after(20*time.Second), "late by %v", time.Duration(now()-ends))
			check(t, hold.Remaining() == 0, "%v remain", hold.Remaining())
			mustSay(t, hold.Check(), "could not be renewed")
			mustBe(t, context.Cause(hold.Context()), ErrLockLost)
			check(t, within(t, told) == hold, "of another hold")
			server.resume()
			mustBe(t, hold.Check(), ErrLockLost)
			mustBe(t, hold.Release(testContext(t)), ErrLockLost)
		})
	}
})

var _ = behaviour("late-answer", func(t *testing.T) {
	proxy := put(t, common, once(func(e *exchange) { e.rest(time.Second) }, "/v1/lock"))
	hold := locked(t, connect(t, proxy.url), "late-answer")
	check(t, len(proxy.keys("/v1/lock")) == 2, "it was asked %d times", len(proxy.keys("/v1/lock")))
	// The first answer left the server a second ago.
	left := hold.Remaining() + hold.term/20
	check(t, left > 15*time.Second && left < 29100*time.Millisecond, "%v are left", left)
	// An answer that comes late is as old as its request.
	slow := put(t, common, func(e *exchange) bool {
		if e.path == "/v1/lock" {
			e.rest(time.Second)
		}
		return false
	})
	hold = locked(t, connect(t, slow.url), "late-answer-2")
	left = hold.Remaining() + hold.term/20
	check(t, left > 15*time.Second && left < 29100*time.Millisecond, "%v are left", left)
})

var _ = behaviour("forced", func(t *testing.T) {
	client, other := pair(t)
	hold := locked(t, client, "forced", Lease(15*time.Second))
	begun := time.Now()
	force(t, other, hold)
	within(t, hold.Lost())
	check(t, time.Since(begun) < 13*time.Second, "noticed only when the lease would have ended")
	mustSay(t, hold.Check(), "has ended")
})

// force ends the hold of another client: the key alone opens it, whoever shows it.
func force(t *testing.T, other *Client, hold *Hold) {
	t.Helper()
	session, err := other.open(testContext(t), other.usual())
	must(t, err)
	stolen := hold.current()
	stolen.session = session
	told, _, err := other.unlock(testContext(t), &stolen, other.usual())
	must(t, err)
	check(t, *told.Unlocked, "it was not held")
}

var _ = behaviour("loss", func(t *testing.T) {
	client, other := pair(t)
	opts := Options{Lease(8 * time.Second)}
	for _, own := range []error{nil, errBroken} {
		err := client.Do(testContext(t), "loss", opts, func(ctx context.Context, hold *Hold) error {
			force(t, other, hold)
			within(t, ctx.Done())
			mustBe(t, context.Cause(ctx), ErrLockLost)
			return own
		})
		mustBe(t, err, ErrLockLost)
		check(t, own == nil || errors.Is(err, own), "the error of the work is lost: %v", err)
	}
	err := client.Do(testContext(t), "loss", opts, func(_ context.Context, hold *Hold) error {
		force(t, other, hold)
		return nil
	})
	mustBe(t, err, ErrLockLost)
})

var _ = behaviour("session-end", func(t *testing.T) {
	server := start(t)
	client, stranger := connect(t, server.url), connect(t, server.url)
	ctx := client.WithOwner(testContext(t))
	kept, err := client.Lock(ctx, "kept", Lease(600*time.Second))
	must(t, err)
	// Ended by somebody else, as idle ones are by the service.
	must(t, stranger.delete(testContext(t), kept.session))
	hold, err := client.Lock(ctx, "next", Wait(0))
	must(t, err)
	mustSay(t, kept.Check(), "session")
	check(t, hold.Check() == nil && hold.session != kept.session, "the next one is lost too")
	mustBe(t, kept.Release(testContext(t)), ErrLockLost)
	// Many free sessions that ended, and a campaign.
	release(t, hold)
	var holds []*Hold
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		holds = append(holds, locked(t, client, name))
	}
	for _, each := range holds {
		release(t, each)
		must(t, stranger.delete(testContext(t), each.session))
	}
	lead, err := client.Elect(testContext(t), "reopened", "one", Wait(0))
	must(t, err)
	release(t, lead.Hold)
})

func TestHoldCountsAsEndedWithItsSession(t *testing.T) {
	t.Parallel()
	server := startWith(t, "http://127.0.0.1:0", []string{"LATCHD_SESSIONS_IDLE_TIMEOUT=8s"})
	client := connect(t, server.url, WithPatience(3*time.Second))
	hold := locked(t, client, "long", Lease(time.Hour))
	passed(t, hold, 10*time.Second)
	check(t, hold.Remaining() < 8*time.Second, "%v remain", hold.Remaining())
	server.kill()
	within(t, hold.Lost())
}

func TestLockDelayFollowsALossAndNoRelease(t *testing.T) {
	t.Parallel()
	client, other := pair(t)
	release(t, locked(t, other, "slow", LockDelay(time.Minute)))
	begun := time.Now()
	hold := locked(t, client, "slow", Lease(time.Second), LockDelay(time.Second))
	hold.lose("for this test: it is not renewed, as if its process had been killed")
	got, err := other.Lock(testContext(t), "slow", Wait(20*time.Second))
	must(t, err)
	check(t, time.Since(begun) >= 2*time.Second, "granted after %v: before the lease and the delay", time.Since(begun))
	release(t, got)
}

func TestReleaseWithAnEndedContextReleases(t *testing.T) {
	t.Parallel()
	client, other := pair(t)
	ctx, cancel := context.WithCancel(testContext(t))
	hold, err := client.Lock(ctx, "ended-context")
	must(t, err)
	cancel()
	check(t, hold.Check() == nil && hold.Context().Err() == nil, "the hold ended with the context of its wait")
	must(t, hold.Release(ctx))
	mustBe(t, context.Cause(hold.Context()), ErrReleased)
	check(t, isFree(t, other, "ended-context"), "it is still held")
}
